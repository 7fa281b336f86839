"""Node `uav`: UAVs that fly to their goals and run networks on board."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, Vector3Stamped
from nav_msgs.msg import Odometry, Path

from sec_nodes.nodes import names
from sec_nodes.nodes.base import flown_kind, own_ids, run
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.handover import Handovers
from sec_nodes.nodes.parameters import parameter
from sec_nodes.nodes.server import BATTERY_EMPTY, ServerNode, with_energy
from sec_nodes.nodes.serving import Lane, ServerParameters
from sec_nodes.nodes.vector_messages import array3, point, vector3
from sec_nodes.slot import FloatArray, ServerKind
from sec_offload import msg

UNLIMITED_S = float('inf')
DIRECTION_SPEED_M_S = 0.1
"""Below this speed a UAV keeps its heading [m/s]."""
PATH_POINTS = 300
CALM_STRIDE = 5
"""Steps between messages that need no full rate: 10 Hz at a control rate of 50 Hz."""


@dataclass(frozen=True)
class Parameters(ServerParameters):
    """Parameters of the node `uav`."""

    control_hz: float = parameter(50.0, 'rate of the autopilot [Hz]', low=1.0, high=400.0)


class UavNode(ServerNode):
    """UAVs of one process, flown as one fleet."""

    def __init__(self) -> None:
        super().__init__('uav', Parameters)
        step_s = 1.0 / self.settings_of_run.control_hz
        self.fleet = self.world.uavs(list(self.lanes), step_s, self.chosen.seed)
        self.row_of = {server_id: row for row, server_id in enumerate(self.lanes)}
        batteries_j = [lane.server.battery_j for lane in self.lanes.values()]
        self.battery_j = np.array([np.inf if one is None else one for one in batteries_j])
        self.charged_j = np.zeros(len(self.lanes))
        """What had been used when each battery was full last [J]."""
        self.yaw_rad = np.zeros(len(self.lanes))
        self.tracks: list[deque[Any]] = [deque(maxlen=PATH_POINTS) for _ in self.lanes]
        self.steps = 0
        topics = (
            names.VEHICLE_ODOMETRY,
            names.VEHICLE_SETPOINT,
            names.VEHICLE_TRACKING_ERROR,
            names.VEHICLE_PATH,
        )
        self.outputs = [
            tuple(self.advertise(topic.of(lane.name)) for topic in topics)
            for lane in self.lanes.values()
        ]
        if self.world.failover is not None:
            self.handovers = Handovers(self, self.world.failover)
            self.lifelines += self.handovers.lifelines
        self.create_wall_timer(step_s, self.fly)

    def make_lanes(self) -> list[Lane]:
        """One lane a UAV."""
        return [
            self.lane(number)
            for number in own_ids(self.chosen.ids, self.world.settings.uavs.count)
        ]

    def describe(self, time_s: float) -> list[msg.ServerState]:
        """Where the UAVs are, and what their batteries hold."""
        error_m = np.linalg.norm(self.fleet.tracking_error_m, axis=1)
        states = []
        for row, lane in enumerate(self.lanes.values()):
            position = point(self.fleet.motion.position_m[row])
            state = msg.ServerState(
                kind=int(ServerKind.UAV),
                position=position,
                velocity=vector3(self.fleet.motion.velocity_m_s[row]),
                in_view=True,
                receiver=lane.server_id,
                receiver_position=position,
                remaining_s=UNLIMITED_S,
                tracking_error_m=float(error_m[row]),
            )
            has_battery = lane.server.battery_j is not None
            full_j = float(self.battery_j[row] + self.charged_j[row]) if has_battery else None
            states.append(with_energy(state, float(self.used_j()[row]), full_j))
        return states

    def used_j(self) -> FloatArray:
        """(M,) what each UAV has used since the start [J]."""
        computing_j = [lane.energy_used_j for lane in self.lanes.values()]
        return np.asarray(self.fleet.energy_used_j + computing_j)

    def on_slot_start(self, message: msg.SlotStart) -> None:
        """Fly on from the first slot that is heard of: what was before a restart is over."""
        if self.reported_slot < 0:
            self.fleet.skip_to(message.start_s)
        super().on_slot_start(message)

    def on_goal(self, server_id: int, goal: object) -> None:
        """Fly to a goal."""
        self.fleet.goal_m[self.row_of[server_id]] = array3([goal])[0]

    def set_alive(self, lane: Lane, alive: bool) -> None:
        """A failed UAV stands still. One that recovers has another battery if its own is empty."""
        super().set_alive(lane, alive)
        row = self.row_of[lane.server_id]
        self.fleet.alive[row] = alive
        if lane.failing == BATTERY_EMPTY and np.isfinite(self.battery_j[row]):
            left_j = 0.0 if not alive else self.battery_j[row]
            self.charged_j[row] = self.used_j()[row] + left_j - self.battery_j[row]

    def look_at_batteries(self) -> None:
        """UAVs whose batteries are empty fail in good order."""
        empty = self.fleet.alive & (self.used_j() - self.charged_j >= self.battery_j)
        for lane, is_empty in zip(self.lanes.values(), empty, strict=True):
            if is_empty:
                self.give_up(lane, BATTERY_EMPTY)

    def fly(self) -> None:
        """Advance to now, while nothing else tells how far to go."""
        if not self.time.lockstep:
            self.advance(self.time.now_s())

    def advance(self, time_s: float) -> None:
        """Fly all control periods that are due, as long as there is energy."""
        full_rate = self.time.real_time and not self.world.hovers
        while self.fleet.due(time_s):
            with self.lock:
                self.fleet.step()
            self.steps += 1
            calm = self.steps % CALM_STRIDE == 0
            if full_rate or calm:
                self.publish_motion(calm)
        self.look_at_batteries()

    def publish_motion(self, calm: bool) -> None:
        """Odometry; and at a calmer rate set-point, tracking error and path."""
        motion, stamp = self.fleet.motion, to_stamp(self.fleet.time_s)
        speed = np.linalg.norm(motion.velocity_m_s[:, :2], axis=1)
        heading = np.arctan2(motion.velocity_m_s[:, 1], motion.velocity_m_s[:, 0])
        self.yaw_rad = np.where(speed > DIRECTION_SPEED_M_S, heading, self.yaw_rad)
        setpoint_m, error_m = self.fleet.setpoint.position_m, self.fleet.tracking_error_m
        for row, lane in enumerate(self.lanes.values()):
            if not lane.is_heard:
                continue
            odometry, setpoint, error, path = self.outputs[row]
            odometry.publish(self.odometry(row, lane.name, stamp))
            if calm:
                setpoint.publish(_pose(stamp, setpoint_m[row], 0.0))
                offset = Vector3Stamped(vector=vector3(error_m[row]))
                offset.header.stamp, offset.header.frame_id = stamp, names.MAP_FRAME
                error.publish(offset)
                if self.steps % (10 * CALM_STRIDE) == 0:
                    self.tracks[row].append(
                        _pose(stamp, motion.position_m[row], self.yaw_rad[row])
                    )
                    message = Path(poses=list(self.tracks[row]))
                    message.header.stamp, message.header.frame_id = stamp, names.MAP_FRAME
                    path.publish(message)

    def odometry(self, row: int, name: str, stamp: Any) -> Odometry:
        """Pose in `map`, twist in the vehicle's own frame (REP 105)."""
        motion, yaw = self.fleet.motion, float(self.yaw_rad[row])
        message = Odometry(child_frame_id=f'{name}/base_link')
        message.header.stamp, message.header.frame_id = stamp, names.MAP_FRAME
        message.pose.pose = _pose(stamp, motion.position_m[row], yaw).pose
        east, north, up = motion.velocity_m_s[row]
        forward = np.cos(yaw) * east + np.sin(yaw) * north
        left = np.cos(yaw) * north - np.sin(yaw) * east
        message.twist.twist.linear = vector3((forward, left, up))
        return message


def _pose(stamp: Any, position_m: Any, yaw_rad: float) -> PoseStamped:
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = stamp, names.MAP_FRAME
    message.pose.position = point(position_m)
    message.pose.orientation.z = float(np.sin(yaw_rad / 2))
    message.pose.orientation.w = float(np.cos(yaw_rad / 2))
    return message


def make() -> UavNode:
    """The node as its scenario needs it."""
    with flown_kind('uav') as kind:
        if kind == 'relays':
            from sec_nodes.nodes.relay_uav import RelayUavNode

            return RelayUavNode()
        if kind == 'missions':
            from sec_nodes.nodes.mission_uav import MissionUavNode

            return MissionUavNode()
        return UavNode()


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(make, args)


if __name__ == '__main__':
    main()
