"""Questions about a layout, their true answers, and whether a given answer is right.

A question is only asked where the scene decides it clearly: no 'left of' for ships in one column,
no 'nearest' between two that are equally far.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.sea.drawing import draw
from sec_nodes.inference.sea.kinds import NAMES
from sec_nodes.inference.sea.layout import COLOURS, Layout, Ship, draw_layout

_CLEAR = 7.0
"""Least difference of positions that a question may turn on [pixel]."""
_MOST_LISTED = 5
_MOST_SCENES = 200

Asked = tuple[str, str]
"""A question and its answer."""
Maker = Callable[[Layout, np.random.Generator], 'Asked | None']


@dataclass(frozen=True)
class SeaQuestion:
    """A picture (96, 96, 3) RGB, a question about it, the true answer, and where it is from."""

    image: NDArray[np.uint8]
    prompt: str
    answer: str
    kind: str
    picture: str


@dataclass(frozen=True)
class Posed:
    """A question and its true answer before the picture is drawn, which takes most of the time."""

    prompt: str
    answer: str
    kind: str
    picture: str

    def draw(self) -> NDArray[np.uint8]:
        """The picture (96, 96, 3) RGB."""
        return picture_named(self.picture)


def picture_named(name: str) -> NDArray[np.uint8]:
    """The picture (96, 96, 3) RGB of a question by its name `sea:SEED`; ValueError for others."""
    source, _, seed = name.partition(':')
    if source != 'sea' or not seed.isdecimal():
        raise ValueError(f'picture {name!r} is no rendered scene; its name must be sea:SEED')
    return draw(draw_layout(int(seed)), int(seed))


def ask(seed: int, kind: str | None = None) -> SeaQuestion:
    """A question of a kind (default: any, equally likely) with its picture, the same for a seed.

    Errors as `pose`.
    """
    posed = pose(seed, kind)
    return SeaQuestion(posed.draw(), posed.prompt, posed.answer, posed.kind, posed.picture)


def pose(seed: int, kind: str | None = None) -> Posed:
    """The question that `ask` asks, without its picture.

    Scenes are drawn until one can be asked about in that way. ValueError for an unknown kind.
    """
    if kind is not None and kind not in NAMES:
        raise ValueError(f'kind is {kind!r}; give one of {", ".join(NAMES)}')
    rng = np.random.default_rng([seed, 3])
    chosen = kind or NAMES[int(rng.integers(len(NAMES)))]
    for attempt in range(_MOST_SCENES):
        scene = seed + attempt * (1 << 20)
        layout = draw_layout(scene % 2**63)
        asked = question(chosen, layout, rng)
        if asked is not None:
            return Posed(*asked, chosen, f'sea:{scene % 2**63}')
    raise RuntimeError(f'no scene in {_MOST_SCENES} allows a question of kind {chosen!r}')


def question(kind: str, layout: Layout, rng: np.random.Generator) -> Asked | None:
    """A question of that kind about a layout and its answer; None where the scene has none."""
    return _MAKERS[kind](layout, rng)


def is_right(kind: str, answer: str, truth: str) -> bool:
    """Whether an answer is as good as the truth.

    Case, spaces and a full stop at the end do not matter. A description is read back: every fact
    of the truth must be in it and no other, in any order.
    """
    if kind == 'describe':
        return _facts(answer) == _facts(truth)
    return _plain(answer) == _plain(truth)


def _plain(text: str) -> str:
    return ' '.join(text.lower().split()).rstrip('.')


def _facts(text: str) -> Counter[str]:
    """Statements of a description: parts between full stops and commas, counted."""
    return Counter(part.strip() for part in re.split(r'[.,:]', _plain(text)) if part.strip())


def _count(layout: Layout, rng: np.random.Generator) -> Asked | None:
    return 'How many ships are there?', str(len(layout.ships))


def _colour(layout: Layout, rng: np.random.Generator) -> Asked | None:
    if not layout.ships:
        return None
    return 'What colour is the largest ship?', layout.ships[0].colour


def _colour_count(layout: Layout, rng: np.random.Generator) -> Asked | None:
    """Half of the questions are about a colour that is there, so that 0 is not the rule."""
    there = [ship.colour for ship in layout.ships]
    pool: Sequence[str] = sorted(set(there)) if there and rng.random() < 0.6 else COLOURS
    colour = pool[int(rng.integers(len(pool)))]
    return f'How many {colour} ships are there?', str(there.count(colour))


def _people(layout: Layout, rng: np.random.Generator) -> Asked | None:
    return 'How many people are in the water?', str(len(layout.people))


def _oil(layout: Layout, rng: np.random.Generator) -> Asked | None:
    return 'Is there an oil slick?', 'yes' if layout.slick else 'no'


def _oil_place(layout: Layout, rng: np.random.Generator) -> Asked | None:
    if layout.slick is None:
        return None
    return 'Where is the oil slick?', layout.slick.place


def _coast(layout: Layout, rng: np.random.Generator) -> Asked | None:
    return 'On which side is the coast?', layout.coast.side if layout.coast else 'none'


def _relation(layout: Layout, rng: np.random.Generator) -> Asked | None:
    """About two ships whose colours are theirs alone."""
    counts = Counter(ship.colour for ship in layout.ships)
    single = [ship for ship in layout.ships if counts[ship.colour] == 1]
    if len(single) < 2:
        return None
    first, second = (single[i] for i in rng.permutation(len(single))[:2])
    axis = int(rng.integers(2))
    gap = second.at[axis] - first.at[axis]
    if abs(gap) < _CLEAR:
        return None
    where = ('to the left or to the right of', 'above or below')[axis]
    before, behind = (('left', 'right'), ('above', 'below'))[axis]
    text = f'Is the {first.colour} ship {where} the {second.colour} ship?'
    return text, before if gap > 0 else behind


def _outermost(layout: Layout, rng: np.random.Generator) -> Asked | None:
    if len(layout.ships) < 2:
        return None
    side, axis, sign = (('left', 0, 1), ('right', 0, -1), ('top', 1, 1), ('bottom', 1, -1))[
        int(rng.integers(4))
    ]
    first, second = sorted(layout.ships, key=lambda ship: sign * ship.at[axis])[:2]
    if abs(first.at[axis] - second.at[axis]) < _CLEAR and first.colour != second.colour:
        return None
    return f'What colour is the ship farthest to the {side}?', first.colour


def _nearest(layout: Layout, rng: np.random.Generator) -> Asked | None:
    if layout.slick is None or len(layout.ships) < 2:
        return None
    at = layout.slick.at
    first, second = sorted(layout.ships, key=lambda ship: math.dist(ship.at, at))[:2]
    if math.dist(second.at, at) - math.dist(first.at, at) < _CLEAR and (
        first.colour != second.colour
    ):
        return None
    return 'What colour is the ship nearest to the oil slick?', first.colour


def _list(layout: Layout, rng: np.random.Generator) -> Asked | None:
    ships = sorted(layout.ships, key=lambda ship: ship.at[0])
    if not 1 <= len(ships) <= _MOST_LISTED or not _clearly_ordered(ships):
        return None
    return 'List the ships from left to right.', ', '.join(ship.colour for ship in ships)


def _clearly_ordered(ships: Sequence[Ship]) -> bool:
    """Neighbours of different colours are well apart from left to right."""
    return all(
        right.at[0] - left.at[0] >= 0.6 * _CLEAR or left.colour == right.colour
        for left, right in pairwise(ships)
    )


def _describe(layout: Layout, rng: np.random.Generator) -> Asked | None:
    """Ships by colour, then people, oil and coast."""
    counts = Counter(ship.colour for ship in layout.ships)
    parts = [f'{counts[colour]} {colour}' for colour in COLOURS if counts[colour]]
    number = len(layout.ships)
    ships = f'{number} ship{"" if number == 1 else "s"}'
    sentences = [f'{ships}: {", ".join(parts)}' if parts else ships]
    people = len(layout.people)
    if people:
        sentences.append('1 person' if people == 1 else f'{people} people')
    if layout.slick:
        sentences.append(f'oil {layout.slick.place}')
    if layout.coast:
        sentences.append(f'coast {layout.coast.side}')
    return 'Describe the scene.', '. '.join(sentences) + '.'


_MAKERS: dict[str, Maker] = {
    'count': _count,
    'colour': _colour,
    'colour_count': _colour_count,
    'people': _people,
    'oil': _oil,
    'oil_place': _oil_place,
    'coast': _coast,
    'relation': _relation,
    'outermost': _outermost,
    'nearest': _nearest,
    'list': _list,
    'describe': _describe,
}
