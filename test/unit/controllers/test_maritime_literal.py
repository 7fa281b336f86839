"""Algorithms 1 and 2 as printed: what they keep, and where they get stuck."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maritime_regimes import REGIMES, assert_keeps_the_limits, world
from scipy.optimize import minimize_scalar

from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.maritime.literal import alternate, balanced_seed, half_seed
from sec_nodes.controllers.maritime.problem import (
    finish_s,
    least_power_w,
    priced_power_w,
    slot_problem,
)
from sec_nodes.scenarios.maritime.scenario import take

LITERAL = ('jcorm_literal', 'jcorm_literal_half', 'half_slot_literal')
pytestmark = pytest.mark.filterwarnings('error')


@pytest.mark.parametrize('regime', REGIMES)
@pytest.mark.parametrize('name', LITERAL)
def test_every_decision_keeps_the_limits(name, regime):
    scenario, state = world(regime, seeds=(0, 1))
    controller = create_batch(name, scenario)
    for _ in range(6):  # the satellite of 'setting' is gone in slot 5
        plan = controller.decide(state)
        assert_keeps_the_limits(scenario, state, plan)
        state, _ = scenario.step(state, plan)


@given(st.integers(0, 10**6), st.sampled_from(list(REGIMES)), st.sampled_from(LITERAL))
@settings(max_examples=60, deadline=None)
def test_no_round_loses_utility(seed, regime, name):
    scenario, state = world(regime, seeds=(seed, seed + 1))
    alternation = create_batch(name, scenario).alternation(state)
    problem = slot_problem(scenario, state)
    first = balanced_seed(problem) if name == 'jcorm_literal' else half_seed(problem)
    # from a seed that is too late, utility is paid to be in time
    sound = (finish_s(problem, first) <= alternation.start_s[0] * (1 + 1e-12)).all(axis=-1)
    worth = alternation.utility_mbit[:, sound]
    assert (np.diff(worth, axis=0) >= -1e-12 * (1.0 + np.abs(worth[1:]))).all()


def test_the_start_never_moves_but_where_nothing_is_offloaded():
    for regime in ('link', 'mixed', 'storage', 'lambda 10'):
        scenario, state = world(regime, seeds=range(8))
        problem = slot_problem(scenario, state)
        for name in ('jcorm_literal', 'jcorm_literal_half'):
            found = create_batch(name, scenario).alternation(state)
            stays = found.decision.ratio > 0
            moved_s = np.abs(found.start_s - found.start_s[0])
            assert stays.any() and (moved_s[:, stays] <= 1e-12).all()
            alone_s = np.maximum(problem.upload_s + problem.local_s, problem.hold_s)
            np.testing.assert_allclose(found.decision.start_s[~stays], alone_s[~stays])


def test_the_seed_decides():
    """The optimum is a fixed point like any other; the balanced seed is nearer than x = 1/2."""
    scenario, state = world('link', seeds=range(16))
    problem = slot_problem(scenario, state)

    def utility(plan):
        return scenario.evaluate(state, plan).utility_mbit

    best = create_batch('jcorm', scenario).decide(state)
    stuck = alternate(problem, best, utility)
    np.testing.assert_allclose(stuck.utility_mbit[-1], utility(best), rtol=1e-9)
    balanced = create_batch('jcorm_literal', scenario).decide(state)
    half = create_batch('jcorm_literal_half', scenario).decide(state)
    assert (utility(best) > utility(balanced)).all()
    assert (utility(balanced) > utility(half)).all()
    assert 0.004 < 1 - (utility(balanced) / utility(best)).mean() < 0.065
    assert 0.1 < 1 - (utility(half) / utility(best)).mean() < 0.3


@pytest.mark.parametrize(('regime', 'most'), [('storage', 0.01), ('little CPU', 0.065)])
def test_the_loss_from_the_balanced_seed(regime, most):
    scenario, state = world(regime, seeds=range(8))
    best, literal = (
        scenario.evaluate(state, create_batch(name, scenario).decide(state)).utility_mbit
        for name in ('jcorm', 'jcorm_literal')
    )
    loss = 1 - literal / best
    assert (loss > 0.003).all() and loss.mean() < most


def test_one_round_by_hand():
    """One UAV, x = 1/2: SP1 slows the radio down until it is done with the rest."""
    scenario, state = world('one UAV', seeds=(3,))
    problem = slot_problem(scenario, state)
    plan = create_batch('jcorm_literal_half', scenario).decide(state)
    batch_bit, local_s = state.batch_bit[0, 0], 400 * state.batch_bit[0, 0] / 2e9
    # the satellite is five times as fast: the UAV's own half takes longest
    assert plan.start_s[0, 0] == pytest.approx(state.upload_s[0, 0] + 0.5 * local_s)
    sending_s = 0.5 * local_s - scenario.round_trip_s - 0.5 * 400 * batch_bit / 1e10
    nats = 0.5 * batch_bit * math.log(2) / (4e7 * sending_s)
    assert plan.power_w[0, 0] == pytest.approx(math.expm1(nats) / problem.snr_per_w[0, 0])
    assert plan.cpu_hz[0, 0] == pytest.approx(1e10)
    assert plan.ratio[0, 0] == pytest.approx(0.5)


def test_half_slots_begin_at_the_half_and_outlast_no_task_that_fits():
    scenario, state = world('link', seeds=range(8))
    outcome = scenario.evaluate(state, create_batch('half_slot_literal', scenario).decide(state))
    assert (outcome.start_s == 1.5).all()
    problem = slot_problem(scenario, state)
    seeded = finish_s(problem, half_seed(problem)) <= 1.5
    assert seeded.any() and not outcome.violations['f'][seeded].any()


@pytest.mark.parametrize('name', LITERAL)
def test_a_batch_is_decided_copy_by_copy(name):
    scenario, state = world('mixed', seeds=(4, 5, 6))
    controller = create_batch(name, scenario)
    together = controller.decide(state)
    for copy in range(3):
        alone = controller.decide(take(state, np.array([copy])))
        np.testing.assert_array_equal(alone.power_w[0], together.power_w[copy])
        np.testing.assert_array_equal(alone.start_s[0], together.start_s[copy])


@pytest.mark.parametrize(('ratio', 'left_s'), [(0.3, 0.02), (0.5, 0.05), (1.0, 0.2)])
def test_algorithm_1_ends_at_the_closed_form_of_sp1(ratio, left_s):
    """Dinkelbach's method outside, multipliers by subgradients inside, in Mbit and MHz."""
    scenario, state = world('link')
    problem = slot_problem(scenario, state)
    size, band = ratio * state.batch_bit[0, 0] / 1e6, problem.band_hz / 1e6
    snr, largest_w = problem.snr_per_w[0, 0], problem.largest_power_w

    def rate(power_w):
        return band * math.log2(1 + snr * power_w)

    power_w, eta, nu = largest_w, 0.0, 0.0
    for _ in range(12):
        q = size * power_w / rate(power_w)  # (32), (33)
        for j in range(3000):
            price = (q + eta * left_s) * band / ((size + nu) * math.log(2))
            power_w = max(price - 1 / snr, 0.0)  # (38)
            step = 1.0 / (10.0 + j)
            eta = max(eta + step * (size - left_s * rate(power_w)), 0.0)  # (39), (41)
            nu = max(nu + step * (power_w - largest_w), 0.0)  # (40), (42)
    closed_w = least_power_w(problem, ratio, left_s)[0, 0]
    assert closed_w < largest_w
    assert power_w == pytest.approx(closed_w, rel=1e-9)


@pytest.mark.parametrize('weight', [0.1, 10.0, 200.0])
def test_the_priced_power_is_a_golden_section_minimum(weight):
    scenario, state = world('one UAV', energy_weight_mbit_j=weight)
    problem = slot_problem(scenario, state)
    price, snr = 20.0, problem.snr_per_w[0, 0]
    found = minimize_scalar(
        lambda log: (price + weight * math.exp(log)) / math.log1p(snr * math.exp(log)),
        bracket=(-20.0, 0.0, 20.0),
        method='golden',
        options={'xtol': 1e-10},
    )
    expected_w = min(math.exp(found.x), 1.0)
    assert priced_power_w(problem, np.array([[price]]))[0, 0] == pytest.approx(
        expected_w, rel=1e-6
    )
