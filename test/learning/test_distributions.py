"""Policies' distributions against torch.distributions and closed forms."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip('torch')

from torch.distributions import (  # noqa: E402
    Categorical,
    Independent,
    Normal,
    TanhTransform,
    TransformedDistribution,
)

from sec_nodes.learning.distributions import (  # noqa: E402
    MaskedCategorical,
    TanhNormal,
    random_choice,
)


def test_choices_are_as_torch_has_them():
    torch.manual_seed(0)
    scores, choice = torch.randn(5, 3, 4), torch.randint(4, (5, 3))
    ours, reference = MaskedCategorical(scores), Categorical(logits=scores)
    assert torch.allclose(ours.probs, reference.probs)
    assert torch.allclose(ours.entropy(), reference.entropy(), atol=1e-6)
    assert torch.allclose(ours.log_prob(choice), reference.log_prob(choice), atol=1e-6)
    assert torch.equal(ours.best(), scores.argmax(-1))


def test_forbidden_options_have_no_probability_and_no_gradient():
    scores = torch.tensor([[[5.0, 1.0, 1.0]]], requires_grad=True)
    masked = MaskedCategorical(scores, torch.tensor([[[False, True, True]]]))
    assert masked.probs.tolist() == [[[0.0, 0.5, 0.5]]]
    assert masked.entropy().item() == pytest.approx(math.log(2))
    assert masked.admissible().tolist() == [[2]]
    (masked.entropy().sum() + masked.expectation(torch.tensor([9.0, 1.0, 2.0])).sum()).backward()
    assert scores.grad is not None
    assert scores.grad[0, 0, 0] == 0
    assert scores.grad.isfinite().all()


def test_only_one_option_left_is_certain():
    masked = MaskedCategorical(torch.randn(1, 1, 3), torch.tensor([[[False, True, False]]]))
    assert masked.entropy().item() == 0
    assert masked.sample().item() == masked.best().item() == 1


def test_samples_have_the_probabilities():
    torch.manual_seed(0)
    scores = torch.tensor([0.0, 1.0, 2.0]).expand(20_000, 1, 3)
    mask = torch.tensor([True, False, True]).expand(20_000, 1, 3)
    counts = MaskedCategorical(scores, mask).sample().flatten().bincount(minlength=3)
    expected = 1 / (1 + math.exp(2))
    assert counts[1] == 0
    assert counts[0].item() / 20_000 == pytest.approx(expected, abs=4 * 0.3 / math.sqrt(20_000))


def test_expectation_is_the_mean_over_options():
    masked = MaskedCategorical(torch.tensor([[0.0, math.log(3.0)]]))
    assert masked.expectation(torch.tensor([[4.0, 8.0]])).item() == pytest.approx(7.0)


def test_density_of_squashed_numbers_is_as_torch_has_it():
    torch.manual_seed(0)
    mean, log_std = torch.randn(6, 3).double(), 0.5 * torch.randn(6, 3).double()
    ours = TanhNormal(mean, log_std)
    normal = Normal(mean, log_std.exp())
    reference = Independent(TransformedDistribution(normal, TanhTransform(cache_size=1)), 1)
    numbers, before = ours.rsample()
    assert torch.equal(numbers, before.tanh())
    assert torch.allclose(ours.log_prob(before), reference.log_prob(numbers), atol=1e-6)


def test_density_of_what_was_drawn_is_its_density_with_the_same_gradients():
    mean = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    log_std = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    normal = TanhNormal(mean, log_std)
    torch.manual_seed(1)
    drawn = normal.draw()
    torch.manual_seed(1)
    numbers, before = normal.rsample()
    assert torch.equal(drawn.numbers, numbers)
    assert torch.allclose(drawn.log_prob, normal.log_prob(before), atol=1e-6)
    ours = torch.autograd.grad(drawn.log_prob.sum(), (mean, log_std), retain_graph=True)
    theirs = torch.autograd.grad(normal.log_prob(before).sum(), (mean, log_std))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_density_far_out_is_finite():
    normal = TanhNormal(torch.tensor([[40.0, -40.0]]), torch.zeros(1, 2))
    # There the slope of tanh is 4 exp(-2 |x|), so the density rises by 2 |x| - log 4 each.
    expected = 2 * (-0.5 * math.log(2 * math.pi) + 80 - math.log(4))
    assert normal.log_prob(torch.tensor([[40.0, -40.0]])).item() == pytest.approx(expected)


def test_deviations_are_limited():
    normal = TanhNormal(torch.zeros(1, 2), torch.tensor([[-100.0, 100.0]]))
    assert normal.std[0].tolist() == pytest.approx([math.exp(-5), math.exp(2)])


def test_no_numbers_have_density_one():
    drawn = TanhNormal(torch.zeros(3, 0), torch.zeros(3, 0)).draw()
    assert drawn.numbers.shape == (3, 0)
    assert drawn.log_prob.tolist() == [0.0, 0.0, 0.0]


def test_random_choices_are_uniform_over_admissible_options():
    torch.manual_seed(0)
    mask = torch.tensor([True, False, True, True]).expand(9000, 1, 4)
    counts = random_choice(mask).flatten().bincount(minlength=4)
    assert counts[1] == 0
    assert (counts[[0, 2, 3]] - 3000).abs().max() < 4 * math.sqrt(9000 * 2 / 9)
