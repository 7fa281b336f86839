"""The toy problems' best policies are what they are said to be."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch')

import numpy as np  # noqa: E402
from toys import CoupledAssignment, HybridBandit, Regulator, score  # noqa: E402

from sec_nodes.learning.problem import Action  # noqa: E402


def test_bandit_optimum_costs_nothing():
    assert score(HybridBandit(), HybridBandit().optimal) == pytest.approx(0, abs=1e-6)


def test_forbidding_bandit_optimum_takes_second_options_half_of_the_time():
    # Three devices pay 0.5 wherever x1 > 0.
    problem = HybridBandit(copies=64, forbids=True)
    assert score(problem, problem.optimal) == pytest.approx(-0.75, abs=0.05)


def test_gated_bandit_optimum_pays_for_the_gate():
    # E[(x0/2)^2; x0 < 0] = 1/24, while going through the gate is worth 1.5.
    problem = HybridBandit(copies=64, gate=True)
    assert score(problem, problem.optimal) == pytest.approx(-1 / 24, abs=0.01)


def test_forbidden_choices_are_refused():
    problem = HybridBandit(copies=1, gate=True)
    observation = problem.reset(0)
    best = problem.rank(observation).argmin(-1)
    with pytest.raises(AssertionError, match='forbidden'):
        problem.step(Action(best, torch.full((1, 2), -0.5)))


def test_assignment_optimum_by_hand():
    # All apart; of the six assignments 0, 1, 2 -> (0, 1, 2) costs 0 + 0.2 + 0.5 alone.
    problem = CoupledAssignment(copies=1)
    assert problem.optimal(torch.zeros(1, 2)).choice.tolist() == [[0, 1, 2]]
    assert score(problem, problem.optimal) == pytest.approx(-0.7)
    assert problem.costs(torch.tensor([[0, 0, 0]])).tolist() == [pytest.approx([2.0, 2.1, 2.0])]


def test_regulator_pays_what_riccati_says():
    # In the long run a slot costs trace(P W), W the noise's covariance.
    problem = Regulator(copies=64, horizon=400)
    expected = -(problem.noise**2) * np.trace(problem.cost_to_go)
    problem.reset(0)
    problem.begin = lambda: torch.zeros(64, 2)
    assert score(problem, problem.optimal, episodes=1) == pytest.approx(expected, rel=0.1)
