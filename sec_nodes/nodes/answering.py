"""Who runs the models of a server node: classifiers on a thread, language models in a process.

A node hands in work and goes on; what comes of it is told on another thread, once for each work.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.language import TokenEvent
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.inference.worker import Done, InferenceWorker, Job, QueueFull

LONGEST_PROMPT = 2000
"""Characters of a question that is taken from the radio."""
LARGEST_SIDE = 2048
"""Pixels along a side of a picture that is taken from the radio."""
MOST_TOKENS = 96
"""Tokens of an answer, unless the scenario's words are more."""


@dataclass(frozen=True)
class Work:
    """Something to be answered."""

    lane: str
    key: Hashable
    model_id: str
    cut: int
    tensor: NDArray[Any]
    prompt: str
    steps: float
    context: Any = field(repr=False, default=None)
    """What the node wants to find again when it is told the answer."""


@dataclass(frozen=True)
class Inferred:
    """An answer, with what was measured on this machine."""

    answer: str
    confidence: float
    inference_s: float
    tokens: int = 0
    batch: int = 1
    first_token_s: float = 0.0


class Teller(ABC):
    """Who is told what comes of work, on any thread."""

    @abstractmethod
    def tell_token(self, work: Work, index: int, text: str, last: bool) -> None:
        """A piece of an answer."""

    @abstractmethod
    def tell_answer(self, work: Work, inferred: Inferred) -> None:
        """The answer."""

    @abstractmethod
    def tell_failure(self, work: Work, reason: str) -> None:
        """There will be no answer."""


class Answering(ABC):
    """Runs models for the lanes of a node."""

    @abstractmethod
    def expected(self, model_id: str, cut: int) -> tuple[tuple[int, ...] | None, str]:
        """Shape, if it is fixed, and type of the tensor that enters a model after a cut."""

    @abstractmethod
    def submit(self, work: Work) -> None:
        """Take work on.

        Raises:
            PayloadError: it cannot be done; nobody else will be told.
        """

    @abstractmethod
    def forget(self, lane: str) -> None:
        """Nobody waits any more for the work of a lane."""

    @abstractmethod
    def providers(self) -> dict[str, str]:
        """Execution provider by model."""

    def is_ready(self) -> bool:
        """Whether the models are loaded.

        Raises:
            ModelError: they cannot be, or cannot be run any more.
        """
        return True

    @abstractmethod
    def close(self) -> None:
        """Stop; what is open is forgotten."""


class ThreadAnswering(Answering):
    """Classifiers, one answer after the other on a thread.

    Args:
        max_queue: most work that waits at a lane, what runs not counted.
        teller: who is told.
    """

    def __init__(self, max_queue: int, teller: Teller) -> None:
        self._teller, self._max_queue = teller, max_queue
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        self._forgotten: Counter[str] = Counter()
        """How often each lane was forgotten: work from before is not begun."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix='inference')

    @abstractmethod
    def answer(self, work: Work) -> tuple[str, float]:
        """The answer and its probability; on the thread, and it may raise anything."""

    def submit(self, work: Work) -> None:
        """Take work on."""
        with self._lock:
            count = self._waiting[work.lane]
            if count >= self._max_queue:
                raise PayloadError(
                    f'queue_full: {count} tasks wait at {work.lane!r}, '
                    f'max_queue is {self._max_queue}'
                )
            self._waiting[work.lane] += 1
            since = self._forgotten[work.lane]
        self._thread.submit(self._run, work, since)

    def forget(self, lane: str) -> None:
        """What waits at a lane is not begun; what runs is told in any case."""
        with self._lock:
            self._forgotten[lane] += 1

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, work: Work, since: int) -> None:
        with self._lock:
            self._waiting[work.lane] -= 1
            if since != self._forgotten[work.lane]:
                return
        began = time.perf_counter()
        try:
            answer, confidence = self.answer(work)
        except Exception as error:  # ONNX Runtime's errors have no common base
            reason = str(error) or type(error).__name__
            self._teller.tell_failure(work, f'inference_error: {reason}')
            return
        self._teller.tell_answer(work, Inferred(answer, confidence, time.perf_counter() - began))


class SplitAnswering(ThreadAnswering):
    """Classifiers that may be cut between layers.

    Args:
        models: ids of the models.
        policy: where they run.
        max_queue: most work that waits at a lane, what runs not counted.
        teller: who is told.

    Raises:
        ModelError: a model cannot be loaded.
    """

    def __init__(
        self, models: set[str], policy: DevicePolicy, max_queue: int, teller: Teller
    ) -> None:
        from sec_nodes.inference.engine import SplitModel

        self._models = {name: SplitModel.load(name, policy=policy) for name in sorted(models)}
        super().__init__(max_queue, teller)

    def expected(self, model_id: str, cut: int) -> tuple[tuple[int, ...] | None, str]:
        """Shape and type of the tensor at a cut."""
        place = self._models[model_id].cuts[cut]
        return place.shape, place.dtype

    def answer(self, work: Work) -> tuple[str, float]:
        """Run the layers after the cut."""
        model = self._models[work.model_id]
        return model.answer(model.run_back(work.cut, work.tensor))

    def span(self, work: Work, until: int) -> Future[NDArray[Any]]:
        """The tensor at a later cut of some work, or at its own."""
        model = self._models[work.model_id]
        return self._thread.submit(model.run_span, work.cut, until, work.tensor)

    def providers(self) -> dict[str, str]:
        """Execution provider by model."""
        return {name: model.provider for name, model in self._models.items()}


@dataclass(frozen=True)
class WorkerLimits:
    """Bounds of a worker process."""

    max_batch: int
    max_queue: int
    memory_limit_byte: int | None
    loader: str


class LanguageAnswering(Answering):
    """Multimodal language models in a process of their own, with a bounded queue a lane.

    Args:
        lanes: model of each lane.
        policy: where models run.
        limits: of the process.
        teller: who is told.
    """

    def __init__(
        self, lanes: Mapping[str, str], policy: DevicePolicy, limits: WorkerLimits, teller: Teller
    ) -> None:
        self._lanes, self._teller = dict(lanes), teller
        # the node's threads and the worker's own share what is open
        self._lock = threading.Lock()
        self._open: dict[tuple[str, Hashable], Work] = {}
        self._told: dict[tuple[str, Hashable], int] = {}
        self._worker = InferenceWorker(
            lanes,
            on_token=self._on_token,
            on_done=self._on_done,
            on_failed=self._on_failed,
            max_batch=limits.max_batch,
            max_queue=limits.max_queue,
            memory_limit_byte=limits.memory_limit_byte,
            policy=policy,
            factory=limits.loader,
        )
        self._worker.start()
        self._was_ready = False

    def expected(self, model_id: str, cut: int) -> tuple[tuple[int, ...] | None, str]:
        """A picture of any size."""
        return None, 'uint8'

    def submit(self, work: Work) -> None:
        """Take work on."""
        rows, columns, *depth = work.tensor.shape if work.tensor.ndim == 3 else (0, 0, 0)
        if depth != [3] or not (0 < rows <= LARGEST_SIDE and 0 < columns <= LARGEST_SIDE):
            raise PayloadError(
                f'shape {work.tensor.shape} is no picture (rows, columns, 3) of at most '
                f'{LARGEST_SIDE} pixels a side'
            )
        if not 0 < len(work.prompt) <= LONGEST_PROMPT:
            raise PayloadError(
                f'the question has {len(work.prompt)} characters; 1 to {LONGEST_PROMPT} are taken'
            )
        name = (work.lane, work.key)
        with self._lock:
            if name in self._open:
                raise PayloadError(f'{work.key!r} is still open at {work.lane!r}')
            self._open[name], self._told[name] = work, 0
        job = Job(
            job_id=work.key,
            prompt=work.prompt,
            image=np.asarray(work.tensor),
            max_tokens=max(MOST_TOKENS, int(work.steps)),
        )
        try:
            self._worker.submit(work.lane, job)
        except (QueueFull, ModelError, ValueError) as error:
            self._close(name)
            raise PayloadError(str(error)) from None

    def forget(self, lane: str) -> None:
        """Cancel what is open at a lane."""
        with self._lock:
            names = [name for name in self._open if name[0] == lane]
        for name in names:  # not under the lock: the worker has one of its own
            self._worker.cancel(*name)

    def providers(self) -> dict[str, str]:
        """Execution provider by model, once they are loaded."""
        info = self._worker.info()
        return {self._lanes[lane]: model.provider for lane, model in info.items()}

    def is_ready(self) -> bool:
        """Whether the models have been loaded once: a process that starts again will be back."""
        try:
            self._worker.wait_ready(0.0)
        except TimeoutError:
            return self._was_ready
        self._was_ready = True
        return True

    def close(self) -> None:
        """End the process."""
        self._worker.close()

    def _on_token(self, lane: str, key: Hashable, event: TokenEvent) -> None:
        with self._lock:
            work = self._open.get((lane, key))
            if work is None:
                return
            index = self._told[lane, key]
            self._told[lane, key] = index + 1
        self._teller.tell_token(work, index, event.text, event.last)

    def _on_done(self, lane: str, key: Hashable, done: Done) -> None:
        work = self._close((lane, key))
        if work is None:
            return
        answer = done.answer
        inferred = Inferred(
            answer=answer.text,
            confidence=answer.confidence,
            inference_s=done.inference_s,
            tokens=len(answer.token_ids),
            batch=done.batch,
            first_token_s=answer.first_token_s,
        )
        self._teller.tell_answer(work, inferred)

    def _on_failed(self, lane: str, key: Hashable, reason: str) -> None:
        work = self._close((lane, key))
        if work is not None:
            self._teller.tell_failure(work, reason)

    def _close(self, name: tuple[str, Hashable]) -> Work | None:
        with self._lock:
            self._told.pop(name, None)
            return self._open.pop(name, None)
