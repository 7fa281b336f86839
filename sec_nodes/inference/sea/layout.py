"""What is where in a scene at sea: ships, people in the water, an oil slick and a coast.

A picture is SIDE x SIDE pixels; positions are (column, row) [pixel] from the top left corner,
headings [rad] clockwise from the picture's right. All that a question may be about is here, and
the answer is known because it is computed from the layout, not from the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SIDE = 96
"""Side of a picture [pixel]."""
COLOURS: tuple[str, ...] = ('red', 'yellow', 'green', 'blue', 'white', 'black')
PLACES: tuple[str, ...] = ('top left', 'top right', 'bottom left', 'bottom right', 'centre')
SIDES: tuple[str, ...] = ('left', 'right', 'top', 'bottom')
MOST_SHIPS = 8
MOST_PEOPLE = 3

Point = tuple[float, float]

_SPACING = 15.0
"""Least distance between two ships [pixel]."""
_MARGIN = 7.0
"""Least distance of a ship from the picture's edge and from the coast [pixel]."""
_TRIES = 400


@dataclass(frozen=True)
class Ship:
    """A ship: where its middle is, where it goes, what colour it has and how long it is."""

    at: Point
    heading_rad: float
    colour: str
    length: float


@dataclass(frozen=True)
class Coast:
    """Land along one side of the picture, `depth` pixels into it on average."""

    side: str
    depth: float


@dataclass(frozen=True)
class Slick:
    """An oil slick: the part of the picture where it lies, its middle and its half axes."""

    place: str
    at: Point
    half: Point


@dataclass(frozen=True)
class Layout:
    """Everything in a scene. Where there are ships, the first one is the largest by far."""

    ships: tuple[Ship, ...]
    people: tuple[Point, ...]
    slick: Slick | None
    coast: Coast | None


def draw_layout(seed: int) -> Layout:
    """The layout of scene `seed` (0 to 2**63 - 1): every seed gives one, and always the same."""
    if not 0 <= seed < 2**63:
        raise ValueError(f'seed is {seed}; give an integer from 0 to 2**63 - 1')
    rng = np.random.default_rng([seed, 1])
    coast = None
    if rng.random() < 0.6:
        coast = Coast(SIDES[int(rng.integers(len(SIDES)))], float(rng.uniform(11, 19)))
    slick = _draw_slick(rng, coast) if rng.random() < 0.55 else None
    ships = _draw_ships(rng, coast, slick)
    people = _draw_people(rng, coast, slick, ships)
    return Layout(ships, people, slick, coast)


def _draw_slick(rng: np.random.Generator, coast: Coast | None) -> Slick | None:
    """A slick in one of the five places, clear of the coast."""
    place = PLACES[int(rng.integers(len(PLACES)))]
    half = (float(rng.uniform(9, 13)), float(rng.uniform(6, 9)))
    third = {'left': 26.0, 'right': 70.0, 'top': 26.0, 'bottom': 70.0}
    if place == 'centre':
        column = row = SIDE / 2
    else:
        vertical, horizontal = place.split()
        column, row = third[horizontal], third[vertical]
    at = (column + float(rng.uniform(-4, 4)), row + float(rng.uniform(-4, 4)))
    if depth_in_sea(at, coast) < half[0]:
        return None
    return Slick(place, at, half)


def depth_in_sea(at: Point, coast: Coast | None) -> float:
    """Distance from the edge of the sea, be it the coast or the picture's edge [pixel]."""
    column, row = at
    edges = {'left': column, 'right': SIDE - column, 'top': row, 'bottom': SIDE - row}
    if coast is not None:
        edges[coast.side] -= coast.depth + 3.0
    return min(edges.values())


def _draw_ships(
    rng: np.random.Generator, coast: Coast | None, slick: Slick | None
) -> tuple[Ship, ...]:
    """From none to eight ships that do not touch; the first is half as long again as others."""
    wanted = int(rng.integers(MOST_SHIPS + 1))
    ships: list[Ship] = []
    for _ in range(_TRIES):
        if len(ships) == wanted:
            break
        at = (float(rng.uniform(0, SIDE)), float(rng.uniform(0, SIDE)))
        if depth_in_sea(at, coast) < _MARGIN + (3.0 if not ships else 0.0):
            continue
        if slick is not None and _inside(at, slick, 6.0):
            continue
        if any(
            math.dist(at, ship.at) < _SPACING + (4.0 if k == 0 else 0.0)
            for k, ship in enumerate(ships)
        ):
            continue
        length = float(rng.uniform(17, 20) if not ships else rng.uniform(8.5, 11))
        colour = COLOURS[int(rng.integers(len(COLOURS)))]
        ships.append(Ship(at, float(rng.uniform(0, 2 * math.pi)), colour, length))
    return tuple(ships)


def _draw_people(
    rng: np.random.Generator, coast: Coast | None, slick: Slick | None, ships: tuple[Ship, ...]
) -> tuple[Point, ...]:
    """From none to three people in open water, clear of everything else."""
    wanted = int(rng.integers(MOST_PEOPLE + 1))
    people: list[Point] = []
    for _ in range(_TRIES):
        if len(people) == wanted:
            break
        at = (float(rng.uniform(4, SIDE - 4)), float(rng.uniform(4, SIDE - 4)))
        clear = depth_in_sea(at, coast) >= 4.0 and not (slick and _inside(at, slick, 4.0))
        clear &= all(math.dist(at, ship.at) > 0.5 * ship.length + 5.0 for ship in ships)
        clear &= all(math.dist(at, other) > 8.0 for other in people)
        if clear:
            people.append(at)
    return tuple(people)


def _inside(at: Point, slick: Slick, margin: float) -> bool:
    """Whether a point is within `margin` [pixel] of the slick's outline, or inside it."""
    u = (at[0] - slick.at[0]) / (slick.half[0] + margin)
    v = (at[1] - slick.at[1]) / (slick.half[1] + margin)
    return u * u + v * v < 1.0
