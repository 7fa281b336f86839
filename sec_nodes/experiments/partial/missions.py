"""What the figures are made of: missions that a controller plans, and certificates.

Both are data with a key, so that results can be kept and found again; see `experiments.trainings`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.partial.algorithm_one import AlgorithmOne
from sec_nodes.controllers.partial.association import associate
from sec_nodes.controllers.partial.baselines import best_links, initial_ellipses
from sec_nodes.controllers.partial.plans import closed_form_plan, plan_from_dict, plan_to_dict
from sec_nodes.experiments.keeping import (
    JsonStore,
    Overrides,
    StoppedError,
    content_key,
    numbers,
    settings_text,
)
from sec_nodes.experiments.partial.plans import BASE, OP, SINGLE, START
from sec_nodes.experiments.trainings import HELD_OUT_SEED
from sec_nodes.scenarios.partial import Partial, PartialDecision
from sec_nodes.scenarios.partial.bounds import binary_certificate, partial_certificate
from sec_nodes.scenarios.partial.instance import UNSERVED, PartialState
from sec_nodes.scenarios.partial.scenario import PartialOutcome
from sec_nodes.scenarios.partial.validator import Violation, validate
from sec_nodes.simulation.run import episode_seeds
from sec_nodes.simulation.systems import system
from sec_nodes.slot import IntArray

SCENARIO = 'partial'
_SPARE = 3
"""How many instances are drawn for each that is wanted: some are certified infeasible."""
# Rough CPU times, to tell which job should begin first; the clock corrects them.
_MISSION_S = {OP: 3.0, SINGLE: 1.0}
_USUAL_MISSION_S, _START_S = 0.05, 1.0


@dataclass(frozen=True)
class Mission:
    """A controller that plans the frozen instance, or drawn ones that may be feasible."""

    player: str
    mode: str = BASE
    episodes: int = 1
    """Instances; of a frozen one there is only one."""
    overrides: Overrides = ()
    """Of the scenario."""

    @cached_property
    def key(self) -> str:
        """Name of its file."""
        own = {**asdict(self), 'seed': HELD_OUT_SEED}
        return content_key('mission', own, settings_text(scenario_name(self.mode), self.overrides))

    @property
    def label(self) -> str:
        """For people."""
        changes = ''.join(f' {name}={value}' for name, value in self.overrides)
        return f'{self.player} {scenario_name(self.mode)}{changes}'


@dataclass(frozen=True)
class Census:
    """How many drawn instances are certified infeasible, with whole tasks and at given cuts."""

    mode: str
    episodes: int

    @cached_property
    def key(self) -> str:
        """Name of its file."""
        own = {**asdict(self), 'seed': HELD_OUT_SEED}
        return content_key('census', own, settings_text(scenario_name(self.mode), ()))

    @property
    def label(self) -> str:
        """For people."""
        return f'certificates {scenario_name(self.mode)}'


Job = Mission | Census


@dataclass(frozen=True)
class Flown:
    """A plan of one instance, and what comes of it."""

    scenario: Partial
    state: PartialState
    """One copy."""
    plan: PartialDecision
    outcome: PartialOutcome
    broken: tuple[Violation, ...]
    """What the independent validator found."""
    cpu_s: float
    """CPU time of planning [s]."""
    trace_j: tuple[float, ...] = ()
    """Objective of (12) before Algorithm 1 and after each of its iterations, of who is it [J]."""


class MissionStore(JsonStore[Job]):
    """Results in a folder."""

    def expected_s(self, job: Job) -> float:
        """Roughly the CPU time of a job [s]."""
        if isinstance(job, Census):
            return _START_S
        return _START_S + job.episodes * _MISSION_S.get(job.player, _USUAL_MISSION_S)

    def flown(self, mission: Mission) -> list[Flown]:
        """The plan of each instance, costed by the scenario."""
        scenario = scenario_of(mission.mode, mission.overrides)
        states = instances(scenario, mission.episodes)
        kept = self.kept(mission)
        found = []
        for copy, one in enumerate(kept):
            state, plan = states.only(slice(copy, copy + 1)), plan_from_dict(one['plan'])
            broken = tuple(
                Violation(kind, where, np.inf if excess is None else excess)
                for kind, where, excess in one['broken']
            )
            outcome = scenario.evaluate(state, plan)
            trace_j = tuple(one['trace_j'])
            found.append(Flown(scenario, state, plan, outcome, broken, one['cpu_s'], trace_j))
        return found

    def shares(self, census: Census) -> dict[str, list[bool]]:
        """Whether each instance is certified infeasible: `binary` and `given`."""
        found: dict[str, list[bool]] = self.kept(census)
        return found

    def result(self, job: Job, stopped: Callable[[], bool]) -> Any:
        """What a job comes to, as JSON can hold it.

        Raises:
            StoppedError: because `stopped` said so.
        """
        return _count(job) if isinstance(job, Census) else _fly(job, stopped)


def scenario_name(mode: str) -> str:
    """Name of the scenario with its mode."""
    return SCENARIO if mode == BASE else f'{SCENARIO}:{mode}'


def scenario_of(mode: str, overrides: Overrides = ()) -> Partial:
    """The scenario in a mode."""
    scenario = system(scenario_name(mode), dict(overrides))
    assert isinstance(scenario, Partial)
    return scenario


def instances(scenario: Partial, episodes: int) -> PartialState:
    """The frozen instance, or the first held-out ones that are not certified infeasible."""
    if scenario.same_every_episode:
        return scenario.reset(episode_seeds(HELD_OUT_SEED, episodes))
    drawn = scenario.reset(episode_seeds(HELD_OUT_SEED, _SPARE * episodes))
    hopeful = np.flatnonzero(~partial_certificate(scenario.settings, drawn).infeasible)
    return drawn.only(hopeful[:episodes])


def numbered_alike(
    scenario: Partial, state: PartialState, plan: PartialDecision
) -> PartialDecision:
    """The plan of one copy with UAVs numbered as in BL, by the tasks that they share most of.

    UAVs are alike, so their numbers mean nothing, but figures compare them one by one.
    """
    uavs = np.arange(scenario.settings.uavs.count)
    theirs = best_links(scenario, state, initial_ellipses(scenario, state))[0]
    shared = (plan.server[0] == uavs[:, None]).astype(int) @ (theirs[:, None] == uavs).astype(int)
    _, number = linear_sum_assignment(shared, maximize=True)
    server = np.where(plan.server == UNSERVED, UNSERVED, number[plan.server])
    order: IntArray = np.argsort(number)
    return replace(plan, waypoint_m=plan.waypoint_m[:, order], server=server)


def _fly(mission: Mission, stopped: Callable[[], bool]) -> list[dict[str, Any]]:
    scenario = scenario_of(mission.mode, mission.overrides)
    states = instances(scenario, mission.episodes)
    found = []
    for copy in range(states.n_copies):
        state = states.only(slice(copy, copy + 1))
        begun_s = time.process_time()
        plan, trace_j = _planned(mission.player, scenario, state)
        cpu_s = time.process_time() - begun_s
        plan = numbered_alike(scenario, state, plan)
        broken = validate(scenario.settings, state, plan)
        found.append(
            {
                'plan': plan_to_dict(plan),
                'cpu_s': round(cpu_s, 4),
                'trace_j': trace_j,
                'broken': [[v.kind, v.where, *numbers(np.array([v.excess]))] for v in broken],
            }
        )
        if stopped():
            raise StoppedError
    return found


def _planned(
    player: str, scenario: Partial, state: PartialState
) -> tuple[PartialDecision, list[float]]:
    """The plan of one copy, and the trace of Algorithm 1.

    Where no association is feasible, `START` serves nobody.
    """
    if player == START:
        outline_m = initial_ellipses(scenario, state)
        server = associate(scenario, state, outline_m)[0]
        return closed_form_plan(scenario, state, outline_m, server), []
    if player == SINGLE:
        run = AlgorithmOne(scenario, state).run()
        return run.plan, run.objective_j
    return create_batch(player, scenario).decide(state), []


def _count(census: Census) -> dict[str, list[bool]]:
    scenario = scenario_of(census.mode)
    drawn = scenario.reset(episode_seeds(HELD_OUT_SEED, census.episodes))
    return {
        'binary': binary_certificate(scenario.settings, drawn).infeasible.tolist(),
        'given': partial_certificate(scenario.settings, drawn).infeasible.tolist(),
    }
