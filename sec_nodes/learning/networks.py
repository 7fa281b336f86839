"""Networks of ReLU layers, several of them at once, and what keeps their inputs in range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

OBSERVATION_LIMIT = 10.0
"""Normalised observations are clipped to +- this."""
_SMALLEST_STD = 1e-3
_SMALLEST_SCALE = 1e-6


def mlp(sizes: Sequence[int]) -> nn.Sequential:
    """Fully connected layers with ReLU between them: `sizes` of input, hidden layers, output."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Stacked(nn.Module):
    """n networks of equal sizes, computed together.

    Args:
        count: n.
        sizes: of input, hidden layers and output.
    """

    def __init__(self, count: int, sizes: Sequence[int]) -> None:
        super().__init__()
        pairs = list(pairwise(sizes))
        self.weights = nn.ParameterList(_uniform((count, i, o), i) for i, o in pairs)
        self.biases = nn.ParameterList(_uniform((count, 1, o), i) for i, o in pairs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (n, B, out) of inputs (B, in) to all networks."""
        weight, bias = self.weights[0], self.biases[0]
        return self.after_first(torch.baddbmm(bias, inputs.expand(len(weight), -1, -1), weight))

    def outer(self, left: Tensor, right: Tensor) -> Tensor:
        """Outputs (n, N, B, out) of left (B, p) joined with each of right (N, B, q), p + q = in.

        The first layer sees each row of `left` once, not N times.
        """
        (samples, rows, width), (weight, bias) = right.shape, (self.weights[0], self.biases[0])
        count = len(weight)
        split = left.shape[-1]
        first = torch.baddbmm(bias, left.expand(count, -1, -1), weight[:, :split])
        flat = right.reshape(-1, width).expand(count, -1, -1)
        second = torch.bmm(flat, weight[:, split:]).view(count, samples, rows, -1)
        hidden = (second + first.unsqueeze(1)).view(count, samples * rows, -1)
        return self.after_first(hidden).view(count, samples, rows, -1)

    def after_first(self, hidden: Tensor) -> Tensor:
        """Outputs (n, B, out) of what the first layer gives (n, B, h), before its ReLU."""
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            hidden = torch.baddbmm(bias, torch.relu(hidden), weight)
        return hidden


class Normaliser(nn.Module):
    """Mean and deviation of observations and scale of rewards, measured once, then frozen.

    Args:
        observation: numbers of an observation.
    """

    mean: Tensor
    std: Tensor
    reward_scale: Tensor

    def __init__(self, observation: int) -> None:
        super().__init__()
        self.register_buffer('mean', torch.zeros(observation))
        self.register_buffer('std', torch.ones(observation))
        self.register_buffer('reward_scale', torch.ones(()))

    @torch.no_grad()
    def measure(self, observation: Tensor, reward: Tensor) -> None:
        """Take the statistics of observations (X, n) and of rewards (X, K), added over K."""
        self.mean.copy_(observation.mean(0))
        self.std.copy_(observation.std(0, unbiased=False).clamp(min=_SMALLEST_STD))
        scale = reward.sum(-1).std(unbiased=False)
        self.reward_scale.fill_(scale if scale > _SMALLEST_SCALE else 1.0)

    def forward(self, observation: Tensor) -> Tensor:
        """(observation - mean) / std, clipped."""
        centred = (observation - self.mean) / self.std
        return centred.clamp(-OBSERVATION_LIMIT, OBSERVATION_LIMIT)

    def reward(self, reward: Tensor) -> Tensor:
        """Rewards in units of their scale; not shifted."""
        return reward / self.reward_scale


@torch.no_grad()
def blend(target: Iterable[Tensor], source: Iterable[Tensor], tau: float) -> None:
    """Move target tensors by tau towards source tensors (Polyak averaging)."""
    torch._foreach_lerp_(list(target), list(source), tau)


class Descent:
    """Adam on some parameters, with gradients of exactly these.

    Args:
        parameters: what is changed.
        rate: learning rate.
        largest_norm: gradients longer than that are shortened to it; None: as they are.
    """

    def __init__(
        self, parameters: Iterable[Tensor], rate: float, largest_norm: float | None = None
    ) -> None:
        self.parameters = list(parameters)
        self.largest_norm = largest_norm
        self.adam = torch.optim.Adam(self.parameters, lr=rate, fused=True)

    def step(self, loss: Tensor) -> None:
        """Descend a loss that depends on all of the parameters."""
        self.apply(torch.autograd.grad(loss, self.parameters))

    def apply(self, gradients: Iterable[Tensor]) -> None:
        """Descend along gradients, one a parameter."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        if self.largest_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.largest_norm)
        self.adam.step()

    def state_dict(self) -> dict[str, object]:
        """Moments of Adam."""
        return self.adam.state_dict()

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on where `state_dict` was."""
        self.adam.load_state_dict(state)


def flat_arrays(network: nn.Sequential, index: int) -> dict[str, object]:
    """Weights (in, out) and biases of an `mlp`, named as policy files do: `n0_w0`, `n0_b0` ..."""
    arrays: dict[str, object] = {}
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    for number, layer in enumerate(linear):
        arrays[f'n{index}_w{number}'] = layer.weight.detach().t().contiguous().numpy().copy()
        arrays[f'n{index}_b{number}'] = layer.bias.detach().numpy().copy()
    return arrays


def _uniform(shape: tuple[int, ...], inputs: int) -> nn.Parameter:
    """As `nn.Linear` begins."""
    limit = 1 / math.sqrt(inputs)
    return nn.Parameter(torch.empty(shape).uniform_(-limit, limit))
