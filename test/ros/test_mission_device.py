"""The device node of partial as a process: it uploads programs, and computes its part once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from mission_stage import NETWORKS, mission_file
from node_stage import Stage

from sec_nodes.inference.codec import decode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.pictures import RenderedPictures
from sec_nodes.inference.programs import Head, fingerprint, program_of
from sec_nodes.nodes import names
from sec_nodes.nodes.task_messages import packet_from, request_from
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import LOCAL
from sec_nodes.world import World, build_world
from sec_offload import msg

SEED = 4
SAYS = (names.SLOT_START, names.ASSIGNMENTS, names.TOKEN, names.RESULT, names.TASK_OUTCOME)
HEARS = (names.DEVICE_REPORT, names.PAYLOAD_TX, names.PROGRAM_TX, names.TASK_REPORT)
SLOT_S = 1.4
DEVICES = 18
ASSIGNED_S = 2.5


@pytest.fixture(scope='module')
def scenario(tmp_path_factory: pytest.TempPathFactory) -> str:
    return mission_file(tmp_path_factory.mktemp('mission'))


@pytest.fixture(scope='module')
def world(scenario: str) -> World:
    return build_world(read_settings(scenario))


def begin(stage: Stage, scenario: str) -> None:
    stage.start('device', f'scenario:={scenario}', f'seed:={SEED}', 'heartbeat_s:=0.05')
    stage.connect()
    stage.next(names.DEVICE_REPORT)


def open_mission(stage: Stage, speed: float) -> msg.DeviceReport:
    """Say that slot 0 begins; gives the report on it, with all tasks."""
    stage.open_slot(0, 0.0, speed)
    return stage.next(names.DEVICE_REPORT, lambda report: report.slot == 0)


@pytest.fixture(scope='module')
def stage(scenario: str) -> Iterator[Stage]:
    """All terminals, in lockstep."""
    with Stage(SAYS, HEARS) as stage:
        begin(stage, scenario)
        open_mission(stage, speed=0.0)
        yield stage
        stage.end()


@pytest.fixture(scope='module')
def models() -> dict[str, SplitModel]:
    return {name: SplitModel.load(name) for name in NETWORKS}


def task_of(stage: Stage, device: int) -> msg.TaskRequest:
    (report,) = stage.all(names.DEVICE_REPORT, slot=0)
    return report.tasks[device]


def order_for(task: msg.TaskRequest, **fields: Any) -> msg.Assignment:
    given = {
        'task_id': task.task_id, 'device_id': task.device_id, 'server': 1, 'split': 3,
        'model_id': NETWORKS[task.device_id % len(NETWORKS)], 'steps': task.steps,
        'created_s': task.created_s, 'assigned_s': ASSIGNED_S, 'compute_share': 0.2,
        'power_w': 0.005, 'answer_bit': task.answer_bit,
    }  # fmt: skip
    return msg.Assignment(**(given | fields))


def assign(stage: Stage, *orders: msg.Assignment) -> None:
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=0, assignments=list(orders)))


def sent(stage: Stage, topic: names.Topic, order: msg.Assignment) -> Any:
    return stage.next(
        topic, lambda one: (one.task_id, one.attempt) == (order.task_id, order.attempt)
    )


def local_s(world: World, order: msg.Assignment) -> float:
    """(6): T_lc, from the sizes of the programs."""
    whole_bit, left_bit = (8 * len(program_of(order.model_id, cut)) for cut in (0, order.split))
    local_hz = world.devices(list(range(DEVICES)), SEED).flop_s[order.device_id]
    return float((whole_bit - left_bit) * order.steps / local_hz)


def test_all_tasks_are_made_when_the_mission_begins(stage: Stage, world: World) -> None:
    (report,) = stage.all(names.DEVICE_REPORT, slot=0)
    own = world.devices(list(range(DEVICES)), SEED)
    assert list(report.tasks) == [request_from(task) for task in own.open_slot(0)]
    assert len(report.tasks) == DEVICES
    assert list(report.flop_s) == own.flop_s.tolist()
    stage.open_slot(1, SLOT_S)
    later = stage.next(names.DEVICE_REPORT, lambda report: report.slot == 1)
    assert list(later.tasks) == []
    assert list(later.position) == list(report.position)


@pytest.mark.parametrize(('device', 'cut'), [(0, 1), (1, 7), (2, 4), (5, 2)])
def test_program_and_tensor_together_answer_as_the_whole_model(
    stage: Stage, models: dict[str, SplitModel], world: World, device: int, cut: int
) -> None:
    order = order_for(task_of(stage, device), split=cut)
    assign(stage, order)
    program = sent(stage, names.PROGRAM_TX, order)
    assert (program.server, program.attempt, program.device_id) == (1, 0, device)
    assert (program.model_id, program.cut) == (order.model_id, cut)
    assert bytes(program.data) == program_of(order.model_id, cut)
    assert program.sha256 == fingerprint(bytes(program.data))
    assert program.ready_s == ASSIGNED_S

    payload = sent(stage, names.PAYLOAD_TX, order)
    front_s = local_s(world, order)
    assert front_s > 0.5
    assert payload.timing.front_s == pytest.approx(front_s)
    assert payload.ready_s == pytest.approx(ASSIGNED_S + front_s)
    assert payload.energy.front_j == 0.0
    assert (payload.server, payload.cut, payload.steps) == (1, cut, order.steps)
    assert payload.power_w == order.power_w

    head = Head.from_bytes(bytes(program.data), classes=models[order.model_id].classes)
    tensor = decode(packet_from(payload), head.input_shape, head.input_dtype)
    picture = RenderedPictures().picture(SEED, device, 0, 0).image
    whole = models[order.model_id].run(picture)
    np.testing.assert_array_equal(head.run(tensor), whole)
    assert head.answer(head.run(tensor)) == models[order.model_id].answer(whole)


def test_a_second_try_gets_both_again_but_the_front_is_run_once(
    stage: Stage, world: World
) -> None:
    first = order_for(task_of(stage, 6))
    assign(stage, first)
    before, program = sent(stage, names.PAYLOAD_TX, first), sent(stage, names.PROGRAM_TX, first)
    front_s = local_s(world, first)
    # while the device computes, and after it has done so
    for attempt, assigned_s in ((1, ASSIGNED_S + 0.5 * front_s), (2, ASSIGNED_S + 2 * front_s)):
        again = order_for(task_of(stage, 6), attempt=attempt, server=2, assigned_s=assigned_s)
        assign(stage, again)
        repeated = sent(stage, names.PROGRAM_TX, again)
        assert (repeated.server, repeated.ready_s) == (2, assigned_s)
        assert repeated.data == program.data
        payload = sent(stage, names.PAYLOAD_TX, again)
        assert (payload.server, payload.data) == (2, before.data)
        ready_s = max(ASSIGNED_S + front_s, assigned_s)
        assert payload.ready_s == pytest.approx(ready_s)
        assert payload.timing.front_s == pytest.approx(ready_s - assigned_s)


def test_another_cut_is_another_front(stage: Stage, world: World) -> None:
    assign(stage, order_for(task_of(stage, 7)))
    other = order_for(task_of(stage, 7), attempt=1, split=5, assigned_s=30.0)
    assign(stage, other)
    payload = sent(stage, names.PAYLOAD_TX, other)
    assert payload.ready_s == pytest.approx(30.0 + local_s(world, other))
    assert bytes(sent(stage, names.PROGRAM_TX, other).data) == program_of(other.model_id, 5)


def test_what_is_decided_to_stay_uploads_nothing(
    stage: Stage, models: dict[str, SplitModel]
) -> None:
    order = order_for(task_of(stage, 8), server=LOCAL, split=5)
    assign(stage, order)
    report = stage.next(names.TASK_REPORT, lambda one: one.task_id == order.task_id)
    assert report.kind == msg.TaskReport.ANSWERED
    model = models[order.model_id]
    picture = RenderedPictures().picture(SEED, 8, 0, 0).image
    assert (report.answer, report.confidence) == model.answer(model.run(picture))
    assert not stage.all(names.PROGRAM_TX, task_id=order.task_id)


def test_an_order_that_cannot_be_followed_uploads_nothing(stage: Stage) -> None:
    order = order_for(task_of(stage, 10), split=6)
    assign(stage, order)
    report = stage.next(names.TASK_REPORT, lambda one: one.task_id == order.task_id)
    assert (report.kind, report.reason) == (msg.TaskReport.ERROR, "no cut 6 of 'scene-s'")
    assert not stage.all(names.PROGRAM_TX, task_id=order.task_id)


def test_an_answer_is_reported_and_the_task_forgotten(stage: Stage) -> None:
    order = order_for(task_of(stage, 12))
    assign(stage, order)
    sent(stage, names.PAYLOAD_TX, order)
    result = msg.TaskResult(
        task_id=order.task_id, device_id=12, server=1, answer='ship', confidence=0.5,
        ready_s=41.0,
    )  # fmt: skip
    stage.say(names.RESULT, result)
    report = stage.next(names.TASK_REPORT, lambda one: one.task_id == order.task_id)
    assert (report.answer, report.answered_s) == ('ship', 41.0)
    stage.say(names.TASK_OUTCOME, msg.TaskOutcome(task_id=order.task_id))
    again = order_for(task_of(stage, 12), attempt=1)
    reason = ''
    while not reason.startswith('unknown_task'):
        # topics do not wait for each other: the outcome may come after the order
        since = len(stage.heard[names.TASK_REPORT.name])
        sent_before = len(stage.all(names.PROGRAM_TX, task_id=order.task_id))
        assign(stage, again)
        stage.until(
            lambda since=since, before=sent_before: (
                len(stage.heard[names.TASK_REPORT.name]) > since
                or len(stage.all(names.PROGRAM_TX, task_id=order.task_id)) > before
            ),
            'an answer to the order',
        )
        news = stage.heard[names.TASK_REPORT.name][since:]
        reason = news[0].reason if news else ''


def test_paced_the_program_leaves_at_once_and_the_tensor_when_it_is_there(
    scenario: str, world: World
) -> None:
    with Stage(SAYS, HEARS) as stage:
        begin(stage, scenario)
        began = time.monotonic()
        report = open_mission(stage, speed=1.0)
        order = order_for(report.tasks[0], split=1, assigned_s=0.0)
        # far more than any machine needs until the program is heard
        order.steps *= 6.0 / local_s(world, order)
        assign(stage, order)
        program = sent(stage, names.PROGRAM_TX, order)
        assert not stage.all(names.PAYLOAD_TX, task_id=order.task_id)
        payload = sent(stage, names.PAYLOAD_TX, order)
        came_s = time.monotonic() - began
        assert (program.ready_s, payload.ready_s) == (0.0, pytest.approx(6.0))
        assert came_s > 5.9
        stage.end()
