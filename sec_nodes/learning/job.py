"""One training run: what it is, and the files in its folder. No torch needed to describe one.

=============== ================================================================================
file            content
=============== ================================================================================
checkpoint.pt   everything needed to go on; written at the end of episodes
curve.csv       figures averaged over stretches of slots
events.out.*    the same for TensorBoard
policy.npz      what was learnt, for `sec simulate --controller` and the ROS nodes
training.json   what the run was and came to; there once it has finished
=============== ================================================================================
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from sec_nodes.controllers.learned import put_policy

CHECKPOINT, CURVE, POLICY, SUMMARY = 'checkpoint.pt', 'curve.csv', 'policy.npz', 'training.json'


class TrainingError(RuntimeError):
    """A training that cannot go on; the text says where and why."""


@dataclass(frozen=True)
class Job:
    """An algorithm to be trained on a scenario from one seed.

    A job whose folder holds a checkpoint goes on from there.
    """

    algorithm: str
    scenario: str
    """With its mode: `mllm:stress`."""
    seed: int
    folder: Path
    steps: int | None = 100_000
    """Slots of all copies together after which it ends; None for no such limit."""
    minutes: float | None = None
    """CPU-minutes after which it ends; None for no such limit."""
    profile: str = 'default'
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Hyper-parameters that replace those of the profile."""
    scenario_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that replace those of the scenario, by dotted key."""
    save_every_s: float = 300.0
    """Wall time between checkpoints."""
    keep_checkpoint: bool = True
    """Whether the last checkpoint stays, so that the run can be made longer. They are large:
    what is replayed is in them."""

    @property
    def name(self) -> str:
        """Algorithm and seed."""
        return f'{self.algorithm} seed {self.seed}'

    def identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to fit."""
        named = asdict(self)
        keys = ('algorithm', 'scenario', 'seed', 'profile', 'settings', 'scenario_settings')
        return {key: named[key] for key in keys}


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    steps: int
    updates: int
    cpu_s: float
    wall_s: float
    figures: Mapping[str, float]
    """The last row of its curve."""


def write(path: Path, fill: Callable[[IO[bytes]], None]) -> None:
    """Write a file that is there completely or as it was before."""
    part = path.with_name(f'{path.name}.part')
    with part.open('wb') as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_curve(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write rows, whose figures may become more on the way, as CSV."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def write_policy(path: Path, description: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a policy for `controllers.learned`."""
    write(path, lambda file: put_policy(file, description, arrays))


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write what a run was and came to."""
    text = json.dumps(summary, indent=2, default=str) + '\n'
    write(path, lambda file: _put(file, text))


def read_summary(folder: Path) -> dict[str, Any] | None:
    """What a run in a folder was and came to; None if it has not finished."""
    path = folder / SUMMARY
    if not path.is_file():
        return None
    summary: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    return summary


def _put(file: IO[bytes], text: str) -> None:
    file.write(text.encode())
