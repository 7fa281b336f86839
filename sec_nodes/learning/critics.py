"""What AD-SAC's critics learn, in three ways.

`PerDevice`: the value of an option to each device, given the numbers; their sum is the value of an
action. Expectations over choices are exact. `Scalar`: one value of the joint action, with choices
reparameterised by straight-through Gumbel noise. `Independent`: two agents as in Yan et al.,
Drones 2025, 9, 500, eqs. (43) to (50), each with a critic of its own action only; unsound, as each
averages over what the other did in the replay rather than over what it does now.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gumbel_softmax, one_hot

from sec_nodes.learning.distributions import MaskedCategorical, TanhNormal
from sec_nodes.learning.flat_networks import FlatNetworks
from sec_nodes.learning.networks import Stacked
from sec_nodes.learning.problem import Shape


class Draw(NamedTuple):
    """A policy at B observations, and one action drawn from it."""

    normal: TanhNormal
    continuous: Tensor
    """(B, D), with gradients."""
    log_density: Tensor
    """(B,), of the continuous part."""
    scores: Tensor
    """(B, K, S), unmasked."""
    choices: MaskedCategorical
    """At this continuous part."""


class Step(NamedTuple):
    """Transitions as critics need them."""

    seen: Any
    assigned: Tensor
    """(B, K, S), choices as one-hot."""
    continuous: Tensor
    """(B, D)."""
    reward: Tensor
    """(B, K), scaled."""
    onward: Tensor
    """(B,), the discount, 0 where terminated."""
    next_seen: Any
    following: Draw
    """The policy at the next observations."""
    alpha: Tensor
    """(2,), temperatures of choices and numbers."""


class Critic(nn.Module, ABC):
    """What values actions.

    Attributes:
        enumerates: whether every option has a value, as the merge needs.
    """

    enumerates = True

    @abstractmethod
    def loss(self, step: Step) -> Tensor:
        """Squared errors of both critics against the soft target, mean over the batch."""

    @abstractmethod
    def worth(self, seen: Any, draw: Draw) -> Tensor:
        """Value (B,) of a policy, to be ascended."""

    @abstractmethod
    def table(self, seen: Any, continuous: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Values of all options, and of numbers whatever the choices, means of the twins.

        Args:
            seen: B observations.
            continuous: (N, B, D).
            weights: (N, B, K, S), probabilities of the choices.

        Returns:
            (N, B, K, S) and (N, B), or what broadcasts to them.
        """

    @abstractmethod
    def parameters_now(self) -> list[nn.Parameter]:
        """Parameters that learn."""

    @abstractmethod
    def parameters_then(self) -> list[nn.Parameter]:
        """Parameters of the target that follows, in the same order."""


class PerDevice(Critic):
    """Values of each option of each device; rewards are shared out among devices.

    Args:
        networks: learn.
        target: follow.
    """

    def __init__(self, networks: FlatNetworks, target: FlatNetworks) -> None:
        super().__init__()
        self._networks, self._target = [networks], [target]  # listed: saved by their owner

    @property
    def networks(self) -> Any:
        """Those that learn."""
        return self._networks[0]

    @property
    def target(self) -> Any:
        """Those that follow."""
        return self._target[0]

    def loss(self, step: Step) -> Tensor:
        """Sum of squared errors over devices and twins."""
        draw, (alpha_d, alpha_c) = step.following, step.alpha.unbind()
        with torch.no_grad():
            choices = draw.choices
            ahead = self.target.values(step.next_seen, draw.continuous, choices.probs)
            soft = choices.expectation(ahead).amin(0) + alpha_d * choices.entropy()
            soft -= (alpha_c / soft.shape[-1]) * draw.log_density.unsqueeze(-1)
            goal = step.reward + step.onward.unsqueeze(-1) * soft
        values = self.networks.values(step.seen, step.continuous, step.assigned)
        taken = (values * step.assigned).sum(-1)
        return (taken - goal).square().sum() / len(goal)

    def worth(self, seen: Any, draw: Draw) -> Tensor:
        """Value (B,) of a policy, to be ascended."""
        values = self.networks.values(seen, draw.continuous, draw.choices.probs)
        return draw.choices.expectation(values).amin(0).sum(-1)

    def table(self, seen: Any, continuous: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Values of all options; numbers are worth nothing besides."""
        values = self.networks.values(seen, continuous, weights).mean(0)
        return values, values.new_zeros(continuous.shape[:-1])

    def parameters_now(self) -> list[nn.Parameter]:
        """Parameters that learn."""
        return self.networks.critic_parameters()

    def parameters_then(self) -> list[nn.Parameter]:
        """Parameters of the target."""
        return self.target.critic_parameters()


class _Own(Critic):
    """Critics with networks of their own, fully connected ones."""

    def __init__(self, networks: Sequence[Stacked]) -> None:
        super().__init__()
        self.now = nn.ModuleList(networks)
        self.then = deepcopy(self.now)

    def parameters_now(self) -> list[nn.Parameter]:
        """Parameters that learn."""
        return list(self.now.parameters())

    def parameters_then(self) -> list[nn.Parameter]:
        """Parameters of the target."""
        return list(self.then.parameters())


class Scalar(_Own):
    """One value of what all devices do, for devices that depend on each other.

    Args:
        shape: of the problem.
        hidden: widths of hidden layers.
    """

    enumerates = False

    def __init__(self, shape: Shape, hidden: Sequence[int]) -> None:
        pairs = shape.scores or 1
        super().__init__([Stacked(2, (shape.observation + pairs + shape.continuous, *hidden, 1))])

    def loss(self, step: Step) -> Tensor:
        """Squared errors of the twins."""
        draw, (alpha_d, alpha_c) = step.following, step.alpha.unbind()
        with torch.no_grad():
            choice = draw.choices.sample()
            assigned = one_hot(choice, step.assigned.shape[-1]).float()
            soft = self._value(self.then, step.next_seen, assigned, draw.continuous).amin(0)
            soft += alpha_d * draw.choices.entropy().sum(-1) - alpha_c * draw.log_density
            goal = step.reward.sum(-1) + step.onward * soft
        values = self._value(self.now, step.seen, step.assigned, step.continuous)
        return (values - goal).square().sum() / len(goal)

    def worth(self, seen: Any, draw: Draw) -> Tensor:
        """Value (B,) of a policy, to be ascended."""
        assigned = gumbel_softmax(draw.choices.log_probs, hard=True)
        return self._value(self.now, seen, assigned, draw.continuous).amin(0)

    def table(self, seen: Any, continuous: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Raise NotImplementedError: joint actions are too many."""
        raise NotImplementedError('a scalar critic does not value options one by one')

    @staticmethod
    def _value(networks: nn.ModuleList, seen: Tensor, assigned: Tensor, numbers: Tensor) -> Tensor:
        """(2, B)."""
        values: Tensor = networks[0](torch.cat([seen, assigned.flatten(-2), numbers], -1))
        return values.squeeze(-1)


class Independent(_Own):
    """Two agents: one for choices, that sees no numbers, and one for numbers, without choices.

    Args:
        shape: of the problem.
        hidden: widths of hidden layers.
    """

    def __init__(self, shape: Shape, hidden: Sequence[int]) -> None:
        self.pairs = (max(shape.devices, 1), shape.options if shape.devices else 1)
        choices = Stacked(2, (shape.observation, *hidden, self.pairs[0] * self.pairs[1]))
        numbers = Stacked(2, (shape.observation + shape.continuous, *hidden, 1))
        super().__init__([choices, numbers])

    def loss(self, step: Step) -> Tensor:
        """Squared errors of the twins of both agents."""
        draw, (alpha_d, alpha_c) = step.following, step.alpha.unbind()
        with torch.no_grad():
            ahead, beyond = self._values(self.then, step.next_seen, draw.continuous)
            soft = draw.choices.expectation(ahead).amin(0) + alpha_d * draw.choices.entropy()
            goal_d = step.reward + step.onward.unsqueeze(-1) * soft
            soft_c = beyond.amin(0) - alpha_c * draw.log_density
            goal_c = step.reward.sum(-1) + step.onward * soft_c
        values, worth = self._values(self.now, step.seen, step.continuous)
        taken = (values * step.assigned).sum(-1)
        errors = (taken - goal_d).square().sum() + (worth - goal_c).square().sum()
        return errors / len(goal_c)

    def worth(self, seen: Any, draw: Draw) -> Tensor:
        """Value (B,) of a policy, to be ascended: the agents' values, added."""
        values, worth = self._values(self.now, seen, draw.continuous)
        return draw.choices.expectation(values).amin(0).sum(-1) + worth.amin(0)

    def table(self, seen: Any, continuous: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Values of all options, and of numbers."""
        values = self.now[0](seen).unflatten(-1, self.pairs).mean(0)
        return values, self.now[1].outer(seen, continuous).squeeze(-1).mean(0)

    def _values(
        self, networks: nn.ModuleList, seen: Tensor, numbers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(2, B, K, S) of choices and (2, B) of numbers."""
        choices = networks[0](seen).unflatten(-1, self.pairs)
        return choices, networks[1](torch.cat([seen, numbers], -1)).squeeze(-1)
