"""`sec train` where there is no torch: what is refused, what is shown, and who goes on."""

from __future__ import annotations

import json
import os
import sys

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sec_nodes.cli import main as cli
from sec_nodes.cli import train as training
from sec_nodes.cli import training_environment
from sec_nodes.cli.train_progress import Course, watching
from sec_nodes.learning.job import Job, Progress

FLAT = ['mllm:stress', '--algo', 'ad_sac_flat']


@pytest.fixture
def sec(tmp_path, monkeypatch):
    """Call `sec train` in an empty folder, without torch in reach."""
    monkeypatch.chdir(tmp_path)
    for module in (training, training_environment):
        monkeypatch.setattr(module, 'has_libraries', lambda names: False)
    monkeypatch.setattr(training_environment, 'training_python', lambda: tmp_path / 'none')

    def call(*arguments: str):
        return CliRunner().invoke(cli.app, ['train', *arguments], env={'COLUMNS': '100'})

    return call


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['mllm', '--algo', 'ad_sack'], "unknown algorithm 'ad_sack'; did you mean 'ad_sac'?"),
        (['mllm', '--algo', ','], '--algo names no algorithm'),
        (['mllm'], 'name a scenario and --algo'),
        (['maritime', '--algo', 'ad_sac'], "scenario 'maritime' cannot be learnt yet"),
        (['mllm:stres', '--algo', 'ad_sac'], "unknown mode 'stres'; did you mean 'stress'?"),
        ([*FLAT, '--profile', 'paper'], "unknown profile 'paper'"),
        ([*FLAT, '--set', 'gama=1'], "unknown key 'gama'; did you mean 'gamma'?"),
        ([*FLAT, '--set', 'gamma'], "override 'gamma' is not of the form key=value"),
        ([*FLAT, '--set-scenario', 'devices.cuont=3'], "'devices.cuont'; did you mean 'count'?"),
        ([*FLAT, '--seeds', '0'], 'seeds = 0: must be at least 1'),
        ([*FLAT, '--steps', '0'], 'steps = 0: must be at least 1'),
        ([*FLAT, '--minutes', 'nan'], 'minutes = nan: must be at least 0'),
        ([*FLAT, '--workers', '0'], 'workers = 0: must be at least 1'),
        (['--resume', 'none'], '--resume none: none/order.json is missing or damaged'),
        (FLAT, 'torch and tensorboard are needed for this and are not installed'),
        (FLAT, 'make setup-train'),
    ],
)
def test_wrong_input_says_what_and_how_to_mend_it(sec, tmp_path, arguments, message):
    result = sec(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith('error: ') and message in result.stderr
    assert 'Traceback' not in result.output
    assert not any(tmp_path.iterdir())


def test_without_torch_the_training_environment_goes_on(sec, tmp_path, monkeypatch):
    python = tmp_path / 'bin' / 'python'
    python.parent.mkdir()
    python.touch()
    monkeypatch.setattr(training_environment, 'training_python', lambda: python)
    monkeypatch.setattr(sys, 'argv', ['sec', 'train', *FLAT])
    calls = []

    def execve(path, arguments, environment):
        calls.append((path, arguments, environment['PYTHONPATH'].split(os.pathsep)[0]))
        raise SystemExit(7)  # a replaced process does not come back

    monkeypatch.setattr(os, 'execve', execve)
    assert sec(*FLAT).exit_code == 7
    root = str(training_environment.ROOT)
    order = [str(python), '-m', 'sec_nodes.cli.main', 'train', *FLAT]
    assert calls == [(python, order, root)]


@pytest.fixture
def earlier(tmp_path):
    """Folder of a run that can be resumed."""
    folder = tmp_path / 'results' / 'early'
    folder.mkdir(parents=True)
    order = training.Order('mllm:stress', ('ad_sac_flat',), 2, 500, None, 'default', {}, {})
    kept = {**order.__dict__, 'algorithms': list(order.algorithms)}
    (folder / training.ORDER).write_text(json.dumps(kept))
    return folder


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['mllm'], 'is a run of mllm:stress, not mllm'),
        (['--algo', 'ppo'], '--algo cannot change'),
        (['--seeds', '3'], '--seeds cannot change'),
        (['--profile', 'paper_text'], '--profile cannot change'),
        (['--set', 'gamma=0.5'], '--set cannot change'),
        (['--run', 'other'], '--run cannot change'),
    ],
)
def test_a_resumed_run_stays_what_it_was(sec, earlier, arguments, message):
    result = sec('--resume', 'early', *arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_a_resumed_run_may_become_longer(sec, earlier, monkeypatch):
    seen = []
    monkeypatch.setattr(training, 'check', lambda order: seen.append(order) or ('mllm', 'stress'))
    sec('--resume', 'early')
    sec('--resume', str(earlier), 'mllm:stress', '--seeds', '2', '--steps', '900')
    assert [order.steps for order in seen] == [500, 900]
    assert all(order.algorithms == ('ad_sac_flat',) and order.seeds == 2 for order in seen)


def course(steps=1000, minutes=None):
    return Course(Job('ppo', 'mllm', 0, None, steps=steps, minutes=minutes))


def progress(steps, updates=0, cpu_s=0.0, **figures):
    return Progress(steps, updates, cpu_s, cpu_s, figures)


def test_time_left_follows_the_pace():
    run = course()
    assert (run.share, run.left_s) == (0, None)
    run.take(progress(200), now_s=10)
    assert run.left_s is None  # no pace yet
    run.take(progress(400, updates=50), now_s=20)
    assert run.share == 0.4
    assert run.rate(lambda report: report.updates) == 5
    assert run.left_s == 30  # 600 steps at 20 a second
    assert run.cells() == ['400', '', '', '', '5', '0:00:30']


def test_of_two_budgets_the_first_to_be_used_up_counts():
    run = course(steps=1000, minutes=1)
    run.take(progress(0, cpu_s=0), now_s=0)
    run.take(progress(100, cpu_s=30), now_s=40)
    assert run.share == 0.5
    assert run.left_s == 40  # 30 s of CPU time at 0.75; 900 steps would take 360 s


def test_without_a_terminal_there_are_lines(capsys):
    jobs = [Job('ppo', 'mllm', seed, None, steps=100) for seed in range(2)]
    with watching(jobs, Console(width=40)) as tell:
        tell(1, progress(20, cost=3.5, reward=-3.5, violations=0.0))
        tell(1, progress(40))  # too soon for another line
        tell(1, progress(100))
        tell(1, progress(100))  # said already
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'ppo seed 1: steps 20, cost 3.5, reward -3.5, violations 0'
    assert [line.split(',')[0] for line in lines] == [
        'ppo seed 1: steps 20',
        'ppo seed 1: steps 100',
    ]
