"""The three graphs of a model as numpy functions: vision encoder, token embedding, decoder.

Names and types of inputs are read from the graphs, so that exports of other tools run as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sec_nodes.inference.language.spec import DecoderSpec, ImageSpec, PromptSpec
from sec_nodes.inference.manifest import ModelError

Tensor = NDArray[Any]
Cache = tuple[Tensor, ...]
"""Keys and values of all layers in the order of the graph's inputs: (rows, heads, length, dim)."""

_DTYPES = {
    'tensor(float)': np.float32,
    'tensor(float16)': np.float16,
    'tensor(int64)': np.int64,
    'tensor(int32)': np.int32,
    'tensor(bool)': np.bool_,
}
_CACHE_INPUT = re.compile(r'^past_key_values\.(\d+)\.(key|value)$')


class VisionEncoder:
    """Pictures to features in the language model's embedding space."""

    def __init__(
        self, session: ort.InferenceSession, image: ImageSpec, prompt: PromptSpec, hidden: int
    ) -> None:
        """ModelError if the graph wants anything but pictures."""
        self._session = session
        self._inputs = _inputs(session, {'pixel_values', 'pixel_attention_mask'}, 'vision encoder')
        self._rank = len(session.get_inputs()[0].shape)
        self._size = image.shape[:2]
        self._features = (prompt.image_tokens, hidden)

    def run(self, pixel_values: Tensor) -> NDArray[np.float32]:
        """Features (rows, image_tokens, hidden) of `pixel_values` (rows, 3, H, W)."""
        rows = len(pixel_values)
        # SmolVLM's exports take several pictures a row: (rows, pictures, 3, H, W)
        pixels = pixel_values[:, None] if self._rank == 5 else pixel_values
        feed = {'pixel_values': pixels.astype(self._inputs['pixel_values'])}
        if 'pixel_attention_mask' in self._inputs:
            feed['pixel_attention_mask'] = np.ones(
                (rows, 1, *self._size), self._inputs['pixel_attention_mask']
            )
        features = self._session.run(None, feed)[0]
        if features.size != rows * self._features[0] * self._features[1]:
            raise ModelError(
                f'the vision encoder gives {features.shape} for {rows} picture(s); the model '
                f'promises {self._features} each'
            )
        return np.asarray(features, np.float32).reshape(rows, *self._features)


class TokenEmbedding:
    """Token ids to embeddings."""

    def __init__(self, session: ort.InferenceSession) -> None:
        """ModelError if the graph wants anything but token ids."""
        self._session = session
        self._dtype = _inputs(session, {'input_ids'}, 'token embedding')['input_ids']

    def run(self, token_ids: Tensor) -> NDArray[np.float32]:
        """Embeddings (rows, length, hidden) of token ids (rows, length)."""
        found = self._session.run(None, {'input_ids': token_ids.astype(self._dtype)})[0]
        return np.asarray(found, np.float32)


class Decoder:
    """The language model, one call for a whole prompt or for one more token.

    Caches go in and out as arrays: with OrtValues or bound outputs steps were no faster on a CPU,
    with caches of 60 kB and of 60 MB alike.
    """

    def __init__(self, session: ort.InferenceSession, spec: DecoderSpec) -> None:
        """ModelError if the graph wants an input that this runtime does not know."""
        self._session = session
        inputs = {item.name: item for item in session.get_inputs()}
        self._cache_inputs = [name for name in inputs if _CACHE_INPUT.match(name)]
        if len(self._cache_inputs) != 2 * spec.layers:
            raise ModelError(
                f'the decoder takes {len(self._cache_inputs)} past_key_values, expected '
                f'{2 * spec.layers} for {spec.layers} layers; it is not a merged decoder'
            )
        known = {
            'inputs_embeds', 'attention_mask', 'position_ids', 'num_logits_to_keep',
            *self._cache_inputs,
        }  # fmt: skip
        self._inputs = _inputs(session, known, 'decoder')
        presents = [name.replace('past_key_values', 'present', 1) for name in self._cache_inputs]
        self._outputs = ['logits', *presents]
        missing = set(self._outputs) - {item.name for item in session.get_outputs()}
        if missing:
            raise ModelError(f'the decoder lacks output {min(missing)!r}')
        self.cache_dtype: Any = self._inputs[self._cache_inputs[0]]
        self._cache_shape = (spec.kv_heads, spec.head_dim)

    def empty_cache(self, rows: int, length: int = 0) -> Cache:
        """A cache of zeros, to be masked."""
        heads, dim = self._cache_shape
        return tuple(
            np.zeros((rows, heads, length, dim), self.cache_dtype) for _ in self._cache_inputs
        )

    def run(
        self, embeddings: Tensor, attention_mask: Tensor, past: Cache
    ) -> tuple[NDArray[np.float32], Cache]:
        """Scores of the token after each row, and the longer cache.

        `embeddings` (rows, new, hidden); `attention_mask` (rows, past + new), 0 where a row has
        nothing: anywhere but at its end.
        """
        new = embeddings.shape[1]
        feed: dict[str, Tensor] = {
            'inputs_embeds': embeddings,
            'attention_mask': attention_mask,
            # a row's own places, counted without the gaps
            'position_ids': np.maximum(attention_mask.cumsum(axis=1)[:, -new:] - 1, 0),
            'num_logits_to_keep': np.array(1),
        }
        feed = {
            name: np.ascontiguousarray(tensor, self._inputs[name])
            for name, tensor in feed.items()
            if name in self._inputs
        }
        feed.update(zip(self._cache_inputs, past, strict=True))
        logits, *present = self._session.run(self._outputs, feed)
        return np.asarray(logits[:, -1], np.float32), tuple(present)


def stack_caches(caches: Sequence[Cache], empty: Cache) -> Cache:
    """One cache of many rows from caches of one row each, all ending at the right.

    `empty` is a cache of zeros for that many rows, as long as the longest.
    """
    for row, cache in enumerate(caches):
        for target, source in zip(empty, cache, strict=True):
            length = source.shape[2]
            if length:
                target[row, :, -length:] = source[0]
    return empty


def _inputs(session: ort.InferenceSession, known: set[str], graph: str) -> dict[str, Any]:
    """Name and numpy type of each input; ModelError for one that is not known."""
    found = {item.name: item.type for item in session.get_inputs()}
    strange = [name for name in found if name not in known]
    if strange:
        raise ModelError(
            f'the {graph} takes input {strange[0]!r}, which this runtime does not know; '
            f'convert the model with sec models convert'
        )
    try:
        return {name: _DTYPES[kind] for name, kind in found.items()}
    except KeyError as error:
        raise ModelError(f'the {graph} takes an input of type {error.args[0]}') from error
