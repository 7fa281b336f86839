"""Running a node at a fraction of what rclpy's executors cost.

SingleThreadedExecutor builds a wait set in Python for every message and every timer. That takes
longer than all of this project's callbacks together: a quiet node with a 200 Hz timer and ten
subscriptions needs two thirds of a core. Here one wait set is kept, and what has arrived is taken
straight from its handle; timers are counted on the machine's own clock, and an executor looks
after the rest now and then.
(EventsExecutor would serve as well, but Humble lacks it, and Kilted's does not end its spinning.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

LEISURE_S = 0.1
"""Time between looks at what is neither message, request nor timer [s]."""
DEPTH = 100
"""Messages taken from one subscription before the others have their turn."""


@dataclass
class WallTimer:
    """A callback that is due every period of the machine's own clock."""

    period_s: float
    callback: Callable[[], None]
    due_at: float

    def call_if_due(self, at: float) -> None:
        """Call it if its time has come; periods that were missed are not made up for."""
        if at >= self.due_at:
            self.due_at = max(self.due_at + self.period_s, at)
            self.callback()


class Arrivals:
    """Waits for messages and requests to a node, and hands them to their callbacks.

    Args:
        node: the node; subscriptions and services may come and go.
    """

    def __init__(self, node: Node) -> None:
        self._node, self._sizes = node, (-1, -1)
        self._wait_set: Any = None

    def wait(self, longest_s: float) -> None:
        """Wait until something is there, then take all that is; return after a time at the latest.

        Args:
            longest_s: how long to wait for the first message or request [s].
        """
        node = self._node
        subscriptions: list[Any] = list(node.subscriptions)
        services: list[Any] = list(node.services)
        with ExitStack() as held:
            for endpoint in (*subscriptions, *services):
                held.enter_context(endpoint.handle)
            wait_set = self._wait_set_for(len(subscriptions), len(services))
            for subscription in subscriptions:
                wait_set.add_subscription(subscription.handle)
            for service in services:
                wait_set.add_service(service.handle)
            wait_set.wait(max(int(1e9 * longest_s), 0))
            ready = {*wait_set.get_ready_entities('subscription')}
            asked = {*wait_set.get_ready_entities('service')}
        for subscription in subscriptions:
            if subscription.handle.pointer in ready:
                _take(subscription)
        for service in services:
            if service.handle.pointer in asked:
                _answer(service)

    def _wait_set_for(self, subscriptions: int, services: int) -> Any:
        """The wait set, empty; a new one if the node has changed."""
        if self._sizes != (subscriptions, services):
            self._sizes = (subscriptions, services)
            context: Any = self._node.context.handle
            self._wait_set = rclpy_implementation.WaitSet(
                subscriptions, 0, 0, 0, services, 0, context
            )
        self._wait_set.clear_entities()
        return self._wait_set


def take_messages(node: Node) -> None:
    """Hand every message that has arrived to its callback.

    /clock is among the subscriptions where time is simulated, and comes first.
    """
    for subscription in list(node.subscriptions):
        _take(subscription)


def answer_requests(node: Node) -> None:
    """Answer every request to a service of a node that has arrived."""
    for service in list(node.services):
        _answer(service)


def _take(subscription: Any) -> None:  # typed differently from one ROS 2 to the next
    handle = subscription.handle
    with handle:
        for _ in range(DEPTH):
            received = handle.take_message(subscription.msg_type, subscription.raw)
            if received is None:
                break
            subscription.callback(received[0])


def _answer(service: Any) -> None:
    with service.handle:
        request, header = service.handle.service_take_request(service.srv_type.Request)
        if header is not None:
            service.send_response(service.callback(request, service.srv_type.Response()), header)


def spin(node: Node, timers: list[WallTimer], is_over: Callable[[], bool]) -> None:
    """Run a node until a condition holds.

    Args:
        node: the node.
        timers: its timers on wall time.
        is_over: looked at between callbacks.
    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    arrivals = Arrivals(node)
    leisure_at = 0.0
    try:
        while not is_over():
            at = time.monotonic()
            for timer in timers:
                timer.call_if_due(at)
            if at >= leisure_at:
                executor.spin_once(timeout_sec=0.0)
                leisure_at = at + LEISURE_S
            next_at = min([leisure_at, *(timer.due_at for timer in timers)])
            if not is_over():
                arrivals.wait(next_at - time.monotonic())
    finally:
        executor.remove_node(node)
