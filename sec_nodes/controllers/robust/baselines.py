"""Simple rules for the robust scenario, to measure others against.

Each chooses splits; the association is then the best there is for them (most tasks completed, then
least energy), except where the rule is about it or the scenario settles it. Tasks that nobody can
complete beside the others are sent nowhere. Frequencies and powers are the scenario's. UAVs brake
and hover, since none of the rules is about flying. Tasks of failed UAVs move as the optimum would
have them move, so that rules differ by their splits and association alone.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.robust.choices import choices
from sec_nodes.controllers.robust.optimum import best_association
from sec_nodes.controllers.robust.solution import solve
from sec_nodes.controllers.robust.targets import preferences
from sec_nodes.physics import randomness
from sec_nodes.physics.randomness import Stream
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.state import LOCAL, RobustDecision, RobustState
from sec_nodes.slot import BoolArray, IntArray


class _Baseline(BatchController[Robust, RobustState, RobustDecision]):
    """Splits and servers by a rule, the rest as described above."""

    scenario_name = 'robust'

    def decide(self, state: RobustState) -> RobustDecision:
        """Answer one slot of every copy."""
        split, server = self._assign(state)
        return RobustDecision(
            split=split,
            server=server,
            preference=preferences(self.scenario, state, split, server),
            acceleration_m_s2=-state.uav_velocity_m_s / self.scenario.settings.slot_s,
        )

    @abstractmethod
    def _assign(self, state: RobustState) -> tuple[IntArray, IntArray]:
        """Splits phi and servers, each (B, I)."""

    def _drawn(self, state: RobustState, feasible: BoolArray) -> IntArray:
        """(B, I) one of the feasible splits (B, I, C) each, all equally likely; 1 without any."""
        users = np.arange(state.network.shape[1])
        draw = randomness.uniform(
            state.seed[:, None],
            Stream.CONTROLLER,
            randomness.pair(self.seed, users),
            state.slot[:, None],
            1,
        )
        number = np.floor(draw * feasible.sum(axis=-1, keepdims=True))
        return 1 + np.argmax(feasible & (np.cumsum(feasible, axis=-1) > number), axis=-1)


class _BestAssociation(_Baseline):
    """The best association for splits by a rule, where it is free."""

    def _assign(self, state: RobustState) -> tuple[IntArray, IntArray]:
        split = self._split(state)
        if self.scenario.settings.users.association == 'nearest':
            return split, self.scenario.nearest(state)
        return split, best_association(self.scenario, state, split)

    @abstractmethod
    def _split(self, state: RobustState) -> IntArray:
        """(B, I) phi."""


@register_batch
class OffloadAll(_BestAssociation):
    """Every image is sent as it is: phi = 1."""

    name = 'offload_all'

    def _split(self, state: RobustState) -> IntArray:
        return np.ones_like(state.network)


@register_batch
class Random(_BestAssociation):
    """Any split of 1 to L, all equally likely."""

    name = 'random'

    def _split(self, state: RobustState) -> IntArray:
        return self._drawn(state, _sent_splits(self.scenario, state))


@register_batch
class RandomFeasible(_BestAssociation):
    """Any split that some UAV finishes in time with half of its CPU or less, equally likely."""

    name = 'random_feasible'

    def _split(self, state: RobustState) -> IntArray:
        options = choices(self.scenario, state)
        half = options.jobs.least_hz <= 0.5 * options.capacity_hz
        return self._drawn(state, np.asarray((options.possible & half).any(axis=2)))


@register_batch
class NearestUav(_Baseline):
    """Every task to the UAV nearest to its user, with the best splits for that."""

    name = 'nearest_uav'

    def __init__(self, scenario: Robust, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        settings = scenario.settings
        users = settings.users.model_copy(update={'association': 'nearest'})
        self._nearest = Robust(settings.model_copy(update={'users': users}), scenario.dtype)

    def _assign(self, state: RobustState) -> tuple[IntArray, IntArray]:
        solution = solve(self._nearest, state)
        return solution.split, solution.server


@register_batch
class LocalOnly(_Baseline):
    """Every network stays with its user: phi = L + 1.

    Without `users.local_only` that split does not exist: (28e) is broken and nobody is served.
    """

    name = 'local_only'

    def _assign(self, state: RobustState) -> tuple[IntArray, IntArray]:
        split = self.scenario.tables.layers[state.network] + 1
        return split, np.full_like(split, LOCAL)


def _sent_splits(scenario: Robust, state: RobustState) -> BoolArray:
    """(B, I, C) splits 1 to L, which leave a layer or more to a UAV."""
    layers = scenario.tables.layers[state.network]
    return np.arange(scenario.size_bit.shape[1]) < layers[..., None]
