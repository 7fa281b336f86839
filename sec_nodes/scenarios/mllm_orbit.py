"""Satellites of the mllm scenario: a chain that passes the area, deterministic once it has begun.

A satellite that leaves the window in which the chain repeats is replaced by the next one, which
takes over its number. Computed in float64: a satellite covers a metre in 1.5e-7 rad.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from sec_nodes.physics import spherical
from sec_nodes.physics.isl import chain_routes
from sec_nodes.scenarios.mllm_settings import Satellites
from sec_nodes.scenarios.mllm_types import Orbit
from sec_nodes.slot import FloatArray


class Chain:
    """The satellites' motion and what follows from it.

    Args:
        settings: the satellites.
        dtype: of the arrays in `Orbit`.
    """

    def __init__(self, settings: Satellites, dtype: DTypeLike = np.float64) -> None:
        self._settings, self._dtype = settings, dtype
        self._cross_track_rad = np.radians(settings.cross_track_deg)
        self._lowest_rad = math.radians(settings.minimum_elevation_deg)
        self.rate_rad_s = float(spherical.orbital_rate_rad_s(settings.altitude_m))
        """Angular rate of the orbit [rad/s]."""

    def start(self, phase: FloatArray) -> FloatArray:
        """In-track angles (B, N) [rad] at the start of an episode.

        Args:
            phase: (B,) in [0, 1), where in the window the first satellite begins.
        """
        window_rad = self._settings.window_rad
        lead_rad = np.arange(self._settings.count) * math.radians(self._settings.spacing_deg)
        return spherical.wrap_angle(phase[:, None] * window_rad + lead_rad, window_rad)

    def after(self, in_track_rad: FloatArray, time_s: float) -> FloatArray:
        """In-track angles (B, N) [rad] a time later."""
        later_rad = in_track_rad + self.rate_rad_s * time_s
        return spherical.wrap_angle(later_rad, self._settings.window_rad)

    def orbit(self, in_track_rad: FloatArray) -> Orbit:
        """What (B, N) in-track angles [rad] mean for the area: eqs (4) and (5) as corrected."""
        altitude_m = self._settings.altitude_m
        central_rad = spherical.central_angle_rad(in_track_rad, self._cross_track_rad)
        elevation_rad = spherical.elevation_rad(altitude_m, central_rad)
        slant_m = spherical.slant_range_m(altitude_m, central_rad)
        remaining_s = spherical.remaining_pass_s(
            altitude_m, self._lowest_rad, in_track_rad, self._cross_track_rad
        )
        visible = elevation_rad >= self._lowest_rad
        # argmax takes the lowest index on ties.
        highest = np.where(visible, elevation_rad, -np.inf).argmax(axis=-1)[:, None]
        itself = np.arange(self._settings.count)
        has_access = np.broadcast_to(visible.any(axis=-1)[:, None], visible.shape)
        through = np.where(visible, itself, highest)

        position_m = spherical.shell_position_m(altitude_m, in_track_rad, self._cross_track_rad)
        hops, isl_m = chain_routes(position_m, in_track_rad)

        def at_access(table: FloatArray) -> FloatArray:
            return np.take_along_axis(table, through, axis=-1).astype(self._dtype)

        def along_chain(table: FloatArray) -> FloatArray:
            return np.take_along_axis(table, through[..., None], axis=-1)[..., 0]

        return Orbit(
            visible=visible,
            elevation_rad=elevation_rad.astype(self._dtype),
            slant_m=slant_m.astype(self._dtype),
            remaining_s=remaining_s.astype(self._dtype),
            access=np.where(has_access, through, -1),
            has_access=has_access,
            hops=np.where(has_access, along_chain(hops), 0),
            isl_m=np.where(has_access, along_chain(isl_m), 0.0).astype(self._dtype),
            access_slant_m=at_access(slant_m),
            access_remaining_s=at_access(remaining_s),
        )
