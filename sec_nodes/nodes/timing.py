"""The run's time in a node, and releasing things at their time."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration

if TYPE_CHECKING:
    from sec_nodes.nodes.base import SecNode
    from sec_offload.msg import SlotStart

SILENT_CLOCK_S = 1.0
"""How far a slot may begin ahead of a node's time [s of wall time] before it mistrusts /clock."""
EXTRAPOLATION_S = 0.1
"""Longest wall time that the clock is thought to run on without a message [s]."""


class RunTime:
    """Time of the run [s], counted from the start of slot 0.

    On /clock it is interpolated between messages, because those come only every 20 ms. Without
    /clock it is the node's own clock, set by the stamps of the slots.

    Args:
        node: whose clock is meant.
    """

    def __init__(self, node: SecNode) -> None:
        self._node = node
        self._speed = 1.0
        self._started = False
        self._offset_s = 0.0
        self._ticked_s, self._ticked_at = 0.0, time.monotonic()
        self._slot_s = 0.0
        if node.simulated:
            every = JumpThreshold(
                min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1)
            )
            self._on_tick = node.get_clock().create_jump_callback(
                every, post_callback=lambda _: self._tick()
            )

    @property
    def lockstep(self) -> bool:
        """Whether nothing waits for the clock."""
        return self._speed == 0.0

    @property
    def real_time(self) -> bool:
        """Whether the run's time passes no faster than the machine's."""
        return 0.0 < self._speed <= 1.0

    def on_slot_start(self, message: SlotStart) -> None:
        """Take note of a new slot."""
        self._speed, self._slot_s, self._started = message.speed, message.start_s, True
        if not self._node.simulated:
            self._offset_s = message.start_s - _seconds(message.header.stamp)
        elif self.wall_until(message.start_s) > SILENT_CLOCK_S:
            self._node.complain(
                '/clock is silent', f'slot {message.slot} begins at {message.start_s} s, but it '
                f'is {self.now_s():.1f} s here; slots keep the time as far as they can'
            )  # fmt: skip
            self._ticked_s, self._ticked_at = message.start_s, time.monotonic()

    def now_s(self) -> float:
        """Time of the run [s]; 0 before the first slot, in lockstep the start of the slot."""
        if self.lockstep:
            return self._slot_s
        if not self._started:
            return 0.0
        if not self._node.simulated:
            return self._node.get_clock().now().nanoseconds * 1e-9 + self._offset_s
        since_s = min(time.monotonic() - self._ticked_at, EXTRAPOLATION_S)
        return self._ticked_s + since_s * self._speed

    def wall_until(self, release_s: float) -> float:
        """Wall time until an instant of the run [s]; at most 0 if it has passed."""
        if self.lockstep:
            return 0.0
        return (release_s - self.now_s()) / self._speed

    def _tick(self) -> None:
        self._ticked_s = self._node.get_clock().now().nanoseconds * 1e-9
        self._ticked_at = time.monotonic()


class Releases:
    """Calls functions at instants of the run, on a thread of its own.

    Args:
        run_time: the time that counts.
    """

    POLL_S = 0.05
    """Longest sleep [s]: the clock may stand still or jump."""

    def __init__(self, run_time: RunTime) -> None:
        self._time = run_time
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True, name='releases')
        self._thread.start()

    def at(self, release_s: float, action: Callable[[], None]) -> None:
        """Call a function at an instant of the run [s]; at once in lockstep."""
        if self._time.lockstep:
            action()
            return
        with self._changed:
            heapq.heappush(self._heap, (release_s, next(self._number), action))
            self._changed.notify()

    def close(self) -> None:
        """Drop what has not been released."""
        with self._changed:
            self._closed = True
            self._heap.clear()
            self._changed.notify()
        self._thread.join(timeout=1.0)

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                wait_s = self._time.wall_until(self._heap[0][0]) if self._heap else self.POLL_S
                if not self._heap or wait_s > 0:
                    self._changed.wait(min(wait_s, self.POLL_S))
                    continue
                action = heapq.heappop(self._heap)[2]
            action()


def _seconds(stamp: object) -> float:
    return stamp.sec + stamp.nanosec * 1e-9  # type: ignore[attr-defined]
