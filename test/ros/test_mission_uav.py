"""The uav node of partial as a process: it flies a plan and runs what devices upload."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from geometry_msgs.msg import Point
from mission_stage import mission_file, plan_of
from node_stage import Stage

from sec_nodes.inference.codec import encode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.pictures import RenderedPictures
from sec_nodes.inference.programs import fingerprint, program_of
from sec_nodes.nodes import names
from sec_nodes.nodes.task_messages import packet_fields
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.world import World, build_world
from sec_offload import msg

UAVS = ('uav_0', 'uav_1')
SAYS = (
    names.SLOT_START, names.ASSIGNMENTS, names.FAILURE, names.TASK_REPORT, names.TASK_OUTCOME,
    *(topic.of(uav) for uav in UAVS for topic in (names.VEHICLE_PAYLOAD, names.VEHICLE_PROGRAM)),
)  # fmt: skip
HEARS = (
    names.SERVER_REPORT, names.TOKEN_TX, names.RESULT_TX, names.TASK_REPORT, names.DIAGNOSTICS,
    *(topic.of(uav) for uav in UAVS for topic in (
        names.VEHICLE_ODOMETRY, names.VEHICLE_SETPOINT, names.VEHICLE_TRACKING_ERROR)),
)  # fmt: skip
SLOT_S = 1.4
F_MAX_HZ = 6e9
NETWORK, CUT, STEPS = 'scene-s', 3, 7000.0
HALF = 0.5
GOAL = Point(x=1.0, y=2.0, z=3.0)
"""A goal of a slot, which no UAV of a mission may fly to."""
_slots = itertools.count()
_tasks = itertools.count(1)


@pytest.fixture(scope='module')
def scenario(tmp_path_factory: pytest.TempPathFactory) -> str:
    return mission_file(tmp_path_factory.mktemp('mission'))


@pytest.fixture(scope='module')
def world(scenario: str) -> World:
    return build_world(read_settings(scenario))


def begin(stage: Stage, scenario: str) -> None:
    stage.start('uav', f'scenario:={scenario}', 'ids:=0-1', 'heartbeat_s:=0.05')
    stage.connect()
    stage.next(names.SERVER_REPORT, since=len(stage.heard[names.SERVER_REPORT.name]))


@pytest.fixture(scope='module')
def stage(scenario: str) -> Iterator[Stage]:
    """Two UAVs of three, in lockstep."""
    with Stage(SAYS, HEARS) as stage:
        begin(stage, scenario)
        open_slot(stage)
        yield stage
        stage.end()


@pytest.fixture(scope='module')
def model() -> SplitModel:
    return SplitModel.load(NETWORK)


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test leaves behind, the next one finds no programs."""
    first = next(_tasks)
    yield
    if 'stage' in request.fixturenames:
        stage = request.getfixturevalue('stage')
        for task_id in range(first, next(_tasks)):
            stage.say(names.TASK_OUTCOME, msg.TaskOutcome(task_id=task_id))
        kept(stage, 0)


def open_slot(stage: Stage, speed: float = 0.0) -> int:
    slot = next(_slots)
    stage.open_slot(slot, slot * SLOT_S, speed)
    stage.next(names.SERVER_REPORT, lambda report: report.slot == slot)
    return slot


def assign(stage: Stage, *orders: msg.Assignment, mission: Any = ()) -> None:
    """Assignments of a new slot, once both UAVs know of them."""
    slot = open_slot(stage)
    batch = msg.AssignmentBatch(slot=slot, assignments=list(orders), mission=list(mission))
    batch.uav_id, batch.uav_goal = [0, 1], [GOAL, GOAL]
    stage.say(names.ASSIGNMENTS, batch)
    stage.next(
        names.SERVER_REPORT,
        lambda report: all(state.decision_slot == slot for state in report.servers),
    )


def order_of(**fields: Any) -> msg.Assignment:
    given = {
        'task_id': next(_tasks), 'device_id': 4, 'server': 0, 'model_id': NETWORK, 'split': CUT,
        'compute_share': HALF, 'steps': STEPS, 'power_w': 0.005,
    }  # fmt: skip
    return msg.Assignment(**(given | fields))


def program_for(order: msg.Assignment, **fields: Any) -> msg.Program:
    data = program_of(order.model_id, order.split)
    program = msg.Program(
        task_id=order.task_id, device_id=order.device_id, server=order.server,
        attempt=order.attempt, model_id=order.model_id, cut=order.split,
        sha256=fingerprint(data), data=data, ready_s=9.0,
    )  # fmt: skip
    for name, value in fields.items():
        setattr(program, name, value)
    return program


def picture(task_id: int) -> Any:
    return RenderedPictures().picture(1, 0, 0, task_id).image


def payload_for(order: msg.Assignment, model: SplitModel, **fields: Any) -> msg.Payload:
    tensor = model.run_front(order.split, picture(order.task_id))
    payload = msg.Payload(
        task_id=order.task_id, device_id=order.device_id, server=order.server,
        attempt=order.attempt, model_id=order.model_id, cut=order.split, steps=order.steps,
        ready_s=20.3, **packet_fields(encode(tensor, 'raw')),
    )  # fmt: skip
    payload.timing.front_s, payload.timing.upload_s = 12.0, 8.3
    for name, value in fields.items():
        setattr(payload, name, value)
    return payload


def send_program(stage: Stage, program: msg.Program, uav: str = 'uav_0') -> None:
    stage.say(names.VEHICLE_PROGRAM.of(uav), program)


def send(stage: Stage, payload: msg.Payload, uav: str = 'uav_0') -> None:
    stage.say(names.VEHICLE_PAYLOAD.of(uav), payload)


def answer_to(stage: Stage, order: msg.Assignment) -> msg.TaskResult:
    return stage.next(
        names.RESULT_TX,
        lambda one: (one.task_id, one.attempt) == (order.task_id, order.attempt),
    )


def refusal_of(stage: Stage, order: msg.Assignment) -> str:
    report = stage.next(names.TASK_REPORT, lambda one: one.task_id == order.task_id)
    assert report.kind == msg.TaskReport.LOST
    assert (report.reporter, report.attempt) == (UAVS[report.server], order.attempt)
    assert report.reason.startswith('payload_refused: ')
    return str(report.reason)


def kept(stage: Stage, count: int) -> None:
    """Wait until so many programs are in memory."""
    stage.until_health('programs', lambda value: value == str(count))


def over(stage: Stage, order: msg.Assignment) -> None:
    """Say that a task has ended."""
    stage.say(names.TASK_OUTCOME, msg.TaskOutcome(task_id=order.task_id, attempts=1))


def back_s(world: World, order: msg.Assignment, share: float) -> float:
    """(8): W / f, with the work in bits of the program."""
    models = world.scenario.models
    bits = models.back_flop[models.model_id.index(order.model_id), order.split]
    assert bits == 8 * len(program_of(order.model_id, order.split))
    return float(bits * STEPS / (share * F_MAX_HZ))


def test_uavs_hover_above_the_depot_each_in_its_layer(stage: Stage) -> None:
    states = stage.heard[names.SERVER_REPORT.name][-1].servers
    places = [(state.position.x, state.position.y, state.position.z) for state in states]
    assert places == [(250.0, 250.0, 200.0), (250.0, 250.0, 205.0)]
    assert [state.tracking_error_m for state in states] == [0.0, 0.0]


def test_a_task_is_answered_by_its_program_as_the_whole_model_would(
    stage: Stage, model: SplitModel, world: World
) -> None:
    order = order_of()
    assign(stage, order)
    send_program(stage, program_for(order))
    kept(stage, 1)
    send(stage, payload_for(order, model))
    result = answer_to(stage, order)
    assert (result.answer, result.confidence) == model.answer(model.run(picture(order.task_id)))
    assert (result.server, result.attempt, result.model_id) == (0, 0, NETWORK)
    needed_s = back_s(world, order, HALF)
    timing = result.timing
    assert (timing.front_s, timing.upload_s, timing.wait_s) == (12.0, 8.3, 0.0)
    assert timing.back_s == pytest.approx(needed_s)
    assert result.ready_s == pytest.approx(20.3 + needed_s)
    # (9): phi f^2 W
    assert result.energy.back_j == pytest.approx(1e-27 * 3e9**2 * 3e9 * needed_s)
    assert result.inference_s > 0.0
    assert not stage.all(names.TASK_REPORT, task_id=order.task_id)
    over(stage, order)
    kept(stage, 0)


def test_tasks_compute_at_the_same_time_each_with_the_share_of_the_plan_in_force(
    stage: Stage, model: SplitModel, world: World
) -> None:
    first, second, other = order_of(), order_of(model_id='scene-l', split=5), order_of(server=1)
    assign(stage, first, second, other)
    large = SplitModel.load('scene-l')
    for order in (first, second):
        send_program(stage, program_for(order))
    send_program(stage, program_for(other), 'uav_1')
    kept(stage, 3)
    paths = np.tile([250.0, 250.0, 200.0], (3, 2, 1))
    shares = [(first.task_id, 0, 1.5e9), (second.task_id, 0, 4.5e9), (other.task_id, 0, 1e9)]
    assign(stage, mission=[plan_of(0, SLOT_S, paths, shares)])
    send(stage, payload_for(first, model))
    assert answer_to(stage, first).timing.back_s == pytest.approx(back_s(world, first, 0.25))
    # the first has begun, and keeps what it has; no share for a task without processor
    shares = [(first.task_id, 0, 6e9), (second.task_id, 0, 3e9), (other.task_id, 1, 0.0)]
    assign(stage, mission=[plan_of(0, SLOT_S, paths, shares)])
    send(stage, payload_for(second, large))
    send(stage, payload_for(other, model), 'uav_1')
    result = answer_to(stage, second)
    assert (result.timing.wait_s, result.ready_s) == (
        0.0, pytest.approx(20.3 + back_s(world, second, 0.5)),
    )  # fmt: skip
    whole = large.run(picture(second.task_id))
    assert (result.answer, result.confidence) == large.answer(whole)
    assert answer_to(stage, other).timing.back_s == pytest.approx(back_s(world, other, HALF))


def test_a_payload_that_comes_twice_is_answered_once(stage: Stage, model: SplitModel) -> None:
    order = order_of()
    assign(stage, order)
    send_program(stage, program_for(order))
    kept(stage, 1)
    for _ in range(2):
        send(stage, payload_for(order, model))
    stage.until_counted('payload twice')
    answer_to(stage, order)
    assert len(stage.all(names.RESULT_TX, task_id=order.task_id)) == 1


def test_topics_may_overtake_each_other(stage: Stage, model: SplitModel) -> None:
    order = order_of()
    send_program(stage, program_for(order))  # not assigned yet
    assign(stage, order)
    kept(stage, 1)
    send(stage, payload_for(order, model))
    answer_to(stage, order)
    late = order_of()
    assign(stage, late)
    send(stage, payload_for(late, model))
    time.sleep(0.3)
    send_program(stage, program_for(late))
    answer_to(stage, late)
    assert not stage.all(names.TASK_REPORT, task_id=late.task_id)


def test_a_payload_without_program_is_refused(stage: Stage, model: SplitModel) -> None:
    order = order_of()
    assign(stage, order)
    send(stage, payload_for(order, model))
    assert 'no program for it has arrived' in refusal_of(stage, order)


def damaged(program: msg.Program) -> None:
    program.data[len(program.data) // 2] ^= 1


def truncated(program: msg.Program) -> None:
    program.data = program.data[: len(program.data) // 2]
    program.sha256 = fingerprint(bytes(program.data))


def no_network(program: msg.Program) -> None:
    program.data = b'MZ this runs by itself' * 100
    program.sha256 = fingerprint(bytes(program.data))


def empty(program: msg.Program) -> None:
    program.data, program.sha256 = b'', fingerprint(b'')


def of_another_cut(program: msg.Program) -> None:
    program.data = program_of(NETWORK, CUT + 1)
    program.sha256 = fingerprint(bytes(program.data))


def of_the_last_cut(program: msg.Program) -> None:
    program.cut = 5


def beyond(program: msg.Program) -> None:
    program.cut = 2**32 - 1


def of_no_model(program: msg.Program) -> None:
    program.model_id = 'x' * 1000


def of_another_server(program: msg.Program) -> None:
    program.server = 1


def huge(program: msg.Program) -> None:
    program.data = bytes(16 * 2**20 + 1)


@pytest.mark.parametrize(
    ('spoil', 'says'),
    [
        (damaged, 'the sender said'),
        (truncated, 'program'),
        (no_network, 'program'),
        (empty, 'program'),
        (of_another_cut, f"cut {CUT} of 'scene-s' gives float32"),
        (of_the_last_cut, "no cut 5 of 'scene-s'"),
        (beyond, "no cut 4294967295 of 'scene-s'"),
        (of_no_model, f"no model '{'x' * 80}'"),
        (of_another_server, 'program for server 1 at uav_0'),
        (huge, '16777217 bytes'),
    ],
)
def test_a_program_that_cannot_be_run_is_refused_and_the_next_is_taken(
    stage: Stage, model: SplitModel, spoil: Callable[[msg.Program], None], says: str
) -> None:
    order = order_of()
    assign(stage, order)
    bad = program_for(order)
    spoil(bad)
    send_program(stage, bad)
    assert says in refusal_of(stage, order)
    send(stage, payload_for(order, model))
    again = order_of(task_id=order.task_id, attempt=1)
    assign(stage, again)
    send_program(stage, program_for(again))
    kept(stage, 1)
    send(stage, payload_for(again, model))
    assert answer_to(stage, again).answer == model.answer(model.run(picture(order.task_id)))[0]
    assert not stage.all(names.RESULT_TX, task_id=order.task_id, attempt=0)


def other_tensor(payload: msg.Payload) -> None:
    for name, value in packet_fields(encode(np.zeros((1, 3), np.float32), 'raw')).items():
        setattr(payload, name, value)


def broken_tensor(payload: msg.Payload) -> None:
    payload.data[7] ^= 1


def no_numbers(payload: msg.Payload) -> None:
    tensor = np.full(tuple(payload.shape), np.nan, np.float32)
    for name, value in packet_fields(encode(tensor, 'raw')).items():
        setattr(payload, name, value)


def of_a_foreign_model(payload: msg.Payload) -> None:
    payload.model_id = 'sea-s'


def without_time(payload: msg.Payload) -> None:
    payload.ready_s = math.nan


@pytest.mark.parametrize(
    ('spoil', 'says'),
    [
        (other_tensor, 'shape is (1, 3)'),
        (broken_tensor, 'crc32 is'),
        (no_numbers, 'inference_error: scores are'),
        (of_a_foreign_model, "no model 'sea-s'"),
        (without_time, 'ready_s = nan'),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(
    stage: Stage, model: SplitModel, spoil: Callable[[msg.Payload], None], says: str
) -> None:
    order = order_of()
    assign(stage, order)
    send_program(stage, program_for(order))
    kept(stage, 1)
    bad = payload_for(order, model)
    spoil(bad)
    send(stage, bad)
    assert says in refusal_of(stage, order)
    # the try is over, so its program is not needed any more
    kept(stage, 0)
    assert not stage.all(names.RESULT_TX, task_id=order.task_id)


def test_a_try_that_was_lost_elsewhere_takes_its_program_along(stage: Stage) -> None:
    order, stays = order_of(), order_of()
    assign(stage, order, stays)
    send_program(stage, program_for(order))
    send_program(stage, program_for(stays))
    kept(stage, 2)
    stage.say(
        names.TASK_REPORT,
        msg.TaskReport(kind=msg.TaskReport.LOST, task_id=order.task_id, server=0),
    )
    kept(stage, 1)


def test_a_crash_loses_programs_and_a_recovered_uav_serves_again(
    stage: Stage, model: SplitModel
) -> None:
    order, stays = order_of(), order_of(server=1)
    assign(stage, order, stays)
    send_program(stage, program_for(order))
    send_program(stage, program_for(stays), 'uav_1')
    kept(stage, 2)
    stage.say(names.FAILURE, msg.Failure(server_id=0, kind=msg.Failure.CRASH))
    kept(stage, 1)
    send(stage, payload_for(order, model))
    stage.say(names.FAILURE, msg.Failure(server_id=0, kind=msg.Failure.RECOVER))
    stage.next(
        names.SERVER_REPORT,
        lambda report: len(report.servers) == 2,
        since=len(stage.heard[names.SERVER_REPORT.name]),
    )
    again = order_of(task_id=order.task_id, attempt=1)
    assign(stage, again)
    send_program(stage, program_for(again))
    kept(stage, 2)
    send(stage, payload_for(again, model))
    answer_to(stage, again)
    send(stage, payload_for(stays, model), 'uav_1')
    answer_to(stage, stays)
    assert not stage.all(names.RESULT_TX, task_id=order.task_id, attempt=0)


def path(uav: int, legs: int, east_m_s: float, start: float = 250.0) -> list[tuple[float, ...]]:
    way_m = east_m_s * SLOT_S
    return [(start + way_m * leg, 250.0, 200.0 + 5.0 * uav) for leg in range(legs + 1)]


def positions(report: msg.ServerReport) -> list[tuple[float, ...]]:
    return [(s.position.x, s.position.y, s.position.z) for s in report.servers]


def test_the_flight_is_that_of_the_fleet_model(scenario: str, world: World) -> None:
    """In lockstep, step by step; a new plan replaces the old one, a bad one does not."""
    fleet = world.uavs([0, 1], 0.02)
    slots = iter(range(100))

    def play(stage: Stage, mission: msg.MissionPlan) -> None:
        """A slot with a plan in force."""
        slot = next(slots)
        stage.open_slot(slot, slot * SLOT_S)
        report = stage.next(names.SERVER_REPORT, lambda report: report.slot == slot)
        while fleet.due(slot * SLOT_S):
            fleet.step()
        assert positions(report) == [tuple(place) for place in fleet.motion.position_m]
        for row, state in enumerate(report.servers):
            error_m = np.linalg.norm(fleet.tracking_error_m[row])
            assert state.tracking_error_m == pytest.approx(error_m)
            assert state.energy_used_j == pytest.approx(fleet.energy_used_j[row])
        batch = msg.AssignmentBatch(slot=slot, mission=[mission])
        batch.uav_id, batch.uav_goal = [0], [GOAL]
        stage.say(names.ASSIGNMENTS, batch)
        stage.next(
            names.SERVER_REPORT,
            lambda report: all(state.decision_slot == slot for state in report.servers),
        )

    def follow(plan: msg.MissionPlan) -> None:
        for uav in (0, 1):
            places = [(p.x, p.y, p.z) for p in plan.paths[uav].waypoints]
            fleet.follow(uav, plan.start_s, plan.slot_s, np.array(places))

    with Stage(SAYS, HEARS) as stage:
        begin(stage, scenario)
        plan = plan_of(0, SLOT_S, [path(uav, 8, 2.0 + uav) for uav in range(3)])
        play(stage, plan)
        follow(plan)
        for _ in range(4):
            play(stage, plan)
        start = float(fleet.motion.position_m[0, 0])
        plan = plan_of(5, SLOT_S, [path(uav, 3, -3.0, start) for uav in range(3)])
        play(stage, plan)
        follow(plan)
        bad = plan_of(5, SLOT_S, [path(uav, 3, math.nan) for uav in range(3)])
        play(stage, bad)
        stage.until_counted('bad mission plan')
        bad = plan_of(5, SLOT_S, [path(0, 3, 1.0)], task_id=[1, 2])
        play(stage, bad)
        stage.until_counted('bad mission plan', 2)
        for _ in range(5):
            play(stage, plan)
        stage.end()
    # 3 slots of -4.2 m each, and it stays there
    np.testing.assert_allclose(fleet.motion.position_m[0, 0], start - 12.6, atol=1e-2)


def test_paced_it_follows_the_plan_at_50_hz_and_answers_when_it_is_time(
    scenario: str, model: SplitModel, world: World
) -> None:
    with Stage(SAYS, HEARS) as stage:
        begin(stage, scenario)
        stage.open_slot(0, 0.0, 1.0)
        began = time.monotonic()
        order = order_of(compute_share=1.0, split=4)
        plan = plan_of(0, SLOT_S, [path(uav, 50, 5.0) for uav in range(3)])
        batch = msg.AssignmentBatch(slot=0, assignments=[order], mission=[plan])
        stage.say(names.ASSIGNMENTS, batch)
        send_program(stage, program_for(order))
        stage.next(names.SERVER_REPORT, lambda one: one.servers[0].decision_slot == 0)
        send(stage, payload_for(order, model, ready_s=0.5))
        result = answer_to(stage, order)
        due_s = 0.5 + back_s(world, order, 1.0)
        assert result.ready_s == pytest.approx(due_s)
        assert time.monotonic() - began > due_s - 0.1
        topic = names.VEHICLE_ODOMETRY.of('uav_1')
        stage.until(lambda: len(stage.heard[topic.name]) >= 150, 'three seconds of flight')
        stamps = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9
                  for m in stage.heard[topic.name]]  # fmt: skip
        np.testing.assert_allclose(np.diff(stamps), 0.02, atol=1e-8)
        latest = stage.heard[names.VEHICLE_SETPOINT.of('uav_1').name][-1]
        at_s = latest.header.stamp.sec + latest.header.stamp.nanosec * 1e-9
        assert latest.pose.position.x == pytest.approx(250.0 + 5.0 * at_s)
        errors = stage.heard[names.VEHICLE_TRACKING_ERROR.of('uav_1').name]
        length_m = [math.hypot(one.vector.x, one.vector.y, one.vector.z) for one in errors]
        assert 0.1 < max(length_m) < 5.0
        stage.end()
