"""Powers of devices at one receiver, against golden sections, dense grids and the theory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from sec_nodes.controllers.mllm.power import QUICK, PowerRules, Uplinks, best_powers, radio


def rules(**changes):
    values = {
        'time_price': 0.5,
        'late_price': 2.0,
        'energy_price': 0.02,
        'residual': 1.0,
        'lowest_w': 0.01,
        'highest_w': 1.0,
        'time_cap_s': 30.0,
    }
    return PowerRules(**{**values, **changes})


def draw(seed, groups, n, satellite=False):
    """Groups with 5 to 10 Mbit each, at UAVs 50 m up or at satellites near 0 dB."""
    rng = np.random.default_rng(seed)
    bandwidth_hz = 20e6 if satellite else 10e6
    if satellite:
        gain_w = 1.7 * rng.gamma(8, 1 / 8, (groups, n))
    else:
        gain_w = 1e8 / (rng.uniform(0, 250, (groups, n)) ** 2 + 2500)
    return Uplinks(
        load_s=rng.uniform(5e6, 1e7, (groups, n)) * np.log(2) / bandwidth_hz,
        gain_w=gain_w,
        slack_s=rng.uniform(-0.3, 1.5, (groups, n)),
        tail_s=np.full((groups, n), 0.003 if satellite else 0.0),
    )


def price(links, rule, power_w):
    """Cost of group 0 at powers (..., n), written as the sum that it is."""
    heard = links.gain_w[0] * power_w
    cost = 0.0
    for k in range(power_w.shape[-1]):
        noise = 1 + rule.residual * sum(heard[..., j] for j in range(power_w.shape[-1]) if j != k)
        time_s = links.load_s[0, k] / np.log1p(heard[..., k] / noise)
        late_s = np.maximum(time_s - links.slack_s[0, k], 0) - max(-links.slack_s[0, k], 0)
        energy_j = power_w[..., k] * (time_s + links.tail_s[0, k])
        cost = (
            cost
            + rule.time_price * time_s
            + rule.late_price * late_s
            + rule.energy_price * energy_j
        )
    return cost


@pytest.mark.parametrize('satellite', [False, True])
@pytest.mark.parametrize('energy_price', [0.02, 0.5])
def test_a_lone_device_has_the_power_of_a_golden_section(satellite, energy_price):
    rule = rules(energy_price=energy_price, late_price=10.0)
    for seed in range(12):
        links = draw(seed, 1, 1, satellite)
        found = best_powers(links, rule)
        best = minimize_scalar(
            lambda x, links=links: price(links, rule, np.exp(np.array([x]))),
            bounds=(np.log(0.01), 0.0),
            method='bounded',
            options={'xatol': 1e-10},
        )
        assert found.cost[0] == pytest.approx(best.fun, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize('residual', [1.0, 10**-1.5])
@pytest.mark.parametrize('satellite', [False, True])
def test_two_devices_are_as_cheap_as_on_a_dense_grid(residual, satellite):
    rule = rules(residual=residual)
    level = np.geomspace(0.01, 1.0, 241)
    grid_w = np.stack(np.meshgrid(level, level, indexing='ij'), axis=-1)
    for seed in range(8):
        links = draw(seed, 1, 2, satellite)
        lowest = price(links, rule, grid_w).min()
        found = best_powers(links, rule)
        assert found.cost[0] <= lowest * (1 + 2e-3) + 1e-4
        assert found.cost[0] >= lowest * (1 - 2e-2) - 1e-3  # the grid is that fine
        assert found.cost[0] == pytest.approx(price(links, rule, found.power_w[0]), rel=1e-9)
        assert best_powers(links, rule, QUICK).cost[0] == pytest.approx(lowest, rel=1e-2, abs=2e-3)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 5),
    satellite=st.booleans(),
    share=st.floats(0.05, 0.95),
)
def test_the_cost_is_convex_in_the_logarithm_of_the_powers(seed, n, satellite, share):
    rule = rules(late_price=10.0, energy_price=0.5)
    links = draw(seed, 1, n, satellite)
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(np.log(0.01), 0, (2, n))
    between = price(links, rule, np.exp(share * a + (1 - share) * b))
    chord = share * price(links, rule, np.exp(a)) + (1 - share) * price(links, rule, np.exp(b))
    assert between <= chord * (1 + 1e-9) + 1e-9


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 5), satellite=st.booleans())
def test_no_random_powers_are_better(seed, n, satellite):
    rule, links = rules(), draw(seed, 1, n, satellite)
    found = best_powers(links, rule).cost[0]
    power_w = np.exp(np.random.default_rng(seed).uniform(np.log(0.01), 0, (200, n)))
    assert found <= price(links, rule, power_w).min() * (1 + 2e-3) + 1e-3


def test_who_leaves_a_group_takes_interference_away():
    rule = rules()
    links = draw(3, 20, 3)
    alone = Uplinks(*(part[:, :1] for part in vars(links).values()))
    pair = Uplinks(*(part[:, 1:] for part in vars(links).values()))
    together = best_powers(links, rule).cost
    assert (together >= best_powers(alone, rule).cost + best_powers(pair, rule).cost - 1e-3).all()


def test_empty_places_change_nothing():
    rule, links = rules(), draw(5, 4, 3)
    padded = Uplinks(*(np.pad(part, ((0, 0), (0, 2))) for part in vars(links).values()))
    found, wide = best_powers(links, rule), best_powers(padded, rule)
    np.testing.assert_allclose(wide.cost, found.cost, rtol=1e-12)
    np.testing.assert_allclose(wide.power_w[:, :3], found.power_w, rtol=1e-9)


def test_gain_prices_are_derivatives():
    rule, links = rules(), draw(7, 6, 3)
    power_w = np.exp(np.random.default_rng(7).uniform(-3, 0, (6, 3)))
    found = radio(links, rule, power_w)
    for k in range(3):
        factor = np.ones(3)
        factor[k] = 1 + 1e-6
        moved = Uplinks(links.load_s, links.gain_w * factor, links.slack_s, links.tail_s)
        slope = (radio(moved, rule, power_w).cost - found.cost) / np.log(1 + 1e-6)
        np.testing.assert_allclose(-slope, found.gain_price[:, k], rtol=1e-4, atol=1e-6)


def test_a_transmission_that_never_ends_is_cut_off():
    links = Uplinks(*(np.full((1, 1), value) for value in (0.5, 1e-9, 1.0, 0.0)))
    found = radio(links, rules(), np.ones((1, 1)))
    assert found.time_s[0, 0] == 30.0
    assert found.cost[0] == pytest.approx(0.5 * 30 + 2.0 * 29 + 0.02 * 30)
