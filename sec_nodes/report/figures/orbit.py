"""When satellites were in view."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from sec_nodes.report.figures import style
from sec_nodes.report.load import Run, Table

_MOST_ROWS = 14


@dataclass(frozen=True)
class _Pass:
    satellite: int
    name: str
    rise_s: float
    set_s: float
    peak_rad: float


def draw_passes(ax: Axes, run: Run) -> str:
    """Draw the passes of the satellites; returns what to see in it."""
    end_s = _end_s(run)
    passes = [item for item in passes_of(run['passes']) if item.rise_s < end_s and item.set_s > 0]
    if not passes:
        style.empty(ax, 'no satellite rose above the elevation mask')
        return 'No satellite rose above the elevation mask during the run.'
    highest: dict[int, float] = {}
    for item in passes:
        highest[item.satellite] = max(highest.get(item.satellite, 0.0), item.peak_rad)
    shown = set(sorted(highest, key=lambda number: -highest[number])[:_MOST_ROWS])
    names: dict[int, str] = {p.satellite: p.name for p in passes if p.satellite in shown}
    rows = {satellite: row for row, satellite in enumerate(names)}
    for item in passes:
        if item.satellite in shown:
            _bar(ax, item, rows[item.satellite], end_s)
    ax.set_yticks(range(len(names)), list(names.values()))
    ax.tick_params(axis='y', length=0)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, end_s)
    ax.grid(True, axis='x')
    ax.set_xlabel('simulation time [s]')
    mask = np.degrees(run['passes']['minimum_elevation_rad'][0])
    left_out = len(highest) - len(shown)
    return (
        f'Each bar is a time in which a satellite stands more than {mask:.0f}° above the horizon; '
        'its number is the highest elevation of the pass, the darker the higher.'
        + (f' {left_out} lower satellites are left out.' if left_out else '')
    )


def _bar(ax: Axes, item: _Pass, row: int, end_s: float) -> None:
    left, right = max(item.rise_s, 0.0), min(item.set_s, end_s)
    degrees = float(np.degrees(item.peak_rad))
    ax.barh(
        row,
        right - left,
        left=left,
        height=0.66,
        linewidth=0.6,
        edgecolor='#8c5a00',
        color=colormaps['YlOrBr'](0.12 + 0.55 * np.clip(degrees, 0, 90) / 90),
    )
    if right - left > 0.04 * end_s:
        ax.annotate(
            f'{degrees:.0f}°', ((left + right) / 2, row), ha='center', va='center', fontsize=7.5
        )


def passes_of(passes: Table) -> list[_Pass]:
    """Passes in order of rise; rows that overlap are announcements of one and the same."""
    columns = ('satellite', 'name', 'rise_s', 'set_s', 'peak_elevation_rad')
    items = [_Pass(*row) for row in zip(*(passes[name] for name in columns), strict=True)]
    merged: list[_Pass] = []
    for item in sorted(items, key=lambda item: (item.satellite, item.rise_s)):
        last = merged[-1] if merged else None
        if last and last.satellite == item.satellite and item.rise_s <= last.set_s:
            merged[-1] = replace(
                last,
                set_s=max(last.set_s, item.set_s),
                peak_rad=max(last.peak_rad, item.peak_rad),
            )
        else:
            merged.append(item)
    return sorted(merged, key=lambda item: item.rise_s)


def _end_s(run: Run) -> float:
    """End of the run; without slots, that of the last pass."""
    starts = run['slots']['start_s']
    if len(starts):
        return float(np.nanmax(starts)) + run.slot_s
    return float(np.max(run['passes']['set_s'], initial=run.slot_s))
