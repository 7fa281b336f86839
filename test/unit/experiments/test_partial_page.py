"""The report of partial's reproduction."""

import json

import pytest
from made_up_partial import PLAN, MadeUpMissions
from reports import assert_fig4_is_not_enough, assert_holds, write_report

from sec_nodes.experiments import reproduction
from sec_nodes.experiments.partial.plans import QUICK
from sec_nodes.experiments.partial.reproduce import PartialExperiment
from sec_nodes.experiments.rows import rows_of
from sec_nodes.paths import share_dir

EXPERIMENT = PartialExperiment()
PUBLISHED = share_dir() / 'docs' / EXPERIMENT.published
STEMS = [*(f'fig{number}' for number in range(3, 8)), 'algorithm1']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Tables and pictures of everything, from missions that nobody planned."""
    made = tmp_path_factory.mktemp('made-up')
    return write_report(EXPERIMENT, EXPERIMENT.exhibits, PLAN, MadeUpMissions(), made)


def test_a_folder_gets_tables_pictures_summary_claims_and_report(folder):
    assert_holds(folder, STEMS)


def test_the_report_says_what_was_done_and_what_came_of_it(folder):
    text = (folder / 'report.md').read_text()
    assert 'Plan **made-up**' in text
    assert 'sec reproduce partial --made-up' in text
    assert '![Algorithm 1](algorithm1.png)' in text
    # the numbers of docs/scenario_partial.md
    assert '| `ellipse` | 10695.5 | 6 |' in text
    assert '| `tsp_hover` | 13600.1 | 4 |' in text
    assert '| `ellipse` | program | task 4 | 0.164 |' in text
    assert '| `tsp` | intermediate | task 3 | inf |' in text


def test_the_report_comes_from_the_files_alone(folder):
    assert EXPERIMENT.page(folder, '') == (folder / 'report.md').read_text()
    summary = json.loads((folder / 'summary.json').read_text())
    jobs = {job for exhibit in EXPERIMENT.exhibits for job in EXPERIMENT.jobs(exhibit, PLAN)}
    assert summary['cpu_s'] == 2 * len(jobs)


def test_publishing_needs_everything(folder, tmp_path):
    assert_fig4_is_not_enough(EXPERIMENT, folder, tmp_path, 'lacks Figs 3, 5, 6, 7, algorithm 1;')


@pytest.mark.slow
def test_a_reproduction_from_the_first_plan_to_the_report(tmp_path):
    """Fig. 3 for real."""
    seen = []
    written = reproduction.reproduce(EXPERIMENT, [3], PLAN, tmp_path, 1, seen.append)
    assert seen[-1].done == seen[-1].total == 6
    assert [path.name for path in written] == [
        'fig3.csv', 'fig3.png', 'summary.json', 'claims.csv', 'report.md'
    ]  # fmt: skip
    again = []
    reproduction.reproduce(EXPERIMENT, [3], PLAN, tmp_path, 1, again.append)
    assert again == []  # all plans are there
    claims = (tmp_path / 'claims.csv').read_text()
    assert '3,OP meets all deadlines,all tasks,`sca_bcd` misses 0;' in claims.replace('"', '')


def test_nothing_needs_to_be_trained(tmp_path):
    assert not EXPERIMENT.needs_libraries(EXPERIMENT.exhibits, QUICK, tmp_path)


def test_no_plan_of_the_proposal_that_is_published_breaks_a_constraint():
    tables = rows_of(PUBLISHED, EXPERIMENT.exhibits)
    broken = [row for row in tables[3] if row.quantity.startswith('broken ')]
    assert {row.player for row in broken} <= {'ellipse', 'tsp', 'tsp_hover'}
    totals = [row for row in tables[5] if row.quantity == 'broken' and row.player == 'sca_bcd']
    assert totals
    assert all(row.value == 0 for row in totals)
