"""From paths and an association to a plan: the least processor speeds that meet the deadlines."""

from __future__ import annotations

from typing import Any

import numpy as np

from sec_nodes.scenarios.partial.instance import GIGAHERTZ, PartialState
from sec_nodes.scenarios.partial.scenario import UNSERVED, Pairs, Partial, PartialDecision
from sec_nodes.slot import FloatArray, IntArray


def of_server(value: FloatArray, server: IntArray) -> FloatArray:
    """Values (B, N) that the chosen UAVs have for their tasks, out of (B, U, N)."""
    chosen = np.where(server == UNSERVED, 0, server)
    return np.take_along_axis(value, chosen[:, None], axis=1)[:, 0]


def closed_form_cpu_hz(pairs: Pairs, server: IntArray, limit_hz: FloatArray) -> FloatArray:
    """Optimal processor speeds f = W / (T_n - tau), (B, N), for given paths and association.

    A task that its UAV cannot finish in time even alone gets nothing: it is missed anyway, and
    the processor is better left to others.

    Args:
        pairs: what each UAV could do for each task.
        server: (B, N)
        limit_hz: (B, U) processor of each UAV.
    """
    cpu_hz = of_server(pairs.cpu_hz, server)
    own_hz = np.take_along_axis(limit_hz, np.where(server == UNSERVED, 0, server), axis=1)
    return np.where((cpu_hz <= own_hz) & (server != UNSERVED), cpu_hz, 0.0)


def closed_form_plan(
    scenario: Partial,
    state: PartialState,
    waypoint_m: FloatArray,
    server: IntArray,
    split: IntArray | None = None,
) -> PartialDecision:
    """Complete a plan by the optimal processor speeds.

    Args:
        scenario: the scenario.
        state: the instances.
        waypoint_m: (B, U, M + 1, 2)
        server: (B, N)
        split: (B, N) cuts; None for the given ones.
    """
    cuts = state.split if split is None else split
    pairs = scenario.pairs(state, waypoint_m, cuts)
    cpu_hz = closed_form_cpu_hz(pairs, server, scenario.free_hz(state))
    return PartialDecision(waypoint_m, server, cpu_hz, cuts)


def plan_to_dict(plan: PartialDecision, copy: int = 0) -> dict[str, Any]:
    """The plan of one copy as JSON can hold it: `q` [m], `A` from 0, `f` [GHz], `k`."""
    return {
        'q': plan.waypoint_m[copy].tolist(),
        'A': plan.server[copy].tolist(),
        'f': (plan.cpu_hz[copy] / GIGAHERTZ).tolist(),
        'k': plan.split[copy].tolist(),
    }


def plan_from_dict(tree: dict[str, Any]) -> PartialDecision:
    """The plan of one copy out of `plan_to_dict`.

    Raises:
        ValueError: a key is missing or holds no numbers.
    """
    try:
        return PartialDecision(
            waypoint_m=np.array(tree['q'], dtype=float)[None],
            server=np.array(tree['A'], dtype=np.int64)[None],
            cpu_hz=np.array(tree['f'], dtype=float)[None] * GIGAHERTZ,
            split=np.array(tree['k'], dtype=np.int64)[None],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f'no plan ({error!r}): it must hold q, A, f and k') from error
