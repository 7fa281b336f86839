"""What no plan can beat: a lower bound of (12), and proofs that processors are too slow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy

from sec_nodes.physics.energy import computing_energy_j, propulsion_power_w
from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial.instance import CutTasks, PartialState, cut_tasks, every_cut
from sec_nodes.scenarios.partial.settings import PartialSettings
from sec_nodes.slot import BoolArray, FloatArray


@dataclass(frozen=True)
class Certificate:
    """Processor speed that tasks need even if UAVs hover above each of them all the time."""

    least_hz: FloatArray
    """(B, N) infinite where even that misses the deadline."""
    needed_hz: FloatArray
    """(B,) their sum."""
    available_hz: FloatArray
    """(B,) U F_max, what all UAVs have."""
    infeasible: BoolArray
    """(B,) proven: no plan at all meets every deadline. False proves nothing."""


def lower_bound_j(settings: PartialSettings, state: PartialState) -> FloatArray:
    """A cost (B,) that no feasible plan can beat [J].

    T min P(v) + beta max(1/U sum E_n, max E_n) with E_n = phi W^3 / (T_n - T_lc - S / r(0))^2:
    no speed costs less than the best one, no link is better than one from overhead, and the
    largest E_u is at least their mean and what the costliest task costs its UAV. With free cuts
    each task takes its cheapest one. Infinite where a task is late at any processor speed.
    """
    overhead_bit_s = _overhead_bit_s(settings, state)
    given = settings.tasks.split == 'given'
    cuts = [cut_tasks(state, state.split)] if given else every_cut(state)
    service_j = [
        _least_service_j(settings, _least_hz(tasks, overhead_bit_s), tasks) for tasks in cuts
    ]
    cheapest_j = np.stack(service_j).min(axis=0)
    shared_j = np.maximum(
        cheapest_j.sum(axis=1) / settings.uavs.count, cheapest_j.max(axis=1, initial=0.0)
    )
    # a weight of 0 must not hide that a task is impossible
    impossible = np.isinf(shared_j)
    weighted_j = settings.objective.service_weight * np.where(impossible, 0.0, shared_j)
    fly_j = settings.mission_s * least_power_w(settings)
    return np.where(impossible, np.inf, fly_j + weighted_j)


def _least_service_j(
    settings: PartialSettings, least_hz: FloatArray, tasks: CutTasks
) -> FloatArray:
    """E_n of (9) at a processor speed, (B, N); infinite where even that is not enough."""
    in_time = np.isfinite(least_hz)
    speed_hz = np.where(in_time, least_hz, 0.0)
    energy_j = computing_energy_j(tasks.work_cycle, speed_hz, settings.uavs.capacitance_j_s2)
    return np.where(in_time, energy_j, np.inf)


def least_power_w(settings: PartialSettings) -> float:
    """P(min(v*, V_max)) [W]: the least propulsion power (1) at an allowed speed."""
    found = scipy.optimize.minimize_scalar(
        lambda speed: float(propulsion_power_w(speed, settings.wing)),
        bounds=(0.0, settings.uavs.speed_m_s),
        method='bounded',
        options={'xatol': 1e-10},
    )
    return min(float(found.fun), float(propulsion_power_w(settings.uavs.speed_m_s, settings.wing)))


def partial_certificate(settings: PartialSettings, state: PartialState) -> Certificate:
    """Whether tasks at their given cuts provably need more than there is.

    Also names as infeasible a program that cannot arrive in its local time, (7).
    """
    tasks = cut_tasks(state, state.split)
    return _certificate(settings, state, _least_hz(tasks, _overhead_bit_s(settings, state)))


def binary_certificate(settings: PartialSettings, state: PartialState) -> Certificate:
    """Whether whole tasks provably need more than there is: f >= F D / (T_n - D / r(0)).

    The printed (6) and (7) make offloading everything infeasible by definition, for a program
    must then arrive in no time. This is the fair comparison: the whole task is uploaded, and the
    UAV begins when it has arrived.
    """
    overhead_bit_s = _overhead_bit_s(settings, state)
    left_s = state.deadline_s - state.data_bit / overhead_bit_s
    work_cycle = state.work_cycle_per_bit * state.data_bit
    return _certificate(settings, state, _speed_hz(work_cycle, left_s))


def _overhead_bit_s(settings: PartialSettings, state: PartialState) -> FloatArray:
    """(B, N) rate to the lowest UAV, right above each terminal: the best that there is."""
    link = settings.link
    lossy = replace(link, penetration_loss_db=link.penetration_loss_db + state.loss_db)
    return rate_bit_s(0.0, lossy)


def _certificate(
    settings: PartialSettings, state: PartialState, least_hz: FloatArray
) -> Certificate:
    free_hz = settings.uavs.cpu_hz - state.reserved_hz
    available_hz = free_hz.sum(axis=1)
    needed_hz = least_hz.sum(axis=1)
    one_too_many = least_hz.max(axis=1, initial=0.0) > free_hz.max(axis=1)
    return Certificate(
        least_hz=least_hz,
        needed_hz=needed_hz,
        available_hz=available_hz,
        infeasible=one_too_many | (needed_hz > available_hz),
    )


def _least_hz(tasks: CutTasks, overhead_bit_s: FloatArray) -> FloatArray:
    """Speed that a task needs below a hovering UAV, (B, N); infinite if none is enough."""
    left_s = tasks.deadline_s - tasks.local_s - tasks.intermediate_bit / overhead_bit_s
    arrives = tasks.program_bit <= overhead_bit_s * tasks.local_s
    return np.where(arrives, _speed_hz(tasks.work_cycle, left_s), np.inf)


def _speed_hz(work_cycle: FloatArray, left_s: FloatArray) -> FloatArray:
    in_time = left_s > 0
    return np.where(in_time, work_cycle / np.where(in_time, left_s, 1.0), np.inf)
