"""The mllm scenario in the vocabulary of `sec_nodes.slot`: one copy as a `SlotState`, and back.

So a controller that is written for the ROS nodes can be asked about it, slot by slot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sec_nodes.scenarios.mllm import Mllm, MllmDecision, MllmState
from sec_nodes.scenarios.mllm.offloading import MllmOffloading
from sec_nodes.scenarios.mllm.orbit import chain_motion
from sec_nodes.slot import (
    DeviceTable,
    LinkTable,
    ServerKind,
    ServerTable,
    SlotDecision,
    SlotState,
    TaskTable,
    task_number,
)


class MllmView(MllmOffloading):
    """Single slots of mllm, in copies that are simulated at once.

    Tasks can neither stay (`LOCAL`) nor be `DECLINED`; `compute_share` and `backup` have no
    meaning here, and only the horizontal part of goals has.

    Args:
        scenario: the system.
    """

    def __init__(self, scenario: Mllm) -> None:
        super().__init__(scenario.settings)
        self.scenario = scenario

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
            models=self.models,
            links=self._links(state, copy),
        )

    def _tasks(self, state: MllmState, copy: int, asking: np.ndarray) -> TaskTable:
        slot, words = int(state.slot[copy]), state.words[copy, asking]
        return TaskTable(
            task_id=task_number(asking, slot),
            device=asking,
            created_s=np.full(len(asking), slot * self.settings.slot_s),
            deadline_s=state.deadline_s[copy, asking],
            accuracy=state.accuracy[copy, asking],
            input_bit=state.size_bit[copy, asking],
            steps=words,
            answer_bit=self.settings.tasks.answer_bit_per_word * words,
            attempt=np.zeros(len(asking), dtype=np.int64),
        )

    def _servers(self, state: MllmState, copy: int) -> ServerTable:
        uavs, satellites = self.settings.uavs, self.settings.satellites
        n_servers = self.scenario.n_servers
        uav_m = np.column_stack([state.uav_m[copy], np.array(uavs.altitude_m)])
        position_m, velocity_m_s = chain_motion(self.settings, state.in_track_rad[copy])
        return ServerTable(
            kind=self.by_tier(ServerKind.UAV, ServerKind.SATELLITE).astype(np.int64),
            alive=np.ones(n_servers, dtype=bool),
            position_m=np.vstack([uav_m, position_m]),
            velocity_m_s=np.vstack([np.zeros_like(uav_m), velocity_m_s]),
            model=self.server_model,
            flop_s=self.by_tier(uavs.flop_s, satellites.flop_s),
            compute_power_w=np.array([p.power_w for p in (*uavs.pace, *satellites.pace)]),
            transmit_power_w=self.by_tier(uavs.transmit_power_w, satellites.transmit_power_w),
            backlog_s=state.backlog_s[copy],
            energy_left_j=np.full(n_servers, np.inf),
        )

    def _links(self, state: MllmState, copy: int) -> LinkTable:
        scenario, m = self.scenario, self.scenario.n_uavs
        one = _only(state, copy)
        orbit = scenario.orbit(one)
        return self.link_table(
            gain=scenario.gains(one, one.uav_m)[0],
            covered=scenario.costs.covered(one.device_m, one.uav_m)[0],
            slant_m=orbit.access_slant_m[0],
            isl_m=orbit.isl_m[0],
            has_access=orbit.has_access[0],
            receiver=np.concatenate([np.arange(m), m + np.maximum(orbit.access[0], 0)]),
            hops=np.concatenate([np.zeros(m, dtype=np.int64), orbit.hops[0]]),
            remaining_s=np.concatenate([np.full(m, np.inf), orbit.access_remaining_s[0]]),
        )


def _only(state: MllmState, copy: int) -> MllmState:
    """One copy as a batch of its own."""
    return MllmState(**{name: value[copy : copy + 1] for name, value in vars(state).items()})
