"""Plans of the partial scenario as pictures: paths over the map, and when each task is where."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from sec_nodes.report.figures.style import FAILED, INK, MUTED, VEHICLE_COLORS
from sec_nodes.slot import FloatArray, IntArray

_RIM_M = 10.0
"""Room around paths that leave the area."""
_SMALLEST, _GROWTH = 30, 170
"""Area of a terminal's disc, and what is added for the one with the most work [pt^2]."""


def uav_colour(server: int) -> str:
    """Colour of a UAV; grey for none."""
    return MUTED if server < 0 else VEHICLE_COLORS[server % len(VEHICLE_COLORS)]


def draw_paths(
    axes: Axes,
    waypoint_m: FloatArray,
    terminal_m: FloatArray,
    depot_m: FloatArray,
    server: IntArray,
    work: FloatArray,
    area_m: tuple[float, float],
    missed: IntArray | None = None,
) -> None:
    """Paths and terminals from above; terminals as large as the work that they offload.

    Args:
        axes: to draw on.
        waypoint_m: (U, M + 1, 2)
        terminal_m: (N, 2)
        depot_m: (2,)
        server: (N,) UAV of each terminal, negative for none.
        work: (N,) in any unit.
        area_m: its sides; all of it is shown, and where paths lead.
        missed: tasks whose deadline is missed; they are ringed.
    """
    for uav, path_m in enumerate(waypoint_m):
        axes.plot(*path_m.T, '.-', color=uav_colour(uav), lw=1.0, ms=3, alpha=0.85, zorder=2)
    for task, (east_m, north_m) in enumerate(terminal_m):
        mark = uav_colour(int(server[task]))
        size = _SMALLEST + _GROWTH * work[task] / work.max()
        axes.scatter(east_m, north_m, s=size, color=mark, alpha=0.35, zorder=1, lw=0)
        axes.scatter(east_m, north_m, s=14, color=mark, marker='s', zorder=3)
        axes.annotate(str(task), (east_m, north_m), (4, 4), textcoords='offset points', fontsize=7)
    if missed is not None and len(missed):
        ringed_m = terminal_m[missed]
        axes.scatter(
            ringed_m[:, 0],
            ringed_m[:, 1],
            s=110,
            facecolors='none',
            edgecolors=FAILED,
            lw=1.6,
            zorder=4,
        )
    east_m, north_m = depot_m
    axes.scatter(east_m, north_m, marker='*', s=130, color=INK, zorder=5, label='depot')
    low_m = np.minimum(0.0, waypoint_m.min(axis=(0, 1)) - _RIM_M)
    high_m = np.maximum(area_m, waypoint_m.max(axis=(0, 1)) + _RIM_M)
    axes.set(
        xlim=(low_m[0], high_m[0]),
        ylim=(low_m[1], high_m[1]),
        aspect='equal',
        xlabel='east [m]',
        ylabel='north [m]',
    )
    axes.grid(alpha=0.25)


def draw_times(
    axes: Axes,
    local_s: FloatArray,
    upload_end_s: FloatArray,
    finish_s: FloatArray,
    deadline_s: FloatArray,
    server: IntArray,
) -> None:
    """Local run, intermediate upload and run on the UAV of each task, until its deadline.

    Args:
        axes: to draw on.
        local_s: (N,) T_lc.
        upload_end_s: (N,) tau; infinite if never.
        finish_s: (N,) tau + T_oc; infinite if never.
        deadline_s: (N,)
        server: (N,) UAV of each task, negative for none.
    """
    order = np.lexsort((local_s, server))
    for row, task in enumerate(order):
        mark = uav_colour(int(server[task]))
        axes.barh(row, local_s[task], color=mark, alpha=0.25)
        tau_s, end_s = upload_end_s[task], finish_s[task]
        if np.isfinite(tau_s):
            axes.barh(row, tau_s - local_s[task], left=local_s[task], color='black', alpha=0.75)
        if np.isfinite(end_s):
            axes.barh(row, end_s - tau_s, left=tau_s, color=mark)
        axes.plot(deadline_s[task], row, '|', color='red', ms=9, mew=1.5)
    axes.set_yticks(range(len(order)), [str(task) for task in order], fontsize=7)
    axes.set(xlabel='time [s]', ylabel='task')
    axes.set_title(
        'pale: local run; black: intermediate upload; full: UAV; red: deadline', fontsize=8
    )
