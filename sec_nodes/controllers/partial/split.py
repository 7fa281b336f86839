"""The best cuts along given paths: the split block of SCA-BCD.

Liu et al., Sensors 2026, 26(11), 3540, give the cut of each task in (12) but promise in their
abstract to optimise it. For given paths and association that is exact: every cut of every task is
tried, and where a processor does not suffice for the cheapest ones, a knapsack program decides.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, sparse

from sec_nodes.controllers.partial.plans import of_server
from sec_nodes.scenarios.partial import Partial
from sec_nodes.scenarios.partial.instance import UNSERVED, PartialState
from sec_nodes.slot import FloatArray, IntArray

_GAP = 1e-9


def best_splits(
    scenario: Partial, state: PartialState, waypoint_m: FloatArray, server: IntArray
) -> IntArray:
    """Cuts (N,) of least service energy on each UAV, for the only copy of a state.

    Args:
        scenario: the scenario.
        state: one copy.
        waypoint_m: (U, M + 1, 2)
        server: (N,)

    Returns:
        (N,) the given cut where nobody serves a task, and for all tasks of a UAV on which no
        choice of cuts meets every deadline.
    """
    n_cuts = state.splits_bit.shape[2]
    service_j, cpu_hz = (np.empty((n_cuts, state.n_tasks)) for _ in range(2))
    for cut in range(n_cuts):
        split = np.full_like(state.split, cut)
        pairs = scenario.pairs(state, waypoint_m[None], split)
        allowed_j = np.where(pairs.possible, pairs.service_j, np.inf)
        service_j[cut] = of_server(allowed_j, server[None])[0]
        cpu_hz[cut] = of_server(pairs.cpu_hz, server[None])[0]
    chosen = state.split[0].copy()
    for uav in range(len(waypoint_m)):
        mine = np.flatnonzero(server == uav)
        limit_hz = float(scenario.free_hz(state)[0, uav])
        found = choose_cuts(service_j[:, mine], cpu_hz[:, mine], limit_hz)
        if found is not None:
            chosen[mine] = found
    return np.where(server == UNSERVED, state.split[0], chosen)


def choose_cuts(cost: FloatArray, load: FloatArray, limit: float) -> IntArray | None:
    """Columns' rows of least total cost whose loads fit together: a multiple-choice knapsack.

    Args:
        cost: (K, n) of each choice; infinite where it is not allowed.
        load: (K, n) of each choice.
        limit: largest sum of loads.

    Returns:
        (n,) chosen rows; None if no choice fits.
    """
    n_cuts, n_tasks = cost.shape
    allowed = np.isfinite(cost)
    if not allowed.any(axis=0).all():
        return None
    cheapest = cost.argmin(axis=0)
    if load[cheapest, np.arange(n_tasks)].sum() <= limit:
        return cheapest
    scale = cost[cheapest, np.arange(n_tasks)].max()
    column = np.arange(cost.size)
    share = np.where(allowed, load, 0.0).ravel() / limit
    one_each = sparse.csr_array((np.ones(cost.size), (column % n_tasks, column)))
    found = optimize.milp(
        c=np.where(allowed, cost, 0.0).ravel() / max(scale, 1e-300),
        constraints=[
            optimize.LinearConstraint(share[None], -np.inf, 1.0),
            optimize.LinearConstraint(one_each, 1.0, 1.0),
        ],
        integrality=np.ones(cost.size),
        bounds=optimize.Bounds(0.0, allowed.ravel().astype(float)),
        options={'mip_rel_gap': _GAP},
    )
    if found.x is None:
        return None
    return np.asarray(found.x.reshape(n_cuts, n_tasks).argmax(axis=0))
