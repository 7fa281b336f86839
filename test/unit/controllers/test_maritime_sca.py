"""The SCA baseline: a convex solver finds the powers of the closed form."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from maritime_regimes import REGIMES, assert_keeps_the_limits, world

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.batch import batch_controller_names, create_batch
from sec_nodes.controllers.maritime.problem import priced_power_w, slot_problem
from sec_nodes.controllers.maritime.sca import _Approximation, _PowerStep

pytestmark = pytest.mark.filterwarnings('error')


@pytest.mark.parametrize('regime', REGIMES)
def test_agrees_with_jcorm_and_keeps_the_limits(regime):
    scenario, state = world(regime, seeds=(0,), uavs__count=1 if regime == 'one UAV' else 6)
    plan = create_batch('sca', scenario).decide(state)
    outcome = assert_keeps_the_limits(scenario, state, plan)
    exact = scenario.evaluate(state, create_batch('jcorm', scenario).decide(state))
    np.testing.assert_allclose(outcome.utility_mbit, exact.utility_mbit, rtol=1e-6)
    assert not outcome.violations['f'][~outcome.late].any()


@pytest.mark.parametrize('weight', [0.0, 1.0, 100.0])
def test_the_limit_is_the_closed_form(weight):
    cvxpy = pytest.importorskip('cvxpy')
    scenario, state = world('link', energy_weight_mbit_j=weight)
    problem = slot_problem(scenario, state)
    price = np.geomspace(0.05, 250.0, 10)[None]
    found_w = _PowerStep(_Approximation(cvxpy, 10), np.ones(10))(problem, price)
    exact_w = priced_power_w(problem, price)
    np.testing.assert_allclose(found_w, exact_w, rtol=1e-2)  # flat: its square is in the product
    nats = np.log1p(problem.snr_per_w * np.stack([found_w, exact_w]))
    product = (price + weight * np.stack([found_w, exact_w])) / nats
    np.testing.assert_allclose(product[0], product[1], rtol=1e-6)


def test_copies_are_decided_together_and_a_slot_again_alike():
    scenario, state = world('storage', seeds=(1, 2), uavs__count=4)
    controller = create_batch('sca', scenario)
    plan, again = controller.decide(state), controller.decide(state)
    np.testing.assert_array_equal(plan.power_w, again.power_w)
    exact = scenario.evaluate(state, create_batch('jcorm', scenario).decide(state))
    utility = scenario.evaluate(state, plan).utility_mbit
    np.testing.assert_allclose(utility, exact.utility_mbit, rtol=1e-6)


def test_without_cvxpy_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cvxpy', None)
    scenario, _ = world('link')
    with pytest.raises(ControllerError, match=r'sca needs cvxpy.*pip install cvxpy'):
        create_batch('sca', scenario)


def test_is_not_among_all():
    assert {'sca', 'genetic'} <= set(batch_controller_names('maritime'))
    assert not {'sca', 'genetic'} & set(batch_controller_names('maritime', in_all=True))
