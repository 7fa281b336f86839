"""The flight of the UAVs, thinned out: topics at 50 Hz become rows at 10 Hz or less."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sec_nodes.recording.rows import Row, motion, seconds

PERIOD_S = 0.1
"""Shortest simulation time between two rows of one UAV [s]."""


@dataclass
class _Latest:
    """What is known of one UAV."""

    next_s: dict[str, float] = field(default_factory=dict)
    values: Row = field(default_factory=dict)


class FlightSampler:
    """Joins the topics of each UAV into rows of `uavs`."""

    def __init__(self, names: Iterable[str]) -> None:
        """Follow the UAVs of these names."""
        self._uavs = {name: _Latest() for name in names}

    def wants(self, name: str, topic: str, stamp_s: float) -> bool:
        """Whether a message is due: deserialising the others would be wasted work.

        Args:
            name: the UAV.
            topic: topic below the name of the UAV; each is thinned out by itself.
            stamp_s: stamp of the message [s; simulation time].
        """
        due = self._uavs[name].next_s
        # Stamps of a 50 Hz topic miss multiples of the period by rounding errors.
        if stamp_s < due.get(topic, -math.inf) - 1e-6:
            return False
        due[topic] = (math.floor(stamp_s / PERIOD_S + 1e-6) + 1) * PERIOD_S
        return True

    def setpoint(self, name: str, message: Any) -> None:
        """Take in a geometry_msgs/PoseStamped."""
        point = message.pose.position
        self._uavs[name].values.update({f'setpoint_{a}_m': getattr(point, a) for a in 'xyz'})

    def tracking_error(self, name: str, message: Any) -> None:
        """Take in a geometry_msgs/Vector3Stamped."""
        error = message.vector
        length = math.sqrt(error.x**2 + error.y**2 + error.z**2)
        self._uavs[name].values['tracking_error_m'] = length

    def server(self, state: Any) -> None:
        """Take in a ServerState; other servers than the UAVs are passed over."""
        if state.name in self._uavs:
            values = self._uavs[state.name].values
            values['energy_used_j'] = state.energy_used_j
            values['energy_left_j'] = state.energy_left_j if state.has_battery else ''

    def odometry(self, name: str, message: Any) -> Row:
        """A row of `uavs` from a nav_msgs/Odometry and what the other topics said before."""
        pose, twist = message.pose.pose, message.twist.twist
        velocity = twist.linear
        if message.child_frame_id != message.header.frame_id:
            velocity = _rotated(pose.orientation, velocity)
        return {
            'time_s': seconds(message.header.stamp),
            'name': name,
            **motion(pose.position, velocity),
            **self._uavs[name].values,
        }


@dataclass(frozen=True)
class _Vector:
    x: float
    y: float
    z: float


def _rotated(q: Any, v: Any) -> _Vector:
    """Vector of the body in the frame that the quaternion's pose refers to."""
    # v + 2 w (u x v) + 2 u x (u x v), with u the vector part of the quaternion
    tx, ty, tz = (
        2 * (q.y * v.z - q.z * v.y),
        2 * (q.z * v.x - q.x * v.z),
        2 * (q.x * v.y - q.y * v.x),
    )
    return _Vector(
        v.x + q.w * tx + q.y * tz - q.z * ty,
        v.y + q.w * ty + q.z * tx - q.x * tz,
        v.z + q.w * tz + q.x * ty - q.y * tx,
    )
