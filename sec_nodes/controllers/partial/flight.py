"""The path of one UAV that serves given tasks: exact cost with gradients, and its descent.

The cost of a path is E_u of (12) with the processor speeds that suit it best, f = W / (T_n - tau),
so that a faster upload is rewarded. Corrected: the printed P6 freezes speeds and windows while the
path moves, and then nothing is. Its objective, the sum of squared steps, is lowest at the lowest
speed, which costs more power; the propulsion power (1) itself is used instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import optimize

from sec_nodes.physics.energy import (
    computing_energy_j,
    propulsion_power_w,
    propulsion_slope_kg_s,
)
from sec_nodes.physics.urban import UrbanLink, rate_with_slope
from sec_nodes.scenarios.partial.instance import CutTasks, PartialState, cut_tasks
from sec_nodes.scenarios.partial.scenario import Partial
from sec_nodes.scenarios.partial.settings import PartialSettings
from sec_nodes.scenarios.partial.uploads import endless_passage, slot_overlap_s
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_RESERVES = 1e-6, 3e-3
"""Relative margins that the solver is asked to keep: it ends a little outside of what it is asked
for, mostly by rounding, and by more where many constraints are tight."""
_LEAST_LEFT_S = 1e-3
_OVERHEAD_M = 1e-9
_PRECISION_J = 1e-3


@dataclass(frozen=True)
class Sortie:
    """What one UAV has to do in what is left of a mission, n tasks."""

    start_m: FloatArray
    """(2,)"""
    end_m: FloatArray
    """(2,)"""
    velocity_m_s: FloatArray
    """(2,) at the start; NaN if any first step is allowed."""
    terminal_m: FloatArray
    """(n, 2) terminals that it serves."""
    tasks: CutTasks
    """Their tasks, all (n,)."""
    link: UrbanLink
    """At the UAV's altitude, with losses (n, 1)."""
    cpu_hz: float
    """Its processor, without what is reserved."""


def sortie_of(
    scenario: Partial,
    state: PartialState,
    uav: int,
    member: BoolArray,
    split: IntArray | None = None,
) -> Sortie:
    """What a UAV has to do that serves tasks (N,) of the only copy of a state.

    Args:
        scenario: the scenario.
        state: one copy.
        uav: its number.
        member: (N,) tasks that it serves.
        split: (N,) their cuts; None for the given ones.
    """
    cuts = cut_tasks(state, state.split if split is None else split[None])
    link = scenario.settings.link
    return Sortie(
        start_m=state.start_m[0, uav],
        end_m=state.depot_m[0],
        velocity_m_s=state.velocity_m_s[0, uav],
        terminal_m=state.terminal_m[0, member],
        tasks=CutTasks(**{name: value[0, member] for name, value in vars(cuts).items()}),
        link=replace(
            link,
            altitude_m=float(scenario.settings.altitudes_m[uav]),
            penetration_loss_db=link.penetration_loss_db + state.loss_db[0, member, None],
        ),
        cpu_hz=float(scenario.free_hz(state)[0, uav]),
    )


@dataclass(frozen=True)
class Descent:
    """A path and what it is worth."""

    path_m: FloatArray
    """(M + 1, 2)"""
    cost_j: float
    """E_u of (12)."""
    shortage: float
    """Sum of the relative amounts by which constraints are missed; 0 for a feasible path."""


@dataclass(frozen=True)
class Point:
    """Cost and constraints of a path, with gradients by its waypoints."""

    cost_j: float
    """E_u of (12)."""
    cost_pull: FloatArray
    """(M + 1, 2)"""
    margins: FloatArray
    """(c,) relative margins of programs (7), capacity (10), speeds (12f) and bends, >= 0 if kept.
    Deadlines (11) are kept by the processor speeds, and so count in the capacity."""
    margin_pulls: FloatArray
    """(c, M + 1, 2)"""


@dataclass(frozen=True)
class _Uploads:
    """What a path carries for n tasks in M slots."""

    rate: FloatArray
    """(n, M) [bit/s]"""
    slope: FloatArray
    """(n, M, 2) gradient of the rate by the waypoint where the slot begins."""
    cpu_hz: FloatArray
    """(n,) processor speeds that meet the deadlines."""
    cpu_pull: FloatArray
    """(n, M + 1, 2) their gradient."""


class Flight:
    """Paths of one UAV.

    Args:
        settings: parameters of the scenario.
        sortie: what the UAV has to do.
    """

    def __init__(self, settings: PartialSettings, sortie: Sortie) -> None:
        self.settings = settings
        self.sortie = sortie
        self.terminal_m = sortie.terminal_m
        self.tasks = tasks = sortie.tasks
        self.wing = settings.wing
        slots, slot_s = settings.slots, settings.slot_s
        zero_s = np.zeros_like(tasks.local_s)
        self.program_window_s = slot_overlap_s(zero_s, tasks.local_s, slot_s, slots)

    def at(self, path_m: FloatArray) -> Point:
        """Cost and constraints of a path, and how they change with it.

        Times that are too short are continued by tangents, so that all is finite everywhere.
        """
        carried = self._uploads(path_m)
        flown_j, flown_pull = self._propulsion_j(path_m)
        service_j, service_pull = self._service_j(carried)
        limits = [self._program(carried), self._capacity(carried), self._speed(path_m)]
        if self.settings.uavs.acceleration_m_s2 is not None:
            limits.append(self._bend(path_m, self.settings.uavs.acceleration_m_s2))
        margins, margin_pulls = zip(*limits, strict=True)
        return Point(
            cost_j=flown_j + service_j,
            cost_pull=flown_pull + service_pull,
            margins=np.concatenate(margins),
            margin_pulls=np.concatenate(margin_pulls),
        )

    def judge(self, path_m: FloatArray) -> Descent:
        """What a path is worth as it is."""
        point = self.at(path_m)
        short = np.minimum(point.margins, 0.0)
        return Descent(path_m, point.cost_j, abs(float(short.sum())))

    def descend(self, path_m: FloatArray, iterations: int) -> Descent:
        """Follow the exact gradients from a path to a local optimum, at most so many steps.

        The best path of all that were met is returned, the one that came in included.
        """
        met = [self.judge(path_m)]
        for reserve in _RESERVES:
            met.append(self.judge(self._solve(met[-1].path_m, iterations, reserve)))
            if met[-1].shortage == 0.0:
                break
        return min(met, key=lambda end: (end.shortage, end.cost_j))

    def _solve(self, path_m: FloatArray, iterations: int, reserve: float) -> FloatArray:
        """Sequential quadratic programming over the M - 1 inner waypoints."""

        def whole(inner: FloatArray) -> FloatArray:
            return np.vstack([self.sortie.start_m, inner.reshape(-1, 2), self.sortie.end_m])

        @lru_cache(maxsize=1)
        def at(inner: bytes) -> Point:
            return self.at(whole(np.frombuffer(inner)))

        def cost(inner: FloatArray) -> tuple[float, FloatArray]:
            point = at(inner.tobytes())
            return point.cost_j, point.cost_pull[1:-1].ravel()

        def margins(inner: FloatArray) -> FloatArray:
            return at(inner.tobytes()).margins - reserve

        def margin_slopes(inner: FloatArray) -> FloatArray:
            pulls = at(inner.tobytes()).margin_pulls
            return pulls[:, 1:-1].reshape(len(pulls), -1)

        found = optimize.minimize(
            cost,
            path_m[1:-1].ravel(),
            jac=True,
            method='SLSQP',
            constraints={'type': 'ineq', 'fun': margins, 'jac': margin_slopes},
            options={'maxiter': iterations, 'ftol': _PRECISION_J},
        )
        return whole(found.x) if np.isfinite(found.x).all() else path_m

    def _uploads(self, path_m: FloatArray) -> _Uploads:
        """What a path carries.

        tau counts as if the last slot never ended. From R(T_lc, tau) = S follows that
        d tau / d r_m is minus the time in slot m over the rate at tau.
        """
        offset_m = path_m[None, :-1] - self.terminal_m[:, None]
        distance_m = np.hypot(offset_m[..., 0], offset_m[..., 1])
        rate, along = rate_with_slope(distance_m, self.sortie.link)
        slope = (along / np.maximum(distance_m, _OVERHEAD_M))[..., None] * offset_m
        tasks, slot_s, slots = self.tasks, self.settings.slot_s, self.settings.slots
        tau_s, slot = endless_passage(rate, tasks.local_s, tasks.intermediate_bit, slot_s)
        window_s = slot_overlap_s(tasks.local_s, tau_s, slot_s, slots)
        window_s[:, -1] += np.maximum(tau_s - np.maximum(tasks.local_s, slots * slot_s), 0.0)
        last_rate = rate[np.arange(len(rate)), slot]
        tau_pull = -(window_s / last_rate[:, None])[..., None] * slope
        cpu_hz, cpu_slope = self._cpu_hz(tau_s)
        cpu_pull = cpu_slope[:, None, None] * _landed(tau_pull)
        return _Uploads(rate, slope, cpu_hz, cpu_pull)

    def _cpu_hz(self, tau_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """f = W / (T_n - tau) (n,) and df / d tau, by the tangent from where it reaches F_max."""
        work = self.tasks.work_cycle
        left_s = self.tasks.deadline_s - tau_s
        least_s = np.maximum(work / self.sortie.cpu_hz, _LEAST_LEFT_S)
        inner_s = np.maximum(left_s, least_s)
        slope = work / np.square(inner_s)
        return work / inner_s + slope * np.maximum(least_s - left_s, 0.0), slope

    def _propulsion_j(self, path_m: FloatArray) -> tuple[float, FloatArray]:
        """Energy of (1) [J], and its gradient (M + 1, 2)."""
        step_m, slot_s = np.diff(path_m, axis=0), self.settings.slot_s
        speed = np.hypot(step_m[:, 0], step_m[:, 1]) / slot_s
        pull = 2.0 / slot_s * propulsion_slope_kg_s(speed, self.wing)[:, None] * step_m
        gradient = np.zeros_like(path_m)
        gradient[1:] += pull
        gradient[:-1] -= pull
        return slot_s * float(propulsion_power_w(speed, self.wing).sum()), gradient

    def _service_j(self, carried: _Uploads) -> tuple[float, FloatArray]:
        """Energy beta sum E_n of (9) [J], and its gradient (M + 1, 2)."""
        work, uavs = self.tasks.work_cycle, self.settings.uavs
        beta = self.settings.objective.service_weight
        energy_j = beta * computing_energy_j(work, carried.cpu_hz, uavs.capacitance_j_s2)
        slope = 2.0 * beta * uavs.capacitance_j_s2 * work * carried.cpu_hz
        return float(energy_j.sum()), np.einsum('n,nmx->mx', slope, carried.cpu_pull)

    def _program(self, carried: _Uploads) -> tuple[FloatArray, FloatArray]:
        """What is uploaded of each program in its time, over its size, minus 1: (7)."""
        size_bit = np.maximum(self.tasks.program_bit, 1.0)[:, None]
        weight = self.program_window_s / size_bit
        share = (weight * carried.rate).sum(axis=1) - self.tasks.program_bit / size_bit[:, 0]
        return share, _landed(weight[..., None] * carried.slope)

    def _capacity(self, carried: _Uploads) -> tuple[FloatArray, FloatArray]:
        """1 minus the used share of the processor: (10)."""
        limit_hz = self.sortie.cpu_hz
        margin = 1.0 - carried.cpu_hz.sum() / limit_hz
        return np.array([margin]), -carried.cpu_pull.sum(axis=0)[None] / limit_hz

    def _speed(self, path_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """1 minus the squared share of the largest speed, for each slot: (12f)."""
        longest_m = self.settings.uavs.speed_m_s * self.settings.slot_s
        return _short_enough(np.diff(path_m, axis=0) / longest_m, (-1.0, 1.0), longest_m)

    def _bend(self, path_m: FloatArray, limit_m_s2: float) -> tuple[FloatArray, FloatArray]:
        """1 minus the squared share of the largest second difference, for each inner waypoint.

        The first waypoint has one too if the velocity there is known.
        """
        slot_s = self.settings.slot_s
        longest_m = limit_m_s2 * slot_s**2
        bend_m = np.diff(path_m, n=2, axis=0)
        inner = _short_enough(bend_m / longest_m, (1.0, -2.0, 1.0), longest_m)
        if not np.isfinite(self.sortie.velocity_m_s).all():
            return inner
        jolt_m = path_m[1] - path_m[0] - self.sortie.velocity_m_s * slot_s
        margin, pull = _short_enough(jolt_m[None] / longest_m, (-1.0, 1.0), longest_m)
        pull = np.concatenate([pull, np.zeros((1, len(path_m) - 2, 2))], axis=1)
        return np.concatenate([inner[0], margin]), np.concatenate([inner[1], pull])


def _landed(pull: FloatArray) -> FloatArray:
    """Append the last waypoint, (n, M + 1, 2): no slot begins there."""
    return np.concatenate([pull, np.zeros_like(pull[:, :1])], axis=1)


def _short_enough(
    share: FloatArray, stencil: tuple[float, ...], longest_m: float
) -> tuple[FloatArray, FloatArray]:
    """1 - |share|^2 for differences (c, 2) of waypoints, and gradients (c, M + 1, 2)."""
    rows = np.arange(len(share))
    gradient = np.zeros((len(share), len(share) + len(stencil) - 1, 2))
    for column, weight in enumerate(stencil):
        gradient[rows, rows + column] = -2.0 * weight / longest_m * share
    return 1.0 - np.square(share).sum(axis=1), gradient
