"""Concave lower bounds of what a link carries, tight at the path that is being improved.

A step of successive convex approximation may only count on bits that surely arrive. Of three lower
bounds of the rate r(d), (4) of Liu et al., Sensors 2026, 26(11), 3540, the solver uses the third:

- `los_free_minorant_bit_s`: the paper's own, (24) and (25) with the sign of J mended. It gives up
  the line of sight, and so is far from tight: 13.8 instead of 83.9 kb/s right overhead.
- `joint_minorant_bit_s`: convexity in elevation and distance at once. Tight, but it needs
  exponential cones.
- `RateMinorant`: a parabola by distance. Tight, and second-order cones are enough; as a bowl over
  the plane, `PlaneMinorant`, one cone for each waypoint is enough for all tasks together.

Freezing the probability of a line of sight instead is no lower bound at all: 32.2 kb/s for 16.4 at
465 m when it is frozen at 300 m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sec_nodes.physics.channel import db_to_ratio
from sec_nodes.physics.urban import (
    UrbanLink,
    elevation_deg,
    los_probability,
    path_loss_db,
    rate_bit_s,
    rate_with_slope,
    snr,
)
from sec_nodes.slot import FloatArray, IntArray

_LN2 = math.log(2.0)
_LN10 = math.log(10.0)
_DEGREES = 180.0 / math.pi

LEAST_RANGE_M = 900.0
"""Distances up to which a parabola is held below the rate at least."""
_GRID_M = 1.0
_CURVATURE_MARGIN = 1.02
"""For what happens between the points of the grid."""
_ROWS = 256
"""Rows of a table that are worked out at once, for the memory."""


def los_free_minorant_bit_s(
    distance_m: FloatArray, local_m: FloatArray, link: UrbanLink
) -> FloatArray:
    """The paper's lower bound of the rate [bit/s]: every link is priced as one without a sight.

    10^(-A p / 10) >= 1 since A < 0, so r >= B log2(1 + xi / (1 + v)) with v = (d / H)^2; that is
    convex in v, and its tangent is a lower bound that is concave in the position. Corrected: J,
    its slope, is negative.

    Args:
        distance_m: d, where it is evaluated.
        local_m: d_l, where the tangent touches.
        link: the link.
    """
    height2_m2 = np.square(link.altitude_m)
    v, v_local = np.square(distance_m) / height2_m2, np.square(local_m) / height2_m2
    # the ratio right overhead, were there no line of sight
    sighted_db = path_loss_db(0.0, link) - link.los_gain_db * los_probability(0.0, link)
    xi = snr(0.0, link) * db_to_ratio(path_loss_db(0.0, link) - sighted_db)
    slope = -xi / (_LN2 * (np.square(1.0 + v_local) + xi * (1.0 + v_local)))
    value = np.log2(1.0 + xi / (1.0 + v_local))
    return link.bandwidth_hz * (value + slope * (v - v_local))


def joint_minorant_bit_s(
    distance_m: FloatArray, local_m: FloatArray, link: UrbanLink
) -> FloatArray:
    """A tight lower bound of the rate [bit/s], concave in the position.

    ln SNR = const - (A ln10 / 10) / Y - ln Z, with Y = 1 / p and Z = H^2 + d^2, makes r jointly
    convex in (Y, Z); its tangent falls in both. Z is convex in the position, and Y is at most what
    it is at the tangent of the elevation, which is convex too.

    Arguments as `los_free_minorant_bit_s`.
    """
    ratio = snr(local_m, link)
    weight = link.bandwidth_hz / _LN2 * ratio / (1.0 + ratio)
    local_y = 1.0 / los_probability(local_m, link)
    local_z_m2 = np.square(link.altitude_m) + np.square(local_m)
    z_m2 = np.square(link.altitude_m) + np.square(distance_m)
    turn_deg_m = -_DEGREES * link.altitude_m / local_z_m2
    least_deg = elevation_deg(local_m, link) + turn_deg_m * (distance_m - local_m)
    exponent = -link.los_steepness_per_deg * (least_deg - link.los_midpoint_deg)
    y = 1.0 + link.los_midpoint_deg * np.exp(exponent)
    y_slope = weight * -link.los_gain_db * _LN10 / 10.0 / np.square(local_y)
    z_slope = weight / local_z_m2
    return rate_bit_s(local_m, link) - y_slope * (y - local_y) - z_slope * (z_m2 - local_z_m2)


@dataclass(frozen=True)
class RateMinorant:
    """Parabolas r_l + r'_l (d - d_l) - mu_l / 2 (d - d_l)^2 below the rate, any shape.

    Since r falls with d, a slack that is at least the distance may take its place.
    """

    local_m: FloatArray
    """d_l"""
    rate_bit_s: FloatArray
    """r_l"""
    slope_bit_s_m: FloatArray
    """r'_l, negative."""
    curvature_bit_s_m2: FloatArray
    """mu_l >= 0."""

    def at(self, distance_m: FloatArray) -> FloatArray:
        """Their values [bit/s]."""
        aside_m = distance_m - self.local_m
        bend = self.curvature_bit_s_m2 / 2.0 * aside_m
        return self.rate_bit_s + (self.slope_bit_s_m - bend) * aside_m


@dataclass(frozen=True)
class PlaneMinorant:
    """Bowls r_l + h.(q - q_l) - L_l / 2 |q - q_l|^2 below the rate, by position q; any shape."""

    rate_bit_s: FloatArray
    """r_l"""
    gradient_bit_s_m: FloatArray
    """(..., 2) h."""
    curvature_bit_s_m2: FloatArray
    """L_l >= 0."""

    def of(self, rows: IntArray) -> PlaneMinorant:
        """Those of some rows (k,) of the first axis."""
        return PlaneMinorant(**{name: value[rows] for name, value in vars(self).items()})

    def at(self, aside_m: FloatArray) -> FloatArray:
        """Their values [bit/s] at q - q_l (..., 2)."""
        turned = (self.gradient_bit_s_m * aside_m).sum(axis=-1)
        return self.rate_bit_s + turned - self.curvature_bit_s_m2 / 2 * np.square(aside_m).sum(-1)


_OVERHEAD_M = 1.0
"""Below this distance a bowl lies a little below the rate, which has a kink at 0."""


def plane_minorant(parabola: RateMinorant, offset_m: FloatArray) -> PlaneMinorant:
    """Bowls below the rate that touch it where parabolas do.

    Of all places at distance d from the terminal, the bowl is highest in the direction of q_l if
    |r'_l| <= L_l d_l, and there it is a parabola by distance with curvature L_l: so it is below
    the rate for L_l = max(mu_l, |r'_l| / d_l).

    The elevation has a kink right overhead, so |r'_l| / d_l grows without limit. Nearer than 1 m
    the slope is cut to L_l d_l instead, with L_l = mu_l + |r'_l| / (1 m), and the bowl lowered by
    (|r'_l| - L_l d_l)^2 / (2 (L_l - mu_l)): the most by which a cut slope takes it too high. That
    is a millionth of the rate at 200 m.

    Args:
        parabola: of shape (...).
        offset_m: (..., 2) q_l - w, from the terminal to the UAV.
    """
    distance_m, fall = parabola.local_m, -parabola.slope_bit_s_m
    overhead = distance_m < _OVERHEAD_M
    curvature = np.where(
        overhead,
        parabola.curvature_bit_s_m2 + fall / _OVERHEAD_M,
        np.maximum(parabola.curvature_bit_s_m2, fall / np.maximum(distance_m, _OVERHEAD_M)),
    )
    slope = -np.minimum(fall, curvature * distance_m)
    along = slope / np.where(distance_m > 0.0, distance_m, 1.0)
    sharper = np.where(overhead, curvature - parabola.curvature_bit_s_m2, 1.0)
    return PlaneMinorant(
        rate_bit_s=parabola.rate_bit_s - np.square(fall + slope) / (2.0 * sharper),
        gradient_bit_s_m=along[..., None] * offset_m,
        curvature_bit_s_m2=curvature,
    )


class RateMinorants:
    """Parabolas below the rates of n links.

    Args:
        link: links of n terminals, losses of shape (n, 1) or a number.
        n_links: n.
        range_m: distances up to which the parabolas are held below the rate.
    """

    def __init__(self, link: UrbanLink, n_links: int, range_m: float) -> None:
        self.link = link
        reach_m = math.ceil(max(range_m, LEAST_RANGE_M))
        loss_db = np.broadcast_to(link.penetration_loss_db, (n_links, 1))[:, 0]
        tables = [_curvatures(_scalar(link, loss), reach_m) for loss in loss_db.tolist()]
        self._table = np.stack(tables) if tables else np.zeros((0, reach_m))

    def around(self, distance_m: FloatArray) -> RateMinorant:
        """Parabolas that touch the rate at distances (n, M)."""
        rate, slope = rate_with_slope(distance_m, self.link)
        cell = np.minimum((distance_m / _GRID_M).astype(np.int64), self._table.shape[1] - 1)
        curvature = np.take_along_axis(self._table, cell, axis=1)
        return RateMinorant(distance_m, rate, slope, curvature)


def _scalar(link: UrbanLink, loss_db: float) -> UrbanLink:
    known = {**vars(link), 'altitude_m': float(link.altitude_m), 'penetration_loss_db': loss_db}
    return UrbanLink(**known)


@lru_cache(maxsize=64)
def _curvatures(link: UrbanLink, reach_m: int) -> FloatArray:
    """Least curvature mu (cells,) for d_l in each cell of the grid, such that the parabola is low.

    mu = sup over d of 2 (r_l + r'_l (d - d_l) - r(d)) / (d - d_l)^2, the larger of both ends of
    the cell.
    """
    grid_m = np.arange(0.0, reach_m + _GRID_M, _GRID_M)
    rate, slope = rate_with_slope(grid_m, link)
    at_ends = np.empty_like(grid_m)
    for first in range(0, len(grid_m), _ROWS):
        rows = slice(first, first + _ROWS)
        aside_m = grid_m - grid_m[rows, None]
        lack = rate[rows, None] + slope[rows, None] * aside_m - rate
        np.fill_diagonal(aside_m[:, first:], np.inf)
        at_ends[rows] = (2.0 * lack / np.square(aside_m)).max(axis=1)
    table = _CURVATURE_MARGIN * np.maximum(np.maximum(at_ends[1:], at_ends[:-1]), 0.0)
    table.flags.writeable = False
    return table


@dataclass(frozen=True)
class TimeMinorant:
    """Lines by time, n uploads; the least of them is below the bits won or lost from tau_l on."""

    intercept_bit: FloatArray
    """(n, lines)"""
    slope_bit_s: FloatArray
    """(n, lines)"""
    earliest_s: FloatArray
    """(n,) they are held below the bits from here ..."""
    latest_s: FloatArray
    """(n,) ... to here."""

    def at(self, end_s: FloatArray) -> FloatArray:
        """Their least values (n,) [bit] at times (n,)."""
        return (self.intercept_bit + self.slope_bit_s * end_s[:, None]).min(axis=1)


SLOTS_BACK = 8
SLOTS_AHEAD = 4
"""How far from tau_l the end of an upload is allowed to move in a step."""
LINES = SLOTS_BACK + SLOTS_AHEAD + 2
"""Lines of a `TimeMinorant`."""


def time_minorant(
    fast_bit_s: FloatArray, slow_bit_s: FloatArray, end_s: FloatArray, slot_s: float
) -> TimeMinorant:
    """Lower bound of the bits between tau_l and tau: psi, concave and 0 at tau_l.

    For tau before tau_l the bits lost are at most the integral of the fastest rates; the largest
    of them on the way back, slot by slot, makes it concave and only lower. For tau after tau_l
    the bits won are at least the integral of the slowest rates, with the least on the way.

    Args:
        fast_bit_s: (n, M) what rates can be at most, r(d_l - Delta).
        slow_bit_s: (n, M) what rates are at least, r(d_l + Delta).
        end_s: (n,) tau_l.
        slot_s: length of a slot.
    """
    slots = fast_bit_s.shape[1]
    rows = np.arange(len(end_s))[:, None]
    home = np.clip(np.ceil(end_s / slot_s).astype(np.int64) - 1, 0, slots - 1)
    back = np.maximum(home[:, None] - np.arange(SLOTS_BACK + 1), 0)
    ahead = np.minimum(home[:, None] + np.arange(SLOTS_AHEAD + 1), slots - 1)
    loss = np.maximum.accumulate(fast_bit_s[rows, back], axis=1)
    gain = np.minimum.accumulate(slow_bit_s[rows, ahead], axis=1)
    # where a line hands over to the next one: the begin of its slot, or the end
    until_s = np.minimum(back * slot_s, end_s[:, None])
    from_s = np.maximum((ahead + 1) * slot_s, end_s[:, None])
    back_bit = _chained(loss, until_s, end_s)
    ahead_bit = _chained(gain, from_s, end_s)
    return TimeMinorant(
        intercept_bit=np.concatenate([back_bit, ahead_bit], axis=1),
        slope_bit_s=np.concatenate([loss, gain], axis=1),
        earliest_s=until_s[:, -1],
        latest_s=from_s[:, -1],
    )


def _chained(slope: FloatArray, handover_s: FloatArray, start_s: FloatArray) -> FloatArray:
    """Intercepts (n, lines) of lines that follow each other, the first one 0 at start_s (n,)."""
    at_s = np.concatenate([start_s[:, None], handover_s[:, :-1]], axis=1)
    reached = np.cumsum(slope[:, :-1] * np.diff(at_s, axis=1), axis=1)
    value = np.concatenate([np.zeros((len(start_s), 1)), reached], axis=1)
    return value - slope * at_s
