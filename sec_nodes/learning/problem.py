"""What learners learn: slots in which every device chooses one of several options, and numbers.

A problem plays B independent copies at once. An action has two parts: a choice (B, K) for each of
K devices among S options, and continuous numbers (B, D) in [-1, 1]. K or D may be 0. Which options
a device has follows from the observation and the continuous part, and is answered in torch, for
any batch, so that learners can ask it of what they remember or imagine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shape:
    """Sizes of a problem."""

    observation: int
    devices: int
    """K, 0 without choices."""
    options: int
    """S."""
    continuous: int
    """D, 0 without continuous numbers."""
    axis_bins: tuple[int, ...] = ()
    """How many values each of the D numbers takes where they are discretised."""
    parts: int = 1
    """In how many parts the reward comes where K is 0."""

    @property
    def scores(self) -> int:
        """Scores of all options of all devices, K S."""
        return self.devices * self.options

    @property
    def rewards(self) -> int:
        """Numbers that a reward comes in."""
        return self.devices or self.parts


class Action(NamedTuple):
    """What is done in each copy."""

    choice: Tensor
    """(B, K) int64."""
    continuous: Tensor
    """(B, D) float32 in [-1, 1]."""


@dataclass(frozen=True)
class Turn:
    """What came of an action."""

    reward: Tensor
    """(B, K) float32, each device's share; (B, parts) where K is 0. They add up to the reward."""
    observation: Tensor
    """(B, n) float32 after the action, of the last slot even where the episode is over."""
    terminated: Tensor
    """(B,) bool: nothing follows. Time limits do not terminate."""
    over: bool
    """All episodes end here; `reset` comes next."""
    figures: dict[str, Tensor] = field(default_factory=dict)
    """(B,) each, for logs: cost, latency_s, energy_j, violations ..."""


class Problem(ABC):
    """B copies of something to learn.

    Attributes:
        shape: its sizes.
        copies: B.
        horizon: slots of an episode.
    """

    shape: Shape
    copies: int
    horizon: int

    @abstractmethod
    def reset(self, seed: int | None = None) -> Tensor:
        """Begin new episodes; observations (B, n). A seed makes what follows repeatable."""

    @abstractmethod
    def step(self, action: Action) -> Turn:
        """Carry out an action in each copy."""

    def mask(self, observation: Tensor, continuous: Tensor) -> Tensor:
        """Options (X, K, S) bool of observations (X, n) with continuous parts (X, D).

        Every device has at least one. Default: all of them.
        """
        rows, shape = len(observation), self.shape
        return torch.ones(rows, shape.devices, shape.options, dtype=torch.bool)
