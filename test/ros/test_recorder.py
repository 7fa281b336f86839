"""The recorder as a process of its own: what is said to it is on disk when it ends."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')

from geometry_msgs.msg import Point, PoseStamped, Vector3, Vector3Stamped  # noqa: E402
from mcap.reader import make_reader  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from node_stage import next_domain  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from visualization_msgs.msg import MarkerArray  # noqa: E402

from sec_nodes.nodes import names  # noqa: E402
from sec_offload import msg  # noqa: E402

DOMAIN = next_domain()
TIMEOUT_S = 240.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    give_up = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < give_up, f'no {what} within {TIMEOUT_S} s'
        time.sleep(0.01)


class Stage:
    """Publishers that play the rest of the fleet, and a recorder that listens to them."""

    TOPICS = (
        names.CLOCK, names.DEVICE_REPORT, names.TASK_OUTCOME, names.SLOT_OUTCOME,
        names.ASSIGNMENTS, names.RUN_STATE, names.SCENE, names.PAYLOAD_TX,
        names.VEHICLE_ODOMETRY.of('uav_0'), names.VEHICLE_SETPOINT.of('uav_0'),
        names.VEHICLE_TRACKING_ERROR.of('uav_0'), names.FAILURE, names.FAILURE_NOTICE,
        names.MIGRATION,
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node('fleet', context=self.context)
        self.publishers = {
            topic.name: self.node.create_publisher(topic.type, topic.name, topic.qos)
            for topic in self.TOPICS
        }
        self.process = start(f'run_dir:={folder}', 'use_sim_time:=true')
        heard = [topic.name for topic in self.TOPICS if topic != names.PAYLOAD_TX]
        wait_for(
            lambda: all(self.publishers[name].get_subscription_count() for name in heard),
            'recorder',
        )

    def say(self, topic: names.Topic, message: Any, time_s: float | None = None) -> None:
        """Publish a message, with a stamp if a time is given."""
        if time_s is not None:
            message.header.stamp.sec = int(time_s)
            message.header.stamp.nanosec = round(time_s % 1 * 1e9)
        self.publishers[topic.name].publish(message)

    def state(self, state: int, **fields: Any) -> None:
        """Publish the state of the run."""
        self.say(names.RUN_STATE, msg.RunState(state=state, **fields), 0.0)

    def rows(self, table: str) -> list[dict[str, str]]:
        """Rows of a table so far."""
        path = self.folder / f'{table}.csv'
        with path.open() as stream:
            return list(csv.DictReader(stream))

    def wait_for_rows(self, table: str, count: int = 1) -> None:
        """Wait until a table has as many rows."""
        wait_for(lambda: len(self.rows(table)) >= count, f'{count} rows in {table}')

    def end(self) -> tuple[int, str]:
        """Exit code and standard error of the recorder."""
        _, error = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, error

    def close(self) -> None:
        """End whatever still runs."""
        self.process.kill()
        self.process.communicate()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def start(*parameters: str) -> subprocess.Popen[str]:
    """A recorder with ROS parameters of the form name:=value."""
    arguments = [word for parameter in parameters for word in ('-p', parameter)]
    return subprocess.Popen(
        [sys.executable, '-m', 'sec_nodes.nodes.recorder', '--ros-args', *arguments],
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / 'results' / 'run_1')
    yield stage
    stage.close()


def request(task_id: int) -> msg.TaskRequest:
    return msg.TaskRequest(task_id=task_id, device_id=0, deadline_s=0.5)


def outcome(task_id: int) -> msg.TaskOutcome:
    return msg.TaskOutcome(
        task_id=task_id, status=msg.TaskOutcome.DONE, server_name='uav_0', latency_s=0.25,
        deadline_s=0.5, answer='ship', truth='ship',
    )  # fmt: skip


def report(*task_ids: int) -> msg.DeviceReport:
    message = msg.DeviceReport(tasks=[request(number) for number in task_ids], device_id=[0])
    message.position = [Point(x=1.0, y=2.0)]
    message.velocity = [Vector3()]
    return message


def odometry() -> Odometry:
    message = Odometry(child_frame_id='uav_0/base_link')
    message.header.frame_id = 'map'
    message.pose.pose.position.z = 50.0
    return message


def test_a_run_is_kept_whole(stage: Stage) -> None:
    stage.state(msg.RunState.RUNNING)
    clock = Clock()
    clock.clock.sec = 7
    stage.say(names.DEVICE_REPORT, report(1, 2), 1.0)
    for step in range(50):
        stage.say(names.CLOCK, clock)  # best effort: one alone might get lost
        stage.say(names.VEHICLE_ODOMETRY.of('uav_0'), odometry(), step / 50)
        if step % 5 == 0:
            stage.say(names.VEHICLE_SETPOINT.of('uav_0'), PoseStamped(), step / 50)
            error = Vector3Stamped(vector=Vector3(x=float(step)))
            stage.say(names.VEHICLE_TRACKING_ERROR.of('uav_0'), error, step / 50)
        # One row for five messages. The publisher keeps the last ten only, so no faster than that.
        stage.wait_for_rows('uavs', step // 5 + 1)
    stage.say(
        names.ASSIGNMENTS,
        msg.AssignmentBatch(slot=1, controller='greedy', assignments=[msg.Assignment(task_id=1)]),
        1.0,
    )
    stage.say(
        names.SLOT_OUTCOME, msg.SlotOutcome(slot=1, controller='greedy', servers_lost=[2]), 2.0
    )
    stage.say(names.FAILURE, msg.Failure(server_id=2, kind=msg.Failure.KILL), 1.25)
    stage.say(names.FAILURE_NOTICE, msg.FailureNotice(server_id=2, name='uav_2', noticed_s=1.5))
    moved = msg.Migration(task_id=2, from_server=2, to_server=1, way=msg.Migration.RESEND)
    stage.say(names.MIGRATION, moved, 1.5)
    stage.wait_for_rows('failures', 2)
    stage.wait_for_rows('migrations')
    stage.say(names.SCENE, MarkerArray())
    # The end may overtake what was said before on other topics: one outcome comes after it.
    stage.say(names.TASK_OUTCOME, outcome(1), 1.5)
    stage.state(msg.RunState.FINISHED, tasks_created=2, tasks_ended=2)
    stage.wait_for_rows('events', 4)
    stage.say(names.TASK_OUTCOME, outcome(2), 1.75)
    code, error = stage.end()

    assert code == 0, error
    assert [row['task_id'] for row in stage.rows('outcomes')] == ['1', '2']
    assert len(stage.rows('uavs')) == 10
    assert stage.rows('uavs')[3]['z_m'] == '50'
    assert stage.rows('uavs')[3]['tracking_error_m'] == '15'
    assert stage.rows('assignments')[0]['controller'] == 'greedy'
    assert stage.rows('devices')[0]['y_m'] == '2'
    summary = json.loads((stage.folder / 'summary.json').read_text())
    assert summary['state'] == 'finished'
    assert summary['tasks']['by_status']['done'] == 2
    assert summary['exactly_once']['holds']
    assert summary['slots']['servers_lost'] == ['uav_2']
    assert summary['failures']['by_kind']['kill']['noticed'] == 1
    assert summary['failures']['moved'] == {'relay': 0, 'resend': 1, 'local': 0}
    _check_log(stage.folder / 'run.mcap')


def _check_log(path: Path) -> None:
    with path.open('rb') as stream:
        reader = make_reader(stream)
        summary = reader.get_summary()
        assert summary is not None
        found = [(channel.topic, schema, message) for schema, channel, message in
                 reader.iter_messages(log_time_order=False)]  # fmt: skip
    for schema in summary.schemas.values():
        _check_definition(schema.name, schema.data.decode())
    topics = [topic for topic, _, _ in found]
    assert topics.count('/uav_0/odom') == 50
    assert topics.count('/task_outcome') == 2
    assert '/payload_tx' not in {channel.topic for channel in summary.channels.values()}
    schema, message = next(
        (schema, message) for topic, schema, message in found if topic == '/task_outcome'
    )
    assert (schema.name, schema.encoding) == ('sec_offload/msg/TaskOutcome', 'ros2msg')
    assert deserialize_message(message.data, msg.TaskOutcome).answer == 'ship'
    assert (message.log_time, message.publish_time) == (7_000_000_000, 1_500_000_000)


def _check_definition(name: str, text: str) -> None:
    """Every type that a schema names must be defined in it."""
    package = name.split('/')[0]
    first, *others = re.split(r'={80}\nMSG: ', text)
    sections = {head: body for head, _, body in (part.partition('\n') for part in others)}
    for owner, body in {f'{package}/-': first, **sections}.items():
        for line in body.splitlines():
            match = re.match(r'([A-Z]\w*|\w+/[A-Z]\w*)(?:\[.*?\])? \w+', line)
            if match:
                inner = match[1] if '/' in match[1] else f'{owner.split("/")[0]}/{match[1]}'
                assert inner in sections, (name, inner)


def test_after_ctrl_c_the_last_outcomes_are_taken_in(stage: Stage) -> None:
    stage.state(msg.RunState.RUNNING)
    stage.say(names.DEVICE_REPORT, report(1), 1.0)
    stage.wait_for_rows('tasks')
    stage.process.send_signal(signal.SIGINT)
    stage.say(names.TASK_OUTCOME, outcome(1), 1.5)
    stage.state(msg.RunState.ABORTED, tasks_created=1, tasks_ended=1)
    code, error = stage.end()
    assert code == 0, error
    assert len(stage.rows('outcomes')) == 1
    assert json.loads((stage.folder / 'summary.json').read_text())['state'] == 'aborted'


def test_sigterm_before_a_run_leaves_an_empty_record(stage: Stage) -> None:
    stage.process.send_signal(signal.SIGTERM)
    code, error = stage.end()
    assert code == 0, error
    assert json.loads((stage.folder / 'summary.json').read_text())['tasks']['created'] == 0


def test_a_malformed_message_ends_the_recording_with_one_line(stage: Stage) -> None:
    stage.publishers[names.TASK_OUTCOME.name].publish(b'\x00\x01\x00\x00' + b'\xff' * 24)
    code, error = stage.end()
    assert code == 1
    _check_one_line(error, '/task_outcome: malformed message')


def test_a_full_disk_ends_the_recording_with_one_line(stage: Stage) -> None:
    stage.state(msg.RunState.RUNNING)
    stage.wait_for_rows('events')
    limit = (stage.folder / 'outcomes.csv').stat().st_size + 200
    resource.prlimit(stage.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    for number in range(20):
        stage.say(names.TASK_OUTCOME, outcome(number), 1.0)
    code, error = stage.end()
    assert code == 1
    _check_one_line(error, 'recording to')


def _check_one_line(error: str, text: str) -> None:
    lines = [line for line in error.splitlines() if '[INFO]' not in line]
    assert len(lines) == 1, error
    assert lines[0].startswith('error: ')
    assert text in lines[0]


def test_wrong_parameters_are_named(tmp_path: Path) -> None:
    used = tmp_path / 'used'
    used.mkdir()
    (used / 'run.mcap').touch()
    processes = {
        'parameter run_dir': start(),
        'holds a run already': start(f'run_dir:={used}'),
        "unknown scenario 'surfey'": start(f'run_dir:={tmp_path / "new"}', 'scenario:=surfey'),
        'Not a directory': start(f'run_dir:={used / "run.mcap" / "x"}'),
    }
    for text, process in processes.items():
        _, error = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 2, error
        _check_one_line(error, text)
