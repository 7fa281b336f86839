"""Language models in a process of their own: a slow, hung or crashing one never blocks a node.

A worker serves the lanes of a node, one a server. What waits at a lane when the process becomes
free forms a batch, up to a limit and in order of arrival; nobody waits for a batch to fill. Among
lanes the one with the oldest job goes first. Lanes with the same model share it in memory, yet
their jobs run apart, as those of different servers do.

Every job that `submit` accepts ends exactly once, in `on_done` or in `on_failed` with a reason:

- `cancelled`: its caller wanted no more; a batch all of whose jobs are cancelled stops early;
- `model_failed: …`: the model raised;
- `model_crashed: …`: the process died while it answered this job, with exit code or signal;
- `model_hung: …`: nothing came for `hang_s` while it answered, and it was killed;
- `worker_closed`, or why the worker gave up.

After a crash or a hang the process is started again. The jobs that it had fail and are never tried
again, whoever of them was to blame; those that still waited stay where they are. More than
`MAX_RESTARTS` within `RESTART_WINDOW_S`, or a death while loading, and the worker gives up.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sec_nodes.inference.language import Answer, TokenEvent
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.inference.worker_process import (
    Batch,
    Cancel,
    Ended,
    Idle,
    Loaded,
    LoadedModel,
    Message,
    ModelProcess,
    ProcessDied,
    Refused,
    Setup,
    Tokens,
)
from sec_nodes.inference.worker_queue import Job, Lanes, OpenJob, QueueFull

__all__ = ['Done', 'InferenceWorker', 'Job', 'LoadedModel', 'QueueFull']

MAX_RESTARTS = 3
RESTART_WINDOW_S = 300.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """An answer.

    It took `inference_s`, in a batch of `batch` jobs, after waiting for `queued_s`.
    """

    answer: Answer
    inference_s: float
    batch: int
    queued_s: float


class InferenceWorker:
    """Answers jobs in a process of its own. All methods return at once, except `wait_ready`.

    Callbacks run on the worker's own thread, which they should not hold up; they may call
    `submit`, `cancel` and `close`.
    """

    def __init__(
        self,
        models: Mapping[str, str],
        *,
        on_token: Callable[[str, Hashable, TokenEvent], None],
        on_done: Callable[[str, Hashable, Done], None],
        on_failed: Callable[[str, Hashable, str], None],
        max_batch: int = 8,
        max_queue: int = 32,
        memory_limit_byte: int | None = None,
        policy: DevicePolicy | None = None,
        hang_s: float = 30.0,
        factory: str = 'sec_nodes.inference.worker_process:load_language_model',
    ) -> None:
        """Remember what to do; `start` begins.

        Args:
            models: lane -> model id.
            on_token: called with lane, job id and each token.
            on_done: called with lane, job id and the answer.
            on_failed: called with lane, job id and a reason.
            max_batch: most jobs that run together.
            max_queue: most jobs that wait at a lane, those that run not counted.
            memory_limit_byte: for all models together; what does not fit is refused.
            policy: execution provider and threads.
            hang_s: longest time without a token or an answer while a batch runs. Loading, which
                may build engines for minutes, is not watched.
            factory: 'module:function' that loads a model in the process, see
                `worker_process.Factory`.
        """
        for name, value in (('max_batch', max_batch), ('max_queue', max_queue)):
            if value < 1:
                raise ValueError(f'{name} is {value}; give at least 1')
        if not 0.0 < hang_s < float('inf'):
            raise ValueError(f'hang_s is {hang_s}; give a positive time')
        self._models = dict(models)
        self._on_token, self._on_done, self._on_failed = on_token, on_done, on_failed
        self._max_batch, self._hang_s = max_batch, hang_s
        self._setup = Setup(
            tuple(dict.fromkeys(models.values())),
            policy or DevicePolicy(),
            memory_limit_byte,
            max_batch,
            factory,
        )
        self._thread = threading.Thread(target=self._run, name='inference worker', daemon=True)
        # shared with callers, under the lock
        self._lock = threading.Condition()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lanes = Lanes(models, max_queue)
        self._cancelled: list[OpenJob] = []
        self._process: ModelProcess | None = None
        self._loaded: dict[str, LoadedModel] = {}
        self._ready = self._closing = False
        self._over: str | None = None
        # the thread's own
        self._running: list[OpenJob] = []
        self._batch = 0
        self._progress_s = 0.0
        self._restarts_s: deque[float] = deque(maxlen=MAX_RESTARTS)

    def start(self) -> None:
        """Start the process and let it load; jobs may be submitted already."""
        if self._over is not None:
            raise ModelError(self._over)
        self._thread.start()

    def ready(self) -> bool:
        """Whether the models are loaded: not before, not while restarting, not after the end."""
        return self._ready

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until the models are loaded.

        Raises:
            ModelError: a model cannot be used or does not fit, or the worker gave up or is closed.
            TimeoutError: it takes longer than `timeout_s`.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._ready or self._over is not None, timeout_s)
            if self._over is not None:
                raise ModelError(self._over)
            if not self._ready:
                names = ', '.join(self._setup.models)
                raise TimeoutError(f'{names} not loaded after {timeout_s:g} s')

    def info(self) -> dict[str, LoadedModel]:
        """Lane -> its model; empty until the models are loaded for the first time."""
        loaded = self._loaded
        return {lane: loaded[model] for lane, model in self._models.items() if model in loaded}

    @property
    def needed_byte(self) -> int:
        """What all loaded models take together [byte], shared ones counted once."""
        return sum(model.needed_byte for model in self._loaded.values())

    def submit(self, lane: str, job: Job) -> None:
        """Let a job wait at a lane.

        Raises:
            QueueFull: too many wait there.
            ModelError: the worker gave up or is closed.
            ValueError: no such lane, or the job's id is that of an open job.
        """
        with self._lock:
            self._lanes.add(lane, job)
            os.eventfd_write(self._wake, 1)

    def cancel(self, lane: str, job_id: Hashable) -> None:
        """Let a job end as failed(cancelled), unless it has ended already."""
        with self._lock:
            entry = self._lanes.withdraw(lane, job_id)
            if entry is not None and self._over is None:
                self._cancelled.append(entry)
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Kill the process and fail what is open; nothing is left when it returns."""
        with self._lock:
            if self._over is None and not self._closing:
                self._closing = True
                os.eventfd_write(self._wake, 1)
                if self._process is not None:
                    self._process.kill()  # even if the thread is stuck in a message to it
        if self._thread.ident is None:
            if self._over is None:
                self._finish('worker_closed')
        elif self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        """The thread: one process after another, until closed or there is no point."""
        reason = 'worker_closed'
        try:
            while not self._closing:
                self._live()
        except ModelError as error:
            reason = str(error)
            _log.error('inference worker gives up: %s', reason)
        except Exception as error:  # every job must end, even if this file is wrong
            reason = f'worker_failed: {error}'
            _log.exception('inference worker')
        finally:
            self._finish(reason)

    def _finish(self, reason: str) -> None:
        with self._lock:
            self._over = reason
            left = self._lanes.close(reason)
            os.close(self._wake)
            self._lock.notify_all()
        for entry in left:
            self._fail(entry, reason)

    def _live(self) -> None:
        """Life of one process; returns when closed or to be started again, or ModelError."""
        process = ModelProcess(self._wake, stuck_s=self._hang_s)
        try:
            with self._lock:
                self._process = process
            process.send(self._setup)
            while not self._closing:
                self._end_cancelled(process)
                if self._ready and not self._running:
                    self._send_next(process)
                message = process.receive(self._patience_s())
                if message is not None:
                    self._take(message)
                elif self._patience_s() == 0.0:
                    raise ProcessDied(f'model_hung: no progress for {self._hang_s:g} s')
        except ProcessDied as death:
            if not self._closing:
                self._mourn(str(death))
        finally:
            with self._lock:
                self._process, self._ready = None, False
            process.end()

    def _patience_s(self) -> float | None:
        """How long the process may still be silent; None while it has nothing to do or loads."""
        if not self._running:
            return None
        return max(0.0, self._progress_s + self._hang_s - time.monotonic())

    def _mourn(self, reason: str) -> None:
        """Fail what a dead process was at; ModelError if it is not to be started again."""
        running, self._running = self._running, []
        for entry in running:
            self._fail(entry, reason)
        if not self._ready:
            raise ModelError(f'{reason}, while loading {", ".join(self._setup.models)}')
        now_s, times_s = time.monotonic(), self._restarts_s
        if len(times_s) == MAX_RESTARTS and now_s - times_s[0] < RESTART_WINDOW_S:
            raise ModelError(
                f'{reason}, after {MAX_RESTARTS} restarts within {RESTART_WINDOW_S:g} s'
            )
        times_s.append(now_s)
        _log.warning('%s; starting again', reason)

    def _send_next(self, process: ModelProcess) -> None:
        """Send what waits longest, if anything does."""
        with self._lock:
            self._running = self._lanes.take(self._max_batch)
        if not self._running:
            return
        self._batch += 1
        self._progress_s = time.monotonic()
        for entry in self._running:
            entry.sent_s = self._progress_s
        model = self._models[self._running[0].lane]
        questions = tuple(entry.job.question() for entry in self._running)
        process.send(Batch(self._batch, model, questions))

    def _end_cancelled(self, process: ModelProcess) -> None:
        with self._lock:
            with suppress(BlockingIOError):  # nobody called: a message had ended the wait
                os.eventfd_read(self._wake)
            entries, self._cancelled = self._cancelled, []
        for entry in entries:
            self._fail(entry, 'cancelled')
        for row, running in enumerate(self._running):
            if running in entries:
                process.send(Cancel(self._batch, row))

    def _take(self, message: Message) -> None:
        """Act on a message of the process."""
        self._progress_s = time.monotonic()
        if isinstance(message, Tokens):
            for event in message.events:
                entry = self._running[event.row]
                if self._lanes.is_open(entry):
                    _call(self._on_token, *entry.key, event)
        elif isinstance(message, Ended):
            self._take_end(self._running[message.row], message)
        elif isinstance(message, Idle):
            self._running = []
        elif isinstance(message, Loaded):
            for name, model in message.models.items():
                size_mib = model.needed_byte / 2**20
                _log.info('%s runs on %s, needs %.1f MiB', name, model.provider, size_mib)
            with self._lock:
                self._loaded, self._ready = message.models, True
                self._lock.notify_all()
        elif isinstance(message, Refused):
            raise ModelError(message.reason)

    def _take_end(self, entry: OpenJob, end: Ended) -> None:
        if end.answer is None:
            self._fail(entry, end.reason)
        elif self._is_first_end(entry):
            queued_s = entry.sent_s - entry.submitted_s
            done = Done(end.answer, end.inference_s, end.batch, queued_s)
            _call(self._on_done, *entry.key, done)

    def _fail(self, entry: OpenJob, reason: str) -> None:
        if self._is_first_end(entry):
            _call(self._on_failed, *entry.key, reason)

    def _is_first_end(self, entry: OpenJob) -> bool:
        with self._lock:
            return self._lanes.end(entry)


def _call(callback: Callable[..., Any], *arguments: Any) -> None:
    """Call a callback; what it raises must not end the worker."""
    try:
        callback(*arguments)
    except Exception:  # it is the caller's code
        _log.exception('callback of the inference worker')
