"""What devices have recorded and hand on: bytes that can be told apart, alike in every run."""

from __future__ import annotations

import hashlib


def contents(seed: int, device: int, slot: int, size_byte: int) -> bytes:
    """What a device has recorded in a slot; it looks random and is the same in every run.

    Args:
        seed: of the run.
        device: who recorded it.
        slot: when.
        size_byte: how much [byte; >= 0].
    """
    return hashlib.shake_128(f'{seed}/{device}/{slot}'.encode()).digest(size_byte)
