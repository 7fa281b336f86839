"""UAVs that follow a plan: where to be at the start of each slot, flown by an autopilot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sec_nodes.loop.uavs import UavFleet
from sec_nodes.physics.checks import require_finite, require_last_axis, require_positive
from sec_nodes.physics.energy import ZENG_2019, RotaryWing
from sec_nodes.physics.motion import MotionLimits, MotionState
from sec_nodes.slot import FloatArray

_ROUNDING = 1e-9
"""Of the slots since a plan began, counted with their fractions."""


@dataclass(frozen=True)
class Route:
    """The plan for one UAV, as in Liu et al., Sensors 2026, 26(11), 3540: q[m], m = 1..M+1."""

    start_s: float
    """When it is at the first waypoint [s; simulation time]."""
    slot_s: float
    """Time between waypoints [s]."""
    waypoint_m: FloatArray
    """(L + 1, 3) [m; map]."""

    def at(self, time_s: float) -> tuple[FloatArray, FloatArray]:
        """Position [m; map] and velocity [m/s; map] at an instant [s], (3,) each.

        Straight at constant speed from waypoint to waypoint; still before the first and after the
        last. At a waypoint the velocity is that of the way on.
        """
        waypoint_m, legs = self.waypoint_m, len(self.waypoint_m) - 1
        along = min(max((time_s - self.start_s) / self.slot_s, -1.0), legs)
        # control periods do not add up to slots exactly: what rounding leaves of a leg is over
        leg = math.floor(along + _ROUNDING)
        if leg < 0 or leg >= legs:
            return waypoint_m[max(leg, 0)], np.zeros(3)
        way_m = waypoint_m[leg + 1] - waypoint_m[leg]
        return waypoint_m[leg] + max(along - leg, 0.0) * way_m, way_m / self.slot_s


class MissionFleet(UavFleet):
    """UAVs of one process that follow the plan of a mission.

    The set-point is the plan at that time, with its velocity fed forward; the autopilot tracks it
    under the limits of the UAV. A velocity that changes at once from slot to slot, as in the plan,
    no UAV can fly: the difference is the tracking error. A UAV without a plan hovers.

    Args:
        start_m: (M, 3) where all UAVs of the run hover at first [m; map].
        limits: what the UAVs can do; more than the plans ask for.
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
        super().__init__(start_m, limits, ids, step_s, wing)
        self._row_of = {server_id: row for row, server_id in enumerate(ids)}
        self._routes: dict[int, Route] = {}

    def follow(
        self, server_id: int, start_s: float, slot_s: float, waypoint_m: FloatArray
    ) -> None:
        """Follow a plan from now on, instead of any other.

        Args:
            server_id: UAV of this process.
            start_s: when it shall be at the first waypoint [s; simulation time].
            slot_s: time between waypoints [s].
            waypoint_m: (L + 1, 3), at least one [m; map].

        Raises:
            ValueError: no such UAV here, or numbers that make no plan.
        """
        if server_id not in self._row_of:
            raise ValueError(f'server {server_id} is none of the UAVs {list(self._row_of)}')
        require_finite('start_s', start_s, 'Give the instant of the first waypoint.')
        require_finite('slot_s', slot_s, 'Give the length of a slot.')
        require_positive('slot_s', slot_s, 'Give the length of a slot.')
        require_last_axis('waypoint_m', waypoint_m, 3)
        if waypoint_m.ndim != 2 or len(waypoint_m) == 0:
            raise ValueError(
                f'waypoint_m has shape {waypoint_m.shape}, but must be (L + 1, 3). Give one '
                'waypoint for each slot and one for the end.'
            )
        require_finite('waypoint_m', waypoint_m, 'Drop the plan that holds it.')
        row = self._row_of[server_id]
        self._routes[row] = Route(start_s, slot_s, waypoint_m)
        if self.alive[row]:
            self.setpoint = self._planned(self.time_s)

    def next_setpoint(self) -> MotionState:
        """The plan at the end of the next control period."""
        return self._planned(self.time_s + self.step_s)

    def _planned(self, time_s: float) -> MotionState:
        """Set-points at an instant [s]; those without a plan stay where they are."""
        position_m, velocity_m_s = self.setpoint.position_m.copy(), np.zeros_like(self.goal_m)
        for row, route in self._routes.items():
            position_m[row], velocity_m_s[row] = route.at(time_s)
        return MotionState(position_m, velocity_m_s, np.zeros_like(position_m))
