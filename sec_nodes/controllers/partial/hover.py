"""A quick guess what a group of tasks costs a UAV: fly to one place, stay, and come back.

For each place of a grid it is known what the UAV could do for every terminal, so the cost of any
group is the least over the grid of a sum: thousands of associations can be compared in the time
that one path takes to optimise. The paths are feasible ones, so they also serve as starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import optimize

from sec_nodes.controllers.partial.paths import loiter_path, smoothed
from sec_nodes.physics.energy import propulsion_power_w
from sec_nodes.scenarios.partial import Partial
from sec_nodes.scenarios.partial.instance import PartialState
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_GRID = 26
"""Places along each side of the area."""
_HURRY = 1.0, 1.3
"""Speeds on the way there and back, over the speed of least power."""
_GENTLE = 1.5
"""Radius of a turn over the smallest that the acceleration allows, where it is limited."""
_PASSES = 20
"""How often the corners of a path are then rounded."""
_PENALTY_J = 1e6
"""What a task that is not served in time counts, and a processor that is needed twice."""


@dataclass(frozen=True)
class HoverTable:
    """What each of P paths to one place can do for each of N tasks."""

    path_m: FloatArray
    """(P, M + 1, 2)"""
    fixed_j: FloatArray
    """(P,) propulsion."""
    cost_j: FloatArray
    """(P, N) weighted service of each task; a penalty where it is impossible."""
    load: FloatArray
    """(P, N) share of the processor."""

    @cached_property
    def n_tasks(self) -> int:
        """Number N of tasks."""
        return self.cost_j.shape[1]

    def group_cost_j(self, member: BoolArray) -> FloatArray:
        """Least cost (G,) of groups (G, N) over all paths."""
        return self._costs_j(member).min(axis=1)

    def best_paths_m(self, member: BoolArray, count: int) -> FloatArray:
        """The best `count` paths (count, M + 1, 2) for one group (N,)."""
        return self.path_m[np.argsort(self._costs_j(member[None])[0], kind='stable')[:count]]

    def _costs_j(self, member: BoolArray) -> FloatArray:
        chosen = member.astype(float)
        overload = np.maximum(chosen @ self.load.T - 1.0, 0.0)
        return self.fixed_j + chosen @ self.cost_j.T + _PENALTY_J * overload


def hover_table(scenario: Partial, state: PartialState) -> HoverTable:
    """The table of the only copy of a state, of a new mission; UAVs at the lowest altitude."""
    settings = scenario.settings
    uavs = settings.uavs
    ticks = [np.linspace(0.0, side, _GRID) for side in settings.area_m]
    place_m = np.stack(np.meshgrid(*ticks, indexing='ij'), axis=-1).reshape(-1, 2)
    cruise_m_s = enduring_speed_m_s(scenario)
    limit_m_s2 = uavs.acceleration_m_s2
    turn_m = _GENTLE * cruise_m_s**2 / limit_m_s2 if limit_m_s2 else 0.0
    path_m = np.concatenate(
        [
            loiter_path(
                state.depot_m[0],
                place_m,
                settings.slots,
                settings.slot_s,
                min(hurry * cruise_m_s, uavs.speed_m_s),
                cruise_m_s,
                turn_m,
            )
            for hurry in _HURRY
        ]
    )
    path_m = smoothed(path_m, _PASSES if limit_m_s2 else 0)
    lowest = np.zeros(len(path_m), dtype=np.int64)
    pairs = scenario.pairs(state, path_m[None], state.split, lowest)
    possible = pairs.possible[0]
    service_j = settings.objective.service_weight * np.where(possible, pairs.service_j[0], 0.0)
    return HoverTable(
        path_m=path_m,
        fixed_j=scenario.propulsion_j(path_m),
        cost_j=np.where(possible, service_j, _PENALTY_J),
        load=np.where(possible, pairs.cpu_hz[0] / uavs.cpu_hz, 0.0),
    )


def enduring_speed_m_s(scenario: Partial) -> float:
    """Allowed speed of least propulsion power, min(v*, V_max)."""
    found = optimize.minimize_scalar(
        lambda speed: float(propulsion_power_w(speed, scenario.wing)),
        bounds=(0.0, scenario.settings.uavs.speed_m_s),
        method='bounded',
    )
    return float(found.x)


def improve(table: HoverTable, server: IntArray, n_uavs: int) -> IntArray:
    """Move and swap tasks (N,) as long as the table says that the costliest UAV gets cheaper."""
    value = rank(table, server[None], n_uavs)[0]
    while True:
        candidates = neighbours(server, n_uavs)
        if len(candidates) == 0:
            return server
        values = rank(table, candidates, n_uavs)
        best = int(values.argmin())
        if not values[best] < value - 1e-6:
            return server
        server, value = candidates[best], values[best]


def rank(table: HoverTable, server: IntArray, n_uavs: int) -> FloatArray:
    """Figure of merit (G,) of associations (G, N): largest cost, the sum breaks ties [J]."""
    member = server[:, None] == np.arange(n_uavs)[:, None]
    cost_j = table.group_cost_j(member.reshape(-1, table.n_tasks)).reshape(-1, n_uavs)
    return merit(cost_j)


def merit(cost_j: FloatArray) -> FloatArray:
    """Largest of costs (..., U) with a hundredth of their sum [J].

    The sum lets a search go on where only the second costliest UAV can get cheaper.
    """
    return cost_j.max(axis=-1) + 0.01 * cost_j.sum(axis=-1)


def neighbours(server: IntArray, n_uavs: int) -> IntArray:
    """Associations (G, N) that move one task, or swap two of different UAVs."""
    n_tasks = len(server)
    task, uav = np.divmod(np.arange(n_tasks * n_uavs), n_uavs)
    moved = np.repeat(server[None], len(task), axis=0)
    moved[np.arange(len(task)), task] = uav
    first, second = np.triu_indices(n_tasks, 1)
    swapped = np.repeat(server[None], len(first), axis=0)
    rows = np.arange(len(first))
    swapped[rows, first], swapped[rows, second] = server[second], server[first]
    both = np.concatenate([moved, swapped])
    return both[(both != server).any(axis=1)]
