"""Carries out a plan: processes, monitor and view, from the domain's lock to the report."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING

from sec_nodes.config import ConfigError, suggest
from sec_nodes.fleet.domain import DomainLock, busy, complete, domain_id, keep_local
from sec_nodes.fleet.expand import COORDINATOR, RECORDER, ProcessSpec, RunFiles, process_of
from sec_nodes.fleet.failures import KILL, Step, moves_tasks
from sec_nodes.fleet.plan import Plan, write_plan
from sec_nodes.fleet.scoreboard import Scoreboard
from sec_nodes.fleet.settings import FleetSettings
from sec_nodes.fleet.supervisor import Exit, Program, Supervisor
from sec_nodes.fleet.unseen import Unseen
from sec_nodes.fleet.view import REFRESH_S, View

if TYPE_CHECKING:
    from sec_nodes.fleet.monitor import Monitor

FINISHED, ABORTED, BAD_CONFIGURATION, INTERRUPTED = 0, 1, 2, 130
"""Exit codes of a run."""

RECORDER_GRACE_S = 10.0
"""What the recorder gets to write its tables once the run is over [s]."""


class Interrupts:
    """Counts Ctrl-C and SIGTERM: the first asks for an orderly end, the second for one at once."""

    def __init__(self) -> None:
        self.count = 0
        self.hurry = threading.Event()
        self.wake: Callable[[], None] = lambda: None

    @contextmanager
    def caught(self) -> Iterator[Interrupts]:
        """Count signals instead of dying from them."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            self.hurry.set()
        self.wake()


class Run:
    """One run of a fleet on this machine.

    Args:
        plan: what to run.
        view: where it is shown.
    """

    def __init__(self, plan: Plan, view: View) -> None:
        self._plan = plan
        self._view = view
        self._interrupts = Interrupts()
        self._specs = {spec.name: spec for spec in plan.processes}
        self._has_coordinator = any(spec.node == COORDINATOR for spec in plan.processes)
        self._over_since: float | None = None
        self._of_processes: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self._unseen = Unseen()
        self._replaced: set[str] = set()
        """Processes that were killed to be started again."""
        self.message = ''
        """Why the run did not finish."""

    def execute(self) -> int:
        """Run to the end.

        Returns:
            Exit code: `FINISHED`, `ABORTED`, `BAD_CONFIGURATION` or `INTERRUPTED`.

        Raises:
            ConfigError: ROS 2 or the messages are not there.
            DomainBusyError: another run has the ROS domain.
        """
        keep_local(os.environ, self._plan.fleet.hosts)
        complete(os.environ)
        domain = domain_id()
        with DomainLock(domain, self._plan.files.folder), self._interrupts.caught():
            board = self._scoreboard()
            monitor = self._monitor(board)
            try:
                if self._has_coordinator:
                    other = monitor.other_coordinator()
                    if other:
                        raise busy(domain, f'node {other}')
                write_plan(self._plan)
                monitor.start()
                return self._supervise(board, monitor)
            finally:
                monitor.close()

    def _supervise(self, board: Scoreboard, monitor: Monitor) -> int:
        supervisor = Supervisor(
            [program(spec, self._plan.files) for spec in self._plan.processes],
            self._plan.files.logs,
            self._environment(),
        )
        self._interrupts.wake = supervisor.wake
        self._view.open()
        try:
            supervisor.start()
            code = self._watch(supervisor, board, monitor)
        finally:
            try:
                supervisor.stop(self._interrupts.hurry)
            finally:
                self._view.close()
        return code

    def _watch(self, supervisor: Supervisor, board: Scoreboard, monitor: Monitor) -> int:
        code: int | None = None
        while True:
            self._obey(supervisor, board)
            if board.snapshot().state == 'waiting':
                self._replace_unseen(supervisor, board, monitor.seen())
            exits = supervisor.wait(REFRESH_S)
            self._view.update(board.snapshot())
            if self._interrupts.count:
                self.message = 'interrupted; results so far are kept'
                return INTERRUPTED
            for ended in exits:
                code = self._judge(ended, board, supervisor) if code is None else code
                if code in (BAD_CONFIGURATION, INTERRUPTED):
                    return code
            if code is None and not self._has_coordinator and board.snapshot().is_over:
                code = FINISHED if board.snapshot().state == 'finished' else ABORTED
            if code is not None and self._recorder_is_done(supervisor):
                return code
            if supervisor.is_idle:
                return ABORTED if code is None else code

    def _on_process(self, step: Step) -> None:
        """A process is about to fail on purpose, or shall go on; called by the monitor."""
        self._of_processes.put(step)
        self._interrupts.wake()

    def _obey(self, supervisor: Supervisor, board: Scoreboard) -> None:
        """Prepare for processes that fail on purpose, and end their failures."""
        while not self._of_processes.empty():
            step = self._of_processes.get()
            failure, spec = step.failure, process_of(step.failure.name, self._plan.processes)
            if spec is None:
                continue
            if not step.is_end:
                if failure.kind == KILL:
                    supervisor.give_up(spec.name)
            elif failure.kind == KILL:
                board.note(f'{spec.name} is started again')
                supervisor.revive(spec.name)
            else:
                board.note(f'{spec.name} may go on')
                supervisor.resume(spec.name)

    def _replace_unseen(
        self, supervisor: Supervisor, board: Scoreboard, seen: Collection[str]
    ) -> None:
        """Start processes again that nobody sees: nothing is lost yet."""
        for name in self._unseen.look(supervisor.running, seen, time.monotonic()):
            board.note(f'{name} is not seen by the others; it is started again')
            self._replaced.add(name)
            supervisor.kill(name)

    def _environment(self) -> dict[str, str]:
        """What the processes find: logs of ROS go into the run's folder, crashes leave a trace."""
        logs = str(self._plan.files.logs / 'ros')
        return {'PYTHONFAULTHANDLER': '1', **os.environ, 'ROS_LOG_DIR': logs}

    def _judge(self, ended: Exit, board: Scoreboard, supervisor: Supervisor) -> int | None:
        """What the end of a process means for the run; None: it goes on."""
        node = self._specs[ended.name].node
        if ended.is_configuration_error:
            self.message = f'{ended.name}: {ended.message}'
            return BAD_CONFIGURATION
        if ended.name in self._replaced:
            self._replaced.remove(ended.name)
            if ended.respawns or supervisor.restart(ended.name):
                return None
        if node == COORDINATOR:
            if ended.code not in (FINISHED, ABORTED):
                self.message = f'{ended.describe()}; see {supervisor.log(ended.name)}'
            elif ended.code == ABORTED:
                reason = board.snapshot().detail or ended.message
                self.message = f'the run was aborted: {reason}; see {supervisor.log(ended.name)}'
            return FINISHED if ended.code == FINISHED else ABORTED
        if node == RECORDER and ended.code == 0:
            return None
        board.note(ended.describe())
        if board.snapshot().state != 'waiting' or ended.respawns:
            return None
        # Nothing is lost yet, and a crash in the middleware may not happen twice.
        if ended.code < 0 and supervisor.restart(ended.name):
            board.note(f'{ended.name} is started again')
            return None
        why = f': {ended.message}' if ended.message else ''
        log = supervisor.log(ended.name)
        self.message = f'{ended.describe()} before the run began{why}; see {log}'
        return ABORTED

    def _recorder_is_done(self, supervisor: Supervisor) -> bool:
        """Whether the recorder has written everything, or had time enough to."""
        now = time.monotonic()
        self._over_since = self._over_since or now
        recorders = [name for name in supervisor.running if self._specs[name].node == RECORDER]
        return not recorders or now - self._over_since > RECORDER_GRACE_S

    def _scoreboard(self) -> Scoreboard:
        plan = self._plan
        uavs, satellites = plan.scenario.uavs.count, plan.scenario.satellites.count
        names = [f'uav_{i}' for i in range(uavs)] + [f'satellite_{i}' for i in range(satellites)]
        return Scoreboard(
            area_m=_sides_m(plan.scenario.area_m),
            batteries_j=getattr(plan.scenario.uavs, 'battery_j', None),
            servers=dict(enumerate(names)),
            moves_tasks=moves_tasks(plan.scenario),
            on_slot=self._view.slot,
            on_event=self._view.event,
            run=plan.files.run,
            scenario=plan.scenario.name,
            slots=plan.fleet.slots,
            speed=plan.fleet.speed,
            controller=plan.fleet.controller,
        )

    def _monitor(self, board: Scoreboard) -> Monitor:
        check_ros()
        check_parameters(self._plan.fleet)
        from sec_nodes.fleet.monitor import Monitor

        return Monitor(
            board,
            self._plan.failures,
            on_news=lambda: self._interrupts.wake(),
            on_process=self._on_process,
        )


def _sides_m(area_m: float | tuple[float, float]) -> tuple[float, float]:
    """East and north extent of an area, of which a square has but one [m]."""
    return area_m if isinstance(area_m, tuple) else (area_m, area_m)


def program(spec: ProcessSpec, files: RunFiles) -> Program:
    """How a process of the fleet is started."""
    params = str(files.params(spec.name))
    return Program(
        name=spec.name,
        module=spec.module,
        arguments=('--ros-args', '-r', f'__node:={spec.name}', '--params-file', params),
        respawn=spec.respawn,
        last=spec.node == RECORDER,
    )


def check_ros() -> None:
    """Raise `ConfigError` unless ROS 2 and the messages of this package can be imported."""
    for module in ('rclpy', 'sec_offload.msg'):
        try:
            import_module(module)
        except ImportError as error:
            raise ConfigError(
                f'{module} cannot be imported ({error}); call `make build`, then '
                '`source scripts/env.sh`'
            ) from None


def check_parameters(fleet: FleetSettings) -> None:
    """Raise `ConfigError` for a parameter that its node does not have: ROS would ignore it."""
    for process in fleet.processes:
        if not process.params:
            continue
        kind = import_module(f'sec_nodes.nodes.{process.node}').Parameters
        known = [item.name for item in fields(kind)] + ['use_sim_time']
        for name in process.params:
            if name not in known:
                raise ConfigError(
                    f'fleet {fleet.name!r}: node {process.node} has no parameter {name!r}; '
                    f'{suggest(name, known)}'
                )
