"""A multimodal LLM on ONNX Runtime: pictures and questions in, tokens out as they come.

Greedy decoding with a key-value cache. The picture and the text before it form a prefix whose
cache is kept, so that further questions about a picture cost their own tokens only.
"""

from __future__ import annotations

import hashlib
import logging
import statistics
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.language.files import (
    CONTRIB_DOMAIN,
    UNPADDED_OPERATOR,
    ModelFiles,
    find_model,
)
from sec_nodes.inference.language.graphs import (
    Cache,
    Decoder,
    TokenEmbedding,
    VisionEncoder,
    stack_caches,
)
from sec_nodes.inference.language.memory import begin_peak, peak_byte
from sec_nodes.inference.language.preprocessing import check_picture, pixel_values
from sec_nodes.inference.language.rows import Row
from sec_nodes.inference.language.text import Text, TextStream
from sec_nodes.inference.language.types import (
    Answer,
    GenerationProfile,
    Question,
    TokenEvent,
)
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.providers import DevicePolicy, open_session, provider_of

_log = logging.getLogger(__name__)


class LanguageModel:
    """A model ready to answer; calls may come from any one thread at a time.

    Attributes: `id`; `provider` that the decoder really runs on; `accuracy` on the held-out
    questions or None if nobody measured it; `image_shape` (H, W, 3) that pictures are resized to;
    `image_tokens` and `hidden`, the shape of features; `context_tokens`; `max_batch`;
    `needed_byte`, an estimate of weights, caches and activations; `flop_prefix` for a picture,
    `flop_per_token` for each generated token.
    """

    def __init__(
        self, files: ModelFiles, *, policy: DevicePolicy, max_batch: int, context_tokens: int
    ) -> None:
        """Open the sessions; `LanguageModel.load` is the usual way here."""
        self._grown_from_byte = begin_peak()
        spec = files.spec
        self._spec = spec
        self.id = files.id
        self.accuracy = files.accuracy
        self.image_shape = spec.image.shape
        self.image_tokens = spec.prompt.image_tokens
        self.hidden = spec.decoder.hidden
        self.context_tokens = context_tokens
        self.max_batch = max_batch
        self.needed_byte = files.needed_byte(max_batch, context_tokens)
        self.flop_prefix = spec.flop_prefix
        self.flop_per_token = spec.flop_per_token
        self._text = Text(files.tokenizer.read(), spec.prompt)
        vision, embed, decoder = (
            open_session(part.content(), policy, contrib_ops=part.mentions(CONTRIB_DOMAIN))
            for part in (files.vision, files.embed, files.decoder)
        )
        self.provider = provider_of(decoder)
        self._vision = VisionEncoder(vision, spec.image, spec.prompt, self.hidden)
        self._embed = TokenEmbedding(embed)
        self._decoder = Decoder(decoder, spec.decoder)
        self._pads = not files.decoder.mentions(UNPADDED_OPERATOR)
        self._prefixes: OrderedDict[bytes, Cache] = OrderedDict()
        self._prefix_ids = self._find_prefix()

    @classmethod
    def load(
        cls,
        id_or_folder: str | Path,
        *,
        quantisation: str | None = None,
        models_dir: str | Path | None = None,
        policy: DevicePolicy | None = None,
        memory_limit_byte: int | None = None,
        max_batch: int = 8,
        context_tokens: int | None = None,
    ) -> LanguageModel:
        """Load a model that is converted already.

        Args:
            id_or_folder: an id of the manifest (checksums verified); a folder written by
                `sec models convert`; a folder or Hugging Face id in the layout of onnx-community.
            quantisation: level such as 'q4', for folders and Hugging Face ids; also written
                after a colon, `folder:q4`. Default: fp32 if it is there.
            models_dir: where the manifest is, if not in the default place.
            policy: execution provider and threads.
            memory_limit_byte: refuse a model that would not fit.
            max_batch: most questions in one call of `generate`.
            context_tokens: longest prompt with its answer. Default: what the model can.

        Raises:
            ValueError: max_batch or context_tokens out of range.
            ModelError: unknown, altered or unconverted model, or one that does not fit.
        """
        if max_batch < 1:
            raise ValueError(f'max_batch is {max_batch}; give at least 1')
        files = find_model(id_or_folder, quantisation, models_dir)
        longest = files.spec.decoder.context
        context = longest if context_tokens is None else context_tokens
        if not 1 <= context <= longest:
            raise ValueError(
                f'context_tokens is {context}; model {files.id!r} takes 1 to {longest}'
            )
        needed = files.needed_byte(max_batch, context)
        if memory_limit_byte is not None and needed > memory_limit_byte:
            raise ModelError(
                f'model {files.id!r} needs {needed / 2**20:.1f} MiB '
                f'({files.weights_byte / 2**20:.1f} MiB of files, the rest for kernels and '
                f'batches of {max_batch} with {context} tokens), the limit is '
                f'{memory_limit_byte / 2**20:.1f} MiB; take a smaller model or quantisation, '
                f'or lower max_batch or context_tokens'
            )
        return cls(
            files,
            policy=policy or DevicePolicy(),
            max_batch=max_batch,
            context_tokens=context,
        )

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Features (image_tokens, hidden) of each picture: the cut at the projector."""
        if not images:
            return []
        pixels = np.stack([pixel_values(image, self._spec.image) for image in images])
        return list(self._vision.run(pixels))

    def generate(
        self,
        questions: Sequence[Question],
        *,
        on_token: Callable[[TokenEvent], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Answer]:
        """Answer a batch of questions; each row as if it were alone.

        `on_token` hears every token at once. `cancelled` is asked between tokens; when it says
        so, the rows still open end with what they have.

        Raises:
            ValueError: too many questions, or a prompt that does not fit the context.
            PayloadError: an image or features of a wrong shape or type.
        """
        batch = self._begin(questions)
        for event in self._events(batch, cancelled):
            if on_token is not None:
                on_token(event)
        return [row.answer() for row in batch.rows]

    def stream(self, question: Question) -> Iterator[TokenEvent]:
        """Tokens of one answer as they come; closing the iterator stops the work."""
        return self._events(self._begin([question]), None)

    def profile(self, batch: int = 1, *, new_tokens: int = 32, reps: int = 5) -> GenerationProfile:
        """Measure this machine on random pictures; the answers are made `new_tokens` long."""
        if not 1 <= batch <= self.max_batch:
            raise ValueError(f'batch is {batch}; give 1 to max_batch, {self.max_batch}')
        random = np.random.default_rng(0)
        prefix_s, first_s, rate = [], [], []
        for _ in range(reps + 1):  # the first warms up
            self._prefixes.clear()
            image = random.integers(0, 256, self.image_shape, np.uint8)
            began = time.perf_counter()
            self._remember([Question('', image)])
            prefix_s.append(time.perf_counter() - began)
            asked = [Question('what is there?', image, max_tokens=new_tokens)] * batch
            state = self._begin(asked)
            times = [event.time_s for event in self._events(state, None, stop=False)]
            first_s.append(times[0])
            rate.append(batch * (new_tokens - 1) / max(times[-1] - times[0], 1e-9))
        return GenerationProfile(
            batch,
            statistics.median(prefix_s[1:]),
            statistics.median(first_s[1:]),
            statistics.median(rate[1:]),
            max(peak_byte() - self._grown_from_byte, 0),
        )

    def _find_prefix(self) -> list[int]:
        """Tokens up to the last place of the picture; the same whatever is asked."""
        ids = self._text.encode('', pictured=True)
        place = self._spec.prompt.image_token_id
        if ids.count(place) != self.image_tokens:
            raise ModelError(
                f'the prompt of model {self.id!r} has {ids.count(place)} places for a picture '
                f'of {self.image_tokens} tokens'
            )
        return ids[: len(ids) - ids[::-1].index(place)]

    def _begin(self, questions: Sequence[Question]) -> _Batch:
        """Check a batch and tokenise it; nothing runs yet."""
        if len(questions) > self.max_batch:
            raise ValueError(f'{len(questions)} questions at once, max_batch is {self.max_batch}')
        began_s = time.perf_counter()
        prefix = self._prefix_ids
        rows = []
        for index, question in enumerate(questions):
            pictured = self._check(question)
            ids = self._text.encode(question.prompt, pictured=pictured)
            if len(ids) + question.max_tokens > self.context_tokens:
                raise ValueError(
                    f'prompt of {len(ids)} tokens and max_tokens {question.max_tokens} exceed the '
                    f'context of {self.context_tokens} tokens of model {self.id!r}; shorten either'
                )
            own = ids[len(prefix) :] if pictured else ids
            if not own:
                raise ValueError('prompt is empty')
            rows.append(Row(index, question, own, len(ids), TextStream(self._text)))
        return _Batch(rows, began_s)

    def _check(self, question: Question) -> bool:
        """Whether a picture comes with a question; refuses what cannot be answered."""
        if question.max_tokens < 1:
            raise ValueError(f'max_tokens is {question.max_tokens}; give at least 1')
        if question.features is None:
            if question.image is not None:
                check_picture(question.image)
            return question.image is not None
        if question.image is not None:
            raise ValueError('give image or features, not both')
        found = np.asarray(question.features)
        if found.shape != (self.image_tokens, self.hidden) or found.dtype.kind != 'f':
            raise PayloadError(
                f'features are {found.dtype} {found.shape}; model {self.id!r} expects floats '
                f'{(self.image_tokens, self.hidden)}'
            )
        return True

    def _events(
        self, batch: _Batch, cancelled: Callable[[], bool] | None, *, stop: bool = True
    ) -> Iterator[TokenEvent]:
        """Every token of every row; without `stop` rows go on to their max_tokens."""
        stop_ids = self._spec.stop_token_ids if stop else ()
        together = [batch.rows] if self._pads else [[row] for row in batch.rows]
        for rows in together:
            yield from self._advance(rows, batch, cancelled, stop_ids)

    def _advance(
        self,
        rows: list[Row],
        batch: _Batch,
        cancelled: Callable[[], bool] | None,
        stop_ids: tuple[int, ...],
    ) -> Iterator[TokenEvent]:
        """Tokens of rows that are decoded together."""
        if not rows or _told(cancelled, rows, batch):
            return
        embeddings, mask, past = self._prompt_tensors(rows)
        while True:
            logits, past = self._decoder.run(embeddings, mask, past)
            tokens = logits.argmax(axis=1)
            log_probability = _log_probability(logits)
            for row, token, log_p in zip(rows, tokens.tolist(), log_probability, strict=True):
                event = row.take(token, float(log_p), batch.elapsed_s(), token in stop_ids)
                if event is not None:
                    yield event
            open_rows = [index for index, row in enumerate(rows) if row.finish is None]
            rows = [rows[index] for index in open_rows]
            if not rows or _told(cancelled, rows, batch):
                return
            if len(open_rows) < len(tokens):
                past = tuple(part[open_rows] for part in past)
                mask, tokens = mask[open_rows], tokens[open_rows]
            embeddings = self._embed.run(tokens[:, None])
            mask = np.concatenate([mask, np.ones_like(mask[:, :1])], axis=1)

    def _prompt_tensors(self, rows: Sequence[Row]) -> tuple[NDArray[Any], NDArray[Any], Cache]:
        """Embeddings, attention mask and cached prefixes of a batch, all ending at the right."""
        prefixes = self._remember([row.question for row in rows])
        longest_past = max(prefix[0].shape[2] for prefix in prefixes)
        longest_own = max(len(row.own_ids) for row in rows)
        ids = np.zeros((len(rows), longest_own), np.int64)
        mask = np.zeros((len(rows), longest_past + longest_own), np.int64)
        for index, (row, prefix) in enumerate(zip(rows, prefixes, strict=True)):
            ids[index, -len(row.own_ids) :] = row.own_ids
            mask[index, -len(row.own_ids) :] = 1
            mask[index, longest_past - prefix[0].shape[2] : longest_past] = 1
        past = stack_caches(prefixes, self._decoder.empty_cache(len(rows), longest_past))
        return self._embed.run(ids), mask, past

    def _remember(self, questions: Sequence[Question]) -> list[Cache]:
        """Caches of the questions' prefixes; what is not there yet is computed in one batch."""
        keys = [_key(question) for question in questions]
        wanted = {key: q for key, q in zip(keys, questions, strict=True) if key is not None}
        missing = [key for key in wanted if key not in self._prefixes]
        found = {key: self._prefixes[key] for key in wanted if key in self._prefixes}
        if missing:
            caches = self._prefill([wanted[key] for key in missing])
            found.update(zip(missing, caches, strict=True))
        for key, cache in found.items():
            self._prefixes[key] = cache
            self._prefixes.move_to_end(key)
        while len(self._prefixes) > self.max_batch:
            self._prefixes.popitem(last=False)
        nothing = self._decoder.empty_cache(1)
        return [nothing if key is None else found[key] for key in keys]

    def _prefill(self, questions: Sequence[Question]) -> list[Cache]:
        """Run the prefix of pictures through the decoder; one cache each."""
        features = np.empty((len(questions), self.image_tokens, self.hidden), np.float32)
        images = [q.image for q in questions if q.image is not None]
        encoded = iter(self.encode(images))
        for row, question in enumerate(questions):
            given = question.features
            features[row] = next(encoded) if given is None else given
        ids = np.tile(self._prefix_ids, (len(questions), 1))
        embeddings = self._embed.run(ids)
        embeddings[ids == self._spec.prompt.image_token_id] = features.reshape(-1, self.hidden)
        empty = self._decoder.empty_cache(len(questions))
        _, caches = self._decoder.run(embeddings, np.ones_like(ids), empty)
        return [tuple(part[row : row + 1] for part in caches) for row in range(len(questions))]


@dataclass
class _Batch:
    rows: list[Row]
    began_s: float

    def elapsed_s(self) -> float:
        return time.perf_counter() - self.began_s


def _told(cancelled: Callable[[], bool] | None, rows: Sequence[Row], batch: _Batch) -> bool:
    """Whether the caller wants no more; closes the rows then."""
    if cancelled is None or not cancelled():
        return False
    for row in rows:
        row.cancel(batch.elapsed_s())
    return True


def _log_probability(logits: NDArray[np.float32]) -> NDArray[Any]:
    """Logarithm of the probability of each row's best token under its softmax; NaN stays NaN."""
    with np.errstate(invalid='ignore', over='ignore'):
        shifted = logits - logits.max(axis=1, keepdims=True)
        return np.asarray(-np.log(np.exp(shifted).sum(axis=1)))


def _key(question: Question) -> bytes | None:
    """What a picture is known by; None without one."""
    given = question.image if question.features is None else question.features
    if given is None:
        return None
    digest = hashlib.blake2b(f'{given.dtype}{given.shape}'.encode(), digest_size=16)
    digest.update(np.ascontiguousarray(given).data)
    return digest.digest()
