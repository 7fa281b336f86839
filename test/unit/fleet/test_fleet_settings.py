from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sec_nodes.config import ConfigError
from sec_nodes.fleet.expand import expand
from sec_nodes.fleet.settings import check_run_name, parse_ids, read_fleet
from sec_nodes.scenarios.registry import read_settings

TWO_UAV_PROCESSES = [
    {'node': 'coordinator'},
    {'node': 'device'},
    {'node': 'satellite'},
    {'node': 'uav', 'ids': '0,2'},
    {'node': 'uav', 'ids': '1', 'host': 'board', 'params': {'control_hz': 100.0}},
]


def write_fleet(tmp_path: Path, processes: list, **changes) -> str:
    tree = {
        'name': 'own',
        'backend': 'sim',
        'scenario': 'survey',
        'controller': 'greedy',
        'seed': 1,
        'slots': 5,
        'speed': 1.0,
        'processes': processes,
        **changes,
    }
    path = tmp_path / 'own.yaml'
    path.write_text(yaml.safe_dump(tree))
    return str(path)


def test_laptop_has_one_process_a_tier(laptop, survey, files):
    specs = {spec.name: spec for spec in expand(laptop, survey, files)}
    assert set(specs) == {
        'recorder', 'channel', 'satellites', 'uavs', 'devices', 'controller', 'coordinator'
    }  # fmt: skip
    assert specs['controller'].respawn
    assert specs['coordinator'].params == {
        'scenario': str(files.scenario),
        'seed': 1,
        'use_sim_time': False,  # it owns the clock
        'run': 'try',
        'slots': 60,
        'speed': 1.0,
        'backend': 'sim',
        'await_nodes': 'recorder',
    }
    assert specs['uavs'].params['use_sim_time'] is True
    assert specs['recorder'].params['run_dir'] == str(files.folder)
    assert specs['uavs'].module == 'sec_nodes.nodes.uav'


def test_per_vehicle_gives_each_its_process(survey, files):
    specs = expand(read_fleet('laptop', {'per_vehicle': True}), survey, files)
    vehicles = {spec.name: spec.params['ids'] for spec in specs if 'ids' in spec.params}
    assert vehicles['device_9'] == '9'
    assert vehicles['satellite_3'] == '3'
    assert len(vehicles) == 10 + 3 + 4
    assert len(specs) == 17 + 4


def test_each_host_starts_its_own_part(tmp_path, survey, files):
    fleet = read_fleet(write_fleet(tmp_path, TWO_UAV_PROCESSES))
    (board,) = expand(fleet, survey, files, host='board')
    assert (board.name, board.params['ids']) == ('uavs_1_1', '1')
    assert board.params['control_hz'] == 100.0
    here = {spec.name for spec in expand(fleet, survey, files)}
    assert here == {'coordinator', 'devices', 'satellites', 'uavs_0_2'}
    with pytest.raises(ConfigError, match=r"host 'bord' .* did you mean 'board'"):
        expand(fleet, survey, files, host='bord')


def test_shipped_testbed_covers_every_vehicle(survey, files):
    fleet = read_fleet('testbed_example')
    parts = [expand(fleet, survey, files, host) for host in [None, *fleet.hosts]]
    assert sum(len(part) for part in parts) == len(fleet.processes)


def test_no_satellites_no_process(files):
    specs = expand(read_fleet('laptop'), read_settings('survey', {'satellites.count': 0}), files)
    assert 'satellites' not in {spec.name for spec in specs}


@pytest.mark.parametrize(
    ('processes', 'message'),
    [
        (TWO_UAV_PROCESSES[:4], 'uav_1 is in no process'),
        ([*TWO_UAV_PROCESSES, {'node': 'uav', 'ids': '0-1'}], 'uav_0 is in 2 processes'),
        ([*TWO_UAV_PROCESSES[:3], {'node': 'uav', 'ids': '0-3'}], 'there is no 3'),
        (TWO_UAV_PROCESSES[1:], '0 coordinators'),
        ([*TWO_UAV_PROCESSES, {'node': 'channel', 'name': 'devices'}], "named 'devices'"),
    ],
)
def test_unsound_fleets_are_refused(tmp_path, survey, files, processes, message):
    fleet = read_fleet(write_fleet(tmp_path, processes))
    with pytest.raises(ConfigError, match=message):
        expand(fleet, survey, files)


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'slots': 0}, 'command line: slots = 0'),
        ({'speed': float('nan')}, 'speed = nan.*finite'),
        ({'speed': -1.0}, 'speed = -1'),
        ({'seed': -1}, 'seed = -1'),
        ({'backend': 'moon'}, "backend = 'moon'.*'sim' or 'hardware'"),
        ({'backend': 'hardware', 'speed': 2.0}, 'speed = 2: hardware runs in real time'),
    ],
)
def test_bad_values_name_key_value_and_remedy(overrides, message):
    with pytest.raises(ConfigError, match=message):
        read_fleet('laptop', overrides)


def test_file_errors_name_their_line(tmp_path):
    path = write_fleet(tmp_path, [{'node': 'drone'}])
    with pytest.raises(ConfigError, match=r"own.yaml:\d+: processes.0.node = 'drone'"):
        read_fleet(path)
    path = write_fleet(tmp_path, [{'node': 'uav', 'id': '1'}])
    with pytest.raises(ConfigError, match=r"unknown key 'processes.0.id'"):
        read_fleet(path)
    with pytest.raises(ConfigError, match=r"unknown fleet 'laptp'; did you mean 'laptop'"):
        read_fleet('laptp')


def test_ids():
    assert parse_ids('all', 3) == [0, 1, 2]
    assert parse_ids('0-2, 7', 8) == [0, 1, 2, 7]
    for text in ('', 'x', '3-1', '1-', '-1', '1.5'):
        with pytest.raises(ValueError, match='ids'):
            parse_ids(text, 8)


def test_run_names_stay_in_their_folder():
    assert check_run_name('survey-1.b') == 'survey-1.b'
    for name in ('', '../x', 'a/b', '.hidden', 'a b'):
        with pytest.raises(ConfigError, match='run = '):
            check_run_name(name)
