"""Stored data in real bytes: what they stand for, what there is at first, and their next hop.

maritime counts data in bits of the scenario; nodes move a part of them, `flown.byte_share`, as
real bytes of real files.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sec_nodes.loop.recorded import contents
from sec_nodes.loop.store import FileStore, Segment
from sec_nodes.scenarios.maritime.settings import MaritimeSettings

BATCH_BYTE = 256 * 1024
"""Most bytes in one message."""
WINDOW = 8
"""Batches that may be under way without a receipt: middleware keeps a bounded number."""
RECEIPT_PATIENCE_S = 5.0
"""Wall time without a receipt after which the next hop is thought to be gone [s]."""
INITIAL_FILES = 16
"""Into how many files a UAV cuts what it has stored before the run."""
FIRST_INITIAL_DEVICE = 2**31
"""Numbers from here on, which no device has, tell initial files apart."""
ROUNDING_BYTE = 1e-6
"""How much may be missing from a whole byte by rounding."""


def bits_of(settings: MaritimeSettings, size_byte: float) -> float:
    """Data of the scenario for which real bytes stand [bit]."""
    return 8.0 * size_byte / settings.flown.byte_share


def bytes_of(settings: MaritimeSettings, size_bit: float) -> float:
    """Real bytes that stand for data of the scenario, not rounded."""
    return size_bit * settings.flown.byte_share / 8.0


def whole_bytes(settings: MaritimeSettings, size_bit: float) -> int:
    """Whole real bytes in data of the scenario."""
    return math.floor(bytes_of(settings, size_bit) + ROUNDING_BYTE)


def initial_files(settings: MaritimeSettings, seed: int, uav: int) -> Iterator[Segment]:
    """What a UAV has stored before the run, whole files, made one by one."""
    stored_bit = settings.uavs.storage_bit - settings.uavs.initially_free_bit
    total_byte = whole_bytes(settings, stored_bit)
    for number in range(INITIAL_FILES):
        begin, end = (k * total_byte // INITIAL_FILES for k in (number, number + 1))
        if end > begin:
            device = FIRST_INITIAL_DEVICE + uav * INITIAL_FILES + number
            data = contents(seed, device, 0, end - begin)
            name = f'uav_{uav}-initial-{number:02d}'
            yield Segment.whole(name, uav * settings.columns, 0, data)


def shares_byte(
    settings: MaritimeSettings, total_bit: float, rates: Mapping[int, float], free_byte: int
) -> dict[int, int]:
    """Whole bytes of each device in data that come in together, in proportion to their rates.

    They add up to the whole, rounded, and never to more than is free; who gets none is left out.
    """
    total_rate = sum(rates.values())
    shares: dict[int, int] = {}
    if total_rate <= 0 or total_bit <= 0:
        return shares
    before_byte, rate_so_far = 0, 0.0
    for device, rate in rates.items():
        rate_so_far += rate
        upto_byte = round(bytes_of(settings, total_bit * rate_so_far / total_rate))
        upto_byte = min(upto_byte, free_byte)
        if upto_byte > before_byte:
            shares[device] = upto_byte - before_byte
            before_byte = upto_byte
    return shares


@dataclass(frozen=True)
class Parcel:
    """What travels in one message."""

    segments: tuple[Segment, ...]
    sent_byte: int
    """Bytes of the hand-over up to the end of this one."""
    last: bool


class Handover:
    """Passes files of a store on to the next hop, a bounded number of parcels ahead of receipts.

    Args:
        store: where the files are; what it has handed out before is not handed out again.
        budget_byte: how much may go [byte].
        only: files that may go; none = all.
    """

    def __init__(
        self, store: FileStore, budget_byte: int, only: Collection[str] | None = None
    ) -> None:
        self._store, self._left_byte, self._only = store, budget_byte, only
        self._sent_byte = 0
        self._upto: dict[str, int] = {}
        self._planned, self._under_way = 0, 0
        self._news_at_s = 0.0
        self._ahead = self._cut()

    @property
    def is_done(self) -> bool:
        """Whether everything is sent and answered, or given up."""
        return not (self._ahead or self._planned or self._under_way)

    def next(self) -> Parcel | None:
        """What to send next; None while too much is under way, and when nothing is left."""
        if not self._ahead or self._planned + self._under_way >= WINDOW:
            return None
        segments, self._ahead = self._ahead, self._cut()
        self._planned += 1
        for segment in segments:
            self._upto[segment.file_id] = segment.end_byte
            self._sent_byte += len(segment.data)
        return Parcel(segments, self._sent_byte, last=not self._ahead)

    def sent(self, at_s: float) -> None:
        """A parcel has left, at an instant of the machine [s]."""
        self._planned -= 1
        self._under_way += 1
        self._news_at_s = at_s

    def confirmed(self, held: Iterable[tuple[str, int]], at_s: float) -> int:
        """The next hop says how much of each file it holds; only what was sent can be released.

        Returns:
            Bytes that it holds more than before; fewer than 0 if it has lost some.

        Raises:
            StoreError: the store cannot be written.
        """
        if not self._under_way:
            return 0
        self._under_way -= 1
        self._news_at_s = at_s
        return sum(
            self._store.release(file_id, min(held_byte, self._upto[file_id]))
            for file_id, held_byte in held
            if file_id in self._upto
        )

    def lost(self) -> None:
        """A parcel did not arrive: what follows would leave a gap."""
        self._under_way = max(self._under_way - 1, 0)
        self._ahead = ()

    def give_up(self) -> None:
        """Nobody will answer; what is not confirmed stays in the store."""
        self._ahead, self._planned, self._under_way = (), 0, 0

    def is_overdue(self, at_s: float, patience: float = 1.0) -> bool:
        """Whether a receipt has been missing for too long, or so many times as long."""
        return self._under_way > 0 and at_s - self._news_at_s > patience * RECEIPT_PATIENCE_S

    def _cut(self) -> tuple[Segment, ...]:
        most_byte = min(BATCH_BYTE, self._left_byte)
        parts = tuple(self._store.parts(most_byte, BATCH_BYTE, self._only))
        self._left_byte -= sum(len(part.data) for part in parts)
        return parts
