"""What UAVs and satellites share: they report, take payloads, run the back part and answer."""

from __future__ import annotations

import math
import threading
import time
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.codec import PayloadError, decode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.loop.serving import ComputeQueue, OrderedIntake
from sec_nodes.nodes import names
from sec_nodes.nodes.base import CommonParameters, SecNode
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.convert import packet_from
from sec_nodes.nodes.parameters import parameter
from sec_nodes.nodes.timing import Releases, RunTime
from sec_nodes.world import Server
from sec_offload import msg

Key = tuple[int, int]


@dataclass(frozen=True)
class ServerParameters(CommonParameters):
    """Parameters of every node that serves."""

    ids: str = parameter('all', "vehicles of this process: 'all' or a list such as 0-1,3")
    heartbeat_s: float = parameter(0.2, 'wall time between heartbeats [s]', low=0.02, high=10.0)
    compute: str = parameter(
        'emulated',
        'emulated: an answer is ready when the platform of the scenario would have it; '
        'measured: when this machine has it',
        choices=('emulated', 'measured'),
    )


@dataclass
class Lane:
    """One server of the process: its computer, its queue and its state of health."""

    server_id: int
    name: str
    server: Server
    alive: bool = True
    epoch: int = 0
    """Counts crashes: work of an earlier epoch is lost."""
    decision_slot: int = -1
    queue: ComputeQueue = field(default_factory=ComputeQueue)
    intake: OrderedIntake[msg.Payload] = field(init=False)
    shares: dict[Key, float] = field(default_factory=dict)
    waiting: int = 0
    energy_used_j: float = 0.0

    @property
    def model_id(self) -> str:
        """Model that the server runs."""
        return self.server.model_id


class ServerNode(SecNode):
    """A node whose vehicles run the back part of networks. Subclasses know where they are."""

    def __init__(self, name: str, kind: type[ServerParameters]) -> None:
        super().__init__(name, kind)
        self.chosen: ServerParameters = self.settings_of_run
        self.world = self.read_world()
        self.time = RunTime(self)
        self.releases = Releases(self.time)
        self.worker = ThreadPoolExecutor(1, thread_name_prefix='inference')
        self.lock = threading.RLock()
        self.lanes = {lane.server_id: lane for lane in self.make_lanes()}
        self.models = {
            name: SplitModel.load(name) for name in {x.model_id for x in self.lanes.values()}
        }
        self.reported_slot = -1
        self.last_report: msg.ServerReport | None = None

        self.reports = self.advertise(names.SERVER_REPORT)
        self.results = self.advertise(names.RESULT_TX)
        self.news = self.advertise(names.TASK_REPORT)
        self.lifelines = [
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
        return values | {f'{key} provider': m.provider for key, m in self.models.items()}

    def close(self) -> None:
        """Stop the threads."""
        self.worker.shutdown(wait=False, cancel_futures=True)
        self.releases.close()

    def beat(self) -> None:
        """Say that the servers live, once they are connected."""
        if self.wired(*self.lifelines):
            self.reports.publish(self.report(-1, self.time.now_s()))

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
        states = []
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
                state.decision_slot = lane.decision_slot
                state.provider = self.models[lane.model_id].provider
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
                    lane.intake.expect(key)
            for server_id, goal in zip(batch.uav_id, batch.uav_goal, strict=False):
                if server_id in self.lanes:
                    self.on_goal(server_id, goal)
            for lane in self.lanes.values():
                lane.decision_slot = max(lane.decision_slot, batch.slot)
                lane.intake.flush()
        self.reports.publish(self.report(-1, self.time.now_s()))

    def on_payload(self, lane: Lane, payload: msg.Payload) -> None:
        """A payload has arrived over the air."""
        if not lane.alive:
            return
        if payload.server != lane.server_id or payload.model_id != lane.model_id:
            self.refuse(lane, payload, f'payload for {payload.model_id!r} at {lane.name}')
            return
        for name in ('ready_s', 'answer_bit'):
            value = getattr(payload, name)
            if not math.isfinite(value):
                self.refuse(lane, payload, f'{name} = {value}')
                return
        with self.lock:
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
        self.get_logger().warning(f'{lane.name} {"recovers" if lane.alive else "crashes"}')

    def schedule(self, lane: Lane, payload: msg.Payload) -> None:
        """Give a payload its place in the queue and hand it to the worker."""
        model = self.models[lane.model_id]
        if payload.cut >= len(model.cuts):
            self.refuse(lane, payload, f'no cut {payload.cut} of {lane.model_id!r}')
            return
        cut = model.cuts[payload.cut]
        try:
            tensor = decode(packet_from(payload), cut.shape, cut.dtype)
        except PayloadError as error:
            self.refuse(lane, payload, str(error))
            return
        share = lane.shares.pop((payload.task_id, payload.attempt), 0.0)
        used = share or 1.0
        stage = self.world.scenario.back(
            np.array(cut.back_flop),
            np.array(lane.server.flop_s * used),
            np.array(lane.server.compute_power_w * used),
        )
        service_s = float(stage.time_s)
        start_s = lane.queue.start_s(payload.ready_s, service_s, share)
        lane.waiting += 1
        payload.timing.wait_s = start_s - payload.ready_s
        payload.timing.back_s, payload.energy.back_j = service_s, float(stage.energy_j)
        self.worker.submit(self.compute, lane, lane.epoch, payload, tensor, start_s)

    def compute(
        self,
        lane: Lane,
        epoch: int,
        payload: msg.Payload,
        tensor: NDArray[np.generic],
        start_s: float,
    ) -> None:
        """Run the layers after the cut. On the worker's thread."""
        model = self.models[lane.model_id]
        began = time.perf_counter()
        try:
            answer, confidence = model.answer(model.run_back(payload.cut, tensor))
        except (PayloadError, ValueError) as error:
            with self.lock:
                if epoch != lane.epoch:
                    return
                lane.waiting -= 1
            self.refuse(lane, payload, f'inference_error: {error}')
            return
        inference_s = time.perf_counter() - began
        if self.chosen.compute == 'measured':
            start_s = self.measure(lane, payload, start_s, inference_s)
        result = msg.TaskResult(
            task_id=payload.task_id,
            device_id=payload.device_id,
            server=payload.server,
            slot=payload.slot,
            attempt=payload.attempt,
            model_id=payload.model_id,
            answer=answer,
            confidence=confidence,
            answer_bit=payload.answer_bit,
            inference_s=inference_s,
            created_s=payload.created_s,
            ready_s=start_s + payload.timing.back_s,
            timing=payload.timing,
            energy=payload.energy,
        )
        result.header.stamp = to_stamp(result.ready_s)
        self.releases.at(result.ready_s, lambda: self.send(lane, epoch, result))

    def measure(
        self, lane: Lane, payload: msg.Payload, start_s: float, inference_s: float
    ) -> float:
        """Replace modelled by measured compute time; returns when the work really began [s]."""
        if not self.time.lockstep:
            start_s = max(self.time.now_s() - inference_s, payload.ready_s)
        payload.timing.wait_s = start_s - payload.ready_s
        payload.timing.back_s = inference_s
        payload.energy.back_j = lane.server.compute_power_w * inference_s
        return start_s

    def send(self, lane: Lane, epoch: int, result: msg.TaskResult) -> None:
        """Send an answer, unless the server has crashed since."""
        with self.lock:
            if epoch != lane.epoch:
                return
            lane.waiting -= 1
            lane.energy_used_j += result.energy.back_j
        self.results.publish(result)

    def refuse(self, lane: Lane, payload: msg.Payload, reason: str) -> None:
        """Report that a payload cannot be used; it may be sent again."""
        with self.lock:
            lane.intake.gone((payload.task_id, payload.attempt))
        report = msg.TaskReport(
            kind=msg.TaskReport.LOST,
            reason=f'payload_refused: {reason}',
            reporter=lane.name,
            task_id=payload.task_id,
            attempt=payload.attempt,
            server=lane.server_id,
        )
        self.news.publish(report)
        self.complain('payload refused', f'{lane.name}: {reason}')


def with_energy(state: msg.ServerState, used_j: float, battery_j: float | None) -> msg.ServerState:
    """Fill in what a battery has given and still holds [J]."""
    state.energy_used_j = used_j
    state.has_battery = battery_j is not None
    state.energy_left_j = max(battery_j - used_j, 0.0) if battery_j is not None else 0.0
    return state
