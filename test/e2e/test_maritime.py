"""Bytes in, equal bytes out: from devices over UAVs and the satellite to the ground.

The stores that a run leaves are read without the code that has written them.
"""

from __future__ import annotations

import hashlib
import re
import signal
import sqlite3
from collections import Counter
from typing import NamedTuple

import pytest

from sec_nodes.loop.recorded import contents
from sec_nodes.scenarios.registry import read_settings

SLOTS, SEED, UAVS = 9, 3, 2
LONGEST = 70
"""Slots after which the satellite is about to set."""
CHANGES = {
    'uavs.count': UAVS,
    'uavs.storage_bit': 4.0e9,
    'uavs.initially_free_bit': 2.0e9,
    'ground_station.distance_m': 1.2e6,
}
INITIAL = re.compile(r'uav_(\d+)-initial-(\d+)')
COLUMNS = 'file_id, device_id, created_slot, size_byte, held_byte, released_byte'


@pytest.fixture
def fleet(tmp_path):
    """A fleet whose vehicles start again when they die; one UAV has a process of its own."""
    path = tmp_path / 'fleet.yaml'
    path.write_text(
        'name: test\nbackend: sim\nscenario: maritime\ncontroller: jcorm\n'
        f'seed: {SEED}\nslots: {SLOTS}\nspeed: 0.0\n'
        'processes:\n'
        '  - {node: recorder}\n'
        '  - {node: channel}\n'
        '  - {node: satellite, respawn: true}\n'
        '  - {node: ground_station, respawn: true}\n'
        "  - {node: uav, name: first, ids: '0', respawn: true}\n"
        f"  - {{node: uav, name: others, ids: '1-{UAVS - 1}'}}\n"
        '  - {node: device, respawn: true}\n'
        '  - {node: controller}\n'
        '  - {node: coordinator}\n'
    )
    return path


def options():
    return [part for key, value in CHANGES.items() for part in ('--set', f'{key}={value}')]


class File(NamedTuple):
    """How far a file has come at one of those who carry it."""

    file_id: str
    device: int
    slot: int
    size: int
    held: int
    released: int

    def made_of(self):
        """What it must hold."""
        if match := INITIAL.fullmatch(self.file_id):
            uav, number = map(int, match.groups())
            return contents(SEED, 2**31 + 16 * uav + number, 0, self.size)
        return contents(SEED, self.device, self.slot, self.size)


def files_of(run, carrier):
    """Every file that a carrier has ever had, by its name."""
    with sqlite3.connect(run.folder / 'stores' / carrier / 'index.sqlite') as index:
        rows = [File(*row) for row in index.execute(f'SELECT {COLUMNS} FROM files')]
    return {file.file_id: file for file in rows}


def check_bytes(run):
    """Every byte that a UAV has taken in is on its way or on the ground, unchanged.

    Gives what the UAVs have taken in [byte].
    """
    carriers = {f'uav_{uav}': files_of(run, f'uav_{uav}') for uav in range(UAVS)}
    recorded = {name: file for files in carriers.values() for name, file in files.items()}
    assert len(recorded) == sum(map(len, carriers.values()))
    satellite, ground = files_of(run, 'satellite_0'), files_of(run, 'ground_station')
    assert ground.keys() <= satellite.keys() <= recorded.keys()
    for here, there in ((recorded, satellite), (satellite, ground)):
        for name, file in here.items():
            following = there.get(name, file._replace(held=0))
            assert following[:4] == file[:4]
            assert file.released <= following.held <= file.held, name
    for carrier, files in {**carriers, 'satellite_0': satellite, 'ground_station': ground}.items():
        folder = run.folder / 'stores' / carrier / 'files'
        kept = [file for file in files.values() if file.released < file.size]
        assert {path.name for path in folder.iterdir()} == {file.file_id for file in kept}
        for file in kept:
            data = (folder / file.file_id).read_bytes()
            assert data[: file.held] == file.made_of()[: file.held], file
    check_deliveries(run, ground)
    return sum(file.size for file in recorded.values())


def check_deliveries(run, ground):
    """What is whole on the ground was announced, once, with the checksum of what was recorded."""
    rows = run.table('deliveries')
    assert max(Counter(row['file_id'] for row in rows).values()) == 1
    whole = {name for name, file in ground.items() if file.held == file.size}
    assert {row['file_id'] for row in rows} == whole
    for row in rows:
        data = ground[row['file_id']].made_of()
        assert row['sha256'] == hashlib.sha256(data).hexdigest()
        assert int(row['created_slot']) <= int(row['slot'])


def byte_bit():
    """What a real byte stands for [bit]."""
    return 8 / read_settings('maritime', CHANGES).flown.byte_share


def stored_at_first_bit():
    """What UAVs hold before the run [bit]."""
    return UAVS * (CHANGES['uavs.storage_bit'] - CHANGES['uavs.initially_free_bit'])


def collected_bit(run):
    """What UAVs have reported to have taken in [bit]."""
    return sum(float(row['collected_bit']) for row in run.table('relays'))


@pytest.mark.slow
def test_every_byte_is_accounted_for(start, fleet):
    run = start(fleet, *options())
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    taken_bit = check_bytes(run) * byte_bit()
    assert taken_bit == pytest.approx(stored_at_first_bit() + collected_bit(run), rel=1e-9)
    rows = run.table('relays')
    played = {(int(row['slot']), int(row['server_id'])) for row in rows}
    assert played >= {(slot, uav) for slot in range(SLOTS) for uav in range(UAVS)}
    assert len(played) == len(rows)
    # a gigabit stands for 125 kB: far more than one batch
    assert sum(float(row['uploaded_bit']) for row in rows) > 1e9
    assert any(INITIAL.fullmatch(row['file_id']) for row in run.table('deliveries'))


def stations_begun(run):
    """How often the ground station has opened its store."""
    return len(re.findall(r'files in', (run.folder / 'logs' / 'ground_station.log').read_text()))


def tasks_done(run):
    """Tasks with an answer in time, as the last line of the output has it."""
    return int(re.findall(r'done (\d+)', run.output)[-1])


def servers_back(run):
    """How often the coordinator has heard of a server again."""
    log = (run.folder / 'logs' / 'coordinator.log').read_text()
    return len(re.findall(r'is back|has started again', log))


def wait_for_more(run, count):
    """Play slots until there is more of something; gives the slot after that."""
    before = count(run)
    for _ in range(LONGEST):
        line = run.wait_for(r'^slot')
        if count(run) > before:
            return int(re.search(r'\d+', line).group())
    return pytest.fail(f'nothing more within {LONGEST} slots:\n{run.output}')


@pytest.mark.parametrize(
    ('node', 'name', 'sign_of_life'),
    [
        ('uav', 'first', servers_back),
        pytest.param('satellite', '', servers_back, marks=pytest.mark.slow),
        pytest.param('ground_station', '', stations_begun, marks=pytest.mark.slow),
        pytest.param('device', '', tasks_done, marks=pytest.mark.slow),
    ],
)
def test_a_process_that_is_killed_goes_on_where_it_was(start, fleet, node, name, sign_of_life):
    run = start(fleet, *options(), '--slots', LONGEST)
    run.wait_for_slot(3)
    run.kill(node, name)
    back = wait_for_more(run, sign_of_life)
    run.wait_for_slot(back + 4)
    run.process.send_signal(signal.SIGINT)
    assert run.finish() == 130, run.output
    run.assert_nothing_lost()
    taken_bit = check_bytes(run) * byte_bit()
    # what came in the slot of the kill is stored, whether it was reported or not
    assert taken_bit >= (stored_at_first_bit() + collected_bit(run)) * (1 - 1e-9)
    late = [row for row in run.table('relays') if int(row['slot']) >= back]
    for uav in range(UAVS):
        own = [row for row in late if int(row['server_id']) == uav]
        assert sum(float(row['collected_bit']) for row in own) > 0
        assert sum(float(row['uploaded_bit']) for row in own) > 0
    assert any(int(row['slot']) >= back for row in run.table('deliveries'))
