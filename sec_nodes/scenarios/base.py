"""What a scenario offers, so that simulation, learning and comparison need not know which it is.

A scenario is simulated in B independent copies at once. Its states, decisions and outcomes are
frozen dataclasses of arrays whose first axis is the copy; how the other axes are called stands in
the scenario's own module. A single system is a batch of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from sec_nodes.config import Settings
from sec_nodes.slot import FloatArray, IntArray

StateT = TypeVar('StateT')
DecisionT = TypeVar('DecisionT')
OutcomeT = TypeVar('OutcomeT')


@dataclass(frozen=True)
class SlotSummary:
    """One slot of each copy in the figures that every scenario has, all (B,)."""

    cost: FloatArray
    """The scenario's objective, smaller is better."""
    latency_s: FloatArray
    """Mean over the tasks that were served [s]; NaN where there was none."""
    energy_j: FloatArray
    """Everything spent in the slot [J]."""
    tasks: FloatArray
    """Tasks that asked to be served."""
    completed: FloatArray
    """Tasks served within their deadline and all constraints."""
    violations: FloatArray
    """Broken constraints, deadlines not counted."""
    extra: Mapping[str, FloatArray] = field(default_factory=dict)
    """Further figures of the scenario, named with their unit, each (B,)."""


class Scenario(ABC, Generic[StateT, DecisionT, OutcomeT]):
    """A system that can be simulated: how it begins, what a decision costs, how it goes on."""

    name: ClassVar[str]
    """Name of the scenario, as in config/scenarios."""
    reference: ClassVar[str]
    """Name of the controller that the others are measured against."""
    prices_failure: ClassVar[bool] = False
    """Whether the cost has a price for what is late, dropped or not allowed, so that costs of
    controllers which complete different shares can be compared."""
    settings: Settings

    @property
    def same_every_episode(self) -> bool:
        """Whether episodes do not depend on their seed."""
        return False

    @property
    @abstractmethod
    def horizon(self) -> int:
        """Slots of an episode."""

    @abstractmethod
    def reset(self, seed: IntArray) -> StateT:
        """Begin an episode in each copy.

        Args:
            seed: (B,) integers >= 0; copies with the same seed see the same world, whatever is
                decided in them.
        """

    @abstractmethod
    def evaluate(self, state: StateT, decision: DecisionT) -> OutcomeT:
        """Costs and violated constraints of a decision; the state stays as it is."""

    @abstractmethod
    def step(self, state: StateT, decision: DecisionT) -> tuple[StateT, OutcomeT]:
        """The outcome of a slot and the state at the start of the next one."""

    def obstacles(self, state: StateT) -> dict[int, tuple[str, ...]]:
        """Why no decision can do all that is asked, by copy; proofs, in sentences.

        Copies of which nothing is proven are left out.
        """
        return {}

    @abstractmethod
    def summarise(self, state: StateT, outcome: OutcomeT) -> SlotSummary:
        """The outcome of a slot in the figures that every scenario has."""
