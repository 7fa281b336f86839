"""How much memory a model takes while it answers: reckoned beforehand, and measured."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import psutil

from sec_nodes.inference.language.spec import LanguageSpec

_FLOAT_BYTE = 4

PROMPT_TOKENS = 64
"""Text of a prompt that memory is reckoned with."""


_PACKED = 2
"""ONNX Runtime holds weights as read and as packed for its kernels, at least while it loads."""

_RUNTIME_BYTE = 24 * 2**20
"""What ONNX Runtime's three sessions take besides; 15 MiB were measured for the smallest model."""

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
    return _RUNTIME_BYTE + weights + _FLOAT_BYTE * max_batch * (caches + activations)


def begin_peak() -> int:
    """Forget the process's peak so far; returns what it holds now [byte].

    The kernel keeps a peak that outlives fork and exec: without this a child would report its
    parent's. See proc(5), /proc/pid/clear_refs.
    """
    with contextlib.suppress(OSError):  # not everywhere, or not allowed
        Path('/proc/self/clear_refs').write_text('5', encoding='ascii')
    return int(psutil.Process().memory_info().rss)


def peak_byte() -> int:
    """The most that the process has held since `begin_peak` [byte]."""
    status = Path('/proc/self/status')
    text = status.read_text(encoding='ascii', errors='replace') if status.exists() else ''
    found = re.search(r'^VmHWM:\s*(\d+) kB', text, re.MULTILINE)
    return 1024 * int(found.group(1)) if found else int(psutil.Process().memory_info().rss)
