"""Satellites of the mllm scenario: a chain that passes the area, deterministic once it has begun.

A satellite that leaves the window in which the chain repeats is replaced by the next one, which
takes over its number. Computed in float64: a satellite covers a metre in 1.5e-7 rad.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sec_nodes.physics import spherical
from sec_nodes.physics.constants import EARTH_RADIUS_M, SPEED_OF_LIGHT_M_S
from sec_nodes.scenarios.mllm.settings import MllmSettings, Satellites
from sec_nodes.scenarios.mllm.state import Orbit
from sec_nodes.slot import FloatArray, IntArray

_SPACING_SLACK_RAD = 1e-6
_TRACK_STEP_S = 0.5
"""Velocities are differences over that time."""


class Routes(NamedTuple):
    """How each server is reached from the devices; every array (B, S), the UAVs first."""

    receiver: IntArray
    """Server that devices talk to: itself or the access satellite; -1 if there is none."""
    air_s: FloatArray
    """Propagation to the receiver; 0 for UAVs."""
    chain_s: FloatArray
    """Propagation from there along inter-satellite links."""
    hops: IntArray
    """Inter-satellite links on the way."""
    remaining_s: FloatArray
    """How long the receiver stays; infinite for UAVs."""


class Chain:
    """The satellites' motion and what follows from it.

    Args:
        settings: the satellites.
        dtype: of the arrays in `Orbit`.
    """

    def __init__(self, settings: Satellites, dtype: DTypeLike = np.float64) -> None:
        self._settings, self._dtype = settings, dtype
        count, altitude_m = settings.count, settings.altitude_m
        lowest_rad = math.radians(settings.minimum_elevation_deg)
        cross_track_rad = np.radians(settings.cross_track_deg)
        self.rate_rad_s = float(spherical.orbital_rate_rad_s(altitude_m))
        """Angular rate of the orbit [rad/s]."""
        self._lead_rad = np.arange(count) * math.radians(settings.spacing_deg)
        self._cross_track_rad, self._lowest_rad = cross_track_rad, lowest_rad
        self._reach_rad = float(spherical.footprint_half_angle_rad(altitude_m, lowest_rad))
        # The chain is evenly spaced, so links have the same lengths at all times. Two turns of it
        # hold every stretch that begins with any satellite.
        turns_rad = np.arange(2 * count) * math.radians(settings.spacing_deg)
        position_m = spherical.shell_position_m(altitude_m, turns_rad, np.tile(cross_track_rad, 2))
        link_m = np.linalg.norm(np.diff(position_m, axis=0), axis=-1)
        self._mileage_m = np.concatenate([[0.0], np.cumsum(link_m)])

    def start(self, phase: FloatArray) -> FloatArray:
        """In-track angles (B, N) [rad] at the start of an episode.

        Args:
            phase: (B,) in [0, 1), where in the window the first satellite begins.
        """
        window_rad = self._settings.window_rad
        return spherical.wrap_angle(phase[:, None] * window_rad + self._lead_rad, window_rad)

    def after(self, in_track_rad: FloatArray, time_s: float) -> FloatArray:
        """In-track angles (B, N) [rad] a time later."""
        later_rad = in_track_rad + self.rate_rad_s * time_s
        return spherical.wrap_angle(later_rad, self._settings.window_rad)

    def orbit(self, in_track_rad: FloatArray) -> Orbit:
        """What angles (B, N) [rad] of the chain mean for the area: eqs (4), (5) as corrected."""
        altitude_m = self._settings.altitude_m
        central_rad = spherical.central_angle_rad(in_track_rad, self._cross_track_rad)
        elevation_rad = spherical.elevation_rad(altitude_m, central_rad).astype(self._dtype)
        slant_m = spherical.slant_range_m(altitude_m, central_rad).astype(self._dtype)
        remaining_s = spherical.remaining_pass_s(
            altitude_m, self._lowest_rad, in_track_rad, self._cross_track_rad
        ).astype(self._dtype)
        visible = central_rad <= self._reach_rad

        # argmin takes the lowest index on ties.
        count = self._settings.count
        rows = np.arange(0, visible.size, count)[:, None]
        nearest_rad = np.where(visible, central_rad, np.inf)
        highest = np.argmin(nearest_rad, axis=-1, keepdims=True)
        through = np.where(visible, np.arange(count), highest)
        has_access = np.repeat(np.any(visible, axis=-1, keepdims=True), count, axis=-1)
        first = np.argmin(in_track_rad, axis=-1, keepdims=True)
        place = np.arange(count) + count * (np.arange(count) < first)
        access_place = through + count * (through < first)
        isl_m = np.abs(self._mileage_m[place] - self._mileage_m[access_place])
        return Orbit(
            visible=visible,
            elevation_rad=elevation_rad,
            slant_m=slant_m,
            remaining_s=remaining_s,
            access=np.where(has_access, through, -1),
            has_access=has_access,
            hops=np.where(has_access, np.abs(place - access_place), 0),
            isl_m=np.where(has_access, isl_m, 0).astype(self._dtype),
            access_slant_m=slant_m.reshape(-1)[rows + through],
            access_remaining_s=remaining_s.reshape(-1)[rows + through],
        )

    def routes(self, orbit: Orbit, uavs: int) -> Routes:
        """How to reach the servers, of which the first ones are UAVs."""

        batch, satellites = orbit.access.shape

        def with_uavs(value: float | IntArray, of_satellites: NDArray[Any]) -> NDArray[Any]:
            table = np.empty((batch, uavs + satellites), dtype=of_satellites.dtype)
            table[:, :uavs] = value
            table[:, uavs:] = of_satellites
            return table

        return Routes(
            receiver=with_uavs(
                np.arange(uavs), np.where(orbit.has_access, orbit.access + uavs, -1)
            ),
            air_s=with_uavs(0, orbit.access_slant_m * (1 / SPEED_OF_LIGHT_M_S)),
            chain_s=with_uavs(0, orbit.isl_m * (1 / SPEED_OF_LIGHT_M_S)),
            hops=with_uavs(0, orbit.hops),
            remaining_s=with_uavs(np.inf, orbit.access_remaining_s),
        )

    def require_chain(self, in_track_rad: FloatArray) -> None:
        """Raise ValueError for angles (B, N) that are not those of the evenly spaced chain."""
        window_rad = self._settings.window_rad
        turns = (in_track_rad - in_track_rad[:, :1] - self._lead_rad) / window_rad
        off_rad = np.abs(turns - np.rint(turns)) * window_rad
        spread_rad = in_track_rad.max(axis=-1) - in_track_rad.min(axis=-1)
        # Written so that a NaN fails as well.
        if not ((off_rad < _SPACING_SLACK_RAD).all() and (spread_rad < window_rad).all()):
            raise ValueError(
                'in_track_rad must hold angles of satellites that follow each other '
                f'{self._settings.spacing_deg:g} degrees apart, by number and cyclically; shift '
                'those of a state all together'
            )


def chain_motion(
    settings: MllmSettings, in_track_rad: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Positions [m] and velocities [m/s] (N, 3) in `map` of satellites at angles (N,) [rad].

    North is along the track, east across it, up the zenith of the area's centre.
    """
    satellites = settings.satellites
    rate_rad_s = float(spherical.orbital_rate_rad_s(satellites.altitude_m))

    def position_m(angle_rad: FloatArray) -> FloatArray:
        up, along, across = spherical.shell_position_m(
            satellites.altitude_m, angle_rad, np.radians(satellites.cross_track_deg)
        ).T
        east_m, north_m = (0.5 * side for side in settings.area_m)
        return np.column_stack([east_m + across, north_m + along, up - EARTH_RADIUS_M])

    here_m = position_m(in_track_rad)
    later_m = position_m(in_track_rad + rate_rad_s * _TRACK_STEP_S)
    return here_m, (later_m - here_m) / _TRACK_STEP_S
