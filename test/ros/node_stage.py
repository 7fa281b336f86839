"""A stage for one real node: the test plays the rest of the fleet in a ROS domain of its own."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from rclpy.executors import SingleThreadedExecutor

from sec_nodes.controllers.base import create
from sec_nodes.loop.ledger import Ledger, Task
from sec_nodes.loop.roster import Roster
from sec_nodes.nodes import names
from sec_nodes.nodes.base import is_matched
from sec_nodes.nodes.dispatch import Dispatcher
from sec_nodes.nodes.vector_messages import point, vector3
from sec_nodes.paths import config_dir
from sec_nodes.slot import ServerKind
from sec_nodes.world import World
from sec_offload import msg

TIMEOUT_S = 240.0
"""Far more than anything here takes; passing it means that something never came."""
WORKER = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))
"""Number of this process among those that share the tests."""
_domains = itertools.count(os.getpid())


def next_domain() -> int:
    """A ROS domain for the next process of these tests, one of eight that its worker has."""
    return 60 + 8 * WORKER + next(_domains) % 8


def spawn(node: str, domain: int, *parameters: str, log: Any, **variables: str) -> Any:
    """A node as a process, with ROS parameters of the form name:=value."""
    words = [word for parameter in parameters for word in ('-p', parameter)]
    return subprocess.Popen(
        [sys.executable, '-m', f'sec_nodes.nodes.{node}', '--ros-args', *words],
        env={**os.environ, 'ROS_DOMAIN_ID': str(domain), **variables},
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def survey_file(folder: Path, **overrides: Any) -> Path:
    """The survey scenario with other values; `devices__count=4` sets devices.count."""
    tree = yaml.safe_load((config_dir() / 'scenarios' / 'survey.yaml').read_text())
    for key, value in overrides.items():
        *parents, last = key.split('__')
        branch = tree
        for parent in parents:
            branch = branch[parent]
        branch[last] = value
    path = folder / 'scenario.yaml'
    path.write_text(yaml.safe_dump(tree))
    return path


class Stage:
    """One node in a process, and publishers and subscriptions that play everybody else."""

    def __init__(self, says: Iterable[names.Topic], hears: Iterable[names.Topic]) -> None:
        self.domain = next_domain()
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.node = rclpy.create_node('stage', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard: dict[str, list[Any]] = {}
        self.publishers = {
            topic.name: self.node.create_publisher(topic.type, topic.name, topic.qos)
            for topic in says
        }
        self.subscriptions = {topic.name: self.hear(topic) for topic in hears}
        self.process: Any = None
        self.log = tempfile.TemporaryFile('w+')  # noqa: SIM115  closed by close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(TIMEOUT_S)
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        self.log.close()

    def hear(self, topic: names.Topic) -> Any:
        """Subscribe; messages go to `heard` in the order of their arrival."""
        messages = self.heard.setdefault(topic.name, [])
        return self.node.create_subscription(topic.type, topic.name, messages.append, topic.qos)

    def start(self, node: str, *parameters: str, **variables: str) -> None:
        """Start the node."""
        self.process = spawn(node, self.domain, *parameters, log=self.log, **variables)

    def connect(self) -> None:
        """Wait until everything on the stage is connected."""
        endpoints = {**self.publishers, **{f'{k} ': v for k, v in self.subscriptions.items()}}

        def apart() -> list[str]:
            return [name for name, end in endpoints.items() if not is_matched(self.node, end)]

        try:
            self.until(lambda: not apart(), 'connections')
        except AssertionError as error:
            raise AssertionError(f'{error}; not connected: {apart()}') from None

    def say(self, topic: names.Topic, message: Any) -> None:
        """Publish a message."""
        self.publishers[topic.name].publish(message)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Take messages until a condition holds; gives what the condition gave."""
        give_up = time.monotonic() + TIMEOUT_S
        while not (result := condition()):
            alive = self.process is None or self.process.poll() is None
            assert alive, f'the node died before {what}:\n{self.output()}'
            assert time.monotonic() < give_up, f'no {what}:\n{self.output()}'
            self.executor.spin_once(timeout_sec=0.02)
        return result

    def next(
        self, topic: names.Topic, fits: Callable[[Any], bool] = lambda _: True, since: int = 0
    ) -> Any:
        """Wait for the first message of a topic that fits, from a position on."""
        heard = self.heard[topic.name]
        found: list[Any] = self.until(
            lambda: [message for message in heard[since:] if fits(message)],
            f'message on {topic.name}',
        )
        return found[0]

    def all(self, topic: names.Topic, **fields: Any) -> list[Any]:
        """Messages of a topic so far whose fields have these values."""
        return [
            message
            for message in self.heard[topic.name]
            if all(getattr(message, name) == value for name, value in fields.items())
        ]

    def open_slot(self, slot: int, start_s: float, speed: float = 0.0) -> None:
        """Say that a slot starts now; without a speed in lockstep."""
        message = msg.SlotStart(
            slot=slot, start_s=float(start_s), slot_s=1.0, speed=speed, new_tasks=True
        )
        message.header.stamp = self.node.get_clock().now().to_msg()
        self.say(names.SLOT_START, message)

    def until_counted(self, what: str, count: int = 1) -> None:
        """Wait until the diagnostics of the node count something so often; needs DIAGNOSTICS."""
        self.until_health(what, lambda value: int(value or 0) >= count)

    def until_health(self, key: str, fits: Callable[[str], bool]) -> None:
        """Wait for diagnostics with a value that fits."""
        self.next(
            names.DIAGNOSTICS,
            lambda message: fits(
                {pair.key: pair.value for pair in message.status[0].values}.get(key, '')
            ),
            since=len(self.heard[names.DIAGNOSTICS.name]),
        )

    def output(self) -> str:
        """What the process has printed."""
        self.log.seek(0)
        return self.log.read()

    def end(self, code: int = 0) -> str:
        """Interrupt the node, check that it ends in good order, and give its output."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(TIMEOUT_S) == code, self.output()
        output = self.output()
        assert 'Traceback' not in output, output
        self.process = None
        return output


def server_state(world: World, server_id: int, **fields: Any) -> msg.ServerState:
    """What a server of the scenario would report of itself."""
    known = world.server(server_id)
    is_uav = known.kind == ServerKind.UAV
    place = (120.0 * server_id, 150.0, 50.0) if is_uav else (2e5, -1e5 * server_id, 6e5)
    state = msg.ServerState(
        server_id=server_id,
        name=world.scenario.server_name(server_id),
        kind=int(known.kind),
        alive=True,
        position=point(place),
        velocity=vector3((1.0, 2.0, 0.0)),
        receiver_position=point(place),
        receiver=server_id,
        in_view=True,
        remaining_s=float('inf') if is_uav else 300.0,
        hops=0 if is_uav else server_id % 3,
        isl_m=0.0 if is_uav else 1e6 * (server_id % 3),
        model_id=known.model_id,
        flop_s=known.flop_s,
        compute_power_w=known.compute_power_w,
        transmit_power_w=known.transmit_power_w,
        backlog_s=0.01 * server_id,
        has_battery=is_uav,
        energy_left_j=4e5 if is_uav else 0.0,
    )
    for name, value in fields.items():
        setattr(state, name, value)
    return state


def link_request(world: World, slot: int, **changed: Mapping[str, Any]) -> msg.LinkRequest:
    """Where everybody is; `server_3={'hops': 1}` changes what a server reports."""
    count = world.settings.devices.count
    return msg.LinkRequest(
        slot=slot,
        device_id=list(range(count)),
        device_position=[point((50.0 * number, 30.0 * number, 0.0)) for number in range(count)],
        servers=[
            server_state(world, server, **changed.get(f'server_{server}', {}))
            for server in range(world.settings.n_servers)
        ],
    )


def slot_dispatcher(world: World, slot: int) -> Dispatcher:
    """A dispatcher that has gathered the reports of a slot; every device asks for something."""
    scenario, settings = world.scenario, world.settings
    count, ledger = settings.devices.count, Ledger(3)
    draws = np.random.default_rng(slot)
    devices: Roster[Any] = Roster(list(range(count)), 1.0)
    for place, device in zip(draws.uniform(0, 500, (count, 2)), range(count), strict=True):
        velocity = vector3((*draws.normal(size=2), 0.0))
        speed, backlog = draws.uniform(3e7, 1e9), draws.uniform(0, 0.2)
        devices.heard(device, [point((*place, 0.0)), velocity, speed, backlog, False], slot, 0.0)
        task = Task(
            task_id=device * 2**32 + slot,
            device_id=device,
            slot=slot,
            created_s=float(slot),
            deadline_s=draws.uniform(0.3, 1.0),
            accuracy=draws.uniform(0.5, 0.94),
            answer_bit=384.0,
        )
        ledger.enter(task)
    servers: Roster[msg.ServerState] = Roster(list(range(settings.n_servers)), 1.0)
    for server in servers.expected:
        servers.heard(server, server_state(world, server), slot, 0.0)
    dispatcher = Dispatcher(world, create('nearest_uav', scenario, 1), ledger)
    server_names = [scenario.server_name(server) for server in servers.expected]
    dispatcher.gather(slot, devices, servers, servers.living(), server_names)
    return dispatcher
