"""The ROS node inside `sec up`: it watches a run, and makes servers fail where it is asked to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sec_nodes.fleet.plan import InjectedFailure
from sec_nodes.fleet.scoreboard import Scoreboard
from sec_nodes.nodes import names
from sec_offload import msg, srv

DISCOVERY_S = 0.7
"""Wall time in which a coordinator of the same machine is found."""


class Monitor:
    """Feeds a scoreboard from the topics of a run, in a thread of its own.

    Args:
        scoreboard: what it fills.
        failures: servers to make fail, in order of their slots.
        on_news: called in that thread after each change of the run's state.
    """

    def __init__(
        self,
        scoreboard: Scoreboard,
        failures: Sequence[InjectedFailure] = (),
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        self._scoreboard = scoreboard
        self._failures = list(failures)
        self._on_news = on_news
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

    def start(self) -> None:
        """Subscribe and spin."""
        board = self._scoreboard
        for topic, callback in (
            (names.RUN_STATE, self._on_run_state),
            (names.SLOT_START, self._on_slot_start),
            (names.DEVICE_REPORT, board.on_device_report),
            (names.SERVER_REPORT, board.on_server_report),
            (names.LINK_TABLE, board.on_link_table),
            (names.ASSIGNMENTS, board.on_assignments),
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
                self._executor.spin_once(timeout_sec=0.2)
        except (ExternalShutdownException, RuntimeError):
            # Closing from another thread while waiting surfaces as either, by ROS version.
            return

    def _on_run_state(self, message: msg.RunState) -> None:
        self._scoreboard.on_run_state(message)
        self._on_news()

    def _on_slot_start(self, message: msg.SlotStart) -> None:
        self._scoreboard.on_slot_start(message)
        while self._failures and self._failures[0].slot <= message.slot:
            self._inject(self._failures.pop(0))

    def _inject(self, failure: InjectedFailure) -> None:
        request = srv.InjectFailure.Request()
        request.server_id, request.kind = failure.server_id, msg.Failure.CRASH
        self._scoreboard.note(f'{failure.name} is made to fail')

        def answered(future: Any) -> None:
            answer = future.result()
            if answer is not None and not answer.success:
                self._scoreboard.note(f'{failure.name} was not made to fail: {answer.message}')

        self._inject_client.call_async(request).add_done_callback(answered)
