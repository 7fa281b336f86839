"""Figs 3 to 9 and Table II as pictures, drawn from their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes.experiments.drawing import draw_exhibit, draw_line
from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.maritime.figures import (
    BASE,
    DS_SHARES,
    FIGURES,
    FREE_GBYTE,
    LARGE_SIZES,
    LOW_POWER,
    RICIAN_FACTORS,
    STORAGES_GBYTE,
    TABLE_2,
    TITLES,
    UAV_CPUS_GHZ,
    channel_mode,
    cpu_mode,
    storage_mode,
)
from sec_nodes.experiments.maritime.plans import (
    BOUND,
    GENETIC,
    HALF,
    HALF_LITERAL,
    JCORM,
    LITERAL,
    LITERAL_HALF,
    LOCAL,
    SCA,
    kind,
)
from sec_nodes.experiments.maritime.tables import (
    ABOVE,
    ABOVE_PREVIOUS,
    FAILURES,
    QUANTITIES,
    TIMES,
)
from sec_nodes.experiments.rows import MEAN, Exhibit, Row
from sec_nodes.report.figures.style import INK, MUTED

LOOKS: Mapping[str, Mapping[str, Any]] = {
    BOUND: {'color': '#111111', 'linestyle': ':', 'marker': '', 'linewidth': 2.2},
    JCORM: {'color': '#c8102e', 'marker': 'o'},
    SCA: {
        'color': '#009e73',
        'linestyle': '',
        'marker': 'D',
        'markersize': 7,
        'fillstyle': 'none',
    },
    LITERAL: {'color': '#e69f00', 'marker': 's'},
    LITERAL_HALF: {'color': '#e69f00', 'linestyle': '--', 'marker': 's', 'fillstyle': 'none'},
    GENETIC: {'color': '#7a5195', 'marker': '^'},
    HALF: {'color': '#0072b2', 'marker': 'v'},
    HALF_LITERAL: {'color': '#0072b2', 'linestyle': '--', 'marker': 'v', 'fillstyle': 'none'},
    LOCAL: {'color': '#7a7a7a', 'linestyle': '-.', 'marker': '.'},
}
_VARIANT_LINES = {
    JCORM: ('-', 'o'),
    LITERAL: ('--', ''),
    LITERAL_HALF: ('--', 's'),
    LOCAL: ('-.', ''),
    BOUND: (':', ''),
}
_VARIANT_COLORS = ('#0072b2', '#e69f00', '#c8102e')
_PRINTED: dict[str, Any] = {
    'marker': 'x',
    'color': INK,
    'linestyle': '',
    'markersize': 9,
    'markeredgewidth': 2,
}


def draw(path: Path, exhibit: Exhibit, rows: Sequence[Row]) -> None:
    """Draw a figure from its table."""
    draw_exhibit(path, exhibit, TITLES[exhibit], rows, _DRAWERS[exhibit])


def _bandwidth(figure: Any, table: Table) -> None:
    """Fig. 3: utility, data volume, energy, and who fails."""
    figure.set_size_inches(9.5, 6.2)
    panels = figure.subplots(2, 2).ravel()
    for ax, quantity in zip(panels, FIGURES[3].quantities, strict=False):
        _players(ax, table, 3, quantity)
    _failures(panels[-1], table, 3)
    _legend(figure, table)


def _slots(figure: Any, table: Table) -> None:
    """Fig. 4: utilities over the slots, and how far JCORM ends above the others."""
    figure.set_size_inches(9.5, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    _players(left, table, 4, 'utility_mbit')
    last = table.last(4)
    rows = [
        row
        for row in table.of(4, 'utility_mbit', None, [JCORM], x=last)
        if row.relation.startswith(ABOVE)
    ]
    names = []
    for place, row in enumerate(rows):
        player = row.relation.removeprefix(ABOVE)
        ends = np.maximum([[row.value - row.low], [row.high - row.value]], 0)
        right.errorbar(
            row.value, place, xerr=ends, fmt='o', color=LOOKS[kind(player)]['color'], capsize=3
        )
        if row.published is not None:
            right.plot(row.published, place, **_PRINTED)
        failed = sum(r.value for q in FAILURES for r in table.of(4, q, MEAN, [player], x=last))
        names.append(f'{player}\n{failed:.2g} % late or early' if failed else player)
    right.set_yticks(range(len(rows)), names)
    right.invert_yaxis()
    right.set_xlabel(f'utility of jcorm after {last:g} slots above it [%]')
    right.grid(axis='x')
    _legend(figure, table, printed='printed')


def _sizes(figure: Any, table: Table) -> None:
    """Fig. 5: utility, delay, and who fails."""
    figure.set_size_inches(11, 4.2)
    utility, delay, failures = figure.subplots(1, 3)
    _players(utility, table, 5, 'utility_mbit')
    _players(delay, table, 5, 'delay_s')
    delay.axhline(1.5, color=MUTED, linewidth=0.8)
    delay.annotate('half a slot', (1, 1.5), (0, 2), textcoords='offset points', color=MUTED)
    for row in table.of(5, 'delay_s', None, [JCORM]):
        if row.published is not None:
            own = table.of(5, 'delay_s', MEAN, [JCORM], x=row.x)[0].value
            player = row.relation.removeprefix(ABOVE)
            look = {**_PRINTED, 'color': LOOKS[kind(player)]['color']}
            delay.plot(row.x, own / (1 + row.published / 100), **look)
    _failures(failures, table, 5)
    _legend(figure, table, printed='printed ratio to jcorm, at our jcorm')


def _storages(figure: Any, table: Table) -> None:
    """Fig. 6: a panel for what is free at first."""
    figure.set_size_inches(9.5, 4.4)
    for ax, free in zip(figure.subplots(1, 2, sharey=True), FREE_GBYTE, strict=True):
        modes = [storage_mode(free, storage) for storage in STORAGES_GBYTE]
        _variants(ax, table, 6, 'utility_mbit', modes, (JCORM, LITERAL))
        for row in table.of(6, 'utility_mbit', ABOVE_PREVIOUS, [JCORM]):
            if row.published is not None and row.mode in modes:
                own = table.of(6, 'utility_mbit', MEAN, [JCORM], row.mode, row.x)[0].value
                before = own / (1 + row.value / 100)
                ax.plot(row.x, before * (1 + row.published / 100), **_PRINTED)
        ax.set_title(f'{free:g} GB free at first')
    _variant_legend(
        figure,
        [f'{storage:g} GB of storage' for storage in STORAGES_GBYTE],
        (JCORM, LITERAL, BOUND),
        printed='printed gain over 30 MHz, at our 30 MHz',
    )


def _uav_cpus(figure: Any, table: Table) -> None:
    """Fig. 7: delay, also as a ratio to no offloading, and the share offloaded."""
    figure.set_size_inches(11, 4.4)
    delay, ratio, share = figure.subplots(1, 3)
    modes = [cpu_mode(ghz) for ghz in UAV_CPUS_GHZ]
    _variants(delay, table, 7, 'delay_s', modes, (JCORM, LOCAL))
    for player in (LITERAL_HALF, LITERAL, JCORM):
        look = {**_variant(player, LOOKS[player]), 'color': _VARIANT_COLORS[0], 'label': player}
        rows = table.of(7, 'delay_s', f'{ABOVE}{LOCAL}', [player], modes[0])
        draw_line(ratio, rows, **look)
    ratio.legend(loc='center')
    ratio.axhline(0, color=MUTED, linewidth=0.8)
    ratio.set_ylabel(f'delay above {LOCAL} [%], {modes[0]}')
    _variants(share, table, 7, 'ratio', modes, (JCORM,))
    for ax in (delay, ratio, share):
        ax.set_xlabel(FIGURES[7].axis)
        ax.grid(axis='y')
    _variant_legend(figure, modes, (JCORM, LOCAL))


def _channels(figure: Any, table: Table) -> None:
    """Fig. 8: a panel a share of the band."""
    figure.set_size_inches(9.5, 4.2)
    for ax, share in zip(figure.subplots(1, 2, sharey=True), DS_SHARES, strict=True):
        modes = [channel_mode(factor, share) for factor in RICIAN_FACTORS]
        _variants(ax, table, 8, 'utility_mbit', modes, (JCORM, LITERAL))
        ax.set_title(f'omega = {share:g}')
    factors = [f'K = {factor:g}' for factor in RICIAN_FACTORS]
    _variant_legend(figure, factors, (JCORM, LITERAL))


def _weights(figure: Any, table: Table) -> None:
    """Fig. 9: utility on the paper's kind of axis and on a linear one, and energy."""
    figure.set_size_inches(11, 4.2)
    modes = (BASE, LOW_POWER, LARGE_SIZES)
    logarithmic, linear, energy = figure.subplots(1, 3)
    for ax in (logarithmic, linear):
        _variants(ax, table, 9, 'utility_mbit', modes, (JCORM, LITERAL))
    _variants(energy, table, 9, 'energy_j', modes, (JCORM, LITERAL))
    for ax in (logarithmic, energy):
        ax.set_xscale('log')
    names = ('1 W, 1 to 3 Mbit', '0.5 W, 1 to 3 Mbit', '1 W, 2 to 4 Mbit')
    _variant_legend(figure, names, (JCORM, LITERAL, BOUND))


def _times(figure: Any, table: Table) -> None:
    """Table II: times on a logarithmic axis."""
    figure.set_size_inches(8, 2.8)
    ax = figure.subplots()
    rows = table.of(TABLE_2, 'experiment_s', MEAN, table.players)
    names = []
    for place, row in enumerate(rows):
        base = kind(row.player.partition(',')[0])
        ax.barh(place, row.value, color=LOOKS[base]['color'], height=0.6)
        factor = table.of(TABLE_2, 'experiment_s', TIMES, [row.player])
        times = f', {factor[0].value:.3g} times {JCORM}' if factor else ''
        ax.annotate(
            f'{row.value:.3g} s{times}', (row.value, place), (4, 0), va='center',
            textcoords='offset points', bbox={'color': 'white', 'pad': 0.5, 'alpha': 0.8},
        )  # fmt: skip
        if row.published is not None:
            ax.plot(row.published, place, **_PRINTED)
        names.append(row.player)
    ax.set_xscale('log')
    ax.set_xlim(right=3e3)
    ax.set_yticks(range(len(rows)), names)
    ax.invert_yaxis()
    ax.set_xlabel(QUANTITIES['experiment_s'])
    ax.grid(axis='x')
    _legend(figure, Table([]), printed='printed')


_DRAWERS: dict[Exhibit, Callable[[Any, Table], None]] = {
    3: _bandwidth,
    4: _slots,
    TABLE_2: _times,
    5: _sizes,
    6: _storages,
    7: _uav_cpus,
    8: _channels,
    9: _weights,
}


def _players(ax: Any, table: Table, number: int, quantity: str) -> None:
    """A quantity of everybody along the sweep."""
    for name in sorted(table.players, key=_last_first):
        draw_line(ax, table.of(number, quantity, MEAN, [name], BASE), **LOOKS[kind(name)])
    ax.set_xlabel(FIGURES[number].axis)
    ax.set_ylabel(QUANTITIES[quantity])
    ax.grid(axis='y')


def _last_first(player: str) -> int:
    """Who is drawn over whom: the bound over all, SCA over JCORM."""
    order = (LOCAL, HALF_LITERAL, HALF, GENETIC, LITERAL_HALF, LITERAL, JCORM, SCA, BOUND)
    return order.index(kind(player))


def _failures(ax: Any, table: Table, number: int) -> None:
    """Tasks that are late, and tasks that are not done when the upload begins, together."""
    late, early = (table.of(number, name, MEAN, table.players, BASE) for name in FAILURES)
    for name in sorted({row.player for row in late}, key=_last_first):
        own = sorted((row.x or 0, row.value) for row in late if row.player == name)
        more = {row.x or 0: row.value for row in early if row.player == name}
        places, values = [x for x, _ in own], [value + more[x] for x, value in own]
        if max(values) > 0:
            ax.plot(places, values, markersize=4, **_plain(LOOKS[kind(name)]))
    ax.set_xlabel(FIGURES[number].axis)
    ax.set_ylabel('late tasks and early uploads [%]')
    ax.set_ylim(bottom=0)
    ax.grid(axis='y')


def _plain(look: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in look.items() if name != 'markersize'}


def _variants(
    ax: Any,
    table: Table,
    number: int,
    quantity: str,
    modes: Sequence[str],
    players: Sequence[str],
) -> None:
    """Colours for variants, lines for players; the bound as dots over them."""
    for color, mode in zip(_VARIANT_COLORS, modes, strict=True):
        for player in (*players, BOUND):
            look = {**LOOKS[player], 'color': INK if player == BOUND else color}
            draw_line(
                ax, table.of(number, quantity, MEAN, [player], mode), **_variant(player, look)
            )
    ax.set_xlabel(FIGURES[number].axis)
    ax.set_ylabel(QUANTITIES[quantity])
    ax.grid(axis='y')


def _variant(player: str, look: Mapping[str, Any]) -> dict[str, Any]:
    """How a player looks where colours tell variants."""
    style, marker = _VARIANT_LINES[player]
    return {**look, 'linestyle': style, 'marker': marker}


def _legend(figure: Any, table: Table, printed: str = '') -> None:
    from matplotlib.lines import Line2D

    handles = []
    for look in LOOKS:
        names = [name for name in table.players if kind(name) == look]
        if names:
            label = names[0] if len(names) == 1 else look  # budgets are named in the figure
            style: dict[str, Any] = {'markersize': 4, **LOOKS[look]}
            handles.append(Line2D([], [], label=label, **style))
    if printed:
        handles.append(Line2D([], [], label=printed, **_PRINTED))
    figure.legend(handles=handles, loc='outside lower left', ncol=5, fontsize=8)


def _variant_legend(
    figure: Any, variants: Sequence[str], players: Sequence[str], printed: str = ''
) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=color, label=name)
        for color, name in zip(_VARIANT_COLORS, variants, strict=True)
    ]
    for player in players:
        look = {'markersize': 4, **_variant(player, LOOKS[player]), 'color': INK}
        handles.append(Line2D([], [], label=player, **look))
    if printed:
        handles.append(Line2D([], [], label=printed, **_PRINTED))
    figure.legend(handles=handles, loc='outside lower left', ncol=4, fontsize=8)
