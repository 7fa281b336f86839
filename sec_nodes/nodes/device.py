"""Node `device`: field devices that take pictures, run front layers and ask for answers."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rclpy.duration import Duration

from sec_nodes.inference.codec import encode
from sec_nodes.inference.pictures import Picture, PictureError
from sec_nodes.loop.ledger import Energy, Task, Timing
from sec_nodes.nodes import names
from sec_nodes.nodes.base import CommonParameters, SecNode, flown_kind, own_ids, run
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.parameters import parameter
from sec_nodes.nodes.task_messages import (
    energy_message,
    packet_fields,
    request_from,
    timing_message,
)
from sec_nodes.nodes.timing import Releases, RunTime
from sec_nodes.nodes.vector_messages import point, vector3
from sec_nodes.physics.randomness import load_distributions
from sec_nodes.slot import LOCAL
from sec_nodes.world import Sight
from sec_offload import msg

if TYPE_CHECKING:
    from sec_nodes.inference.engine import SplitModel
    from sec_nodes.nodes.data_source import DataSource


Place = tuple[str, int]
"""A network and its cut."""


class Front(NamedTuple):
    """The device's part of a task."""

    place: Place
    end_s: float
    """When the device has done it [s; simulation time]."""


@dataclass(frozen=True)
class Parameters(CommonParameters):
    """Parameters of the node `device`."""

    ids: str = parameter('all', "devices of this process: 'all' or a list such as 0-4,7")
    images: str = parameter('', 'folder of pictures; empty = scenes rendered by code')
    heartbeat_s: float = parameter(0.2, 'wall time between heartbeats [s]', low=0.02, high=10.0)


@dataclass(frozen=True)
class Pending:
    """A picture that waits for its answer."""

    task: Task
    sight: Sight
    taken: Future[Picture]

    @property
    def picture(self) -> Picture:
        """The picture, once the worker has it."""
        return self.taken.result()

    @property
    def truth(self) -> str:
        """The right answer, where that is known."""
        try:
            return self.picture.label or ''
        except PictureError:
            return ''

    @property
    def name(self) -> str:
        """Where the picture is from."""
        try:
            return self.picture.name
        except PictureError:
            return ''


class DeviceNode(SecNode):
    """Devices of one process, one step a slot."""

    def __init__(self) -> None:
        super().__init__('device', Parameters)
        chosen: Parameters = self.settings_of_run
        self.world = self.read_world()
        self.fleet = self.world.devices(
            own_ids(chosen.ids, self.world.settings.n_devices), chosen.seed
        )
        self.row_of = {int(device): row for row, device in enumerate(self.fleet.ids)}
        self.look = self.world.sights(chosen.images, chosen.seed)
        self.fronts = self.load_fronts()
        self.pending: dict[int, Pending] = {}
        self.fronts_begun: dict[int, Front] = {}
        self.tensors: dict[int, tuple[Place, NDArray[np.generic]]] = {}
        self.front_inference_s: dict[int, float] = {}
        self.tokens = 0
        self.lock = threading.Lock()
        self.time = RunTime(self)
        self.releases = Releases(self.time)
        self.worker = ThreadPoolExecutor(1, thread_name_prefix='inference')
        self.last_report: msg.DeviceReport | None = None
        load_distributions()

        self.reports = self.advertise(names.DEVICE_REPORT)
        self.payloads = self.advertise(names.PAYLOAD_TX)
        self.news = self.advertise(names.TASK_REPORT)
        self.lifelines: tuple[Any, ...] = (
            self.payloads,
            self.news,
            self.reports,
            self.listen(names.SLOT_START, self.on_slot_start),
            self.listen(names.ASSIGNMENTS, self.on_assignments),
            self.listen(names.TOKEN, self.on_token),
            self.listen(names.RESULT, self.on_result),
        )
        self.listen(names.TASK_OUTCOME, self.on_outcome)
        self.source: DataSource | None = None
        if self.world.relays is not None:
            from sec_nodes.nodes.data_source import DataSource

            self.source = DataSource(self, self.world, self.row_of, self.releases)
            self.lifelines += self.source.lifelines
        self.create_wall_timer(chosen.heartbeat_s, self.beat)

    def load_fronts(self) -> dict[str, SplitModel]:
        """Models by name, of which devices run the layers before a cut; none if they cannot."""
        if not self.world.scenario.devices_compute:
            return {}
        # its libraries take most of a second to import
        from sec_nodes.inference.engine import SplitModel

        return {name: SplitModel.load(name) for name in self.world.scenario.models.model_id}

    @property
    def codec(self) -> str:
        """How tensors travel."""
        return str(self.world.settings.codec)

    def health(self) -> dict[str, object]:
        """Pictures in memory, and what has been read of answers."""
        return {
            'devices': len(self.fleet.ids),
            'open tasks': len(self.pending),
            'tokens': self.tokens,
            **({'files kept': self.source.waiting} if self.source is not None else {}),
        }

    def close(self) -> None:
        """Stop the threads; tasks that were announced reach everybody."""
        self.worker.shutdown(wait=False, cancel_futures=True)
        self.releases.close()
        self.reports.wait_for_all_acked(Duration(seconds=1))

    def beat(self) -> None:
        """Say that the process lives, once it is connected."""
        if self.wired(*self.lifelines):
            self.reports.publish(self.report(-1, self.time.now_s(), []))

    def on_slot_start(self, message: msg.SlotStart) -> None:
        """Move, take new pictures, and report both. A repeated start gets the same report."""
        self.time.on_slot_start(message)
        if message.slot > self.fleet.slot:
            tasks = []
            for task in self.fleet.open_slot(message.slot, message.new_tasks):
                sight = self.look(task)
                asked = replace(task, prompt=sight.prompt)
                # while the slot is being decided there is time for it
                taken = self.worker.submit(sight.take)
                self.pending[task.task_id] = Pending(asked, sight, taken)
                tasks.append(asked)
            self.last_report = self.report(message.slot, message.start_s, tasks)
        if self.last_report is not None and self.last_report.slot == message.slot:
            self.reports.publish(self.last_report)

    def report(self, slot: int, now_s: float, tasks: list[Task]) -> msg.DeviceReport:
        """Where the devices are, and what is new."""
        report = msg.DeviceReport(
            slot=slot,
            device_id=[int(device) for device in self.fleet.ids],
            position=[point(position) for position in self.fleet.position_m],
            velocity=[vector3(velocity) for velocity in self.fleet.velocity_m_s],
            flop_s=self.fleet.flop_s.tolist(),
            backlog_s=self.fleet.backlog_s(now_s).tolist(),
            streaming=self.streaming(),
            tasks=[request_from(task) for task in tasks],
        )
        report.header.frame_id = names.MAP_FRAME
        report.header.stamp = to_stamp(now_s)
        return report

    def streaming(self) -> list[bool]:
        """Which devices have recorded data to be stored; none where nobody stores them."""
        recorded = getattr(self.fleet, 'streaming', None)
        return [] if recorded is None else [bool(one) for one in recorded]

    def on_assignments(self, batch: msg.AssignmentBatch) -> None:
        """Start the front part of every task of these devices."""
        for order in batch.assignments:
            row = self.row_of.get(order.device_id)
            if row is None or order.holder >= 0:  # a server passes its tensor on
                continue
            pending = self.pending.get(order.task_id)
            if pending is None:
                self.tell(order, msg.TaskReport.ERROR, 'unknown_task: the device restarted')
                continue
            self.start(batch.slot, order, row, pending)

    def start(self, slot: int, order: msg.Assignment, row: int, pending: Pending) -> None:
        """Reserve the device's processor and hand the picture to the worker."""
        models, name = self.world.scenario.models, order.model_id
        known = models.model_id.index(name) if name in models.model_id else None
        if known is None or order.split >= models.n_cuts[known] or self.cannot_stay(order):
            self.tell(order, msg.TaskReport.ERROR, f'no cut {order.split} of {name!r}')
            return
        scenario, flop_s = self.world.scenario, self.fleet.flop_s[row]
        front_flop = models.front_flop[known, order.split] * self.rounds(order)
        stage = scenario.front(front_flop, flop_s)
        ready_s, energy_j = self.front_end_s(row, order, float(stage.time_s)), stage.energy_j
        last = models.n_cuts[known] - 1
        if order.server == LOCAL and order.split < last:
            # a server was lost: the device goes on from what it had sent
            rest_flop = models.front_flop[known, last] * self.rounds(order) - front_flop
            rest = scenario.front(rest_flop, flop_s)
            rest_s = float(rest.time_s)
            ready_s = self.fleet.start_s(row, ready_s, rest_s) + rest_s
            energy_j = energy_j + rest.energy_j
        timing = Timing(front_s=ready_s - order.assigned_s)
        energy = Energy(front_j=float(energy_j))
        self.worker.submit(self.compute, slot, order, pending, ready_s, timing, energy)

    def rounds(self, order: msg.Assignment) -> float:
        """How often the layers before the cut run."""
        return 1.0

    def front_end_s(self, row: int, order: msg.Assignment, service_s: float) -> float:
        """When the device has done the layers before the cut [s]: for all tries once."""
        place = (order.model_id, order.split)
        begun = self.fronts_begun.get(order.task_id)
        if begun is None or begun.place != place:
            end_s = self.fleet.start_s(row, order.assigned_s, service_s) + service_s
            begun = self.fronts_begun[order.task_id] = Front(place, end_s)
        return max(begun.end_s, order.assigned_s)

    def cannot_stay(self, order: msg.Assignment) -> bool:
        """Whether an order asks a device to compute that cannot."""
        return order.server == LOCAL and not self.world.scenario.devices_compute

    def compute(
        self,
        slot: int,
        order: msg.Assignment,
        pending: Pending,
        ready_s: float,
        timing: Timing,
        energy: Energy,
    ) -> None:
        """Run the layers before the cut and send what comes out. On the worker's thread."""
        try:
            if self.fronts:
                tensor = self.run_front(order, pending)
                if order.server == LOCAL:
                    answer, confidence = self.answer_from(order, tensor)
                    report = self.answered(order, answer, confidence, ready_s, timing, energy)
                    self.releases.at(ready_s, lambda: self.deliver(report))
                    return
                packet = encode(tensor, self.codec)
            else:
                packet = encode(pending.picture.image)
        except PictureError as error:
            self.tell(order, msg.TaskReport.ERROR, f'no_picture: {error}')
            return
        except Exception as error:  # ONNX Runtime's errors have no common base
            reason = str(error) or type(error).__name__
            self.tell(order, msg.TaskReport.ERROR, f'inference_error: {reason}')
            return
        payload = msg.Payload(
            task_id=order.task_id,
            device_id=order.device_id,
            server=order.server,
            slot=slot,
            attempt=order.attempt,
            model_id=order.model_id,
            cut=order.split,
            prompt=order.prompt,
            steps=order.steps,
            power_w=order.power_w,
            answer_bit=order.answer_bit,
            created_s=order.created_s,
            ready_s=ready_s,
            timing=timing_message(timing),
            energy=energy_message(energy),
            **packet_fields(packet),
        )
        payload.header.stamp = to_stamp(ready_s)
        self.releases.at(ready_s, lambda: self.payloads.publish(payload))

    def run_front(self, order: msg.Assignment, pending: Pending) -> NDArray[np.generic]:
        """What comes out of the layers before the cut, run once for all tries."""
        place = (order.model_id, order.split)
        with self.lock:
            found = self.tensors.get(order.task_id)
        if found is not None and found[0] == place:
            return found[1]
        began = time.perf_counter()
        tensor = self.fronts[order.model_id].run_front(order.split, pending.picture.image)
        with self.lock:
            if order.task_id in self.pending:
                self.tensors[order.task_id] = place, tensor
                self.front_inference_s[order.task_id] = time.perf_counter() - began
        return tensor

    def answer_from(self, order: msg.Assignment, tensor: NDArray[np.generic]) -> tuple[str, float]:
        """Run the layers after the cut here, after those before it."""
        began = time.perf_counter()
        model = self.fronts[order.model_id]
        answer = model.answer(model.run_back(order.split, tensor))
        with self.lock:
            if order.task_id in self.pending:
                self.front_inference_s[order.task_id] += time.perf_counter() - began
        return answer

    def on_token(self, chunk: msg.TokenChunk) -> None:
        """A piece of an answer has arrived over the air; it is there to be read as it comes."""
        if chunk.device_id in self.row_of and chunk.task_id in self.pending:
            self.tokens += 1

    def on_result(self, result: msg.TaskResult) -> None:
        """An answer has arrived over the air."""
        if result.device_id not in self.row_of or result.task_id not in self.pending:
            return
        report = self.news_of(result.task_id, result.attempt, result.server)
        report.answer, report.confidence = result.answer, result.confidence
        report.answered_s = result.ready_s
        report.timing, report.energy = result.timing, result.energy
        report.back_inference_s = result.inference_s
        report.tokens, report.batch = result.tokens, result.batch
        report.first_token_s = result.first_token_s
        self.deliver(report)

    def answered(
        self,
        order: msg.Assignment,
        answer: str,
        confidence: float,
        ready_s: float,
        timing: Timing,
        energy: Energy,
    ) -> msg.TaskReport:
        """A report on a task that the device answered by itself."""
        report = self.news_of(order.task_id, order.attempt, LOCAL)
        report.answer, report.confidence, report.answered_s = answer, confidence, ready_s
        report.timing, report.energy = timing_message(timing), energy_message(energy)
        return report

    def deliver(self, report: msg.TaskReport) -> None:
        """Report an answer, with the instant at which it was really there."""
        now_s = self.time.now_s()
        report.observed_s = report.answered_s if self.time.lockstep else now_s
        self.news.publish(report)

    def tell(self, order: msg.Assignment, kind: int, reason: str) -> None:
        """Report that a try failed."""
        report = self.news_of(order.task_id, order.attempt, order.server)
        report.kind, report.reason = kind, reason
        self.news.publish(report)

    def news_of(self, task_id: int, attempt: int, server: int) -> msg.TaskReport:
        """A report with what is known in every case."""
        pending = self.pending.get(task_id)
        with self.lock:
            front_s = self.front_inference_s.get(task_id, 0.0)
        report = msg.TaskReport(
            task_id=task_id, attempt=attempt, server=server, reporter=self.get_name()
        )
        report.header.stamp = to_stamp(self.time.now_s())
        report.front_inference_s = front_s
        if pending is not None:
            report.truth, report.picture = pending.truth, pending.name
            report.prompt, report.question_kind = pending.sight.prompt, pending.sight.kind
        return report

    def on_outcome(self, outcome: msg.TaskOutcome) -> None:
        """The task is over: its picture, and what was computed of it, are no longer needed."""
        with self.lock:
            for kept in (self.pending, self.fronts_begun, self.tensors, self.front_inference_s):
                kept.pop(outcome.task_id, None)


def make() -> DeviceNode:
    """The node as its scenario needs it."""
    with flown_kind('device') as kind:
        if kind != 'missions':
            return DeviceNode()
        from sec_nodes.nodes.mission_device import MissionDeviceNode

        return MissionDeviceNode()


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(make, args)


if __name__ == '__main__':
    main()
