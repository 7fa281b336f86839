"""The best powers, position and executing servers of one group of an mllm slot, to high accuracy.

Written for certainty, not for speed: every combination of executing servers behind the receiver
and every set of devices left uncovered that might pay off is tried, and the powers ln P, the
UAV's position and the lateness, as variables of a smooth problem, are found by sequential
quadratic programming from several starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from scipy.optimize import minimize

from sec_nodes.controllers.mllm.bound import Ideal
from sec_nodes.controllers.mllm.tables import power_rules
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.state import MllmState
from sec_nodes.slot import FloatArray, IntArray

_GRID = 21
_STARTS = 3
_UNIT_M = 100.0
_INSIDE_M = 1e-4


@dataclass(frozen=True)
class GroupSolution:
    """A group at its best."""

    cost: float
    server: IntArray
    power_w: FloatArray
    uav_m: FloatArray


class GroupProblem:
    """Groups of one copy at one receiver."""

    def __init__(
        self, scenario: Mllm, state: MllmState, ideal: Ideal, copy: int, receiver: int
    ) -> None:
        settings = scenario.settings
        self._settings, self._rules = settings, power_rules(settings)
        self._receiver, self._on_uav = receiver, receiver < settings.uavs.count
        self._device_m = state.device_m[copy]
        self._deadline_s = state.deadline_s[copy]
        self._ideal, self._copy = ideal, copy
        self._behind = np.flatnonzero(ideal.receiver[copy] == receiver)
        self._penalty = settings.objective.violation_penalty
        self._height2_m2 = settings.uavs.altitude_m[receiver] ** 2 if self._on_uav else 0.0

    def solve(self, devices: IntArray, reach: float) -> GroupSolution | None:
        """The best of all choices that might cost no more than `reach`, or None."""
        best = None
        for servers in product(*(self._choices(device) for device in devices)):
            server = np.array(servers)
            alone = self._ideal.least[self._copy, devices, server].sum()
            for missed in self._uncovered(len(devices), (reach - alone) / self._penalty):
                covered = np.setdiff1d(np.arange(len(devices)), missed)
                found = self._continuous(devices, server, covered)
                if found is None:
                    continue
                cost = found.cost + self._penalty * len(missed)
                if best is None or cost < best.cost:
                    best = GroupSolution(cost, found.server, found.power_w, found.uav_m)
        return best

    def _choices(self, device: int) -> list[int]:
        """Servers behind the receiver that no other beats in time, energy and constraints."""
        table = np.stack(
            [
                values[self._copy, device, self._behind]
                for values in (self._ideal.fixed_s, self._ideal.fixed_j, self._ideal.broken)
            ],
            axis=1,
        )
        kept: list[int] = []
        for place, row in enumerate(table):
            beaten = (table <= row).all(axis=1) & (table < row).any(axis=1)
            same = (table[:place] == row).all(axis=1)
            if not (beaten.any() or same.any()):
                kept.append(int(self._behind[place]))
        return kept

    def _uncovered(self, size: int, affordable: float) -> list[tuple[int, ...]]:
        """Sets of places whose devices the UAV may leave uncovered."""
        most = min(size, max(int(affordable), 0)) if self._on_uav else 0
        return [chosen for n in range(most + 1) for chosen in combinations(range(size), n)]

    def _continuous(
        self, devices: IntArray, server: IntArray, covered: IntArray
    ) -> GroupSolution | None:
        """The best powers and position; None where no position covers who must be covered."""
        slot = _Continuous(self, devices, server, covered)
        starts = slot.starts()
        if not starts:
            return None
        runs = [slot.run(*start) for start in starts]
        cost, power_w, uav_m = min(runs, key=lambda run: run[0])
        return GroupSolution(cost, server, power_w, uav_m)


_Run = tuple[float, FloatArray, FloatArray]
"""Cost, powers (n,) and position (2,)."""


class _Continuous:
    """The smooth problem of a group with given servers.

    Variables: ln P (n), lateness (n), and for a UAV its position in units of 100 m (2).
    """

    def __init__(
        self, problem: GroupProblem, devices: IntArray, server: IntArray, covered: IntArray
    ) -> None:
        self.problem, self.rules, self.covered = problem, problem._rules, covered
        ideal, copy = problem._ideal, problem._copy
        at = copy, devices, server
        self.fixed = float(
            (
                self.rules.time_price * ideal.fixed_s[at]
                + self.rules.energy_price * ideal.fixed_j[at]
                + problem._penalty * ideal.broken[at]
            ).sum()
        )
        self.slack_s = problem._deadline_s[devices] - ideal.fixed_s[at]
        self.load_s, self.tail_s = ideal.load_s[at], ideal.tail_s[at]
        self.ends_s = ideal.ends_s[at]
        self.place_m = problem._device_m[devices]
        self.n, self.on_uav = len(devices), problem._on_uav
        self.gain_w = (
            ideal.metre_gain_w[copy, devices, problem._receiver]
            if self.on_uav
            else ideal.space_gain_w[copy, devices, server - problem._settings.uavs.count]
        )
        self.exponent = problem._settings.radio.path_loss_exponent
        self.coverage_m = problem._settings.uavs.coverage_m

    def starts(self) -> list[tuple[FloatArray, FloatArray]]:
        """Powers (n,) and positions (2,) to begin with."""
        low, high = self.rules.lowest_w, self.rules.highest_w
        powers = [np.full(self.n, high), np.full(self.n, np.sqrt(low * high))]
        if not self.on_uav:
            return [(power_w, np.zeros(2)) for power_w in powers]
        area_m = self.problem._settings.area_m
        axes = [np.linspace(0, side_m, _GRID) for side_m in area_m]
        grid_m = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 2)
        grid_m = np.concatenate([grid_m, self.place_m, self._innermost()[None]])
        offset_m = grid_m[:, None] - self.place_m[self.covered]
        grid_m = grid_m[(np.linalg.norm(offset_m, axis=-1) <= self.coverage_m).all(axis=1)]
        if not len(grid_m):
            return []
        ranked = []
        for place_m in grid_m:
            gain_w = self._gain_w(place_m)
            level = [*powers, np.clip(gain_w.min() * high / gain_w, low, high)]
            costs = [self.cost(power_w, place_m) for power_w in level]
            ranked.append((min(costs), level[int(np.argmin(costs))], place_m))
        ranked.sort(key=lambda entry: entry[0])
        chosen: list[tuple[FloatArray, FloatArray]] = []
        for _, power_w, place_m in ranked:
            if all(np.linalg.norm(place_m - other_m) > 60 for _, other_m in chosen):
                chosen.append((power_w, place_m))
            if len(chosen) == _STARTS:
                break
        return chosen

    def run(
        self, power_w: FloatArray, place_m: FloatArray
    ) -> tuple[float, FloatArray, FloatArray]:
        """Cost, powers and position from a start, never worse than the start."""
        n = self.n
        rounds = [(self.cost(power_w, place_m), power_w, place_m)]
        for must_end in (False, True):
            late_s = np.maximum(self._times(power_w, place_m)[0] - self.slack_s, 0)
            begin = np.concatenate([np.log(power_w), late_s, place_m / _UNIT_M])
            bounds = (
                [(np.log(self.rules.lowest_w), np.log(self.rules.highest_w))] * n
                + [(0.0, None)] * n
                + [(0.0, side_m / _UNIT_M) for side_m in self.problem._settings.area_m]
            )
            result = minimize(
                self._objective,
                begin,
                jac=True,
                method='SLSQP',
                bounds=bounds,
                constraints=self._constraints(must_end),
                options={'maxiter': 300, 'ftol': 1e-11},
            )
            low, high = np.log(self.rules.lowest_w), np.log(self.rules.highest_w)
            found_w = np.exp(np.clip(np.nan_to_num(result.x[:n]), low, high))
            found_m = np.nan_to_num(result.x[2 * n :]) * _UNIT_M
            reach_m = np.linalg.norm(found_m - self.place_m[self.covered], axis=-1)
            if not self.on_uav or (reach_m <= self.coverage_m).all():
                rounds.append((self.cost(found_w, found_m), found_w, found_m))
            if not (self._times(found_w, found_m)[0] > self.ends_s).any():
                break
        return min(rounds, key=lambda entry: entry[0])

    def cost(self, power_w: FloatArray, place_m: FloatArray) -> float:
        """What the group costs, broken coverage excepted."""
        time_s = np.minimum(self._times(power_w, place_m)[0], self.rules.time_cap_s)
        late_s = np.maximum(time_s - self.slack_s, 0)
        spent = self.rules.energy_price * power_w * (time_s + self.tail_s)
        cut_off = self.problem._penalty * (time_s > self.ends_s)
        price = self.rules.time_price * time_s + self.rules.late_price * late_s
        return self.fixed + float((price + spent + cut_off).sum())

    def _innermost(self) -> FloatArray:
        """The position whose farthest device, of those to cover, is nearest."""
        place_m = self.place_m[self.covered]
        if not len(place_m):
            return self.place_m.mean(axis=0)
        begin = np.append(place_m.mean(axis=0), np.ptp(place_m, axis=0).max() + 1) / _UNIT_M
        result = minimize(
            lambda v: v[2],
            begin,
            method='SLSQP',
            constraints={
                'type': 'ineq',
                'fun': lambda v: v[2] ** 2 - np.square(v[:2] - place_m / _UNIT_M).sum(axis=1),
            },
            options={'maxiter': 200, 'ftol': 1e-12},
        )
        return result.x[:2] * _UNIT_M

    def _gain_w(self, place_m: FloatArray) -> FloatArray:
        if not self.on_uav:
            return self.gain_w
        distance2_m2 = np.square(place_m - self.place_m).sum(axis=1) + self.problem._height2_m2
        return self.gain_w * distance2_m2 ** (-0.5 * self.exponent)

    def _times(self, power_w: FloatArray, place_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Transmission times (n,) and their derivatives (n, n) by the logarithms of g P."""
        heard = self._gain_w(place_m) * power_w
        noise = self.rules.residual * (heard[None] * (1 - np.eye(self.n))).sum(axis=1) + 1
        ratio = heard / noise
        depth = np.log1p(ratio)
        if not self.load_s.any():
            return np.zeros(self.n), np.zeros((self.n, self.n))
        time_s = self.load_s / depth
        by_ratio = -time_s * ratio / (1 + ratio) / depth
        others = self.rules.residual * heard[None] / noise[:, None] * (1 - np.eye(self.n))
        return time_s, by_ratio[:, None] * (np.eye(self.n) - others)

    def _slopes(self, place_m: FloatArray) -> FloatArray:
        """Derivatives (n, 2) of ln g by the position in units of 100 m."""
        if not self.on_uav:
            return np.zeros((self.n, 2))
        offset_m = place_m - self.place_m
        distance2_m2 = np.square(offset_m).sum(axis=1) + self.problem._height2_m2
        return -self.exponent * offset_m / distance2_m2[:, None] * _UNIT_M

    def _split(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Powers, lateness, times and the derivatives (n, 2 n + 2) of the times."""
        n = self.n
        power_w, place_m = np.exp(x[:n]), x[2 * n :] * _UNIT_M
        time_s, by_log = self._times(power_w, place_m)
        slopes = np.concatenate([by_log, np.zeros((n, n)), by_log @ self._slopes(place_m)], axis=1)
        return power_w, x[n : 2 * n], time_s, slopes

    def _objective(self, x: FloatArray) -> tuple[float, FloatArray]:
        power_w, late_s, time_s, slopes = self._split(x)
        rules, n = self.rules, self.n
        spent = rules.energy_price * power_w * (time_s + self.tail_s)
        value = rules.time_price * time_s + rules.late_price * late_s + spent
        gradient = (rules.time_price + rules.energy_price * power_w) @ slopes
        gradient[:n] += spent
        gradient[n : 2 * n] += rules.late_price
        return float(value.sum()), gradient

    def _constraints(self, must_end: bool) -> list[dict[str, object]]:
        n = self.n
        lateness = np.concatenate([np.zeros((n, n)), np.eye(n), np.zeros((n, 2))], axis=1)

        def in_time(x: FloatArray) -> FloatArray:
            _, late_s, time_s, _ = self._split(x)
            return late_s - time_s + self.slack_s

        rows: list[dict[str, object]] = [
            {'type': 'ineq', 'fun': in_time, 'jac': lambda x: lateness - self._split(x)[3]}
        ]
        if must_end:
            limit_s = np.minimum(self.ends_s, 1e3) - 1e-9
            rows.append(
                {
                    'type': 'ineq',
                    'fun': lambda x: limit_s - self._split(x)[2],
                    'jac': lambda x: -self._split(x)[3],
                }
            )
        if self.on_uav and len(self.covered):
            near = self.place_m[self.covered] / _UNIT_M
            radius = (self.coverage_m - _INSIDE_M) / _UNIT_M
            still = np.zeros((len(near), 2 * n))
            rows.append(
                {
                    'type': 'ineq',
                    'fun': lambda x: radius**2 - np.square(x[2 * n :] - near).sum(axis=1),
                    'jac': lambda x: np.concatenate([still, -2 * (x[2 * n :] - near)], axis=1),
                }
            )
        return rows
