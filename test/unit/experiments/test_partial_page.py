"""The report and the published page of partial's reproduction."""

import json

import pytest
from made_up_partial import PLAN, MadeUpMissions

from sec_nodes.config import ConfigError
from sec_nodes.experiments import reproduction
from sec_nodes.experiments.judging import write_claims
from sec_nodes.experiments.partial.plans import PLANS, QUICK
from sec_nodes.experiments.partial.reproduce import PartialExperiment
from sec_nodes.experiments.rows import rows_of
from sec_nodes.paths import share_dir

DOCS = share_dir() / 'docs'
EXPERIMENT = PartialExperiment()
PUBLISHED = DOCS / EXPERIMENT.published
STEMS = [*(f'fig{number}' for number in range(3, 8)), 'algorithm1']
MOST_BYTES = 700_000


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Tables and pictures of everything, from missions that nobody planned."""
    made = tmp_path_factory.mktemp('made-up')
    for exhibit in EXPERIMENT.exhibits:
        EXPERIMENT.write(exhibit, PLAN, made, MadeUpMissions())
    reproduction.write_report(EXPERIMENT, PLAN, made, MadeUpMissions())
    return made


def test_a_folder_gets_tables_pictures_summary_claims_and_report(folder):
    assert {path.name for path in folder.iterdir()} == {
        *(f'{stem}{end}' for stem in STEMS for end in ('.csv', '.png')),
        'summary.json',
        'claims.csv',
        'report.md',
    }
    for stem in STEMS:
        assert (folder / f'{stem}.png').read_bytes().startswith(b'\x89PNG')


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
    part = tmp_path / 'part'
    part.mkdir()
    (part / 'fig4.csv').write_bytes((folder / 'fig4.csv').read_bytes())
    with pytest.raises(ConfigError, match='lacks Figs 3, 5, 6, 7, algorithm 1;'):
        reproduction.publish(EXPERIMENT, part, tmp_path)


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


def test_the_page_in_docs_is_made_from_the_tables_beside_it():
    text = (DOCS / EXPERIMENT.published_page).read_text(encoding='utf-8')
    assert text == EXPERIMENT.page(PUBLISHED, f'{EXPERIMENT.published}/'), (
        'python -m sec_nodes.experiments.reproduction partial writes the page anew'
    )


def test_claims_in_docs_are_those_of_the_tables(tmp_path):
    rows = rows_of(PUBLISHED, EXPERIMENT.exhibits)
    assert list(rows) == list(EXPERIMENT.exhibits)
    found = EXPERIMENT.claims(row for table in rows.values() for row in table)
    write_claims(tmp_path / 'claims.csv', found)
    assert (PUBLISHED / 'claims.csv').read_text() == (tmp_path / 'claims.csv').read_text()


def test_what_is_published_is_real_and_small():
    plan = json.loads((PUBLISHED / 'summary.json').read_text())['plan']
    assert plan['name'] in PLANS
    assert plan['episodes'] == PLANS[plan['name']].episodes
    assert sum(path.stat().st_size for path in PUBLISHED.iterdir()) < MOST_BYTES


def test_no_plan_of_the_proposal_that_is_published_breaks_a_constraint():
    tables = rows_of(PUBLISHED, EXPERIMENT.exhibits)
    broken = [row for row in tables[3] if row.quantity.startswith('broken ')]
    assert {row.player for row in broken} <= {'ellipse', 'tsp', 'tsp_hover'}
    totals = [row for row in tables[5] if row.quantity == 'broken' and row.player == 'sca_bcd']
    assert totals
    assert all(row.value == 0 for row in totals)
