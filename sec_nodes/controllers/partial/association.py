"""Which UAV serves which task along given paths: an exact mixed-integer linear program."""

from __future__ import annotations

import numpy as np
from scipy import optimize, sparse

from sec_nodes.scenarios.partial.instance import UNSERVED, PartialState, cut_tasks
from sec_nodes.scenarios.partial.scenario import Pairs, Partial
from sec_nodes.slot import FloatArray, IntArray

_GAP = 1e-6
_ROUNDING = 1e-9


def associate(
    scenario: Partial, state: PartialState, waypoint_m: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Association of least largest E_u along given paths, each copy solved exactly by HiGHS.

        min z  s.t.  E^prop_u + sum_n alpha_un (beta e_un + gamma g_un) <= z,
                     sum_n alpha_un f_un <= F_max,  sum_u alpha_un = 1,
                     alpha_un = 0 where u cannot do n in time

    with f_un = W / (T_n - tau_un). Corrected: P1 and P2 of the paper leave E^prop out of the
    largest E_u, and its radio energy P T_lc of a terminal is the same for every UAV; g_un is the
    energy of the two uploads as they are.

    Args:
        scenario: the scenario.
        state: the instances.
        waypoint_m: (B, U, M + 1, 2)

    Returns:
        server (B, N), UNSERVED everywhere in a copy that has no association, and z (B,) [J],
        infinite there.
    """
    pairs = scenario.pairs(state, waypoint_m, state.split)
    cost_j = _pair_cost_j(scenario, state, pairs)
    fixed_j = scenario.propulsion_j(waypoint_m)
    limit_hz = scenario.free_hz(state)[..., None]
    found = [
        solve_association(
            fixed_j[copy],
            cost_j[copy],
            pairs.cpu_hz[copy] / limit_hz[copy],
            pairs.possible[copy],
        )
        for copy in range(state.n_copies)
    ]
    return np.stack([server for server, _ in found]), np.array([z for _, z in found])


def solve_association(
    fixed_j: FloatArray, cost_j: FloatArray, load: FloatArray, possible: FloatArray
) -> tuple[IntArray, float]:
    """The program of `associate` for one copy, in numbers.

    Args:
        fixed_j: (U,) what each UAV spends anyway.
        cost_j: (U, N) what each pair adds.
        load: (U, N) share of the UAV's processor that each pair takes.
        possible: (U, N) pairs that are allowed.

    Returns:
        server (N,), all UNSERVED if there is no solution, and the largest sum [J].
    """
    share = _program(fixed_j, cost_j, load, possible, whole=True)
    if share is None:
        return np.full(cost_j.shape[1], UNSERVED), np.inf
    server = share.argmax(axis=0)
    return server, _largest_j(fixed_j, cost_j, server)


def round_association(
    fixed_j: FloatArray, cost_j: FloatArray, load: FloatArray, possible: FloatArray
) -> tuple[IntArray, float]:
    """As `solve_association`, the way of the paper: the linear relaxation of P1, then P2.

    Each task goes to the UAV with its largest share. While a processor is overloaded, the task
    that gets least dearer by it moves to a UAV that has room. Fast, but neither exact nor sure to
    find an association where there is one.
    """
    share = _program(fixed_j, cost_j, load, possible, whole=False)
    if share is None:
        return np.full(cost_j.shape[1], UNSERVED), np.inf
    server = np.where(possible, share, -1.0).argmax(axis=0)
    tasks = np.arange(cost_j.shape[1])
    uavs = np.arange(len(fixed_j))[:, None]
    while True:
        used = np.where(server == uavs, load, 0.0).sum(axis=1)
        over = used > 1.0 + _ROUNDING
        if not over.any():
            return server, _largest_j(fixed_j, cost_j, server)
        fits = possible & over[server] & (used[:, None] + load <= 1.0) & (server != uavs)
        if not fits.any():
            return np.full(cost_j.shape[1], UNSERVED), np.inf
        with np.errstate(invalid='ignore'):
            dearer_j = np.where(fits, cost_j - cost_j[server, tasks], np.inf)
        uav, task = np.unravel_index(dearer_j.argmin(), dearer_j.shape)
        server[task] = uav


def _largest_j(fixed_j: FloatArray, cost_j: FloatArray, server: IntArray) -> float:
    mine = server == np.arange(len(fixed_j))[:, None]
    return float((fixed_j + np.where(mine, cost_j, 0.0).sum(axis=1)).max())


def _program(
    fixed_j: FloatArray, cost_j: FloatArray, load: FloatArray, possible: FloatArray, whole: bool
) -> FloatArray | None:
    """alpha (U, N) of the program of `associate`, in whole numbers or not; None if infeasible."""
    n_uavs, n_tasks = cost_j.shape
    allowed = possible.ravel()
    scale_j = max(1.0, float(np.abs(fixed_j).max()))
    # columns: alpha_un by UAV, then z; forbidden pairs may hold infinities
    cost = np.where(allowed, cost_j.ravel(), 0.0) / scale_j
    share = np.where(allowed, load.ravel(), 0.0)
    owner = np.repeat(np.arange(n_uavs), n_tasks)
    task = np.tile(np.arange(n_tasks), n_uavs)
    column = np.arange(n_uavs * n_tasks)
    size = len(column) + 1
    energy = sparse.csr_array(
        (
            np.concatenate([cost, np.full(n_uavs, -1.0)]),
            (
                np.concatenate([owner, np.arange(n_uavs)]),
                np.concatenate([column, np.full(n_uavs, size - 1)]),
            ),
        ),
        shape=(n_uavs, size),
    )
    capacity = sparse.csr_array((share, (owner, column)), shape=(n_uavs, size))
    service = sparse.csr_array((np.ones(size - 1), (task, column)), shape=(n_tasks, size))
    found = optimize.milp(
        c=np.append(np.zeros(size - 1), 1.0),
        constraints=[
            optimize.LinearConstraint(energy, -np.inf, -fixed_j / scale_j),
            optimize.LinearConstraint(capacity, -np.inf, 1.0),
            optimize.LinearConstraint(service, 1.0, 1.0),
        ],
        integrality=np.append(np.full(size - 1, float(whole)), 0.0),
        bounds=optimize.Bounds(np.zeros(size), np.append(allowed.astype(float), np.inf)),
        options={'mip_rel_gap': _GAP},
    )
    return None if found.x is None else found.x[:-1].reshape(n_uavs, n_tasks)


def _pair_cost_j(scenario: Partial, state: PartialState, pairs: Pairs) -> FloatArray:
    """(B, U, N) beta e + gamma g of each pair, infinite where it is impossible."""
    objective, radio = scenario.settings.objective, scenario.settings.radio
    local_s = cut_tasks(state, state.split).local_s[:, None]
    on_air_s = pairs.program_end_s + pairs.upload_end_s - local_s
    with np.errstate(invalid='ignore'):
        cost_j = (
            objective.service_weight * pairs.service_j
            + objective.radio_weight * radio.transmit_power_w * on_air_s
        )
    return np.where(pairs.possible, cost_j, np.inf)
