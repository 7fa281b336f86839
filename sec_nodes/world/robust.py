"""The world of robust: users who walk, UAVs that fly and may fail, links that fade."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sec_nodes.config import ConfigError
from sec_nodes.inference.manifest import Manifest
from sec_nodes.loop.accelerated import AcceleratedFleet
from sec_nodes.loop.devices import Devices
from sec_nodes.loop.ledger import Task
from sec_nodes.loop.links import Receivers
from sec_nodes.physics import randomness
from sec_nodes.physics.channel import air_ground_gain, db_to_ratio, rician_fading_power
from sec_nodes.physics.energy import RotaryWing
from sec_nodes.physics.motion import MotionLimits
from sec_nodes.physics.randomness import Stream
from sec_nodes.scenarios.robust.motion import first_uavs, first_users, space, walk
from sec_nodes.scenarios.robust.offloading import RobustOffloading, link_table
from sec_nodes.scenarios.robust.settings import RobustSettings
from sec_nodes.slot import FloatArray, IntArray, LinkTable, ServerKind, task_number
from sec_nodes.world.base import Failover, Server, World

SPEED_RESERVE = 1.1
"""Speed of UAVs over the limit of set-points, so that they can catch up."""
ACCELERATION_RESERVE = 1.5
"""The same for accelerations: set-points change theirs at once, which UAVs cannot."""


class RobustWorld(World):
    """The robust scenario with the networks that it names.

    Args:
        settings: the scenario.
        manifest: where its networks are.

    Raises:
        ConfigError: the layers of its networks are the paper's, which nobody can run.
    """

    settings: RobustSettings
    scenario: RobustOffloading

    def __init__(self, settings: RobustSettings, manifest: Manifest) -> None:
        if settings.users.layers != 'models':
            raise ConfigError(
                f'scenario {settings.name}: users.layers = paper names no networks that devices '
                'and UAVs could run; fly mode `flown` or `networks`, or set it to models'
            )
        super().__init__(RobustOffloading(settings), manifest)
        failures = settings.failures
        self.failover = Failover(
            migration=failures.migration, keeps_progress=failures.progress_kept == 'checkpoint'
        )

    def require_models(self) -> None:
        """Look up how accurate the networks are; 0 where nobody has measured it.

        Raises:
            ModelError: the manifest does not know one.
        """
        entries = [self.manifest.network(name) for name in self.scenario.models.model_id]
        accuracy = [entry.accuracy.value if entry.accuracy else 0.0 for entry in entries]
        self.scenario.models = replace(self.scenario.models, accuracy=np.array(accuracy))

    @property
    def own_models(self) -> tuple[str, ...]:
        """All the networks, in turn."""
        return self.scenario.models.model_id

    def server(self, number: int) -> Server:
        """What a UAV brings along."""
        uavs, computing = self.settings.uavs, self.settings.computing
        return Server(
            kind=ServerKind.UAV,
            model_id='',
            flop_s=uavs.frequency_hz * computing.flop_per_cycle,
            compute_power_w=computing.capacitance_j_s2 * uavs.frequency_hz**3,
            transmit_power_w=uavs.transmit_power_w,
            battery_j=uavs.battery_j,
        )

    def devices(self, ids: list[int], seed: int) -> WalkingUsers:
        """Some of the users, before slot 0."""
        return WalkingUsers(self.settings, ids, seed)

    def uavs(self, ids: list[int], step_s: float, seed: int = 0) -> AcceleratedFleet:
        """Some of the UAVs, where the scenario of that seed has them at first."""
        settings, uavs = self.settings, self.settings.uavs
        start_m = first_uavs(settings, np.array([seed]), float)[0]
        planned = MotionLimits(uavs.speed_m_s, uavs.acceleration_m_s2, uavs.jerk_m_s3)
        limits = MotionLimits(
            SPEED_RESERVE * uavs.speed_m_s,
            ACCELERATION_RESERVE * uavs.acceleration_m_s2,
            uavs.jerk_m_s3,
        )
        wing = RotaryWing(**uavs.propulsion.model_dump())
        return AcceleratedFleet(
            start_m, limits, planned, ids, step_s, wing, settings.slot_s, space(settings)
        )

    def links(
        self,
        seed: int,
        slot: int,
        device_id: IntArray,
        device_m: FloatArray,
        receivers: Receivers,
    ) -> LinkTable:
        """Links of a slot, (14): users are heard everywhere; fading is drawn for the slot."""
        settings, radio = self.settings, self.settings.radio
        uavs = receivers.receiver
        offset_m = device_m[:, None] - receivers.position_m[None]
        normals = randomness.normal(
            seed, Stream.FADING_AIR, randomness.pair(device_id[:, None], uavs), slot, 2
        )
        gain = air_ground_gain(
            np.linalg.norm(offset_m, axis=-1),
            float(db_to_ratio(radio.uplink_gain_db)),
            radio.path_loss_exponent,
            rician_fading_power(radio.rician_factor, normals),
        )
        return link_table(settings, gain, np.ones(gain.shape, dtype=bool))


class WalkingUsers(Devices):
    """Users of one process; each makes a task in every slot, due by its end.

    All users of the run are moved, so that how they are spread over processes changes nothing.

    Args:
        settings: the scenario.
        ids: their numbers, ascending.
        seed: seed of the run.
    """

    def __init__(self, settings: RobustSettings, ids: list[int], seed: int) -> None:
        speed_flop_s = settings.users.frequency_hz * settings.computing.flop_per_cycle
        super().__init__(ids, np.full(len(ids), speed_flop_s))
        self._settings, self._seed = settings, np.array([seed])
        self._walkers = first_users(settings, self._seed, float)

    @property
    def position_m(self) -> FloatArray:
        """(D, 3) positions [m; map]; users are on the ground."""
        return self._on_ground(self._walkers.position_m)

    @property
    def velocity_m_s(self) -> FloatArray:
        """(D, 3) velocities [m/s; map]."""
        heading_rad = self._walkers.heading_rad
        direction = np.stack([np.cos(heading_rad), np.sin(heading_rad)], axis=-1)
        return self._on_ground(self._walkers.speed_m_s[..., None] * direction)

    def open_slot(self, slot: int, new_tasks: bool = True) -> list[Task]:
        """Move to the start of a slot and return the tasks created there, in device order."""
        while self.slot < slot:
            if self.slot >= 0:
                self._walkers = walk(
                    self._settings, self._seed, np.array([self.slot]), self._walkers
                )
            self.slot += 1
        if not new_tasks:
            return []
        return [
            Task(
                task_id=int(task_number(device, slot)),
                device_id=int(device),
                slot=slot,
                created_s=slot * self._settings.slot_s,
                deadline_s=self._settings.slot_s,
                accuracy=0.0,
                answer_bit=0.0,
            )
            for device in self.ids
        ]

    def _on_ground(self, east_north: FloatArray) -> FloatArray:
        rows = east_north[0, self.ids]
        return np.column_stack([rows, np.zeros(len(rows))])
