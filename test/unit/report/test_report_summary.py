"""Numbers of a run against tables small enough to be worked out by hand."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from report_rows import Writer, outcome, tasks
from rich.console import Console
from synthetic_run import Plan, write_run

from sec_nodes.report import ReportError, summarise, summary_table


def test_tasks_are_counted_by_status_and_reason(write_tables: Writer) -> None:
    folder = write_tables(
        tasks=tasks(1, 2, 3, 4, 5),
        outcomes=[
            outcome(1),
            outcome(2, status='late', latency_s=0.7),
            outcome(3, status='failed', reason='lost', latency_s=0.0, attempts=2),
            outcome(4, status='failed', reason='lost', latency_s=0.0),
            outcome(5, status='rejected', reason='no server', server_name='', latency_s=0.0),
        ],
    )
    counts = summarise(folder)['tasks']
    assert counts['created'] == counts['ended'] == 5
    assert counts['by_status'] == {'done': 1, 'late': 1, 'failed': 2, 'rejected': 1}
    assert counts['failed_because'] == {'lost': 2}
    assert counts['rejected_because'] == {'no server': 1}
    assert counts['deadline_satisfaction'] == pytest.approx(1 / 5)
    assert counts['sent_more_than_once'] == 1


def test_latency_and_accuracy_are_split_by_kind_of_server(write_tables: Writer) -> None:
    folder = write_tables(
        tasks=tasks(*range(5)),
        outcomes=[
            outcome(0, server_name='local', latency_s=0.4, answer='ship', truth='ship'),
            outcome(1, server_name='uav_0', latency_s=0.1, answer='ship', truth='raft'),
            outcome(2, server_name='uav_1', latency_s=0.3, answer='raft', truth='raft'),
            outcome(3, server_name='satellite_2', latency_s=0.2, answer='sea', truth=''),
            outcome(4, server_name='uav_1', status='failed', latency_s=0.0, truth='raft'),
        ],
    )
    summary = summarise(folder)
    assert summary['served_by']['kind'] == {'local': 1, 'uav': 2, 'satellite': 1}
    assert summary['served_by']['server'] == {
        'local': 1, 'satellite_2': 1, 'uav_0': 1, 'uav_1': 1
    }  # fmt: skip
    assert summary['latency_s']['uav']['p50'] == pytest.approx(0.2)
    assert summary['latency_s']['uav']['mean'] == pytest.approx(0.2)
    assert summary['latency_s']['all']['count'] == 4
    assert summary['latency_s']['all']['max'] == pytest.approx(0.4)
    # between the third and the fourth of four values: 0.3 + 0.85 (0.4 - 0.3)
    assert summary['latency_s']['all']['p95'] == pytest.approx(0.385)
    assert summary['accuracy']['uav'] == {'known': 2, 'correct': 1, 'accuracy': 0.5}
    assert summary['accuracy']['all'] == {
        'known': 3,
        'correct': 2,
        'accuracy': pytest.approx(2 / 3),
    }
    assert 'satellite' not in summary['accuracy']


def test_energy_adds_up_and_propulsion_is_what_is_left(write_tables: Writer) -> None:
    parts = {'energy_front_j': 1.0, 'energy_upload_j': 2.0, 'energy_back_j': 3.0}
    folder = write_tables(
        tasks=tasks(0, 1),
        outcomes=[
            outcome(0, server_name='uav_0', **parts, energy_download_j=4.0),
            outcome(1, server_name='satellite_0', **parts, energy_download_j=4.0),
        ],
        uavs=[
            {'time_s': 0.0, 'name': 'uav_0', 'energy_used_j': 0.0, 'tracking_error_m': 3.0},
            {'time_s': 1.0, 'name': 'uav_0', 'energy_used_j': 100.0, 'tracking_error_m': 4.0},
            {'time_s': 1.0, 'name': 'uav_1', 'energy_used_j': 50.0, 'tracking_error_m': ''},
        ],
    )
    summary = summarise(folder)
    energy = summary['energy_j']
    assert energy['parts'] == {'front_j': 2.0, 'upload_j': 4.0, 'back_j': 6.0, 'download_j': 8.0}
    assert energy['total'] == 20.0
    assert energy['per_answered_task'] == 10.0
    # what the UAVs used, less computing and transmitting for the one task that a UAV answered
    assert energy['propulsion'] == pytest.approx(150.0 - 3.0 - 4.0)
    assert summary['flight']['tracking_error_rms_m'] == pytest.approx(math.sqrt(12.5))
    assert summary['flight']['tracking_error_max_m'] == 4.0


def test_slots_are_counted_and_wall_times_averaged(write_tables: Writer) -> None:
    slot = {'controller': 'greedy', 'fallback': False, 'servers_lost': '', 'decide_s': 0.01}
    folder = write_tables(
        slots=[
            {**slot, 'slot': 0, 'real_time_factor': 2.0, 'decisions_repaired': 2},
            {**slot, 'slot': 1, 'real_time_factor': 0.5, 'decisions_rejected': 1},
            {**slot, 'slot': 2, 'controller': 'local', 'fallback': True, 'servers_lost': '1'},
        ],
        events=[
            {'time_s': 2.0, 'slot': 2, 'kind': 'server_lost', 'name': 'uav_1'},
            {'time_s': 2.0, 'slot': 2, 'kind': 'repair', 'name': 'greedy'},
            {'time_s': 3.0, 'slot': 3, 'kind': 'run_state', 'name': 'aborted'},
        ],
    )
    summary = summarise(folder)
    slots = summary['slots']
    assert slots['count'] == 3
    assert slots['controllers'] == {'greedy': 2, 'local': 1}
    assert (slots['fallback'], slots['repair_batches'], slots['servers_lost']) == (1, 1, ['uav_1'])
    assert (slots['decisions_repaired'], slots['decisions_rejected']) == (2, 1)
    # two slots took 1/2 and 2 slot lengths of wall time
    assert slots['real_time_factor'] == pytest.approx(2 / 2.5)
    assert summary['state'] == 'aborted'


def test_measured_times_cover_answered_tasks_only(write_tables: Writer) -> None:
    folder = write_tables(
        tasks=tasks(0, 1, 2),
        outcomes=[
            outcome(0, latency_s=0.2, observed_s=0.21, back_inference_s=0.004),
            outcome(1, latency_s=0.2, observed_s=0.23, back_inference_s=0.0),
            outcome(2, status='failed', latency_s=0.0, observed_s=9.0, back_inference_s=9.0),
        ],
    )
    measured = summarise(folder)['measured']
    assert measured['observed_minus_modelled_s']['p50'] == pytest.approx(0.02)
    assert measured['observed_minus_modelled_s']['max'] == pytest.approx(0.03)
    assert measured['back_inference_s']['count'] == 1


def test_every_task_ends_exactly_once_or_is_named(write_tables: Writer) -> None:
    folder = write_tables(
        tasks=tasks(1, 2, 3), outcomes=[outcome(1), outcome(2), outcome(2), outcome(9)]
    )
    assert summarise(folder)['exactly_once'] == {
        'holds': False, 'duplicates': [2], 'missing': [3], 'unknown': [9]
    }  # fmt: skip
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(folder))
    assert '1 tasks without outcome' in console.export_text()

    whole = write_tables(tasks=tasks(1, 2), outcomes=[outcome(2), outcome(1)])
    assert summarise(whole)['exactly_once']['holds']


def test_a_run_without_tasks_has_no_numbers_but_a_summary(write_tables: Writer) -> None:
    summary = summarise(write_tables())
    assert summary['tasks']['created'] == 0
    assert summary['tasks']['deadline_satisfaction'] is None
    assert summary['latency_s'] == {
        'all': {'count': 0, 'mean': None, 'p50': None, 'p95': None, 'p99': None, 'max': None}
    }
    assert summary['energy_j']['propulsion'] is None
    json.dumps(summary, allow_nan=False)


def test_a_last_line_that_was_cut_off_is_left_out(write_tables: Writer) -> None:
    folder = write_tables(tasks=tasks(1), outcomes=[outcome(1)])
    path = folder / 'outcomes.csv'
    whole = path.read_text()
    path.write_text(whole + '2,0,0,done')
    summary = summarise(folder)
    assert summary['tasks']['ended'] == 1
    assert any('outcomes.csv ends in mid-line' in note for note in summary['notes'])


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda folder: (folder / 'outcomes.csv').unlink(), r'outcomes\.csv is missing'),
        (lambda folder: (folder / 'tasks.csv').unlink(), r'tasks\.csv is missing'),
        (lambda folder: (folder / 'tasks.csv').write_text('a,b\n'), "column 'task_id' is missing"),
        (
            lambda folder: (folder / 'tasks.csv').open('a').write('1,2\n'),
            r'tasks\.csv:3: has 2 cells instead of 10',
        ),
        (
            lambda folder: (folder / 'tasks.csv').open('a').write('x,0,0,0,0,0,0,0,0,\n'),
            r'tasks\.csv, column task_id',
        ),
        (lambda folder: (folder / 'run.json').write_text('{'), r'run\.json: cannot be read'),
    ],
)
def test_damaged_files_are_named(write_tables: Writer, damage, message: str) -> None:
    folder = write_tables(tasks=tasks(1), outcomes=[outcome(1)])
    damage(folder)
    with pytest.raises(ReportError, match=message):
        summarise(folder)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match='nowhere: no such folder'):
        summarise(tmp_path / 'nowhere')


def test_other_missing_tables_are_noted(write_tables: Writer) -> None:
    folder = write_tables(tasks=tasks(1), outcomes=[outcome(1)])
    (folder / 'uavs.csv').unlink()
    assert any('uavs.csv is missing' in note for note in summarise(folder)['notes'])


def test_the_terminal_summary_fits_80_columns(tmp_path: Path) -> None:
    folder = write_run(tmp_path / 'run', Plan(slots=20))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(folder))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert 'satellite' in text
    assert 'deadlines met' in text
