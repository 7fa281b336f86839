"""Optimal association and splits of a slot of the robust scenario, in many copies at once.

Where every user's cheapest choice fits the CPUs, that is the optimum, found for all copies
together. The other copies are solved one by one: see `robust_packing`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sec_nodes.controllers.robust.choices import Choices, best_at_price, choices
from sec_nodes.controllers.robust.options import Options
from sec_nodes.controllers.robust.packing import ALONE, share
from sec_nodes.physics.checks import FloatArray
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.state import LOCAL, RobustState
from sec_nodes.slot import BoolArray, IntArray


@dataclass(frozen=True)
class Solution:
    """Optima of one slot in B copies: as many tasks as possible, then the least energy."""

    split: IntArray
    """(B, I) phi; 1 for tasks that are dropped."""
    server: IntArray
    """(B, I) UAV, `LOCAL` for tasks that stay with their users or are dropped."""
    completed: BoolArray
    """(B, I) tasks that are not dropped."""
    energy_j: FloatArray
    """(B,) e_loc + e_tr + w2 e_off of the tasks completed [J]."""
    bound_j: FloatArray
    """(B,) nobody who completes as many tasks spends less on them [J]."""


def solve(scenario: Robust, state: RobustState, split: IntArray | None = None) -> Solution:
    """Find the optimum of a slot.

    Args:
        scenario: the system; frequencies and powers are those of the rule `joint`.
        state: the slot; UAVs known to live do not fail in it.
        split: (B, I) phi where the splits are settled, else they are optimised, too.
    """
    options = choices(scenario, state, split)
    solution, short = _unpriced(scenario, state, options)
    for copy in np.flatnonzero(short):
        _pack_copy(solution, scenario, state, options, int(copy))
    return solution


def _unpriced(
    scenario: Robust, state: RobustState, options: Choices
) -> tuple[Solution, BoolArray]:
    """The cheapest choice of each user, and the copies (B,) in which the CPUs are too small."""
    copies, n_users, n_uavs, n_splits = options.possible.shape
    jobs = options.jobs.where(options.possible)
    local_j = options.local_j[:, :, None, :]
    cost_j, asked_hz = best_at_price(jobs, local_j, 0.0, options.energy)
    cost_j = np.where(options.possible, cost_j, np.inf).reshape(copies, n_users, -1)
    best = np.argmin(cost_j, axis=-1)[..., None]
    best_j = np.take_along_axis(cost_j, best, axis=-1)[..., 0]
    asked_hz = np.take_along_axis(asked_hz.reshape(cost_j.shape), best, axis=-1)[..., 0]
    sent = (best_j < options.stay_j) & np.isfinite(best_j)
    server = np.where(sent, best[..., 0] // n_splits, LOCAL)
    completed = sent | np.isfinite(options.stay_j)
    last = scenario.tables.layers[state.network] + 1
    split = np.where(sent, best[..., 0] % n_splits + 1, np.where(completed, last, 1))
    energy_j = np.where(completed, np.minimum(best_j, options.stay_j), 0.0).sum(axis=1)
    mine = server[..., None] == np.arange(n_uavs)
    total_hz = np.where(mine, asked_hz[..., None], 0.0).sum(axis=1)
    short = (total_hz > options.capacity_hz).any(axis=1)
    return Solution(split, server, completed, energy_j, energy_j.copy()), short


def _pack_copy(
    solution: Solution, scenario: Robust, state: RobustState, options: Choices, copy: int
) -> None:
    """Solve one copy, in which the CPUs are short, into its place of the solution."""
    stay_j = options.stay_j[copy]
    stays = np.isfinite(stay_j)
    # UAVs that can serve nobody, as those that have failed, have no part in it.
    uavs = np.flatnonzero(options.possible[copy].any(axis=(0, 2)))
    fleet = [_options(options, copy, int(uav)) for uav in uavs]
    # To drop a task costs more than all tasks together can: completion comes first.
    drop_j = 1.0 + stay_j[stays].sum() + len(stay_j) * max(each.dearest_j for each in fleet)
    packed = share(fleet, np.where(stays, stay_j, drop_j))
    served = packed.server != ALONE
    last = scenario.tables.layers[state.network[copy]] + 1
    solution.split[copy] = np.where(served, packed.split, np.where(stays, last, 1))
    solution.server[copy] = np.where(served, uavs[packed.server], LOCAL)
    solution.completed[copy] = served | stays
    dropped_j = drop_j * np.count_nonzero(~served & ~stays)
    solution.energy_j[copy] = packed.cost_j - dropped_j
    solution.bound_j[copy] = max(packed.bound_j - dropped_j, 0.0)


def _options(options: Choices, copy: int, uav: int) -> Options:
    """What a UAV can do in a copy."""
    user, column = np.nonzero(options.possible[copy, :, uav])
    return Options(
        user=user,
        split=column + 1,
        jobs=options.jobs.rows((copy, user, uav, column)),
        local_j=options.local_j[copy, user, column],
        capacity_hz=options.capacity_hz,
        energy=options.energy,
    )
