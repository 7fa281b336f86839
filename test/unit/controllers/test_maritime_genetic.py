"""The genetic baseline: what it searches, what breaking limits costs, and that seeds decide."""

from __future__ import annotations

import sys
from dataclasses import fields

import numpy as np
import pytest
from maritime_regimes import REGIMES, assert_keeps_the_limits, world

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.maritime.evolution import evolve
from sec_nodes.controllers.maritime.genetic import Budget, Genetic, decode, fine_mbit
from sec_nodes.controllers.maritime.problem import finish_s, slot_problem
from sec_nodes.scenarios.maritime.scenario import take

pytestmark = pytest.mark.filterwarnings('error')


@pytest.mark.parametrize('regime', REGIMES)
def test_every_decision_keeps_the_limits_however_small_the_budget(regime):
    scenario, state = world(regime, seeds=(0, 1))
    plan = Genetic(scenario, budget=Budget(10, 3)).decide(state)
    outcome = assert_keeps_the_limits(scenario, state, plan)
    assert not outcome.violations['f'][~outcome.late].any()


def test_the_search_finds_a_known_minimum_and_keeps_its_best():
    target = np.array([0.1, 0.5, 0.9])
    best_so_far = []

    def cost(points):
        cost = np.square(points - target).sum(axis=-1)
        best_so_far.append(cost.min())
        return cost

    found = evolve(cost, 3, population=40, generations=60, seed=1)
    np.testing.assert_allclose(found, target, atol=0.02)
    assert len(best_so_far) == 60
    # a generation's own best may be worse than the elite, the result may not
    assert np.square(found - target).sum() == min(best_so_far)


def test_a_larger_budget_leaves_a_smaller_gap():
    scenario, state = world('link', seeds=(0,))
    best = scenario.evaluate(state, create_batch('jcorm', scenario).decide(state)).utility_mbit[0]

    def gap(budget):
        plan = Genetic(scenario, budget=budget).decide(state)
        return best / scenario.evaluate(state, plan).utility_mbit[0] - 1

    small, default = gap(Budget(50, 20)), gap(Budget())
    assert 0.01 < default < 0.06 < small < 0.4


def test_the_seed_and_nothing_else_decides():
    scenario, state = world('link', seeds=(3, 4), uavs__count=3)
    budget = Budget(20, 5)
    plan = Genetic(scenario, 7, budget).decide(state)
    controller = Genetic(scenario, 7, budget)
    controller.decide(take(state, np.array([1])))  # what it decided before does not matter
    alone = controller.decide(take(state, np.array([1])))
    for field in fields(plan):
        np.testing.assert_array_equal(
            getattr(alone, field.name)[0], getattr(plan, field.name)[1], field.name
        )
    assert (Genetic(scenario, 8, budget).decide(state).power_w != plan.power_w).all()
    following, _ = scenario.step(state, plan)
    assert (controller.decide(following).power_w != plan.power_w).all()


def test_a_point_is_a_decision():
    scenario, state = world('link', uavs__count=2)
    problem = slot_problem(scenario, state)
    plan = decode(problem, np.array([[0.5, 1.0, 0.1, 0.3, 0.4, 0.0, 0.5, 1.0]]))
    np.testing.assert_allclose(plan.power_w, [[0.5, 0.0]])
    np.testing.assert_allclose(plan.ratio, [[0.4, 0.0]])
    np.testing.assert_allclose(plan.cpu_hz, [[1e10, 0.0]])  # who offloads nothing needs none
    np.testing.assert_allclose(plan.start_s, [[1.5, 3.0]])
    plan = decode(problem, np.array([[0.5, 1.0, 0.1, 0.3, 0.4, 0.2, 0.5, 1.0]]))
    np.testing.assert_allclose(plan.cpu_hz, [[2.5e9, 7.5e9]])


def test_the_fine_is_three_times_the_worth_of_each_violated_second():
    scenario, state = world('storage', uavs__count=2)
    problem = slot_problem(scenario, state)
    plan = decode(problem, np.array([[1.0, 1.0, 0.5, 0.5, 0.3, 0.3, 1.0, 1.0]]))
    sound_s = np.maximum(finish_s(problem, plan), problem.hold_s)
    worth = problem.gain_mbit_s.max()
    for early_s in (0.0, 0.1):  # before the storage has enough, (28h)
        points = np.array([[1.0, 1.0, 0.5, 0.5, 0.3, 0.3, *(sound_s[0] - [early_s, 0]) / 3.0]])
        fine = fine_mbit(problem, decode(problem, points))
        np.testing.assert_allclose(fine, 3 * worth * early_s, atol=1e-9)


def test_without_pymoo_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pymoo', None)
    scenario, _ = world('link')
    with pytest.raises(ControllerError, match=r'genetic needs pymoo.*pip install pymoo'):
        create_batch('genetic', scenario)


@pytest.mark.parametrize(('population', 'generations'), [(1, 5), (10, 0)])
def test_a_budget_that_is_none(population, generations):
    with pytest.raises(ValueError, match=f'population = {population}, generations'):
        Budget(population, generations)
