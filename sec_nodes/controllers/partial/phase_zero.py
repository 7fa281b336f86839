"""Phase 0 of Algorithm 1: from paths that only can be flown to a plan that meets every deadline.

The paper starts from ellipses and takes for granted that they serve their sectors in time; they
need not. Liu et al., Sensors 2026, 26(11), 3540, corrected.
"""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.partial.association import associate
from sec_nodes.controllers.partial.flight import sortie_of
from sec_nodes.controllers.partial.guesses import rows
from sec_nodes.controllers.partial.trajectory import Trajectory
from sec_nodes.scenarios.partial import Partial, PartialState
from sec_nodes.scenarios.partial.certificates import least_needs
from sec_nodes.scenarios.partial.instance import UNSERVED
from sec_nodes.slot import FloatArray, IntArray

_LOADS = 100.0
"""A missing share of a program counts more than so many processors."""


def repaired(
    scenario: Partial, state: PartialState, path_m: FloatArray, server: IntArray
) -> tuple[FloatArray, IntArray]:
    """Paths and association that keep all constraints, from some that need not.

    First the exact association along the paths. If there is none, each path is mended by elastic
    steps; where that is not enough, the task in the way goes to the UAV with the best mean link
    that has room for it, once for each task at most. What is in the way after that is left out.

    Args:
        scenario: the scenario.
        state: one copy.
        path_m: (U, M + 1, 2) paths that keep the speed.
        server: (N,)

    Returns:
        path_m (U, M + 1, 2), and server (N,) with UNSERVED for tasks that are left out.
    """
    fits = _Repair(scenario, state, path_m, server)
    if state.n_tasks:
        fits.associate()
        fits.mend()
    return np.stack([descent.path_m for descent in fits.paths]), fits.server


class _Repair:
    """The steps of `repaired`."""

    def __init__(
        self, scenario: Partial, state: PartialState, path_m: FloatArray, server: IntArray
    ) -> None:
        self.scenario = scenario
        self.state = state
        self.server = server.copy()
        self.n_uavs = len(path_m)
        self.paths = [self._trajectory(uav).judge(path_m[uav]) for uav in range(self.n_uavs)]
        self.moved: set[int] = set()

    def associate(self) -> None:
        """The exact association along the paths, if there is one."""
        path_m = np.stack([descent.path_m for descent in self.paths])
        found = associate(self.scenario, self.state, path_m[None])[0][0]
        if found[0] != UNSERVED:
            self.server = found
            self._judge()

    def mend(self) -> None:
        """Mend paths, and hand on the tasks that are in the way, until nothing is missed."""
        while True:
            short = [uav for uav in range(self.n_uavs) if self.paths[uav].shortage > 0]
            if not short:
                return
            for uav in short:
                self.paths[uav] = self._trajectory(uav).mend(self.paths[uav].path_m)
            still = [uav for uav in short if self.paths[uav].shortage > 0]
            if still and not self._hand_on(max(still, key=lambda uav: self.paths[uav].shortage)):
                return

    def _hand_on(self, uav: int) -> bool:
        """Move the worst task of a UAV, or leave it out; whether there was one."""
        mine = np.flatnonzero(self.server == uav)
        if len(mine) == 0:
            return False
        along = rows(self.scenario, self.state, uav, self.paths[uav].path_m[None])
        task = int(mine[(along.shortage[0] + along.load[0] / _LOADS)[mine].argmax()])
        free = task not in self.moved and self.state.held[0, task] == UNSERVED
        self.server[task] = self._best_other(uav, task) if free else UNSERVED
        self.moved.add(task)
        self._judge()
        return True

    def _best_other(self, uav: int, task: int) -> int:
        """The UAV of the best mean link whose processor suffices under the best of links."""
        path_m = np.stack([descent.path_m for descent in self.paths])
        rate = self.scenario.rates_bit_s(self.state, path_m[None])[0, :, task].mean(axis=1)
        needed_hz = least_needs(self.scenario, self.state).cpu_hz
        this = np.arange(len(self.server)) == task
        mine = (self.server == np.arange(self.n_uavs)[:, None]) | this
        load_hz = np.where(mine, needed_hz, 0.0).sum(axis=1)
        room = load_hz <= self.scenario.free_hz(self.state)[0]
        room[uav] = False
        return int(np.where(room, rate, -np.inf).argmax()) if room.any() else UNSERVED

    def _judge(self) -> None:
        self.paths = [
            self._trajectory(uav).judge(descent.path_m) for uav, descent in enumerate(self.paths)
        ]

    def _trajectory(self, uav: int) -> Trajectory:
        sortie = sortie_of(self.scenario, self.state, uav, self.server == uav)
        return Trajectory(self.scenario.settings, sortie)
