"""UAVs whose goals are where they shall be at the end of a slot, moving on."""

from __future__ import annotations

import math

import numpy as np

from sec_nodes.loop.uavs import UavFleet
from sec_nodes.physics.energy import RotaryWing
from sec_nodes.physics.motion import MotionLimits, MotionState
from sec_nodes.slot import FloatArray

ROUNDING = 1e-3
"""How far beyond its limits a UAV counts as within them."""
SAME_GOAL_M = 2.0
"""Goals that are nearer to each other mean: come here and stay [m]."""
BRAKING_SHARE = 0.8
"""Share of the acceleration with which a goal is approached that is too far for a slot."""
NO_DISTANCE_M = 1e-9
LATENESS_S = 1e-6
"""What a slot may have left and count as over [s]."""


class AcceleratedFleet(UavFleet):
    """UAVs of one process that keep an acceleration for the rest of a slot.

    The set-point follows Meng and Li, (6) and (7): constant acceleration up to the end of the
    slot, so that it is at the goal then; from there on it goes straight ahead, until the next goal
    comes. Without one for a whole slot it stops. To a goal that is too far for a slot, or hardly
    another than that of the slot before, it travels so that it can stop there. The autopilot
    follows it under its own limits.

    Args:
        start_m: (M, 3) where all UAVs of the run start [m; map].
        limits: what the UAVs can do.
        planned: what set-points use of it.
        ids: numbers of the UAVs of this process, ascending.
        step_s: control period [s].
        wing: what flying costs.
        slot_s: length of a slot [s].
        space_m: lowest and highest corner (3,) of where they may fly [m; map].
    """

    def __init__(
        self,
        start_m: FloatArray,
        limits: MotionLimits,
        planned: MotionLimits,
        ids: list[int],
        step_s: float,
        wing: RotaryWing,
        slot_s: float,
        space_m: tuple[FloatArray, FloatArray],
    ) -> None:
        super().__init__(start_m, limits, ids, step_s, wing)
        self._calm_limits, self._slot_s, self._space_m = planned, slot_s, space_m
        self._wish_m_s2 = np.zeros_like(self.goal_m)
        self._known_goal_m = self.goal_m.copy()
        self._until_s = np.zeros(len(ids))
        self._is_far = np.zeros(len(ids), dtype=bool)
        self._has_goal = np.zeros(len(ids), dtype=bool)

    def next_setpoint(self) -> MotionState:
        """Where the set-points are at the end of the next control period."""
        self._take_goals()
        limits, before, step_s = self._calm_limits, self.setpoint, self.step_s
        wish = _within(self._wanted_m_s2(), limits.acceleration_m_s2)
        velocity = _within(before.velocity_m_s + wish * step_s, limits.speed_m_s)
        position = before.position_m + 0.5 * (before.velocity_m_s + velocity) * step_s
        inside = np.clip(position, *self._space_m)
        velocity = np.where(inside == position, velocity, 0.0)
        return MotionState(inside, velocity, (velocity - before.velocity_m_s) / step_s)

    def _wanted_m_s2(self) -> FloatArray:
        """(M, 3) accelerations of the set-points, limits aside."""
        now_s, before = self.time_s, self.setpoint
        left_m = self.goal_m - before.position_m
        distance_m = _length(left_m)[:, None]
        braking_m_s2 = BRAKING_SHARE * self._calm_limits.acceleration_m_s2
        speed_m_s = np.minimum(
            np.sqrt(2.0 * braking_m_s2 * distance_m), self._calm_limits.speed_m_s
        )
        approach_m_s = left_m * speed_m_s / np.maximum(distance_m, NO_DISTANCE_M)
        approach = (approach_m_s - before.velocity_m_s) / self.step_s
        stop = -before.velocity_m_s / self.step_s
        steers = (now_s < self._until_s - LATENESS_S)[:, None]
        is_forgotten = (now_s >= self._until_s + self._slot_s - LATENESS_S)[:, None]
        wanted = np.where(steers, self._wish_m_s2, 0.0)
        wanted = np.where(self._is_far[:, None], approach, wanted)
        return np.where(is_forgotten, stop, wanted)

    def _take_goals(self) -> None:
        """Work out the acceleration to each goal that is new."""
        now_s = self.time_s
        end_s = self._slot_s * (math.floor(now_s / self._slot_s + LATENESS_S) + 1)
        left_s = end_s - now_s
        is_new = (self.goal_m != self._known_goal_m).any(axis=1)
        way_m = self.goal_m - self.setpoint.position_m - self.setpoint.velocity_m_s * left_s
        wish = 2.0 * way_m / left_s**2
        end_m_s = self.setpoint.velocity_m_s + wish * left_s
        limits = self._calm_limits
        too_much = _length(wish) > limits.acceleration_m_s2 * (1.0 + ROUNDING)
        too_fast = _length(end_m_s) > limits.speed_m_s * (1.0 + ROUNDING)
        shift_m = _length(self.goal_m - self._known_goal_m)
        stays = is_new & (shift_m < SAME_GOAL_M) & self._has_goal
        self._is_far = np.where(is_new, too_much | too_fast | stays, self._is_far)
        self._has_goal |= is_new
        self._wish_m_s2 = np.where(is_new[:, None], wish, self._wish_m_s2)
        self._until_s = np.where(is_new, end_s, self._until_s)
        self._known_goal_m = self.goal_m.copy()


def _length(vector: FloatArray) -> FloatArray:
    """(M,) of vectors (M, 3)."""
    return np.asarray(np.linalg.norm(vector, axis=1))


def _within(vector: FloatArray, longest: float) -> FloatArray:
    """Vectors (M, 3), shortened to a length where they are longer."""
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    return vector * np.minimum(1.0, longest / np.maximum(length, longest))
