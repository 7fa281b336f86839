"""A controller of one's own, as a registered class.

    PYTHONPATH=examples sec up laptop --controller battery_saver:BatterySaver

It spares the UAVs: pictures go to a satellite where that is in time, and to the fastest UAV
otherwise.
"""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.base import Controller, decision, register
from sec_nodes.slot import DECLINED, LOCAL, ServerKind, SlotDecision, SlotState


@register
class BatterySaver(Controller):
    """Satellites first, UAVs only where nothing else is in time; UAVs stay where they are."""

    name = 'battery_saver'

    def decide(self, state: SlotState) -> SlotDecision:
        """Rank all options of each task, and take the best one."""
        full_power_w = self.scenario.transmit_power_w[1]
        options = self.scenario.options(state, np.array([full_power_w]))
        # axes: task, server (the last one is the device itself), cut; one transmit power
        latency_s = np.where(options.feasible, options.latency_s, np.inf)[..., 0]
        spared = np.append(state.servers.kind != ServerKind.UAV, True)
        late = ~options.punctual[..., 0]
        # worst first: what is late, then what needs a UAV, then what takes long
        rank = latency_s + 1e3 * ~spared[None, :, None] + 1e6 * late
        best = rank.reshape(state.n_tasks, -1).argmin(axis=1)
        server, split = np.unravel_index(best, rank.shape[1:])
        impossible = ~options.feasible.any(axis=(1, 2, 3))
        server = np.where(server == state.n_servers, LOCAL, server)
        return decision(
            state,
            np.where(impossible, DECLINED, server),
            split=split,
            power_w=np.full(state.n_tasks, full_power_w),
            uav_goal_m=state.servers.position_m[: state.n_uavs],
        )
