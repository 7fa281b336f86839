"""The fully connected networks of AD-SAC."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sec_nodes.learning.networks import Stacked, mlp
from sec_nodes.learning.problem import Shape


class FlatNetworks(nn.Module):
    """Fully connected actors and critics; neither hears what the others do.

    Without devices there is one that has one option, without numbers their arrays are empty: no
    network is made for either. `seen` is normalised observations of B rows.

    Args:
        shape: of the problem.
        hidden: widths of hidden layers.
        critics: whether to make `values`.
    """

    def __init__(self, shape: Shape, hidden: Sequence[int], critics: bool = True) -> None:
        super().__init__()
        self.pairs = (max(shape.devices, 1), shape.options if shape.devices else 1)
        self.continuous = shape.continuous
        outputs = self.pairs[0] * self.pairs[1]
        self.chooser = mlp((shape.observation, *hidden, outputs)) if shape.devices else None
        self.mover = (
            mlp((shape.observation, *hidden, 2 * self.continuous)) if self.continuous else None
        )
        sizes = (shape.observation + self.continuous, *hidden, outputs)
        self.critics = Stacked(2, sizes) if critics else None

    def scores(self, seen: Tensor, continuous: Tensor) -> Tensor:
        """Logits of the options (B, K, S); the continuous part is not looked at."""
        if self.chooser is None:
            return seen.new_zeros(len(seen), *self.pairs)
        return self.chooser(seen).unflatten(-1, self.pairs)

    def gaussian(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Means and logarithms of deviations (B, D), before tanh."""
        if self.mover is None:
            empty = seen.new_zeros(len(seen), 0)
            return empty, empty
        mean, log_std = self.mover(seen).chunk(2, -1)
        return mean, log_std

    def values(self, seen: Tensor, continuous: Tensor, weights: Tensor) -> Tensor:
        """Values (2, ..., B, K, S) of every option of every device, from twin critics.

        Continuous parts are (B, D), or (N, B, D) for N at each row. What all devices do, `weights`
        (..., B, K, S), is not looked at.
        """
        assert self.critics is not None
        if continuous.dim() == seen.dim():
            values = self.critics(torch.cat([seen, continuous], -1))
        else:
            values = self.critics.outer(seen, continuous)
        return values.unflatten(-1, self.pairs)

    def actor_parameters(self) -> list[nn.Parameter]:
        """Of `scores` and `gaussian`."""
        return [
            p for net in (self.chooser, self.mover) if net is not None for p in net.parameters()
        ]

    def critic_parameters(self) -> list[nn.Parameter]:
        """Of `values`."""
        return [] if self.critics is None else list(self.critics.parameters())

    def policy_networks(self) -> list[nn.Sequential]:
        """Networks that give K S scores and D means, copies."""
        nets = [] if self.chooser is None else [self.chooser]
        if self.mover is not None:
            *layers, last = self.mover
            means = nn.Linear(last.in_features, self.continuous)
            means.weight.data, means.bias.data = (
                last.weight.data[: self.continuous],
                last.bias.data[: self.continuous],
            )
            nets.append(nn.Sequential(*layers, means))
        return nets
