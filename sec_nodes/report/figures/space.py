"""The map: where devices and UAVs were, and who helped whom."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from sec_nodes.report.figures import style
from sec_nodes.report.load import Run, Table, kind_of

_MOST_LABELS = 6
"""UAVs beyond this number are drawn without label and disc."""

_MOST_LINKS = 400
"""Links beyond this number would hide everything else."""


def draw_map(ax: Axes, run: Run) -> str:
    """Draw the map; returns what to see in it."""
    if not len(run['devices']) and not len(run['uavs']):
        style.empty(ax, 'no positions were recorded')
        return 'Neither devices nor UAVs reported a position.'
    _area(ax, run)
    shown = _links(ax, run)
    redrawn = len(run['relays']) > 0
    if redrawn:
        _scattered(ax, run['devices'])
    else:
        _devices(ax, run['devices'])
    _uavs(ax, run)
    ax.set_aspect('equal', adjustable='box')
    ax.set_xlabel('east [m]')
    ax.set_ylabel('north [m]')
    _legend(ax, shown)
    if redrawn:
        return (
            'Dots are devices, dark those of the last slot: there are others in each slot. '
            'Triangles are UAVs, discs their coverage. Blue links are urgent data.'
        )
    covers = run.scenario.get('uavs', {}).get('coverage_m') is not None
    return (
        'Dots are devices with their drift, lines the flights of the UAVs from ring to triangle'
        + (', discs their coverage at the end' if covers else '')
        + '. Blue links went to a UAV'
        + (', orange stems up to a satellite' if run.has_satellites else '')
        + '; the darker, the more tasks.'
    )


def _area(ax: Axes, run: Run) -> None:
    if run.sides_m:
        east, north = run.sides_m
        dashed: dict[str, Any] = {'fill': False, 'ec': '#b0b0b0', 'lw': 0.8, 'ls': (0, (4, 3))}
        ax.add_patch(Rectangle((0, 0), east, north, **dashed))
        margin = 0.08 * max(east, north)
        x_m, y_m = run['devices']['x_m'], run['devices']['y_m']
        ax.set_xlim(x_m.min(initial=0) - margin, x_m.max(initial=east) + margin)
        ax.set_ylim(y_m.min(initial=0) - margin, y_m.max(initial=north) + margin)
    else:
        ax.margins(0.1)


def _legend(ax: Axes, kinds: list[str]) -> None:
    handles = [
        Line2D([], [], marker='o', ls='', ms=4, color=style.INK, label='device'),
        Line2D([], [], color=style.VEHICLE_COLORS[0], lw=1.6, label='UAV flight'),
    ]
    handles += [
        Line2D([], [], color=style.kind_color(kind), lw=1, label=f'to {style.kind_label(kind)}')
        for kind in kinds
    ]
    style.legend(ax, handles=handles)


def _devices(ax: Axes, devices: Table) -> None:
    for device in np.unique(devices['device_id']):
        track = devices.where(devices['device_id'] == device)
        ax.plot(track['x_m'], track['y_m'], color='#9a9a9a', lw=0.8, zorder=3)
        ax.plot(
            track['x_m'][-1],
            track['y_m'][-1],
            'o',
            ms=4,
            color=style.INK,
            mec='white',
            mew=0.5,
            zorder=5,
        )


def _scattered(ax: Axes, devices: Table) -> None:
    """Devices that are others in each slot."""
    last = devices['slot'] == devices['slot'].max(initial=0)
    ax.plot(devices['x_m'], devices['y_m'], 'o', ms=1.5, color='#b5b5b5', mew=0, zorder=1.5)
    now = devices.where(last)
    ax.plot(now['x_m'], now['y_m'], 'o', ms=4, color=style.INK, mec='white', mew=0.5, zorder=5)


def _uavs(ax: Axes, run: Run) -> None:
    uavs = run['uavs']
    names = sorted(set(uavs['name'].tolist()))
    crowded = len(names) > _MOST_LABELS
    radius = run.scenario.get('uavs', {}).get('coverage_m')
    for name, color in style.vehicle_colors(names).items():
        track = uavs.where(uavs['name'] == name)
        x, y = track['x_m'], track['y_m']
        ax.plot(x, y, color=color, lw=1.6, zorder=6)
        ax.plot(x[0], y[0], 'o', ms=5, mfc='white', mec=color, mew=1.3, zorder=7)
        ax.plot(x[-1], y[-1], '^', ms=7, color=color, mec='white', mew=0.6, zorder=7)
        if crowded:
            continue
        ax.annotate(
            name.replace('_', ' '),
            (x[-1], y[-1]),
            xytext=(6, 4),
            textcoords='offset points',
            color=color,
            fontsize=8,
            fontweight='bold',
            zorder=8,
        )
        if radius:
            ax.add_patch(Circle((x[-1], y[-1]), radius, fc=color, alpha=0.05, lw=0, zorder=1))
            ax.add_patch(
                Circle((x[-1], y[-1]), radius, fill=False, ec=color, alpha=0.35, lw=0.6, zorder=1)
            )


def _links(ax: Axes, run: Run) -> list[str]:
    """Draw the links of orders that left a device; returns the kinds that were drawn."""
    orders = run['assignments']
    orders = orders.where(orders['server'] >= 0)
    names = np.array([run.server_name(server) for server in orders['server']], dtype=object)
    lines: dict[str, list[NDArray[np.float64]]] = {'uav': [], 'satellite': []}
    every = max(1, len(orders) // _MOST_LINKS)
    positions = _Positions(run)
    stem = np.array([0.0, 0.05 * (run.sides_m or (500.0, 500.0))[1]])
    for row in range(0, len(orders), every):
        device = positions.device(int(orders['device_id'][row]), int(orders['slot'][row]))
        kind = kind_of(names[row])
        if device is None:
            continue
        uav = positions.uav(names[row], float(orders['time_s'][row]))
        if kind == 'uav' and uav is not None:
            lines['uav'].append(np.array([device, uav]))
        elif kind == 'satellite':
            lines['satellite'].append(np.array([device, device + stem]))
    for kind, segments in lines.items():
        alpha = float(np.clip(25 / max(1, len(segments)), 0.16, 0.6))
        ax.add_collection(
            LineCollection(
                segments,
                colors=style.kind_color(kind),
                alpha=alpha,
                zorder=2,
                lw=0.8 if kind == 'uav' else 1.6,
            )
        )
    return [kind for kind, segments in lines.items() if segments]


class _Positions:
    """Where a device was in a slot, and a UAV at an instant."""

    def __init__(self, run: Run) -> None:
        devices, uavs = run['devices'], run['uavs']
        self._devices = {
            (int(device), int(slot)): np.array([x, y])
            for device, slot, x, y in zip(
                devices['device_id'], devices['slot'], devices['x_m'], devices['y_m'], strict=True
            )
        }
        self._tracks = {
            name: uavs.where(uavs['name'] == name) for name in set(uavs['name'].tolist())
        }

    def device(self, device: int, slot: int) -> NDArray[np.float64] | None:
        return self._devices.get((device, slot))

    def uav(self, name: str, time_s: float) -> NDArray[np.float64] | None:
        track = self._tracks.get(name)
        if track is None:
            return None
        return np.array([np.interp(time_s, track['time_s'], track[a]) for a in ('x_m', 'y_m')])
