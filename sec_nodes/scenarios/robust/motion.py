"""Where users and UAVs of the robust scenario begin, how UAVs fly and when they fail."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from sec_nodes.physics import motion, randomness
from sec_nodes.physics.randomness import Stream
from sec_nodes.scenarios.robust.settings import RobustSettings
from sec_nodes.scenarios.robust.state import NEVER
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_MOST_DRAWS = 1000
"""Draws of UAV positions before giving up; the settings leave room for nearly all to succeed."""


class Walkers(NamedTuple):
    """Users at the start of a slot."""

    position_m: FloatArray
    """(B, I, 2) [m; ENU]."""
    heading_rad: FloatArray
    """(B, I) [rad; 0 = east, counter-clockwise]."""
    speed_m_s: FloatArray
    """(B, I)"""


class Flight(NamedTuple):
    """UAVs after a slot."""

    position_m: FloatArray
    """(B, J, 3) [m; ENU]."""
    velocity_m_s: FloatArray
    """(B, J, 3) [m/s; ENU]."""
    outside: BoolArray
    """(B, J) stopped at the border of their space."""
    wrong_altitude: BoolArray
    """(B, J) stopped at the lowest or highest altitude, (28c)."""


def first_users(settings: RobustSettings, seed: IntArray, dtype: DTypeLike) -> Walkers:
    """Users anywhere, on their way in any direction."""
    users = settings.users
    draws = randomness.uniform(seed[:, None], Stream.PLACEMENT, np.arange(users.count), 0, 3)
    speed = np.full(draws.shape[:2], users.mobility.mean_speed_m_s)
    position, heading = np.array(settings.area_m) * draws[..., :2], 2.0 * np.pi * draws[..., 2]
    return Walkers(position.astype(dtype), heading.astype(dtype), speed.astype(dtype))


def walk(settings: RobustSettings, seed: IntArray, slot: IntArray, users: Walkers) -> Walkers:
    """Users at the end of slot (B,), in copies with seeds (B,): Gauss-Markov, (3) and (4)."""
    normals = randomness.normal(
        seed[:, None], Stream.MOBILITY, np.arange(settings.users.count), slot[:, None], 2
    )
    return Walkers(
        *motion.gauss_markov_step(
            *users,
            mobility(settings),
            normals.astype(users.position_m.dtype),
            settings.slot_s,
            np.array(settings.area_m, dtype=users.position_m.dtype),
        )
    )


def first_uavs(settings: RobustSettings, seed: IntArray, dtype: DTypeLike) -> FloatArray:
    """(B, J, 3) positions of UAVs: anywhere in their space, but apart; redrawn until they are.

    Raises:
        ValueError: no such positions were found.
    """
    low, high = space(settings)
    position = np.empty((len(seed), settings.uavs.count, 3))
    waiting = np.arange(len(seed))
    for attempt in range(1, _MOST_DRAWS + 1):
        draws = randomness.uniform(
            seed[waiting, None], Stream.PLACEMENT, np.arange(settings.uavs.count), attempt, 3
        )
        position[waiting] = low + (high - low) * draws
        waiting = waiting[close_pairs(position[waiting], settings.uavs.safe_distance_m) > 0]
        if not len(waiting):
            return position.astype(dtype)
    raise ValueError(
        f'{settings.uavs.count} UAVs were never uavs.safe_distance_m = '
        f'{settings.uavs.safe_distance_m} m apart in {_MOST_DRAWS} draws; lower it'
    )


def failure_slots(settings: RobustSettings, seed: IntArray) -> IntArray:
    """(B, J) slot in which each UAV fails: some UAVs, any slot but the first, (10) and (11)."""
    failures, n_uavs = settings.failures, settings.uavs.count
    if failures.fixed is None:
        draw = randomness.uniform(seed, Stream.FAILURE, 0, 0, 1)[:, 0]
        count = np.floor(draw * (failures.largest + 1)).astype(np.int64)
    else:
        count = np.full(len(seed), failures.fixed)
    lots = randomness.uniform(seed[:, None], Stream.FAILURE, np.arange(n_uavs), 1, 2)
    rank = np.argsort(np.argsort(lots[..., 0], axis=-1), axis=-1)
    slot = 1 + np.floor(lots[..., 1] * (settings.horizon - 1)).astype(np.int64)
    return np.where(rank < count[:, None], slot, NEVER)


def fly(
    settings: RobustSettings,
    uav_m: FloatArray,
    velocity_m_s: FloatArray,
    acceleration_m_s2: FloatArray,
    alive: BoolArray,
) -> Flight:
    """Move living UAVs for one slot, (6), (7), and stop them at the border of their space.

    Args:
        settings: limits and space.
        uav_m: (B, J, 3) positions at the start of the slot [m; ENU].
        velocity_m_s: (B, J, 3) velocities then [m/s; ENU].
        acceleration_m_s2: (B, J, 3) as decided [m/s^2; ENU].
        alive: (B, J) UAVs that fly; the others stay where they are.
    """
    uavs = settings.uavs
    wanted, velocity = motion.accelerate(
        uav_m,
        velocity_m_s,
        acceleration_m_s2,
        uavs.speed_m_s,
        uavs.acceleration_m_s2,
        settings.slot_s,
    )
    low, high = (corner.astype(uav_m.dtype) for corner in space(settings))
    beyond: BoolArray = ((wanted < low) | (wanted > high)) & alive[..., None]
    inside = np.clip(wanted, low, high)
    kept = alive[..., None] & ~beyond
    return Flight(
        np.where(alive[..., None], inside, uav_m),
        np.where(kept, velocity, velocity.dtype.type(0)),
        np.asarray(beyond.any(axis=-1)),
        beyond[..., 2],
    )


def close_pairs(
    uav_m: FloatArray, safe_distance_m: float, alive: BoolArray | None = None
) -> IntArray:
    """(B,) pairs of UAVs, of the living ones if given, closer than the safe distance, (5)."""
    first, second = np.triu_indices(uav_m.shape[-2], 1)
    apart = uav_m[:, first] - uav_m[:, second]
    close = np.einsum('...i,...i->...', apart, apart) < safe_distance_m**2
    if alive is not None:
        close &= alive[:, first] & alive[:, second]
    return close.sum(axis=-1)


def space(settings: RobustSettings) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest corner (3,) of where UAVs may fly [m; ENU]."""
    lowest_m, highest_m = settings.uavs.altitude_m
    return np.array([0.0, 0.0, lowest_m]), np.array([*settings.area_m, highest_m])


def mobility(settings: RobustSettings) -> motion.GaussMarkov:
    """How users walk, (3)."""
    walk = settings.users.mobility
    return motion.GaussMarkov(
        heading_memory=walk.memory_heading,
        speed_memory=walk.memory_speed,
        mean_heading_rad=walk.mean_heading_rad,
        mean_speed_m_s=walk.mean_speed_m_s,
        heading_deviation_rad=walk.sigma_heading_rad,
        speed_deviation_m_s=walk.sigma_speed_m_s,
    )
