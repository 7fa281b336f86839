"""Messages become rows; rows reach the disk at once."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace as Message

import pytest

from sec_nodes.recording.flight import FlightSampler
from sec_nodes.recording.rows import FAILURES, RUN_STATES
from sec_nodes.recording.run_files import RunFiles
from sec_nodes.recording.tables import ENERGY, TABLES, TIMING, CsvTable

MSG = Path(__file__).resolve().parents[3] / 'msg'


def fields(name: str) -> list[str]:
    """Fields of a message definition, without header and constants."""
    pattern = re.compile(r'^[\w/]+(?:\[\])?\s+([a-z]\w*)\s*(?:#|$)', re.MULTILINE)
    return [f for f in pattern.findall((MSG / f'{name}.msg').read_text()) if f != 'header']


def constants(name: str) -> list[str]:
    """Names of the constants of a message definition, in order of value."""
    found = re.findall(r'^uint8 ([A-Z_]+)=(\d+)', (MSG / f'{name}.msg').read_text(), re.MULTILINE)
    return [name for name, _ in sorted(found, key=lambda item: int(item[1]))]


def header(time_s: float, frame: str = 'map') -> Message:
    stamp = Message(sec=int(time_s), nanosec=round(time_s % 1 * 1e9))
    return Message(stamp=stamp, frame_id=frame)


def xyz(x: float, y: float, z: float) -> Message:
    return Message(x=x, y=y, z=z)


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f'{name}.csv').open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path, {'name': 'survey'}, {0: 'uav_0', 1: 'satellite_0'})


def request(task_id: int) -> Message:
    return Message(
        task_id=task_id, device_id=3, created_s=2.0, deadline_s=0.5, accuracy=0.8,
        input_bit=0.0, steps=1.0, answer_bit=384.0, prompt='',
    )  # fmt: skip


def stored(name: str, stored_bit: float, storage_bit: float, contact: bool = False) -> Message:
    return Message(
        name=name, stored_bit=stored_bit, storage_bit=storage_bit, ground_contact=contact,
        energy_used_j=0.0, energy_left_j=0.0, has_battery=False,
    )  # fmt: skip


def report(slot: int, *task_ids: int) -> Message:
    return Message(
        header=header(2.0), slot=slot, device_id=[3], position=[xyz(1.0, 2.0, 0.0)],
        velocity=[xyz(0.5, 0.0, 0.0)], tasks=[request(number) for number in task_ids],
    )  # fmt: skip


def test_no_field_of_an_outcome_is_forgotten() -> None:
    flat = [f for f in fields('TaskOutcome') if f not in ('timing', 'energy')]
    flat += [f'timing_{f}' for f in fields('TaskTiming')]
    flat += [f'energy_{f}' for f in fields('TaskEnergy')]
    assert set(TABLES['outcomes']) == {*flat, 'ended_s'}
    assert tuple(fields('TaskTiming')) == TIMING
    assert tuple(fields('TaskEnergy')) == ENERGY
    assert set(TABLES['slots']) == set(fields('SlotOutcome'))
    assert set(TABLES['relays']) == set(fields('RelayReport'))
    assert set(TABLES['deliveries']) == {'time_s', *fields('Delivery')}


def test_names_of_constants_are_those_of_the_messages() -> None:
    assert [name.upper() for name in RUN_STATES] == constants('RunState')
    assert [name.upper().replace(' ', '_') for name in FAILURES] == constants('Failure')


def test_a_row_is_on_disk_before_the_table_is_closed(tmp_path: Path) -> None:
    table = CsvTable(tmp_path, 'events')
    table.add({'time_s': 1 / 3, 'kind': 'failure', 'name': 'a\nb,"c"'})
    (row,) = read(tmp_path, 'events')
    assert row == {
        'time_s': '0.333333333', 'slot': '', 'kind': 'failure', 'name': 'a b,"c"', 'detail': ''
    }  # fmt: skip
    with pytest.raises(ValueError, match='colour'):
        table.add({'colour': 1})


def test_tasks_are_noted_once_however_often_they_are_told(tmp_path: Path, files: RunFiles) -> None:
    files.device_report(report(2, 7, 8))
    files.device_report(report(2, 7, 8))
    files.device_report(report(-1))  # a heartbeat
    files.slot_state(Message(slot=3, tasks=[request(8), request(9)]))
    assert [(r['task_id'], r['slot']) for r in read(tmp_path, 'tasks')] == [
        ('7', '2'), ('8', '2'), ('9', '3')
    ]  # fmt: skip
    (device,) = read(tmp_path, 'devices')
    assert (device['device_id'], device['x_m'], device['vx_m_s']) == ('3', '1', '0.5')


def test_a_report_with_arrays_of_different_length_is_malformed(files: RunFiles) -> None:
    message = report(2)
    message.velocity = []
    with pytest.raises(ValueError, match='zip'):
        files.device_report(message)


def test_outcomes_are_flat_and_their_status_is_text(tmp_path: Path, files: RunFiles) -> None:
    plain = dict.fromkeys(fields('TaskOutcome'), 0) | {'answer': 'ship', 'status': 1}
    timing = Message(**{name: index / 10 for index, name in enumerate(TIMING)})
    energy = Message(**{name: index / 4 for index, name in enumerate(ENERGY)})
    outcome = plain | {'task_id': 5, 'timing': timing, 'energy': energy, 'header': header(1.25)}
    files.task_outcome(Message(**outcome))
    (row,) = read(tmp_path, 'outcomes')
    assert (row['task_id'], row['status'], row['answer']) == ('5', 'late', 'ship')
    assert (row['timing_front_s'], row['energy_back_j']) == ('0.2', '0.5')
    assert row['ended_s'] == '1.25'
    assert files.outcomes == {5}


def test_events_tell_losses_repairs_fallback_and_states_once(
    tmp_path: Path, files: RunFiles
) -> None:
    state = Message(header=header(0.0), state=1, detail='', slot=0)
    files.run_state(state)
    files.run_state(state)
    batch = Message(
        header=header(1.0), slot=1, controller='local', fallback=True, repair=False,
        assignments=[], mission=[],
    )  # fmt: skip
    files.assignment_batch(batch)
    slot = dict.fromkeys(TABLES['slots'], 0)
    slot |= {'slot': 1, 'controller': 'local', 'fallback': True, 'servers_lost': [0, 7]}
    files.slot_outcome(Message(**slot, header=header(2.0)))
    files.failure(Message(header=header(2.5), server_id=1, kind=1))
    assert [(r['kind'], r['name'], r['detail']) for r in read(tmp_path, 'events')] == [
        ('run_state', 'running', ''),
        ('fallback', 'local', ''),
        ('server_lost', 'uav_0', ''),
        ('server_lost', '7', ''),
        ('failure', 'satellite_0', 'link loss'),
    ]
    assert read(tmp_path, 'slots')[0]['servers_lost'] == '0 7'


def test_passes_that_are_announced_again_are_noted_once(tmp_path: Path, files: RunFiles) -> None:
    window = {'satellite': 4, 'name': 'P00S04', 'rise_s': 1.0, 'set_s': 9.0}
    windows = [Message(**window, peak_elevation_rad=0.6)]
    for _ in range(2):
        files.visibility(Message(windows=windows, minimum_elevation_rad=0.17))
    assert len(read(tmp_path, 'passes')) == 1


def test_stores_are_noted_once_a_slot_and_only_where_there_are_any(
    tmp_path: Path, files: RunFiles
) -> None:
    servers = [stored('uav_0', 2e6, 8e6), stored('uav_1', 0.0, 0.0)]
    for slot in (3, 3, -1):
        files.server_report(Message(header=header(9.0), slot=slot, servers=servers))
    satellite = stored('satellite_0', 0.0, 0.0, contact=True)
    files.server_report(Message(header=header(9.0), slot=3, servers=[satellite]))
    assert [tuple(row.values()) for row in read(tmp_path, 'stores')] == [
        ('3', '9', 'uav_0', '2000000', '8000000', '0'),
        ('3', '9', 'satellite_0', '0', '0', '1'),
    ]


def test_a_report_of_a_relay_is_noted_once(tmp_path: Path, files: RunFiles) -> None:
    plain = dict.fromkeys(fields('RelayReport'), 0) | {
        'name': 'uav_0',
        'ratio': 0.25,
        'late': True,
    }
    for slot in (4, 4, 5):
        files.relay_report(Message(**plain | {'slot': slot}))
    found = read(tmp_path, 'relays')
    assert [(row['slot'], row['ratio'], row['late']) for row in found] == [
        ('4', '0.25', '1'), ('5', '0.25', '1')
    ]  # fmt: skip


def test_deliveries_carry_the_instant_at_which_they_came(tmp_path: Path, files: RunFiles) -> None:
    plain = dict.fromkeys(fields('Delivery'), 0) | {'file_id': 'd3-7', 'sha256': 'ab' * 32}
    files.delivery(Message(header=header(12.5), **plain))
    (row,) = read(tmp_path, 'deliveries')
    assert (row['time_s'], row['file_id'], row['sha256']) == ('12.5', 'd3-7', 'ab' * 32)


def test_the_run_describes_itself(tmp_path: Path, files: RunFiles) -> None:
    files.close()
    info = json.loads((tmp_path / 'run.json').read_text())
    assert info['scenario'] == {'name': 'survey'}
    assert info['servers'][1] == {'server_id': 1, 'name': 'satellite_0'}


def test_flights_are_thinned_to_ten_rows_a_second() -> None:
    sampler = FlightSampler(['uav_0', 'uav_1'])
    kept = [step / 50 for step in range(100) if sampler.wants('uav_0', 'odom', step / 50)]
    assert kept == pytest.approx([index / 10 for index in range(20)])
    assert sampler.wants('uav_1', 'odom', 0.05)
    assert sampler.wants('uav_0', 'setpoint', 0.05)


def odometry(child: str = 'map', yaw: float = 0.0, time_s: float = 3.5) -> Message:
    quaternion = Message(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    return Message(
        header=header(time_s), child_frame_id=child,
        pose=Message(pose=Message(position=xyz(1, 2, 3), orientation=quaternion)),
        twist=Message(twist=Message(linear=xyz(5.0, 0.0, 1.0))),
    )  # fmt: skip


def setpoint(x: float, time_s: float = 3.5) -> Message:
    return Message(header=header(time_s), pose=Message(position=xyz(x, 8.0, 7.0)))


def tracking_error(length: float, time_s: float = 3.5) -> Message:
    return Message(header=header(time_s), vector=xyz(0.0, 0.6 * length, 0.8 * length))


def test_topics_of_a_uav_are_joined_by_instant_in_whatever_order_they_come() -> None:
    sampler = FlightSampler(['uav_0', 'uav_1'])
    for time_s in (0.1, 0.2, 0.3):
        assert sampler.odometry('uav_0', odometry(time_s=time_s)) == []
    for time_s in (0.1, 0.2):
        assert sampler.setpoint('uav_0', setpoint(10 * time_s, time_s)) == []
    (row,) = sampler.tracking_error('uav_0', tracking_error(1.0, 0.1))
    assert (row['time_s'], row['setpoint_x_m'], row['tracking_error_m']) == (0.1, 1.0, 1.0)
    assert sampler.setpoint('uav_1', setpoint(9.0, 0.2)) == []
    (row,) = sampler.tracking_error('uav_0', tracking_error(2.0, 0.2))
    assert (row['time_s'], row['setpoint_x_m'], row['tracking_error_m']) == (0.2, 2.0, 2.0)
    (row,) = sampler.rest()
    assert (row['time_s'], row['setpoint_x_m']) == (pytest.approx(0.3), 2.0)
    assert sampler.rest() == []


def test_a_row_waits_for_a_silent_topic_a_second_and_no_longer() -> None:
    sampler = FlightSampler(['uav_0'])
    sampler.setpoint('uav_0', setpoint(1.0, 0.0))
    rows = [sampler.odometry('uav_0', odometry(time_s=time_s)) for time_s in (0.5, 1.0, 1.75)]
    assert [[row['time_s'] for row in found] for found in rows] == [[], [], [0.5]]
    assert rows[2][0]['setpoint_x_m'] == 1.0
    assert 'tracking_error_m' not in rows[2][0]


def test_a_row_that_is_overtaken_goes_with_what_was_known_then() -> None:
    sampler = FlightSampler(['uav_0'])
    sampler.odometry('uav_0', odometry(time_s=0.02))
    sampler.odometry('uav_0', odometry(time_s=0.1))
    sampler.tracking_error('uav_0', tracking_error(1.0, 0.1))
    early, row = sampler.setpoint('uav_0', setpoint(1.0, 0.1))
    assert (early['time_s'], row['time_s']) == (0.02, 0.1)
    assert 'setpoint_x_m' not in early
    assert row['tracking_error_m'] == 1.0


def test_velocities_of_the_body_are_turned_into_the_map() -> None:
    sampler = FlightSampler(['uav_0'])
    sampler.odometry('uav_0', odometry('uav_0/base_link', math.pi / 2))
    (row,) = sampler.rest()
    assert [row[f'v{a}_m_s'] for a in 'xyz'] == pytest.approx([0.0, 5.0, 1.0])
    sampler.odometry('uav_0', odometry('map', math.pi / 2))
    (row,) = sampler.rest()
    assert [row[f'v{a}_m_s'] for a in 'xyz'] == pytest.approx([5.0, 0.0, 1.0])
    assert row['time_s'] == 3.5


def test_a_flight_row_joins_what_the_topics_of_a_uav_say() -> None:
    sampler = FlightSampler(['uav_0'])
    assert sampler.setpoint('uav_0', setpoint(9.0)) == []
    assert sampler.tracking_error('uav_0', tracking_error(5.0)) == []
    for name in ('uav_0', 'satellite_0'):
        sampler.server(Message(name=name, energy_used_j=6.0, energy_left_j=1.0, has_battery=False))
    (row,) = sampler.odometry('uav_0', odometry('map', 0.0))
    assert (row['setpoint_x_m'], row['tracking_error_m']) == (9.0, 5.0)
    assert (row['energy_used_j'], row['energy_left_j']) == (6.0, '')
    assert set(row) == set(TABLES['uavs'])
