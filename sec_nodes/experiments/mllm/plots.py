"""Figs 3 to 8 as pictures, drawn from their tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes.experiments.drawing import draw_line
from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.mllm.curves import CurveRow
from sec_nodes.experiments.mllm.figures import FIGURES, FLAT
from sec_nodes.experiments.mllm.plans import ABLATED, LEARNERS, MODES, OPTIMUM, SIMPLE
from sec_nodes.experiments.mllm.tables import (
    ABOVE_FLAT,
    INTERQUARTILE,
    QUANTITIES,
    SCORE,
)
from sec_nodes.experiments.rows import MEAN, Row
from sec_nodes.report.figures.style import INK, MUTED, RC

COLORS = {
    'ad_sac': '#c8102e',
    'ad_sac_flat': '#e69f00',
    'ppo': '#0072b2',
    'hybrid_ppo': '#56b4e9',
    'd3qn': '#009e73',
    'ddpg': '#cc79a7',
    'ad_sac_d': '#7a5195',
    'ad_sac_c': '#8a6d3b',
    'masked_random': '#bbbbbb',
    'greedy': '#8c8c8c',
    'myopic': '#5a5a5a',
    'optimum': '#111111',
}
DASHES: dict[str, Any] = {'masked_random': ':', 'greedy': '-.', 'myopic': '--', 'optimum': '-'}
SHOWN = ('cost', 'latency_s', 'energy_j')
_DPI = 110


def draw(path: Path, number: int, rows: Sequence[Row], curves: Sequence[CurveRow]) -> None:
    """Draw a figure from its table and its curves."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        figure = Figure(layout='constrained')
        _DRAWERS[number](figure, Table(rows), curves)
        title = f'Fig. {number}: {FIGURES[number].title}'
        figure.suptitle(title, x=0.01, ha='left', color=INK, fontweight='bold')
        figure.savefig(path, dpi=_DPI)


def _convergence(figure: Any, table: Table, curves: Sequence[CurveRow]) -> None:
    """A line of panels a mode: cost, latency, energy against slots, and final scores."""
    figure.set_size_inches(11, 7.6)
    panels = figure.subplots(len(MODES), len(SHOWN) + 1)
    for line, mode in zip(panels, MODES, strict=True):
        for ax, quantity in zip(line, SHOWN, strict=False):
            own = [row for row in curves if row.mode == mode]
            for name in LEARNERS:
                _curve(ax, [row for row in own if row.player == name], quantity, COLORS[name])
            _levels(ax, table, 3, quantity, mode)
            ax.set_ylabel(f'{QUANTITIES[quantity]}, {mode}')
            ax.set_xscale('log')  # in the same CPU time learners take in very different numbers
            ax.grid(axis='y')
        _logarithmic(line[0])
        _scores(line[-1], table, mode)
    for ax in panels[-1][: len(SHOWN)]:
        ax.set_xlabel('slots learnt from')
    _legend(figure, (*LEARNERS, *SIMPLE, OPTIMUM))


def _critic_rates(figure: Any, table: Table, curves: Sequence[CurveRow]) -> None:
    """Curves of each rate, and the costs that they end with."""
    figure.set_size_inches(9, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    ends = sorted(table.of(4, 'cost', MEAN, [FLAT]), key=lambda row: row.x or 0)
    for place, end in enumerate(ends):
        color = ('#0072b2', '#e69f00', '#009e73', '#cc79a7')[place % 4]
        own = [row for row in curves if row.x == end.x]
        _curve(left, own, 'cost', color, label=f'{end.x:g}')
        _dot(right, place, end, color)
    _levels(left, table, 4, 'cost', 'paper')
    _levels(right, table, 4, 'cost', 'paper', ('greedy', 'myopic', OPTIMUM))
    left.set_xlabel('slots learnt from')
    left.set_ylabel('penalised cost while learning')
    _logarithmic(left)
    right.set_xticks(range(len(ends)), [f'{end.x:g}' for end in ends])
    right.set_xlabel('critic learning rate')
    right.set_ylabel('penalised cost of what was learnt')
    left.legend(title='critic learning rate', loc='upper right')
    right.legend(loc='best')
    left.grid(axis='y')
    right.grid(axis='y')


def _sweep(number: int) -> Callable[[Any, Table, Sequence[CurveRow]], None]:
    def draw_sweep(figure: Any, table: Table, curves: Sequence[CurveRow]) -> None:
        """Latency, energy and cost against what is swept."""
        figure.set_size_inches(11, 3.8)
        shown = ('latency_s', 'energy_j', 'cost')
        for ax, quantity in zip(figure.subplots(1, 3), shown, strict=True):
            for name in (*SIMPLE, OPTIMUM, *LEARNERS):
                look = {'color': COLORS[name], 'linestyle': DASHES.get(name, '-')}
                draw_line(ax, table.of(number, quantity, MEAN, [name]), **look)
            printed = [row for row in table.of(number, quantity, MEAN, [FLAT]) if row.published]
            if printed:
                ax.plot(
                    [row.x for row in printed],
                    [row.published for row in printed],
                    'x',
                    color=INK,
                    markersize=9,
                    markeredgewidth=2,
                    label='printed, AD-SAC',
                    zorder=9,
                )
                ax.legend(loc='best')
            ax.set_xlabel(str(FIGURES[number].axis))
            ax.set_ylabel(QUANTITIES[quantity])
            ax.grid(axis='y')
            _leave_out_random(ax, table, number, quantity)
        known = {row.player for row in table.rows}
        _legend(figure, [name for name in (*LEARNERS, *SIMPLE, OPTIMUM) if name in known])

    return draw_sweep


def _ablation(figure: Any, table: Table, curves: Sequence[CurveRow]) -> None:
    """How far everybody lies above AD-SAC as described, mode by mode."""
    figure.set_size_inches(11, 3.6)
    players = ('ad_sac', *ABLATED, 'greedy', 'myopic', OPTIMUM)
    shown = ('latency_s', 'energy_j', 'cost')
    for ax, quantity in zip(figure.subplots(1, 3), shown, strict=True):
        for place, mode in enumerate(MODES):
            for shift, name in zip(np.linspace(-0.32, 0.32, len(players)), players, strict=True):
                for row in table.of(8, quantity, ABOVE_FLAT, [name], mode):
                    _dot(ax, place + shift, row, COLORS[name])
                    if row.published is not None:
                        ax.plot(place + shift, row.published, 'x', color=INK, markersize=8)
        random = table.of(8, quantity, ABOVE_FLAT, ['masked_random'])
        values = ', '.join(f'{row.value:+.0f}' for row in random)
        ax.set_title(f'masked_random: {values}', color=MUTED, fontweight='normal')
        ax.axhline(0, color=COLORS[FLAT], linewidth=1)
        ax.set_xticks(range(len(MODES)), MODES)
        quantity_name, _, _ = QUANTITIES[quantity].partition(' [')
        ax.set_ylabel(f'{quantity_name} above {FLAT} [%]')
        ax.grid(axis='y')
    _legend(figure, players, extra={'printed': {'marker': 'x', 'color': INK, 'linestyle': ''}})


_DRAWERS: dict[int, Callable[[Any, Table, Sequence[CurveRow]], None]] = {
    3: _convergence,
    4: _critic_rates,
    5: _sweep(5),
    6: _sweep(6),
    7: _sweep(7),
    8: _ablation,
}


def _curve(
    ax: Any, rows: Sequence[CurveRow], quantity: str, color: str, label: str | None = None
) -> None:
    """Mean over the runs; for the cost also the band between the best and the worst run."""
    steps = [row.steps for row in rows]
    ax.plot(
        steps, [getattr(row, quantity) for row in rows], color=color, label=label,
        marker='o' if len(rows) < 10 else None, markersize=3,
    )  # fmt: skip
    if quantity == 'cost':
        low, high = [row.cost_low for row in rows], [row.cost_high for row in rows]
        ax.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)


def _levels(
    ax: Any,
    table: Table,
    number: int,
    quantity: str,
    mode: str,
    players: Sequence[str] = (*SIMPLE, OPTIMUM),
) -> None:
    """Those that do not learn, as horizontal lines."""
    for row in table.of(number, quantity, MEAN, players, mode):
        color, dash = COLORS[row.player], DASHES[row.player]
        ax.axhline(row.value, color=color, linestyle=dash, linewidth=1.1, label=row.player)


def _scores(ax: Any, table: Table, mode: str) -> None:
    """What was learnt in the end: 0 = masked random, 1 = optimum."""
    rows = table.of(3, SCORE, INTERQUARTILE, (*LEARNERS, 'greedy', 'myopic'), mode)
    for place, row in enumerate(rows):
        low, high = row.value - row.low, row.high - row.value
        ax.errorbar(
            row.value, place, xerr=[[low], [high]], fmt='o', color=COLORS[row.player],
            markersize=4, capsize=2,
        )  # fmt: skip
    ax.set_yticks(range(len(rows)), [row.player for row in rows])
    ax.invert_yaxis()
    ax.axvline(1, color=COLORS[OPTIMUM], linewidth=1)
    ax.set_xlabel('score: 0 masked random, 1 optimum')
    ax.grid(axis='x')


def _logarithmic(ax: Any) -> None:
    """A logarithmic axis with plain numbers at its ticks."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set_yscale('log')
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 6, 8)))
    ax.yaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _leave_out_random(ax: Any, table: Table, number: int, quantity: str) -> None:
    """Masked random is far off: let the axis end where the others do, and say so."""
    others = [name for name in COLORS if name != 'masked_random']
    top = max(row.high for row in table.of(number, quantity, MEAN, others))
    random = table.of(number, quantity, MEAN, ['masked_random'])
    if min(row.value for row in random) > 1.3 * top:
        ax.set_ylim(top=1.05 * top)
        values = ' to '.join(f'{end([row.value for row in random]):.3g}' for end in (min, max))
        ax.set_title(f'masked_random: {values}', color=MUTED, fontweight='normal')


def _dot(ax: Any, place: float, row: Row, color: str) -> None:
    ends = np.maximum([[row.value - row.low], [row.high - row.value]], 0)
    ax.errorbar(place, row.value, yerr=ends, fmt='o', color=color, markersize=4, capsize=3)


def _legend(figure: Any, players: Sequence[str], extra: dict[str, Any] | None = None) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLORS[name], linestyle=DASHES.get(name, '-'), label=name)
        for name in players
    ]
    handles += [Line2D([], [], label=name, **look) for name, look in (extra or {}).items()]
    figure.legend(handles=handles, loc='outside lower left', ncol=6, fontsize=8)
