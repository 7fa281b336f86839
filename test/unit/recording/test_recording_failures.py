"""Failures, notices, returns and moves become rows."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from types import SimpleNamespace as Message
from typing import Any

import pytest

from sec_nodes.fleet.failures import KINDS
from sec_nodes.fleet.snapshot import WAYS as SHOWN_WAYS
from sec_nodes.recording.rows import FAILURES, WAYS
from sec_nodes.recording.run_files import RunFiles
from sec_nodes.recording.tables import TABLES

MSG = Path(__file__).resolve().parents[3] / 'msg'


def fields(name: str) -> set[str]:
    """Fields of a message definition, without header and constants."""
    pattern = re.compile(r'^[\w/]+(?:\[\])?\s+([a-z]\w*)\s*(?:#|$)', re.MULTILINE)
    return {*pattern.findall((MSG / f'{name}.msg').read_text())} - {'header'}


def header(time_s: float) -> Message:
    return Message(stamp=Message(sec=int(time_s), nanosec=round(time_s % 1 * 1e9)))


def failure(time_s: float, server_id: int, kind: str) -> Message:
    return Message(header=header(time_s), server_id=server_id, kind=KINDS[kind])


def notice(time_s: float, uav: int, **changes: Any) -> Message:
    values = {
        'header': header(time_s), 'slot': int(time_s), 'server_id': uav, 'name': f'uav_{uav}',
        'reason': 'silent', 'noticed_s': time_s, 'silence_s': 0.27, 'tasks': 3,
    }  # fmt: skip
    return Message(**values | changes)


def migration(task_id: int, attempt: int = 1, **changes: Any) -> Message:
    values = {
        'header': header(5.4), 'task_id': task_id, 'device_id': 7, 'attempt': attempt, 'slot': 5,
        'from_server': 1, 'to_server': 0, 'way': 0, 'model_id': 'scene-l', 'cut': 2,
        'size_bit': 1e6, 'expected_s': 0.05, 'compute_share': 0.25,
        'reason': 'server_lost: uav_1', 'decided_s': 5.5,
    }  # fmt: skip
    return Message(**values | changes)


def report(time_s: float, uav: int, alive: bool = True) -> Message:
    state = Message(
        name=f'uav_{uav}', server_id=uav, alive=alive, stored_bit=0.0, storage_bit=0.0,
        ground_contact=False, energy_used_j=0.0, energy_left_j=0.0, has_battery=False,
    )  # fmt: skip
    return Message(header=header(time_s), slot=-1, servers=[state])


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f'{name}.csv').open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path, {'name': 'robust'}, {0: 'uav_0', 1: 'uav_1'})


def test_names_agree_with_the_messages() -> None:
    named = re.findall(r'^uint8 ([A-Z]+)=(\d+)', (MSG / 'Migration.msg').read_text(), re.MULTILINE)
    assert [name.lower() for name, _ in named] == list(WAYS) == list(SHOWN_WAYS)
    assert [int(number) for _, number in named] == [0, 1, 2]
    # users write `link`, tables have the name of the message
    assert [kind.replace('link loss', 'link') for kind in FAILURES] == list(KINDS)


def test_no_field_is_forgotten() -> None:
    assert {*TABLES['migrations']} == fields('Migration') | {'from_name', 'to_name'}
    assert {*TABLES['failures']} == fields('FailureNotice') | {'injected_s', 'back_s', 'kind'}


def test_a_failure_has_a_row_when_it_is_injected_noticed_and_over(
    tmp_path: Path, files: RunFiles
) -> None:
    files.server_report(report(4.9, 1))
    files.failure(failure(5.25, 1, 'kill'))
    files.failure_notice(notice(5.5, 1))
    files.server_report(report(5.4, 1))  # it was under way when the server died
    files.server_report(report(6.0, 0))
    files.server_report(report(8.0, 1, alive=False))
    files.server_report(report(9.5, 0))
    files.server_report(report(6.3, 1))  # its clock is behind: it was stopped
    files.server_report(report(9.7, 1))
    rows = read(tmp_path, 'failures')
    instants = ('injected_s', 'noticed_s', 'back_s', 'name', 'kind')
    assert [tuple(row[name] for name in instants) for row in rows] == [
        ('5.25', '', '', 'uav_1', 'kill'),
        ('', '5.5', '', 'uav_1', ''),
        ('', '', '9.5', 'uav_1', ''),
    ]
    assert [rows[1][name] for name in ('slot', 'reason', 'silence_s', 'tasks')] == [
        '5', 'silent', '0.27', '3',
    ]  # fmt: skip
    events = [row for row in read(tmp_path, 'events') if row['kind'] == 'failure']
    assert [(row['name'], row['detail']) for row in events] == [('uav_1', 'kill')]


def test_a_move_has_one_row_a_try(tmp_path: Path, files: RunFiles) -> None:
    files.migration(migration(40))
    files.migration(migration(40))
    files.migration(migration(40, attempt=2, way=2, to_server=-1, size_bit=0.0))
    rows = read(tmp_path, 'migrations')
    told = [(row['attempt'], row['from_name'], row['to_name'], row['way']) for row in rows]
    assert told == [('1', 'uav_1', 'uav_0', 'relay'), ('2', 'uav_1', 'local', 'local')]
    assert (rows[0]['decided_s'], rows[0]['size_bit']) == ('5.5', '1000000')
