"""Networks of learners of numbers alone: what they offer, and fully connected ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sec_nodes.learning.export import flat_policy
from sec_nodes.learning.networks import Mlp, Normaliser, Stacked
from sec_nodes.learning.problem import Shape


class NumberNetworks(nn.Module):
    """An actor and n critics of D numbers.

    Attributes:
        actor: from what is seen to means and logarithms of deviations (B, D), before tanh.
        critic: from what is seen and numbers (B, D) to values (n, B, P), which add up over P; what
            follows the slot belongs to the last of them.
        parts: P, in how many parts rewards (B, P) are wanted.
    """

    actor: nn.Module
    critic: nn.Module
    parts: int

    @abstractmethod
    def see(self, observation: Tensor) -> Any:
        """What both are given of observations (B, n)."""

    @abstractmethod
    def policy_arrays(self, algorithm: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Description and arrays of the actor, for `sec_nodes.controllers.learned`."""


class FlatNumbers(NumberNetworks):
    """Fully connected networks on normalised observations; rewards are added up.

    Args:
        shape: of the problem.
        hidden: widths of hidden layers.
        critics: n.
        normaliser: of observations.
    """

    parts = 1

    def __init__(
        self, shape: Shape, hidden: Sequence[int], critics: int, normaliser: Normaliser
    ) -> None:
        super().__init__()
        self.shape = shape
        self.actor = _Actor((shape.observation, *hidden, 2 * shape.continuous))
        self.critic = _Critic(critics, (shape.observation + shape.continuous, *hidden, 1))
        self._normaliser = [normaliser]  # listed: saved by its owner

    def see(self, observation: Tensor) -> Tensor:
        """Normalised."""
        seen: Tensor = self._normaliser[0](observation)
        return seen

    def policy_arrays(self, algorithm: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """A policy of kind `flat`."""
        *layers, last = self.actor
        means = nn.Linear(last.in_features, self.shape.continuous)
        means.weight.data = last.weight.data[: self.shape.continuous]
        means.bias.data = last.bias.data[: self.shape.continuous]
        network = nn.Sequential(*layers, means)
        return flat_policy(algorithm, self.shape, self._normaliser[0], [network])


class _Actor(Mlp):
    """Means and logarithms of deviations."""

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) each."""
        mean, log_std = super().forward(seen).chunk(2, -1)
        return mean, log_std


class _Critic(nn.Module):
    """Values of observation and numbers together.

    Args:
        count: n.
        sizes: of input, hidden layers and output.
    """

    def __init__(self, count: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.values = Stacked(count, sizes)

    def forward(self, seen: Tensor, numbers: Tensor) -> Tensor:
        """(n, B, 1)."""
        values: Tensor = self.values(torch.cat([seen, numbers], -1))
        return values
