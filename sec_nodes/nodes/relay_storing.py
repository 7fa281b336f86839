"""The part of node `uav` that stores data of devices and hands them on to the satellite."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from sec_nodes.loop.handover import Handover, initial_files, whole_bytes
from sec_nodes.loop.recorded import recording
from sec_nodes.loop.relay import Key, RelaySlot
from sec_nodes.loop.store import Segment, StoreError
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.relaying import Frames, RelayingNode
from sec_nodes.nodes.serving import Lane
from sec_offload import msg

COLLECT_PATIENCE_S = 3.0
"""Wall time for devices to hand over what they were granted [s]."""


@dataclass
class UavSlot:
    """A slot of one UAV that is under way."""

    lane: Lane
    number: int
    start_s: float
    """When it began [s; simulation time]."""
    relay: RelaySlot
    payloads: dict[Key, msg.Payload] = field(default_factory=dict)
    pictures: dict[Key, Frames] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    """Recordings that were granted and have not come, by device and slot."""
    handover: Handover | None = None
    due_at: float = math.inf
    """Instant of the machine until which what is awaited must be there [s]."""

    def frames(self, wanted: range) -> Iterable[tuple[int, Frames]]:
        """Pictures of some frames, with their numbers."""
        for key, own in self.relay.frames_of.items():
            for frame in own:
                if frame in wanted:
                    yield frame, self.pictures[key][frame - own.start]


class StoringUavs(RelayingNode):
    """UAVs whose slots end when what they stored has been handed on as far as it may."""

    open: dict[tuple[int, int], UavSlot]
    """Slots under way, by server and number."""
    grants: Any
    relay_reports: Any

    def first_files(self, lane: Lane) -> Iterable[Segment]:
        """What the UAV has stored before the run."""
        return initial_files(self.world.settings, self.chosen.seed, lane.server_id)

    def capacity_byte(self) -> int:
        """Size of a UAV's storage [byte]."""
        return whole_bytes(self.world.settings, self.world.settings.uavs.storage_bit)

    def collect(self, slot: UavSlot) -> None:
        """Say how much each device may hand over."""
        store = self.carriers[slot.lane.server_id].store
        shares = slot.relay.grants(store.held_byte)
        if not shares:
            self.upload(slot)
            return
        grant = msg.DataGrant(
            slot=slot.number,
            server_id=slot.lane.server_id,
            at_s=slot.start_s + slot.relay.upload_start_s,
            device_id=list(shares),
            size_byte=list(shares.values()),
        )
        grant.header.stamp = to_stamp(grant.at_s)
        slot.missing = {f'{device}-{slot.number}' for device in shares}
        slot.due_at = time.monotonic() + self.patience * COLLECT_PATIENCE_S
        self.say(slot.lane, self.grants, grant)

    def stored(self, lane: Lane, batch: msg.DataBatch, receipt: msg.DataReceipt) -> None:
        """Files have come, whole or in part, or there was no room for them."""
        whole = {part.file_id: part.size_byte for part in batch.segments}
        upto = {part.file_id: part.offset_byte + len(part.data) for part in batch.segments}
        settled = {
            recording(file_id)
            for file_id, held_byte in zip(receipt.file_id, receipt.held_byte, strict=True)
            if held_byte >= whole[file_id] or held_byte < upto[file_id]
        }
        self.await_no_more(lane, settled)

    def await_no_more(self, lane: Lane, recordings: set[str]) -> None:
        """Upload once every file that was granted has come, or will not."""
        for slot in [slot for slot in self.open.values() if slot.lane is lane]:
            if slot.missing & recordings:
                slot.missing -= recordings
                if not slot.missing:
                    self.upload(slot)

    def upload(self, slot: UavSlot) -> None:
        """Hand the satellite what the rest of the slot can carry."""
        lane, store = slot.lane, self.carriers[slot.lane.server_id].store
        slot.due_at, slot.missing = math.inf, set()
        if not any(one.handover for one in self.open.values() if one.lane is lane):
            store.rewind()
        try:
            slot.handover = Handover(store, slot.relay.upload_byte(store.held_byte))
        except StoreError as error:
            self.complain('store', str(error))
            self.finish(slot)
            return
        self.hand_on(slot)

    def hand_on(self, slot: UavSlot) -> None:
        """Send what may be sent now; after the last receipt the slot is done."""
        run, relay = slot.handover, slot.relay
        if run is None:
            return
        try:
            if not run.is_done:
                self.send_parcels(
                    slot.lane,
                    run,
                    msg.DataBatch(
                        slot=slot.number,
                        receiver=self.world.scenario.server_name(relay.order.satellite),
                    ),
                    slot.start_s + relay.upload_start_s,
                    relay.order.upload_rate_bit_s,
                )
        except StoreError as error:
            self.complain('store', str(error))
            run.give_up()
        if run.is_done:
            self.finish(slot)

    def on_receipt(self, receipt: msg.DataReceipt) -> None:
        """The satellite holds data of a UAV; or what a device sent to a UAV is lost."""
        with self.lock:
            for lane in self.lanes.values():
                if lane.mute:
                    continue
                if receipt.receiver == lane.name and receipt.lost:
                    self.await_no_more(lane, set(map(recording, receipt.file_id)))
                slot = self.open.get((lane.server_id, receipt.slot))
                if receipt.sender != lane.name or slot is None or slot.handover is None:
                    continue
                try:
                    self.take_receipt(lane, slot.handover, receipt)
                except StoreError as error:
                    self.complain('store', str(error))
                    slot.handover.give_up()
                self.hand_on(slot)

    def finish(self, slot: UavSlot) -> None:
        """Report the slot; in lockstep the next one may begin after that."""
        lane = slot.lane
        if self.open.pop((lane.server_id, slot.number), None) is None:
            return
        carrier = self.carriers[lane.server_id]
        figures = slot.relay.figures(
            *carrier.settle(), carrier.store.held_byte, len(carrier.store.holdings())
        )
        report = msg.RelayReport(
            slot=slot.number, server_id=lane.server_id, name=lane.name, **asdict(figures)
        )
        now_s = self.time.now_s()
        report.header.stamp = to_stamp(now_s)
        lane.energy_used_j += figures.uav_j
        lane.decision_slot = max(lane.decision_slot, slot.number)
        self.say(lane, self.relay_reports, report)
        self.reports.publish(self.report(-1, now_s))
