"""Running a node at a fraction of what rclpy's executors cost.

SingleThreadedExecutor builds a wait set in Python for every message and every timer. That takes
longer than all of this project's callbacks together: a quiet node with a 200 Hz timer and ten
subscriptions needs two thirds of a core. Here messages are taken straight from their handles,
and so are requests to services; timers are counted on the machine's own clock, and an executor
looks after the rest now and then.
(EventsExecutor would serve as well, but Humble lacks it, and Kilted's does not end its spinning.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

BUSY_REST_S = 0.0005
"""Sleep between looks while messages keep coming [s]."""
QUIET_REST_S = 0.002
"""Sleep between looks when none has come for a while [s]."""
BUSY_FOR_S = 0.1
"""How long a node counts as busy after a message [s]."""
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


def take_messages(node: Node) -> int:
    """Hand every message that has arrived to its callback, and say how many there were.

    /clock is among the subscriptions where time is simulated, and comes first.
    """
    taken = 0
    subscription: Any  # typed differently from one ROS 2 to the next
    for subscription in list(node.subscriptions):
        handle = subscription.handle
        with handle:
            for _ in range(DEPTH):
                received = handle.take_message(subscription.msg_type, subscription.raw)
                if received is None:
                    break
                taken += 1
                subscription.callback(received[0])
    return taken


def answer_requests(node: Node) -> None:
    """Answer every request to a service of a node that has arrived."""
    service: Any  # typed differently from one ROS 2 to the next
    for service in list(node.services):
        with service.handle:
            request, header = service.handle.service_take_request(service.srv_type.Request)
            if header is not None:
                service.send_response(
                    service.callback(request, service.srv_type.Response()), header
                )


def spin(node: Node, timers: list[WallTimer], is_over: Callable[[], bool]) -> None:
    """Run a node until a condition holds.

    Args:
        node: the node.
        timers: its timers on wall time.
        is_over: looked at between callbacks.
    """
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    busy_until = services_at = 0.0
    try:
        while not is_over():
            if take_messages(node):
                busy_until = time.monotonic() + BUSY_FOR_S
            answer_requests(node)
            at = time.monotonic()
            for timer in timers:
                timer.call_if_due(at)
            if at >= services_at:
                executor.spin_once(timeout_sec=0.0)
                services_at = at + LEISURE_S
            time.sleep(BUSY_REST_S if at < busy_until else QUIET_REST_S)
    finally:
        executor.remove_node(node)
