"""The channel where uploads take many slots: programs and what comes out of front layers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sec_nodes.loop.uploads import Leg, Upload
from sec_nodes.nodes import names
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.timing import Releases
from sec_nodes.world import World
from sec_offload import msg

if TYPE_CHECKING:
    from sec_nodes.nodes.channel import ChannelNode, SlotLinks

Key = tuple[int, int]
PATIENCE_S = 30.0
"""Wall time that a slot waits for what devices are to hand over, in lockstep [s]."""


@dataclass
class Journey:
    """An upload with the order that it follows from, and the messages that it carries."""

    order: msg.Assignment
    upload: Upload
    program: msg.Program | None = None
    payload: msg.Payload | None = None
    since: float = field(default_factory=time.monotonic)


class UploadLinks:
    """Carries programs and payloads of missions, slot by slot.

    Args:
        node: the channel.
        world: the system of the run.
        releases: keeps messages until they arrive.
        is_cut: whether the links of a server are cut.
    """

    def __init__(
        self,
        node: ChannelNode,
        world: World,
        releases: Releases,
        is_cut: Callable[[int], bool],
    ) -> None:
        self._node, self._world, self._releases, self._is_cut = node, world, releases, is_cut
        self._journeys: dict[Key, Journey] = {}
        self._early: dict[Key, list[Any]] = {}
        self._now: SlotLinks | None = None
        scenario = world.scenario
        self._programs = {
            server: node.advertise(names.VEHICLE_PROGRAM.of(scenario.server_name(server)))
            for server in range(world.settings.n_servers)
        }
        self.lifelines = (
            *self._programs.values(),
            node.listen(names.PROGRAM_TX, self.on_program),
        )
        node.listen(names.TASK_REPORT, self.on_task_report)
        node.listen(names.TASK_OUTCOME, self.on_outcome)

    def awaits_devices(self) -> bool:
        """Whether devices have not handed over yet what they were ordered to upload."""
        now = time.monotonic()
        return any(
            not journey.upload.is_handed_over and now - journey.since < PATIENCE_S
            for journey in self._journeys.values()
        )

    def rows(self) -> list[msg.MissionUpload]:
        """How far all uploads have got, in the order of their tasks."""
        return [_row(journey) for _, journey in sorted(self._journeys.items())]

    def open_slot(self, links: SlotLinks) -> None:
        """Send what the links of a new slot let through."""
        self._now = links
        for key in list(self._journeys):
            self._advance(key)

    def on_order(self, order: msg.Assignment) -> None:
        """A device is to upload; what it has handed over already goes at once."""
        models = self._world.scenario.models
        model, key = models.model_id.index(order.model_id), (order.task_id, order.attempt)
        if order.server not in self._programs or key in self._journeys:
            return
        self._journeys[key] = Journey(
            order,
            Upload(
                Leg(float(models.back_flop[model, order.split])),
                Leg(float(models.cut_bit[model, order.split])),
            ),
        )
        for item in self._early.pop(key, []):
            self._take(key, item)

    def on_program(self, program: msg.Program) -> None:
        """A device hands over the layers behind its cut."""
        self.hand_over(program)

    def hand_over(self, item: Any) -> None:
        """A device hands over a program, or a payload."""
        key = (item.task_id, item.attempt)
        if not 0 <= item.ready_s < math.inf:
            self._node.lose(item, f'payload_lost: ready_s = {item.ready_s}')
        elif key in self._journeys:
            self._take(key, item)
        else:
            # it was faster than the assignments that it follows
            self._early.setdefault(key, []).append(item)

    def on_task_report(self, report: msg.TaskReport) -> None:
        """A try is over: nothing more of it is sent."""
        if report.kind != msg.TaskReport.ANSWERED:
            self._forget((report.task_id, report.attempt))

    def on_outcome(self, outcome: msg.TaskOutcome) -> None:
        """A task is over."""
        for key in [key for key in (*self._journeys, *self._early) if key[0] == outcome.task_id]:
            self._forget(key)

    def _forget(self, key: Key) -> None:
        self._journeys.pop(key, None)
        self._early.pop(key, None)

    def _take(self, key: Key, item: Any) -> None:
        journey = self._journeys[key]
        if isinstance(item, msg.Program):
            journey.program, journey.upload.program_from_s = item, item.ready_s
        else:
            journey.payload, journey.upload.result_from_s = item, item.ready_s
        self._advance(key)
        self._node.answer_waiting()

    def _advance(self, key: Key) -> None:
        """Send what the current slot lets through, and announce what arrives in it."""
        journey, slot = self._journeys[key], self._now
        order, upload = journey.order, journey.upload
        if slot is None or order.device_id not in slot.row or order.server not in slot.column:
            return
        if self._node.time.lockstep and not upload.is_handed_over:
            return
        had_program, had_result = upload.program.end_s is not None, upload.arrived_s is not None
        rate_bit_s = float(
            slot.links.rate_bit_s[slot.row[order.device_id], slot.column[order.server]]
        )
        end_s = slot.start_s + self._world.settings.slot_s
        upload.advance(slot.start_s, end_s, 0.0 if self._is_cut(order.server) else rate_bit_s)
        if upload.program.end_s is not None and not had_program:
            self._deliver_program(journey, upload.program.end_s)
        if upload.arrived_s is not None and not had_result:
            self._deliver_payload(journey, upload.arrived_s, slot.start_s)

    def _deliver_program(self, journey: Journey, arrived_s: float) -> None:
        program = journey.program
        assert program is not None
        program.ready_s, program.header.stamp = arrived_s, to_stamp(arrived_s)
        publisher = self._programs[journey.order.server]
        self._releases.at(arrived_s, lambda: publisher.publish(program))

    def _deliver_payload(self, journey: Journey, arrived_s: float, slot_start_s: float) -> None:
        payload = journey.payload
        assert payload is not None
        payload.timing.upload_s = arrived_s - payload.ready_s
        payload.energy.upload_j = journey.order.power_w * journey.upload.on_air_s
        payload.ready_s, payload.header.stamp = arrived_s, to_stamp(arrived_s)
        payload.slot = round(slot_start_s / self._world.settings.slot_s)
        publisher = self._node.payloads[journey.order.server]
        self._releases.at(arrived_s, lambda: publisher.publish(payload))


def _row(journey: Journey) -> msg.MissionUpload:
    order, upload = journey.order, journey.upload
    return msg.MissionUpload(
        **{
            name: getattr(order, name)
            for name in (
                'task_id', 'device_id', 'server', 'attempt', 'model_id', 'split', 'compute_share',
                'steps', 'created_s', 'deadline_s',
            )
        },
        program_bit=upload.program.sent_bit,
        intermediate_bit=upload.result.sent_bit,
        program_s=-1.0 if upload.program.end_s is None else upload.program.end_s,
        arrived_s=-1.0 if upload.arrived_s is None else upload.arrived_s,
    )  # fmt: skip
