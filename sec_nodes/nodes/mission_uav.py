"""Node `uav` where missions are flown: paths of a plan, and programs that devices upload."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import NamedTuple

from sec_nodes.inference.foreign import MAX_PROGRAM_BYTE
from sec_nodes.loop.tracking import MissionFleet
from sec_nodes.nodes import names
from sec_nodes.nodes.base import BadMessageError
from sec_nodes.nodes.mission_messages import plan_from
from sec_nodes.nodes.program_answering import Program, ProgramAnswering
from sec_nodes.nodes.serving import NETWORK_QUEUE, Key, Lane
from sec_nodes.nodes.uav import UavNode
from sec_offload import msg

PROGRAM_PATIENCE_S = 3.0
"""Wall time that a payload waits for its program [s]: it was sent before, on another topic."""
MOST_EARLY = 100
"""Programs and payloads that are kept although nobody has announced them yet."""


class Alone(NamedTuple):
    """A payload whose program is not there."""

    lane: Lane
    payload: msg.Payload
    give_up_at: float
    """On the machine's own clock [s]."""


class MissionUavNode(UavNode):
    """UAVs of one process that follow a plan, and run what devices upload."""

    fleet: MissionFleet
    answering: ProgramAnswering

    def __init__(self) -> None:
        super().__init__()
        self.early: dict[tuple[int, Key], msg.Program] = {}
        """Programs that were faster than their assignments, by server and try."""
        self.alone: dict[tuple[int, Key], Alone] = {}
        self.lifelines += [
            self.listen(names.VEHICLE_PROGRAM.of(lane.name), partial(self.on_program, lane))
            for lane in self.lanes.values()
        ]
        self.listen(names.TASK_OUTCOME, self.on_outcome)

    def make_answering(self) -> ProgramAnswering:
        """Who runs the programs.

        Raises:
            ParameterError: no such execution provider.
            ModelError: a network of the scenario is unknown.
        """
        known = self.world.scenario.models.model_id
        networks = {name: self.world.manifest.classifier(name) for name in known}
        return ProgramAnswering(networks, self.policy(), NETWORK_QUEUE, self)

    def health(self) -> dict[str, object]:
        """Programs in memory as well."""
        return super().health() | {'programs': len(self.answering)}

    def beat(self) -> None:
        """Say that the servers live; payloads that have waited long enough are refused."""
        super().beat()
        with self.lock:
            now = time.monotonic()
            for name, one in list(self.alone.items()):
                if one.give_up_at <= now:
                    del self.alone[name]
                    self.refuse(one.lane, one.payload, 'no program for it has arrived')

    # -- the plan --------------------------------------------------------------------------------

    def on_assignments(self, batch: msg.AssignmentBatch) -> None:
        """Follow the plan in force, and learn which programs to expect."""
        with self.lock:
            try:
                self.follow(batch)
            except (BadMessageError, ValueError) as error:
                self.complain('bad mission plan', str(error))
            super().on_assignments(batch)

    def follow(self, batch: msg.AssignmentBatch) -> None:
        """Fly the paths of the plan in force, and reserve what it gives to each task.

        Raises:
            BadMessageError: its parts do not fit together.
            ValueError: a path that cannot be followed.
        """
        plan = plan_from(batch.mission)
        if plan is None:
            return
        (message,) = batch.mission
        for server, cpu_hz, task_id in zip(plan.server, plan.cpu_hz, plan.task_id, strict=True):
            lane = self.lanes.get(int(server))
            if lane is not None and not lane.mute and 0 < cpu_hz < math.inf:
                share = min(float(cpu_hz) / lane.server.flop_s, 1.0)
                # what has its payload has its share for good, and is no longer among these
                lane.shares |= {key: share for key in lane.shares if key[0] == task_id}
        for server_id, path_m in enumerate(plan.waypoint_m):
            if server_id in self.lanes and not self.lanes[server_id].mute:
                self.fleet.follow(server_id, message.start_s, message.slot_s, path_m)

    def on_goal(self, server_id: int, goal: object) -> None:
        """Goals of single slots are none here: the plan says where to be."""

    # -- programs and payloads -------------------------------------------------------------------

    def expect(self, lane: Lane, key: Key) -> None:
        """A program was announced; nothing waits for others, for each has its share."""
        program = self.early.pop((lane.server_id, key), None)
        if program is not None:
            self.keep(lane, program)

    def on_program(self, lane: Lane, program: msg.Program) -> None:
        """A program has arrived over the air."""
        if lane.mute:
            self.miss(lane, (program.task_id, program.attempt))
        if not lane.is_heard:
            return
        fault = self.fault_of(lane, program)
        if fault:
            self.refuse(lane, program, fault)
            return
        key = (program.task_id, program.attempt)
        with self.lock:
            if key in lane.shares:
                self.keep(lane, program)
            else:
                self.early[lane.server_id, key] = program
                while len(self.early) > MOST_EARLY:
                    del self.early[next(iter(self.early))]

    def fault_of(self, lane: Lane, program: msg.Program) -> str:
        """Why a program is not even looked at; empty if it is."""
        if program.server != lane.server_id:
            return f'program for server {program.server} at {lane.name}'
        if len(program.data) > MAX_PROGRAM_BYTE:
            return f'program of {len(program.data)} bytes, {MAX_PROGRAM_BYTE} at most'
        return self.fault_of_cut(program.model_id, program.cut)

    def fault_of_cut(self, model_id: str, cut: int) -> str:
        """Why a network cannot have been cut there; empty if it can."""
        models = self.world.scenario.models
        if model_id not in models.model_id:
            return f'no model {model_id[:80]!r}'
        # the last cut leaves nothing to run
        last = models.n_cuts[models.model_id.index(model_id)] - 1
        return f'no cut {cut} of {model_id!r}' if cut >= last else ''

    def keep(self, lane: Lane, program: msg.Program) -> None:
        """Have a program built; a payload that has waited for it is answered with it."""
        key = (program.task_id, program.attempt)
        kept = Program(program.model_id, program.cut, program.sha256, bytes(program.data))
        refuse = partial(self.refuse_program, lane, lane.epoch, program)
        self.answering.keep(lane.name, (*key, lane.epoch), kept, refuse)
        one = self.alone.pop((lane.server_id, key), None)
        if one is not None:
            self.schedule(lane, one.payload)

    def refuse_program(self, lane: Lane, epoch: int, program: msg.Program, reason: str) -> None:
        """Report that a program cannot be used, unless the UAV has crashed since."""
        with self.lock:
            if epoch != lane.epoch:
                return
        self.refuse(lane, program, reason)

    def take(self, lane: Lane, payload: msg.Payload) -> None:
        """Take in a payload: it is computed at once, by its reserved share."""
        fault = self.fault_of_cut(payload.model_id, payload.cut)
        key = (payload.task_id, payload.attempt)
        if fault:
            self.refuse(lane, payload, fault)
        elif self.answering.holds(lane.name, (*key, lane.epoch)):
            if key in lane.shares:
                self.schedule(lane, payload)
            else:
                self.complain('payload twice', f'task {payload.task_id} at {lane.name}')
        else:
            give_up_at = time.monotonic() + PROGRAM_PATIENCE_S
            self.alone[lane.server_id, key] = Alone(lane, payload, give_up_at)
            while len(self.alone) > MOST_EARLY:
                del self.alone[next(iter(self.alone))]

    # -- what is over ----------------------------------------------------------------------------

    def on_task_report(self, report: msg.TaskReport) -> None:
        """A try was lost: its program is not needed any more."""
        super().on_task_report(report)
        lane = self.lanes.get(report.server)
        if lane is None or report.kind == msg.TaskReport.ANSWERED:
            return
        key = (report.task_id, report.attempt)
        with self.lock:
            lane.shares.pop(key, None)
            self.early.pop((lane.server_id, key), None)
            self.alone.pop((lane.server_id, key), None)
        self.answering.drop(lambda name, other: (name, other[:2]) == (lane.name, key))

    def on_outcome(self, outcome: msg.TaskOutcome) -> None:
        """A task has ended: nobody needs its programs any more."""
        task_id = outcome.task_id
        with self.lock:
            for lane in self.lanes.values():
                for key in [key for key in lane.shares if key[0] == task_id]:
                    del lane.shares[key]
            for kept in (self.early, self.alone):
                for name in [name for name in kept if name[1][0] == task_id]:
                    del kept[name]
        self.answering.drop(lambda _, other: other[0] == task_id)

    def lose_work(self, lane: Lane) -> None:
        """What has been uploaded is gone as well."""
        super().lose_work(lane)
        for kept in (self.early, self.alone):
            for name in [name for name in kept if name[0] == lane.server_id]:
                del kept[name]
