"""Input checks at the borders of the physics: a wrong value is named, never turned into a NaN."""

from __future__ import annotations

from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]
"""A float array of any shape; float32 in gives float32 out where numpy keeps it."""

Floats = Union[FloatArray, float]  # noqa: UP007 (kept a runtime alias)
"""An array or a Python number; a Python number never widens a float32 array."""

IntArray = NDArray[np.signedinteger[Any]]
"""An integer array of any shape."""

BoolArray = NDArray[np.bool_]
"""A Boolean array of any shape."""


def require_nonnegative(name: str, value: ArrayLike, remedy: str) -> None:
    """Raise ValueError unless every element is a number >= 0 (infinity allowed).

    `remedy` is the last sentence of the message: what the caller should do instead.
    """
    array = np.asarray(value)
    # Written so that a NaN, for which every comparison is false, fails as well.
    fine = array >= 0
    if not fine.all():
        raise ValueError(f'{name} is {_first(array, fine)}, but must be >= 0. {remedy}')


def require_positive(name: str, value: ArrayLike, remedy: str) -> None:
    """Raise ValueError unless every element is a number > 0 (infinity allowed)."""
    array = np.asarray(value)
    fine = array > 0
    if not fine.all():
        raise ValueError(f'{name} is {_first(array, fine)}, but must be > 0. {remedy}')


def require_finite(name: str, value: ArrayLike, remedy: str) -> None:
    """Raise ValueError if any element is infinite or not a number."""
    array = np.asarray(value)
    fine = np.isfinite(array)
    if not fine.all():
        raise ValueError(f'{name} is {_first(array, fine)}, but must be finite. {remedy}')


def require_last_axis(name: str, value: FloatArray, length: int) -> None:
    """Raise ValueError unless the last axis has the given length."""
    if value.ndim == 0 or value.shape[-1] != length:
        raise ValueError(
            f'{name} has shape {value.shape}, but its last axis must have length {length}. '
            f'Pass one row of {length} numbers an entity.'
        )


def _first(array: NDArray[Any], fine: NDArray[np.bool_]) -> str:
    """Return the first bad element, with its index when there is more than one element."""
    if array.ndim == 0:
        return str(array[()])
    index = tuple(int(i) for i in np.argwhere(~fine)[0])
    return f'{array[index]} at index {index if len(index) > 1 else index[0]}'
