"""Descent: association by a quick guess, paths by exact gradients, then exchange of tasks."""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.batch import register_batch
from sec_nodes.controllers.partial.association import associate
from sec_nodes.controllers.partial.baselines import PartialController
from sec_nodes.controllers.partial.flight import Descent, Flight, sortie_of
from sec_nodes.controllers.partial.hover import (
    hover_table,
    improve,
    merit,
    neighbours,
    rank,
)
from sec_nodes.controllers.partial.paths import sector_cuts
from sec_nodes.controllers.partial.plans import closed_form_plan
from sec_nodes.physics import randomness
from sec_nodes.physics.randomness import Stream
from sec_nodes.scenarios.partial.bounds import partial_certificate
from sec_nodes.scenarios.partial.instance import PartialState
from sec_nodes.scenarios.partial.scenario import UNSERVED, Partial, PartialDecision
from sec_nodes.slot import BoolArray, FloatArray, IntArray

RANDOM_STARTS = 24
"""Random associations besides the sectors from which the guess is improved."""
KEPT = 8
"""Guessed associations whose paths are optimised."""
EXCHANGES = 12
"""Exchanges that are made at most; two or three are usual where a feasible plan exists."""
TRIED = 30
"""Exchanges whose paths are optimised before the search gives up."""
ITERATIONS = 60
"""Steps of a path's optimisation."""
WORTHWHILE = 1e-5
"""Smallest relative gain for which the search goes on."""
FINAL_STARTS = 4
FINAL_ITERATIONS = 300
"""Starts and steps for the paths of the association that is flown."""
_SHORTAGE_J = 1e6
"""What a missed constraint counts, so that the search ends at the least infeasible plan."""


@register_batch
class DescentController(PartialController):
    """Reference: near-optimal plans in some seconds a copy; tasks keep their given cuts.

    1. Associations are improved by moves and swaps under the guess of `partial_hover`, from all
       sectors and from random starts.
    2. The best few get optimised paths (`partial_flight`); the best of these goes on.
    3. Tasks are exchanged: what the exact association along the paths proposes, then the moves
       and swaps that look best. The first that lowers the optimised cost is taken.
    4. The paths are optimised once more, from several starts.

    Copies of the same instance are planned once.
    """

    name = 'descent'

    def decide(self, state: PartialState) -> PartialDecision:
        """Plan each copy; a task that no UAV can finish in time is not served."""
        found: dict[bytes, tuple[FloatArray, IntArray]] = {}
        keys = []
        for copy in range(state.n_copies):
            one = state.only(slice(copy, copy + 1))
            parts = (value for name, value in vars(one).items() if name != 'seed')
            keys.append(b''.join(part.tobytes() for part in parts))
            if keys[-1] not in found:
                found[keys[-1]] = self._plan(one)
        waypoint_m = np.stack([found[key][0] for key in keys])
        server = np.stack([found[key][1] for key in keys])
        return closed_form_plan(self.scenario, state, waypoint_m, server)

    def _plan(self, state: PartialState) -> tuple[FloatArray, IntArray]:
        """Waypoints (U, M + 1, 2) and server (N,) for the only copy of a state."""
        settings = self.scenario.settings
        hopeful = partial_certificate(settings, state).least_hz[0] <= settings.uavs.cpu_hz
        server = np.full(state.n_tasks, UNSERVED)
        search = _Search(self.scenario, state.with_tasks(hopeful), self.seed)
        waypoint_m, server[hopeful] = search.plan()
        return waypoint_m, server


class _Search:
    """The search for one instance; optimised paths are remembered by group of tasks."""

    def __init__(self, scenario: Partial, state: PartialState, seed: int) -> None:
        self.scenario = scenario
        self.state = state
        self.seed = seed
        self.n_uavs = scenario.settings.uavs.count
        self.table = hover_table(scenario, state)
        self.flown: dict[bytes, Descent] = {}

    def plan(self) -> tuple[FloatArray, IntArray]:
        """Waypoints (U, M + 1, 2) and server (N,)."""
        server = self._associate() if self.state.n_tasks else np.zeros(0, dtype=np.int64)
        final = [self._finish(member) for member in self._groups(server)]
        return np.stack([descent.path_m for descent in final]), server

    def _associate(self) -> IntArray:
        """The best association (N,) that is found."""
        server = min(self._guesses(), key=self._merit)
        for _ in range(EXCHANGES):
            better = self._exchange(server)
            if better is None:
                break
            server = better
        return server

    def _guesses(self) -> list[IntArray]:
        """The best associations (N,) by the guess."""
        state = self.state
        starts = sector_cuts(state.terminal_m[0], state.depot_m[0], self.n_uavs)
        level = randomness.uniform(
            self.seed, Stream.CONTROLLER, np.arange(RANDOM_STARTS), 0, state.n_tasks
        )
        starts += list((level * self.n_uavs).astype(np.int64))
        found = {
            self._name(server): server
            for server in (improve(self.table, start, self.n_uavs) for start in starts)
        }
        distinct = np.stack(list(found.values()))
        order = np.argsort(rank(self.table, distinct, self.n_uavs), kind='stable')
        return list(distinct[order[:KEPT]])

    def _exchange(self, server: IntArray) -> IntArray | None:
        """A better association (N,) than the given one; None if none is found."""
        now = self._merit(server)
        for candidate in self._proposals(server):
            if self._merit(candidate) < now * (1.0 - WORTHWHILE):
                return candidate
        return None

    def _proposals(self, server: IntArray) -> list[IntArray]:
        """Associations worth optimising: the exact one along the paths, promising exchanges."""
        groups = self._groups(server)
        descents = [self._fly(member) for member in groups]
        path_m = np.stack([descent.path_m for descent in descents])
        exact = associate(self.scenario, self.state, path_m[None])[0][0]
        nearby = neighbours(server, self.n_uavs)
        member = nearby[:, None] == np.arange(self.n_uavs)[:, None]
        flat = member.reshape(-1, len(server))
        guess_j = self.table.group_cost_j(flat).reshape(-1, self.n_uavs)
        # the guess is off by much the same for a group and one that differs by a task
        off_j = np.array([self._cost_j(descent) for descent in descents])
        off_j = off_j - self.table.group_cost_j(groups)
        order = np.argsort(merit(guess_j + off_j), kind='stable')[:TRIED]
        proposed = [exact] if exact[0] != UNSERVED else []
        return proposed + list(nearby[order])

    def _merit(self, server: IntArray) -> float:
        costs = [self._cost_j(self._fly(member)) for member in self._groups(server)]
        return float(merit(np.array(costs)))

    def _cost_j(self, descent: Descent) -> float:
        return descent.cost_j + _SHORTAGE_J * descent.shortage

    def _fly(self, member: BoolArray) -> Descent:
        """The optimised path for a group (N,), from the place that the guess prefers."""
        key = member.tobytes()
        if key not in self.flown:
            start_m = self.table.best_paths_m(member, 1)[0]
            self.flown[key] = self._flight(member).descend(start_m, ITERATIONS)
        return self.flown[key]

    def _finish(self, member: BoolArray) -> Descent:
        """The best path for a group (N,) from several starts."""
        flight = self._flight(member)
        starts = [self._fly(member).path_m, *self.table.best_paths_m(member, FINAL_STARTS)]
        descents = [flight.descend(start_m, FINAL_ITERATIONS) for start_m in starts]
        return min(descents, key=self._cost_j)

    def _flight(self, member: BoolArray) -> Flight:
        # UAVs are alike in a new mission but for their altitude; paths are shared between them
        return Flight(self.scenario.settings, sortie_of(self.scenario, self.state, 0, member))

    def _groups(self, server: IntArray) -> BoolArray:
        return server == np.arange(self.n_uavs)[:, None]

    def _name(self, server: IntArray) -> tuple[bytes, ...]:
        """What stays the same when UAVs change their numbers."""
        return tuple(sorted(member.tobytes() for member in self._groups(server)))
