"""Checks a decision against the scenario's hard constraints and replaces what breaks them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from sec_nodes.controllers.base import Controller
from sec_nodes.scenarios.offloading import Offloading, Violation
from sec_nodes.slot import DECLINED, BoolArray, FloatArray, IntArray, SlotDecision, SlotState

_GOAL_SLACK_M = 1e-6


@dataclass(frozen=True)
class Screened:
    """A decision that breaks no constraint, and what had to be done for it."""

    decision: SlotDecision
    violation: IntArray
    """(K,) `Violation` flags of the original decision."""
    repaired: BoolArray
    """(K,) the fallback's decision was put in its place."""
    rejected: BoolArray
    """(K,) the fallback knew no way either."""
    goals_held: int
    """UAV goals that were no place in the area, and were replaced by holding the position."""

    def reason(self, task: int) -> str:
        """What the original decision on a task broke."""
        return describe(int(self.violation[task]))


def describe(violation: int) -> str:
    """Names of the constraints in a set of `Violation` flags."""
    names = [flag.name.lower() for flag in Violation if violation & flag and flag.name]
    return ', '.join(names)


def screen(
    scenario: Offloading, state: SlotState, decision: SlotDecision, fallback: Controller
) -> Screened:
    """Replace each task's decision that breaks a constraint by that of the fallback.

    Args:
        scenario: whose constraints hold.
        state: the slot.
        decision: a controller's answer, in the order of `state.tasks`.
        fallback: decides what the controller could not; asked only for those tasks.
    """
    violation = scenario.violations(state, decision)
    broken = np.flatnonzero(violation)
    repaired = np.zeros(state.n_tasks, dtype=bool)
    rejected = np.zeros(state.n_tasks, dtype=bool)
    if len(broken):
        part = state.only(broken)
        substitute = fallback.decide(part)
        sound = scenario.violations(part, substitute) == 0
        served = sound & (substitute.server != DECLINED)
        decision = _insert(decision, broken, substitute)
        repaired[broken[served]] = True
        rejected[broken[~served]] = True
    decision, goals_held = _sound_goals(scenario, state, decision)
    return Screened(decision, violation, repaired, rejected, goals_held)


def _insert(decision: SlotDecision, rows: IntArray, substitute: SlotDecision) -> SlotDecision:
    """The decision with some rows taken from another one."""
    changed = {}
    for item in fields(SlotDecision):
        if item.name != 'uav_goal_m':
            column = getattr(decision, item.name).copy()
            column[rows] = getattr(substitute, item.name)
            changed[item.name] = column
    return replace(decision, **changed)


def _sound_goals(
    scenario: Offloading, state: SlotState, decision: SlotDecision
) -> tuple[SlotDecision, int]:
    """Goals clipped to the area; what is not a number holds its position."""
    here_m: FloatArray = state.servers.position_m[: state.n_uavs]
    goal_m = decision.uav_goal_m
    if goal_m.shape != here_m.shape:
        return replace(decision, uav_goal_m=here_m.copy()), state.n_uavs
    broken = np.logical_not(np.all(np.isfinite(goal_m), axis=1))
    goal_m = np.where(broken[:, None], here_m, goal_m)
    low_m, high_m = scenario.airspace_m()
    clipped_m = np.clip(goal_m, low_m, high_m)
    moved = (np.abs(clipped_m - goal_m) > _GOAL_SLACK_M).any(axis=1)
    return replace(decision, uav_goal_m=clipped_m), int(np.count_nonzero(broken | moved))
