import math
from datetime import datetime, timezone

import numpy as np
import pytest

from sec_nodes.physics import orbit, visibility
from sec_nodes.physics.geodesy import Site

EPOCH = datetime(2025, 3, 20, 12, 0, tzinfo=timezone.utc)
BEIJING = Site(math.radians(39.9), math.radians(116.4), 40.0)
MINIMUM = math.radians(20.0)
SPAN_S = (300.0, 4500.0)


@pytest.fixture(scope='module')
def shell():
    return orbit.walker_shell(550e3, math.radians(53.0), 8, 10, 3, EPOCH)


@pytest.fixture(scope='module')
def windows(shell):
    return visibility.visibility_windows(shell, BEIJING, *SPAN_S, MINIMUM)


def elevation_at(shell, times_s, satellites):
    """Return the elevation of satellite i at time i, straight from SGP4."""
    elevation = visibility.look_at(shell, BEIJING, times_s)[0]
    return elevation[np.arange(len(times_s)), satellites]


def test_equatorial_pass_against_the_closed_form():
    # At the equator, an equatorial orbit and the ellipsoid are circles: the pass takes
    # 2 omega / (n - omega_E).  For a mean axis of 6928.137 km, e = J2 (R / a)^2 = 9.175e-4 makes
    # the satellite faster by 3 e (the secular rates of mean anomaly, perigee and node together)
    # and, because then n^2 r^3 = mu (1 + 1.5 e), the circle smaller by 1.5 e: 9.5 km.
    low = orbit.walker_shell(550e3, 0.0, 1, 1, 0, EPOCH)
    found = visibility.visibility_windows(low, Site(0.0, 0.0, 0.0), 0.0, 12_000.0, MINIMUM)
    whole = ~found.rise_clipped & ~found.set_clipped
    assert whole.any()
    e = 1.082616e-3 * (6378.135 / 6928.137) ** 2
    half_angle = math.acos(6378.137 / (6928.137 * (1 - 1.5 * e)) * math.cos(MINIMUM)) - MINIMUM
    rate = math.sqrt(3.986008e14 / 6.928137e6**3) * (1 + 3 * e) - 7.2921159e-5
    np.testing.assert_allclose(
        (found.set_s - found.rise_s)[whole], 2 * half_angle / rate, rtol=1e-4
    )
    np.testing.assert_allclose(found.peak_elevation_rad[whole], math.pi / 2, atol=1e-3)


def test_edges_are_exact_to_a_millisecond(shell, windows):
    for times, clipped, direction in (
        (windows.rise_s, windows.rise_clipped, 1),
        (windows.set_s, windows.set_clipped, -1),
    ):
        assert (~clipped).sum() >= 10
        times, satellites = times[~clipped], windows.satellite[~clipped]
        early = elevation_at(shell, times - 1e-3, satellites) - MINIMUM
        late = elevation_at(shell, times + 1e-3, satellites) - MINIMUM
        assert np.all(direction * early < 0)
        assert np.all(direction * late > 0)


def test_windows_are_all_the_times_of_visibility(shell, windows):
    times = np.arange(SPAN_S[0] + 0.37, SPAN_S[1], 3.0)
    up = visibility.look_at(shell, BEIJING, times)[0] >= MINIMUM
    claimed = np.zeros_like(up)
    for satellite, rise_s, set_s in zip(
        windows.satellite, windows.rise_s, windows.set_s, strict=True
    ):
        claimed[(times >= rise_s) & (times < set_s), satellite] = True
    np.testing.assert_array_equal(claimed, up)


def test_peaks_are_the_highest_elevations(shell, windows):
    for w in range(len(windows)):
        times = np.linspace(windows.rise_s[w], windows.set_s[w], 200)
        satellites = np.full(200, windows.satellite[w])
        sampled = elevation_at(shell, times, satellites).max()
        # Between samples of up to 2 s the elevation can rise a little further, never sink.
        assert sampled - 1e-6 <= windows.peak_elevation_rad[w] < sampled + 2e-3


def test_windows_are_sorted_and_clipped_to_the_span(shell, windows):
    assert np.all(np.diff(windows.satellite) >= 0)
    same = np.diff(windows.satellite) == 0
    assert np.all(windows.rise_s[1:][same] > windows.set_s[:-1][same])
    assert np.all(windows.set_s > windows.rise_s)
    np.testing.assert_array_equal(windows.rise_clipped, windows.rise_s == SPAN_S[0])
    np.testing.assert_array_equal(windows.set_clipped, windows.set_s == SPAN_S[1])
    up = visibility.look_at(shell, BEIJING, SPAN_S[0])[0] >= MINIMUM
    np.testing.assert_array_equal(windows.satellite[windows.rise_clipped], np.flatnonzero(up))
    assert up.any()


def test_the_step_does_not_matter(shell, windows):
    # Passes shorter than the step must not get lost, so a minute finds the same windows.
    coarse = visibility.visibility_windows(shell, BEIJING, *SPAN_S, MINIMUM, step_s=60.0)
    np.testing.assert_array_equal(coarse.satellite, windows.satellite)
    np.testing.assert_allclose(coarse.rise_s, windows.rise_s, atol=5e-3)
    np.testing.assert_allclose(coarse.set_s, windows.set_s, atol=5e-3)
    np.testing.assert_allclose(coarse.peak_elevation_rad, windows.peak_elevation_rad, atol=1e-5)


def test_a_pass_between_two_nodes_is_found(shell):
    # Ask for just less than the culmination of a pass: what is left is shorter than a step.
    every = visibility.visibility_windows(shell, BEIJING, *SPAN_S, MINIMUM)
    w = int(
        np.argmax(np.where(every.rise_clipped | every.set_clipped, 0, every.peak_elevation_rad))
    )
    limit = every.peak_elevation_rad[w] - 1e-5
    found = visibility.visibility_windows(shell, BEIJING, *SPAN_S, limit, step_s=30.0)
    mine = (found.satellite == every.satellite[w]) & (found.rise_s > every.rise_s[w])
    assert mine.sum() >= 1
    length_s = (found.set_s - found.rise_s)[mine][0]
    assert 0 < length_s < 10.0


@pytest.mark.parametrize('shift_s', range(0, 30, 5))
def test_a_short_pass_is_one_window_wherever_the_nodes_fall(shell, windows, shift_s):
    # Half a minute around a culmination, with 0, 1 or 2 nodes of a 30 s grid inside it.
    whole = ~(windows.rise_clipped | windows.set_clipped)
    w = int(np.argmax(np.where(whole, windows.peak_elevation_rad, 0.0)))
    limit = windows.peak_elevation_rad[w] - math.radians(3.0)
    start_s = windows.rise_s[w] - 60.0 + shift_s
    found = visibility.visibility_windows(shell, BEIJING, start_s, start_s + 900.0, limit, 30.0)
    mine = found.satellite == windows.satellite[w]
    assert mine.sum() == 1
    edges = np.array([found.rise_s[mine][0], found.set_s[mine][0]])
    assert 5.0 < edges[1] - edges[0] < 60.0
    np.testing.assert_allclose(
        elevation_at(shell, edges, np.full(2, windows.satellite[w])), limit, atol=1e-6
    )
    assert found.peak_elevation_rad[mine][0] == pytest.approx(
        windows.peak_elevation_rad[w], abs=1e-6
    )


def test_blocks_do_not_matter(shell, windows, monkeypatch):
    monkeypatch.setattr(visibility, '_NODES_AT_ONCE', 40 * len(shell))
    again = visibility.visibility_windows(shell, BEIJING, *SPAN_S, MINIMUM)
    np.testing.assert_array_equal(again.satellite, windows.satellite)
    np.testing.assert_allclose(again.rise_s, windows.rise_s, atol=1e-6)
    np.testing.assert_allclose(again.peak_elevation_rad, windows.peak_elevation_rad, atol=1e-9)


def test_remaining_visibility(shell, windows):
    time = 0.5 * (windows.rise_s[3] + windows.set_s[3])
    satellite = windows.satellite[3]
    left_s = visibility.remaining_visibility_s(windows, time, len(shell))
    assert left_s.shape == (len(shell),)
    assert left_s[satellite] == pytest.approx(windows.set_s[3] - time)
    up = visibility.look_at(shell, BEIJING, time)[0] >= MINIMUM
    np.testing.assert_array_equal(left_s > 0, up)
    many = visibility.remaining_visibility_s(windows, np.array([[time, time + 1.0]]), len(shell))
    assert many.shape == (1, 2, len(shell))
    np.testing.assert_array_equal(many[0, 0], left_s)
    assert many[0, 1, satellite] == pytest.approx(left_s[satellite] - 1.0)


def test_nothing_is_visible_at_the_pole_from_an_equatorial_orbit():
    low = orbit.walker_shell(550e3, 0.0, 1, 4, 0, EPOCH)
    found = visibility.visibility_windows(low, Site(math.pi / 2, 0.0, 0.0), 0.0, 6000.0, 0.1)
    assert len(found) == 0
    np.testing.assert_array_equal(visibility.remaining_visibility_s(found, 10.0, 4), np.zeros(4))


def test_always_visible_is_one_window_clipped_at_both_ends():
    # A geostationary height: 35 786 km over the equator; a minute is far less than a day.
    high = orbit.walker_shell(35_786e3, 0.0, 1, 8, 0, EPOCH)
    found = visibility.visibility_windows(high, Site(0.0, 0.0, 0.0), 0.0, 60.0, 0.05)
    assert len(found) >= 2
    assert found.rise_clipped.all()
    assert found.set_clipped.all()
    assert np.all(found.peak_elevation_rad > 0.05)


@pytest.mark.parametrize(
    ('start_s', 'end_s', 'minimum', 'step_s', 'named'),
    [
        (10.0, 10.0, 0.1, 10.0, 'start_s is 10.0'),
        (0.0, 10.0, 0.1, 0.0, 'step_s is 0'),
        (0.0, 10.0, 0.1, 120.0, 'step_s is 120'),
        (0.0, 10.0, 25.0, 10.0, 'minimum_elevation_rad is 25'),
    ],
)
def test_wrong_questions_are_named(shell, start_s, end_s, minimum, step_s, named):
    with pytest.raises(ValueError, match=named):
        visibility.visibility_windows(shell, BEIJING, start_s, end_s, minimum, step_s)


def test_too_small_a_constellation_is_named(windows):
    with pytest.raises(ValueError, match='satellites is 2'):
        visibility.remaining_visibility_s(windows, 1000.0, 2)
