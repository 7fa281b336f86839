"""Rows for small tables that are worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sec_nodes.recording.tables import TABLES

Writer = Callable[..., Path]
"""The fixture `write_tables`."""


def outcome(task_id: int, **values: Any) -> dict[str, Any]:
    """A row of outcomes: answered by uav_0 in 0.2 s of 0.5 s unless told otherwise."""
    row: dict[str, Any] = dict.fromkeys(TABLES['outcomes'], 0.0)
    row |= {name: '' for name, kind in TABLES['outcomes'].items() if kind is str}
    row |= {name: 0 for name, kind in TABLES['outcomes'].items() if kind is int}
    row |= {
        'status': 'done', 'server_name': 'uav_0', 'latency_s': 0.2, 'deadline_s': 0.5,
        'observed_s': 0.2, 'attempts': 1,
    }  # fmt: skip
    return row | {'task_id': task_id} | values


def tasks(*task_ids: int) -> list[dict[str, Any]]:
    """Rows of tasks."""
    return [{'task_id': task_id, 'device_id': 0, 'slot': 0} for task_id in task_ids]
