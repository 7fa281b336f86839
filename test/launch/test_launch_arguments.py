from __future__ import annotations

from pathlib import Path

import pytest
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.launch_description_sources import get_launch_description_from_any_launch_file
from launch_ros.actions import Node

from launch import LaunchContext
from sec_nodes.config import ConfigError

LAUNCH = Path(__file__).parents[2] / 'launch'
FILES = ('sim', 'device', 'uav', 'satellite', 'controller')


def entities(name: str) -> list:
    path = str(LAUNCH / f'{name}.launch.py')
    return get_launch_description_from_any_launch_file(path).entities


def actions(name: str, folder: Path, **arguments: str) -> list:
    """What a launch file starts with these arguments."""
    context = LaunchContext()
    given = {'results': str(folder), **arguments}
    for entity in entities(name):
        if isinstance(entity, DeclareLaunchArgument):
            context.launch_configurations.setdefault(
                entity.name, given.get(entity.name, entity.default_value[0].text)
            )
    (start,) = [entity for entity in entities(name) if isinstance(entity, OpaqueFunction)]
    return start.execute(context)


def executables(started: list) -> list[str]:
    return [action.node_executable for action in started if isinstance(action, Node)]


@pytest.mark.parametrize('name', FILES)
def test_every_argument_is_described(name):
    arguments = [entity for entity in entities(name) if isinstance(entity, DeclareLaunchArgument)]
    assert {'fleet', 'controller', 'backend', 'namespace', 'log_level'} <= {
        argument.name for argument in arguments
    }
    assert all(len(argument.description) > 10 for argument in arguments)


def test_sim_starts_the_fleet(tmp_path):
    assert sorted(executables(actions('sim', tmp_path))) == [
        'channel', 'controller', 'coordinator', 'device', 'recorder', 'satellite', 'uav'
    ]  # fmt: skip


def test_viewers_are_started_on_request(tmp_path):
    started = executables(actions('sim', tmp_path, rviz='true', foxglove='true'))
    assert started[-2:] == ['rviz2', 'foxglove_bridge']


@pytest.mark.parametrize('name', FILES[1:])
def test_a_tier_alone(tmp_path, name):
    assert executables(actions(name, tmp_path)) == [name]


def test_one_process_a_vehicle(tmp_path):
    assert executables(actions('uav', tmp_path, per_vehicle='true')) == ['uav'] * 3


def test_some_vehicles(tmp_path):
    (uavs,) = actions('uav', tmp_path, ids='0-1', run='board')
    assert uavs.node_executable == 'uav'
    assert (tmp_path / 'board' / 'params' / 'uav_0_to_1.yaml').is_file()


def test_a_board_of_the_testbed(tmp_path):
    assert executables(actions('uav', tmp_path, fleet='testbed_example', host='uav1')) == ['uav']
    with pytest.raises(ConfigError, match='no uav for this machine; give host:=NAME'):
        actions('uav', tmp_path, fleet='testbed_example')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'controller': 'gredy'}, "did you mean 'greedy'"),
        ({'slots': 'many'}, "slots = 'many'"),
        ({'speed': 'nan'}, 'speed = nan'),
        ({'images': '/nowhere'}, 'does not exist'),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        actions('sim', tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []
