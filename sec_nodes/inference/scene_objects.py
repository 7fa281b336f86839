"""What floats: ships with wakes, rafts, people, wreckage, buoys and gulls, drawn from above.

Every function draws on a float32 canvas (3, SIZE, SIZE) in place. Positions are (column, row)
[pixel], headings [rad], sizes [pixel]; `sun` is the direction shadows fall to [rad].
"""

from __future__ import annotations

import numpy as np

from sec_nodes.inference.raster import (
    Array,
    Colour,
    box,
    ellipse,
    hull,
    mix,
    paint,
    window,
)

Point = tuple[float, float]

_HULLS: tuple[Colour, ...] = (
    (0.13, 0.14, 0.17),
    (0.40, 0.12, 0.10),
    (0.10, 0.20, 0.36),
    (0.62, 0.62, 0.60),
    (0.16, 0.30, 0.24),
)
_DECKS: tuple[Colour, ...] = (
    (0.45, 0.24, 0.19),
    (0.36, 0.40, 0.40),
    (0.58, 0.56, 0.50),
    (0.28, 0.38, 0.32),
)
_CARGO: tuple[Colour, ...] = (
    (0.70, 0.22, 0.16),
    (0.18, 0.36, 0.60),
    (0.78, 0.76, 0.72),
    (0.26, 0.48, 0.32),
    (0.80, 0.52, 0.16),
    (0.45, 0.44, 0.46),
)
_WRECKAGE: tuple[Colour, ...] = (
    (0.82, 0.80, 0.76),
    (0.50, 0.36, 0.22),
    (0.36, 0.28, 0.20),
    (0.62, 0.62, 0.60),
    (0.20, 0.20, 0.22),
    (0.68, 0.30, 0.18),
    (0.24, 0.38, 0.55),
)
_ORANGE: tuple[Colour, ...] = ((0.96, 0.42, 0.08), (0.90, 0.30, 0.10), (0.94, 0.60, 0.12))
_VESTS: tuple[Colour, ...] = ((0.96, 0.45, 0.08), (0.93, 0.84, 0.14), (0.84, 0.18, 0.12))
_SKIN: tuple[Colour, ...] = ((0.80, 0.62, 0.50), (0.45, 0.31, 0.23))


_MARKS: tuple[Colour, ...] = ((0.72, 0.16, 0.13), (0.13, 0.50, 0.27), (0.88, 0.76, 0.16))
_SHADE: Colour = (0.02, 0.05, 0.08)
_WHITE: Colour = (0.89, 0.89, 0.87)
_GREY: Colour = (0.46, 0.48, 0.50)
_TUBE: Colour = (0.12, 0.12, 0.14)


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One of the colours, a little lighter or darker."""
    gain = rng.uniform(0.8, 1.12)
    r, g, b = colours[int(rng.integers(len(colours)))]
    return (r * gain, g * gain, b * gain)


def _ahead(at: Point, heading: float, u: float, v: float = 0.0) -> Point:
    """The point u along and v across the heading from `at`."""
    cos, sin = float(np.cos(heading)), float(np.sin(heading))
    return (at[0] + cos * u - sin * v, at[1] + sin * u + cos * v)


def _wake(
    canvas: Array, foam: Array, at: Point, heading: float, half: Point, strength: float
) -> None:
    """Turbulent centre line and the two Kelvin arms (half angle 19.5 degrees) behind a hull."""
    half_u, half_v = half
    rows, cols, u, v = window(at, heading, 5.5 * half_u)
    behind = -(u + half_u * 0.95)
    texture = np.clip(0.65 + 0.4 * foam[rows, cols], 0.0, 1.0)
    side = np.abs(v)
    width = half_v * 0.75 + 0.05 * np.maximum(behind, 0.0)
    centre = np.clip(width - side, 0.0, 1.0) * np.exp(-behind / (2.6 * half_u)) * (behind > 0)
    from_bow = half_u * 0.9 - u
    arm = np.abs(side - half_v * 0.55 - 0.354 * np.maximum(from_bow - half_u * 0.35, 0.0))
    arms = np.clip(1.1 + 0.05 * from_bow - arm, 0.0, 1.0) * np.exp(-from_bow / (2.0 * half_u))
    arms *= from_bow > half_u * 0.15
    cover = np.clip(0.85 * centre + 0.55 * arms, 0.0, 0.9) * texture * np.float32(strength)
    mix(canvas[:, rows, cols], cover.astype(np.float32), (0.86, 0.90, 0.90))


def ship(
    canvas: Array,
    rng: np.random.Generator,
    foam: Array,
    at: Point,
    heading: float,
    half_u: float,
    sun: float,
) -> None:
    """A vessel of half length `half_u`: freighter, tanker, trawler or patrol boat."""
    kind = ('freighter', 'tanker', 'trawler', 'patrol')[int(rng.integers(4))]
    beam, bow = {'trawler': ((0.26, 0.34), 0.3), 'patrol': ((0.14, 0.2), 0.42)}.get(
        kind, ((0.15, 0.23), 0.2)
    )
    half_v = half_u * rng.uniform(*beam)
    side, deck = _pick(rng, _HULLS), _pick(rng, _DECKS)
    if kind == 'patrol':
        side, deck = _pick(rng, (_GREY,)), _pick(rng, (_GREY,))
    _wake(canvas, foam, at, heading, (half_u, half_v), rng.uniform(0.0, 1.0) ** 0.6)
    below = _ahead(at, sun, 0.5 * half_v)
    paint(canvas, below, heading, hull, (half_u, half_v, bow), _SHADE, alpha=0.55, soft=1.5)
    paint(canvas, at, heading, hull, (half_u, half_v, bow), side)
    paint(canvas, at, heading, hull, (0.95 * half_u, 0.78 * half_v, bow), deck)
    if kind == 'freighter':
        _cargo(canvas, rng, at, heading, half_u, half_v)
    elif kind == 'tanker':
        paint(canvas, at, heading, box, (0.75 * half_u, 0.08 * half_v), _WHITE)
    ahead = rng.uniform(-0.2, 0.1) if kind == 'patrol' else rng.uniform(-0.78, -0.6)
    bridge = _ahead(at, heading, ahead * half_u)
    length = half_u * rng.uniform(0.1, 0.2)
    paint(canvas, bridge, heading, box, (length, 0.74 * half_v), _WHITE)
    below = _ahead(bridge, sun, 0.35 * half_v)
    paint(canvas, below, heading, box, (0.5 * length, 0.35 * half_v), _GREY, alpha=0.6)


def _cargo(
    canvas: Array,
    rng: np.random.Generator,
    at: Point,
    heading: float,
    half_u: float,
    half_v: float,
) -> None:
    """Rows of containers or hatches along the deck."""
    bays = int(rng.integers(3, 7))
    pitch = 1.25 * half_u / bays
    for bay in range(bays):
        middle = _ahead(at, heading, -0.5 * half_u + (bay + 0.5) * pitch)
        paint(canvas, middle, heading, box, (0.4 * pitch, 0.66 * half_v), _pick(rng, _CARGO))


def life_raft(
    canvas: Array, rng: np.random.Generator, at: Point, radius: float, sun: float
) -> None:
    """An inflatable raft: dark tube, bright canopy in two shades, a reflecting cross."""
    heading = rng.uniform(0.0, 2.0 * np.pi)
    outer = (radius, radius * rng.uniform(0.78, 1.0))
    inner = (0.76 * outer[0], 0.76 * outer[1])
    r, g, b = _pick(rng, _ORANGE)
    tube = _TUBE if rng.random() < 0.6 else (0.8 * r, 0.8 * g, 0.8 * b)
    below = _ahead(at, sun, 0.4 * radius)
    paint(canvas, below, heading, ellipse, outer, _SHADE, alpha=0.5, soft=1.5)
    paint(canvas, at, heading, ellipse, outer, tube)
    paint(canvas, at, heading, ellipse, inner, (r, g, b))
    dim = _ahead(at, sun, 0.3 * radius)
    paint(canvas, dim, sun, ellipse, (0.4 * radius, 0.55 * radius), (0.7 * r, 0.7 * g, 0.7 * b))
    for turn in (0.0, 0.5 * np.pi):
        bar = (0.8 * inner[1], 0.07 * radius)
        paint(canvas, at, heading + turn, box, bar, _WHITE, alpha=0.8)


def person(canvas: Array, rng: np.random.Generator, foam: Array, at: Point, scale: float) -> None:
    """Somebody swimming or floating: head, vest or shoulders, arms, a disturbed patch of water.

    `scale` is the radius of the head [pixel].
    """
    heading = rng.uniform(0.0, 2.0 * np.pi)
    rows, cols, u, v = window(at, heading, 9.0 * scale)
    ring = np.exp(-((np.hypot(u, v) / (3.4 * scale) - 1.0) ** 2) * 6.0)
    splash = ring * np.clip(0.35 + 0.5 * foam[rows, cols], 0.0, 1.0) * rng.uniform(0.1, 0.6)
    mix(canvas[:, rows, cols], splash.astype(np.float32), (0.84, 0.89, 0.90))
    skin = _pick(rng, _SKIN)
    legs = _ahead(at, heading, -4.4 * scale)
    paint(canvas, legs, heading, ellipse, (1.8 * scale, 0.8 * scale), _SHADE, alpha=0.4)
    spread = rng.uniform(0.3, 1.3)
    for side in (-1.0, 1.0):
        shoulder = _ahead(at, heading, -1.2 * scale, side * 1.1 * scale)
        angle = heading + side * (spread + rng.uniform(-0.3, 0.3))
        arm = _ahead(shoulder, angle, 1.5 * scale)
        paint(canvas, arm, angle, ellipse, (1.8 * scale, 0.5 * scale), skin)
    vest = rng.random() < 0.7
    colour = _pick(rng, _VESTS) if vest else skin
    chest, trunk = _ahead(at, heading, -2.0 * scale), (1.7 * scale, 1.35 * scale)
    paint(canvas, chest, heading, ellipse, trunk, colour, alpha=1.0 if vest else 0.6)
    hair = _pick(rng, (*_SKIN, _TUBE))
    paint(canvas, at, heading, ellipse, (scale, 0.9 * scale), hair)


def wreckage(
    canvas: Array, rng: np.random.Generator, at: Point, extent: Point, pieces: int, scale: float
) -> None:
    """Loose planks, panels and drums over an elongated patch.

    `extent`: deviations along and across the drift [pixel]; `scale`: typical half size [pixel].
    """
    drift = rng.uniform(0.0, np.pi)
    for _ in range(pieces):
        centre = _ahead(at, drift, extent[0] * rng.normal(), extent[1] * rng.normal())
        half_u = scale * float(np.exp(rng.normal(0.0, 0.45)))
        size = (half_u, half_u * rng.uniform(0.2, 1.0))
        shape = box if rng.random() < 0.7 else ellipse
        angle, alpha = rng.uniform(0.0, np.pi), rng.uniform(0.6, 1.0)
        paint(canvas, centre, angle, shape, size, _pick(rng, _WRECKAGE), alpha=alpha)


def buoy(canvas: Array, rng: np.random.Generator, at: Point, radius: float) -> None:
    """A marker buoy: a red, green or yellow disc with a pale top. Belongs to no class."""
    paint(canvas, at, 0.0, ellipse, (radius, radius), _pick(rng, _MARKS))
    paint(canvas, at, 0.0, ellipse, (0.4 * radius, 0.4 * radius), _WHITE)


def gulls(canvas: Array, rng: np.random.Generator, count: int) -> None:
    """Sea birds under the camera: pale wings in a shallow V. Belong to no class."""
    for _ in range(count):
        at = (rng.uniform(0.0, 127.0), rng.uniform(0.0, 127.0))
        heading, span = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(1.6, 4.0)
        for side in (-1.0, 1.0):
            wing = heading + side * rng.uniform(1.1, 1.5)
            middle = _ahead(at, wing, 0.5 * span)
            paint(canvas, middle, wing, ellipse, (0.55 * span, 0.22 * span), _WHITE)
