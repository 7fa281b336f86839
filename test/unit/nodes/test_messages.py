"""Messages carry states, decisions, links, outcomes and tensors without loss."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

pytest.importorskip('rclpy', reason='needs ROS 2')

from rclpy.serialization import deserialize_message, serialize_message

from sec_nodes.controllers.base import create
from sec_nodes.inference.codec import decode, encode
from sec_nodes.inference.manifest import load_manifest
from sec_nodes.loop.ledger import Answer, Energy, Ledger, Outcome, Task, Timing, Try
from sec_nodes.loop.links import Receivers
from sec_nodes.loop.roster import Roster
from sec_nodes.nodes import slot_messages, task_messages, vector_messages
from sec_nodes.nodes.base import BadMessageError
from sec_nodes.nodes.dispatch import Dispatcher
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.survey import Survey
from sec_nodes.slot import DECLINED, LOCAL, LinkTable, ModelTable, SlotDecision, Status
from sec_nodes.world.survey import SurveyWorld
from sec_offload import msg

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(0.0, 1e300)
words = st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=12)
ids = st.integers(0, 2**63 - 1)
quick = settings(max_examples=40, deadline=None)


def through(message: Any) -> Any:
    """A message as it comes out at the other end of the wire."""
    return deserialize_message(serialize_message(message), type(message))


def assert_equal(got: Any, expected: Any, where: str = '') -> None:
    """Equal bit for bit, dtype and shape included."""
    if is_dataclass(expected):
        for item in fields(expected):
            assert_equal(getattr(got, item.name), getattr(expected, item.name), item.name)
    elif isinstance(expected, np.ndarray):
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape), where
        np.testing.assert_array_equal(got, expected, err_msg=where)
    else:
        assert got == expected, where


def column(draw: Any, count: int, values: st.SearchStrategy[Any] = finite) -> Any:
    return np.array(draw(st.lists(values, min_size=count, max_size=count)), dtype=float)


@st.composite
def link_tables(draw: Any, devices: int = 3, servers: int = 2) -> LinkTable:
    per_link = {
        name: column(draw, devices * servers).reshape(devices, servers)
        for name in ('gain', 'rate_bit_s', 'downlink_rate_bit_s', 'delay_s', 'loss')
    }
    per_server = {name: column(draw, servers) for name in ('bandwidth_hz', 'noise_w', 'isl_m')}
    return LinkTable(
        **per_link,
        **per_server,
        reachable=draw(arrays.arrays(bool, (devices, servers))),
        receiver=draw(arrays.arrays(np.int64, servers, elements=st.integers(0, 2**32 - 1))),
        hops=draw(arrays.arrays(np.int64, servers, elements=st.integers(0, 99))),
        remaining_s=column(draw, servers, st.floats(0, math.inf)),
    )


@quick
@given(link_tables())
def test_links_come_back_as_they_went(links: LinkTable) -> None:
    message = slot_messages.links_message(7, [1, 4, 2**32 - 1], [0, 1], links)
    assert list(message.device_id) == [1, 4, 2**32 - 1]
    assert_equal(slot_messages.links_from(through(message)), links)


@quick
@given(link_tables(), st.sampled_from(list(LinkTable.__dataclass_fields__)))
def test_links_of_the_wrong_length_are_refused(links: LinkTable, name: str) -> None:
    message = slot_messages.links_message(7, [1, 2, 3], [0, 1], links)
    setattr(message, name, list(getattr(message, name))[:-1])
    with pytest.raises(BadMessageError, match=name):
        slot_messages.links_from(message)


@pytest.fixture(scope='module')
def world() -> SurveyWorld:
    models = ModelTable(
        model_id=('scene-s', 'scene-l'),
        accuracy=np.array([0.8, 0.95]),
        n_cuts=np.array([3, 4]),
        front_flop=np.array([[0.0, 4e6, 10e6, 0.0], [0.0, 20e6, 60e6, 100e6]]),
        start_flop=np.zeros((2, 4)),
        back_flop=np.array([[10e6, 6e6, 0.0, 0.0], [100e6, 80e6, 40e6, 0.0]]),
        cut_bit=np.array([[4e5, 1e5, 256.0, 0.0], [4e5, 2e5, 5e4, 256.0]]),
    )
    overrides = {'devices.count': 3, 'uavs.count': 1, 'satellites.count': 1}
    world = SurveyWorld(read_settings('survey', overrides), load_manifest())
    world.scenario = Survey(world.settings, models)
    return world


@st.composite
def reports(draw: Any) -> tuple[Any, ...]:
    """What three devices and two servers report: two tasks, motion, and the links between."""
    devices = [
        [
            vector_messages.point(column(draw, 3)),
            vector_messages.vector3(column(draw, 3)),
            draw(positive),
            draw(positive),
            draw(st.booleans()),
        ]
        for _ in range(3)
    ]
    servers = [
        msg.ServerState(
            server_id=number,
            kind=number,
            position=vector_messages.point(column(draw, 3)),
            velocity=vector_messages.vector3(column(draw, 3)),
            model_id=('scene-s', 'scene-l')[number],
            flop_s=draw(positive),
            compute_power_w=draw(positive),
            transmit_power_w=draw(positive),
            backlog_s=draw(positive),
            energy_left_j=draw(positive),
            has_battery=number == 0,
        )
        for number in range(2)
    ]
    tasks = [
        Task(
            task_id=task_id,
            device_id=draw(st.integers(0, 2)),
            slot=5,
            created_s=draw(finite),
            deadline_s=draw(st.floats(1e-9, 1e9)),
            accuracy=draw(st.floats(0, 1)),
            answer_bit=draw(positive),
            prompt=draw(words),
        )
        for task_id in draw(st.lists(ids, min_size=2, max_size=2, unique=True))
    ]
    return devices, servers, tasks, draw(link_tables())


def make_message(world: SurveyWorld, gathered: tuple[Any, ...]) -> msg.SlotState:
    """The state of a slot, made by the code that the coordinator uses."""
    devices, servers, tasks, links = gathered
    ledger = Ledger(3)
    for task in tasks:
        assert ledger.enter(task) is None
    first: Roster[Any] = Roster([0, 1, 2], 1.0)
    for number, state in enumerate(devices):
        first.heard(number, state, 5, 0.0)
    second: Roster[Any] = Roster([0, 1], 1.0)
    for number, server in enumerate(servers):
        second.heard(number, server, 5, 0.0)
    dispatcher = Dispatcher(world, create('local_only', world.scenario), ledger)
    dispatcher.gather(5, first, second, second.living(), ['uav_0', 'satellite_0'])
    return dispatcher.make_state(
        slot_messages.links_message(5, [0, 1, 2], [0, 1], links), 5.0, world.settings.slot_s
    )


@quick
@given(gathered=reports())
def test_a_state_says_what_was_reported(world: SurveyWorld, gathered: tuple[Any, ...]) -> None:
    devices, servers, tasks, links = gathered
    state = slot_messages.state_from(through(make_message(world, gathered)), 'scene-s')
    assert_equal(state.links, links)
    assert_equal(state.models, world.scenario.models)
    assert (state.slot, state.time_s, state.slot_s) == (5, 5.0, 1.0)
    rows = {int(task_id): row for row, task_id in enumerate(state.tasks.task_id)}
    assert rows.keys() == {task.task_id for task in tasks}
    for task in tasks:
        row = rows[task.task_id]
        assert state.tasks.device[row] == task.device_id
        for name in ('created_s', 'deadline_s', 'accuracy', 'answer_bit'):
            assert getattr(state.tasks, name)[row] == getattr(task, name)
    np.testing.assert_array_equal(
        state.devices.position_m, vector_messages.array3([device[0] for device in devices])
    )
    np.testing.assert_array_equal(
        state.devices.velocity_m_s, vector_messages.array3([device[1] for device in devices])
    )
    assert state.devices.flop_s.tolist() == [device[2] for device in devices]
    assert state.devices.backlog_s.tolist() == [device[3] for device in devices]
    for name in ('flop_s', 'compute_power_w', 'transmit_power_w', 'backlog_s'):
        expected = [getattr(server, name) for server in servers]
        assert getattr(state.servers, name).tolist() == expected
    assert state.servers.energy_left_j.tolist() == [servers[0].energy_left_j, math.inf]
    assert state.servers.model.tolist() == [0, 1]
    assert state.servers.alive.all()


EXAMPLE = (
    [[vector_messages.point((1, 2, 3)), vector_messages.vector3((0, 0, 0)), 1e8, 0.0, False]] * 3,
    [msg.ServerState(server_id=n, kind=n, model_id=('scene-s', 'scene-l')[n]) for n in (0, 1)],
    [Task(n, n, 5, 5.0, 1.0, 0.5, 8.0) for n in (0, 1)],
    LinkTable(
        **{
            name: np.ones((3, 2))
            for name in ('gain', 'rate_bit_s', 'downlink_rate_bit_s', 'delay_s', 'loss')
        },
        reachable=np.ones((3, 2), dtype=bool),
        **{name: np.ones(2) for name in ('bandwidth_hz', 'noise_w', 'isl_m', 'remaining_s')},
        receiver=np.arange(2),
        hops=np.zeros(2, dtype=np.int64),
    ),
)


@st.composite
def decisions(draw: Any) -> SlotDecision:
    """A decision on two tasks; what stays on the device has the device's last cut."""
    server = np.array(draw(st.lists(st.integers(-2, 2**31 - 1), min_size=2, max_size=2)))
    split = np.array(draw(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=2)))
    return SlotDecision(
        server=server,
        split=np.where(server < 0, 2, split),
        power_w=column(draw, 2, st.floats()),
        compute_share=column(draw, 2, st.floats()),
        backup=np.array(draw(st.lists(st.integers(-2, 2**31 - 1), min_size=2, max_size=2))),
        uav_goal_m=column(draw, 3, st.floats()).reshape(1, 3),
    )


@quick
@given(decision=decisions(), order=st.permutations([0, 1]))
def test_a_decision_comes_back_in_the_order_of_the_tasks(
    world: SurveyWorld, decision: SlotDecision, order: list[int]
) -> None:
    state = slot_messages.state_from(make_message(world, EXAMPLE), 'scene-s')
    message = slot_messages.decision_message(state, decision)
    message.tasks = [message.tasks[row] for row in order]
    got, unknown = slot_messages.decision_from(through(message), state)
    assert unknown == 0
    assert_equal(got, decision)


def test_what_a_decision_leaves_out_or_says_twice_is_no_server(world: SurveyWorld) -> None:
    state = slot_messages.state_from(make_message(world, EXAMPLE), 'scene-s')
    twice = [msg.TaskDecision(task_id=0, server=0), msg.TaskDecision(task_id=0, server=1)]
    stranger = msg.TaskDecision(task_id=2**64 - 1, server=0)
    got, unknown = slot_messages.decision_from(msg.SlotDecision(tasks=[*twice, stranger]), state)
    assert unknown == 1
    assert (got.server >= state.n_servers).all()
    np.testing.assert_array_equal(got.uav_goal_m, state.servers.position_m[:1])


timings = st.builds(Timing, *[finite] * 7)
energies = st.builds(Energy, *[finite] * 4)
answers = st.builds(
    Answer, words, words, finite, finite, finite, finite, finite, timing=timings, energy=energies
)


def report_of(answer: Answer) -> msg.TaskReport:
    return msg.TaskReport(
        **{
            name: value for name, value in vars(answer).items() if name not in ('timing', 'energy')
        },
        timing=task_messages.timing_message(answer.timing),
        energy=task_messages.energy_message(answer.energy),
    )


@quick
@given(answers)
def test_an_answer_comes_back_as_it_went(answer: Answer) -> None:
    assert task_messages.answer_from(through(report_of(answer))) == answer


@pytest.mark.parametrize('name', ['answered_s', 'upload_s', 'back_j'])
@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_an_answer_without_a_time_or_energy_is_refused(name: str, value: float) -> None:
    timing, energy = Timing(), Energy()
    answer = Answer('ship', 'ship', 0.5, 1.0, 1.0, 0.0, 0.0, timing, energy)
    if name == 'answered_s':
        answer = replace(answer, answered_s=value)
    elif name == 'upload_s':
        answer = replace(answer, timing=replace(timing, upload_s=value))
    else:
        answer = replace(answer, energy=replace(energy, back_j=value))
    with pytest.raises(BadMessageError, match='task 0'):
        task_messages.answer_from(report_of(answer))


@quick
@given(
    task=st.builds(
        Task, ids, st.integers(0, 99), st.integers(0, 99), finite, positive, finite, finite, words
    ),
    answer=st.none() | answers,
    status=st.sampled_from(Status),
    reason=words,
)
def test_an_outcome_says_everything(
    task: Task, answer: Answer | None, status: Status, reason: str
) -> None:
    last = Try(4, 'scene-l', 3, 0.5, 0.25, LOCAL, 'greedy', 1.0)
    outcome = Outcome(task, status, reason, 2, last, answer)
    got = through(task_messages.outcome_message(outcome, 'satellite_1', 0.95, declined=False))
    assert task_messages.task_from(through(task_messages.request_from(task)), task.slot) == task
    for name in ('task_id', 'device_id', 'slot', 'created_s', 'deadline_s'):
        assert getattr(got, name) == getattr(task, name)
    assert got.accuracy_required == task.accuracy
    assert (got.status, got.reason, got.attempts) == (status, reason, 2)
    assert (got.controller, got.server, got.server_name) == ('greedy', 4, 'satellite_1')
    assert (got.model_id, got.split, got.power_w) == ('scene-l', 3, 0.5)
    if answer is None:
        assert (got.answer, got.latency_s, got.accuracy) == ('', 0.0, 0.0)
        return
    assert (got.answer, got.truth, got.confidence) == tuple(vars(answer).values())[:3]
    assert got.accuracy == 0.95
    assert got.latency_s == answer.answered_s - task.created_s
    assert got.observed_s == answer.observed_s - task.created_s
    assert {name: getattr(got.timing, name) for name in vars(answer.timing)} == vars(answer.timing)
    assert {name: getattr(got.energy, name) for name in vars(answer.energy)} == vars(answer.energy)


def test_an_outcome_without_a_try_was_declined() -> None:
    outcome = Outcome(Task(1, 2, 3, 4.0, 5.0, 0.5, 6.0), Status.REJECTED, 'no', 0, None, None)
    got = task_messages.outcome_message(outcome, '', 0.0, declined=True)
    assert (got.server, got.server_name, got.controller, got.attempts) == (DECLINED, '', '', 0)


def test_a_task_with_a_number_that_is_too_large_is_rejected_at_once() -> None:
    request = msg.TaskRequest(task_id=2**63, deadline_s=1.0)
    rejected = Ledger(3).enter(task_messages.task_from(request, 0))
    assert rejected is not None
    assert rejected.status is Status.REJECTED
    assert 'task_id' in rejected.reason


@quick
@given(
    arrays.arrays(
        np.float32, (1, 3, 2), elements=st.floats(-1e4, 1e4, width=32)
    ),
    st.sampled_from(['raw', 'f16', 'u8']),
)  # fmt: skip
def test_a_tensor_is_decoded_from_the_message_as_from_the_packet(tensor: Any, codec: str) -> None:
    packet = encode(tensor, codec)
    message = through(msg.Payload(**task_messages.packet_fields(packet)))
    got = task_messages.packet_from(message)
    assert got == packet
    np.testing.assert_array_equal(decode(got), decode(packet))


@quick
@given(st.data())
def test_receivers_come_from_server_states(data: Any) -> None:
    states = [
        msg.ServerState(
            kind=number,
            receiver=data.draw(st.integers(0, 2**32 - 1)),
            receiver_position=vector_messages.point(column(data.draw, 3)),
            in_view=data.draw(st.booleans()),
            hops=data.draw(st.integers(0, 99)),
            isl_m=data.draw(positive),
            remaining_s=data.draw(st.floats(0, math.inf)),
            transmit_power_w=data.draw(positive),
        )
        for number in range(2)
    ]
    got = slot_messages.receivers_from([through(state) for state in states])
    for item in fields(Receivers):
        if item.name != 'position_m':
            expected = [getattr(state, item.name) for state in states]
            assert getattr(got, item.name).tolist() == expected
    np.testing.assert_array_equal(
        got.position_m, vector_messages.array3([state.receiver_position for state in states])
    )
