"""The exact controller of mllm and the bound: certificates, and what they certify."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.mllm.bound import lower_bound
from sec_nodes.controllers.mllm.exact import Exhaustive
from sec_nodes.controllers.mllm.optimum import Optimum
from sec_nodes.scenarios.mllm import Mllm, MllmDecision
from sec_nodes.scenarios.registry import read_settings


def scenario(mode, count, **overrides):
    values = {k.replace('__', '.'): v for k, v in overrides.items()}
    return Mllm(read_settings(mode, {'devices.count': count, **values}))


def best_of_grid(world, state):
    """Least cost of one copy with two devices over servers, a grid of powers, and each UAV above
    the first or second device, or between them."""
    level = np.geomspace(0.01, 1.0, 7)
    places_m = np.array([state.device_m[0, 0], state.device_m[0, 1], state.device_m[0].mean(0)])
    servers, spots = range(world.n_servers), range(3)
    cases = np.array(list(product(servers, servers, spots, spots, spots)))
    n = len(cases)
    many = replace(state, **{k: np.repeat(v, n, axis=0) for k, v in vars(state).items()})
    lowest = np.inf
    for powers in product(level, level):
        decision = MllmDecision(cases[:, :2], np.tile(powers, (n, 1)), places_m[cases[:, 2:]])
        lowest = min(lowest, world.evaluate(many, decision).penalised_cost.min())
    return lowest


@pytest.mark.parametrize('mode', ['mllm', 'mllm:stress', 'mllm:quoted'])
def test_exhaustive_is_no_worse_than_a_grid_of_all_decisions_for_two(mode):
    world = scenario(mode, 2)
    for seed in range(2):
        state = world.reset(np.array([seed]))
        controller = Exhaustive(world)
        found = world.evaluate(state, controller.decide(state)).penalised_cost[0]
        grid = best_of_grid(world, state)
        assert found <= grid * (1 + 1e-4)
        assert found >= grid * (1 - 0.02)  # the grid is that fine
        assert controller.bound(state)[0] <= found * (1 + 1e-9)


@pytest.mark.parametrize(
    ('mode', 'gap'), [('mllm', 1e-3), ('mllm:stress', 1e-2), ('mllm:quoted', 1e-3)]
)
def test_optimum_is_as_good_as_exhaustive_search(mode, gap):
    world = scenario(mode, 4)
    state = world.reset(np.arange(2))
    exact = Exhaustive(world)
    least = world.evaluate(state, exact.decide(state)).penalised_cost
    near = world.evaluate(state, Optimum(world).decide(state)).penalised_cost
    assert (near / least - 1 > -1e-3).all()
    assert (near / least - 1).mean() < gap
    assert (lower_bound(world, state) <= least).all()


@pytest.mark.slow
@pytest.mark.parametrize(('mode', 'gap'), [('mllm', 1e-3), ('mllm:stress', 1e-2)])
def test_optimum_is_as_good_as_exhaustive_search_on_many_slots(mode, gap):
    world = scenario(mode, 5)
    state = world.reset(np.arange(100, 124))
    least = world.evaluate(state, Exhaustive(world).decide(state)).penalised_cost
    near = world.evaluate(state, Optimum(world).decide(state)).penalised_cost
    assert (near / least - 1).mean() < gap


@pytest.mark.parametrize(
    'mode', ['mllm', 'mllm:stress', 'mllm:fig7', 'mllm:extended', 'mllm:quoted']
)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), one_server=st.booleans(), strong=st.booleans())
def test_nothing_beats_the_bound(mode, seed, one_server, strong):
    world = Mllm(read_settings(mode))
    rng = np.random.default_rng(seed)
    state = world.reset(rng.integers(0, 10**6, 4))
    state = replace(state, backlog_s=rng.uniform(0, 5, state.backlog_s.shape))
    shape = state.size_bit.shape
    goal_m = state.device_m[:, : world.n_uavs] if strong else rng.uniform(0, 500, (4, 3, 2))
    server = rng.integers(0, world.n_servers, shape)
    decision = MllmDecision(
        np.full(shape, server[0, 0]) if one_server else server,
        10 ** rng.uniform(-6, 1, shape) * rng.choice([1, 1, 1, -1, 0], shape),
        world.reachable_m(state, goal_m),
    )
    bound = lower_bound(world, state)
    assert (bound > 0).all()
    assert (world.evaluate(state, decision).penalised_cost >= bound).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), penalty=st.floats(0, 0.5), db=st.floats(-20, 40))
def test_nothing_beats_the_bound_where_breaking_rules_pays(seed, penalty, db):
    """One device and next to no penalty: wrong servers and too much power may be best."""
    world = scenario(
        'mllm:stress',
        1,
        objective__violation_penalty=penalty,
        objective__energy_weight=0.001,
        radio__additional_loss_db=20.0 + db,
    )
    rng = np.random.default_rng(seed)
    state = world.reset(rng.integers(0, 10**6, 1))
    n = 400
    many = replace(state, **{k: np.repeat(v, n, axis=0) for k, v in vars(state).items()})
    decision = MllmDecision(
        rng.integers(0, world.n_servers, (n, 1)),
        10 ** rng.uniform(-10, 4, (n, 1)),
        np.repeat(state.device_m, n, axis=0)[:, [0, 0, 0]],
    )
    lowest = world.evaluate(many, decision).penalised_cost.min()
    assert lowest >= lower_bound(world, state)[0]


def test_the_bound_is_close_where_interference_is_weak():
    world = Mllm(read_settings('mllm'))
    state = world.reset(np.arange(6))
    found = world.evaluate(state, Optimum(world).decide(state)).penalised_cost
    assert (found / lower_bound(world, state) - 1).mean() < 0.01


def test_too_many_devices_and_coupled_slots_are_refused():
    with pytest.raises(ControllerError, match=r'devices\.count = 11'):
        Exhaustive(scenario('mllm', 11))
    with pytest.raises(ControllerError, match=r'queue\.enabled'):
        Exhaustive(scenario('mllm:extended', 4))
