"""Learners of numbers alone, at work on problems with choices.

The relaxation: a learner sends K S scores besides the D numbers, all in [-1, 1], and every device
takes the admissible option of the largest score. To the learner choices are part of the problem.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sec_nodes.learning.distributions import FORBIDDEN
from sec_nodes.learning.learner import Learner
from sec_nodes.learning.problem import Action, Problem, Shape, Turn


class RelaxedProblem(Problem):
    """The sizes of a problem as a learner of numbers sees it; it cannot be played.

    Args:
        problem: what is relaxed.
    """

    def __init__(self, problem: Problem) -> None:
        shape = problem.shape
        self.shape = Shape(shape.observation, 0, 1, shape.scores + shape.continuous)
        self.copies, self.horizon = problem.copies, problem.horizon

    def reset(self, seed: int | None = None) -> Tensor:
        """Raise NotImplementedError."""
        raise NotImplementedError('play the problem that was relaxed')

    def step(self, action: Action) -> Turn:
        """Raise NotImplementedError."""
        raise NotImplementedError('play the problem that was relaxed')


class Relaxed(Learner):
    """Base of learners that send scores in place of choices.

    A subclass implements `make_inner` and `outputs`.

    Attributes:
        inner: a learner of K S + D numbers.
    """

    def __init__(self, problem: Problem, hyper: Any) -> None:
        super().__init__(problem, hyper)
        self.inner = self.make_inner(RelaxedProblem(problem), hyper)
        self._sent = torch.empty(0)  # numbers that belong to the action that `act` gave last

    @abstractmethod
    def make_inner(self, problem: RelaxedProblem, hyper: Any) -> Learner:
        """The learner of numbers."""

    @abstractmethod
    def outputs(self, observation: Tensor) -> Tensor:
        """What the inner learner's policy computes (X, K S + D), before tanh."""

    def act(self, observation: Tensor) -> Action:
        """Explore: an action for each copy."""
        self._sent = self.inner.act(observation).continuous
        scores, continuous = self._split(self._sent)
        return self._action(observation, scores, continuous)

    @torch.no_grad()
    def best(self, observation: Tensor) -> Action:
        """What has been learnt, without exploration: an action for each row."""
        # Scores are compared before tanh, which would make large ones equal.
        scores, before = self._split(self.outputs(observation))
        return self._action(observation, scores, before.tanh())

    def learn(self, observation: Tensor, action: Action, turn: Turn) -> Mapping[str, float]:
        """Take in one step of all copies and learn from it, or later.

        Raises:
            ValueError: the action is not the one that `act` gave last.
        """
        if not torch.equal(self._split(self._sent)[1], action.continuous):
            raise ValueError('learn from the action that act gave last: its scores are needed')
        total = replace(turn, reward=turn.reward.sum(-1, keepdim=True))
        return self.inner.learn(observation, numbers_only(self._sent), total)

    @property
    def updates(self) -> int:
        """Gradient steps so far."""
        return self.inner.updates

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if never interrupted."""
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was."""
        self.inner.load_state_dict(state)

    def _split(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and continuous part of numbers (X, K S + D)."""
        return numbers[:, : self.shape.scores], numbers[:, self.shape.scores :]

    def _action(self, observation: Tensor, scores: Tensor, continuous: Tensor) -> Action:
        """The action that scores (X, K S) and a continuous part mean."""
        if not self.shape.devices:
            return numbers_only(continuous)
        mask = self.problem.mask(observation, continuous)
        return Action(scores.view(mask.shape).masked_fill(~mask, FORBIDDEN).argmax(-1), continuous)


def numbers_only(continuous: Tensor) -> Action:
    """The action with these numbers (X, D) and no choices."""
    return Action(torch.zeros(len(continuous), 0, dtype=torch.int64), continuous)
