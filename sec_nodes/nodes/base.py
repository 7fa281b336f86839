"""What all nodes have in common: parameters, guarded subscriptions, diagnostics, start, stop."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sec_nodes.config import ConfigError
from sec_nodes.controllers.base import ControllerError
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.pictures import PictureError
from sec_nodes.loop.ids import parse_ids
from sec_nodes.nodes import names
from sec_nodes.nodes.parameters import ParameterError, parameter, read_parameters
from sec_nodes.nodes.spinning import WallTimer, spin
from sec_nodes.scenarios.registry import has_missions, has_storage, read_flown
from sec_nodes.world import World, build_world

CONFIGURATION_ERRORS = (ParameterError, ConfigError, ControllerError, ModelError, PictureError)
DIAGNOSTICS_PERIOD_S = 1.0
LOG_PERIOD_S = 5.0
SLOW_START_S = 5.0
"""Wall time after which a node names what is missing [s]."""
WAITING_LOG_S = 30.0

ParametersT = TypeVar('ParametersT', bound='CommonParameters')


class BadMessageError(ValueError):
    """A message that cannot be used; it is counted, logged and otherwise ignored."""


@dataclass(frozen=True)
class CommonParameters:
    """Parameters that every node of a run shares."""

    scenario: str = parameter('survey', 'scenario by name, or its YAML file')
    seed: int = parameter(1, 'seed of all random draws of the run', low=0)


class SecNode(Node):
    """A node with checked parameters, guarded subscriptions and diagnostics.

    Args:
        name: default name of the node.
        kind: dataclass of its parameters.
    """

    def __init__(self, name: str, kind: type[ParametersT]) -> None:
        super().__init__(name)
        self.counts: Counter[str] = Counter()
        self.wall_timers: list[WallTimer] = []
        self.exit_code: int | None = None
        """Set when the process shall end."""
        self._unwired: list[Any] | None = None
        self._wiring_since = 0.0
        self.settings_of_run: Any = read_parameters(self, kind)
        self._diagnostics = self.advertise(names.DIAGNOSTICS)
        self.create_wall_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics)

    @property
    def simulated(self) -> bool:
        """Whether the node lives on /clock."""
        return bool(self.get_parameter('use_sim_time').value)

    def create_wall_timer(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call a function every period of the machine's own clock, whatever /clock does."""
        self.wall_timers.append(WallTimer(period_s, callback, time.monotonic() + period_s))

    def advertise(self, topic: names.Topic) -> Any:
        """A publisher of a topic of the graph."""
        return self.create_publisher(topic.type, topic.name, topic.qos)

    def listen(self, topic: names.Topic, callback: Callable[[Any], None]) -> Any:
        """Subscribe to a topic of the graph; a `BadMessageError` is counted and logged."""

        def guarded(message: Any) -> None:
            try:
                callback(message)
            except BadMessageError as error:
                self.complain(f'bad {topic.name}', str(error))

        return self.create_subscription(topic.type, topic.name, guarded, topic.qos)

    def wired(self, *endpoints: Any) -> bool:
        """Whether publishers and subscriptions are connected to all that is known to be there.

        A message that is published before both sides have found each other is lost for one of
        them. At least one partner must be there; once true, it stays true.
        """
        if self._unwired is None:
            self._unwired, self._wiring_since = list(endpoints), time.monotonic()
        self._unwired = [one for one in self._unwired if not is_matched(self, one)]
        if self._unwired and time.monotonic() - self._wiring_since > SLOW_START_S:
            topics = ', '.join(one.topic_name for one in self._unwired)
            self.get_logger().info(f'not connected: {topics}', throttle_duration_sec=WAITING_LOG_S)
        return not self._unwired

    def interrupt(self) -> None:
        """Somebody asks the process to end (SIGINT, SIGTERM)."""
        self.stop(0)

    def stop(self, code: int) -> None:
        """End the process with an exit code, once the current callback is over."""
        if self.exit_code is None:
            self.exit_code = code

    def complain(self, what: str, detail: str) -> None:
        """Count something that is wrong, and log it at most every few seconds."""
        self.counts[what] += 1
        self.get_logger().warning(
            f'{what} ({self.counts[what]} so far): {detail}', throttle_duration_sec=LOG_PERIOD_S
        )

    def health(self) -> dict[str, Any]:
        """Values for the diagnostics, besides the counts."""
        return {}

    def read_world(self) -> World:
        """The scenario of the run with its models.

        Raises:
            ConfigError: the scenario cannot be used.
            ModelError: a model cannot be used.
        """
        return build_world(read_flown(self.settings_of_run.scenario))

    def close(self) -> None:
        """Release what is not ROS's; called once when the node ends."""

    def _publish_diagnostics(self) -> None:
        values = {**self.health(), **self.counts}
        level = DiagnosticStatus.WARN if self.counts else DiagnosticStatus.OK
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        message.status = [
            DiagnosticStatus(
                level=level,
                name=self.get_fully_qualified_name(),
                message='; '.join(f'{name}: {count}' for name, count in self.counts.items()),
                hardware_id='sec_offload',
                values=[KeyValue(key=str(key), value=str(value)) for key, value in values.items()],
            )
        ]
        self._diagnostics.publish(message)


def is_matched(node: Node, endpoint: Any) -> bool:
    """Whether a publisher or subscription is connected to all its known partners, and has one."""
    if hasattr(endpoint, 'get_subscription_count'):
        matched = endpoint.get_subscription_count()
        known = node.count_subscribers(endpoint.topic_name)
    else:
        known = node.count_publishers(endpoint.topic_name)
        # older rclpy cannot tell how many of those are connected
        matched = getattr(endpoint, 'get_publisher_count', lambda: known)()
    return bool(0 < known <= matched)


@contextmanager
def flown_kind(name: str) -> Iterator[str]:
    """What the scenario that a node of this name will be told to fly needs beyond single slots.

    The node is made within the context. Parameters are read by a node of the same name, which goes
    after that: the last node of a process takes its participant along, and others would have to
    forget that one and find the next.

    Yields:
        `relays`: UAVs pass things on; `missions`: plans are flown, and uploads take many slots;
        empty if neither.

    Raises:
        ParameterError: its parameters cannot be used.
        ConfigError: the scenario cannot be used.
    """
    probe = Node(name, enable_rosout=False, start_parameter_services=False)
    try:
        settings = read_flown(read_parameters(probe, CommonParameters).scenario)
        if has_storage(settings):
            yield 'relays'
        else:
            yield 'missions' if has_missions(settings) else ''
    finally:
        probe.destroy_node()


def own_ids(text: str, count: int) -> list[int]:
    """Vehicles of a process, from its parameter `ids`.

    Raises:
        ParameterError: not of the form `all` or `0-4,7`, or a vehicle that does not exist.
    """
    try:
        return parse_ids(text, count)
    except ValueError as error:
        raise ParameterError(f'parameter {error}') from None


def run(make: Callable[[], SecNode], args: list[str] | None = None) -> None:
    """Spin a node until it is told to stop; say clearly what is wrong if it cannot start.

    Exit codes: 0 ended in order, 2 the configuration cannot be used, others as the node says.
    A signal ends the spinning only, so that a node can still publish while it closes.

    Args:
        make: creates the node.
        args: command line, for ROS.
    """
    # what is free of ROS, such as the worker of language models, says on Python's loggers
    logging.basicConfig(level=logging.INFO, format='[%(levelname)s] [%(name)s]: %(message)s')
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node: SecNode | None = None
    code: int = 0
    try:
        node = made = make()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: made.interrupt())
        spin(made, made.wall_timers, lambda: made.exit_code is not None)
    except CONFIGURATION_ERRORS as error:
        print(f'error: {error}', file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if node is not None:
            node.close()
            code = code if node.exit_code is None else node.exit_code
            node.destroy_node()
        rclpy.try_shutdown()
    sys.exit(code)
