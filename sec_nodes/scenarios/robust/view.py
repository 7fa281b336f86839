"""The robust scenario in the vocabulary of `sec_nodes.slot`: one copy as a `SlotState`, and back.

So a controller that is written for the ROS nodes can be asked about it, slot by slot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sec_nodes.physics.channel import db_to_ratio, shannon_rate_bit_s
from sec_nodes.scenarios.robust import Robust, RobustDecision, RobustState
from sec_nodes.scenarios.robust.state import LOCAL
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


class RobustView:
    """Single slots of robust.

    Servers run the network of whoever asks. Cut c is the paper's split phi = c + 1. Powers and
    computing shares follow from the scenario's rule whatever a decision says; results are not
    sent back. `backup` is where a task moves if its UAV fails. UAVs accelerate so that they are
    at their goal at the end of the slot, as far as their limits allow.

    Args:
        scenario: the system.
    """

    def __init__(self, scenario: Robust) -> None:
        self.scenario = scenario
        self.settings = scenario.settings

    @property
    def transmit_power_w(self) -> tuple[float, float]:
        """Least and largest transmit power of a user [W]."""
        return 0.0, self.settings.users.power_max_w

    def admissible(self, state: SlotState) -> BoolArray:
        """(K, S + 1) UAVs that may serve each task; the last column is the user itself."""
        alive = np.tile(state.servers.alive, (state.n_tasks, 1))
        own = np.full((state.n_tasks, 1), self.settings.users.local_only)
        return np.concatenate([alive, own], axis=1)

    def slot_states(self, state: RobustState) -> list[SlotState]:
        """Every copy as a `SlotState`."""
        snr_per_w = self.scenario.snr_per_w(state)
        return [self._slot_state(state, copy, snr_per_w[copy]) for copy in range(len(state.seed))]

    def joined(self, state: RobustState, answers: Sequence[SlotDecision]) -> RobustDecision:
        """The answers to `slot_states` as one decision; `DECLINED` tasks are sent nowhere."""
        slot_s = self.settings.slot_s
        server = np.stack([np.maximum(answer.server, LOCAL) for answer in answers])
        backup = np.stack([answer.backup for answer in answers])[..., None]
        goal_m = np.stack([answer.uav_goal_m for answer in answers])
        way_m = goal_m - state.uav_m - state.uav_velocity_m_s * slot_s
        return RobustDecision(
            split=np.stack([answer.split for answer in answers]) + 1,
            server=server,
            preference=(backup == np.arange(self.settings.uavs.count)).astype(float),
            acceleration_m_s2=2.0 * way_m / slot_s**2,
        )

    def _slot_state(self, state: RobustState, copy: int, snr_per_w: FloatArray) -> SlotState:
        settings, slot = self.settings, int(state.slot[copy])
        n_users = settings.users.count
        direction = np.column_stack(
            [np.cos(state.user_heading_rad[copy]), np.sin(state.user_heading_rad[copy])]
        )
        velocity_m_s = state.user_speed_m_s[copy][:, None] * direction
        ground = np.zeros((n_users, 1))
        return SlotState(
            slot=slot,
            time_s=slot * settings.slot_s,
            slot_s=settings.slot_s,
            tasks=_tasks(slot, n_users, settings.slot_s),
            devices=DeviceTable(
                device_id=np.arange(n_users),
                position_m=np.concatenate([state.user_m[copy], ground], axis=1),
                velocity_m_s=np.concatenate([velocity_m_s, ground], axis=1),
                flop_s=np.full(n_users, self._flop_s(settings.users.frequency_hz)),
                backlog_s=np.zeros(n_users),
                model=state.network[copy],
            ),
            servers=self._servers(state, copy),
            models=self._models(),
            links=self._links(state, copy, snr_per_w),
        )

    def _models(self) -> ModelTable:
        tables = self.scenario.tables
        return ModelTable(
            model_id=tuple(self.settings.users.networks),
            accuracy=np.ones(len(tables.layers)),
            n_cuts=tables.layers + 1,
            front_flop=tables.front_flop.astype(float),
            start_flop=np.zeros(tables.rear_flop.shape),
            back_flop=tables.rear_flop.astype(float),
            cut_bit=tables.cut_bit.astype(float),
        )

    def _servers(self, state: RobustState, copy: int) -> ServerTable:
        uavs, computing = self.settings.uavs, self.settings.computing
        full_power_w = computing.capacitance_j_s2 * uavs.frequency_hz**3
        return ServerTable(
            kind=np.full(uavs.count, int(ServerKind.UAV)),
            alive=state.alive[copy],
            position_m=state.uav_m[copy],
            velocity_m_s=state.uav_velocity_m_s[copy],
            model=np.full(uavs.count, -1),
            flop_s=np.full(uavs.count, self._flop_s(uavs.frequency_hz)),
            compute_power_w=np.full(uavs.count, full_power_w),
            transmit_power_w=np.full(uavs.count, uavs.transmit_power_w),
            backlog_s=np.zeros(uavs.count),
            energy_left_j=np.full(uavs.count, np.inf),
        )

    def _links(self, state: RobustState, copy: int, snr_per_w: FloatArray) -> LinkTable:
        settings, n_uavs = self.settings, self.settings.uavs.count
        bandwidth_hz = settings.uplink_bandwidth_hz
        noise_w = float(db_to_ratio(settings.radio.noise_dbm_hz - 30.0)) * bandwidth_hz
        snr = snr_per_w * settings.users.power_max_w
        return LinkTable(
            gain=snr_per_w * noise_w,
            rate_bit_s=shannon_rate_bit_s(bandwidth_hz, snr),
            downlink_rate_bit_s=np.full(snr.shape, np.inf),
            delay_s=np.zeros(snr.shape),
            reachable=np.tile(state.alive[copy], (len(snr), 1)),
            loss=np.zeros(snr.shape),
            bandwidth_hz=np.full(n_uavs, bandwidth_hz),
            noise_w=np.full(n_uavs, noise_w),
            receiver=np.arange(n_uavs),
            hops=np.zeros(n_uavs, dtype=np.int64),
            isl_m=np.zeros(n_uavs),
            remaining_s=np.full(n_uavs, np.inf),
        )

    def _flop_s(self, frequency_hz: float) -> float:
        return frequency_hz * self.settings.computing.flop_per_cycle


def _tasks(slot: int, n_users: int, slot_s: float) -> TaskTable:
    """A task of each user, to be answered within the slot."""
    nothing = np.zeros(n_users)
    return TaskTable(
        task_id=slot * n_users + np.arange(n_users),
        device=np.arange(n_users),
        created_s=np.full(n_users, slot * slot_s),
        deadline_s=np.full(n_users, slot_s),
        accuracy=nothing,
        input_bit=nothing,
        steps=np.ones(n_users),
        answer_bit=nothing,
        attempt=np.zeros(n_users, dtype=np.int64),
    )
