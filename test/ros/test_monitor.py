"""The monitor makes servers fail at the instants that were asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

import rclpy
from node_stage import TIMEOUT_S, next_domain

from sec_nodes.fleet.failures import KINDS, InjectedFailure
from sec_nodes.fleet.monitor import Monitor
from sec_nodes.nodes import names
from sec_nodes.nodes.base import is_matched
from sec_nodes.nodes.spinning import answer_requests
from sec_offload import msg

SLOT_S = 0.5
AT = (0.3, 1.25, 2.0, 2.8, 4.5)
FAILURES = [
    *(InjectedFailure('uav_1', 1, slot, 'cut', int(slot) + 1) for slot in AT),
    InjectedFailure('uav_0', 0, 5.9, 'battery'),
]
CUT, RECOVER, BATTERY = KINDS['cut'], KINDS['recover'], KINDS['battery']


class Coordinator:
    """Says what the coordinator says, and takes its requests."""

    def __init__(self, context: Any) -> None:
        self.node = rclpy.create_node('coordinator', context=context)
        self.starts, self.batches = (
            self.node.create_publisher(topic.type, topic.name, topic.qos)
            for topic in (names.SLOT_START, names.ASSIGNMENTS)
        )
        self.asked: list[tuple[float, int, int]] = []
        name, kind = names.INJECT_FAILURE
        self.node.create_service(kind, name, self.inject)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        while not self._over.wait(0.001):
            answer_requests(self.node)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self.node.destroy_node()

    def inject(self, request: Any, response: Any) -> Any:
        self.asked.append((time.monotonic(), request.server_id, request.kind))
        response.success = True
        return response

    def open_slot(self, slot: int, speed: float) -> float:
        start = msg.SlotStart(slot=slot, start_s=slot * SLOT_S, slot_s=SLOT_S, speed=speed)
        self.starts.publish(start)
        return time.monotonic()

    def wait_for(self, count: int) -> list[tuple[int, int]]:
        until = time.monotonic() + TIMEOUT_S
        while len(self.asked) < count:
            assert time.monotonic() < until, self.asked
            time.sleep(0.005)
        return [(server, kind) for _, server, kind in self.asked]


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Coordinator]:
    domain = next_domain()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    coordinator = Coordinator(context)
    yield coordinator
    coordinator.close()
    rclpy.shutdown(context=context)


@pytest.fixture
def monitor(coordinator: Coordinator) -> Iterator[Monitor]:
    class Board(SimpleNamespace):
        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    monitor = Monitor(Board(), FAILURES)
    monitor.start()
    ends = (coordinator.starts, coordinator.batches)
    until = time.monotonic() + TIMEOUT_S
    while not all(is_matched(coordinator.node, end) for end in ends) or not (
        monitor._inject_client.service_is_ready()
    ):
        assert time.monotonic() < until
        time.sleep(0.02)
    yield monitor
    monitor.close()


def test_failures_strike_when_they_should_within_their_slot(
    coordinator: Coordinator, monitor: Monitor
) -> None:
    began, opened = time.monotonic(), []
    for slot in range(5):
        time.sleep(max(began + slot * SLOT_S - time.monotonic(), 0.0))
        opened.append(coordinator.open_slot(slot, speed=1.0))
    kinds = [kind for _, kind in coordinator.wait_for(9)]
    assert kinds == [CUT, RECOVER, CUT, RECOVER, CUT, CUT, RECOVER, RECOVER, CUT]
    struck = [at for at, _, kind in coordinator.asked if kind == CUT]
    late_s = [
        at - opened[int(slot)] - slot % 1 * SLOT_S for at, slot in zip(struck, AT, strict=True)
    ]
    # how late depends on the machine; what is injected too early strikes another slot's tasks
    assert min(late_s) >= 0.0


def test_in_lockstep_what_is_within_a_slot_waits_for_its_assignments(
    coordinator: Coordinator, monitor: Monitor
) -> None:
    asked: list[list[int]] = []
    for slot, count in enumerate((0, 1, 2, 2)):
        coordinator.open_slot(slot, 0.0)
        # neither those of the slot before, nor what is sent on
        coordinator.batches.publish(msg.AssignmentBatch(slot=slot, repair=True))
        if slot:
            coordinator.batches.publish(msg.AssignmentBatch(slot=slot - 1))
        done = sum(map(len, asked))
        coordinator.wait_for(done + count)
        time.sleep(0.2)
        asked.append([kind for _, kind in coordinator.wait_for(done + count)[done:]])
        coordinator.batches.publish(msg.AssignmentBatch(slot=slot))
        if slot < 3:
            asked.append([coordinator.wait_for(done + count + 1)[-1][1]])
    assert asked == [[], [CUT], [RECOVER], [CUT], [RECOVER, CUT], [CUT], [RECOVER, RECOVER]]
    # assignments of a slot that are not heard of do not hold up the next one
    for slot in (4, 5, 6):
        coordinator.open_slot(slot, 0.0)
    assert coordinator.wait_for(11)[8:] == [(1, CUT), (1, RECOVER), (0, BATTERY)]
