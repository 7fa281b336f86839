"""SAC: soft actor-critic of numbers, Haarnoja et al. 2018, with automatic temperature.

The base of SAC-PER and a benchmark of Meng and Li, eqs. (36) to (40), whose slips are corrected:
(38) is the natural logarithm, and the target (39) has the entropy, the target networks and the
smaller of the twins. Values come in parts that add up where the networks can tell them apart
(`number_networks`): what follows a slot is then added to the last part, so that the sum is SAC's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from sec_nodes.config import Settings
from sec_nodes.learning.distributions import Drawn, TanhNormal
from sec_nodes.learning.networks import Descent, KnownScale, blend
from sec_nodes.learning.number_networks import FlatNumbers, NumberNetworks
from sec_nodes.learning.off_policy import OffPolicy, OffPolicyHyper, Stateful
from sec_nodes.learning.problem import Action, Problem
from sec_nodes.learning.relaxed import numbers_only
from sec_nodes.learning.replay import Batch
from sec_nodes.learning.robust import RobustProblem
from sec_nodes.learning.user_networks import UserNetworks


class SacHyper(OffPolicyHyper):
    """Hyper-parameters of SAC."""

    networks: Literal['flat', 'per_user'] = 'flat'
    """Fully connected ones, as the paper has them, or `user_networks`, for robust alone; of these
    `hidden` gives the widths, of networks of users and of UAVs."""
    actor_rate: float = Field(3e-4, gt=0)
    """Learning rate of the policy."""
    critic_rate: float = Field(3e-4, gt=0)
    """Learning rate of critics."""
    alpha_rate: float = Field(3e-4, ge=0)
    """Learning rate of the logarithm of the temperature; 0 keeps it."""
    alpha: float = Field(0.1, gt=0)
    """First temperature."""
    entropy: float = -1.0
    """Entropy that each number is to have [nat]; that of a uniform one is 0.69."""


class Judged(NamedTuple):
    """What a step of the critics found."""

    loss: Tensor
    """()"""
    error: Tensor
    """(B,) delta of each transition: half the sum of both critics' absolute errors."""


class Sac(OffPolicy):
    """SAC.

    Raises:
        ValueError: the problem has choices.
    """

    name: ClassVar[str] = 'sac'
    Hyper: ClassVar[type[Settings]] = SacHyper
    hyper: SacHyper

    def __init__(self, problem: Problem, hyper: SacHyper) -> None:
        if problem.shape.devices:
            raise ValueError(
                f'{self.name} learns numbers alone, but {type(problem).__name__} has choices; '
                'use ad_sac_c'
            )
        super().__init__(problem, hyper)
        self.networks = self.make_networks()
        self.target = deepcopy(self.networks.critic)
        self.log_alpha = nn.Parameter(torch.tensor(math.log(hyper.alpha)))
        self.actor_descent = Descent(self.networks.actor.parameters(), hyper.actor_rate)
        self.critic_descent = Descent(self.networks.critic.parameters(), hyper.critic_rate)
        self.alpha_descent = Descent([self.log_alpha], hyper.alpha_rate)

    @property
    def critics(self) -> int:
        """How many critics there are."""
        return 2

    def make_networks(self) -> NumberNetworks:
        """Actor and critics."""
        if self.hyper.networks == 'per_user':
            return self._make_user_networks()
        return FlatNumbers(self.shape, self.hyper.hidden, self.critics, self.normaliser)

    def _make_user_networks(self) -> UserNetworks:
        """Networks that users share, with rewards in units of a usual task."""
        if not isinstance(self.problem, RobustProblem) or len(self.hyper.hidden) != 2:
            raise ValueError(
                f'networks = per_user with hidden = {self.hyper.hidden} for '
                f'{type(self.problem).__name__}: they are for robust and have two widths; '
                'set networks to flat, or hidden to two numbers'
            )
        users, uavs = self.hyper.hidden
        networks = UserNetworks(
            self.problem.environment.scenario, (users, uavs), self.critics, self.hyper.gamma
        )
        self.normaliser = KnownScale(self.shape.observation, networks.looker.unit_j)
        return networks

    def random(self, observation: Tensor) -> Action:
        """Uniformly random numbers, or what networks that know the scenario begin with."""
        if self.hyper.networks == 'flat':
            return super().random(observation)
        return self.explore(observation)

    @property
    def alpha(self) -> Tensor:
        """Temperature, ()."""
        return self.log_alpha.detach().exp()

    def explore(self, observation: Tensor) -> Action:
        """An action drawn from the policy, for each copy."""
        return numbers_only(self.draw(self.networks.see(observation)).numbers)

    @torch.no_grad()
    def best(self, observation: Tensor) -> Action:
        """Means of the numbers."""
        mean, _ = self.networks.actor(self.networks.see(observation))
        return numbers_only(mean.tanh())

    def draw(self, seen: Any) -> Drawn:
        """Numbers drawn from the policy, and their density."""
        return TanhNormal(*self.networks.actor(seen)).draw()

    def update(self, batch: Batch) -> Mapping[str, Tensor]:
        """One step of critics, policy, temperature and targets."""
        return self.step(batch)[0]

    def step(
        self, batch: Batch, weight: Tensor | None = None
    ) -> tuple[Mapping[str, Tensor], Judged]:
        """As `update`, with weights (B,) of transitions in the critics' loss.

        Returns:
            Figures, and what the critics found.
        """
        seen = self.networks.see(batch.observation)
        judged = self.judge(batch, seen, weight)
        return {'critic_loss': judged.loss, **self.improve(seen)}, judged

    def judge(self, batch: Batch, seen: Any, weight: Tensor | None = None) -> Judged:
        """One step of the critics and their targets."""
        goal = self.goal(batch)
        misses = self.networks.critic(seen, batch.continuous) - goal
        squares = misses.square().sum(-1)
        loss = (squares if weight is None else squares * weight).mean(-1).sum()
        self.critic_descent.step(loss)
        blend(self.target.parameters(), self.networks.critic.parameters(), self.hyper.tau)
        return Judged(loss.detach(), misses.detach().sum(-1).abs().mean(0))

    @torch.no_grad()
    def goal(self, batch: Batch) -> Tensor:
        """What critics are to say, (B, P) or (n, B, P): (39) as SAC has it."""
        next_seen = self.networks.see(batch.next_observation)
        following = self.draw(next_seen)
        values = self.target(next_seen, following.numbers).sum(-1)
        soft = self.cautious(values) - self.alpha * following.log_prob
        goal = self.reward(batch)
        goal[:, -1] += self.hyper.gamma * (1 - batch.terminated) * soft
        return goal

    def reward(self, batch: Batch) -> Tensor:
        """Scaled rewards (B, P), fresh."""
        parts = batch.reward
        if self.networks.parts == 1:
            parts = parts.sum(-1, keepdim=True)
        return self.normaliser.reward(parts)

    def cautious(self, values: Tensor) -> Tensor:
        """The value (B,) that targets trust, of those of all critics (n, B)."""
        return values.amin(0)

    def worth(self, values: Tensor) -> Tensor:
        """The value (B,) that the policy ascends, of those of all critics (n, B)."""
        return values.amin(0)

    def improve(self, seen: Any) -> Mapping[str, Tensor]:
        """One step of the policy, (38), and of the temperature."""
        drawn = self.draw(seen)
        value = self.worth(self.networks.critic(seen, drawn.numbers).sum(-1))
        alpha, entropy = self.alpha, -drawn.log_prob
        self.actor_descent.step(-(value + alpha * entropy).mean())
        entropy = entropy.detach().mean()
        # The gradient of alpha (entropy - goal) with respect to log alpha.
        excess = entropy - self.hyper.entropy * self.shape.continuous
        self.alpha_descent.apply([alpha * excess])
        return {'value': value.detach().mean(), 'alpha': alpha, 'entropy': entropy}

    def parts(self) -> dict[str, Stateful]:
        """Networks and optimisers."""
        return {
            'networks': self.networks,
            'target': self.target,
            'alpha': nn.ParameterList([self.log_alpha]),
            'actor_descent': self.actor_descent,
            'critic_descent': self.critic_descent,
            'alpha_descent': self.alpha_descent,
        }

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What `best` needs."""
        return self.networks.policy_arrays(self.name)
