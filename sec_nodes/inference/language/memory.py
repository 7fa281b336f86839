"""How much memory a model takes while it answers."""

from __future__ import annotations

from sec_nodes.inference.language.spec import LanguageSpec

_FLOAT_BYTE = 4

PROMPT_TOKENS = 64
"""Text of a prompt that memory is reckoned with."""


_PACKED = 2
"""ONNX Runtime holds weights as read and as packed for its kernels, at least while it loads."""

_WIDENED = {'fp16': 2, 'q2': 2}
"""Levels whose weights a CPU computes with in twice the bits that they are stored in."""


def needed_byte(
    spec: LanguageSpec, weights_byte: int, quantisation: str, max_batch: int, context: int
) -> int:
    """Weights, caches and activations of full batches [byte], an estimate from above.

    A decoding step reads one cache and writes the next, so two are there at once, `context` long;
    the prefixes kept for further questions come on top. Activations are those of a prompt of
    picture and `PROMPT_TOKENS` more, scores and their softmax above all.
    """
    decoder = spec.decoder
    prompt = min(spec.prompt.image_tokens + PROMPT_TOKENS, context)
    token = 2 * decoder.layers * decoder.kv_heads * decoder.head_dim
    caches = token * (2 * context + spec.prompt.image_tokens)
    heads = max(decoder.hidden // decoder.head_dim, 1)
    activations = prompt * (2 * heads * prompt + 8 * decoder.hidden) + decoder.vocabulary
    weights = _PACKED * _WIDENED.get(quantisation, 1) * weights_byte
    return weights + _FLOAT_BYTE * max_batch * (caches + activations)
