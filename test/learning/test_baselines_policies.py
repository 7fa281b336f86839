"""What baselines do besides learning: masks, saving, exported policies; and their formulas."""

import copy
import json

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from toys import CoupledAssignment, HybridBandit, Regulator, train  # noqa: E402

from sec_nodes.learning.algorithms.ddpg import Ddpg  # noqa: E402
from sec_nodes.learning.algorithms.hybrid_ppo import HybridPpo  # noqa: E402
from sec_nodes.learning.algorithms.ppo import Ppo  # noqa: E402
from sec_nodes.learning.branches import Branches  # noqa: E402
from sec_nodes.learning.on_policy import ClippedNormal, Draw, Slots, advantages  # noqa: E402
from sec_nodes.learning.problem import Action, Shape  # noqa: E402
from sec_nodes.learning.registry import learner_class  # noqa: E402

NAMES = ('ppo', 'hybrid_ppo', 'ddpg', 'ad_sac_c', 'ad_sac_d', 'd3qn')
PROBLEMS = {
    'bandit': lambda: HybridBandit(8, forbids=True, gate=True),
    'choices alone': lambda: CoupledAssignment(8),
    'numbers alone': lambda: Regulator(8, horizon=20),
}
ON_POLICY = {'rollout': 4, 'epochs': 2, 'batch': 8}
OFF_POLICY = {'updates_per_step': 0.25, 'batch': 16, 'buffer': 200}


def make(name, problem, seed=0):
    torch.manual_seed(seed)
    kind = learner_class(name)
    changes = ON_POLICY if name.endswith('ppo') else OFF_POLICY
    return kind(problem, kind.Hyper(hidden=(16, 16), warm_up=40, gamma=0.5, **changes))


def played(arrays, description, observation, problem):
    """The choices and numbers of an exported policy, computed from its format alone."""
    seen = (observation - arrays['obs_mean']) / np.maximum(arrays['obs_std'], 1e-3)
    seen, outputs = np.clip(seen, -10, 10), []
    for network in range(description['networks']):
        x, layer = seen, 0
        while f'n{network}_w{layer}' in arrays:
            x = np.maximum(x, 0) if layer else x
            x = x @ arrays[f'n{network}_w{layer}'] + arrays[f'n{network}_b{layer}']
            layer += 1
        outputs.append(x)
    outputs = np.concatenate(outputs, -1)
    shape = description['shape']
    k, s = shape['devices'], shape['options']
    scores, rest = outputs[:, : k * s], outputs[:, k * s :]
    numbers = np.tanh(rest)
    if description['bins'] is not None:
        ends = np.cumsum(description['bins'])[:-1]
        parts = np.split(rest, ends, axis=-1) if description['bins'] else []
        numbers = np.stack(
            [np.linspace(-1, 1, part.shape[1])[part.argmax(-1)] for part in parts], -1
        ) if parts else np.zeros((len(observation), 0))  # fmt: skip
    if not k:
        return np.zeros((len(observation), 0)), numbers
    numbers_t = torch.tensor(numbers, dtype=torch.float32)
    mask = problem.mask(torch.from_numpy(observation), numbers_t).numpy()
    return np.where(mask, scores.reshape(-1, k, s), -np.inf).argmax(-1), numbers


@pytest.mark.parametrize('problem', PROBLEMS)
@pytest.mark.parametrize('name', NAMES)
def test_exported_policies_do_what_is_best(name, problem):
    problem = PROBLEMS[problem]()
    # The toys refuse forbidden choices and numbers beyond 1, so training checks every action.
    learner = train(make(name, problem), 30)
    assert learner.updates > 0
    description, arrays = learner.policy_arrays()
    assert json.loads(json.dumps(description))['algorithm'] == name
    observation = torch.randn(200, problem.shape.observation)
    best = learner.best(observation)
    choice, numbers = played(arrays, description, observation.numpy(), problem)
    np.testing.assert_allclose(numbers, best.continuous, atol=1e-5)
    np.testing.assert_array_equal(choice, best.choice)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('steps', [3, 23], ids=['in warm-up', 'later'])
def test_saved_learners_go_on_as_if_never_interrupted(name, steps):
    learner = train(make(name, HybridBandit(8)), steps)
    other = make(name, HybridBandit(8), seed=1)
    other.load_state_dict(copy.deepcopy(learner.state_dict()))
    # Observations of `train` restart with the seed, for both alike.
    for one in (learner, other):
        train(one, 20, seed=5)
    assert learner.updates == other.updates > 0
    observation = torch.randn(50, 2)
    for mine, its in zip(learner.best(observation), other.best(observation), strict=True):
        assert torch.equal(mine, its)
    for key, array in learner.policy_arrays()[1].items():
        assert np.array_equal(array, other.policy_arrays()[1][key])


@pytest.mark.parametrize('name', ['ppo', 'hybrid_ppo', 'ddpg', 'ad_sac_c'])
def test_actions_of_others_are_refused(name):
    problem = HybridBandit(8)
    learner = train(make(name, problem), 10)
    observation = problem.reset()
    action = learner.act(observation)
    foreign = Action(action.choice, -action.continuous)
    with pytest.raises(ValueError, match='that act gave last'):
        learner.learn(observation, foreign, problem.step(foreign))


def test_advantages_by_hand():
    # Two copies, three slots: copy 0 is cut by the time limit after slot 1, copy 1 terminates
    # there. gamma = 0.5, lambda = 0.5, all values 4, all following values 8.
    reward = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    terminated = torch.tensor([[False, False], [False, True], [False, False]])
    cut = torch.tensor([[False, False], [True, True], [False, False]])
    empty = torch.empty(0)
    slots = Slots(empty, empty, empty, empty, reward, empty, terminated, cut)
    found = advantages(slots, torch.full((3, 2), 4.0), torch.full((3, 2), 8.0), 0.5, 0.5)
    # Slot 2: 3 + 4 - 4 = 3. Slot 1: 2 + 4 - 4 = 2, or 2 - 4 = -2 where nothing follows.
    # Slot 0: 1 + 4 - 4 = 1, and a quarter of the next.
    torch.testing.assert_close(found, torch.tensor([[1.5, 0.5], [2.0, -2.0], [3.0, 3.0]]))


def test_densities_are_those_of_torch():
    before, log_std = torch.randn(5, 3), torch.tensor([-1.0, 0.0, 0.5])
    ours = ClippedNormal(before, log_std)
    theirs = torch.distributions.Normal(before.tanh(), log_std.exp())
    numbers = ours.sample()
    torch.testing.assert_close(ours.log_prob(numbers), theirs.log_prob(numbers).sum(-1))
    torch.testing.assert_close(ours.entropy().expand(5), theirs.entropy().sum(-1))


def test_choices_and_numbers_are_clipped_apart():
    learner = make('hybrid_ppo', HybridBandit(8))
    clip = learner.hyper.clip
    advantage = torch.tensor([1.0, -1.0])  # deviation sqrt 2, mean 0
    normed = advantage / 2**0.5
    batch = Slots(
        torch.zeros(2, 2),
        torch.zeros(2, 2),
        torch.zeros(2, 3, dtype=torch.int64),
        torch.ones(2, 3, 3, dtype=torch.bool),
        *[torch.zeros(2)] * 4,
    )
    draw = Draw(batch.numbers, batch.choice, batch.mask)
    with torch.no_grad():
        now, entropy = learner.log_probs(batch.observation, draw)
        # Choices have become twice as probable, numbers half as probable.
        old = now - torch.tensor([[2.0], [0.5]]).log()
        value = learner.value(learner.normaliser(batch.observation)).squeeze(-1)
        loss, _ = learner._loss(batch, old, advantage, value + 3)
    choices = torch.minimum(2 * normed, (1 + clip) * normed)
    numbers = torch.minimum(0.5 * normed, (1 - clip) * normed)
    expected = 0.5 * 9 - (choices + numbers).mean() - learner.hyper.entropy * entropy.mean()
    torch.testing.assert_close(loss, expected)


def test_updates_end_where_the_policy_has_moved_too_far():
    torch.manual_seed(0)
    hyper = HybridPpo.Hyper(
        hidden=(16,), warm_up=8, rollout=2, epochs=50, batch=8, learning_rate=0.03, largest_kl=0.05
    )
    learner = train(HybridPpo(HybridBandit(8), hyper), 3)
    assert 1 < learner.updates < 100


def test_masks_follow_the_numbers_that_are_sent():
    """A PPO whose numbers all lie beyond 1 is asked for masks at 1."""
    asked = []
    problem = HybridBandit(8, gate=True)
    problem_mask = problem.mask
    problem.mask = lambda seen, numbers: asked.append(numbers) or problem_mask(seen, numbers)
    for kind in (Ppo, HybridPpo):
        learner = kind(problem, kind.Hyper(hidden=(16,), warm_up=8, std=50.0))
        train(learner, 3)
    assert max(float(numbers.abs().max()) for numbers in asked) == 1


def test_exploration_noise_of_ddpg_stays_within_limits():
    problem = HybridBandit(8)
    learner = Ddpg(problem, Ddpg.Hyper(hidden=(16,), warm_up=8, noise=5.0))
    train(learner, 2)
    numbers = torch.cat([learner.act(problem.reset()).continuous for _ in range(20)])
    assert numbers.abs().max() == 1
    assert (numbers.abs() == 1).float().mean() > 0.5


def branches():
    problem = HybridBandit(4)
    problem.shape = Shape(2, 3, 3, 2, axis_bins=(5, 2))
    return Branches(problem)


def test_branches_are_tables_of_what_exists():
    ours = branches()
    flat = torch.arange(2.0 * ours.outputs).view(2, -1)
    assert ours.outputs == 3 * 3 + 5 + 2
    table = ours.table(flat)
    assert table.shape == (2, 5, 5)
    assert table[0, 1, :3].tolist() == [3, 4, 5]
    assert table[0, 3].tolist() == [9, 10, 11, 12, 13]
    assert table[1, 4, :2].tolist() == [30, 31]
    assert torch.equal(ours.flat(table), flat)
    torch.testing.assert_close(ours.mean(table)[0], torch.tensor([1.0, 4.0, 7.0, 11.0, 14.5]))


def test_bins_are_evenly_spaced_numbers():
    ours = branches()
    bins = torch.tensor([[0, 0], [1, 1], [2, 0], [4, 1]])
    numbers = ours.continuous(bins)
    assert numbers.tolist() == [[-1, -1], [-0.5, 1], [0, -1], [1, 1]]
    choice = torch.tensor([[0, 1, 2]] * 4)
    assert torch.equal(ours.indices(Action(choice, numbers)), torch.cat([choice, bins], -1))


def test_branches_need_bins():
    problem = HybridBandit(4)
    problem.shape = Shape(2, 3, 3, 2)
    with pytest.raises(ValueError, match=r'axis_bins = \(\) .* each of its 2 numbers'):
        Branches(problem)


def test_d3qn_values_share_a_state_value():
    learner = make('d3qn', HybridBandit(8))
    observation = torch.randn(6, 2)
    action = learner.best(observation)
    values = learner._taken(learner.network, observation, action)
    outputs = learner.network(learner.normaliser(observation))
    # Branch by branch, without tables: V + A[taken] - mean A.
    starts = [1, 4, 7, 10, 15, 20]
    taken = learner.branches.indices(action)
    for branch in range(5):
        own = outputs[:, starts[branch] : starts[branch + 1]]
        picked = own.gather(-1, taken[:, branch : branch + 1]).squeeze(-1)
        expected = outputs[:, 0] + picked - own.mean(-1)
        torch.testing.assert_close(values[:, branch], expected)
        if branch >= 3:  # nothing is forbidden of bins
            assert torch.equal(taken[:, branch], own.argmax(-1))


def test_d3qn_explores_less_and_less():
    torch.manual_seed(0)
    kind = learner_class('d3qn')
    hyper = kind.Hyper(
        hidden=(8,), warm_up=8, epsilon=1.0, epsilon_last=0.2, epsilon_slots=80,
        updates_per_step=0.1,
    )  # fmt: skip
    learner = kind(HybridBandit(8), hyper)
    seen = [train(learner, steps).epsilon for steps in (1, 5, 5, 5)]
    assert seen == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_values_of_ad_sac_d_add_up():
    """Expectations are those over all joint actions, counted one by one."""
    learner = make('ad_sac_d', HybridBandit(8))
    observation = torch.randn(3, 2)
    seen = learner.normaliser(observation)
    policy = learner.draw(observation, learner.actor).policy
    expected = learner._values(learner.critics, seen, policy.probs)
    total = torch.zeros_like(expected)
    for d0 in range(3):
        for d1 in range(3):
            for b0 in range(5):
                # Device 2 and the second axis are averaged over by their own probabilities.
                weights = policy.probs.clone()
                for branch, value in ((0, d0), (1, d1), (3, b0)):
                    weights[:, branch] = torch.nn.functional.one_hot(torch.tensor(value), 5)
                probability = (
                    policy.probs[:, 0, d0] * policy.probs[:, 1, d1] * policy.probs[:, 3, b0]
                )
                values = learner._values(learner.critics, seen, weights)
                total = total + probability[:, None] * values
    torch.testing.assert_close(total, expected)
