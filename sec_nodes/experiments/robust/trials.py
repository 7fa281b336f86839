"""What the figures are made of: controllers and policies in held-out episodes, with UAVs that
fail when we want them to, and the trainings that policies come from.

Both are data with a key, so that results can be kept and found again; see `experiments.trainings`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sec_nodes.controllers.batch import BatchController
from sec_nodes.controllers.robust.targets import preferences
from sec_nodes.experiments.keeping import (
    Overrides,
    StoppedError,
    content_key,
    settings_text,
    spelt,
)
from sec_nodes.experiments.robust.plans import PAPER
from sec_nodes.experiments.trainings import (
    HELD_OUT_SEED,
    Player,
    PlayStore,
    Training,
    player_key,
    player_name,
)
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.settings import RobustSettings
from sec_nodes.scenarios.robust.state import (
    LOCAL,
    NEVER,
    RobustDecision,
    RobustOutcome,
    RobustState,
)
from sec_nodes.simulation import systems
from sec_nodes.simulation.run import episode_seeds
from sec_nodes.slot import FloatArray, IntArray

SCENARIO = 'robust'
_MILLI = 1e3
# Rough CPU times, to tell which job should begin first; the clock corrects them.
_SLOT_S, _SLOW_SLOT_S, _START_S = 0.002, 0.08, 1.0
_STEP_S = {'redq': 0.1, 'redq_g1': 0.01}
_USUAL_STEP_S = 0.008

QUANTITIES = {
    'cost_mj': 'weighted energy of a slot [mJ]',
    'service_mj': 'without flight [mJ]',
    'completion_percent': 'completed [%]',
    'per_task_mj': 'without flight, per completed task [mJ]',
    'return': 'return of an episode',
    'rescued_percent': 'tasks of failed UAVs that go on [%]',
    'whole_percent': 'sent tasks that are not split [%]',
    'broken': 'constraints broken in a slot',
}
"""What is measured of each episode: means over slots, (27) for energies; the return is the sum of
(31) over the episode, or what it would be if all of its slots were like those that are played."""


@dataclass(frozen=True)
class Trial:
    """A controller, or what was learnt, in held-out episodes."""

    player: Player
    mode: str
    episodes: int
    slots: int
    overrides: Overrides = ()
    """Of the scenario."""
    failure_slot: int | None = None
    """In which slot UAVs fail, from 1; None as they are drawn."""
    association_kept: bool = False
    """Whether every user stays with the UAV of the first slot, whatever happens."""

    @cached_property
    def key(self) -> str:
        """Name of its file."""
        own = {**asdict(self), 'player': player_key(self.player), 'seed': HELD_OUT_SEED}
        return content_key('trial', own, settings_text(scenario_name(self.mode), self.overrides))

    @property
    def label(self) -> str:
        """For people."""
        mode = scenario_name(self.mode)
        return f'{player_name(self.player)} {mode}{spelt(self.overrides)}'


Job = Training | Trial


class TrialStore(PlayStore[Trial]):
    """Results of jobs in a folder: of each episode `QUANTITIES`."""

    def expected_s(self, job: Job) -> float:
        """Roughly the CPU time of a job [s]."""
        if isinstance(job, Training):
            return _START_S + job.steps * _STEP_S.get(job.algorithm, _USUAL_STEP_S)
        slot_s = _SLOT_S if job.mode == 'feasible' else _SLOW_SLOT_S
        return _START_S + slot_s * job.episodes * job.slots

    def play(self, job: Trial, player: str, stopped: Callable[[], bool]) -> dict[str, FloatArray]:
        """Numbers (E,) of each episode; see `PlayStore.play`."""
        return play(job, player, stopped)


def scenario_name(mode: str) -> str:
    """Name of the scenario with its mode."""
    return SCENARIO if mode == PAPER else f'{SCENARIO}:{mode}'


class AppointedFailures(Robust):
    """Robust in which UAVs that fail do so in a given slot.

    Args:
        settings: parameters.
        failure_slot: from 1; None leaves it as it is drawn.
    """

    def __init__(self, settings: RobustSettings, failure_slot: int | None = None) -> None:
        super().__init__(settings)
        self._failure_slot = failure_slot

    def reset(self, seed: IntArray) -> RobustState:
        """Begin an episode in each copy."""
        state = super().reset(seed)
        if self._failure_slot is None:
            return state
        slot = np.where(state.failure_slot == NEVER, NEVER, self._failure_slot - 1)
        return replace(state, failure_slot=slot)


class KeptAssociation(BatchController[Robust, RobustState, RobustDecision]):
    """Another controller, but every user stays with the UAV of the first slot.

    Tasks for a UAV that is known to have failed are not sent. Where tasks go when a UAV fails is
    chosen anew, for the association as it is kept.
    """

    scenario_name = SCENARIO

    def __init__(self, controller: BatchController[Any, Any, Any]) -> None:
        super().__init__(controller.scenario, controller.seed)
        self.name = f'{controller.name}, association kept'
        self._controller = controller
        self._first: IntArray | None = None

    def decide(self, state: RobustState) -> RobustDecision:
        """Answer one slot of every copy; slots of an episode come one after the other."""
        decision = self._controller.decide(state)
        if self._first is None:
            self._first = decision.server
        alive = np.take_along_axis(state.alive, np.maximum(self._first, 0), axis=1)
        server = np.where(alive, self._first, LOCAL)
        preference = preferences(self.scenario, state, decision.split, server)
        return replace(decision, server=server, preference=preference)


def play(trial: Trial, player: str, stopped: Callable[[], bool]) -> dict[str, FloatArray]:
    """Numbers (E,) of each episode of a trial.

    Args:
        trial: what is played.
        player: name of a controller, or the file of a policy.
        stopped: asked after every slot.

    Raises:
        StoppedError: because `stopped` said so.
    """
    settings = read_settings(scenario_name(trial.mode), dict(trial.overrides))
    assert isinstance(settings, RobustSettings)
    scenario = AppointedFailures(settings, trial.failure_slot)
    controller = systems.controller(player, scenario, seed=0)
    if trial.association_kept:
        controller = KeptAssociation(controller)
    state = scenario.reset(episode_seeds(HELD_OUT_SEED, trial.episodes))
    slots: list[dict[str, FloatArray]] = []
    for _ in range(trial.slots):
        following, outcome = scenario.step(state, decision := controller.decide(state))
        slots.append(_of_slot(scenario, state, decision, outcome))
        state = following
        if stopped():
            raise StoppedError
    means = {name: np.mean([slot[name] for slot in slots], axis=0) for name in slots[0]}
    return _of_episode(means, settings)


def _of_slot(
    scenario: Robust, state: RobustState, decision: RobustDecision, outcome: RobustOutcome
) -> dict[str, FloatArray]:
    """(E,) what is added up over an episode."""
    summary = scenario.summarise(state, outcome)
    sent = outcome.server != LOCAL
    return {
        'cost_j': outcome.e_tot_j,
        'service_j': summary.extra['cost_without_flight_j'],
        'completed': summary.completed,
        'reward': outcome.reward,
        'migrated': summary.extra['migrated'],
        'lost': summary.extra['lost'],
        'sent': sent.sum(axis=1) * 1.0,
        'whole': (sent & (decision.split == 1)).sum(axis=1) * 1.0,
        'broken': summary.violations,
    }


def _of_episode(means: dict[str, FloatArray], settings: RobustSettings) -> dict[str, FloatArray]:
    """(E,) by `QUANTITIES`; NaN where there is nothing to divide by."""
    hit = means['migrated'] + means['lost']
    return {
        'cost_mj': _MILLI * means['cost_j'],
        'service_mj': _MILLI * means['service_j'],
        'completion_percent': 100.0 * means['completed'] / settings.users.count,
        'per_task_mj': _ratio(_MILLI * means['service_j'], means['completed']),
        'return': settings.horizon * means['reward'],
        'rescued_percent': _ratio(100.0 * means['migrated'], hit),
        'whole_percent': _ratio(100.0 * means['whole'], means['sent']),
        'broken': means['broken'],
    }


def _ratio(total: FloatArray, count: FloatArray) -> FloatArray:
    return np.where(count > 0, total / np.where(count > 0, count, 1.0), np.nan)
