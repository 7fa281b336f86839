"""Questions in a report: who answered how well, and how it is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from report_rows import Writer, outcome, tasks

from sec_nodes.inference.sea.questions import pose
from sec_nodes.report import build, summarise

POSED = pose(2**62 + 5, 'count')


def answered(number: int, **values: object) -> dict[str, object]:
    row = {
        'prompt': POSED.prompt, 'picture': POSED.picture, 'question_kind': 'count',
        'answer': POSED.answer, 'truth': POSED.answer, 'model_id': 'sea-s-q4', 'accuracy': 0.6,
        'accuracy_required': 0.5, 'tokens': 2, 'batch': 1, 'first_token_s': 0.1, 'created_s': 0.0,
    }  # fmt: skip
    return outcome(number, **{**row, **values})


@pytest.fixture
def run(write_tables: Writer) -> Path:
    truth = '2 ships: 1 red, 1 blue. no people. oil centre.'
    return write_tables(
        tasks=tasks(1, 2, 3, 4, 5),
        outcomes=[
            answered(1),
            answered(2, answer='I <do> not know'),
            answered(3, model_id='sea-l-q8', accuracy=0.9, batch=3),
            # the same facts in another order
            answered(
                4, question_kind='describe', truth=truth, prompt='Describe the scene.',
                answer='oil centre. 2 ships: 1 blue, 1 red. no people.', model_id='sea-l-q8',
                accuracy=0.9, first_token_s=0.3,
            ),
            answered(5, status='failed', answer='', tokens=0, reason='queue_full'),
        ],
    )  # fmt: skip


def test_accuracies_stand_beside_the_held_out_ones(run: Path) -> None:
    questions = summarise(run)['questions']
    small, large = questions['by_model']['sea-s-q4'], questions['by_model']['sea-l-q8']
    assert (small['answers'], small['correct'], small['held_out']) == (2, 1, 0.6)
    assert (large['answers'], large['correct'], large['held_out']) == (2, 2, 0.9)
    # Wilson's interval of 1 in 2 and of 2 in 2, from its closed form
    assert small['interval_95'] == pytest.approx([0.0945, 0.9055], abs=1e-4)
    assert large['interval_95'] == pytest.approx([0.3424, 1.0], abs=1e-4)
    assert {kind: row['answers'] for kind, row in questions['by_kind'].items()} == {
        'count': 3,
        'describe': 1,
    }
    assert questions['first_token_s']['max'] == 0.3
    assert questions['batch']['max'] == 3
    assert summarise(run)['accuracy']['all'] == {'known': 4, 'correct': 3, 'accuracy': 0.75}


def test_the_page_shows_each_question_with_its_picture(run: Path) -> None:
    page = build(run).read_text()
    cards = re.findall(r'<article class="card (\w+)">(.*?)</article>', page)
    assert [verdict for verdict, _ in cards] == ['right', 'wrong', 'right', 'right']
    assert all('src="data:image/png;base64,' in card for _, card in cards)
    assert 'I &lt;do&gt; not know' in cards[1][1]
    assert f'truth: {POSED.answer}' in cards[1][1]
    assert 'sea-l-q8: 90.0 % where 50.0 % was asked for' in cards[2][1]
    assert 'first word 100 ms' in cards[0][1]


def test_pictures_of_one_s_own_are_read_from_their_folder(
    write_tables: Writer, tmp_path: Path
) -> None:
    folder = tmp_path / 'mine'
    folder.mkdir()
    Image.new('RGB', (40, 30), (200, 10, 10)).save(folder / 'a.png')
    row = {'question_kind': '', 'truth': '', 'answer': 'red'}
    run = write_tables(
        tasks=tasks(1, 2),
        outcomes=[answered(1, picture='a.png', **row), answered(2, picture='gone.png', **row)],
    )
    (run / 'fleet.yaml').write_text(f'images: {folder}\n')
    cards = re.findall(r'<article class="card unknown">(.*?)</article>', build(run).read_text())
    assert 'data:image/png' in cards[0]
    assert '<div class="blank">gone.png</div>' in cards[1]


def test_a_run_without_questions_has_no_gallery(write_tables: Writer) -> None:
    run = write_tables(tasks=tasks(1), outcomes=[outcome(1)])
    assert summarise(run)['questions']['by_model'] == {}
    assert 'Questions and answers' not in build(run).read_text()
