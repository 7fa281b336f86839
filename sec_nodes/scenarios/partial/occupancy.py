"""What one UAV can upload for a group of tasks at the very most, wherever it is in each slot.

A UAV is in one place at a time: what it gains for one terminal by being near costs another that is
far. Without the limits that tie its places in different slots together, except that it must be
able to get there from its start and home from there, this is a linear program over the time spent
in each cell of a grid. Its dual gives proofs that need no solver: for any weights of the uploads,
the best place of each slot bounds the weighted sum, and if that is below what all uploads together
ask for, no path serves the group.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial.instance import CutTasks, PartialState
from sec_nodes.scenarios.partial.scenario import (
    TOLERANCE_BIT,
    TOLERANCE_M,
    TOLERANCE_M_S,
    TOLERANCE_S,
    Partial,
)
from sec_nodes.scenarios.partial.uploads import slot_overlap_s
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_CELL_M = 12.5
"""Side of a cell; smaller areas have at least 20 cells along each side."""
_LEAST_CELLS = 20
_ROUNDS = 150
"""Weights that are tried."""
_STEP = 3.0
"""How fast weights follow what is short."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Occupancy:
    """Cells that a UAV can be in, and what it would upload from there; one copy.

    C cells, M slots, N tasks.
    """

    rate: FloatArray
    """(C, N) most that a terminal can send [bit/s] to a UAV anywhere in the cell."""
    reachable: BoolArray
    """(M, C) cells where the UAV can be when a slot begins."""
    slot_s: float

    def refutes(
        self, task: IntArray, start_s: FloatArray, end_s: FloatArray, size_bit: FloatArray
    ) -> bool:
        """Whether one UAV provably cannot do all of some uploads. False proves nothing.

        Args:
            task: (k,) whose they are.
            start_s: (k,) when each may begin.
            end_s: (k,) when each must have ended.
            size_bit: (k,)
        """
        asked = size_bit > 2 * TOLERANCE_BIT
        window_s = slot_overlap_s(start_s[asked], end_s[asked], self.slot_s, len(self.reachable)).T
        share = self.rate[:, task[asked]].T / (size_bit[asked, None] - TOLERANCE_BIT)
        return bool(asked.any()) and self._unreachable(window_s, share)

    def _unreachable(self, window_s: FloatArray, share: FloatArray) -> bool:
        """Whether no stay makes all sums over windows (M, k) of shares (k, C) reach 1.

        The weights of the dual follow what is short, by multiplicative updates.
        """
        slots = np.arange(len(window_s))
        gained = np.zeros(window_s.shape[1])
        for tries in range(_ROUNDS):
            weight = np.exp(-_STEP / np.sqrt(tries + 1.0) * (gained - gained.min()))
            weight /= weight.sum()
            worth = np.where(self.reachable, (window_s * weight) @ share, -np.inf)
            best = worth.argmax(axis=1)
            if worth[slots, best].sum() < 1.0 - _ROUNDING:
                return True
            gained += (window_s * share[:, best].T).sum(axis=0)
            if (gained >= tries + 1.0).all():
                return False
        return False


@dataclass(frozen=True)
class Company:
    """Groups of tasks that no UAV can serve together, n tasks."""

    cells: Occupancy
    cuts: CutTasks
    """(n,)"""
    least_hz: FloatArray
    """(n,) processor speed that each task needs at least."""
    most_hz: float
    """The largest processor."""

    def refuted(self, group: list[int]) -> bool:
        """Whether it is proven that no UAV can serve a group together.

        What the others need at least is not there for a task, and so bounds when its upload must
        have ended.
        """
        if not group:
            return False
        least_hz = self.least_hz[group]
        if least_hz.sum() > self.most_hz:
            return True
        return self._too_late(group, self._latest_s(group, least_hz))

    def _latest_s(self, group: list[int], least_hz: FloatArray) -> FloatArray:
        """(g,) when uploads must have ended if every other task gets what it needs at least."""
        spare_hz = self.most_hz - least_hz.sum() + least_hz
        return self.cuts.deadline_s[group] - self.cuts.work_cycle[group] / spare_hz + TOLERANCE_S

    def _too_late(self, group: list[int], end_s: FloatArray) -> bool:
        """Whether uploads of a group provably cannot all end by then."""
        cuts = self.cuts
        return self.cells.refutes(
            task=np.concatenate([group, group]),
            start_s=np.concatenate([np.zeros(len(group)), cuts.local_s[group]]),
            end_s=np.concatenate([cuts.local_s[group], end_s]),
            size_bit=np.concatenate([cuts.program_bit[group], cuts.intermediate_bit[group]]),
        )


def occupancy(scenario: Partial, state: PartialState) -> Occupancy:
    """The cells of any of the UAVs of the only copy of a state."""
    settings = scenario.settings
    ends_m = np.concatenate([state.start_m[0], state.depot_m])
    corner_m = np.concatenate([ends_m, np.zeros((1, 2)), np.array([settings.area_m])])
    low_m, high_m = corner_m.min(axis=0), corner_m.max(axis=0)
    cells = np.maximum(np.ceil((high_m - low_m) / _CELL_M), _LEAST_CELLS).astype(np.int64)
    side_m = (high_m - low_m) / cells
    index = np.stack(np.meshgrid(*map(np.arange, cells), indexing='ij'), axis=-1).reshape(-1, 2)
    centre_m = low_m + (index + 0.5) * side_m

    def nearest_m(place_m: FloatArray) -> FloatArray:
        """(C, k) least distance from each cell to places (k, 2)."""
        beyond_m = np.abs(centre_m[:, None] - place_m) - side_m / 2.0
        return np.hypot(*np.moveaxis(np.maximum(beyond_m, 0.0), -1, 0))

    link = replace(
        settings.link,
        penetration_loss_db=settings.link.penetration_loss_db + state.loss_db[0],
    )
    step_m = (settings.uavs.speed_m_s + TOLERANCE_M_S) * settings.slot_s
    slot = np.arange(settings.slots)[:, None]
    gone_m = nearest_m(state.start_m[0]).min(axis=1)
    home_m = nearest_m(state.depot_m)[:, 0]
    return Occupancy(
        rate=rate_bit_s(nearest_m(state.terminal_m[0]), link),
        reachable=(gone_m <= slot * step_m + TOLERANCE_M)
        & (home_m <= (settings.slots - slot) * step_m + TOLERANCE_M),
        slot_s=settings.slot_s,
    )
