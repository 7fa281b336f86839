"""Hybrid PPO: proximal policy optimisation of choices and numbers, each with a ratio of its own.

A benchmark of Yan et al., Drones 2025, 9, 500, section 5.1; after Fan et al. 2019. Numbers are
drawn first, from a Gaussian as in `ppo`. Which options are admissible may follow from them; each
device then draws one of its own. The clipped surrogates of choices and of numbers add up, and one
value network serves both.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sec_nodes.config import Settings
from sec_nodes.learning.algorithms.ppo import GaussianPolicy
from sec_nodes.learning.distributions import MaskedCategorical
from sec_nodes.learning.export import flat_policy
from sec_nodes.learning.networks import mlp
from sec_nodes.learning.on_policy import Draw, OnPolicy, OnPolicyHyper, orthogonal
from sec_nodes.learning.problem import Action, Shape
from sec_nodes.learning.relaxed import numbers_only


class HybridPolicy(nn.Module):
    """A network of scores and a Gaussian, without what there is nothing for.

    Args:
        shape: of the problem.
        hyper: hyper-parameters.
    """

    def __init__(self, shape: Shape, hyper: OnPolicyHyper) -> None:
        super().__init__()
        sizes = (shape.observation, *hyper.hidden)
        self.scores = orthogonal(mlp((*sizes, shape.scores)), 0.01) if shape.devices else None
        self.normal = (
            GaussianPolicy((*sizes, shape.continuous), hyper.std) if shape.continuous else None
        )


class HybridPpo(OnPolicy):
    """Hybrid PPO."""

    name: ClassVar[str] = 'hybrid_ppo'
    Hyper: ClassVar[type[Settings]] = OnPolicyHyper
    policy: HybridPolicy

    def make_policy(self) -> HybridPolicy:
        """Scores and Gaussian."""
        return HybridPolicy(self.shape, self.hyper)

    def draw(self, observation: Tensor) -> Draw:
        """Draw numbers for observations (X, n), and choices that they leave admissible."""
        seen, normal = self.normaliser(observation), self.policy.normal
        numbers = normal(seen).sample() if normal else torch.zeros(len(seen), 0)
        mask = self.problem.mask(observation, numbers.clamp(-1, 1))
        if self.policy.scores is None:
            return Draw(numbers, numbers_only(numbers).choice, mask)
        return Draw(numbers, self._choices(seen, mask).sample(), mask)

    def log_probs(self, observation: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Log probabilities (parts, X) of choices and numbers, and entropies (X,) of both."""
        seen, parts, entropy = self.normaliser(observation), [], torch.zeros(len(observation))
        if self.policy.scores:
            choices = self._choices(seen, draw.mask)
            parts.append(choices.log_prob(draw.choice).sum(-1))
            entropy = entropy + choices.entropy().sum(-1)
        if self.policy.normal:
            normal = self.policy.normal(seen)
            parts.append(normal.log_prob(draw.numbers))
            entropy = entropy + normal.entropy()
        return torch.stack(parts), entropy

    @torch.no_grad()
    def best(self, observation: Tensor) -> Action:
        """The mean of the numbers, and the choices that are then most probable."""
        seen, normal = self.normaliser(observation), self.policy.normal
        continuous = normal(seen).mean if normal else torch.zeros(len(seen), 0)
        if self.policy.scores is None:
            return numbers_only(continuous)
        mask = self.problem.mask(observation, continuous)
        return Action(self._choices(seen, mask).best(), continuous)

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The networks of scores and of the mean."""
        scores, normal = self.policy.scores, self.policy.normal
        networks = [network for network in (scores, normal and normal.mean) if network]
        return flat_policy(self.name, self.shape, self.normaliser, networks)

    def _choices(self, seen: Tensor, mask: Tensor) -> MaskedCategorical:
        """Distribution of choices for normalised observations (X, n) and masks (X, K, S)."""
        assert self.policy.scores is not None
        return MaskedCategorical(self.policy.scores(seen).view(mask.shape), mask)
