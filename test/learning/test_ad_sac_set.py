"""AD-SAC with structured networks: the same in torch and numpy, and what it descends."""

from __future__ import annotations

import io

import pytest

torch = pytest.importorskip('torch')

import numpy as np  # noqa: E402
from toys import HybridBandit  # noqa: E402

from sec_nodes.controllers.mllm.pairs import first_guess, scene  # noqa: E402
from sec_nodes.controllers.mllm.set_policy import SetPolicy  # noqa: E402
from sec_nodes.learning.algorithms.ad_sac_set import (  # noqa: E402
    AdSacSet,
    AdSacSetHyper,
    Settled,
    SettledChoices,
)
from sec_nodes.learning.critics import Draw  # noqa: E402
from sec_nodes.learning.distributions import TanhNormal  # noqa: E402
from sec_nodes.learning.mllm import MllmProblem  # noqa: E402
from sec_nodes.learning.problem import Action  # noqa: E402
from sec_nodes.learning.set_networks import Settling  # noqa: E402

QUICK = {'hidden': (8,), 'batch': 16, 'buffer': 512, 'warm_up': 16, 'merge': {'every': 0}}


def make(mode, copies=8, overrides=None, **changes):
    problem = MllmProblem(mode, copies, overrides)
    torch.manual_seed(0)
    return AdSacSet(problem, AdSacSetHyper(**{**QUICK, 'gamma': 0.0, 'alpha': 0.003, **changes}))


def stirred(learner):
    """The learner with random weights where training begins with zeros."""
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in learner.networks.parameters():
            parameter += 0.2 * torch.randn(parameter.shape)
        learner.networks.mover.power.weight *= 10
    return learner


def policy_of(learner):
    return SetPolicy({}, learner.networks.arrays(), learner.settings)


def some_numbers(learner, rows):
    return 1.6 * torch.rand(rows, learner.shape.continuous) - 0.8


def play(learner, slots, seed=1):
    """Act and learn; the mean cost of these slots, and whether choices were admissible."""
    observation = learner.problem.reset(seed)
    costs, admissible = [], True
    for _ in range(slots):
        action = learner.act(observation)
        mask = learner.problem.mask(observation, action.continuous)
        admissible &= bool(mask.gather(-1, action.choice[..., None]).all())
        turn = learner.problem.step(action)
        learner.learn(observation, action, turn)
        costs.append(turn.figures['cost'].mean().item())
        observation = turn.observation
    return float(np.mean(costs)), admissible


@pytest.mark.parametrize('mode', ['paper', 'fig7', 'stress', 'extended'])
@torch.no_grad()
def test_numbers_are_those_of_the_exported_policy(mode):
    learner = stirred(make(mode))
    observation = learner.problem.reset(3)
    policy, sight = policy_of(learner), learner.sight
    level, move = policy.move(sight.see(observation.numpy()))
    mean = TanhNormal(*learner.networks.gaussian(observation)).best().numpy()
    asks = observation[:, : learner.shape.devices].numpy() > 0
    np.testing.assert_allclose(mean[:, : level.shape[1]][asks], level[asks], atol=1e-5)
    np.testing.assert_allclose(mean[:, level.shape[1] :], move.reshape(len(move), -1), atol=2e-5)
    assert level.std() > 0.01
    assert move.std() > 0.01


@pytest.mark.parametrize('mode', ['paper', 'fig7', 'stress', 'extended'])
@torch.no_grad()
def test_scores_are_those_of_the_exported_policy(mode):
    # uploads that are cut off at the same time arrive in no order
    learner = stirred(make(mode, overrides={'radio.longest_upload_s': 1e6}))
    sight, policy = learner.sight, policy_of(learner)
    observation = learner.problem.reset(5)
    numbers = some_numbers(learner, len(observation))
    at = scene(sight, observation, numbers, torch)
    there = scene(sight, observation.numpy(), numbers.numpy())
    weight = first_guess(sight, at, torch)
    np.testing.assert_allclose(weight, first_guess(sight, there), atol=1e-5)
    score = learner.networks.chooser.score(at, weight).numpy()
    expected = policy._scores(there, weight.numpy())
    # where hardly anything is heard, a score is a million and rounding shows
    np.testing.assert_allclose(score, expected, rtol=1e-4, atol=1e-4)
    usual = np.abs(expected) < 100
    np.testing.assert_allclose(score[usual], expected[usual], rtol=1e-5, atol=1e-4)
    assert usual.mean() > 0.3


@torch.no_grad()
def test_what_is_best_is_what_is_exported():
    learner = stirred(make('stress'))
    observation = learner.problem.reset(2)
    found = learner.best(observation)
    choice, numbers = policy_of(learner).answer(
        observation.numpy(),
        lambda continuous: learner.sight.mask(observation.numpy(), continuous),
    )
    np.testing.assert_array_equal(found.choice, choice)
    np.testing.assert_array_equal(found.continuous, numbers)


@pytest.mark.parametrize('mode', ['stress', 'fig7'])
@torch.no_grad()
def test_untrained_critics_value_slots_at_minus_their_cost(mode):
    learner = make(mode, copies=32)
    environment, sight = learner.problem.environment, learner.sight
    observation = learner.problem.reset(8)
    numbers = some_numbers(learner, 32)
    mask = learner.problem.mask(observation, numbers)
    choice = torch.where(mask, torch.rand(mask.shape), -1.0).argmax(-1)
    joint = torch.nn.functional.one_hot(choice, learner.shape.options).float()
    reward, future = learner.networks.values(observation, numbers, joint)
    active = torch.from_numpy(environment.state.active)
    turn = learner.problem.step(Action(choice, numbers))
    broken = turn.figures['violations'] > 0
    value = (reward * joint).sum((-1, -2))
    # as rewards are scaled: devices' shares of the mean, in units of cost over devices
    expected = learner.normaliser.reward(turn.reward).sum(-1)
    cost = -turn.figures['cost'] * learner.shape.devices / sight.cost_unit
    torch.testing.assert_close(expected, cost, rtol=1e-4, atol=1e-4)
    assert (~broken).sum() > 15
    torch.testing.assert_close(value[0], value[1])
    torch.testing.assert_close(value[0][~broken], expected[~broken], rtol=0.03, atol=0)
    assert not future.any()
    per_device = (reward * joint).sum(-1)[0]
    assert not per_device[~active].any()


def settling():
    """Two slots of three devices and two options; in the second, who is looked at does not ask."""
    joint = torch.tensor(
        [[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]]
    )
    return Settling(torch.tensor([1, 0]), torch.tensor([[0.3, -0.2], [1.0, 2.0]]), joint)


def test_instead_of_its_choice():
    choices = SettledChoices(settling(), torch.ones(2, 3, 2, dtype=torch.bool))
    before = choices.joint.clone()
    found = choices.instead()
    assert found.shape == (2, 2, 3, 2)
    for option in range(2):
        expected = before.clone()
        expected[0, 1] = torch.eye(2)[option]
        torch.testing.assert_close(found[option], expected)
    torch.testing.assert_close(choices.joint, before)


def test_instead_in_a_slot():
    """Against what is written out, one option after the other."""
    learner = make('fig7')
    observation = learner.problem.reset(0)
    draw = learner.draw(observation, observation)
    joint, device = draw.choices.joint, draw.choices.device
    asks = observation[:, : learner.shape.devices] > 0
    torch.testing.assert_close(joint.sum(-1), asks.float())
    found = draw.choices.instead()
    for row in range(len(observation)):
        for option in range(learner.shape.options):
            expected = joint[row].clone()
            expected[device[row]] = 0
            expected[device[row], option] = float(asks[row, device[row]])
            torch.testing.assert_close(found[option, row], expected)


class Table:
    """Stands for networks: rewards by table, less if two devices are together."""

    def __init__(self, apart):
        self.apart = apart

    def values(self, seen, continuous, weights):
        """Two devices, two options, alike for both devices but for who else is there."""
        own = torch.tensor([[0.0, 0.4], [0.0, 0.0]]).expand(*weights.shape)
        others = weights.sum(-2, keepdim=True) - weights
        reward = own - self.apart * others
        return torch.stack([reward, reward + 1]), torch.zeros(weights.shape[:-2])


@pytest.mark.parametrize(('apart', 'better'), [(0.0, 1), (0.1, 1), (0.3, 0)])
def test_worth_counts_what_an_option_does_to_others(apart, better):
    """Option 1 gives 0.4 more, but costs both `apart` as the other device is there."""
    scores = torch.zeros(1, 2, requires_grad=True)
    joint = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    mask = torch.ones(1, 2, 2, dtype=torch.bool)
    choices = SettledChoices(Settling(torch.tensor([0]), scores, joint), mask)
    numbers = torch.zeros(1, 3)
    draw = Draw(None, numbers, torch.zeros(1), scores, choices)
    critic = Settled(Table(apart), Table(apart), gamma=0.0)
    critic.worth(torch.zeros(1, 4), draw).sum().backward()
    # d/ds_1 of sum p v at p = 1/2 is (v_1 - v_0) / 4
    gain = 0.4 - 2 * apart
    torch.testing.assert_close(scores.grad, torch.tensor([[-gain / 4, gain / 4]]))
    assert scores.grad.argmax() == better


def test_worth_moves_numbers_by_the_joint_choice_alone():
    learner = make('stress', gamma=0.5)
    observation = learner.problem.reset(0)
    draw = learner.draw(observation, observation)
    numbers = draw.continuous.detach().requires_grad_()
    found = learner.critic.worth(observation, draw._replace(continuous=numbers))
    (slope,) = torch.autograd.grad(found.sum(), numbers)
    rewards, _ = learner.networks.values(observation, numbers, draw.choices.joint)
    taken = (rewards * draw.choices.joint).sum(-1).amin(0).sum()
    (expected,) = torch.autograd.grad(taken, numbers)
    torch.testing.assert_close(slope, expected)
    assert slope.abs().max() > 0


@pytest.mark.parametrize('gamma', [0.0, 0.5])
def test_saved_learners_go_on_alike(gamma):
    learner = make('stress', overrides={'devices.count': 4}, gamma=gamma)
    play(learner, 6)
    assert learner.updates > 0
    kept = io.BytesIO()
    torch.save(learner.state_dict(), kept)
    other = make('stress', overrides={'devices.count': 4}, gamma=gamma)
    stirred(other)
    kept.seek(0)
    other.load_state_dict(torch.load(kept, weights_only=True))
    assert other.updates == learner.updates
    figures = []
    for each in (learner, other):
        torch.manual_seed(9)
        figures.append(each.take_updates(2))
    assert figures[0] == figures[1]
    for name, array in learner.networks.arrays().items():
        np.testing.assert_array_equal(array, other.networks.arrays()[name])


def test_twenty_steps_do_no_harm():
    learner = make('stress', updates_per_step=0.25)
    before, _ = play(learner, 2)
    assert learner.updates == 0
    untrained = learner.networks.arrays()
    _, admissible = play(learner, 10)
    assert learner.updates == 20
    after, still = play(learner, 2)
    assert admissible
    assert still
    trained = learner.networks.arrays()
    assert all(np.isfinite(array).all() for array in trained.values())
    assert np.abs(trained['chooser_last_w'] - untrained['chooser_last_w']).max() > 0
    assert after < 1.15 * before


def test_other_problems_are_refused():
    with pytest.raises(ValueError, match='learns HybridBandit; use ad_sac_flat'):
        AdSacSet(HybridBandit(), AdSacSetHyper(**QUICK))


def test_without_discount_nothing_follows():
    now = make('stress')
    assert now.networks.future is None
    assert now.target.future is None
    ahead = make('stress', gamma=0.9)
    counts = [len(each.critic.parameters_now()) for each in (now, ahead)]
    assert counts[1] == counts[0] + len(list(ahead.networks.future.parameters()))
    observation = ahead.problem.reset(0)
    numbers = some_numbers(ahead, len(observation))
    joint = torch.zeros(len(observation), ahead.shape.devices, ahead.shape.options)
    _, future = ahead.networks.values(observation, numbers, joint)
    assert future.abs().min() > 0
