"""Where questions come from: scenes, with answers of a length, or a folder of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sec_nodes.inference.pictures import PictureError
from sec_nodes.inference.questions import (
    BY_LENGTH,
    DEFAULT_PROMPT,
    FolderQuestions,
    kinds_of_length,
    sea_question,
)
from sec_nodes.inference.sea.kinds import NAMES
from sec_nodes.inference.sea.questions import ask, picture_named, pose


def test_longer_levels_have_kinds_with_longer_answers():
    assert sorted(BY_LENGTH) == sorted(NAMES)
    lengths = [
        np.mean([len(pose(2**62 + 1000 * number, kind).answer) for number in range(60)])
        for kind in BY_LENGTH
    ]
    thirds = [np.mean(lengths[start : start + 3]) for start in (0, 3, 6, 9)]
    assert thirds == sorted(thirds)
    groups = [kinds_of_length(level, 4) for level in range(4)]
    assert sum(groups, ()) == BY_LENGTH
    assert all(kinds_of_length(level, 20) for level in range(20))
    with pytest.raises(ValueError, match='level is 4'):
        kinds_of_length(4, 4)


def test_a_task_has_one_question_and_its_picture_can_be_drawn_again():
    posed = sea_question(1, 2, 3, 3, ('count', 'oil'))
    assert posed == sea_question(1, 2, 3, 3, ('count', 'oil'))
    assert posed.kind in ('count', 'oil')
    np.testing.assert_array_equal(picture_named(posed.picture), posed.draw())
    asked = ask(99, 'list')
    np.testing.assert_array_equal(asked.image, picture_named(asked.picture))
    for name in ('scene:3', 'sea:x', 'a.png'):
        with pytest.raises(ValueError, match='no rendered scene'):
            picture_named(name)


@pytest.fixture
def folder(tmp_path):
    for name in ('a.png', 'b.png'):
        Image.new('RGB', (30, 20), (9, 9, 200)).save(tmp_path / name)
    return tmp_path


def test_a_folder_without_a_list_gets_one_question(folder):
    source = FolderQuestions(folder, (96, 96))
    found = {source.question(1, device, 0, 0) for device in range(30)}
    assert {item.file for item in found} == {'a.png', 'b.png'}
    assert {item.prompt for item in found} == {DEFAULT_PROMPT}
    picture = source.picture(next(iter(found)))
    assert picture.image.shape == (96, 96, 3)
    assert picture.label is None


def test_a_list_says_what_is_asked_and_what_is_right(folder):
    (folder / 'questions.csv').write_text(
        'file,question,answer\na.png,"What colour, please?",blue\nb.png,Any ships?,\n'
    )
    source = FolderQuestions(folder, (64, 48))
    found = {source.question(1, device, 0, 0) for device in range(30)}
    labels = {item.prompt: source.picture(item).label for item in found}
    assert labels == {'What colour, please?': 'blue', 'Any ships?': None}


@pytest.mark.parametrize('line', ['c.png,Any?,', 'a.png,,', 'nonsense'])
def test_a_line_that_cannot_be_asked_is_named(folder, line):
    (folder / 'questions.csv').write_text(f'file,question,answer\n{line}\n')
    with pytest.raises(PictureError, match=r'questions\.csv:2'):
        FolderQuestions(folder, (96, 96))
