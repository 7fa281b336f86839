"""The path of one UAV by successive convex approximation: the trajectory block of Algorithm 1.

Liu et al., Sensors 2026, 26(11), 3540, P5 and P6 as corrected in `trajectory_program`. Each step
solves a convex problem around a path whose solutions keep all constraints of (12), and is taken
only if the exact evaluation agrees that it keeps them and costs less.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize

from sec_nodes.controllers.partial.flight import Descent, Flight, Sortie
from sec_nodes.controllers.partial.trajectory_program import MendProgram, StepProgram
from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial.settings import PartialSettings
from sec_nodes.slot import FloatArray

REACH_M = 80.0
"""How far waypoints may move in the first step."""
_LITTLE = 2e-4
"""Relative gain below which the next step gets shorter: psi is tighter then."""
_SHORTER, _HALF = 0.6, 0.5
_LEAST_REACH_M = 0.5
_MEND_REACH_M = 150.0
MEND_STEPS = 15
_LOAD = 0.999
"""Share of the processor that the elastic problem plans with."""


class Trajectory:
    """Steps for the path of one UAV; the problem is laid down once for all of them.

    Args:
        settings: parameters of the scenario.
        sortie: what the UAV has to do.

    Raises:
        ControllerError: Clarabel is not installed.
    """

    def __init__(self, settings: PartialSettings, sortie: Sortie) -> None:
        self.settings = settings
        self.sortie = sortie
        self.flight = Flight(settings, sortie)
        self._step = StepProgram(settings, sortie)
        self._mend: MendProgram | None = None

    def judge(self, path_m: FloatArray) -> Descent:
        """What a path (M + 1, 2) is worth, exactly."""
        return self.flight.judge(path_m)

    def step(self, path_m: FloatArray, reach_m: float = REACH_M) -> Descent | None:
        """One step from a path (M + 1, 2) that keeps all constraints.

        The direction is followed further, in doubling steps, as long as that is feasible and
        cheaper still: a step within lower bounds is a cautious one.

        Args:
            path_m: where it starts.
            reach_m: Delta, how far waypoints may move within the convex problem.

        Returns:
            The new path, feasible and cheaper; None if there is none.
        """
        return self._step_from(self.judge(path_m), reach_m)

    def improve(self, path_m: FloatArray, steps: int, tolerance: float = 1e-3) -> Descent:
        """Steps until the relative gain of one is below `tolerance`, at most so many.

        A step that gains little makes the next one shorter, and one that is refused is tried
        again at half the reach. Never worse than the path (M + 1, 2) that came in.
        """
        best, reach_m = self.judge(path_m), REACH_M
        for _ in range(steps):
            new = self._step_from(best, reach_m)
            if new is None:
                reach_m *= _HALF
                if reach_m < _LEAST_REACH_M:
                    break
                continue
            gain = 1.0 - new.cost_j / best.cost_j if best.shortage == 0.0 else 1.0
            best = new
            if gain < tolerance:
                break
            if gain < _LITTLE:
                reach_m *= _SHORTER
        return best

    def mend(self, path_m: FloatArray) -> Descent:
        """Elastic steps from a path (M + 1, 2) towards one that keeps all constraints: phase 0.

        The uploads' ends are fixed at T_lc + S / r_s, with the common rate r_s at which the
        processor is just enough. The best path met is returned; its `shortage` says what is left.
        """
        best = self.judge(path_m)
        if best.shortage == 0.0:
            return best
        if self._mend is None:
            self._mend = MendProgram(
                self.settings, self.sortie, upload_ends_s(self.settings, self.sortie)
            )
        short, reach_m = self._mend.shortage(path_m), _MEND_REACH_M
        for _ in range(MEND_STEPS):
            near_m = self._mend.path_near(path_m, reach_m)
            if near_m is None:
                break
            new, left = self.judge(near_m), self._mend.shortage(near_m)
            best = min(best, new, key=lambda end: (end.shortage, end.cost_j))
            if best.shortage == 0.0 or left > short * (1.0 - _LITTLE):
                break
            path_m, short = near_m, left
        return best

    def _step_from(self, here: Descent, reach_m: float) -> Descent | None:
        near_m = self._step.path_near(here.path_m, reach_m)
        if near_m is None:
            return None
        best, found = here, self.judge(near_m)
        stretch = 1.0
        while found.shortage == 0.0 and (best.shortage > 0.0 or found.cost_j < best.cost_j):
            best = found
            stretch *= 2.0
            found = self.judge(here.path_m + stretch * (near_m - here.path_m))
        return None if best is here else best


def upload_ends_s(settings: PartialSettings, sortie: Sortie) -> FloatArray:
    """When uploads (n,) must end for the processor to be just enough: T_lc + S / r_s.

    r_s is the common shadow rate with sum W / (T_n - T_lc - S / r_s) = 0.999 F_max, at most the
    best rate overhead. Uploads end with the mission at the latest. A task that is late before its
    upload begins has no say.
    """
    tasks = sortie.tasks
    left_s = tasks.deadline_s - tasks.local_s
    counts = left_s > 0
    work, size_bit, left_s = (
        tasks.work_cycle[counts],
        tasks.intermediate_bit[counts],
        left_s[counts],
    )

    def excess_hz(rate: float) -> float:
        return float((work / (left_s - size_bit / rate)).sum()) - _LOAD * sortie.cpu_hz

    fastest = float(np.max(rate_bit_s(0.0, sortie.link), initial=0.0))
    slowest = float((size_bit / left_s).max(initial=0.0)) * (1.0 + 1e-9)
    if slowest == 0.0 or slowest >= fastest or excess_hz(fastest) >= 0.0:
        shadow = fastest
    elif excess_hz(slowest) <= 0.0:
        shadow = slowest
    else:
        shadow = optimize.brentq(excess_hz, slowest, fastest)
    return np.minimum(tasks.local_s + tasks.intermediate_bit / shadow, settings.mission_s)
