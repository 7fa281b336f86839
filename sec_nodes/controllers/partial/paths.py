"""Closed paths for UAVs: ellipses, tours over terminals, loitering; and angular sectors."""

from __future__ import annotations

import math

import numpy as np

from sec_nodes.slot import FloatArray, IntArray

_FINE = 2000
"""Points on an ellipse from which equal arcs are measured."""
_SHORTEST_AXIS_M = 60.0
_ROUNDNESS = 0.8
_SPEED_MARGIN = 0.95


def sectors(terminal_m: FloatArray, depot_m: FloatArray, n_uavs: int) -> IntArray:
    """Sector (N,) of each terminal: consecutive groups by angle about the depot.

    Groups are as large as each other or differ by one; of all ways to begin, the one with the
    least squared distance to the groups' centroids is taken.

    Args:
        terminal_m: (N, 2)
        depot_m: (2,)
        n_uavs: number U of groups.
    """
    return min(
        sector_cuts(terminal_m, depot_m, n_uavs), key=lambda sector: _scatter(terminal_m, sector)
    )


def sector_cuts(terminal_m: FloatArray, depot_m: FloatArray, n_uavs: int) -> list[IntArray]:
    """All ways (N,) to cut terminals into consecutive groups by angle; see `sectors`."""
    offset_m = terminal_m - depot_m
    order = np.argsort(np.arctan2(offset_m[:, 1], offset_m[:, 0]), kind='stable')
    n_terminals = len(order)
    rank = np.empty(n_terminals, dtype=np.int64)
    rank[order] = np.arange(n_terminals)
    even = n_terminals % n_uavs == 0
    shifts = range(n_terminals // n_uavs if even else n_terminals)
    return [(rank - shift) % n_terminals * n_uavs // n_terminals for shift in shifts]


def ellipse(
    depot_m: FloatArray, terminal_m: FloatArray, slots: int, longest_m: float
) -> FloatArray:
    """Ellipse (M + 1, 2) from the depot towards a group of terminals and back, in equal arcs.

    Its long axis reaches as far as the farthest terminal in the direction of their centroid.

    Args:
        depot_m: (2,)
        terminal_m: (n, 2), n may be 0: then the direction is east.
        slots: number M of slots.
        longest_m: V_max T; the ellipse shrinks to 95 % of it if it is longer.
    """
    towards_m = terminal_m.mean(axis=0) - depot_m if len(terminal_m) else np.zeros(2)
    along = _unit(towards_m)
    reach_m = max([_SHORTEST_AXIS_M, *((terminal_m - depot_m) @ along)])
    semi_m = reach_m / 2.0
    angle = np.linspace(0.0, 2.0 * math.pi, _FINE + 1)
    across = np.array([-along[1], along[0]])
    outline_m = np.outer(semi_m - semi_m * np.cos(angle), along) - np.outer(
        _ROUNDNESS * semi_m * np.sin(angle), across
    )
    length_m = _lengths(outline_m).sum()
    shrink = min(1.0, _SPEED_MARGIN * longest_m / length_m)
    return equal_arcs(depot_m + shrink * outline_m, slots)


def equal_arcs(corner_m: FloatArray, slots: int) -> FloatArray:
    """Points (M + 1, 2) that part a polyline (k, 2) into M pieces of the same length."""
    run_m = np.concatenate([[0.0], np.cumsum(_lengths(corner_m))])
    return _along(corner_m, run_m, np.linspace(0.0, run_m[-1], slots + 1))


def shortest_tour(depot_m: FloatArray, terminal_m: FloatArray) -> IntArray:
    """Order (n,) of the shortest closed tour from the depot over all terminals.

    Exact, by dynamic programming over subsets (Held and Karp, 1962). Of the two directions the
    one is taken that visits the terminal with the smaller number first.

    Args:
        depot_m: (2,)
        terminal_m: (n, 2)

    Raises:
        ValueError: more than 18 terminals, for which the table would not fit.
    """
    n = len(terminal_m)
    if n > 18:
        raise ValueError(
            f'a tour over {n} terminals is asked for, but the exact search holds 18. '
            'Use more UAVs or fewer terminals.'
        )
    if n < 2:
        return np.arange(n)
    offset_m = terminal_m[:, None] - terminal_m[None]
    leg_m = np.hypot(offset_m[..., 0], offset_m[..., 1])
    home_m = np.hypot(*(terminal_m - depot_m).T)
    subsets = np.arange(1 << n)
    members = (subsets[:, None] >> np.arange(n) & 1).astype(bool)
    best_m = np.full((1 << n, n), np.inf)
    before = np.zeros((1 << n, n), dtype=np.int64)
    best_m[1 << np.arange(n), np.arange(n)] = home_m
    size = members.sum(axis=1)
    for length in range(2, n + 1):
        for last in range(n):
            ending = subsets[(size == length) & members[:, last]]
            way_m = best_m[ending ^ (1 << last)] + leg_m[:, last]
            before[ending, last] = way_m.argmin(axis=1)
            best_m[ending, last] = way_m.min(axis=1)
    subset, last = (1 << n) - 1, int((best_m[-1] + home_m).argmin())
    order = [last]
    while len(order) < n:
        subset, last = subset ^ (1 << last), int(before[subset, last])
        order.append(last)
    return np.array(order if order[0] < order[-1] else order[::-1])


def tour_path(depot_m: FloatArray, terminal_m: FloatArray, slots: int) -> FloatArray:
    """Shortest tour (M + 1, 2) over terminals (n, 2), flown at one speed."""
    return equal_arcs(_corners(depot_m, terminal_m), slots)


def hovering_tour_path(
    depot_m: FloatArray, terminal_m: FloatArray, slots: int, slot_s: float, speed_m_s: float
) -> FloatArray:
    """Shortest tour (M + 1, 2) at full speed, the time left spent equally above each terminal.

    A tour that is too long for the mission at full speed is flown without hovering, at the
    speed that it takes.
    """
    corner_m = _corners(depot_m, terminal_m)
    fly_s = _lengths(corner_m) / speed_m_s
    spare_s = max(slots * slot_s - fly_s.sum(), 0.0)
    hover_s = spare_s / max(len(terminal_m), 1)
    stages_s = np.column_stack([fly_s, np.full(len(fly_s), hover_s)]).ravel()[:-1]
    times_s = np.concatenate([[0.0], np.cumsum(stages_s)])
    places_m = np.concatenate([corner_m[:1], np.repeat(corner_m[1:-1], 2, axis=0), corner_m[-1:]])
    return _along(places_m, times_s, np.linspace(0.0, times_s[-1], slots + 1))


def loiter_path(
    depot_m: FloatArray,
    place_m: FloatArray,
    slots: int,
    slot_s: float,
    transit_m_s: float,
    loiter_m_s: float,
    turn_m: float,
) -> FloatArray:
    """Paths (..., M + 1, 2) straight to a place, in circles there, and back at the very end.

    Circling costs less power than hovering. The circle begins at the place in the direction of
    arrival. It is as small as speed and slot allow: without a limit of acceleration the UAV flies
    to and fro.

    Args:
        depot_m: (2,)
        place_m: (..., 2)
        slots: number M of slots.
        slot_s: length of a slot.
        transit_m_s: speed to the place and back.
        loiter_m_s: speed in the circle.
        turn_m: smallest radius of a turn.
    """
    offset_m = (place_m - depot_m)[..., None, :]
    distance_m = np.hypot(offset_m[..., 0], offset_m[..., 1])[..., None]
    east = np.array([1.0, 0.0])
    along = np.where(distance_m > 0, offset_m / np.where(distance_m > 0, distance_m, 1.0), east)
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    slot = np.arange(slots + 1)[:, None]
    share = np.minimum(slot, slots - slot) * transit_m_s * slot_s / np.maximum(distance_m, 1e-9)
    on_the_way_m = depot_m + np.minimum(share, 1.0) * offset_m
    radius_m = max(turn_m, loiter_m_s * slot_s / 2.0)
    arrival = np.ceil(distance_m / (transit_m_s * slot_s))
    angle = 2.0 * math.asin(loiter_m_s * slot_s / (2.0 * radius_m)) * (slot - arrival)
    circle_m = radius_m * (np.sin(angle) * along + (1.0 - np.cos(angle)) * across)
    inner = (slot > 0) & (slot < slots)
    return np.where((share >= 1.0) & inner, place_m[..., None, :] + circle_m, on_the_way_m)


def smoothed(path_m: FloatArray, passes: int) -> FloatArray:
    """Paths (..., M + 1, 2) with inner waypoints averaged with their neighbours, again and again.

    Each pass replaces a waypoint by half of itself and a quarter of each neighbour.
    """
    for _ in range(passes):
        inner_m = (path_m[..., :-2, :] + 2.0 * path_m[..., 1:-1, :] + path_m[..., 2:, :]) / 4.0
        path_m = np.concatenate([path_m[..., :1, :], inner_m, path_m[..., -1:, :]], axis=-2)
    return path_m


def _corners(depot_m: FloatArray, terminal_m: FloatArray) -> FloatArray:
    order = shortest_tour(depot_m, terminal_m)
    return np.concatenate([depot_m[None], terminal_m[order], depot_m[None]])


def _along(corner_m: FloatArray, at: FloatArray, wanted: FloatArray) -> FloatArray:
    """Points of a polyline whose corners carry the ascending numbers `at`."""
    return np.column_stack([np.interp(wanted, at, corner_m[:, axis]) for axis in range(2)])


def _lengths(corner_m: FloatArray) -> FloatArray:
    step_m = np.diff(corner_m, axis=0)
    return np.hypot(step_m[:, 0], step_m[:, 1])


def _scatter(terminal_m: FloatArray, sector: IntArray) -> float:
    groups = [terminal_m[sector == number] for number in np.unique(sector)]
    return sum(float(np.square(group - group.mean(axis=0)).sum()) for group in groups)


def _unit(vector_m: FloatArray) -> FloatArray:
    length_m = float(np.hypot(*vector_m))
    return vector_m / length_m if length_m > 0 else np.array([1.0, 0.0])
