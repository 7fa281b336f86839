"""What experiments are made of: trainings, and plays of a player in held-out episodes.

A job is data. Its key is a hash of all that its result follows from, hyper-parameters and
settings of the scenario included, so that results can be kept and found again, and those of
another configuration are never taken for its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes.experiments.keeping import (
    Overrides,
    StoppedError,
    content_key,
    numbers,
    read_json,
    settings_text,
    write_json,
)
from sec_nodes.learning import job as training_files
from sec_nodes.learning.registry import values
from sec_nodes.scenarios.registry import split_mode
from sec_nodes.simulation import systems
from sec_nodes.simulation.run import episode_seeds, simulate
from sec_nodes.simulation.statistics import per_episode
from sec_nodes.slot import FloatArray

HELD_OUT_SEED = 5002025
"""Of the episodes that everybody is judged on. Trainings use seeds beyond 2^61, `sec simulate`
begins at 0: nobody has met these."""

# Rough times, to tell who should begin first and how long it may take; the clock corrects them.
_STEP_S = {'ad_sac': 0.03, 'ad_sac_c': 0.013, 'ddpg': 0.006, 'd3qn': 0.006, 'ppo': 0.001,
           'hybrid_ppo': 0.001}  # fmt: skip
_USUAL_STEP_S, _SLOT_S, _OPTIMUM_SLOT_S, _START_S = 0.018, 0.002, 0.8, 0.5


@dataclass(frozen=True)
class Training:
    """An algorithm trained on a scenario from one seed."""

    algorithm: str
    scenario: str
    """With its mode: `mllm:stress`."""
    seed: int
    steps: int
    """Slots of all copies together."""
    minutes: float | None = None
    """CPU-minutes after which it ends; None for no such limit."""
    overrides: Overrides = ()
    """Of the scenario."""
    hyper: Overrides = ()
    """Of the hyper-parameters."""

    @cached_property
    def key(self) -> str:
        """Name of its folder."""
        name, mode = split_mode(self.scenario)
        recipe = values(self.algorithm, name, mode=mode, overrides=dict(self.hyper))
        return content_key(
            'train', asdict(self), recipe, settings_text(self.scenario, self.overrides)
        )

    @property
    def label(self) -> str:
        """For people."""
        changes = ''.join(f' {name}={value}' for name, value in self.overrides + self.hyper)
        return f'train {self.algorithm} {self.scenario}{changes} seed {self.seed}'


@dataclass(frozen=True)
class Play:
    """A controller, or what was learnt, in held-out episodes."""

    scenario: str
    player: str | Training
    """Name of a controller, or the training whose policy plays."""
    episodes: int
    slots: int
    overrides: Overrides = ()
    """Of the scenario."""

    @cached_property
    def key(self) -> str:
        """Name of its file."""
        player = self.player if isinstance(self.player, str) else self.player.key
        own = {**asdict(self), 'player': player, 'seed': HELD_OUT_SEED}
        return content_key('play', own, settings_text(self.scenario, self.overrides))

    @property
    def label(self) -> str:
        """For people."""
        name = self.player if isinstance(self.player, str) else self.player.algorithm
        changes = ''.join(f' {name}={value}' for name, value in self.overrides)
        return f'play {name} {self.scenario}{changes}'


Job = Training | Play
Train = Callable[[training_files.Job, Callable[[Any], bool]], bool]
"""Carries out a training; True once it has finished. It asks now and then whether to go on."""


def with_torch(job: training_files.Job, go_on: Callable[[Any], bool]) -> bool:
    """Train with the learners of `sec_nodes.learning`."""
    from sec_nodes.learning.trainer import train

    return train(job, go_on)


@dataclass(frozen=True)
class Store:
    """Results of jobs in a folder."""

    folder: Path
    train: Train = with_torch
    """Carries out trainings."""

    def has(self, job: Job) -> bool:
        """Whether a job is done."""
        done = self._training(job) / training_files.SUMMARY if isinstance(job, Training) else None
        return (done or self._play(job)).is_file()  # type: ignore[arg-type]

    def needs(self, job: Job) -> Training | None:
        """The training that must be over before a job can begin."""
        return needs(job)

    def expected_s(self, job: Job) -> float:
        """Roughly the CPU time of a job [s]."""
        return expected_s(job)

    def carry_out(self, job: Job, stopped: Callable[[], bool]) -> None:
        """Do a job, or what is left of it.

        Raises:
            StoppedError: because `stopped` said so.
        """
        if isinstance(job, Play):
            self._carry_out_play(job, stopped)
        elif not self.train(self._order(job), lambda progress: not stopped()):
            raise StoppedError

    def play_cpu_s(self, play: Play) -> float:
        """CPU time that a play took [s]."""
        return float(read_json(self._play(play))['cpu_s'])

    def figures(self, play: Play) -> dict[str, FloatArray]:
        """Means over the slots of each episode (E,) of everything that scenarios tell."""
        kept = read_json(self._play(play))['figures']
        return {name: np.array(column, dtype=float) for name, column in kept.items()}

    def summary(self, training: Training) -> dict[str, Any]:
        """What a training was and came to."""
        found = training_files.read_summary(self._training(training))
        if found is None:
            raise FileNotFoundError(f'{training.label} is not done')
        return found

    def curve(self, training: Training) -> dict[str, FloatArray]:
        """Columns of a training's curve; empty if it was shorter than a row."""
        path = self._training(training) / training_files.CURVE
        lines = path.read_text(encoding='utf-8').splitlines()
        if len(lines) < 2:
            return {}
        rows = [[float(cell or 'nan') for cell in line.split(',')] for line in lines[1:]]
        return dict(zip(lines[0].split(','), np.array(rows).T, strict=True))

    def _order(self, training: Training) -> training_files.Job:
        return training_files.Job(
            algorithm=training.algorithm,
            scenario=training.scenario,
            seed=training.seed,
            folder=self._training(training),
            steps=training.steps,
            minutes=training.minutes,
            settings=dict(training.hyper),
            scenario_settings=dict(training.overrides),
            keep_checkpoint=False,
        )

    def _carry_out_play(self, play: Play, stopped: Callable[[], bool]) -> None:
        scenario = systems.system(play.scenario, dict(play.overrides))
        name = (
            play.player
            if isinstance(play.player, str)
            else str(self._training(play.player) / training_files.POLICY)
        )
        begun_s = time.process_time()
        controller = systems.controller(name, scenario, seed=0)

        def look() -> None:
            if stopped():
                raise StoppedError

        seed = episode_seeds(HELD_OUT_SEED, play.episodes)
        trace = simulate(scenario, controller, seed, play.slots, after_slot=look)
        kept = {
            'job': play.label,
            'cpu_s': round(time.process_time() - begun_s, 3),
            'figures': {name: numbers(column) for name, column in per_episode(trace).items()},
        }
        write_json(self._play(play), kept)

    def _training(self, training: Training) -> Path:
        return self.folder / training.key

    def _play(self, play: Play) -> Path:
        return self.folder / f'{play.key}.json'


def needs(job: Job) -> Training | None:
    """The training that must be over before a job can begin."""
    return job.player if isinstance(job, Play) and isinstance(job.player, Training) else None


def expected_s(job: Job) -> float:
    """Roughly the CPU time of a job [s]."""
    if isinstance(job, Training):
        whole_s = _STEP_S.get(job.algorithm, _USUAL_STEP_S) * job.steps
        return _START_S + min(whole_s, math.inf if job.minutes is None else 60 * job.minutes)
    slot_s = _OPTIMUM_SLOT_S if job.player in ('optimum', 'exhaustive') else _SLOT_S
    return _START_S + slot_s * job.episodes * job.slots
