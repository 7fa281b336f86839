"""Queues of a server's computer, on the scenario's clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

ItemT = TypeVar('ItemT')
Key = tuple[int, int]
"""Number of a task and of its try."""


@dataclass
class ComputeQueue:
    """First come, first served: when does work start, and how much is promised?

    Work with a reserved share of the computer does not wait (Meng and Li's allocation).
    """

    free_s: float = 0.0

    def start_s(self, arrival_s: float, service_s: float, share: float) -> float:
        """Reserve time for one piece of work and return when it starts [s].

        Args:
            arrival_s: when its data are there [s].
            service_s: time that it takes [s].
            share: reserved share of the computer; 0 = wait for those before.
        """
        if share > 0:
            return arrival_s
        start_s = max(arrival_s, self.free_s)
        self.free_s = start_s + service_s
        return start_s

    def wait_s(self, arrival_s: float, share: float = 0.0) -> float:
        """What work that arrives at an instant [s] would wait [s]."""
        return 0.0 if share > 0 else max(0.0, self.free_s - arrival_s)

    def backlog_s(self, now_s: float) -> float:
        """Time already promised at `now_s` [s]."""
        return max(0.0, self.free_s - now_s)


@dataclass
class OrderedIntake(Generic[ItemT]):
    """Hands payloads on in the order of their arrival on the scenario's clock.

    In lockstep the messages of a slot come in any order. The intake keeps them until every one
    that the assignments announced is there or known to be lost; then their time stamps decide.
    """

    hand_on: Callable[[ItemT], None]
    _expected: dict[Key, int] = field(default_factory=dict)
    _waiting: dict[Key, tuple[float, ItemT]] = field(default_factory=dict)
    _gone: set[Key] = field(default_factory=set)
    _announced: int = 0

    def expect(self, key: Key) -> None:
        """An assignment announced a payload. Announcements are in the order of the tasks."""
        if key in self._gone:
            self._gone.discard(key)
            return
        self._expected[key] = self._announced
        self._announced += 1

    def arrived(self, key: Key, arrival_s: float, item: ItemT) -> None:
        """A payload is there."""
        self._waiting[key] = (arrival_s, item)
        self.flush()

    def gone(self, key: Key) -> None:
        """A payload will never come."""
        if self._expected.pop(key, None) is None:
            self._gone.add(key)
        self._waiting.pop(key, None)
        self.flush()

    def flush(self) -> None:
        """Hand everything on if nothing that was announced is missing."""
        if not self._expected or any(key not in self._waiting for key in self._expected):
            return
        ready = sorted(
            self._expected, key=lambda key: (self._waiting[key][0], self._expected[key])
        )
        self._expected.clear()
        for key in ready:
            self.hand_on(self._waiting.pop(key)[1])

    def waiting(self) -> list[ItemT]:
        """What has arrived and not been handed on."""
        return [item for _, item in self._waiting.values()]

    def clear(self) -> None:
        """Forget everything, after a crash."""
        self._expected.clear()
        self._waiting.clear()
        self._gone.clear()
