"""Scenes at sea: layouts keep their promises, answers are those a person would give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sec_nodes.inference.sea.drawing import draw
from sec_nodes.inference.sea.kinds import KINDS, NAMES
from sec_nodes.inference.sea.layout import (
    SIDE,
    Coast,
    Layout,
    Ship,
    Slick,
    depth_in_sea,
    draw_layout,
)
from sec_nodes.inference.sea.questions import ask, is_right, question

RED = Ship((20.0, 30.0), 0.0, 'red', 18.0)
BLUE = Ship((50.0, 32.0), 0.0, 'blue', 10.0)
WHITE = Ship((80.0, 70.0), 0.0, 'white', 10.0)
WHITE_TOO = Ship((62.0, 84.0), 0.0, 'white', 10.0)
SLICK = Slick('top right', (72.0, 24.0), (11.0, 7.0))
SCENE = Layout((RED, BLUE, WHITE, WHITE_TOO), ((10.0, 60.0),), SLICK, Coast('bottom', 8.0))
EMPTY = Layout((), (), None, None)


def answers(kind: str, layout: Layout, tries: int = 300) -> dict[str, str]:
    """Every question of a kind that many draws come up with, and its answer."""
    rng = np.random.default_rng(1)
    found = [question(kind, layout, rng) for _ in range(tries)]
    return dict(pair for pair in found if pair is not None)


@given(st.integers(0, 2**63 - 1))
def test_a_seed_gives_one_layout_that_keeps_its_distances(seed: int) -> None:
    layout = draw_layout(seed)
    assert layout == draw_layout(seed)
    assert len(layout.ships) <= 8 and len(layout.people) <= 3
    for number, ship in enumerate(layout.ships):
        assert depth_in_sea(ship.at, layout.coast) >= 7.0
        assert all(math.dist(ship.at, other.at) >= 15.0 for other in layout.ships[:number])
        assert ship.length < 12 if number else ship.length > 16
    for person in layout.people:
        assert all(math.dist(person, ship.at) > 0.5 * ship.length for ship in layout.ships)


@pytest.mark.parametrize('seed', [-1, 2**63])
def test_seeds_out_of_range_are_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=f'seed is {seed}'):
        draw_layout(seed)


def test_every_number_of_ships_is_about_as_likely() -> None:
    counts = np.bincount([len(draw_layout(seed).ships) for seed in range(900)], minlength=9)
    assert counts.min() > 70 and counts.max() < 135  # 100 expected; fewer of 8 where sea is short


def test_a_picture_shows_what_the_layout_says() -> None:
    plain = draw(EMPTY, 5).astype(int)
    picture = draw(SCENE, 5)
    assert picture.shape == (SIDE, SIDE, 3) and picture.dtype == np.uint8
    red, blue, white = (
        picture[int(s.at[1]), int(s.at[0])].astype(int) for s in (RED, BLUE, WHITE)
    )
    assert red[0] > 2 * red[2] and blue[2] > 2 * blue[0] and white.min() > 170
    person = picture[59:62, 9:12].astype(int).mean((0, 1))
    assert person[0] - plain[60, 10, 0] > 60
    assert picture[24, 72].sum() < plain[24, 72].sum()
    assert picture[SIDE - 1, 48, 1] > picture[SIDE - 1, 48, 2]


@pytest.mark.parametrize(
    ('kind', 'expected'),
    [
        ('count', {'How many ships are there?': '4'}),
        ('colour', {'What colour is the largest ship?': 'red'}),
        ('people', {'How many people are in the water?': '1'}),
        ('oil', {'Is there an oil slick?': 'yes'}),
        ('oil_place', {'Where is the oil slick?': 'top right'}),
        ('coast', {'On which side is the coast?': 'bottom'}),
        ('nearest', {'What colour is the ship nearest to the oil slick?': 'blue'}),
        ('list', {'List the ships from left to right.': 'red, blue, white, white'}),
        (
            'describe',
            {
                'Describe the scene.': '4 ships: 1 red, 1 blue, 2 white. 1 person. '
                'oil top right. coast bottom.'
            },
        ),
    ],
)
def test_answers_worked_by_hand(kind: str, expected: dict[str, str]) -> None:
    assert answers(kind, SCENE) == expected


def test_counts_of_a_colour_include_colours_that_are_not_there() -> None:
    found = answers('colour_count', SCENE)
    assert found['How many white ships are there?'] == '2'
    assert found['How many red ships are there?'] == '1'
    assert found['How many green ships are there?'] == '0'


def test_relations_are_asked_only_where_they_are_clear() -> None:
    found = answers('relation', SCENE)
    assert found == {
        'Is the red ship to the left or to the right of the blue ship?': 'left',
        'Is the blue ship to the left or to the right of the red ship?': 'right',
    }, 'red and blue lie in one row, and there are two white ships'


def test_outermost_ships() -> None:
    assert answers('outermost', SCENE) == {
        'What colour is the ship farthest to the left?': 'red',
        'What colour is the ship farthest to the right?': 'white',
        'What colour is the ship farthest to the bottom?': 'white',
    }, 'the two topmost ships are two pixels apart and of two colours'


def test_what_is_not_there_is_not_asked_for() -> None:
    for kind in ('colour', 'oil_place', 'relation', 'outermost', 'nearest', 'list'):
        assert answers(kind, EMPTY) == {}
    assert answers('describe', EMPTY) == {'Describe the scene.': '0 ships.'}
    assert answers('coast', EMPTY) == {'On which side is the coast?': 'none'}


def test_kinds_can_all_be_asked_and_repeat() -> None:
    for kind in NAMES:
        first, again = ask(2**31 + 7, kind), ask(2**31 + 7, kind)
        assert first.prompt == again.prompt and first.answer == again.answer
        assert np.array_equal(first.image, again.image) and first.kind == kind
    assert {ask(seed).kind for seed in range(80)} == set(NAMES)
    with pytest.raises(ValueError, match="kind is 'weather'"):
        ask(1, 'weather')


def test_long_answers_are_longer() -> None:
    mean = {
        kind.name: np.mean([len(ask(seed, kind.name).answer.split()) for seed in range(30)])
        for kind in KINDS
    }
    short = max(mean[kind.name] for kind in KINDS if kind.group == 'short')
    long = min(mean[kind.name] for kind in KINDS if kind.group == 'long')
    assert short < long


@pytest.mark.parametrize(
    ('kind', 'answer', 'right'),
    [
        ('count', ' 4.', True),
        ('count', '5', False),
        ('oil_place', 'Top  Right', True),
        ('list', 'red, blue', True),
        ('list', 'blue, red', False),
        ('describe', 'oil centre. 3 ships: 1 red, 2 blue.', True),
        ('describe', '3 ships: 2 blue, 1 red. oil centre', True),
        ('describe', '3 ships: 1 red, 2 blue.', False),
        ('describe', '3 ships: 1 red, 2 blue. oil centre. oil centre.', False),
    ],
)
def test_what_counts_as_right(kind: str, answer: str, right: bool) -> None:
    truths = {
        'count': '4',
        'oil_place': 'top right',
        'list': 'red, blue',
        'describe': '3 ships: 1 red, 2 blue. oil centre.',
    }
    assert is_right(kind, answer, truths[kind]) is right
