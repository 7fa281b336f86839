"""Quick guesses: a table of paths of one UAV, and what each would do for every task.

The cost of a group of tasks is at most the least over the table of a sum, so thousands of groups
can be compared in the time that one path takes to optimise. Paths that have been optimised are
added as further rows: what is known about one group then serves all groups that are like it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy import optimize

from sec_nodes.controllers.partial.flight import sortie_of
from sec_nodes.controllers.partial.loiter import loiter_paths
from sec_nodes.physics.energy import computing_energy_j, propulsion_power_w
from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial import Partial
from sec_nodes.scenarios.partial.instance import UNSERVED, PartialState, cut_tasks
from sec_nodes.scenarios.partial.uploads import first_passage_s, uploaded_bit
from sec_nodes.slot import BoolArray, FloatArray, IntArray

SHORTAGE_J = 1e6
"""What a missed constraint counts, so that searches end at the least infeasible plan."""
_GRID = 13
"""Places along each side of the area."""
_HURRY = 1.0, 1.3
"""Speeds on the way there and back, over the speed of least power."""
_MOST_LOAD = 3.0
"""Share of a processor that a task counts at most, which no processor can finish in time."""


@dataclass(frozen=True)
class Guesses:
    """What each of P paths of a UAV can do for each of N tasks."""

    path_m: FloatArray
    """(P, M + 1, 2)"""
    fixed_j: FloatArray
    """(P,) propulsion."""
    cost_j: FloatArray
    """(P, N) weighted service of each task."""
    shortage: FloatArray
    """(P, N) share of the program that does not arrive in time."""
    load: FloatArray
    """(P, N) share of the processor; more than 1 if even all of it were too slow."""
    split: IntArray
    """(P, N) the cut that costs least along the path."""

    def joined(self, other: Guesses) -> Guesses:
        """Both tables as one."""
        return Guesses(
            **{
                part.name: np.concatenate([getattr(self, part.name), getattr(other, part.name)])
                for part in fields(self)
            }
        )

    def rank(self, member: BoolArray) -> IntArray:
        """Rows (P,) from best to worst for a group (N,)."""
        load = self.load[:, member].sum(axis=1)
        short = self.shortage[:, member].sum(axis=1) + np.maximum(load - 1.0, 0.0)
        cost_j = self.fixed_j + self.cost_j[:, member].sum(axis=1) + SHORTAGE_J * short
        return np.argsort(cost_j, kind='stable')


def guesses(scenario: Partial, state: PartialState, uav: int) -> Guesses:
    """The table of a UAV of the only copy of a state: to one place, stay, and back."""
    ticks = [np.linspace(0.0, side, _GRID) for side in scenario.settings.area_m]
    place_m = np.stack(np.meshgrid(*ticks, indexing='ij'), axis=-1).reshape(-1, 2)
    cruise_m_s = enduring_speed_m_s(scenario)
    path_m = np.concatenate(
        [
            loiter_paths(
                scenario.settings,
                sortie_of(scenario, state, uav, np.zeros(state.n_tasks, dtype=bool)),
                place_m,
                transit_m_s=hurry * cruise_m_s,
                loiter_m_s=cruise_m_s,
            )
            for hurry in _HURRY
        ]
    )
    return rows(scenario, state, uav, path_m)


def rows(scenario: Partial, state: PartialState, uav: int, path_m: FloatArray) -> Guesses:
    """Rows for paths (P, M + 1, 2) of a UAV of the only copy of a state, at the best cuts."""
    everyone = np.ones(state.n_tasks, dtype=bool)
    sortie = sortie_of(scenario, state, uav, everyone)
    offset_m = path_m[:, None, :-1] - sortie.terminal_m[:, None]
    rate = rate_bit_s(np.hypot(offset_m[..., 0], offset_m[..., 1]), sortie.link)
    elsewhere = (state.held[0] != UNSERVED) & (state.held[0] != uav)
    cuts = [
        _at_cut(scenario, state, rate, sortie.cpu_hz, split)
        for split in cut_choices(scenario, state)
    ]
    cost_j, shortage, load = (np.stack([cut[i] for cut in cuts]) for i in range(3))
    missed = shortage + np.maximum(load - 1.0, 0.0)
    best = (cost_j + SHORTAGE_J * missed).argmin(axis=0)[None]
    choices = np.stack(cut_choices(scenario, state))

    def chosen(values: FloatArray) -> FloatArray:
        return np.take_along_axis(values, best, axis=0)[0]

    return Guesses(
        path_m=path_m,
        fixed_j=scenario.propulsion_j(path_m),
        cost_j=chosen(cost_j),
        shortage=np.where(elsewhere, 1.0, chosen(shortage)),
        load=chosen(load),
        split=choices[best[0], np.arange(state.n_tasks)],
    )


def cut_choices(scenario: Partial, state: PartialState) -> list[IntArray]:
    """Cuts (N,) of all tasks that a plan may choose among, for the only copy of a state.

    Given cuts stay; so do all cuts once devices have begun.
    """
    if scenario.settings.tasks.split == 'given' or state.elapsed_s[0] > 0:
        return [state.split[0]]
    return [np.full_like(state.split[0], cut) for cut in range(state.splits_bit.shape[2])]


def _at_cut(
    scenario: Partial, state: PartialState, rate: FloatArray, limit_hz: float, split: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weighted service [J], missing share of the program and load, each (P, N)."""
    settings = scenario.settings
    cuts = cut_tasks(state, split[None])
    local_s, program_bit, result_bit, work_cycle, deadline_s = (
        value[0] for value in vars(cuts).values()
    )
    program = uploaded_bit(rate, np.zeros_like(local_s), local_s, settings.slot_s)
    missing_bit = np.maximum(program_bit - program, 0.0)
    # less than a bit is rounding
    shortage = np.where(missing_bit > 0.5, missing_bit / np.maximum(program_bit, 1.0), 0.0)
    left_s = deadline_s - first_passage_s(rate, local_s, result_bit, settings.slot_s)
    most_hz = _MOST_LOAD * limit_hz
    needed_hz = np.where(
        left_s * most_hz > work_cycle, work_cycle / np.where(left_s > 0, left_s, 1.0), most_hz
    )
    needed_hz = np.where((work_cycle == 0) & (left_s >= 0), 0.0, needed_hz)
    service_j = computing_energy_j(work_cycle, needed_hz, settings.uavs.capacitance_j_s2)
    return settings.objective.service_weight * service_j, shortage, needed_hz / limit_hz


def enduring_speed_m_s(scenario: Partial) -> float:
    """Allowed speed of least propulsion power, min(v*, V_max)."""
    found = optimize.minimize_scalar(
        lambda speed: float(propulsion_power_w(speed, scenario.wing)),
        bounds=(0.0, scenario.settings.uavs.speed_m_s),
        method='bounded',
    )
    return float(found.x)
