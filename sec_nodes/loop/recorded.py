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


def file_name(device: int, slot: int, data: bytes) -> str:
    """Name of the file with what a device has recorded in a slot.

    A part of its checksum keeps recordings of several runs apart that meet in one store.
    """
    return f'{device}-{slot}-{hashlib.sha256(data).hexdigest()[:8]}'


def recording(file_id: str) -> str:
    """Device and slot of a file's name."""
    return file_id.rpartition('-')[0]
