"""Jobs that wait for a worker: bounded queues, one a lane, and which of them run next."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.language import Question
from sec_nodes.inference.manifest import ModelError


class QueueFull(Exception):  # noqa: N818 (as queue.Full)
    """A lane has as many waiting jobs as it may have; the text has the numbers."""


@dataclass(frozen=True)
class Job:
    """A question with a name, which no other open job of its lane has.

    `image` is uint8 (H, W, 3); `features` float32 (image_tokens, hidden) instead of it, or
    neither; `max_tokens` the longest answer [token]. Whoever builds it checks types and sizes,
    and leaves the arrays alone until it has ended.
    """

    job_id: Hashable
    prompt: str
    image: NDArray[np.uint8] | None = None
    features: NDArray[np.float32] | None = None
    max_tokens: int = 64

    def question(self) -> Question:
        """What the model gets of it."""
        return Question(self.prompt, self.image, self.features, self.max_tokens)


@dataclass(eq=False)
class OpenJob:
    """A job that has not ended; times on the monotonic clock."""

    lane: str
    job: Job
    submitted_s: float = field(default_factory=time.monotonic)
    sent_s: float = 0.0

    @property
    def key(self) -> tuple[str, Hashable]:
        """Lane and id: what callbacks know it by."""
        return self.lane, self.job.job_id


class Lanes:
    """The books of a worker: which jobs are open, and which of them wait. Callers hold a lock."""

    def __init__(self, lanes: Iterable[str], max_queue: int) -> None:
        """Every lane is empty; `max_queue` jobs may wait at each."""
        self._waiting: dict[str, deque[OpenJob]] = {lane: deque() for lane in lanes}
        self._open: dict[tuple[str, Hashable], OpenJob] = {}
        self._max_queue = max_queue
        self._closed: str | None = None

    def add(self, lane: str, job: Job) -> None:
        """Let a job wait. QueueFull, ValueError (lane or id) or, once closed, ModelError."""
        if self._closed is not None:
            raise ModelError(self._closed)
        if lane not in self._waiting:
            raise ValueError(f'lane {lane!r} is unknown; known: {", ".join(self._waiting)}')
        entry = OpenJob(lane, job)
        if entry.key in self._open:
            raise ValueError(f'job {job.job_id!r} of lane {lane!r} is still open')
        waiting = self._waiting[lane]
        if len(waiting) >= self._max_queue:
            raise QueueFull(
                f'queue_full: {len(waiting)} jobs wait at {lane!r}, max_queue is {self._max_queue}'
            )
        self._open[entry.key] = entry
        waiting.append(entry)

    def withdraw(self, lane: str, job_id: Hashable) -> OpenJob | None:
        """Take an open job out of its queue if it still waits; None if it has ended."""
        entry = self._open.get((lane, job_id))
        if entry is not None and entry in self._waiting[lane]:
            self._waiting[lane].remove(entry)
        return entry

    def take(self, count: int) -> list[OpenJob]:
        """The next batch: up to `count` jobs of the lane whose oldest job waits longest."""
        busy = [waiting for waiting in self._waiting.values() if waiting]
        if not busy:
            return []
        waiting = min(busy, key=lambda jobs: jobs[0].submitted_s)
        return [waiting.popleft() for _ in range(min(count, len(waiting)))]

    def is_open(self, entry: OpenJob) -> bool:
        """Whether a job has not ended."""
        return self._open.get(entry.key) is entry

    def end(self, entry: OpenJob) -> bool:
        """Strike a job off the books; False if it was off already."""
        if not self.is_open(entry):
            return False
        del self._open[entry.key]
        return True

    def close(self, reason: str) -> list[OpenJob]:
        """Take no more jobs; returns those still open, for their owner to end."""
        self._closed = reason
        for waiting in self._waiting.values():
            waiting.clear()
        return list(self._open.values())
