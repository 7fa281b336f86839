"""Node `satellite` where UAVs pass things on: it computes their frames and carries their data."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import partial

from sec_nodes.inference.codec import PayloadError
from sec_nodes.loop.deliveries import GROUND_STATION
from sec_nodes.loop.handover import Handover, whole_bytes
from sec_nodes.loop.relay import FrameAnswer, at_measured_time
from sec_nodes.loop.store import StoreError
from sec_nodes.nodes import names
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.relaying import FrameTask, RelayingNode
from sec_nodes.nodes.satellite import SatelliteNode
from sec_nodes.nodes.serving import Lane
from sec_nodes.scenarios.maritime import stages
from sec_nodes.world.maritime import MaritimeWorld
from sec_offload import msg


@dataclass
class Share:
    """Frames of a UAV that are being answered."""

    lane: Lane
    batch: msg.RelayBatch
    frames: int
    answers: dict[int, FrameAnswer] = field(default_factory=dict)
    failure: str = ''


@dataclass
class Pass:
    """What goes down to the ground in a slot."""

    slot: int
    handover: Handover


class RelaySatelliteNode(RelayingNode, SatelliteNode):
    """The satellite that UAVs pass things on to."""

    world: MaritimeWorld

    def __init__(self) -> None:
        super().__init__()
        self.snapshot: dict[int, set[str]] = {}
        """Files that each satellite held whole when the slot began, by server."""
        self.passes: dict[int, Pass] = {}
        """What goes down now, by server."""
        self.shares = self.advertise(names.RELAY_RESULT_TX)
        self.lifelines.append(self.shares)
        self.set_up_relaying()
        for lane in self.lanes.values():
            topic = names.VEHICLE_RELAY.of(lane.name)
            self.lifelines.append(self.listen(topic, partial(self.on_relay, lane)))

    def describe(self, time_s: float) -> list[msg.ServerState]:
        """Where the satellite is, what it carries, and whether the ground station sees it."""
        slot = max(self.reported_slot, 0)
        states = super().describe(time_s)
        for lane, state in zip(self.lanes.values(), states, strict=True):
            state.stored_bit = self.stored_bit(lane)
            state.ground_contact = self.world.ground_in_view(slot)
        return states

    def lose_work(self, lane: Lane) -> None:
        """What is under way is gone, but not what is on disk."""
        super().lose_work(lane)
        given_up = self.passes.pop(lane.server_id, None)
        if given_up is not None:
            lane.decision_slot = max(lane.decision_slot, given_up.slot)

    # -- urgent data -----------------------------------------------------------------------------

    def schedule(self, lane: Lane, payload: msg.Payload) -> None:
        """Devices cannot reach the satellite."""
        self.refuse(lane, payload, f'{lane.name} takes frames from UAVs only')

    def on_relay(self, lane: Lane, batch: msg.RelayBatch) -> None:
        """A UAV's share of frames has arrived."""
        with self.lock:
            if not lane.is_heard:
                return
            try:
                self.check(lane, batch)
                pictures = self.frames_from(lane, batch)
            except PayloadError as error:
                self.lose(lane, batch, str(error))
                return
            share = Share(lane, batch, len(pictures))
            self.ask(lane, share, enumerate(pictures))

    def check(self, lane: Lane, batch: msg.RelayBatch) -> None:
        """See whether a batch is for this satellite, and its numbers can be used.

        Raises:
            PayloadError: they cannot.
        """
        if batch.satellite != lane.server_id or batch.model_id != lane.model_id:
            raise PayloadError(
                f'batch for {batch.model_id[:80]!r} at server {batch.satellite}, not {lane.name}'
            )
        if not math.isfinite(batch.ready_s):
            raise PayloadError(f'ready_s = {batch.ready_s}')
        for name in ('size_bit', 'cpu_hz'):
            value = getattr(batch, name)
            if not 0 < value < math.inf:
                raise PayloadError(f'{name} = {value}')
        if not 0 <= batch.transmit_s < math.inf:
            raise PayloadError(f'transmit_s = {batch.transmit_s}')

    def lose(self, lane: Lane, batch: msg.RelayBatch, reason: str) -> None:
        """Tell a UAV that it gets no answers."""
        self.complain('relay batch refused', f'{lane.name}, UAV {batch.uav}: {reason}')
        sent_s = batch.transmit_s if 0 <= batch.transmit_s < math.inf else 0.0
        ready_s = batch.ready_s if math.isfinite(batch.ready_s) else self.time.now_s()
        result = msg.RelayResult(
            slot=batch.slot,
            uav=batch.uav,
            satellite=lane.server_id,
            lost=reason,
            transmit_s=sent_s,
            ready_s=ready_s,
        )
        self.say(lane, self.shares, result)

    def frame_answered(self, task: FrameTask, answer: FrameAnswer) -> None:
        """A frame is answered."""
        task.owner.answers[task.frame] = answer
        self.answer(task.owner)

    def frame_failed(self, task: FrameTask, reason: str) -> None:
        """A frame cannot be answered, and with it the whole share."""
        share: Share = task.owner
        if not share.failure:
            share.failure = reason
            self.lose(share.lane, share.batch, reason)

    def answer(self, share: Share) -> None:
        """All frames are done: the answers leave when the scenario's satellite has them."""
        if share.failure or len(share.answers) < share.frames:
            return
        lane, batch = share.lane, share.batch
        answers = [share.answers[frame] for frame in range(share.frames)]
        inference_s = sum(one.inference_s for one in answers)
        stage = stages.on_satellite(self.world.settings, batch.size_bit, batch.cpu_hz)
        execute_s, energy_j = float(stage.time_s), float(stage.energy_j)
        if self.chosen.compute == 'measured':
            execute_s, energy_j = at_measured_time(stage, inference_s)
        result = msg.RelayResult(
            slot=batch.slot,
            uav=batch.uav,
            satellite=lane.server_id,
            answers=[one.answer for one in answers],
            confidence=[one.confidence for one in answers],
            transmit_s=batch.transmit_s,
            execute_s=execute_s,
            energy_j=energy_j,
            inference_s=inference_s,
            ready_s=batch.ready_s + execute_s,
        )
        result.header.stamp = to_stamp(result.ready_s)
        epoch = lane.epoch

        def leave() -> None:
            with self.lock:
                if epoch == lane.epoch:
                    lane.energy_used_j += energy_j
                    self.say(lane, self.shares, result)

        self.releases.at(result.ready_s, leave)

    # -- stored data -----------------------------------------------------------------------------

    def on_slot_start(self, message: msg.SlotStart) -> None:
        """Take down what is there whole: what comes within the slot goes down in a later one."""
        with self.lock:
            if message.slot > self.reported_slot:
                for lane in self.lanes.values():
                    store = self.carriers[lane.server_id].store
                    self.snapshot[lane.server_id] = {one.file_id for one in store.whole()}
            super().on_slot_start(message)

    def stored(self, lane: Lane, batch: msg.DataBatch, receipt: msg.DataReceipt) -> None:
        """Data of a UAV have come."""

    def acknowledge(self, lane: Lane, batch: msg.AssignmentBatch) -> None:
        """A slot is acknowledged when the ground has what it brings down."""
        if batch.repair or lane.decision_slot >= batch.slot or not lane.is_heard:
            super().acknowledge(lane, batch)
            return
        under_way = self.passes.get(lane.server_id)
        if under_way is not None and under_way.slot >= batch.slot:
            return
        if not self.world.ground_in_view(batch.slot):
            super().acknowledge(lane, batch)
            return
        settings, store = self.world.settings, self.carriers[lane.server_id].store
        budget_byte = whole_bytes(settings, settings.ground_station.rate_bit_s * settings.slot_s)
        store.rewind()
        try:
            run = Handover(store, budget_byte, self.snapshot.get(lane.server_id, set()))
        except StoreError as error:
            self.complain('store', str(error))
            super().acknowledge(lane, batch)
            return
        self.passes[lane.server_id] = Pass(batch.slot, run)
        self.bring_down(lane)

    def bring_down(self, lane: Lane) -> None:
        """Send what may be sent now; after the last receipt the slot is done."""
        under_way = self.passes[lane.server_id]
        run, settings = under_way.handover, self.world.settings
        try:
            self.send_parcels(
                lane,
                run,
                msg.DataBatch(slot=under_way.slot, receiver=GROUND_STATION),
                under_way.slot * settings.slot_s,
                settings.ground_station.rate_bit_s,
            )
        except StoreError as error:
            self.complain('store', str(error))
            run.give_up()
        if run.is_done:
            del self.passes[lane.server_id]
            lane.decision_slot = max(lane.decision_slot, under_way.slot)
            self.reports.publish(self.report(-1, self.time.now_s()))

    def on_receipt(self, receipt: msg.DataReceipt) -> None:
        """The ground station holds data."""
        with self.lock:
            for lane in self.lanes.values():
                under_way = self.passes.get(lane.server_id)
                if under_way is None or receipt.sender != lane.name or lane.mute:
                    continue
                if receipt.receiver != GROUND_STATION or receipt.slot != under_way.slot:
                    continue
                try:
                    self.take_receipt(lane, under_way.handover, receipt)
                except StoreError as error:
                    self.complain('store', str(error))
                    under_way.handover.give_up()
                self.bring_down(lane)

    def look_after(self) -> None:
        """Go on without a ground station that does not answer."""
        at = time.monotonic()
        with self.lock:
            for server_id, under_way in list(self.passes.items()):
                if under_way.handover.is_overdue(at, self.patience):
                    self.complain('no receipt', f'ground station in slot {under_way.slot}')
                    under_way.handover.give_up()
                    self.bring_down(self.lanes[server_id])
