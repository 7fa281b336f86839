"""How well UAVs followed their set-points."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sec_nodes.report.figures import style
from sec_nodes.report.load import Run

FloatArray = NDArray[np.float64]

_MOST_CURVES = 6
_GAP_S = 0.5


def draw_tracking(ax: Axes, run: Run) -> str:
    """Draw the tracking error over time; returns what to see in it."""
    uavs = run['uavs']
    uavs = uavs.where(np.isfinite(uavs['tracking_error_m']))
    names = sorted(set(uavs['name'].tolist()))
    if not names:
        style.empty(ax, 'no UAV reported a tracking error')
        return 'No UAV flew in this run, or none reported a tracking error.'
    many = len(names) > _MOST_CURVES
    for name, color in style.vehicle_colors(names).items():
        track = uavs.where(uavs['name'] == name)
        ax.plot(
            *_with_gaps(track['time_s'], track['tracking_error_m']),
            color='#b5b5b5' if many else color,
            lw=0.6 if many else 1.0,
            alpha=0.9,
            label=None if many else name.replace('_', ' '),
        )
    if many:
        _envelope(ax, uavs['time_s'], uavs['tracking_error_m'], run.slot_s)
    _losses(ax, run)
    anew_s = run['events']['time_s'][run['events']['kind'] == 'plan'][1:]
    for time_s in anew_s:
        ax.axvline(time_s, color=style.INK, lw=0.9, ls=':')
    ax.set_ylim(bottom=0)
    ax.set_xlim(0, max(uavs['time_s'].max(), run.slot_s))
    ax.grid(True, axis='y')
    ax.set_xlabel('simulation time [s]')
    ax.set_ylabel('tracking error [m]')
    style.legend(ax, 6)
    rms = float(np.sqrt(np.mean(uavs['tracking_error_m'] ** 2)))
    peaks = 'a new goal is set at the start of a slot. Dashed lines mark lost servers.'
    if len(run['sorties']):
        peaks = (
            'the plan turns or changes speed, which it does at once where a slot starts. Dashed '
            'lines mark lost servers, dotted ones new plans.'
        )
    return (
        f'Distance between set-point and position of each UAV: {rms:.2f} m rms. It peaks where '
        f'{peaks}'
    )


def _with_gaps(time_s: FloatArray, value: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A curve that is broken where a UAV said nothing for a while."""
    breaks = np.flatnonzero(np.diff(time_s) > _GAP_S) + 1
    return np.insert(time_s, breaks, np.nan), np.insert(value, breaks, np.nan)


def _envelope(ax: Axes, time_s: np.ndarray, error_m: np.ndarray, slot_s: float) -> None:
    """Median and largest error of a fleet too large for single curves."""
    slots = np.floor(time_s / slot_s)
    marks = np.unique(slots)
    middle = (marks + 0.5) * slot_s
    for label, reduce, color in (
        ('largest', np.max, style.VEHICLE_COLORS[0]),
        ('median', np.median, '#d55e00'),
    ):
        values = [float(reduce(error_m[slots == mark])) for mark in marks]
        ax.plot(middle, values, color=color, lw=1.6, label=f'{label} in a slot')


def _losses(ax: Axes, run: Run) -> None:
    events = run['events']
    for time_s, name in zip(events['time_s'], events['name'], strict=True):
        if name.startswith('uav_') and np.isfinite(time_s):
            ax.axvline(time_s, color=style.FAILED, lw=0.9, ls=(0, (4, 3)))
