"""The report and the published page of maritime's reproduction."""

import json

import pytest
from made_up_maritime import PLAN, MadeUpGames

from sec_nodes.config import ConfigError
from sec_nodes.experiments import reproduction
from sec_nodes.experiments.judging import write_claims
from sec_nodes.experiments.maritime.figures import TABLE_2
from sec_nodes.experiments.maritime.plans import PLANS, QUICK
from sec_nodes.experiments.maritime.reproduce import MaritimeExperiment
from sec_nodes.experiments.rows import rows_of
from sec_nodes.paths import share_dir

DOCS = share_dir() / 'docs'
EXPERIMENT = MaritimeExperiment()
PUBLISHED = DOCS / EXPERIMENT.published
MOST_BYTES = 600_000


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Tables and pictures of everything, from results that are made up."""
    made = tmp_path_factory.mktemp('made-up')
    for exhibit in EXPERIMENT.exhibits:
        EXPERIMENT.write(exhibit, PLAN, made, MadeUpGames())
    reproduction.write_report(EXPERIMENT, PLAN, made, MadeUpGames())
    return made


def test_a_folder_gets_tables_pictures_summary_claims_and_report(folder):
    stems = [f'fig{number}' for number in range(3, 10)] + ['table2']
    assert {path.name for path in folder.iterdir()} == {
        *(f'{stem}{end}' for stem in stems for end in ('.csv', '.png')),
        'summary.json',
        'claims.csv',
        'report.md',
    }
    for stem in stems:
        assert (folder / f'{stem}.png').read_bytes().startswith(b'\x89PNG')


def test_the_report_says_what_was_done_and_what_came_of_it(folder):
    text = (folder / 'report.md').read_text()
    assert 'Plan **made-up**' in text
    assert '![Table 2](table2.png)' in text
    # after ten slots of 600, and 1.05 for how easy the experiments are on average
    assert '| `sca` | 318.21 | 5 [4, 6] | 1989 | 200 |' in text
    assert '| `half_slot` | +41.5 | +50 [+50, +50] | 4 |' in text
    assert '| `half_slot` | late tasks [%] | 10 | 10 | 10 | 10 | 10 |' in text
    assert 'No task is late, no upload early.' in text.partition('## Fig. 6')[2]
    assert '`genetic 10x20` has a population of 10 and 20 generations' in text


def test_the_report_comes_from_the_files_alone(folder):
    assert EXPERIMENT.page(folder, '') == (folder / 'report.md').read_text()
    summary = json.loads((folder / 'summary.json').read_text())
    assert summary['cpu_s'] == 2 * summary['games']


def test_a_folder_of_another_plan_is_refused(folder):
    with pytest.raises(ConfigError, match=r'holds results of another plan \(made-up\)'):
        reproduction.reproduce(EXPERIMENT, [4], QUICK, folder, 1)


def test_publishing_needs_all_figures_and_the_table(folder, tmp_path):
    part = tmp_path / 'part'
    part.mkdir()
    (part / 'fig4.csv').write_bytes((folder / 'fig4.csv').read_bytes())
    with pytest.raises(ConfigError, match='lacks Figs 3, table 2, 5, 6, 7, 8, 9;'):
        reproduction.publish(EXPERIMENT, part, tmp_path)


def test_published_is_what_was_reproduced(folder, tmp_path):
    reproduction.publish(EXPERIMENT, folder, tmp_path)
    for name in ('fig3.csv', 'table2.png', 'claims.csv', 'summary.json'):
        copied = tmp_path / 'results' / 'maritime' / name
        assert copied.read_bytes() == (folder / name).read_bytes()
    text = (tmp_path / 'reproduce_maritime.md').read_text()
    assert text.replace('results/maritime/', '') == (folder / 'report.md').read_text()


def test_a_reproduction_from_the_first_game_to_the_report(tmp_path):
    """Fig. 8 for real: many places, quick players only."""
    tiny = PLANS['quick'].__class__(**{**vars(PLAN), 'episodes': 2})
    seen = []
    written = reproduction.reproduce(EXPERIMENT, [8], tiny, tmp_path, 1, seen.append)
    assert seen[-1].done == seen[-1].total == 48
    assert [path.name for path in written] == [
        'fig8.csv', 'fig8.png', 'summary.json', 'claims.csv', 'report.md'
    ]  # fmt: skip
    rows = rows_of(tmp_path, EXPERIMENT.exhibits)[8]
    assert {row.x for row in rows} == {5, 10, 15, 20}
    again = []
    reproduction.reproduce(EXPERIMENT, [8], tiny, tmp_path, 1, again.append)
    assert again == []  # all games are there


def test_nothing_needs_to_be_trained(tmp_path):
    assert not EXPERIMENT.needs_libraries(EXPERIMENT.exhibits, QUICK, tmp_path)


def test_the_page_in_docs_is_made_from_the_tables_beside_it():
    if not PUBLISHED.is_dir():
        pytest.skip('nothing is published yet')
    text = (DOCS / EXPERIMENT.published_page).read_text(encoding='utf-8')
    assert text == EXPERIMENT.page(PUBLISHED, f'{EXPERIMENT.published}/'), (
        'python -m sec_nodes.experiments.reproduction maritime writes the page anew'
    )


def test_claims_in_docs_are_those_of_the_tables(tmp_path):
    if not PUBLISHED.is_dir():
        pytest.skip('nothing is published yet')
    rows = rows_of(PUBLISHED, EXPERIMENT.exhibits)
    assert list(rows) == list(EXPERIMENT.exhibits)
    assert TABLE_2 in rows
    found = EXPERIMENT.claims(row for table in rows.values() for row in table)
    write_claims(tmp_path / 'claims.csv', found)
    assert (PUBLISHED / 'claims.csv').read_text() == (tmp_path / 'claims.csv').read_text()


def test_what_is_published_is_real_and_small():
    if not PUBLISHED.is_dir():
        pytest.skip('nothing is published yet')
    plan = json.loads((PUBLISHED / 'summary.json').read_text())['plan']
    assert plan['name'] in PLANS
    assert plan['episodes'] == PLANS[plan['name']].episodes
    assert sum(path.stat().st_size for path in PUBLISHED.iterdir()) < MOST_BYTES
