"""Numbers of figures and tables as lines of CSV files."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from sec_nodes.experiments.statistics import Interval

Exhibit = int | str
"""Number of a figure, or name of a table or algorithm: `table2`."""

MEAN = 'mean'
_ROUNDING = 1e-9
"""What lies between 0 and here comes from adding up."""


@dataclass(frozen=True)
class Row:
    """One number with its interval."""

    figure: Exhibit
    mode: str
    """Variant of the scenario; `all` for scores over modes."""
    x: float | None
    """Where in the sweep."""
    player: str
    runs: int
    """Trainings; 1 of what is not trained."""
    episodes: int
    quantity: str
    relation: str
    """`mean`, or what it is compared with: see the tables of each experiment."""
    value: float
    low: float
    high: float
    published: float | None

    @property
    def interval(self) -> Interval:
        """The number with its ends."""
        return Interval(self.value, self.low, self.high)


def stem(exhibit: Exhibit) -> str:
    """How files of an exhibit are called: `fig3`, `table2`."""
    return exhibit if isinstance(exhibit, str) else f'fig{exhibit}'


def spoken(exhibit: Exhibit) -> str:
    """How an exhibit is called in a table of many: `3`, `table 2`."""
    return re.sub(r'(?=\d)', ' ', exhibit, count=1) if isinstance(exhibit, str) else str(exhibit)


def heading(exhibit: Exhibit) -> str:
    """How an exhibit is called by itself: `Fig. 3`, `Table 2`."""
    return spoken(exhibit).capitalize() if isinstance(exhibit, str) else f'Fig. {exhibit}'


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table as CSV."""
    names = [column.name for column in fields(Row)]
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(names)
        writer.writerows([_cell(getattr(row, name)) for name in names] for row in rows)


def read_rows(path: Path) -> list[Row]:
    """Read what `write_rows` wrote."""
    with path.open(newline='', encoding='utf-8') as file:
        return [_row(line) for line in csv.DictReader(file)]


def rows_of(folder: Path, exhibits: Sequence[Exhibit]) -> dict[Exhibit, list[Row]]:
    """Tables of those figures that a folder holds."""
    paths = {exhibit: folder / f'{stem(exhibit)}.csv' for exhibit in exhibits}
    return {exhibit: read_rows(path) for exhibit, path in paths.items() if path.is_file()}


def _row(line: Mapping[str, str]) -> Row:
    return Row(
        figure=int(line['figure']) if line['figure'].isdigit() else line['figure'],
        mode=line['mode'],
        x=_number(line['x']),
        player=line['player'],
        runs=int(line['runs']),
        episodes=int(line['episodes']),
        quantity=line['quantity'],
        relation=line['relation'],
        value=float(line['value']),
        low=float(line['low']),
        high=float(line['high']),
        published=_number(line['published']),
    )


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f'{value if not abs(value) <= _ROUNDING else 0:.6g}'
    return '' if value is None else value


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
