"""The channel node as a process: it computes links, carries, delays and loses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from geometry_msgs.msg import Point
from node_stage import TIMEOUT_S, Stage, link_request, survey_file

from sec_nodes.loop.links import link_table
from sec_nodes.nodes import names
from sec_nodes.nodes.slot_messages import links_from, receivers_from
from sec_nodes.nodes.vector_messages import array3
from sec_nodes.physics.randomness import Stream, uniform
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import LinkTable
from sec_nodes.world import World, build_world
from sec_offload import msg

SEED, SLOT, LOSS = 9, 4, 0.3
SERVERS = ('uav_0', 'uav_1', 'uav_2', *(f'satellite_{number}' for number in range(4)))
SAYS = (
    names.SLOT_START, names.LINK_REQUEST, names.ASSIGNMENTS, names.PAYLOAD_TX, names.TOKEN_TX,
    names.RESULT_TX,
    names.FAILURE,
)  # fmt: skip
HEARS = (
    names.LINK_TABLE, names.TASK_REPORT, names.TOKEN, names.RESULT, names.DIAGNOSTICS,
    *(names.VEHICLE_PAYLOAD.of(server) for server in SERVERS),
)  # fmt: skip


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, World]]:
    scenario = survey_file(tmp_path_factory.mktemp('channel'), devices__count=4, radio__loss=LOSS)
    with Stage(SAYS, HEARS) as stage:
        stage.start('channel', f'scenario:={scenario}', f'seed:={SEED}')
        stage.connect()
        stage.open_slot(SLOT, SLOT)
        world = build_world(read_settings(str(scenario)))
        # satellite_1 sets in 20 ms
        request = link_request(world, SLOT, server_4={'remaining_s': 0.02})
        ask(stage, request)
        yield stage, world
        stage.end()


def ask(stage: Stage, request: msg.LinkRequest) -> msg.LinkTable:
    """Repeat a request until it is answered, as the coordinator does."""
    stage.say(names.LINK_REQUEST, request)
    asked_at = 0

    def answer() -> list[Any]:
        nonlocal asked_at
        asked_at += 1
        if asked_at % 20 == 0:
            stage.say(names.LINK_REQUEST, request)
        return stage.all(names.LINK_TABLE, slot=request.slot)

    table: msg.LinkTable = stage.until(answer, f'links within {TIMEOUT_S} s')[0]
    return table


def expected_links(world: World, request: msg.LinkRequest) -> LinkTable:
    return link_table(
        world.settings, SEED, request.slot, np.array(request.device_id),
        array3(request.device_position), receivers_from(request.servers),
    )  # fmt: skip


_tasks = iter(range(1, 10_000))


def task(lucky: bool = True) -> int:
    """A new task whose first try gets through, or is lost to the residual block errors."""
    while True:
        number = next(_tasks)
        draw = uniform(SEED, Stream.LOSS, np.array([number]), np.array([0]), 1)[0, 0]
        if (draw >= LOSS) == lucky:
            return number


def order(task_id: int, device: int, server: int, **fields: Any) -> msg.Assignment:
    message = msg.Assignment(
        task_id=task_id, device_id=device, server=server, power_w=0.5, split=0,
        model_id='scene-s' if server < 3 else 'scene-l',
    )  # fmt: skip
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def assign(stage: Stage, *orders: msg.Assignment, slot: int = SLOT) -> None:
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot, assignments=list(orders)))


def payload(order: msg.Assignment, **fields: Any) -> msg.Payload:
    message = msg.Payload(
        task_id=order.task_id, device_id=order.device_id, server=order.server, slot=SLOT,
        model_id=order.model_id, ready_s=SLOT + 0.125, data=[1, 2, 3],
    )  # fmt: skip
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def arrival(stage: Stage, order: msg.Assignment) -> msg.Payload:
    topic = names.VEHICLE_PAYLOAD.of(SERVERS[order.server])
    return stage.next(topic, lambda got: got.task_id == order.task_id)


def loss(stage: Stage, task_id: int) -> msg.TaskReport:
    news = stage.next(names.TASK_REPORT, lambda news: news.task_id == task_id)
    assert (news.kind, news.reporter) == (msg.TaskReport.LOST, 'channel')
    return news


def still_carries(stage: Stage) -> None:
    """A sound payload gets through, and with it all that was sent before on the same topics."""
    good = order(task(), 0, 0)
    assign(stage, good)
    stage.say(names.PAYLOAD_TX, payload(good))
    arrival(stage, good)


@pytest.mark.parametrize('slot', [10, 11])
def test_links_are_those_of_the_physics(scene: Any, slot: int) -> None:
    stage, world = scene
    request = link_request(
        world, slot, server_5={'in_view': False, 'remaining_s': 0.0}, server_6={'receiver': 3}
    )
    table = ask(stage, request)
    assert list(table.device_id) == list(request.device_id)
    assert list(table.server_id) == list(range(7))
    got, expected = links_from(table), expected_links(world, request)
    for name in LinkTable.__dataclass_fields__:
        np.testing.assert_allclose(
            getattr(got, name), getattr(expected, name), rtol=1e-12, atol=0, err_msg=name
        )
    assert not got.reachable[:, 5].any()


def test_payloads_take_the_time_and_energy_of_the_uplink(scene: Any) -> None:
    stage, world = scene
    # the first two disturb each other at uav_0
    orders = [
        order(task(), 0, 0),
        order(task(), 1, 0, power_w=0.25, split=2),
        order(task(), 2, 6, split=3),
        order(task(), 3, -1),
    ]
    assign(stage, *orders)
    for one in orders[:3]:
        stage.say(names.PAYLOAD_TX, payload(one))
    models, sent = world.scenario.models, orders[:3]
    row = [models.model_id.index(one.model_id) for one in sent]
    stage_up = world.scenario.uplink(
        expected_links(world, link_request(world, SLOT, server_4={'remaining_s': 0.02})),
        np.array([one.device_id for one in sent]),
        np.array([one.server for one in sent]),
        np.array([one.power_w for one in sent]),
        models.cut_bit[row, [one.split for one in sent]],
    )
    for number, one in enumerate(sent):
        got = arrival(stage, one)
        assert got.timing.upload_s == pytest.approx(stage_up.time_s[number], rel=1e-12)
        assert got.energy.upload_j == pytest.approx(stage_up.energy_j[number], rel=1e-12)
        assert got.ready_s == pytest.approx(SLOT + 0.125 + stage_up.time_s[number], rel=1e-12)
        assert bytes(got.data) == b'\1\2\3'


def test_a_payload_that_is_faster_than_its_assignment_is_kept(scene: Any) -> None:
    stage, _ = scene
    early, witness = order(task(), 0, 1), order(task(), 1, 0)
    assign(stage, witness)
    for one in (early, witness):
        stage.say(names.PAYLOAD_TX, payload(one))
    arrival(stage, witness)
    assert not stage.all(names.VEHICLE_PAYLOAD.of('uav_1'), task_id=early.task_id)
    assign(stage, early)
    assert arrival(stage, early).timing.upload_s > 0.0
    assert not stage.all(names.TASK_REPORT, task_id=early.task_id)


def test_block_errors_lose_just_those_that_chance_has_chosen(scene: Any) -> None:
    stage, _ = scene
    orders = [order(task(lucky=number % 2 == 0), 0, 0) for number in range(10)]
    assign(stage, *orders)
    for one in orders:
        stage.say(names.PAYLOAD_TX, payload(one))
    for number, one in enumerate(orders):
        if number % 2 == 0:
            arrival(stage, one)
        else:
            assert loss(stage, one.task_id).reason == 'payload_lost: residual block errors'


def test_no_power_is_no_link(scene: Any) -> None:
    stage, _ = scene
    silent = order(task(), 0, 0, power_w=0.0)
    assign(stage, silent)
    stage.say(names.PAYLOAD_TX, payload(silent))
    assert loss(stage, silent.task_id).reason == 'payload_lost: no link'


def test_a_satellite_that_sets_during_the_upload_gets_nothing(scene: Any) -> None:
    stage, _ = scene
    unlucky = order(task(), 0, 4)
    assign(stage, unlucky)
    stage.say(names.PAYLOAD_TX, payload(unlucky))
    assert loss(stage, unlucky.task_id).reason == 'payload_lost: the satellite has set'
    assert not stage.all(names.VEHICLE_PAYLOAD.of('satellite_1'))


def answer_of(task_id: int, computed_by: int, **fields: Any) -> msg.TaskResult:
    message = msg.TaskResult(
        task_id=task_id, device_id=2, server=computed_by, slot=SLOT, attempt=3, answer='ship',
        answer_bit=384.0, ready_s=SLOT + 0.5,
    )  # fmt: skip
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize('server', [1, 6])
def test_answers_take_the_time_and_energy_of_the_downlink(scene: Any, server: int) -> None:
    stage, world = scene
    sent = answer_of(task(), server)
    stage.say(names.RESULT_TX, sent)
    got = stage.next(names.RESULT, lambda got: got.task_id == sent.task_id)
    request = link_request(world, SLOT, server_4={'remaining_s': 0.02})
    down = world.scenario.downlink(
        expected_links(world, request), np.array([2]), np.array([server]), np.array([384.0]),
        receivers_from(request.servers).transmit_power_w[[server]],
    )  # fmt: skip
    assert got.timing.download_s == pytest.approx(down.time_s[0], rel=1e-12)
    assert got.energy.download_j == pytest.approx(down.energy_j[0], rel=1e-12)
    assert got.ready_s == pytest.approx(SLOT + 0.5 + down.time_s[0], rel=1e-12)
    assert (got.answer, got.attempt) == ('ship', 3)


def test_a_cut_link_loses_payloads_and_answers_until_it_recovers(scene: Any) -> None:
    stage, _ = scene
    stage.say(names.FAILURE, msg.Failure(server_id=1, kind=msg.Failure.CRASH))
    stage.say(names.FAILURE, msg.Failure(server_id=2, kind=msg.Failure.LINK_LOSS))
    stage.until_health('cut links', lambda cut: cut == 'uav_2')
    lost, other, answer = order(task(), 0, 2), order(task(), 1, 1), task()
    assign(stage, lost, other)
    for one in (lost, other):
        stage.say(names.PAYLOAD_TX, payload(one))
    stage.say(names.RESULT_TX, answer_of(answer, 2))
    assert loss(stage, lost.task_id).reason == 'payload_lost: the link is cut'
    news = loss(stage, answer)
    assert (news.reason, news.server, news.attempt) == ('answer_lost: the link is cut', 2, 3)
    arrival(stage, other)

    stage.say(names.FAILURE, msg.Failure(server_id=2, kind=msg.Failure.RECOVER))
    stage.until_health('cut links', lambda cut: cut == 'none')
    again, answer = order(task(), 0, 2), task()
    assign(stage, again)
    stage.say(names.PAYLOAD_TX, payload(again))
    stage.say(names.RESULT_TX, answer_of(answer, 2))
    arrival(stage, again)
    stage.next(names.RESULT, lambda got: got.task_id == answer)


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'server': 99}, 'answer_lost: no server 99'),
        ({'slot': 99}, 'answer_lost: no links of slot 99'),
        ({'device_id': 99}, 'answer_lost: no links of slot 4'),
        ({'answer_bit': math.nan}, 'answer_lost: answer_bit = nan'),
        ({'answer_bit': -1.0}, 'answer_lost: answer_bit = -1.0'),
        ({'ready_s': math.nan}, 'answer_lost: ready_s = nan'),
    ],
)
def test_an_answer_that_makes_no_sense_is_lost(
    scene: Any, fields: dict[str, Any], reason: str
) -> None:
    stage, _ = scene
    sent = answer_of(task(), 0, **fields)
    stage.say(names.RESULT_TX, sent)
    assert loss(stage, sent.task_id).reason.startswith(reason)
    still_carries(stage)
    assert not stage.all(names.RESULT, task_id=sent.task_id)


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'server': 99}, 'payload_lost: no server 99'),
        ({'server': -1}, 'payload_lost: no server -1'),
        ({'slot': 99}, 'payload_lost: no links of slot 99'),
        ({'ready_s': math.nan}, 'payload_lost: ready_s = nan'),
        ({'ready_s': math.inf}, 'payload_lost: ready_s = inf'),
    ],
)
def test_a_payload_that_makes_no_sense_is_lost(
    scene: Any, fields: dict[str, Any], reason: str
) -> None:
    stage, _ = scene
    one = order(task(), 0, 0)
    assign(stage, one)
    stage.say(names.PAYLOAD_TX, payload(one, **fields))
    assert loss(stage, one.task_id).reason == reason
    still_carries(stage)


def test_orders_that_make_no_sense_are_counted_and_the_others_carried_out(scene: Any) -> None:
    stage, _ = scene
    good = order(task(), 0, 0)
    assign(
        stage,
        order(task(), 99, 0),
        order(task(), 0, 99),
        order(task(), 0, 0, model_id='scene-x'),
        order(task(), 0, 0, split=77),
        order(task(), 0, 0, power_w=math.nan),
        order(task(), 0, 0, power_w=-1.0),
        good,
    )
    assign(stage, order(task(), 0, 0), slot=99)
    stage.say(names.PAYLOAD_TX, payload(good))
    arrival(stage, good)
    stage.until_counted('bad order', 5)


def test_a_request_that_makes_no_sense_is_counted(scene: Any) -> None:
    stage, world = scene
    bad = link_request(world, 20)
    bad.device_position = bad.device_position[:-1]
    stage.say(names.LINK_REQUEST, bad)
    nowhere = link_request(world, 20, server_4={'receiver_position': Point(z=math.nan)})
    stage.say(names.LINK_REQUEST, nowhere)
    stage.until_counted('bad link_request', 2)
    assert ask(stage, link_request(world, 21)).slot == 21
    assert not stage.all(names.LINK_TABLE, slot=20)
