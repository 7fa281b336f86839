"""The flight of the UAVs, thinned out: topics at 50 Hz become rows at 10 Hz or less."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sec_nodes.recording.rows import Row, motion, seconds

PERIOD_S = 0.1
"""Shortest simulation time between two rows of one UAV [s]."""

PATIENCE_S = 1.0
"""Simulation time that a row waits for what else is told of its instant [s]."""

_NOTES = ('setpoint', 'tracking_error')


@dataclass
class _Uav:
    """What is known of one UAV."""

    next_s: dict[str, float] = field(default_factory=dict)
    latest: Row = field(default_factory=dict)
    notes: dict[str, dict[float, Row]] = field(default_factory=lambda: {n: {} for n in _NOTES})
    """Columns by topic and instant [s], of instants that have no row yet."""
    waiting: dict[float, Row] = field(default_factory=dict)
    """Rows by instant [s]."""

    def is_complete(self, time_s: float) -> bool:
        """Whether the other topics have told of an instant."""
        return all(time_s in told for told in self.notes.values())

    def release(self, until_s: float) -> list[Row]:
        """Rows up to an instant [s], with what was told of each, or before it."""
        rows = []
        for time_s in [time_s for time_s in self.waiting if time_s <= until_s]:
            for told in self.notes.values():
                for earlier_s in [one_s for one_s in told if one_s <= time_s]:
                    self.latest.update(told.pop(earlier_s))
            rows.append(self.waiting.pop(time_s) | self.latest)
        return rows


class FlightSampler:
    """Joins the topics of each UAV into rows of `uavs`.

    A recorder that has much to read gets one topic after the other, so that messages about one
    instant are found by their stamps. A row waits for those that are still to come.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Follow the UAVs of these names."""
        self._uavs = {name: _Uav() for name in names}

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

    def setpoint(self, name: str, message: Any) -> list[Row]:
        """Take in a geometry_msgs/PoseStamped; returns the rows that are complete by it."""
        point = message.pose.position
        columns = {f'setpoint_{axis}_m': getattr(point, axis) for axis in 'xyz'}
        return self._note(name, 'setpoint', message, columns)

    def tracking_error(self, name: str, message: Any) -> list[Row]:
        """Take in a geometry_msgs/Vector3Stamped; returns the rows that are complete by it."""
        error = message.vector
        length = math.sqrt(error.x**2 + error.y**2 + error.z**2)
        return self._note(name, 'tracking_error', message, {'tracking_error_m': length})

    def server(self, state: Any) -> None:
        """Take in a ServerState; other servers than the UAVs are passed over."""
        if state.name in self._uavs:
            latest = self._uavs[state.name].latest
            latest['energy_used_j'] = state.energy_used_j
            latest['energy_left_j'] = state.energy_left_j if state.has_battery else ''

    def odometry(self, name: str, message: Any) -> list[Row]:
        """Take in a nav_msgs/Odometry; returns the rows of `uavs` that are complete by it."""
        pose, twist = message.pose.pose, message.twist.twist
        velocity = twist.linear
        if message.child_frame_id != message.header.frame_id:
            velocity = _rotated(pose.orientation, velocity)
        uav, time_s = self._uavs[name], seconds(message.header.stamp)
        uav.waiting[time_s] = {
            'time_s': time_s,
            'name': name,
            **motion(pose.position, velocity),
        }
        return uav.release(time_s if uav.is_complete(time_s) else time_s - PATIENCE_S)

    def rest(self) -> list[Row]:
        """Rows that still wait, at the end."""
        return [row for uav in self._uavs.values() for row in uav.release(math.inf)]

    def _note(self, name: str, topic: str, message: Any, columns: Row) -> list[Row]:
        uav, time_s = self._uavs[name], seconds(message.header.stamp)
        uav.notes[topic][time_s] = columns
        done_s = [one_s for one_s in uav.waiting if one_s <= time_s and uav.is_complete(one_s)]
        return uav.release(max(done_s, default=-math.inf))


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
