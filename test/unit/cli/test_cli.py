from __future__ import annotations

import builtins
import sys

import pytest
from typer.testing import CliRunner

from sec_nodes import __version__
from sec_nodes.cli import main as cli
from sec_nodes.cli import up as flying
from sec_nodes.cli.parameter_tables import Row, markdown_tables
from sec_nodes.config import ConfigError
from sec_nodes.fleet import plan as planning
from sec_nodes.fleet.domain import busy

ONE_MODEL = ['--set', 'satellites.model=scene-s']


@pytest.fixture
def sec(tmp_path, monkeypatch):
    """Call `sec` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str):
        return CliRunner().invoke(cli.app, list(arguments), env={'COLUMNS': '100'})

    return call


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--controller', 'gredy'], "unknown controller 'gredy'; did you mean 'greedy'?"),
        (
            ['--controller', 'nowhere:Thing', *ONE_MODEL],
            "controller 'nowhere:Thing' cannot be imported",
        ),
        (['--scenario', 'survy'], "unknown scenario 'survy'; did you mean 'survey'?"),
        (['--scenario', 'none.yaml'], 'none.yaml: cannot be read (No such file or directory)'),
        (['--slots', '-3'], 'slots = -3'),
        (['--speed', 'nan'], 'speed = nan: Input should be a finite number'),
        (['--speed', '-1'], 'speed = -1'),
        (['--seed', '-1'], 'seed = -1'),
        (['--backend', 'hardware', '--speed', '2'], 'hardware runs in real time'),
        (['--images', 'nowhere'], 'nowhere does not exist'),
        (['--run', '../x'], "run = '../x'"),
        (['--host', 'moon'], "host 'moon' is not in fleet 'laptop'"),
        (['--fail', 'uav_9@3'], "fail = 'uav_9@3': unknown server"),
        (['--set', 'devices'], "override 'devices' is not of the form key=value"),
        (['--set', 'devices.count=-1'], 'devices.count = -1'),
        (['--set', 'uavs.battery_j=.nan'], 'uavs.battery_j = nan: Input should be a finite'),
        (['--set', 'uavs.model=scene-q'], "model 'scene-q'"),
        (['--set', 'devices.cuont=3'], "unknown key 'devices.cuont'; did you mean 'count'?"),
    ],
)
def test_wrong_input_says_what_and_how_to_mend_it(sec, tmp_path, arguments, message):
    result = sec('up', 'laptop', *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith('error: ')
    assert message in result.stderr
    assert 'Traceback' not in result.output
    assert list(tmp_path.iterdir()) == [], 'nothing was started, nothing was written'


def test_unknown_options_and_commands(sec):
    assert sec('up', 'laptop', '--bogus').exit_code == 2
    assert sec('fly').exit_code == 2
    assert sec('up').exit_code == 2
    assert sec('up', 'laptop', '--slots', 'many').exit_code == 2
    assert sec('up', 'laptop', '--backend', 'moon').exit_code == 2


def test_busy_domain_has_an_exit_code_of_its_own(sec, monkeypatch):
    def fly(request, **options):
        raise busy(0, 'pid 123, results/try')

    monkeypatch.setattr(flying, 'fly', fly)
    result = sec('up', 'laptop')
    assert result.exit_code == 3
    assert result.stderr == (
        'error: ROS domain 0 already has a sec_offload run (pid 123, results/try); '
        'stop it or choose another with ROS_DOMAIN_ID=1\n'
    )


def test_options_reach_the_request(sec, monkeypatch):
    seen = []
    monkeypatch.setattr(flying, 'fly', lambda request, **options: seen.append((request, options)))
    sec(
        'up', 'laptop', '--per-vehicle', '--fail', '1', '--fail', 'uav_1@20', '--plain',
        '--no-report', '--set', 'a=1', '--set', 'b=2', '--slots', '9',
    )  # fmt: skip
    request, options = seen[0]
    assert request == planning.Request(
        'laptop', slots=9, per_vehicle=True, failures=['1', 'uav_1@20'], settings=['a=1', 'b=2']
    )
    assert options == {'live': False, 'report': False}


def test_report_of_nothing(sec, tmp_path):
    assert 'run nix: no such folder' in sec('report', 'nix').stderr
    (tmp_path / 'results' / 'empty').mkdir(parents=True)
    result = sec('report', 'empty')
    assert result.exit_code == 1
    assert 'error: no report' in result.stderr


def test_listings(sec):
    assert 'greedy' in sec('controllers').output
    assert 'survey' in sec('scenarios').output
    assert 'testbed_example' in sec('fleets').output
    assert 'scene-s' in sec('models', 'list').output
    assert sec('version').output == f'{__version__}\n'


@pytest.mark.parametrize(
    'command', ['', 'up', 'report', 'controllers', 'params', 'models', 'models eval']
)
def test_help_reads_as_help(sec, command):
    result = sec(*command.split(), '--help')
    assert result.exit_code == 0
    assert 'Usage: ' in result.output


def test_parameters_without_ros_say_what_to_do(sec, monkeypatch):
    importing = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.startswith('rclpy'):
            raise ImportError("No module named 'rclpy'")
        return importing(name, *arguments, **options)

    monkeypatch.setitem(sys.modules, 'rclpy', None)
    monkeypatch.setattr(builtins, '__import__', refuse)
    result = sec('params')
    assert result.exit_code == 2
    assert 'rclpy cannot be imported' in result.stderr
    assert '`source scripts/env.sh`' in result.stderr


def test_unknown_node(sec):
    assert "unknown node 'uva'; did you mean 'uav'" in sec('params', '--node', 'uva').stderr


def test_markdown_table_escapes_what_would_break_it():
    text = markdown_tables({'uav': [Row('ids', 'str', "'all'", '', 'all | some')]})
    assert text.splitlines()[-1] == r"| `ids` | str | `'all'` |  | all \| some |"


def test_ros_free_commands_do_not_import_ros(sec):
    import subprocess

    code = (
        'import sys, sec_nodes.cli.main, sec_nodes.cli.up, sec_nodes.cli.listings, '
        'sec_nodes.fleet.plan, sec_nodes.fleet.runner, sec_nodes.fleet.view\n'
        'sys.exit("rclpy" in sys.modules or "torch" in sys.modules)'
    )
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def test_config_errors_of_many_lines_are_prefixed_each(capsys):
    with pytest.raises(cli.typer.Exit), cli.clear_errors():
        raise ConfigError('one\ntwo')
    assert capsys.readouterr().err == 'error: one\nerror: two\n'
