"""The controller node as a process: it decides as the controller itself would, and survives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from node_stage import Stage, link_request, slot_dispatcher

from sec_nodes.controllers.base import Controller, create
from sec_nodes.loop.links import link_table
from sec_nodes.nodes import names
from sec_nodes.nodes.slot_messages import decision_from, links_message, receivers_from, state_from
from sec_nodes.nodes.vector_messages import array3
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import SlotDecision
from sec_nodes.world import World, build_world
from sec_offload import msg

SEED = 11
FOREIGN = """
from sec_nodes.controllers.base import Controller

class Raising(Controller):
    name = 'raising'
    def decide(self, state):
        raise RuntimeError('on purpose')

class Nonsense(Controller):
    name = 'nonsense'
    def decide(self, state):
        return None

class Unmakeable(Controller):
    name = 'unmakeable'
    def __init__(self, scenario, seed=0):
        raise KeyError('no such thing')
    def decide(self, state):
        return None

class Unfinished(Controller):
    name = 'unfinished'
"""


@pytest.fixture(scope='module')
def world() -> World:
    return build_world(read_settings('survey'))


@pytest.fixture(scope='module')
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp('foreign')
    (folder / 'foreign.py').write_text(FOREIGN)
    (folder / 'typo.py').write_text('class Broken(:\n')
    (folder / 'failing.py').write_text('1 / 0\n')
    with Stage((names.SLOT_STATE,), (names.SLOT_DECISION, names.DIAGNOSTICS)) as stage:
        stage.start('controller', f'seed:={SEED}', PYTHONPATH=python_path(folder))
        stage.connect()
        yield stage
        output = stage.end()
        assert output.count('takes over from') > 3


def python_path(folder: Path) -> str:
    import os

    return f'{folder}:{os.environ.get("PYTHONPATH", "")}'


def swap(stage: Stage, name: str) -> Any:
    """Ask for another controller."""
    service, kind = names.SET_CONTROLLER
    client = stage.node.create_client(kind, service)
    stage.until(client.service_is_ready, 'service')
    future = client.call_async(kind.Request(name=name))
    stage.until(future.done, 'answer')
    stage.node.destroy_client(client)
    return future.result()


_slots = iter(range(10_000))


def new_state(world: World) -> msg.SlotState:
    """A state as the coordinator would publish it."""
    slot = next(_slots)
    dispatcher = slot_dispatcher(world, slot)
    request = dispatcher.link_request
    links = link_table(
        world.settings, SEED, slot, np.array(request.device_id, dtype=np.int64),
        array3(request.device_position), receivers_from(request.servers),
    )  # fmt: skip
    servers = [server.server_id for server in request.servers]
    table = links_message(slot, request.device_id, servers, links)
    return dispatcher.make_state(table, float(slot), world.settings.slot_s)


def check_decision(stage: Stage, world: World, controller: Controller) -> None:
    """The node's answer to a new state is, bit for bit, that of a controller called directly."""
    message = new_state(world)
    stage.say(names.SLOT_STATE, message)
    answer = stage.next(names.SLOT_DECISION, lambda answer: answer.slot == message.slot)
    state = state_from(message, world.settings.devices.model)
    got, unknown = decision_from(answer, state)
    expected = controller.decide(state)
    assert (answer.controller, unknown) == (controller.name, 0)
    assert 0.0 < answer.decide_s < 10.0
    assert len(answer.tasks) == state.n_tasks == 10
    for item in fields(SlotDecision):
        np.testing.assert_array_equal(
            getattr(got, item.name), getattr(expected, item.name), err_msg=item.name
        )


@pytest.mark.parametrize('name', ['greedy', 'random', 'nearest_uav', 'offload_all', 'local_only'])
def test_the_node_decides_as_the_controller_itself(stage: Stage, world: World, name: str) -> None:
    assert swap(stage, name).success
    own = create(name, world.scenario, SEED)
    for _ in range(3):
        check_decision(stage, world, own)


@pytest.mark.parametrize(
    ('name', 'why'),
    [
        ('gready', "did you mean 'greedy'"),
        ('', 'unknown controller'),
        ('nowhere:Nothing', 'cannot be imported'),
        ('foreign:Nothing', 'cannot be imported'),
        ('pathlib:Path', 'is no subclass'),
        ('foreign:Unmakeable', 'no such thing'),
        ('foreign:Unfinished', 'abstract'),
        ('typo:Broken', 'SyntaxError'),
        ('failing:Nothing', 'ZeroDivisionError'),
        (':Nothing', ':Nothing'),
        ('.relative:Nothing', '.relative:Nothing'),
    ],
)
def test_a_controller_that_cannot_be_had_changes_nothing(
    stage: Stage, world: World, name: str, why: str
) -> None:
    leaving = swap(stage, 'nearest_uav').message
    assert leaving
    refusal = swap(stage, name)
    assert not refusal.success
    assert why in refusal.message
    assert '\n' not in refusal.message
    check_decision(stage, world, create('nearest_uav', world.scenario, SEED))


@pytest.mark.parametrize('name', ['Raising', 'Nonsense'])
def test_a_controller_that_fails_is_counted_and_another_may_follow(
    stage: Stage, world: World, name: str
) -> None:
    assert swap(stage, f'foreign:{name}').success
    message = new_state(world)
    stage.say(names.SLOT_STATE, message)
    stage.until_counted('controller failed', 1 + (name == 'Nonsense'))
    assert swap(stage, 'greedy').message == name.lower()
    check_decision(stage, world, create('greedy', world.scenario, SEED))
    assert not stage.all(names.SLOT_DECISION, slot=message.slot)


def without_last(name: str) -> Any:
    def spoil(state: msg.SlotState) -> None:
        setattr(state, name, getattr(state, name)[:-1])

    return spoil


def without_a_gain(state: msg.SlotState) -> None:
    state.links.gain = state.links.gain[:-1]


def with_strange_links(state: msg.SlotState) -> None:
    request = link_request(build_world(read_settings('survey', {'devices.count': 3})), state.slot)
    links = link_table(
        read_settings('survey'), SEED, state.slot, np.array(request.device_id, dtype=np.int64),
        array3(request.device_position), receivers_from(request.servers),
    )  # fmt: skip
    state.links = links_message(state.slot, request.device_id, range(7), links)


def with_an_unknown_model(state: msg.SlotState) -> None:
    state.servers[2].model_id = 'scene-x'


def with_a_strange_task(state: msg.SlotState) -> None:
    state.tasks[1].device_id = 77


def with_a_huge_task(state: msg.SlotState) -> None:
    state.tasks[1].task_id = 2**64 - 1


def with_a_torn_profile(state: msg.SlotState) -> None:
    state.models[0].front_flop = state.models[0].front_flop[:-1]


def test_a_state_whose_lengths_do_not_fit_is_counted(stage: Stage, world: World) -> None:
    assert swap(stage, 'greedy').success
    lengths = (
        'attempt', 'device_position', 'device_velocity', 'device_flop_s', 'device_backlog_s',
        'servers', 'models', 'device_id', 'tasks',
    )  # fmt: skip
    spoils = [
        *(without_last(name) for name in lengths), without_a_gain, with_strange_links,
        with_an_unknown_model, with_a_strange_task, with_a_huge_task, with_a_torn_profile,
    ]  # fmt: skip
    bad = []
    for spoil in spoils:
        message = new_state(world)
        spoil(message)
        bad.append(message.slot)
        stage.say(names.SLOT_STATE, message)
        # the topic keeps ten, so one after the other
        check_decision(stage, world, create('greedy', world.scenario, SEED))
    assert not [slot for slot in bad if stage.all(names.SLOT_DECISION, slot=slot)]
    stage.until_counted('bad slot_state', len(bad))
