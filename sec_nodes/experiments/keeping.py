"""Results kept in files that are found again by all that they follow from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes import __version__
from sec_nodes.learning.job import write
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import FloatArray

Overrides = tuple[tuple[str, Any], ...]
"""Settings that replace others, as pairs of dotted key and value."""


class StoppedError(Exception):
    """The user wants to go on another time."""


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
