"""What every learning algorithm offers to whoever trains it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from sec_nodes.config import Settings
from sec_nodes.learning.problem import Action, Problem, Turn


class Learner(ABC):
    """An algorithm at work on a problem.

    A subclass sets `name` and `Hyper`, its hyper-parameters (pydantic, all with values in
    config/controllers/mllm/NAME.yaml), and implements the rest. It draws from torch's global
    generator, which whoever trains seeds.

    Args:
        problem: what is learnt; for its sizes and its masks.
        hyper: hyper-parameters.
    """

    name: ClassVar[str]
    Hyper: ClassVar[type[Settings]]

    def __init__(self, problem: Problem, hyper: Any) -> None:
        self.problem, self.shape, self.hyper = problem, problem.shape, hyper

    @abstractmethod
    def act(self, observation: Tensor) -> Action:
        """Explore: an action for each copy."""

    @abstractmethod
    def best(self, observation: Tensor) -> Action:
        """What has been learnt, without exploration: an action for each row."""

    @abstractmethod
    def learn(self, observation: Tensor, action: Action, turn: Turn) -> Mapping[str, float]:
        """Take in one step of all copies and learn from it, or later.

        Returns:
            Figures for the log; empty if nothing was learnt now.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if never interrupted, replay included."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was."""

    @property
    @abstractmethod
    def updates(self) -> int:
        """Gradient steps so far."""

    @abstractmethod
    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What `best` needs, for `sec_nodes.controllers.learned`.

        Returns:
            Description (JSON) and arrays by name.
        """
