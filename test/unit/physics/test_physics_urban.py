"""Urban air-to-ground links, (2) to (4) of Liu et al. 2026, by hand and by finite differences."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sec_nodes.physics import urban
from sec_nodes.physics.urban import UrbanLink

LINK = UrbanLink(
    altitude_m=200.0,
    los_midpoint_deg=9.61,
    los_steepness_per_deg=0.16,
    los_loss_db=1.0,
    nlos_loss_db=20.0,
    penetration_loss_db=30.0,
    carrier_hz=2e9,
    bandwidth_hz=13e3,
    transmit_power_w=5e-3,
    noise_dbm_hz=-169.0,
    light_speed_m_s=3e8,
)


def test_the_elevation_is_in_degrees():
    assert urban.elevation_deg(0.0, LINK) == 90.0
    assert urban.elevation_deg(200.0, LINK) == pytest.approx(45.0)
    assert urban.elevation_deg(200.0 * math.sqrt(3), LINK) == pytest.approx(30.0)


def test_line_of_sight_by_hand():
    # (2): at theta = a the exponential is 1; overhead it is exp(-0.16 * 80.39) = 2.5938e-6
    at_midpoint_m = 200.0 / math.tan(math.radians(9.61))
    assert urban.los_probability(at_midpoint_m, LINK) == pytest.approx(1 / 10.61)
    assert urban.los_probability(0.0, LINK) == pytest.approx(1 / (1 + 9.61 * 2.593765e-6))


def test_overhead_loss_by_hand():
    # (3) with p = 1 but 2.5e-5: 20 log10(200) + 20 log10(4 pi 2e9 / 3e8) + 1 + 30
    #   = 46.0206 + 38.4634 + 31 = 115.484 dB
    assert urban.path_loss_db(0.0, LINK) == pytest.approx(115.484, abs=2e-3)
    # 5 mW are 6.990 dBm; noise -169 + 41.139 = -127.861 dBm: 19.37 dB are left
    assert 10 * math.log10(urban.snr(0.0, LINK)) == pytest.approx(
        6.990 - 115.484 + 127.861, abs=2e-3
    )


def test_reference_rates():
    rate = urban.rate_bit_s(np.array([0.0, 200.0, 300.0, 500.0]), LINK)
    np.testing.assert_allclose(rate / 1e3, [83.85, 68.48, 49.06, 12.56], atol=6e-3)


def test_without_walls_the_rate_is_free_space_over_the_slant_range():
    clear = replace(LINK, nlos_loss_db=1.0)
    distance_m = np.array([0.0, 10.0, 1000.0])
    wave = 3e8 / (4 * math.pi * 2e9 * np.hypot(200.0, distance_m))
    power_w = 5e-3 * wave**2 / 10**3.1
    snr = power_w / (13e3 * 10**-19.9)
    np.testing.assert_allclose(
        urban.rate_bit_s(distance_m, clear), 13e3 * np.log2(1 + snr), rtol=1e-12
    )


@given(st.floats(0, 3000), st.floats(1e-3, 500))
def test_the_rate_falls_with_the_distance(distance_m, step_m):
    assert urban.rate_bit_s(distance_m + step_m, LINK) < urban.rate_bit_s(distance_m, LINK)


@given(st.floats(0.5, 3000), st.floats(50, 500), st.floats(0, 40))
def test_the_slope_is_the_derivative_of_the_rate(distance_m, altitude_m, nlos_loss_db):
    link = replace(LINK, altitude_m=altitude_m, nlos_loss_db=1.0 + nlos_loss_db)
    step_m = 1e-3 * max(1.0, distance_m / 10)
    around = urban.rate_bit_s(distance_m + step_m * np.array([-2, -1, 1, 2]), link)
    difference = (around @ np.array([1, -8, 8, -1])) / (12 * step_m)
    assert urban.rate_slope_bit_s_m(distance_m, link) == pytest.approx(
        difference, rel=1e-5, abs=1e-6
    )


def test_the_slope_overhead_is_that_of_moving_away():
    beside = urban.rate_bit_s(np.array([0.0, 1e-4]), LINK)
    slope = urban.rate_slope_bit_s_m(0.0, LINK)
    assert slope == pytest.approx(np.diff(beside)[0] / 1e-4, rel=1e-3)
    assert slope < 0


def test_a_negative_distance_is_refused():
    with pytest.raises(ValueError, match=r'distance_m is -1\.0'):
        urban.rate_bit_s(-1.0, LINK)
