"""AD-SAC: soft actor-critic for choices and numbers together, Yan et al., Drones 2025, 9, 500.

Both policies act on one observation: numbers are drawn first, then each device's option among
those that are admissible with these numbers. Twin critics value every option of every device given
the numbers, so expectations over choices are exact and only numbers are reparameterised. The
paper's eqs. (35) to (50) name policies and critics alike and have no temperature; what is meant is
written out in `critics` and below. In every so-manieth step both policies are pulled towards their
merged improvement, (51) to (53), see `merge`.

Without choices this is SAC, without numbers discrete SAC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sec_nodes.config import Settings
from sec_nodes.learning.critics import Critic, Draw, Independent, PerDevice, Scalar, Step
from sec_nodes.learning.distributions import MaskedCategorical, TanhNormal, random_choice
from sec_nodes.learning.export import flat_policy
from sec_nodes.learning.flat_networks import FlatNetworks
from sec_nodes.learning.merge import Merge, MergeHyper
from sec_nodes.learning.networks import Descent, blend, rough_products
from sec_nodes.learning.off_policy import OffPolicy, OffPolicyHyper, Stateful
from sec_nodes.learning.problem import Action, Problem, Turn
from sec_nodes.learning.replay import Batch


class AdSacHyper(OffPolicyHyper):
    """Hyper-parameters of AD-SAC."""

    critic: Literal['per_device', 'scalar', 'independent'] = 'per_device'
    """What critics value, see `critics`."""
    actor_rate: float = Field(3e-4, gt=0)
    """Learning rate of both policies."""
    critic_rate: float = Field(1e-3, gt=0)
    """Learning rate of critics."""
    alpha_rate: float = Field(1e-3, ge=0)
    """Learning rate of the logarithms of both temperatures; 0 keeps them."""
    alpha: float = Field(0.1, gt=0)
    """First temperature of choices and of numbers."""
    entropy_share_d: float = Field(0.3, ge=0, le=1)
    """rho_d: the entropy that choices are to have, of the largest possible. That of numbers is
    -1 nat each."""
    merge: MergeHyper = Field(default_factory=lambda: MergeHyper.model_validate({}))
    """Merge of both policies."""
    penalty_replay: float = Field(0.0, ge=0, le=1)
    """As the paper: probability that a transition is stored once more with a forbidden choice and
    a penalty. Sound only while choices do not affect what comes next."""
    penalty: float = Field(1.0, ge=0)
    """What such a choice costs, in the problem's reward."""

    @model_validator(mode='after')
    def _merge_needs_values(self) -> AdSacHyper:
        if self.critic == 'scalar' and self.merge.every:
            raise ValueError(
                'critic is scalar, which values no options one by one as the merge needs; '
                'set merge.every to 0, or critic to per_device'
            )
        return self


class AdSac(OffPolicy):
    """AD-SAC with fully connected networks.

    A subclass with other networks overrides `make_networks`, `make_critic`, `see`, `draw` and
    `policy_arrays`.
    """

    name: ClassVar[str] = 'ad_sac_flat'
    Hyper: ClassVar[type[Settings]] = AdSacHyper
    hyper: AdSacHyper

    def __init__(self, problem: Problem, hyper: AdSacHyper) -> None:
        super().__init__(problem, hyper)
        self.networks: Any = self.make_networks()
        self.target = deepcopy(self.networks)
        self.critic = self.make_critic()
        self.log_alpha = nn.Parameter(torch.full((2,), math.log(hyper.alpha)))
        self.merge = Merge(hyper.merge)
        self.actor_descent = Descent(self.networks.actor_parameters(), hyper.actor_rate)
        self.critic_descent = Descent(self.critic.parameters_now(), hyper.critic_rate)
        self.alpha_descent = Descent([self.log_alpha], hyper.alpha_rate)

    def make_networks(self) -> Any:
        """Actors and critics."""
        return FlatNetworks(self.shape, self.hyper.hidden, self.hyper.critic == 'per_device')

    def see(self, observation: Tensor) -> Any:
        """What networks are given of observations (B, n)."""
        return self.normaliser(observation)

    def mask(self, observation: Tensor, continuous: Tensor) -> Tensor | None:
        """Admissible options (..., B, K, S) of observations (B, n) with numbers (..., B, D)."""
        if not self.shape.devices:
            return None
        rows = observation.expand(*continuous.shape[:-1], -1).flatten(0, -2)
        mask = self.problem.mask(rows, continuous.detach().flatten(0, -2))
        return mask.unflatten(0, continuous.shape[:-1])

    def draw(self, observation: Tensor, seen: Any) -> Draw:
        """The policy at observations (B, n), and an action: numbers first, then choices."""
        normal = TanhNormal(*self.networks.gaussian(seen))
        continuous, log_density = normal.draw()
        scores = self.networks.scores(seen, continuous)
        choices = MaskedCategorical(scores, self.mask(observation, continuous))
        return Draw(normal, continuous, log_density, scores, choices)

    def explore(self, observation: Tensor) -> Action:
        """An action drawn from the policy, for each copy."""
        drawn = self.draw(observation, self.see(observation))
        return self._action(drawn.choices.sample(), drawn.continuous)

    @torch.no_grad()
    def best(self, observation: Tensor) -> Action:
        """Means of the numbers, and the most probable options with these."""
        seen = self.see(observation)
        continuous = TanhNormal(*self.networks.gaussian(seen)).best()
        scores = self.networks.scores(seen, continuous)
        choices = MaskedCategorical(scores, self.mask(observation, continuous))
        return self._action(choices.best(), continuous)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One step of critics, actors, temperatures and targets."""
        seen, alpha = self.see(batch.observation), self.log_alpha.detach().exp()
        critic_loss = self.critic.loss(self._step(batch, seen, alpha))
        self.critic_descent.step(critic_loss)

        drawn = self.draw(batch.observation, seen)
        entropy = torch.stack([drawn.choices.entropy().sum(-1), -drawn.log_density], -1)
        value = self.critic.worth(seen, drawn)
        loss = -(value + entropy @ alpha).mean()
        figures = {'critic_loss': critic_loss.detach(), 'value': value.detach().mean()}
        every = self.hyper.merge.every
        if every and self.updates % every == 0:
            merge_loss, merge_figures = self._merge(batch.observation, seen, drawn, alpha)
            loss = loss + merge_loss
            figures |= merge_figures
        self.actor_descent.step(loss)

        entropy = entropy.detach().mean(0)
        self._cool(entropy, drawn.choices)
        blend(self.critic.parameters_then(), self.critic.parameters_now(), self.hyper.tau)
        if every:
            actors = self.networks.actor_parameters()
            blend(self.target.actor_parameters(), actors, self.hyper.tau)
        names = ('alpha_d', 'alpha_c', 'entropy_d', 'entropy_c')
        return figures | dict(zip(names, (*alpha, *entropy), strict=True))

    def remember(self, observation: Tensor, action: Action, turn: Turn) -> None:
        """Store one step of all copies, and with `penalty_replay` some with forbidden choices."""
        super().remember(observation, action, turn)
        if self.hyper.penalty_replay and self.shape.devices:
            self._remember_forbidden(observation, action, turn)

    def parts(self) -> dict[str, Stateful]:
        """Networks, multipliers and optimisers."""
        return {
            'networks': self.networks,
            'target': self.target,
            'critic': self.critic,
            'merge': self.merge,
            'alpha': nn.ParameterList([self.log_alpha]),
            'actor_descent': self.actor_descent,
            'critic_descent': self.critic_descent,
            'alpha_descent': self.alpha_descent,
            'merge_descent': self.merge.descent,
        }

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A policy of kind `flat`."""
        networks = self.networks.policy_networks()
        return flat_policy(self.name, self.shape, self.normaliser, networks)

    def make_critic(self) -> Critic:
        """What values actions."""
        if self.hyper.critic == 'per_device':
            return PerDevice(self.networks, self.target)
        kind = Scalar if self.hyper.critic == 'scalar' else Independent
        return kind(self.shape, self.hyper.hidden)

    def _action(self, choice: Tensor, continuous: Tensor) -> Action:
        return Action(choice[:, : self.shape.devices], continuous)

    @torch.no_grad()
    def _step(self, batch: Batch, seen: Any, alpha: Tensor) -> Step:
        """A batch as critics need it."""
        next_seen = self.see(batch.next_observation)
        if self.shape.devices:
            assigned = one_hot(batch.choice, self.shape.options).float()
        else:
            assigned = torch.ones(len(batch.reward), 1, 1)
        return Step(
            seen,
            assigned,
            batch.continuous,
            self.normaliser.reward(batch.reward),
            self.hyper.gamma * (1 - batch.terminated),
            next_seen,
            self.draw(batch.next_observation, next_seen),
            alpha,
        )

    def _merge(
        self, observation: Tensor, seen: Any, drawn: Draw, alpha: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Loss that pulls both policies towards their merged improvement."""
        with torch.no_grad():
            prior_normal = TanhNormal(*self.target.gaussian(seen))
            continuous, before = prior_normal.rsample((self.hyper.merge.samples,))
            mask = self.mask(observation, continuous)
            prior_scores = self.target.scores(seen, continuous)
            shape = (*continuous.shape[:-1], *prior_scores.shape[-2:])
            prior = MaskedCategorical(prior_scores.expand(shape), mask)
            # Many rows, and only weights of an average come of them.
            with rough_products():
                values = self.critic.table(seen, continuous, prior.probs)
        choices = MaskedCategorical(drawn.scores.expand(shape), mask)
        return self.merge.loss(
            (choices, drawn.normal), (prior, prior_normal), before, values, alpha
        )

    def _cool(self, entropy: Tensor, choices: MaskedCategorical) -> None:
        """Move temperatures so that entropies (2,) approach what they are to be."""
        goal = torch.tensor([0.0, -self.shape.continuous])
        if self.shape.devices:
            largest = choices.admissible().log().sum(-1).mean()
            goal[0] = self.hyper.entropy_share_d * largest
        # The gradient of alpha (entropy - goal) with respect to log alpha.
        self.alpha_descent.apply([self.log_alpha.detach().exp() * (entropy - goal)])

    def _remember_forbidden(self, observation: Tensor, action: Action, turn: Turn) -> None:
        """Some of these transitions again, with one device at a forbidden option, penalised."""
        forbidden = ~self.problem.mask(observation, action.continuous)
        wanted = torch.rand(len(observation)) < self.hyper.penalty_replay
        rows = (wanted & forbidden.any(-1).any(-1)).nonzero().squeeze(-1)
        if not len(rows):
            return
        pairs = random_choice(forbidden[rows].flatten(1)[:, None]).squeeze(-1)
        device, option = pairs // self.shape.options, pairs % self.shape.options
        choice, reward = action.choice[rows], turn.reward[rows]
        picked = torch.arange(len(rows))
        choice[picked, device] = option
        reward[picked, device] -= self.hyper.penalty
        changed = Turn(reward, turn.observation[rows], turn.terminated[rows], turn.over)
        super().remember(observation[rows], Action(choice, action.continuous[rows]), changed)
