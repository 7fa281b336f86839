"""Multi-start search for an association with optimised paths: the block where the gap is.

For a given association, successive convex approximation ends within a fraction of a percent of the
optimum, so what counts is who serves whom. Guesses tell associations apart in microseconds, and
every path that is optimised makes the guesses better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sec_nodes.controllers.partial.exchange import Exchange, Sharpened, Worth, merit
from sec_nodes.controllers.partial.guesses import SHORTAGE_J, cut_choices
from sec_nodes.controllers.partial.paths import sector_cuts
from sec_nodes.controllers.partial.pilot import Pilot
from sec_nodes.physics import randomness
from sec_nodes.physics.energy import computing_energy_j
from sec_nodes.physics.randomness import Stream
from sec_nodes.scenarios.partial import Partial
from sec_nodes.scenarios.partial.bounds import (
    least_power_w,
    lower_bound_j,
    partial_certificate,
)
from sec_nodes.scenarios.partial.instance import UNSERVED, PartialState, cut_tasks
from sec_nodes.slot import BoolArray, FloatArray, IntArray

STARTS = 24
"""Sectors, and as many random associations, from which guesses are improved, over the number of
UAVs: large fleets have many more exchanges for each."""
LEAST_STARTS = 2
"""The same for the largest fleets."""
KEPT = 8
"""Guessed associations whose paths are optimised."""
FLIGHTS_PER_UAV = 10
"""Groups of tasks whose paths are optimised at most, for each UAV."""
ROUNDS = 6
"""Times that exchanges around the best association are looked through at most."""
TRIED = 8
"""Exchanges that are tried in each."""
CLOSE = 1e-4
"""Relative gap to the lower bound at which nothing is left to find."""
WORTHWHILE = 1e-5
"""Smallest relative gain for which the search goes on."""
FIRST_SHARE = 0.5
"""Share of a guess above the least cost that optimised paths are first expected to keep."""
_LIGHT = 1e-4
"""Tasks of less than this share of the cost do not make two associations different."""


def find(scenario: Partial, state: PartialState, seed: int) -> Found:
    """The best plan that is found for the only copy of a state.

    Tasks that provably no UAV can finish are left out from the beginning.
    """
    free_hz = scenario.free_hz(state)[0].max()
    hopeful = np.min([hz for hz, _ in _least(scenario, state)], axis=0) <= free_hz
    server, split = np.full(state.n_tasks, UNSERVED), state.split[0].copy()
    found = Search(scenario, state.with_tasks(hopeful), seed).run()
    server[hopeful], split[hopeful] = found.server, found.split
    return Found(found.path_m, server, split)


@dataclass(frozen=True)
class Found:
    """What a search ends with, for the only copy of a state."""

    path_m: FloatArray
    """(U, M + 1, 2)"""
    server: IntArray
    """(N,) UNSERVED for tasks that could not be fitted in."""
    split: IntArray
    """(N,)"""


class Search:
    """The search for the only copy of a state.

    1. Associations are improved by moves and swaps on the tables of guesses, from sectors and
       from random starts.
    2. The paths of the best few are optimised, costliest UAV first; an association is given up
       as soon as one of its UAVs costs more than all of the best so far.
    3. Exchanges around the best are tried where the guesses, sharpened by what optimised paths
       turned out to cost, promise a gain.
    4. The paths of the best are optimised to the end. Tasks that do not fit are left out.

    It ends early where the lower bound is reached. How much is tried is counted in optimised
    paths, not in time, so results can be repeated.
    """

    def __init__(self, scenario: Partial, state: PartialState, seed: int) -> None:
        self.scenario = scenario
        self.state = state
        self.seed = seed
        self.n_uavs = scenario.settings.uavs.count
        self.pilot = Pilot(scenario, state)
        self.bound_j = float(lower_bound_j(scenario.settings, state)[0])
        self.least_j = np.min([cost_j for _, cost_j in _least(scenario, state)], axis=0)
        self.fixed_j = scenario.settings.mission_s * least_power_w(scenario.settings)
        self.budget = FLIGHTS_PER_UAV * self.n_uavs
        self.best = np.full(state.n_tasks, UNSERVED)
        self.best_merit = self.best_cost_j = np.inf

    def run(self) -> Found:
        """The best plan that is found."""
        if self.state.n_tasks:
            for server in self._starts():
                if not self._close():
                    self._try(server)
            for _ in range(ROUNDS):
                if self._close() or not self._improve():
                    break
        return self._finished()

    def _starts(self) -> list[IntArray]:
        """Different associations (N,) that are best by the guess."""
        state, n_tasks = self.state, self.state.n_tasks
        cuts = sector_cuts(state.terminal_m[0], state.depot_m[0], self.n_uavs)
        count = max(STARTS // self.n_uavs, LEAST_STARTS)
        starts = cuts[:: -(-len(cuts) // count)]
        draw = np.arange(count)
        level = randomness.uniform(self.seed, Stream.CONTROLLER, draw, 0, n_tasks)
        starts += list((level * self.n_uavs).astype(np.int64))
        exchange = self._exchange(1.0)
        ends = [exchange.descend(self._with_held(start)) for start in starts]
        ends.sort(key=lambda server: float(merit(exchange.worths(server))))
        different = {self._signature(server): server for server in reversed(ends)}
        return list(different.values())[::-1][:KEPT]

    def _improve(self) -> bool:
        """Try the most promising exchanges around the best association; whether one helped."""
        before = self.best_merit
        share = self.pilot.share(self._least_of)
        exchange = self._exchange(FIRST_SHARE if share is None else share)
        for value, server in exchange.around(self.best)[:TRIED]:
            if not value < before * (1 - WORTHWHILE) or self._try(server):
                break
        return self.best_merit < before * (1 - WORTHWHILE)

    def _try(self, server: IntArray) -> bool:
        """Optimise the paths of an association; whether it is the best so far."""
        exchange = self._exchange(1.0)
        worths = exchange.worths(server)
        order = np.argsort(-(worths.cost_j + SHORTAGE_J * worths.shortage), kind='stable')
        cost_j, shortage = np.zeros(self.n_uavs), np.zeros(self.n_uavs)
        for uav in order:
            member = server == uav
            if not self.pilot.knows(uav, member) and self.pilot.flights >= self.budget:
                return False
            flown = self.pilot.fly(uav, member).descent
            cost_j[uav], shortage[uav] = flown.cost_j, flown.shortage
            if merit(Worth(cost_j, shortage)) >= self.best_merit:
                return False
        self.best, self.best_merit = server, float(merit(Worth(cost_j, shortage)))
        self.best_cost_j = float(cost_j.max())
        return True

    def _finished(self) -> Found:
        """Optimise the best paths to the end, and leave out what does not fit anywhere."""
        groups = [self.best == uav for uav in range(self.n_uavs)]
        flown = [self.pilot.polish(uav, member) for uav, member in enumerate(groups)]
        for uav in range(self.n_uavs):
            while flown[uav].descent.shortage > 0 and groups[uav].any():
                groups[uav] = self._without_worst(uav, groups[uav])
                flown[uav] = self.pilot.polish(uav, groups[uav])
        for task in np.flatnonzero(~np.any(groups, axis=0)).tolist():
            for uav in self._roomiest(groups, task):
                larger = groups[uav] | (np.arange(self.state.n_tasks) == task)
                tried = self.pilot.polish(uav, larger)
                if tried.descent.shortage == 0:
                    groups[uav], flown[uav] = larger, tried
                    break
        server, split = np.full(self.state.n_tasks, UNSERVED), self.state.split[0].copy()
        for uav, member in enumerate(groups):
            server[member], split[member] = uav, flown[uav].split[member]
        return Found(np.stack([end.descent.path_m for end in flown]), server, split)

    def _roomiest(self, groups: list[BoolArray], task: int) -> IntArray:
        """UAVs that may serve a task, those first that would miss least."""
        this = np.arange(self.state.n_tasks) == task
        exchange = self._exchange(1.0)
        worths = [exchange.worth(uav, (member | this)[None]) for uav, member in enumerate(groups)]
        order = np.argsort([worth.shortage[0] for worth in worths], kind='stable')
        held = self.state.held[0, task]
        return order if held == UNSERVED else order[order == held]

    def _without_worst(self, uav: int, member: BoolArray) -> BoolArray:
        """A group (N,) without the task whose absence helps most."""
        tasks = np.flatnonzero(member)
        smaller = np.repeat(member[None], len(tasks), axis=0)
        smaller[np.arange(len(tasks)), tasks] = False
        worth = self._exchange(1.0).worth(uav, smaller)
        return np.asarray(smaller[np.lexsort((worth.cost_j, worth.shortage))[0]])

    def _close(self) -> bool:
        """Whether nothing is left to find."""
        short = self.best_merit >= SHORTAGE_J
        return not short and self.best_cost_j <= self.bound_j * (1 + CLOSE)

    def _exchange(self, share: float) -> Exchange:
        return Exchange(self.pilot.tables, Sharpened(self.fixed_j, self.least_j, share))

    def _least_of(self, member: BoolArray) -> float:
        return self.fixed_j + float(self.least_j[member].sum())

    def _with_held(self, server: IntArray) -> IntArray:
        held = self.state.held[0]
        return np.where(held == UNSERVED, server, held)

    def _signature(self, server: IntArray) -> tuple[tuple[int, bytes], ...]:
        """What stays the same when UAVs that are alike change their numbers."""
        heavy = self.least_j > _LIGHT * self.fixed_j
        kinds = self.pilot.kinds
        groups = [(heavy & (server == uav)).tobytes() for uav in range(self.n_uavs)]
        return tuple(sorted(zip(kinds, groups, strict=True)))


def _least(scenario: Partial, state: PartialState) -> list[tuple[FloatArray, FloatArray]]:
    """Least speed (N,) of each task's processor, and what it costs then (N,), for each cut."""
    settings = scenario.settings
    found = []
    for split in cut_choices(scenario, state):
        cut = replace(state, split=split[None])
        least_hz = partial_certificate(settings, cut).least_hz[0]
        work_cycle = cut_tasks(state, split[None]).work_cycle[0]
        known_hz = np.where(np.isfinite(least_hz), least_hz, 0.0)
        service_j = computing_energy_j(work_cycle, known_hz, settings.uavs.capacitance_j_s2)
        cost_j = settings.objective.service_weight * service_j
        found.append((least_hz, np.where(np.isfinite(least_hz), cost_j, np.inf)))
    return found
