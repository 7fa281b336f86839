"""Measuring a model's accuracy, on the built-in set and on folders in MMMU's format."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sec_nodes.inference.evaluation import TOO_LONG, Item, evaluate, sea_items, wilson_interval
from sec_nodes.inference.language.types import Answer, Question
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.mmmu import chosen_letter, mmmu_items
from sec_nodes.inference.sea.kinds import NAMES


class Scripted:
    """Answers by the prompt's text, and remembers how many it was asked at once."""

    def __init__(self, told: dict[str, str]) -> None:
        self.told, self.batches = told, []  # type: dict[str, str], list[int]

    def generate(self, questions: Sequence[Question]) -> list[Answer]:
        self.batches.append(len(questions))
        return [
            Answer(self.told.get(q.prompt, ''), (1, 2, 3), 5, 0.25, 1.25, 0.5) for q in questions
        ]


def item(kind: str, prompt: str, truth: str, missing: str = '') -> Item:
    image = None if missing else np.zeros((4, 4, 3), np.uint8)
    return Item(kind, prompt, image, truth, lambda told: told == truth, missing=missing)


def test_scores_are_counted_by_kind() -> None:
    items = [
        item('count', 'a', '1'),
        item('count', 'b', '1'),
        item('count', 'c', '2'),
        item('colour', 'd', 'red'),
        item('colour', 'e', 'blue', missing='2 pictures instead of one'),
    ]
    model = Scripted({'a': '1', 'b': '2', 'c': '2', 'd': 'red'})
    scores = evaluate(model, iter(items), batch=3)
    assert model.batches == [3, 1]
    assert {k: (s.asked, s.right) for k, s in scores.kinds.items()} == {
        'count': (3, 2),
        'colour': (2, 1),
    }
    assert scores.accuracy == 3 / 5 and scores.left_out == {'2 pictures instead of one': 1}
    assert scores.kinds['count'].majority == 2 / 3 and scores.majority == (2 + 1) / 5
    assert scores.first_token_s == 0.25 and scores.tokens_per_s == pytest.approx(2.0)


class Short(Scripted):
    """Takes no prompt of more than three letters, nor a batch with one."""

    def generate(self, questions: Sequence[Question]) -> list[Answer]:
        if any(len(question.prompt) > 3 for question in questions):
            raise ValueError('prompt of 4 tokens exceeds the context of 3 tokens')
        return super().generate(questions)


def test_questions_too_long_count_as_wrong_and_the_others_are_asked() -> None:
    items = [
        item('count', 'a', '1'),
        item('count', 'much too long', '1'),
        item('count', 'b', '2'),
        item('count', 'c', '1'),
    ]
    scores = evaluate(Short({'a': '1', 'b': '2', 'c': '1'}), iter(items), batch=3)
    assert (scores.right, scores.asked) == (3, 4)
    assert scores.left_out == {TOO_LONG: 1}


def test_other_errors_of_a_model_are_not_taken_for_long_questions() -> None:
    class Broken(Scripted):
        def generate(self, questions: Sequence[Question]) -> list[Answer]:
            raise ValueError('9 questions at once, max_batch is 8')

    with pytest.raises(ValueError, match='max_batch is 8'):
        evaluate(Broken({}), iter([item('count', 'a', '1')]))


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(ValueError, match='holds no question'):
        evaluate(Scripted({}), iter([]))


def test_wilson_interval_against_a_published_example() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 gives 0.2553 to 0.3662."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_the_built_in_set_asks_every_kind_equally_and_never_the_same() -> None:
    items = list(sea_items(3))
    assert [entry.kind for entry in items] == [kind for kind in NAMES for _ in range(3)]
    assert len({entry.image.tobytes() for entry in items if entry.image is not None}) == len(items)
    assert all(entry.right(entry.truth) for entry in items)
    assert not any(entry.right('nonsense') for entry in items)
    with pytest.raises(ValueError, match='per_kind is 0'):
        list(sea_items(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new('RGB', (8, 6), (10, 20, 30)).save(tmp_path / 'sea.png')
    records = [
        {
            'id': 'val_1',
            'question': 'What floats in <image 1>?',
            'options': "['a raft', 'a whale', 'a buoy']",
            'answer': 'B',
            'question_type': 'multiple-choice',
            'subfield': 'Boats',
            'image_1': 'sea.png',
        },
        {
            'question': 'How many knots?',
            'options': [],
            'answer': "['12', 'twelve']",
            'question_type': 'open',
            'subfield': 'Speed',
            'image_1': 'sea.png',
        },
        {
            'question': 'Compare <image 1> and <image 2>.',
            'options': ['yes', 'no'],
            'answer': 'A',
            'subfield': 'Speed',
            'image_1': 'sea.png',
            'image_2': 'sea.png',
        },
    ]
    lines = '\n'.join(json.dumps(record) for record in records)
    (tmp_path / 'validation.jsonl').write_text(lines + '\n\n')
    return tmp_path


def test_a_folder_in_mmmu_format(folder: Path) -> None:
    first, second, third = mmmu_items(folder)
    assert first.prompt == (
        'What floats in ?\n(A) a raft\n(B) a whale\n(C) a buoy\n'
        "Answer with the option's letter from the given choices directly."
    )
    assert first.image is not None and first.image.shape == (6, 8, 3)
    assert tuple(first.image[0, 0]) == (10, 20, 30)
    assert first.right('(B)') and first.right('a whale.') and not first.right('A')
    assert second.right('It is 12 knots') and second.right('Twelve') and not second.right('13')
    assert third.image is None and third.missing == '2 pictures instead of one'
    scores = evaluate(Scripted({first.prompt: 'B', second.prompt: 'no'}), mmmu_items(folder))
    assert (scores.right, scores.asked) == (1, 3)


def test_parquet_holds_the_pictures_themselves(folder: Path) -> None:
    parquet = pytest.importorskip('pyarrow.parquet')
    table = pytest.importorskip('pyarrow').Table
    picture = io.BytesIO()
    Image.new('RGB', (5, 5), (200, 0, 0)).save(picture, 'PNG')
    rows = [
        {
            'question': 'Which colour?',
            'options': "['red', 'blue']",
            'answer': 'A',
            'question_type': 'multiple-choice',
            'subfield': 'Colours',
            'image_1': {'bytes': picture.getvalue(), 'path': 'p.png'},
            'image_2': None,
        }
    ]
    (folder / 'validation.jsonl').unlink()
    parquet.write_table(table.from_pylist(rows), folder / 'dev-0.parquet')
    (only,) = mmmu_items(folder)
    assert only.image is not None and tuple(only.image[2, 2]) == (200, 0, 0)
    assert only.kind == 'Colours' and only.right('Red') and not only.right('(B)')


@pytest.mark.parametrize(
    ('told', 'letter'),
    [
        ('(C)', 'C'),
        ('The answer is B.', 'B'),
        ('b', None),
        ('(A) or (B)', None),
        ('the blue one', 'B'),
        ('', None),
    ],
)
def test_reading_the_chosen_option(told: str, letter: str | None) -> None:
    assert chosen_letter(told, ['red', 'blue', 'green']) == letter


def test_wrong_folders_and_records_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='does not exist'):
        mmmu_items(tmp_path / 'nothing')
    with pytest.raises(ModelError, match=r'holds no \.jsonl'):
        mmmu_items(tmp_path)
    bad = tmp_path / 'bad.jsonl'
    bad.write_text('{"question": "?", "options": ["x", "y"]}\n')
    with pytest.raises(ModelError, match=r"bad\.jsonl, record 1: field 'answer' is missing"):
        list(mmmu_items(tmp_path))
    bad.write_text('{"question": "?", "options": ["x", "y"], "answer": "D"}\n')
    with pytest.raises(ModelError, match="answer 'D' is none of the letters of 2 options"):
        list(mmmu_items(tmp_path))
    bad.write_text('not json\n')
    with pytest.raises(ModelError, match=r'bad\.jsonl'):
        list(mmmu_items(tmp_path))
