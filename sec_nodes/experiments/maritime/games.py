"""What the figures are made of: experiments that a controller plays, and races against time.

Both are data with a key, so that results can be kept and found again; see `experiments.trainings`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sec_nodes.controllers.batch import BatchController, create_batch
from sec_nodes.experiments.keeping import (
    JsonStore,
    Overrides,
    StoppedError,
    content_key,
    numbers,
    settings_text,
)
from sec_nodes.experiments.maritime.plans import GENETIC, SCA, kind
from sec_nodes.experiments.trainings import HELD_OUT_SEED
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.maritime.scenario import BIT_PER_MBIT
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeOutcome, MaritimeState
from sec_nodes.simulation.run import episode_seeds
from sec_nodes.simulation.systems import system
from sec_nodes.slot import FloatArray, IntArray

SCENARIO = 'maritime'
BOUND_MBIT = 'bound_mbit'
# Rough CPU times, to tell which job should begin first; the clock corrects them.
_EXPERIMENT_S = {SCA: 0.2, GENETIC: 4.0}
_USUAL_EXPERIMENT_S, _BOUND_S, _START_S = 0.003, 0.4, 0.5


@dataclass(frozen=True)
class Game:
    """A controller in held-out experiments, all at once."""

    player: str
    episodes: int
    overrides: Overrides = ()
    """Of the scenario."""
    certify: bool = False
    """Whether the bound of each slot is kept as well."""

    @cached_property
    def key(self) -> str:
        """Name of its file."""
        own = {**asdict(self), 'seed': HELD_OUT_SEED}
        return content_key('game', own, settings_text(SCENARIO, self.overrides))

    @property
    def label(self) -> str:
        """For people."""
        changes = ''.join(f' {name}={value}' for name, value in self.overrides)
        return f'{self.player}{changes}{", certified" if self.certify else ""}'


@dataclass(frozen=True)
class Race:
    """Controllers that play the same experiments in turn, each timed."""

    players: tuple[str, ...]
    experiments: int
    batched: str
    """Who plays many at once as well."""
    batch: int

    @cached_property
    def key(self) -> str:
        """Name of its file."""
        own = {**asdict(self), 'seed': HELD_OUT_SEED}
        return content_key('race', own, settings_text(SCENARIO, ()))

    @property
    def label(self) -> str:
        """For people."""
        return f'time {", ".join(self.players)}'


Job = Game | Race


class GameStore(JsonStore[Job]):
    """Results in a folder."""

    def expected_s(self, job: Job) -> float:
        """Roughly the CPU time of a job [s]."""
        if isinstance(job, Race):
            return _START_S + (job.experiments + 0.1) * sum(map(_experiment_s, job.players))
        each_s = _experiment_s(job.player) + job.certify * _BOUND_S
        return _START_S + job.episodes * each_s

    def result(self, job: Job, stopped: Callable[[], bool]) -> dict[str, list[Any]]:
        """What `found` gives, as lists.

        Raises:
            StoppedError: because `stopped` said so.
        """
        if isinstance(job, Race):
            return {name: numbers(column) for name, column in _run(job, stopped).items()}
        return {name: [numbers(row) for row in rows] for name, rows in _play(job, stopped).items()}

    def found(self, job: Job) -> dict[str, FloatArray]:
        """Of a game (T, B) by slot and experiment, see `slot_figures`; of a race (E,) CPU times.

        Times [s] are those to decide all slots of each experiment.
        """
        kept = self.kept(job)
        return {name: np.array(values, dtype=float) for name, values in kept.items()}


def controller(player: str, scenario: Maritime) -> BatchController[Any, Any, Any]:
    """Who a player is; `genetic 50x80` has a population of 50 and 80 generations."""
    name, _, budget = player.partition(' ')
    if not budget:
        return create_batch(name, scenario)
    from sec_nodes.controllers.maritime.genetic import Budget, Genetic

    return Genetic(scenario, budget=Budget(*map(int, budget.split('x'))))


def _experiment_s(player: str) -> float:
    return _EXPERIMENT_S.get(kind(player), _USUAL_EXPERIMENT_S)


def slot_figures(
    state: MaritimeState, decision: MaritimeDecision, outcome: MaritimeOutcome
) -> dict[str, FloatArray]:
    """(B,) sums over the UAVs of a slot.

    `delay_s` is over all batches, late ones too, with the time they would really take: section
    VI-A, "average processing time of all UAVs".
    """
    asked = state.batch_bit > 0
    late = asked & outcome.late
    sums = {
        'delivered_mbit': outcome.uploaded_bit / BIT_PER_MBIT,
        'tasks': asked,
        'late': late,
        'early': asked & outcome.violations['f'] & ~late,
        'delay_s': np.where(asked, outcome.finish_s, 0.0),
        'batch_mbit': state.batch_bit / BIT_PER_MBIT,
        'offloaded_mbit': decision.ratio * state.batch_bit / BIT_PER_MBIT,
    }
    totals = {name: values.sum(axis=-1, dtype=float) for name, values in sums.items()}
    return {'utility_mbit': outcome.utility_mbit, 'energy_j': outcome.energy_j, **totals}


def _scenario(overrides: Overrides) -> Maritime:
    scenario = system(SCENARIO, dict(overrides))
    assert isinstance(scenario, Maritime)
    return scenario


def _play(game: Game, stopped: Callable[[], bool]) -> dict[str, FloatArray]:
    """(T, B) figures of each slot."""
    scenario = _scenario(game.overrides)
    decider = controller(game.player, scenario)
    state = scenario.reset(episode_seeds(HELD_OUT_SEED, game.episodes))
    rows = []
    for _ in range(scenario.horizon):
        decision = decider.decide(state)
        following, outcome = scenario.step(state, decision)
        row = slot_figures(state, decision, outcome)
        cost = decider.bound(state) if game.certify else None
        if cost is not None:
            row[BOUND_MBIT] = -cost
        rows.append(row)
        state = following
        if stopped():
            raise StoppedError
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _run(race: Race, stopped: Callable[[], bool]) -> dict[str, FloatArray]:
    """(E,) CPU times of each; an experiment before them, which nobody times, loads libraries."""
    scenario = _scenario(())
    seeds = episode_seeds(HELD_OUT_SEED, max(race.experiments, race.batch))
    times: dict[str, list[float]] = {name: [] for name in race.players}
    for name in race.players:
        controller(name, scenario).decide(scenario.reset(seeds[:1]))
    for number in range(race.experiments):
        for name in race.players:
            times[name].append(_deciding_s(scenario, name, seeds[number : number + 1], stopped))
    together_s = _deciding_s(scenario, race.batched, seeds[: race.batch], stopped)
    found = {name: np.array(column) for name, column in times.items()}
    return {**found, batched(race.batched, race.batch): np.array([together_s / race.batch])}


def batched(player: str, batch: int) -> str:
    """How a player of many experiments at once is called."""
    return f'{player}, each of {batch}'


def _deciding_s(
    scenario: Maritime, name: str, seeds: IntArray, stopped: Callable[[], bool]
) -> float:
    """CPU time that a controller takes for all slots [s]."""
    decider = controller(name, scenario)
    state = scenario.reset(seeds)
    spent_s = 0.0
    for _ in range(scenario.horizon):
        begun_s = time.process_time()
        decision = decider.decide(state)
        spent_s += time.process_time() - begun_s
        state, _ = scenario.step(state, decision)
        if stopped():
            raise StoppedError
    return spent_s
