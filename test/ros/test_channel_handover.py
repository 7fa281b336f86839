"""The channel node between UAVs: what a failing UAV passes on flies over their link."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from failover_stage import order_of, robust_file
from node_stage import Stage, server_state

from sec_nodes.nodes import names
from sec_nodes.nodes.vector_messages import point
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.world import World, build_world
from sec_offload import msg

SLOT = 4
SERVERS = ('uav_0', 'uav_1', 'uav_2')
SAYS = (
    names.SLOT_START, names.LINK_REQUEST, names.ASSIGNMENTS, names.PAYLOAD_TX, names.TOKEN_TX,
    names.RESULT_TX, names.FAILURE,
)  # fmt: skip
HEARS = (
    names.LINK_TABLE, names.TASK_REPORT, names.TOKEN, names.RESULT, names.DIAGNOSTICS,
    *(names.VEHICLE_PAYLOAD.of(server) for server in SERVERS),
)  # fmt: skip


@pytest.fixture(scope='module')
def scenario(tmp_path_factory: pytest.TempPathFactory) -> str:
    return robust_file(tmp_path_factory.mktemp('robust'))


@pytest.fixture(scope='module')
def world(scenario: str) -> World:
    return build_world(read_settings(scenario))


@pytest.fixture(scope='module')
def stage(scenario: str, world: World) -> Iterator[Stage]:
    """A channel that knows a slot in which the UAVs are in a line, 120 m apart."""
    with Stage(SAYS, HEARS) as stage:
        stage.start('channel', f'scenario:={scenario}')
        stage.connect()
        stage.open_slot(SLOT, SLOT)
        request = msg.LinkRequest(
            slot=SLOT,
            device_id=list(range(10)),
            device_position=[point((40.0 * number, 60.0, 0.0)) for number in range(10)],
            servers=[server_state(world, server) for server in range(3)],
        )
        asked = 0

        def answered() -> Any:
            nonlocal asked
            if asked % 20 == 0:
                stage.say(names.LINK_REQUEST, request)
            asked += 1
            return stage.all(names.LINK_TABLE, slot=SLOT)

        stage.until(answered, 'links')
        yield stage
        stage.end()


def assign(stage: Stage, *orders: msg.Assignment) -> None:
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=SLOT, assignments=list(orders)))


def payload(order: msg.Assignment) -> msg.Payload:
    message = msg.Payload(
        task_id=order.task_id, device_id=order.device_id, server=order.server, slot=SLOT,
        holder=order.holder, attempt=order.attempt, model_id=order.model_id, cut=order.split,
        ready_s=SLOT + 0.125, data=[1, 2, 3],
    )  # fmt: skip
    message.energy.upload_j = 0.25
    return message


def arrival(stage: Stage, order: msg.Assignment) -> msg.Payload:
    topic = names.VEHICLE_PAYLOAD.of(SERVERS[order.server])
    return stage.next(topic, lambda got: got.task_id == order.task_id)


def loss(stage: Stage, order: msg.Assignment) -> msg.TaskReport:
    news = stage.next(names.TASK_REPORT, lambda news: news.task_id == order.task_id)
    assert (news.kind, news.server) == (msg.TaskReport.LOST, order.server)
    return news


def rate_bit_s(distance_m: float) -> float:
    """(16), (17): 1.2 MHz, 1 W, -30 dB at a metre, -174 dBm/Hz."""
    noise_w = 10 ** (-17.4) * 1e-3 * 1.2e6
    return 1.2e6 * math.log2(1 + 1.0 * 1e-3 / distance_m**2 / noise_w)


@pytest.mark.parametrize(('holder', 'server', 'distance_m'), [(0, 2, 240.0), (1, 2, 120.0)])
@pytest.mark.parametrize('early', [False, True])
def test_a_handover_takes_the_time_and_energy_of_the_link_between_uavs(
    stage: Stage, holder: int, server: int, distance_m: float, early: bool
) -> None:
    # scene-l at cut 3: 10 240 numbers of 32 bit
    order = order_of(holder=holder, server=server, split=3)
    if early:
        stage.say(names.PAYLOAD_TX, payload(order))
        witness = order_of(holder=1, server=0)
        assign(stage, witness)
        stage.say(names.PAYLOAD_TX, payload(witness))
        arrival(stage, witness)
        assign(stage, order)
    else:
        assign(stage, order)
        stage.say(names.PAYLOAD_TX, payload(order))
    got = arrival(stage, order)
    time_s = 327_680 / rate_bit_s(distance_m)
    assert got.timing.upload_s == pytest.approx(time_s, rel=1e-9)
    assert got.ready_s == pytest.approx(SLOT + 0.125 + time_s)
    # 1 W, and what the device had spent before
    assert got.energy.upload_j == pytest.approx(0.25 + time_s)
    assert (got.holder, bytes(got.data)) == (holder, b'\1\2\3')


def test_what_devices_send_counts_their_own_energy_alone(stage: Stage) -> None:
    order = order_of(server=1, split=3)
    assign(stage, order)
    stage.say(names.PAYLOAD_TX, payload(order))
    got = arrival(stage, order)
    assert got.energy.upload_j == pytest.approx(0.1 * got.timing.upload_s)


@pytest.mark.parametrize('dead', [0, 1])
def test_a_lost_link_of_either_end_loses_the_tensor(stage: Stage, dead: int) -> None:
    stage.say(names.FAILURE, msg.Failure(server_id=dead, kind=msg.Failure.LINK_LOSS))
    stage.until_health('cut links', lambda cut: cut == SERVERS[dead])
    order, other = order_of(holder=0, server=1), order_of(server=2)
    assign(stage, order, other)
    for one in (order, other):
        stage.say(names.PAYLOAD_TX, payload(one))
    assert loss(stage, order).reason == 'payload_lost: the link is cut'
    arrival(stage, other)
    stage.say(names.FAILURE, msg.Failure(server_id=dead, kind=msg.Failure.RECOVER))
    stage.until_health('cut links', lambda cut: cut == 'none')


def test_holders_that_cannot_be_are_counted(stage: Stage) -> None:
    good = order_of(holder=0, server=1)
    assign(stage, order_of(holder=7, server=1), order_of(holder=1, server=1), good)
    stage.say(names.PAYLOAD_TX, payload(good))
    arrival(stage, good)
    stage.until_counted('bad order', 2)
