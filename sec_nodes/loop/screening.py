"""Checks a decision against the scenario's hard constraints and replaces what breaks them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sec_nodes.controllers.base import Controller
from sec_nodes.scenarios.offloading import Offloading
from sec_nodes.scenarios.stages import Violation
from sec_nodes.slot import (
    DECLINED,
    BoolArray,
    FloatArray,
    IntArray,
    RelayPlan,
    SlotDecision,
    SlotState,
)

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
    relays_held: int
    """UAVs whose relay orders broke a constraint, and were held within it or replaced."""

    def reason(self, task: int) -> str:
        """What the original decision on a task broke."""
        return describe(int(self.violation[task]))

    def complaints(self) -> Iterator[tuple[str, str]]:
        """What was wrong with the original decision: the kind of it, and which one."""
        for row in np.flatnonzero(self.violation):
            yield 'decision broke a constraint', self.reason(int(row))
        if self.goals_held:
            yield 'goal outside the area', str(self.goals_held)
        if self.relays_held:
            yield 'relay order broke a constraint', str(self.relays_held)


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
    decision = scenario.settled(state, decision)
    violation = scenario.violations(state, decision)
    broken = np.flatnonzero(violation)
    repaired = np.zeros(state.n_tasks, dtype=bool)
    rejected = np.zeros(state.n_tasks, dtype=bool)
    if len(broken):
        part = state.only(broken)
        substitute = scenario.settled(part, fallback.decide(part))
        sound = scenario.violations(part, substitute) == 0
        served = sound & (substitute.server != DECLINED)
        decision = scenario.settled(state, decision.with_rows(broken, substitute))
        repaired[broken[served]] = True
        rejected[broken[~served]] = True
    decision, goals_held = _sound_goals(scenario, state, decision)
    decision, relays_held = _sound_relays(scenario, state, decision, fallback)
    return Screened(decision, violation, repaired, rejected, goals_held, relays_held)


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


def _sound_relays(
    scenario: Offloading, state: SlotState, decision: SlotDecision, fallback: Controller
) -> tuple[SlotDecision, int]:
    """Relay orders within their limits; the fallback's where they are missing or no numbers."""
    if state.relays is None:
        return replace(decision, relays=None), 0
    wanted = decision.relays
    n_uavs = len(state.relays.alive)
    columns = vars(wanted).values() if wanted is not None else ()
    if wanted is None or any(column.shape != (n_uavs,) for column in columns):
        return replace(decision, relays=_own_relays(scenario, state, fallback)), n_uavs
    broken = ~np.all([np.isfinite(column) & (column >= 0) for column in columns], axis=0)
    if broken.any():
        substitute = _own_relays(scenario, state, fallback)
        wanted = RelayPlan(
            **{
                name: np.where(broken, getattr(substitute, name), column)
                for name, column in vars(wanted).items()
            }
        )
    sound, held = scenario.sound_relays(state.relays, wanted)
    return replace(decision, relays=sound), int(np.count_nonzero(held | broken))


def _own_relays(scenario: Offloading, state: SlotState, fallback: Controller) -> RelayPlan:
    """What the fallback orders; none of the relays' work is offloaded if it does not know."""
    plan = fallback.decide(state).relays
    if plan is None or state.relays is None:
        raise ValueError(f'fallback {fallback.name!r} gives no relay orders; choose another')
    return scenario.sound_relays(state.relays, plan)[0]
