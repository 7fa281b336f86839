"""The robust scenario in the vocabulary of `sec_nodes.slot`: one copy as a `SlotState`, and back.

So a controller that is written for the ROS nodes can be asked about it, slot by slot
(`RobustView`), and one of many copies about what the nodes see (`robust_state`, `slot_decision`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sec_nodes.scenarios.robust import Robust, RobustDecision, RobustState
from sec_nodes.scenarios.robust.motion import fly
from sec_nodes.scenarios.robust.offloading import link_table, model_table, uplink_noise_w
from sec_nodes.scenarios.robust.state import LOCAL, NEVER
from sec_nodes.slot import (
    DECLINED,
    BoolArray,
    DeviceTable,
    FloatArray,
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
        self.scenario = self.physical = scenario
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
        gain = snr_per_w * uplink_noise_w(settings)
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
            models=model_table(self.scenario),
            links=link_table(settings, gain, np.tile(state.alive[copy], (n_users, 1))),
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


def robust_state(scenario: Robust, state: SlotState, seed: int = 0) -> RobustState:
    """One copy of the scenario from what the nodes know of a slot.

    Users are the devices that have ever been heard of; fading is what gains differ by from the
    path loss (14) at the reported places. Failures to come are unknown.

    Args:
        scenario: the system.
        state: the slot; its devices' models are the networks in order.
        seed: of controllers that draw random numbers.
    """
    uavs = state.n_uavs
    velocity_m_s = state.devices.velocity_m_s
    copy = RobustState(
        seed=np.array([seed]),
        slot=np.array([state.slot]),
        network=state.devices.model[None],
        user_m=state.devices.position_m[None, :, :2],
        user_heading_rad=np.arctan2(velocity_m_s[:, 1], velocity_m_s[:, 0])[None],
        user_speed_m_s=np.hypot(velocity_m_s[:, 0], velocity_m_s[:, 1])[None],
        uav_m=state.servers.position_m[None, :uavs],
        uav_velocity_m_s=state.servers.velocity_m_s[None, :uavs],
        alive=state.servers.alive[None, :uavs],
        failure_slot=np.full((1, uavs), NEVER),
        fading=np.ones((1, len(state.devices.device_id), uavs)),
    )
    measured = state.links.gain[:, :uavs] / state.links.noise_w[:uavs]
    return replace(copy, fading=measured[None] / scenario.snr_per_w(copy))


def slot_decision(
    scenario: Robust, state: SlotState, copy: RobustState, decision: RobustDecision
) -> SlotDecision:
    """What the first copy decides, as the nodes have it.

    A device has one task a slot; older ones, which are late already, are declined. Powers and
    shares follow from the scenario's rule and are left out, see `RobustOffloading.settled`.
    """
    device = state.tasks.device
    cut, server = decision.split[0, device] - 1, decision.server[0, device]
    whole = state.models.n_cuts[state.devices.model[device]] - 1
    declined = (server == LOCAL) & (cut < whole) | ~_newest(state)
    server = np.where(declined, DECLINED, server)
    others = copy.alive[0] & (np.arange(copy.alive.shape[1]) != server[:, None])
    backup = np.argmax(np.where(others, decision.preference[0, device], -np.inf), axis=1)
    flight = fly(
        scenario.settings,
        copy.uav_m,
        copy.uav_velocity_m_s,
        np.asarray(decision.acceleration_m_s2),
        copy.alive,
    )
    nothing = np.zeros(state.n_tasks)
    return SlotDecision(
        server=np.where((cut == whole) & ~declined, LOCAL, server),
        split=np.where(declined, whole, cut),
        power_w=nothing,
        compute_share=nothing,
        backup=np.where(others.any(axis=1), backup, LOCAL),
        uav_goal_m=flight.position_m[0],
    )


def _newest(state: SlotState) -> BoolArray:
    """(K,) tasks that are the latest of their device."""
    latest_s = np.full(len(state.devices.device_id), -np.inf)
    np.maximum.at(latest_s, state.tasks.device, state.tasks.created_s)
    return np.asarray(state.tasks.created_s >= latest_s[state.tasks.device])
