"""Training data of the small MLLMs: scenes, what their patches show, and packed questions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sea_networks import GRID, IMAGE_TOKENS, PATCH
from transformers import PreTrainedTokenizerFast

from sec_nodes.inference.sea.drawing import PICTURE_SHAPE, draw
from sec_nodes.inference.sea.kinds import NAMES
from sec_nodes.inference.sea.layout import COLOURS, SIDE, Layout, Point, draw_layout
from sec_nodes.inference.sea.questions import question

TURNS = 8
"""Flips and quarter turns of a square picture."""
N_LABELS = len(COLOURS) + 4
"""Of a patch: a ship of each colour, the largest ship, a person, oil, coast."""
IGNORED = -100


@dataclass(frozen=True)
class Scenes:
    """Rendered scenes: pictures (n, 96, 96, 3) uint8 and their layouts."""

    pictures: NDArray[np.uint8]
    layouts: tuple[Layout, ...]

    def turned(
        self, chosen: Iterable[int], ways: Iterable[int]
    ) -> tuple[NDArray[np.uint8], list[Layout]]:
        """Some scenes, each turned its own way."""
        pairs = list(zip(chosen, ways, strict=True))
        pictures = np.stack([turned_picture(self.pictures[i], way) for i, way in pairs])
        return pictures, [turned_layout(self.layouts[i], way) for i, way in pairs]


def render_scenes(first_seed: int, count: int) -> Scenes:
    """Scenes `first_seed` and on."""
    layouts = tuple(draw_layout(first_seed + i) for i in range(count))
    pictures = np.empty((count, *PICTURE_SHAPE), np.uint8)
    for i, layout in enumerate(layouts):
        pictures[i] = draw(layout, first_seed + i)
    return Scenes(pictures, layouts)


def turned_picture(picture: NDArray[np.uint8], way: int) -> NDArray[np.uint8]:
    """A picture after one of the eight flips and turns."""
    if way & 1:
        picture = picture[:, ::-1]
    if way & 2:
        picture = picture[::-1]
    return picture.transpose(1, 0, 2) if way & 4 else picture


def turned_layout(layout: Layout, way: int) -> Layout:
    """The layout of the turned picture."""
    ships = tuple(replace(ship, at=_turned_point(ship.at, way)) for ship in layout.ships)
    people = tuple(_turned_point(at, way) for at in layout.people)
    slick, coast = layout.slick, layout.coast
    if slick is not None:
        half = slick.half[::-1] if way & 4 else slick.half
        place = ' '.join(_turned_words(slick.place.split(), way))
        slick = replace(slick, at=_turned_point(slick.at, way), half=half, place=place)
    if coast is not None:
        coast = replace(coast, side=_turned_words([coast.side], way)[0])
    return Layout(ships, people, slick, coast)


def _turned_point(at: Point, way: int) -> Point:
    column, row = at
    if way & 1:
        column = SIDE - 1 - column
    if way & 2:
        row = SIDE - 1 - row
    return (row, column) if way & 4 else (column, row)


def _turned_words(words: list[str], way: int) -> list[str]:
    """Sides after a turn, rows ('top', 'bottom') before columns."""
    if way & 1:
        words = [{'left': 'right', 'right': 'left'}.get(word, word) for word in words]
    if way & 2:
        words = [{'top': 'bottom', 'bottom': 'top'}.get(word, word) for word in words]
    if way & 4:
        swap = {'left': 'top', 'top': 'left', 'right': 'bottom', 'bottom': 'right'}
        words = [swap.get(word, word) for word in words]
    return sorted(words, key=lambda word: word not in ('top', 'bottom'))


def patch_labels(layout: Layout) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What each patch shows (36, N_LABELS) in 0..1, and where in it a ship is (36, 3).

    The second holds column and row of the ship's middle in the patch, -1 to 1, and whether there
    is a ship at all.
    """
    labels = np.zeros((GRID, GRID, N_LABELS), np.float32)
    places = np.zeros((GRID, GRID, 3), np.float32)
    for number, ship in enumerate(layout.ships):
        row, column = _patch(ship.at)
        labels[row, column, COLOURS.index(ship.colour)] = 1.0
        if number == 0:
            labels[row, column, len(COLOURS)] = 1.0
        middle = [(value + 0.5) % PATCH / (PATCH / 2) - 1 for value in ship.at]
        places[row, column] = (*middle, 1.0)
    for at in layout.people:
        row, column = _patch(at)
        labels[row, column, len(COLOURS) + 1] = 1.0
    centre = (np.arange(GRID) + 0.5) * PATCH
    if layout.slick is not None:
        u = (centre[None, :] - layout.slick.at[0]) / (layout.slick.half[0] + 5)
        v = (centre[:, None] - layout.slick.at[1]) / (layout.slick.half[1] + 5)
        labels[..., len(COLOURS) + 2] = u * u + v * v < 1
    if layout.coast is not None:
        inland = {'left': 0, 'right': -1, 'top': 0, 'bottom': -1}[layout.coast.side]
        strip = labels[..., len(COLOURS) + 3]
        if layout.coast.side in ('left', 'right'):
            strip[:, inland] = 1.0
        else:
            strip[inland] = 1.0
    return labels.reshape(IMAGE_TOKENS, -1), places.reshape(IMAGE_TOKENS, -1)


def _patch(at: Point) -> tuple[int, int]:
    column, row = (min(max(math.floor((value + 0.5) / PATCH), 0), GRID - 1) for value in at)
    return row, column


@dataclass(frozen=True)
class Packed:
    """Questions behind their pictures' tokens, ready for the decoder.

    `tokens`, `targets`, `positions` (B, L): the text behind the prefix of BOS and image tokens;
    `block` (B, L): which question a token belongs to, 0 for padding. Targets are `IGNORED` where
    nothing is to be learnt.
    """

    tokens: torch.Tensor
    targets: torch.Tensor
    positions: torch.Tensor
    block: torch.Tensor

    def mask(self) -> torch.Tensor:
        """(B, 1, P + L, P + L) True where a token may look: the prefix, and its own question."""
        prefix = 1 + IMAGE_TOKENS
        n, length = self.tokens.shape
        block = torch.cat([torch.full((n, prefix), -1), self.block], dim=1)
        causal = torch.ones(prefix + length, prefix + length, dtype=torch.bool).tril()
        same = (block[:, :, None] == block[:, None, :]) | (block[:, None, :] == -1)
        return (same & causal)[:, None]


def pack_questions(
    layouts: list[Layout],
    tokenizer: PreTrainedTokenizerFast,
    length: int,
    rng: np.random.Generator,
    weights: dict[str, float],
) -> Packed:
    """As many questions about each layout as `length` tokens hold; kinds drawn by `weights`."""
    share = np.array([weights.get(name, 1.0) for name in NAMES])
    share /= share.sum()
    rows = [_row(layout, tokenizer, length, rng, share) for layout in layouts]
    columns = []
    for part, fill in enumerate((0, IGNORED, 0, 0)):
        table = np.full((len(rows), length), fill, np.int64)
        for i, row in enumerate(rows):
            table[i, : len(row[part])] = row[part]
        columns.append(torch.from_numpy(table))
    return Packed(*columns)


_ENCODED: dict[str, list[int]] = {}


def _encode(text: str, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Token ids of a text; the few thousand different ones are kept."""
    if text not in _ENCODED:
        _ENCODED[text] = tokenizer(text, add_special_tokens=False)['input_ids']
    return _ENCODED[text]


def _row(
    layout: Layout,
    tokenizer: PreTrainedTokenizerFast,
    length: int,
    rng: np.random.Generator,
    share: NDArray[np.float64],
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Tokens, targets, positions and blocks of one picture's questions."""
    tokens: list[int] = []
    targets: list[int] = []
    positions: list[int] = []
    block: list[int] = []
    for number, kind in enumerate(rng.choice(len(NAMES), 4 * length, p=share), 1):
        asked = question(NAMES[int(kind)], layout, rng)
        if asked is None:
            continue
        question_ids = _encode(asked[0] + '\n', tokenizer)
        answer_ids = [*_encode(asked[1], tokenizer), tokenizer.eos_token_id]
        text = question_ids + answer_ids
        if len(tokens) + len(text) - 1 > length:
            break
        tokens += text[:-1]
        targets += [IGNORED] * (len(question_ids) - 1) + answer_ids
        positions += range(1 + IMAGE_TOKENS, IMAGE_TOKENS + len(text))
        block += [number] * (len(text) - 1)
    return tokens, targets, positions, block
