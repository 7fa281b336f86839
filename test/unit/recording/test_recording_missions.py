"""Plans and uploads of missions become rows, once each."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from types import SimpleNamespace as Message
from typing import Any

import pytest

from sec_nodes.recording.run_files import RunFiles
from sec_nodes.recording.tables import TABLES

MSG = Path(__file__).resolve().parents[3] / 'msg'
HEADER = Message(stamp=Message(sec=21, nanosec=0), frame_id='map')


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f'{name}.csv').open() as stream:
        return list(csv.DictReader(stream))


def fields(name: str) -> set[str]:
    """Fields of a message definition, without header."""
    pattern = re.compile(r'^[\w/]+(?:\[[^\]]*\])?\s+([a-z]\w*)\s*(?:#|$)', re.MULTILINE)
    return {*pattern.findall((MSG / f'{name}.msg').read_text())} - {'header'}


def plan(slot: int = 0, **changes: Any) -> Message:
    """A plan for two UAVs, a slot of 1.4 s, two tasks; the second one is given up."""
    paths = [
        Message(server_id=u, waypoints=[Message(x=x, y=9.0, z=200.0 + u) for x in (1.0, 2.0)])
        for u in (0, 1)
    ]
    values = {
        'slot': slot, 'start_s': 1.4 * slot, 'slot_s': 1.4, 'controller': 'sca_bcd',
        'reason': 'mission start', 'paths': paths, 'task_id': [7, 8], 'device_id': [0, 1],
        'server': [1, -2], 'split': [4, 0], 'cpu_hz': [2e9, 0.0], 'upload_end_s': [40.5, math.inf],
        'finish_s': [44.0, math.inf], 'loss_db': [0.0, 3.0], 'due_s': [60.0, 61.0],
        'energy_j': [9600.0, 9500.0], 'bound_j': math.nan,
    }  # fmt: skip
    return Message(**values | changes)


def batch(slot: int, *plans: Message, repair: bool = False) -> Message:
    return Message(
        header=HEADER, slot=slot, controller='sca_bcd', fallback=False, repair=repair,
        assignments=[], mission=list(plans),
    )  # fmt: skip


def upload(task_id: int, **changes: Any) -> Message:
    values = dict.fromkeys(fields('MissionUpload'), 0) | {
        'model_id': 'chain-s', 'program_s': -1.0, 'arrived_s': -1.0, 'task_id': task_id,
    }  # fmt: skip
    return Message(**values | changes)


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path, {'name': 'partial'}, {0: 'uav_0', 1: 'uav_1'})


def test_no_field_of_a_plan_or_an_upload_is_forgotten() -> None:
    kept = {*TABLES['plans'], *TABLES['sorties']} - {'plan', 'server_id', 'name'}
    assert kept == fields('MissionPlan') - {'paths'}
    assert {*TABLES['uploads']} == fields('MissionUpload') | {'slot', 'time_s'}


def test_a_plan_is_noted_when_it_comes_into_force(tmp_path: Path, files: RunFiles) -> None:
    files.assignment_batch(batch(0, plan()))
    files.assignment_batch(batch(0, plan(), repair=True))
    files.assignment_batch(batch(1, plan()))
    files.assignment_batch(batch(2, plan(2, reason='a link is worse')))
    files.assignment_batch(batch(3))
    tasks = read(tmp_path, 'plans')
    assert [(row['plan'], row['task_id'], row['server'], row['split']) for row in tasks] == [
        ('0', '7', '1', '4'), ('0', '8', '-2', '0'), ('1', '7', '1', '4'), ('1', '8', '-2', '0'),
    ]  # fmt: skip
    assert [row['upload_end_s'] for row in tasks[:2]] == ['40.5', 'inf']
    sorties = read(tmp_path, 'sorties')
    assert [(row['plan'], row['slot'], row['name'], row['energy_j']) for row in sorties] == [
        ('0', '0', 'uav_0', '9600'), ('0', '0', 'uav_1', '9500'),
        ('1', '2', 'uav_0', '9600'), ('1', '2', 'uav_1', '9500'),
    ]  # fmt: skip
    assert sorties[3]['reason'] == 'a link is worse'
    waypoints = read(tmp_path, 'waypoints')
    assert len(waypoints) == 8
    assert [waypoints[7][name] for name in ('name', 'slot', 'time_s', 'x_m', 'z_m')] == [
        'uav_1', '3', '4.2', '2', '201',
    ]  # fmt: skip
    plans = [row for row in read(tmp_path, 'events') if row['kind'] == 'plan']
    assert [(row['slot'], row['detail']) for row in plans] == [
        ('0', 'mission start'), ('2', 'a link is worse'),
    ]  # fmt: skip


def test_a_plan_with_lists_of_different_length_is_malformed(files: RunFiles) -> None:
    with pytest.raises(ValueError, match='zip'):
        files.assignment_batch(batch(0, plan(split=[4])))
    with pytest.raises(ValueError, match='zip'):
        files.assignment_batch(batch(1, plan(1, energy_j=[1.0])))


def test_uploads_are_noted_once_a_slot_and_try(tmp_path: Path, files: RunFiles) -> None:
    under_way = upload(7, program_bit=1e5, program_s=12.5)
    table = Message(header=HEADER, slot=15, uploads=[under_way, upload(8)])
    files.link_table(table)
    files.link_table(table)
    files.link_table(Message(header=HEADER, slot=15, uploads=[upload(8, attempt=1)]))
    files.link_table(Message(header=HEADER, slot=16, uploads=[upload(7, arrived_s=22.0)]))
    rows = read(tmp_path, 'uploads')
    assert [(row['slot'], row['task_id'], row['attempt']) for row in rows] == [
        ('15', '7', '0'), ('15', '8', '0'), ('15', '8', '1'), ('16', '7', '0'),
    ]  # fmt: skip
    assert (rows[0]['time_s'], rows[0]['program_s'], rows[0]['arrived_s']) == ('21', '12.5', '')
    assert rows[3]['arrived_s'] == '22'


def test_a_link_table_without_uploads_says_nothing(tmp_path: Path, files: RunFiles) -> None:
    files.link_table(Message(header=HEADER, slot=1, uploads=[]))
    assert read(tmp_path, 'uploads') == []
