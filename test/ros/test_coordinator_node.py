"""The coordinator as a process without its fleet: whom it misses, and what it survives."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from unittest.mock import Mock

import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')

from geometry_msgs.msg import Point, Vector3  # noqa: E402
from node_stage import TIMEOUT_S, Stage, next_domain, server_state  # noqa: E402

from sec_nodes.nodes import names  # noqa: E402
from sec_nodes.nodes.coordinator import (  # noqa: E402
    FAREWELL_S,
    LONG_FAREWELL_S,
    SETTLE_S,
    CoordinatorNode,
)
from sec_offload import msg  # noqa: E402


def until(condition: Callable[[], bool]) -> None:
    """Wait for what others do."""
    give_up = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage((names.READY,), (names.RUN_STATE,)) as one:
        yield one


def aborted(stage: Stage) -> str:
    """Wait for the end of a run that nobody came to; gives the output."""
    assert stage.process.wait(TIMEOUT_S) == 1, stage.output()
    output = stage.output()
    assert 'Traceback' not in output, output
    return output


def test_nobody_comes(stage: Stage) -> None:
    stage.start('coordinator', 'await_timeout_s:=1.0', 'await_nodes:=recorder')
    output = aborted(stage)
    assert 'no report within 1.0 s from: device 0, device 1, ' in output
    assert ' ...' in output


@pytest.fixture
def node() -> Iterator[CoordinatorNode]:
    """A coordinator in this process, which nobody spins."""
    arguments = ['--ros-args', '-p', "await_nodes:='recorder, camera'"]
    rclpy.init(args=arguments, domain_id=next_domain())
    node = CoordinatorNode()
    yield node
    node.close()
    node.destroy_node()
    rclpy.shutdown()


def test_who_is_missing_is_named(node: CoordinatorNode) -> None:
    said: list[msg.RunState] = []
    node.run_states = Mock(publish=said.append)
    count = node.world.settings.devices.count
    report = msg.DeviceReport(slot=-1, device_id=range(count), flop_s=[1e8] * count)
    report.position, report.velocity = [Point()] * count, [Vector3()] * count
    report.backlog_s = [0.0] * count
    node.on_device_report(report)
    servers = [server_state(node.world, server) for server in range(7) if server not in (1, 4)]
    stranger = server_state(node.world, 0)
    stranger.server_id, stranger.name = 99, 'balloon'
    node.on_server_report(msg.ServerReport(slot=-1, servers=[*servers, stranger]))
    node.muster.unready.discard('camera')
    node.wait_for_fleet(1.0)
    assert [state.detail for state in said] == ['for the nodes of the fleet']
    said.clear()
    for waited_s in (10.0, 59.0):
        node.wait_for_fleet(waited_s)
    assert node.exit_code is None
    assert [(state.state, state.detail) for state in said] == [
        (msg.RunState.WAITING, 'for uav_1, satellite_1, recorder')
    ]
    node.wait_for_fleet(61.0)
    assert node.exit_code == 1
    assert [state.state for state in said[1:]] == [msg.RunState.ABORTED]
    assert said[1].detail == 'no report within 60.0 s from: uav_1, satellite_1, recorder'
    assert node.counts['unknown server'] == 1


def everybody_reports(node: CoordinatorNode) -> None:
    count = node.world.settings.devices.count
    report = msg.DeviceReport(slot=-1, device_id=range(count), flop_s=[1e8] * count)
    report.position, report.velocity = [Point()] * count, [Vector3()] * count
    report.backlog_s = [0.0] * count
    node.on_device_report(report)
    servers = [server_state(node.world, server) for server in range(7)]
    node.on_server_report(msg.ServerReport(slot=-1, servers=servers))
    node.muster.unready.clear()


def test_who_only_listens_is_no_controller_and_no_channel(node: CoordinatorNode) -> None:
    said: list[str] = []
    node.run_states = Mock(publish=lambda state: said.append(state.detail))
    everybody_reports(node)
    said.clear()
    recorder = rclpy.create_node('recorder')
    try:
        for topic in (names.SLOT_STATE, names.LINK_REQUEST):
            recorder.create_subscription(topic.type, topic.name, lambda _: None, topic.qos)
        until(lambda: node.states.get_subscription_count() == 1)
        until(lambda: node.requests.get_subscription_count() == 1)
        node.wait_for_fleet(10.0)
        for topic in (names.SLOT_DECISION, names.LINK_TABLE):
            recorder.create_publisher(topic.type, topic.name, topic.qos)
            until(lambda topic=topic: node.count_publishers(topic.name) == 1)
            node.wait_for_fleet(10.0)
    finally:
        recorder.destroy_node()
    assert said == ['for controller', 'for channel', 'for topics to be connected']


def test_those_who_have_just_come_may_find_each_other(
    node: CoordinatorNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('sec_nodes.nodes.coordinator.is_matched', lambda *_: True)
    monkeypatch.setattr(node, 'wired', lambda *_: True)
    everybody_reports(node)
    node.wait_for_fleet(1.0)
    assert node.slot == -1
    node.muster.unready.add('recorder')
    node.wait_for_fleet(1.0 + SETTLE_S)
    node.muster.unready.clear()
    node.wait_for_fleet(1.0 + SETTLE_S)
    assert node.slot == -1
    node.whole_at -= SETTLE_S
    node.wait_for_fleet(1.0 + 2 * SETTLE_S)
    assert node.slot == 0


def test_who_is_nowhere_is_not_taken_for_present(node: CoordinatorNode) -> None:
    lost, here = server_state(node.world, 0), server_state(node.world, 5)
    lost.position = Point(x=math.nan)
    node.on_server_report(msg.ServerReport(slot=-1, servers=[lost, here]))
    assert node.servers.living() == [5]
    report = msg.DeviceReport(slot=-1, device_id=[0, 1], flop_s=[1e8, 1e8], backlog_s=[0.0, 0.0])
    report.position, report.velocity = [Point(), Point()], [Vector3(z=math.inf), Vector3()]
    node.on_device_report(report)
    assert node.devices.living() == [1]
    assert (node.counts['bad server_report'], node.counts['bad device_report']) == (1, 1)


def test_a_run_that_is_interrupted_before_it_begins_is_aborted(stage: Stage) -> None:
    stage.start('coordinator')
    stage.connect()
    stage.next(names.RUN_STATE)
    stage.end(code=1)
    end = stage.next(names.RUN_STATE, lambda state: state.state == msg.RunState.ABORTED)
    assert (end.detail, end.tasks_created, end.tasks_ended) == ('run_aborted', 0, 0)


def test_an_interrupted_run_waits_for_tasks_that_devices_have_announced(
    node: CoordinatorNode,
) -> None:
    count = node.world.settings.devices.count
    report = msg.DeviceReport(slot=3, device_id=list(range(count)))
    report.position, report.velocity = [Point()] * count, [Vector3()] * count
    report.flop_s, report.backlog_s = [1e8] * count, [0.0] * count
    node.on_device_report(report)
    node.slot = 4
    node.interrupt()
    assert node.farewell_s() == LONG_FAREWELL_S
    report.slot = 4
    node.on_device_report(report)
    assert node.farewell_s() == FAREWELL_S
    node.interrupt()
    assert node.farewell_s() == 0.0
