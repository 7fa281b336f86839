"""When servers failed, where their tasks went on, and how tasks ended meanwhile."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sec_nodes.report.failures import BY_ITSELF, WAY_LABELS, Moved, Outage, moved_of, outages_of
from sec_nodes.report.figures import style
from sec_nodes.report.load import Run
from sec_nodes.report.units import seconds

_LANES = (0.0, 0.58, 1.0, 0.42)
_BARS = (0.0, 0.0, 1.0, 0.46)
"""Left, bottom, width and height of both parts, as shares of the axes."""

_MOST_BARS = 60
_STEP = 0.12
"""Slots between two moves that were decided at once."""
_CLOSE = 0.1
"""Share of the axis in which there is no room to the left."""

_UP, _DOWN = '#b9d3e8', style.FAILED
_IN_TIME, _AFTER_MOVE, _LATE = style.KIND_COLORS['uav'], '#e69f00', '#c9c9c9'
_WAYS = {'relay': style.INK, 'resend': '#aa4499', 'local': '#7a7a7a'}
_DEVICES = 'devices'


def draw_failures(ax: Axes, run: Run) -> str:
    """Draw failures, moves and outcomes over slots; returns what to see in it."""
    moved = moved_of(run)
    outages = outages_of(run, moved)
    if not outages and not moved:
        style.empty(ax, 'no server failed')
        return 'No server failed in this run.'
    ax.set_axis_off()
    end_s = _end_s(run, outages)
    lanes, bars = ax.inset_axes(_LANES), ax.inset_axes(_BARS)
    _draw_lanes(lanes, run, outages, moved, end_s)
    _draw_bars(bars, run, {move.task_id for move in moved}, end_s)
    noticed = _with_median('noticed', [outage.detection_s for outage in outages])
    handles = [
        Patch(fc=_DOWN, label='failed'),
        Line2D([], [], color=style.INK, marker='|', ms=8, mew=1.4, lw=0, label=noticed),
        *(
            Line2D([], [], color=color, marker='o', ms=3, lw=1.0, label=_way_label(way, moved))
            for way, color in _WAYS.items()
            if any(move.way == way for move in moved)
        ),
        Patch(fc=_IN_TIME, label='in time'),
        Patch(fc=_AFTER_MOVE, label='in time, moved'),
    ]
    status = run['outcomes']['status']
    if 'late' in status:
        handles.append(Patch(fc=_LATE, label='late'))
    if 'failed' in status or 'rejected' in status:
        handles.append(Patch(fc=style.REJECTED, label='no answer'))
    style.legend(ax, 4, handles=handles)
    return (
        'Above, when servers failed (red, from the failure until they were heard again; those '
        'without a name were not injected), when that was noticed, and '
        'tasks that went on elsewhere, from the server that failed to the dot. Below, how the '
        'tasks of each slot ended. In brackets are medians: until a failure was noticed, and for '
        'how long tensors travelled to their new servers.'
    )


def _way_label(way: str, moved: list[Moved]) -> str:
    return _with_median(WAY_LABELS[way], [move.moving_s for move in moved if move.way == way])


def _with_median(label: str, times_s: list[float]) -> str:
    """A label with the median of what is known of some times."""
    known_s = [time_s for time_s in times_s if math.isfinite(time_s)]
    return f'{label} ({seconds(float(np.median(known_s)))})' if known_s else label


def _end_s(run: Run, outages: list[Outage]) -> float:
    slots = max(run['slots']['slot'].max(initial=0), run['outcomes']['slot'].max(initial=0)) + 1
    return max([float(slots) * run.slot_s, *(outage.start_s for outage in outages)])


def _draw_lanes(
    ax: Axes, run: Run, outages: list[Outage], moved: list[Moved], end_s: float
) -> None:
    names = _names(run, outages, moved)
    row_of = {name: row for row, name in enumerate(names)}
    for name, row in row_of.items():
        ax.barh(row, end_s, height=0.5, color='#ececec' if name == _DEVICES else _UP, lw=0)
    for outage in outages:
        until_s = outage.end_s if np.isfinite(outage.end_s) else end_s
        length_s = max(until_s - outage.start_s, 0.1 * run.slot_s)
        row = row_of[outage.name]
        ax.barh(row, length_s, left=outage.start_s, height=0.5, color=_DOWN, lw=0)
        ax.plot([outage.noticed_s], [row], marker='|', ms=8, mew=1.4, color=style.INK, zorder=5)
        ax.annotate(
            '' if outage.kind == BY_ITSELF else outage.kind,
            (outage.start_s, row),
            xytext=(0, 9),
            textcoords='offset points',
            ha='left' if outage.start_s < _CLOSE * end_s else 'right',
            fontsize=6.5,
            color=_DOWN,
            va='center',
            zorder=5,
        )
    for move, time_s in zip(moved, _side_by_side(moved, run.slot_s), strict=True):
        source, target = row_of[move.source], row_of[_lane_of(move)]
        color = _WAYS.get(move.way, style.INK)
        ax.plot([time_s] * 2, [source, target], color=color, lw=0.9, zorder=3)
        ax.plot([time_s], [target], marker='o', ms=3, color=color, lw=0, zorder=4)
    ax.set_yticks(range(len(names)), [name.replace('_', ' ') for name in names])
    ax.tick_params(axis='y', length=0)
    ax.set_ylim(len(names) - 0.5, -0.9)
    ax.spines['left'].set_visible(False)
    ax.set_xlim(0, end_s)
    ax.tick_params(axis='x', labelbottom=False)


def _side_by_side(moved: list[Moved], slot_s: float) -> list[float]:
    """Where to draw each move: those of one server in one slot follow each other."""
    before: Counter[tuple[str, int]] = Counter()
    places_s = []
    for move in moved:
        key = move.source, move.slot
        places_s.append(move.decided_s + _STEP * slot_s * before[key])
        before[key] += 1
    return places_s


def _names(run: Run, outages: list[Outage], moved: list[Moved]) -> list[str]:
    """UAVs, others that failed or took a task over, and a lane for devices if they did."""
    uavs = [item['name'] for item in run.info.get('servers', []) if item['name'][:4] == 'uav_']
    others = [outage.name for outage in outages]
    others += [name for move in moved for name in (move.source, move.target)]
    names = list(dict.fromkeys(name for name in uavs + others if name != 'local'))
    return names + [_DEVICES] * any(move.target == 'local' for move in moved)


def _lane_of(move: Moved) -> str:
    return _DEVICES if move.target == 'local' else move.target


def _draw_bars(ax: Axes, run: Run, moved: set[int], end_s: float) -> None:
    outcomes = run['outcomes']
    slots, status = outcomes['slot'], outcomes['status']
    went_on = np.isin(outcomes['task_id'], list(moved))
    width = max(1, -(-int(np.ceil(end_s / run.slot_s)) // _MOST_BARS))
    layers = (
        ((status == 'done') & ~went_on, _IN_TIME),
        ((status == 'done') & went_on, _AFTER_MOVE),
        (status == 'late', _LATE),
        (np.isin(status, ('failed', 'rejected')), style.REJECTED),
    )
    bins = int(slots.max(initial=0)) // width + 1
    left_s, bottom = np.arange(bins) * width * run.slot_s, np.zeros(bins)
    for mask, color in layers:
        heights = np.bincount(slots[mask] // width, minlength=bins)
        ax.bar(
            left_s,
            heights,
            width=0.9 * width * run.slot_s,
            bottom=bottom,
            align='edge',
            color=color,
        )
        bottom = bottom + heights
    ax.set_xlim(0, end_s)
    ax.grid(True, axis='y')
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.set_xlabel('simulation time [s]')
    ax.set_ylabel('tasks' if width == 1 else f'tasks in {width} slots')
