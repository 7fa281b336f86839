"""Exact slots of the mllm scenario, for few devices: what certifies the near-optimal controller.

All partitions of the devices into groups at receivers are covered by dynamic programming over
subsets. Each group's powers and UAV position come from sequential quadratic programming with
several starts (`mllm_exact_group`), a method that shares nothing with that of the near-optimal
controller. Groups that cannot be part of anything better than a decision already known are left
out by a bound, so the result is that of the full enumeration.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.mllm.bound import Ideal, ideal
from sec_nodes.controllers.mllm.exact_group import GroupProblem, GroupSolution
from sec_nodes.controllers.mllm.optimum import Optimum
from sec_nodes.controllers.mllm.tables import power_rules
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.state import MllmDecision, MllmState
from sec_nodes.slot import FloatArray, IntArray

MOST_DEVICES = 10
_SLACK = 1e-6


@register_batch
class Exhaustive(BatchController[Mllm, MllmState, MllmDecision]):
    """The best decision of each slot without queues and speed limit, by exhaustive search.

    Answers of UAVs are reckoned without noise from other UAVs (it takes less than 2 ms), so the
    cost that the search minimises, `bound`, is slightly below that of the decision.
    """

    name = 'exhaustive'
    scenario_name = 'mllm'
    for_small_cases = True

    def __init__(self, scenario: Mllm, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        settings = scenario.settings
        power_rules(settings)
        if settings.queue.enabled or settings.uavs.speed_m_s is not None:
            raise ControllerError(
                'exhaustive solves slots that do not depend on each other; switch off '
                'queue.enabled and uavs.speed_m_s, or use optimum'
            )
        if settings.devices.count > MOST_DEVICES:
            raise ControllerError(
                f'devices.count = {settings.devices.count}: exhaustive takes at most '
                f'{MOST_DEVICES} devices; use optimum for more'
            )
        self._optimum = Optimum(scenario, seed)

    def decide(self, state: MllmState) -> MllmDecision:
        """The best decision; seconds a copy with five devices, a minute with ten."""
        parts = [part for part, _ in self._solve(state)]
        return MllmDecision(
            np.stack([part.server for part in parts]),
            np.stack([part.power_w for part in parts]),
            np.stack([part.uav_m for part in parts]),
        )

    def bound(self, state: MllmState) -> FloatArray:
        """(B,) least penalised cost, with the answers' way back idealised."""
        return np.array([cost for _, cost in self._solve(state)])

    def _solve(self, state: MllmState) -> list[tuple[MllmDecision, float]]:
        """Decision, without the copy's axis, and least cost of each copy."""
        known = self._optimum.decide(state)
        reach = self.scenario.evaluate(state, known).penalised_cost
        best_case = ideal(self.scenario, state)
        return [
            _CopySearch(self.scenario, state, best_case, copy, float(reach[copy])).solve(known)
            for copy in range(len(state.seed))
        ]


class _CopySearch:
    """Search of one copy.

    Args:
        reach: penalised cost of a known decision; only what is no worse is looked at.
    """

    def __init__(
        self, scenario: Mllm, state: MllmState, best_case: Ideal, copy: int, reach: float
    ) -> None:
        self._scenario, self._state, self._ideal, self._copy = scenario, state, best_case, copy
        self._devices = np.flatnonzero(state.active[copy])
        self._alone = best_case.least[copy]
        self._reach = reach * len(self._devices) * (1 + _SLACK) + _SLACK

    def solve(self, known: MllmDecision) -> tuple[MllmDecision, float]:
        groups = self._groups()
        full = (1 << len(self._devices)) - 1
        # For each set of devices: least cost at the receivers so far, and the groups there.
        table: dict[int, tuple[float, tuple[tuple[int, int], ...]]] = {0: (0.0, ())}
        for receiver, solved in groups.items():
            grown = dict(table)
            for held, (cost, path) in table.items():
                for group, solution in solved.items():
                    if held & group:
                        continue
                    total = cost + solution.cost
                    if total < grown.get(held | group, (np.inf, ()))[0]:
                        grown[held | group] = total, (*path, (receiver, group))
            table = grown
        copy = self._copy
        server, power_w, uav_m = (
            known.server[copy].copy(),
            known.power_w[copy].copy(),
            known.uav_m[copy].copy(),
        )
        if full not in table:  # only if nothing is as good as what was known
            return MllmDecision(server, power_w, uav_m), self._reach / len(self._devices)
        cost, path = table[full]
        for receiver, group in path:
            solution = groups[receiver][group]
            devices = self._members(group)
            server[devices] = solution.server
            power_w[devices] = solution.power_w
            if receiver < len(uav_m):
                uav_m[receiver] = solution.uav_m
        return MllmDecision(server, power_w, uav_m), cost / len(self._devices)

    def _groups(self) -> dict[int, dict[int, GroupSolution]]:
        """Groups by receiver and set of devices, without those that cost too much.

        A group costs at least as much as a part of it and the rest alone, for who leaves a group
        takes interference away; the devices outside cost at least their least alone.
        """
        receivers = np.unique(self._ideal.receiver[self._copy])
        outside = self._alone[self._devices].min(axis=1)
        found: dict[int, dict[int, GroupSolution]] = {}
        for receiver in receivers:
            behind = np.flatnonzero(self._ideal.receiver[self._copy] == receiver)
            alone = self._alone[self._devices][:, behind].min(axis=1)
            problem = GroupProblem(self._scenario, self._state, self._ideal, self._copy, receiver)
            solved: dict[int, GroupSolution] = {}
            for size in range(1, len(self._devices) + 1):
                for chosen in combinations(range(len(self._devices)), size):
                    group = sum(1 << place for place in chosen)
                    parts = [(group & ~(1 << place), place) for place in chosen]
                    if size > 1 and any(part not in solved for part, _ in parts):
                        continue
                    least = max(
                        (solved[part].cost if part else 0.0) + alone[place]
                        for part, place in parts
                    )
                    rest = outside.sum() - outside[list(chosen)].sum()
                    if least + rest > self._reach:
                        continue
                    solution = problem.solve(self._devices[list(chosen)], self._reach - rest)
                    if solution is not None and solution.cost + rest <= self._reach:
                        solved[group] = solution
            found[int(receiver)] = solved
        return found

    def _members(self, group: int) -> IntArray:
        return self._devices[[bool(group >> place & 1) for place in range(len(self._devices))]]
