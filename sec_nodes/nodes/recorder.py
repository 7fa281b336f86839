"""Node `recorder`: keeps everything that a run says, as an MCAP log and as tables.

Messages are taken off the wire as bytes (`raw=True`, alike on every ROS 2 from Humble on) and
go into the log unchanged; only those that fill a table are deserialised. /clock is not logged:
every message is stamped with its time, and a replay makes a clock of its own.
"""

from __future__ import annotations

import itertools
import json
import math
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions

from sec_nodes.config import ConfigError
from sec_nodes.loop.deliveries import GROUND_STATION
from sec_nodes.nodes import names
from sec_nodes.nodes.base import is_matched
from sec_nodes.nodes.parameters import ParameterError, parameter, read_parameters
from sec_nodes.nodes.spinning import take_messages
from sec_nodes.recording.definitions import DefinitionError, full_definition
from sec_nodes.recording.mcap_log import McapLog
from sec_nodes.recording.run_files import RunFiles
from sec_nodes.report import ReportError, summarise
from sec_nodes.scenarios.registry import read_flown
from sec_offload.msg import RunState

DEPTH = 2000
"""Messages of a topic that may wait for the recorder; others need only the newest."""

REST_S = 0.01
"""Wall time between two looks at the topics [s]."""

SETTLE_S = 0.3
"""Wall time for messages that are under way when the run ends [s]."""

PATIENCE_S = 5.0
"""Longest wall time that the recorder waits for outcomes that the coordinator has counted [s]."""

FAREWELL_S = 3.0
"""Longest wall time after Ctrl-C in which the coordinator may report open tasks [s]."""

LOG_FILE = 'run.mcap'
SUMMARY_FILE = 'summary.json'

Handler = Callable[[Any], None]


@dataclass(frozen=True)
class Parameters:
    """Parameters of the recorder."""

    run_dir: str = parameter('', 'folder that receives the run; made if missing')
    scenario: str = parameter('survey', 'name or YAML file of the scenario that is run')
    payloads: bool = parameter(
        False, 'whether pictures, tensors, programs and files go into the log too'
    )


class RecordingError(RuntimeError):
    """The recording cannot go on; the text says why and what to do."""


class Recorder(Node):
    """Subscribes to every topic of the graph and writes what arrives."""

    def __init__(self) -> None:
        """Open the files and subscribe.

        Raises:
            ParameterError: the folder is not given, not writable, or holds a run already.
            ConfigError: there is no such scenario.
            DefinitionError: a message package is not installed.
        """
        super().__init__('recorder')
        self.parameters = read_parameters(self, Parameters)
        settings: Any = read_flown(self.parameters.scenario)
        self.run_dir = _made(self.parameters.run_dir)
        servers = _server_names(settings)
        try:
            self.files = RunFiles(self.run_dir, settings.model_dump(mode='json'), servers)
            self._log = McapLog(self.run_dir / LOG_FILE)
        except OSError as error:
            raise ParameterError(
                f'parameter run_dir = {self.run_dir}: {error.strerror}; choose a writable folder'
            ) from None
        self.state: RunState | None = None
        """Last state of the run; none before the first."""
        uavs = [name for name in servers.values() if name.startswith('uav_')]
        for topic, handler in self._tables():
            self._record(topic, handler)
        for topic, uav, flight_handler in self._flights(uavs):
            self._record_flight(topic, uav, flight_handler)
        if self.parameters.payloads:
            for topic in self._payloads(servers.values()):
                self._record(topic, None)
        self._essential = self.subscription_of(names.DEVICE_REPORT, names.TASK_OUTCOME)
        self._ready = self.create_publisher(names.READY.type, names.READY.name, names.READY.qos)
        self._is_ready = False
        self.get_logger().info(f'recording to {self.run_dir}')

    def subscription_of(self, *topics: names.Topic) -> list[Any]:
        """Subscriptions to some topics of the graph."""
        wanted = [self.resolve_topic_name(topic.name) for topic in topics]
        return [one for one in self.subscriptions if one.topic_name in wanted]

    def announce_when_ready(self) -> None:
        """Say once that nothing will be missed: tasks and their outcomes arrive from now on."""
        if not self._is_ready and all(is_matched(self, one) for one in self._essential):
            self._is_ready = True
            self._ready.publish(names.READY.type(data=self.get_name()))

    @property
    def run_is_over(self) -> bool:
        """Whether the coordinator has declared the end of the run."""
        over = (RunState.FINISHED, RunState.ABORTED)
        return self.state is not None and self.state.state in over

    @property
    def is_complete(self) -> bool:
        """Whether the run is over and every outcome has arrived."""
        return self.run_is_over and not self.outcomes_missing

    @property
    def outcomes_missing(self) -> int:
        """Outcomes that the coordinator has counted and that have not arrived."""
        ended = self.state.tasks_ended if self.state is not None else 0
        return max(0, ended - len(self.files.outcomes))

    def close(self) -> None:
        """Finish log and tables.

        Raises:
            OSError: what was still in memory could not be written.
        """
        try:
            self._log.close()
        finally:
            self.files.close()

    def _tables(self) -> list[tuple[names.Topic, Handler | None]]:
        """Topics of the fleet; with what takes in their messages, if they fill a table."""
        files = self.files
        return [
            (names.DIAGNOSTICS, None),
            (names.SLOT_START, None),
            (names.DEVICE_REPORT, files.device_report),
            (names.SERVER_REPORT, files.server_report),
            (names.LINK_REQUEST, None),
            (names.LINK_TABLE, files.link_table),
            (names.SLOT_STATE, files.slot_state),
            (names.SLOT_DECISION, None),
            (names.ASSIGNMENTS, files.assignment_batch),
            (names.TOKEN_TX, None),
            (names.TOKEN, None),
            (names.RESULT_TX, None),
            (names.RESULT, None),
            (names.TASK_REPORT, None),
            (names.RELAY_RESULT_TX, None),
            (names.RELAY_RESULT, None),
            (names.RELAY_REPORT, files.relay_report),
            (names.DATA_GRANT, None),
            (names.DATA_RECEIPT, None),
            (names.DELIVERY, files.delivery),
            (names.TASK_OUTCOME, files.task_outcome),
            (names.SLOT_OUTCOME, files.slot_outcome),
            (names.RUN_STATE, self._take_state),
            (names.VISIBILITY, files.visibility),
            (names.FAILURE, files.failure),
            (names.FAILURE_NOTICE, files.failure_notice),
            (names.MIGRATION, files.migration),
            (names.SCENE, None),
        ]

    def _flights(
        self, uavs: list[str]
    ) -> Iterator[tuple[names.Topic, str, Callable[[str, Any], None] | None]]:
        """Topics of each UAV, likewise."""
        for uav in uavs:
            yield names.VEHICLE_SETPOINT, uav, self.files.setpoint
            yield names.VEHICLE_TRACKING_ERROR, uav, self.files.tracking_error
            yield names.VEHICLE_ODOMETRY, uav, self.files.odometry
            yield names.VEHICLE_PATH, uav, None

    def _payloads(self, servers: Iterable[str]) -> Iterator[names.Topic]:
        """Topics whose messages hold pictures, tensors, programs or files."""
        yield from (names.PAYLOAD_TX, names.PROGRAM_TX, names.RELAY_TX, names.DATA_TX)
        for server in servers:
            yield names.VEHICLE_PAYLOAD.of(server)
            yield names.VEHICLE_PROGRAM.of(server)
            yield names.VEHICLE_RELAY.of(server)
            yield names.VEHICLE_DATA.of(server)
        yield names.VEHICLE_DATA.of(GROUND_STATION)

    def _take_state(self, message: RunState) -> None:
        self.state = message
        self.files.run_state(message)

    def _record_flight(
        self, topic: names.Topic, uav: str, handler: Callable[[str, Any], None] | None
    ) -> None:
        due = partial(self.files.wants_flight, uav, topic.name)
        self._record(topic.of(uav), handler and partial(handler, uav), due)

    def _record(
        self,
        topic: names.Topic,
        handler: Handler | None,
        due: Callable[[float], bool] | None = None,
    ) -> None:
        """Log a topic, and pass its messages on.

        Args:
            topic: the topic.
            handler: takes in the messages; none = they are only logged.
            due: whether the message of a stamp [s] is passed on; none = all of them.
        """
        type_name = f'{topic.type.__module__.split(".")[0]}/msg/{topic.type.__name__}'
        full_name = self.resolve_topic_name(topic.name)
        channel = self._log.channel(full_name, type_name, full_definition(type_name))
        first_field = next(iter(topic.type.get_fields_and_field_types().values()))
        stamped = first_field == 'std_msgs/Header'

        def received(data: bytes) -> None:
            now_ns = self.get_clock().now().nanoseconds
            stamp_ns = _stamp_ns(data) if stamped else now_ns
            self._log.write(channel, data, now_ns, stamp_ns)
            if handler and (due is None or due(stamp_ns * 1e-9)):
                _pass_on(full_name, topic.type, handler, data)

        self.create_subscription(topic.type, topic.name, received, _deep(topic.qos), raw=True)


def _pass_on(topic: str, kind: Any, handler: Handler, data: bytes) -> None:
    try:
        handler(deserialize_message(data, kind))
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).partition('\n')[0]
        raise RecordingError(
            f'topic {topic}: malformed message of {len(data)} bytes ({reason}); '
            'build all nodes from the same version of sec_offload'
        ) from error


def _stamp_ns(data: bytes) -> int:
    """Stamp of a serialised message that begins with a header [ns].

    Four bytes tell the encoding, the second of them the byte order; the stamp follows.
    """
    if len(data) < 12:
        return 0
    sec, nanosec = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return max(0, sec * 10**9 + nanosec)


def _deep(qos: QoSProfile) -> QoSProfile:
    """The same quality of service with room for a recorder that is busy for a moment."""
    return QoSProfile(
        history=qos.history, depth=DEPTH, reliability=qos.reliability, durability=qos.durability
    )


def _server_names(settings: Any) -> dict[int, str]:
    """Name of each server by its number: UAVs first, then satellites."""
    uavs = [f'uav_{index}' for index in range(settings.uavs.count)]
    return dict(enumerate(uavs + [f'satellite_{i}' for i in range(settings.satellites.count)]))


def _made(folder: str) -> Path:
    """The folder of the run, made if missing."""
    if not folder:
        raise ParameterError("parameter run_dir = '': must name a folder, e.g. results/my_run")
    path = Path(folder)
    if (path / LOG_FILE).exists():
        raise ParameterError(
            f'parameter run_dir = {folder}: holds a run already; remove it or choose another'
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(
            f'parameter run_dir = {folder}: {error.strerror}; choose a writable folder'
        ) from None
    return path


class _Stop:
    """Counts signals. rclpy's own handlers would end the context, and with it the reception."""

    def __init__(self) -> None:
        self.requests = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def _request(self, *_: Any) -> None:
        self.requests += 1


def _record_run(node: Recorder, stop: _Stop) -> None:
    """Record until the run is over or somebody asks to stop, then take in what is under way."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def watch(condition: Callable[[], bool], longest_s: float = math.inf) -> None:
        give_up = time.monotonic() + longest_s
        for look in itertools.count():
            if condition() or stop.requests > 1 or time.monotonic() >= give_up:
                break
            take_messages(node)
            if look % 10 == 0:
                node.announce_when_ready()
                executor.spin_once(timeout_sec=0.0)  # answers those who ask for parameters
            time.sleep(REST_S)

    watch(lambda: node.run_is_over or stop.requests > 0)
    if node.state is not None and node.state.state != RunState.WAITING:
        watch(lambda: node.is_complete, FAREWELL_S if stop.requests else PATIENCE_S)
    watch(lambda: False, SETTLE_S)
    take_messages(node)
    if node.outcomes_missing:
        node.get_logger().warning(
            f'{node.outcomes_missing} outcomes were announced but did not arrive'
        )


def _write_summary(folder: Path) -> None:
    text = json.dumps(summarise(folder), indent=2, allow_nan=False)
    (folder / SUMMARY_FILE).write_text(text + '\n', encoding='utf-8')


def _fail(error: Exception, code: int) -> int:
    print(f'error: {error}', file=sys.stderr, flush=True)
    return code


def _run(node: Recorder, stop: _Stop) -> int:
    try:
        with suppress(KeyboardInterrupt, ExternalShutdownException):
            _record_run(node, stop)
        node.close()
        _write_summary(node.run_dir)
    except OSError as error:
        return _fail(RecordingError(f'recording to {node.run_dir} ended: {error.strerror}'), 1)
    except (RecordingError, ReportError) as error:
        return _fail(error, 1)
    finally:
        # After an error the rest is written as far as possible; the first error was told.
        with suppress(OSError):
            node.close()
    return 0


def main(args: list[str] | None = None) -> int:
    """Record a run; the exit code is 0, 1 if the recording broke off, 2 for wrong parameters."""
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stop = _Stop()
    node = None
    try:
        node = Recorder()
        return _run(node, stop)
    except (ParameterError, ConfigError, DefinitionError) as error:
        return _fail(error, 2)
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
