"""Networks of ReLU layers, several of them at once, and what keeps their inputs in range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

OBSERVATION_LIMIT = 10.0
"""Normalised observations are clipped to +- this."""
_SMALLEST_STD = 1e-3
_SMALLEST_SCALE = 1e-6


class Mlp(nn.Sequential):
    """Fully connected layers with ReLU between them.

    Args:
        sizes: of input, hidden layers and output.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        affine = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)]
        layers = [part for layer in affine for part in (layer, nn.ReLU())]
        super().__init__(*layers[:-1])
        # Looked up once: that takes nearly as long as a small layer.
        self._linear = [(layer.weight, layer.bias) for layer in affine]

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (..., out) of inputs (..., in)."""
        hidden = inputs
        for weight, bias in self._linear[:-1]:
            hidden = linear(hidden, weight, bias).relu_()
        return linear(hidden, *self._linear[-1])


def mlp(sizes: Sequence[int]) -> Mlp:
    """Fully connected layers with ReLU between them: `sizes` of input, hidden layers, output."""
    return Mlp(sizes)


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
        self._layers = list(zip(self.weights, self.biases, strict=True))  # as in Mlp

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (n, B, out) of inputs (B, in) to all networks."""
        weight, bias = self._layers[0]
        return self.after_first(torch.baddbmm(bias, inputs.expand(len(weight), -1, -1), weight))

    def outer(self, left: Tensor, right: Tensor) -> Tensor:
        """Outputs (n, N, B, out) of left (B, p) joined with each of right (N, B, q), p + q = in.

        The first layer sees each row of `left` once, not N times.
        """
        (samples, rows, width), (weight, bias) = right.shape, self._layers[0]
        count = len(weight)
        split = left.shape[-1]
        first = torch.baddbmm(bias, left.expand(count, -1, -1), weight[:, :split])
        flat = right.reshape(samples * rows, width).expand(count, -1, -1)
        second = torch.bmm(flat, weight[:, split:]).view(count, samples, rows, -1)
        hidden = second.add_(first.unsqueeze(1)).view(count, samples * rows, -1)
        return self.after_first(hidden).view(count, samples, rows, -1)

    def after_first(self, hidden: Tensor) -> Tensor:
        """Outputs (n, B, out) of the first layer's (n, B, h) before ReLU, which is changed."""
        for weight, bias in self._layers[1:]:
            hidden = torch.baddbmm(bias, hidden.relu_(), weight)
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


class KnownScale(Normaliser):
    """The scale of rewards follows from the scenario; observations are left as they are.

    Args:
        observation: numbers of an observation.
        scale: of rewards.
    """

    def __init__(self, observation: int, scale: float) -> None:
        super().__init__(observation)
        self.reward_scale.fill_(scale)

    def measure(self, observation: Tensor, reward: Tensor) -> None:
        """Nothing is measured."""


@torch.no_grad()
def blend(target: Iterable[Tensor], source: Iterable[Tensor], tau: float) -> None:
    """Move target tensors by tau towards source tensors (Polyak averaging)."""
    torch._foreach_lerp_(list(target), list(source), tau)


@contextmanager
def rough_products() -> Iterator[None]:
    """Matrix products within may round their factors to bfloat16, where the CPU gains by that."""
    usual = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('medium')
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(usual)


class Descent:
    """Adam on some parameters, with gradients of exactly these.

    Calls the kernel of `torch.optim.Adam(fused=True)` itself: what that class does around it takes
    longer than the kernel where networks are small.

    Args:
        parameters: what is changed.
        rate: learning rate.
        largest_norm: gradients longer than that are shortened to it; None: as they are.
    """

    BETAS = (0.9, 0.999)
    EPSILON = 1e-8

    def __init__(
        self, parameters: Iterable[Tensor], rate: float, largest_norm: float | None = None
    ) -> None:
        self.parameters = list(parameters)
        self.rate, self.largest_norm = rate, largest_norm
        self._mean = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._square = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._steps = torch.zeros(())

    def step(self, loss: Tensor) -> None:
        """Descend a loss that depends on all of the parameters."""
        self.apply(torch.autograd.grad(loss, self.parameters))

    @torch.no_grad()
    def apply(self, gradients: Iterable[Tensor]) -> None:
        """Descend along gradients, one a parameter."""
        gradients = list(gradients)
        if self.largest_norm is not None:
            norm = nn.utils.get_total_norm(gradients)
            shorter = (self.largest_norm / (norm + 1e-6)).clamp(max=1.0)
            gradients = torch._foreach_mul(gradients, shorter)
        self._steps += 1
        torch._fused_adam_(
            self.parameters,
            gradients,
            self._mean,
            self._square,
            [],
            [self._steps] * len(self.parameters),
            lr=self.rate,
            beta1=self.BETAS[0],
            beta2=self.BETAS[1],
            weight_decay=0.0,
            eps=self.EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Moments of Adam."""
        return {'mean': self._mean, 'square': self._square, 'steps': self._steps}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was."""
        torch._foreach_copy_(self._mean, list(state['mean']))
        torch._foreach_copy_(self._square, list(state['square']))
        self._steps.copy_(state['steps'])


def flat_arrays(network: nn.Sequential, index: int) -> dict[str, Any]:
    """Weights (in, out) and biases of an `mlp`, named as policy files do: `n0_w0`, `n0_b0` ..."""
    arrays: dict[str, Any] = {}
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    for number, layer in enumerate(linear):
        arrays[f'n{index}_w{number}'] = layer.weight.detach().t().contiguous().numpy().copy()
        arrays[f'n{index}_b{number}'] = layer.bias.detach().numpy().copy()
    return arrays


def _uniform(shape: tuple[int, ...], inputs: int) -> nn.Parameter:
    """As `nn.Linear` begins."""
    limit = 1 / math.sqrt(inputs)
    return nn.Parameter(torch.empty(shape).uniform_(-limit, limit))
