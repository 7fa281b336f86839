"""Sharing users among UAVs in a slot in which the CPUs are short, exactly.

Each UAV knows bounds of what every set of users would cost. Sharing the users by the lower bounds
gives a lower bound of the slot. Sets that could still be part of an optimum are then solved, until
the cheapest sharing by lower bounds consists of solved sets: it is the optimum, and proven so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sec_nodes.controllers.robust.options import Options
from sec_nodes.controllers.robust.prices import ALONE, priced
from sec_nodes.controllers.robust.sets import ServedSets
from sec_nodes.controllers.robust.subsets import best_shares, memberships, through
from sec_nodes.physics.checks import FloatArray
from sec_nodes.slot import BoolArray, IntArray

TOLERANCE = 1e-9
"""Distance of bound and value, relative to the energy, at which a slot counts as solved."""

FREE = -2
"""UAV number of a user whose UAV is to be found."""

MOST_FREE = 12
"""Users that are shared exactly."""

_FREE_AT_ONCE = 9
"""Users shared exactly around the others where there are more than that."""
_TURNS = 12
"""Choices of them."""
_GUESSED_AT_ONCE = 96
"""Sets for which some cost is looked for at first."""
_ROUNDS = 25
"""Rounds of solving sets; few slots need more than three. A gap remains after the last."""
_SOLVED_AT_ONCE = 48
"""Sets solved between two looks at the whole."""


class Packed(NamedTuple):
    """A solved slot."""

    server: IntArray
    """(I,) UAV of each user, `ALONE` without."""
    split: IntArray
    """(I,) phi of the users that are served; 0 for the others."""
    cost_j: float
    bound_j: float
    """No choice costs less."""


def share(fleet: Sequence[Options], alone_j: FloatArray) -> Packed:
    """Serve users at least cost; exactly for up to `MOST_FREE` users whom UAVs can serve.

    For more, the users of whom prices tell least are shared exactly around the others, again and
    again for other choices of them; the bound is the dual then.

    Args:
        fleet: what each UAV can do.
        alone_j: (I,) cost of a user whom no UAV serves.
    """
    able = np.unique(np.concatenate([options.user for options in fleet]))
    settled = np.full(len(alone_j), ALONE)
    if len(able) <= MOST_FREE:
        settled[able] = FREE
        return pack(fleet, alone_j, settled)
    server, clarity_j, bound_j = priced(fleet, alone_j)
    best: Packed | None = None
    random = np.random.default_rng(0)
    doubtful = able[np.argsort(clarity_j[able], kind='stable')]
    for turn in range(_TURNS):
        free = doubtful[:_FREE_AT_ONCE] if turn == 0 else random.choice(able, _FREE_AT_ONCE, False)
        settled = server.copy()
        settled[free] = FREE
        packed = pack(fleet, alone_j, settled)
        if best is None or packed.cost_j < best.cost_j:
            best, server = packed, packed.server
        if best.cost_j - bound_j <= TOLERANCE * abs(bound_j):
            break
    assert best is not None
    return best._replace(bound_j=min(bound_j, best.cost_j))


def pack(fleet: Sequence[Options], alone_j: FloatArray, settled: IntArray) -> Packed:
    """Serve users at least cost.

    Args:
        fleet: what each UAV can do.
        alone_j: (I,) cost of a user whom no UAV serves.
        settled: (I,) UAV of each user, `ALONE`, or `FREE` for those to share. Time and memory
            grow with 3^n for n free users.
    """
    free = np.flatnonzero(settled == FREE)
    sets = [
        ServedSets(options, _members(free, settled == uav)) for uav, options in enumerate(fleet)
    ]
    nobody_j = _members(free, settled == ALONE) @ alone_j
    typical_j = np.min([each.typical_j() for each in sets], axis=0)
    close_j = TOLERANCE * float(typical_j[np.isfinite(typical_j)].sum())
    for each, subsets in zip(
        sets, _promising(sets, nobody_j, np.inf, _GUESSED_AT_ONCE), strict=True
    ):
        if len(subsets):
            each.sharpen(subsets)
            each.guess(subsets)
    for _ in range(_ROUNDS):
        if not _refine(sets, nobody_j, close_j):
            break
    shares, cost_j = best_shares([*(each.upper_j for each in sets), nobody_j])
    bound_j = best_shares([*(each.lower_j for each in sets), nobody_j])[1]
    server, split = np.full(len(settled), ALONE), np.zeros(len(settled), dtype=np.int64)
    for uav, (each, share) in enumerate(zip(sets, shares, strict=False)):
        users, phi = each.splits(share)
        server[users], split[users] = uav, phi
    return Packed(server, split, cost_j, min(bound_j, cost_j))


def _refine(sets: Sequence[ServedSets], nobody_j: FloatArray, close_j: float) -> bool:
    """Solve sets that may be part of an optimum; False if there are none left."""
    known_j = best_shares([*(each.upper_j for each in sets), nobody_j])[1]
    chosen = _promising(sets, nobody_j, known_j - len(sets) * close_j, _SOLVED_AT_ONCE)
    for each, subsets in zip(sets, chosen, strict=True):
        if len(subsets):
            each.solve(subsets, close_j)
    return any(len(subsets) for subsets in chosen)


def _promising(
    sets: Sequence[ServedSets], nobody_j: FloatArray, limit_j: float, most: int
) -> list[IntArray]:
    """For each UAV, the sets not yet done that may be part of a sharing below a limit."""
    least_j = through([*(each.lower_j for each in sets), nobody_j])
    open_j = [
        np.where(each.done, np.inf, promise) for each, promise in zip(sets, least_j, strict=False)
    ]
    ordered_j = np.sort(np.concatenate(open_j))
    limit_j = min(limit_j, float(ordered_j[min(most, len(ordered_j)) - 1]))
    return [np.flatnonzero(np.isfinite(each) & (each <= limit_j)) for each in open_j]


def _members(free: IntArray, always: BoolArray) -> BoolArray:
    """(2^n, I) users of each set: a subset of the free ones, and those that always belong."""
    members = np.tile(always, (1 << len(free), 1))
    members[:, free] = memberships(len(free))
    return members
