"""What docs/ says of all reproductions is what its tables say."""

import json

import pytest

from sec_nodes.experiments.judging import write_claims
from sec_nodes.experiments.registry import experiment
from sec_nodes.experiments.rows import rows_of
from sec_nodes.paths import share_dir

DOCS = share_dir() / 'docs'
MOST_BYTES = {'mllm': 1_500_000, 'maritime': 600_000, 'partial': 700_000, 'robust': 900_000}


@pytest.fixture(params=MOST_BYTES)
def published(request):
    """An experiment, and the folder of what is published of it."""
    found = experiment(request.param)
    return found, DOCS / found.published


def test_the_page_in_docs_is_made_from_the_tables_beside_it(published):
    one, folder = published
    text = (DOCS / one.published_page).read_text(encoding='utf-8')
    assert text == one.page(folder, f'{one.published}/'), (
        f'python -m sec_nodes.experiments.reproduction {one.name} writes the page anew'
    )


def test_claims_in_docs_are_those_of_the_tables(published, tmp_path):
    one, folder = published
    rows = rows_of(folder, one.exhibits)
    assert list(rows) == list(one.exhibits)
    found = one.claims(row for table in rows.values() for row in table)
    write_claims(tmp_path / 'claims.csv', found)
    assert (folder / 'claims.csv').read_text() == (tmp_path / 'claims.csv').read_text()


def test_what_is_published_is_real_and_small(published):
    one, folder = published
    plan = json.loads((folder / 'summary.json').read_text())['plan']
    assert plan['name'] in one.plans
    assert plan['episodes'] == one.plans[plan['name']].episodes
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST_BYTES[one.name]


def test_published_trainings_of_mllm_are_whole():
    summary = json.loads((DOCS / experiment('mllm').published / 'summary.json').read_text())
    plan = summary['plan']
    for entry in summary['spent']:
        in_time = plan['minutes'] is not None and entry['cpu_s'] >= 60 * plan['minutes']
        assert in_time or entry['steps'] >= plan['steps'], entry
