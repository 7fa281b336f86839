"""What the paper claims of Figs 3 to 7 and Algorithm 1, judged by our numbers; see `judging`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sec_nodes.experiments.judging import (
    FAILS,
    HOLDS,
    UNTESTABLE,
    Claim,
    Judge,
    Table,
    judged,
    near,
    one_sided,
    shown,
    within,
    worst,
)
from sec_nodes.experiments.partial import scheme_claims
from sec_nodes.experiments.partial.figures import ALGORITHM
from sec_nodes.experiments.partial.judges import CONSIDERABLE_PERCENT, one
from sec_nodes.experiments.partial.plans import (
    BASE,
    BINARY,
    FREE,
    OP,
    RANDOM,
    SINGLE,
    START,
    TIGHT,
)
from sec_nodes.experiments.partial.published import FEWEST, LEAST_S, MOST, MOST_S, TOTAL_J
from sec_nodes.experiments.partial.tables import ABOVE_BASE, ABOVE_FIRST, FLOOR
from sec_nodes.experiments.rows import MEAN, Exhibit, Row

_SLIGHT_PERCENT = 5.0
"""Up to what a difference is slight."""
_ROUNDING_J = 1e-6


def claims(rows: Iterable[Row]) -> list[Claim]:
    """All claims about the figures that there are rows of."""
    return judged(rows, _JUDGES)


def _binary(table: Table) -> Claim:
    needed, available = (
        one(table, 6, quantity, BINARY).value for quantity in ('needed_ghz', 'available_ghz')
    )
    certified = one(table, 6, 'certified', BINARY).value
    late = one(table, 6, 'missed', BINARY).value
    return Claim(
        6,
        'Full offloading is infeasible',
        'infeasible',
        f'needs {needed:.2f} of {available:.0f} GHz even with UAVs above each terminal; by the '
        f'printed (6) and (7) `{BINARY}` misses {late:.0f} tasks; certified '
        + ', '.join(
            f'on {one(table, 6, "certified_percent", BINARY, mode).value:.0f} % of `{mode}`'
            for mode in (TIGHT, RANDOM)
        ),
        HOLDS if certified else FAILS,
        'F_max was chosen so that it is: the paper gives none. By the printed (6) and (7) it is '
        'so by definition, since the program would have to arrive in no time.',
    )


def _partial_feasible(table: Table) -> Claim:
    longest = table.last(6)
    (late,) = table.of(6, 'missed', MEAN, [OP], BASE, longest)
    drawn = one(table, 6, 'missed', OP, TIGHT)
    needed = one(table, 6, 'needed_ghz', OP).value
    return Claim(
        6,
        'Partial offloading is feasible under the same constraints',
        'feasible',
        f'{late.value:.0f} tasks missed, on drawn instances {drawn.value:.2g} on average; needs '
        f'{needed:.2f} GHz at least',
        HOLDS if late.value == 0 else FAILS,
        'Only the layers behind the cut are computed by UAVs.',
    )


def _total(table: Table) -> Claim:
    lasts = table.last(6)
    (own,) = table.of(6, 'energy_j', MEAN, [OP], BASE, lasts)
    (floor,) = table.of(6, 'energy_j', MEAN, [FLOOR], BASE, lasts)
    most_s = TOTAL_J / (floor.value / lasts)
    below = [row for row in table.of(6, 'missed', MEAN, [OP], BASE) if (row.x or 0) <= most_s]
    late = max(below, key=lambda row: row.x or 0).value if below else float('nan')
    (hopeless,) = [
        row.value for row in table.of(6, 'hopeless', MEAN, [OP], BASE)
        if below and row.x == max(row.x or 0 for row in below)
    ] or [float('nan')]  # fmt: skip
    return Claim(
        6,
        'OP needs 2.23e4 J in total',
        f'{TOTAL_J:.3g} J',
        f'{own.value:.4g} J in {lasts:g} s; flying alone costs {TOTAL_J:.3g} J after '
        f'{most_s:.1f} s, and in so short a mission {late:.0f} tasks are missed',
        near(own.value, TOTAL_J),
        'Three UAVs that fly at the speed of least power spend it in '
        f'{most_s:.1f} s, less than any deadline; the local runs and uploads of {hopeless:.0f} of '
        'our tasks alone last longer. The length of the mission is not in the paper.',
    )


def _cuts_help(table: Table) -> Claim:
    modes = (FREE, f'{TIGHT}, {FREE}')
    rows = [row for mode in modes for row in table.of(6, 'objective_j', ABOVE_BASE, [OP], mode)]
    service = [row for mode in modes for row in table.of(6, 'service_j', ABOVE_BASE, [OP], mode)]

    def told(found: Sequence[Row]) -> str:
        return '; '.join(
            f'{"drawn" if row.episodes > 1 else "default"} '
            + (shown(row) if row.episodes > 1 else f'{row.value:+.2g} %')
            for row in found
        )

    return Claim(
        6,
        'Cuts that follow channels and tasks save energy (abstract: optimised; (12): given)',
        'no number',
        f'free above given cuts, largest E_u: {told(rows)}; service energy: {told(service)}',
        one_sided(rows, -1),
        'The paper does not optimise them; mode `free_split` does. Flying is most of E_u and does '
        'not depend on cuts.',
    )


def _drastic(table: Table) -> Claim:
    rows = _ends(table, 'service_j')
    return Claim(
        7,
        'A larger beta reduces service energy drastically',
        f'drastically; read as by {CONSIDERABLE_PERCENT:g} % or more',
        _swept(rows),
        within(rows, float('-inf'), -CONSIDERABLE_PERCENT),
        'The least speed that meets a deadline is best at any beta, so beta acts through paths '
        'and association alone: on how soon an upload ends, a small part of the time.',
    )


def _at_a_cost(table: Table) -> Claim:
    rows = _ends(table, 'propulsion_j')
    return Claim(
        7,
        'A larger beta raises propulsion energy slightly',
        f'slightly; read as by up to {_SLIGHT_PERCENT:g} %',
        _swept(rows),
        worst([one_sided(rows, 1), within(rows, float('-inf'), _SLIGHT_PERCENT)]),
        'Loitering near terminals costs little beyond the speed of least power.',
    )


def _ends(table: Table, quantity: str) -> list[Row]:
    last = table.last(7)
    return [row for mode in (BASE, TIGHT)
            for row in table.of(7, quantity, ABOVE_FIRST, [OP], mode, last)]  # fmt: skip


def _swept(rows: Sequence[Row]) -> str:
    said = (
        f'drawn {shown(row)}' if row.mode == TIGHT else f'default {row.value:+.2g} %'
        for row in rows
    )
    return 'from the smallest to the largest beta: ' + '; '.join(said)


def _ellipses_feasible(table: Table) -> Claim:
    default, drawn = (
        one(table, ALGORITHM, quantity, START, mode).value
        for quantity, mode in (('missed', BASE), ('failed_percent', TIGHT))
    )
    return Claim(
        ALGORITHM,
        'Ellipses guarantee that the initial solution is feasible',
        'guaranteed',
        'with the best association and speeds along them '
        f'{"no task is" if default == 0 else f"{default:.0f} tasks are"} missed on the default '
        f'instance; on {drawn:.0f} % of drawn instances nothing is feasible',
        FAILS if default or drawn else HOLDS,
        'An ellipse keeps the constraints of paths, not deadlines: Algorithm 1 needs a phase that '
        'looks for a feasible start.',
    )


def _monotone(table: Table) -> Claim:
    rows = table.of(ALGORITHM, 'largest_step_j', MEAN, [SINGLE])
    rises = [row for row in rows if row.value > _ROUNDING_J]
    return Claim(
        ALGORITHM,
        'The objective never rises from one iteration to the next',
        'monotone',
        f'largest change of an iteration: {max(row.value for row in rows):+.2g} J'
        if rows else 'no numbers',
        (FAILS if rises else HOLDS) if rows else UNTESTABLE,
        'By construction: a block is kept only if the true objective (12) falls. With the printed '
        'P1 and P6 it need not, since they minimise other things.',
    )  # fmt: skip


def _iterations(table: Table) -> Claim:
    rows = table.of(ALGORITHM, 'iterations', MEAN, [SINGLE])
    most = max((row.value for row in table.of(ALGORITHM, 'most_iterations', MEAN, [SINGLE])),
               default=float('nan'))  # fmt: skip
    return Claim(
        ALGORITHM,
        f'Convergence takes {FEWEST} to {MOST} iterations',
        f'{FEWEST} to {MOST}',
        _by_mode(rows, '') + f'; at most {most:.0f}',
        within(rows, FEWEST, MOST),
        'At the same threshold 1e-3. Propulsion is most of the objective and soon close to its '
        'least, so gains fall below a per mille early.',
    )


def _seconds(table: Table) -> Claim:
    rows = table.of(ALGORITHM, 'cpu_s', MEAN, [SINGLE])
    both = table.of(ALGORITHM, 'cpu_s', MEAN, [OP])
    return Claim(
        ALGORITHM,
        f'Convergence takes {LEAST_S:g} to {MOST_S:g} s',
        f'{LEAST_S:g} to {MOST_S:g} s; read as at most {MOST_S:g} s',
        f'CPU time of `{SINGLE}`: {_by_mode(rows, " s")}; of `{OP}`: {_by_mode(both, " s")}',
        within(rows, 0.0, MOST_S),
        'Another machine and solver: cone programs assembled once, solved by Clarabel.',
    )


def _stationary(table: Table) -> Claim:
    rows = table.of(ALGORITHM, 'gap_percent', MEAN, [SINGLE])
    best = table.of(ALGORITHM, 'gap_percent', MEAN, [OP])
    return Claim(
        ALGORITHM,
        'Convergence to a stationary point',
        'guaranteed',
        f'above a lower bound of plans that miss nothing: `{SINGLE}` {_by_mode(rows, " %")}; with '
        f'many starts {_by_mode(best, " %")}',
        UNTESTABLE,
        'Objectives converge since they fall and are bounded. Where associations are whole '
        'numbers no point is stationary in the usual sense: where one ends depends on the start.',
    )


def _by_mode(rows: Sequence[Row], unit: str) -> str:
    return ', '.join(
        f'drawn {shown(row, percent=False)}{unit}' if row.mode == TIGHT
        else f'default {row.value:.3g}{unit}'
        for row in rows
        if np.isfinite(row.value)
    )  # fmt: skip


_JUDGES: dict[Exhibit, tuple[Judge, ...]] = {
    **scheme_claims.JUDGES,
    6: (_binary, _partial_feasible, _total, _cuts_help),
    7: (_drastic, _at_a_cost),
    ALGORITHM: (_ellipses_feasible, _monotone, _iterations, _seconds, _stationary),
}  # fmt: skip
