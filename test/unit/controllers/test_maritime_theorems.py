"""What must hold of the best utility of a maritime slot, whatever the numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.maritime.coupled import solve
from sec_nodes.controllers.maritime.problem import slot_problem
from sec_nodes.controllers.maritime.response import Uavs
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.registry import read_settings

MODES = ['maritime', 'maritime:half_storage', 'maritime:storage_limited', 'maritime:cpu_scarce']
SEEDS = st.integers(0, 10**6)


def scenario_of(name, **overrides):
    dotted = {key.replace('__', '.'): value for key, value in overrides.items()}
    return Maritime(read_settings(name, dotted))


def best_mbit(scenario, state):
    """(B,) utility of jcorm's decision; all batches are in time."""
    solution = solve(slot_problem(scenario, state))
    assert solution.in_time.all()
    return scenario.evaluate(state, solution.decision).utility_mbit


@given(SEEDS, st.sampled_from(MODES), st.floats(0, 200), st.floats(0.1, 60), st.floats(0.05, 0.95))
@settings(max_examples=20, deadline=None)
def test_utility_is_convex_and_does_not_grow_in_lambda(seed, name, weight, span, where):
    """It is the largest of functions delivered - lambda energy, each affine in lambda."""
    weights = (weight, weight + where * span, weight + span)
    state = scenario_of(name).reset(np.array([seed]))
    low, middle, high = (
        best_mbit(scenario_of(name, energy_weight_mbit_j=w), state)[0] for w in weights
    )
    slack = 1e-6 * abs(low)
    assert low >= middle - slack >= high - 2 * slack
    assert middle <= (1 - where) * low + where * high + slack


@given(
    SEEDS,
    st.sampled_from(MODES),
    st.floats(1.01, 3.0),
    st.sampled_from(['band', 'cpu', 'power', 'capacity', 'stored', 'collected']),
)
@settings(max_examples=25, deadline=None)
def test_more_of_anything_never_hurts(seed, name, factor, what):
    same = {'uavs__tolerant_power_w': 0.4, 'uavs__largest_power_w': 0.4}
    less = scenario_of(name, **same)
    s, state = less.settings, less.reset(np.array([seed]))
    more, rich = less, state
    if what == 'band':
        band_hz = factor * s.radio.satellite_bandwidth_hz
        more = scenario_of(name, **same, radio__satellite_bandwidth_hz=band_hz)
    elif what == 'cpu':
        more = scenario_of(name, **same, satellite__cpu_hz=factor * s.satellite.cpu_hz)
    elif what == 'power':
        more = scenario_of(name, **{**same, 'uavs__largest_power_w': factor * 0.4})
    elif what == 'capacity':
        more = scenario_of(name, **same, uavs__storage_bit=factor * s.uavs.storage_bit)
    elif what == 'stored':
        stored_bit = np.minimum(factor * state.stored_bit + 1e8 * factor, s.uavs.storage_bit)
        rich = replace(state, stored_bit=stored_bit)
    else:
        rich = replace(state, collect_rate_bit_s=factor * state.collect_rate_bit_s)
    before, after = best_mbit(less, state)[0], best_mbit(more, rich)[0]
    assert after >= before - 1e-6 * abs(before)


@given(SEEDS, st.sampled_from([*MODES, 'maritime:large_lambda', 'maritime:shared_band']))
@settings(max_examples=8, deadline=None)
def test_neither_utility_nor_bound_knows_the_order_of_the_uavs(seed, name):
    scenario = scenario_of(name)
    controller, state = create_batch('jcorm', scenario), scenario.reset(np.array([seed]))
    order = np.random.default_rng(seed).permutation(state.batch_bit.shape[1])
    parts = ('stored_bit', 'upload_s', 'batch_bit', 'collect_rate_bit_s', 'leo_gain')
    mixed = replace(state, **{part: getattr(state, part)[:, order] for part in parts})
    np.testing.assert_allclose(best_mbit(scenario, mixed), best_mbit(scenario, state), rtol=1e-12)
    np.testing.assert_allclose(controller.bound(mixed), controller.bound(state), rtol=1e-7)


@given(
    SEEDS,
    st.sampled_from([*MODES, 'maritime:setting', 'maritime:large_tasks']),
    st.sampled_from(['jcorm', 'half_slot', 'no_offloading']),
    st.floats(1e7, 2e10),
)
@settings(max_examples=20, deadline=None)
def test_what_is_stored_is_what_came_in_and_did_not_go_out(seed, name, controller, free_bit):
    scenario = scenario_of(name, uavs__storage_bit=2e10, uavs__initially_free_bit=free_bit)
    policy, state = create_batch(controller, scenario), scenario.reset(np.array([seed]))
    expected_bit = state.stored_bit.copy()
    for _ in range(scenario.horizon):
        rate_bit_s = state.collect_rate_bit_s
        state, outcome = scenario.step(state, policy.decide(state))
        expected_bit += outcome.collected_bit - outcome.uploaded_bit
        # what came in and what found no room is what the devices sent until the upload began
        offered_bit = outcome.collected_bit + outcome.overflow_bit
        np.testing.assert_allclose(offered_bit, rate_bit_s * outcome.start_s, rtol=1e-12)
    np.testing.assert_allclose(state.stored_bit, expected_bit, atol=1.0)


@given(SEEDS, st.floats(1e-9, 1e-3))
@settings(max_examples=20, deadline=None)
def test_computing_alone_is_never_faster_where_the_link_limits(seed, weight):
    scenario = scenario_of('maritime', energy_weight_mbit_j=weight)
    state = scenario.reset(np.array([seed]))
    coupled = scenario.evaluate(state, create_batch('jcorm', scenario).decide(state))
    alone = create_batch('no_offloading', scenario).decide(state)
    alone_s = scenario.evaluate(state, alone).finish_s
    assert (coupled.finish_s <= alone_s * (1 + 1e-12)).all()
    offloads = scenario.evaluate(state, alone).finish_s - coupled.finish_s > 1e-6
    assert offloads.any()


@pytest.mark.parametrize('weight', [1.0, 30.0, 250.0])
@pytest.mark.parametrize('name', MODES)
@pytest.mark.parametrize('factor', [0.0, 0.3, 1.0, 4.0])
def test_at_a_price_of_cpu_no_ratio_and_cpu_are_better(name, weight, factor):
    """Against a grid over x and u, for every UAV and the powers that jcorm ends with."""
    scenario = scenario_of(name, energy_weight_mbit_j=weight)
    state = scenario.reset(np.array([2]))
    problem = slot_problem(scenario, state)
    solution = solve(problem)
    power_w = np.where(solution.decision.ratio > 0, solution.decision.power_w, 1.0)
    price = factor * np.maximum(solution.cpu_price, 1e-12)
    got = Uavs(problem, power_w, problem.busy).at(price)
    send_s = problem.batch_bit / problem.rate_bit_s(power_w)

    def net_mbit(ratio, cpu):
        """U_m - mu f_m, minus infinity where the batch is late; any leading axes."""
        with np.errstate(divide='ignore', invalid='ignore'):
            away_s = np.where(ratio > 0, problem.round_trip_s + ratio * (send_s + 1.0 / cpu), 0.0)
        done_s = problem.upload_s + np.maximum((1.0 - ratio) * problem.local_s, away_s)
        missed_s = np.maximum(done_s - problem.hold_s, 0.0)
        worth = problem.upload_mbit - problem.gain_mbit_s * missed_s
        spent = problem.energy_weight_mbit_j * power_w * send_s * ratio
        spent = spent + problem.capacitance_mbit_s2 * cpu**2 * ratio
        spent = spent + problem.local_mbit * (1 - ratio) + price * problem.cycles * cpu
        return np.where(done_s <= problem.limit_s * (1 + 1e-12), worth - spent, -np.inf)

    ratio = np.linspace(0.0, 1.0, 301)[:, None, None, None]
    cpu = np.append(0.0, np.geomspace(1e-2, 1e2, 301))[:, None, None]
    if factor == 0.0:
        cpu = cpu[1:]  # x = 0 may come with any u
    on_grid = net_mbit(ratio, cpu).max(axis=(0, 1))
    own = net_mbit(got.ratio, got.cpu)
    assert (own >= on_grid - 1e-9 * np.abs(on_grid)).all()


def test_where_one_uav_has_to_be_chosen_little_is_lost():
    """Energy so dear that demand for CPU jumps: one UAV offloads all that is in time, or not."""
    scenario = scenario_of('maritime:cpu_scarce', energy_weight_mbit_j=250.0)
    state = scenario.reset(np.arange(8))
    bound_mbit = -create_batch('jcorm', scenario).bound(state)
    missing = (bound_mbit - best_mbit(scenario, state)) / np.abs(bound_mbit)
    assert (missing >= 0).all() and (missing < 0.02).all()
