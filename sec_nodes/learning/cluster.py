"""Several training runs at once on a cluster, through Ray.

Every machine needs the same version of this product with requirements/train.txt and
requirements/cluster.txt. Jobs are trained in folders of the machines' own; what comes of them is
sent back when they end or are stopped. A job whose machine dies is begun anew on another.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sec_nodes import __version__
from sec_nodes.config import ConfigError
from sec_nodes.learning.job import CHECKPOINT, SUMMARY, Job, Progress, read_summary
from sec_nodes.learning.jobs import Finished, OnProgress, attempt, check_jobs

_LOOK_EVERY_S = 1.0
_KNOCK_S = 10.0
HERE = 'local'
"""Address that means a cluster on this machine, for the length of this command."""


def run_jobs_on_cluster(
    jobs: Sequence[Job],
    address: str,
    on_progress: OnProgress = lambda number, progress: None,
) -> list[Finished]:
    """As `run_jobs`, on a cluster: a core for each job, as many at a time as it has cores.

    Args:
        jobs: what to do; no two in one folder.
        address: of the cluster's head (`10.0.0.1:6379`, `ray://10.0.0.1:10001`, `auto`), or
            `local`.
        on_progress: told about once a second and job.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at that address.
        ValueError: two jobs with one folder.
    """
    check_jobs(jobs)
    ray = _connect(address)
    try:
        return _run(ray, jobs, on_progress)
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    try:
        import ray
    except ImportError:
        raise ConfigError(
            '--ray needs Ray, which is not installed; install it in the environment that trains, '
            'on every machine: pip install -r requirements/cluster.txt'
        ) from None
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, include_dashboard=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f'--ray {address}: no cluster answers there ({error}); start one with '
            '`ray start --head` and give its address, or give `local`'
        ) from None
    return ray


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at a HOST:PORT: Ray itself would wait for minutes."""
    host, separator, port = address.rpartition(':')
    if separator and port.isdecimal() and '/' not in host:
        socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()


def _run(ray: Any, jobs: Sequence[Job], on_progress: OnProgress) -> list[Finished]:
    mailbox = ray.remote(num_cpus=0)(Mailbox).remote()
    work = ray.remote(num_cpus=1, max_retries=3)(work_away)
    pending = {
        work.remote(job, number, _read(job.folder), mailbox, __version__): number
        for number, job in enumerate(jobs)
    }
    ended: dict[int, Finished] = {}
    while pending:
        try:
            done, _ = ray.wait(list(pending), timeout=_LOOK_EVERY_S)
            for number, progress in ray.get(mailbox.collect.remote()):
                on_progress(number, progress)
            for result in done:
                number = pending.pop(result)
                ended[number] = _take(ray, jobs[number], result)
        except KeyboardInterrupt:
            if ray.get(mailbox.stop.remote()):
                raise
    return [ended[number] for number in range(len(jobs))]


def _take(ray: Any, job: Job, result: Any) -> Finished:
    """Write what came of a job into its folder."""
    try:
        files, error = ray.get(result)
    except ray.exceptions.RayError as failure:
        return Finished(job, None, f'lost on the cluster: {failure}')
    job.folder.mkdir(parents=True, exist_ok=True)
    if SUMMARY in files and not job.keep_checkpoint:
        (job.folder / CHECKPOINT).unlink(missing_ok=True)
    for name, content in files.items():
        (job.folder / name).write_bytes(content)
    return Finished(job, None if error else read_summary(job.folder), error)


def work_away(
    job: Job, number: int, files: dict[str, bytes], mailbox: Any, version: str
) -> tuple[dict[str, bytes], str | None]:
    """Carry out a job on this machine of the cluster; its files, and why it failed, if so."""
    import ray

    if version != __version__:
        return {}, f'the machine has version {__version__} of this product, not {version}'

    def report(progress: Progress) -> bool:
        go_on: bool = ray.get(mailbox.post.remote(number, progress))
        return go_on

    with tempfile.TemporaryDirectory(prefix='sec-train-') as folder:
        here = Path(folder)
        for name, content in files.items():
            (here / name).write_bytes(content)
        os.environ['OMP_NUM_THREADS'] = '1'
        error = attempt(replace(job, folder=here), report)
        return _read(here), error


def _read(folder: Path) -> dict[str, bytes]:
    """Contents of the files in a folder by name; none if there is no such folder."""
    if not folder.is_dir():
        return {}
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


class Mailbox:
    """Passes on how far jobs are, and whether they are to stop."""

    def __init__(self) -> None:
        self._posts: list[tuple[int, Progress]] = []
        self._stopped = False

    def post(self, number: int, progress: Progress) -> bool:
        """A job says how far it is; the answer is whether it goes on."""
        self._posts.append((number, progress))
        return not self._stopped

    def collect(self) -> list[tuple[int, Progress]]:
        """What was posted since."""
        posts, self._posts = self._posts, []
        return posts

    def stop(self) -> bool:
        """Let all jobs stop; whether they had been told before."""
        before, self._stopped = self._stopped, True
        return before
