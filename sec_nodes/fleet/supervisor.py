"""Starts processes, notices when they end, starts some of them again, and stops them all.

Knows nothing of ROS: a `Program` is a Python module with arguments. The supervisor must be used
from one thread that lives as long as its children, since the kernel ties them to that thread.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

CONFIGURATION_ERROR = 2
"""Exit code of a process that cannot use its configuration."""

SIGTERM_AFTER_S = 3.0
SIGKILL_AFTER_S = 5.0
RETRIES = 5
RETRY_DELAY_S = 1.0


@dataclass(frozen=True)
class Program:
    """A Python module to run in a process of its own."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    respawn: bool = False
    """Start it again when it dies, up to `RETRIES` times."""
    last: bool = False
    """Stop it when the others are gone, and let it finish its work if this process is killed."""


@dataclass(frozen=True)
class Exit:
    """A process has ended by itself."""

    name: str
    code: int
    """Exit code; negative: killed by that signal."""
    message: str
    """Last error that it printed, or its last line."""
    respawns: bool = False
    """It is started again."""

    @property
    def is_configuration_error(self) -> bool:
        """It cannot run as it is configured."""
        return self.code == CONFIGURATION_ERROR

    def describe(self) -> str:
        """One line for a person."""
        if self.code < 0:
            how = f'was killed by {_signal_name(-self.code)}'
        else:
            how = f'ended with exit code {self.code}'
        return f'{self.name} {how}' + ('; it is started again' if self.respawns else '')


@dataclass
class _Child:
    program: Program
    process: subprocess.Popen[bytes]


class Supervisor:
    """A set of processes and their log files.

    Args:
        programs: what to run.
        logs: folder for what each prints, `NAME.log`.
        environment: environment of the processes.
        retry_delay_s: pause before a process is started again [s].
    """

    def __init__(
        self,
        programs: Sequence[Program],
        logs: Path,
        environment: Mapping[str, str] | None = None,
        retry_delay_s: float = RETRY_DELAY_S,
    ) -> None:
        self._programs = list(programs)
        self._logs = logs
        self._environment = dict(os.environ if environment is None else environment)
        self._retry_delay_s = retry_delay_s
        self._children: dict[str, _Child] = {}
        self._tries: dict[str, int] = {}
        self._due: dict[str, tuple[float, int]] = {}
        self._given_up: set[str] = set()
        # SimpleQueue, because a signal handler may call `wake` while `wait` holds the queue.
        self._news: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()

    @property
    def running(self) -> list[str]:
        """Names of the processes that live."""
        return list(self._children)

    @property
    def is_idle(self) -> bool:
        """No process lives, and none is going to be started again."""
        return not self._children and not self._due

    def pid(self, name: str) -> int:
        """Process number of a process that lives."""
        return self._children[name].process.pid

    def log(self, name: str) -> Path:
        """Where a process prints."""
        return self._logs / f'{name}.log'

    def start(self) -> None:
        """Start every process."""
        self._logs.mkdir(parents=True, exist_ok=True)
        for program in self._programs:
            self._spawn(program, tries=1)

    def restart(self, name: str) -> bool:
        """Start a process that has ended again, if that has not been tried too often."""
        tries = self._tries[name] + 1
        if tries > 1 + RETRIES:
            return False
        self._due.setdefault(name, (time.monotonic() + self._retry_delay_s, tries))
        return True

    def kill(self, name: str) -> None:
        """End a process at once."""
        self._signal([name], signal.SIGKILL)

    def give_up(self, name: str) -> None:
        """Do not start a process again when it dies, unless `revive` is called."""
        self._given_up.add(name)

    def revive(self, name: str) -> None:
        """Start a process again that was killed on purpose; this does not count as a try."""
        self._given_up.discard(name)
        if name not in self._children:
            self._due[name] = (time.monotonic(), 1)

    def resume(self, name: str) -> None:
        """Let a process that was stopped go on."""
        self._signal([name], signal.SIGCONT)

    def wake(self) -> None:
        """End a `wait` that is going on; a signal handler may call it."""
        self._news.put(None)

    def wait(self, timeout_s: float) -> list[Exit]:
        """Wait for a process to end, for `wake`, or for the timeout.

        Processes whose pause is over are started again.

        Returns:
            Those that have ended since the last call.
        """
        self._respawn_due()
        exits = []
        item = self._next_news(timeout_s)
        while item is not None:
            exits.append(self._ended(*item))
            item = self._next_news(0.0)
        return exits

    def stop(self, hurry: threading.Event | None = None) -> list[str]:
        """Ask every process to end, then make it: SIGINT, SIGTERM, SIGKILL.

        Args:
            hurry: when it is set, what is left is killed at once.

        Returns:
            Names of those that had to be killed.
        """
        self._due.clear()
        early = [name for name, child in self._children.items() if not child.program.last]
        killed = self._stop(early, hurry or threading.Event())
        return killed + self._stop(list(self._children), hurry or threading.Event())

    def _stop(self, names: Sequence[str], hurry: threading.Event) -> list[str]:
        begin = time.monotonic()
        self._signal(names, signal.SIGINT)
        steps = [(SIGTERM_AFTER_S, signal.SIGTERM), (SIGKILL_AFTER_S, signal.SIGKILL)]
        killed: list[str] = []
        while left := [name for name in names if name in self._children]:
            if hurry.is_set():
                steps = [(0.0, signal.SIGKILL)] if not killed else []
            after_s, number = steps[0] if steps else (float('inf'), signal.SIGKILL)
            wait_s = begin + after_s - time.monotonic()
            if wait_s <= 0:
                self._signal(left, number)
                killed = left if number is signal.SIGKILL else killed
                steps.pop(0)
                continue
            item = self._next_news(min(wait_s, 1.0))
            if item is not None:
                self._forget(*item)
        return killed

    def _spawn(self, program: Program, tries: int) -> None:
        number = signal.SIGINT if program.last else signal.SIGKILL
        command = [
            sys.executable, '-u', '-m', 'sec_nodes.fleet.child', str(os.getpid()), number.name,
            program.module, *program.arguments,
        ]  # fmt: skip
        with self.log(program.name).open('ab') as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches the supervisor only
            )
        self._children[program.name] = _Child(program, process)
        self._tries[program.name] = tries
        threading.Thread(target=self._await, args=(program.name, process), daemon=True).start()

    def _await(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self._news.put((name, process.wait()))

    def _next_news(self, timeout_s: float) -> tuple[str, int] | None:
        try:
            return (
                self._news.get(timeout=max(timeout_s, 0.0)) if timeout_s else self._news.get(False)
            )
        except queue.Empty:
            return None

    def _ended(self, name: str, code: int) -> Exit:
        child = self._forget(name, code)
        mendable = name not in self._given_up and code not in (0, CONFIGURATION_ERROR)
        wanted = child.program.respawn and mendable
        respawns = wanted and self.restart(name)
        return Exit(name, code, last_message(self.log(name)), respawns)

    def _forget(self, name: str, code: int) -> _Child:
        child = self._children.pop(name)
        # What it started in its turn must not stay behind.
        _kill_group(child.process.pid, signal.SIGKILL)
        return child

    def _respawn_due(self) -> None:
        programs = {program.name: program for program in self._programs}
        now = time.monotonic()
        for name in [name for name, (when, _) in self._due.items() if when <= now]:
            _, tries = self._due.pop(name)
            self._spawn(programs[name], tries)

    def _signal(self, names: Sequence[str], number: signal.Signals) -> None:
        for name in names:
            if name in self._children:
                _kill_group(self._children[name].process.pid, number)
                # who is stopped hears of a signal only when it goes on
                _kill_group(self._children[name].process.pid, signal.SIGCONT)


def last_message(log: Path) -> str:
    """The last `error: ...` of a log without its prefix, else its last line."""
    try:
        with log.open('rb') as file:
            lines = _tail(file).decode(errors='replace').splitlines()
    except OSError:
        return ''
    errors = [line for line in lines if line.startswith('error: ')]
    if errors:
        return errors[-1].removeprefix('error: ')
    return next((line.strip() for line in reversed(lines) if line.strip()), '')


def _tail(file: IO[bytes], size: int = 8192) -> bytes:
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - size))
    return file.read()


def _kill_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f'signal {number}'
