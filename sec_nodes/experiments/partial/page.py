"""The report of a reproduction in Markdown, made from its tables alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sec_nodes.cli.page_tables import markdown
from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.pages import Section, cell, head, report
from sec_nodes.experiments.partial.claims import claims
from sec_nodes.experiments.partial.figures import ALGORITHM, TITLES
from sec_nodes.experiments.partial.measures import QUANTITIES
from sec_nodes.experiments.partial.plans import AGILE, BASE, FREE, OP, SCHEMES, SINGLE, TIGHT
from sec_nodes.experiments.partial.published import PAPER
from sec_nodes.experiments.partial.tables import ABOVE_BASE, FLOOR
from sec_nodes.experiments.rows import MEAN, Exhibit, Row

_NOTES: dict[Exhibit, str] = {
    3: 'UAVs are numbered as in BL, by the tasks that they share most of; they are alike. The '
    'last panel limits second differences of the waypoints to 2 m/s² (mode `agile`): without a '
    'cost of acceleration optimal paths may zigzag.',
    4: 'Computing of each task; rates of each task to its UAV in each of the 50 slots, whether it '
    'uploads or not. BL and both TSP share the processor evenly: their upper curves coincide.',
    5: 'Energy up to a time. The curves of propulsion would be hidden behind each other: shown is '
    'what lies above flying at the speed of least power all the time, on an axis that is linear '
    'up to 10 J and logarithmic above. Who is late computes on after the mission of 70 s. The '
    'lower bound is one of plans that miss nothing, and so are the means above it.',
    6: 'Left: what the given tasks need even if UAVs are above all terminals at once. Middle: '
    'propulsion and service energy of all UAVs, each counted once, by the length of the mission, '
    'with the printed total; what the deadlines ask for stays as it is. Right: mode '
    '`free_split`, where the plan chooses cuts, against cuts that come with the tasks.',
    7: 'Sums over all UAVs. Each beta is planned by itself, with its own association.',
    ALGORITHM: 'The trace of `sca_bcd_single` on the default instance at the threshold 1e-3, and '
    'where everybody ends. Gaps are means over plans that '
    'miss nothing.',
}


def page(folder: Path, pictures: str) -> str:
    """The report on what a folder holds, see `pages.report`."""
    return report(folder, pictures, (_head, _method), claims, TITLES, _NOTES, _SECTIONS)


def _head(summary: dict[str, Any]) -> str:
    return head(
        'Reproduction of Figs 3 to 7 of partial',
        f'{PAPER}, section 5',
        summary,
        f'{summary["plans"]} plans',
    )


def _method(summary: dict[str, Any]) -> str:
    plan = summary['plan']
    return (
        '## How it was measured\n\n'
        '- The paper shows one instance, which is not at hand. `default` is ours, the frozen one '
        'of [scenario_partial.md](scenario_partial.md); numbers about it are exact for it and '
        'have no interval.\n'
        f'- `drawn` are {plan["episodes"]} held-out instances of mode `tight` that are not '
        'certified infeasible, the same ones for everybody; brackets hold 95 % bootstrap '
        'intervals over instances, drawn for both sides of a difference together.\n'
        '- OP is `sca_bcd_single`, Algorithm 1 as corrected, and `sca_bcd`, which starts it from '
        'many associations; unless stated otherwise OP means the latter. BL is `ellipse`. TSP is '
        '`tsp` (the tour at one speed) and `tsp_hover` (the tour at full speed, the time left '
        'above the terminals): the text describes both.\n'
        '- Every plan has been checked by `sec_nodes.scenarios.partial.validator`, which shares '
        'no code with planners and scenario; what it found on the default instance is listed with '
        'Fig. 3 by task, how much it found on drawn ones stands with Fig. 5.\n'
        '- A claim about a direction holds if all numbers and intervals lie on its side. '
        'Considerable, significant and drastic are read as 10 % or more, slight and very close '
        'as 5 % or less.\n'
        '- Values that the paper does not state or that contradict each other are chosen, see '
        '[scenario_partial.md](scenario_partial.md#corrections). Its figures are not in the '
        'available text, only what it says of them.\n'
    )


def _trajectories(table: Table) -> Iterator[str]:
    yield _compared(table, 3, ('objective_j', 'missed', 'nearest_m', 'reach_m'))
    rows = [
        (f'`{row.player}`', row.quantity.removeprefix('broken '), row.relation, f'{row.value:.3g}')
        for row in table.rows
        if row.quantity.startswith('broken ')
    ]
    if not rows:
        yield 'Nobody breaks a constraint.\n'
        return
    yield (
        'Constraints that are broken, as the validator names them; tasks are numbered as in the '
        'picture. Excess in Mb, `inf` where the processor would have to finish before it can '
        'begin:\n\n' + markdown(('', 'constraint', 'where', 'excess'), rows)
    )


def _resources(table: Table) -> Iterator[str]:
    for quantity in ('cpu_ghz', 'rate_kbit_s'):
        yield _by_uav(table, 4, quantity, 'mean')


def _energies(table: Table) -> Iterator[str]:
    for quantity in ('service_j', 'propulsion_j'):
        yield _by_uav(table, 5, quantity, 'sum')
    yield _compared(table, 5, ('objective_j', 'gap_percent', 'missed', 'broken'))
    yield _compared(table, 5, ('objective_j', 'gap_percent', 'missed', 'broken'), TIGHT)
    agile = {row.quantity: row.value for row in table.of(5, 'objective_j', MEAN, [OP], AGILE)}
    more = {
        quantity: table.of(5, quantity, ABOVE_BASE, [OP], AGILE)[0].value
        for quantity in ('objective_j', 'propulsion_j', 'service_j')
    }
    yield (
        f'With at most 2 m/s² (mode `agile`) `{OP}` needs {agile["objective_j"]:.1f} J, '
        f'{more["objective_j"]:+.2f} %: propulsion {more["propulsion_j"]:+.2f} %, service '
        f'{more["service_j"]:+.2f} %.\n'
    )


def _offloading(table: Table) -> Iterator[str]:
    places = sorted({row.x for row in table.of(6, 'energy_j', MEAN, [OP], BASE)
                     if row.x is not None})  # fmt: skip
    columns = ('length of the mission [s]', *(f'{x:.1f}' for x in places))
    lines = (
        ('energy of all UAVs [J]', 'energy_j', OP, '.0f'),
        ('least propulsion energy [J]', 'energy_j', FLOOR, '.0f'),
        ('tasks missed', 'missed', OP, '.0f'),
        ('tasks that would outlast it anywhere', 'hopeless', OP, '.0f'),
    )
    rows = [
        [name, *(format(table.of(6, quantity, MEAN, [player], BASE, x)[0].value, form)
                 for x in places)]
        for name, quantity, player, form in lines
    ]  # fmt: skip
    yield markdown(columns, rows)
    quantities = ('objective_j', 'service_j', 'propulsion_j', 'missed')
    modes = {BASE: 'default, given cuts', FREE: 'default, free cuts', TIGHT: 'drawn, given cuts',
             f'{TIGHT}, {FREE}': 'drawn, free cuts'}  # fmt: skip
    rows = [
        [
            name,
            *(
                _precise(_plain(table.of(6, quantity, MEAN, [OP], mode)))
                for quantity in quantities
            ),
        ]
        for mode, name in modes.items()
    ]
    yield markdown(('', *(QUANTITIES[quantity] for quantity in quantities)), rows)


def _weights(table: Table) -> Iterator[str]:
    rows = []
    for mode, name in ((BASE, 'default'), (TIGHT, 'drawn')):
        for row in table.of(7, 'service_j', MEAN, [OP], mode):
            found = [table.of(7, quantity, MEAN, [OP], mode, row.x)
                     for quantity in ('service_j', 'propulsion_j', 'missed')]  # fmt: skip
            rows.append([name, f'{row.x:g}', *map(_precise, found)])
    columns = ('instances', 'beta', QUANTITIES['service_j'], QUANTITIES['propulsion_j'],
               QUANTITIES['missed'])  # fmt: skip
    yield markdown(columns, rows)


def _algorithm(table: Table) -> Iterator[str]:
    quantities = ('objective_j', 'gap_percent', 'missed', 'broken', 'cpu_s', 'iterations')
    columns = ('', 'instances', *(QUANTITIES.get(name, name) for name in quantities))
    yield markdown(
        columns,
        (
            [f'`{player}`', name, *(_precise(table.of(ALGORITHM, quantity, MEAN, [player], mode))
                                    for quantity in quantities)]
            for mode, name in ((BASE, 'default'), (TIGHT, 'drawn'))
            for player in (SINGLE, OP)
        ),
    )  # fmt: skip


_SECTIONS: dict[Exhibit, Section] = {
    3: _trajectories,
    4: _resources,
    5: _energies,
    6: _offloading,
    7: _weights,
    ALGORITHM: _algorithm,
}


def _by_uav(table: Table, figure: int, quantity: str, total: str) -> str:
    """A quantity of each UAV, of all, and of all on drawn instances."""
    uavs = sorted({row.relation for row in table.of(figure, quantity, None, [OP], BASE)
                   if row.relation.startswith('UAV')})  # fmt: skip
    columns = (QUANTITIES[quantity], *uavs, f'default, {total}', f'drawn, {total}')
    rows = []
    for player in SCHEMES:
        own = [table.of(figure, quantity, uav, [player], BASE) for uav in uavs]
        whole = [
            _plain(table.of(figure, quantity, MEAN, [player], mode)) for mode in (BASE, TIGHT)
        ]
        rows.append([f'`{player}`', *map(_precise, [*own, *whole])])
    return markdown(columns, rows)


def _compared(table: Table, figure: int, quantities: Sequence[str], mode: str = BASE) -> str:
    """Everybody's quantities of whole missions."""
    columns = ('drawn' if mode == TIGHT else 'default', *(QUANTITIES[name] for name in quantities))
    rows = [
        [f'`{player}`', *(_precise(table.of(figure, name, MEAN, [player], mode))
                          for name in quantities)]
        for player in SCHEMES
    ]  # fmt: skip
    return markdown(columns, rows)


def _plain(rows: Sequence[Row]) -> list[Row]:
    """Without those of a sweep."""
    return [row for row in rows if row.x is None]


def _precise(rows: Sequence[Row]) -> str:
    """Joules with their last digit, everything else as `cell`."""
    if rows and rows[0].value >= 1000:
        row = rows[0]
        ends = '' if row.low == row.high else f' [{row.low:.0f}, {row.high:.0f}]'
        return f'{row.value:.1f}{ends}'
    return cell(rows)
