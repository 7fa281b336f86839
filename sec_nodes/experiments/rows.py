"""Numbers of figures and tables as lines of CSV files."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sec_nodes.experiments.statistics import Interval

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RecordT = TypeVar('RecordT', bound='DataclassInstance')
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
    write_records(path, Row, rows)


def read_rows(path: Path) -> list[Row]:
    """Read what `write_rows` wrote."""
    return read_records(path, Row)


def rows_of(folder: Path, exhibits: Sequence[Exhibit]) -> dict[Exhibit, list[Row]]:
    """Tables of those figures that a folder holds."""
    paths = {exhibit: folder / f'{stem(exhibit)}.csv' for exhibit in exhibits}
    return {exhibit: read_rows(path) for exhibit, path in paths.items() if path.is_file()}


def write_records(path: Path, kind: type[RecordT], records: Iterable[RecordT]) -> None:
    """Write dataclasses of a kind as CSV, a line each."""
    names = [column.name for column in fields(kind)]
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(names)
        writer.writerows([_cell(getattr(record, name)) for name in names] for record in records)


def read_records(path: Path, kind: type[RecordT]) -> list[RecordT]:
    """Read what `write_records` wrote, of a kind whose columns are as in `_READERS`."""
    readers = {column.name: _READERS[str(column.type)] for column in fields(kind)}
    with path.open(newline='', encoding='utf-8') as file:
        return [
            kind(**{name: read(line[name]) for name, read in readers.items()})
            for line in csv.DictReader(file)
        ]


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f'{value if not abs(value) <= _ROUNDING else 0:.6g}'
    return '' if value is None else value


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _exhibit(cell: str) -> Exhibit:
    return int(cell) if cell.isdigit() else cell


_READERS: Mapping[str, Callable[[str], Any]] = {
    'str': str,
    'int': int,
    'float': float,
    'float | None': _number,
    'Exhibit': _exhibit,
}
"""By annotations, as they are written."""
