"""Sites on the ground: geodetic coordinates, local ENU frames, look angles.

ECEF is the Earth-fixed WGS 84 frame.  It stays inside the orbit code; vehicles, devices and
messages use the ENU frame of a site.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pyproj

from sec_nodes.physics.checks import (
    FloatArray,
    Floats,
    require_finite,
    require_last_axis,
)


@dataclass(frozen=True)
class Site:
    """A place on the WGS 84 ellipsoid, the origin of a local ENU frame."""

    latitude_rad: float
    """Geodetic latitude [rad; -pi/2 to pi/2]."""
    longitude_rad: float
    """Longitude [rad; east positive]."""
    altitude_m: float
    """Height above the ellipsoid [m]."""

    def __post_init__(self) -> None:
        if not abs(self.latitude_rad) <= math.pi / 2:
            raise ValueError(
                f'latitude_rad is {self.latitude_rad}, but must lie in [-pi/2, pi/2]. '
                'Convert degrees with math.radians.'
            )
        require_finite('longitude_rad', self.longitude_rad, 'Pass radians, east positive.')
        require_finite('altitude_m', self.altitude_m, 'Pass metres above the ellipsoid.')

    @cached_property
    def position_ecef_m(self) -> FloatArray:
        """Position (3,) [m; ECEF]."""
        return site_ecef_m(self.latitude_rad, self.longitude_rad, self.altitude_m)

    @cached_property
    def enu_from_ecef_rotation(self) -> FloatArray:
        """Rotation (3, 3) whose rows are the east, north and up axes in ECEF."""
        sin_lat, cos_lat = math.sin(self.latitude_rad), math.cos(self.latitude_rad)
        sin_lon, cos_lon = math.sin(self.longitude_rad), math.cos(self.longitude_rad)
        return np.array(
            [
                [-sin_lon, cos_lon, 0.0],
                [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
                [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
            ]
        )


@lru_cache(maxsize=1)
def _ecef_from_geodetic() -> pyproj.Transformer:
    """Return the transformer from WGS 84 geodetic (EPSG:4979) to ECEF (EPSG:4978)."""
    return pyproj.Transformer.from_crs('EPSG:4979', 'EPSG:4978', always_xy=True)


def site_ecef_m(latitude_rad: Floats, longitude_rad: Floats, altitude_m: Floats) -> FloatArray:
    """Return WGS 84 geodetic coordinates, arrays (...), as positions (..., 3) [m; ECEF].

    Raises ValueError for coordinates that are not finite or a latitude beyond a pole.
    """
    require_finite('latitude_rad', latitude_rad, 'Pass geodetic latitudes in radians.')
    require_finite('longitude_rad', longitude_rad, 'Pass longitudes in radians.')
    require_finite('altitude_m', altitude_m, 'Pass metres above the ellipsoid.')
    if np.any(np.abs(latitude_rad) > math.pi / 2):
        raise ValueError(
            f'latitude_rad reaches {np.max(np.abs(latitude_rad))}, but must lie in '
            '[-pi/2, pi/2]. Convert degrees with numpy.radians.'
        )
    longitude, latitude, altitude = np.broadcast_arrays(longitude_rad, latitude_rad, altitude_m)
    xyz = _ecef_from_geodetic().transform(longitude, latitude, altitude, radians=True)
    return np.stack([np.asarray(axis, dtype=float) for axis in xyz], axis=-1)


def enu_from_ecef(points_ecef_m: FloatArray, site: Site) -> FloatArray:
    """Return points (..., 3) [m; ECEF] in the ENU frame of the site [m].

    Raises ValueError for a wrong last axis.
    """
    require_last_axis('points_ecef_m', points_ecef_m, 3)
    return np.asarray((points_ecef_m - site.position_ecef_m) @ site.enu_from_ecef_rotation.T)


def ecef_from_enu(points_enu_m: FloatArray, site: Site) -> FloatArray:
    """Return points (..., 3) of the site's ENU frame [m] in ECEF [m]."""
    require_last_axis('points_enu_m', points_enu_m, 3)
    return np.asarray(points_enu_m @ site.enu_from_ecef_rotation + site.position_ecef_m)


def look_angles(positions_enu_m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (elevation [rad], azimuth [rad], range [m]), each (...), of points (..., 3) [ENU].

    Elevation is above the local horizontal.  Azimuth is that of surveyors and antenna rotators,
    from north clockwise in [0, 2 pi); a ROS yaw is pi/2 minus it.  Raises ValueError for a wrong
    last axis.
    """
    require_last_axis('positions_enu_m', positions_enu_m, 3)
    east, north, up = np.moveaxis(positions_enu_m, -1, 0)
    horizontal = np.hypot(east, north)
    elevation = np.arctan2(up, horizontal)
    azimuth = np.mod(np.arctan2(east, north), 2.0 * np.pi)
    return elevation, azimuth, np.hypot(horizontal, up)
