"""The exact association along given paths against trying all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.partial.association import (
    associate,
    round_association,
    solve_association,
)
from sec_nodes.controllers.partial.baselines import initial_ellipses
from sec_nodes.controllers.partial.plans import closed_form_plan
from sec_nodes.scenarios.partial.scenario import UNSERVED, Partial
from sec_nodes.scenarios.registry import read_settings


def exhaustive(fixed_j, cost_j, load, possible):
    """Least largest sum over all associations; None if none is allowed."""
    n_uavs, n_tasks = cost_j.shape
    best_j = None
    for server in itertools.product(range(n_uavs), repeat=n_tasks):
        used, spent_j = np.zeros(n_uavs), fixed_j.copy()
        for task, uav in enumerate(server):
            if not possible[uav, task]:
                break
            used[uav] += load[uav, task]
            spent_j[uav] += cost_j[uav, task]
        else:
            if (used <= 1).all() and (best_j is None or spent_j.max() < best_j):
                best_j = spent_j.max()
    return best_j


@pytest.mark.parametrize('share_possible', [0.5, 0.95])
@pytest.mark.parametrize('seed', range(15))
def test_against_all_associations(seed, share_possible):
    rng = np.random.default_rng(seed)
    n_uavs, n_tasks = (2, 7) if seed % 2 else (3, 5)
    fixed_j = rng.uniform(100, 200, n_uavs)
    cost_j = rng.uniform(1, 100, (n_uavs, n_tasks))
    load = rng.uniform(0.05, 0.6, (n_uavs, n_tasks))
    possible = rng.uniform(size=(n_uavs, n_tasks)) < share_possible
    cost_j[~possible], load[~possible] = np.inf, np.inf
    server, value_j = solve_association(fixed_j, cost_j, load, possible)
    best_j = exhaustive(fixed_j, cost_j, load, possible)
    if best_j is None:
        assert (server == UNSERVED).all()
        assert value_j == np.inf
        return
    assert value_j == pytest.approx(best_j, rel=2e-6)
    assert possible[server, np.arange(n_tasks)].all()
    used = np.bincount(server, load[server, np.arange(n_tasks)], n_uavs)
    assert used.max() <= 1 + 1e-6


@pytest.mark.parametrize('seed', range(30))
def test_rounding_the_relaxation_is_allowed_and_never_better_than_exact(seed):
    rng = np.random.default_rng(seed)
    fixed_j = rng.uniform(8800, 8900, 3)
    cost_j = rng.uniform(1, 300, (3, 12))
    load = rng.uniform(0.02, 0.4, (3, 12))
    possible = rng.uniform(size=(3, 12)) < 0.9
    possible[0] = True
    cost_j[~possible], load[~possible] = np.inf, np.inf
    server, value_j = round_association(fixed_j, cost_j, load, possible)
    _, exact_j = solve_association(fixed_j, cost_j, load, possible)
    assert value_j >= exact_j * (1 - 1e-6)
    if np.isfinite(value_j):
        assert possible[server, np.arange(12)].all()
        used = np.bincount(server, load[server, np.arange(12)], 3)
        assert used.max() <= 1 + 1e-6
        assert value_j <= exact_j * 1.05


def test_a_task_moves_off_a_processor_that_rounding_overloads():
    # shares of 0.6 each: only one fits on each UAV, and the first costs less for both
    cost_j = np.array([[1.0, 2.0], [100.0, 100.0]])
    server, value_j = round_association(
        np.array([50.0, 0.0]), cost_j, np.full((2, 2), 0.6), np.ones((2, 2), dtype=bool)
    )
    assert sorted(server) == [0, 1]
    assert value_j in (100.0, 101.0, 102.0)


def test_the_propulsion_counts():
    # the first UAV serves for less, but has spent 50 J more
    server, value_j = solve_association(
        np.array([150.0, 100.0]), np.array([[10.0], [20.0]]), np.full((2, 1), 0.1), np.ones((2, 1))
    )
    assert server[0] == 1
    assert value_j == pytest.approx(150.0)  # what the first has spent


def test_the_plan_along_tours_keeps_every_constraint():
    scenario = Partial(read_settings('partial'))
    state = scenario.reset(np.arange(1))
    waypoint_m = create_batch('tsp', scenario).decide(state).waypoint_m
    server, value_j = associate(scenario, state, waypoint_m)
    outcome = scenario.evaluate(state, closed_form_plan(scenario, state, waypoint_m, server))
    assert outcome.met.all()
    assert not any(count.any() for count in outcome.violations.values())
    # z also holds gamma times the radio energy of the terminals, at most P T each
    assert outcome.objective_j[0] <= value_j[0] <= outcome.objective_j[0] + 18 * 0.005 * 70


def test_copies_without_an_association_are_told():
    scenario = Partial(read_settings('partial:random'))
    state = scenario.reset(np.arange(6))
    server, value_j = associate(scenario, state, initial_ellipses(scenario, state))
    assert ((server == UNSERVED).all(axis=1) == np.isinf(value_j)).all()
    assert np.isinf(value_j).any()
