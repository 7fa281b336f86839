"""The mllm scenario in the vocabulary of `sec_nodes.slot`: one copy as a `SlotState`, and back.

So a controller that is written for the ROS nodes can be asked about it, slot by slot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sec_nodes.physics.channel import shannon_rate_bit_s
from sec_nodes.physics.constants import EARTH_RADIUS_M, SPEED_OF_LIGHT_M_S
from sec_nodes.physics.spherical import shell_position_m
from sec_nodes.scenarios.mllm import Mllm, MllmDecision, MllmState
from sec_nodes.slot import (
    BoolArray,
    DeviceTable,
    FloatArray,
    LinkTable,
    ModelTable,
    ServerKind,
    ServerTable,
    SlotDecision,
    SlotState,
    TaskTable,
)

_TRACK_STEP_S = 0.5


class MllmView:
    """Single slots of mllm.

    Every server has a model of its own, with one cut: everything behind it. A step is a word of
    the answer. Where profiles give times, work is what the server's `flop_s` does in that time.
    Devices cannot compute, so tasks can neither stay (`LOCAL`) nor be `DECLINED`;
    `compute_share` and `backup` have no meaning here, and only the horizontal part of goals has.

    Args:
        scenario: the system.
    """

    def __init__(self, scenario: Mllm) -> None:
        self.scenario = scenario
        self.settings = scenario.settings

    @property
    def transmit_power_w(self) -> tuple[float, float]:
        """Least and largest transmit power of a device [W]."""
        return self.settings.devices.power_w

    def admissible(self, state: SlotState) -> BoolArray:
        """(K, S + 1) servers that may serve each task, UAVs staying where they are.

        The last column is the device itself, which never may.
        """
        tasks, links = state.tasks, state.links
        accurate = state.models.accuracy[state.servers.model] >= tasks.accuracy[:, None] - 1e-12
        longest_s = 2 * float(tasks.deadline_s.max(initial=0.0))
        remote = accurate & links.reachable[tasks.device] & (links.remaining_s >= longest_s)
        return np.concatenate([remote, np.zeros((state.n_tasks, 1), dtype=bool)], axis=1)

    def slot_states(self, state: MllmState) -> list[SlotState]:
        """Every copy as a `SlotState`; devices that do not ask have no task."""
        return [self._slot_state(state, copy) for copy in range(len(state.seed))]

    def joined(self, state: MllmState, answers: Sequence[SlotDecision]) -> MllmDecision:
        """The answers to `slot_states` as one decision; UAVs go as far to their goals as they get.

        Raises:
            ValueError: a task that no server gets.
        """
        server = np.zeros(state.size_bit.shape, dtype=np.int64)
        power_w = np.zeros(state.size_bit.shape)
        goal_m = np.empty(state.uav_m.shape)
        for copy, answer in enumerate(answers):
            if (answer.server < 0).any():
                raise ValueError(
                    'decision.server is LOCAL or DECLINED for a task, but devices of mllm cannot '
                    'compute and every request is served; choose a server'
                )
            asking = np.flatnonzero(state.active[copy])
            server[copy, asking], power_w[copy, asking] = answer.server, answer.power_w
            goal_m[copy] = answer.uav_goal_m[:, :2]
        return MllmDecision(server, power_w, self.scenario.reachable_m(state, goal_m))

    def _slot_state(self, state: MllmState, copy: int) -> SlotState:
        slot = int(state.slot[copy])
        asking = np.flatnonzero(state.active[copy])
        n_devices = self.scenario.n_devices
        ground_m = np.zeros((n_devices, 3))
        ground_m[:, :2] = state.device_m[copy]
        return SlotState(
            slot=slot,
            time_s=slot * self.settings.slot_s,
            slot_s=self.settings.slot_s,
            tasks=self._tasks(state, copy, asking),
            devices=DeviceTable(
                device_id=np.arange(n_devices),
                position_m=ground_m,
                velocity_m_s=np.zeros_like(ground_m),
                flop_s=np.zeros(n_devices),
                backlog_s=np.zeros(n_devices),
                model=np.zeros(n_devices, dtype=np.int64),
            ),
            servers=self._servers(state, copy),
            models=self._models(),
            links=self._links(state, copy),
        )

    def _tasks(self, state: MllmState, copy: int, asking: np.ndarray) -> TaskTable:
        slot, words = int(state.slot[copy]), state.words[copy, asking]
        return TaskTable(
            task_id=slot * self.scenario.n_devices + asking,
            device=asking,
            created_s=np.full(len(asking), slot * self.settings.slot_s),
            deadline_s=state.deadline_s[copy, asking],
            accuracy=state.accuracy[copy, asking],
            input_bit=state.size_bit[copy, asking],
            steps=words,
            answer_bit=self.settings.tasks.answer_bit_per_word * words,
            attempt=np.zeros(len(asking), dtype=np.int64),
        )

    def _models(self) -> ModelTable:
        uavs, satellites = self.settings.uavs, self.settings.satellites
        speed_flop_s = self._by_tier(uavs.flop_s, satellites.flop_s)
        paces = [*uavs.pace, *satellites.pace]
        n_models = len(paces)
        named = (*(uavs.models or ()), *(satellites.models or ()))
        return ModelTable(
            model_id=named or tuple(f'mllm_{number}' for number in range(n_models)),
            accuracy=np.array([*uavs.accuracy, *satellites.accuracy]),
            n_cuts=np.ones(n_models, dtype=np.int64),
            front_flop=np.zeros((n_models, 1)),
            start_flop=(speed_flop_s * [pace.start_s for pace in paces])[:, None],
            back_flop=(speed_flop_s * [pace.word_s for pace in paces])[:, None],
            cut_bit=np.zeros((n_models, 1)),
        )

    def _servers(self, state: MllmState, copy: int) -> ServerTable:
        uavs, satellites = self.settings.uavs, self.settings.satellites
        n_servers = self.scenario.n_servers
        uav_m = np.column_stack([state.uav_m[copy], np.array(uavs.altitude_m)])
        here = self._satellites_m(state, copy, 0.0)
        later = self._satellites_m(state, copy, _TRACK_STEP_S)
        return ServerTable(
            kind=self._by_tier(ServerKind.UAV, ServerKind.SATELLITE).astype(np.int64),
            alive=np.ones(n_servers, dtype=bool),
            position_m=np.vstack([uav_m, here]),
            velocity_m_s=np.vstack([np.zeros_like(uav_m), (later - here) / _TRACK_STEP_S]),
            model=np.arange(n_servers),
            flop_s=self._by_tier(uavs.flop_s, satellites.flop_s),
            compute_power_w=np.array([p.power_w for p in (*uavs.pace, *satellites.pace)]),
            transmit_power_w=self._by_tier(uavs.transmit_power_w, satellites.transmit_power_w),
            backlog_s=state.backlog_s[copy],
            energy_left_j=np.full(n_servers, np.inf),
        )

    def _links(self, state: MllmState, copy: int) -> LinkTable:
        scenario, settings = self.scenario, self.settings
        radio, m = settings.radio, scenario.n_uavs
        one = _only(state, copy)
        orbit, gain = scenario.orbit(one), scenario.gains(one, one.uav_m)[0]
        uav_m = np.column_stack([one.uav_m[0], np.array(settings.uavs.altitude_m)])
        offset_m = np.concatenate([one.device_m[0], np.zeros((len(gain), 1))], axis=1)[:, None]
        offset_m = offset_m - uav_m[None]
        way_m = np.empty(gain.shape)
        way_m[:, :m] = np.linalg.norm(offset_m, axis=-1)
        way_m[:, m:] = orbit.access_slant_m[0] + orbit.isl_m[0]
        covered = np.linalg.norm(offset_m[..., :2], axis=-1) <= settings.uavs.coverage_m + 1e-9
        bandwidth_hz = self._by_tier(radio.uav_bandwidth_hz, radio.satellite_bandwidth_hz)
        noise_w = scenario.links.noise_w
        own_w = gain * self._by_tier(
            settings.uavs.transmit_power_w, settings.satellites.transmit_power_w
        )
        others_w = np.zeros_like(own_w)
        others_w[:, :m] = own_w[:, :m].sum(axis=1, keepdims=True) - own_w[:, :m]
        return LinkTable(
            gain=gain,
            rate_bit_s=shannon_rate_bit_s(
                bandwidth_hz, gain * settings.devices.power_w[1] / noise_w
            ),
            downlink_rate_bit_s=shannon_rate_bit_s(
                bandwidth_hz, own_w / (noise_w + np.maximum(others_w, 0.0))
            ),
            delay_s=way_m / SPEED_OF_LIGHT_M_S,
            reachable=np.concatenate(
                [covered, np.tile(orbit.has_access[0], (len(gain), 1))], axis=1
            ),
            loss=np.zeros(gain.shape),
            bandwidth_hz=bandwidth_hz,
            noise_w=noise_w,
            receiver=np.concatenate([np.arange(m), m + np.maximum(orbit.access[0], 0)]),
            hops=np.concatenate([np.zeros(m, dtype=np.int64), orbit.hops[0]]),
            isl_m=np.concatenate([np.zeros(m), orbit.isl_m[0]]),
            remaining_s=np.concatenate([np.full(m, np.inf), orbit.access_remaining_s[0]]),
        )

    def _satellites_m(self, state: MllmState, copy: int, later_s: float) -> FloatArray:
        """(N, 3) positions [m; map]: north along the track, east across it, up at the zenith."""
        settings = self.settings
        in_track_rad = state.in_track_rad[copy] + self.scenario.chain.rate_rad_s * later_s
        up, along, across = shell_position_m(
            settings.satellites.altitude_m,
            in_track_rad,
            np.radians(settings.satellites.cross_track_deg),
        ).T
        east_m, north_m = (0.5 * side for side in settings.area_m)
        return np.column_stack([east_m + across, north_m + along, up - EARTH_RADIUS_M])

    def _by_tier(self, of_uavs: float, of_satellites: float) -> FloatArray:
        is_uav = np.arange(self.scenario.n_servers) < self.scenario.n_uavs
        return np.where(is_uav, of_uavs, of_satellites)


def _only(state: MllmState, copy: int) -> MllmState:
    """One copy as a batch of its own."""
    return MllmState(**{name: value[copy : copy + 1] for name, value in vars(state).items()})
