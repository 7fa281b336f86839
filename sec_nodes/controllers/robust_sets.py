"""What a UAV spends at least on a set of users that it serves in a slot.

With the splits known this is a convex problem; before, a choice among splits as well. Weak
duality bounds it from below: at any price of the CPU, the sum of what each user would do for
itself, less the rent of the whole CPU. A table of prices gives that for all sets at once. Where
the CPU has room for what users want at the price 0, the bound is exact; other sets are solved one
by one, by a search among the combinations of splits whose bounds are below the best known cost.
"""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.robust_options import ROUNDING, Options, search
from sec_nodes.slot import BoolArray, IntArray

_NEAR_PRICES = 17
"""Prices around the best one of the table at which a search looks."""
_AT_ONCE = 256
"""Combinations that are solved at once."""


class ServedSets:
    """Bounds of the cost of each set of users at one UAV, and exact costs where asked for.

    Args:
        options: what the UAV can do.
        members: (S, I) the users of each set.
    """

    def __init__(self, options: Options, members: BoolArray) -> None:
        self._options = options
        self._members = members
        self._prices = options.price_table()
        self._last = len(self._prices) - 1
        self._rent_j, asked_hz = options.rent_j(self._prices)
        n_users = members.shape[1]
        of_user = options.user == np.arange(n_users)[:, None]
        rent_j = np.where(of_user[..., None], self._rent_j, np.inf)
        self._cheapest = np.argmin(rent_j, axis=1)
        """(I, P) the option of least cost and rent at each price."""
        self.least_j = rent_j.min(axis=1)
        """(I, P) that cost and rent; inf without any option."""
        least_hz = np.where(of_user, options.jobs.least_hz, np.inf)
        self._frugal = np.argmin(least_hz, axis=1)
        """(I,) the option of least frequency."""
        able = of_user.any(axis=1)
        fits = ~members[:, ~able].any(axis=1) & (
            members @ np.where(able, least_hz.min(axis=1), 0.0)
            <= options.capacity_hz * (1.0 + ROUNDING)
        )
        dual_j = members @ np.where(able[:, None], self.least_j, 0.0)
        dual_j = dual_j - self._prices * options.capacity_hz
        self._best_price = np.argmax(dual_j, axis=1)
        self.lower_j = np.where(fits, dual_j.max(axis=1), np.inf)
        """(S,) no way to serve the set costs less; inf if it cannot be served."""
        self.upper_j = np.full(len(members), np.inf)
        """(S,) cost of a way to serve the set; inf while none is known."""
        self.done = ~fits
        """(S,) sets of which no more can be found out."""
        self._best = np.full(members.shape, -1)
        if self._prices[0] == 0.0:
            free = self._cheapest[:, 0]
            roomy = fits & (
                members @ np.where(able, asked_hz[free, 0], 0.0) <= options.capacity_hz
            )
            self.upper_j[roomy] = self.lower_j[roomy] = dual_j[roomy, 0]
            self.done |= roomy
            self._best[roomy] = np.where(members[roomy], free, -1)

    def splits(self, subset: int) -> tuple[IntArray, IntArray]:
        """Users of a set and their splits in the cheapest way known."""
        users = np.flatnonzero(self._members[subset])
        return users, self._options.split[self._best[subset, users]]

    def solve(self, subsets: IntArray) -> None:
        """Find the exact costs of some sets that can be served."""
        price = self._best_price[subsets]
        dearer = np.minimum(price + 1, self._last)
        frugal = np.broadcast_to(self._frugal, (len(subsets), len(self._frugal)))
        for guess in (self._cheapest[:, price].T, self._cheapest[:, dearer].T, frugal):
            self._try(subsets, guess)
        for subset in subsets:
            self._search(int(subset))
        self.done[subsets] = True

    def _search(self, subset: int) -> None:
        """Try all ways to serve a set whose bounds are below the best known cost."""
        best = self._best_price[subset]
        low, high = self._prices[max(best - 1, 0)], self._prices[min(best + 1, self._last)]
        mine = np.flatnonzero(self._members[subset][self._options.user])
        ways, bound_j, rest_j = search(
            self._options.rows(mine),
            np.linspace(low, high, _NEAR_PRICES),
            self._members.shape[1],
            self.upper_j[subset],
        )
        ways = np.where(ways >= 0, mine[ways], -1)
        for start in range(0, len(ways), _AT_ONCE):
            # Ways come by ascending bound: once it reaches the best cost, all others are worse.
            if bound_j[start] >= self.upper_j[subset]:
                break
            chunk = ways[start : start + _AT_ONCE]
            self._try(np.full(len(chunk), subset), chunk)
        self.lower_j[subset] = min(rest_j, self.upper_j[subset])

    def _try(self, subsets: IntArray, options: IntArray) -> None:
        """Keep what is best of some ways (N, I) to serve sets (N,)."""
        options = np.where(self._members[subsets], options, -1)
        cost_j = self._options.cost_j(options)
        best_j = self.upper_j.copy()
        np.minimum.at(best_j, subsets, cost_j)
        better = (cost_j <= best_j[subsets]) & (cost_j < self.upper_j[subsets])
        self._best[subsets[better]] = options[better]
        self.upper_j = best_j
