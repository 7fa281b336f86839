"""Jobs at work in several processes, each on one thread; what is done stays done."""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sec_nodes.experiments.jobs import Job, Store, Train, Training, needs, with_torch

_SPAWN = multiprocessing.get_context('spawn')
_LOOK_EVERY_S = 1.0

# Rough times, to tell who should begin first and how long it may take; the clock corrects them.
_STEP_S = {'ad_sac': 0.03, 'ad_sac_c': 0.013, 'ddpg': 0.006, 'd3qn': 0.006, 'ppo': 0.001,
           'hybrid_ppo': 0.001}  # fmt: skip
_USUAL_STEP_S, _SLOT_S, _OPTIMUM_SLOT_S, _START_S = 0.018, 0.002, 0.8, 0.5


@dataclass
class Progress:
    """How far the jobs are."""

    total: int
    done: int = 0
    at_work: list[str] = field(default_factory=list)
    """Labels of those that run."""
    left_s: float | None = None
    """Wall time that is left, as far as one can tell [s]."""


class JobError(RuntimeError):
    """A job failed; the text says which and why."""


def expected_s(job: Job) -> float:
    """Roughly the CPU time of a job [s]."""
    if isinstance(job, Training):
        whole_s = _STEP_S.get(job.algorithm, _USUAL_STEP_S) * job.steps
        return _START_S + min(whole_s, math.inf if job.minutes is None else 60 * job.minutes)
    slot_s = _OPTIMUM_SLOT_S if job.player in ('optimum', 'exhaustive') else _SLOT_S
    return _START_S + slot_s * job.episodes * job.slots


def carry_out(
    jobs: Sequence[Job],
    folder: Path,
    workers: int,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    train: Train = with_torch,
) -> Store:
    """Do all jobs that are not done, the longest first, each after the training it needs.

    Args:
        jobs: what to do; what they need is done as well.
        folder: keeps results, those of earlier calls included.
        workers: processes at work at a time.
        on_progress: told when something changes, and every second.
        train: carries out trainings, in the processes.

    Raises:
        KeyboardInterrupt: Ctrl-C, once those at work have stopped; call again to go on.
        JobError: a job failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    every = list(dict.fromkeys([*filter(None, map(needs, jobs)), *jobs]))
    store = Store(folder)
    crew = _Crew(store, every, workers, on_progress, train)
    crew.work()
    return store


class _Crew:
    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        workers: int,
        on_progress: Callable[[Progress], None],
        train: Train,
    ) -> None:
        self._store, self._workers, self._train = store, workers, train
        self._on_progress = on_progress
        self._done = {job for job in jobs if store.has(job)}
        open_jobs = [job for job in jobs if job not in self._done]
        self._waiting = sorted(open_jobs, key=expected_s, reverse=True)
        self._working: dict[Future[None], Job] = {}
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
            training = needs(job)
            if training is not None and training not in self._done:
                continue
            self._waiting.remove(job)
            self._working[pool.submit(_do, self._store, job, self._train)] = job

    def _take_in(self, future: Future[None]) -> None:
        job = self._working.pop(future)
        try:
            future.result()
        except Exception as error:  # whatever a job raises, the user learns which job it was
            raise JobError(f'{job.label}: {error}') from error
        self._done.add(job)
        self._behind_s += expected_s(job)

    def _progress(self) -> Progress:
        ahead_s = sum(map(expected_s, [*self._waiting, *self._working.values()]))
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


def _do(store: Store, job: Job, train: Train) -> None:
    store.carry_out(job, _stop.is_set, train)
