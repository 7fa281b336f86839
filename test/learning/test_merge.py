"""The merge's E-step against brute force, and its M-step against what it is to do."""

from __future__ import annotations

import itertools
import math

import pytest

torch = pytest.importorskip('torch')

from sec_nodes.learning.distributions import MaskedCategorical, TanhNormal  # noqa: E402
from sec_nodes.learning.merge import Merge, MergeHyper, improve  # noqa: E402

SAMPLES, ROWS, DEVICES, OPTIONS = 4, 2, 2, 3


@pytest.fixture
def step() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    scores = torch.randn(SAMPLES, ROWS, DEVICES, OPTIONS).double()
    gain = torch.randn(SAMPLES, ROWS, DEVICES, OPTIONS).double()
    return scores.log_softmax(-1), gain, torch.randn(SAMPLES, ROWS).double()


def enumerated(log_prior, gain, merit, eta, row):
    """All (n, d): prior and improved probability, by eq. (52) written out."""
    choices = list(itertools.product(range(OPTIONS), repeat=DEVICES))
    prior, tilt = {}, {}
    for n, d in itertools.product(range(SAMPLES), choices):
        picked = [(n, row, k, j) for k, j in enumerate(d)]
        prior[n, d] = math.exp(sum(log_prior[i] for i in picked)) / SAMPLES
        tilt[n, d] = (sum(gain[i] for i in picked) + merit[n, row]).item() / eta
    total = sum(prior[key] * math.exp(tilt[key]) for key in prior)
    return {key: (prior[key], prior[key] * math.exp(tilt[key]) / total) for key in prior}


def test_e_step_is_the_tilted_joint_distribution(step):
    eta = 0.7
    improved = improve(*step, torch.tensor(eta))
    for row in range(ROWS):
        joint = enumerated(*step, eta, row)
        for n in range(SAMPLES):
            weight = sum(q for (m, _), (_, q) in joint.items() if m == n)
            assert improved.weights[n, row].item() == pytest.approx(weight)
            for k, j in itertools.product(range(DEVICES), range(OPTIONS)):
                marginal = sum(q for (m, d), (_, q) in joint.items() if m == n and d[k] == j)
                choice = improved.choices[n, row, k, j] * improved.weights[n, row]
                assert choice.item() == pytest.approx(marginal)


def test_e_step_says_how_far_it_moved(step):
    eta = 0.7
    divergence = 0.0
    for row in range(ROWS):
        divergence += sum(q * math.log(q / p) for p, q in enumerated(*step, eta, row).values())
    assert improve(*step, torch.tensor(eta)).moved.item() == pytest.approx(divergence / ROWS)


def test_divergence_is_the_derivative_of_the_dual(step):
    log_prior, gain, merit = step
    eta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    log_z = (log_prior + gain / eta).logsumexp(-1).sum(-1) + merit / eta
    dual = eta * (0.1 + (log_z.logsumexp(0) - math.log(SAMPLES)).mean())
    (derivative,) = torch.autograd.grad(dual, eta)
    moved = improve(log_prior, gain, merit, eta.detach()).moved
    assert derivative.item() == pytest.approx(0.1 - moved.item())


def hyper(**changes: float) -> MergeHyper:
    return MergeHyper.model_validate(changes)


def pull(merge: Merge, steps: int) -> tuple[MaskedCategorical, TanhNormal]:
    """Policies after merging towards a prior at which option 2 and numbers near 0.5 are best."""
    torch.manual_seed(0)
    scores = torch.zeros(1, 1, 3, requires_grad=True)
    mean, log_std = torch.zeros(1, 1, requires_grad=True), torch.zeros(1, 1, requires_grad=True)
    mask = torch.tensor([[[True, False, True]]]).expand(64, 1, 1, 3)
    prior = MaskedCategorical(torch.zeros(64, 1, 1, 3), mask), TanhNormal(mean.detach(), log_std)
    adam = torch.optim.Adam([scores, mean, log_std], lr=1e-2)
    for _ in range(steps):
        with torch.no_grad():
            prior_normal = TanhNormal(torch.zeros(1, 1), torch.zeros(1, 1))
            numbers, before = prior_normal.rsample((64,))
            values = torch.tensor([0.0, 9.0, 1.0]) - 4 * (numbers[..., None, :] - 0.5).square()
        now = MaskedCategorical(scores.expand(64, 1, 1, 3), mask), TanhNormal(mean, log_std)
        loss, _ = merge.loss(
            now, (prior[0], prior_normal), before, (values, torch.zeros(64, 1)), torch.zeros(2)
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
    return MaskedCategorical(scores.detach(), mask[0]), TanhNormal(mean.detach(), log_std.detach())


def test_m_step_moves_both_policies_to_what_is_better():
    choices, normal = pull(Merge(hyper(epsilon=1.0, step_choice=1.0, step_mean=1.0)), 300)
    assert choices.probs[0, 0].tolist() == [
        pytest.approx(0, abs=0.35),
        0.0,
        pytest.approx(1, abs=0.35),
    ]
    assert normal.mean.item() > 0.25


def test_bounds_hold_the_m_step_back():
    bound = 0.01
    merge = Merge(hyper(epsilon=1.0, step_choice=bound, step_mean=bound, dual_rate=0.1))
    choices, normal = pull(merge, 600)
    half = torch.tensor([0.5, 0.5])
    moved = (half * (half.log() - choices.log_probs[0, 0, [0, 2]])).sum().item()
    assert 0 < moved < 2 * bound
    assert 0 < 0.5 * normal.mean.item() ** 2 < 2 * bound


def test_temperature_settles_where_the_e_step_moves_by_epsilon():
    merge = Merge(hyper(epsilon=0.2, dual_rate=0.05))
    torch.manual_seed(0)
    log_prior = torch.full((8, 16, 1, 3), -math.log(3))
    gain, merit = torch.randn(8, 16, 1, 3), torch.zeros(8, 16)
    for _ in range(400):
        eta = torch.nn.functional.softplus(merge.raw.detach())[0]
        moved = improve(log_prior, gain, merit, eta).moved
        merge._move_multipliers(moved, torch.zeros(3))
    assert moved.item() == pytest.approx(0.2, rel=0.05)
