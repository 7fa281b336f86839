"""The report of mllm's reproduction."""

import json

import pytest
from made_up import PLAN, MadeUpStore
from reports import assert_holds, write_report

from sec_nodes.config import ConfigError
from sec_nodes.experiments import reproduction
from sec_nodes.experiments.mllm.page import page
from sec_nodes.experiments.mllm.plans import QUICK
from sec_nodes.experiments.mllm.reproduce import MllmExperiment
from sec_nodes.experiments.rows import rows_of

EXPERIMENT = MllmExperiment()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Tables and pictures of two figures, from results that are made up."""
    made = tmp_path_factory.mktemp('made-up')
    return write_report(EXPERIMENT, (4, 7), PLAN, MadeUpStore(), made)


def test_a_folder_gets_tables_pictures_summary_claims_and_report(folder):
    assert_holds(folder, ('fig4', 'fig7'), 'fig4_curves.csv')


def test_the_report_says_what_was_done_and_what_came_of_it(folder):
    text = (folder / 'report.md').read_text()
    assert 'Plan **made-up**' in text
    assert '| `ad_sac_flat` | mllm:fig7 | 1 | 100 | 50 | 4 |' in text
    assert '![Fig. 7](fig7.png)' in text
    assert '| printed, AD-SAC |  | 1.41 | - | - | - | 2.19 |' in text
    assert '## Fig. 3' not in text
    # every player at five places: 30 * 1.05 at the first
    line = next(
        line for line in text.splitlines() if line.startswith('| `ad_sac_flat` | 1 | 31.5')
    )
    assert line.count('31.5') == 5


def test_the_report_comes_from_the_files_alone(folder):
    assert page(folder, '') == (folder / 'report.md').read_text()
    assert sorted(rows_of(folder, EXPERIMENT.exhibits)) == [4, 7]


def test_the_summary_counts_what_was_spent(folder):
    summary = json.loads((folder / 'summary.json').read_text())
    # Fig. 4: three rates, the usual one twice; Fig. 7: six learners
    assert summary['trainings'] == 4 + 6
    assert summary['plan']['name'] == 'made-up'
    # 4 s a training, 2 s a play: Fig. 4 has 4 simple ones and 4 policies, Fig. 7 10 at 5 places
    assert summary['plays'] == 8 + 50
    assert summary['cpu_s'] == 4 * 10 + 2 * 58


def test_a_folder_of_another_plan_is_refused(folder):
    with pytest.raises(ConfigError, match=r'holds results of another plan \(made-up\)'):
        reproduction.reproduce(EXPERIMENT, [4], QUICK, folder, 1)


def test_publishing_needs_all_figures(folder, tmp_path):
    with pytest.raises(ConfigError, match='lacks Figs 3, 5, 6, 8'):
        reproduction.publish(EXPERIMENT, folder, tmp_path)


def test_published_is_what_was_reproduced(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(MllmExperiment, 'exhibits', (4, 7))
    reproduction.publish(EXPERIMENT, folder, tmp_path)
    for name in ('fig4_curves.csv', 'fig7.csv', 'claims.csv', 'summary.json'):
        copied = tmp_path / 'results' / 'mllm' / name
        assert copied.read_bytes() == (folder / name).read_bytes()
    text = (tmp_path / 'reproduce_mllm.md').read_text()
    assert '![Fig. 4](results/mllm/fig4.png)' in text
    assert text.replace('results/mllm/', '') == (folder / 'report.md').read_text()
