"""The ROS node inside `sec up`: it watches a run, and makes servers fail where it is asked to."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sec_nodes.fleet.failures import KINDS, OF_PROCESSES, RECOVER, InjectedFailure, Step, schedule
from sec_nodes.fleet.scoreboard import Scoreboard
from sec_nodes.nodes import names
from sec_offload import msg, srv

DISCOVERY_S = 0.7
"""Wall time in which a coordinator of the same machine is found."""
REST_S = 0.2
"""Longest wait for messages [s]."""


class Monitor:
    """Feeds a scoreboard from the topics of a run, in a thread of its own.

    Args:
        scoreboard: what it fills.
        failures: servers to make fail.
        on_news: called in that thread after each change of the run's state.
        on_process: called in that thread before a failure of a process begins, and when it ends.
    """

    def __init__(
        self,
        scoreboard: Scoreboard,
        failures: Sequence[InjectedFailure] = (),
        on_news: Callable[[], None] = lambda: None,
        on_process: Callable[[Step], None] = lambda step: None,
    ) -> None:
        self._scoreboard = scoreboard
        self._steps = schedule(failures)
        self._on_news, self._on_process = on_news, on_process
        self._at: deque[tuple[float, Step]] = deque()
        """Steps within the slot under way, and when they are due [s; wall time]."""
        self._speed = 0.0
        self._slot = self._assigned = -1
        """Last slots that have begun, and whose tasks have been assigned."""
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node('monitor', context=self._context, use_global_arguments=False)
        name, kind = names.INJECT_FAILURE
        self._inject_client: Any = self._node.create_client(kind, name)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name='monitor', daemon=True)

    def other_coordinator(self, timeout_s: float = DISCOVERY_S) -> str | None:
        """Name of a coordinator that is in the domain already; call it before `start`."""
        end = time.monotonic() + timeout_s
        while True:
            found = self._node.get_publishers_info_by_topic(names.RUN_STATE.name)
            if found:
                return str(found[0].node_name)
            if time.monotonic() > end:
                return None
            time.sleep(0.05)

    def seen(self) -> set[str]:
        """Names of the nodes that are in the domain, as far as they have been discovered."""
        return set(self._node.get_node_names())

    def start(self) -> None:
        """Subscribe and spin."""
        board = self._scoreboard
        for topic, callback in (
            (names.RUN_STATE, self._on_run_state),
            (names.SLOT_START, self._on_slot_start),
            (names.DEVICE_REPORT, board.on_device_report),
            (names.SERVER_REPORT, board.on_server_report),
            (names.LINK_TABLE, board.on_link_table),
            (names.ASSIGNMENTS, self._on_assignments),
            (names.FAILURE_NOTICE, board.on_failure_notice),
            (names.MIGRATION, board.on_migration),
            (names.SLOT_OUTCOME, board.on_slot_outcome),
            (names.TASK_OUTCOME, board.on_task_outcome),
            (names.VISIBILITY, board.on_visibility),
            (names.RELAY_REPORT, board.on_relay_report),
            (names.DELIVERY, board.on_delivery),
        ):
            self._node.create_subscription(topic.type, topic.name, callback, topic.qos)
        self._thread.start()

    def close(self) -> None:
        """End the thread and leave the domain."""
        self._executor.shutdown()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        try:
            while self._context.ok():
                # timers of ROS may be late by as much as the executor waits
                left_s = self._at[0][0] - time.monotonic() if self._at else REST_S
                self._executor.spin_once(timeout_sec=min(max(left_s, 0.0), REST_S))
                self._take_due(time.monotonic())
        except (ExternalShutdownException, RuntimeError):
            # Closing from another thread while waiting surfaces as either, by ROS version.
            return

    def _on_run_state(self, message: msg.RunState) -> None:
        self._scoreboard.on_run_state(message)
        self._on_news()

    def _on_slot_start(self, message: msg.SlotStart) -> None:
        heard_at = time.monotonic()
        self._scoreboard.on_slot_start(message)
        self._take_due(math.inf)
        self._slot, self._speed = message.slot, message.speed
        while self._steps and self._steps[0].slot < message.slot + 1:
            step = self._steps.pop(0)
            share = max(step.slot - message.slot, 0.0)
            # in lockstep time stands still within a slot
            delay_s = share * message.slot_s / message.speed if message.speed else math.inf
            self._at.append((heard_at + delay_s if share else heard_at, step))
        self._take_due(heard_at)
        self._take_assigned()

    def _on_assignments(self, batch: msg.AssignmentBatch) -> None:
        self._scoreboard.on_assignments(batch)
        if not batch.repair:
            self._assigned = batch.slot
            self._take_assigned()

    def _take_assigned(self) -> None:
        """In lockstep what is due within a slot is due once its tasks have been assigned."""
        if not self._speed and self._assigned >= self._slot:
            self._take_due(math.inf)

    def _take_due(self, at: float) -> None:
        while self._at and self._at[0][0] <= at:
            self._take(self._at.popleft()[1])

    def _take(self, step: Step) -> None:
        failure = step.failure
        if failure.kind in OF_PROCESSES:
            self._on_process(step)
        if not step.is_end:
            self._inject(failure, failure.kind, f'made to fail ({failure.kind})')
        elif failure.kind not in OF_PROCESSES:
            self._inject(failure, RECOVER, 'made to recover')

    def _inject(self, failure: InjectedFailure, kind: str, what: str) -> None:
        request = srv.InjectFailure.Request()
        request.server_id, request.kind = failure.server_id, KINDS[kind]
        self._scoreboard.note(f'{failure.name} is {what}')

        def answered(future: Any) -> None:
            answer = future.result()
            if answer is not None and not answer.success:
                self._scoreboard.note(f'{failure.name} was not {what}: {answer.message}')

        self._inject_client.call_async(request).add_done_callback(answered)
