"""From a picture to `pixel_values`, to the bit as the processors of transformers (PIL) do it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.language.spec import ImageSpec, ResizeStep

_FILTERS = {
    'nearest': Image.Resampling.NEAREST,
    'lanczos': Image.Resampling.LANCZOS,
    'bilinear': Image.Resampling.BILINEAR,
    'bicubic': Image.Resampling.BICUBIC,
    'box': Image.Resampling.BOX,
    'hamming': Image.Resampling.HAMMING,
}


def pixel_values(image: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.float32]:
    """(3, H, W) for a uint8 picture (h, w, 3) of any size; PayloadError for anything else."""
    picture = check_picture(image)
    for step in spec.steps:
        picture = _apply(step, picture, _FILTERS[spec.resample])
    scaled = (picture.astype(np.float64) * spec.rescale).astype(np.float32)
    normal = (scaled - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1), np.float32)


def check_picture(image: Any) -> NDArray[np.uint8]:
    """The picture itself if it is uint8 (h, w, 3) with at least one pixel, else PayloadError."""
    picture = np.asarray(image)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise PayloadError(
            f'image is {picture.dtype} {picture.shape}; expected uint8 (height, width, 3)'
        )
    return picture


def _apply(
    step: ResizeStep, picture: NDArray[np.uint8], resample: Image.Resampling
) -> NDArray[np.uint8]:
    if step.kind == 'crop':
        return _crop(picture, step.height, step.width)
    height, width = _target(step, picture.shape[0], picture.shape[1])
    return np.asarray(Image.fromarray(picture).resize((width, height), resample))


def _target(step: ResizeStep, height: int, width: int) -> tuple[int, int]:
    """Height and width after a step that resizes.

    With `longest_edge` the other edge is even: SmolVLM's and Idefics 3's processors do so.
    """
    if step.kind == 'fit':
        return step.height, step.width
    edge = step.height
    if step.kind == 'shortest_edge':
        if width <= height:
            return int(edge * height / width), edge
        return edge, int(edge * width / height)
    aspect = width / height
    if width >= height:
        other = int(edge / aspect)
        return max(other + other % 2, 1), edge
    other = int(edge * aspect)
    return edge, max(other + other % 2, 1)


def _crop(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The middle of a picture, zeros around it where it is too small."""
    have_height, have_width = picture.shape[:2]
    below, right = max(height - have_height, 0), max(width - have_width, 0)
    above, left = -(-below // 2), -(-right // 2)
    padded = np.pad(picture, ((above, below - above), (left, right - left), (0, 0)))
    top = (padded.shape[0] - height) // 2
    first = (padded.shape[1] - width) // 2
    return padded[top : top + height, first : first + width]
