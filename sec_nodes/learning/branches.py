"""Problems with every number discretised: K choices and D axes, all of them branches.

A branch takes one of a few values: a device one of S options, an axis one of its bins, which are
evenly spaced in [-1, 1]. Branches are kept in tables (count, width), count = K + D, devices first,
as wide as the widest; networks compute only what exists, K S scores and then axis after axis.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sec_nodes.learning.problem import Action, Problem

Pick = Callable[[Tensor, Tensor], Tensor]
"""Indices (X, n) of tables (X, n, width), of what masks of that shape admit."""


class Branches:
    """The branches of a problem.

    Args:
        problem: what is discretised.

    Raises:
        ValueError: the problem does not say how many values its numbers take.
    """

    def __init__(self, problem: Problem) -> None:
        shape = problem.shape
        if len(shape.axis_bins) != shape.continuous or any(n < 2 for n in shape.axis_bins):
            raise ValueError(
                f'axis_bins = {shape.axis_bins} of the problem: give each of its '
                f'{shape.continuous} numbers two values or more'
            )
        self.problem, self.devices, self.options = problem, shape.devices, shape.options
        self.scores = shape.scores
        values = torch.tensor((shape.options,) * shape.devices + shape.axis_bins)
        self.count, width = len(values), int(values.max())
        self.outputs = int(values.sum())
        """Values of all branches: what a network computes."""
        self._exists = torch.arange(width) < values[:, None]
        self._to_flat = self._exists.flatten().nonzero().squeeze(-1)
        self._to_table = (self._exists.flatten().cumsum(0) - 1).clamp(min=0)
        # The bin halfway, by which 0 in [-1, 1] is told.
        self._half_bins = (torch.tensor(shape.axis_bins, dtype=torch.float32) - 1) / 2

    def table(self, flat: Tensor) -> Tensor:
        """Tables (..., count, width) of what exists (..., outputs); anything in between."""
        return flat[..., self._to_table].unflatten(-1, self._exists.shape)

    def flat(self, table: Tensor) -> Tensor:
        """What exists (..., outputs) of tables (..., count, width)."""
        return table.flatten(-2)[..., self._to_flat]

    def mean(self, table: Tensor) -> Tensor:
        """Means (..., count) over what exists of tables (..., count, width)."""
        return (table * self._exists).sum(-1) / self._exists.sum(-1)

    def continuous(self, bins: Tensor) -> Tensor:
        """Numbers (..., D) in the centres of bins (..., D)."""
        return bins / self._half_bins - 1

    def indices(self, action: Action) -> Tensor:
        """Values (X, count) that branches take in an action."""
        bins = ((action.continuous + 1) * self._half_bins).round().long()
        return torch.cat([action.choice, bins], -1)

    def assigned(self, action: Action) -> Tensor:
        """The same as tables (X, count, width) of ones and zeros."""
        return one_hot(self.indices(action), self._exists.shape[-1]).float()

    def mask(self, observation: Tensor, bins: Tensor) -> Tensor:
        """What exists and, with these bins (X, D), is admissible: (X, count, width) bool."""
        mask = self._exists.repeat(len(observation), 1, 1)
        if self.devices:
            admissible = self.problem.mask(observation, self.continuous(bins))
            mask[:, : self.devices, : self.options] = admissible
        return mask

    def decide(self, observation: Tensor, table: Tensor, pick: Pick) -> tuple[Action, Tensor]:
        """An action: first all bins, then choices among what these leave admissible.

        Args:
            observation: (X, n), as the problem gives it.
            table: (X, count, width), what is picked from.
            pick: how.

        Returns:
            The action, and the mask (X, count, width).
        """
        rows, k = len(observation), self.devices
        bins = pick(table[:, k:], self._exists[k:].expand(rows, -1, -1))
        mask = self.mask(observation, bins)
        choice = pick(table[:, :k], mask[:, :k])
        return Action(choice, self.continuous(bins)), mask
