"""What a learner of robust finds best, its network in ONNX Runtime and the nodes decide alike."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from sec_nodes.controllers.base import create  # noqa: E402
from sec_nodes.controllers.batch import create_batch  # noqa: E402
from sec_nodes.controllers.learned import trained_on, write_policy  # noqa: E402
from sec_nodes.learning.algorithms.sac_per import SacPer  # noqa: E402
from sec_nodes.learning.problems import make_problem  # noqa: E402
from sec_nodes.learning.registry import recipe  # noqa: E402
from sec_nodes.scenarios.robust.view import RobustView  # noqa: E402

KINDS = {'flat': [32, 24], 'per_user': [16, 32]}


@pytest.mark.parametrize('scenario', ['robust', 'robust:feasible', 'robust:flown'])
@pytest.mark.parametrize('networks', KINDS)
def test_all_decide_alike(scenario, networks, tmp_path):
    overrides = {'failures.fixed': 1, 'horizon': 12}
    changes = {'networks': networks, 'hidden': KINDS[networks], 'warm_up': 32, 'batch': 8}
    problem = make_problem(scenario, 8, overrides)
    torch.manual_seed(1)
    learner = SacPer(problem, recipe('sac_per', 'robust', overrides=changes).hyper)
    with torch.no_grad():
        for parameter in learner.networks.actor.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    observation = problem.reset(11)
    for _ in range(6):
        action = learner.act(observation)
        turn = problem.step(action)
        learner.learn(observation, action, turn)
        observation = turn.observation
    description, arrays = learner.policy_arrays()
    path = tmp_path / 'policy.npz'
    write_policy(path, description | trained_on(scenario, overrides), arrays)

    physical = problem.environment.scenario
    controller, view = create_batch(str(path), physical), RobustView(physical)
    node = create(str(path), view)
    observation = problem.reset(500)
    dead = False
    for _ in range(problem.horizon):
        state = problem.environment.state
        dead |= not state.alive.all()
        best = learner.best(observation)
        np.testing.assert_allclose(controller.action(state), best.continuous, atol=5e-5)
        decision = controller.decide(state)
        expected = problem.environment.decode(state, best.continuous.numpy())
        np.testing.assert_array_equal(decision.split, expected.split)
        np.testing.assert_array_equal(decision.server, expected.server)
        assert np.take_along_axis(state.alive, decision.server, axis=1).all()
        slot = node.decide(view.slot_states(state)[0])
        stays = decision.split[0] == physical.tables.layers[state.network[0]] + 1
        np.testing.assert_array_equal(slot.split, decision.split[0] - 1)
        np.testing.assert_array_equal(slot.server[~stays], decision.server[0][~stays])
        observation = problem.step(best).observation
    assert dead
