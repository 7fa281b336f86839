"""How claims about learners, schemes and failures are judged, and how numbers are told."""

from __future__ import annotations

from collections.abc import Sequence

from sec_nodes.experiments.judging import FAILS, Table, one_sided, shown
from sec_nodes.experiments.rows import Exhibit, Row


def strictly(rows: Sequence[Row], side: int) -> str:
    """Whether all rows lie above 0 (side 1) or below it (-1); who is equal lies on neither."""
    if any(row.low == row.high == 0 for row in rows):
        return FAILS
    return one_sided(rows, side)


def at_last(table: Table, figure: Exhibit, quantity: str, relation: str, mode: str) -> list[Row]:
    """Everybody at the last place of a mode's sweep."""
    found = table.of(figure, quantity, relation, table.players, mode)
    last = max((row.x or 0 for row in found), default=None)
    return [row for row in found if row.x == last]


def swept(rows: Sequence[Row]) -> list[Row]:
    """In the order of their places."""
    return sorted(rows, key=lambda row: row.x or 0)


def by_place(rows: Sequence[Row], percent: bool = True) -> str:
    """Each place with its number."""
    return '; '.join(f'{row.x:g}: {shown(row, percent)}' for row in swept(rows)) or 'no numbers'


def counted(rows: Sequence[Row]) -> str:
    """Least and largest number of each player over all places."""
    said = []
    for player in dict.fromkeys(row.player for row in rows):
        own = [row for row in rows if row.player == player]
        above, below = sum(row.low > 0 for row in own), sum(row.high < 0 for row in own)
        values = [row.value for row in own]
        said.append(
            f'`{player}` {min(values):+.1f} to {max(values):+.1f} % ({above} of {len(own)} places '
            f'above, {below} below)'
        )
    return '; '.join(said) or 'no numbers'


def slots(rows: Sequence[Row]) -> str:
    """Each player with its number of slots."""
    return '; '.join(
        f'`{row.player}` {row.value:,.0f} [{row.low:,.0f}, {row.high:,.0f}]' for row in rows
    ) or 'no numbers'  # fmt: skip


def points(rows: Sequence[Row]) -> str:
    """Differences of shares, by who plays."""
    return '; '.join(
        f'`{who(row.player)}` {row.value:+.2f} [{row.low:+.2f}, {row.high:+.2f}]' for row in rows
    ) or 'no numbers'  # fmt: skip


def who(player: str) -> str:
    """Who plays, without what is done about failures."""
    return player.partition(':')[0]
