"""Where UAVs go when an algorithm has no view of its own on it."""

from __future__ import annotations

import numpy as np

from sec_nodes.slot import FloatArray, ServerKind, SlotState


def towards_devices(state: SlotState) -> FloatArray:
    """Goals at the centroids of the devices that each UAV is nearest to (one step of Lloyd).

    UAVs keep their altitude; one without devices, and a dead one, holds its position.

    Returns:
        (M, 3) goals [m; map].
    """
    servers = state.servers
    is_uav = servers.kind == ServerKind.UAV
    goal_m = servers.position_m[is_uav].copy()
    alive = servers.alive[is_uav]
    if not alive.any():
        return goal_m
    offset_m = state.devices.position_m[:, None, :2] - goal_m[None, :, :2]
    distance_m = np.where(alive, np.linalg.norm(offset_m, axis=2), np.inf)
    nearest = np.argmin(distance_m, axis=1)
    served = np.bincount(nearest, minlength=len(goal_m))
    has_devices = served > 0
    for axis in range(2):
        total_m = np.bincount(nearest, state.devices.position_m[:, axis], len(goal_m))
        goal_m[has_devices, axis] = total_m[has_devices] / served[has_devices]
    return goal_m
