"""PPO: proximal policy optimisation of numbers, with scores in place of choices.

Schulman et al. 2017, a benchmark of Yan et al., Drones 2025, 9, 500, section 5.1. The policy is a
Gaussian over K S scores and D numbers; see `relaxed`. Its mean is the tanh of a network's outputs,
its deviation does not depend on the observation, and numbers are clipped to [-1, 1] when they are
sent. Without choices this is ordinary PPO.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sec_nodes.config import Settings
from sec_nodes.learning.export import flat_policy
from sec_nodes.learning.networks import mlp
from sec_nodes.learning.on_policy import ClippedNormal, Draw, OnPolicy, OnPolicyHyper, orthogonal
from sec_nodes.learning.problem import Action
from sec_nodes.learning.relaxed import Relaxed, RelaxedProblem, numbers_only


class GaussianPolicy(nn.Module):
    """A network for the mean, and deviations.

    Args:
        sizes: of the network, its outputs being D.
        std: deviation at first.
    """

    def __init__(self, sizes: tuple[int, ...], std: float) -> None:
        super().__init__()
        self.mean = orthogonal(mlp(sizes), 0.01)
        self.log_std = nn.Parameter(torch.full((sizes[-1],), math.log(std)))

    def forward(self, observation: Tensor) -> ClippedNormal:
        """The distribution of numbers (X, D) for normalised observations."""
        return ClippedNormal(self.mean(observation), self.log_std)


class NumbersPpo(OnPolicy):
    """PPO of numbers alone."""

    policy: GaussianPolicy

    def make_policy(self) -> GaussianPolicy:
        """The Gaussian policy."""
        sizes = (self.shape.observation, *self.hyper.hidden, self.shape.continuous)
        return GaussianPolicy(sizes, self.hyper.std)

    def draw(self, observation: Tensor) -> Draw:
        """Draw numbers for observations (X, n)."""
        numbers = self.policy(self.normaliser(observation)).sample()
        mask = self.problem.mask(observation, numbers)
        return Draw(numbers, numbers_only(numbers).choice, mask)

    def log_probs(self, observation: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Log probabilities (1, X) of what was drawn, and entropies (X,)."""
        normal = self.policy(self.normaliser(observation))
        return normal.log_prob(draw.numbers)[None], normal.entropy().expand(len(observation))

    @torch.no_grad()
    def best(self, observation: Tensor) -> Action:
        """The mean."""
        return numbers_only(self.policy(self.normaliser(observation)).mean)

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The mean's network."""
        return flat_policy('ppo', self.shape, self.normaliser, [self.policy.mean])


class Ppo(Relaxed):
    """PPO."""

    name: ClassVar[str] = 'ppo'
    Hyper: ClassVar[type[Settings]] = OnPolicyHyper
    inner: NumbersPpo

    def make_inner(self, problem: RelaxedProblem, hyper: OnPolicyHyper) -> NumbersPpo:
        """PPO of scores and numbers."""
        return NumbersPpo(problem, hyper)

    def outputs(self, observation: Tensor) -> Tensor:
        """Means (X, K S + D) before tanh."""
        return self.inner.policy.mean(self.inner.normaliser(observation))

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The mean's network."""
        inner = self.inner
        return flat_policy(self.name, self.shape, inner.normaliser, [inner.policy.mean])
