"""SAC, SAC-PER and REDQ: targets by hand, known optima, and saving."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip('torch')

from toys import CoupledAssignment, Regulator, regret, score, train  # noqa: E402

from sec_nodes.learning.algorithms.redq import Redq, RedqHyper  # noqa: E402
from sec_nodes.learning.algorithms.sac import Sac, SacHyper  # noqa: E402
from sec_nodes.learning.algorithms.sac_per import SacPer, SacPerHyper  # noqa: E402
from sec_nodes.learning.distributions import Drawn  # noqa: E402
from sec_nodes.learning.relaxed import numbers_only  # noqa: E402
from sec_nodes.learning.replay import Batch  # noqa: E402

QUICK = {
    'hidden': (32, 32),
    'actor_rate': 1e-3,
    'critic_rate': 1e-3,
    'alpha_rate': 1e-3,
    'warm_up': 200,
    'batch': 32,
    'buffer': 10_000,
    'tau': 0.01,
    'gamma': 0.95,
}
LEARNERS = [
    (Sac, SacHyper, {'updates_per_step': 0.125}),
    (SacPer, SacPerHyper, {'updates_per_step': 0.125, 'correction_slots': 5000}),
    (Redq, RedqHyper, {'updates_per_step': 0.03125, 'ensemble': 5, 'critic_steps': 4}),
]


def batch_of(reward: list[list[float]], terminated: list[float]) -> Batch:
    rows = len(reward)
    return Batch(
        torch.zeros(rows, 2),
        torch.zeros(rows, 0, dtype=torch.int64),
        torch.zeros(rows, 1),
        torch.tensor(reward),
        torch.zeros(rows, 2),
        torch.tensor(terminated),
    )


class Said(torch.nn.Module):
    """A critic that says given values (n, B, P) whatever it is asked."""

    def __init__(self, values: list[list[list[float]]]) -> None:
        super().__init__()
        self.values = torch.nn.Parameter(torch.tensor(values))

    def forward(self, seen: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return self.values


def told(kind, hyper, values: list[list[list[float]]], log_prob: float):
    """A learner whose target says values, and whose policy draws with a log density."""
    learner = kind(Regulator(), hyper)
    learner.target = Said(values)
    rows = len(values[0])
    learner.draw = lambda seen: Drawn(torch.zeros(rows, 1), torch.full((rows,), log_prob))
    return learner


def test_target_has_the_smaller_twin_the_entropy_and_the_end():
    # 1 + 0.5 (2 - 0.1 * -3) = 2.15, and 4 where nothing follows.
    hyper = SacHyper(gamma=0.5, alpha=0.1)
    learner = told(Sac, hyper, [[[2.0], [9.0]], [[5.0], [9.0]]], -3.0)
    goal = learner.goal(batch_of([[1.0], [4.0]], [0.0, 1.0]))
    assert goal.flatten().tolist() == pytest.approx([2.15, 4.0])


def test_what_follows_belongs_to_the_last_part():
    # Values add up over parts: min(1 + 2, 0 + 1) = 1, so 7 + 0.5 (1 + 0.3).
    hyper = SacHyper(gamma=0.5, alpha=0.1)
    learner = told(Sac, hyper, [[[1.0, 2.0]], [[0.0, 1.0]]], -3.0)
    learner.networks.parts = 2
    goal = learner.goal(batch_of([[5.0, 7.0]], [0.0]))
    assert goal[0].tolist() == pytest.approx([5.0, 7.65])


def test_redq_trusts_the_smaller_of_two_drawn_anew():
    # Of N = 4 critics that say 1, 2, 3, 4, two are drawn: the smaller is 1 in 3 of 6 cases, 2 in
    # 2, 3 in 1. With reward 0, gamma 0.5 and no entropy the targets are 0.5, 1 and 1.5.
    hyper = RedqHyper(gamma=0.5, ensemble=4, trusted=2)
    learner = told(Redq, hyper, [[[1.0]], [[2.0]], [[3.0]], [[4.0]]], 0.0)
    torch.manual_seed(0)
    goals = [float(learner.goal(batch_of([[0.0]], [0.0]))) for _ in range(3000)]
    shares = [sum(goal == value for goal in goals) / 3000 for value in (0.5, 1.0, 1.5)]
    assert shares == pytest.approx([3 / 6, 2 / 6, 1 / 6], abs=0.035)
    assert learner.worth(torch.tensor([[1.0], [2.0], [3.0], [4.0]])).tolist() == [2.5]


def test_literal_target_is_each_critics_own_without_entropy_or_end():
    # (39) as printed: 1 + 0.5 * 2 and 1 + 0.5 * 5, although the slot is terminal.
    hyper = SacPerHyper(gamma=0.5, alpha=0.1, eq39_literal=True)
    learner = told(SacPer, hyper, [[[100.0]], [[100.0]]], -3.0)
    learner.networks.critic = Said([[[2.0]], [[5.0]]])
    goal = learner.goal(batch_of([[1.0]], [1.0]))
    assert goal.flatten().tolist() == pytest.approx([2.0, 3.5])


def test_errors_are_half_the_sum_of_both_critics_and_weights_are_of_the_loss_alone():
    # Targets are 0 (reward 0, ended); critics say 1 and -3, and 2 and 2.
    learner = told(SacPer, SacPerHyper(), [[[0.0], [0.0]]] * 2, 0.0)
    batch = batch_of([[0.0], [0.0]], [1.0, 1.0])
    learner.networks.critic = Said([[[1.0], [2.0]], [[-3.0], [2.0]]])
    losses = []
    learner.critic_descent.step = losses.append
    judged = learner.judge(batch, None, torch.tensor([1.0, 0.5]))
    assert judged.error.tolist() == [2.0, 2.0]
    # ((1 + 0.5 * 4) + (9 + 0.5 * 4)) / 2 rows
    assert float(losses[0].detach()) == pytest.approx((3 + 11) / 2)


def test_correction_grows_linearly_to_one():
    learner = SacPer(Regulator(), SacPerHyper(correction=0.4, correction_slots=100))
    values = []
    for seen in (0, 25, 50, 100, 300):
        learner.replay._seen = seen
        values.append(learner.beta_2)
    assert values == pytest.approx([0.4, 0.55, 0.7, 1.0, 1.0])


def test_choices_are_refused():
    with pytest.raises(ValueError, match='has choices; use ad_sac_c'):
        Sac(CoupledAssignment(), SacHyper())


def test_networks_of_users_are_for_robust():
    with pytest.raises(ValueError, match='they are for robust'):
        Sac(Regulator(), SacHyper(networks='per_user', hidden=(8, 8)))


def test_no_more_critics_are_trusted_than_there_are():
    with pytest.raises(ValueError, match='trusted = 3 of ensemble = 2'):
        RedqHyper(ensemble=2, trusted=3)


def test_redq_takes_its_steps_of_critics_for_one_of_the_policy():
    learner = Redq(Regulator(), RedqHyper(hidden=(8,), warm_up=16, batch=8, critic_steps=5))
    counts = {'judge': 0, 'improve': 0}
    for name in counts:
        inner = getattr(learner, name)

        def counted(*args, name=name, inner=inner):
            counts[name] += 1
            return inner(*args)

        setattr(learner, name, counted)
    train(learner, 3)
    assert (counts['judge'], counts['improve']) == (40, 8)
    assert learner.updates == 40


@pytest.mark.parametrize(('kind', 'hyper', 'changes'), LEARNERS)
def test_regulator_is_learnt(kind, hyper, changes):
    torch.manual_seed(0)
    learner = kind(Regulator(), hyper(**{**QUICK, **changes}))
    train(learner, 400)
    toy = Regulator()
    idle = score(toy, lambda seen: numbers_only(torch.zeros(len(seen), 1)))
    way = score(toy, toy.optimal) - idle
    assert regret(learner) < 0.15 * way


@pytest.mark.parametrize(('kind', 'hyper', 'changes'), LEARNERS)
def test_it_goes_on_as_if_never_interrupted(kind, hyper, changes):
    small = {**QUICK, 'hidden': (8,), 'warm_up': 32, 'batch': 8, **changes}
    torch.manual_seed(0)
    first = train(kind(Regulator(), hyper(**small)), 20)
    torch.manual_seed(1)
    second = kind(Regulator(), hyper(**small))
    second.load_state_dict(first.state_dict())
    for learner in (first, second):
        learner.problem = Regulator()
        train(learner, 10, seed=5)
    for name, value in first.networks.state_dict().items():
        assert torch.equal(value, second.networks.state_dict()[name]), name
    assert first.updates == second.updates > 0
    assert math.isfinite(float(first.alpha))
