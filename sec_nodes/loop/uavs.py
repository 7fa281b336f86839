"""UAVs as a kinematic fleet: an autopilot tracks set-points at a fixed rate."""

from __future__ import annotations

import math

import numpy as np

from sec_nodes.physics.energy import propulsion_power_w
from sec_nodes.physics.motion import MotionLimits, MotionState, reference_along, track
from sec_nodes.scenarios.survey_settings import SurveySettings
from sec_nodes.slot import FloatArray, IntArray


def start_positions(settings: SurveySettings) -> FloatArray:
    """(M, 3) where UAVs start: on a circle around the centre, altitudes spread evenly [m; map]."""
    count = settings.uavs.count
    angle = math.pi / 2 + 2 * math.pi * np.arange(count) / max(count, 1)
    east_m, north_m = settings.area_m
    low_m, high_m = settings.uavs.altitude_m
    return np.column_stack(
        [
            east_m * (0.5 + 0.25 * np.cos(angle)),
            north_m * (0.5 + 0.25 * np.sin(angle)),
            np.linspace(low_m, high_m, count) if count > 1 else np.full(count, low_m),
        ]
    )


class UavFleet:
    """UAVs of one process.

    Between decisions each UAV follows a set-point that moves straight to its goal, so that it is
    there at the end of the slot, or as early as the speed limit allows.

    Args:
        settings: the scenario.
        ids: numbers of the UAVs, ascending.
        step_s: control period [s].
    """

    def __init__(self, settings: SurveySettings, ids: list[int], step_s: float) -> None:
        self.ids: IntArray = np.array(ids, dtype=np.int64)
        self.step_s = step_s
        self.energy_used_j = np.zeros(len(ids))
        self.alive = np.ones(len(ids), dtype=bool)
        self._limits = MotionLimits(
            settings.uavs.speed_m_s, settings.uavs.acceleration_m_s2, settings.uavs.jerk_m_s3
        )
        self._steps = 0
        position_m = start_positions(settings)[self.ids]
        self.motion = MotionState.at_rest(position_m)
        self._from_m, self._goal_m = position_m.copy(), position_m.copy()
        self._ordered_s = np.zeros(len(ids))
        self._duration_s = np.full(len(ids), settings.slot_s)

    @property
    def time_s(self) -> float:
        """Instant of `motion` [s; simulation time]."""
        return self._steps * self.step_s

    def order(self, row: int, goal_m: FloatArray, now_s: float, until_s: float) -> None:
        """Give one UAV a new goal.

        Args:
            row: row of the UAV in this fleet.
            goal_m: (3,) where it shall be [m; map].
            now_s: when the order holds from [s].
            until_s: when it shall be there [s].
        """
        here_m, _ = self.reference(now_s)
        self._from_m[row], self._goal_m[row] = here_m[row], goal_m
        self._ordered_s[row] = now_s
        self._duration_s[row] = max(until_s - now_s, self.step_s)

    def reference(self, time_s: float) -> tuple[FloatArray, FloatArray]:
        """(M, 3) set-points and their velocities at an instant [m; m/s; map]."""
        position_m, velocity_m_s = np.empty_like(self._from_m), np.empty_like(self._from_m)
        elapsed_s = np.maximum(time_s - self._ordered_s, 0.0)
        for duration_s in np.unique(self._duration_s):
            rows = self._duration_s == duration_s
            position_m[rows], velocity_m_s[rows] = reference_along(
                self._from_m[rows],
                self._goal_m[rows],
                elapsed_s[rows],
                float(duration_s),
                self._limits.speed_m_s,
            )
        return position_m, velocity_m_s

    def tracking_error_m(self) -> FloatArray:
        """(M, 3) set-point minus position at `time_s` [m; map]."""
        return self.reference(self.time_s)[0] - self.motion.position_m

    def step(self) -> None:
        """Fly one control period. Failed UAVs stand still and spend nothing."""
        reference_m, velocity_m_s = self.reference(self.time_s)
        moved = track(self.motion, reference_m, velocity_m_s, self._limits, self.step_s)
        speed_m_s = np.linalg.norm(moved.velocity_m_s, axis=1)
        self.energy_used_j += self.alive * propulsion_power_w(speed_m_s) * self.step_s
        flying = self.alive[:, None]
        self.motion = MotionState(
            np.where(flying, moved.position_m, self.motion.position_m),
            np.where(flying, moved.velocity_m_s, 0.0),
            np.where(flying, moved.acceleration_m_s2, 0.0),
        )
        self._steps += 1

    def due(self, time_s: float) -> bool:
        """Whether a step ends at or before an instant [s]."""
        return (self._steps + 1) * self.step_s <= time_s + 1e-9
