"""`sec reproduce`: what it refuses, and how it goes on where torch is."""

from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sec_nodes.cli import reproduce as command
from sec_nodes.cli.main import app

runner = CliRunner()


def order(**changes):
    values = {
        'experiment': 'mllm',
        'figures': ['4'],
        'tables': [],
        'quick': False,
        'full': False,
        'results': Path('somewhere'),
        'publish': False,
    }
    return command.Order(**(values | changes))


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['naval'], "unknown experiment 'naval'; known: maritime, mllm, partial"),
        (['mlm'], 'mllm'),
        (['mllm', '--figure', '9'], '--figure 9: known are 3, 4, 5, 6, 7, 8'),
        (['mllm', '--figure', '3', '--figure', '2'], '--figure 2: known are'),
        (['mllm', '--table', '2'], '--table 2: known are none'),
        (['maritime', '--figure', '2'], '--figure 2: known are 3, 4, 5, 6, 7, 8, 9'),
        (['maritime', '--table', '1'], '--table 1: known are 2'),
        (['partial', '--figure', 'algorithm'], 'known are 3, 4, 5, 6, 7, algorithm1'),
        (['robust', '--figure', 'table2'], 'known are 3, 4, 5, failures, moments, progress, re'),
        (['mllm', '--quick', '--full'], '--quick and --full exclude each other'),
    ],
)
def test_what_cannot_be_reproduced_is_refused(arguments, words, tmp_path):
    result = runner.invoke(app, ['reproduce', *arguments, '--results', str(tmp_path)])
    assert result.exit_code == 2
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('experiment', 'figures', 'tables', 'exhibits'),
    [
        ('robust', ['failures', '4'], [], {4, 'failures'}),
        ('maritime', ['4'], [2], {4, 'table2'}),
        ('partial', [], [], {3, 4, 5, 6, 7, 'algorithm1'}),
    ],
)
def test_figures_are_chosen_by_number_or_name(
    experiment, figures, tables, exhibits, tmp_path, monkeypatch
):
    done = []
    monkeypatch.setattr(command, 'has_libraries', lambda names: True)
    monkeypatch.setattr(command, 'reproduce', lambda wanted, these, *_: done.extend(these) or [])
    what = order(experiment=experiment, figures=figures, tables=tables, results=tmp_path)
    assert command.carry_out(what, Console()) == 0
    assert len(done) == len(exhibits)
    assert set(done) == exhibits


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(command, 'has_libraries', lambda names: True)
    (tmp_path / 'file').write_text('')
    result = runner.invoke(app, ['reproduce', 'mllm', '--results', str(tmp_path / 'file')])
    assert result.exit_code == 2
    assert 'give another --results' in result.stderr


def test_without_torch_it_goes_on_elsewhere_with_the_same_order(monkeypatch, tmp_path):
    gone = []

    def go_on_there(libraries, arguments):
        gone.append(arguments)
        raise SystemExit

    monkeypatch.setattr(command, 'has_libraries', lambda names: False)
    monkeypatch.setattr(command, 'go_on_there', go_on_there)
    with pytest.raises(SystemExit):
        command.carry_out(order(full=True, results=tmp_path, publish=True), Console())
    (arguments,) = gone
    assert arguments[:2] == ['-m', 'sec_nodes.cli.main']
    understood = []
    monkeypatch.setattr(command, 'carry_out', lambda order, console: understood.append(order) or 0)
    result = runner.invoke(app, arguments[2:])
    assert result.exit_code == 0
    assert understood == [order(full=True, results=tmp_path, publish=True)]


def test_a_failed_job_is_told(monkeypatch, tmp_path):
    def reproduce(*_):
        raise command.JobError('train ppo mllm:paper seed 0: no luck')

    monkeypatch.setattr(command, 'has_libraries', lambda names: True)
    monkeypatch.setattr(command, 'reproduce', reproduce)
    console = Console(record=True, width=200)
    assert command.carry_out(order(results=tmp_path), console) == 1
    assert 'train ppo mllm:paper seed 0: no luck' in console.export_text()


def test_an_interrupted_run_says_how_to_go_on(monkeypatch, tmp_path):
    def reproduce(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, 'has_libraries', lambda names: True)
    monkeypatch.setattr(command, 'reproduce', reproduce)
    console = Console(record=True, width=200)
    assert command.carry_out(order(results=tmp_path), console) == 130
    assert 'call again to go on' in console.export_text()
