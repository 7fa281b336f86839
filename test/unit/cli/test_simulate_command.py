"""`sec simulate` as its user sees it."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from sec_nodes.cli import main as cli
from sec_nodes.controllers.base import Controller

SHORT = ('--slots', '3', '--episodes', '2')


@pytest.fixture
def sec(tmp_path, monkeypatch):
    """Call `sec simulate` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str):
        return CliRunner().invoke(cli.app, ['simulate', *arguments], env={'COLUMNS': '100'})

    return call


def test_a_comparison_shows_everyone_and_the_reference(sec, tmp_path):
    result = sec('survey', '--compare', 'random,local_only', *SHORT, '--run', 'first')
    assert result.exit_code == 0, result.output
    for text in ('random', 'local_only', 'greedy', 'above greedy', '95% interval', 'paired'):
        assert text in result.output
    summary = json.loads((tmp_path / 'results' / 'first' / 'summary.json').read_text())
    assert set(summary['controllers']) == {'random', 'local_only', 'greedy'}
    assert summary['reference'] == 'greedy'
    assert (summary['slots'], summary['episodes'], summary['seed']) == (3, 2, 0)
    assert summary['settings']['name'] == 'survey'
    for name in ('episodes.csv', 'slots.csv', 'comparison.png'):
        assert (tmp_path / 'results' / 'first' / name).is_file()


def test_the_same_seed_gives_the_same_numbers(sec, tmp_path):
    def costs(run, seed):
        arguments = ('--controller', 'random', *SHORT, '--run', run, '--seed', seed)
        assert sec('survey', *arguments).exit_code == 0
        return (tmp_path / 'results' / run / 'slots.csv').read_text()

    first = costs('a', '5')
    assert costs('b', '5') == first
    assert costs('c', '6') != first


def test_results_are_not_written_over(sec):
    assert sec('survey', '--controller', 'local_only', *SHORT, '--run', 'once').exit_code == 0
    again = sec('survey', '--controller', 'local_only', *SHORT, '--run', 'once')
    assert again.exit_code == 2
    assert 'results/once is there already' in again.stderr


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['surve'], "unknown scenario 'surve'; did you mean 'survey'?"),
        (['survey:fast'], "unknown mode 'fast'"),
        (['none.yaml'], 'none.yaml: cannot be read'),
        (['survey', '--controller', 'gredy'], "unknown controller 'gredy'; did you mean 'greedy'"),
        (['survey', '--compare', 'greedy,rndom'], "unknown controller 'rndom'"),
        (['survey', '--compare', ','], '--compare names no controller'),
        (['survey', '--controller', 'greedy', '--compare', 'all'], 'exclude each other'),
        (['survey', '--slots', '101'], 'slots = 101: an episode of survey has 1 to 100 slots'),
        (['survey', '--episodes', '0'], 'episodes = 0'),
        (['survey', '--seed', '-1'], 'seed = -1'),
        (['survey', '--set', 'uavs.count=-1'], 'uavs.count = -1: Input should be greater than'),
        (['survey', '--set', 'radio.loss=2'], 'radio.loss = 2: Input should be less than'),
        (['survey', '--run', '../x'], "run = '../x'"),
        (['survey', '--set', 'devices.count=[1'], "'[1' is not valid YAML"),
        (['mllm', '--set', 'radio.noise_dbm=4000'], 'radio.noise_dbm = 4000: Input should be'),
        (['partial', '--set', 'tasks.file=data/no.json'], 'no.json cannot be read'),
        (['robust', '--set', 'failures.fixed=3'], 'command line: failures.fixed = 3 exceeds'),
        (['survey', '--results', '/dev/null/here'], 'cannot be made (Not a directory)'),
    ],
)  # fmt: skip
def test_wrong_input_says_what_and_how_to_mend_it(sec, tmp_path, arguments, message):
    result = sec(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith('error: ')
    assert message in result.stderr
    assert not (tmp_path / 'results').exists()


def test_a_file_of_one_s_own_is_named_with_its_line(sec, tmp_path):
    from sec_nodes.config import named_file

    lines = named_file('scenario', 'survey').read_text().splitlines()
    line = next(place for place, text in enumerate(lines) if 'rician_factor' in text)
    lines[line] = '  rician_factor: -3.0'
    (tmp_path / 'mine.yaml').write_text('\n'.join(lines))
    result = sec('mine.yaml', '--episodes', '1', '--slots', '1')
    assert result.exit_code == 2
    assert f'mine.yaml:{line + 1}: radio.rician_factor = -3.0' in result.stderr
    assert 'greater than or equal to 0' in result.stderr


@pytest.mark.parametrize(
    ('scenario', 'name'),
    [('survey', 'offload_all'), ('mllm', 'exhaustive'), ('maritime', 'jcorm'),
     ('partial', 'descent'), ('robust', 'random_feasible')],
)  # fmt: skip
def test_controllers_are_listed_by_scenario(scenario, name):
    result = CliRunner().invoke(cli.app, ['controllers', scenario], env={'COLUMNS': '100'})
    assert result.exit_code == 0
    assert name in result.output
    unknown = CliRunner().invoke(cli.app, ['controllers', scenario[:-1]])
    assert unknown.exit_code == 2
    assert f"did you mean '{scenario}'" in unknown.stderr


def test_a_reference_that_does_not_know_the_settings_is_left_out(sec):
    result = sec('mllm:literal', '--compare', 'greedy,random', '--slots', '1', '--episodes', '1')
    assert result.exit_code == 0, result.output
    assert 'optimum' not in result.output
    alone = sec('mllm:literal', '--controller', 'optimum', '--slots', '1', '--episodes', '1')
    assert alone.exit_code == 2
    assert alone.stderr.startswith('error: controller optimum: radio.interference = ')


def test_a_fixed_mission_is_played_once(sec, tmp_path):
    result = sec('partial', '--controller', 'tsp', '--run', 'tour')
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / 'results' / 'tour' / 'summary.json').read_text())
    assert (summary['episodes'], summary['slots']) == (1, 1)
    assert '1 episode of 1 slot.' in ' '.join(result.output.split())


def test_saving_by_dropping_work_is_no_gap(sec, tmp_path):
    result = sec('robust', '--compare', 'local_only,offload_all', '--run', 'r', *SHORT)
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / 'results' / 'r' / 'summary.json').read_text())
    rows = summary['controllers']
    assert rows['local_only']['cost']['mean'] < rows['optimum']['cost']['mean']
    assert rows['local_only']['above_reference_percent'] is None
    assert rows['offload_all']['above_reference_percent']['mean'] == pytest.approx(0, abs=1e-6)
    assert list(rows)[-1] == 'local_only'


class Curious(Controller):
    name = 'curious'

    def decide(self, state):
        return self.scenario.options(state, np.ones(1))


def test_a_controller_of_single_slots_that_asks_for_more_is_told_so(sec, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mine', sys.modules[__name__])
    result = sec('robust:feasible', '--controller', 'mine:Curious', *SHORT)
    assert result.exit_code == 2
    assert "controller curious asks its scenario for 'options', but robust offers" in result.stderr
