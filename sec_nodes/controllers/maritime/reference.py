"""The coupled JCORM as a controller, with a bound that no other one can beat."""

from __future__ import annotations

from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.maritime.bound import upper_bound_mbit
from sec_nodes.controllers.maritime.coupled import solve
from sec_nodes.controllers.maritime.problem import slot_problem
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeState
from sec_nodes.slot import FloatArray


@register_batch
class Jcorm(BatchController[Maritime, MaritimeState, MaritimeDecision]):
    """Joint computation offloading and resource management, slot by slot.

    Qi et al., IEEE Internet Things J. 2025, Algorithm 2, with the deadline that its sub-problems
    share priced instead of frozen: see `coupled`.
    """

    name = 'jcorm'
    scenario_name = 'maritime'

    def decide(self, state: MaritimeState) -> MaritimeDecision:
        """Solve the slot of each copy."""
        return solve(slot_problem(self.scenario, state)).decision

    def bound(self, state: MaritimeState) -> FloatArray:
        """(B,) a cost -U that no decision can beat; what it is proved for: `bound`."""
        problem = slot_problem(self.scenario, state)
        return -upper_bound_mbit(problem, solve(problem))
