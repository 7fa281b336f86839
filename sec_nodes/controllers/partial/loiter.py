"""Paths that go to one place, circle there and come home: cheap ones, and many at once."""

from __future__ import annotations

import math

import numpy as np

from sec_nodes.controllers.partial.flight import Sortie
from sec_nodes.scenarios.partial.settings import PartialSettings
from sec_nodes.slot import BoolArray, FloatArray

_GENTLE = 1.5
"""Radius of a turn over the smallest that the acceleration allows, where it is limited."""
_STIFFNESS = 0.0, 0.3, 3.0, 30.0, 300.0, 3e3, 3e4, 3e5, 3e6
"""How much smoothness counts against staying where the path was, from not at all to all."""
_HALVINGS = 40
_SPEED_MARGIN = 1.0 - 1e-9


def loiter_paths(
    settings: PartialSettings,
    sortie: Sortie,
    place_m: FloatArray,
    transit_m_s: float,
    loiter_m_s: float,
) -> FloatArray:
    """Paths (P, M + 1, 2) straight to places (P, 2), in circles there, and home at the very end.

    Circling costs less power than hovering. The circle begins at the place in the direction of
    arrival. It is as small as speed and slot allow: without a limit of acceleration the UAV flies
    to and fro. A place too far to come home from in time is moved closer. Where acceleration is
    limited, paths are smoothed; those that then still bend or speed too much are left out, unless
    all do.

    Args:
        settings: parameters of the scenario; `slots` are those that are left.
        sortie: where the UAV starts, how fast, and where it ends.
        place_m: (P, 2)
        transit_m_s: speed to the place and back; more if the mission would be too short, never
            more than V_max.
        loiter_m_s: speed in the circle.
    """
    slots, slot_s = settings.slots, settings.slot_s
    limit_m_s2 = settings.uavs.acceleration_m_s2
    longest_m = settings.uavs.speed_m_s * slot_s * _SPEED_MARGIN
    # a slot is lost to rounding on each of the two legs
    place_m = _within_reach(sortie, place_m, max(slots - 2, 1) * longest_m)
    out_m, home_m = place_m - sortie.start_m, sortie.end_m - place_m
    out_length_m, home_length_m = np.hypot(*out_m.T), np.hypot(*home_m.T)
    needed_m = (out_length_m + home_length_m) / max(slots - 2, 1)
    step_m = np.clip(needed_m, min(transit_m_s * slot_s, longest_m), longest_m)[:, None]
    slot = np.arange(slots + 1)
    gone = np.minimum(slot * step_m / np.maximum(out_length_m, 1e-9)[:, None], 1.0)[..., None]
    back = (slots - slot) * step_m / np.maximum(home_length_m, 1e-9)[:, None]
    left = np.minimum(back, 1.0)[..., None]
    way_m = np.where(
        gone < 1.0,
        sortie.start_m + gone * out_m[:, None],
        sortie.end_m - left * home_m[:, None],
    )
    turn_m = _GENTLE * loiter_m_s**2 / limit_m_s2 if limit_m_s2 else 0.0
    radius_m = max(turn_m, loiter_m_s * slot_s / 2.0)
    along = _unit(out_m)[:, None]
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    arrival = np.ceil(out_length_m[:, None] / step_m)
    angle = 2.0 * math.asin(loiter_m_s * slot_s / (2.0 * radius_m)) * (slot - arrival)[..., None]
    circle_m = radius_m * (np.sin(angle) * along + (1.0 - np.cos(angle)) * across)
    # from the place itself the first step home is not longer than the others
    stays = (gone >= 1.0) & np.concatenate([left[:, 1:] >= 1.0, left[:, -1:] > 1.0], axis=1)
    path_m = np.where(stays, place_m[:, None] + circle_m, way_m)
    path_m[:, 0], path_m[:, -1] = sortie.start_m, sortie.end_m
    if limit_m_s2 is None:
        return path_m
    return smooth_enough(settings, sortie, path_m)


def _within_reach(sortie: Sortie, place_m: FloatArray, longest_m: float) -> FloatArray:
    """Places (P, 2), moved towards the middle of the way home until they can be visited."""
    middle_m = (sortie.start_m + sortie.end_m) / 2.0

    def moved(share: FloatArray) -> FloatArray:
        return middle_m + share[:, None] * (place_m - middle_m)

    def fits(share: FloatArray) -> BoolArray:
        there_m = moved(share)
        length_m = np.hypot(*(there_m - sortie.start_m).T) + np.hypot(*(sortie.end_m - there_m).T)
        return np.asarray(length_m <= longest_m)

    low, high = np.zeros(len(place_m)), np.ones(len(place_m))
    low = np.where(fits(high), 1.0, low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        fine = fits(middle)
        low, high = np.where(fine, middle, low), np.where(fine, high, middle)
    return moved(low)


def smooth_enough(settings: PartialSettings, sortie: Sortie, path_m: FloatArray) -> FloatArray:
    """Paths (p, M + 1, 2) smoothed as little as keeps the limits, without those that never do."""
    done = np.zeros(len(path_m), dtype=bool)
    smooth_m = path_m
    for stiffness in _STIFFNESS:
        tried_m = _smoothed(settings, sortie, path_m, stiffness)
        smooth_m = np.where(done[:, None, None], smooth_m, tried_m)
        done |= path_allowed(settings, sortie, tried_m)
    return smooth_m[done] if done.any() else smooth_m[:1]


def _smoothed(
    settings: PartialSettings, sortie: Sortie, path_m: FloatArray, stiffness: float
) -> FloatArray:
    """Paths that minimise |q - path|^2 + stiffness |second differences|^2, ends fixed."""
    slots = settings.slots
    bend, constant_m = _bends(settings, sortie)
    weight = np.eye(slots + 1) + stiffness * bend.T @ bend
    target_m = path_m - stiffness * bend.T @ constant_m
    inner = slice(1, slots)
    ends_m = path_m[:, [0, -1]]
    pull_m = target_m[:, inner] - weight[inner][:, [0, -1]] @ ends_m
    found_m = np.linalg.solve(weight[inner, inner], pull_m)
    return np.concatenate([path_m[:, :1], found_m, path_m[:, -1:]], axis=1)


def _bends(settings: PartialSettings, sortie: Sortie) -> tuple[FloatArray, FloatArray]:
    """Matrix (c, M + 1) and constant (c, 2) of the second differences that are limited."""
    inner = np.diff(np.eye(settings.slots + 1), n=2, axis=0)
    if not np.isfinite(sortie.velocity_m_s).all():
        return inner, np.zeros((len(inner), 2))
    first = np.zeros((1, settings.slots + 1))
    first[0, :2] = -1.0, 1.0
    constant_m = np.zeros((len(inner) + 1, 2))
    constant_m[0] = -sortie.velocity_m_s * settings.slot_s
    return np.concatenate([first, inner]), constant_m


def path_allowed(settings: PartialSettings, sortie: Sortie, path_m: FloatArray) -> BoolArray:
    """(P,) whether paths (P, M + 1, 2) keep V_max and, where limited, the acceleration."""
    step_m = np.diff(path_m, axis=1)
    longest_m = settings.uavs.speed_m_s * settings.slot_s
    fine = (np.hypot(step_m[..., 0], step_m[..., 1]) <= longest_m).all(axis=1)
    if settings.uavs.acceleration_m_s2 is None:
        return np.asarray(fine)
    bend, constant_m = _bends(settings, sortie)
    bend_m = bend @ path_m + constant_m
    sharpest_m = settings.uavs.acceleration_m_s2 * settings.slot_s**2
    smooth = (np.hypot(bend_m[..., 0], bend_m[..., 1]) <= sharpest_m).all(axis=1)
    return np.asarray(fine & smooth)


def _unit(vector_m: FloatArray) -> FloatArray:
    length_m = np.hypot(*vector_m.T)[:, None]
    east = np.array([1.0, 0.0])
    return np.where(length_m > 0, vector_m / np.where(length_m > 0, length_m, 1.0), east)
