"""Uploads that take many slots: a program first, and after it what comes out of the front layers.

Eqs (7) and (11) of Liu et al., Sensors 2026, 26(11), 3540, as they happen: the rate is constant
within a slot, and the intermediate result waits until the program is through.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Leg:
    """One of the two parts of an upload."""

    size_bit: float
    sent_bit: float = 0.0
    settled_s: float = 0.0
    """Until when it is known what has been sent [s]."""
    end_s: float | None = None
    """When all of it had arrived [s]; None while it has not."""
    on_air_s: float = 0.0

    def advance(self, from_s: float, until_s: float, rate_bit_s: float) -> None:
        """Send from an instant on, at the earliest, until another.

        Args:
            from_s: when it may begin [s].
            until_s: what happens later is not looked at [s].
            rate_bit_s: rate in all that time; 0 while the link is cut.
        """
        begin_s = max(from_s, self.settled_s)
        if self.end_s is not None or begin_s > until_s:
            return
        left_bit = self.size_bit - self.sent_bit
        room_bit = rate_bit_s * (until_s - begin_s)
        if left_bit <= room_bit:
            self.end_s = begin_s + (left_bit / rate_bit_s if left_bit else 0.0)
            self.sent_bit, self.settled_s = self.size_bit, self.end_s
            self.on_air_s += self.end_s - begin_s
            return
        self.sent_bit += room_bit
        self.settled_s = until_s
        self.on_air_s += (until_s - begin_s) if rate_bit_s > 0 else 0.0


@dataclass
class Upload:
    """What one try of a task uploads.

    A part can only be sent when its sender has handed it over.
    """

    program: Leg
    result: Leg
    program_from_s: float | None = None
    """When the program may begin [s]; None until it is there."""
    result_from_s: float | None = None
    """When the front layers are done [s]; None until their result is there."""

    @property
    def is_handed_over(self) -> bool:
        """Whether both parts are there to be sent."""
        return self.program_from_s is not None and self.result_from_s is not None

    @property
    def arrived_s(self) -> float | None:
        """When both parts had arrived [s]; None while they have not."""
        return self.result.end_s

    @property
    def on_air_s(self) -> float:
        """Time in which the device has transmitted [s]."""
        return self.program.on_air_s + self.result.on_air_s

    def advance(self, start_s: float, end_s: float, rate_bit_s: float) -> None:
        """Send what a slot lets through.

        Args:
            start_s: start of the slot [s].
            end_s: its end [s].
            rate_bit_s: rate in the slot.
        """
        if self.program_from_s is None:
            return
        self.program.advance(max(self.program_from_s, start_s), end_s, rate_bit_s)
        if self.program.end_s is None or self.result_from_s is None:
            return
        ready_s = max(self.program.end_s, self.result_from_s, start_s)
        self.result.advance(ready_s, end_s, rate_bit_s)
