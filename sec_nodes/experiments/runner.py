"""Jobs at work in several processes, each on one thread; what is done stays done."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

_SPAWN = multiprocessing.get_context('spawn')
_LOOK_EVERY_S = 1.0


@dataclass
class Progress:
    """How far the jobs are."""

    total: int
    done: int = 0
    at_work: list[str] = field(default_factory=list)
    """Labels of those that run."""
    left_s: float | None = None
    """Wall time that is left, as far as one can tell [s]."""


class Labelled(Protocol):
    """A job: data that can be told from other data, and has a name for people."""

    @property
    def label(self) -> str:
        """For people."""

    def __hash__(self) -> int: ...


JobT = TypeVar('JobT', bound=Labelled)


class Keeper(Protocol[JobT]):
    """Carries jobs out and keeps their results in a folder; goes to other processes."""

    @property
    def folder(self) -> Path:
        """Where results are."""

    def has(self, job: JobT) -> bool:
        """Whether a job is done."""

    def needs(self, job: JobT) -> JobT | None:
        """What must be over before a job can begin."""

    def expected_s(self, job: JobT) -> float:
        """Roughly the CPU time of a job [s]."""

    def carry_out(self, job: JobT, stopped: Callable[[], bool]) -> None:
        """Do a job; raises `keeping.StoppedError` because `stopped` said so."""


class JobError(RuntimeError):
    """A job failed; the text says which and why."""


def carry_out(
    jobs: Sequence[JobT],
    store: Keeper[JobT],
    workers: int,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Do all jobs that are not done, the longest first, each after the one it needs.

    Args:
        jobs: what to do; what they need is done as well.
        store: keeps results, those of earlier calls included.
        workers: processes at work at a time.
        on_progress: told when something changes, and every second.

    Raises:
        KeyboardInterrupt: Ctrl-C, once those at work have stopped; call again to go on.
        JobError: a job failed.
    """
    store.folder.mkdir(parents=True, exist_ok=True)
    needed = [job for job in map(store.needs, jobs) if job is not None]
    _Crew(store, list(dict.fromkeys([*needed, *jobs])), workers, on_progress).work()


class _Crew(Generic[JobT]):
    def __init__(
        self,
        store: Keeper[JobT],
        jobs: Sequence[JobT],
        workers: int,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._store, self._workers = store, workers
        self._on_progress = on_progress
        self._done = {job for job in jobs if store.has(job)}
        open_jobs = [job for job in jobs if job not in self._done]
        self._waiting = sorted(open_jobs, key=store.expected_s, reverse=True)
        self._working: dict[Future[None], JobT] = {}
        self._total = len(jobs)
        self._begun_s, self._behind_s = time.monotonic(), 0.0

    def work(self) -> None:
        if not self._waiting:
            return
        stop = _SPAWN.Event()
        pool = ProcessPoolExecutor(self._workers, _SPAWN, _begin, (stop,))
        try:
            while self._waiting or self._working:
                self._hand_out(pool)
                self._on_progress(self._progress())
                ended, _ = wait(self._working, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED)
                for future in ended:
                    self._take_in(future)
            self._on_progress(self._progress())
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _hand_out(self, pool: ProcessPoolExecutor) -> None:
        """Give what can begin to whoever is free."""
        for job in list(self._waiting):
            if len(self._working) >= self._workers:
                return
            first = self._store.needs(job)
            if first is not None and first not in self._done:
                continue
            self._waiting.remove(job)
            self._working[pool.submit(_do, self._store, job)] = job

    def _take_in(self, future: Future[None]) -> None:
        job = self._working.pop(future)
        try:
            future.result()
        except Exception as error:  # whatever a job raises, the user learns which job it was
            raise JobError(f'{job.label}: {error}') from error
        self._done.add(job)
        self._behind_s += self._store.expected_s(job)

    def _progress(self) -> Progress:
        ahead_s = sum(map(self._store.expected_s, [*self._waiting, *self._working.values()]))
        passed_s = time.monotonic() - self._begun_s
        pace = passed_s / self._behind_s if self._behind_s > 0 else None
        return Progress(
            total=self._total,
            done=len(self._done),
            at_work=[job.label for job in self._working.values()],
            left_s=None if pace is None else pace * ahead_s,
        )


_stop: Any = None


def _begin(stop: Any) -> None:
    """First thing in a process: Ctrl-C reaches all of them, but it is the parent who stops."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _do(store: Keeper[JobT], job: JobT) -> None:
    store.carry_out(job, _stop.is_set)
