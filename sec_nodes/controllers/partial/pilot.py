"""Optimised paths by group of tasks: each is flown once, and then known as a guess for others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sec_nodes.controllers.partial.flight import Descent, sortie_of
from sec_nodes.controllers.partial.guesses import Guesses, cut_choices, guesses, rows
from sec_nodes.controllers.partial.trajectory import Trajectory
from sec_nodes.scenarios.partial import Partial
from sec_nodes.scenarios.partial.instance import PartialState
from sec_nodes.slot import BoolArray, FloatArray, IntArray

QUICK_STEPS, QUICK_GAIN = 6, 5e-4
"""Steps of successive convex approximation of a first try, and the gain that ends them."""
MENDED = 3
"""Guesses from which a group is tried whose constraints are hard to keep."""
HOPELESS = 0.06
"""Shortage after mending from which no further step is tried."""
FINAL_STEPS, FINAL_GAIN = 30, 2e-5
"""The same for paths that are flown."""


@dataclass(frozen=True)
class Flown:
    """The optimised path of a group."""

    descent: Descent
    split: IntArray
    """(N,) cuts of all tasks; those of the group count."""
    guess_j: float
    """Cost of the guess from which it began, infinite if that missed constraints."""


class Pilot:
    """Tables of guesses and optimised paths of all UAVs, for the only copy of a state."""

    def __init__(self, scenario: Partial, state: PartialState) -> None:
        self.scenario = scenario
        self.state = state
        self.kinds = _kinds(scenario, state)
        self.tables_by_kind = {
            kind: guesses(scenario, state, self.kinds.index(kind)) for kind in set(self.kinds)
        }
        self.flown: dict[tuple[int, bytes], Flown] = {}
        self.flights = 0

    @property
    def tables(self) -> list[Guesses]:
        """The table of each UAV; UAVs that are alike share one."""
        return [self.tables_by_kind[kind] for kind in self.kinds]

    def knows(self, uav: int, member: BoolArray) -> bool:
        """Whether a group (N,) has been flown by this UAV or one like it."""
        return (self.kinds[uav], member.tobytes()) in self.flown

    def fly(self, uav: int, member: BoolArray) -> Flown:
        """The path of a group (N,), optimised from the best guess by a few steps."""
        key = self.kinds[uav], member.tobytes()
        if key not in self.flown:
            table = self.tables[uav]
            ends = []
            for row in table.rank(member)[:MENDED]:
                self.flights += 1
                ends.append(
                    self._optimised(
                        uav, member, table.path_m[row], table.split[row], QUICK_STEPS, QUICK_GAIN
                    )
                )
                if ends[-1].descent.shortage == 0:
                    break
            self.flown[key] = min(ends, key=lambda end: (end.descent.shortage, end.descent.cost_j))
            self._learn(uav, self.flown[key].descent.path_m)
        return self.flown[key]

    def polish(self, uav: int, member: BoolArray) -> Flown:
        """The path of a group (N,), optimised to the end."""
        known = self.fly(uav, member)
        return self._optimised(
            uav, member, known.descent.path_m, known.split, FINAL_STEPS, FINAL_GAIN
        )

    def share(self, least_j: Callable[[BoolArray], float]) -> float | None:
        """What optimised paths kept of the guess above the least cost of their groups.

        Between 0.1 and 1; None if no feasible guess has been optimised.
        """
        kept_j = offered_j = 0.0
        for (_, name), flown in self.flown.items():
            if np.isfinite(flown.guess_j) and flown.descent.shortage == 0:
                least = least_j(np.frombuffer(name, dtype=bool))
                kept_j += flown.descent.cost_j - least
                offered_j += flown.guess_j - least
        return float(np.clip(kept_j / offered_j, 0.1, 1.0)) if offered_j > 0 else None

    def _optimised(
        self,
        uav: int,
        member: BoolArray,
        path_m: FloatArray,
        split: IntArray,
        steps: int,
        gain: float,
    ) -> Flown:
        """Improve a path, and where cuts are free then also the cuts, as long as both help."""
        free = len(cut_choices(self.scenario, self.state)) > 1
        end, guess_j = self._improved(uav, member, path_m, split, steps, gain)
        while free:
            other = rows(self.scenario, self.state, uav, end.path_m[None]).split[0]
            if (other[member] == split[member]).all():
                break
            new, _ = self._improved(uav, member, end.path_m, other, steps, gain)
            if not (new.shortage, new.cost_j) < (end.shortage, end.cost_j):
                break
            end, split = new, other
        return Flown(end, split, guess_j)

    def _improved(
        self,
        uav: int,
        member: BoolArray,
        path_m: FloatArray,
        split: IntArray,
        steps: int,
        gain: float,
    ) -> tuple[Descent, float]:
        """A path, mended if need be, then improved; and the cost before, infinite if mended."""
        sortie = sortie_of(self.scenario, self.state, uav, member, split)
        trajectory = Trajectory(self.scenario.settings, sortie)
        start = trajectory.judge(path_m)
        guess_j = start.cost_j if start.shortage == 0 else np.inf
        if start.shortage > 0:
            start = trajectory.mend(path_m)
        if start.shortage > HOPELESS:
            return start, guess_j
        return trajectory.improve(start.path_m, steps, gain), guess_j

    def _learn(self, uav: int, path_m: FloatArray) -> None:
        """Add a path to the table of a UAV, and of those like it."""
        kind = self.kinds[uav]
        row = rows(self.scenario, self.state, uav, path_m[None])
        self.tables_by_kind[kind] = self.tables_by_kind[kind].joined(row)


def _kinds(scenario: Partial, state: PartialState) -> list[int]:
    """(U,) the first UAV that each UAV is like: in place, speed, altitude, processor, tasks."""
    traits = [
        (
            state.start_m[0, uav].tobytes(),
            state.velocity_m_s[0, uav].tobytes(),
            float(scenario.settings.altitudes_m[uav]),
            float(scenario.free_hz(state)[0, uav]),
            (state.held[0] == uav).tobytes(),
        )
        for uav in range(scenario.settings.uavs.count)
    ]
    return [traits.index(trait) for trait in traits]
