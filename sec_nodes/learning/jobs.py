"""Several training runs at once, one process each. The parent needs no torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from typing import Any

from sec_nodes.config import ConfigError
from sec_nodes.learning.job import Job, Progress, TrainingError, read_summary

_LOOK_EVERY_S = 0.5
_SPAWN = multiprocessing.get_context('spawn')

OnProgress = Callable[[int, Progress], None]
"""Told the number of a job and how far it is."""


@dataclass(frozen=True)
class Finished:
    """What became of a job."""

    job: Job
    summary: dict[str, Any] | None
    """What training.json holds; None if it did not get that far."""
    error: str | None
    """Why it failed; None if it has not."""

    @property
    def stopped(self) -> bool:
        """Whether it was stopped on the way; its checkpoint is there."""
        return self.summary is None and self.error is None


def run_jobs(
    jobs: Sequence[Job],
    workers: int | None = None,
    on_progress: OnProgress = lambda number, progress: None,
) -> list[Finished]:
    """Carry out jobs, each in a process of its own with one thread.

    A job that fails leaves the others alone. Ctrl-C lets those that run end their episodes and
    write checkpoints, and begins no more; a second one ends them at once.

    Args:
        jobs: what to do; no two in one folder.
        workers: most that run at a time. Default: as many as there are cores.
        on_progress: told about once a second and job.

    Returns:
        What became of each, in their order.

    Raises:
        ValueError: two jobs with one folder, or no workers.
    """
    check_jobs(jobs)
    if workers is not None and workers < 1:
        raise ValueError(f'workers = {workers}: must be at least 1')
    return _Crew(jobs, workers or cores(), on_progress).work()


def check_jobs(jobs: Sequence[Job]) -> None:
    """Raise ValueError if two jobs share a folder."""
    folders = [job.folder.absolute() for job in jobs]
    shared = [str(folder) for folder in folders if folders.count(folder) > 1]
    if shared:
        raise ValueError(f'several jobs write to {shared[0]}; give each a folder of its own')


def cores() -> int:
    """Cores that this process may use."""
    return (
        len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    )


@dataclass
class _Worker:
    number: int
    process: BaseProcess
    news: Connection


class _Crew:
    """Processes at work."""

    def __init__(self, jobs: Sequence[Job], workers: int, on_progress: OnProgress) -> None:
        self._jobs, self._workers, self._on_progress = jobs, workers, on_progress
        self._waiting = list(range(len(jobs)))
        self._working: list[_Worker] = []
        self._errors: dict[int, str] = {}
        self._stop = _SPAWN.Event()

    def work(self) -> list[Finished]:
        try:
            while self._waiting or self._working:
                try:
                    self._go_on()
                except KeyboardInterrupt:
                    if self._stop.is_set():
                        raise
                    self._stop.set()
                    self._waiting.clear()
        finally:
            for worker in self._working:
                worker.process.kill()
                worker.process.join()
        return [
            Finished(job, None if number in self._errors else read_summary(job.folder), error)
            for number, job in enumerate(self._jobs)
            for error in [self._errors.get(number)]
        ]

    def _go_on(self) -> None:
        """Begin what can begin, and take in what has happened meanwhile."""
        while self._waiting and len(self._working) < self._workers:
            self._begin(self._waiting.pop(0))
        for worker in list(self._working):
            ready = wait([worker.news, worker.process.sentinel], timeout=0)
            if not ready:
                continue
            self._listen(worker)
            if worker.process.exitcode is not None:
                self._end(worker)
        handles = [handle for w in self._working for handle in (w.news, w.process.sentinel)]
        wait(handles, timeout=_LOOK_EVERY_S)

    def _begin(self, number: int) -> None:
        news, reports = _SPAWN.Pipe(duplex=False)
        job = self._jobs[number]
        process = _SPAWN.Process(
            target=_work, args=(job, reports, self._stop), name=job.name, daemon=True
        )
        process.start()
        reports.close()  # the child has its own end; so ours ends when the child's does
        self._working.append(_Worker(number, process, news))

    def _listen(self, worker: _Worker) -> None:
        with suppress(EOFError):
            while worker.news.poll():
                report = worker.news.recv()
                if isinstance(report, Progress):
                    self._on_progress(worker.number, report)
                else:
                    self._errors[worker.number] = report

    def _end(self, worker: _Worker) -> None:
        self._listen(worker)
        code = worker.process.exitcode
        if code and worker.number not in self._errors:
            self._errors[worker.number] = f'its process ended with exit code {code}' + (
                ', killed by a signal: was there memory enough?' if code < 0 else ''
            )
        worker.process.join()
        worker.news.close()
        self._working.remove(worker)


def _work(job: Job, reports: Connection, stop: Event) -> None:
    """A process's whole life: one job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent asks

    def report(progress: Progress) -> bool:
        try:
            reports.send(progress)
        except OSError:  # the parent is gone
            return False
        return not stop.is_set()

    error = attempt(job, report)
    if error is not None:
        with suppress(OSError):
            reports.send(error)
        raise SystemExit(1)


def attempt(job: Job, report: Callable[[Progress], bool]) -> str | None:
    """Carry out a job here; why it failed, if so, without traceback where a user can mend it."""
    try:
        from sec_nodes.learning.trainer import train

        train(job, report)
    except (ConfigError, TrainingError) as error:
        return str(error)
    except Exception:
        return traceback.format_exc()
    return None
