"""The coordinator's part in missions: which plan is in force, and whether others can be flown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sec_nodes.controllers.base import Controller
from sec_nodes.nodes.mission_messages import plan_message
from sec_nodes.slot import SlotDecision, SlotState
from sec_nodes.world import World
from sec_offload import msg

if TYPE_CHECKING:
    from sec_nodes.scenarios.partial.offloading import PartialOffloading


class MissionDesk:
    """Keeps the plan in force.

    Args:
        scenario: limits of plans.
        fallback: plans if nobody else has.
    """

    def __init__(self, scenario: PartialOffloading, fallback: Controller) -> None:
        self._scenario, self._fallback = scenario, fallback
        self.in_force: list[msg.MissionPlan] = []
        """The plan in force, or nothing."""
        self.fault = ''
        """Why the last plan could not be flown; empty if it could, or if there was none."""

    def sound(self, state: SlotState, wanted: SlotDecision) -> SlotDecision:
        """A decision whose plan can be flown.

        A plan that cannot be is dropped, and with it the decision, in favour of the plan in
        force; where there is none, the fallback plans.
        """
        self.fault = ''
        if wanted.mission is not None:
            self.fault = self._scenario.fault_of(state, wanted.mission)
        if self.fault or (wanted.mission is None and state.mission is None):
            return self._fallback.decide(state)
        return wanted

    def take(
        self, state: SlotState, decision: SlotDecision, controller: str
    ) -> list[msg.MissionPlan]:
        """Put the plan of a decision in force, if it has one; returns the one that is."""
        if decision.mission is not None:
            name = self._fallback.name if self.fault else controller
            self.in_force = [plan_message(decision.mission, state.slot_s, name)]
        return self.in_force

    def is_uploading(self, state: SlotState, task_id: int) -> bool:
        """Whether a task had not been uploaded when a slot began."""
        uploads = state.uploads
        if uploads is None:
            return False
        arrived_s = uploads.arrived_s[uploads.task_id == task_id]
        return not (arrived_s <= state.time_s).any()


def mission_desk(world: World, fallback: Controller) -> MissionDesk | None:
    """The desk of a world whose missions are planned as a whole; None in others."""
    if world.missions is None:
        return None
    scenario: Any = world.scenario
    return MissionDesk(scenario, fallback)
