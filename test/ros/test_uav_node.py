"""The uav node as a process: it flies, answers, refuses what is broken, fails and recovers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from geometry_msgs.msg import Point
from node_stage import Stage

from sec_nodes.inference.codec import encode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.pictures import RenderedPictures
from sec_nodes.nodes import names
from sec_nodes.nodes.task_messages import packet_fields
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.world import build_world
from sec_offload import msg

UAVS = ('uav_0', 'uav_1')
SAYS = (
    names.SLOT_START, names.ASSIGNMENTS, names.FAILURE,
    *(names.VEHICLE_PAYLOAD.of(uav) for uav in UAVS),
)  # fmt: skip
HEARS = (
    names.SERVER_REPORT, names.TOKEN_TX, names.RESULT_TX, names.TASK_REPORT,
    *(topic.of(uav) for uav in UAVS for topic in (
        names.VEHICLE_ODOMETRY, names.VEHICLE_SETPOINT, names.VEHICLE_TRACKING_ERROR)),
)  # fmt: skip
HEARTBEAT_S = 0.05
START = 36_000
LOST_AFTER_S = 1.0
"""Silence after which the coordinator believes a server lost [s]."""


def uav_stage(*parameters: str) -> Stage:
    stage = Stage(SAYS, HEARS)
    stage.start('uav', 'ids:=0-1', f'heartbeat_s:={HEARTBEAT_S}', *parameters)
    return stage


@pytest.fixture(scope='module')
def stage() -> Iterator[Stage]:
    """Two UAVs on the machine's own clock."""
    with uav_stage() as stage:
        stage.connect()
        stage.next(names.SERVER_REPORT)
        stage.open_slot(0, 0.0, speed=1.0)
        stage.next(names.SERVER_REPORT, lambda report: report.slot == 0)
        yield stage
        stage.end()


@pytest.fixture(scope='module')
def model() -> SplitModel:
    return SplitModel.load('scene-s')


_tasks = iter(range(1, 10_000))


def payload(model: SplitModel, cut: int, server: int = 0, **fields: Any) -> msg.Payload:
    """A sound payload of a new task; the picture belongs to its number."""
    task_id = next(_tasks)
    tensor = model.run_front(cut, picture(task_id))
    message = msg.Payload(
        task_id=task_id, server=server, attempt=1, slot=0, model_id=model.id, cut=cut,
        answer_bit=384.0, ready_s=0.25, steps=1.0, **packet_fields(encode(tensor, 'raw')),
    )  # fmt: skip
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def picture(task_id: int) -> Any:
    return RenderedPictures().picture(1, 0, 0, task_id).image


def send(stage: Stage, message: msg.Payload, uav: str = 'uav_0') -> int:
    stage.say(names.VEHICLE_PAYLOAD.of(uav), message)
    return int(message.task_id)


def answer_to(stage: Stage, task_id: int) -> msg.TaskResult:
    return stage.next(names.RESULT_TX, lambda result: result.task_id == task_id)


def run_time_s(stamped: Any) -> float:
    return float(stamped.header.stamp.sec + stamped.header.stamp.nanosec * 1e-9)


def test_heartbeats_describe_the_uavs(stage: Stage) -> None:
    report = stage.next(names.SERVER_REPORT, lambda report: report.slot == -1)
    settings = read_settings('survey').uavs
    assert [state.name for state in report.servers] == list(UAVS)
    for number, state in enumerate(report.servers):
        assert (state.server_id, state.receiver, state.kind) == (number, number, state.UAV)
        assert state.alive
        assert state.in_view
        assert math.isinf(state.remaining_s)
        assert state.has_battery
        assert state.energy_left_j == pytest.approx(settings.battery_j - state.energy_used_j)
        assert state.model_id == settings.model
        assert state.provider == 'cpu'


@pytest.mark.parametrize('cut', [0, 2, 4, 5])
def test_a_payload_is_answered_as_the_whole_model_would(
    stage: Stage, model: SplitModel, cut: int
) -> None:
    task_id = send(stage, payload(model, cut))
    result = answer_to(stage, task_id)
    assert (result.answer, result.confidence) == model.answer(model.run(picture(task_id)))
    assert (result.server, result.attempt, result.model_id) == (0, 1, model.id)
    uavs = read_settings('survey').uavs
    back_s = model.cuts[cut].back_flop / uavs.flop_s
    assert result.timing.back_s == pytest.approx(back_s)
    assert result.energy.back_j == pytest.approx(back_s * uavs.compute_power_w)
    assert result.ready_s == pytest.approx(0.25 + result.timing.wait_s + back_s)
    assert result.inference_s > 0.0


def corrupted(message: msg.Payload) -> None:
    message.data[len(message.data) // 2] ^= 0x40


def truncated(message: msg.Payload) -> None:
    message.data = message.data[:-1]


def empty(message: msg.Payload) -> None:
    message.data = message.data[:0]


def reshaped(message: msg.Payload) -> None:
    message.shape = [1, 3, 128, 128]


def retyped(message: msg.Payload) -> None:
    message.dtype = 'float32'


def unknown_codec(message: msg.Payload) -> None:
    message.codec = 'zip'


def beyond_the_last_cut(message: msg.Payload) -> None:
    message.cut = 6


def of_another_cut(message: msg.Payload) -> None:
    message.cut = 3


def of_another_model(message: msg.Payload) -> None:
    message.model_id = 'scene-l'


def of_another_server(message: msg.Payload) -> None:
    message.server = 1


def huge(message: msg.Payload) -> None:
    message.shape = [2**31, 2**31, 2**31]


def without_time(message: msg.Payload) -> None:
    message.ready_s = math.nan


def at_the_end_of_time(message: msg.Payload) -> None:
    message.ready_s = math.inf


def without_size(message: msg.Payload) -> None:
    message.answer_bit = math.nan


def not_a_number(message: msg.Payload) -> None:
    message.cut = 4
    tensor = np.full((1, 96), np.nan, dtype=np.float32)
    for name, value in packet_fields(encode(tensor, 'raw')).items():
        setattr(message, name, value)


@pytest.mark.parametrize(
    ('spoil', 'says'),
    [
        (corrupted, 'crc32 is'),
        (truncated, '49151 bytes long, expected 49152'),
        (empty, '0 bytes long'),
        (reshaped, 'shape is (1, 3, 128, 128), expected (1, 128, 128, 3)'),
        (retyped, "dtype is 'float32', expected 'uint8'"),
        (unknown_codec, "codec 'zip' is unknown"),
        (beyond_the_last_cut, "no cut 6 of 'scene-s'"),
        (of_another_cut, 'shape is'),
        (of_another_model, "payload for 'scene-l' at uav_0"),
        (of_another_server, 'at uav_0'),
        (huge, 'shape is'),
        (without_time, 'ready_s = nan'),
        (at_the_end_of_time, 'ready_s = inf'),
        (without_size, 'answer_bit = nan'),
        (not_a_number, 'inference_error: scores are'),
    ],
)
def test_a_broken_payload_is_refused_once_and_the_next_is_answered(
    stage: Stage, model: SplitModel, spoil: Callable[[msg.Payload], None], says: str
) -> None:
    bad = payload(model, 0)
    spoil(bad)
    send(stage, bad)
    report = stage.next(names.TASK_REPORT, lambda news: news.task_id == bad.task_id)
    assert report.kind == msg.TaskReport.LOST
    assert report.reason.startswith('payload_refused: ')
    assert says in report.reason
    assert (report.reporter, report.server, report.attempt) == ('uav_0', 0, 1)
    good = send(stage, payload(model, 0))
    assert answer_to(stage, good).answer == model.answer(model.run(picture(good)))[0]
    assert len(stage.all(names.TASK_REPORT, task_id=bad.task_id)) == 1
    assert not stage.all(names.RESULT_TX, task_id=bad.task_id)
    assert not stage.all(names.TASK_REPORT, task_id=good)


def test_heartbeats_keep_their_rhythm_while_inference_is_busy(
    stage: Stage, model: SplitModel
) -> None:
    crowd = [payload(model, 0) for _ in range(150)]
    began = len(stage.heard[names.SERVER_REPORT.name])
    for message in crowd:
        send(stage, message)
    answer_to(stage, crowd[-1].task_id)
    stage.next(
        names.SERVER_REPORT,
        lambda report: report.servers[0].queue_length == 0,
        since=len(stage.heard[names.SERVER_REPORT.name]),
    )
    reports = stage.heard[names.SERVER_REPORT.name][began:]
    assert max(report.servers[0].queue_length for report in reports) > 10
    gaps_s = np.diff([run_time_s(report) for report in reports])
    assert gaps_s.max() < LOST_AFTER_S / 2
    assert np.median(gaps_s) < 2 * HEARTBEAT_S
    answered = {result.task_id for result in stage.heard[names.RESULT_TX.name]}
    assert answered >= {message.task_id for message in crowd}


def test_odometry_comes_at_the_rate_of_the_autopilot(stage: Stage) -> None:
    topic = names.VEHICLE_ODOMETRY.of('uav_1')
    since = len(stage.heard[topic.name])
    stage.until(lambda: len(stage.heard[topic.name]) >= since + 30, 'odometry')
    stamps_s = [run_time_s(message) for message in stage.heard[topic.name][since:]]
    np.testing.assert_allclose(np.diff(stamps_s), 0.02, atol=1e-8)
    odometry = stage.heard[topic.name][-1]
    assert (odometry.header.frame_id, odometry.child_frame_id) == ('map', 'uav_1/base_link')


def fail(stage: Stage, server_id: int, kind: int) -> None:
    stage.say(names.FAILURE, msg.Failure(server_id=server_id, kind=kind))


def reported(stage: Stage, *servers: int) -> None:
    """Wait for a report of just these servers."""
    stage.next(
        names.SERVER_REPORT,
        lambda report: [state.server_id for state in report.servers] == list(servers),
        since=len(stage.heard[names.SERVER_REPORT.name]),
    )


def test_a_crash_silences_one_uav_until_it_recovers(stage: Stage, model: SplitModel) -> None:
    now_s = run_time_s(stage.heard[names.SERVER_REPORT.name][-1])
    under_way = send(stage, payload(model, 0, ready_s=now_s + 2.0))
    stage.next(
        names.SERVER_REPORT,
        lambda report: report.servers[0].queue_length == 1,
        since=len(stage.heard[names.SERVER_REPORT.name]),
    )
    fail(stage, 0, msg.Failure.CRASH)
    reported(stage, 1)
    silent, flying = (stage.heard[names.VEHICLE_ODOMETRY.of(uav).name] for uav in UAVS)
    other = send(stage, payload(model, 0, server=1), 'uav_1')
    assert answer_to(stage, other).server == 1
    quiet_since = run_time_s(silent[-1])
    stage.until(lambda: run_time_s(flying[-1]) > quiet_since + 0.5, 'odometry of uav_1')
    assert run_time_s(silent[-1]) <= quiet_since + 0.1
    ignored = send(stage, payload(model, 0))

    fail(stage, 0, msg.Failure.RECOVER)
    reported(stage, 0, 1)
    stage.until(lambda: run_time_s(silent[-1]) > quiet_since + 0.5, 'odometry of uav_0')
    # ready after the payload that the crash has lost
    late = send(stage, payload(model, 0, ready_s=now_s + 2.1))
    assert answer_to(stage, late).timing.wait_s == pytest.approx(0.0, abs=1e-9)
    for lost in (under_way, ignored):
        assert not stage.all(names.RESULT_TX, task_id=lost)


def test_a_cut_link_does_not_silence_a_uav(stage: Stage, model: SplitModel) -> None:
    fail(stage, 1, msg.Failure.LINK_LOSS)
    reported(stage, 0, 1)
    task_id = send(stage, payload(model, 0, server=1), 'uav_1')
    assert answer_to(stage, task_id).server == 1


@pytest.fixture
def goals() -> list[Any]:
    return [np.array([380.0, 120.0, 60.0]), np.array([250.0, 250.0, 40.0])]


def test_goals_move_the_uavs_within_their_limits(goals: list[Any]) -> None:
    """In lockstep the flight is that of the fleet model, step by step.

    The UAVs start ten hours after the run, as after a restart, and do not fly through those hours.
    """
    uavs = read_settings('survey').uavs
    fleet = build_world(read_settings('survey')).uavs([0, 1], 0.02)
    fleet.skip_to(START)
    with uav_stage() as stage:
        stage.connect()
        stage.next(names.SERVER_REPORT)
        stage.open_slot(START, START)
        report = stage.next(names.SERVER_REPORT, lambda report: report.slot == START)
        assert report.servers[0].energy_used_j == 0.0
        batch = msg.AssignmentBatch(slot=START, uav_id=[1, 0, 7])
        batch.uav_goal = [Point(x=x, y=y, z=z) for x, y, z in (goals[1], goals[0], goals[0])]
        stage.say(names.ASSIGNMENTS, batch)
        stage.next(
            names.SERVER_REPORT,
            lambda report: all(state.decision_slot == START for state in report.servers),
        )
        fleet.goal_m[:] = goals
        for slot in range(START + 1, START + 4):
            stage.open_slot(slot, slot)
            report = stage.next(names.SERVER_REPORT, lambda report, n=slot: report.slot == n)
            while fleet.due(slot):
                fleet.step()
            for row, state in enumerate(report.servers):
                position = (state.position.x, state.position.y, state.position.z)
                assert position == tuple(fleet.motion.position_m[row])
                error_m = np.linalg.norm(fleet.tracking_error_m[row])
                assert state.tracking_error_m == pytest.approx(error_m)
        for uav in UAVS:
            check_flight(stage, uav, uavs)
        stage.end()
    start_m = build_world(read_settings('survey')).uavs([0, 1], 0.02).motion.position_m
    assert np.linalg.norm(fleet.motion.position_m - start_m, axis=1).min() > 10.0


def check_flight(stage: Stage, uav: str, uavs: Any) -> None:
    """Odometry keeps to the limits, and agrees with set-point and tracking error."""
    stage.until(
        lambda: all(len(stage.heard[topic.of(uav).name]) == 30 for topic in (
            names.VEHICLE_ODOMETRY, names.VEHICLE_SETPOINT, names.VEHICLE_TRACKING_ERROR)),
        'three seconds of flight at 10 Hz',
    )  # fmt: skip
    odometry = stage.heard[names.VEHICLE_ODOMETRY.of(uav).name]
    poses = [message.pose.pose for message in odometry]
    position_m = np.array([[p.position.x, p.position.y, p.position.z] for p in poses])
    yaw = np.array([2 * math.atan2(p.orientation.z, p.orientation.w) for p in poses])
    body = np.array([[t.x, t.y, t.z] for t in (m.twist.twist.linear for m in odometry)])
    velocity = np.column_stack(
        [
            np.cos(yaw) * body[:, 0] - np.sin(yaw) * body[:, 1],
            np.sin(yaw) * body[:, 0] + np.cos(yaw) * body[:, 1],
            body[:, 2],
        ]
    )
    np.testing.assert_allclose(np.diff([run_time_s(m) for m in odometry]), 0.1, atol=1e-8)
    assert np.linalg.norm(velocity, axis=1).max() <= uavs.speed_m_s * (1 + 1e-9)
    gain = np.linalg.norm(np.diff(velocity, axis=0), axis=1)
    assert gain.max() <= 0.1 * uavs.acceleration_m_s2 * (1 + 1e-9)
    # the position is where the velocity leads
    mean = (velocity[1:] + velocity[:-1]) / 2
    np.testing.assert_allclose(np.diff(position_m, axis=0), 0.1 * mean, atol=0.05)
    setpoints = [m.pose.position for m in stage.heard[names.VEHICLE_SETPOINT.of(uav).name]]
    errors = [m.vector for m in stage.heard[names.VEHICLE_TRACKING_ERROR.of(uav).name]]
    for here, wanted, error in zip(position_m, setpoints, errors, strict=True):
        np.testing.assert_allclose(
            [error.x, error.y, error.z], [wanted.x, wanted.y, wanted.z] - here, atol=1e-9
        )
