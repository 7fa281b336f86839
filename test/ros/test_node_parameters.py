"""Every node says in one line which parameter it cannot use, and ends with exit code 2."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from node_stage import TIMEOUT_S, next_domain, spawn

CASES = {
    'coordinator': {
        'slots:=-1': 'parameter slots = -1: must be at least 1',
        'speed:=.nan': 'parameter speed = nan: must be a finite number',
        'speed:=-1.0': 'parameter speed = -1.0: must be at least 0.0',
        'speed:=fast': 'parameter speed: ',
        'slots:=2.5': 'parameter slots: ',
        'fallback:=nearest': "unknown controller 'nearest'",
        'scenario:=surfey': "unknown scenario 'surfey'; did you mean 'survey'",
        'backend:=gazebo': "parameter backend = 'gazebo': must be one of sim, hardware",
    },
    'channel': {
        'seed:=-1': 'parameter seed = -1: must be at least 0',
        'scenario:=surfey': "unknown scenario 'surfey'",
    },
    'controller': {
        'controller:=gready': "unknown controller 'gready'; did you mean 'greedy'",
        'controller:=nowhere:Nothing': "controller 'nowhere:Nothing' cannot be imported",
        'scenario:=surfey': "unknown scenario 'surfey'",
    },
    'device': {
        'ids:=0-99': 'the scenario has 10',
        'images:=/nowhere': 'picture folder /nowhere does not exist',
        'heartbeat_s:=.inf': 'parameter heartbeat_s = inf: must be a finite number',
        'scenario:=surfey': "unknown scenario 'surfey'",
    },
    'uav': {
        'ids:=first': 'parameter ids',
        'control_hz:=0.0': 'parameter control_hz = 0.0: must be at least 1.0',
        'compute:=guessed': "parameter compute = 'guessed': must be one of emulated, measured",
        'scenario:=nowhere.yaml': 'nowhere.yaml',
    },
    'satellite': {
        "ids:='4'": 'the scenario has 4',
        'seed:=one': 'parameter seed: ',
        'scenario:=surfey': "unknown scenario 'surfey'",
    },
    'ground_station': {
        'seed:=1': "parameter store_dir = '': must name a folder",
        'store_dir:=/dev/null': "parameter store_dir = '/dev/null': ",
        'scenario:=survey': "parameter scenario = 'survey': has no ground station; fly maritime",
        'scenario:=surfey': "unknown scenario 'surfey'",
    },
}
PAIRS = [(node, parameter) for node, cases in CASES.items() for parameter in cases]


def exit_of(node: str, *parameters: str, **variables: str) -> tuple[int, str]:
    """Exit code and output of a node that is expected to end by itself."""
    with tempfile.TemporaryFile('w+') as log:
        process = spawn(node, next_domain(), *parameters, log=log, **variables)
        try:
            code = process.wait(TIMEOUT_S)
        finally:
            process.kill()
        log.seek(0)
        return code, log.read()


@pytest.fixture(scope='module')
def exits() -> Iterator[dict[tuple[str, str], Future[tuple[int, str]]]]:
    """All of them started in advance, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield {pair: pool.submit(exit_of, *pair) for pair in PAIRS}


@pytest.mark.parametrize(('node', 'parameter'), PAIRS)
def test_a_parameter_that_cannot_be_used_is_named(exits: Any, node: str, parameter: str) -> None:
    code, output = exits[node, parameter].result()
    assert code == 2, output
    assert output.startswith('error: '), output
    assert output.count('\n') == 1, output
    assert CASES[node][parameter] in output


def test_a_model_that_is_missing_or_altered_is_named(tmp_path: Path) -> None:
    from sec_nodes.inference.manifest import default_models_dir

    for source in default_models_dir().rglob('*'):
        if source.is_file():
            target = tmp_path / source.relative_to(default_models_dir())
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    [graph] = (tmp_path / 'scene-s').glob('*.onnx')
    graph.write_bytes(graph.read_bytes()[:-1])
    code, output = exit_of('uav', SEC_MODELS_DIR=str(tmp_path))
    assert (code, output.count('\n')) == (2, 1), output
    assert output.startswith('error: ')
    assert 'scene-s' in output
    graph.unlink()
    code, output = exit_of('device', SEC_MODELS_DIR=str(tmp_path))
    assert (code, output.count('\n')) == (2, 1), output
    assert str(graph) in output
