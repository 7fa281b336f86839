"""What becomes of the tasks of a UAV that fails in the middle of a slot.

Meng and Li print (28h) alpha_ij <= s_j and (12) sum_k beta_ijk <= 1 - s_j, which together never
let a task move. Corrected: alpha is the association at the start of the slot and needs a UAV that
lived in the slot before; once the failures of the slot are known, beta moves the tasks of the
failed UAVs, and the UAV that executes a task in the end is its effective one.
"""

from __future__ import annotations

import numpy as np

from sec_nodes.physics import channel
from sec_nodes.physics.workload import CutTables
from sec_nodes.scenarios.robust.joint import Servers
from sec_nodes.scenarios.robust.settings import RobustSettings
from sec_nodes.scenarios.robust.state import LOCAL, Sent, Survival
from sec_nodes.slot import BoolArray, FloatArray, IntArray


def survive(
    settings: RobustSettings,
    tables: CutTables,
    sent: Sent,
    alive: BoolArray,
    preference: FloatArray,
    snr_per_w: FloatArray,
    backhaul_bit_s: FloatArray,
) -> Survival:
    """Move the tasks of failed UAVs to living ones, as far as there is time and room.

    Uploads keep their powers and tasks of living UAVs their frequencies. A migrated task gets the
    frequency that just meets the deadline, out of what its new UAV has left; where that is too
    little for all, those that need least come first. What does not fit is lost and not moved.

    Args:
        settings: how tasks migrate.
        tables: layers of the networks.
        sent: the tasks.
        alive: (B, J) s_j(t).
        preference: (B, I, J) the living UAV with the largest number is the target.
        snr_per_w: (B, I, J) of the uplinks [1/W].
        backhaul_bit_s: (B, J, J) rates between UAVs, (17) [bit/s].
    """
    failures, dtype = settings.failures, sent.cycles.dtype
    at = np.maximum(sent.server, 0)
    is_sent = sent.server != LOCAL
    hit = is_sent & ~np.take_along_axis(alive, at, axis=1)
    calm = is_sent & ~hit
    lost_cycles = np.where(hit, failures.progress * sent.cycles, dtype.type(0))
    lost_s = _time_s(lost_cycles, sent.frequency_hz)
    cycles, moved_bit = _remainder(settings, tables, sent)

    others = alive[:, None, :] & (np.arange(alive.shape[1]) != at[..., None])
    target = np.argmax(np.where(others, preference, -np.inf), axis=-1)
    movable = hit & others.any(axis=-1) & (failures.migration != 'none')
    if failures.migration == 'resend':
        snr = sent.power_w * _pick(snr_per_w, target)
        rate_bit_s = channel.shannon_rate_bit_s(settings.uplink_bandwidth_hz, snr)
    else:
        rate_bit_s = backhaul_bit_s[np.arange(len(at))[:, None], at, target]
    moving_s = channel.transmission_time_s(moved_bit, rate_bit_s)
    left_s = settings.slot_s - sent.local_s - sent.transmission_s - lost_s - moving_s
    movable &= left_s > 0
    needed_hz = np.where(movable, cycles / np.where(movable, left_s, 1), np.inf).astype(dtype)
    calm_hz = np.where(calm, sent.frequency_hz, dtype.type(0))
    free_hz = settings.uavs.frequency_hz - Servers(at, alive.shape[1]).total(calm_hz)
    migrated = movable & _fits(needed_hz, target, free_hz)
    return Survival(
        effective=np.where(migrated, target, np.where(calm, sent.server, LOCAL)),
        cycles=np.where(migrated, cycles, np.where(calm, sent.cycles, dtype.type(0))),
        frequency_hz=np.where(migrated, needed_hz, calm_hz),
        lost_s=lost_s,
        lost_cycles=lost_cycles,
        moving_s=np.where(migrated, moving_s, dtype.type(0)),
        migrated=migrated,
        lost=hit & ~migrated,
    )


def _remainder(
    settings: RobustSettings, tables: CutTables, sent: Sent
) -> tuple[FloatArray, FloatArray]:
    """Work [cycle] that a second UAV would have to do, and what it needs for that [bit]."""
    failures = settings.failures
    keeps = failures.progress_kept == 'checkpoint' and failures.migration == 'relay'
    if not keeps or failures.progress == 0:
        return sent.cycles, sent.size_bit
    dtype = sent.cycles.dtype
    flop_per_cycle = settings.computing.flop_per_cycle
    front = (tables.front_flop / flop_per_cycle).astype(dtype)[sent.network]
    local = np.take_along_axis(front, sent.cut[..., None], axis=-1)
    finished = front <= local + failures.progress * sent.cycles[..., None]
    # The last layer is never finished, since progress < 1: its cut is no checkpoint.
    inner = np.arange(front.shape[-1]) < tables.layers[sent.network][..., None]
    checkpoint = np.maximum(sent.cut, (finished & inner).sum(axis=-1) - 1)
    rear = (tables.rear_flop / flop_per_cycle).astype(dtype)
    return (
        rear[sent.network, checkpoint],
        tables.cut_bit.astype(dtype)[sent.network, checkpoint],
    )


def _fits(needed_hz: FloatArray, target: IntArray, free_hz: FloatArray) -> BoolArray:
    """(B, I) tasks that fit their targets, admitted by ascending frequency."""
    order = np.argsort(needed_hz, axis=-1, kind='stable')
    server = np.take_along_axis(target, order, axis=-1)
    mine = server[..., None] == np.arange(free_hz.shape[1])
    sorted_hz = np.take_along_axis(needed_hz, order, axis=-1)
    total_hz = np.cumsum(np.where(mine, sorted_hz[..., None], 0), axis=1)
    room = (mine & (total_hz <= free_hz[:, None, :])).any(axis=-1)
    fits = np.zeros_like(room)
    np.put_along_axis(fits, order, room, axis=-1)
    return fits


def _pick(value: FloatArray, server: IntArray) -> FloatArray:
    """(B, I) the value of each task at its server, of (B, I, J)."""
    return np.take_along_axis(value, server[..., None], axis=-1)[..., 0]


def _time_s(cycles: FloatArray, frequency_hz: FloatArray) -> FloatArray:
    """Time to compute; 0 for no work."""
    works = cycles > 0
    return np.where(works, cycles / np.where(works, frequency_hz, 1), cycles)
