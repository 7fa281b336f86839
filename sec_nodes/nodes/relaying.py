"""What UAVs and the satellite share where UAVs pass things on: frames, stores, the next hop."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.codec import PayloadError, decode
from sec_nodes.loop.handover import Handover, bits_of
from sec_nodes.loop.relay import FrameAnswer
from sec_nodes.loop.store import FileStore, Segment, StoreError
from sec_nodes.nodes import names
from sec_nodes.nodes.answering import Answering, Inferred, SplitAnswering, Work
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.data_messages import check_batch, segment_message, take_in
from sec_nodes.nodes.parameters import ParameterError
from sec_nodes.nodes.server import ServerNode
from sec_nodes.nodes.serving import NETWORK_QUEUE, Lane
from sec_nodes.nodes.task_messages import packet_from
from sec_nodes.world import manifest_id
from sec_offload import msg

MOST_FRAMES = 1000
"""Frames in one message: more nobody means."""
LOCKSTEP_PATIENCE = 10.0
"""How much longer everybody is waited for where the clock stands still."""
LOOK_S = 0.1
"""Wall time between looks at what did not come [s]."""

Frames = NDArray[np.uint8]


@dataclass
class Carrier:
    """What a vehicle holds on disk, and what came and went since its last report."""

    store: FileStore
    collected_byte: int = 0
    handed_on_byte: int = 0

    def settle(self) -> tuple[int, int]:
        """What came and what went since the last time [byte]."""
        moved = self.collected_byte, self.handed_on_byte
        self.collected_byte = self.handed_on_byte = 0
        return moved


@dataclass(frozen=True)
class FrameTask:
    """A frame that a model is asked about."""

    lane: Lane
    epoch: int
    owner: Any
    frame: int


class RelayingNode(ServerNode):
    """A server node whose vehicles compute batches of frames, and store and hand on files."""

    def set_up_relaying(self) -> None:
        """Open the stores and connect; called at the end of the constructor."""
        self.carriers = {lane.server_id: self.open_store(lane) for lane in self.lanes.values()}
        self.parcels = self.advertise(names.DATA_TX)
        self.receipts = self.advertise(names.DATA_RECEIPT)
        self.lifelines += [
            self.parcels,
            self.receipts,
            self.listen(names.DATA_RECEIPT, self.on_receipt),
        ]
        for lane in self.lanes.values():
            topic = names.VEHICLE_DATA.of(lane.name)

            def taken(batch: msg.DataBatch, lane: Lane = lane) -> None:
                self.on_data(lane, batch)

            self.lifelines.append(self.listen(topic, taken))
        self.create_wall_timer(LOOK_S, self.look_after)

    # -- to be filled in -------------------------------------------------------------------------

    @abstractmethod
    def frame_answered(self, task: FrameTask, answer: FrameAnswer) -> None:
        """A model has answered; the lock is held."""

    @abstractmethod
    def frame_failed(self, task: FrameTask, reason: str) -> None:
        """A model could not answer; the lock is held."""

    @abstractmethod
    def on_receipt(self, receipt: msg.DataReceipt) -> None:
        """Somebody says what he holds."""

    @abstractmethod
    def stored(self, lane: Lane, batch: msg.DataBatch, receipt: msg.DataReceipt) -> None:
        """A batch has been taken in; the lock is held."""

    @abstractmethod
    def look_after(self) -> None:
        """Go on without what does not come."""

    def first_files(self, lane: Lane) -> Iterable[Segment]:
        """What a new store holds."""
        return ()

    def capacity_byte(self) -> int | None:
        """Size of a store [byte]; none = as large as the disk."""
        return None

    @property
    def patience(self) -> float:
        """How many times the usual wall time others are waited for."""
        return self.chosen.patience * (LOCKSTEP_PATIENCE if self.time.lockstep else 1.0)

    # -- stores ----------------------------------------------------------------------------------

    def open_store(self, lane: Lane) -> Carrier:
        """The store of a vehicle, as it was left.

        Raises:
            ParameterError: the folder is not named, or cannot be used.
        """
        folder = self.chosen.store_dir
        if not folder:
            raise ParameterError(
                f"parameter store_dir = '': {lane.name} stores data in scenario "
                f'{self.world.settings.name}; name a folder, e.g. results/stores'
            )
        path = Path(folder) / lane.name
        try:
            return Carrier(FileStore(path, self.capacity_byte(), self.first_files(lane)))
        except StoreError as error:
            raise ParameterError(f'parameter store_dir = {folder!r}: {error}') from None

    def stored_bit(self, lane: Lane) -> float:
        """What a vehicle's storage holds [bit]."""
        return bits_of(self.world.settings, self.carriers[lane.server_id].store.held_byte)

    def health(self) -> dict[str, object]:
        """Queues, providers, and what the stores hold."""
        held = {
            f'{lane.name} stored bytes': self.carriers[lane.server_id].store.held_byte
            for lane in self.lanes.values()
        }
        return super().health() | held

    def close(self) -> None:
        """Stop the threads, and let other processes use the stores."""
        super().close()
        for carrier in self.carriers.values():
            carrier.store.close()

    def on_data(self, lane: Lane, batch: msg.DataBatch) -> None:
        """Store what comes, and say what is held now."""
        with self.lock:
            if not lane.is_heard:
                return
            check_batch(batch, lane.name)
            carrier = self.carriers[lane.server_id]
            before_byte = carrier.store.held_byte
            receipt = take_in(batch, carrier.store, lambda why: self.complain('data refused', why))
            carrier.collected_byte += carrier.store.held_byte - before_byte
            self.say(lane, self.receipts, receipt)
            self.stored(lane, batch, receipt)

    # -- the next hop ----------------------------------------------------------------------------

    def send_parcels(
        self, lane: Lane, run: Handover, batch: msg.DataBatch, begin_s: float, rate_bit_s: float
    ) -> None:
        """Send what may be sent now; each parcel leaves when the link has carried it.

        Args:
            lane: who sends.
            run: what is handed over.
            batch: slot and receiver.
            begin_s: when the hand-over began [s; simulation time].
            rate_bit_s: of the link [bit/s].
        """
        while (parcel := run.next()) is not None:
            sent_bit = bits_of(self.world.settings, parcel.sent_byte)
            message = msg.DataBatch(
                slot=batch.slot,
                sender=lane.name,
                receiver=batch.receiver,
                last=parcel.last,
                segments=[segment_message(segment) for segment in parcel.segments],
                ready_s=begin_s + sent_bit / rate_bit_s,
            )
            message.header.stamp = to_stamp(message.ready_s)
            self.release_parcel(lane, run, message)

    def release_parcel(self, lane: Lane, run: Handover, message: msg.DataBatch) -> None:
        """Let a parcel go at its time, unless the vehicle has crashed since."""
        epoch = lane.epoch

        def leave() -> None:
            with self.lock:
                if epoch != lane.epoch or run.is_done:
                    return
                run.sent(time.monotonic())
                self.say(lane, self.parcels, message)

        self.releases.at(message.ready_s, leave)

    def take_receipt(self, lane: Lane, run: Handover, receipt: msg.DataReceipt) -> None:
        """What the next hop holds may go.

        Raises:
            StoreError: the store cannot be written.
        """
        if receipt.lost:
            self.complain('data lost', f'{lane.name} to {receipt.receiver}: {receipt.lost}')
            run.lost()
            return
        held = list(zip(receipt.file_id, receipt.held_byte, strict=False))
        carrier = self.carriers[lane.server_id]
        carrier.handed_on_byte += run.confirmed(held, time.monotonic())

    # -- frames ----------------------------------------------------------------------------------

    def make_answering(self) -> Answering:
        """Classifiers, although devices do not compute.

        Raises:
            ParameterError: no such execution provider.
            ModelError: a model cannot be loaded.
        """
        models = {manifest_id(lane.model_id) for lane in self.lanes.values()}
        return SplitAnswering(models, self.policy(), NETWORK_QUEUE, self)

    def frames_from(self, lane: Lane, message: Any) -> Frames:
        """(n, rows, columns, 3) frames of a payload or relay batch.

        Raises:
            PayloadError: they are not what the vehicle's model takes.
        """
        shape, dtype = self.answering.expected(manifest_id(lane.model_id), 0)
        frames = np.asarray(decode(packet_from(message), None, dtype))
        wanted = tuple(shape or ())[1:]
        if frames.ndim != 4 or frames.shape[1:] != wanted:
            raise PayloadError(f'shape is {frames.shape}, expected frames of {wanted}')
        if not 0 < len(frames) <= MOST_FRAMES:
            raise PayloadError(f'{len(frames)} frames, 1 to {MOST_FRAMES} are taken')
        return frames

    def ask(self, lane: Lane, owner: Any, frames: Iterable[tuple[int, Frames]]) -> None:
        """Have a vehicle's model answer frames, one after the other; the lock is held."""
        for frame, picture in frames:
            task = FrameTask(lane, lane.epoch, owner, frame)
            work = Work(
                lane=lane.name,
                key=(id(owner), frame),
                model_id=manifest_id(lane.model_id),
                cut=0,
                tensor=picture[None],
                prompt='',
                steps=1.0,
                context=task,
            )
            try:
                self.answering.submit(work)
            except PayloadError as error:
                self.frame_failed(task, str(error))
            else:
                lane.waiting += 1

    def tell_answer(self, work: Work, inferred: Inferred) -> None:
        """A frame is answered. On the thread of the models."""
        task: FrameTask = work.context
        with self.lock:
            if task.epoch == task.lane.epoch:
                task.lane.waiting -= 1
                answer = FrameAnswer(inferred.answer, inferred.confidence, inferred.inference_s)
                self.frame_answered(task, answer)

    def tell_failure(self, work: Work, reason: str) -> None:
        """The model raised an error at a frame. On the thread of the models."""
        task: FrameTask = work.context
        with self.lock:
            if task.epoch == task.lane.epoch:
                task.lane.waiting -= 1
                self.frame_failed(task, reason)
