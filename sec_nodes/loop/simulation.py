"""A world without ROS: what a lockstep run of the nodes comes to, task by task.

Fleets, links, queues and stages are those that the nodes use. Payloads are never lost here, and no
server fails: resending and repairing are the coordinator's business.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sec_nodes.loop.ledger import Task
from sec_nodes.loop.links import Receivers
from sec_nodes.scenarios.base import Scenario, SlotSummary
from sec_nodes.slot import (
    DECLINED,
    DeviceTable,
    FloatArray,
    IntArray,
    ServerTable,
    SlotDecision,
    SlotOutcome,
    SlotState,
    TaskTable,
)
from sec_nodes.world.base import Sky, World

CONTROL_STEP_S = 1 / 50
"""Control period of the autopilots, as that of the uav node."""
HORIZON = 100
"""Slots of an episode: the mllm paper's, which the survey has its radio from as well."""


@dataclass(frozen=True)
class FlownState:
    """B copies of a world at the start of a slot."""

    slots: tuple[SlotState, ...]
    """What a controller sees, copy by copy."""
    fields: tuple[Field, ...]
    """What it does not see."""


@dataclass(frozen=True)
class FlownOutcome:
    """What the decisions came to, copy by copy."""

    outcomes: tuple[SlotOutcome, ...]
    """Latencies and energies; infinite and 0 for tasks that nobody serves."""
    violations: tuple[IntArray, ...]
    """(K,) flags each; a task whose decision breaks a constraint is not served."""
    declined: tuple[int, ...]
    """Tasks that the controller gave up."""


class Field:
    """Devices, UAVs and satellites of one copy, and how busy they are.

    Args:
        world: the system.
        sky: its satellites.
        seed: seed of this copy.
    """

    def __init__(self, world: World, sky: Sky, seed: int) -> None:
        settings = world.settings
        self._world, self._scenario, self._sky, self._seed = world, world.scenario, sky, seed
        self.devices = world.devices(list(range(settings.n_devices)), seed)
        self.uavs = world.uavs(list(range(settings.uavs.count)), CONTROL_STEP_S, seed)
        self.free_s = np.zeros(settings.n_servers)
        """(S,) when each server has finished its queue [s]."""
        self._servers = [world.server(number) for number in range(settings.n_servers)]

    def __deepcopy__(self, memo: dict[int, object]) -> Field:
        """A field that goes its own way from here; world and orbits stay shared."""
        shared = (self._world, self._scenario, self._scenario.settings, self._sky)
        memo.update({id(part): part for part in shared})
        twin = object.__new__(Field)
        twin.__dict__ = copy.deepcopy(self.__dict__, memo)
        return twin

    def open_slot(self, number: int) -> SlotState:
        """Move to the start of a slot, create its tasks and look around."""
        now_s = number * self._scenario.settings.slot_s
        tasks = self.devices.open_slot(number)
        while self.uavs.due(now_s):
            self.uavs.step()
        settings, devices = self._scenario.settings, self.devices
        receivers, servers = self._look_around(now_s)
        row_of = self._scenario.models.model_id.index
        return SlotState(
            slot=number,
            time_s=now_s,
            slot_s=settings.slot_s,
            tasks=_task_table(tasks, now_s),
            devices=DeviceTable(
                devices.ids,
                devices.position_m,
                devices.velocity_m_s,
                devices.flop_s,
                devices.backlog_s(now_s),
                np.full(len(devices.ids), row_of(self._world.device_model)),
            ),
            servers=servers,
            models=self._scenario.models,
            links=self._world.links(
                self._seed, number, devices.ids, devices.position_m, receivers
            ),
        )

    def carry_out(
        self, state: SlotState, decision: SlotDecision
    ) -> tuple[SlotOutcome, IntArray, int]:
        """Fly towards the goals and occupy computers; returns outcome, flags and declined."""
        violation = self._scenario.violations(state, decision)
        served = np.flatnonzero((violation == 0) & (decision.server != DECLINED))
        parts = self._scenario.evaluate(state.only(served), decision.only(served))
        self.uavs.goal_m = decision.uav_goal_m
        self._occupy(state.only(served), decision.only(served), parts)
        whole = {}
        for name in SlotOutcome.__dataclass_fields__:
            unserved = np.inf if name == 'front_s' else 0.0
            whole[name] = np.full(state.n_tasks, unserved)
            whole[name][served] = getattr(parts, name)
        return SlotOutcome(**whole), violation, int((decision.server == DECLINED).sum())

    def _occupy(self, state: SlotState, decision: SlotDecision, outcome: SlotOutcome) -> None:
        """Let queues reach into the next slot; what is refused occupies nobody."""
        front_end_s = state.time_s + outcome.front_s
        back_end_s = front_end_s + outcome.upload_s + outcome.wait_s + outcome.back_s
        np.maximum.at(self.devices.free_s, state.tasks.device, front_end_s)
        sent = (decision.server >= 0) & np.isfinite(back_end_s)
        if not self._scenario.queue.enabled:
            return
        np.maximum.at(self.free_s, decision.server[sent], back_end_s[sent])

    def _look_around(self, now_s: float) -> tuple[Receivers, ServerTable]:
        """Where servers and their receivers are, and what they can do."""
        settings, view, motion = self._scenario.settings, self._sky.at(now_s), self.uavs.motion
        own = np.arange(settings.uavs.count)
        row_of = self._scenario.models.model_id.index
        kind = self._of_servers('kind').astype(np.int64)
        transmit_power_w = self._of_servers('transmit_power_w')
        receivers = Receivers(
            kind=kind,
            receiver=np.concatenate([own, len(own) + view.access]),
            position_m=np.vstack([motion.position_m, view.access_position_m]),
            in_view=np.concatenate([np.ones(len(own), dtype=bool), view.in_view]),
            hops=np.concatenate([np.zeros_like(own), view.hops]),
            isl_m=np.concatenate([np.zeros(len(own)), view.isl_m]),
            remaining_s=np.concatenate([np.full(len(own), np.inf), view.remaining_s]),
            transmit_power_w=transmit_power_w,
        )
        servers = ServerTable(
            kind=kind,
            alive=np.ones(len(kind), dtype=bool),
            position_m=np.vstack([motion.position_m, view.position_m]),
            velocity_m_s=np.vstack([motion.velocity_m_s, view.velocity_m_s]),
            model=np.array([row_of(server.model_id) for server in self._servers], dtype=np.int64),
            flop_s=self._of_servers('flop_s'),
            compute_power_w=self._of_servers('compute_power_w'),
            transmit_power_w=transmit_power_w,
            backlog_s=np.maximum(0.0, self.free_s - now_s),
            energy_left_j=np.full(len(kind), np.inf),
        )
        return receivers, servers

    def _of_servers(self, name: str) -> FloatArray:
        return np.array([getattr(server, name) for server in self._servers], dtype=float)


class FlownSystem(Scenario[FlownState, tuple[SlotDecision, ...], FlownOutcome]):
    """A world as a scenario that can be simulated.

    Args:
        world: costs and constraints, with the tables of the models.
    """

    reference = 'greedy'

    def __init__(self, world: World) -> None:
        self.world = world
        self.settings = world.settings
        self.name = world.settings.name  # type: ignore[misc]

    @property
    def horizon(self) -> int:
        """Slots of an episode."""
        return HORIZON

    def reset(self, seed: IntArray) -> FlownState:
        """Begin an episode in each copy."""
        fields = tuple(
            Field(self.world, self.world.sky(int(number)), int(number)) for number in seed
        )
        return FlownState(tuple(field.open_slot(0) for field in fields), fields)

    def evaluate(self, state: FlownState, decision: tuple[SlotDecision, ...]) -> FlownOutcome:
        """Latencies, energies and violated constraints."""
        return self._carry_out(copy.deepcopy(state.fields), state, decision)

    def step(
        self, state: FlownState, decision: tuple[SlotDecision, ...]
    ) -> tuple[FlownState, FlownOutcome]:
        """Carry a slot out and open the next one."""
        fields = copy.deepcopy(state.fields)
        outcome = self._carry_out(fields, state, decision)
        following = tuple(
            field.open_slot(before.slot + 1)
            for field, before in zip(fields, state.slots, strict=True)
        )
        return FlownState(following, fields), outcome

    def summarise(self, state: FlownState, outcome: FlownOutcome) -> SlotSummary:
        """Mean cost (31) and latency of the tasks that were served, and how many were."""
        parts = zip(
            state.slots, outcome.outcomes, outcome.violations, outcome.declined, strict=True
        )
        rows = [self._summary(*part) for part in parts]
        columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        extra = {'declined': columns.pop('declined')}
        return SlotSummary(**columns, extra=extra)

    def _carry_out(
        self,
        fields: tuple[Field, ...],
        state: FlownState,
        decision: tuple[SlotDecision, ...],
    ) -> FlownOutcome:
        parts = [
            field.carry_out(slot, answer)
            for field, slot, answer in zip(fields, state.slots, decision, strict=True)
        ]
        outcomes, violations, declined = zip(*parts, strict=True)
        return FlownOutcome(outcomes, violations, declined)

    def _summary(
        self, state: SlotState, outcome: SlotOutcome, violation: IntArray, declined: int
    ) -> Mapping[str, float]:
        latency_s, energy_j = outcome.latency_s, outcome.energy_j
        served = np.isfinite(latency_s)
        some = bool(served.any())
        cost = self.world.scenario.cost(latency_s[served], energy_j[served])
        return {
            'cost': float(cost.mean()) if some else np.nan,
            'latency_s': float(latency_s[served].mean()) if some else np.nan,
            'energy_j': float(energy_j[served].sum()),
            'tasks': state.n_tasks,
            'completed': int((latency_s <= state.tasks.deadline_s).sum()),
            'violations': int(np.count_nonzero(violation)),
            'declined': declined,
        }


def _task_table(tasks: list[Task], now_s: float) -> TaskTable:
    return TaskTable(
        task_id=np.array([task.task_id for task in tasks], dtype=np.int64),
        device=np.array([task.device_id for task in tasks], dtype=np.int64),
        created_s=np.full(len(tasks), now_s),
        deadline_s=np.array([task.deadline_s for task in tasks]),
        accuracy=np.array([task.accuracy for task in tasks]),
        input_bit=np.array([task.input_bit for task in tasks]),
        steps=np.array([task.steps for task in tasks]),
        answer_bit=np.array([task.answer_bit for task in tasks]),
        attempt=np.zeros(len(tasks), dtype=np.int64),
    )
