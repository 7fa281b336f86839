"""What UAVs and satellites share: they report, take payloads, and have them answered."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from sec_nodes.inference.manifest import ModelError
from sec_nodes.loop.serving import ComputeQueue, OrderedIntake
from sec_nodes.nodes import names
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.serving import Key, Lane, ServerParameters, ServingNode
from sec_nodes.nodes.timing import Releases, RunTime
from sec_nodes.world import manifest_id
from sec_offload import msg

if TYPE_CHECKING:
    from sec_nodes.nodes.handover import Handovers

MOST_STEPS = 1e6
"""Words of an answer that a payload may ask for."""
BATTERY_EMPTY = 'battery empty'
SIGNALS = {msg.Failure.KILL: signal.SIGKILL, msg.Failure.HANG: signal.SIGSTOP}
"""What the process sends itself where that is how a server shall fail."""


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
            self.listen(names.ASSIGNMENTS, self.take_assignments),
        ]
        for lane in self.lanes.values():
            lane.intake = OrderedIntake(partial(self.schedule, lane))
            topic = names.VEHICLE_PAYLOAD.of(lane.name)
            self.lifelines.append(self.listen(topic, partial(self.on_payload, lane)))
        self.handovers: Handovers | None = None
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
        if self.handovers is not None:
            values['tensors held'] = len(self.handovers)
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
                    self.set_alive(lane, False)

    def on_slot_start(self, message: msg.SlotStart) -> None:
        """Report the servers as they are at the start of a slot."""
        self.time.on_slot_start(message)
        if message.slot > self.reported_slot or self.last_report is None:
            self.advance(message.start_s)
            self.reported_slot = message.slot
            self.last_report = self.report(message.slot, message.start_s)
        self.reports.publish(self.last_report)

    def report(self, slot: int, time_s: float, last_words: Lane | None = None) -> msg.ServerReport:
        """The living servers of this process, and one that says that it fails."""
        states, providers = [], self.answering.providers()
        with self.lock:
            for lane, state in zip(self.lanes.values(), self.describe(time_s), strict=True):
                if lane.mute or not (lane.alive or lane is last_words):
                    continue
                state.server_id, state.name = lane.server_id, lane.name
                state.alive, state.failing = lane.alive, lane.failing
                state.model_id, state.flop_s = lane.model_id, lane.server.flop_s
                state.compute_power_w = lane.server.compute_power_w
                state.transmit_power_w = lane.server.transmit_power_w
                state.backlog_s = lane.queue.backlog_s(time_s)
                state.queue_length = lane.waiting
                state.decision_slot, state.started_ns = lane.decision_slot, self.started_ns
                own = providers.get(manifest_id(lane.model_id), '')
                state.provider = own or ', '.join(sorted(set(providers.values())))
                states.append(state)
        report = msg.ServerReport(slot=slot, servers=states)
        report.header.frame_id = names.MAP_FRAME
        report.header.stamp = to_stamp(time_s)
        return report

    def take_assignments(self, batch: msg.AssignmentBatch) -> None:
        """Serve a slot, unless it began before this process: its time is not known here."""
        if self.reported_slot < 0:
            self.complain('assignments before any slot', f'slot {batch.slot}')
            return
        self.on_assignments(batch)

    def on_assignments(self, batch: msg.AssignmentBatch) -> None:
        """Learn which payloads to expect and where to fly."""
        with self.lock:
            for order in batch.assignments:
                lane, holder = self.lanes.get(order.server), self.lanes.get(order.holder)
                if lane is not None:
                    self.on_order(lane, order)
                if holder is not None and self.handovers is not None:
                    self.handovers.on_order(holder, batch.slot, order)
            for server_id, goal in zip(batch.uav_id, batch.uav_goal, strict=False):
                if server_id in self.lanes and not self.lanes[server_id].mute:
                    self.on_goal(server_id, goal)
            for lane in self.lanes.values():
                self.acknowledge(lane, batch)
                lane.intake.flush()
        self.reports.publish(self.report(-1, self.time.now_s()))

    def on_order(self, lane: Lane, order: msg.Assignment) -> None:
        """A server is to answer a task."""
        key = (order.task_id, order.attempt)
        if lane.mute:
            lane.missed.add(key)
        elif lane.alive:
            lane.shares[key] = order.compute_share
            self.expect(lane, key)
            if self.handovers is not None:
                self.handovers.announced(lane, order)
        elif self.handovers is not None and self.handovers.serves(lane):
            self.handovers.give_up_order(lane, order)

    def expect(self, lane: Lane, key: Key) -> None:
        """The payload of a try was announced."""
        lane.intake.expect(key)

    def acknowledge(self, lane: Lane, batch: msg.AssignmentBatch) -> None:
        """Note that a server knows its assignments; in lockstep a slot ends after that."""
        lane.decision_slot = max(lane.decision_slot, batch.slot)

    def on_payload(self, lane: Lane, payload: msg.Payload) -> None:
        """A payload has arrived over the air."""
        if lane.mute:
            self.miss(lane, (payload.task_id, payload.attempt))
            return
        last_chance = self.handovers is not None and self.handovers.serves(lane)
        if not (lane.alive or last_chance):
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
            if lane.alive:
                self.take(lane, payload)
            elif self.handovers is not None:
                self.handovers.give_up_payload(lane, payload)

    def miss(self, lane: Lane, key: Key) -> None:
        """A server that nobody hears has lost a payload; it tells when it is heard again."""
        with self.lock:
            lane.missed.add(key)
            lane.shares.pop(key, None)
            lane.intake.gone(key)

    def take(self, lane: Lane, payload: msg.Payload) -> None:
        """Take in a sound payload; in lockstep time stamps decide who is first."""
        if self.time.lockstep:
            lane.intake.arrived((payload.task_id, payload.attempt), payload.ready_s, payload)
        else:
            self.schedule(lane, payload)

    def on_task_report(self, report: msg.TaskReport) -> None:
        """A try was lost elsewhere: its payload will not come."""
        lane, key = self.lanes.get(report.server), (report.task_id, report.attempt)
        if lane is not None and report.kind != msg.TaskReport.ANSWERED:
            with self.lock:
                lane.intake.gone(key)
                lane.shares.pop(key, None)
                lane.missed.discard(key)
                if self.handovers is not None and report.kind != msg.TaskReport.HANDOVER:
                    self.handovers.gone(lane, key, report.reason)

    # -- failures --------------------------------------------------------------------------------

    def on_failure(self, failure: msg.Failure) -> None:
        """Fail or recover on command; lost links are the channel's."""
        lane, kind = self.lanes.get(failure.server_id), failure.kind
        if lane is None:
            return
        if kind in SIGNALS:
            self.get_logger().warning(f'{lane.name} sends its process {SIGNALS[kind].name}')
            os.kill(os.getpid(), SIGNALS[kind])
            self.get_logger().warning(f'{lane.name} goes on')
        elif kind == msg.Failure.CRASH:
            self.crash(lane)
        elif kind == msg.Failure.CUT:
            self.cut_off(lane)
        elif kind == msg.Failure.BATTERY:
            self.give_up(lane, BATTERY_EMPTY)
        elif kind == msg.Failure.RECOVER:
            self.recover(lane)

    def set_alive(self, lane: Lane, alive: bool) -> None:
        """Let a server live or not; the lock is held."""
        lane.alive = alive
        # a slot start that is repeated must not be answered with what was
        self.last_report = None

    def crash(self, lane: Lane) -> None:
        """A server falls silent, and its work is gone."""
        with self.lock:
            self.set_alive(lane, False)
            lane.mute, lane.failing = False, ''
            self.lose_work(lane)
        self.answering.forget(lane.name)
        self.get_logger().warning(f'{lane.name} crashes')

    def cut_off(self, lane: Lane) -> None:
        """A server goes on, but neither hears nor says anything."""
        with self.lock:
            lane.mute, self.last_report = True, None
        self.get_logger().warning(f'{lane.name} is cut off')

    def give_up(self, lane: Lane, reason: str) -> None:
        """A server fails in good order: it says so, and what it can pass on of its tasks."""
        with self.lock:
            if not lane.alive:
                return
            lane.failing = reason
            self.set_alive(lane, False)
            computing, arrived = list(lane.open.values()), lane.intake.waiting()
            awaited = [] if self.handovers is None else self.handovers.awaited(lane, arrived)
            self.lose_work(lane)
            if self.handovers is not None:
                self.handovers.give_up(lane, computing, arrived, awaited)
            self.say(lane, self.reports, self.report(-1, self.time.now_s(), lane))
        self.answering.forget(lane.name)
        self.get_logger().warning(f'{lane.name} fails: {reason}')

    def recover(self, lane: Lane) -> None:
        """A server is as new again; one that was cut off comes back as it is."""
        with self.lock:
            if not lane.alive:
                self.set_alive(lane, True)
                lane.failing = ''
                self.lose_work(lane)
            missed, lane.missed = lane.missed, set()
            lane.mute, self.last_report = False, None
        for task_id, attempt in sorted(missed):
            self.news.publish(
                msg.TaskReport(
                    kind=msg.TaskReport.LOST,
                    reason='payload_lost: the server was cut off',
                    reporter=lane.name,
                    task_id=task_id,
                    attempt=attempt,
                    server=lane.server_id,
                )
            )
        self.get_logger().warning(f'{lane.name} recovers')

    def lose_work(self, lane: Lane) -> None:
        """Nothing that a server has begun will be answered; the lock is held."""
        lane.epoch += 1
        lane.waiting = 0
        lane.queue = ComputeQueue(self.time.now_s())
        lane.intake.clear()
        lane.shares.clear()
        lane.open.clear()
        lane.missed.clear()
        if self.handovers is not None:
            self.handovers.forget(lane)


def with_energy(state: msg.ServerState, used_j: float, battery_j: float | None) -> msg.ServerState:
    """Fill in what a battery has given and still holds [J]."""
    state.energy_used_j = used_j
    state.has_battery = battery_j is not None
    state.energy_left_j = max(battery_j - used_j, 0.0) if battery_j is not None else 0.0
    return state
