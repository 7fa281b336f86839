"""robust as a problem to learn: rewards in parts, episodes, and what networks make of it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from sec_nodes.environments.robust import RobustVectorEnv  # noqa: E402
from sec_nodes.learning.algorithms.sac import Sac  # noqa: E402
from sec_nodes.learning.problems import make_problem  # noqa: E402
from sec_nodes.learning.registry import ALGORITHMS, learner_class, recipe  # noqa: E402
from sec_nodes.learning.relaxed import numbers_only  # noqa: E402
from sec_nodes.learning.robust import RobustProblem, reward_parts  # noqa: E402
from sec_nodes.learning.user_networks import largest, taken_split  # noqa: E402
from sec_nodes.paths import config_dir  # noqa: E402

TUNED = sorted(path.stem for path in (config_dir() / 'controllers' / 'robust').glob('*.yaml'))


def random_action(problem, generator):
    size = (problem.copies, problem.shape.continuous)
    return numbers_only(2 * torch.rand(size, generator=generator) - 1)


def test_reward_in_parts_by_hand():
    # Tasks of 3 J and 5 J, flights of 0.1 * 20 = 2 J: e_tot is 10 J. The second is late, so
    # P_time = 2; P_dis P_0 = 3. Users: 3 and 5 + 10; flights: 2 + 10 * 2 * (3 - 1).
    share = -(np.array([[3.0, 5.0]]) + 1.0) * 6
    info = {
        'completed': np.array([[True, False]]),
        'cost': np.array([10.0]),
        'penalty': np.array([6.0]),
        'flight_j': np.array([20.0]),
        'task_reward': share,
    }
    parts = reward_parts(info, 0.1, 1.0)
    assert parts.tolist() == [[-3.0, -15.0, -42.0]]
    assert parts.sum() == -10 * 6


@pytest.mark.parametrize('mode', [None, 'feasible'])
def test_problem_is_the_environment(mode):
    problem, environment = RobustProblem(mode, 4), RobustVectorEnv(4, mode)
    assert (problem.shape.observation, problem.shape.continuous) == (104, 79)
    assert (problem.shape.devices, problem.shape.parts, problem.shape.rewards) == (0, 11, 11)
    generator = torch.Generator().manual_seed(0)
    observation = problem.reset(7)
    assert np.array_equal(observation.numpy(), environment.reset(seed=7)[0])
    for _ in range(6):
        action = random_action(problem, generator)
        turn = problem.step(action)
        seen, reward, _, _, info = environment.step(action.continuous.numpy())
        assert np.array_equal(turn.observation.numpy(), seen)
        assert turn.reward.shape == (4, 11) and turn.reward.dtype == torch.float32
        np.testing.assert_allclose(turn.reward.sum(-1), reward, rtol=1e-4)
        np.testing.assert_array_equal(turn.figures['cost'], info['cost'])
        late = 1 - info['completed'].mean(axis=1)
        np.testing.assert_allclose(turn.figures['late_share'], late, atol=1e-6)
        assert not turn.terminated.any()


def test_episodes_end_together():
    problem = make_problem('robust:feasible', 2, {'horizon': 3, 'users.count': 4})
    generator = torch.Generator().manual_seed(0)
    problem.reset(0)
    over = []
    for _ in range(6):
        turn = problem.step(random_action(problem, generator))
        over.append(turn.over)
        if turn.over:
            problem.reset()
    assert over == [False, False, True] * 2


@pytest.mark.parametrize('networks', ['flat', 'per_user'])
@pytest.mark.parametrize('name', TUNED)
def test_everyone_that_is_tuned_learns_something(name, networks):
    assert name in ALGORITHMS
    changes = {'networks': networks, 'hidden': [8, 8], 'warm_up': 16, 'batch': 4, 'buffer': 200}
    hyper = recipe(name, 'robust', overrides=changes).hyper
    problem = make_problem('robust:feasible', 8)
    torch.manual_seed(0)
    learner = learner_class(name)(problem, hyper.model_copy(update={'updates_per_step': 0.25}))
    before = [value.clone() for value in learner.networks.actor.parameters()]
    observation = problem.reset(0)
    for _ in range(5):
        action = learner.act(observation)
        turn = problem.step(action)
        figures = learner.learn(observation, action, turn)
        observation = turn.observation
    assert learner.updates > 0 and all(np.isfinite(list(figures.values())))
    after = learner.networks.actor.parameters()
    assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.fixture(scope='module')
def learner() -> Sac:
    changes = {'networks': 'per_user', 'hidden': [16, 64]}
    torch.manual_seed(0)
    return Sac(RobustProblem('feasible', 8), recipe('sac', 'robust', overrides=changes).hyper)


def test_what_critics_read_in_an_action_is_what_the_environment_does(learner):
    problem = learner.problem
    problem.reset(3)
    environment, generator = problem.environment, torch.Generator().manual_seed(4)
    for _ in range(5):
        state = environment.state
        seen = learner.networks.see(torch.from_numpy(environment.observe(state)))
        action = random_action(problem, generator)
        decision = environment.decode(state, action.continuous.numpy())
        blocks = environment.action_blocks
        cut = taken_split(action.continuous[:, blocks['split']], seen)
        np.testing.assert_array_equal(cut.argmax(-1) + 1, decision.split)
        scores = action.continuous[:, blocks['association']].view(8, 10, 3)
        at = largest(scores, seen.alive.unsqueeze(1))
        np.testing.assert_array_equal(at.argmax(-1), decision.server)
        problem.step(action)


def test_what_critics_read_changes_along_straight_lines(learner):
    problem = learner.problem
    seen = learner.networks.see(problem.reset(3))
    user = 1  # VGG13: 13 splits, 2 / 13 apart
    numbers = seen.centre[:, :, 4].clone().requires_grad_()
    table = torch.arange(seen.centre.shape[-1]).float().square()
    cut = taken_split(numbers + 0.01, seen)
    assert (cut[:, user].detach() * table).sum(-1).tolist() == pytest.approx([16.0] * 8)
    (cut * table).sum().backward()
    assert numbers.grad[:, user].tolist() == pytest.approx([(25 - 16) * 13 / 2] * 8, rel=1e-3)


def test_other_users_in_another_order_get_the_same(learner):
    """The actor has no names for users."""
    problem = learner.problem
    seen = learner.networks.see(problem.reset(5))
    order = torch.tensor([3, 4, 5, 0, 1, 2, 6, 7, 8, 9])
    mixed = seen._replace(
        **{
            name: getattr(seen, name)[:, order]
            for name in ('energy', 'demand', 'least', 'possible', 'centre', 'exists', 'user')
        }
    )
    with torch.no_grad():
        mean, _ = learner.networks.actor(seen)
        other, _ = learner.networks.actor(mixed)
    assert torch.allclose(mean[:, :10][:, order], other[:, :10], atol=1e-5)
    assert torch.allclose(mean[:, 70:], other[:, 70:], atol=1e-5)
