"""The merge of discrete and continuous policies of AD-SAC, eqs. (51) to (53) of Yan et al.,
Drones 2025, 9, 500, as maximum a posteriori policy optimisation with entropy ("soft MPO").

E-step, (51) and (52): the distribution of greatest value that stays within epsilon of the target
policy; its discrete part exact, its continuous part as weights of N samples. M-step, (53): the
policies move towards it, which the paper's arg max of a divergence must mean, within bounds.
Devices K, options S, samples N, rows B.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from sec_nodes.config import Settings
from sec_nodes.learning.distributions import MaskedCategorical, TanhNormal
from sec_nodes.learning.networks import Descent

_SMALLEST_LOG_PRIOR = -20.0


class MergeHyper(Settings):
    """Hyper-parameters of the merge."""

    every: int = Field(2, ge=0)
    """Merge in every so-manieth gradient step; 0: never."""
    samples: int = Field(8, ge=1)
    """N, continuous parts drawn at each observation."""
    epsilon: float = Field(0.1, gt=0)
    """How far the E-step may leave the target policy [nat]."""
    step_choice: float = Field(0.05, gt=0)
    """chi_mu: how far choices may move from the target policy [nat]."""
    step_mean: float = Field(0.02, gt=0)
    """chi_m: the same of means."""
    step_std: float = Field(0.002, gt=0)
    """chi_s: the same of deviations."""
    dual_rate: float = Field(1e-2, gt=0)
    """Learning rate of multipliers."""
    eta: float = Field(1.3, gt=0)
    """First temperature of the E-step."""


class Improved(NamedTuple):
    """What the E-step finds."""

    choices: Tensor
    """(N, B, K, S), probabilities of options at each sample."""
    weights: Tensor
    """(N, B), of the samples; they add up to 1 over N."""
    moved: Tensor
    """(), divergence from the prior [nat], mean over rows."""


def improve(log_prior: Tensor, gain: Tensor, merit: Tensor, eta: Tensor) -> Improved:
    """The E-step, eqs. (51) and (52).

    Args:
        log_prior: (N, B, K, S), log probabilities of options under the target policy.
        gain: (N, B, K, S), value of an option to its device, less what its entropy takes.
        merit: (N, B), value of a sample besides.
        eta: (), temperature.
    """
    tilt = gain / eta
    tilted = log_prior + tilt
    log_z = tilted.logsumexp(-1, keepdim=True)
    choices = (tilted - log_z).exp_()
    omega = merit / eta + log_z.squeeze(-1).sum(-1)
    weights = omega.softmax(0)
    # log(q / prior) = merit / eta + sum of tilts - log mean_n exp(omega_n), N times its weight.
    log_mean = omega.logsumexp(0) - math.log(len(omega))
    tilts = merit / eta + (choices * tilt).sum((-2, -1))
    moved = ((weights * tilts).sum(0) - log_mean).mean()
    return Improved(choices, weights, moved)


class Merge(nn.Module):
    """Pulls both policies towards one that values them together.

    Args:
        hyper: hyper-parameters.
    """

    bounds: Tensor

    def __init__(self, hyper: MergeHyper) -> None:
        super().__init__()
        self.hyper = hyper
        # Multipliers are softplus of these: eta, then lambda of choices, means and deviations.
        self.raw = nn.Parameter(torch.tensor([_inverse_softplus(hyper.eta)] + [1.0] * 3))
        self.register_buffer(
            'bounds',
            torch.tensor([hyper.epsilon, hyper.step_choice, hyper.step_mean, hyper.step_std]),
        )
        self.descent = Descent([self.raw], hyper.dual_rate)

    def loss(
        self,
        now: tuple[MaskedCategorical, TanhNormal],
        prior: tuple[MaskedCategorical, TanhNormal],
        before: Tensor,
        values: tuple[Tensor, Tensor],
        alpha: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The M-step, eq. (53), after an E-step; moves the multipliers as well.

        Args:
            now: the policies that learn; choices (N, B, K, S), numbers (B, D).
            prior: target policies of the same shapes, without gradients.
            before: (N, B, D), numbers drawn from the prior, as they were before tanh.
            values: (N, B, K, S) of options and (N, B) of numbers, without gradients.
            alpha: (2,), temperatures of choices and of numbers.

        Returns:
            Loss of the policies, mean over rows, and figures for the log.
        """
        choices, normal = now
        eta, *_ = multipliers = softplus(self.raw.detach())
        penalties = multipliers[1:]
        with torch.no_grad():
            log_prior = prior[0].log_probs
            gain = values[0] - alpha[0] * log_prior.clamp(min=_SMALLEST_LOG_PRIOR)
            merit = values[1] - alpha[1] * prior[1].log_prob(before)
            improved = improve(log_prior, gain, merit, eta)
            joint = improved.choices * improved.weights[..., None, None]
        fit = (joint * choices.log_probs).sum() / before.shape[1]
        fit = fit + (improved.weights * normal.log_prob(before)).sum(0).mean()
        moved = torch.stack([_choices_kl(prior[0], choices), *_normal_kl(prior[1], normal)])
        self._move_multipliers(improved.moved, moved.detach())
        loss = (penalties * moved).sum() - fit
        return loss, {'merge_eta': eta, 'merge_moved': moved.detach().sum()}

    def _move_multipliers(self, improved: Tensor, moved: Tensor) -> None:
        """Raise those whose bound is broken: a dual's derivative is bound less divergence."""
        slack = self.bounds - torch.cat([improved.reshape(1), moved])
        self.descent.apply([slack * self.raw.detach().sigmoid()])


def _choices_kl(prior: MaskedCategorical, now: MaskedCategorical) -> Tensor:
    """Divergence of the prior from the policy, added over devices, mean over samples and rows."""
    return (prior.probs * (prior.log_probs - now.log_probs)).sum((-2, -1)).mean()


def _normal_kl(prior: TanhNormal, now: TanhNormal) -> tuple[Tensor, Tensor]:
    """The same of numbers before tanh, in its parts for means and for deviations."""
    mean = 0.5 * ((now.mean - prior.mean) / prior.std).square()
    narrower = prior.std / now.std
    std = 0.5 * (narrower.square() - 1) - narrower.log()
    return mean.sum(-1).mean(), std.sum(-1).mean()


def _inverse_softplus(value: float) -> float:
    return math.log(math.expm1(value))
