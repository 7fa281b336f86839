"""Claims of a paper, and how a verdict on one follows from intervals.

A claim `holds` if every interval that it is about lies on its side; it `does not hold` if one of
them lies on the other side; in between it is `undecided`. What cannot be tested is `untestable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sec_nodes.experiments.rows import Exhibit, Row, write_records

HOLDS, FAILS, UNDECIDED, UNTESTABLE = 'holds', 'does not hold', 'undecided', 'untestable'
_TENTH = 0.1
"""How far, as a share, a difference may be from a printed one."""
_NEAR = 0.05
"""How far, as a share, a value may be from a printed one that has no interval."""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and what came of it."""

    figure: Exhibit
    statement: str
    published: str
    ours: str
    verdict: str
    because: str


class Table:
    """Rows of all figures, to be asked."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        self.figures = {row.figure for row in self.rows}
        self.players = list(dict.fromkeys(row.player for row in self.rows))

    def of(
        self,
        figure: Exhibit,
        quantity: str,
        relation: str | None,
        players: Sequence[str],
        mode: str | None = None,
        x: float | None = None,
    ) -> list[Row]:
        """Rows of some players; None stands for all relations, modes and places."""
        return [
            row
            for row in self.rows
            if (row.figure, row.quantity) == (figure, quantity)
            and relation in (None, row.relation)
            and row.player in players
            and mode in (None, row.mode)
            and x in (None, row.x)
        ]

    def last(self, figure: Exhibit) -> float:
        """The last place of a sweep."""
        return max(row.x for row in self.rows if row.figure == figure and row.x is not None)


Judge = Callable[[Table], Claim]
"""Finds the numbers that a statement is about, and judges it."""


def judged(rows: Iterable[Row], judges: Mapping[Exhibit, Sequence[Judge]]) -> list[Claim]:
    """All claims about the figures that there are rows of."""
    table = Table(rows)
    return [
        judge(table)
        for exhibit, asked in judges.items()
        if exhibit in table.figures
        for judge in asked
    ]


def write_claims(path: Path, found: Sequence[Claim]) -> None:
    """Write claims as CSV."""
    write_records(path, Claim, found)


def one_sided(rows: Sequence[Row], side: int) -> str:
    """Whether all rows lie above 0 (side 1) or below it (side -1)."""
    if not rows:
        return UNTESTABLE
    ends = [(row.low, row.high) if side > 0 else (-row.high, -row.low) for row in rows]
    if all(low > 0 for low, _ in ends):
        return HOLDS
    return FAILS if any(high < 0 for _, high in ends) else UNDECIDED


def trend(
    figure: Exhibit, side: int, statement: str, rows: Sequence[Row], told: str, because: str
) -> Claim:
    """What rows do from the first to the last place of a sweep: rise (side 1) or fall (-1).

    Args:
        figure: which.
        side: of 0 on which they should lie.
        statement: of the paper.
        rows: differences of the last place to the first.
        told: the same as text.
        because: why it comes out like that.
    """
    return Claim(
        figure,
        statement,
        'rises' if side > 0 else 'falls',
        f'from the first to the last place: {told}',
        one_sided(rows, side),
        because,
    )


def within(rows: Sequence[Row], low: float, high: float) -> str:
    """Whether intervals lie in a range, or outside it."""
    if not rows:
        return UNTESTABLE
    if all(low <= row.low and row.high <= high for row in rows):
        return HOLDS
    outside = any(row.high < low or row.low > high for row in rows)
    return FAILS if outside else UNDECIDED


def near(value: float, printed: float) -> str:
    """Whether a value is that printed one, as far as one without an interval tells."""
    return HOLDS if abs(value - printed) <= _NEAR * abs(printed) else FAILS


def sized(row: Row, printed: float) -> str:
    """Whether a difference has the printed size: inside its interval, or a tenth of it away."""
    inside = row.low <= printed <= row.high
    return HOLDS if inside or abs(row.value - printed) <= _TENTH * abs(printed) else FAILS


def worst(verdicts: Iterable[str]) -> str:
    """The verdict on several things together."""
    order = (FAILS, UNTESTABLE, UNDECIDED, HOLDS)
    return min(verdicts, key=order.index)


def shown(row: Row, percent: bool = True) -> str:
    """`+4.1 % [+2.0, +6.3]` or `1.42 [1.40, 1.44]`."""
    if percent:
        return f'{row.value:+.1f} % [{row.low:+.1f}, {row.high:+.1f}]'
    return f'{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]'


def listed(rows: Sequence[Row], percent: bool = True) -> str:
    """Each player with its number."""
    return '; '.join(f'`{row.player}` {shown(row, percent)}' for row in rows) or 'no numbers'


def ordered(lower: Sequence[Row], higher: Sequence[Row]) -> str:
    """Whether all of `lower` lie below all of `higher`, interval by interval."""
    if not lower or not higher:
        return UNTESTABLE
    pairs = [(a, b) for a in lower for b in higher]
    if all(a.high < b.low for a, b in pairs):
        return HOLDS
    return FAILS if any(a.low > b.high for a, b in pairs) else UNDECIDED
