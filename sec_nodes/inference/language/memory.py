"""How much memory a model takes while it answers."""

from __future__ import annotations

from sec_nodes.inference.language.spec import LanguageSpec

_FLOAT_BYTE = 4


def needed_byte(spec: LanguageSpec, weights_byte: int, max_batch: int) -> int:
    """Weights, caches and activations of full batches in full contexts [byte], an estimate.

    A decoding step reads one cache and writes the next, so two are there at once; the prefixes
    kept for further questions come on top. Activations: embeddings and scores of a whole prompt,
    and one layer's attention scores. The runtime itself and what it packs anew are not counted.
    """
    decoder = spec.decoder
    cache_row = (
        2 * decoder.layers * decoder.kv_heads * decoder.head_dim * _FLOAT_BYTE * decoder.context
    )
    prefixes = max_batch * cache_row * min(spec.prompt.image_tokens / decoder.context, 1.0)
    activations_row = _FLOAT_BYTE * (
        8 * decoder.context * decoder.hidden
        + decoder.vocabulary
        + 2 * decoder.context**2 * max(decoder.hidden // decoder.head_dim, 1) // 4
    )
    return int(weights_byte + max_batch * (2 * cache_row + activations_row) + prefixes)
