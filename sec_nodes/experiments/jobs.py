"""Plays of a player in held-out episodes, as `sec simulate` plays them; see `trainings`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property

from sec_nodes.experiments.keeping import (
    Overrides,
    StoppedError,
    content_key,
    settings_text,
    spelt,
)
from sec_nodes.experiments.trainings import (
    HELD_OUT_SEED,
    Player,
    PlayStore,
    Training,
    player_key,
    player_name,
)
from sec_nodes.simulation import systems
from sec_nodes.simulation.run import episode_seeds, simulate
from sec_nodes.simulation.statistics import per_episode
from sec_nodes.slot import FloatArray

# Rough times, to tell who should begin first and how long it may take; the clock corrects them.
_STEP_S = {'ad_sac': 0.03, 'ad_sac_c': 0.013, 'ddpg': 0.006, 'd3qn': 0.006, 'ppo': 0.001,
           'hybrid_ppo': 0.001}  # fmt: skip
_USUAL_STEP_S, _SLOT_S, _OPTIMUM_SLOT_S, _START_S = 0.018, 0.002, 0.8, 0.5


@dataclass(frozen=True)
class Play:
    """A controller, or what was learnt, in held-out episodes."""

    scenario: str
    player: Player
    episodes: int
    slots: int
    overrides: Overrides = ()
    """Of the scenario."""

    @cached_property
    def key(self) -> str:
        """Name of its file."""
        own = {**asdict(self), 'player': player_key(self.player), 'seed': HELD_OUT_SEED}
        return content_key('play', own, settings_text(self.scenario, self.overrides))

    @property
    def label(self) -> str:
        """For people."""
        return f'play {player_name(self.player)} {self.scenario}{spelt(self.overrides)}'


Job = Training | Play


class Store(PlayStore[Play]):
    """Results of jobs in a folder: means over the slots of everything that scenarios tell."""

    def expected_s(self, job: Job) -> float:
        """Roughly the CPU time of a job [s]."""
        return expected_s(job)

    def play(self, job: Play, player: str, stopped: Callable[[], bool]) -> dict[str, FloatArray]:
        """Numbers (E,) of each episode; see `PlayStore.play`."""

        def look() -> None:
            if stopped():
                raise StoppedError

        scenario = systems.system(job.scenario, dict(job.overrides))
        controller = systems.controller(player, scenario, seed=0)
        seed = episode_seeds(HELD_OUT_SEED, job.episodes)
        return per_episode(simulate(scenario, controller, seed, job.slots, after_slot=look))


def expected_s(job: Job) -> float:
    """Roughly the CPU time of a job [s]."""
    if isinstance(job, Training):
        whole_s = _STEP_S.get(job.algorithm, _USUAL_STEP_S) * job.steps
        return _START_S + min(whole_s, math.inf if job.minutes is None else 60 * job.minutes)
    slot_s = _OPTIMUM_SLOT_S if job.player in ('optimum', 'exhaustive') else _SLOT_S
    return _START_S + slot_s * job.episodes * job.slots
