"""The report of maritime's reproduction."""

import json

import pytest
from made_up_maritime import PLAN, MadeUpGames
from reports import assert_fig4_is_not_enough, assert_holds, write_report

from sec_nodes.config import ConfigError
from sec_nodes.experiments import reproduction
from sec_nodes.experiments.maritime.plans import PLANS, QUICK
from sec_nodes.experiments.maritime.reproduce import MaritimeExperiment
from sec_nodes.experiments.rows import rows_of

EXPERIMENT = MaritimeExperiment()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Tables and pictures of everything, from results that are made up."""
    made = tmp_path_factory.mktemp('made-up')
    return write_report(EXPERIMENT, EXPERIMENT.exhibits, PLAN, MadeUpGames(), made)


def test_a_folder_gets_tables_pictures_summary_claims_and_report(folder):
    assert_holds(folder, [*(f'fig{number}' for number in range(3, 10)), 'table2'])


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
    assert_fig4_is_not_enough(
        EXPERIMENT, folder, tmp_path, 'lacks Figs 3, table 2, 5, 6, 7, 8, 9;'
    )


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
