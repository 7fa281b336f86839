"""Why a mission cannot be flown as asked: proofs that name the tasks which stand in the way.

Each proof rests on what no path can beat: a UAV is never closer to a terminal than full speed from
its start allows, nor so far that it would not get home. That bounds each link in each slot from
above, and so the processor speed from below that a task of Liu et al., Sensors 2026, 26(11), 3540,
(7) to (11), needs on each UAV. No reason proves nothing: whether there is a plan stays open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial.instance import (
    GIGAHERTZ,
    UNSERVED,
    CutTasks,
    PartialState,
    cut_tasks,
    every_cut,
)
from sec_nodes.scenarios.partial.occupancy import Company, occupancy
from sec_nodes.scenarios.partial.packing import groups_apart, needed_tasks, parting
from sec_nodes.scenarios.partial.scenario import (
    TOLERANCE_BIT,
    TOLERANCE_HZ,
    TOLERANCE_M,
    TOLERANCE_M_S,
    TOLERANCE_S,
    Partial,
    PartialDecision,
    least_cpu_hz,
)
from sec_nodes.scenarios.partial.uploads import first_passage_s, uploaded_bit
from sec_nodes.slot import FloatArray, IntArray

PROGRAM = 'program'
DEADLINE = 'deadline'
PROCESSORS = 'processors'
PACKING = 'packing'
HOME = 'home'
APART = 'apart'
"""Kinds of reasons, see `Reason`."""
_SHOWN = 6
"""Groups that are named in a text at most."""


@dataclass(frozen=True)
class Reason:
    """A proof that no plan does everything that is asked."""

    kind: str
    """`program`: a program cannot arrive in the local time of its task, on any UAV.
    `deadline`: no UAV can finish the task in time, even with its whole processor.
    `processors`: the tasks together need more processor than all UAVs have.
    `packing`: the tasks cannot be parted among the UAVs so that each processor suffices.
    `apart`: as `packing`, and also because no UAV can be near all terminals of a group at once.
    `home`: a UAV cannot get home before the mission ends."""
    tasks: tuple[int, ...]
    """Tasks that are in the way; those that need most come first."""
    text: str
    """The proof in a sentence, with numbers."""


@dataclass(frozen=True)
class Needs:
    """What tasks need at least, wherever UAVs fly; (U, N), one copy."""

    program_share: FloatArray
    """Most of the program that can arrive in the local time, at the cut where most can."""
    cpu_hz: FloatArray
    """Least processor speed at any cut; infinite if none is enough, or another UAV is bound to
    serve the task."""


def explain(scenario: Partial, state: PartialState, copy: int = 0) -> tuple[Reason, ...]:
    """Why no plan for a copy of a state can meet every deadline; empty if nothing is proven.

    Tasks that are impossible by themselves are named first. The others are then looked at
    together, so several reasons may hold at once.
    """
    one = state.only(slice(copy, copy + 1))
    needs = least_needs(scenario, one)
    free_hz = scenario.free_hz(one)[0]
    alone = _alone(one, needs, free_hz)
    impossible = [task for reason in alone for task in reason.tasks]
    others = np.setdiff1d(np.arange(one.n_tasks), impossible)
    together = (
        _processors(needs, free_hz, others)
        or _packing(needs, free_hz, others)
        or _apart(scenario, one, needs, free_hz, others)
    )
    return (*_home(scenario, one), *alone, *together)


@dataclass(frozen=True)
class Verdict:
    """What is to be said about a plan of one copy."""

    status: Literal['solved', 'infeasible', 'not found']
    """`solved`: every deadline is met and nothing is broken. `infeasible`: no plan can do that,
    see the reasons. `not found`: neither this plan does it, nor is it proven that none can."""
    reasons: tuple[Reason, ...]


def verdict(
    scenario: Partial, state: PartialState, plan: PartialDecision, copy: int = 0
) -> Verdict:
    """Whether a plan for a copy of a state does all that is asked, or why none can."""
    one = slice(copy, copy + 1)
    outcome = scenario.evaluate(state.only(one), plan.only(one))
    if outcome.met.all() and not any(count.any() for count in outcome.violations.values()):
        return Verdict('solved', ())
    reasons = explain(scenario, state, copy)
    return Verdict('infeasible' if reasons else 'not found', reasons)


def least_needs(scenario: Partial, state: PartialState) -> Needs:
    """What each task of the only copy of a state needs on each UAV at least."""
    rate = _best_rates_bit_s(scenario, state)
    given = scenario.settings.tasks.split == 'given' or state.elapsed_s[0] > 0
    cuts = [cut_tasks(state, state.split)] if given else every_cut(state)
    shares, speeds_hz = zip(*(_at_cut(scenario, rate, cut) for cut in cuts), strict=True)
    number = np.arange(scenario.settings.uavs.count)[:, None]
    elsewhere = (state.held[0] != UNSERVED) & (state.held[0] != number)
    return Needs(
        program_share=np.where(elsewhere, 0.0, np.max(shares, axis=0)),
        cpu_hz=np.where(elsewhere, np.inf, np.min(speeds_hz, axis=0)),
    )


def _at_cut(scenario: Partial, rate: FloatArray, cut: CutTasks) -> tuple[FloatArray, FloatArray]:
    """Share of the programs that can arrive, and least processor speed, each (U, N)."""
    slot_s = scenario.settings.slot_s
    # a plan may miss by the tolerances of the scenario
    program_bit = np.maximum(cut.program_bit[0] - TOLERANCE_BIT, 0.0)
    result_bit = np.maximum(cut.intermediate_bit[0] - TOLERANCE_BIT, 0.0)
    carried_bit = uploaded_bit(rate, np.zeros_like(cut.local_s[0]), cut.local_s[0], slot_s)
    left_bit = np.where(program_bit > 0, program_bit, 1.0)
    share = np.where(program_bit > 0, np.minimum(carried_bit / left_bit, 1.0), 1.0)
    done_s = first_passage_s(rate, cut.local_s[0], result_bit, slot_s)
    left_s = cut.deadline_s[0] - done_s + TOLERANCE_S
    cpu_hz = least_cpu_hz(cut.work_cycle[0], left_s)
    return share, np.where(share < 1.0, np.inf, cpu_hz)


def _best_rates_bit_s(scenario: Partial, state: PartialState) -> FloatArray:
    """(U, N, M) rate that no path can beat: full speed from the start, and home in time."""
    settings = scenario.settings
    slot = np.arange(settings.slots)
    step_m = (settings.uavs.speed_m_s + TOLERANCE_M_S) * settings.slot_s
    terminal_m = state.terminal_m[0]
    gone_m = _distance_m(state.start_m[0][:, None], terminal_m)[..., None] - slot * step_m
    left_m = _distance_m(state.depot_m[0], terminal_m)[:, None] - (settings.slots - slot) * step_m
    nearest_m = np.maximum(np.maximum(gone_m, left_m) - TOLERANCE_M, 0.0)
    return rate_bit_s(nearest_m[None], scenario.link(state))[0]


def _home(scenario: Partial, state: PartialState) -> list[Reason]:
    """UAVs that cannot get home."""
    settings = scenario.settings
    way_m = _distance_m(state.start_m[0], state.depot_m[0])
    reach_m = (settings.uavs.speed_m_s + TOLERANCE_M_S) * settings.mission_s + 2 * TOLERANCE_M
    return [
        Reason(
            HOME,
            (),
            f'UAV {uav} is {way_m[uav]:.0f} m from the depot, but flies {reach_m:.0f} m at most '
            f'in the {settings.mission_s:.1f} s that are left',
        )
        for uav in np.flatnonzero(way_m > reach_m)
    ]


def _alone(state: PartialState, needs: Needs, free_hz: FloatArray) -> list[Reason]:
    """Tasks that no UAV can do, each by itself."""
    found = []
    for task in np.flatnonzero((needs.cpu_hz > free_hz[:, None] + TOLERANCE_HZ).all(axis=0)):
        share = float(needs.program_share[:, task].max())
        least_hz = float(needs.cpu_hz[:, task].min())
        if share < 1.0:
            text = f'at most {share:.1%} of its program can arrive in its local time'
        elif np.isinf(least_hz):
            text = 'its intermediate result cannot arrive before its deadline'
        else:
            text = (
                f'it needs {least_hz / GIGAHERTZ:.2f} GHz to be done by its deadline, and no UAV '
                f'that could serve it has more than {free_hz.max() / GIGAHERTZ:.2f} GHz'
            )
        kind = PROGRAM if share < 1.0 else DEADLINE
        found.append(Reason(kind, (int(task),), f'task {task}: {text}, wherever UAVs fly'))
    return found


def _processors(needs: Needs, free_hz: FloatArray, tasks: IntArray) -> list[Reason]:
    """The fewest of the tasks that need more than all processors together."""
    least_hz = needs.cpu_hz.min(axis=0)
    largest_first = tasks[np.argsort(-least_hz[tasks], kind='stable')]
    needed_hz = np.cumsum(least_hz[largest_first])
    available_hz = float((free_hz + TOLERANCE_HZ).sum())
    if not (needed_hz > available_hz).any():
        return []
    count = int((needed_hz > available_hz).argmax()) + 1
    named = largest_first[:count]
    return [
        Reason(
            PROCESSORS,
            tuple(named.tolist()),
            f'{_named(named)} need {needed_hz[count - 1] / GIGAHERTZ:.2f} GHz together, but all '
            f'UAVs have {free_hz.sum() / GIGAHERTZ:.2f} GHz, wherever they fly',
        )
    ]


def _packing(needs: Needs, free_hz: FloatArray, tasks: IntArray) -> list[Reason]:
    """A set of tasks that do not fit, and would if any of them were left out."""
    cpu_hz, most_hz = needs.cpu_hz[:, tasks], free_hz + TOLERANCE_HZ
    if not parting(cpu_hz, most_hz, [])[1]:
        return []
    kept = tasks[needed_tasks(cpu_hz, most_hz, [])]
    needed = ', '.join(f'{hz / GIGAHERTZ:.2f}' for hz in needs.cpu_hz[:, kept].min(axis=0))
    have = ', '.join(f'{hz / GIGAHERTZ:.2f}' for hz in free_hz)
    return [
        Reason(
            PACKING,
            tuple(kept.tolist()),
            f'{_named(kept)} need at least {needed} GHz, which cannot be parted among processors '
            f'of {have} GHz, wherever UAVs fly',
        )
    ]


def _apart(
    scenario: Partial, state: PartialState, needs: Needs, free_hz: FloatArray, tasks: IntArray
) -> list[Reason]:
    """Tasks that cannot be parted because a UAV is in one place at a time; for given cuts."""
    if scenario.settings.tasks.split != 'given' and state.elapsed_s[0] == 0:
        return []
    cuts = CutTasks(**{k: v[0, tasks] for k, v in vars(cut_tasks(state, state.split)).items()})
    cells = occupancy(scenario, state.with_tasks(tasks))
    cpu_hz, most_hz = needs.cpu_hz[:, tasks], free_hz + TOLERANCE_HZ
    company = Company(cells, cuts, cpu_hz.min(axis=0), float(most_hz.max()))
    groups = groups_apart(cpu_hz, most_hz, company.refuted)
    if groups is None:
        return []
    kept = needed_tasks(cpu_hz, most_hz, groups)
    within = [sorted(tasks[group].tolist()) for group in groups if set(group) <= set(kept)]
    listed = '; '.join(_named(group) for group in sorted(within, key=len)[:_SHOWN])
    more = f' and {len(within) - _SHOWN} more groups' if len(within) > _SHOWN else ''
    return [
        Reason(
            APART,
            tuple(tasks[kept].tolist()),
            f'{_named(tasks[kept])} cannot be parted among {len(free_hz)} UAVs: no UAV can serve '
            f'together {listed}{more}, for it is in one place at a time',
        )
    ]


def _named(tasks: IntArray | list[int]) -> str:
    return f'tasks {", ".join(str(task) for task in tasks)}'


def _distance_m(one_m: FloatArray, other_m: FloatArray) -> FloatArray:
    offset_m = one_m - other_m
    return np.hypot(offset_m[..., 0], offset_m[..., 1])
