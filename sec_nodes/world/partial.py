"""The world of partial: terminals that wait for UAVs, UAVs that follow a plan, links that fade."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sec_nodes.config import ConfigError
from sec_nodes.inference.manifest import Manifest
from sec_nodes.loop.ledger import Task
from sec_nodes.loop.links import Receivers
from sec_nodes.loop.tracking import MissionFleet
from sec_nodes.physics.motion import MotionLimits
from sec_nodes.scenarios.partial.instance import PartialState
from sec_nodes.scenarios.partial.offloading import PartialOffloading
from sec_nodes.scenarios.partial.settings import PartialSettings
from sec_nodes.slot import FloatArray, IntArray, LinkTable, ServerKind, task_number
from sec_nodes.world.base import Missions, Server, StillDevices, World

ACCELERATION_RESERVE = 2.5
"""Acceleration of UAVs over the limit that plans keep, so that they can catch up."""
FREE_ACCELERATION_M_S2 = 5.0
"""Acceleration of UAVs where plans keep no limit, as in config/scenarios/survey.yaml."""
JERK_M_S3 = 20.0
"""As in config/scenarios/survey.yaml."""
PLANNING_S = 120.0
"""Wall time that the first plan may take [s]: UAVs have not left yet."""
REPLANNING_S = 10.0
"""Wall time that a later plan may take [s]: UAVs follow the one in force."""


class PartialWorld(World):
    """The partial scenario with the networks that it names.

    Args:
        settings: the scenario.
        manifest: where its networks are.

    Raises:
        ConfigError: the scenario names no networks, or its instance cannot be used.
    """

    fallback = 'ellipse'
    settings: PartialSettings
    scenario: PartialOffloading

    def __init__(self, settings: PartialSettings, manifest: Manifest) -> None:
        try:
            scenario = PartialOffloading(settings)
        except ValueError as error:
            raise ConfigError(f'scenario {settings.name}: {error}') from None
        super().__init__(scenario, manifest)
        self.missions = Missions(planning_s=PLANNING_S, replanning_s=REPLANNING_S)

    def require_models(self) -> None:
        """Look up how accurate the networks are.

        Raises:
            ModelError: it does not know one.
        """
        entries = [self.manifest.classifier(name) for name in self.scenario.models.model_id]
        accuracy = np.array([entry.accuracy.value for entry in entries])
        self.scenario.models = replace(self.scenario.models, accuracy=accuracy)

    @property
    def own_models(self) -> tuple[str, ...]:
        """All the networks, in turn."""
        return self.scenario.models.model_id

    def server(self, number: int) -> Server:
        """What a UAV brings along; its speed in cycles per second."""
        uavs = self.settings.uavs
        power_w = uavs.capacitance_j_s2 * uavs.cpu_hz**3
        return Server(ServerKind.UAV, '', uavs.cpu_hz, power_w, 0.0)

    def devices(self, ids: list[int], seed: int) -> Terminals:
        """Some of the terminals, before the mission."""
        return Terminals(self.settings.slot_s, ids, self._instance(seed))

    def uavs(self, ids: list[int], step_s: float, seed: int = 0) -> MissionFleet:
        """Some of the UAVs, hovering above the depot, each in its layer."""
        uavs = self.settings.uavs
        depot_m = self._instance(seed).depot_m[0]
        start_m = np.column_stack([np.tile(depot_m, (uavs.count, 1)), self.settings.altitudes_m])
        limit_m_s2 = (
            FREE_ACCELERATION_M_S2
            if uavs.acceleration_m_s2 is None
            else ACCELERATION_RESERVE * uavs.acceleration_m_s2
        )
        limits = MotionLimits(uavs.speed_m_s, limit_m_s2, JERK_M_S3)
        return MissionFleet(start_m, limits, ids, step_s, self.settings.wing)

    def links(
        self,
        seed: int,
        slot: int,
        device_id: IntArray,
        device_m: FloatArray,
        receivers: Receivers,
    ) -> LinkTable:
        """Links of a slot: those of the model, and the shadows that have fallen by its start."""
        offset_m = device_m[:, None, :2] - receivers.position_m[None, :, :2]
        loss_db = np.zeros(len(device_id))
        for shadow in self.settings.radio.shadows:
            if slot * self.settings.slot_s >= shadow.from_s:
                loss_db[device_id == shadow.terminal] += shadow.loss_db
        return self.scenario.link_table(
            np.hypot(offset_m[..., 0], offset_m[..., 1]), receivers.position_m[:, 2], loss_db
        )

    def _instance(self, seed: int) -> PartialState:
        return self.scenario.physical.reset(np.array([seed]))


class Terminals(StillDevices):
    """Terminals of one process; each has one task, which it makes when the mission begins.

    Args:
        slot_s: length of a slot.
        ids: their numbers, ascending.
        instance: all terminals and their tasks, in one copy.
    """

    def __init__(self, slot_s: float, ids: list[int], instance: PartialState) -> None:
        rows = np.array(ids, dtype=np.int64)
        super().__init__(ids, instance.terminal_m[0, rows])
        self.flop_s = instance.local_hz[0, rows]
        self._slot_s = slot_s
        self._deadline_s = instance.deadline_s[0, rows]
        self._work_cycle_per_bit = instance.work_cycle_per_bit[0, rows]

    def open_slot(self, slot: int, new_tasks: bool = True) -> list[Task]:
        """Move to the start of a slot and return the tasks created there, in device order."""
        first = self.slot < 0
        self.slot = max(self.slot, slot)
        if slot > 0 or not (first and new_tasks):
            return []
        return [
            Task(
                task_id=int(task_number(device, slot)),
                device_id=int(device),
                slot=slot,
                created_s=slot * self._slot_s,
                deadline_s=float(self._deadline_s[row]),
                accuracy=0.0,
                answer_bit=0.0,
                steps=float(self._work_cycle_per_bit[row]),
            )
            for row, device in enumerate(self.ids)
        ]
