"""Algorithm 1 of Liu et al., Sensors 2026, 26(11), 3540: SCA-BCD from one start.

Blocks are improved in turn: association (P1, P2), processor speeds (P3, P4: the closed form), cuts
where they are free, and one step of successive convex approximation of each path (P5, P6).
Corrected: a block is accepted only if the true objective (12) does not grow, so the trace never
rises; the paper's surrogates (13) to (16) do not guarantee that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sec_nodes.controllers.batch import register_batch
from sec_nodes.controllers.partial.association import associate
from sec_nodes.controllers.partial.baselines import PartialController, initial_ellipses
from sec_nodes.controllers.partial.flight import Descent, Flight, sortie_of
from sec_nodes.controllers.partial.guesses import cut_choices, enduring_speed_m_s
from sec_nodes.controllers.partial.loiter import loiter_paths, smooth_enough
from sec_nodes.controllers.partial.paths import sectors
from sec_nodes.controllers.partial.phase_zero import repaired
from sec_nodes.controllers.partial.plans import closed_form_plan
from sec_nodes.controllers.partial.split import best_splits
from sec_nodes.controllers.partial.trajectory import Trajectory
from sec_nodes.scenarios.partial import Partial, PartialDecision, PartialState
from sec_nodes.scenarios.partial.instance import UNSERVED
from sec_nodes.slot import FloatArray, IntArray

PRECISION = 1e-3
"""eps: relative gain at which the paper's algorithm stops."""
ITERATIONS = 100
"""I_max of the paper."""
FIRST_REACH_M = 80.0
"""Trust region of a path's first step."""
_SMALL_GAIN, _SMALLER, _HALF = 2e-4, 0.6, 0.5
"""The trust region shrinks where a step gains less, and more where it is rejected."""


@dataclass(frozen=True)
class Trace:
    """How a run of Algorithm 1 went, for one copy."""

    objective_j: list[float]
    """(12) after phase 0 and after each iteration; never rising."""
    plan: PartialDecision
    """One copy; tasks that could not be fitted in are not served."""

    @property
    def iterations(self) -> int:
        """Iterations that were run."""
        return len(self.objective_j) - 1


class AlgorithmOne:
    """One run for the only copy of a state, from angular sectors and ellipses.

    Args:
        scenario: the scenario.
        state: one copy.
    """

    def __init__(self, scenario: Partial, state: PartialState) -> None:
        self.scenario = scenario
        self.state = state
        self.n_uavs = scenario.settings.uavs.count
        self.split = state.split[0].copy()
        self.server = self._sectors()
        self.paths = [Descent(path_m, np.inf, np.inf) for path_m in self._first_paths_m()]
        self.reach_m = np.full(self.n_uavs, FIRST_REACH_M)
        self.steps: dict[tuple[int, bytes, bytes], Trajectory] = {}

    def run(self) -> Trace:
        """Iterate until an iteration gains no more than eps, at most I_max times."""
        path_m, self.server = repaired(self.scenario, self.state, self._path_m(), self.server)
        self._judge(path_m)
        objective_j = [self._objective_j()]
        for _ in range(ITERATIONS):
            self._associate()
            self._cut()
            self._move()
            objective_j.append(self._objective_j())
            if objective_j[-2] - objective_j[-1] <= PRECISION * objective_j[-2]:
                break
        plan = closed_form_plan(
            self.scenario, self.state, self._path_m()[None], self.server[None], self.split[None]
        )
        return Trace(objective_j, plan)

    def _associate(self) -> None:
        """P1 and P2, exactly; tasks that are left out stay so."""
        served = self.server != UNSERVED
        state = replace(self.state, split=self.split[None]).with_tasks(served)
        found = associate(self.scenario, state, self._path_m()[None])[0][0]
        if len(found) and found[0] != UNSERVED:
            server = self.server.copy()
            server[served] = found
            self._accept(server, self.split)

    def _cut(self) -> None:
        """The split block, where cuts are free."""
        if len(cut_choices(self.scenario, self.state)) > 1:
            split = best_splits(self.scenario, self.state, self._path_m(), self.server)
            self._accept(self.server, split)

    def _accept(self, server: IntArray, split: IntArray) -> None:
        """Take an association and cuts if the largest cost falls, or only the sum."""
        new = [
            self._worth(uav, path_m, server, split) for uav, path_m in enumerate(self._path_m())
        ]
        if any(worth.shortage > 0 for worth in new):
            return
        before, after = ([end.cost_j for end in ends] for ends in (self.paths, new))
        if (max(after), sum(after)) < (max(before), sum(before)):
            self.server, self.split, self.paths = server, split, new

    def _move(self) -> None:
        """P5 and P6: one step of each path."""
        for uav in range(self.n_uavs):
            now = self.paths[uav]
            new = self._trajectory(uav).step(now.path_m, float(self.reach_m[uav]))
            if new is None:
                self.reach_m[uav] *= _HALF
                continue
            if now.cost_j - new.cost_j < _SMALL_GAIN * now.cost_j:
                self.reach_m[uav] *= _SMALLER
            self.paths[uav] = new

    def _trajectory(self, uav: int) -> Trajectory:
        """The problem of a UAV and its group; it is laid down once."""
        member = self.server == uav
        key = uav, member.tobytes(), self.split[member].tobytes()
        if key not in self.steps:
            sortie = sortie_of(self.scenario, self.state, uav, member, self.split)
            self.steps[key] = Trajectory(self.scenario.settings, sortie)
        return self.steps[key]

    def _judge(self, path_m: FloatArray) -> None:
        self.paths = [
            self._worth(uav, path_m[uav], self.server, self.split) for uav in range(self.n_uavs)
        ]

    def _worth(self, uav: int, path_m: FloatArray, server: IntArray, split: IntArray) -> Descent:
        sortie = sortie_of(self.scenario, self.state, uav, server == uav, split)
        return Flight(self.scenario.settings, sortie).judge(path_m)

    def _objective_j(self) -> float:
        return max(descent.cost_j for descent in self.paths)

    def _path_m(self) -> FloatArray:
        return np.stack([descent.path_m for descent in self.paths])

    def _sectors(self) -> IntArray:
        """Angular sectors (N,); tasks that a UAV holds stay with it."""
        state = self.state
        held = state.held[0]
        cut = sectors(state.terminal_m[0], state.depot_m[0], self.n_uavs)
        return np.where(held == UNSERVED, cut, held)

    def _first_paths_m(self) -> FloatArray:
        """Ellipses (U, M + 1, 2); in a mission under way, to the middle of the group and home."""
        scenario, state = self.scenario, self.state
        nobody = np.zeros(state.n_tasks, dtype=bool)
        sorties = [sortie_of(scenario, state, uav, nobody) for uav in range(self.n_uavs)]
        if (state.start_m[0] == state.depot_m[0]).all():
            outline_m = initial_ellipses(scenario, state)[0]
        else:
            middle_m = [self._middle_m(uav) for uav in range(self.n_uavs)]
            cruise_m_s = enduring_speed_m_s(scenario)
            outline_m = np.stack(
                [
                    loiter_paths(scenario.settings, sortie, place_m[None], cruise_m_s, cruise_m_s)[
                        0
                    ]
                    for sortie, place_m in zip(sorties, middle_m, strict=True)
                ]
            )
        return np.stack(
            [
                smooth_enough(scenario.settings, sortie, path_m[None])[0]
                for sortie, path_m in zip(sorties, outline_m, strict=True)
            ]
        )

    def _middle_m(self, uav: int) -> FloatArray:
        mine = self.server == uav
        place_m = self.state.terminal_m[0][mine]
        return place_m.mean(axis=0) if len(place_m) else self.state.depot_m[0]


@register_batch
class ScaBcdSingle(PartialController):
    """Algorithm 1 of the paper as corrected, from one start; each copy is planned by itself."""

    name = 'sca_bcd_single'

    def decide(self, state: PartialState) -> PartialDecision:
        """Plan each copy."""
        copies = range(state.n_copies)
        plans = [
            AlgorithmOne(self.scenario, state.only(slice(copy, copy + 1))).run().plan
            for copy in copies
        ]
        return PartialDecision(
            **{
                name: np.concatenate([getattr(plan, name) for plan in plans])
                for name in vars(plans[0])
            }
        )
