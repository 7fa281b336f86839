"""Simple controllers of the maritime scenario: Qi et al., IEEE IoT J. 2025, section VI."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.maritime.coupled import solve
from sec_nodes.controllers.maritime.problem import best_start_s, slot_problem
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeState


@register_batch
class NoOffloading(BatchController[Maritime, MaritimeState, MaritimeDecision]):
    """Every UAV computes its batch alone, x = 0, and uploads as soon as that pays."""

    name = 'no_offloading'
    scenario_name = 'maritime'

    def decide(self, state: MaritimeState) -> MaritimeDecision:
        """Start the uploads by SP3; everything else is 0."""
        problem = slot_problem(self.scenario, state)
        nothing = np.zeros_like(problem.local_s)
        start_s = best_start_s(problem, problem.upload_s + problem.local_s)
        return MaritimeDecision(nothing, nothing, nothing, start_s)


@register_batch
class HalfSlot(BatchController[Maritime, MaritimeState, MaritimeDecision]):
    """ATSM: half of each slot is for urgent tasks, half for stored data, whatever there is to do.

    The rest is optimised as in `jcorm`, with all batches due at half the slot.  Where that is
    impossible they are due at its end, and the uploads begin at half the slot all the same.
    While the satellite is not in view there is no second half.
    """

    name = 'half_slot'
    scenario_name = 'maritime'

    def decide(self, state: MaritimeState) -> MaritimeDecision:
        """Solve the slot of each copy with the deadline at its half."""
        problem = slot_problem(self.scenario, state)
        begin_s = np.where(problem.reachable, 0.5 * problem.slot_s, problem.slot_s)
        halved = replace(problem, hold_s=begin_s, limit_s=begin_s)
        strict = solve(halved)
        decision = strict.decision
        if not strict.in_time.all():
            relaxed = solve(
                replace(halved, limit_s=np.full_like(begin_s, problem.slot_s))
            ).decision
            decision = MaritimeDecision(
                **{
                    field.name: np.where(
                        strict.in_time, getattr(decision, field.name), getattr(relaxed, field.name)
                    )
                    for field in fields(decision)
                }
            )
        return replace(decision, start_s=begin_s)
