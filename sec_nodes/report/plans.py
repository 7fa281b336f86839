"""Plans of a mission as they were recorded, and what became of them: ways, instants of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from sec_nodes.report.load import Run, Table
from sec_nodes.slot import BoolArray, FloatArray

ROUNDING_S = 1e-6
"""By how much instants in tables may be off, which keep nine digits [s]."""

TASK_COLUMNS = (
    'task_id', 'device_id', 'plan', 'server_name', 'split', 'due_s', 'planned_upload_end_s',
    'planned_finish_s', 'created_s', 'program_s', 'local_s', 'upload_end_s', 'finish_s', 'status',
)  # fmt: skip
"""Of the table that `mission_tasks` gives."""

_GRID_S = 0.1


@dataclass(frozen=True)
class Track:
    """Where a UAV was, or shall be, at some instants; straight in between."""

    time_s: FloatArray
    """(T,) ascending."""
    position_m: FloatArray
    """(T, 3) [m; map]."""

    def at(self, time_s: FloatArray) -> FloatArray:
        """(n, 3) position at instants (n,)."""
        return np.column_stack([np.interp(time_s, self.time_s, x) for x in self.position_m.T])


@dataclass(frozen=True)
class Plan:
    """A plan of the mission, as it was recorded."""

    number: int
    slot: int
    start_s: float
    controller: str
    reason: str
    bound_j: float
    """What no plan can beat in the largest energy; NaN if nobody said."""
    energy_j: dict[str, float]
    """Of each UAV for the rest of the mission, (12)."""
    tracks: dict[str, Track]
    """Way of each UAV."""
    tasks: Table
    """Rows of `plans`."""

    @property
    def in_time(self) -> BoolArray:
        """(N,) whether it promises that each task meets its deadline."""
        return self.tasks['finish_s'] <= self.tasks['due_s'] + ROUNDING_S


@dataclass(frozen=True)
class Near:
    """How close two UAVs came."""

    distance_m: float
    names: tuple[str, str]
    time_s: float


def plans_of(run: Run) -> list[Plan]:
    """The plans of a mission, as they were made; empty in runs without missions."""
    sorties = run['sorties']
    return [
        _plan(run, int(number), sorties.where(sorties['plan'] == number))
        for number in np.unique(sorties['plan'])
    ]


def ways_of(plans: list[Plan]) -> dict[str, Track]:
    """Way of each UAV by the plans that were in force, one after the other."""
    found = {}
    for name in plans[0].tracks if plans else ():
        times, places = [], []
        for plan, after in zip(plans, [*plans[1:], None], strict=True):
            if name in plan.tracks:
                track = plan.tracks[name]
                valid = track.time_s < (np.inf if after is None else after.start_s - ROUNDING_S)
                times.append(track.time_s[valid])
                places.append(track.position_m[valid])
        found[name] = Track(np.concatenate(times), np.concatenate(places))
    return found


def flights_of(run: Run) -> dict[str, Track]:
    """Way that each UAV flew."""
    uavs, found = run['uavs'], {}
    for name in sorted(set(uavs['name'].tolist())):
        own = uavs.where(uavs['name'] == name)
        found[name] = Track(own['time_s'], np.column_stack([own[f'{a}_m'] for a in 'xyz']))
    return found


def mission_tasks(run: Run, plans: list[Plan]) -> Table:
    """Each task of the mission, as the last plan about it promised and as it was.

    Instants are in simulation time [s], NaN where something did not happen; `planned_...` are
    infinite where the plan gave the task up.
    """
    row_of = {int(task): row for row, task in enumerate(run['outcomes']['task_id'])}
    last = {int(task): plan for plan in plans for task in plan.tasks['task_id']}
    rows = [_task(run, plan, task, row_of.get(task)) for task, plan in last.items()]
    rows.sort(key=lambda row: row['device_id'])
    return Table({name: np.array([row[name] for row in rows]) for name in TASK_COLUMNS})


def nearest(tracks: dict[str, Track]) -> Near | None:
    """The two UAVs that came closest to each other; None if no two flew at a time."""
    found = [near for a, b in combinations(tracks, 2) if (near := _least(tracks, a, b))]
    return min(found, key=lambda near: near.distance_m, default=None)


def distances(one: Track, other: Track) -> tuple[FloatArray, FloatArray]:
    """Instants (n,) at which two UAVs flew [s], and how far apart they were then (n,) [m]."""
    if not len(one.time_s) or not len(other.time_s):
        return np.zeros(0), np.zeros(0)
    begin_s = max(one.time_s[0], other.time_s[0])
    end_s = min(one.time_s[-1], other.time_s[-1])
    if end_s < begin_s:
        return np.zeros(0), np.zeros(0)
    time_s = np.linspace(begin_s, end_s, 1 + int((end_s - begin_s) / _GRID_S))
    return time_s, np.linalg.norm(one.at(time_s) - other.at(time_s), axis=1)


def _plan(run: Run, number: int, sorties: Table) -> Plan:
    waypoints, tasks = run['waypoints'], run['plans']
    waypoints = waypoints.where(waypoints['plan'] == number)
    tracks = {}
    for name in sorties['name']:
        own = waypoints.where(waypoints['name'] == name)
        tracks[str(name)] = Track(
            own['time_s'], np.column_stack([own[f'{axis}_m'] for axis in 'xyz'])
        )
    return Plan(
        number=number,
        slot=int(sorties['slot'][0]),
        start_s=float(sorties['start_s'][0]),
        controller=str(sorties['controller'][0]),
        reason=str(sorties['reason'][0]),
        bound_j=float(sorties['bound_j'][0]),
        energy_j=dict(zip(map(str, sorties['name']), sorties['energy_j'].tolist(), strict=True)),
        tracks=tracks,
        tasks=tasks.where(tasks['plan'] == number),
    )


def _task(run: Run, plan: Plan, task: int, row: int | None) -> dict[str, Any]:
    planned = plan.tasks.where(plan.tasks['task_id'] == task)
    uploads = run['uploads'].where(run['uploads']['task_id'] == task)
    columns = {
        'task_id': task,
        'device_id': int(planned['device_id'][0]),
        'plan': plan.number,
        'server_name': run.server_name(int(planned['server'][0])),
        'split': int(planned['split'][0]),
        'due_s': float(planned['due_s'][0]),
        'planned_upload_end_s': float(planned['upload_end_s'][0]),
        'planned_finish_s': float(planned['finish_s'][0]),
        'created_s': 0.0,
        'program_s': _last(uploads['program_s']),
        'local_s': np.nan,
        'upload_end_s': _last(uploads['arrived_s']),
        'finish_s': np.nan,
        'status': '',
    }
    if row is None:
        return columns
    outcome = {name: run['outcomes'][name][row] for name in _OF_OUTCOME}
    columns |= {
        'created_s': float(outcome['created_s']),
        'server_name': str(outcome['server_name'] or columns['server_name']),
        'split': int(outcome['split']),
        'status': str(outcome['status']),
    }
    if outcome['status'] in ('done', 'late'):
        parts = ('created_s', 'timing_decision_s', 'timing_lost_s', 'timing_front_s')
        local_s = sum(outcome[part] for part in parts)
        columns |= {
            'local_s': float(local_s),
            'upload_end_s': float(local_s + outcome['timing_upload_s']),
            'finish_s': float(outcome['created_s'] + outcome['latency_s']),
        }
    return columns


_OF_OUTCOME = (
    'created_s', 'server_name', 'split', 'status', 'latency_s', 'timing_decision_s',
    'timing_lost_s', 'timing_front_s', 'timing_upload_s',
)  # fmt: skip


def _last(values: FloatArray) -> float:
    """The last number that is one; NaN if none is."""
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else np.nan


def _least(tracks: dict[str, Track], a: str, b: str) -> Near | None:
    time_s, distance_m = distances(tracks[a], tracks[b])
    if not len(time_s):
        return None
    row = int(distance_m.argmin())
    return Near(float(distance_m[row]), (a, b), float(time_s[row]))
