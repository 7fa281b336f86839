"""Orbits: Walker shells and TLE sets, propagated with SGP4, as positions in ECEF."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from sgp4.api import (
    SGP4_ERRORS,
    WGS72,
    Satrec,
    SatrecArray,
    jday,
)

from sec_nodes.physics.checks import FloatArray, Floats, IntArray, require_positive
from sec_nodes.physics.constants import EARTH_EQUATORIAL_RADIUS_M

_DAY_S = 86_400.0
_SGP4_DAY_ZERO_JD = 2_433_281.5  # 1949 December 31, 00:00 UTC: where sgp4init counts from
_J2000_JD = 2_451_545.0
_J2 = 1.082_616e-3  # second zonal harmonic in WGS 72, the gravity model of SGP4
_WGS72_GRAVITATION_M3_S2 = 3.986_008e14
_WGS72_RADIUS_M = 6_378_135.0
_UNKNOWN = -1
_TLE_LENGTH = 69
_CHECKSUM_COLUMN = 68


@dataclass(frozen=True)
class Constellation:
    """S satellites with a common time origin."""

    satellites: SatrecArray
    """The SGP4 records."""
    names: tuple[str, ...]
    """Name of each satellite."""
    plane: IntArray
    """Index of the orbital plane (S,), -1 where unknown (TLE sets)."""
    slot: IntArray
    """Index within the plane (S,), -1 where unknown."""
    epoch_jd: tuple[float, float]
    """Time origin as a UTC Julian date: (whole part, fraction of a day)."""
    phasing: int = 0
    """Walker phasing F, see `walker_shell`."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_walker(self) -> bool:
        """True if planes and slots are known."""
        return bool((self.plane >= 0).all())


def walker_shell(
    altitude_m: float,
    inclination_rad: float,
    planes: int,
    per_plane: int,
    phasing: int,
    epoch_utc: datetime,
) -> Constellation:
    """Return the Walker delta constellation i: T/P/F with T = planes * per_plane.

    Ascending nodes are spread over 2 pi, satellites evenly within a plane, and a satellite leads
    its neighbour in the plane to the west by 2 pi F / T (Walker, J. Brit. Interplanet. Soc. 37,
    1984).  `altitude_m` is that of the mean semi-major axis above the equatorial radius of WGS 84;
    the flattening of the Earth moves the radius around it by up to 10 km, and there is no drag.
    Satellites are numbered plane by plane.  Raises ValueError for an altitude <= 0, an inclination
    outside [0, pi], counts < 1, phasing outside [0, planes) or an epoch without zone.
    """
    require_positive('altitude_m', altitude_m, 'Pass metres above the equatorial radius.')
    if not 0.0 <= inclination_rad <= math.pi:
        raise ValueError(
            f'inclination_rad is {inclination_rad}, but must lie in [0, pi]. '
            'Convert degrees with math.radians.'
        )
    if planes < 1 or per_plane < 1:
        raise ValueError(
            f'planes x per_plane is {planes} x {per_plane}, but both must be >= 1. '
            'A single satellite is 1 x 1.'
        )
    if not 0 <= phasing < planes:
        raise ValueError(
            f'phasing is {phasing}, but must lie in [0, {planes}). '
            "It is the F of Walker's notation T/P/F."
        )
    epoch_jd = _julian_date(epoch_utc)
    plane, slot = np.divmod(np.arange(planes * per_plane), per_plane)
    node = 2.0 * np.pi * plane / planes
    anomaly = 2.0 * np.pi * (slot / per_plane + phasing * plane / (planes * per_plane))
    motion_rad_min = 60.0 * _kozai_mean_motion_rad_s(altitude_m, inclination_rad)
    epoch_days = (epoch_jd[0] - _SGP4_DAY_ZERO_JD) + epoch_jd[1]
    records = []
    for number, (raan, mean_anomaly) in enumerate(
        zip(node.tolist(), anomaly.tolist(), strict=True)
    ):
        record = Satrec()
        # Order: gravity, mode, number, epoch, B*, n', n'', e, argument of perigee, i, M, n, node.
        record.sgp4init(
            *(WGS72, 'i', number % 100_000, epoch_days, 0.0, 0.0, 0.0, 0.0, 0.0),
            *(inclination_rad, mean_anomaly % (2.0 * math.pi), motion_rad_min, raan),
        )
        records.append(record)
    names = tuple(f'p{p}s{s}' for p, s in zip(plane.tolist(), slot.tolist(), strict=True))
    return Constellation(SatrecArray(records), names, plane, slot, epoch_jd, phasing)


def constellation_from_tles(tles: str | Path, epoch_utc: datetime | None = None) -> Constellation:
    """Return the constellation of a set of two-line elements, with or without name lines.

    `tles` is the text itself, or a path (a `Path`, or a string of one line).  Empty lines and
    lines that start with # are skipped.  Time counts from `epoch_utc`, or from the newest element
    set.  Raises ValueError naming the line for a wrong length, number, checksum, catalogue number
    or order, and for a set without satellites; OSError if the file cannot be read.
    """
    if isinstance(tles, Path) or '\n' not in tles.strip():
        text = Path(tles).read_text(encoding='utf-8')
    else:
        text = tles
    records: list[Satrec] = []
    names: list[str] = []
    name, first, first_number = '', '', 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.rstrip()
        if not line or line.startswith('#'):
            continue
        if line.startswith('2 ') and first:
            _check_tle_line(line, number)
            if line[2:7] != first[2:7]:
                raise ValueError(
                    f'TLE line {number} is of satellite {line[2:7]}, but line {first_number} is '
                    f'of {first[2:7]}. Keep the two lines of an element set together.'
                )
            records.append(Satrec.twoline2rv(first, line))
            names.append(name or line[2:7].strip())
            name, first = '', ''
        elif first:
            raise ValueError(
                f'TLE line {number} follows line 1 of satellite {first[2:7]}, but is not its '
                f'line 2: {line!r}. Keep the two lines of an element set together.'
            )
        elif line.startswith('1 '):
            _check_tle_line(line, number)
            first, first_number = line, number
        elif line.startswith('2 '):
            raise ValueError(
                f'TLE line {number} is a line 2 without its line 1: {line!r}. '
                'Keep the two lines of an element set together.'
            )
        else:
            name = line.removeprefix('0 ').strip()
    if first:
        raise ValueError(
            f'TLE line {first_number} is the last line, but its line 2 is missing. '
            'The text seems to be cut off.'
        )
    if not records:
        raise ValueError('The TLE text holds no element set. Pass lines that start with 1 and 2.')
    if epoch_utc is None:
        newest = max(records, key=lambda record: record.jdsatepoch + record.jdsatepochF)
        epoch_jd = (newest.jdsatepoch, newest.jdsatepochF)
    else:
        epoch_jd = _julian_date(epoch_utc)
    unknown = np.full(len(records), _UNKNOWN)
    return Constellation(SatrecArray(records), tuple(names), unknown, unknown.copy(), epoch_jd)


def positions_ecef_m(constellation: Constellation, time_s: Floats) -> FloatArray:
    """Return the positions of all S satellites [m; ECEF], shape of `time_s` + (S, 3).

    `time_s` counts from the constellation's epoch.  See `states_ecef` for the frame and errors.
    """
    return states_ecef(constellation, time_s)[0]


def states_ecef(constellation: Constellation, time_s: Floats) -> tuple[FloatArray, FloatArray]:
    """Return positions [m] and velocities relative to the Earth [m/s], both ECEF.

    Shapes are that of `time_s` + (S, 3).  SGP4's TEME frame is turned by the IAU 1982 sidereal
    time, which is exact by the definition of TEME (Vallado et al., "Revisiting Spacetrack Report
    #3", AIAA 2006-6753, app. C); no equation of the equinoxes enters.  Neglected are polar motion
    (below 15 m on the ground) and UT1 - UTC (below 0.9 s, a turn of at most 420 m at the equator);
    SGP4 itself is good to about 1 km.  Raises ValueError if SGP4 cannot propagate a satellite,
    with its name, the time and the reason, e.g. a decayed orbit.
    """
    time = np.asarray(time_s, dtype=float)
    flat = np.atleast_1d(time).ravel()
    whole, fraction = _split_days(constellation.epoch_jd, flat)
    error, position_km, velocity_km_s = constellation.satellites.sgp4(whole, fraction)
    if error.any():
        satellite, sample = (int(i) for i in np.argwhere(error)[0])
        reason = SGP4_ERRORS.get(int(error[satellite, sample]), 'unknown error')
        raise ValueError(
            f'SGP4 cannot propagate satellite {constellation.names[satellite]} to '
            f'{flat[sample]} s after the epoch: {reason}. '
            'Use elements closer to that time, or leave the satellite out.'
        )
    angle = gmst_rad(whole, fraction)[None, :]
    position = ecef_from_teme(1e3 * position_km, angle)
    velocity = ecef_from_teme(1e3 * velocity_km_s, angle)
    # The frame turns below the satellite: v_ecef = R v_teme - omega x r_ecef.
    spin = _sidereal_rate_rad_s()
    velocity[..., 0] += spin * position[..., 1]
    velocity[..., 1] -= spin * position[..., 0]
    shape = (*time.shape, len(constellation), 3)
    return (
        position.swapaxes(0, 1).reshape(shape),
        velocity.swapaxes(0, 1).reshape(shape),
    )


def ecef_from_teme(vectors_teme: FloatArray, gmst: Floats) -> FloatArray:
    """Turn vectors (..., 3) from TEME to ECEF by the sidereal angle `gmst` [rad], (...)."""
    cos, sin = np.cos(gmst), np.sin(gmst)
    x, y, z = np.moveaxis(vectors_teme, -1, 0)
    return np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=-1)


def gmst_rad(jd: Floats, fraction: Floats) -> FloatArray:
    """Return the Greenwich mean sidereal time [rad, 0 to 2 pi) of a UT1 Julian date (IAU 1982).

    The date is `jd` + `fraction`, split to keep its digits; UTC in place of UT1 is off by less
    than 0.9 s.  Vallado, Fundamentals of Astrodynamics, eq. (3-47).
    """
    days = (np.asarray(jd) - _J2000_JD) + fraction
    century = days / 36_525.0
    # The whole turns of 876 600 h a century are dropped before they can cost digits.
    turns = np.mod(np.asarray(jd) - _J2000_JD, 1.0) + np.mod(fraction, 1.0)
    excess_s = 67_310.548_41 + century * (
        8_640_184.812_866 + century * (0.093_104 - 6.2e-6 * century)
    )
    return np.mod(2.0 * np.pi * (turns + excess_s / _DAY_S), 2.0 * np.pi)


def _sidereal_rate_rad_s() -> float:
    """Return the rate of `gmst_rad` [rad/s], its slow change within decades left out."""
    return 2.0 * math.pi * (1.0 + 8_640_184.812_866 / (36_525.0 * _DAY_S)) / _DAY_S


def _split_days(
    epoch_jd: tuple[float, float], time_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return Julian dates as (whole, fraction) so that microseconds survive."""
    days = epoch_jd[1] + time_s / _DAY_S
    carry = np.floor(days)
    return epoch_jd[0] + carry, days - carry


def _julian_date(epoch_utc: datetime) -> tuple[float, float]:
    """Return a time with zone as a UTC Julian date (whole, fraction)."""
    if epoch_utc.tzinfo is None:
        raise ValueError(
            f'epoch_utc is {epoch_utc}, but must have a time zone. '
            'Pass datetime(..., tzinfo=timezone.utc).'
        )
    t = epoch_utc.astimezone(timezone.utc)
    whole, fraction = jday(
        t.year, t.month, t.day, t.hour, t.minute, t.second + 1e-6 * t.microsecond
    )
    return float(whole), float(fraction)


def _kozai_mean_motion_rad_s(altitude_m: float, inclination_rad: float) -> float:
    """Return the mean motion to give SGP4 so that its mean semi-major axis has the altitude.

    SGP4 reads Kozai's mean motion, which includes a J2 term, and removes it first (Hoots and
    Roehrich, Spacetrack Report #3, sec. 6).  Without this a shell would be off by kilometres.
    """
    axis_m = EARTH_EQUATORIAL_RADIUS_M + altitude_m
    kepler = math.sqrt(_WGS72_GRAVITATION_M3_S2 / axis_m**3)
    cos2 = math.cos(inclination_rad) ** 2
    oblateness = 0.75 * _J2 * (3.0 * cos2 - 1.0) * (_WGS72_RADIUS_M / axis_m) ** 2
    return kepler * (1.0 + oblateness)


def _check_tle_line(line: str, number: int) -> None:
    """Raise ValueError unless a TLE line has its length and checksum."""
    if len(line) != _TLE_LENGTH:
        raise ValueError(
            f'TLE line {number} has {len(line)} characters, but must have {_TLE_LENGTH}: '
            f'{line!r}. Copy the element set again.'
        )
    body, given = line[:_CHECKSUM_COLUMN], line[_CHECKSUM_COLUMN]
    # Sum of the digits modulo 10, each minus sign counted as 1.
    total = sum(int(c) for c in body if c.isdigit()) + body.count('-')
    if given != str(total % 10):
        raise ValueError(
            f'TLE line {number} has the checksum {given}, but its digits give {total % 10}: '
            f'{line!r}. Copy the element set again.'
        )
