"""Orbits, look angles and passes against Skyfield, an independent implementation.

Skyfield's own tables give UT1 - UTC; ours leaves it out, as it leaves out polar motion. On the
day of the test that is below 0.1 s, a turn of the Earth by below 50 m at the equator.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone

import numpy as np
import pytest
from skyfield.api import EarthSatellite, load, wgs84

from sec_nodes.physics.geodesy import Site
from sec_nodes.physics.orbit import constellation_from_tles
from sec_nodes.physics.visibility import look_at, visibility_windows

EPOCH = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)
ELEMENTS = (
    '1 25544U 98067A   24001.50000000  .00016717  00000-0  10270-3 0  900',
    '2 25544  51.6400 208.9163 0006317  69.9862  25.2906 15.49560532    1',
)
LATITUDE_DEG, LONGITUDE_DEG, ALTITUDE_M = 54.0, 7.9, 10.0
MASK_DEG = 10.0


def lines():
    """The elements with their checksums."""
    padded = [text.ljust(68, '0') for text in ELEMENTS]
    return [
        text + str((sum(int(c) for c in text if c.isdigit()) + text.count('-')) % 10)
        for text in padded
    ]


@pytest.fixture(scope='module')
def sky():
    """Skyfield's satellite, place and clock."""
    clock = load.timescale(builtin=True)
    satellite = EarthSatellite(*lines(), 'ISS', clock)
    return satellite, wgs84.latlon(LATITUDE_DEG, LONGITUDE_DEG, ALTITUDE_M), clock


@pytest.fixture(scope='module')
def ours():
    site = Site(math.radians(LATITUDE_DEG), math.radians(LONGITUDE_DEG), ALTITUDE_M)
    return constellation_from_tles('\n'.join(lines()), EPOCH), site


def test_look_angles_agree(sky, ours):
    satellite, place, clock = sky
    time_s = np.arange(0.0, 86400.0, 600.0)
    elevation, azimuth, range_m = (value[:, 0] for value in look_at(*ours, time_s))
    height, bearing, distance = (
        (satellite - place).at(clock.utc(2024, 1, 1, 12, 0, time_s)).altaz()
    )
    np.testing.assert_allclose(range_m, distance.m, atol=20.0)
    np.testing.assert_allclose(elevation, height.radians, atol=2e-5)
    turn = np.abs(np.angle(np.exp(1j * (azimuth - bearing.radians))))
    assert (turn * np.cos(elevation)).max() < 2e-5


def test_passes_agree(sky, ours):
    satellite, place, clock = sky
    start, end = clock.utc(2024, 1, 1, 12), clock.utc(2024, 1, 2, 12)
    times, events = satellite.find_events(place, start, end, altitude_degrees=MASK_DEG)
    at_s = (times - start) * 86400.0
    windows = visibility_windows(*ours, 0.0, 86400.0, math.radians(MASK_DEG))
    assert windows.rise_clipped.tolist() == [True] + [False] * (len(windows) - 1)
    assert len(windows) == 5
    # one of the passes barely clears the mask, where a second changes little
    np.testing.assert_allclose(windows.rise_s[1:], at_s[events == 0], atol=0.3)
    np.testing.assert_allclose(windows.set_s, at_s[events == 2], atol=0.3)
    peaks = (satellite - place).at(times[events == 1]).altaz()[0]
    np.testing.assert_allclose(windows.peak_elevation_rad[-4:], peaks.radians[-4:], atol=2e-5)
