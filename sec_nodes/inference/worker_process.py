"""The process that holds the models of a worker: how it is started, what it does, how it ends.

It is a fresh interpreter, started by fork and exec in one: nothing of the caller's threads, ROS
or main module gets into it (multiprocessing's spawn would import the main module, a node with
rclpy, once more). One batch runs at a time; a thread of the process hears cancellations and the
end of its parent meanwhile.

Messages are pickled. Both ends are our own program on one machine, and jobs are built by the node
from what it has checked; nothing from the network is ever unpickled.

Memory is limited by what models say they need, before they are loaded. RLIMIT_AS was tried and is
no help: onnxruntime 1.31.1 does fail with MemoryError when weights exceed it, but waits forever
when the stack of one of its threads does, and CUDA reserves far more addresses than it uses.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import os
import queue
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, Protocol, cast

from sec_nodes.inference.language import Answer, LanguageModel, Question, TokenEvent
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.providers import DevicePolicy

PR_SET_PDEATHSIG = 1
EXIT_S = 5.0
"""What a process that closed its pipe has to end; then it is killed."""

_PROGRAM = 'from sec_nodes.inference.worker_process import main; main()'


class ProcessDied(Exception):  # noqa: N818 (it says what happened)
    """The process is gone or stuck; the text says how, after `model_crashed` or `model_hung`."""


class Model(Protocol):
    """What a factory returns: the part of `LanguageModel` that is used here."""

    provider: str
    needed_byte: int
    accuracy: float | None
    image_shape: tuple[int, int, int]

    def generate(
        self,
        questions: Sequence[Question],
        *,
        on_token: Callable[[TokenEvent], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Answer]:
        """Answer a batch, as `LanguageModel.generate` does; `cancelled` is asked at every step."""


Factory = Callable[[str, DevicePolicy, 'int | None', int], Model]
"""Takes model id, policy, memory that is left [byte; None: no limit] and the largest batch."""


@dataclass(frozen=True)
class Setup:
    """First message to the process: what to load, each model once."""

    models: tuple[str, ...]
    policy: DevicePolicy
    memory_limit_byte: int | None
    max_batch: int
    factory: str


@dataclass(frozen=True)
class Batch:
    """To the process, which must be idle: answer these, all with one model."""

    number: int
    model: str
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Cancel:
    """To the process: nobody waits any more for this row of this batch."""

    batch: int
    row: int


@dataclass(frozen=True)
class LoadedModel:
    """What is known of a model once it is loaded.

    `provider` it really runs on; `needed_byte` for weights, caches and activations; `accuracy` on
    held-out questions, None if not measured; `image_shape` (H, W, 3) that pictures are resized to.
    """

    provider: str
    needed_byte: int
    accuracy: float | None
    image_shape: tuple[int, int, int]


@dataclass(frozen=True)
class Loaded:
    """From the process: every model is ready."""

    models: dict[str, LoadedModel]


@dataclass(frozen=True)
class Refused:
    """From the process, which then ends: a model cannot be used."""

    reason: str


@dataclass(frozen=True)
class Tokens:
    """From the process: the tokens of one step of a batch, at most one of a row.

    One message for each token would cost the parent more than the tokens of a small model do.
    """

    events: tuple[TokenEvent, ...]


@dataclass(frozen=True)
class Ended:
    """From the process: a row has its answer, or the model raised; `batch` rows ran together."""

    row: int
    answer: Answer | None
    reason: str
    inference_s: float
    batch: int


@dataclass(frozen=True)
class Idle:
    """From the process: the batch is over."""


Message = Loaded | Refused | Tokens | Ended | Idle


class ModelProcess:
    """The process as its parent sees it. Only one thread may use it, and must outlive it.

    The latter because the kernel takes the end of the thread that started a process for the
    death of its parent.
    """

    def __init__(self, wake: int, stuck_s: float) -> None:
        """Start the process, which waits for its setup.

        Args:
            wake: file descriptor that ends `receive` when it is readable.
            stuck_s: how long a message may be under way before the process counts as stuck.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            limit = struct.pack('ll', int(stuck_s), int(stuck_s % 1 * 1e6))
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            self._popen = subprocess.Popen(
                [sys.executable, '-c', _PROGRAM, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, 'PYTHONPATH': os.pathsep.join(map(os.path.abspath, sys.path))},
                start_new_session=True,  # signals to our group are ours to obey
            )
            self._connection = Connection(ours.detach())
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._connection, selectors.EVENT_READ)
        self._selector.register(wake, selectors.EVENT_READ)

    def send(self, message: Setup | Batch | Cancel) -> None:
        """Send a message; ProcessDied if nobody takes it."""
        try:
            self._connection.send(message)
        except BlockingIOError:
            raise ProcessDied('model_hung: takes no messages') from None
        except OSError:
            raise ProcessDied(f'model_crashed: {self._cause()}') from None

    def receive(self, timeout_s: float | None) -> Message | None:
        """The next message; None when woken or when time is up.

        Raises:
            ProcessDied: the process has ended, or stopped amid a message.
        """
        ready = self._selector.select(timeout_s)
        if all(key.fileobj is not self._connection for key, _ in ready):
            return None
        try:
            return cast(Message, self._connection.recv())
        except BlockingIOError:
            raise ProcessDied('model_hung: stopped amid a message') from None
        except (EOFError, OSError):
            raise ProcessDied(f'model_crashed: {self._cause()}') from None

    def kill(self) -> None:
        """End the process at once; any thread may do so."""
        self._popen.kill()

    def end(self) -> None:
        """Leave nothing behind."""
        self._popen.kill()
        self._popen.wait()
        self._selector.close()
        self._connection.close()

    def _cause(self) -> str:
        try:
            code = self._popen.wait(EXIT_S)
        except subprocess.TimeoutExpired:
            return 'closed its pipe'
        if code >= 0:
            return f'exit code {code}'
        hint = ' (out of memory?)' if -code == signal.SIGKILL else ''
        return f'killed by {signal.Signals(-code).name}{hint}'


def load_language_model(
    model_id: str, policy: DevicePolicy, memory_limit_byte: int | None, max_batch: int
) -> Model:
    """The usual factory; ModelError for a model that is not there or does not fit."""
    return LanguageModel.load(
        model_id, policy=policy, memory_limit_byte=memory_limit_byte, max_batch=max_batch
    )


def load_models(setup: Setup) -> dict[str, Model]:
    """Load every model; ModelError if one cannot be used or all together do not fit."""
    module, _, name = setup.factory.partition(':')
    factory: Factory = getattr(importlib.import_module(module), name)
    models: dict[str, Model] = {}
    taken_byte = 0
    for model_id in setup.models:
        limit_byte = setup.memory_limit_byte
        left_byte = None if limit_byte is None else limit_byte - taken_byte
        try:
            model = factory(model_id, setup.policy, left_byte, setup.max_batch)
            if left_byte is not None and model.needed_byte > left_byte:
                raise ModelError(
                    f'model {model_id!r} needs {_mib(model.needed_byte)}, '
                    f'the limit is {_mib(left_byte)}; take a smaller model, fewer lanes or a '
                    f'lower max_batch'
                )
        except ModelError as error:
            if not models or limit_byte is None:
                raise
            raise ModelError(
                f'{error} (of {_mib(limit_byte)} in all, {_mib(taken_byte)} are taken by '
                f'{", ".join(models)})'
            ) from error
        models[model_id] = model
        taken_byte += model.needed_byte
    return models


def main() -> None:
    """The process itself: load, say so, answer batch after batch until the parent is gone."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew of our wish
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    connection = Connection(descriptor)
    setup: Setup = connection.recv()
    batches: queue.SimpleQueue[Batch] = queue.SimpleQueue()
    cancelled: set[Cancel] = set()
    listening = (connection, batches, cancelled)
    threading.Thread(target=_listen, args=listening, daemon=True).start()
    try:
        models = load_models(setup)
    except ModelError as error:
        connection.send(Refused(str(error)))
        return
    except Exception as error:  # whatever a factory or a library raises is a reason to refuse
        connection.send(Refused(f'cannot load {", ".join(setup.models)}: {_text(error)}'))
        return
    connection.send(Loaded({name: _describe(model) for name, model in models.items()}))
    while True:
        batch = batches.get()
        answer_batch(models[batch.model], batch, cancelled, connection.send)
        cancelled.clear()
        connection.send(Idle())


def _listen(
    connection: Connection, batches: queue.SimpleQueue[Batch], cancelled: set[Cancel]
) -> None:
    """Take messages until the parent is gone, then end at once, whatever runs."""
    try:
        while True:
            message = connection.recv()
            if isinstance(message, Batch):
                batches.put(message)
            else:
                cancelled.add(message)
    except (EOFError, OSError):
        os._exit(0)


def answer_batch(
    model: Model, batch: Batch, cancelled: set[Cancel], send: Callable[[Any], None]
) -> None:
    """Answer a batch; `send` gets tokens and ends, `cancelled` may grow meanwhile.

    If the model raises before the first token, the rows are tried one by one, so that a question
    it cannot take fails alone.
    """
    rows = list(range(len(batch.questions)))
    raised = _run(model, batch, rows, cancelled, send)
    if raised and len(rows) > 1:
        for row in rows:
            _run(model, batch, [row], cancelled, send)


def _run(
    model: Model,
    batch: Batch,
    rows: list[int],
    cancelled: set[Cancel],
    send: Callable[[Any], None],
) -> bool:
    """Run rows of a batch together; True if they raised, said nothing and may be tried alone."""
    silent = True
    step: dict[int, TokenEvent] = {}

    def on_token(event: TokenEvent) -> None:
        nonlocal silent
        silent = False
        row = rows[event.row]
        if row in step:
            flush()
        step[row] = replace(event, row=row)

    def flush() -> None:
        if step:
            send(Tokens(tuple(step.values())))
            step.clear()

    def unwanted() -> bool:  # asked between steps
        flush()
        return all(Cancel(batch.number, row) in cancelled for row in rows)

    questions = [batch.questions[row] for row in rows]
    began_s = time.perf_counter()
    try:
        answers = model.generate(questions, on_token=on_token, cancelled=unwanted)
    except Exception as error:  # a model may raise anything, and only its own jobs fail
        if silent and len(rows) > 1:
            return True
        flush()
        reason = f'model_failed: {_text(error)}'
        for row in rows:
            send(Ended(row, None, reason, time.perf_counter() - began_s, len(rows)))
        return False
    flush()
    inference_s = time.perf_counter() - began_s
    for row, answer in zip(rows, answers, strict=True):
        send(Ended(row, answer, '', inference_s, len(rows)))
    return False


def _describe(model: Model) -> LoadedModel:
    return LoadedModel(model.provider, model.needed_byte, model.accuracy, model.image_shape)


def _text(error: Exception) -> str:
    return f'{type(error).__name__}: {error}'


def _mib(size_byte: int) -> str:
    return f'{size_byte / 2**20:.1f} MiB'
