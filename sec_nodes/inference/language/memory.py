"""How much memory a model takes while it answers."""

from __future__ import annotations

from sec_nodes.inference.language.spec import LanguageSpec

_FLOAT_BYTE = 4

PROMPT_TOKENS = 64
"""Text of a prompt that memory is reckoned with."""


def needed_byte(spec: LanguageSpec, weights_byte: int, max_batch: int, context: int) -> int:
    """Weights, caches and activations of full batches [byte], an estimate.

    A decoding step reads one cache and writes the next, so two are there at once, `context` long;
    the prefixes kept for further questions come on top. Activations are those of a prompt of
    picture and `PROMPT_TOKENS` more, scores and their softmax above all. The runtime itself and
    what it packs anew are not counted.
    """
    decoder = spec.decoder
    prompt = min(spec.prompt.image_tokens + PROMPT_TOKENS, context)
    token = 2 * decoder.layers * decoder.kv_heads * decoder.head_dim
    caches = token * (2 * context + spec.prompt.image_tokens)
    heads = max(decoder.hidden // decoder.head_dim, 1)
    activations = prompt * (2 * heads * prompt + 8 * decoder.hidden) + decoder.vocabulary
    return weights_byte + _FLOAT_BYTE * max_batch * (caches + activations)
