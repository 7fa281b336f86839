"""Figs 3 to 7 and Algorithm 1 as pictures, drawn from their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes.experiments.drawing import draw_exhibit
from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.partial.figures import ALGORITHM, TITLES
from sec_nodes.experiments.partial.plans import (
    AGILE,
    BASE,
    BINARY,
    BL,
    FREE,
    OP,
    SCHEMES,
    SINGLE,
    TIGHT,
    TSP,
    TSP_HOVER,
)
from sec_nodes.experiments.partial.tables import (
    ABOVE_BASE,
    ABOVE_FIRST,
    DEPOT,
    FLOOR,
    TERMINALS,
    uav_name,
)
from sec_nodes.experiments.rows import MEAN, Exhibit, Row
from sec_nodes.report.figures.plans import draw_paths
from sec_nodes.report.figures.style import FAILED, INK, MUTED
from sec_nodes.slot import FloatArray

LOOKS: Mapping[str, Mapping[str, Any]] = {
    BL: {'color': '#9a9a9a', 'linewidth': 3.0},
    TSP: {'color': '#0072b2', 'linestyle': '--'},
    TSP_HOVER: {'color': '#7a5195', 'linestyle': ':', 'linewidth': 1.8},
    SINGLE: {'color': '#e69f00'},
    OP: {'color': '#c8102e'},
}
_NAMES = {
    BL: 'BL: ellipses',
    TSP: 'TSP at one speed',
    TSP_HOVER: 'TSP with hovering',
    SINGLE: 'OP: Algorithm 1',
    OP: 'OP: many starts',
}
_SIDE_M = 500.0
_LINEAR_J = 10.0
"""Up to where the axis of Fig. 5d to f is linear."""


def draw(path: Path, exhibit: Exhibit, rows: Sequence[Row]) -> None:
    """Draw a figure from its table."""
    draw_exhibit(path, exhibit, TITLES[exhibit], rows, _DRAWERS[exhibit])


def _trajectories(figure: Any, table: Table) -> None:
    """Fig. 3: a map a scheme, and one with limited acceleration."""
    figure.set_size_inches(10.4, 7.9)
    figure.get_layout_engine().set(hspace=0.05)
    terminal_m = np.stack([_column(table, 3, name, TERMINALS) for name in _AXES], axis=-1)
    depot_m = np.array([_column(table, 3, name, DEPOT)[0] for name in _AXES])
    work = _column(table, 3, 'work_gcycle', TERMINALS)
    panels = [(player, BASE, _NAMES[player]) for player in SCHEMES]
    panels.append((OP, AGILE, 'OP: many starts, 2 m/s²'))
    for ax, (player, mode, name) in zip(figure.subplots(2, 3).ravel(), panels, strict=True):
        late = _column(table, 3, 'late', player, mode, value=False).astype(int)
        server = _column(table, 3, 'server', player, mode).astype(int) - 1
        draw_paths(
            ax, _paths_m(table, player, mode), terminal_m, depot_m, server, work,
            (_SIDE_M, _SIDE_M), late,
        )  # fmt: skip
        (cost,) = table.of(3, 'objective_j', MEAN, [player], mode)
        told = f'{len(late)} missed' if len(late) else 'all in time'
        ax.set_title(f'{name}\n{cost.value:.0f} J, {told}', fontsize=8.5)
        ax.label_outer()
    limits = np.array([[ax.get_xlim(), ax.get_ylim()] for ax in figure.axes])
    for ax in figure.axes:
        ax.set_xlim(limits[:, 0].min(), limits[:, 0].max())
        ax.set_ylim(limits[:, 1].min(), limits[:, 1].max())
    figure.supxlabel(
        'One colour a UAV; discs grow with the offloaded work; red rings: deadline missed; star: '
        'depot; J: largest E_u',
        fontsize=8, color=MUTED,
    )  # fmt: skip


_AXES = ('east_m', 'north_m')


def _paths_m(table: Table, player: str, mode: str) -> FloatArray:
    """(U, M + 1, 2)"""
    uavs = sorted({row.relation for row in table.of(3, 'east_m', None, [player], mode)})
    return np.stack(
        [
            np.stack([_column(table, 3, name, player, mode, uav) for name in _AXES], axis=-1)
            for uav in uavs
        ]
    )


def _resources(figure: Any, table: Table) -> None:
    """Fig. 4: distributions for each UAV."""
    figure.set_size_inches(10.4, 5.6)
    top, bottom = figure.subplots(2, 3, sharex='row', sharey=True)
    for uav, (computing, rates) in enumerate(zip(top, bottom, strict=True)):
        for player in SCHEMES:
            for ax, quantity, step in (
                (computing, 'cpu_ghz_at', True),
                (rates, 'rate_kbit_s_at', False),
            ):
                rows = _sorted(table.of(4, quantity, uav_name(uav), [player]))
                value, share = [row.value for row in rows], [row.x for row in rows]
                if step and rows:
                    value, share = [0.0, *value], [0.0, *share]
                drawing = 'steps-post' if step else 'default'
                ax.plot(value, share, drawstyle=drawing, **LOOKS[player])
        computing.set_title(uav_name(uav))
        computing.set_xlabel('computing of a task [GHz]')
        rates.set_xlabel('uplink rate in a slot [kb/s]')
        for ax in (computing, rates):
            ax.grid()
    for row in (top, bottom):
        row[0].set_ylabel('share of tasks' if row is top else 'share of tasks and slots')
    _legend(figure)


def _energies(figure: Any, table: Table) -> None:
    """Fig. 5: energy up to a time, for each UAV."""
    figure.set_size_inches(10.4, 5.8)
    top, bottom = figure.subplots(2, 3, sharex=True, sharey='row')
    for uav, (service, flying) in enumerate(zip(top, bottom, strict=True)):
        for player in SCHEMES:
            for ax, quantity in ((service, 'service_j_at'), (flying, 'excess_j_at')):
                rows = _sorted(table.of(5, quantity, uav_name(uav), [player]))
                ax.plot([row.x for row in rows], [row.value for row in rows], **LOOKS[player])
        service.set_title(uav_name(uav))
        flying.set_yscale('symlog', linthresh=_LINEAR_J)
        flying.set_xlabel('time [s]')
        for ax in (service, flying):
            ax.grid()
    top[0].set_ylabel('service energy [J]')
    bottom[0].set_ylabel('propulsion energy beyond\nleast power all the time [J]')
    _legend(figure)


def _offloading(figure: Any, table: Table) -> None:
    """Fig. 6: certificates, total energy by the length of the mission, free cuts."""
    figure.set_size_inches(10.4, 4.0)
    needs, total, cuts = figure.subplots(1, 3, width_ratios=(0.9, 1.3, 1.0))
    _certificates(needs, table)
    _lengths(total, table)
    _cuts(cuts, table)


def _certificates(ax: Any, table: Table) -> None:
    names = {OP: 'partial', BINARY: 'full'}
    for place, player in enumerate(names):
        (needed,) = table.of(6, 'needed_ghz', MEAN, [player])
        color = FAILED if player == BINARY else '#44aa77'
        ax.bar(place, needed.value, width=0.6, color=color)
        ax.annotate(f'{needed.value:.2f}', (place, needed.value), (0, 2), ha='center',
                    textcoords='offset points')  # fmt: skip
    (available,) = table.of(6, 'available_ghz', MEAN, [BINARY])
    ax.axhline(available.value, color=INK, linewidth=1.0)
    ax.annotate('all UAVs have', (-0.42, available.value), (0, 3), textcoords='offset points')
    ax.set_xticks(range(len(names)), names.values())
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_ylim(top=1.2 * max(available.value, needed.value))
    ax.set_ylabel('computing needed at least [GHz]')
    ax.set_title('Certificate')


def _lengths(ax: Any, table: Table) -> None:
    rows = _sorted(table.of(6, 'energy_j', MEAN, [OP], BASE))
    late = {row.x: row.value for row in table.of(6, 'missed', MEAN, [OP], BASE)}
    floor = _sorted(table.of(6, 'energy_j', MEAN, [FLOOR], BASE))
    ax.plot([row.x for row in floor], [row.value / 1e3 for row in floor], color=MUTED,
            linestyle=':', label='least propulsion')  # fmt: skip
    ax.plot([row.x for row in rows], [row.value / 1e3 for row in rows], color=LOOKS[OP]['color'],
            marker='o', markersize=3, label='OP: many starts')  # fmt: skip
    for row in rows:
        if late[row.x]:
            ax.annotate(
                f'{late[row.x]:.0f} missed', (row.x, row.value / 1e3), (-3, 5), ha='right',
                textcoords='offset points', fontsize=7, color=FAILED,
            )  # fmt: skip
    printed = next((row.published for row in rows if row.published is not None), None)
    if printed is not None:
        ax.axhline(printed / 1e3, color=INK, linewidth=1.0, linestyle='--', label='printed')
    ax.margins(x=0.12)
    ax.set_xlabel('length of the mission [s]')
    ax.set_ylabel('energy of all UAVs [kJ]')
    ax.set_title('Total energy')
    ax.grid()
    ax.legend(loc='upper left')


def _cuts(ax: Any, table: Table) -> None:
    places: list[str] = []
    for mode, name in ((FREE, 'default'), (f'{TIGHT}, {FREE}', 'drawn')):
        for quantity, what in (('objective_j', 'largest E_u'), ('service_j', 'service energy')):
            for row in table.of(6, quantity, ABOVE_BASE, [OP], mode):
                ax.errorbar(row.value, len(places), xerr=_ends(row), fmt='o', capsize=3,
                            color=LOOKS[OP]['color'])  # fmt: skip
                ax.annotate(f'{row.value:+.2f} %', (row.value, len(places)), (0, 6), ha='center',
                            textcoords='offset points', fontsize=7)  # fmt: skip
                places.append(f'{what},\n{name}')
    ax.set_yticks(range(len(places)), places)
    ax.set_ylim(len(places) - 0.5, -0.6)
    ax.axvline(0, color=MUTED, linewidth=0.8)
    ax.margins(x=0.2)
    ax.set_xlabel('free above given cuts [%]')
    ax.set_title('Free cuts')
    ax.grid(axis='x')


def _weights(figure: Any, table: Table) -> None:
    """Fig. 7: the trade-off, and both energies against the smallest beta."""
    figure.set_size_inches(10.4, 3.8)
    trade, service, flying = figure.subplots(1, 3)
    spent = _sorted(table.of(7, 'service_j', MEAN, [OP], BASE))
    flown = _sorted(table.of(7, 'propulsion_j', MEAN, [OP], BASE))
    trade.plot([row.value / 1e3 for row in flown], [row.value for row in spent], 'o-',
               markersize=4, color=LOOKS[OP]['color'])  # fmt: skip
    for place, (ours, theirs) in enumerate(zip(flown, spent, strict=True)):
        below = -11 if place % 2 else 4  # neighbours may be close
        trade.annotate(f'β = {ours.x:g}', (ours.value / 1e3, theirs.value), (5, below),
                       textcoords='offset points', fontsize=7.5)  # fmt: skip
    trade.set(xlabel='propulsion energy [kJ]', ylabel='service energy [J]')
    trade.margins(x=0.3, y=0.15)
    trade.locator_params(axis='x', nbins=4)
    trade.set_title('Default instance')
    trade.grid()
    for ax, quantity, what in (
        (service, 'service_j', 'service'),
        (flying, 'propulsion_j', 'propulsion'),
    ):
        rows = _sorted(table.of(7, quantity, ABOVE_FIRST, [OP], BASE))
        ax.plot([row.x for row in rows], [row.value for row in rows], 'o-', markersize=4,
                color=LOOKS[OP]['color'], label='default instance')  # fmt: skip
        for row in table.of(7, quantity, ABOVE_FIRST, [OP], TIGHT):
            ax.errorbar(row.x, row.value, yerr=_ends(row), fmt='s', color='#0072b2', capsize=3,
                        markersize=4, label='drawn instances')  # fmt: skip
        ax.set_xscale('log')
        ax.axhline(0, color=MUTED, linewidth=0.8)
        ax.set(xlabel='β', ylabel='above the smallest β [%]')
        ax.set_title(f'{what.capitalize()} energy')
        ax.grid()
        ax.legend(loc='best')


def _algorithm(figure: Any, table: Table) -> None:
    """Objective by iteration, and how far from the bound everybody ends in which time."""
    figure.set_size_inches(9.0, 3.8)
    left, right = figure.subplots(1, 2)
    trace = _sorted(table.of(ALGORITHM, 'objective_j_at', MEAN, [SINGLE]))
    left.plot([row.x for row in trace], [row.value for row in trace], 'o-', markersize=4,
              color=LOOKS[SINGLE]['color'], label=_NAMES[SINGLE])  # fmt: skip
    (best,) = table.of(ALGORITHM, 'objective_j', MEAN, [OP], BASE)
    (gap,) = table.of(ALGORITHM, 'gap_percent', MEAN, [OP], BASE)
    left.axhline(best.value, color=LOOKS[OP]['color'], linewidth=1.2, label=_NAMES[OP])
    bound_j = best.value / (1 + gap.value / 100)
    left.axhline(bound_j, color=INK, linestyle=':', label='lower bound')
    left.set(xlabel='iteration', ylabel='largest E_u [J]')
    left.xaxis.get_major_locator().set_params(integer=True)
    left.set_title('Default instance')
    left.legend()
    left.grid()
    for player in (SINGLE, OP):
        for mode, marker in ((BASE, 'o'), (TIGHT, 's')):
            (time_s,) = table.of(ALGORITHM, 'cpu_s', MEAN, [player], mode)
            (gap,) = table.of(ALGORITHM, 'gap_percent', MEAN, [player], mode)
            name = 'default' if mode == BASE else 'drawn, mean'
            right.errorbar(
                time_s.value, gap.value, xerr=_ends(time_s), yerr=_ends(gap), fmt=marker,
                capsize=2, color=LOOKS[player]['color'], label=f'{_NAMES[player]}, {name}',
            )  # fmt: skip
    right.set(xlabel='CPU time [s]', ylabel='above the lower bound [%]')
    right.set_xlim(left=0)
    right.set_ylim(bottom=0)
    right.set_title('Time and gap')
    right.legend()
    right.grid()


_DRAWERS: dict[Exhibit, Callable[[Any, Table], None]] = {
    3: _trajectories,
    4: _resources,
    5: _energies,
    6: _offloading,
    7: _weights,
    ALGORITHM: _algorithm,
}


def _column(
    table: Table,
    figure: int,
    quantity: str,
    player: str,
    mode: str = BASE,
    relation: str | None = None,
    value: bool = True,
) -> FloatArray:
    """Values in the order of x, or the x themselves."""
    rows = _sorted(table.of(figure, quantity, relation, [player], mode))
    return np.array([row.value if value else row.x for row in rows], dtype=float)


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.x or 0)


def _ends(row: Row) -> FloatArray:
    return np.maximum([[row.value - row.low], [row.high - row.value]], 0)


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=_NAMES[player], **LOOKS[player]) for player in SCHEMES]
    figure.legend(handles=handles, loc='outside lower left', ncol=5)
