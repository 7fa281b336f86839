"""DDPG: a deterministic policy of numbers, with scores in place of choices.

Lillicrap et al. 2016, a benchmark of Yan et al., Drones 2025, 9, 500, section 5.1. Policy and
critic know K S scores and D numbers only; see `relaxed`. Exploration adds normal noise to all of
them. Without choices this is ordinary DDPG.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss

from sec_nodes.config import Settings
from sec_nodes.learning.export import flat_policy
from sec_nodes.learning.networks import Descent, blend, mlp
from sec_nodes.learning.off_policy import OffPolicy, OffPolicyHyper, Stateful
from sec_nodes.learning.problem import Action, Problem
from sec_nodes.learning.relaxed import Relaxed, RelaxedProblem, numbers_only
from sec_nodes.learning.replay import Batch


class DdpgHyper(OffPolicyHyper):
    """Hyper-parameters of DDPG."""

    actor_rate: float = Field(3e-4, gt=0)
    """Learning rate of the policy."""
    critic_rate: float = Field(1e-3, gt=0)
    """Learning rate of the critic."""
    noise: float = Field(0.1, ge=0)
    """Standard deviation of what exploration adds to numbers and scores."""


class NumbersDdpg(OffPolicy):
    """DDPG of numbers alone."""

    hyper: DdpgHyper

    def __init__(self, problem: Problem, hyper: DdpgHyper) -> None:
        super().__init__(problem, hyper)
        seen, sent = self.shape.observation, self.shape.continuous
        self.actor = mlp((seen, *hyper.hidden, sent))
        self.critic = mlp((seen + sent, *hyper.hidden, 1))
        self.target_actor, self.target_critic = deepcopy(self.actor), deepcopy(self.critic)
        self.actor_descent = Descent(self.actor.parameters(), hyper.actor_rate)
        self.critic_descent = Descent(self.critic.parameters(), hyper.critic_rate)

    def explore(self, observation: Tensor) -> Action:
        """The policy's numbers with noise."""
        numbers = self.actor(self.normaliser(observation)).tanh()
        noisy = numbers + self.hyper.noise * torch.randn_like(numbers)
        return numbers_only(noisy.clamp(-1, 1))

    @torch.no_grad()
    def best(self, observation: Tensor) -> Action:
        """The policy's numbers."""
        return numbers_only(self.actor(self.normaliser(observation)).tanh())

    def update(self, batch: Batch) -> Mapping[str, Tensor]:
        """One step of critic, policy and targets."""
        hyper, seen = self.hyper, self.normaliser(batch.observation)
        with torch.no_grad():
            next_seen = self.normaliser(batch.next_observation)
            ahead = _value(self.target_critic, next_seen, self.target_actor(next_seen).tanh())
            reward = self.normaliser.reward(batch.reward.sum(-1))
            goal = reward + hyper.gamma * (1 - batch.terminated) * ahead
        critic_loss = mse_loss(_value(self.critic, seen, batch.continuous), goal)
        self.critic_descent.step(critic_loss)
        value = _value(self.critic, seen, self.actor(seen).tanh()).mean()
        self.actor_descent.step(-value)
        blend(self.target_critic.parameters(), self.critic.parameters(), hyper.tau)
        blend(self.target_actor.parameters(), self.actor.parameters(), hyper.tau)
        return {'critic_loss': critic_loss.detach(), 'value': value.detach()}

    def parts(self) -> dict[str, Stateful]:
        """Networks and optimisers."""
        return {
            'actor': self.actor,
            'critic': self.critic,
            'target_actor': self.target_actor,
            'target_critic': self.target_critic,
            'actor_descent': self.actor_descent,
            'critic_descent': self.critic_descent,
        }

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The policy's network."""
        return flat_policy('ddpg', self.shape, self.normaliser, [self.actor])


class Ddpg(Relaxed):
    """DDPG."""

    name: ClassVar[str] = 'ddpg'
    Hyper: ClassVar[type[Settings]] = DdpgHyper
    inner: NumbersDdpg

    def make_inner(self, problem: RelaxedProblem, hyper: DdpgHyper) -> NumbersDdpg:
        """DDPG of scores and numbers."""
        return NumbersDdpg(problem, hyper)

    def outputs(self, observation: Tensor) -> Tensor:
        """What the policy's network computes (X, K S + D), before tanh."""
        return self.inner.actor(self.inner.normaliser(observation))

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The policy's network."""
        return flat_policy(self.name, self.shape, self.inner.normaliser, [self.inner.actor])


def _value(critic: torch.nn.Sequential, seen: Tensor, numbers: Tensor) -> Tensor:
    """(X,)."""
    return critic(torch.cat([seen, numbers], -1)).squeeze(-1)
