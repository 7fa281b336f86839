"""Where tasks should move to if their UAV fails, for decisions that must be made before it does.

The reference of the robust scenario: for each UAV, as if it alone failed, all ways to send its
tasks to the other living UAVs are compared; fewest lost tasks come first, then least energy. A
migrated task gets the frequency that just meets its deadline, out of what its new UAV has left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sec_nodes.controllers.robust.subsets import best_shares, memberships
from sec_nodes.physics import channel
from sec_nodes.physics.checks import FloatArray
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.power import upload_time_s
from sec_nodes.scenarios.robust.state import LOCAL, RobustState
from sec_nodes.slot import BoolArray, IntArray

_MOST_TASKS = 12
"""Tasks of a UAV whose targets are compared together; of more, each looks for itself."""


@dataclass(frozen=True)
class Moves:
    """What it would take to move each task to each UAV, (B, I, J)."""

    needed_hz: FloatArray
    """Frequency there; inf where it cannot be in time, as at its own UAV."""
    cost_j: FloatArray
    """Weighted energy of moving and computing there."""
    free_hz: FloatArray
    """(B, J) what each UAV has left."""
    server: IntArray
    """(B, I) UAV of the tasks that are served, else `LOCAL`."""


def preferences(
    scenario: Robust, state: RobustState, split: IntArray, server: IntArray
) -> FloatArray:
    """(B, I, J) preferences of migration: the best target has the largest number.

    The task is moved as it was sent (a checkpoint would be moved a little more cheaply).
    """
    moves = _moves(scenario, state, split, server)
    fits = moves.needed_hz <= moves.free_hz[:, None]
    with np.errstate(invalid='ignore'):
        cost_j = np.where(fits, moves.cost_j, np.inf)
    preference = 1.0 / (1.0 + cost_j)
    for copy, failed in zip(*np.nonzero(_crowded(moves, cost_j)), strict=True):
        tasks = np.flatnonzero(moves.server[copy] == failed)
        if len(tasks) <= _MOST_TASKS:
            target = _compare(
                moves.needed_hz[copy, tasks], cost_j[copy, tasks], moves.free_hz[copy]
            )
            preference[copy, tasks, target] = 2.0
    return preference


def _moves(scenario: Robust, state: RobustState, split: IntArray, server: IntArray) -> Moves:
    settings = scenario.settings
    failures, bandwidth_hz = settings.failures, settings.uplink_bandwidth_hz
    front, cycles, size_bit = scenario.work(state, split)
    offloading = scenario.offloading(state, split, server)
    allocation = scenario.allocate(offloading)
    served = np.where(allocation.admitted, server, LOCAL)
    at, power_w = np.maximum(served, 0), allocation.power_w
    computing_s = cycles / np.where(allocation.admitted, allocation.frequency_hz, np.inf)
    spent_s = front / settings.users.frequency_hz + failures.progress * computing_s
    spent_s += upload_time_s(size_bit, bandwidth_hz, offloading.snr_per_w, power_w)
    if failures.migration == 'resend':
        snr = power_w[..., None] * scenario.snr_per_w(state)
        rate_bit_s = channel.shannon_rate_bit_s(bandwidth_hz, snr)
        moving_w = power_w[..., None]
    else:
        rate_bit_s = scenario.backhaul_bit_s(state)[np.arange(len(at))[:, None], at]
        weight = settings.objective.compute_weight
        moving_w = np.array(weight * settings.uavs.transmit_power_w)
    moving_s = channel.transmission_time_s(size_bit[..., None], rate_bit_s)
    left_s = settings.slot_s - spent_s[..., None] - moving_s
    uavs = np.arange(state.alive.shape[1])
    other = state.alive[:, None] & (uavs != at[..., None]) & (served != LOCAL)[..., None]
    possible = other & (left_s > 0)
    needed_hz = np.where(possible, cycles[..., None] / np.where(possible, left_s, 1.0), np.inf)
    energy = settings.objective.compute_weight * settings.computing.capacitance_j_s2
    with np.errstate(invalid='ignore'):
        cost_j = energy * np.square(needed_hz) * cycles[..., None] + moving_w * moving_s
    mine = served[..., None] == uavs
    used_hz = np.where(mine, allocation.frequency_hz[..., None], 0.0).sum(axis=1)
    free_hz = np.maximum(settings.uavs.frequency_hz - used_hz, 0.0)
    return Moves(needed_hz, cost_j, free_hz, served)


def _crowded(moves: Moves, cost_j: FloatArray) -> BoolArray:
    """(B, J) UAVs whose tasks do not all fit the targets that are the cheapest for each."""
    uavs = np.arange(moves.free_hz.shape[1])
    target = np.argmin(cost_j, axis=-1)[..., None]
    needed_hz = np.take_along_axis(moves.needed_hz, target, axis=-1)
    mine = moves.server[..., None] == uavs
    stranded = (mine & np.isinf(cost_j.min(axis=-1))[..., None]).any(axis=1)
    moved = mine[..., None] & (target == uavs)[:, :, None, :]
    needed_hz = np.where(moved, needed_hz[..., None], 0.0).sum(axis=1)
    return stranded | (needed_hz > moves.free_hz[:, None]).any(axis=-1)


def _compare(needed_hz: FloatArray, cost_j: FloatArray, free_hz: FloatArray) -> IntArray:
    """(n,) the targets of n tasks with which fewest are lost, and those at least energy.

    Args:
        needed_hz: (n, J) frequency at each UAV.
        cost_j: (n, J) energy there; inf where the task does not fit on its own.
        free_hz: (J,)
    """
    sets = memberships(len(needed_hz))
    possible = np.isfinite(cost_j)
    lost_j = 1.0 + np.where(possible, cost_j, 0.0).sum()
    tables = []
    for uav in range(len(free_hz)):
        able = possible[:, uav]
        total_hz = sets @ np.where(able, needed_hz[:, uav], 0.0)
        fits = (total_hz <= free_hz[uav]) & ~sets[:, ~able].any(axis=1)
        tables.append(np.where(fits, sets @ np.where(able, cost_j[:, uav], 0.0), np.inf))
    shares, _ = best_shares([*tables, sets.sum(axis=1) * lost_j])
    moved = sets[shares[:-1]].T
    # What is lost anyway asks where it comes last, lest it take the place of another task.
    last_hz = np.where(moved, needed_hz, 0.0).max(axis=0)
    away = np.argmax(np.minimum(needed_hz, 2.0 * free_hz.max()) - last_hz, axis=1)
    return np.where(moved.any(axis=1), np.argmax(moved, axis=1), away)
