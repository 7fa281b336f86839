"""What all learners that replay experience have in common: warm-up, memory, counting, saving."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from pydantic import Field
from torch import Tensor

from sec_nodes.config import Settings
from sec_nodes.learning.distributions import random_choice
from sec_nodes.learning.learner import Learner
from sec_nodes.learning.networks import Normaliser
from sec_nodes.learning.problem import Action, Problem, Turn
from sec_nodes.learning.replay import Batch, Replay

_ROUNDING = 1e-6  # shares of gradient steps add up with errors


class OffPolicyHyper(Settings):
    """Hyper-parameters of all learners that replay experience."""

    hidden: tuple[int, ...] = (256, 256, 256)
    """Widths of hidden layers."""
    batch: int = Field(64, ge=1)
    """Transitions of a gradient step."""
    buffer: int = Field(100_000, ge=1)
    """Transitions that are remembered."""
    warm_up: int = Field(1000, ge=1)
    """Transitions of random actions before learning begins."""
    updates_per_step: float = Field(1.0, gt=0)
    """Gradient steps for each transition."""
    gamma: float = Field(0.95, ge=0, lt=1)
    """Discount a slot."""
    tau: float = Field(0.01, gt=0, le=1)
    """Share by which target networks follow in a gradient step."""


class Stateful(Protocol):
    """Something that can be saved."""

    def state_dict(self) -> Any:
        """All that is needed to go on."""

    def load_state_dict(self, state: Any) -> Any:
        """Go on where `state_dict` was."""


class OffPolicy(Learner):
    """Base of learners that replay experience.

    A subclass implements `explore`, `update`, `parts`, `best` and `policy_arrays`. Actions are
    random during warm-up; then the normaliser is frozen from what was seen.

    Attributes:
        replay: what was experienced.
        normaliser: of observations and rewards.
    """

    hyper: Any  # an OffPolicyHyper, or a subclass's own

    def __init__(self, problem: Problem, hyper: Any) -> None:
        super().__init__(problem, hyper)
        self.replay = self.make_replay()
        self.normaliser = Normaliser(self.shape.observation)
        self._updates = 0
        self._due = 0.0  # gradient steps that are owed to what was experienced

    def make_replay(self) -> Replay:
        """Where experience is kept."""
        return Replay(self.shape, self.hyper.buffer)

    @abstractmethod
    def explore(self, observation: Tensor) -> Action:
        """An action for each copy after warm-up; no gradients are recorded."""

    @abstractmethod
    def update(self, batch: Batch) -> Mapping[str, Tensor]:
        """One gradient step; figures for the log, scalars."""

    @abstractmethod
    def parts(self) -> dict[str, Stateful]:
        """What is saved besides replay, normaliser and counters: networks, optimisers."""

    @property
    def updates(self) -> int:
        """Gradient steps so far."""
        return self._updates

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over."""
        return self.replay.seen >= self.hyper.warm_up

    @torch.no_grad()
    def act(self, observation: Tensor) -> Action:
        """Explore: an action for each copy; a random one during warm-up."""
        return self.explore(observation) if self.warm else self.random(observation)

    def random(self, observation: Tensor) -> Action:
        """Uniformly random admissible actions."""
        continuous = 2 * torch.rand(len(observation), self.shape.continuous) - 1
        if not self.shape.devices:
            return Action(torch.zeros(len(observation), 0, dtype=torch.int64), continuous)
        return Action(random_choice(self.problem.mask(observation, continuous)), continuous)

    def learn(self, observation: Tensor, action: Action, turn: Turn) -> Mapping[str, float]:
        """Remember one step of all copies, and take the gradient steps that are due."""
        was_warm = self.warm
        self.remember(observation, action, turn)
        if not was_warm:
            if self.warm:
                seen = self.replay.everything()
                self.normaliser.measure(seen.observation, seen.reward)
            return {}
        self._due += len(observation) * self.hyper.updates_per_step
        due = int(self._due + _ROUNDING)
        self._due -= due
        return self.take_updates(due)

    def take_updates(self, count: int) -> Mapping[str, float]:
        """Take gradient steps; figures of the last one."""
        figures: Mapping[str, Tensor] = {}
        for _ in range(count):
            figures = self.train_once()
            self._updates += 1
        return {name: float(value) for name, value in figures.items()}

    def train_once(self) -> Mapping[str, Tensor]:
        """One gradient step on what is replayed; figures for the log, scalars."""
        return self.update(self.replay.sample(self.hyper.batch))

    def remember(self, observation: Tensor, action: Action, turn: Turn) -> None:
        """Store one step of all copies."""
        self.replay.add(observation, action, turn)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if never interrupted, replay included."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {'parts': parts, 'updates': self._updates, 'due': self._due}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was."""
        for name, part in self._parts().items():
            part.load_state_dict(state['parts'][name])
        self._updates, self._due = state['updates'], state['due']

    def _parts(self) -> dict[str, Stateful]:
        return {'replay': self.replay, 'normaliser': self.normaliser, **self.parts()}
