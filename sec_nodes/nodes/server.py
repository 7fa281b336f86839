"""What UAVs and satellites share: they report, take payloads, and have them answered."""

from __future__ import annotations

import math
import threading
import time
from abc import abstractmethod
from functools import partial

from sec_nodes.inference.manifest import ModelError
from sec_nodes.loop.serving import ComputeQueue, OrderedIntake
from sec_nodes.nodes import names
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.serving import Key, Lane, ServerParameters, ServingNode
from sec_nodes.nodes.timing import Releases, RunTime
from sec_nodes.world import manifest_id
from sec_offload import msg

MOST_STEPS = 1e6
"""Words of an answer that a payload may ask for."""


class ServerNode(ServingNode):
    """A node whose vehicles run the back part of networks. Subclasses know where they are."""

    def __init__(self, name: str, kind: type[ServerParameters]) -> None:
        super().__init__(name, kind)
        self.chosen: ServerParameters = self.settings_of_run
        self.world = self.read_world()
        self.time = RunTime(self)
        self.releases = Releases(self.time)
        self.lock = threading.RLock()
        self.lanes = {lane.server_id: lane for lane in self.make_lanes()}
        self.is_loaded = False
        self.answering = self.make_answering()
        self.reported_slot, self.started_ns = -1, time.time_ns()
        self.last_report: msg.ServerReport | None = None

        self.reports = self.advertise(names.SERVER_REPORT)
        self.tokens = self.advertise(names.TOKEN_TX)
        self.results = self.advertise(names.RESULT_TX)
        self.news = self.advertise(names.TASK_REPORT)
        self.lifelines = [
            self.tokens,
            self.results,
            self.news,
            self.reports,
            self.listen(names.SLOT_START, self.on_slot_start),
            self.listen(names.ASSIGNMENTS, self.on_assignments),
        ]
        for lane in self.lanes.values():
            lane.intake = OrderedIntake(partial(self.schedule, lane))
            topic = names.VEHICLE_PAYLOAD.of(lane.name)
            self.lifelines.append(self.listen(topic, partial(self.on_payload, lane)))
        self.listen(names.TASK_REPORT, self.on_task_report)
        self.listen(names.FAILURE, self.on_failure)
        self.create_wall_timer(self.chosen.heartbeat_s, self.beat)

    def lane(self, server_id: int) -> Lane:
        """A server of the world."""
        name = self.world.scenario.server_name(server_id)
        return Lane(server_id, name, self.world.server(server_id))

    @abstractmethod
    def make_lanes(self) -> list[Lane]:
        """The servers of this process."""

    @abstractmethod
    def describe(self, time_s: float) -> list[msg.ServerState]:
        """Place, motion, receiver and battery of every lane, in the order of `lanes`."""

    def advance(self, time_s: float) -> None:
        """Move the vehicles up to an instant of the run [s]."""

    def on_goal(self, server_id: int, goal: object) -> None:
        """A vehicle got a new goal."""

    def health(self) -> dict[str, object]:
        """Queue lengths and execution providers."""
        values: dict[str, object] = {
            f'{lane.name} queue': lane.waiting for lane in self.lanes.values()
        }
        providers = self.answering.providers()
        return values | {f'{key} provider': name for key, name in providers.items()}

    def close(self) -> None:
        """Stop the threads, and the process of the models."""
        self.answering.close()
        self.releases.close()

    def beat(self) -> None:
        """Say that the servers live, once they are connected and have their models."""
        try:
            self.is_loaded = self.answering.is_ready()
        except ModelError as error:
            if not self.is_loaded:
                raise
            self.fall_silent(str(error))
        if self.is_loaded and self.wired(*self.lifelines):
            self.reports.publish(self.report(-1, self.time.now_s()))

    def fall_silent(self, reason: str) -> None:
        """The models are gone for good: what cannot serve must not count as alive."""
        with self.lock:
            for lane in self.lanes.values():
                if lane.alive:
                    self.complain('models lost', f'{lane.name}: {reason}')
                    lane.alive = False

    def on_slot_start(self, message: msg.SlotStart) -> None:
        """Report the servers as they are at the start of a slot."""
        self.time.on_slot_start(message)
        if message.slot > self.reported_slot or self.last_report is None:
            self.advance(message.start_s)
            self.reported_slot = message.slot
            self.last_report = self.report(message.slot, message.start_s)
        self.reports.publish(self.last_report)

    def report(self, slot: int, time_s: float) -> msg.ServerReport:
        """The living servers of this process."""
        states, providers = [], self.answering.providers()
        with self.lock:
            for lane, state in zip(self.lanes.values(), self.describe(time_s), strict=True):
                if not lane.alive:
                    continue
                state.server_id, state.name, state.alive = lane.server_id, lane.name, True
                state.model_id, state.flop_s = lane.model_id, lane.server.flop_s
                state.compute_power_w = lane.server.compute_power_w
                state.transmit_power_w = lane.server.transmit_power_w
                state.backlog_s = lane.queue.backlog_s(time_s)
                state.queue_length = lane.waiting
                state.decision_slot, state.started_ns = lane.decision_slot, self.started_ns
                state.provider = providers.get(manifest_id(lane.model_id), '')
                states.append(state)
        report = msg.ServerReport(slot=slot, servers=states)
        report.header.frame_id = names.MAP_FRAME
        report.header.stamp = to_stamp(time_s)
        return report

    def on_assignments(self, batch: msg.AssignmentBatch) -> None:
        """Learn which payloads to expect and where to fly."""
        with self.lock:
            for order in batch.assignments:
                lane = self.lanes.get(order.server)
                if lane is not None and lane.alive:
                    key = (order.task_id, order.attempt)
                    lane.shares[key] = order.compute_share
                    self.expect(lane, key)
            for server_id, goal in zip(batch.uav_id, batch.uav_goal, strict=False):
                if server_id in self.lanes:
                    self.on_goal(server_id, goal)
            for lane in self.lanes.values():
                self.acknowledge(lane, batch)
                lane.intake.flush()
        self.reports.publish(self.report(-1, self.time.now_s()))

    def expect(self, lane: Lane, key: Key) -> None:
        """The payload of a try was announced."""
        lane.intake.expect(key)

    def acknowledge(self, lane: Lane, batch: msg.AssignmentBatch) -> None:
        """Note that a server knows its assignments; in lockstep a slot ends after that."""
        lane.decision_slot = max(lane.decision_slot, batch.slot)

    def on_payload(self, lane: Lane, payload: msg.Payload) -> None:
        """A payload has arrived over the air."""
        if not lane.alive:
            return
        if payload.server != lane.server_id or payload.model_id != self.model_of(lane, payload):
            self.refuse(lane, payload, f'payload for {payload.model_id!r} at {lane.name}')
            return
        for name in ('ready_s', 'answer_bit', 'steps'):
            value = getattr(payload, name)
            if not math.isfinite(value):
                self.refuse(lane, payload, f'{name} = {value}')
                return
        if not 0 < payload.steps <= MOST_STEPS:
            self.refuse(lane, payload, f'steps = {payload.steps}')
            return
        with self.lock:
            self.take(lane, payload)

    def take(self, lane: Lane, payload: msg.Payload) -> None:
        """Take in a sound payload; in lockstep time stamps decide who is first."""
        if self.time.lockstep:
            lane.intake.arrived((payload.task_id, payload.attempt), payload.ready_s, payload)
        else:
            self.schedule(lane, payload)

    def on_task_report(self, report: msg.TaskReport) -> None:
        """A try was lost elsewhere: its payload will not come."""
        lane = self.lanes.get(report.server)
        if lane is not None and report.kind != msg.TaskReport.ANSWERED:
            with self.lock:
                lane.intake.gone((report.task_id, report.attempt))

    def on_failure(self, failure: msg.Failure) -> None:
        """Fail or recover on command."""
        lane = self.lanes.get(failure.server_id)
        if lane is None or failure.kind == msg.Failure.LINK_LOSS:
            return
        with self.lock:
            lane.alive = failure.kind == msg.Failure.RECOVER
            lane.epoch += 1
            lane.waiting = 0
            lane.queue = ComputeQueue(self.time.now_s())
            lane.intake.clear()
            lane.shares.clear()
        self.answering.forget(lane.name)
        self.get_logger().warning(f'{lane.name} {"recovers" if lane.alive else "crashes"}')


def with_energy(state: msg.ServerState, used_j: float, battery_j: float | None) -> msg.ServerState:
    """Fill in what a battery has given and still holds [J]."""
    state.energy_used_j = used_j
    state.has_battery = battery_j is not None
    state.energy_left_j = max(battery_j - used_j, 0.0) if battery_j is not None else 0.0
    return state
