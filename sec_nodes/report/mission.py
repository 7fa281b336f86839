"""What the plans of a mission promised, and what was flown: numbers of runs with missions."""

from __future__ import annotations

from typing import Any

import numpy as np

from sec_nodes.physics.energy import RotaryWing, propulsion_power_w
from sec_nodes.report.load import Run, Table
from sec_nodes.report.plans import (
    ROUNDING_S,
    Near,
    Plan,
    flights_of,
    mission_tasks,
    nearest,
    plans_of,
    ways_of,
)
from sec_nodes.report.statistics import ratio, statistics

CLOSE_M = 2.0
"""UAVs that come closer than this are in danger [m]."""

_PERIOD_S = 0.1
"""Time between two rows of a UAV [s]."""


def summarise_mission(run: Run) -> dict[str, Any] | None:
    """Sum up what was planned and flown; None in runs without missions."""
    plans = plans_of(run)
    if not plans:
        return None
    tasks, met = mission_tasks(run, plans), _met(run)
    later_s = tasks['upload_end_s'] - tasks['planned_upload_end_s']
    by_uav = {name: _uav(run, plans, name) for name in plans[0].tracks}
    return {
        'plans': [_summarised(plan) for plan in plans],
        'tasks': {
            'count': len(tasks),
            'planned_in_time': int(plans[0].in_time.sum()),
            'in_time': sum(int(task) in met for task in tasks['task_id']),
            'broken_promises': _broken(tasks),
            'upload_later_s': statistics(later_s),
            'finish_later_s': statistics(tasks['finish_s'] - tasks['planned_finish_s']),
            'spare_s': statistics(tasks['due_s'] - tasks['finish_s']),
        },
        'by_uav': by_uav,
        'largest_j': {
            kind: _largest([uav[f'{kind}_j'] for uav in by_uav.values()])
            for kind in ('planned', 'promised', 'flown')
        },
        'nearest': {
            'planned': _near(nearest(ways_of(plans))),
            'flown': _near(nearest(flights_of(run))),
        },
    }


def flown_j(run: Run, name: str, from_s: float, until_s: float) -> float | None:
    """Propulsion energy of a UAV between two instants [J], (1) at the speeds that it flew.

    None if the airframe is not recorded, or the UAV did not fly. What a UAV says of its energy
    comes more seldom than its speed.
    """
    uavs, airframe = run['uavs'], run.scenario.get('airframe')
    own = uavs.where(uavs['name'] == name)
    if not airframe or not len(own):
        return None
    until_s = max(from_s, min(until_s, float(own['time_s'][-1]) + _PERIOD_S))
    velocity = [own[f'v{axis}_m_s'] for axis in 'xyz']
    power_w = propulsion_power_w(np.sqrt(sum(v**2 for v in velocity)), RotaryWing(**airframe))
    inside = (own['time_s'] > from_s) & (own['time_s'] < until_s)
    time_s = np.concatenate([[from_s], own['time_s'][inside], [until_s]])
    power_w = np.interp(time_s, own['time_s'], power_w)
    return float(((power_w[1:] + power_w[:-1]) / 2 * np.diff(time_s)).sum())


def _largest(values: list[float | None]) -> float | None:
    """The largest number; None if one is not known."""
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None


def _met(run: Run) -> set[int]:
    outcomes = run['outcomes']
    return set(outcomes['task_id'][outcomes['status'] == 'done'].tolist())


def _broken(tasks: Table) -> list[int]:
    """Tasks that the last plan about them had in time, and that were not."""
    promised = tasks['planned_finish_s'] <= tasks['due_s'] + ROUNDING_S
    return [int(task) for task in tasks['task_id'][promised & (tasks['status'] != 'done')]]


def _summarised(plan: Plan) -> dict[str, Any]:
    largest_j = max(plan.energy_j.values(), default=0.0)
    bound_j = plan.bound_j if np.isfinite(plan.bound_j) else None
    return {
        'slot': plan.slot,
        'controller': plan.controller,
        'reason': plan.reason,
        'tasks': len(plan.tasks),
        'in_time': int(plan.in_time.sum()),
        'largest_j': largest_j,
        'bound_j': bound_j,
        'above_bound': None if bound_j is None else ratio(largest_j - bound_j, bound_j),
    }


def _uav(run: Run, plans: list[Plan], name: str) -> dict[str, Any]:
    """A UAV: energies of (12), that is with weighted service, and how it kept to its way."""
    first, last, outcomes = plans[0], plans[-1], run['outcomes']
    own = outcomes.where(outcomes['server_name'] == name)
    end_s = max(float(t.time_s.max(initial=last.start_s)) for t in last.tracks.values())
    weight = run.scenario.get('objective', {}).get('service_weight', 0.0)
    service_j = weight * float(own['energy_back_j'].sum())
    # what the last plan is not about any more had been spent, or was bound to be
    before = own.where(~np.isin(own['task_id'], last.tasks['task_id']))
    spent_j = flown_j(run, name, first.start_s, last.start_s)
    propulsion_j = flown_j(run, name, first.start_s, end_s)
    promised_j = None
    if spent_j is not None and name in last.energy_j:
        promised_j = spent_j + weight * float(before['energy_back_j'].sum()) + last.energy_j[name]
    error_m = run['uavs']['tracking_error_m'][run['uavs']['name'] == name]
    error_m = error_m[np.isfinite(error_m)]
    return {
        'tasks': len(own),
        'in_time': int((own['status'] == 'done').sum()),
        'planned_j': first.energy_j[name],
        'promised_j': promised_j,
        'flown_j': None if propulsion_j is None else propulsion_j + service_j,
        'propulsion_j': propulsion_j,
        'service_j': service_j,
        'tracking_error_m': {
            'rms': float(np.sqrt(np.mean(error_m**2))) if len(error_m) else None,
            **{key: statistics(error_m)[key] for key in ('p50', 'p99', 'max')},
        },
    }


def _near(near: Near | None) -> dict[str, Any] | None:
    if near is None:
        return None
    return {'distance_m': near.distance_m, 'uavs': list(near.names), 'time_s': near.time_s}
