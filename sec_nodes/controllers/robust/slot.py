"""The controllers of robust for single slots, as the ROS nodes have them.

They are those of many copies, asked about one. Rules that `sec_nodes.controllers.baselines` has
for all scenarios are left to it: they send raw pictures, or draw cuts of their own.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sec_nodes.controllers.base import Controller, register
from sec_nodes.controllers.batch import (
    BatchController,
    batch_controller_class,
    batch_controller_names,
)
from sec_nodes.scenarios.robust.offloading import RobustOffloading
from sec_nodes.scenarios.robust.view import robust_state, slot_decision
from sec_nodes.slot import SlotDecision, SlotState

SCENARIO = 'robust'
GENERAL = frozenset({'local_only', 'nearest_uav', 'offload_all', 'random'})
"""Names that `sec_nodes.controllers.baselines` has."""


class SlotController(Controller):
    """Asks a controller of many copies about the one slot that is flown; a subclass has it."""

    plays = SCENARIO
    of_copies: ClassVar[type[BatchController[Any, Any, Any]]]

    def __init__(self, scenario: RobustOffloading, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        self._physical = scenario.physical
        self._controller = self.of_copies(scenario.physical, seed)

    def decide(self, state: SlotState) -> SlotDecision:
        """Answer one slot."""
        copy = robust_state(self._physical, state, self.seed)
        return slot_decision(self._physical, state, copy, self._controller.decide(copy))


def of_copies(name: str) -> type[SlotController]:
    """The controller of single slots that asks one of many copies, by its name."""
    kind = batch_controller_class(SCENARIO, name)
    members = {'name': name, 'of_copies': kind, '__doc__': kind.__doc__}
    return type(f'Slot{kind.__name__}', (SlotController,), members)


for _name in sorted(set(batch_controller_names(SCENARIO)) - GENERAL):
    register(of_copies(_name))
