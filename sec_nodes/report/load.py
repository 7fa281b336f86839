"""Read the tables of a run, whole or cut off in mid-line."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sec_nodes.recording.run_files import RUN_FILE
from sec_nodes.recording.tables import (
    FAILURE_TABLES,
    MISSION_TABLES,
    RELAY_TABLES,
    TABLES,
    Columns,
)

REQUIRED = ('tasks', 'outcomes')
"""Tables without which nothing can be said about a run."""

KINDS = ('local', 'uav', 'satellite')
"""Kinds of servers, in the order in which they are shown."""


class ReportError(ValueError):
    """A run that cannot be reported; the text names the file and the remedy."""


class Table:
    """Columns of equal length, as numpy arrays by name."""

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Take columns by name."""
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def where(self, mask: NDArray[Any]) -> Table:
        """The rows that a boolean mask, or an array of row numbers, selects."""
        return Table({name: column[mask] for name, column in self._columns.items()})


@dataclass(frozen=True)
class Run:
    """Everything that a run left in its tables."""

    folder: Path
    info: dict[str, Any]
    """Content of run.json; empty if there is none."""
    tables: dict[str, Table]
    notes: tuple[str, ...]
    """What is missing or damaged, for the reader of a report."""

    def __getitem__(self, table: str) -> Table:
        return self.tables[table]

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.info.get('run', self.folder.resolve().name))

    @property
    def scenario(self) -> dict[str, Any]:
        """Parameters of the scenario; empty if they are not known."""
        scenario = self.info.get('scenario', {})
        return scenario if isinstance(scenario, dict) else {}

    @property
    def fleet(self) -> dict[str, Any]:
        """The fleet file that the run was started from; empty if there is none."""
        try:
            fleet = yaml.safe_load((self.folder / 'fleet.yaml').read_text(encoding='utf-8'))
        except (OSError, yaml.YAMLError):
            return {}
        return fleet if isinstance(fleet, dict) else {}

    @property
    def slot_s(self) -> float:
        """Length of a slot [s]."""
        return float(self.scenario.get('slot_s', 1.0))

    @property
    def sides_m(self) -> tuple[float, float] | None:
        """East and north extent of the area, of which a square has but one [m]."""
        area_m = self.scenario.get('area_m')
        if not area_m:
            return None
        east_m, north_m = area_m if isinstance(area_m, list) else (area_m, area_m)
        return float(east_m), float(north_m)

    @property
    def has_satellites(self) -> bool:
        """Whether there are satellites among the servers; so too if those are not known."""
        names = [str(item['name']) for item in self.info.get('servers', [])]
        return not names or any(name.startswith('satellite') for name in names)

    @property
    def answered(self) -> Table:
        """Outcomes that carry an answer, late ones included."""
        outcomes = self['outcomes']
        return outcomes.where(np.isin(outcomes['status'], ('done', 'late')))

    def server_name(self, server: int) -> str:
        """Name of a server by its number."""
        if server < 0:
            return 'local' if server == -1 else 'declined'
        names = {item['server_id']: item['name'] for item in self.info.get('servers', [])}
        return str(names.get(server, f'server_{server}'))


def kind_of(server_name: str) -> str:
    """Kind of a server: its name without the number. Empty for a task that was never sent."""
    base, _, number = server_name.rpartition('_')
    return base if base and number.isdigit() else server_name


def kinds_of(table: Table) -> NDArray[np.str_]:
    """Kind of the server of each row of `outcomes`."""
    return np.array([kind_of(name) for name in table['server_name']], dtype=str)


def kinds_in(names: NDArray[np.str_]) -> list[str]:
    """Kinds that occur, the known ones first."""
    present = set(names.tolist()) - {''}
    return [kind for kind in KINDS if kind in present] + sorted(present - set(KINDS))


def load_run(folder: Path | str) -> Run:
    """Read a folder of results.

    Raises:
        ReportError: there is no such folder, an indispensable table is missing, or a line is
            no row of its table.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReportError(f'{folder}: no such folder; give that of a run, e.g. results/<run>')
    notes: list[str] = []
    tables = {name: _table(folder, name, notes) for name in TABLES}
    return Run(folder, _info(folder, notes), tables, tuple(notes))


def _info(folder: Path, notes: list[str]) -> dict[str, Any]:
    path = folder / RUN_FILE
    try:
        info = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        notes.append(f'{RUN_FILE} is missing: the parameters of the run are not known')
        return {}
    except (OSError, ValueError) as error:
        raise ReportError(f'{path}: cannot be read ({error}); remove it') from None
    if not isinstance(info, dict):
        raise ReportError(f'{path}: must hold a JSON object; remove it')
    return info


def _table(folder: Path, name: str, notes: list[str]) -> Table:
    path = folder / f'{name}.csv'
    try:
        text = path.read_text(encoding='utf-8', errors='replace')
    except FileNotFoundError:
        if name in REQUIRED:
            raise ReportError(
                f'{path} is missing: {folder} is not the folder of a run, or nothing was recorded'
            ) from None
        if name not in (*RELAY_TABLES, *MISSION_TABLES, *FAILURE_TABLES):
            notes.append(f'{path.name} is missing: what it would show is left out')
        return _parsed([], TABLES[name], path)
    except OSError as error:
        raise ReportError(f'{path}: cannot be read ({error.strerror})') from None
    lines = text.split('\n')
    # A row is one line and ends in a line feed: what follows the last one was cut off.
    if lines.pop():
        notes.append(f'{path.name} ends in mid-line: its last row is left out')
    return _parsed(lines, TABLES[name], path)


def _parsed(lines: list[str], columns: Columns, path: Path) -> Table:
    header, *rows = list(csv.reader(lines)) or [list(columns)]
    missing = [name for name in columns if name not in header]
    if missing:
        raise ReportError(
            f'{path}: column {missing[0]!r} is missing; it was written by another version'
        )
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ReportError(
                f'{path}:{number}: has {len(row)} cells instead of {len(header)}; mend the line'
            )
    cells = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    return Table(
        {name: _column(cells.get(name, ()), kind, path, name) for name, kind in columns.items()}
    )


def _column(cells: Any, kind: type, path: Path, name: str) -> NDArray[Any]:
    try:
        if kind is float:
            return np.array([float(cell) if cell else np.nan for cell in cells], dtype=float)
        if kind is int:
            return np.array([int(cell) if cell else -1 for cell in cells], dtype=np.int64)
        if kind is bool:
            return np.array([bool(int(cell)) for cell in cells], dtype=bool)
    except ValueError as error:
        raise ReportError(f'{path}, column {name}: {error}; mend the file') from None
    return np.array(cells, dtype=object)
