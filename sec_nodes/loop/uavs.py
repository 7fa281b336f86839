"""UAVs as a kinematic fleet: an autopilot tracks set-points at a fixed rate."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np

from sec_nodes.physics.energy import ZENG_2019, RotaryWing, propulsion_power_w
from sec_nodes.physics.motion import MotionLimits, MotionState, track
from sec_nodes.slot import FloatArray, IntArray

SETPOINT_SHARE = 0.8
"""Share of the limits that set-points use; the rest is the autopilot's reserve."""


class UavFleet:
    """UAVs of one process.

    A set-point travels to each goal the way a UAV could: under the speed limit and with a part of
    the acceleration, so that what the autopilot has in reserve makes up for disturbances. The
    distance between the two is the tracking error.

    Args:
        start_m: (M, 3) where all UAVs of the run start [m; map].
        limits: what the UAVs can do.
        ids: numbers of the UAVs of this process, ascending.
        step_s: control period [s].
        wing: what flying costs.
    """

    def __init__(
        self,
        start_m: FloatArray,
        limits: MotionLimits,
        ids: list[int],
        step_s: float,
        wing: RotaryWing = ZENG_2019,
    ) -> None:
        self.ids: IntArray = np.array(ids, dtype=np.int64)
        self.step_s = step_s
        self.energy_used_j = np.zeros(len(ids))
        self.alive = np.ones(len(ids), dtype=bool)
        self._limits, self._wing = limits, wing
        self._calm_limits = MotionLimits(*(SETPOINT_SHARE * limit for limit in astuple(limits)))
        self._steps = 0
        self.goal_m = start_m[self.ids]
        self.motion = MotionState.at_rest(self.goal_m.copy())
        self.setpoint = MotionState.at_rest(self.goal_m.copy())

    @property
    def time_s(self) -> float:
        """Instant of `motion` and `setpoint` [s; simulation time]."""
        return self._steps * self.step_s

    @property
    def tracking_error_m(self) -> FloatArray:
        """(M, 3) set-point minus position [m; map]."""
        return self.setpoint.position_m - self.motion.position_m

    def step(self) -> None:
        """Fly one control period. Failed UAVs stand still and spend nothing."""
        moved = track(
            self.motion,
            self.setpoint.position_m,
            self.setpoint.velocity_m_s,
            self._limits,
            self.step_s,
        )
        ahead = self.next_setpoint()
        self.motion = self._unless_failed(moved, self.motion)
        self.setpoint = self._unless_failed(ahead, self.setpoint)
        speed_m_s = np.linalg.norm(self.motion.velocity_m_s, axis=1)
        power_w = propulsion_power_w(speed_m_s, self._wing)
        self.energy_used_j += self.alive * power_w * self.step_s
        self._steps += 1

    def next_setpoint(self) -> MotionState:
        """Where the set-points are at the end of the next control period."""
        still = np.zeros_like(self.goal_m)
        return track(self.setpoint, self.goal_m, still, self._calm_limits, self.step_s)

    def skip_to(self, time_s: float) -> None:
        """Wait at the start until an instant [s], without spending anything."""
        self._steps = max(self._steps, math.floor(time_s / self.step_s + 1e-9))

    def due(self, time_s: float) -> bool:
        """Whether a step ends at or before an instant [s]."""
        return (self._steps + 1) * self.step_s <= time_s + 1e-9

    def _unless_failed(self, after: MotionState, before: MotionState) -> MotionState:
        flying = self.alive[:, None]
        return MotionState(
            np.where(flying, after.position_m, before.position_m),
            np.where(flying, after.velocity_m_s, 0.0),
            np.where(flying, after.acceleration_m_s2, 0.0),
        )
