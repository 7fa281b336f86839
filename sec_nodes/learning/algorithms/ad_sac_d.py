"""AD-SAC-D: AD-SAC with numbers discretised, Fig. 8 of Yan et al., Drones 2025, 9, 500.

Every number takes one of a few evenly spaced values, so that the policy consists of categorical
distributions alone: one for each device's choice, one for each number (see `branches`). Critics
know the observation only. To each device k they value its own options and all bins of all numbers,

    Q_k(s, d, b) = q_k(s)[d_k] + sum_j u_kj(s)[b_j],

so that expectations over the whole policy are exact, and so is the merge, eqs. (51) to (53): it is
that of AD-SAC without continuous part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from sec_nodes.config import Settings
from sec_nodes.learning.branches import Branches
from sec_nodes.learning.distributions import MaskedCategorical, TanhNormal, random_choice
from sec_nodes.learning.export import flat_policy
from sec_nodes.learning.merge import Merge, MergeHyper
from sec_nodes.learning.networks import Descent, Stacked, blend, mlp
from sec_nodes.learning.off_policy import OffPolicy, OffPolicyHyper, Stateful
from sec_nodes.learning.problem import Action, Problem
from sec_nodes.learning.replay import Batch


class AdSacDHyper(OffPolicyHyper):
    """Hyper-parameters of AD-SAC-D."""

    actor_rate: float = Field(3e-4, gt=0)
    """Learning rate of the policy."""
    critic_rate: float = Field(1e-3, gt=0)
    """Learning rate of critics."""
    alpha_rate: float = Field(1e-3, ge=0)
    """Learning rate of the logarithm of the temperature; 0 keeps it."""
    alpha: float = Field(0.1, gt=0)
    """First temperature."""
    entropy_share_d: float = Field(0.3, ge=0, le=1)
    """rho_d: the entropy that the policy is to have, of the largest possible."""
    merge: MergeHyper = Field(default_factory=lambda: MergeHyper.model_validate({}))
    """Merge, in which the policy of numbers is a discrete one."""


class Draw(NamedTuple):
    """The policy at X observations, and an action drawn from it."""

    action: Action
    mask: Tensor
    """(X, count, width), with the bins of this action."""
    policy: MaskedCategorical
    """Of all branches, with this mask."""


class AdSacD(OffPolicy):
    """AD-SAC-D."""

    name: ClassVar[str] = 'ad_sac_d'
    Hyper: ClassVar[type[Settings]] = AdSacDHyper
    hyper: AdSacDHyper

    def __init__(self, problem: Problem, hyper: AdSacDHyper) -> None:
        super().__init__(problem, hyper)
        self.branches = Branches(problem)
        sizes = (self.shape.observation, *hyper.hidden)
        bins = self.branches.outputs - self.branches.scores
        self.receivers = max(self.shape.devices, 1)  # of rewards
        self.actor = mlp((*sizes, self.branches.outputs))
        self.critics = Stacked(2, (*sizes, self.branches.scores + self.receivers * bins))
        self.target_actor, self.target_critics = deepcopy(self.actor), deepcopy(self.critics)
        self.log_alpha = nn.Parameter(torch.tensor(math.log(hyper.alpha)))
        self.merge = Merge(hyper.merge)
        self.actor_descent = Descent(self.actor.parameters(), hyper.actor_rate)
        self.critic_descent = Descent(self.critics.parameters(), hyper.critic_rate)
        self.alpha_descent = Descent([self.log_alpha], hyper.alpha_rate)

    def random(self, observation: Tensor) -> Action:
        """Uniformly random bins and admissible options."""
        table = torch.zeros(len(observation), self.branches.count, 1)
        return self.branches.decide(observation, table, lambda _, mask: random_choice(mask))[0]

    def draw(self, observation: Tensor, actor: nn.Sequential) -> Draw:
        """The policy at observations (X, n), and an action: bins first, then choices."""
        table = self.branches.table(actor(self.normaliser(observation)))
        action, mask = self.branches.decide(
            observation, table, lambda scores, mask: MaskedCategorical(scores, mask).sample()
        )
        return Draw(action, mask, MaskedCategorical(table, mask))

    def explore(self, observation: Tensor) -> Action:
        """An action drawn from the policy, for each copy."""
        return self.draw(observation, self.actor).action

    @torch.no_grad()
    def best(self, observation: Tensor) -> Action:
        """The most probable bins, and the most probable options with these."""
        table = self.branches.table(self.actor(self.normaliser(observation)))
        return self.branches.decide(
            observation, table, lambda scores, mask: MaskedCategorical(scores, mask).best()
        )[0]

    def update(self, batch: Batch) -> Mapping[str, Tensor]:
        """One step of critics, policy, temperature and targets."""
        hyper, seen = self.hyper, self.normaliser(batch.observation)
        alpha = self.log_alpha.detach().exp()
        goal = self._goal(batch, alpha)
        taken = Action(batch.choice, batch.continuous)
        values = self._values(self.critics, seen, self.branches.assigned(taken))
        critic_loss = (values - goal).square().sum() / len(goal)
        self.critic_descent.step(critic_loss)

        drawn = self.draw(batch.observation, self.actor)
        value = self._values(self.critics, seen, drawn.policy.probs).amin(0).sum(-1)
        entropy = drawn.policy.entropy().sum(-1)
        loss = -(value + alpha * entropy).mean()
        figures = {'critic_loss': critic_loss.detach(), 'value': value.detach().mean()}
        if hyper.merge.every and self.updates % hyper.merge.every == 0:
            merge_loss, merge_figures = self._merge(batch.observation, seen, alpha)
            loss = loss + merge_loss
            figures |= merge_figures
        self.actor_descent.step(loss)

        missing = entropy.detach() - hyper.entropy_share_d * drawn.mask.sum(-1).log().sum(-1)
        # The gradient of alpha (entropy - goal) with respect to log alpha.
        self.alpha_descent.apply([alpha * missing.mean()])
        blend(self.target_critics.parameters(), self.critics.parameters(), hyper.tau)
        blend(self.target_actor.parameters(), self.actor.parameters(), hyper.tau)
        return figures | {'alpha': alpha, 'entropy': entropy.detach().mean()}

    def parts(self) -> dict[str, Stateful]:
        """Networks, multipliers and optimisers."""
        return {
            'actor': self.actor,
            'critics': self.critics,
            'target_actor': self.target_actor,
            'target_critics': self.target_critics,
            'merge': self.merge,
            'alpha': nn.ParameterList([self.log_alpha]),
            'actor_descent': self.actor_descent,
            'critic_descent': self.critic_descent,
            'alpha_descent': self.alpha_descent,
            'merge_descent': self.merge.descent,
        }

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The policy's network."""
        bins = self.shape.axis_bins
        return flat_policy(self.name, self.shape, self.normaliser, [self.actor], bins)

    def _tables(self, critics: Stacked, seen: Tensor) -> tuple[Tensor, Tensor]:
        """q (2, X, K S) of options, and u (2, X, max(K, 1), bins of all axes)."""
        outputs = critics(seen)
        own, shared = outputs.tensor_split([self.branches.scores], -1)
        return own, shared.unflatten(-1, (self.receivers, -1))

    def _values(self, critics: Stacked, seen: Tensor, weights: Tensor) -> Tensor:
        """Values (2, X, max(K, 1)) to each device of what branches do: weights as a table."""
        own, shared = self._tables(critics, seen)
        of_options, of_bins = self.branches.flat(weights).tensor_split([own.shape[-1]], -1)
        values = (shared @ of_bins.unsqueeze(-1)).squeeze(-1)
        if self.shape.devices:
            chosen = (own * of_options).unflatten(-1, (self.shape.devices, self.shape.options))
            values = values + chosen.sum(-1)
        return values

    @torch.no_grad()
    def _goal(self, batch: Batch, alpha: Tensor) -> Tensor:
        """Soft targets (X, max(K, 1)): reward and what follows, of each device."""
        following = self.draw(batch.next_observation, self.actor)
        next_seen = self.normaliser(batch.next_observation)
        ahead = self._values(self.target_critics, next_seen, following.policy.probs).amin(0)
        entropy = following.policy.entropy().sum(-1, keepdim=True)
        soft = ahead + alpha / self.receivers * entropy  # shared out evenly
        onward = self.hyper.gamma * (1 - batch.terminated)
        return self.normaliser.reward(batch.reward) + onward.unsqueeze(-1) * soft

    def _merge(
        self, observation: Tensor, seen: Tensor, alpha: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Loss that pulls the policy towards its improvement."""
        with torch.no_grad():
            prior = self.draw(observation, self.target_actor)
            own, shared = self._tables(self.critics, seen)
            values = self.branches.table(torch.cat([own, shared.sum(-2)], -1).mean(0))
        now = MaskedCategorical(self.branches.table(self.actor(seen)), prior.mask)
        # Numbers are branches as well: none are left, and every row has the one sample.
        none = torch.zeros(len(seen), 0)
        normal = TanhNormal(none, none)
        return self.merge.loss(
            (_sampled(now), normal),
            (_sampled(prior.policy), normal),
            none[None],
            (values[None], torch.zeros(1, len(seen))),
            alpha.expand(2),
        )


def _sampled(policy: MaskedCategorical) -> MaskedCategorical:
    """The same with the axis N = 1 of the merge in front."""
    return MaskedCategorical(policy.log_probs[None])
