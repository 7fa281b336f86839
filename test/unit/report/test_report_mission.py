"""What missions promised and what was flown, as numbers; small tables are worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_rows import Writer, describe, outcome, tasks
from synthetic_mission import Sortie, write_mission

from sec_nodes.recording.tables import MISSION_TABLES, TABLES
from sec_nodes.report import summarise
from sec_nodes.report.figures.mission import _counts, _ended
from sec_nodes.report.load import load_run
from sec_nodes.report.mission import flown_j
from sec_nodes.report.plans import (
    Track,
    distances,
    flights_of,
    mission_tasks,
    nearest,
    plans_of,
    ways_of,
)

AIRFRAME = {
    'blade_power_w': 80.0, 'induced_power_w': 90.0, 'tip_speed_m_s': 120.0,
    'induced_speed_m_s': 4.0, 'drag_ratio': 0.6, 'air_density_kg_m3': 1.2, 'solidity': 0.05,
    'disc_area_m2': 0.5,
}  # fmt: skip
HOVER_W = 170.0


def row(table: str, **values: Any) -> dict[str, Any]:
    """A row of a table, zeros and empty texts unless told otherwise."""
    plain = {name: '' if kind is str else 0 for name, kind in TABLES[table].items()}
    return plain | values


def sortie(plan: int, uav: int = 0, **values: Any) -> dict[str, Any]:
    return row(
        'sorties', plan=plan, server_id=uav, name=f'uav_{uav}', slot_s=2.0, controller='sca_bcd',
        **{'bound_j': 900.0, **values},
    )  # fmt: skip


def promise(plan: int, task_id: int, device: int = 0, **values: float) -> dict[str, Any]:
    return row('plans', plan=plan, task_id=task_id, device_id=device, **values)


def way(plan: int, uav: int, *points: tuple[float, float]) -> list[dict[str, Any]]:
    """Waypoints (instant, east) of a plan."""
    return [
        row('waypoints', plan=plan, server_id=uav, name=f'uav_{uav}', time_s=t, x_m=x, z_m=uav)
        for t, x in points
    ]


def hovering(until_s: float, uav: int = 0) -> list[dict[str, Any]]:
    """A flight that stands still."""
    times = np.arange(0.1, until_s + 0.05, 0.1)
    return [row('uavs', time_s=float(t), name=f'uav_{uav}', z_m=7.0 * uav) for t in times]


@pytest.fixture
def replanned(write_tables: Writer) -> Path:
    """Two tasks on one UAV that hovers for 8 s; after 4 s there is a second plan about one."""
    folder = write_tables(
        tasks=tasks(1, 2),
        sorties=[
            sortie(0, energy_j=1000.0, reason='mission start'),
            sortie(1, slot=2, start_s=4.0, energy_j=700.0, reason='a link is worse'),
        ],
        waypoints=[
            *way(0, 0, (0, 0.0), (2, 1.0), (4, 2.0)),
            *way(1, 0, (4, 2.5), (6, 3.0), (8, 0.0)),
        ],
        plans=[
            promise(0, 1, 0, upload_end_s=2.0, finish_s=3.0, due_s=5.0),
            promise(0, 2, 9, upload_end_s=4.0, finish_s=5.0, due_s=6.0),
            promise(1, 2, 9, upload_end_s=5.0, finish_s=6.5, due_s=6.0),
        ],
        uploads=[row('uploads', slot=2, task_id=2, program_s=1.5, arrived_s='')],
        outcomes=[
            outcome(1, timing_front_s=1.0, timing_upload_s=1.5, latency_s=3.0, energy_back_j=3.0),
            outcome(
                2, status='late', timing_front_s=2.0, timing_upload_s=3.25, latency_s=7.0,
                energy_back_j=4.0,
            ),
        ],
        uavs=hovering(9.0),
    )  # fmt: skip
    return describe(
        folder, airframe=AIRFRAME, objective={'service_weight': 10.0}, name='partial'
    )  # fmt: skip


def test_a_task_is_held_against_the_last_plan_about_it(replanned: Path) -> None:
    run = load_run(replanned)
    table = mission_tasks(run, plans_of(run))
    assert table['device_id'].tolist() == [0, 9]
    assert table['plan'].tolist() == [0, 1]
    assert table['planned_upload_end_s'].tolist() == [2.0, 5.0]
    assert table['upload_end_s'].tolist() == [2.5, 5.25]
    assert table['finish_s'].tolist() == [3.0, 7.0]
    assert table['program_s'].tolist() == pytest.approx([np.nan, 1.5], nan_ok=True)


def test_numbers_of_a_mission(replanned: Path) -> None:
    mission = summarise(replanned)['mission']
    assert [(plan['slot'], plan['in_time'], plan['tasks']) for plan in mission['plans']] == [
        (0, 2, 2), (2, 0, 1),
    ]  # fmt: skip
    assert mission['plans'][0]['above_bound'] == pytest.approx(100 / 900)
    told = mission['tasks']
    assert (told['count'], told['planned_in_time'], told['in_time']) == (2, 2, 1)
    assert told['broken_promises'] == []  # the last plan had it late
    assert told['upload_later_s']['mean'] == pytest.approx((0.5 + 0.25) / 2)
    uav = mission['by_uav']['uav_0']
    assert uav['service_j'] == pytest.approx(10 * 7.0)
    assert uav['propulsion_j'] == pytest.approx(8 * HOVER_W)
    assert uav['flown_j'] == pytest.approx(8 * HOVER_W + 70)
    # spent until the second plan, what was computed of tasks that it is not about, and its own
    assert uav['promised_j'] == pytest.approx(4 * HOVER_W + 30 + 700)
    assert mission['largest_j']['planned'] == 1000.0
    assert mission['nearest'] == {'planned': None, 'flown': None}


def test_a_promise_is_broken_by_who_is_late_or_never_ends(write_tables: Writer) -> None:
    promised = [promise(0, k, upload_end_s=1.0, finish_s=5.0, due_s=5.0) for k in (1, 2, 3)]
    given_up = row('plans', task_id=4, server=-2, upload_end_s=np.inf, finish_s=np.inf, due_s=5.0)
    folder = write_tables(
        tasks=tasks(1, 2, 3, 4),
        sorties=[sortie(0, bound_j=np.nan)],
        plans=[*promised, given_up],
        outcomes=[outcome(1), outcome(2, status='late'), outcome(4, status='rejected')],
    )
    mission = summarise(folder)['mission']
    assert mission['tasks']['broken_promises'] == [2, 3]
    assert mission['tasks']['planned_in_time'] == 3
    assert mission['plans'][0]['bound_j'] is None
    assert mission['by_uav']['uav_0']['flown_j'] is None  # neither flight nor airframe
    json.dumps(mission, allow_nan=False)


def test_a_flight_that_ends_early_costs_until_then(write_tables: Writer) -> None:
    folder = describe(write_tables(uavs=hovering(3.0)), airframe=AIRFRAME)
    run = load_run(folder)
    assert flown_j(run, 'uav_0', 0.0, 2.0) == pytest.approx(2.0 * HOVER_W)
    assert flown_j(run, 'uav_0', 1.0, 70.0) == pytest.approx(2.1 * HOVER_W)
    assert flown_j(run, 'uav_0', 5.0, 5.0) == 0.0
    assert flown_j(run, 'uav_1', 0.0, 2.0) is None


def test_the_plan_in_force_is_followed_until_the_next(replanned: Path) -> None:
    track = ways_of(plans_of(load_run(replanned)))['uav_0']
    assert track.time_s.tolist() == [0, 2, 4, 6, 8]
    assert track.position_m[:, 0].tolist() == [0, 1, 2.5, 3, 0]


def test_uavs_are_nearest_where_they_cross() -> None:
    times = np.array([0.0, 10.0])
    east = Track(times, np.array([[0.0, 0, 0], [10, 0, 0]]))
    west = Track(times, np.array([[10.0, 0, 3], [0, 0, 3]]))
    later = Track(times + 20, east.position_m)
    near = nearest({'a': east, 'b': west, 'c': later})
    assert near is not None
    assert (near.names, near.distance_m, near.time_s) == (('a', 'b'), 3.0, pytest.approx(5.0))
    assert len(distances(east, later)[0]) == 0
    assert nearest({'a': east}) is None


def test_a_whole_mission_agrees_with_what_was_planned(tmp_path: Path) -> None:
    folder = write_mission(tmp_path / 'run', Sortie(planned_anew=15))
    run, mission = load_run(folder), summarise(folder)['mission']
    assert [plan['slot'] for plan in mission['plans']] == [0, 15]
    assert set(flights_of(run)) == set(mission['by_uav'])
    for uav in mission['by_uav'].values():
        # what the UAVs' own meters say; their last report is a slot old at most
        name = next(name for name, found in mission['by_uav'].items() if found is uav)
        own = run['uavs']['energy_used_j'][run['uavs']['name'] == name]
        assert uav['propulsion_j'] == pytest.approx(np.nanmax(own), abs=1.4 * 170)
        # not quite as planned: tasks that fail are not computed
        assert uav['flown_j'] == pytest.approx(uav['planned_j'], rel=0.05)
    assert mission['nearest']['flown']['distance_m'] == pytest.approx(5.0, abs=0.1)
    json.dumps(mission, allow_nan=False)


def test_stages_of_a_slot_are_counted_once(write_tables: Writer) -> None:
    """At 2 s one task of each stage; the first one of them is on its second try."""
    tries = [
        {'task_id': 1, 'program_s': 0.5, 'arrived_s': 1.5},
        {'task_id': 1, 'attempt': 1, 'program_s': '', 'arrived_s': ''},
        {'task_id': 2, 'program_s': 0.5, 'arrived_s': ''},
        {'task_id': 3, 'program_s': 0.5, 'arrived_s': '', 'intermediate_bit': 1.0},
        {'task_id': 4, 'program_s': 0.5, 'arrived_s': 1.5, 'intermediate_bit': 9.0},
    ]
    folder = write_tables(
        uploads=[row('uploads', slot=1, time_s=2.0, **one) for one in tries],
        outcomes=[
            outcome(4, ended_s=2.5),  # still listed
            outcome(5, ended_s=1.0),
            outcome(6, ended_s=2.5),  # not listed any more
            outcome(7, ended_s=9.0),
        ],
    )
    run = load_run(describe(folder, slot_s=2.0))
    assert _counts(run['uploads']) == [1, 1, 1, 1]
    assert _ended(run, 1, 2.0) == 2


def test_other_runs_have_no_mission(write_tables: Writer) -> None:
    folder = describe(write_tables(tasks=tasks(1), outcomes=[outcome(1)]))
    for name in MISSION_TABLES:
        (folder / f'{name}.csv').unlink()
    summary = summarise(folder)
    assert summary['mission'] is None
    assert summary['notes'] == []
