"""Policies' distributions: one of the admissible options for each device, and squashed numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

FORBIDDEN = -1e9
"""Score of an option that is not admissible: finite, as 0 times infinity is no number."""
LOG_STD_LIMITS = (-5.0, 2.0)
_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
_LOG_4 = math.log(4)


class MaskedCategorical:
    """Independent choices of K devices among the admissible of S options.

    Args:
        scores: (..., K, S), logits.
        mask: (..., K, S) bool, what is admissible; at least one of each device.
    """

    def __init__(self, scores: Tensor, mask: Tensor | None = None) -> None:
        if mask is not None:
            scores = scores.masked_fill(~mask, FORBIDDEN)
        # Over the first axis this is ten times as fast as over a short last one.
        self.log_probs = log_softmax(scores.movedim(-1, 0).contiguous(), 0).movedim(0, -1)
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


class Drawn(NamedTuple):
    """Numbers that were drawn once."""

    numbers: Tensor
    """(..., D), in (-1, 1)."""
    log_prob: Tensor
    """(...), their log density."""


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
        before = self.mean + self.std * torch.randn(*samples, *self.mean.shape)
        return before.tanh(), before

    def draw(self) -> Drawn:
        """Numbers (..., D) and their density; gradients pass through."""
        noise = torch.randn(self.mean.shape)
        before = self.mean + self.std * noise
        # With the noise at hand the normal density needs no gradient but that of its width.
        fixed = noise.square().sum(-1).mul_(-0.5)
        return Drawn(before.tanh(), self._squash(fixed - self.log_std.sum(-1), before))

    def log_prob(self, before: Tensor) -> Tensor:
        """(...), log density of numbers, given as they were before tanh."""
        z = (before - self.mean) / self.std
        return self._squash(-(0.5 * z.square() + self.log_std).sum(-1), before)

    @staticmethod
    def _squash(exponent: Tensor, before: Tensor) -> Tensor:
        """Log density after tanh; `exponent` is the normal one without its constant."""
        # 1 - tanh(x)^2 = 4 s (1 - s) with s = sigmoid(2 x), and log(1 - s) = log s - 2 x: this
        # never underflows.
        constant = before.shape[-1] * (_HALF_LOG_2_PI + _LOG_4)
        return exponent - constant - 2 * (logsigmoid(2 * before) - before).sum(-1)

    def best(self) -> Tensor:
        """The squashed mean (..., D)."""
        return self.mean.tanh()


def random_choice(mask: Tensor) -> Tensor:
    """Uniformly random admissible choices (..., K) int64 of a mask (..., K, S)."""
    return torch.where(mask, torch.rand(mask.shape), -1.0).argmax(-1)
