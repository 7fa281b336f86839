"""The controllers of maritime for single slots, as the ROS nodes have them.

They decide what the UAVs pass on to the satellite.  Tasks go to the UAV above their device, the
only one that hears it, and UAVs stay where they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from sec_nodes.controllers.base import Controller, decision, register
from sec_nodes.controllers.batch import (
    BatchController,
    batch_controller_class,
    batch_controller_names,
)
from sec_nodes.scenarios.maritime.offloading import MaritimeOffloading
from sec_nodes.scenarios.maritime.view import maritime_state, relay_plan
from sec_nodes.slot import DECLINED, SlotDecision, SlotState

SCENARIO = 'maritime'


class RelayController(Controller):
    """Asks a controller of many copies about the one copy that is flown; a subclass has it."""

    plays = SCENARIO
    of_copies: ClassVar[type[BatchController[Any, Any, Any]]]

    def __init__(self, scenario: MaritimeOffloading, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        self._physical = scenario.physical
        self._controller = self.of_copies(scenario.physical, seed)

    def decide(self, state: SlotState) -> SlotDecision:
        """Decide what each UAV passes on."""
        plan = self._controller.decide(maritime_state(self._physical, state, self.seed))
        reachable = state.links.reachable[state.tasks.device]
        heard = reachable.any(axis=1)
        least_w, _ = self.scenario.transmit_power_w
        tasks = decision(
            state,
            np.where(heard, reachable.argmax(axis=1), DECLINED),
            uav_goal_m=state.servers.position_m[: state.n_uavs],
            power_w=np.full(state.n_tasks, least_w),
        )
        return replace(tasks, relays=relay_plan(plan))


def _single_slots(name: str) -> type[RelayController]:
    of_copies = batch_controller_class(SCENARIO, name)
    members = {'name': name, 'of_copies': of_copies, '__doc__': of_copies.__doc__}
    return type(f'{of_copies.__name__}Slot', (RelayController,), members)


for _name in batch_controller_names(SCENARIO):
    register(_single_slots(_name))
