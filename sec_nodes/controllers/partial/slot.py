"""The controllers of partial for single slots, as the ROS nodes have them.

They plan the whole mission in its first slot and leave the plan alone from then on, unless there
is a reason to plan anew: a link that is worse than the plan reckons with, a UAV that is off its
path, or a task that must be sent again. A new plan begins where the plan in force will have UAVs
at the end of the slot, so that they never jump.
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
from sec_nodes.physics.energy import propulsion_power_w
from sec_nodes.scenarios.partial.instance import UNSERVED
from sec_nodes.scenarios.partial.offloading import PartialOffloading
from sec_nodes.scenarios.partial.scenario import PartialDecision
from sec_nodes.scenarios.partial.view import (
    Mission,
    measured_loss_db,
    mission_of,
    one_slot_ahead,
    plan_of,
    reserved_hz,
)
from sec_nodes.slot import (
    DECLINED,
    FloatArray,
    IntArray,
    MissionPlan,
    SlotDecision,
    SlotState,
)

SCENARIO = 'partial'
REPLANNERS = frozenset({'sca_bcd'})
"""Controllers that can plan what is left of a mission; others leave their plan as it is."""
WORSE_DB = 0.5
"""Loss of a link beyond what the plan reckons with that is a reason to plan anew."""
OFF_PATH_M = 25.0
"""Distance of a UAV from its path that is a reason to plan anew."""


class MissionController(Controller):
    """Asks a controller of many copies about the one mission that is flown; a subclass has it."""

    plays = SCENARIO
    of_copies: ClassVar[type[BatchController[Any, Any, Any]]]

    def __init__(self, scenario: PartialOffloading, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        self._offloading = scenario

    def decide(self, state: SlotState) -> SlotDecision:
        """Plan if there is a reason to, else answer what is asked within the plan in force."""
        reason = reason_to_plan(self._offloading, state)
        plannable = state.slot + 1 < self._offloading.settings.slots
        if reason and plannable and (state.mission is None or self.name in REPLANNERS):
            return self._plan(state, reason)
        return self._keep(state)

    def _plan(self, state: SlotState, reason: str) -> SlotDecision:
        """A plan from the start of the next slot on; of this one if UAVs follow none."""
        at_once = state.mission is None or off_path_m(state).max(initial=0.0) > OFF_PATH_M
        begun = state if at_once else one_slot_ahead(self._offloading, state)
        loss_db = measured_loss_db(self._offloading, state)
        mission = mission_of(self._offloading, begun, self.seed, loss_db)
        controller = self.of_copies(mission.scenario, self.seed)
        chosen = best_effort(mission, controller.decide(mission.state))
        bound_j = controller.bound(mission.state)
        plan = plan_of(
            self._offloading,
            begun,
            mission,
            chosen,
            float(bound_j[0]) if bound_j is not None else np.nan,
            reason + not_served(mission, chosen),
        )
        if not at_once:
            plan = after_this_slot(self._offloading, state, plan)
        answered = slice(0, state.n_tasks)
        return replace(
            self._tasks(
                state,
                server=plan.server[answered],
                split=plan.split[answered],
                cpu_hz=plan.cpu_hz[answered],
                goal_m=plan.waypoint_m[:, 1],
            ),
            mission=plan,
        )

    def _keep(self, state: SlotState) -> SlotDecision:
        """The plan in force; tasks that wait go to the best link, and share what is free there."""
        server, cpu_hz = self._leftovers(state)
        return self._tasks(
            state,
            server=server,
            split=mission_of(self._offloading, state).state.split[0, : state.n_tasks],
            cpu_hz=cpu_hz,
            goal_m=waypoints_of(state)[:, 1],
        )

    def _leftovers(self, state: SlotState) -> tuple[IntArray, FloatArray]:
        """UAV (K,) of the best link for each waiting task, and its part (K,) of what is free."""
        settings, m = self._offloading.settings, state.n_uavs
        alive = state.servers.alive[:m]
        if not state.n_tasks or not alive.any():
            return np.full(state.n_tasks, DECLINED), np.zeros(state.n_tasks)
        gain = np.where(alive, state.links.gain[state.tasks.device, :m], -np.inf)
        server = gain.argmax(axis=1)
        taken_hz = reserved_hz(self._offloading, state)
        if state.uploads is not None:
            to_come = np.isnan(state.uploads.arrived_s)
            taken_hz = taken_hz + settings.uavs.cpu_hz * np.bincount(
                state.uploads.server[to_come],
                state.uploads.compute_share[to_come],
                minlength=m,
            )
        free_hz = np.maximum(settings.uavs.cpu_hz - taken_hz, 0.0)
        return server, (free_hz / np.maximum(np.bincount(server, minlength=m), 1))[server]

    def _tasks(
        self,
        state: SlotState,
        *,
        server: IntArray,
        split: IntArray,
        cpu_hz: FloatArray,
        goal_m: FloatArray,
    ) -> SlotDecision:
        power_w = np.full(state.n_tasks, self._offloading.transmit_power_w[1])
        made = decision(
            state,
            server,
            split=split,
            power_w=power_w,
            uav_goal_m=goal_m,
        )
        return replace(made, compute_share=cpu_hz / self._offloading.settings.uavs.cpu_hz)


def not_served(mission: Mission, chosen: PartialDecision) -> str:
    """Whom a plan leaves out, with the proofs that it must; empty if nobody."""
    left = mission.device_id[chosen.server[0] == UNSERVED]
    if not len(left):
        return ''
    named = f'; not served: devices {", ".join(map(str, left.tolist()))}'
    # proofs count tasks as the mission does
    if (mission.device_id != np.arange(len(mission.device_id))).any():
        return named
    proofs = mission.scenario.obstacles(mission.state).get(0, ('no room was found',))
    return f'{named} ({"; ".join(proofs)})'


def after_this_slot(
    scenario: PartialOffloading, state: SlotState, plan: MissionPlan
) -> MissionPlan:
    """A plan for the next slot, preceded by what the plan in force has for this one.

    Lost UAVs, which cannot follow any, are where the new plan has them begin.
    """
    leg_m = waypoints_of(state)
    lost = ~state.servers.alive[: state.n_uavs]
    here_m = np.where(lost[:, None, None], plan.waypoint_m[:, :1], leg_m[:, :1])
    speed_m_s = np.linalg.norm(leg_m[:, 1] - leg_m[:, 0], axis=1) / state.slot_s
    flown_j = state.slot_s * propulsion_power_w(speed_m_s, scenario.settings.wing)
    return replace(
        plan,
        slot=state.slot,
        waypoint_m=np.concatenate([here_m, plan.waypoint_m], axis=1),
        energy_j=plan.energy_j + np.where(lost, 0.0, flown_j),
    )


def best_effort(mission: Mission, chosen: PartialDecision) -> PartialDecision:
    """A plan that also serves tasks which no plan can finish in time, if their UAV has begun.

    They get equal parts of what the plan leaves of its processor: they will be late, not lost.
    """
    held = mission.state.held[0]
    left = (chosen.server[0] == UNSERVED) & (held != UNSERVED)
    if not left.any():
        return chosen
    server, cpu_hz = chosen.server[0].copy(), chosen.cpu_hz[0].copy()
    free_hz = mission.scenario.free_hz(mission.state)[0]
    served = server != UNSERVED
    used_hz = np.bincount(server[served], cpu_hz[served], minlength=len(free_hz))
    count = np.bincount(held[left], minlength=len(free_hz))
    part_hz = np.maximum(free_hz - used_hz, 0.0) / np.maximum(count, 1)
    server[left], cpu_hz[left] = held[left], part_hz[held[left]]
    return replace(chosen, server=server[None], cpu_hz=cpu_hz[None])


def reason_to_plan(scenario: PartialOffloading, state: SlotState) -> str:
    """Why a mission must be planned, or planned anew; empty if its plan will do."""
    plan = state.mission
    if plan is None:
        return 'mission start'
    if state.n_tasks:
        return f'{state.n_tasks} tasks must be sent again'
    off_m = off_path_m(state)
    if off_m.max(initial=0.0) > OFF_PATH_M:
        return f'UAV {off_m.argmax()} is {off_m.max():.0f} m off its path'
    mission = mission_of(scenario, state)
    return _worse_link(mission, plan)


def _worse_link(mission: Mission, plan: MissionPlan) -> str:
    """The link that has got worse most, if it has by `WORSE_DB`."""
    reckoned = dict(zip(plan.task_id.tolist(), plan.loss_db.tolist(), strict=True))
    before_db = np.array([reckoned.get(task, 0.0) for task in mission.task_id.tolist()])
    worse_db = mission.state.loss_db[0] - before_db
    if worse_db.max(initial=0.0) <= WORSE_DB:
        return ''
    device = mission.device_id[worse_db.argmax()]
    count = int((worse_db > WORSE_DB).sum())
    others = f' and {count - 1} more' if count > 1 else ''
    return f'the links of device {device}{others} are {worse_db.max():.1f} dB worse than planned'


def off_path_m(state: SlotState) -> FloatArray:
    """(M,) how far each living UAV is from where the plan in force wants it; 0 for lost ones."""
    m = state.n_uavs
    off_m = np.linalg.norm(waypoints_of(state)[:, 0] - state.servers.position_m[:m], axis=1)
    return np.where(state.servers.alive[:m], off_m, 0.0)


def waypoints_of(state: SlotState) -> FloatArray:
    """(M, 2, 3) where the plan in force wants each UAV at the start and the end of a slot."""
    if state.mission is None:
        return np.repeat(state.servers.position_m[: state.n_uavs, None], 2, axis=1)
    path_m = state.mission.waypoint_m
    since = np.minimum(state.slot - state.mission.slot + np.arange(2), path_m.shape[1] - 1)
    return path_m[:, since]


def _single_slots(name: str) -> type[MissionController]:
    of_copies = batch_controller_class(SCENARIO, name)
    members = {'name': name, 'of_copies': of_copies, '__doc__': of_copies.__doc__}
    return type(f'{of_copies.__name__}Slot', (MissionController,), members)


for _name in batch_controller_names(SCENARIO):
    register(_single_slots(_name))
