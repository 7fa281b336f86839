"""The owner of /clock: simulated time at a given speed, or slot by slot in lockstep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sec_nodes.nodes import names

if TYPE_CHECKING:
    from sec_nodes.nodes.base import SecNode

TICK_S = 0.02
"""Wall time between messages [s]; nodes interpolate, and more would cost each of them time."""


class SimClock:
    """Simulated time, published on a thread of its own so that it never stutters.

    Time never runs beyond `limit_s`: whoever drives the run raises the limit when the world is
    ready for more. Speed is thus an upper bound.

    Args:
        publish: takes an instant [s] and publishes it.
        speed: simulated seconds per wall second; 0 = lockstep, time jumps to the limit.
    """

    def __init__(self, publish: Callable[[float], None], speed: float) -> None:
        self._publish, self._speed = publish, speed
        self._now_s, self._limit_s = 0.0, 0.0
        self._anchor_s, self._anchor_at = 0.0, time.monotonic()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True, name='sim_clock')
        self._thread.start()

    def now_s(self) -> float:
        """Simulated time [s]."""
        with self._lock:
            self._advance()
            return self._now_s

    def allow_until(self, limit_s: float) -> None:
        """Raise the limit up to which time may run [s]."""
        with self._lock:
            self._advance()
            self._limit_s = max(self._limit_s, limit_s)
            if self._speed == 0.0:
                self._now_s = self._limit_s
        if self._speed == 0.0:
            self._publish(self._now_s)

    def close(self) -> None:
        """Stop the clock."""
        self._closed.set()
        self._thread.join(timeout=1.0)

    def _advance(self) -> None:
        if self._speed == 0.0:
            return
        at = time.monotonic()
        wanted_s = self._anchor_s + (at - self._anchor_at) * self._speed
        if wanted_s > self._limit_s:
            # whatever time was held back is not made up for later
            self._anchor_s, self._anchor_at = self._limit_s, at
            wanted_s = self._limit_s
        self._now_s = wanted_s

    def _tick(self) -> None:
        # in lockstep the same instant is repeated slowly, for nodes that come late
        period_s = TICK_S if self._speed else 5 * TICK_S
        while not self._closed.wait(period_s):
            self._publish(self.now_s())


class SimulatedRunClock:
    """Time of a simulated run, as the coordinator drives it.

    Args:
        node: the coordinator, which owns /clock.
        speed: simulated seconds per wall second; 0 = lockstep.
    """

    def __init__(self, node: SecNode, speed: float) -> None:
        self.speed, self.lockstep = speed, speed == 0.0
        self._node, self._publisher = node, node.advertise(names.CLOCK)
        self._clock = SimClock(self._publish, speed)
        self.now_s = self._clock.now_s
        self.allow_until = self._clock.allow_until
        self.close = self._clock.close

    def begin(self) -> None:
        """The first slot is about to open."""

    def stamp(self, time_s: float) -> Any:
        """The ROS time of an instant of the run: the same."""
        return to_stamp(time_s)

    def _publish(self, now_s: float) -> None:
        if self._node.context.ok():
            self._publisher.publish(names.CLOCK.type(clock=to_stamp(now_s)))


class WallRunClock:
    """Time of a run on wall time, counted from its beginning.

    Args:
        node: the coordinator.
    """

    speed, lockstep = 1.0, False

    def __init__(self, node: SecNode) -> None:
        self._node, self._origin_s = node, 0.0

    def begin(self) -> None:
        """The first slot is about to open: this instant is 0."""
        self._origin_s = self._node.get_clock().now().nanoseconds * 1e-9

    def now_s(self) -> float:
        """Time of the run [s]."""
        return self._node.get_clock().now().nanoseconds * 1e-9 - self._origin_s

    def stamp(self, time_s: float) -> Any:
        """The ROS time of an instant of the run."""
        return to_stamp(time_s + self._origin_s)

    def allow_until(self, limit_s: float) -> None:
        """Wall time waits for nobody."""

    def close(self) -> None:
        """Nothing to stop."""


def to_stamp(time_s: float) -> Any:
    """A ROS time from seconds."""
    from builtin_interfaces.msg import Time

    nanoseconds = round(time_s * 1e9)
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)
