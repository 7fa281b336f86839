import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from sec_nodes.physics import energy
from sec_nodes.physics.energy import ZENG_2019


def test_zeng_parameters_follow_from_the_airframe():
    # Zeng 2019: P_0 = delta/8 rho s A (Omega R)^3, P_i = (1 + k) W^1.5 / sqrt(2 rho A), with
    # delta 0.012, Omega R = 300 * 0.4 = 120 m/s, k 0.1, W 20 N.
    p = ZENG_2019
    disc = p.air_density_kg_m3 * p.disc_area_m2
    assert p.blade_power_w == pytest.approx(0.012 / 8 * disc * p.solidity * 120.0**3, rel=1e-6)
    assert p.induced_power_w == pytest.approx(1.1 * 20**1.5 / math.sqrt(2 * disc), rel=1e-6)
    # v_0 = sqrt(W / (2 rho A)) = 4.0285, rounded to 4.03 in the table.
    assert p.induced_speed_m_s == pytest.approx(math.sqrt(20 / (2 * disc)), abs=2e-3)


def test_reference_values_of_propulsion():
    assert energy.propulsion_power_w(0.0) == pytest.approx(168.484, abs=5e-4)
    assert energy.propulsion_power_w(10.2125) == pytest.approx(126.0027, abs=5e-5)


def test_most_enduring_speed():
    best = optimize.minimize_scalar(
        energy.propulsion_power_w, bounds=(0, 30), method='bounded', options={'xatol': 1e-7}
    )
    assert best.x == pytest.approx(10.2125, abs=1e-4)


@given(st.floats(0, 60))
def test_propulsion_equals_the_printed_form(speed):
    p = ZENG_2019
    bracket = math.sqrt(
        math.sqrt(1 + speed**4 / (4 * p.induced_speed_m_s**4))
        - speed**2 / (2 * p.induced_speed_m_s**2)
    )
    printed = (
        p.blade_power_w * (1 + 3 * speed**2 / p.tip_speed_m_s**2)
        + p.induced_power_w * bracket
        + 0.5 * 0.6 * 1.225 * 0.05 * 0.503 * speed**3
    )
    assert energy.propulsion_power_w(speed) == pytest.approx(printed, rel=1e-9)


def test_induced_power_does_not_cancel_in_float32():
    # At 60 m/s sqrt(1 + x^2) - x is 0.0045 beside x = 110.8: subtracted in float32 it would keep
    # three digits.
    only_induced = dataclasses.replace(ZENG_2019, blade_power_w=0.0, drag_ratio=0.0)
    speed = np.array([60.0], dtype=np.float32)
    found = energy.propulsion_power_w(speed, only_induced)
    assert found.dtype == np.float32
    x = 60.0**2 / (2 * 4.03**2)
    assert found[0] == pytest.approx(88.62794 * math.sqrt(math.hypot(1, x) - x), rel=1e-6)


def test_computing_energy_by_hand():
    # 1e-28 * (1e9)^2 * 2e8 = 2e-2 J: time 0.2 s at kappa f^3 = 0.1 W.
    assert energy.computing_energy_j(2e8, 1e9, 1e-28) == pytest.approx(0.02)


def test_transmission_energy_limits():
    power = np.array([0.5, 0.0, 0.5])
    time = np.array([2.0, math.inf, math.inf])
    np.testing.assert_array_equal(energy.transmission_energy_j(power, time), [1.0, 0.0, math.inf])


@pytest.mark.parametrize(
    ('call', 'named'),
    [
        (lambda: energy.propulsion_power_w(-0.1), 'speed_m_s'),
        (lambda: energy.propulsion_power_w(math.nan), 'speed_m_s'),
        (lambda: energy.computing_energy_j(-1.0, 1e9, 1e-28), 'cycles'),
        (lambda: energy.computing_energy_j(1.0, -1e9, 1e-28), 'frequency_hz'),
        (lambda: energy.transmission_energy_j(-1.0, 1.0), 'power_w'),
        (lambda: energy.transmission_energy_j(1.0, -1.0), 'time_s'),
    ],
)
def test_wrong_input_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


@given(st.floats(0, 40))
def test_the_slope_by_the_squared_speed_is_that_of_the_power(speed):
    step = 1e-3
    beside = energy.propulsion_power_w(np.sqrt(speed**2 + np.array([0.0, step, 2 * step])))
    one_sided = (4 * beside[1] - 3 * beside[0] - beside[2]) / (2 * step)
    assert energy.propulsion_slope_kg_s(speed) == pytest.approx(one_sided, abs=2e-3)


def test_hovering_has_a_slope_by_hand():
    # 3 P_0 / U_tip^2 - P_i / (4 v_0^2): drag and the speed's own root vanish
    by_hand = 3 * 79.85628 / 120.0**2 - 88.62794 / (4 * 4.03**2)
    assert energy.propulsion_slope_kg_s(0.0) == pytest.approx(by_hand, rel=1e-12)


def test_the_slope_changes_its_sign_at_the_most_enduring_speed():
    assert energy.propulsion_slope_kg_s(10.2115) < 0 < energy.propulsion_slope_kg_s(10.2135)
