"""The world of maritime: UAVs above the sea, devices that come and go, a satellite that passes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from sec_nodes.inference.manifest import Manifest
from sec_nodes.inference.pictures import Picture, picture_seed
from sec_nodes.loop.ledger import Task
from sec_nodes.loop.links import Receivers
from sec_nodes.loop.satellites import SatelliteView
from sec_nodes.loop.uavs import UavFleet
from sec_nodes.physics import channel, spherical
from sec_nodes.physics.constants import EARTH_RADIUS_M
from sec_nodes.physics.motion import MotionLimits
from sec_nodes.physics.visibility import VisibilityWindows
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.maritime.devices import draw_devices, draw_fading, draw_uavs
from sec_nodes.scenarios.maritime.offloading import MaritimeOffloading
from sec_nodes.scenarios.maritime.settings import MaritimeSettings
from sec_nodes.slot import BoolArray, FloatArray, IntArray, LinkTable, ServerKind, task_number
from sec_nodes.world.base import Server, Sight, StillDevices, World

LIMITS = MotionLimits(20.0, 5.0, 20.0)
"""Of UAVs, as in config/scenarios/survey.yaml; here they hover, and wind is none."""
_COVERED_SLACK_M = 1e-6
_TRACK_STEP_S = 1.0
FRAMES = 'frames'
"""Kind of question that a batch of frames is: what is on each?"""
SHOTS = 64
"""Different pictures that cameras see in a run: rendering one takes longer than to look at it."""


class MaritimeWorld(World):
    """The maritime scenario with the classifiers that it names.

    Args:
        settings: the scenario.
        manifest: where its models are.
    """

    fallback = 'no_offloading'
    hovers = True
    settings: MaritimeSettings
    scenario: MaritimeOffloading

    def __init__(self, settings: MaritimeSettings, manifest: Manifest) -> None:
        super().__init__(MaritimeOffloading(settings), manifest)
        self.relays: Maritime = self.scenario.physical
        self._orbit = Orbit(settings, self.relays)

    def require_models(self) -> None:
        """Check that the manifest knows the classifiers.

        Raises:
            ModelError: it does not know one.
        """
        for name in self.scenario.models.model_id:
            self.manifest.classifier(name)

    def server(self, number: int) -> Server:
        """What a server brings along; its speed in cycles per second."""
        uavs, satellite = self.settings.uavs, self.settings.satellite
        if number < uavs.count:
            return Server(
                ServerKind.UAV, self.settings.flown.uav_model, uavs.cpu_hz,
                uavs.capacitance_j_s2 * uavs.cpu_hz**3, uavs.upload_power_w,
            )  # fmt: skip
        return Server(
            ServerKind.SATELLITE, self.settings.flown.satellite_model, satellite.cpu_hz,
            satellite.capacitance_j_s2 * satellite.cpu_hz**3, 0.0,
        )  # fmt: skip

    def devices(self, ids: list[int], seed: int) -> MaritimeDevices:
        """Some of the devices, before slot 0."""
        return MaritimeDevices(self.settings, ids, seed)

    def sights(self, images: str, seed: int) -> Callable[[Task], Sight]:
        """Frames of a camera, at least one: as many as the size of the task stands for."""
        source = self.pictures(self.device_model, images)
        shot = lru_cache(SHOTS)(lambda number: source.picture(seed, 0, 0, number))

        def sight(task: Task) -> Sight:
            frames = max(1, round(task.input_bit / self.settings.flown.frame_bit))
            numbers = [
                picture_seed(seed, task.device_id, task.slot, frame) % SHOTS
                for frame in range(frames)
            ]
            return Sight(lambda: _joined([shot(number) for number in numbers]), kind=FRAMES)

        return sight

    def uavs(self, ids: list[int], step_s: float, seed: int = 0) -> UavFleet:
        """Some of the UAVs where they hover."""
        place_m = draw_uavs(self.settings, np.array([seed]))[0]
        up_m = np.full((len(place_m), 1), self.settings.uavs.altitude_m)
        return UavFleet(np.hstack([place_m, up_m]), LIMITS, ids, step_s)

    def sky(self, seed: int) -> Orbit:
        """The satellite; it passes when it does, whatever the seed."""
        return self._orbit

    def ground_in_view(self, slot: int) -> bool:
        """Whether the ground station sees the satellite during a whole slot."""
        return self._orbit.ground_in_view(slot)

    def links(
        self,
        seed: int,
        slot: int,
        device_id: IntArray,
        device_m: FloatArray,
        receivers: Receivers,
    ) -> LinkTable:
        """Gains, rates, delays and losses of a slot; a device hears no UAV but the one above."""
        settings, m = self.settings, self.settings.uavs.count
        uav, row = self.scenario.uav_of(device_id), np.arange(len(device_id))
        offset_m = receivers.position_m[uav] - device_m
        fading = draw_fading(settings, np.array([seed]), np.array([slot]))[0]
        gain = np.zeros((len(device_id), m))
        gain[row, uav] = channel.air_ground_gain(
            np.linalg.norm(offset_m, axis=1),
            channel.db_to_ratio(settings.radio.reference_gain_db),
            settings.radio.path_loss_exponent,
            fading[uav, device_id % settings.columns],
        )
        covered = np.zeros(gain.shape, dtype=bool)
        reach_m = settings.uavs.coverage_m + _COVERED_SLACK_M
        covered[row, uav] = np.linalg.norm(offset_m[:, :2], axis=1) <= reach_m
        return self.scenario.link_table(gain, covered, float(receivers.remaining_s[m]))

    def relay_gain(self, slot: int) -> FloatArray:
        """(M,) power gain from each UAV to the satellite; 0 unless it is in view all slot."""
        return self.relays.leo_gain(np.array([slot]))[0]


class MaritimeDevices(StillDevices):
    """Devices of one process, which are drawn anew in every slot.

    Identifiers count the places that a UAV has for devices; places that nobody fills are idle, on
    the water below the UAV.

    Args:
        settings: the scenario.
        ids: identifiers of the devices, ascending.
        seed: seed of the run.
    """

    def __init__(self, settings: MaritimeSettings, ids: list[int], seed: int) -> None:
        self._settings, self._seed = settings, np.array([seed])
        self._uav, self._column = np.divmod(np.array(ids, dtype=np.int64), settings.columns)
        self._uav_m = draw_uavs(settings, self._seed)
        super().__init__(ids, self._uav_m[0][self._uav])
        self.streaming: BoolArray = np.zeros(len(ids), dtype=bool)
        """(D,) whether each has recorded data to be stored in this slot."""

    def open_slot(self, slot: int, new_tasks: bool = True) -> list[Task]:
        """Move to the start of a slot and return the tasks created there, in device order."""
        self.slot = max(self.slot, slot)
        drawn = draw_devices(self._settings, self._seed, np.array([slot]), self._uav_m)
        here = (0, self._uav, self._column)
        active, size_bit = drawn.active[here], drawn.size_bit[here]
        self.place(np.where(active[:, None], drawn.position_m[here], self._uav_m[0][self._uav]))
        self.streaming = active & ~drawn.sensitive[self._column] & new_tasks
        return [
            Task(
                task_id=int(task_number(device, slot)),
                device_id=int(device),
                slot=slot,
                created_s=slot * self._settings.slot_s,
                deadline_s=self._settings.slot_s,
                accuracy=0.0,
                answer_bit=0.0,
                input_bit=float(size_bit[row]),
            )
            for row, device in enumerate(self.ids)
            if new_tasks and size_bit[row] > 0
        ]


class Orbit:
    """The satellite, on a circular orbit through the zenith of the area, northward.

    Args:
        settings: the scenario.
        relays: the same system in copies, which knows when it is in view.
    """

    labels = ('satellite 0',)

    def __init__(self, settings: MaritimeSettings, relays: Maritime) -> None:
        self._settings, self._relays = settings, relays
        satellite, station = settings.satellite, settings.ground_station
        self.mask_rad = math.radians(satellite.minimum_elevation_deg)
        self._rate_rad_s = float(spherical.orbital_rate_rad_s(satellite.altitude_m))
        self._zenith_s = satellite.rises_s + 0.5 * relays.visible_s
        self._station_rad = station.distance_m / EARTH_RADIUS_M
        self._station_reach_rad = float(
            spherical.footprint_half_angle_rad(
                satellite.altitude_m, math.radians(station.minimum_elevation_deg)
            )
        )
        self.windows = self._passes(relays.orbit_s)

    def at(self, time_s: float) -> SatelliteView:
        """The satellite at an instant [s; simulation time]."""
        here_m, later_m = self._position_m(time_s), self._position_m(time_s + _TRACK_STEP_S)
        since_s = self._since_rise_s(time_s)
        left_s = max(0.0, self._relays.visible_s - since_s) if since_s >= 0 else 0.0
        return SatelliteView(
            satellite=np.zeros(1, dtype=np.int64),
            position_m=here_m[None],
            velocity_m_s=(later_m - here_m)[None] / _TRACK_STEP_S,
            access=np.zeros(1, dtype=np.int64),
            access_position_m=here_m[None],
            in_view=np.array([left_s > 0]),
            hops=np.zeros(1, dtype=np.int64),
            isl_m=np.zeros(1),
            remaining_s=np.array([left_s]),
        )

    def passes(self, start_s: float, end_s: float) -> IntArray:
        """Rows of `windows` that lie at least partly in a span [s], in the order of rise."""
        if end_s > self.windows.rise_s.max(initial=0.0):
            self.windows = self._passes(2.0 * end_s)
        return np.flatnonzero((self.windows.rise_s < end_s) & (self.windows.set_s > start_s))

    def ground_in_view(self, slot: int) -> bool:
        """Whether the ground station sees the satellite during a whole slot."""
        slot_s = self._settings.slot_s
        return all(self._over_station(at_s) for at_s in (slot * slot_s, (slot + 1) * slot_s))

    def _over_station(self, time_s: float) -> bool:
        angle_rad = self._angle_rad(time_s) - self._station_rad
        return bool(abs(math.remainder(angle_rad, 2.0 * math.pi)) <= self._station_reach_rad)

    def _angle_rad(self, time_s: float) -> float:
        """Angle along the track from the zenith of the area."""
        return self._rate_rad_s * (time_s - self._zenith_s)

    def _since_rise_s(self, time_s: float) -> float:
        """Time since the last rise; negative before the first [s]."""
        since_s = time_s - self._settings.satellite.rises_s
        return since_s if since_s < 0 else since_s % self._relays.orbit_s

    def _position_m(self, time_s: float) -> FloatArray:
        """(3,) [m; map]."""
        altitude_m = self._settings.satellite.altitude_m
        up_m, north_m, east_m = spherical.shell_position_m(
            altitude_m, np.array(self._angle_rad(time_s)), 0.0
        )
        centre_m = [0.5 * side for side in self._settings.area_m]
        return np.array([centre_m[0] + east_m, centre_m[1] + north_m, up_m - EARTH_RADIUS_M])

    def _passes(self, until_s: float) -> VisibilityWindows:
        relays, first_s = self._relays, self._settings.satellite.rises_s
        turns = np.arange(max(0, math.ceil((until_s - first_s) / relays.orbit_s)) + 1)
        rise_s = first_s + turns * relays.orbit_s
        whole = np.zeros(len(turns), dtype=np.bool_)
        return VisibilityWindows(
            satellite=np.zeros(len(turns), dtype=np.int64),
            rise_s=rise_s,
            set_s=rise_s + relays.visible_s,
            peak_elevation_rad=np.full(len(turns), 0.5 * math.pi),
            rise_clipped=whole,
            set_clipped=whole,
        )


def _joined(shots: list[Picture]) -> Picture:
    """Several frames (count, rows, columns, 3) as one picture; labels joined by spaces."""
    labels = [shot.label for shot in shots if shot.label]
    known = ' '.join(labels) if len(labels) == len(shots) else None
    return Picture(np.stack([shot.image for shot in shots]), known, shots[0].name)
