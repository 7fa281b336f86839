"""Figs 3 to 5, failures and the theorem as pictures, drawn from their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sec_nodes.experiments.drawing import draw_exhibit, draw_line
from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.robust.curves import CurveRow
from sec_nodes.experiments.robust.figures import (
    CHECKPOINT,
    FAILURES,
    LOST,
    MOMENTS,
    PROGRESS,
    RESERVE,
    STRATEGIES,
    THEOREM,
    TITLES,
    named,
)
from sec_nodes.experiments.robust.plans import (
    ABLATION,
    FEASIBLE,
    LEARNERS,
    NEAREST,
    OPTIMUM,
    OURS,
    PAPER,
    PARTITIONINGS,
    SCHEMES,
    SHARED,
)
from sec_nodes.experiments.robust.trials import QUANTITIES
from sec_nodes.experiments.rows import MEAN, Exhibit, Row

LOOKS: Mapping[str, Mapping[str, Any]] = {
    'sac_per': {'color': '#c8102e', 'linewidth': 2.0},
    'sac_per, flat': {'color': '#c8102e', 'linestyle': ':'},
    'sac, flat': {'color': '#e69f00', 'linestyle': ':'},
    'sac': {'color': '#e69f00'},
    'redq': {'color': '#0072b2'},
    'redq_g1': {'color': '#56b4e9'},
    'optimum': {'color': '#111111'},
    'nearest_uav': {'color': '#009e73', 'linestyle': '--'},
    'offload_all': {'color': '#7a5195', 'linestyle': '-.'},
    'random': {'color': '#9a9a9a', 'linestyle': ':'},
    'random_feasible': {'color': '#8a6d3b', 'linestyle': ':'},
    'local_only': {'color': '#cc79a7', 'linestyle': '--'},
}
_COLORS = ('#9a9a9a', '#8a6d3b', '#0072b2', '#e69f00', '#c8102e')
"""Of what is done about failures."""
_DASHES = {OPTIMUM: '-', OURS: '--'}
_SHARES = ('rescued_percent', 'completion_percent')
_ENERGIES = ('cost_mj', 'service_mj', 'completion_percent', 'per_task_mj')


def draw(path: Path, exhibit: Exhibit, rows: Sequence[Row], curves: Sequence[CurveRow]) -> None:
    """Draw a figure from its table, Fig. 3 from its curves too."""

    def fill(figure: Any, table: Table) -> None:
        if exhibit == 3:
            _convergence(figure, table, curves)
        else:
            _DRAWERS[exhibit](figure, table)

    draw_exhibit(path, exhibit, TITLES[exhibit], rows, fill)


def _convergence(figure: Any, table: Table, curves: Sequence[CurveRow]) -> None:
    """Returns against slots, gradient steps and CPU time, and what was learnt in the end."""
    modes = [mode for mode in (FEASIBLE, PAPER) if any(row.mode == mode for row in table.rows)]
    figure.set_size_inches(11, 0.7 + 3.2 * len(modes))
    panels = figure.subplots(len(modes), 4, squeeze=False)
    axes = {'steps': 'slots', 'updates': 'gradient steps', 'cpu_s': 'CPU time [s]'}
    for line, mode in zip(panels, modes, strict=True):
        for ax, (column, name) in zip(line, axes.items(), strict=False):
            learnt = [row for row in curves if row.mode == mode]
            for player in LEARNERS:
                _curve(ax, [row for row in learnt if row.player == player], column, player)
            _levels(ax, table, mode)
            ax.set_xlabel(name)
            ax.grid(axis='y')
            _logarithmic(ax.yaxis)
            ax.invert_yaxis()
            if learnt and column != 'steps':
                _logarithmic(ax.xaxis, (1,))
        line[0].set_ylabel(f'return of an episode, negated\n{mode}')
        _ends(line[-1], table, mode)
    _legend(figure, (*LEARNERS, *SCHEMES))


def _curve(ax: Any, rows: Sequence[CurveRow], column: str, player: str) -> None:
    """Mean over the runs and the band between the worst and the best."""
    rows = [row for row in rows if getattr(row, column) > 0]
    x = [getattr(row, column) for row in rows]
    ax.plot(x, [-row.value for row in rows], **LOOKS[player])
    low, high = [-row.low for row in rows], [-row.high for row in rows]
    ax.fill_between(x, low, high, color=LOOKS[player]['color'], alpha=0.15, linewidth=0)


def _levels(ax: Any, table: Table, mode: str) -> None:
    """Those that do not learn, as horizontal lines."""
    for row in table.of(3, 'return', MEAN, SCHEMES, mode):
        ax.axhline(-row.value, **{**LOOKS[row.player], 'linewidth': 1.0})


def _ends(ax: Any, table: Table, mode: str) -> None:
    """Return without exploration."""
    rows = table.of(3, 'return', MEAN, (*LEARNERS, *SCHEMES), mode)
    for place, row in enumerate(rows):
        ends = [[row.high - row.value], [row.value - row.low]]
        color = LOOKS[row.player]['color']
        ax.errorbar(-row.value, place, xerr=ends, fmt='o', color=color, markersize=4, capsize=2)
    ax.set_yticks(range(len(rows)), [row.player for row in rows])
    ax.invert_yaxis()
    _logarithmic(ax.xaxis)
    ax.invert_xaxis()
    ax.set_xlabel('the same in held-out episodes')
    ax.grid(axis='x')


def _sweep(
    exhibit: Exhibit,
    modes: Sequence[str],
    players: Sequence[str],
    axis: str,
    close: Sequence[str] = (),
) -> Callable[[Any, Table], None]:
    def draw_sweep(figure: Any, table: Table) -> None:
        """A line of panels a mode: the four numbers that belong together.

        Players that are close to the optimum have one for their distance.
        """
        figure.set_size_inches(11 + 2 * bool(close), 0.7 + 2.7 * len(modes))
        panels = figure.subplots(len(modes), len(_ENERGIES) + bool(close), squeeze=False)
        for line, mode in zip(panels, modes, strict=True):
            for ax, quantity in zip(line, _ENERGIES, strict=False):
                for player in players:
                    draw_line(
                        ax, table.of(exhibit, quantity, MEAN, [player], mode), **LOOKS[player]
                    )
                ax.set_ylabel(f'{_brief(quantity)}\n{mode}' if ax is line[0] else _brief(quantity))
                ax.grid(axis='y')
                if quantity != 'completion_percent':
                    _logarithmic(ax.yaxis)
            if close:
                _distances(line[-1], table, exhibit, mode, close)
        for ax in panels[-1]:
            ax.set_xlabel(axis)
        _at_places(figure, table)
        known = {row.player for row in table.rows}
        _legend(figure, [player for player in players if player in known])

    return draw_sweep


def _distances(ax: Any, table: Table, exhibit: Exhibit, mode: str, players: Sequence[str]) -> None:
    """How far weighted energies are from that of the optimum."""
    for player in players:
        rows = table.of(exhibit, 'cost_mj', 'above optimum', [player], mode)
        draw_line(ax, rows, **LOOKS[player])
    ax.axhline(0, color=LOOKS[OPTIMUM]['color'], linewidth=1.0)
    ax.set_ylabel('weighted energy above\nthat of the optimum [%]')
    ax.grid(axis='y')


def _strategies(exhibit: Exhibit, axis: str) -> Callable[[Any, Table], None]:
    def draw_strategies(figure: Any, table: Table) -> None:
        """Completion, what becomes of tasks of failed UAVs, energies."""
        figure.set_size_inches(11, 3.6)
        shown = ('completion_percent', 'rescued_percent', 'per_task_mj', 'cost_mj')
        looks = dict(zip(STRATEGIES, _COLORS, strict=True))
        for ax, quantity in zip(figure.subplots(1, len(shown)), shown, strict=True):
            for strategy, color in looks.items():
                for player, dash in _DASHES.items():
                    rows = table.of(exhibit, quantity, MEAN, [named(player, strategy)])
                    draw_line(ax, _known(rows), color=color, linestyle=dash)
            ax.set_xlabel(axis)
            ax.set_ylabel(_brief(quantity))
            ax.grid(axis='y')
        _at_places(figure, table)
        known = {row.player.partition(': ')[2] for row in table.rows}
        handles = [_line(name, color=color) for name, color in looks.items() if name in known]
        players = {row.player.partition(':')[0] for row in table.rows}
        if len(players) > 1:
            handles += [
                _line(name, color='#555555', linestyle=dash)
                for name, dash in _DASHES.items()
                if name in players
            ]
        figure.legend(handles=handles, loc='outside lower left', ncol=4, fontsize=8)

    return draw_strategies  # fmt: skip


def _progress(figure: Any, table: Table) -> None:
    """What becomes of tasks of failed UAVs, and what they cost, by the work that was done."""
    figure.set_size_inches(9, 3.2)
    shown = ('rescued_percent', 'completion_percent', 'per_task_mj')
    for ax, quantity in zip(figure.subplots(1, 3), shown, strict=True):
        for kept, color in ((LOST, '#e69f00'), (CHECKPOINT, '#0072b2')):
            rows = table.of(PROGRESS, quantity, MEAN, [named(OPTIMUM, f'relay, {kept}')])
            draw_line(ax, _known(rows), color=color, label=kept)
        ax.set_xlabel('share of the work done at the failure')
        ax.set_ylabel(_brief(quantity))
        if quantity in _SHARES:
            ax.set_ylim(0, 105)
        ax.grid(axis='y')
        ax.legend(loc='best')


def _theorem(figure: Any, table: Table) -> None:
    """What the optimum leaves whole, and what it saves by splitting."""
    figure.set_size_inches(8, 3.2)
    left, right = figure.subplots(1, 2)
    for mode, color in ((PAPER, '#c8102e'), (FEASIBLE, '#0072b2')):
        whole = table.of(THEOREM, 'whole_percent', MEAN, [OPTIMUM], mode)
        saved = table.of(THEOREM, 'cost_mj', 'above offload_all', [OPTIMUM], mode)
        draw_line(left, whole, color=color, label=mode)
        draw_line(right, saved, color=color, label=mode)
    for ax in (left, right):
        ax.set_xscale('log')
        ax.axvline(1.0, color='#9a9a9a', linewidth=0.8, linestyle=':')
        ax.set_xlabel('weight of computing by UAVs, varpi_2')
        ax.grid(axis='y')
        ax.legend(loc='best')
    left.set_ylabel(_brief('whole_percent'))
    right.set_ylabel('weighted energy of best splits\nabove offload_all [%]')


_DRAWERS: dict[Exhibit, Callable[[Any, Table], None]] = {
    4: _sweep(4, (FEASIBLE, PAPER), (*SHARED, *SCHEMES), 'users', (*SHARED, NEAREST)),
    5: _sweep(5, (FEASIBLE, PAPER, ABLATION), PARTITIONINGS, 'UAVs'),
    FAILURES: _strategies(FAILURES, 'UAVs that fail'),
    MOMENTS: _strategies(MOMENTS, 'slot of the failure'),
    PROGRESS: _progress,
    RESERVE: _strategies(RESERVE, 'time kept free [s]'),
    THEOREM: _theorem,
}
_BRIEF = {
    'cost_mj': 'weighted energy [mJ]',
    'per_task_mj': 'without flight, per\ncompleted task [mJ]',
    'rescued_percent': 'tasks of failed UAVs\nthat go on [%]',
    'whole_percent': 'sent tasks that are\nnot split [%]',
}


def _brief(quantity: str) -> str:
    return _BRIEF.get(quantity, QUANTITIES[quantity])


def _known(rows: Iterable[Row]) -> list[Row]:
    """Without places where there is nothing to tell."""
    return [row for row in rows if row.value == row.value]


def _at_places(figure: Any, table: Table) -> None:
    """Ticks where there are numbers."""
    places = sorted({row.x for row in table.rows if row.x is not None})
    for ax in figure.axes:
        ax.set_xticks(places, [f'{place:g}' for place in places])


def _logarithmic(axis: Any, ticks: Sequence[int] = (1, 2, 5)) -> None:
    """A logarithmic axis with plain numbers at its ticks."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.axes.set(**{f'{axis.axis_name}scale': 'log'})
    axis.set_major_locator(LogLocator(subs=ticks))
    axis.set_major_formatter(StrMethodFormatter('{x:g}'))
    axis.set_minor_formatter(NullFormatter())


def _line(name: str, **look: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=name, **look)


def _legend(figure: Any, players: Sequence[str]) -> None:
    handles = [_line(name, **LOOKS[name]) for name in players]
    figure.legend(handles=handles, loc='outside lower left', ncol=5, fontsize=8)
