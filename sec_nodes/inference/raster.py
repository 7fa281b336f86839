"""Drawing on a small float picture: signed distances, noise fields and blur, in numpy alone.

A canvas is a float32 array (3, SIZE, SIZE) in [0, 1], planes red, green, blue; lengths are in
pixels. Shapes are signed
distances (negative inside), so that edges are antialiased without supersampling and a shape costs
only the window around it. See https://iquilezles.org/articles/distfunctions2d/ for the distances.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Colour = tuple[float, float, float]

SIZE = 128
"""Side of a picture [pixel]."""

ROWS, COLS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)

_FREQ_Y = np.fft.fftfreq(SIZE).astype(np.float32)[:, None] * SIZE
_FREQ_X = np.fft.rfftfreq(SIZE).astype(np.float32)[None, :] * SIZE
_WAVENUMBER = np.hypot(_FREQ_Y, _FREQ_X)
_WAVENUMBER[0, 0] = 1.0
_HEADING = np.arctan2(_FREQ_Y, _FREQ_X)


def _interpolation(n: int) -> Array:
    """Matrix (SIZE, n) that interpolates n knots to SIZE pixels with a smooth cubic step."""
    position = np.linspace(0.0, n - 1.000001, SIZE)
    left = position.astype(int)
    step = position - left
    step = step * step * (3.0 - 2.0 * step)
    matrix = np.zeros((SIZE, n), np.float32)
    matrix[np.arange(SIZE), left] = 1.0 - step
    matrix[np.arange(SIZE), left + 1] += step
    return matrix


_KNOTS = {n: _interpolation(n) for n in (3, 5, 9, 17, 33, 65)}


def cloud_noise(rng: np.random.Generator, knots: tuple[int, ...], decay: float = 0.5) -> Array:
    """Fractal value noise (SIZE, SIZE), about zero mean and unit deviation.

    `knots` names one octave each (a key of the prepared grids: 3, 5, 9, 17, 33, 65); every next
    octave weighs `decay` times the one before.
    """
    total = np.zeros((SIZE, SIZE), np.float32)
    weight, power = 1.0, 0.0
    for n in knots:
        matrix = _KNOTS[n]
        total += weight * (matrix @ rng.standard_normal((n, n), np.float32) @ matrix.T)
        power += weight * weight
        weight *= decay
    return total / np.float32(0.72 * power**0.5)


def wave_height(
    rng: np.random.Generator, peak: float, heading: float, spread: float, slope: float
) -> Array:
    """Random sea surface (SIZE, SIZE) of unit deviation, periodic over the picture.

    White noise filtered by a directional spectrum of Phillips' shape, as Tessendorf does it
    (Simulating Ocean Water, SIGGRAPH course notes 2001). `peak`: waves across the picture at the
    spectrum's peak; `heading` of the wind [rad]; `spread`: 0 = no preferred direction; `slope`:
    fall of amplitude with wavenumber.
    """
    relative = _WAVENUMBER * np.float32(1.0 / peak)
    amplitude = relative ** np.float32(-slope) * np.exp(-0.5 / (relative * relative))
    amplitude *= 1.0 - spread + spread * np.cos(_HEADING - heading) ** 2
    amplitude[0, 0] = 0.0
    noise = rng.standard_normal((2, SIZE, SIZE // 2 + 1), np.float32)
    height = np.fft.irfft2(amplitude * (noise[0] + 1j * noise[1]), s=(SIZE, SIZE))
    return (height / height.std()).astype(np.float32)


def planes(colour: Colour | Array) -> Array:
    """A colour as (3, 1, 1), ready to multiply a field (rows, columns) into a canvas."""
    return np.asarray(colour, np.float32).reshape(3, 1, 1)


def mix(canvas: Array, cover: Array, colour: Colour | Array) -> None:
    """Lay `colour` over `canvas` in place where `cover` (rows, columns; 0..1) says.

    `colour` is one colour or a whole canvas of them.
    """
    full = np.asarray(colour, np.float32)
    canvas += cover * ((full if full.ndim == 3 else planes(full)) - canvas)


def box(u: Array, v: Array, half_u: float, half_v: float) -> Array:
    """Distance to a rectangle of the given half sides."""
    return np.maximum(np.abs(u) - half_u, np.abs(v) - half_v)


def ellipse(u: Array, v: Array, half_u: float, half_v: float) -> Array:
    """Approximate distance to an ellipse of the given half axes."""
    return (np.hypot(u / half_u, v / half_v) - 1.0) * min(half_u, half_v)


def hull(u: Array, v: Array, half_u: float, half_v: float, bow: float) -> Array:
    """Distance to a ship's outline: square stern, sides, a bow that tapers over `bow` of it."""
    start = half_u * (1.0 - 2.0 * bow)
    taper = np.clip((u - start) / (half_u - start), 0.0, 1.0)
    return np.maximum(np.abs(v) - half_v * (1.0 - taper**2), np.abs(u) - half_u)


def window(
    at: tuple[float, float], heading: float, reach: float
) -> tuple[slice, slice, Array, Array]:
    """Rows, columns and own coordinates u (along `heading` [rad]) and v of a window around `at`.

    `at`: column and row of the origin [pixel]; `reach`: half side of the window [pixel]. A window
    outside the picture comes out empty.
    """
    x, y = at
    rows = slice(max(0, int(y - reach)), min(SIZE, max(0, int(y + reach) + 2)))
    cols = slice(max(0, int(x - reach)), min(SIZE, max(0, int(x + reach) + 2)))
    dx, dy = COLS[rows, cols] - np.float32(x), ROWS[rows, cols] - np.float32(y)
    cos, sin = np.float32(np.cos(heading)), np.float32(np.sin(heading))
    return rows, cols, cos * dx + sin * dy, cos * dy - sin * dx


def paint(
    canvas: Array,
    at: tuple[float, float],
    heading: float,
    shape: Callable[..., Array],
    size: tuple[float, ...],
    colour: Colour,
    *,
    alpha: float = 1.0,
    soft: float = 1.0,
) -> None:
    """Draw one shape at (column, row) `at`, turned to `heading` [rad].

    `shape(u, v, *size)` is one of the signed distances above; the first two numbers of `size`
    are its half sides [pixel]; `soft` is the width of its edge [pixel].
    """
    reach = float(np.hypot(size[0], size[1])) + soft + 1.0
    rows, cols, u, v = window(at, heading, reach)
    cover = np.clip(0.5 - shape(u, v, *size) / np.float32(soft), 0.0, 1.0)
    mix(canvas[:, rows, cols], (np.float32(alpha) * cover).astype(np.float32), colour)


def blur(canvas: Array, sigma_x: float, sigma_y: float) -> Array:
    """Gaussian blur [pixel] along columns and rows; edges are renormalised."""
    blurred: Array = np.matmul(_blur_matrix(sigma_y) @ canvas, _blur_matrix(sigma_x).T)
    return blurred


def _blur_matrix(sigma: float) -> Array:
    """Rows of a truncated Gaussian; cut at 4 deviations, where subnormals would slow the sum."""
    offset = np.arange(SIZE, dtype=np.float32)
    exponent = (offset[:, None] - offset) ** 2 / np.float32(-2.0 * max(sigma, 0.2) ** 2)
    kernel: Array = np.exp(np.maximum(exponent, np.float32(-8.0)))
    kernel[exponent < -8.0] = 0.0
    kernel /= kernel.sum(axis=1, keepdims=True)
    return kernel
