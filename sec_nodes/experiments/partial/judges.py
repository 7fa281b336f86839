"""How claims about schemes, instances and UAVs are judged."""

from __future__ import annotations

from collections.abc import Sequence

from sec_nodes.experiments.judging import Claim, Judge, Table, one_sided, shown, within
from sec_nodes.experiments.partial.plans import BASE, OP, TIGHT
from sec_nodes.experiments.partial.tables import ABOVE
from sec_nodes.experiments.rows import MEAN, Exhibit, Row

CONSIDERABLE_PERCENT = 10.0
"""From where on a difference is considerable, drastic or significant."""


def one(table: Table, figure: Exhibit, quantity: str, player: str, mode: str = BASE) -> Row:
    """A number of the whole mission."""
    return next(row for row in table.of(figure, quantity, MEAN, [player], mode))


def differences(
    table: Table, figure: Exhibit, quantity: str, player: str, rival: str
) -> list[Row]:
    """By how many percent a player is above a rival: frozen instance, drawn ones, each UAV."""
    start = f'{ABOVE}{rival}'
    return [
        row
        for row in table.of(figure, quantity, None, [player])
        if row.relation == start or row.relation.startswith(f'{start}, ')
    ]


def whole(rows: Sequence[Row]) -> list[Row]:
    """Those about all UAVs together."""
    return [row for row in rows if ', ' not in row.relation]


def told(rows: Sequence[Row]) -> str:
    """Each difference with where it is from."""
    said = []
    for row in rows:
        who, _, uav = row.relation.removeprefix(ABOVE).partition(', ')
        where = 'drawn' if row.mode == TIGHT else uav or 'default'
        value = shown(row) if row.low != row.high else f'{row.value:+.2g} %'
        said.append(f'above `{who}`, {where}: {value}')
    return '; '.join(said) or 'no numbers'


def lower(
    figure: Exhibit, quantity: str, rivals: Sequence[str], statement: str, because: str,
    by: float = 0.0, each_uav: bool = False,
) -> Judge:  # fmt: skip
    """Whether OP has less of it than others, by so many percent."""

    def judge(table: Table) -> Claim:
        found = [
            row
            for rival in rivals
            for row in differences(table, figure, quantity, OP, rival)
            if each_uav or ', ' not in row.relation
        ]
        limit = float('-inf')
        verdict = within(found, limit, -by) if by else one_sided(found, -1)
        printed = 'significantly lower' if by else 'lower'
        return Claim(figure, statement, printed, told(found), verdict, because)

    return judge
