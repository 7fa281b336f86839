"""Who is there: what each device and server said last, and how long ago."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Generic, TypeVar

StateT = TypeVar('StateT')


@dataclass
class Roster(Generic[StateT]):
    """Members of one kind. A member that falls silent is missing until it is heard again.

    Args:
        expected: identifiers of all members that the run counts on.
        timeout_s: silence after which a member is missing [s].
    """

    expected: list[int]
    timeout_s: float
    state: dict[int, StateT] = field(default_factory=dict)
    """What each member said last."""
    slot: dict[int, int] = field(default_factory=dict)
    """Last slot that each member reported on."""
    missing: set[int] = field(default_factory=set)
    _heard_at: dict[int, float] = field(default_factory=dict)

    def heard(self, member: int, state: StateT, slot: int, at_s: float) -> bool:
        """Note what a member said at an instant of the listener's time; true if it was missing."""
        returned = member in self.missing
        self.missing.discard(member)
        self.state[member] = state
        self._heard_at[member] = at_s
        if slot >= 0:
            self.slot[member] = max(slot, self.slot.get(member, -1))
        return returned

    def lose(self, member: int) -> None:
        """A member says itself that it fails: it is missing until it is heard again."""
        self.missing.add(member)

    def silence_s(self, member: int, at_s: float) -> float:
        """How long ago a member was heard last [s]; infinite if never."""
        return at_s - self._heard_at.get(member, -math.inf)

    def newly_missing(self, at_s: float) -> list[int]:
        """Members that have fallen silent since the last call."""
        silent = [
            member
            for member, heard_at in self._heard_at.items()
            if member not in self.missing and at_s - heard_at > self.timeout_s
        ]
        self.missing.update(silent)
        return silent

    def absent(self) -> list[int]:
        """Expected members that never said anything."""
        return [member for member in self.expected if member not in self.state]

    def living(self) -> list[int]:
        """Members that are not missing, ascending."""
        return [member for member in self.expected if self.is_living(member)]

    def is_living(self, member: int) -> bool:
        """Whether a member has been heard and is not missing."""
        return member in self.state and member not in self.missing

    def awaited(self, slot: int) -> list[int]:
        """Living members that have not reported on a slot."""
        return [member for member in self.living() if self.slot.get(member, -1) < slot]
