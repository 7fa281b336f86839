"""The world of mllm: the scenario's own requests, fading and satellites; UAVs really fly."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from sec_nodes.config import ConfigError
from sec_nodes.inference.manifest import Manifest
from sec_nodes.inference.pictures import Picture
from sec_nodes.inference.questions import FolderQuestions, kinds_of_length, sea_question
from sec_nodes.loop.ledger import Task
from sec_nodes.loop.links import Receivers
from sec_nodes.loop.satellites import SatelliteView
from sec_nodes.loop.uavs import UavFleet
from sec_nodes.physics import spherical
from sec_nodes.physics.motion import MotionLimits
from sec_nodes.physics.visibility import VisibilityWindows
from sec_nodes.scenarios.mllm.offloading import MllmOffloading
from sec_nodes.scenarios.mllm.orbit import Chain, chain_motion
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.mllm.world import World as Draws
from sec_nodes.slot import (
    TASKS_PER_DEVICE,
    FloatArray,
    IntArray,
    LinkTable,
    ServerKind,
    task_number,
)
from sec_nodes.world.base import Server, Sight, StillDevices, World, manifest_id

SPEED_M_S = 20.0
"""Of UAVs where the mode sets no limit: that of mode extended. They cannot fly without one."""
ACCELERATION_M_S2, JERK_M_S3 = 5.0, 20.0
"""Of UAVs; mllm has none, these are those of config/scenarios/survey.yaml."""
HORIZON_S = 2 * 3600.0
"""How far passes are computed ahead [s]."""


class MllmWorld(World):
    """The mllm scenario with the models that it names, if it does.

    Args:
        settings: the scenario, complete as `read_settings` gives it.
        manifest: where its models are.
    """

    settings: MllmSettings
    scenario: MllmOffloading

    def __init__(self, settings: MllmSettings, manifest: Manifest) -> None:
        scenario = MllmOffloading(settings)
        super().__init__(scenario, manifest)
        self._draws = Draws(settings)

    def require_models(self) -> None:
        """Check that the mode is not one without models, as the paper's, and that they are here.

        Raises:
            ConfigError: the scenario names none.
            ModelError: the manifest does not know one.
        """
        if self.settings.uavs.models is None:
            raise ConfigError(
                'scenario mllm names no models that could answer; fly mode measured '
                '(`--scenario mllm:measured`), or set uavs.models and satellites.models'
            )
        for name in self.scenario.models.model_id:
            self.manifest.mllm(manifest_id(name))

    def server(self, number: int) -> Server:
        """What a server brings along."""
        uavs, satellites = self.settings.uavs, self.settings.satellites
        is_uav = number < uavs.count
        tier = uavs if is_uav else satellites
        return Server(
            kind=ServerKind.UAV if is_uav else ServerKind.SATELLITE,
            model_id=self.scenario.models.model_id[self.scenario.server_model[number]],
            flop_s=tier.flop_s,
            compute_power_w=tier.pace[number - (0 if is_uav else uavs.count)].power_w,
            transmit_power_w=tier.transmit_power_w,
        )

    def devices(self, ids: list[int], seed: int) -> MllmDevices:
        """Some of the devices, before slot 0."""
        return MllmDevices(self.settings, self._draws, ids, seed)

    def sights(self, images: str, seed: int) -> Callable[[Task], Sight]:
        """Questions about rendered scenes, longer ones for longer answers; or about a folder."""
        levels = sorted(set(self.settings.tasks.words))
        own = FolderQuestions(images, self._picture_size()) if images else None

        def sight(task: Task) -> Sight:
            place = (seed, task.device_id, task.slot, task.task_id % TASKS_PER_DEVICE)
            if own is not None:
                question = own.question(*place)
                return Sight(partial(own.picture, question), question.prompt)
            kinds = kinds_of_length(levels.index(int(task.steps)), len(levels))
            posed = sea_question(*place, kinds)
            return Sight(
                lambda: Picture(posed.draw(), posed.answer, posed.picture),
                posed.prompt,
                posed.kind,
            )

        return sight

    def _picture_size(self) -> tuple[int, int]:
        """Rows and columns of what the model with the largest input reads."""
        names = map(manifest_id, self.scenario.models.model_id)
        sides = [self.manifest.mllm(name).image[:2] for name in names]
        return max(rows for rows, _ in sides), max(columns for _, columns in sides)

    def uavs(self, ids: list[int], step_s: float, seed: int = 0) -> UavFleet:
        """Some of the UAVs at their start."""
        uavs = self.settings.uavs
        start_m = np.array(
            [(*place, up) for place, up in zip(uavs.start_m, uavs.altitude_m, strict=True)]
        )
        limits = MotionLimits(uavs.speed_m_s or SPEED_M_S, ACCELERATION_M_S2, JERK_M_S3)
        return UavFleet(start_m, limits, ids, step_s)

    def sky(self, seed: int) -> ChainSky:
        """The chain of satellites; the seed says where it begins."""
        return ChainSky(self.settings, float(self._draws.phase(np.array([seed]))[0]))

    def links(
        self,
        seed: int,
        slot: int,
        device_id: IntArray,
        device_m: FloatArray,
        receivers: Receivers,
    ) -> LinkTable:
        """Gains, rates, delays and losses of a slot.

        Raises:
            ValueError: not the servers of the scenario, or receivers that it does not have.
        """
        settings, m = self.settings, self.settings.uavs.count
        if len(receivers.kind) != settings.n_servers:
            raise ValueError(
                f'{len(receivers.kind)} servers, but the scenario has {settings.n_servers}'
            )
        if not np.all((receivers.receiver >= 0) & (receivers.receiver < settings.n_servers)):
            raise ValueError(f'receivers {receivers.receiver} are not all servers')
        offset_m = receivers.position_m[None, :m] - device_m[:, None]
        centre_m = np.array([*(0.5 * side for side in settings.area_m), 0.0])
        slant_m = np.linalg.norm(receivers.position_m[m:] - centre_m, axis=1)
        drawn = self._draws.requests(np.array([seed]), np.array([slot]))
        fading_uav = drawn.fading_uav[0][device_id]
        fading_satellite = drawn.fading_satellite[0][device_id][:, receivers.receiver[m:] - m]
        radio, in_view = self.scenario.links, receivers.in_view[m:]
        space = radio.satellite_path(slant_m) * fading_satellite
        air = radio.uav_path(np.linalg.norm(offset_m, axis=2)) * fading_uav
        reach_m = settings.uavs.coverage_m + 1e-9
        return self.scenario.link_table(
            gain=np.concatenate([air, np.where(in_view, space, 0.0)], axis=1),
            covered=np.linalg.norm(offset_m[..., :2], axis=2) <= reach_m,
            slant_m=slant_m,
            isl_m=receivers.isl_m[m:],
            has_access=in_view,
            receiver=receivers.receiver,
            hops=receivers.hops,
            remaining_s=receivers.remaining_s,
        )


class MllmDevices(StillDevices):
    """Devices of one process: they stay where they are, and ask as the scenario draws it.

    Args:
        settings: the scenario.
        draws: what happens whatever is decided.
        ids: identifiers of the devices, ascending.
        seed: seed of the run.
    """

    def __init__(self, settings: MllmSettings, draws: Draws, ids: list[int], seed: int) -> None:
        self._settings, self._draws, self._seed = settings, draws, np.array([seed])
        super().__init__(ids, draws.places_m(self._seed)[0][ids])

    def open_slot(self, slot: int, new_tasks: bool = True) -> list[Task]:
        """Move to the start of a slot and return the tasks created there, in device order."""
        self.slot = max(self.slot, slot)
        if not new_tasks:
            return []
        asked = self._draws.requests(self._seed, np.array([slot]))
        return [
            Task(
                task_id=int(task_number(device, slot)),
                device_id=int(device),
                slot=slot,
                created_s=slot * self._settings.slot_s,
                deadline_s=float(asked.deadline_s[0, device]),
                accuracy=float(asked.accuracy[0, device]),
                answer_bit=float(
                    self._settings.tasks.answer_bit_per_word * asked.words[0, device]
                ),
                input_bit=float(asked.size_bit[0, device]),
                steps=float(asked.words[0, device]),
            )
            for device in self.ids
            if asked.active[0, device]
        ]


class ChainSky:
    """The chain of satellites that passes the area.

    Args:
        settings: the scenario.
        phase: in [0, 1), where in the window the first satellite begins.
    """

    def __init__(self, settings: MllmSettings, phase: float) -> None:
        satellites = settings.satellites
        self._settings, self._chain = settings, Chain(satellites)
        # slot by slot as the simulation goes, so that both round alike
        self._angles = [self._chain.start(np.array([phase]))]
        self.mask_rad = math.radians(satellites.minimum_elevation_deg)
        self.labels = tuple(f'satellite {number}' for number in range(satellites.count))
        self.windows = self._passes(HORIZON_S)

    def at(self, time_s: float) -> SatelliteView:
        """The satellites at an instant [s; simulation time]."""
        settings = self._settings
        slot = max(0, math.floor(time_s / settings.slot_s + 1e-9))
        while len(self._angles) <= slot:
            self._angles.append(self._chain.after(self._angles[-1], settings.slot_s))
        later_s = time_s - slot * settings.slot_s
        angle = self._angles[slot]
        angle = self._chain.after(angle, later_s) if later_s > 1e-9 else angle
        orbit = self._chain.orbit(angle)
        position_m, velocity_m_s = chain_motion(settings, angle[0])
        access = np.maximum(orbit.access[0], 0)
        return SatelliteView(
            satellite=np.arange(settings.satellites.count),
            position_m=position_m,
            velocity_m_s=velocity_m_s,
            access=access,
            access_position_m=position_m[access],
            in_view=orbit.has_access[0],
            hops=orbit.hops[0],
            isl_m=orbit.isl_m[0],
            remaining_s=orbit.access_remaining_s[0],
        )

    def passes(self, start_s: float, end_s: float) -> IntArray:
        """Rows of `windows` that lie at least partly in a span [s], in the order of rise."""
        if end_s > self.windows.set_s.max(initial=0.0):
            self.windows = self._passes(2 * end_s)
        rows = np.flatnonzero((self.windows.rise_s < end_s) & (self.windows.set_s > start_s))
        return rows[np.argsort(self.windows.rise_s[rows], kind='stable')]

    def _passes(self, until_s: float) -> VisibilityWindows:
        """Each satellite number passes once a window of the chain, from horizon to horizon."""
        satellites = self._settings.satellites
        rate_rad_s, period_rad = self._chain.rate_rad_s, satellites.window_rad
        cross_rad = np.radians(satellites.cross_track_deg)
        reach_rad = float(spherical.footprint_half_angle_rad(satellites.altitude_m, self.mask_rad))
        half_rad = np.arccos(np.clip(np.cos(reach_rad) / np.cos(cross_rad), -1.0, 1.0))
        # a satellite that leaves the window hands its number on
        half_rad = np.minimum(half_rad, 0.5 * period_rad)
        zenith_s = -self._angles[0][0] / rate_rad_s
        turn = np.arange(-1, math.ceil(until_s * rate_rad_s / period_rad) + 2)[:, None]
        middle_s = zenith_s + turn * period_rad / rate_rad_s
        rise_s, set_s = middle_s - half_rad / rate_rad_s, middle_s + half_rad / rate_rad_s
        rows = (half_rad > 0) & (set_s > 0.0) & (rise_s < until_s)
        peak_rad = spherical.elevation_rad(
            satellites.altitude_m, spherical.central_angle_rad(0.0, cross_rad)
        )
        number = np.arange(satellites.count)
        spread = np.broadcast_arrays(number, peak_rad, middle_s)
        whole = np.zeros(int(rows.sum()), dtype=np.bool_)
        return VisibilityWindows(
            satellite=spread[0][rows],
            rise_s=rise_s[rows],
            set_s=set_s[rows],
            peak_elevation_rad=spread[1][rows],
            rise_clipped=whole,
            set_clipped=whole,
        )
