"""AD-SAC on problems whose optima are known, and what it stores, saves and exports."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest

torch = pytest.importorskip('torch')

import numpy as np  # noqa: E402
from toys import CoupledAssignment, HybridBandit, Regulator, regret, score, train  # noqa: E402

from sec_nodes.learning.algorithms.ad_sac import AdSac, AdSacHyper  # noqa: E402
from sec_nodes.learning.critics import Draw, Step  # noqa: E402
from sec_nodes.learning.distributions import MaskedCategorical, TanhNormal  # noqa: E402

OFF = {'every': 0}


def make(problem: Any, **changes: Any) -> AdSac:
    quick = {
        'hidden': (64, 64),
        'actor_rate': 3e-3,
        'critic_rate': 3e-3,
        'alpha_rate': 1e-2,
        'entropy_share_d': 0.1,
        'warm_up': 400,
        'buffer': 10_000,
        'gamma': 0.5,
        'updates_per_step': 0.125,
    }
    torch.manual_seed(0)
    return AdSac(problem, AdSacHyper(**{**quick, **changes}))


@pytest.mark.parametrize(
    'changes',
    [
        {'merge': OFF},
        {'merge': {'every': 2}},
        {'critic': 'scalar', 'merge': OFF},
        {'critic': 'independent', 'merge': OFF},
    ],
    ids=['per_device', 'merge', 'scalar', 'independent'],
)
def test_hybrid_bandit(changes):
    # Random actions lose 2.3; one wrong option loses 0.5.
    assert regret(train(make(HybridBandit(), **changes), 450)) < 0.15


def test_best_options_that_are_forbidden_are_left():
    # The toy refuses forbidden choices, so that this ends says that there were none.
    assert regret(train(make(HybridBandit(forbids=True), merge=OFF), 450)) < 0.15


def test_masks_are_asked_at_the_numbers_that_are_sent():
    problem = HybridBandit(copies=256, gate=True)
    learner = make(problem)
    train(learner, 4)
    for seed in range(5):
        observation = problem.reset(seed)
        for action in (learner.act(observation), learner.best(observation)):
            problem.step(action)
            problem.seen = observation


@pytest.mark.parametrize('critic', ['per_device', 'scalar'])
def test_coupled_devices_agree(critic):
    # Of all assignments the second best costs 0.3 more, the mean one 2.4 more.
    learner = train(make(CoupledAssignment(), critic=critic, merge=OFF), 450)
    assert regret(learner) < 0.05


def test_regulator():
    problem = Regulator()
    learner = train(make(problem, gamma=0.95, merge=OFF), 450)
    best = score(problem, problem.optimal)
    aimless = best - score(problem, learner.random)
    assert regret(learner) < 0.05 * aimless


def draw_of(learner: AdSac, rows: int) -> tuple[torch.Tensor, Draw]:
    observation = torch.randn(rows, learner.shape.observation)
    return observation, learner.draw(observation, learner.see(observation))


def step_of(learner: AdSac, rows: int = 6) -> tuple[Step, torch.Tensor]:
    """A step with a next observation, half of it terminated."""
    following_seen, following = draw_of(learner, rows)
    devices, options = following.scores.shape[1:]
    choice = torch.randint(options, (rows, devices))
    step = Step(
        torch.randn(rows, learner.shape.observation),
        torch.nn.functional.one_hot(choice, options).float(),
        2 * torch.rand(rows, learner.shape.continuous) - 1,
        torch.randn(rows, devices),
        torch.tensor([0.9, 0.0]).repeat(rows // 2),
        following_seen,
        following,
        torch.tensor([0.3, 0.2]),
    )
    return step, choice


def test_without_choices_critics_learn_what_sac_s_do():
    learner = make(Regulator(), merge=OFF)
    assert learner.networks.chooser is None
    step, _ = step_of(learner)
    q = learner.networks.critics
    q_bar = learner.target.critics
    ahead = q_bar(torch.cat([step.next_seen, step.following.continuous], -1))[..., 0].amin(0)
    soft = ahead - 0.2 * step.following.log_density
    goal = step.reward[:, 0] + step.onward * soft
    errors = q(torch.cat([step.seen, step.continuous], -1))[..., 0] - goal.detach()
    assert learner.critic.loss(step).item() == pytest.approx(
        errors.square().mean(1).sum().item(), rel=1e-5
    )


def test_without_numbers_critics_learn_what_discrete_sac_s_do():
    learner = make(CoupledAssignment(), merge=OFF)
    assert learner.networks.mover is None
    step, choice = step_of(learner)
    total = 0.0
    for row in range(len(choice)):
        for k in range(3):
            p = step.following.scores[row, k].softmax(-1)
            entropy = -(p * p.log()).sum()
            ahead = learner.target.critics(step.next_seen)[:, row].view(2, 3, 3)[:, k]
            soft = min((p * ahead[0]).sum(), (p * ahead[1]).sum()) + 0.3 * entropy
            goal = step.reward[row, k] + step.onward[row] * soft
            taken = learner.networks.critics(step.seen)[:, row].view(2, 3, 3)[:, k, choice[row, k]]
            total += (taken - goal).square().sum().item() / len(choice)
    assert learner.critic.loss(step).item() == pytest.approx(total, rel=1e-5)


def test_both_share_the_density_of_numbers_among_devices():
    learner = make(HybridBandit(), merge=OFF)
    step, choice = step_of(learner)
    following = step.following
    joined = torch.cat([step.next_seen, following.continuous], -1)
    ahead = learner.target.critics(joined).view(2, -1, 3, 3)
    expected = (following.choices.probs * ahead).sum(-1).amin(0)
    soft = expected + 0.3 * following.choices.entropy()
    soft = soft - 0.2 / 3 * following.log_density[:, None]
    goal = (step.reward + step.onward[:, None] * soft).detach()
    values = learner.networks.critics(torch.cat([step.seen, step.continuous], -1))
    taken = values.view(2, -1, 3, 3).gather(-1, choice.expand(2, -1, -1)[..., None])[..., 0]
    errors = (taken - goal).square().sum((0, 2)).mean()
    assert learner.critic.loss(step).item() == pytest.approx(errors.item(), rel=1e-5)


@pytest.mark.parametrize('critic', ['per_device', 'scalar', 'independent'])
def test_actors_are_moved_to_what_critics_value(critic):
    learner = make(HybridBandit(), critic=critic, merge=OFF, alpha=1e-9)
    observation = torch.randn(64, 2)
    seen = learner.see(observation)

    def worth() -> float:
        torch.manual_seed(3)
        return learner.critic.worth(seen, learner.draw(observation, seen)).mean().item()

    before = worth()
    for _ in range(30):
        value = learner.critic.worth(seen, learner.draw(observation, seen)).mean()
        learner.actor_descent.step(-value)
    assert worth() > before + 0.01


def test_temperatures_rise_while_entropy_is_too_small():
    learner = make(HybridBandit(), merge=OFF, entropy_share_d=0.5)
    goal = torch.tensor([0.5 * 3 * math.log(3), -2.0])
    all_open = MaskedCategorical(torch.zeros(4, 3, 3))
    before = learner.log_alpha.detach().clone()
    learner._cool(goal, all_open)
    assert torch.allclose(learner.log_alpha, before, atol=1e-4)
    learner._cool(goal + torch.tensor([-1.0, 1.0]), all_open)
    risen = learner.log_alpha.detach() - before
    assert risen[0] > 1e-3
    assert risen[1] < -1e-3


def test_entropy_is_asked_of_admissible_options_only():
    learner = make(HybridBandit(), merge=OFF, entropy_share_d=1.0)
    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    choices = MaskedCategorical(torch.zeros(1, 3, 3), mask[None])
    before = learner.log_alpha.detach().clone()
    learner._cool(torch.tensor([math.log(2) + math.log(3), -2.0]), choices)
    assert torch.allclose(learner.log_alpha, before, atol=1e-4)


def test_merge_needs_values_of_options():
    with pytest.raises(ValueError, match=r'set merge\.every to 0'):
        AdSacHyper(critic='scalar')


def test_updates_are_as_many_as_are_due():
    learner = make(HybridBandit(copies=8), warm_up=20, updates_per_step=0.3, merge=OFF, batch=4)
    train(learner, 3)
    assert learner.updates == 0
    assert learner.normaliser.std.tolist() != [1, 1]
    frozen = learner.normaliser.mean.clone()
    train(learner, 5)
    assert learner.updates == int(5 * 8 * 0.3)
    assert torch.equal(learner.normaliser.mean, frozen)


def test_actions_are_random_during_warm_up():
    learner = make(HybridBandit(copies=4000), warm_up=4000)
    action = learner.act(learner.problem.reset(0))
    assert action.continuous.mean(0).abs().max() < 4 / math.sqrt(3 * 4000)
    assert action.continuous.var(0).tolist() == pytest.approx([1 / 3, 1 / 3], rel=0.1)
    counts = action.choice[:, 0].bincount(minlength=3)
    assert (counts - 4000 / 3).abs().max() < 4 * math.sqrt(4000 * 2 / 9)


@pytest.mark.parametrize('critic', ['per_device', 'scalar', 'independent'])
def test_it_goes_on_as_if_never_interrupted(critic):
    merge = OFF if critic == 'scalar' else {'every': 2}
    settings = {'warm_up': 40, 'updates_per_step': 0.3, 'critic': critic, 'merge': merge}
    learner = train(make(HybridBandit(), **settings), 12)
    file = io.BytesIO()
    torch.save(learner.state_dict(), file)
    file.seek(0)
    again = make(HybridBandit(), **settings)
    again.load_state_dict(torch.load(file))
    for each in (learner, again):
        train(each, 6, seed=5)
    assert learner.updates == again.updates > 20
    for one, other in zip(tensors(learner), tensors(again), strict=True):
        assert torch.equal(one, other)
    observation = torch.randn(4, 2)
    torch.manual_seed(1)
    first = learner.act(observation)
    torch.manual_seed(1)
    second = again.act(observation)
    assert torch.equal(first.choice, second.choice)
    assert torch.equal(first.continuous, second.continuous)


def tensors(learner: AdSac) -> list[torch.Tensor]:
    modules = (learner.networks, learner.target, learner.critic, learner.merge)
    return [value for module in modules for value in module.state_dict().values()]


@pytest.mark.parametrize('problem', [HybridBandit(), CoupledAssignment(), Regulator()])
def test_exported_policy_is_the_best_one(problem):
    learner = train(make(problem, warm_up=40), 8)
    description, arrays = learner.policy_arrays()
    assert description['kind'] == 'flat'
    observation = problem.reset(9)
    hidden = (observation.numpy() - arrays['obs_mean']) / arrays['obs_std'].clip(1e-3)
    outputs = [run(arrays, n, hidden) for n in range(description['networks'])]
    together = np.concatenate(outputs, -1)
    scores, means = np.split(together, [problem.shape.scores], -1)
    best = learner.best(observation)
    assert np.tanh(means) == pytest.approx(best.continuous.numpy(), abs=1e-5)
    if problem.shape.devices:
        chosen = scores.reshape(len(observation), 3, 3).argmax(-1)
        assert (chosen == best.choice.numpy()).all()


def run(arrays: dict[str, np.ndarray], network: int, hidden: np.ndarray) -> np.ndarray:
    """A network of a policy file at inputs."""
    last = sum(name.startswith(f'n{network}_w') for name in arrays) - 1
    for layer in range(last):
        weight, bias = arrays[f'n{network}_w{layer}'], arrays[f'n{network}_b{layer}']
        hidden = np.maximum(hidden @ weight + bias, 0)
    return hidden @ arrays[f'n{network}_w{last}'] + arrays[f'n{network}_b{last}']


def test_forbidden_choices_are_replayed_with_a_penalty():
    problem = HybridBandit(copies=500, forbids=True)
    learner = make(problem, penalty_replay=0.25, penalty=7.0, warm_up=5000)
    observation = problem.reset(0)
    action = learner.act(observation)
    turn = problem.step(action)
    learner.learn(observation, action, turn)
    kept = learner.replay.everything()
    extra = len(kept.reward) - 500
    # A quarter of those 250 or so at which something is forbidden.
    assert extra == pytest.approx(62, abs=28)
    mask = problem.mask(kept.observation, kept.continuous)
    allowed = mask.gather(-1, kept.choice[..., None])[..., 0]
    assert allowed[:500].all()
    assert (allowed[500:].sum(-1) == 2).all()
    originals = {tuple(row.tolist()): n for n, row in enumerate(observation)}
    for row in range(500, len(kept.reward)):
        source = originals[tuple(kept.observation[row].tolist())]
        gap = turn.reward[source] - kept.reward[row]
        assert gap.tolist() == pytest.approx([7.0 * (not ok) for ok in allowed[row]], abs=1e-5)
        assert torch.equal(kept.continuous[row], action.continuous[source])


def test_log_densities_of_draws_are_of_what_is_sent():
    learner = make(HybridBandit(), merge=OFF)
    _, drawn = draw_of(learner, 5)
    before = torch.atanh(drawn.continuous.double()).float()
    expected = TanhNormal(drawn.normal.mean, drawn.normal.log_std).log_prob(before)
    assert torch.allclose(drawn.log_density, expected, atol=1e-3)
