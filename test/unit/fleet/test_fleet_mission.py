"""A mission while it goes on: what is known of it, and how it is drawn."""

from __future__ import annotations

import dataclasses
import io
import math

import fleet_messages as make
import pytest
from rich.cells import cell_len
from rich.console import Console

from sec_nodes.fleet.live import plain_line, render
from sec_nodes.fleet.mission_panel import totals
from sec_nodes.fleet.scoreboard import Scoreboard
from sec_nodes.fleet.snapshot import Snapshot


@pytest.fixture
def board() -> Scoreboard:
    """Six tasks on two UAVs, and one that nobody serves."""
    board = Scoreboard((500.0, 500.0), None, {0: 'uav_0', 1: 'uav_1'}, slots=50, run='try')
    board.on_run_state(make.run_state(scenario='partial'))
    board.on_slot_start(make.slot_start(0))
    board.on_device_report(make.device_report(0, tasks=7))
    uavs = [
        make.server('uav_0', True, make.point(250, 250, 200), tracking_error_m=0.25),
        make.server('uav_1', True, make.point(250, 250, 205), tracking_error_m=1.5),
    ]
    board.on_server_report(make.Message(servers=uavs))
    board.on_assignments(make.mission_batch(make.mission_plan(0, 0, 0, 1, 1, 1, -2)))
    return board


@pytest.fixture
def snapshot(board: Scoreboard) -> Snapshot:
    """Each of the tasks at something else."""
    board.on_slot_start(make.slot_start(20))
    board.on_link_table(
        make.link_table(
            make.mission_upload(0, program_bit=4e5),
            make.mission_upload(1, program_s=12.0),
            make.mission_upload(2, program_s=12.0, intermediate_bit=3.0),
            make.mission_upload(3, server=1, program_s=12.0, intermediate_bit=9.0, arrived_s=20.0),
        )
    )
    board.on_task_outcome(make.task_outcome(0, 'uav_1', task_id=4))
    board.on_task_outcome(make.task_outcome(1, 'uav_1', task_id=5))
    return board.snapshot()


def drawn(snapshot: Snapshot, width: int = 100, height: int = 40) -> str:
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    console.print(render(snapshot, width, height), height=height)
    return console.export_text()


def test_tasks_are_at_what_the_uploads_say(snapshot: Snapshot) -> None:
    assert snapshot.mission is not None
    assert snapshot.mission.stages == {
        'uav_0': {'program': 1, 'device': 1, 'intermediate': 1},
        'uav_1': {'uav': 1, 'done': 1, 'missed': 1},
        '-': {'program': 1},
    }
    assert sum(totals(snapshot.mission).values()) == 7
    # who has arrived sends no more
    assert snapshot.links == {0: 'uav_0', 1: 'uav_0', 2: 'uav_0'}


def test_what_ended_stays_so_whatever_the_channel_repeats(board: Scoreboard) -> None:
    board.on_task_outcome(make.task_outcome(2, '', task_id=1))
    board.on_link_table(make.link_table(make.mission_upload(1)))
    board.on_assignments(make.mission_batch(make.mission_plan(1, 1, 1, slot=9)))
    mission = board.snapshot().mission
    assert mission is not None
    assert mission.stages['-'] == {'missed': 1, 'program': 1}
    assert mission.stages['uav_1'] == {'program': 5}


def test_a_plan_is_told_once(board: Scoreboard) -> None:
    board.on_assignments(make.mission_batch(make.mission_plan(0, 0)))
    board.on_assignments(make.mission_batch(make.mission_plan(0, slot=9, reason='weak link')))
    board.on_assignments(make.mission_batch(make.mission_plan(0, slot=9, reason='weak link')))
    shown = board.snapshot()
    assert [event.partition(': ')[2] for event in reversed(shown.events)] == [
        'plan by sca_bcd: mission start', 'plan by sca_bcd: weak link',
    ]  # fmt: skip
    assert shown.mission is not None
    assert (shown.mission.plans, shown.mission.slot) == (2, 9)


def test_links_of_a_mission_outlast_slots_without_orders(snapshot: Snapshot, board: Scoreboard):
    board.on_assignments(make.mission_batch(make.mission_plan(0, 0, 0, 1, 1, 1, -2)))
    assert board.snapshot().links == snapshot.links
    board.on_assignments(make.assignments(0, 1))  # of a run without missions
    assert board.snapshot().links == {0: 'uav_0', 1: 'uav_1'}


def test_a_mission_is_drawn_with_the_map(snapshot: Snapshot) -> None:
    text = drawn(snapshot)
    for part in (
        'tasks of each UAV', 'uav_0', '0/3', '±0.25 m', 'uav_1', '2/3', '±1.50 m', 'nobody',
        'program 2', 'device 1', 'result 1', 'UAV 1', 'done 1', 'missed 1',
        'plan, slot 0, sca_bcd: 9.675 kJ ≥ 9.587', '• device', '∙',
    ):  # fmt: skip
        assert part in text, part
    assert 'satellite' not in text
    line = plain_line(snapshot)
    assert line.endswith('program 2 device 1 result 1 uav 1')


def test_who_has_no_satellites_waits_for_none(board: Scoreboard) -> None:
    alone = dataclasses.replace(board.snapshot(), mission=None)
    assert '▲ uav_1' in drawn(alone)
    assert 'satellite' not in drawn(alone)
    assert 'satellite' in drawn(dataclasses.replace(alone, servers={}))


def test_small_terminals_show_the_mission_rather_than_the_map(snapshot: Snapshot) -> None:
    text = drawn(snapshot, 80, 24)
    assert 'tasks of each UAV' in text
    assert '• device' not in text


@pytest.mark.parametrize(('width', 'height'), [(80, 24), (100, 30), (200, 60), (60, 16), (20, 8)])
def test_a_mission_fits_the_terminal(snapshot: Snapshot, width: int, height: int) -> None:
    assert snapshot.mission is not None
    stages = {f'uav_{k}': {'program': 20} for k in range(30)}
    many = dataclasses.replace(
        snapshot.mission, stages=stages, ways=dict.fromkeys(stages, ()), bound_j=math.nan, plans=12
    )
    for one in (snapshot, dataclasses.replace(snapshot, mission=many)):
        lines = drawn(one, width, height).splitlines()
        assert len(lines) <= height
        assert max(map(cell_len, lines)) <= width


def test_runs_without_missions_have_none() -> None:
    board = Scoreboard((500.0, 500.0), None, {0: 'uav_0'})
    board.on_link_table(make.link_table())
    assert board.snapshot().mission is None
