"""Trainings, and results of plays: controllers, or what was learnt, in held-out episodes.

A job is data. Its key is a hash of all that its result follows from, hyper-parameters and
settings of the scenario included, so that results can be kept and found again, and those of
another configuration are never taken for its own.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from sec_nodes.experiments.keeping import (
    Keyed,
    Overrides,
    StoppedError,
    content_key,
    numbers,
    read_json,
    settings_text,
    spelt,
    write_json,
)
from sec_nodes.learning import job as files
from sec_nodes.learning.registry import values
from sec_nodes.scenarios.registry import split_mode
from sec_nodes.slot import FloatArray

HELD_OUT_SEED = 5002025
"""Of the episodes that everybody is judged on. Trainings use seeds beyond 2^61, `sec simulate`
begins at 0: nobody has met these."""


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
        changes = spelt(self.overrides + self.hyper)
        return f'train {self.algorithm} {self.scenario}{changes} seed {self.seed}'


Player = str | Training
"""Name of a controller, or the training whose policy plays."""


class Playing(Keyed, Protocol):
    """A job in which a player plays."""

    @property
    def player(self) -> Player:
        """Who."""

    def __hash__(self) -> int: ...


PlayT = TypeVar('PlayT', bound=Playing)
Train = Callable[[files.Job, Callable[[Any], bool]], bool]
"""Carries out a training; True once it has finished. It asks now and then whether to go on."""


def with_torch(job: files.Job, go_on: Callable[[Any], bool]) -> bool:
    """Train with the learners of `sec_nodes.learning`."""
    from sec_nodes.learning.trainer import train

    return train(job, go_on)


@dataclass(frozen=True)
class PlayStore(ABC, Generic[PlayT]):
    """Results of plays, and of the trainings that they need, in a folder."""

    folder: Path
    train: Train = with_torch
    """Carries out trainings."""

    @abstractmethod
    def expected_s(self, job: Training | PlayT) -> float:
        """Roughly the CPU time of a job [s]."""

    @abstractmethod
    def play(
        self, job: PlayT, player: str, stopped: Callable[[], bool]
    ) -> Mapping[str, FloatArray]:
        """Numbers (E,) of each episode.

        Args:
            job: what is played.
            player: name of a controller, or the file of a policy.
            stopped: asked after every slot.

        Raises:
            StoppedError: because `stopped` said so.
        """

    def has(self, job: Training | PlayT) -> bool:
        """Whether a job is done."""
        if isinstance(job, Training):
            return (self._folder(job) / files.SUMMARY).is_file()
        return self._path(job).is_file()

    def needs(self, job: Training | PlayT) -> Training | None:
        """The training that must be over before a job can begin."""
        return needs(job)

    def carry_out(self, job: Training | PlayT, stopped: Callable[[], bool]) -> None:
        """Do a job, or what is left of it.

        Raises:
            StoppedError: because `stopped` said so.
        """
        if isinstance(job, Training):
            if not self.train(self._order(job), lambda progress: not stopped()):
                raise StoppedError
            return
        begun_s = time.process_time()
        figures = self.play(job, self._player(job.player), stopped)
        kept = {
            'job': job.label,
            'cpu_s': round(time.process_time() - begun_s, 3),
            'figures': {name: numbers(column) for name, column in figures.items()},
        }
        write_json(self._path(job), kept)

    def cpu_s(self, play: PlayT) -> float:
        """CPU time that a play took [s]."""
        return float(read_json(self._path(play))['cpu_s'])

    def figures(self, play: PlayT) -> dict[str, FloatArray]:
        """What `play` came to, (E,) by quantity."""
        kept = read_json(self._path(play))['figures']
        return {name: np.array(column, dtype=float) for name, column in kept.items()}

    def summary(self, training: Training) -> dict[str, Any]:
        """What a training was and came to."""
        found = files.read_summary(self._folder(training))
        if found is None:
            raise FileNotFoundError(f'{training.label} is not done')
        return found

    def curve(self, training: Training) -> dict[str, FloatArray]:
        """Columns of a training's curve; empty if it was shorter than a row."""
        path = self._folder(training) / files.CURVE
        lines = path.read_text(encoding='utf-8').splitlines()
        if len(lines) < 2:
            return {}
        rows = [[float(cell or 'nan') for cell in line.split(',')] for line in lines[1:]]
        return dict(zip(lines[0].split(','), np.array(rows).T, strict=True))

    def _order(self, training: Training) -> files.Job:
        return files.Job(
            algorithm=training.algorithm,
            scenario=training.scenario,
            seed=training.seed,
            folder=self._folder(training),
            steps=training.steps,
            minutes=training.minutes,
            settings=dict(training.hyper),
            scenario_settings=dict(training.overrides),
            keep_checkpoint=False,
        )

    def _player(self, player: Player) -> str:
        return player if isinstance(player, str) else str(self._folder(player) / files.POLICY)

    def _folder(self, training: Training) -> Path:
        return self.folder / training.key

    def _path(self, play: PlayT) -> Path:
        return self.folder / f'{play.key}.json'


def needs(job: Training | Playing) -> Training | None:
    """The training that must be over before a job can begin."""
    player = None if isinstance(job, Training) else job.player
    return player if isinstance(player, Training) else None


def player_key(player: Player) -> str:
    """What tells a player from others."""
    return player if isinstance(player, str) else player.key


def player_name(player: Player) -> str:
    """For people."""
    return player if isinstance(player, str) else player.algorithm


def spent_on(
    plays: Iterable[PlayT],
    store: PlayStore[PlayT],
    who: str,
    named: Callable[[Training], tuple[str, str]],
) -> dict[str, Any]:
    """How many trainings plays needed, and the CPU time of all, for a summary.

    Args:
        plays: each once.
        store: has their results.
        who: key of a learner's name.
        named: name of a training's learner and its scenario; those with the same are told
            together, by their means.
    """
    plays = list(plays)
    needed = {training for training in map(needs, plays) if training is not None}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for training in sorted(needed, key=lambda training: training.label):
        groups.setdefault(named(training), []).append(store.summary(training))
    entries: list[dict[str, Any]] = [
        {
            who: name,
            'scenario': scenario,
            'runs': len(summaries),
            'steps': round(_mean(summaries, 'steps')),
            'updates': _mean(summaries, 'updates'),
            'cpu_s': round(_mean(summaries, 'cpu_s'), 1),
        }
        for (name, scenario), summaries in groups.items()
    ]
    trained_s = sum(entry['cpu_s'] * entry['runs'] for entry in entries)
    return {
        'trainings': len(needed),
        'cpu_s': round(trained_s + sum(map(store.cpu_s, plays))),
        'spent': entries,
    }


def _mean(summaries: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([summary[name] for summary in summaries]))
