"""Numbers of planned missions: of a whole mission, and of each of its UAVs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sec_nodes.experiments.partial.missions import Flown
from sec_nodes.physics.energy import propulsion_power_w
from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial.bounds import least_power_w, lower_bound_j
from sec_nodes.scenarios.partial.instance import GIGAHERTZ, cut_tasks
from sec_nodes.slot import BoolArray, FloatArray

QUANTITIES = {
    'objective_j': 'largest E_u [J]',
    'gap_percent': 'above the lower bound [%]',
    'missed': 'tasks missed',
    'broken': 'constraints broken',
    'failed_percent': 'instances with missed tasks [%]',
    'propulsion_j': 'propulsion energy [J]',
    'service_j': 'service energy [J]',
    'energy_j': 'propulsion and service energy [J]',
    'cpu_ghz': 'computing of a task [GHz]',
    'rate_kbit_s': 'uplink rate [kb/s]',
    'nearest_m': 'closest approach to a terminal [m]',
    'reach_m': 'farthest from the depot [m]',
    'cpu_s': 'CPU time of planning [s]',
}


def of_uavs(flown: Flown) -> dict[str, FloatArray]:
    """(U,) by quantity; NaN for means over no tasks."""
    mine, outcome, plan = members(flown), flown.outcome, flown.plan
    from_depot_m = plan.waypoint_m[0] - flown.state.depot_m[0]
    return {
        'propulsion_j': outcome.propulsion_j[0],
        'service_j': mine @ outcome.service_j[0],
        'energy_j': outcome.propulsion_j[0] + mine @ outcome.service_j[0],
        'cpu_ghz': _mean(mine, plan.cpu_hz[0] / GIGAHERTZ),
        'rate_kbit_s': _mean(mine, rates_kbit_s(flown).mean(axis=1)),
        'nearest_m': _mean(mine, _distances_m(flown).min(axis=1)),
        'reach_m': np.hypot(from_depot_m[..., 0], from_depot_m[..., 1]).max(axis=1),
        'missed': mine @ ~outcome.met[0],
    }


def of_mission(flown: Flown) -> dict[str, float]:
    """By quantity; NaN for the gap of a plan that misses tasks."""
    outcome, uavs = flown.outcome, of_uavs(flown)
    objective_j = float(outcome.objective_j[0])
    bound_j = float(lower_bound_j(flown.scenario.settings, flown.state)[0])
    return {
        'objective_j': objective_j,
        # the bound is one of plans that miss nothing
        'gap_percent': 100 * (objective_j / bound_j - 1) if outcome.met.all() else np.nan,
        'missed': float((~outcome.met).sum()),
        'broken': float(len(flown.broken)),
        'failed_percent': 100.0 * float((~outcome.met).any()),
        'propulsion_j': float(outcome.propulsion_j.sum()),
        'service_j': float(outcome.service_j.sum()),
        'energy_j': float(outcome.propulsion_j.sum() + outcome.service_j.sum()),
        'cpu_ghz': float(flown.plan.cpu_hz.mean() / GIGAHERTZ),
        'rate_kbit_s': float(rates_kbit_s(flown).mean()),
        'nearest_m': float(_distances_m(flown).min(axis=1).mean()),
        'reach_m': float(uavs['reach_m'].mean()),
        'cpu_s': flown.cpu_s,
    }


def members(flown: Flown) -> BoolArray:
    """(U, N) who serves whom."""
    mine: BoolArray = (
        flown.plan.server[0] == np.arange(flown.scenario.settings.uavs.count)[:, None]
    )
    return mine


def rates_kbit_s(flown: Flown) -> FloatArray:
    """(N, M) rate of each task to its UAV in each slot."""
    plan = flown.plan
    return flown.scenario.own_rates_bit_s(flown.state, plan.waypoint_m, plan.server)[0] / 1e3


class Spent(NamedTuple):
    """Energy up to a time, for each UAV."""

    time_s: FloatArray
    """(T,)"""
    service_j: FloatArray
    """(U, T)"""
    excess_j: FloatArray
    """(U, T) propulsion beyond flying at the speed of least power all the time."""


def spent(flown: Flown) -> Spent:
    """Energy up to the end of each slot; after the mission until the last task is done."""
    settings, plan = flown.scenario.settings, flown.plan
    slot_s = settings.slot_s
    tau_s, finish_s = flown.outcome.upload_end_s[0], flown.outcome.finish_s[0]
    ended = np.isfinite(finish_s)
    last_s = max(settings.mission_s, finish_s[ended].max(initial=0.0))
    time_s = slot_s * np.arange(int(np.ceil(last_s / slot_s - 1e-9)) + 1)
    busy_s = np.where(ended, finish_s - tau_s, 1.0)
    begun_s = time_s - np.where(ended, tau_s, np.inf)[:, None]
    share = np.clip(begun_s / np.where(busy_s > 0, busy_s, 1.0)[:, None], 0.0, 1.0)
    service_j = members(flown) @ (share * flown.outcome.service_j[0][:, None])
    speed_m_s = flown.scenario.speeds_m_s(plan.waypoint_m)[0]
    power_w = propulsion_power_w(speed_m_s, flown.scenario.wing)
    excess_j = np.cumsum(slot_s * (power_w - least_power_w(settings)), axis=1)
    excess_j = np.pad(excess_j, ((0, 0), (1, len(time_s) - 1 - settings.slots)), mode='edge')
    excess_j[:, 0] = 0.0
    return Spent(time_s, service_j, excess_j)


def hopeless(flown: Flown) -> int:
    """Tasks whose intermediate result cannot arrive before the mission ends, from any place."""
    settings, state = flown.scenario.settings, flown.state
    tasks = cut_tasks(state, flown.plan.split)
    overhead_bit_s = float(rate_bit_s(0.0, settings.link))
    needed_s = tasks.local_s + tasks.intermediate_bit / overhead_bit_s
    return int((needed_s > settings.mission_s).sum())


def _mean(mine: BoolArray, value: FloatArray) -> FloatArray:
    """(U,) means over each UAV's tasks."""
    count = mine.sum(axis=1)
    return np.where(count > 0, (mine @ value) / np.maximum(count, 1), np.nan)


def _distances_m(flown: Flown) -> FloatArray:
    """(N, M) from each terminal to its UAV when each slot begins; infinite without one."""
    server = flown.plan.server[0]
    path_m = flown.plan.waypoint_m[0][server, :-1]
    offset_m = path_m - flown.state.terminal_m[0][:, None]
    distance_m = np.hypot(offset_m[..., 0], offset_m[..., 1])
    return np.where((server >= 0)[:, None], distance_m, np.nan)
