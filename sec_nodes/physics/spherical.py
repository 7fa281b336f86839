"""Closed-form satellite geometry on a spherical Earth, for circular orbits over a point.

This is the deterministic orbit model of Yan et al. (Drones 2025, 9, 500), eqs. (4) and (5): the
satellites of a shell pass the area at constant angular rate, Earth rotation ignored.  Real orbits
are in `orbit` and `visibility`.
"""

from __future__ import annotations

import math

import numpy as np

from sec_nodes.physics.checks import FloatArray, Floats, require_nonnegative, require_positive
from sec_nodes.physics.constants import EARTH_GRAVITATION_M3_S2, EARTH_RADIUS_M


def orbital_rate_rad_s(altitude_m: Floats) -> FloatArray:
    """Return the angular rate sqrt(mu / (R_E + H)^3) of a circular orbit [rad/s].

    Raises ValueError for a negative altitude.
    """
    require_nonnegative('altitude_m', altitude_m, 'Pass the height above the Earth in metres.')
    return np.sqrt(EARTH_GRAVITATION_M3_S2 / np.power(EARTH_RADIUS_M + altitude_m, 3.0))


def footprint_half_angle_rad(altitude_m: Floats, minimum_elevation_rad: Floats) -> FloatArray:
    """Return the Earth-central half angle of a satellite's footprint [rad].

    omega = arccos(R_E / (R_E + H) cos theta) - theta: Yan et al. 2025, eq. (5) with its missing
    parentheses, and theta the *minimum* elevation (with the instantaneous one, as printed, a
    satellite at the zenith would have no time left).  Raises ValueError for a negative altitude
    or an elevation outside [0, pi/2].
    """
    require_nonnegative('altitude_m', altitude_m, 'Pass the height above the Earth in metres.')
    _require_elevation(minimum_elevation_rad)
    ratio = EARTH_RADIUS_M / (EARTH_RADIUS_M + altitude_m)
    return np.arccos(ratio * np.cos(minimum_elevation_rad)) - minimum_elevation_rad


def zenith_pass_s(altitude_m: Floats, minimum_elevation_rad: Floats) -> FloatArray:
    """Return how long a pass through the zenith lasts [s]: Yan et al. 2025, eqs. (4) and (5).

    T = l / v with l = 2 (R_E + H) omega measured on the orbit and v the orbital speed; 442.636 s
    at 500 km and 10 degrees.  Errors as `footprint_half_angle_rad`.
    """
    half_angle = footprint_half_angle_rad(altitude_m, minimum_elevation_rad)
    return 2.0 * half_angle / orbital_rate_rad_s(altitude_m)


def wrap_angle(angle_rad: Floats, window_rad: float) -> FloatArray:
    """Wrap in-track angles into [-window/2, window/2): the next satellite takes over the index.

    Raises ValueError for a window that is not positive.
    """
    require_positive('window_rad', window_rad, 'It is the number of satellites times the spacing.')
    return np.mod(np.asarray(angle_rad) + 0.5 * window_rad, window_rad) - 0.5 * window_rad


def central_angle_rad(in_track_rad: Floats, cross_track_rad: Floats) -> FloatArray:
    """Return the Earth-central angle between satellite and site [rad].

    arccos(cos phi cos psi) for a satellite `in_track_rad` phi along and `cross_track_rad` psi
    across the track through the zenith.
    """
    # The half-angle form keeps small angles; arccos of a number near 1 loses half its digits.
    along, across = np.sin(np.divide(in_track_rad, 2)), np.sin(np.divide(cross_track_rad, 2))
    haversine = along * along + np.cos(in_track_rad) * across * across
    return 2.0 * np.arcsin(np.sqrt(np.clip(haversine, 0.0, 1.0)))


def elevation_rad(altitude_m: Floats, central_rad: Floats) -> FloatArray:
    """Return the elevation of a satellite above the horizon [rad], negative below it.

    Raises ValueError for a negative altitude.
    """
    require_nonnegative('altitude_m', altitude_m, 'Pass the height above the Earth in metres.')
    ratio = EARTH_RADIUS_M / (EARTH_RADIUS_M + altitude_m)
    return np.arctan2(np.cos(central_rad) - ratio, np.sin(central_rad))


def slant_range_m(altitude_m: Floats, central_rad: Floats) -> FloatArray:
    """Return the distance between site and satellite [m] by the law of cosines.

    Raises ValueError for a negative altitude.
    """
    require_nonnegative('altitude_m', altitude_m, 'Pass the height above the Earth in metres.')
    radius = EARTH_RADIUS_M + altitude_m
    # (r - R)^2 + 4 r R sin^2(gamma / 2): the law of cosines without its cancellation.
    chord = np.square(np.sin(np.divide(central_rad, 2)))
    return np.sqrt(np.square(altitude_m) + 4.0 * EARTH_RADIUS_M * radius * chord)


def remaining_pass_s(
    altitude_m: Floats,
    minimum_elevation_rad: Floats,
    in_track_rad: Floats,
    cross_track_rad: Floats,
) -> FloatArray:
    """Return how long a satellite stays above the minimum elevation [s], 0 if it is below it.

    (phi_set - phi) / omega_o with cos phi_set = cos gamma_max / cos psi, phi increasing in time;
    the remaining time that a decision needs in place of the pass length (4) of Yan et al. 2025.
    Angles broadcast.  Errors as `footprint_half_angle_rad`.
    """
    reach = footprint_half_angle_rad(altitude_m, minimum_elevation_rad)
    cosine = np.cos(reach) / np.cos(cross_track_rad)
    set_angle = np.arccos(np.clip(cosine, -1.0, 1.0))  # 0 for a track that never rises
    rate = orbital_rate_rad_s(altitude_m)
    visible = central_angle_rad(in_track_rad, cross_track_rad) <= reach
    left_s = (set_angle - np.asarray(in_track_rad)) / rate
    return np.where(visible, np.maximum(left_s, 0.0), 0.0)


def shell_position_m(
    altitude_m: float, in_track_rad: FloatArray, cross_track_rad: Floats
) -> FloatArray:
    """Return positions (..., 3) [m], x through the zenith, y along the track, z across it.

    The origin is the centre of the Earth; `in_track_rad` has shape (...).  Raises ValueError for a
    negative altitude.
    """
    require_nonnegative('altitude_m', altitude_m, 'Pass the height above the Earth in metres.')
    along, across = np.broadcast_arrays(in_track_rad, cross_track_rad)
    unit = np.stack(
        [np.cos(along) * np.cos(across), np.sin(along) * np.cos(across), np.sin(across)], axis=-1
    )
    return (EARTH_RADIUS_M + altitude_m) * unit


def _require_elevation(elevation: Floats) -> None:
    if not np.all((np.asarray(elevation) >= 0) & (np.asarray(elevation) <= math.pi / 2)):
        raise ValueError(
            f'minimum_elevation_rad is {elevation}, but must lie in [0, pi/2]. '
            'Convert degrees with math.radians.'
        )
