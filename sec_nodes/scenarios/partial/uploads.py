"""Uploads over links whose rate is constant in each slot: how much by when, and when so much.

Corrected against (7) and (11) of Liu et al. 2026: a window counts the share of each slot that it
covers. The printed floor(T / t_s) slots lose what is left of the last one and let an upload begin
before there is anything to send.
"""

from __future__ import annotations

import numpy as np

from sec_nodes.slot import FloatArray, IntArray


def slot_overlap_s(
    start_s: FloatArray, end_s: FloatArray, slot_s: float, slots: int
) -> FloatArray:
    """Time omega[m; t1, t2] that a window shares with each slot [s].

    Args:
        start_s: (...) t1.
        end_s: (...) t2; a window that ends before it begins is empty.
        slot_s: length of a slot.
        slots: number M of slots of the mission; outside of it nothing counts.

    Returns:
        (..., M)
    """
    begins_s = np.arange(slots) * slot_s
    from_s = np.maximum(np.asarray(start_s)[..., None], begins_s)
    until_s = np.minimum(np.asarray(end_s)[..., None], begins_s + slot_s)
    return np.maximum(until_s - from_s, 0.0)


def uploaded_bit(
    rate_bit_s: FloatArray, start_s: FloatArray, end_s: FloatArray, slot_s: float
) -> FloatArray:
    """Bits R(t1, t2) that a link carries within a window, (...).

    Args:
        rate_bit_s: (..., M) rate in each slot.
        start_s: (...) t1.
        end_s: (...) t2.
        slot_s: length of a slot.
    """
    window_s = slot_overlap_s(start_s, end_s, slot_s, rate_bit_s.shape[-1])
    return np.einsum('...m,...m->...', rate_bit_s, window_s)


def first_passage_s(
    rate_bit_s: FloatArray, start_s: FloatArray, size_bit: FloatArray, slot_s: float
) -> FloatArray:
    """Time inf{t >= t1 : R(t1, t) >= size} at which an upload ends [s], (...).

    Infinite if the mission ends before; t1 itself for an empty upload.

    Args:
        rate_bit_s: (..., M) rate in each slot, > 0.
        start_s: (...) when the upload begins, >= 0.
        size_bit: (...) its size, >= 0.
        slot_s: length of a slot.
    """
    end_s, _ = endless_passage(rate_bit_s, start_s, size_bit, slot_s)
    mission_s = rate_bit_s.shape[-1] * slot_s
    return np.where((end_s > mission_s) & np.greater(size_bit, 0), np.inf, end_s)


def endless_passage(
    rate_bit_s: FloatArray, start_s: FloatArray, size_bit: FloatArray, slot_s: float
) -> tuple[FloatArray, IntArray]:
    """As `first_passage_s` if the last slot never ended; also the slot (...) of the end.

    With the slots' running sum C the end is where C reaches C(t1) + size.
    """
    slots = rate_bit_s.shape[-1]
    start_s, size_bit, first = np.broadcast_arrays(start_s, size_bit, rate_bit_s[..., 0])
    rate_bit_s = np.broadcast_to(rate_bit_s, (*first.shape, slots))
    ends_bit = np.cumsum(rate_bit_s * slot_s, axis=-1)
    skipped_bit = uploaded_bit(rate_bit_s, np.zeros_like(start_s), start_s, slot_s)
    beyond_s = np.maximum(start_s - slots * slot_s, 0.0)
    wanted_bit = skipped_bit + rate_bit_s[..., -1] * beyond_s + size_bit
    slot = np.minimum((ends_bit < wanted_bit[..., None]).sum(axis=-1), slots - 1)
    left_bit = np.take_along_axis(ends_bit, slot[..., None], axis=-1)[..., 0] - wanted_bit
    rate = np.take_along_axis(rate_bit_s, slot[..., None], axis=-1)[..., 0]
    # an upload that ends no later than it begins is empty, or lost in rounding
    end_s = np.maximum((slot + 1) * slot_s - left_bit / rate, start_s)
    return np.where(size_bit > 0, end_s, start_s), slot
