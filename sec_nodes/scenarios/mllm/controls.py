"""Continuous parts of actions of mllm, numbers in [-1, 1], as powers and places."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.slot import FloatArray


class Controls:
    """Reads K + 2 M numbers: a power for each device, then east and north of each UAV.

    Power is linear from P_min to P_max. Without a speed limit, the others are a place in the
    area; with one, a displacement in units of the longest one, shortened if longer than that.

    Args:
        settings: the scenario.
    """

    def __init__(self, settings: MllmSettings) -> None:
        self._settings = settings
        low_w, high_w = settings.devices.power_w
        self._half_power_w, self._low_power_w = 0.5 * (high_w - low_w), low_w
        self._half_area_m = 0.5 * np.array(settings.area_m, dtype=np.float32)
        speed_m_s = settings.uavs.speed_m_s
        self._step_m = None if speed_m_s is None else speed_m_s * settings.slot_s

    def read(self, continuous: FloatArray, uav_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Powers (B, K) [W] and places (B, M, 2) [m] that UAVs reach from `uav_m` (B, M, 2)."""
        batch, uavs, _ = uav_m.shape
        devices = continuous.shape[1] - 2 * uavs
        power_w = continuous[:, :devices] * self._half_power_w
        power_w += self._half_power_w + self._low_power_w
        move = continuous[:, devices:].reshape(batch, uavs, 2)
        if self._step_m is None:
            goal_m = (move + 1) * self._half_area_m
        else:
            goal_m = uav_m + move * self._step_m
        return power_w, reachable_m(self._settings, uav_m, goal_m, uav_m.dtype)


def reachable_m(
    settings: MllmSettings, uav_m: FloatArray, goal_m: FloatArray, dtype: DTypeLike
) -> FloatArray:
    """Places (B, M, 2), as near to the goals as UAVs get in a slot, inside the area.

    Args:
        settings: the scenario.
        uav_m: (B, M, 2) where they are.
        goal_m: (B, M, 2)
        dtype: of the result.
    """
    area_m = np.array(settings.area_m, dtype=dtype)
    goal_m = np.clip(np.asarray(goal_m, dtype=dtype), 0, area_m)
    speed_m_s = settings.uavs.speed_m_s
    if speed_m_s is None:
        return goal_m
    way = goal_m - uav_m
    length_m = np.sqrt(np.square(way).sum(axis=-1, keepdims=True))
    step_m = speed_m_s * settings.slot_s
    share = step_m / np.maximum(length_m, step_m)
    return np.clip(uav_m + way * share, 0, area_m)
