"""What a UAV spends at least on a set of users that it serves in a slot.

With the splits known this is a convex problem; before, a choice among splits as well. Weak
duality bounds it from below: at any price of the CPU, the sum of what each user would do for
itself, less the rent of the whole CPU. A table of prices gives that for all sets at once. Where
the CPU has room for what users want at the price 0, the bound is exact; other sets are solved one
by one, by a search among the combinations of splits whose bounds are below the best known cost.
"""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.robust.options import ROUNDING, Found, Options, search
from sec_nodes.physics.checks import FloatArray
from sec_nodes.slot import BoolArray, IntArray

_CLOSE_PRICES = 96
"""Prices of the table of those sets that matter."""
_NEAR = 2
"""Prices of the table on either side of the best one at which a search looks."""
_CLOSEST_PRICES = 33
"""Prices in their place in a thorough search."""
_MOST_WAYS = (32, 2000)
"""Combinations that a first and a thorough search follow at a time."""
_STAGES = ((0, 4), (4, 32), (32, 256), (256, _MOST_WAYS[-1]))
"""Ranks of the combinations of a set that are tried together."""


class ServedSets:
    """Bounds of the cost of each set of users at one UAV, and exact costs where asked for.

    Args:
        options: what the UAV can do.
        members: (S, I) the users of each set.
    """

    def __init__(self, options: Options, members: BoolArray) -> None:
        self._options = options
        self._members = members
        of_user = options.user == np.arange(members.shape[1])[:, None]
        least_hz = np.where(of_user, options.jobs.least_hz, np.inf)
        able = of_user.any(axis=1)
        fits = ~members[:, ~able].any(axis=1) & (
            members @ np.where(able, least_hz.min(axis=1), 0.0)
            <= options.capacity_hz * (1.0 + ROUNDING)
        )
        self._of_user = of_user
        self._frugal = np.argmin(least_hz, axis=1)
        """(I,) the option of least frequency."""
        self.lower_j = np.where(fits, -np.inf, np.inf)
        """(S,) no way to serve the set costs less; inf if it cannot be served."""
        self.upper_j = np.full(len(members), np.inf)
        """(S,) cost of a way to serve the set; inf while none is known."""
        self.done = ~fits
        """(S,) sets of which no more can be found out."""
        self._best = np.full(members.shape, -1)
        self._tabulate(options.price_table())
        if self._prices[0] == 0.0:
            self._serve_freely()
        nobody = ~members.any(axis=1)
        self.upper_j[nobody] = self.lower_j[nobody] = 0.0
        self.done |= nobody

    def _tabulate(self, prices: FloatArray) -> None:
        """Bound all sets by the duals at some prices."""
        self._prices = prices
        self._rent_j, self._asked_hz = self._options.rent_j(prices)
        rent_j = np.where(self._of_user[..., None], self._rent_j, np.inf)
        self._cheapest = np.argmin(rent_j, axis=1)
        """(I, P) the option of least cost and rent at each price."""
        self._least_j = rent_j.min(axis=1)
        """(I, P) that cost and rent; inf without any option."""
        dual_j = self._members @ np.where(np.isfinite(self._least_j), self._least_j, 0.0)
        dual_j = dual_j - prices * self._options.capacity_hz
        self._best_price = np.argmax(dual_j, axis=1)
        self.lower_j = np.maximum(self.lower_j, dual_j.max(axis=1))

    def _serve_freely(self) -> None:
        """Give users what they ask for at the price 0 in all sets for which that is no more than
        there is: nothing can be better.
        """
        able = self._of_user.any(axis=1)
        free = self._cheapest[:, 0]
        asked_hz = np.where(able, self._asked_hz[free, 0], 0.0)
        roomy = ~self.done & (self._members @ asked_hz <= self._options.capacity_hz)
        cost_j = self._members @ np.where(able, self._least_j[:, 0], 0.0)
        self.upper_j[roomy] = self.lower_j[roomy] = cost_j[roomy]
        self._best[roomy] = np.where(self._members[roomy], free, -1)
        self.done |= roomy

    def typical_j(self) -> FloatArray:
        """(I,) about what serving each user costs where nobody is in the way; inf for none."""
        cost_j = self._rent_j[:, 0] - self._prices[0] * self._asked_hz[:, 0]
        return np.where(self._of_user, cost_j, np.inf).min(axis=1)

    def sharpen(self, subsets: IntArray) -> None:
        """Tabulate prices more closely where the best prices of some sets are."""
        best = self._best_price[subsets]
        low, high = (
            self._prices[max(best.min() - 1, 0)],
            self._prices[min(best.max() + 1, len(self._prices) - 1)],
        )
        self._tabulate(np.linspace(low, high, _CLOSE_PRICES))

    def splits(self, subset: int) -> tuple[IntArray, IntArray]:
        """Users of a set and their splits in the cheapest way known."""
        users = np.flatnonzero(self._members[subset])
        return users, self._options.split[self._best[subset, users]]

    def guess(self, subsets: IntArray) -> None:
        """Find some way to serve sets that can be served."""
        # A price above the best one leaves room for all but those who need their least anyway.
        dearer = np.minimum(self._best_price[subsets] + 1, len(self._prices) - 1)
        self._try(subsets, self._cheapest[:, dearer].T)
        subsets = subsets[np.isinf(self.upper_j[subsets])]
        self._try(subsets, np.broadcast_to(self._frugal, (len(subsets), len(self._frugal))))

    def solve(self, subsets: IntArray, close_j: float) -> None:
        """Find the costs of sets that can be served, to within `close_j`."""
        self.guess(subsets[np.isinf(self.upper_j[subsets])])
        for most in _MOST_WAYS:
            limits_j = self._limit_j(subsets, close_j)
            found = [
                self._search(int(subset), most, float(limit_j))
                for subset, limit_j in zip(subsets, limits_j, strict=True)
            ]
            owner = np.repeat(subsets, [len(each.ways) for each in found])
            rank = np.concatenate([np.arange(len(each.ways)) for each in found])
            ways = np.concatenate([each.ways for each in found])
            bound_j = np.concatenate([each.bound_j for each in found])
            # The most promising of each set come first: most others need not be tried then.
            for first, last in _STAGES:
                worthy = (
                    (rank >= first) & (rank < last) & (bound_j < self._limit_j(owner, close_j))
                )
                self._try(owner[worthy], ways[worthy])
            rest_j = np.array([each.rest_j for each in found])
            proven_j = np.minimum(rest_j, self._limit_j(subsets, close_j))
            self.lower_j[subsets] = np.maximum(self.lower_j[subsets], proven_j)
            self.done[subsets] = True
            subsets = subsets[rest_j < self._limit_j(subsets, close_j)]
            if not len(subsets):
                break

    def _limit_j(self, subsets: IntArray, close_j: float) -> FloatArray:
        """What a way must cost less than to matter to sets."""
        return self.upper_j[subsets] - close_j

    def _search(self, subset: int, most: int, limit_j: float) -> Found:
        """Ways to serve a set whose bounds are below the best known cost."""
        mine = np.flatnonzero(self._members[subset][self._options.user])
        best = self._best_price[subset]
        near = slice(max(best - _NEAR, 0), best + _NEAR + 1)
        prices, rent_j = self._prices[near], self._rent_j[mine, near]
        if most > _MOST_WAYS[0]:
            prices = np.linspace(prices[0], prices[-1], _CLOSEST_PRICES)
            rent_j, _ = self._options.rows(mine).rent_j(prices)
        found = search(
            self._options.user[mine],
            rent_j,
            prices * self._options.capacity_hz,
            self._members.shape[1],
            limit_j,
            most,
        )
        return found._replace(ways=np.where(found.ways >= 0, mine[found.ways], -1))

    def _try(self, subsets: IntArray, options: IntArray) -> None:
        """Keep what is best of some ways (N, I) to serve sets (N,)."""
        options = np.where(self._members[subsets], options, -1)
        cost_j = self._options.cost_j(options)
        best_j = self.upper_j.copy()
        np.minimum.at(best_j, subsets, cost_j)
        better = (cost_j <= best_j[subsets]) & (cost_j < self.upper_j[subsets])
        self._best[subsets[better]] = options[better]
        self.upper_j = best_j
