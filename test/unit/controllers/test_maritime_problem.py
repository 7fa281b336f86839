"""Closed forms of the maritime sub-problems SP1 to SP4 against independent minimisation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import lambertw

from sec_nodes.controllers.maritime.problem import (
    best_ratio,
    best_start_s,
    finish_s,
    least_cpu_hz,
    least_power_w,
    one_plus_lambert,
    positive_root,
    priced_power_w,
    ratio_limits,
    ratio_slope_mbit,
    slot_problem,
    storage_window_s,
)
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.maritime.state import MaritimeDecision
from sec_nodes.scenarios.registry import read_settings


def slot(seed=0, mode=None, **overrides):
    dotted = {key.replace('__', '.'): value for key, value in overrides.items()}
    name = 'maritime' if mode is None else f'maritime:{mode}'
    scenario = Maritime(read_settings(name, {'uavs.count': 4, **dotted}))
    state = scenario.reset(np.array([seed]))
    return scenario, state, slot_problem(scenario, state)


def rate_bit_s(problem, power_w, uav):
    return problem.band_hz * math.log2(1 + power_w * problem.snr_per_w[0, uav])


def test_the_numbers_of_a_slot():
    scenario, state, problem = slot(energy_weight_mbit_j=2.0)
    cycles = 400 * state.batch_bit
    np.testing.assert_allclose(problem.local_s, cycles / 2e9)
    np.testing.assert_allclose(problem.local_mbit, 2.0 * 1e-28 * 4e18 * cycles)
    np.testing.assert_allclose(problem.capacitance_mbit_s2, 2.0 * 1e-28 * cycles**3)
    rate = scenario.leo_rate_bit_s(state, 1.0)
    np.testing.assert_allclose(problem.gain_mbit_s, rate / 1e6 - 2.0 * 1.0)
    np.testing.assert_allclose(problem.upload_mbit, problem.gain_mbit_s * 3.0)  # 1 GB is stored


def test_sp1_is_the_least_power_that_is_in_time():
    _, _, problem = slot()
    got = least_power_w(problem, 0.4, 0.02)[0]
    for uav in range(4):
        size_bit = 0.4 * problem.batch_bit[0, uav]
        needed = (2 ** (size_bit / (problem.band_hz * 0.02)) - 1) / problem.snr_per_w[0, uav]
        assert got[uav] == pytest.approx(min(needed, 1.0), rel=1e-9)
        # (31): among all powers in time it spends the least energy
        powers = np.linspace(got[uav], 1.0, 200)
        energy = [p / rate_bit_s(problem, p, uav) for p in powers]
        assert np.argmin(energy) == 0


def test_sp1_without_enough_time_or_data():
    _, _, problem = slot()
    assert (least_power_w(problem, 0.4, 0.0) == 1.0).all()  # P_max
    assert (least_power_w(problem, 0.4, -1.0) == 1.0).all()
    assert (least_power_w(problem, 0.4, 1e-6) == 1.0).all()
    assert (least_power_w(problem, 0.0, 0.1) == 0.0).all()


def test_sp1_is_where_dinkelbach_and_the_multipliers_lead():
    _, _, problem = slot()
    uav, ratio, left_s = 1, 0.5, 0.05
    size, snr, band = ratio * problem.batch_bit[0, uav], problem.snr_per_w[0, uav], problem.band_hz

    def power(q, eta):  # (38), nu = 0
        return max((q + eta * left_s) * band / (size * math.log(2)) - 1 / snr, 0.0)

    q = 1.0 / rate_bit_s(problem, 1.0, uav)
    for _ in range(30):  # (32), (33)
        low, high = 0.0, 1e9
        for _ in range(200):  # eta with (41) = 0, or 0 where the constraint is slack
            eta = 0.5 * (low + high)
            short = size - left_s * rate_bit_s(problem, power(q, eta), uav) > 0
            low, high = (eta, high) if short else (low, eta)
        p = power(q, high)
        q = p / rate_bit_s(problem, p, uav)
    assert least_power_w(problem, ratio, left_s)[0, uav] == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize('weight', [0.01, 1.0, 10.0, 1000.0])
@pytest.mark.parametrize('price', [1e-5, 0.1, 30.0, 278.0])
def test_sp1_with_a_price_of_time(weight, price):
    _, _, problem = slot(energy_weight_mbit_j=weight)
    got = priced_power_w(problem, np.full((1, 4), price))[0, 2]
    result = minimize_scalar(
        lambda log_p: (price + weight * math.exp(log_p)) / rate_bit_s(problem, math.exp(log_p), 2),
        bounds=(-30, 0),
        method='bounded',
        options={'xatol': 1e-11},
    )
    assert got == pytest.approx(math.exp(result.x), rel=1e-5)
    q = (price + weight * 0.5) / rate_bit_s(problem, 0.5, 2)
    for _ in range(60):  # Dinkelbach as printed
        p = max(
            min(q * problem.band_hz / (weight * math.log(2)) - 1 / problem.snr_per_w[0, 2], 1.0),
            1e-12,
        )
        q = (price + weight * p) / rate_bit_s(problem, p, 2)
    assert got == pytest.approx(p, rel=1e-6)


def test_without_a_weight_of_energy_power_is_the_largest():
    _, _, problem = slot(energy_weight_mbit_j=0.0)
    np.testing.assert_array_equal(priced_power_w(problem, np.full((1, 4), 5.0)), 1.0)


def test_lambert_against_scipy_and_its_definition():
    relative = np.logspace(-3, 12, 200)
    expected = 1 + lambertw((relative - 1) / math.e).real
    np.testing.assert_allclose(one_plus_lambert(relative), expected, rtol=1e-11)
    # (y - 1) e^y + 1 = y^2/2 + y^3/3 + ... near the branch point, where scipy loses digits
    y = one_plus_lambert(np.logspace(-12, -4, 50))
    series = y**2 / 2 + y**3 / 3 + y**4 / 8 + y**5 / 30
    np.testing.assert_allclose(series, np.logspace(-12, -4, 50), rtol=1e-9)
    np.testing.assert_array_equal(one_plus_lambert(np.array([0.0, 1.0])), [0.0, 1.0])
    assert np.isfinite(one_plus_lambert(np.array([1e300]))).all()


@given(st.lists(st.floats(1e-6, 1e6), min_size=4, max_size=4))
@settings(max_examples=200, deadline=None)
def test_cubic_roots(coefficients):
    cubic, square, linear, level = (np.array([value]) for value in coefficients)
    root = positive_root(cubic, square, linear, level)[0]
    real = [
        z.real
        for z in np.roots([cubic[0], square[0], linear[0], -level[0]])
        if abs(z.imag) < 1e-6 * abs(z) + 1e-12 and z.real > 0
    ]
    assert root == pytest.approx(max(real), rel=1e-6)
    value = ((cubic[0] * root + square[0]) * root + linear[0]) * root
    assert value == pytest.approx(level[0], rel=1e-9)


def test_cubic_roots_at_the_edges():
    zero, one = np.zeros(1), np.ones(1)
    assert positive_root(one, one, one, zero)[0] == 0.0
    assert positive_root(one, one, one, -one)[0] == 0.0
    assert positive_root(zero, zero, zero, one)[0] == np.inf
    assert positive_root(one, zero, zero, 8 * one)[0] == pytest.approx(2.0)
    assert positive_root(zero, one, zero, 9 * one)[0] == pytest.approx(3.0)
    assert positive_root(zero, zero, 2 * one, 9 * one)[0] == pytest.approx(4.5)


def test_sp2_is_the_least_cpu_that_is_in_time():
    _, _, problem = slot()
    ratio = np.full((1, 4), 0.3)
    got = least_cpu_hz(problem, ratio, np.array([[0.5, 0.25, 0.0, -1.0]]))[0]
    np.testing.assert_allclose(got[:2], 0.3 * problem.cycles[0, :2] / [0.5, 0.25])
    assert np.isnan(got[2:]).all()  # no time left: the CPU stays as it is
    assert (least_cpu_hz(problem, 0 * ratio, np.zeros((1, 4))) == 0).all()


@pytest.mark.parametrize(
    ('stored', 'free', 'expected'),
    [
        (0.0, 8e9, (3 * 80 / 100, 3.0)),  # nothing stored: (R^T tau) / (R^T + R^U)
        (140e6, 8e9, (1.0, 3.0)),
        (8e9, 8e9, (0.0, 3.0)),  # more than the slot can take
        (8e9, 30e6, (0.0, 1.5)),  # full after 1.5 s
        (0.0, 0.0, (2.4, 0.0)),  # no room at all: the lower limit exceeds the upper one
    ],
)
def test_when_storage_allows_the_upload(stored, free, expected):
    got = storage_window_s(3.0, *(np.array([v]) for v in (80e6, 20e6, stored, free)))
    assert (got[0][0], got[1][0]) == pytest.approx(expected)


def test_storage_that_nothing_enters():
    got = storage_window_s(3.0, *(np.array([v]) for v in (80e6, 0.0, 80e6, 0.0)))
    assert (got[0][0], got[1][0]) == (2.0, 3.0)


@pytest.mark.parametrize('weight', [1.0, 400.0])
@pytest.mark.parametrize('seed', range(2))
@pytest.mark.parametrize(
    'storage', [(1.2e10, 0.0), (1.2e10, 1.19e10), (3e8, 2e8), (4e8, 4e8), (1e8, 0.0)]
)
def test_sp3_against_every_start_time(storage, seed, weight):
    capacity_bit, stored_bit = storage
    scenario, state, _ = slot(
        seed,
        energy_weight_mbit_j=weight,
        uavs__storage_bit=capacity_bit,
        uavs__initially_free_bit=capacity_bit - stored_bit,
    )
    problem = slot_problem(scenario, state)
    done_s = state.upload_s + 400 * state.batch_bit / 2e9
    zero = np.zeros_like(done_s)

    def utility_mbit(start_s):
        return scenario.evaluate(state, MaritimeDecision(zero, zero, zero, start_s))

    got = utility_mbit(best_start_s(problem, done_s))
    assert not got.violations['f'].any()
    for share in np.linspace(0, 1, 101):
        start_s = done_s + share * (3.0 - done_s)
        other = utility_mbit(start_s)
        if weight == 400.0 and (other.violations['g'] | other.violations['h']).any():
            continue  # w < 0: only (28g) keeps the upload from never beginning
        assert got.utility_mbit[0] >= other.utility_mbit[0] - 1e-9


def test_sp4_limits_are_where_each_branch_is_just_in_time():
    _, state, problem = slot()
    power_w, cpu_hz, start_s = (np.full((1, 4), v) for v in (0.7, 2e9, 0.8))
    lowest, highest = ratio_limits(problem, power_w, cpu_hz, start_s)
    plan = MaritimeDecision(power_w, cpu_hz, lowest, start_s)
    local_s = state.upload_s + (1 - lowest) * problem.local_s
    inside = (lowest > 0) & (lowest < 1)
    assert inside.any()
    np.testing.assert_allclose(local_s[inside], 0.8)  # (29)
    inside = (highest > 0) & (highest < 1)
    assert inside.any()
    later = finish_s(problem, replace(plan, ratio=highest))
    np.testing.assert_allclose(later[inside & (highest >= lowest)], 0.8)  # (30)


@pytest.mark.parametrize('weight', [1.0, 20.0])
def test_sp4_against_every_ratio(weight):
    scenario, state, problem = slot(energy_weight_mbit_j=weight)
    power_w, cpu_hz, start_s = (np.full((1, 4), v) for v in (0.7, 2.5e9, 1.2))
    lowest, highest = ratio_limits(problem, power_w, cpu_hz, start_s)
    got = best_ratio(problem, power_w, cpu_hz, start_s, np.full((1, 4), 0.123))
    empty = lowest > highest
    np.testing.assert_array_equal(got[empty], 0.123)

    def utility_mbit(ratio):
        return scenario.evaluate(state, MaritimeDecision(power_w, cpu_hz, ratio, start_s))

    best = utility_mbit(got).utility_mbit[0]
    for share in np.linspace(0, 1, 101):
        ratio = np.where(empty, 0.123, lowest + share * (highest - lowest))
        assert best >= utility_mbit(ratio).utility_mbit[0] - 1e-9
    # (53) is the slope of the utility
    low, high = (utility_mbit(np.full((1, 4), x)).utility_mbit[0] for x in (0.30, 0.31))
    assert ratio_slope_mbit(problem, power_w, cpu_hz).sum() == pytest.approx((high - low) / 0.01)
