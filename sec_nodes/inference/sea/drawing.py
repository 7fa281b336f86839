"""Pictures of layouts: water with waves and whitecaps, and on it what the layout says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.raster import (
    Array,
    Colour,
    cloud_noise,
    ellipse,
    hull,
    mix,
    paint,
    planes,
    wave_height,
)
from sec_nodes.inference.sea.layout import SIDE, Coast, Layout, Ship, Slick

PICTURE_SHAPE = (SIDE, SIDE, 3)

_PAINTS: dict[str, Colour] = {
    'red': (0.76, 0.12, 0.10),
    'yellow': (0.90, 0.78, 0.14),
    'green': (0.12, 0.56, 0.22),
    'blue': (0.12, 0.26, 0.78),
    'white': (0.92, 0.92, 0.90),
    'black': (0.06, 0.06, 0.07),
}
_DECK: Colour = (0.55, 0.50, 0.46)
_VEST: Colour = (0.98, 0.46, 0.06)
_SKIN: Colour = (0.72, 0.53, 0.42)
_FOAM: Colour = (0.84, 0.88, 0.90)
_OIL: Colour = (0.10, 0.08, 0.09)
_SHEEN: Colour = (0.34, 0.24, 0.36)


def draw(layout: Layout, seed: int) -> NDArray[np.uint8]:
    """The picture (SIDE, SIDE, 3) of a layout, RGB; `seed` decides light, waves and foam."""
    rng = np.random.default_rng([seed, 2])
    canvas = _water(rng)
    texture = cloud_noise(rng, (5, 9, 17, 33))
    if layout.slick is not None:
        _draw_slick(canvas, layout.slick, texture)
    _whitecaps(canvas, rng)
    if layout.coast is not None:
        _draw_coast(canvas, layout.coast, texture, rng)
    for ship in layout.ships:
        _draw_ship(canvas, ship, rng)
    for at in layout.people:
        paint(canvas, at, 0.0, ellipse, (2.2, 2.2), _FOAM, alpha=0.55, soft=1.5)
        paint(canvas, at, 0.0, ellipse, (1.5, 1.5), _VEST)
        paint(canvas, (at[0] + 0.3, at[1] - 0.3), 0.0, ellipse, (0.7, 0.7), _SKIN)
    picture = canvas[:, :SIDE, :SIDE]
    picture *= np.float32(rng.uniform(0.82, 1.12))
    picture += rng.standard_normal(picture.shape, np.float32) * np.float32(0.012)
    levels: NDArray[np.uint8] = (np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))


def _water(rng: np.random.Generator) -> Array:
    """Sea from green to deep blue, lighter and darker with the waves; (3, 128, 128)."""
    tint = np.float32(rng.random())
    near, far = np.array([0.10, 0.30, 0.38]), np.array([0.16, 0.40, 0.40])
    base = (near + tint * (far - near)).astype(np.float32)
    height = wave_height(rng, float(rng.uniform(7, 14)), float(rng.uniform(0, np.pi)), 0.6, 2.0)
    return np.asarray(planes(base) * (1.0 + np.float32(rng.uniform(0.05, 0.13)) * height))


def _whitecaps(canvas: Array, rng: np.random.Generator) -> None:
    """Foam flecks: as small as people, yet of another colour."""
    for _ in range(int(rng.integers(0, 7))):
        at = (float(rng.uniform(0, SIDE)), float(rng.uniform(0, SIDE)))
        size = (float(rng.uniform(1.0, 3.0)), float(rng.uniform(0.5, 1.0)))
        paint(canvas, at, float(rng.uniform(0, np.pi)), ellipse, size, _FOAM, alpha=0.6)


def _draw_slick(canvas: Array, slick: Slick, texture: Array) -> None:
    """A dark ragged patch with a violet sheen."""
    rows, cols = np.mgrid[0 : canvas.shape[1], 0 : canvas.shape[2]].astype(np.float32)
    u = (cols - slick.at[0]) / slick.half[0]
    v = (rows - slick.at[1]) / slick.half[1]
    cover = np.clip(4.0 * (1.0 - u * u - v * v + 0.25 * texture), 0.0, 1.0) * 0.82
    shine = np.clip(0.5 + 0.5 * texture, 0.0, 1.0)
    colour = planes(_OIL) + shine * (planes(_SHEEN) - planes(_OIL))
    mix(canvas, cover.astype(np.float32), colour.astype(np.float32))


def _draw_coast(canvas: Array, coast: Coast, texture: Array, rng: np.random.Generator) -> None:
    """Land with a winding shore: surf, sand, then green."""
    rows, cols = np.mgrid[0 : canvas.shape[1], 0 : canvas.shape[2]].astype(np.float32)
    inland = {'left': cols, 'right': SIDE - cols, 'top': rows, 'bottom': SIDE - rows}[coast.side]
    along = rows if coast.side in ('left', 'right') else cols
    bends = 2.0 * np.sin(along / np.float32(rng.uniform(8, 16)) + np.float32(rng.uniform(0, 6)))
    edge = coast.depth - inland + bends + 0.8 * texture
    tone = 1.0 + 0.08 * texture
    mix(canvas, (np.clip(edge + 2.0, 0.0, 1.0) * 0.7).astype(np.float32), _FOAM)
    sand = (planes((0.72, 0.64, 0.46)) * tone).astype(np.float32)
    mix(canvas, np.clip(edge, 0.0, 1.0).astype(np.float32), sand)
    green = (planes((0.26, 0.40, 0.18)) * tone).astype(np.float32)
    mix(canvas, np.clip((edge - 5.0) / 2.0, 0.0, 1.0).astype(np.float32), green)


def _draw_ship(canvas: Array, ship: Ship, rng: np.random.Generator) -> None:
    """Wake, hull in the ship's colour, and a deckhouse."""
    half = 0.5 * ship.length
    cos, sin = float(np.cos(ship.heading_rad)), float(np.sin(ship.heading_rad))
    astern = (ship.at[0] - cos * 1.35 * half, ship.at[1] - sin * 1.35 * half)
    strength = float(rng.uniform(0.2, 0.5))
    paint(
        canvas,
        astern,
        ship.heading_rad,
        ellipse,
        (0.6 * half, 0.13 * ship.length),
        _FOAM,
        alpha=strength,
        soft=2.0,
    )
    gain = float(rng.uniform(0.88, 1.05))
    red, green, blue = _PAINTS[ship.colour]
    colour = (red * gain, green * gain, blue * gain)
    size = (half, max(0.19 * ship.length, 2.0), 0.35)
    paint(canvas, ship.at, ship.heading_rad, hull, size, colour)
    house = (ship.at[0] - cos * 0.45 * half, ship.at[1] - sin * 0.45 * half)
    paint(canvas, house, ship.heading_rad, ellipse, (0.16 * half, 0.10 * ship.length), _DECK)
