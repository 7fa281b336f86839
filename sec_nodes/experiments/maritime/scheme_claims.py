"""What the paper claims of JCORM beside others: Figs 4 and 5, Table II; see `judging`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from sec_nodes.experiments.judging import (
    FAILS,
    HOLDS,
    UNTESTABLE,
    Claim,
    Judge,
    Table,
    listed,
    sized,
    within,
    worst,
)
from sec_nodes.experiments.maritime.figures import BASE, TABLE_2
from sec_nodes.experiments.maritime.judges import (
    PAPERS,
    SAME_PERCENT,
    apart,
    failures,
    fine,
    printed_percent,
    related,
    to_the_end,
)
from sec_nodes.experiments.maritime.plans import GENETIC, HALF, HALF_LITERAL, JCORM, SCA, kind
from sec_nodes.experiments.maritime.tables import ABOVE, ABOVE_FIRST, TIMES
from sec_nodes.experiments.rows import MEAN, Exhibit

_LINEAR_PERCENT = 10.0
"""How far the gain of a slot may be from the mean gain of a line that is almost straight."""


def _linear(table: Table) -> Claim:
    rows = sorted(table.of(4, 'utility_mbit', MEAN, [JCORM]), key=lambda row: row.x or 0)
    values = [0.0, *(row.value for row in rows)]
    mean = values[-1] / len(rows)
    off = [100 * ((after - before) / mean - 1) for before, after in pairwise(values)]
    return Claim(
        4,
        'Utility grows almost linearly with the slots',
        'almost linear',
        f'gains of single slots are {min(off):+.1f} to {max(off):+.1f} % off their mean',
        HOLDS if max(map(abs, off)) <= _LINEAR_PERCENT else FAILS,
        'Enough is stored at first for the link to be the limit in all ten slots.',
    )


def _best(table: Table) -> Claim:
    last = table.last(4)
    rows = [
        row
        for player in PAPERS[1:]
        for row in related(table, 4, 'utility_mbit', f'{ABOVE}{player}', BASE, last)
    ]
    return Claim(
        4,
        'JCORM has a higher utility than SCA, HA and ATSM',
        'above all three',
        '; '.join(f'above {row.relation.removeprefix(ABOVE)} {fine(row)}' for row in rows)
        + failures(table, 4, BASE, last, PAPERS),
        worst(apart(row) for row in rows) if rows else UNTESTABLE,
        _EXACT,
    )


def _half_is_unmoved(player: str, because: str) -> Judge:
    def judge(table: Table) -> Claim:
        rows = table.of(5, 'utility_mbit', ABOVE_FIRST, [player], x=table.last(5))
        return Claim(
            5,
            f"ATSM's utility (`{player}`) does not depend on the data size",
            'unchanged',
            listed(rows) + failures(table, 5, BASE, table.last(5), [player]),
            within(rows, -SAME_PERCENT, SAME_PERCENT),
            because,
        )

    return judge


def _half_is_late(table: Table) -> Claim:
    rows = table.of(5, 'delay_s', MEAN, [HALF, HALF_LITERAL], x=table.last(5))
    return Claim(
        5,
        "With 5 Mbit ATSM's mean delay exceeds half a slot",
        'more than 1.5 s here',
        f'{listed(rows, percent=False)} s',
        HOLDS if rows and all(row.low > 1.5 for row in rows) else FAILS,
        'Half a slot is too short for what must be computed, whoever decides.',
    )


def _runs_in(table: Table) -> Claim:
    rows = table.of(TABLE_2, 'experiment_s', MEAN, [JCORM])
    return Claim(
        TABLE_2,
        'JCORM takes 0.16 s an experiment',
        '0.16 s',
        f'{listed(rows, percent=False)} s of CPU time',
        HOLDS if rows and all(row.high <= 0.16 for row in rows) else FAILS,
        'Another machine, another language; read as "at most".',
    )


def _times_faster(player: str, statement: str, because: str) -> Judge:
    def judge(table: Table) -> Claim:
        every = table.of(TABLE_2, 'experiment_s', TIMES, table.players)
        rows = [row for row in every if kind(row.player) == player]
        printed = next((row.published for row in rows if row.published is not None), None)
        faster = all(row.low > 1 for row in rows)
        verdict = (HOLDS if faster else FAILS) if rows else UNTESTABLE
        if printed is not None and faster:
            verdict = worst(sized(row, printed) for row in rows)
        return Claim(
            TABLE_2,
            statement,
            '-' if printed is None else f'{printed:.0f} times',
            f'{listed(rows, percent=False)} times the CPU time of `{JCORM}`, in the same run',
            verdict,
            because,
        )

    return judge


def _complexity(table: Table) -> Claim:
    return Claim(
        TABLE_2,
        'JCORM has a lower complexity than SCA',
        'formulas',
        'not measured here',
        UNTESTABLE,
        "The available text lacks the table's formulas.",
    )


_EXACT = (
    'The power sub-problem has a unique optimum, so an SCA that converges finds what JCORM finds: '
    'a gap to it measures how far it was let converge.'
)
_BUDGET = (
    'The paper does not state its budget, and ours decides the number: one that meets the printed '
    'value confirms nothing.'
)
_TWO_WAYS = (
    'The printed difference measures how ATSM fails where half a slot is not enough, which is not '
    'described.'
)
_CALIBRATED = 'The slot length was chosen so that this comes out: no independent test.'

JUDGES: Mapping[Exhibit, tuple[Judge, ...]] = {
    4: (
        _linear,
        _best,
        printed_percent(
            4, 'utility_mbit', f'{ABOVE}{SCA}', 10, 'JCORM is 0.7 % above SCA', _EXACT,
            rivals=[SCA],
        ),
        printed_percent(
            4, 'utility_mbit', f'{ABOVE}{GENETIC}', 10, 'JCORM is 8.9 % above HA', _BUDGET,
            rivals=[GENETIC],
        ),
        *(
            printed_percent(
                4, 'utility_mbit', f'{ABOVE}{player}', 10,
                f'JCORM is 41.5 % above ATSM (`{player}`)', _CALIBRATED, rivals=[player],
            )
            for player in (HALF, HALF_LITERAL)
        ),
    ),
    TABLE_2: (
        _runs_in,
        _times_faster(
            SCA,
            'SCA takes 318.21 s, 1989 times as long',
            'Ours compiles its convex program once and begins at P_max, close to the best power '
            'here: few small programs a slot. The ratio tells of tools and beginnings.',
        ),
        _times_faster(GENETIC, 'JCORM is faster than HA', _BUDGET),
        _complexity,
    ),
    5: (
        to_the_end(
            5, 'utility_mbit', -1, 'Utility of JCORM, SCA and HA falls with the data size',
            'Longer urgent tasks leave less of the slot.', (JCORM, SCA, GENETIC),
        ),
        _half_is_unmoved(
            HALF,
            'Uploads begin at half the slot whether the tasks are done or not; only energy '
            'changes.',
        ),
        _half_is_unmoved(HALF_LITERAL, 'Who is late uploads nothing.'),
        _half_is_late,
        printed_percent(
            5, 'delay_s', f'{ABOVE}{SCA}', 5, "JCORM's mean delay is 29.6 % below that of SCA",
            _EXACT, rivals=[SCA],
        ),
        printed_percent(
            5, 'delay_s', f'{ABOVE}{GENETIC}', 5, "JCORM's mean delay is 49.9 % below that of HA",
            _BUDGET, rivals=[GENETIC],
        ),
        *(
            printed_percent(
                5, 'delay_s', f'{ABOVE}{player}', 5,
                f"JCORM's mean delay is 54.9 % below that of ATSM (`{player}`)", _TWO_WAYS,
                rivals=[player],
            )
            for player in (HALF, HALF_LITERAL)
        ),
    ),
}  # fmt: skip
