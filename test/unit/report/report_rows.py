"""Rows for small tables that are worked out by hand."""

from __future__ import annotations

import json
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


def relay(slot: int, uav: int = 0, **values: Any) -> dict[str, Any]:
    """A row of relays: nothing happened unless told otherwise."""
    row: dict[str, Any] = dict.fromkeys(TABLES['relays'], 0)
    row |= {'slot': slot, 'server_id': uav, 'name': f'uav_{uav}', 'storage_bit': 9e6}
    return row | values


def store(name: str, stored_bit: float, slot: int = 0, contact: bool = False) -> dict[str, Any]:
    return {
        'slot': slot, 'time_s': 3.0 * slot, 'name': name, 'stored_bit': stored_bit,
        'storage_bit': 9e6, 'ground_contact': contact,
    }  # fmt: skip


def delivery(file_id: str, sha256: str, size_byte: int = 10, **values: Any) -> dict[str, Any]:
    row = {
        'time_s': 9.0, 'file_id': file_id, 'device_id': 3, 'created_slot': 1, 'slot': 2,
        'satellite': 'satellite_0', 'size_byte': size_byte, 'size_bit': 8e4, 'sha256': sha256,
    }  # fmt: skip
    return row | values


def describe(folder: Path, **scenario: Any) -> Path:
    """Add run.json, with a byte that counts as eight bit unless told otherwise."""
    (folder / 'run.json').write_text(json.dumps({'scenario': {'slot_s': 3.0, **scenario}}))
    return folder
