"""D3QN: a dueling double deep Q-network with a branch for each choice and each discretised number.

A benchmark of Yan et al., Drones 2025, 9, 500, section 5.1. One output for each joint action would
be 7^10 and more, so the network branches as that of Tavakoli et al. 2018: all branches share the
value of a state, each has advantages of its own, and their mean is the double-Q target of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from sec_nodes.config import Settings
from sec_nodes.learning.branches import Branches
from sec_nodes.learning.distributions import FORBIDDEN, random_choice
from sec_nodes.learning.export import flat_policy
from sec_nodes.learning.networks import Descent, blend, mlp
from sec_nodes.learning.off_policy import OffPolicy, OffPolicyHyper, Stateful
from sec_nodes.learning.problem import Action, Problem
from sec_nodes.learning.replay import Batch


class D3qnHyper(OffPolicyHyper):
    """Hyper-parameters of D3QN."""

    learning_rate: float = Field(3e-4, gt=0)
    """Of the network."""
    epsilon: float = Field(0.5, ge=0, le=1)
    """Probability that a branch takes a random value, right after warm-up ..."""
    epsilon_last: float = Field(0.02, ge=0, le=1)
    """... and later,"""
    epsilon_slots: int = Field(10_000, ge=1)
    """after so many transitions; linear in between."""


class D3qn(OffPolicy):
    """D3QN."""

    name: ClassVar[str] = 'd3qn'
    Hyper: ClassVar[type[Settings]] = D3qnHyper
    hyper: D3qnHyper

    def __init__(self, problem: Problem, hyper: D3qnHyper) -> None:
        super().__init__(problem, hyper)
        self.branches = Branches(problem)
        # The first output is the value of the state, the others are advantages.
        self.network = mlp((self.shape.observation, *hyper.hidden, 1 + self.branches.outputs))
        self.target = deepcopy(self.network)
        self.descent = Descent(self.network.parameters(), hyper.learning_rate)

    @property
    def epsilon(self) -> float:
        """Probability that a branch takes a random value now."""
        hyper = self.hyper
        done = min((self.replay.seen - hyper.warm_up) / hyper.epsilon_slots, 1.0)
        return hyper.epsilon + (hyper.epsilon_last - hyper.epsilon) * done

    def random(self, observation: Tensor) -> Action:
        """Uniformly random bins and admissible options."""
        table = torch.zeros(len(observation), self.branches.count, 1)
        return self.branches.decide(observation, table, _random)[0]

    def explore(self, observation: Tensor) -> Action:
        """The best known values, random ones in a share epsilon of the branches."""
        return self.branches.decide(observation, self._advantages(observation), self._noisy)[0]

    @torch.no_grad()
    def best(self, observation: Tensor) -> Action:
        """The best known bins, then options."""
        return self.branches.decide(observation, self._advantages(observation), _largest)[0]

    def update(self, batch: Batch) -> Mapping[str, Tensor]:
        """One step of the network and its target."""
        with torch.no_grad():
            then = batch.next_observation
            following, _ = self.branches.decide(then, self._advantages(then), _largest)
            ahead = self._taken(self.target, then, following).mean(-1)
            reward = self.normaliser.reward(batch.reward.sum(-1))
            goal = reward + self.hyper.gamma * (1 - batch.terminated) * ahead
        action = Action(batch.choice, batch.continuous)
        values = self._taken(self.network, batch.observation, action)
        loss = (values - goal.unsqueeze(-1)).square().mean()
        self.descent.step(loss)
        blend(self.target.parameters(), self.network.parameters(), self.hyper.tau)
        epsilon = torch.tensor(self.epsilon)
        return {'loss': loss.detach(), 'value': values.detach().mean(), 'epsilon': epsilon}

    def parts(self) -> dict[str, Stateful]:
        """Networks and optimiser."""
        return {'network': self.network, 'target': self.target, 'descent': self.descent}

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The network without the value, which no decision depends on."""
        *layers, last = self.network
        advantages = nn.Linear(last.in_features, self.branches.outputs)
        advantages.weight.data, advantages.bias.data = last.weight.data[1:], last.bias.data[1:]
        network = nn.Sequential(*layers, advantages)
        bins = self.shape.axis_bins
        return flat_policy(self.name, self.shape, self.normaliser, [network], bins)

    def _advantages(self, observation: Tensor) -> Tensor:
        """(X, count, width)."""
        return self.branches.table(self.network(self.normaliser(observation))[:, 1:])

    def _taken(self, network: nn.Sequential, observation: Tensor, action: Action) -> Tensor:
        """Values (X, count) that branches give to what they do in an action."""
        value, flat = network(self.normaliser(observation)).split([1, self.branches.outputs], -1)
        advantages = self.branches.table(flat)
        taken = advantages.gather(-1, self.branches.indices(action).unsqueeze(-1)).squeeze(-1)
        return value + taken - self.branches.mean(advantages)

    def _noisy(self, table: Tensor, mask: Tensor) -> Tensor:
        """The largest, or a random one with probability epsilon."""
        astray = torch.rand(mask.shape[:-1]) < self.epsilon
        return torch.where(astray, random_choice(mask), _largest(table, mask))


def _largest(table: Tensor, mask: Tensor) -> Tensor:
    return table.masked_fill(~mask, FORBIDDEN).argmax(-1)


def _random(table: Tensor, mask: Tensor) -> Tensor:
    return random_choice(mask)
