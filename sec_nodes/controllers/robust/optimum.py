"""The least energy of a slot of the robust scenario, with a proof.

Over association, splits, frequencies and powers, for the UAVs known to live, where they are: first
as many tasks as possible are completed, since dropping work always saves energy; then

    sum (e_loc + e_tr) + w2 sum e_off

of Meng and Li, (27), is smallest subject to (28i), (28j) and (28k). Frequencies and powers are
those of the rule `joint`; under another rule of allocation the decision is a good one, no optimum.

Where the UAVs go is no part of the slot's optimum: they brake and hover. Nor are failures, which
nobody can foresee: see `robust_targets` for where tasks move then.
"""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.robust.solution import Solution, solve
from sec_nodes.controllers.robust.targets import preferences
from sec_nodes.physics import energy
from sec_nodes.physics.checks import FloatArray
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.state import RobustDecision, RobustState
from sec_nodes.slot import IntArray


@register_batch
class RobustOptimum(BatchController[Robust, RobustState, RobustDecision]):
    """As many tasks as possible, then the least energy of the slot."""

    name = 'optimum'
    scenario_name = 'robust'

    def __init__(self, scenario: Robust, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        self._solved: tuple[RobustState, Solution] | None = None

    def decide(self, state: RobustState) -> RobustDecision:
        """Answer one slot of every copy."""
        solution = self._solution(state)
        return RobustDecision(
            split=solution.split,
            server=solution.server,
            preference=preferences(self.scenario, state, solution.split, solution.server),
            acceleration_m_s2=-state.uav_velocity_m_s / self.scenario.settings.slot_s,
        )

    def _solution(self, state: RobustState) -> Solution:
        """The optimum; remembered, since a decision and its bound ask for the same."""
        if self._solved is None or self._solved[0] is not state:
            self._solved = state, solve(self.scenario, state)
        return self._solved[1]

    def bound(self, state: RobustState) -> FloatArray:
        """(B,) e_tot that nobody can beat who completes as many tasks as possible [J].

        A decision that drops tasks may well spend less. NaN where a UAV fails in the slot: what
        its tasks would have cost is then partly not spent.
        """
        settings = self.scenario.settings
        speed_m_s = np.linalg.norm(state.uav_velocity_m_s, axis=-1)
        wing = energy.RotaryWing(**settings.uavs.propulsion.model_dump())
        flight_j = settings.slot_s * energy.propulsion_power_w(speed_m_s, wing)
        flight_j = np.where(state.alive, flight_j, 0.0).sum(axis=1)
        bound_j = self._solution(state).bound_j + settings.objective.flight_weight * flight_j
        fails = state.alive & (state.slot[:, None] >= state.failure_slot)
        return np.where(fails.any(axis=1), np.nan, bound_j)


def best_association(scenario: Robust, state: RobustState, split: IntArray) -> IntArray:
    """(B, I) UAVs that complete most tasks, and those at least energy, for splits (B, I).

    `LOCAL` for tasks that stay with their users and for those that cannot be completed. Exact
    under the rule `joint`.
    """
    return solve(scenario, state, split).server
