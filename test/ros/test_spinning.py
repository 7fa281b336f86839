"""Nodes wait for what arrives, and take it when it is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')

from node_stage import TIMEOUT_S, next_domain  # noqa: E402

from sec_nodes.nodes import names  # noqa: E402
from sec_nodes.nodes.base import is_matched  # noqa: E402
from sec_nodes.nodes.spinning import Arrivals, WallTimer, spin  # noqa: E402
from sec_offload import msg, srv  # noqa: E402

FOREVER_S = 60.0


@pytest.fixture
def nodes() -> Iterator[tuple[Any, Any]]:
    """One that listens and one that speaks."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=next_domain())
    pair = tuple(rclpy.create_node(name, context=context) for name in ('listener', 'speaker'))
    yield pair
    for node in pair:
        node.destroy_node()
    rclpy.shutdown(context=context)


def subscribe(node: Any, topic: names.Topic) -> tuple[Any, list[Any]]:
    heard: list[Any] = []
    return node.create_subscription(topic.type, topic.name, heard.append, topic.qos), heard


def publish(node: Any, topic: names.Topic) -> Any:
    return node.create_publisher(topic.type, topic.name, topic.qos)


def wait_until_matched(node: Any, *ends: Any) -> None:
    give_up = time.monotonic() + TIMEOUT_S
    while not all(is_matched(node, end) for end in ends):
        assert time.monotonic() < give_up, 'no connection'
        time.sleep(0.01)


def test_a_message_ends_the_waiting(nodes: tuple[Any, Any]) -> None:
    listener, speaker = nodes
    subscription, heard = subscribe(listener, names.READY)
    publisher = publish(speaker, names.READY)
    wait_until_matched(listener, subscription)
    wait_until_matched(speaker, publisher)
    later = threading.Timer(0.2, lambda: publisher.publish(names.READY.type(data='now')))
    later.start()
    began = time.monotonic()
    arrivals = Arrivals(listener)
    while not heard:
        arrivals.wait(FOREVER_S)
    assert [message.data for message in heard] == ['now']
    assert 0.1 < time.monotonic() - began < FOREVER_S / 2
    began = time.monotonic()
    arrivals.wait(0.05)
    assert time.monotonic() - began > 0.04
    assert len(heard) == 1


def test_all_that_waits_is_taken_in_order_also_of_new_subscriptions(
    nodes: tuple[Any, Any],
) -> None:
    listener, speaker = nodes
    ends, heard, publishers = [], [], []
    arrivals = Arrivals(listener)
    for topic in (names.TASK_REPORT, names.TASK_OUTCOME):
        subscription, messages = subscribe(listener, topic)
        ends.append(subscription)
        heard.append(messages)
        publishers.append(publish(speaker, topic))
        wait_until_matched(listener, *ends)
        wait_until_matched(speaker, *publishers)
        for task in range(5):
            for publisher, kind in zip(
                publishers, (msg.TaskReport, msg.TaskOutcome), strict=False
            ):
                publisher.publish(kind(task_id=task))
        give_up = time.monotonic() + TIMEOUT_S
        while any(len(one) % 5 or not one for one in heard):
            assert time.monotonic() < give_up
            arrivals.wait(FOREVER_S)
    assert [one.task_id for one in heard[0]] == [*range(5), *range(5)]
    assert [one.task_id for one in heard[1]] == [*range(5)]


def test_requests_are_answered_and_timers_kept_while_messages_come(
    nodes: tuple[Any, Any],
) -> None:
    listener, speaker = nodes
    subscription, heard = subscribe(listener, names.READY)
    publisher = publish(speaker, names.READY)
    name, kind = names.INJECT_FAILURE

    def refuse(request: Any, response: srv.InjectFailure.Response) -> Any:
        response.message = f'{request.server_id} stays'
        return response

    listener.create_service(kind, name, refuse)
    client = speaker.create_client(kind, name)
    assert client.wait_for_service(TIMEOUT_S)
    wait_until_matched(listener, subscription)
    over, called, began = threading.Event(), [], time.monotonic()

    def speak() -> None:
        while not over.wait(0.001):
            publisher.publish(names.READY.type(data='again'))

    def count() -> None:
        called.append(time.monotonic())

    speaking = threading.Thread(target=speak)
    speaking.start()
    asked = client.call_async(kind.Request(server_id=7))
    answers = rclpy.executors.SingleThreadedExecutor(context=speaker.context)
    answers.add_node(speaker)

    def is_over() -> bool:
        answers.spin_once(timeout_sec=0.0)
        assert time.monotonic() < began + TIMEOUT_S, (len(called), len(heard))
        return asked.done() and len(called) >= 20 and len(heard) >= 20

    try:
        spin(listener, [WallTimer(0.02, count, began + 0.02)], is_over)
    finally:
        over.set()
        speaking.join()
    assert asked.result().message == '7 stays'
    # never early: as many calls as periods have passed, or fewer on a slow machine
    assert all(at - began >= 0.02 * (call + 1) - 1e-6 for call, at in enumerate(called))
