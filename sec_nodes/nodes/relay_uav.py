"""Node `uav` where UAVs pass things on: urgent frames and stored data, to a satellite."""

from __future__ import annotations

import math
import time
from typing import Any

from sec_nodes.inference.codec import PayloadError, encode
from sec_nodes.loop.relay import (
    NOBODY,
    FrameAnswer,
    Key,
    Order,
    Phase,
    RelaySlot,
    SatelliteShare,
)
from sec_nodes.nodes import names
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.relay_storing import StoringUavs, UavSlot
from sec_nodes.nodes.relaying import FrameTask
from sec_nodes.nodes.serving import Lane
from sec_nodes.nodes.task_messages import packet_fields
from sec_nodes.nodes.uav import UavNode
from sec_nodes.nodes.vector_messages import are_finite
from sec_nodes.scenarios.maritime import stages
from sec_offload import msg

RESULT_PATIENCE_S = 8.0
"""Wall time beyond its due time for the satellite's answers [s]; tries are given up after 15 s."""
SLOTS_OPEN = 3
"""Slots after which one that is not done waits for its satellite no longer."""
REMEMBERED = 10_000
"""Lost tries that are remembered, should their assignment come later."""


class RelayUavNode(StoringUavs, UavNode):
    """UAVs of one process that compute batches of frames together with a satellite."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[tuple[int, int], UavSlot] = {}
        self.early: dict[Key, msg.Payload] = {}
        self.gone: dict[Key, None] = {}
        self.relays = self.advertise(names.RELAY_TX)
        self.relay_reports = self.advertise(names.RELAY_REPORT)
        self.grants = self.advertise(names.DATA_GRANT)
        self.lifelines += [
            self.relays,
            self.grants,
            self.listen(names.RELAY_RESULT, self.on_relay_result),
        ]
        self.set_up_relaying()

    def describe(self, time_s: float) -> list[msg.ServerState]:
        """Where the UAVs are, and what they store."""
        states = super().describe(time_s)
        for lane, state in zip(self.lanes.values(), states, strict=True):
            state.stored_bit = self.stored_bit(lane)
            state.storage_bit = self.world.settings.uavs.storage_bit
        return states

    def lose_work(self, lane: Lane) -> None:
        """What is under way is gone, but not what is on disk."""
        super().lose_work(lane)
        for server_id, number in list(self.open):
            if server_id == lane.server_id:
                del self.open[server_id, number]
                lane.decision_slot = max(lane.decision_slot, number)

    # -- urgent data -----------------------------------------------------------------------------

    def on_assignments(self, batch: msg.AssignmentBatch) -> None:
        """Open the slot of every UAV, or go on without a satellite that was lost."""
        with self.lock:
            orders = {order.server_id: order for order in batch.relays}
            if batch.repair:
                for slot in list(self.open.values()):
                    order = orders.get(slot.lane.server_id)
                    if order is not None and order.satellite == NOBODY:
                        self.lose_satellite(slot, 'the coordinator says so', for_good=True)
                super().on_assignments(batch)
                return
            opened = [
                self.open_slot(lane, batch, orders.get(lane.server_id))
                for lane in self.lanes.values()
                if lane.is_heard and lane.decision_slot < batch.slot
                if (lane.server_id, batch.slot) not in self.open
            ]
            super().on_assignments(batch)
            for slot in opened:
                for key in [key for key in self.early if slot.relay.awaits(key)]:
                    self.schedule(slot.lane, self.early.pop(key))
                self.go_on(slot)

    def acknowledge(self, lane: Lane, batch: msg.AssignmentBatch) -> None:
        """A slot that is under way is acknowledged when it is done."""
        if (lane.server_id, batch.slot) not in self.open:
            super().acknowledge(lane, batch)

    def open_slot(
        self, lane: Lane, batch: msg.AssignmentBatch, message: msg.RelayOrder | None
    ) -> UavSlot:
        """What a UAV has to do in a slot that was decided."""
        tasks = {
            (order.task_id, order.attempt): order.input_bit
            for order in batch.assignments
            if order.server == lane.server_id and 0 < order.input_bit < math.inf
        }
        relay = RelaySlot(
            self.world.settings,
            self.order_from(lane, message),
            tasks,
            measured=self.chosen.compute == 'measured',
        )
        for key in tasks:
            if key in self.gone:
                del self.gone[key]
                relay.gone(key)
        start_s = batch.slot * self.world.settings.slot_s
        slot = UavSlot(lane, batch.slot, start_s, relay)
        self.open[lane.server_id, batch.slot] = slot
        return slot

    def order_from(self, lane: Lane, message: msg.RelayOrder | None) -> Order:
        """What was decided for a UAV; nothing, if that makes no sense."""
        if message is None:
            return Order()
        settings = self.world.settings
        rates, devices = list(message.stream_rate_bit_s), list(message.stream_device_id)
        own = range(lane.server_id * settings.columns, (lane.server_id + 1) * settings.columns)
        numbers = (message.power_w, message.cpu_hz, message.start_s, message.upload_rate_bit_s)
        sound = (
            0 <= message.ratio <= 1
            and all(0 <= number < math.inf for number in (*numbers, *rates))
            and len(rates) == len(devices)
            and all(device in own for device in devices)
            and (message.satellite == NOBODY or self.is_satellite(message.satellite))
        )
        if not sound:
            self.complain('bad relay order', f'{lane.name}: {message}')
            return Order()
        return Order(
            ratio=message.ratio,
            power_w=message.power_w,
            cpu_hz=message.cpu_hz,
            start_s=message.start_s,
            satellite=message.satellite,
            upload_rate_bit_s=message.upload_rate_bit_s,
            streams=dict(zip(devices, rates, strict=True)),
        )

    def is_satellite(self, server: int) -> bool:
        """Whether a server is one."""
        settings = self.world.settings
        return bool(settings.uavs.count <= server < settings.n_servers)

    def schedule(self, lane: Lane, payload: msg.Payload) -> None:
        """Take in the frames of a device."""
        key = (payload.task_id, payload.attempt)
        slot = self.open.get((lane.server_id, payload.slot))
        if slot is None and payload.slot > lane.decision_slot:
            # it was faster than the assignments
            self.early[key] = payload
            while len(self.early) > REMEMBERED:
                del self.early[next(iter(self.early))]
            return
        if slot is None or not slot.relay.awaits(key):
            self.refuse(lane, payload, f'not awaited in slot {payload.slot}')
            return
        try:
            pictures = self.frames_from(lane, payload)
        except PayloadError as error:
            self.refuse(lane, payload, str(error))
            return
        slot.payloads[key], slot.pictures[key] = payload, pictures
        slot.relay.arrived(key, max(payload.ready_s - slot.start_s, 0.0), len(pictures))
        self.go_on(slot)

    def on_task_report(self, report: msg.TaskReport) -> None:
        """A try was lost elsewhere: its payload will not come."""
        with self.lock:
            super().on_task_report(report)
            lane = self.lanes.get(report.server)
            if lane is not None and report.kind != msg.TaskReport.ANSWERED:
                self.forget(lane, (report.task_id, report.attempt))

    def tell(self, lane: Lane, payload: msg.Payload, kind: int, reason: str) -> None:
        """Report that a payload will not be answered, and do not wait for it."""
        super().tell(lane, payload, kind, reason)
        with self.lock:
            self.forget(lane, (payload.task_id, payload.attempt))

    def forget(self, lane: Lane, key: Key) -> None:
        """Go on without a payload."""
        for slot in [slot for slot in self.open.values() if slot.lane is lane]:
            if slot.relay.awaits(key):
                slot.relay.gone(key)
                self.go_on(slot)
                return
        self.gone[key] = None
        while len(self.gone) > REMEMBERED:
            del self.gone[next(iter(self.gone))]

    def go_on(self, slot: UavSlot) -> None:
        """Take the steps that are due."""
        if slot.relay.phase is Phase.GATHERING and slot.relay.is_gathered:
            self.compute(slot)
        if slot.relay.is_computed:
            self.answer(slot)

    def compute(self, slot: UavSlot) -> None:
        """All urgent data are there: the last frames go to the satellite, the first stay."""
        relay = slot.relay
        relay.begin()
        if relay.awaits_satellite:
            self.send_frames(slot)
        self.ask(slot.lane, slot, slot.frames(relay.own_frames))

    def send_frames(self, slot: UavSlot) -> None:
        """Send the satellite its frames, stacked."""
        relay, order = slot.relay, slot.relay.order
        pictures = [picture for _, picture in slot.frames(relay.sent_frames)]
        ready_s = slot.start_s + relay.upload_s
        message = msg.RelayBatch(
            slot=slot.number,
            uav=slot.lane.server_id,
            satellite=order.satellite,
            size_bit=relay.sent_bit,
            power_w=order.power_w,
            cpu_hz=order.cpu_hz,
            model_id=self.world.server(order.satellite).model_id,
            ready_s=ready_s,
            **packet_fields(encode(pictures)),
        )
        message.header.stamp = to_stamp(ready_s)
        settings = self.world.settings
        execute_s = float(stages.on_satellite(settings, relay.sent_bit, order.cpu_hz).time_s)
        longest_s = min(execute_s + settings.slot_s, SLOTS_OPEN * settings.slot_s)
        wait_s = max(self.time.wall_until(ready_s + longest_s), 0.0)
        slot.due_at = time.monotonic() + wait_s + self.patience * RESULT_PATIENCE_S
        self.releases.at(ready_s, lambda: self.say(slot.lane, self.relays, message))

    def on_relay_result(self, result: msg.RelayResult) -> None:
        """The satellite has answered, or will not."""
        with self.lock:
            slot = self.open.get((result.uav, result.slot))
            if slot is not None and slot.lane.mute:
                return
            if slot is None or not slot.relay.awaits_satellite:
                if result.uav in self.lanes:
                    self.complain('relay result not asked for', f'slot {result.slot}')
                return
            lost = result.lost or self.fault(slot, result)
            if lost:
                sent_s = result.transmit_s if 0 <= result.transmit_s < math.inf else 0.0
                self.lose_satellite(slot, lost, sent_s)
                return
            share = SatelliteShare(
                transmit_s=result.transmit_s,
                execute_s=result.execute_s,
                energy_j=result.energy_j,
                finish_s=result.ready_s - slot.start_s,
                inference_s=result.inference_s,
            )
            answers = [
                FrameAnswer(answer, confidence, result.inference_s / len(result.answers))
                for answer, confidence in zip(result.answers, result.confidence, strict=True)
            ]
            slot.relay.satellite_answered(share, answers)
            self.go_on(slot)

    def fault(self, slot: UavSlot, result: msg.RelayResult) -> str:
        """What is wrong with answers of the satellite; empty if nothing is."""
        expected = len(slot.relay.sent_frames)
        if len(result.answers) != expected or len(result.confidence) != expected:
            return f'{len(result.answers)} answers to {expected} frames'
        for name in ('transmit_s', 'execute_s', 'energy_j', 'inference_s', 'ready_s'):
            value = getattr(result, name)
            if not 0 <= value < math.inf:
                return f'{name} = {value}'
        return '' if are_finite(*result.confidence) else 'a confidence is no number'

    def lose_satellite(
        self, slot: UavSlot, reason: str, transmit_s: float = 0.0, for_good: bool = False
    ) -> None:
        """The UAV computes by itself what the satellite should have.

        Args:
            slot: where that happens.
            reason: why.
            transmit_s: how long frames were sent in vain [s].
            for_good: the satellite is not there, so that it cannot take stored data either.
        """
        self.complain('satellite lost', f'{slot.lane.name} in slot {slot.number}: {reason}')
        if for_good:
            slot.relay.without_satellite()
        if slot.relay.awaits_satellite:
            lost = slot.relay.satellite_lost(transmit_s)
            self.ask(slot.lane, slot, slot.frames(lost))
            self.go_on(slot)
        elif for_good and slot.handover is not None:
            slot.handover.give_up()
            self.finish(slot)

    def frame_answered(self, task: FrameTask, answer: FrameAnswer) -> None:
        """A frame is answered."""
        task.owner.relay.answered(task.frame, answer)
        self.go_on(task.owner)

    def frame_failed(self, task: FrameTask, reason: str) -> None:
        """A frame cannot be answered."""
        task.owner.relay.failed(task.frame, reason)
        self.go_on(task.owner)

    def answer(self, slot: UavSlot) -> None:
        """All frames are done: answer the tasks, and look after stored data when it is time."""
        relay = slot.relay
        relay.phase, slot.due_at = Phase.STORING, math.inf
        finish_s = slot.start_s + relay.finish_s
        self.at(slot, finish_s, lambda: self.send_results(slot))
        self.at(slot, slot.start_s + relay.upload_start_s, lambda: self.collect(slot))

    def at(self, slot: UavSlot, time_s: float, action: Any) -> None:
        """Do something at an instant of the run [s], unless the UAV has crashed by then."""

        epoch = slot.lane.epoch

        def act() -> None:
            with self.lock:
                if epoch == slot.lane.epoch:
                    action()

        self.releases.at(time_s, act)

    def send_results(self, slot: UavSlot) -> None:
        """Answer the urgent tasks, all at the same time."""
        relay, lane = slot.relay, slot.lane
        done_s = slot.start_s + relay.finish_s
        energy_j = relay.urgent_j
        for key in relay.frames_of:
            payload, found = slot.payloads[key], relay.answer_of(key)
            if found.failure:
                self.refuse(lane, payload, found.failure)
                continue
            own_s = payload.ready_s - slot.start_s
            payload.timing.wait_s = max(relay.upload_s - own_s, 0.0)
            payload.timing.back_s = relay.finish_s - relay.upload_s
            payload.energy.back_j = energy_j * relay.size_bit[key] / relay.batch_bit
            result = msg.TaskResult(
                task_id=payload.task_id,
                device_id=payload.device_id,
                server=payload.server,
                slot=payload.slot,
                attempt=payload.attempt,
                model_id=payload.model_id,
                answer=found.answer,
                confidence=found.confidence,
                answer_bit=payload.answer_bit,
                inference_s=found.inference_s,
                batch=len(relay.frames_of),
                created_s=payload.created_s,
                ready_s=done_s,
                timing=payload.timing,
                energy=payload.energy,
            )
            result.header.stamp = to_stamp(done_s)
            self.say(lane, self.results, result)

    def look_after(self) -> None:
        """Go on without a satellite, devices or receipts that do not come."""
        at = time.monotonic()
        with self.lock:
            for slot in list(self.open.values()):
                if slot.handover is not None and slot.handover.is_overdue(at, self.patience):
                    self.complain('no receipt', f'{slot.lane.name} in slot {slot.number}')
                    slot.handover.give_up()
                    self.finish(slot)
                elif slot.missing and at > slot.due_at:
                    missing = ', '.join(sorted(slot.missing)[:8])
                    self.complain('no data', f'{slot.lane.name} in slot {slot.number}: {missing}')
                    self.upload(slot)
                elif slot.relay.awaits_satellite and at > slot.due_at:
                    self.lose_satellite(slot, 'it does not answer', for_good=True)
