"""How claims about sweeps, variants and printed percentages are judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sec_nodes.experiments.judging import (
    FAILS,
    UNDECIDED,
    UNTESTABLE,
    Claim,
    Judge,
    Table,
    listed,
    one_sided,
    shown,
    sized,
    trend,
)
from sec_nodes.experiments.maritime.figures import BASE
from sec_nodes.experiments.maritime.plans import GENETIC, HALF, JCORM, SCA, kind
from sec_nodes.experiments.maritime.tables import ABOVE_FIRST, FAILURES, OVER
from sec_nodes.experiments.rows import MEAN, Row

PAPERS = (JCORM, SCA, GENETIC, HALF)
"""Players that the paper has, in our names."""
SAME_PERCENT = 1.0
"""What is no change."""


def to_the_end(
    figure: int,
    quantity: str,
    side: int,
    statement: str,
    because: str,
    players: Sequence[str] = PAPERS,
    mode: str | None = None,
) -> Judge:
    """What a quantity does from the first to the last place of a sweep."""

    def judge(table: Table) -> Claim:
        rows = [
            row
            for row in table.of(figure, quantity, ABOVE_FIRST, table.players, mode)
            if kind(row.player) in players and row.x == table.last(figure)
        ]
        return trend(figure, side, statement, rows, by_variant(rows), because)

    return judge


def printed_percent(
    figure: int,
    quantity: str,
    relation: str,
    x: float,
    statement: str,
    because: str,
    mode: str = BASE,
    rivals: Sequence[str] = (),
) -> Judge:
    """A percentage that is printed; what `rivals` fail at is told beside it."""

    def judge(table: Table) -> Claim:
        rows = related(table, figure, quantity, relation, mode, x)
        printed = next((row.published for row in rows if row.published is not None), None)
        late = failures(table, figure, mode, x, (JCORM, *rivals)) if rivals else ''
        return Claim(
            figure,
            statement,
            '-' if printed is None else f'{printed:+g} %',
            _related_list(rows) + late,
            UNTESTABLE if printed is None else agreed(sized(row, printed) for row in rows),
            because,
        )

    return judge


def failures(table: Table, figure: int, mode: str, x: float, players: Sequence[str]) -> str:
    """Late tasks and early uploads, where there are any."""
    said = []
    for quantity, what in zip(FAILURES, ('tasks late', 'uploads too early'), strict=True):
        for row in table.of(figure, quantity, MEAN, table.players, mode, x):
            if kind(row.player) in players and row.value > 0:
                said.append(f'`{row.player}` {row.value:.1f} % of {what}')
    return f' ({"; ".join(said)})' if said else ' (none late or early)'


def related(
    table: Table, figure: int, quantity: str, relation: str, mode: str, x: float
) -> list[Row]:
    """Rows of `jcorm` in a relation; to all budgets of `genetic`."""
    rows = table.of(figure, quantity, None, [JCORM], mode, x)
    return [row for row in rows if (f'{row.relation} ').startswith(f'{relation} ')]


def _related_list(rows: Sequence[Row]) -> str:
    return '; '.join(f'{row.relation} {shown(row)}' for row in rows) or 'no numbers'


def agreed(verdicts: Iterable[str]) -> str:
    """The verdict if all have the same, undecided otherwise."""
    found = set(verdicts)
    return found.pop() if len(found) == 1 else UNDECIDED


def over_variants(
    figure: int,
    quantity: str,
    side: int,
    pairs: Sequence[tuple[str, str]],
    statement: str,
    because: str,
) -> Judge:
    """What `jcorm` does from one variant to another, at all places."""

    def judge(table: Table) -> Claim:
        rows = [
            row
            for mode, base in pairs
            for row in table.of(figure, quantity, f'{OVER}{base}', [JCORM], mode)
        ]
        return Claim(
            figure,
            statement,
            'rises' if side > 0 else 'falls',
            f'`jcorm` at {len(rows)} places: {_range(rows)}',
            one_sided(rows, side),
            because,
        )

    return judge


def by_variant(rows: Sequence[Row]) -> str:
    """As `listed`, with the variants where there are several."""
    if len({row.mode for row in rows}) < 2:
        return listed(rows)
    return '; '.join(f'`{row.player}`, {row.mode}, {shown(row)}' for row in rows)


def _range(rows: Sequence[Row]) -> str:
    values = [row.value for row in rows]
    return f'{min(values):+.2g} to {max(values):+.2g} %' if values else 'no numbers'


def fine(row: Row) -> str:
    """A percentage with the digits that a solver's precision needs."""
    return f'{row.value:+.3g} % [{row.low:+.2g}, {row.high:+.2g}]'


def apart(row: Row) -> str:
    """Whether a difference is positive and more than what solvers leave."""
    return one_sided([row], 1) if abs(row.value) > 1e-3 else FAILS
