"""Results kept in files that are found again by all that they follow from."""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from sec_nodes import __version__
from sec_nodes.learning.job import write
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import FloatArray

Overrides = tuple[tuple[str, Any], ...]
"""Settings that replace others, as pairs of dotted key and value."""


class StoppedError(Exception):
    """The user wants to go on another time."""


class Keyed(Protocol):
    """A job whose result is found by what it follows from."""

    @property
    def key(self) -> str:
        """Name of its file, see `content_key`."""

    @property
    def label(self) -> str:
        """For people."""


KeyedT = TypeVar('KeyedT', bound=Keyed)


@dataclass(frozen=True)
class JsonStore(ABC, Generic[KeyedT]):
    """Results of jobs that need no other, a JSON file each, in a folder."""

    folder: Path

    @abstractmethod
    def expected_s(self, job: KeyedT) -> float:
        """Roughly the CPU time of a job [s]."""

    @abstractmethod
    def result(self, job: KeyedT, stopped: Callable[[], bool]) -> Any:
        """What a job comes to, as JSON can hold it.

        Raises:
            StoppedError: because `stopped` said so.
        """

    def has(self, job: KeyedT) -> bool:
        """Whether a job is done."""
        return self._path(job).is_file()

    def needs(self, job: KeyedT) -> None:
        """Nothing."""

    def carry_out(self, job: KeyedT, stopped: Callable[[], bool]) -> None:
        """Do a job.

        Raises:
            StoppedError: because `stopped` said so.
        """
        begun_s = time.process_time()
        found = self.result(job, stopped)
        spent_s = round(time.process_time() - begun_s, 3)
        write_json(self._path(job), {'job': job.label, 'cpu_s': spent_s, 'found': found})

    def cpu_s(self, job: KeyedT) -> float:
        """CPU time that a job took [s]."""
        return float(read_json(self._path(job))['cpu_s'])

    def kept(self, job: KeyedT) -> Any:
        """The `result` of a job that is done."""
        return read_json(self._path(job))['found']

    def _path(self, job: KeyedT) -> Path:
        return self.folder / f'{job.key}.json'


def spelt(overrides: Overrides) -> str:
    """Settings for people, ` key=value` each."""
    return ''.join(f' {key}={value}' for key, value in overrides)


def content_key(kind: str, *parts: Any) -> str:
    """A name for what follows from these parts and the version of the package."""
    text = json.dumps([__version__, *parts], sort_keys=True, default=str)
    return f'{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}'


@lru_cache(maxsize=256)
def settings_text(scenario: str, overrides: Overrides) -> str:
    """All settings of a scenario."""
    return read_settings(scenario, dict(overrides)).model_dump_json()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file that is there completely or not at all."""
    text = json.dumps(content, allow_nan=False)
    write(path, lambda file: _put(file, text))


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    return content


def numbers(column: FloatArray) -> list[float | None]:
    """JSON has no NaN: an episode without a value has none."""
    return [float(f'{value:.9g}') if np.isfinite(value) else None for value in column]


def _put(file: Any, text: str) -> None:
    file.write(text.encode())
