"""Files that are handed on, as messages: their parts, and the receipts for them."""

from __future__ import annotations

import array
import math
import zlib
from collections.abc import Callable

from sec_nodes.loop.store import FileStore, Segment, StoreError
from sec_nodes.nodes.base import BadMessageError
from sec_nodes.nodes.clock import to_stamp
from sec_offload import msg


def segment_message(segment: Segment) -> msg.DataSegment:
    """A part of a file as a message."""
    return msg.DataSegment(
        file_id=segment.file_id,
        device_id=segment.device_id,
        created_slot=segment.created_slot,
        size_byte=segment.size_byte,
        sha256=segment.sha256,
        offset_byte=segment.offset_byte,
        crc32=zlib.crc32(segment.data),
        data=array.array('B', segment.data),
    )


def segment_from(message: msg.DataSegment) -> Segment:
    """A part of a file from a message; whether it can be stored is the store's to say.

    Raises:
        BadMessageError: the data are not those that were sent.
    """
    data = bytes(message.data)
    found = zlib.crc32(data)
    if found != message.crc32:
        raise BadMessageError(
            f'file {message.file_id[:80]!r}: crc32 is {found:#010x}, '
            f'the message says {message.crc32:#010x}'
        )
    return Segment(
        file_id=message.file_id,
        device_id=message.device_id,
        created_slot=message.created_slot,
        size_byte=message.size_byte,
        sha256=message.sha256,
        offset_byte=message.offset_byte,
        data=data,
    )


def check_batch(batch: msg.DataBatch, receiver: str) -> None:
    """See whether a batch is for somebody.

    Raises:
        BadMessageError: it is for somebody else, or comes at no time.
    """
    if batch.receiver != receiver:
        raise BadMessageError(f'batch for {batch.receiver[:80]!r} at {receiver}')
    if not math.isfinite(batch.ready_s):
        raise BadMessageError(f'batch of {batch.sender[:80]!r}: ready_s = {batch.ready_s}')


def take_in(
    batch: msg.DataBatch, store: FileStore, refuse: Callable[[str], None]
) -> msg.DataReceipt:
    """Store what a batch brings, and say what is held of its files afterwards.

    A part that is damaged or does not fit is refused, and the others are stored; the receipt
    tells from where on a refused one has to be sent again.

    Args:
        batch: it has passed `check_batch`.
        store: of the receiver.
        refuse: is told why, for every part that is refused.
    """
    for part in batch.segments:
        try:
            store.add(segment_from(part))
        except (BadMessageError, StoreError) as error:
            refuse(f'from {batch.sender[:80]}: {error}')
    files = {part.file_id: part.sha256 for part in batch.segments}
    receipt = msg.DataReceipt(
        slot=batch.slot,
        sender=batch.sender,
        receiver=batch.receiver,
        last=batch.last,
        file_id=list(files),
        held_byte=[_arrived_byte(store, file_id, sha256) for file_id, sha256 in files.items()],
    )
    receipt.header.stamp = to_stamp(batch.ready_s)
    return receipt


def _arrived_byte(store: FileStore, file_id: str, sha256: str) -> int:
    """How much of this very file has arrived; nothing of it, if another one has its name."""
    holding = store.holding(file_id)
    return holding.held_byte if holding is not None and holding.sha256 == sha256 else 0
