"""What proximal policy optimisation has in common, whatever an action consists of.

Schulman et al. 2017, with generalised advantage estimates (Schulman et al. 2016). A policy may
have several parts, such as choices and numbers. Each then has a probability ratio of its own,
clipped on its own, and the surrogates add up.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from sec_nodes.config import Settings
from sec_nodes.learning.distributions import random_choice
from sec_nodes.learning.learner import Learner
from sec_nodes.learning.networks import Descent, Normaliser, mlp
from sec_nodes.learning.problem import Action, Problem, Turn
from sec_nodes.learning.relaxed import numbers_only

_TINY = 1e-8
_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


class OnPolicyHyper(Settings):
    """Hyper-parameters of proximal policy optimisation."""

    hidden: tuple[int, ...] = (256, 256, 256)
    """Widths of hidden layers."""
    learning_rate: float = Field(3e-4, gt=0)
    """Of policy and value."""
    gamma: float = Field(0.95, ge=0, lt=1)
    """Discount a slot."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Weight of longer estimates of the advantage."""
    warm_up: int = Field(1000, ge=2)
    """Transitions of random actions, from which scales are measured."""
    rollout: int = Field(32, ge=1)
    """Slots of every copy between updates."""
    epochs: int = Field(10, ge=1)
    """How often an update goes through what was collected."""
    batch: int = Field(64, ge=2)
    """Transitions of a gradient step."""
    clip: float = Field(0.2, gt=0)
    """How far from 1 a ratio of probabilities pays."""
    largest_kl: float = Field(1.0, gt=0)
    """An update ends early once the policy has moved further than this [nat]."""
    entropy: float = Field(0.0, ge=0)
    """Weight of the policy's entropy [1/nat]."""
    value_weight: float = Field(0.5, gt=0)
    """Weight of the value's squared error."""
    largest_norm: float = Field(0.5, gt=0)
    """Longer gradients are shortened to it."""
    std: float = Field(0.5, gt=0)
    """Standard deviation of numbers at first."""


class Draw(NamedTuple):
    """What a policy drew: all that its probability depends on, besides the observation."""

    numbers: Tensor
    """(X, D), before they were clipped to [-1, 1]."""
    choice: Tensor
    """(X, K) int64."""
    mask: Tensor
    """(X, K, S) bool, what could be chosen."""


class Slots(NamedTuple):
    """Experience, slot by slot of all copies."""

    observation: Tensor
    """(T, B, n)."""
    numbers: Tensor
    """(T, B, D), see `Draw`."""
    choice: Tensor
    """(T, B, K)."""
    mask: Tensor
    """(T, B, K, S)."""
    reward: Tensor
    """(T, B), over the scale."""
    following: Tensor
    """(T, B, n), observation after the slot."""
    terminated: Tensor
    """(T, B) bool."""
    cut: Tensor
    """(T, B) bool: the next slot of this copy belongs to another episode."""


class ClippedNormal:
    """D independent normal numbers about a mean in (-1, 1), clipped to [-1, 1] when sent.

    Probabilities are those of the numbers before they are clipped.

    Args:
        before: (..., D), the mean before tanh.
        log_std: (D,).
    """

    def __init__(self, before: Tensor, log_std: Tensor) -> None:
        self.mean, self.log_std = before.tanh(), log_std

    def sample(self) -> Tensor:
        """Numbers (..., D), not yet clipped."""
        return self.mean + self.log_std.exp() * torch.randn_like(self.mean)

    def log_prob(self, numbers: Tensor) -> Tensor:
        """(...), log density of numbers (..., D)."""
        z = (numbers - self.mean) / self.log_std.exp()
        return (-0.5 * z.square() - self.log_std - _HALF_LOG_2_PI).sum(-1)

    def entropy(self) -> Tensor:
        """Scalar [nat]."""
        return (self.log_std + 0.5 + _HALF_LOG_2_PI).sum()


class OnPolicy(Learner):
    """Base of proximal policy optimisation.

    A subclass implements `make_policy`, `draw`, `log_probs`, `best` and `policy_arrays`. Actions
    are random during warm-up; then the normaliser is frozen from what was seen.

    Attributes:
        policy: what `make_policy` made.
        value: network of the expected return.
        normaliser: of observations and rewards.
    """

    hyper: Any  # an OnPolicyHyper, or a subclass's own

    def __init__(self, problem: Problem, hyper: Any) -> None:
        super().__init__(problem, hyper)
        self.normaliser = Normaliser(self.shape.observation)
        self.policy = self.make_policy()
        self.value = orthogonal(mlp((self.shape.observation, *hyper.hidden, 1)), 1.0)
        self._descent = Descent(
            [*self.policy.parameters(), *self.value.parameters()],
            hyper.learning_rate,
            hyper.largest_norm,
        )
        self._updates = 0
        self._warm_up: list[tuple[Tensor, Tensor]] = []  # observations, rewards; then empty
        self._warm = False
        self._slots: list[Slots] = []  # each without the axis T
        self._drawn: Draw | None = None  # belongs to the action that `act` gave last

    @abstractmethod
    def make_policy(self) -> nn.Module:
        """Whatever of the policy is learnt."""

    @abstractmethod
    def draw(self, observation: Tensor) -> Draw:
        """Draw actions for observations (X, n); no gradients are recorded."""

    @abstractmethod
    def log_probs(self, observation: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Log probabilities (parts, X) of what was drawn, and entropies (X,) [nat]."""

    @property
    def updates(self) -> int:
        """Gradient steps so far."""
        return self._updates

    @torch.no_grad()
    def act(self, observation: Tensor) -> Action:
        """Explore: an action for each copy; a random one during warm-up."""
        if not self._warm:
            continuous = 2 * torch.rand(len(observation), self.shape.continuous) - 1
            if not self.shape.devices:
                return numbers_only(continuous)
            return Action(random_choice(self.problem.mask(observation, continuous)), continuous)
        self._drawn = self.draw(observation)
        return Action(self._drawn.choice, self._drawn.numbers.clamp(-1, 1))

    def learn(self, observation: Tensor, action: Action, turn: Turn) -> Mapping[str, float]:
        """Collect one step of all copies, and learn once a rollout is complete.

        Raises:
            ValueError: the action is not the one that `act` gave last.
        """
        if not self._warm:
            self._measure(observation, turn.reward)
            return {}
        drawn = self._drawn
        if drawn is None or not torch.equal(drawn.numbers.clamp(-1, 1), action.continuous):
            raise ValueError('learn from the action that act gave last: others are off-policy')
        reward = self.normaliser.reward(turn.reward.sum(-1))
        cut = turn.terminated | turn.over
        self._slots.append(
            Slots(observation, *drawn, reward, turn.observation, turn.terminated, cut)
        )
        if len(self._slots) < self.hyper.rollout:
            return {}
        slots = Slots(*(torch.stack(column) for column in zip(*self._slots, strict=True)))
        self._slots = []
        return self._update(slots)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if never interrupted, collected slots included."""
        return {
            'policy': self.policy.state_dict(),
            'value': self.value.state_dict(),
            'normaliser': self.normaliser.state_dict(),
            'descent': self._descent.state_dict(),
            'updates': self._updates,
            'warm': self._warm,
            'warm_up': list(self._warm_up),
            'slots': [tuple(slot) for slot in self._slots],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was."""
        self.policy.load_state_dict(state['policy'])
        self.value.load_state_dict(state['value'])
        self.normaliser.load_state_dict(state['normaliser'])
        self._descent.load_state_dict(state['descent'])
        self._updates, self._warm = state['updates'], state['warm']
        self._warm_up = list(state['warm_up'])
        self._slots = [Slots(*slot) for slot in state['slots']]

    def _measure(self, observation: Tensor, reward: Tensor) -> None:
        """Take in a slot of the warm-up, and end it if that was the last one."""
        self._warm_up.append((observation, reward))
        if len(self._warm_up) * len(observation) < self.hyper.warm_up:
            return
        observations, rewards = zip(*self._warm_up, strict=True)
        self.normaliser.measure(torch.cat(observations), torch.cat(rewards))
        self._warm_up, self._warm = [], True

    def _update(self, slots: Slots) -> dict[str, float]:
        """Go through a rollout `epochs` times."""
        hyper = self.hyper
        with torch.no_grad():
            seen = self.normaliser(slots.observation)
            value = self.value(seen).squeeze(-1)
            following = self.value(self.normaliser(slots.following)).squeeze(-1)
            advantage = advantages(slots, value, following, hyper.gamma, hyper.gae_lambda)
            flat = Slots(*(column.flatten(0, 1) for column in slots))
            old, _ = self.log_probs(flat.observation, _draw(flat))
        target, advantage = (advantage + value).flatten(), advantage.flatten()
        figures: dict[str, Tensor] = {}
        for rows in self._batches(len(target)):
            batch = Slots(*(column[rows] for column in flat))
            loss, figures = self._loss(batch, old[:, rows], advantage[rows], target[rows])
            if figures['kl'] > hyper.largest_kl:
                break
            self._descent.step(loss)
            self._updates += 1
        return {name: float(figure) for name, figure in figures.items()}

    def _batches(self, rows: int) -> Iterator[Tensor]:
        """Indices of the transitions of each gradient step of an update, drawn anew in each epoch.

        Single ones are left out: their advantages have no deviation.
        """
        for _ in range(self.hyper.epochs):
            parts = torch.randperm(rows).split(self.hyper.batch)
            yield from (part for part in parts if len(part) > 1)

    def _loss(
        self, batch: Slots, old: Tensor, advantage: Tensor, target: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of transitions (X,) with log probabilities (parts, X) when they were drawn."""
        hyper = self.hyper
        new, entropy = self.log_probs(batch.observation, _draw(batch))
        advantage = (advantage - advantage.mean()) / (advantage.std() + _TINY)
        ratio = (new - old).exp()
        clipped = ratio.clamp(1 - hyper.clip, 1 + hyper.clip)
        gain = torch.minimum(ratio * advantage, clipped * advantage).sum(0).mean()
        value = self.value(self.normaliser(batch.observation)).squeeze(-1)
        value_loss = mse_loss(value, target)
        loss = hyper.value_weight * value_loss - gain - hyper.entropy * entropy.mean()
        return loss, {
            'value_loss': value_loss.detach(),
            'entropy': entropy.mean().detach(),
            # Schulman's estimate of KL(old, new), never negative.
            'kl': (ratio - 1 - (new - old)).sum(0).mean().detach(),
        }


def advantages(
    slots: Slots, value: Tensor, following: Tensor, gamma: float, gae_lambda: float
) -> Tensor:
    """Generalised advantage estimates (T, B).

    Args:
        slots: what was experienced; of it rewards, terminations and cuts.
        value: (T, B) of the slots' observations.
        following: (T, B) of the observations after them; not counted where nothing follows. At a
            time limit it stands for the rest of the return.
        gamma: discount.
        gae_lambda: weight of longer estimates.
    """
    surprise = slots.reward + gamma * following * ~slots.terminated - value
    result = torch.empty_like(surprise)
    ahead = torch.zeros_like(surprise[0])
    for slot in reversed(range(len(surprise))):
        ahead = surprise[slot] + gamma * gae_lambda * ahead * ~slots.cut[slot]
        result[slot] = ahead
    return result


def orthogonal(network: nn.Sequential, last_gain: float) -> nn.Sequential:
    """A network with orthogonal weights, of gain sqrt 2 before ReLU, and no biases at first."""
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    for layer in linear:
        gain = last_gain if layer is linear[-1] else math.sqrt(2)
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return network


def _draw(slots: Slots) -> Draw:
    return Draw(slots.numbers, slots.choice, slots.mask)
