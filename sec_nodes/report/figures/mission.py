"""A mission as planned and as flown: ways, uploads, energies, distances; in runs with missions."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sec_nodes.report.figures import style
from sec_nodes.report.figures.plans import draw_paths
from sec_nodes.report.load import Run, Table
from sec_nodes.report.mission import CLOSE_M, summarise_mission
from sec_nodes.report.plans import (
    Plan,
    distances,
    flights_of,
    mission_tasks,
    plans_of,
    ways_of,
)
from sec_nodes.slot import FloatArray

STAGES = {
    'program': ('program goes up', '#ee8866'),
    'device': ('front layers on the device', '#77aadd'),
    'intermediate': ('intermediate result goes up', '#eedd88'),
    'uav': ('other layers on the UAV', '#44bb99'),
}
"""What a task is at, one after the other: label and colour; the first two go on side by side."""

_ENDED = '#dcdcdc'
_HALF = 0.36
"""Height of the bar of what was planned, and of that of what was real."""


def draw_ways(ax: Axes, run: Run) -> str:
    """Draw the ways of the UAVs over the map; returns what to see in it."""
    plans = plans_of(run)
    tasks, ways = mission_tasks(run, plans), ways_of(plans)
    if not len(tasks) or not all(len(track.time_s) for track in ways.values()):
        style.empty(ax, 'no plan was recorded')
        return 'No plan was recorded.'
    for uav, (name, track) in enumerate(flights_of(run).items()):
        ax.plot(*track.position_m[:, :2].T, color=_colour(name, uav), lw=4, alpha=0.3)
    for before, after in pairwise(plans):
        for uav, (name, track) in enumerate(before.tracks.items()):
            rest_m = track.position_m[track.time_s >= after.start_s]
            ax.plot(*rest_m[:, :2].T, ':', color=_colour(name, uav), lw=1)
    terminal_m = _terminals(run, tasks)
    names = list(ways)
    server = np.array([names.index(n) if n in names else -1 for n in tasks['server_name']])
    draw_paths(
        ax,
        np.stack([track.position_m[:, :2] for track in ways.values()]),
        terminal_m,
        next(iter(ways.values())).position_m[0, :2],
        server,
        _work(plans, tasks),
        tuple(run.scenario.get('area_m', terminal_m.max(axis=0).tolist())),
        np.flatnonzero(tasks['status'] != 'done'),
    )
    handles = [
        Line2D([], [], color=style.INK, marker='.', lw=1, label='plan'),
        Line2D([], [], color=style.INK, lw=4, alpha=0.3, label='flight'),
        Line2D([], [], color=style.INK, marker='*', ls='', ms=9, label='depot'),
    ]
    if len(plans) > 1:
        handles.append(Line2D([], [], color=style.INK, ls=':', lw=1, label='given up'))
    handles.append(
        Line2D([], [], color=style.FAILED, marker='o', mfc='none', ls='', label='missed')
    )
    style.legend(ax, handles=handles)
    return (
        'Devices have the colour of the UAV that served them; a disc is as large as the work that '
        'was left to it, a red ring is a missed deadline. Dots are where the plan wants UAVs when '
        'a slot starts, broad lines are flights.'
    )


def draw_tasks(ax: Axes, run: Run) -> str:
    """Draw when each task was where, planned and real; returns what to see in it."""
    tasks = mission_tasks(run, plans_of(run))
    if not len(tasks):
        style.empty(ax, 'no task was planned')
        return 'No task was planned.'
    order = np.lexsort((tasks['local_s'], tasks['server_name']))
    tasks = tasks.where(order)
    rows, begin_s = np.arange(len(tasks)), tasks['created_s']
    local_s = tasks['local_s']
    for y, alpha, upload_end_s, finish_s in (
        (rows - _HALF / 2, 0.45, tasks['planned_upload_end_s'], tasks['planned_finish_s']),
        (rows + _HALF / 2, 1.0, tasks['upload_end_s'], tasks['finish_s']),
    ):
        for stage, left_s, right_s in (
            ('device', begin_s, local_s),
            ('intermediate', local_s, upload_end_s),
            ('uav', upload_end_s, finish_s),
        ):
            width_s = np.where(np.isfinite(right_s - left_s), right_s - left_s, 0.0)
            left_s = np.where(np.isfinite(left_s), left_s, 0.0)
            ax.barh(y, width_s, _HALF, left_s, color=STAGES[stage][1], alpha=alpha, lw=0)
    program_s = np.where(np.isfinite(tasks['program_s']), tasks['program_s'] - begin_s, 0.0)
    ax.barh(rows + 0.3, program_s, 0.12, begin_s, color=STAGES['program'][1], lw=0)
    missed = tasks['status'] != 'done'
    for mask, colour in ((~missed, style.INK), (missed, style.FAILED)):
        ax.plot(tasks['due_s'][mask], rows[mask], '|', ms=9, mew=1.6, color=colour)
    ax.set_yticks(rows, [f'd{device}' for device in tasks['device_id']])
    ax.tick_params(axis='y', length=0, labelsize=7.5)
    names = sorted(set(tasks['server_name'].tolist()))
    for label, name in zip(ax.get_yticklabels(), tasks['server_name'], strict=True):
        label.set_color(_colour(name, names.index(name)))
    ax.invert_yaxis()
    ax.spines['left'].set_visible(False)
    ax.grid(True, axis='x')
    ax.set_xlabel('simulation time [s]')
    handles: list[Patch | Line2D] = [Patch(fc=c, label=label) for label, c in STAGES.values()]
    handles.append(Line2D([], [], color=style.INK, marker='|', ls='', mew=1.6, label='deadline'))
    style.legend(ax, 3, handles=handles)
    later_s = (tasks['upload_end_s'] - tasks['planned_upload_end_s'])[np.isfinite(local_s)]
    later_s = later_s[np.isfinite(later_s)]
    return (
        'Each task as planned (pale, above) and as it was (below); the narrow strip is the upload '
        'of its program. Devices have the colour of their UAV. '
        + (
            f'Intermediate results were there {_signed(float(np.median(later_s)))} than planned '
            f'in the median, {_signed(float(later_s.max()))} at worst. '
            if len(later_s)
            else 'No task was answered. '
        )
        + 'A red mark is a missed deadline.'
    )


def draw_stages(ax: Axes, run: Run) -> str:
    """Draw how many tasks were at what, slot by slot; returns what to see in it."""
    uploads = run['uploads']
    total = len(mission_tasks(run, plans_of(run)))
    slots = np.unique(uploads['slot'])
    if not len(slots):
        style.empty(ax, 'no upload was recorded')
        return 'No upload was recorded.'
    counts = np.array([_counts(uploads.where(uploads['slot'] == slot)) for slot in slots])
    time_s = np.array([uploads['time_s'][uploads['slot'] == slot][0] for slot in slots])
    ended = [_ended(run, slot, at_s) for slot, at_s in zip(slots, time_s, strict=True)]
    layers = np.column_stack([ended, counts[:, ::-1]])
    looks = [('ended', _ENDED), *reversed(STAGES.values())]
    ax.stackplot(
        time_s,
        layers.T,
        colors=[colour for _, colour in looks],
        labels=[label for label, _ in looks],
        step='post',
        lw=0,
    )
    ax.set_ylim(0, total)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlim(0, max(float(time_s[-1]), run.slot_s))
    ax.set_xlabel('simulation time [s]')
    ax.set_ylabel('tasks')
    style.legend(ax, 3)
    return (
        'What tasks were at when slots started. A device uploads its program while it computes; '
        'its front layers are shown once the program is through.'
    )


def draw_energies(ax: Axes, run: Run) -> str:
    """Draw what the mission took of each UAV; returns what to see in it."""
    mission = summarise_mission(run)
    assert mission is not None
    names = list(mission['by_uav'])
    rows = np.arange(len(names))
    uavs = [mission['by_uav'][name] for name in names]
    planned = np.array([uav['planned_j'] for uav in uavs]) / 1e3
    propulsion = np.array([uav['propulsion_j'] or 0.0 for uav in uavs]) / 1e3
    service = np.array([uav['service_j'] for uav in uavs]) / 1e3
    colours = [_colour(name, uav) for uav, name in enumerate(names)]
    ax.barh(rows - 0.2, planned, 0.32, color=colours, alpha=0.3, lw=0)
    ax.barh(rows + 0.2, propulsion, 0.32, color=colours, lw=0)
    ax.barh(rows + 0.2, service, 0.32, propulsion, color=colours, alpha=0.6, lw=0, hatch='/////')
    for row, uav in enumerate(uavs):
        text = f'{planned[row]:.3f} planned'
        ax.annotate(text, (0, row - 0.2), (4, 0), textcoords='offset points', va='center')
        if uav['flown_j'] is not None and uav['planned_j'] > 0:
            share = uav['flown_j'] / uav['planned_j'] - 1
            end = propulsion[row] + service[row]
            text = f'{end:.3f} ({100 * share:+.1f} %)'
            ax.annotate(text, (end, row + 0.2), (4, 0), textcoords='offset points', va='center')
    bound_j = mission['plans'][0]['bound_j']
    if bound_j is not None:
        ax.axvline(bound_j / 1e3, color=style.INK, lw=0.9, ls=(0, (4, 3)))
    ax.set_yticks(rows, [name.replace('_', ' ') for name in names])
    ax.tick_params(axis='y', length=0)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1.25 * max(planned.max(), (propulsion + service).max()) or 1.0)
    ax.set_xlabel('energy of a UAV [kJ]')
    style.legend(
        ax,
        handles=[
            Patch(fc=style.MUTED, alpha=0.3, label='planned at the start'),
            Patch(fc=style.MUTED, label='propulsion'),
            Patch(fc=style.MUTED, alpha=0.6, hatch='/////', label='weighted service'),
            Line2D([], [], color=style.INK, lw=0.9, ls=(0, (4, 3)), label='bound'),
        ],
    )
    return (
        'What (12) of the paper counts: propulsion, and computing with its weight. The largest is '
        'what plans keep low; the dashed line is what no plan can beat in it.'
    )


def draw_distances(ax: Axes, run: Run) -> str:
    """Draw how far UAVs were apart; returns what to see in it."""
    flights = flights_of(run)
    pairs = list(combinations(flights, 2))
    shown = [(a, b, *distances(flights[a], flights[b])) for a, b in pairs]
    shown = [one for one in shown if len(one[2])]
    if not shown:
        style.empty(ax, 'no two UAVs flew at a time')
        return 'No two UAVs flew at a time.'
    least_m = min(float(distance_m.min()) for *_, distance_m in shown)
    for number, (a, b, time_s, distance_m) in enumerate(shown):
        few = len(shown) <= len(style.VEHICLE_COLORS)
        ax.plot(
            time_s,
            distance_m,
            lw=1.2,
            color=style.VEHICLE_COLORS[number] if few else '#b5b5b5',
            label=f'{a} to {b}'.replace('_', ' ') if few else None,
        )
    ax.axhline(CLOSE_M, color=style.FAILED, lw=0.9, ls=(0, (4, 3)))
    ax.set_yscale('log')
    ax.set_ylim(bottom=min(CLOSE_M, least_m) / 2)
    ax.set_xlim(left=0)
    ax.grid(True, axis='y')
    ax.set_xlabel('simulation time [s]')
    ax.set_ylabel('distance [m]')
    style.legend(ax, 3)
    return (
        f'Distances in the air, layers of altitude included: {least_m:.1f} m at least. UAVs share '
        f'the depot at start and end. Below the dashed line, {CLOSE_M:g} m, they are in danger.'
    )


def _terminals(run: Run, tasks: Table) -> FloatArray:
    """(N, 2) where the device of each task was at first [m; map]; NaN if nobody told."""
    devices = run['devices']
    first = {
        int(device): (float(x), float(y))
        for device, x, y in zip(
            devices['device_id'][::-1], devices['x_m'][::-1], devices['y_m'][::-1], strict=True
        )
    }
    return np.array([first.get(int(d), (np.nan, np.nan)) for d in tasks['device_id']])


def _work(plans: list[Plan], tasks: Table) -> FloatArray:
    """(N,) cycles of each task that a UAV was to compute, as first planned; 1 if none had any."""
    work: dict[int, float] = {}
    for plan in reversed(plans):
        time_s = plan.tasks['finish_s'] - plan.tasks['upload_end_s']
        cycles = np.where(np.isfinite(time_s), plan.tasks['cpu_hz'] * time_s, 0.0)
        work |= dict(zip(plan.tasks['task_id'].tolist(), cycles.tolist(), strict=True))
    found = np.array([work.get(int(task), 0.0) for task in tasks['task_id']])
    return found if found.max(initial=0.0) > 0 else np.ones(len(found))


def _counts(uploads: Table) -> list[int]:
    """Tasks at each stage, by the newest try of each."""
    newest = {int(task): row for row, task in enumerate(uploads['task_id'])}
    now = uploads.where(np.array(list(newest.values()), dtype=int))
    arrived, through = np.isfinite(now['arrived_s']), np.isfinite(now['program_s'])
    begun = now['intermediate_bit'] > 0
    stages: list[NDArray[np.bool_]] = [
        ~through & ~arrived,
        through & ~begun & ~arrived,
        through & begun & ~arrived,
        arrived,
    ]
    return [int(stage.sum()) for stage in stages]


def _ended(run: Run, slot: int, start_s: float) -> int:
    """Tasks that the channel does not list any more because they end, if not at once."""
    uploads, outcomes = run['uploads'], run['outcomes']
    listed = uploads['task_id'][uploads['slot'] == slot]
    over = outcomes['ended_s'] <= start_s + run.slot_s
    return int((over & ~np.isin(outcomes['task_id'], listed)).sum())


def _colour(name: str, otherwise: int) -> str:
    """Colour of a UAV by its number, as in maps of plans."""
    tier, _, number = name.rpartition('_')
    if tier != 'uav':
        return style.MUTED
    row = int(number) if number.isdigit() else otherwise
    return style.VEHICLE_COLORS[row % len(style.VEHICLE_COLORS)]


def _signed(seconds: float) -> str:
    return f'{abs(seconds):.2f} s {"later" if seconds >= 0 else "earlier"}'
