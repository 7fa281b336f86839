"""Ways in which a UAV can serve users in a slot, and a search among their combinations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sec_nodes.controllers.robust.choices import best_at_price
from sec_nodes.physics.checks import FloatArray
from sec_nodes.scenarios.robust.joint import Jobs, joint_frequency_hz, weighted_energy_j
from sec_nodes.scenarios.robust.power import marginal_upload_energy_w
from sec_nodes.slot import BoolArray, IntArray

ROUNDING = 1e-12
"""Relative excess of a CPU that is taken for rounding."""

_PRICES = 48
_LOWEST_PRICE = 1e-6
"""The smallest price of the table but 0, as a part of the largest that matters."""


@dataclass(frozen=True)
class Options:
    """Ways in which a UAV can serve users in time, a flat list of O."""

    user: IntArray
    """(O,)"""
    split: IntArray
    """(O,) phi."""
    jobs: Jobs
    """(O,)"""
    local_j: FloatArray
    """(O,) e_loc [J]."""
    capacity_hz: float
    energy: float
    """w2 kappa."""

    @property
    def dearest_j(self) -> float:
        """No option costs more, unless it asks for more than its least frequency [J]."""
        cost_j = self.local_j + weighted_energy_j(self.jobs, self.jobs.longest_s, self.energy)
        return float(cost_j.max(initial=0.0))

    def rows(self, chosen: BoolArray | IntArray) -> Options:
        """Some of the options."""
        return Options(
            self.user[chosen],
            self.split[chosen],
            self.jobs.rows(chosen),
            self.local_j[chosen],
            self.capacity_hz,
            self.energy,
        )

    def rent_j(self, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Cost and rent (O, P) of each option at each price [J], and what it asks for [Hz]."""
        column = (slice(None), None)
        cost_j, asked_hz = best_at_price(
            self.jobs.rows(column), self.local_j[column], prices, self.energy
        )
        return cost_j + prices * asked_hz, asked_hz

    def cost_j(self, chosen: IntArray) -> FloatArray:
        """Least cost (N,) of serving users by options (N, I), -1 for nobody; inf if too many."""
        at = np.maximum(chosen, 0)
        jobs = self.jobs.rows(at)
        served = chosen >= 0
        least_hz = np.where(served, jobs.least_hz, 0.0).sum(axis=1)
        fits = least_hz <= self.capacity_hz * (1.0 + ROUNDING)
        served &= fits[:, None]
        frequency_hz = joint_frequency_hz(
            jobs, served, np.where(served, 0, -1), 1, self.capacity_hz, self.energy
        )
        with np.errstate(divide='ignore', invalid='ignore'):
            computing_s = np.where(jobs.cycles > 0, jobs.cycles / frequency_hz, 0.0)
        cost_j = self.local_j[at] + weighted_energy_j(jobs, computing_s, self.energy)
        return np.where(fits, np.where(served, cost_j, 0.0).sum(axis=1), np.inf)

    def price_table(self) -> FloatArray:
        """(P,) ascending prices [J/Hz], to where nobody asks for more than the least."""
        if not self.jobs.flexible.any():
            return np.zeros(1)
        jobs = self.jobs.rows(self.jobs.flexible)
        saved_w = marginal_upload_energy_w(jobs.unit_s, jobs.snr_per_w, jobs.fastest_s)
        price = (saved_w - 2.0 * self.energy * jobs.least_hz**3) * jobs.longest_s**2 / jobs.cycles
        highest = float(price.max())
        if highest <= 0.0:
            return np.zeros(1)
        prices = np.geomspace(_LOWEST_PRICE * highest, highest, _PRICES)
        # Where computing costs no energy, all would ask for an infinite frequency at price 0.
        return prices if self.energy == 0.0 else np.append(0.0, prices)


class Found(NamedTuple):
    """What a search among combinations ends at."""

    ways: IntArray
    """(N, I) an option for each user, -1 for users without any; by ascending bound."""
    bound_j: FloatArray
    """(N,) no such combination costs less."""
    rest_j: float
    """Nor does any other one that was not found too dear, cost less than this."""


def search(
    user: IntArray,
    rent_j: FloatArray,
    rent_of_all_j: FloatArray,
    n_users: int,
    limit_j: float,
    most: int,
) -> Found:
    """Combinations, an option for each user that has any, that may cost less than a limit.

    Their bounds are the largest duals at some prices. Follows at most `most` combinations at a
    time; of more it keeps those of least bound.

    Args:
        user: (O,) whom each option serves.
        rent_j: (O, P) cost and rent of the options at the prices.
        rent_of_all_j: (P,) rent of the whole CPU.
        n_users: I.
        limit_j: cost from which on a combination does not matter.
        most: combinations to follow.
    """
    users = np.unique(user)
    mine = [np.flatnonzero(user == each) for each in users]
    least_j = np.array([rent_j[each].min(axis=0) for each in mine])
    ways = np.full((1, n_users), -1)
    dual_j = (least_j.sum(axis=0) - rent_of_all_j)[None]
    bound_j, rest_j = dual_j.max(axis=1), np.inf
    for one, each, floor_j in zip(users, mine, least_j, strict=True):
        longer_j = dual_j[:, None, :] + (rent_j[each] - floor_j)
        bounds_j = longer_j.max(axis=2)
        kept = np.flatnonzero(bounds_j < limit_j)
        kept = kept[np.argsort(bounds_j.flat[kept], kind='stable')]
        if len(kept) > most:
            rest_j = min(rest_j, float(bounds_j.flat[kept[most]]))
            kept = kept[:most]
        row, column = np.unravel_index(kept, bounds_j.shape)
        ways, dual_j, bound_j = ways[row], longer_j[row, column], bounds_j[row, column]
        ways[:, one] = each[column]
    return Found(ways, bound_j, rest_j)
