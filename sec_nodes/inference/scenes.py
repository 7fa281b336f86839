"""Aerial pictures of the sea and its rescue cases, rendered by code from a label and a seed.

A camera that looks straight down from a UAV sees 128 x 128 pixels of water (or shore) under some
sea state, sun, haze, cloud, motion blur and sensor noise. Eight labels matter to a search: is
there nothing, one ship, several, a raft, a swimmer, wreckage, oil, or land. Cloud shadows, glare,
whitecaps, gulls and buoys appear under every label and mean nothing: they are there to mislead.

Nothing is downloaded and nothing is random beyond the seed: the same (label, seed) gives the same
bytes with the same NumPy; other versions or processors may differ by a grey level where a sum is
rounded otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference import scene_objects as objects
from sec_nodes.inference.raster import (
    COLS,
    ROWS,
    SIZE,
    Array,
    blur,
    cloud_noise,
    mix,
    planes,
    wave_height,
)

CLASSES: tuple[str, ...] = (
    'open_water',
    'ship',
    'convoy',
    'life_raft',
    'person_in_water',
    'debris_field',
    'oil_slick',
    'coast',
)
"""Labels in the order of the classifiers' scores."""

PICTURE_SHAPE = (SIZE, SIZE, 3)
"""Rows, columns, RGB of a picture; dtype uint8."""

_WATERS = np.array(
    [
        (0.05, 0.16, 0.26),
        (0.06, 0.24, 0.32),
        (0.10, 0.26, 0.28),
        (0.16, 0.22, 0.26),
        (0.04, 0.11, 0.19),
        (0.15, 0.29, 0.24),
    ],
    np.float32,
)


@dataclass(frozen=True)
class _Weather:
    """What the picture is taken through; drawn once a picture. Angles [rad], the rest 0..1."""

    wind: float
    wind_heading: float
    sun: float
    glare: float
    haze: float
    cloud: float
    shadow: float
    noise: float
    blur: float


def draw_label(seed: int) -> str:
    """One of CLASSES with equal chances, from the seed alone."""
    return CLASSES[int(np.random.default_rng([seed, 7]).integers(len(CLASSES)))]


def render(label: str, seed: int) -> NDArray[np.uint8]:
    """Picture of `label`: uint8 RGB of PICTURE_SHAPE.

    `seed` is any non-negative integer; ValueError for another seed or a label not in CLASSES.
    """
    if label not in CLASSES:
        near = get_close_matches(label, CLASSES, 1)
        hint = f'did you mean {near[0]!r}?' if near else f'choose one of {", ".join(CLASSES)}'
        raise ValueError(f'label {label!r} is not a scene class; {hint}')
    if seed < 0:
        raise ValueError(f'seed {seed} is negative; give an integer from 0')
    rng = np.random.default_rng([CLASSES.index(label), seed])
    weather = _draw_weather(rng)
    height = _sea(rng, weather)
    foam = cloud_noise(rng, (17, 33, 65), 0.8)
    calm = _slick(rng) if label == 'oil_slick' else None
    canvas = _water(rng, weather, height, calm)
    _clutter(canvas, rng)
    _place(canvas, rng, label, foam, weather)
    return _develop(canvas, rng, weather)


def _draw_weather(rng: np.random.Generator) -> _Weather:
    """Mostly fair weather with a tail of bad."""
    bad = rng.beta(1.3, 2.6, size=7)
    return _Weather(
        wind=float(bad[0]) ** 0.8,
        wind_heading=rng.uniform(0.0, 2.0 * np.pi),
        sun=rng.uniform(0.0, 2.0 * np.pi),
        glare=float(bad[1]) if rng.random() < 0.45 else 0.0,
        haze=float(bad[2]) * 0.8,
        cloud=float(bad[3]) if rng.random() < 0.4 else 0.0,
        shadow=float(bad[4]) if rng.random() < 0.5 else 0.0,
        noise=0.008 + 0.05 * float(bad[5]) ** 1.5,
        blur=0.3 + 1.5 * float(bad[6]) ** 1.7,
    )


def _sea(rng: np.random.Generator, weather: _Weather) -> Array:
    """Surface height in its own deviations: short waves from high up, long ones from low."""
    peak = rng.uniform(5.0, 20.0)
    spread = rng.uniform(0.3, 0.95)
    return wave_height(rng, peak, weather.wind_heading, spread, rng.uniform(1.6, 2.6))


def _slick(rng: np.random.Generator) -> Array:
    """Cover 0..1 of a film drawn out by the current, with a ragged edge."""
    heading, centre = rng.uniform(0.0, np.pi), rng.uniform(38.0, 90.0, size=2)
    cos, sin = np.float32(np.cos(heading)), np.float32(np.sin(heading))
    dx, dy = COLS - np.float32(centre[0]), ROWS - np.float32(centre[1])
    long, wide = rng.uniform(24.0, 75.0), rng.uniform(11.0, 34.0)
    radius = np.hypot((cos * dx + sin * dy) / long, (cos * dy - sin * dx) / wide)
    ragged = cloud_noise(rng, (5, 9, 17, 33), 0.6)
    edge = (1.0 - radius + 0.33 * ragged) * np.float32(rng.uniform(3.0, 9.0))
    return np.clip(edge, 0.0, 1.0).astype(np.float32)


def _water(
    rng: np.random.Generator, weather: _Weather, height: Array, calm: Array | None
) -> Array:
    """Shaded water: colour, slope against the sun, glare, whitecaps, cloud shadow, an oil film."""
    blend = rng.dirichlet(np.full(len(_WATERS), 0.5)).astype(np.float32)
    base = blend @ _WATERS * np.float32(rng.uniform(0.75, 1.35))
    cos, sin = np.float32(np.cos(weather.sun)), np.float32(np.sin(weather.sun))
    slope = cos * (height - np.roll(height, 1, 1)) + sin * (height - np.roll(height, 1, 0))
    slope /= np.float32(slope.std() + 1e-6)
    strength = np.float32(0.012 + 0.05 * weather.wind)
    relief = strength * (slope + 0.5 * height)
    film = np.zeros((SIZE, SIZE), np.float32) if calm is None else calm
    relief *= 1.0 - 0.75 * film
    patches = cloud_noise(rng, (3, 5, 9), 0.6)
    light = 1.0 + 0.07 * patches
    if weather.shadow > 0.0:
        dark = np.clip(cloud_noise(rng, (3, 5, 9, 17), 0.5) - 0.3, 0.0, 0.8)
        light -= np.float32(0.75 * weather.shadow) * dark
    canvas = (planes(base) + relief) * light
    if weather.glare > 0.0:
        _add_glare(canvas, rng, weather, slope * (1.0 - 0.6 * film))
    if weather.wind > 0.3:
        caps = height + 0.8 * cloud_noise(rng, (17, 33, 65), 1.0) - (4.2 - 1.8 * weather.wind)
        mix(canvas, np.clip(1.4 * caps, 0.0, 0.85) * (1.0 - film), (0.86, 0.89, 0.90))
    if calm is not None:
        _add_film(canvas, rng, film)
    return canvas


def _add_glare(canvas: Array, rng: np.random.Generator, weather: _Weather, slope: Array) -> None:
    """The sun's reflection: a bright patch broken into sparkles by steep facets."""
    x, y = rng.uniform(-20.0, 147.0, size=2)
    width = rng.uniform(25.0, 60.0)
    spot = np.exp(-((COLS - np.float32(x)) ** 2 + (ROWS - np.float32(y)) ** 2) / (2 * width**2))
    sparkle = np.clip(0.35 + 0.6 * slope, 0.0, 1.6)
    shine = np.float32(0.75 * weather.glare) * spot * (0.25 + sparkle)
    canvas += shine * planes((1.0, 0.97, 0.88))


def _add_film(canvas: Array, rng: np.random.Generator, film: Array) -> None:
    """Oil: crude darkens and browns the water, a thin film shows interference colours."""
    thickness = film * (1.0 + 0.5 * cloud_noise(rng, (5, 9, 17), 0.6))
    crude = rng.random() < 0.5
    body = (0.06, 0.05, 0.045) if crude else (0.34, 0.36, 0.38)
    tone = np.array(body, np.float32) * np.float32(rng.uniform(0.7, 1.5))
    mix(canvas, film * np.float32(rng.uniform(0.3, 0.8) if crude else rng.uniform(0.1, 0.4)), tone)
    turns = np.float32(rng.uniform(3.0, 7.0)) * thickness + np.float32(rng.uniform(0.0, 6.28))
    sheen = np.float32(rng.uniform(0.0, 0.05) if crude else rng.uniform(0.03, 0.1))
    canvas += sheen * film * (np.cos(turns + planes((0.0, 1.3, 2.6))) + 0.2)


def _clutter(canvas: Array, rng: np.random.Generator) -> None:
    """Things that belong to no class and may be in any picture."""
    if rng.random() < 0.18:
        at = (rng.uniform(4.0, 124.0), rng.uniform(4.0, 124.0))
        objects.buoy(canvas, rng, at, rng.uniform(1.2, 2.6))


def _place(
    canvas: Array,
    rng: np.random.Generator,
    label: str,
    foam: Array,
    weather: _Weather,
) -> None:
    """Draw what the label names."""
    at = (rng.uniform(22.0, 106.0), rng.uniform(22.0, 106.0))
    small = rng.beta(1.2, 1.8)
    if label == 'ship':
        heading = rng.uniform(0.0, 2.0 * np.pi)
        objects.ship(canvas, rng, foam, at, heading, 6.0 + 32.0 * small, weather.sun)
    elif label == 'convoy':
        _convoy(canvas, rng, foam, weather)
    elif label == 'life_raft':
        objects.life_raft(canvas, rng, at, 2.6 + 8.0 * small, weather.sun)
    elif label == 'person_in_water':
        objects.person(canvas, rng, foam, at, 1.05 + 1.9 * small)
    elif label == 'debris_field':
        extent = (rng.uniform(10.0, 30.0), rng.uniform(6.0, 14.0))
        objects.wreckage(canvas, rng, at, extent, int(rng.integers(10, 40)), 1.1 + 2.2 * small)
    elif label == 'coast':
        _land(canvas, rng, foam)
    if rng.random() < 0.25:
        objects.gulls(canvas, rng, int(rng.integers(1, 5)))


def _convoy(canvas: Array, rng: np.random.Generator, foam: Array, weather: _Weather) -> None:
    """Two to five ships on nearly one course, in line or abreast."""
    count = int(rng.integers(2, 6))
    heading, line = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.0, np.pi)
    half = rng.uniform(4.5, 12.0)
    gap = rng.uniform(18.0, 30.0)
    middle = rng.uniform(52.0, 76.0, size=2)
    for k in range(count):
        along, across = (k - 0.5 * (count - 1)) * gap, rng.normal(0.0, 7.0)
        x = middle[0] + along * np.cos(line) - across * np.sin(line)
        y = middle[1] + along * np.sin(line) + across * np.cos(line)
        at = (float(np.clip(x, 8.0, 119.0)), float(np.clip(y, 8.0, 119.0)))
        length = half * rng.uniform(0.75, 1.3)
        objects.ship(canvas, rng, foam, at, heading + rng.normal(0.0, 0.12), length, weather.sun)


def _land(canvas: Array, rng: np.random.Generator, foam: Array) -> None:
    """A shore: shallows, surf, sand or rock, then scrub, woods or fields."""
    heading, reach = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(-42.0, 34.0)
    cos, sin = np.float32(np.cos(heading)), np.float32(np.sin(heading))
    inland = cos * (COLS - 63.5) + sin * (ROWS - 63.5) + np.float32(reach)
    inland += np.float32(rng.uniform(5.0, 16.0)) * cloud_noise(rng, (3, 5, 9, 17), 0.5)
    shallow = np.clip(1.0 + inland / np.float32(rng.uniform(12.0, 34.0)), 0.0, 1.0) ** 2
    mix(canvas, 0.75 * shallow, (0.20, 0.46, 0.46))
    beach = rng.uniform(2.0, 14.0)
    rocky = rng.random() < 0.35
    shore = (0.36, 0.34, 0.32) if rocky else (0.72, 0.64, 0.47)
    grain = (1.0 + (0.28 if rocky else 0.06) * foam).astype(np.float32)
    mix(canvas, np.clip(0.5 + inland, 0.0, 1.0), planes(shore) * grain)
    cover = np.clip(0.5 + (inland - beach) / 2.0 + 0.9 * foam, 0.0, 1.0)
    green = ((0.17, 0.26, 0.13), (0.34, 0.36, 0.20), (0.44, 0.38, 0.27))[int(rng.integers(3))]
    texture = 1.0 + 0.24 * foam + 0.14 * cloud_noise(rng, (9, 17, 33), 0.8)
    mix(canvas, cover.astype(np.float32), planes(green) * texture)
    surf = np.exp(-((inland + 2.0 + 1.5 * foam) ** 2) / np.float32(rng.uniform(3.0, 12.0)))
    mix(canvas, (0.85 * rng.uniform(0.2, 1.0) * surf).astype(np.float32), (0.92, 0.94, 0.93))


def _develop(canvas: Array, rng: np.random.Generator, weather: _Weather) -> NDArray[np.uint8]:
    """Air, lens and sensor: cloud, haze, blur, vignette, exposure, colour cast, noise, 8 bit."""
    air = np.array((0.66, 0.70, 0.74), np.float32) * np.float32(rng.uniform(0.75, 1.15))
    veil = np.full((SIZE, SIZE), 0.62 * weather.haze, np.float32)
    if weather.cloud > 0.0:
        thick = cloud_noise(rng, (3, 5, 9, 17, 33), 0.5) - (1.7 - 1.1 * weather.cloud)
        veil = np.maximum(veil, np.clip(0.55 * thick, 0.0, 0.8))
    mix(canvas, veil, air)
    along = rng.uniform(0.6, 1.4)
    canvas = blur(canvas, weather.blur * along, weather.blur / along)
    far = ((COLS - 63.5) ** 2 + (ROWS - 63.5) ** 2) / np.float32(2 * 63.5**2)
    canvas *= 1.0 - np.float32(rng.uniform(0.0, 0.3)) * far
    cast = rng.uniform(0.93, 1.07, size=3) * rng.uniform(0.75, 1.35)
    canvas *= planes(cast.astype(np.float32))
    grain = rng.integers(0, 256, (2, 3, SIZE, SIZE), np.uint8).astype(np.float32)
    canvas += (grain[0] + grain[1] - 255.0) * np.float32(weather.noise / 104.5)
    levels = (np.clip(canvas, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))
