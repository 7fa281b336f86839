import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sec_nodes.physics import spherical

H = 500e3
TEN_DEGREES = math.radians(10.0)


def test_orbital_rate_of_the_paper():
    # sqrt(3.986004418e14 / 6.871e6^3) = 1.108508e-3 rad/s: one turn in 94.5 minutes.
    assert spherical.orbital_rate_rad_s(H) == pytest.approx(1.108508e-3, rel=5e-7)


def test_zenith_pass_of_the_paper():
    # omega = arccos(6371/6871 cos 10) - 10 deg = 0.2453335 rad; 2 omega / 1.108508e-3 = 442.636 s.
    assert spherical.footprint_half_angle_rad(H, TEN_DEGREES) == pytest.approx(0.24533, abs=1e-5)
    assert spherical.zenith_pass_s(H, TEN_DEGREES) == pytest.approx(442.636, abs=5e-4)


def test_a_pass_at_ninety_degrees_takes_no_time():
    assert spherical.zenith_pass_s(H, math.pi / 2) == pytest.approx(0.0, abs=1e-9)


@given(st.floats(2e5, 2e6), st.floats(0.0, 1.5), st.floats(0.001, 0.05))
def test_higher_orbits_and_lower_horizons_last_longer(altitude_m, elevation, more):
    base = spherical.zenith_pass_s(altitude_m, elevation)
    assert spherical.zenith_pass_s(altitude_m * (1 + more), elevation) > base
    assert spherical.zenith_pass_s(altitude_m, elevation + more) < base


def test_overhead_and_opposite_satellites():
    assert spherical.slant_range_m(H, 0.0) == pytest.approx(H)
    assert spherical.elevation_rad(H, 0.0) == pytest.approx(math.pi / 2)
    assert spherical.slant_range_m(H, math.pi) == pytest.approx(2 * 6.371e6 + H)
    assert spherical.elevation_rad(H, math.pi) == pytest.approx(-math.pi / 2)


def test_at_the_rim_of_the_footprint_the_elevation_is_the_minimum():
    rim = spherical.footprint_half_angle_rad(H, TEN_DEGREES)
    assert spherical.elevation_rad(H, rim) == pytest.approx(TEN_DEGREES)
    # Slant range at 10 deg, 3GPP TR 38.811 (6.6-3): sqrt(R^2 sin^2 + H^2 + 2 H R) - R sin.
    sine = 6.371e6 * math.sin(TEN_DEGREES)
    expected = math.sqrt(sine**2 + H**2 + 2 * H * 6.371e6) - sine
    assert spherical.slant_range_m(H, rim) == pytest.approx(expected)


@given(st.floats(-3.0, 3.0), st.floats(-1.5, 1.5))
def test_central_angle_is_the_spherical_law(along, across):
    expected = math.acos(math.cos(along) * math.cos(across))
    found = spherical.central_angle_rad(along, across)
    assert found == pytest.approx(expected, abs=2e-8)


def test_central_angle_keeps_small_angles():
    # arccos(cos 1e-9 cos 0) is 0.
    assert spherical.central_angle_rad(1e-9, 0.0) == pytest.approx(1e-9)


def test_wrap():
    window = math.radians(30.0)
    angles = np.radians([-15.0, 0.0, 14.0, 15.0, 16.0, 75.0])
    expected = np.radians([-15.0, 0.0, 14.0, -15.0, -14.0, -15.0])
    np.testing.assert_allclose(spherical.wrap_angle(angles, window), expected, atol=1e-12)


def test_remaining_pass_is_a_whole_pass_at_the_rise_and_nothing_outside():
    rim = spherical.footprint_half_angle_rad(H, TEN_DEGREES)
    inside = rim * (1 - 1e-12)
    along = np.array([-inside, 0.0, inside, -rim - 1e-3, rim + 1e-3])
    left_s = spherical.remaining_pass_s(H, TEN_DEGREES, along, 0.0)
    np.testing.assert_allclose(left_s, [442.636, 221.318, 0, 0, 0], atol=1e-3)


@given(st.floats(-0.25, 0.25), st.floats(-0.2, 0.2))
def test_remaining_pass_ends_at_the_minimum_elevation(along, across):
    left_s = spherical.remaining_pass_s(H, TEN_DEGREES, along, across)
    if left_s == 0:
        central = spherical.central_angle_rad(along, across)
        assert spherical.elevation_rad(H, central) < TEN_DEGREES + 1e-9
        return
    later = along + left_s * spherical.orbital_rate_rad_s(H)
    central = spherical.central_angle_rad(later, across)
    assert spherical.elevation_rad(H, central) == pytest.approx(TEN_DEGREES, abs=1e-7)


def test_a_track_beyond_the_footprint_never_rises():
    assert spherical.remaining_pass_s(H, TEN_DEGREES, 0.0, 0.3) == 0.0


@given(st.floats(-3.0, 3.0), st.floats(-1.5, 1.5))
def test_shell_positions_agree_with_the_slant_range(along, across):
    place = spherical.shell_position_m(H, np.asarray(along), across)
    assert np.linalg.norm(place) == pytest.approx(6.871e6)
    site = np.array([6.371e6, 0.0, 0.0])
    central = spherical.central_angle_rad(along, across)
    assert np.linalg.norm(place - site) == pytest.approx(spherical.slant_range_m(H, central))


@pytest.mark.parametrize(
    ('call', 'named'),
    [
        (lambda: spherical.orbital_rate_rad_s(-1.0), 'altitude_m'),
        (lambda: spherical.zenith_pass_s(H, 10.0), 'minimum_elevation_rad is 10'),
        (lambda: spherical.zenith_pass_s(H, -0.1), 'minimum_elevation_rad'),
        (lambda: spherical.slant_range_m(-5.0, 0.0), 'altitude_m'),
        (lambda: spherical.wrap_angle(0.0, 0.0), 'window_rad'),
    ],
)
def test_wrong_input_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()
