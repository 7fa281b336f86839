"""The report of robust's reproduction."""

import json

import pytest
from made_up_robust import PLAN, MadeUpTrials
from reports import assert_fig4_is_not_enough, assert_holds, write_report

from sec_nodes.experiments import reproduction
from sec_nodes.experiments.robust.plans import QUICK
from sec_nodes.experiments.robust.reproduce import RobustExperiment

EXPERIMENT = RobustExperiment()
STEMS = ['fig3', 'fig4', 'fig5', 'failures', 'moments', 'progress', 'reserve', 'theorem']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Tables and pictures of everything, from trials that nobody played."""
    made = tmp_path_factory.mktemp('made-up')
    return write_report(EXPERIMENT, EXPERIMENT.exhibits, PLAN, MadeUpTrials(), made)


def test_a_folder_gets_tables_pictures_summary_claims_and_report(folder):
    assert_holds(folder, STEMS, 'fig3_curves.csv')


def test_the_report_says_what_was_done_and_what_came_of_it(folder):
    text = (folder / 'report.md').read_text()
    assert 'Plan **made-up**' in text
    assert 'sec reproduce robust --made-up' in text
    assert '![Theorem](theorem.png)' in text
    # run s of SAC-PER is s hundredths above 22, worlds are 1.05 on average
    assert '| `sac_per` | 2 | 23.2 [' in text
    # 80 % with an association that is kept
    assert '| 1 | optimum: association kept, none | 21 [' in text
    assert (
        'Mode `feasible`: 2 trainings of 4,000 slots each; others: `redq` 1 of 2,000, '
        '`sac_per, flat` 1 of 2,000, `sac, flat` 1 of 2,000.'
    ) in text
    assert 'Learners that are `flat` learn with batch 64, warm_up 400' in text
    assert '| `sac, flat` | robust:feasible | 1 | 2,000 |' in text
    assert '| `redq` | robust:feasible | 1 | 2,000 | 50 | 4 |' in text


def test_the_report_comes_from_the_files_alone(folder):
    assert EXPERIMENT.page(folder, '') == (folder / 'report.md').read_text()
    summary = json.loads((folder / 'summary.json').read_text())
    jobs = {job for exhibit in EXPERIMENT.exhibits for job in EXPERIMENT.jobs(exhibit, PLAN)}
    assert summary['trials'] == len(jobs)
    assert summary['trainings'] == 8
    assert summary['cpu_s'] == 2 * len(jobs) + 4 * 8


def test_publishing_needs_everything(folder, tmp_path):
    assert_fig4_is_not_enough(EXPERIMENT, folder, tmp_path, 'lacks Figs 3, 5, failures, moments,')


def test_names_of_exhibits_do_not_begin_each_other():
    """Files are found by how their names begin."""
    assert not [(a, b) for a in STEMS for b in STEMS if a != b and b.startswith(a)]


def test_libraries_are_for_trainings_that_are_not_done(tmp_path):
    assert EXPERIMENT.needs_libraries([3], PLAN, tmp_path)
    assert not EXPERIMENT.needs_libraries([5, 'theorem'], QUICK, tmp_path)


@pytest.mark.slow
def test_a_reproduction_from_the_first_trial_to_the_report(tmp_path):
    """The theorem for real."""
    seen = []
    written = reproduction.reproduce(EXPERIMENT, ['theorem'], PLAN, tmp_path, 1, seen.append)
    assert seen[-1].done == seen[-1].total == 12
    assert [path.name for path in written] == [
        'theorem.csv', 'theorem.png', 'summary.json', 'claims.csv', 'report.md'
    ]  # fmt: skip
    again = []
    reproduction.reproduce(EXPERIMENT, ['theorem'], PLAN, tmp_path, 1, again.append)
    assert again == []  # all trials are there
    claims = (tmp_path / 'claims.csv').read_text().replace('"', '')
    assert 'mode paper,effectiveness and necessity' in claims
    assert '0.001: 100 [100, 100]; 1: 100 [100, 100],does not hold' in claims
