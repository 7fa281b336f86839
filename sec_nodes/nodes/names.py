"""Every topic and service of the graph: name, type and quality of service, in one place.

Names are relative, so that a namespace may be put before the whole fleet. Topics of a vehicle
stand below its name (`uav_0/odom`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, Vector3Stamped
from nav_msgs.msg import Odometry, Path
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from sec_offload import msg, srv

MAP_FRAME = 'map'


def _profile(
    depth: int,
    reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


SENSOR = _profile(5, reliability=ReliabilityPolicy.BEST_EFFORT)
STANDARD = _profile(10)
COMMAND = _profile(10)
PAYLOAD = _profile(200)
MOTION = _profile(100)
STATE = _profile(1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Topic(NamedTuple):
    """A topic of the graph."""

    name: str
    type: Any
    qos: QoSProfile

    def of(self, vehicle: str) -> Topic:
        """The same topic below the name of a vehicle."""
        return self._replace(name=f'{vehicle}/{self.name}')


CLOCK = Topic('/clock', Clock, SENSOR)
DIAGNOSTICS = Topic('/diagnostics', DiagnosticArray, STANDARD)
SLOT_START = Topic('slot_start', msg.SlotStart, COMMAND)
DEVICE_REPORT = Topic('device_report', msg.DeviceReport, STANDARD)
SERVER_REPORT = Topic('server_report', msg.ServerReport, STANDARD)
LINK_REQUEST = Topic('link_request', msg.LinkRequest, COMMAND)
LINK_TABLE = Topic('link_table', msg.LinkTable, STANDARD)
SLOT_STATE = Topic('slot_state', msg.SlotState, STANDARD)
SLOT_DECISION = Topic('slot_decision', msg.SlotDecision, STANDARD)
ASSIGNMENTS = Topic('assignments', msg.AssignmentBatch, COMMAND)
PAYLOAD_TX = Topic('payload_tx', msg.Payload, PAYLOAD)
RESULT_TX = Topic('result_tx', msg.TaskResult, PAYLOAD)
RESULT = Topic('result', msg.TaskResult, PAYLOAD)
TOKEN_TX = Topic('token_tx', msg.TokenChunk, PAYLOAD)
TOKEN = Topic('token', msg.TokenChunk, PAYLOAD)
TASK_REPORT = Topic('task_report', msg.TaskReport, PAYLOAD)
TASK_OUTCOME = Topic('task_outcome', msg.TaskOutcome, PAYLOAD)
SLOT_OUTCOME = Topic('slot_outcome', msg.SlotOutcome, STANDARD)
RUN_STATE = Topic('run_state', msg.RunState, STATE)
VISIBILITY = Topic('visibility', msg.VisibilityWindows, STATE)
READY = Topic('ready', String, _profile(20, durability=DurabilityPolicy.TRANSIENT_LOCAL))
FAILURE = Topic('failure', msg.Failure, COMMAND)
FAILURE_NOTICE = Topic('failure_notice', msg.FailureNotice, STANDARD)
MIGRATION = Topic('migration', msg.Migration, PAYLOAD)
SCENE = Topic('scene', MarkerArray, STANDARD)
RELAY_TX = Topic('relay_tx', msg.RelayBatch, PAYLOAD)
RELAY_RESULT_TX = Topic('relay_result_tx', msg.RelayResult, PAYLOAD)
RELAY_RESULT = Topic('relay_result', msg.RelayResult, PAYLOAD)
RELAY_REPORT = Topic('relay_report', msg.RelayReport, PAYLOAD)
DATA_TX = Topic('data_tx', msg.DataBatch, PAYLOAD)
DATA_GRANT = Topic('data_grant', msg.DataGrant, PAYLOAD)
DATA_RECEIPT = Topic('data_receipt', msg.DataReceipt, PAYLOAD)
DELIVERY = Topic('delivery', msg.Delivery, PAYLOAD)
PROGRAM_TX = Topic('program_tx', msg.Program, PAYLOAD)

VEHICLE_PAYLOAD = Topic('payload', msg.Payload, PAYLOAD)
VEHICLE_PROGRAM = Topic('program', msg.Program, PAYLOAD)
VEHICLE_RELAY = Topic('relay', msg.RelayBatch, PAYLOAD)
VEHICLE_DATA = Topic('data', msg.DataBatch, PAYLOAD)
VEHICLE_ODOMETRY = Topic('odom', Odometry, MOTION)
VEHICLE_SETPOINT = Topic('setpoint', PoseStamped, MOTION)
VEHICLE_TRACKING_ERROR = Topic('tracking_error', Vector3Stamped, MOTION)
VEHICLE_PATH = Topic('path', Path, STANDARD)

SET_CONTROLLER = ('set_controller', srv.SetController)
INJECT_FAILURE = ('inject_failure', srv.InjectFailure)
