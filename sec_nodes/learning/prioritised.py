"""What was experienced, replayed the more often the more there was to learn from it.

Prioritised experience replay as Meng and Li have it in section "SAC-PER": priorities
p = (delta + eps)^eta, probabilities P = p^beta_1 / sum p^beta_1, weights (1 / (W P))^beta_2. Two
exponents in series are one, eta beta_1. W, which the paper leaves open, is how many transitions
there are, and weights are divided by the largest of their batch, so that they only shorten steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sec_nodes.learning.problem import Action, Shape, Turn
from sec_nodes.learning.replay import Batch, Replay

SMALLEST_ERROR = 1e-3
"""eps: what was predicted well is still replayed now and then."""


class SumTree:
    """Weights of numbered leaves, drawn in proportion to them in a logarithm of their number.

    Args:
        leaves: how many.
    """

    def __init__(self, leaves: int) -> None:
        self.leaves = leaves
        self._depth = max(leaves - 1, 0).bit_length()
        # Node 1 is the root, the children of n are 2 n and 2 n + 1, leaves come last.
        self._sums = torch.zeros(2 << self._depth, dtype=torch.float64)

    @property
    def total(self) -> Tensor:
        """Sum of all weights, ()."""
        return self._sums[1]

    @property
    def weights(self) -> Tensor:
        """(leaves,), a view."""
        first = 1 << self._depth
        return self._sums[first : first + self.leaves]

    def set(self, index: Tensor, weight: Tensor) -> None:
        """Give leaves (X,) weights (X,); of a leaf that is named twice either one."""
        node = index + (1 << self._depth)
        self._sums[node] = weight.double()
        for _ in range(self._depth):
            node = node // 2
            self._sums[node] = self._sums[2 * node] + self._sums[2 * node + 1]

    def find(self, below: Tensor) -> Tensor:
        """(X,) the first leaves up to which weights add up to more than `below` (X,).

        That is in [0, total).
        """
        node, rest = torch.ones(len(below), dtype=torch.int64), below.double()
        for _ in range(self._depth):
            node = 2 * node
            left = self._sums[node]
            right = rest >= left
            # Rounding may leave a rest where nothing is.
            right &= self._sums[node + 1] > 0
            rest = torch.where(right, rest - left, rest)
            node = node + right
        return node - (1 << self._depth)


class Weighted(NamedTuple):
    """Transitions drawn by priority."""

    batch: Batch
    weight: Tensor
    """(B,) float32, of each in the critic's loss, at most 1."""
    index: Tensor
    """(B,) where they are kept."""


class Prioritised(Replay):
    """The latest transitions, drawn by priority.

    Args:
        shape: of the problem.
        capacity: how many are kept.
        exponents: eta and beta_1.
    """

    def __init__(self, shape: Shape, capacity: int, exponents: tuple[float, float]) -> None:
        super().__init__(shape, capacity)
        self._exponent = exponents[0] * exponents[1]
        self._tree = SumTree(capacity)
        self._largest = 1.0

    def add(self, observation: Tensor, action: Action, turn: Turn) -> Tensor:
        """As `Replay.add`; what is new has the largest weight there has been."""
        index = super().add(observation, action, turn)
        self._tree.set(index, torch.full(index.shape, self._largest))
        return index

    def draw(self, rows: int, beta_2: float) -> Weighted:
        """Transitions drawn by priority, with replacement.

        Args:
            rows: how many.
            beta_2: exponent of their weights; 1 takes the bias of the draw away.
        """
        total = self._tree.total
        index = self._tree.find(torch.rand(rows, dtype=torch.float64) * total)
        probability = self._tree.weights[index] / total
        weight = (len(self) * probability).pow(-beta_2)
        return Weighted(self.at(index), (weight / weight.max()).float(), index)

    def refresh(self, index: Tensor, error: Tensor) -> None:
        """Set priorities (X,) by errors delta (X,) >= 0."""
        weight = (error.double() + SMALLEST_ERROR).pow(self._exponent)
        self._largest = max(self._largest, float(weight.max()))
        self._tree.set(index, weight)

    def state_dict(self) -> dict[str, Any]:
        """The transitions and their weights."""
        weights = self._tree.weights[: len(self)].clone()
        return {**super().state_dict(), 'weights': weights, 'largest': self._largest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was; errors as `Replay.load_state_dict`."""
        super().load_state_dict(state)
        self._tree = SumTree(self.capacity)
        self._tree.set(torch.arange(len(self)), state['weights'])
        self._largest = state['largest']
