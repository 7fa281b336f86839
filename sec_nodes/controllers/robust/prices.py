"""Prices of the CPUs at which users choose for themselves: a bound, and a first sharing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sec_nodes.controllers.robust.options import Options
from sec_nodes.physics.checks import FloatArray
from sec_nodes.slot import IntArray

ALONE = -1
"""UAV number of a user whom no UAV serves."""

_HIGH_PRICES = 48
"""Prices at which users would rather be dropped than served, in the table of prices."""
_SWEEPS = 12
"""Rounds in which the price of each UAV is chosen anew."""


def priced(fleet: Sequence[Options], alone_j: FloatArray) -> tuple[IntArray, FloatArray, float]:
    """Share users by prices.

    Args:
        fleet: what each UAV can do.
        alone_j: (I,) cost of a user whom no UAV serves.

    Returns:
        The UAV of each user (I,), `ALONE` for some so that all CPUs suffice; how much a user
        would lose with its second choice (I,) [J]; a lower bound of the cost of all sharings [J].
    """
    tables = [_table(options, alone_j) for options in fleet]
    chosen = np.array([least_j[:, 0] for _, least_j, _ in tables])
    rent_j = np.array(
        [table[0][0] * options.capacity_hz for options, table in zip(fleet, tables, strict=True)]
    )
    bound_j = -np.inf
    for _ in range(_SWEEPS):
        before_j = bound_j
        for uav, (prices, least_j, _) in enumerate(tables):
            others_j = np.minimum(np.delete(chosen, uav, 0).min(axis=0, initial=np.inf), alone_j)
            all_rent_j = prices * fleet[uav].capacity_hz
            dual_j = np.minimum(others_j[:, None], least_j).sum(axis=0) - all_rent_j
            best = int(np.argmax(dual_j))
            chosen[uav], rent_j[uav] = least_j[:, best], all_rent_j[best]
            bound_j = float(dual_j[best] - np.delete(rent_j, uav).sum())
        if bound_j <= before_j:
            break
    cost_j = np.vstack([chosen, alone_j])
    ordered_j = np.sort(cost_j, axis=0)
    clarity_j = ordered_j[1] - ordered_j[0]
    server = np.full(len(alone_j), ALONE)
    left_hz = np.array([options.capacity_hz for options in fleet])
    needed_hz = np.array([least_hz for _, _, least_hz in tables])
    for user in np.argsort(-np.where(np.isfinite(clarity_j), clarity_j, np.inf), kind='stable'):
        for uav in np.argsort(cost_j[:-1, user], kind='stable'):
            if cost_j[uav, user] < alone_j[user] and needed_hz[uav, user] <= left_hz[uav]:
                server[user] = uav
                left_hz[uav] -= needed_hz[uav, user]
                break
    return server, clarity_j, bound_j


def _table(options: Options, alone_j: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Prices (P,), least cost and rent of each user at them (I, P), least frequencies (I,)."""
    prices = options.price_table()
    if np.any(alone_j > 0) and np.any(options.jobs.least_hz > 0):
        dearest = alone_j.max() / options.jobs.least_hz[options.jobs.least_hz > 0].min()
        lowest = max(prices[-1], 1e-9 * dearest)
        prices = np.append(prices, np.geomspace(lowest, max(dearest, lowest), _HIGH_PRICES))
    rent_j, _ = options.rent_j(prices)
    least_j = np.full((len(alone_j), len(prices)), np.inf)
    np.minimum.at(least_j, options.user, rent_j)
    least_hz = np.full(len(alone_j), np.inf)
    np.minimum.at(least_hz, options.user, options.jobs.least_hz)
    return prices, least_j, least_hz
