"""Policies' distributions: one of the admissible options for each device, and squashed numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softplus

FORBIDDEN = -1e9
"""Score of an option that is not admissible: finite, as 0 times infinity is no number."""
LOG_STD_LIMITS = (-5.0, 2.0)
_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class MaskedCategorical:
    """Independent choices of K devices among the admissible of S options.

    Args:
        scores: (..., K, S), logits.
        mask: (..., K, S) bool, what is admissible; at least one of each device.
    """

    def __init__(self, scores: Tensor, mask: Tensor | None = None) -> None:
        if mask is not None:
            scores = scores.masked_fill(~mask, FORBIDDEN)
        self.log_probs = log_softmax(scores, -1)
        self.probs = self.log_probs.exp()

    def admissible(self) -> Tensor:
        """How many options each device has (..., K) int64."""
        return (self.log_probs > FORBIDDEN / 2).sum(-1)

    def entropy(self) -> Tensor:
        """(..., K) [nat]."""
        return -(self.probs * self.log_probs).sum(-1)

    def log_prob(self, choice: Tensor) -> Tensor:
        """(..., K) of choices (..., K)."""
        return self.log_probs.gather(-1, choice.unsqueeze(-1)).squeeze(-1)

    def expectation(self, values: Tensor) -> Tensor:
        """(..., K), the mean of values (..., K, S) of all options."""
        return (self.probs * values).sum(-1)

    @torch.no_grad()
    def sample(self) -> Tensor:
        """Choices (..., K) int64."""
        # The smallest of exponential times with rates p is option j with probability p_j.
        return (self.probs / torch.empty_like(self.probs).exponential_()).argmax(-1)

    def best(self) -> Tensor:
        """The most probable choices (..., K) int64."""
        return self.log_probs.argmax(-1)


class TanhNormal:
    """D independent normal numbers, squashed into (-1, 1) by tanh.

    Args:
        mean: (..., D), before tanh.
        log_std: (..., D), before tanh; clipped to `LOG_STD_LIMITS`.
    """

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mean = mean
        self.log_std = log_std.clamp(*LOG_STD_LIMITS)
        self.std = self.log_std.exp()

    def rsample(self, samples: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Numbers (*samples, ..., D), and what they were before tanh; gradients pass through."""
        noise = torch.randn(*samples, *self.mean.shape)
        before = self.mean + self.std * noise
        return before.tanh(), before

    def log_prob(self, before: Tensor) -> Tensor:
        """(...), log density of numbers, given as they were before tanh."""
        z = (before - self.mean) / self.std
        normal = -0.5 * z.square() - self.log_std - _HALF_LOG_2_PI
        # log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2 x)), which never underflows.
        slope = 2 * (math.log(2) - before - softplus(-2 * before))
        return (normal - slope).sum(-1)

    def best(self) -> Tensor:
        """The squashed mean (..., D)."""
        return self.mean.tanh()


def random_choice(mask: Tensor) -> Tensor:
    """Uniformly random admissible choices (..., K) int64 of a mask (..., K, S)."""
    return torch.where(mask, torch.rand(mask.shape), -1.0).argmax(-1)
