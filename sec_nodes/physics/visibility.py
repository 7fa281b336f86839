"""When which satellite is above the horizon of a site."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sec_nodes.physics.checks import FloatArray, Floats, IntArray
from sec_nodes.physics.geodesy import Site, enu_from_ecef, look_angles
from sec_nodes.physics.orbit import Constellation, positions_ecef_m, states_ecef

_LONGEST_STEP_S = 60.0  # the interpolation below is good to 0.4 m at 60 s, 0.3 mm at 10 s
_BISECTIONS = 34  # from a step of 10 s down to a nanosecond
_NODES_AT_ONCE = 1_000_000  # satellite positions held in memory at a time


@dataclass(frozen=True)
class VisibilityWindows:
    """W windows of visibility, sorted by satellite and then by time."""

    satellite: IntArray
    """Index of the satellite (W,)."""
    rise_s: FloatArray
    """Start of the window (W,) [s since the constellation's epoch]."""
    set_s: FloatArray
    """End of the window (W,) [s since the constellation's epoch]."""
    peak_elevation_rad: FloatArray
    """Highest elevation within the window (W,) [rad]."""
    rise_clipped: NDArray[np.bool_]
    """True where the satellite was up when the span began (W,)."""
    set_clipped: NDArray[np.bool_]
    """True where the satellite was still up when the span ended (W,)."""

    def __len__(self) -> int:
        return len(self.satellite)


def look_at(
    constellation: Constellation, site: Site, time_s: Floats
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (elevation [rad], azimuth [rad], range [m]) of all satellites seen from the site.

    Shapes are that of `time_s` [s since the epoch] + (S,).  Frames and errors as `look_angles` and
    `positions_ecef_m`.
    """
    return look_angles(enu_from_ecef(positions_ecef_m(constellation, time_s), site))


def visibility_windows(
    constellation: Constellation,
    site: Site,
    start_s: float,
    end_s: float,
    minimum_elevation_rad: float,
    step_s: float = 10.0,
) -> VisibilityWindows:
    """Return all windows in which a satellite is above the minimum elevation.

    Times count from the constellation's epoch.  Orbits are computed every `step_s` and between
    these nodes interpolated by cubics through positions and velocities (0.3 mm off in low orbit at
    10 s), on which rise, set and culmination are bisected; a pass that begins and ends between two
    nodes is found through its culmination.  Windows are clipped to the span and flagged.  Raises
    ValueError for an empty span, a step outside (0, 60] s or an elevation outside
    [-pi/2, pi/2], and as `positions_ecef_m`.
    """
    if not start_s < end_s:
        raise ValueError(
            f'start_s is {start_s} and end_s is {end_s}, but the span must not be empty. '
            'Pass the earlier time first.'
        )
    if not 0.0 < step_s <= _LONGEST_STEP_S:
        raise ValueError(
            f'step_s is {step_s}, but must lie in (0, {_LONGEST_STEP_S}]. '
            'Longer steps make the interpolation between them inexact.'
        )
    if not abs(minimum_elevation_rad) <= math.pi / 2:
        raise ValueError(
            f'minimum_elevation_rad is {minimum_elevation_rad}, but must lie in [-pi/2, pi/2]. '
            'Convert degrees with math.radians.'
        )
    threshold = math.sin(minimum_elevation_rad)
    times = np.linspace(start_s, end_s, max(2, math.ceil((end_s - start_s) / step_s) + 1))
    block = max(1, _NODES_AT_ONCE // len(constellation))
    rises, falls, peaks = [], [], []
    last: FloatArray | None = None
    for first in range(0, len(times) - 1, block):
        nodes = times[first : first + block + 1]
        position, velocity = _enu_states(constellation, site, nodes)
        height = _sine_elevation(position) - threshold
        if last is None:
            rises.append(_edge(height[0], start_s, position[0]))
        else:
            # The shared node must not change sides through rounding, or windows lose their pair.
            height[0] = last
        last = height[-1]
        rise, fall, peak = _find_events(nodes, position, velocity, height, threshold)
        rises.append(rise)
        falls.append(fall)
        peaks.append(peak)
    falls.append(_edge(height[-1], end_s, position[-1]))
    rise, fall, peak = (_in_order(events) for events in (rises, falls, peaks))
    return VisibilityWindows(
        satellite=rise.satellite,
        rise_s=rise.time_s,
        set_s=fall.time_s,
        peak_elevation_rad=_highest(rise, fall, peak),
        rise_clipped=rise.clipped,
        set_clipped=fall.clipped,
    )


def remaining_visibility_s(
    windows: VisibilityWindows, time_s: Floats, satellites: int
) -> FloatArray:
    """Return how long each satellite stays visible [s], shape of `time_s` + (satellites,).

    0 for a satellite that is not visible.  In a window clipped by the end of the span it is the
    time to that end, so let the span reach beyond the times asked for.  Raises ValueError if a
    window belongs to a satellite >= `satellites`.
    """
    if len(windows) and windows.satellite.max() >= satellites:
        raise ValueError(
            f'satellites is {satellites}, but a window belongs to satellite '
            f'{windows.satellite.max()}. Pass the size of the constellation.'
        )
    time = np.asarray(time_s, dtype=float)[..., None]
    within = (windows.rise_s <= time) & (time < windows.set_s)
    *where, window = np.nonzero(within)
    left_s = np.zeros((*time.shape[:-1], satellites))
    satellite = windows.satellite[window]
    left_s[(*where, satellite)] = windows.set_s[window] - time[(*where, 0)]
    return left_s


class _Events(NamedTuple):
    """Instants at which satellites rise, set or culminate, arrays (E,)."""

    satellite: IntArray
    time_s: FloatArray
    elevation_rad: FloatArray
    clipped: NDArray[np.bool_]

    def take(self, index: NDArray[Any]) -> _Events:
        """Return some of the events."""
        return _Events(
            self.satellite[index],
            self.time_s[index],
            self.elevation_rad[index],
            self.clipped[index],
        )


class _Arcs(NamedTuple):
    """Pieces of orbit between two nodes: time, position and velocity at both, (E,) or (E, 3)."""

    satellite: IntArray
    start_s: FloatArray
    step_s: FloatArray
    position_0: FloatArray
    velocity_0: FloatArray
    position_1: FloatArray
    velocity_1: FloatArray

    def take(self, index: NDArray[Any]) -> _Arcs:
        """Return some of the arcs."""
        return _Arcs(
            self.satellite[index],
            self.start_s[index],
            self.step_s[index],
            self.position_0[index],
            self.velocity_0[index],
            self.position_1[index],
            self.velocity_1[index],
        )

    def states(self, share: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return position and velocity (E, 3) at shares (E,) in [0, 1]: cubic Hermite."""
        s, h = share[:, None], self.step_s[:, None]
        rise = self.position_1 - self.position_0
        start, end = h * self.velocity_0, h * self.velocity_1
        square, cube = 3.0 * rise - 2.0 * start - end, start + end - 2.0 * rise
        position = self.position_0 + s * (start + s * (square + s * cube))
        return position, (start + s * (2.0 * square + s * 3.0 * cube)) / h


def _enu_states(
    constellation: Constellation, site: Site, times_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return positions and velocities (T, S, 3) in the ENU frame of the site."""
    position, velocity = states_ecef(constellation, times_s)
    return enu_from_ecef(position, site), velocity @ site.enu_from_ecef_rotation.T


def _sine_elevation(position: FloatArray) -> FloatArray:
    return position[..., 2] / np.linalg.norm(position, axis=-1)


def _climb(position: FloatArray, velocity: FloatArray) -> FloatArray:
    """Return a number with the sign of the elevation's rate of change."""
    square = np.einsum('...i,...i->...', position, position)
    outward = np.einsum('...i,...i->...', position, velocity)
    return velocity[..., 2] * square - position[..., 2] * outward


def _find_events(
    nodes_s: FloatArray,
    position: FloatArray,
    velocity: FloatArray,
    height: FloatArray,
    threshold: float,
) -> tuple[_Events, _Events, _Events]:
    """Return the rises, sets and visible culminations between consecutive nodes.

    `height` (T, S) is the sine of the elevation above `threshold` at the nodes.
    """
    up = height >= 0
    climb = _climb(position, velocity)
    rising, falling = ~up[:-1] & up[1:], up[:-1] & ~up[1:]
    arcs = _arcs_of((climb[:-1] > 0) & (climb[1:] <= 0), nodes_s, position, velocity)

    def is_climbing(at: FloatArray, speed: FloatArray) -> NDArray[np.bool_]:
        return _climb(at, speed) > 0

    def is_down(at: FloatArray, speed: FloatArray) -> NDArray[np.bool_]:
        return _sine_elevation(at) < threshold

    def is_up(at: FloatArray, speed: FloatArray) -> NDArray[np.bool_]:
        return _sine_elevation(at) >= threshold

    top = _last_true(arcs, is_climbing, 0.0, 1.0)
    peak = _events_at(arcs, top)
    seen = _sine_elevation(arcs.states(top)[0]) >= threshold
    # A pass between two nodes: down at both, up at the culmination between them.
    node = np.searchsorted(nodes_s, arcs.start_s)
    brief = seen & ~up[node, arcs.satellite] & ~up[node + 1, arcs.satellite]
    short, short_top = arcs.take(brief), top[brief]
    rise_arcs = _arcs_of(rising, nodes_s, position, velocity)
    fall_arcs = _arcs_of(falling, nodes_s, position, velocity)
    rises = [
        _events_at(rise_arcs, _last_true(rise_arcs, is_down, 0.0, 1.0)),
        _events_at(short, _last_true(short, is_down, 0.0, short_top)),
    ]
    falls = [
        _events_at(fall_arcs, _last_true(fall_arcs, is_up, 0.0, 1.0)),
        _events_at(short, _last_true(short, is_up, short_top, 1.0)),
    ]
    return _in_order(rises), _in_order(falls), peak.take(seen)


def _arcs_of(
    chosen: NDArray[np.bool_], nodes_s: FloatArray, position: FloatArray, velocity: FloatArray
) -> _Arcs:
    """Return the chosen arcs; `chosen` (T - 1, S) says between which nodes of which satellite."""
    i, satellite = np.nonzero(chosen)
    return _Arcs(
        satellite,
        nodes_s[i],
        nodes_s[i + 1] - nodes_s[i],
        position[i, satellite],
        velocity[i, satellite],
        position[i + 1, satellite],
        velocity[i + 1, satellite],
    )


def _last_true(
    arcs: _Arcs,
    condition: Callable[[FloatArray, FloatArray], NDArray[np.bool_]],
    first: Floats,
    last: Floats,
) -> FloatArray:
    """Bisect for the share (E,) of each arc at which a condition turns from true to false."""
    low: FloatArray = np.broadcast_to(np.asarray(first, dtype=float), arcs.start_s.shape)
    high: FloatArray = np.broadcast_to(np.asarray(last, dtype=float), arcs.start_s.shape)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        true = condition(*arcs.states(middle))
        low, high = np.where(true, middle, low), np.where(true, high, middle)
    return 0.5 * (low + high)


def _events_at(arcs: _Arcs, share: FloatArray) -> _Events:
    """Return the events at the given shares of the arcs."""
    position, _ = arcs.states(share)
    elevation = np.arcsin(_sine_elevation(position))
    time_s = arcs.start_s + share * arcs.step_s
    return _Events(arcs.satellite, time_s, elevation, np.zeros(len(share), dtype=bool))


def _edge(height: FloatArray, time_s: float, position: FloatArray) -> _Events:
    """Return a clipped event for every satellite that is up at an end of the span."""
    satellite = np.flatnonzero(height >= 0)
    elevation = np.arcsin(_sine_elevation(position[satellite]))
    times = np.full(len(satellite), float(time_s))
    return _Events(satellite, times, elevation, np.ones(len(satellite), dtype=bool))


def _in_order(pieces: list[_Events]) -> _Events:
    """Join events and sort them by satellite, then by time."""
    joined = _Events(
        np.concatenate([piece.satellite for piece in pieces]),
        np.concatenate([piece.time_s for piece in pieces]),
        np.concatenate([piece.elevation_rad for piece in pieces]),
        np.concatenate([piece.clipped for piece in pieces]),
    )
    return joined.take(np.lexsort((joined.time_s, joined.satellite)))


def _highest(rise: _Events, fall: _Events, peak: _Events) -> FloatArray:
    """Return the highest elevation (W,) of each window: a culmination, or an end of the window."""
    highest = np.maximum(rise.elevation_rad, fall.elevation_rad)
    # The window of a culmination is the last one that has risen by then: count rises before it.
    satellite = np.concatenate([rise.satellite, peak.satellite])
    order = np.lexsort((np.concatenate([rise.time_s, peak.time_s]), satellite))
    is_rise = order < len(rise.satellite)
    window = (np.cumsum(is_rise) - 1)[~is_rise]
    np.maximum.at(highest, window, peak.elevation_rad[order[~is_rise] - len(rise.satellite)])
    return highest
