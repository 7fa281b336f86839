"""Results that are needed again at once: of functions of arrays that cannot change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

ResultT = TypeVar('ResultT')


class Kept(Generic[ResultT]):
    """A function of arrays that remembers its latest result.

    Arguments are recognised by identity, so only results for arrays that nobody can write to are
    remembered.

    Args:
        function: a pure function of arrays.
    """

    def __init__(self, function: Callable[..., ResultT]) -> None:
        self._function = function
        self._latest: tuple[tuple[NDArray[Any], ...], ResultT] | None = None

    def __call__(self, *arrays: NDArray[Any]) -> ResultT:
        """The function's result."""
        latest = self._latest
        if latest is not None and all(a is b for a, b in zip(latest[0], arrays, strict=True)):
            return latest[1]
        result = self._function(*arrays)
        if all(is_settled(array) for array in arrays):
            self._latest = arrays, result
        return result


def is_settled(array: NDArray[Any]) -> bool:
    """Whether nobody can write to an array; a view may change with what it is a view of."""
    return bool(array.flags.owndata and not array.flags.writeable)


def settled(array: NDArray[Any]) -> NDArray[Any]:
    """The array, or a read-only copy of it if somebody could write to it."""
    return array if is_settled(array) else frozen(array.copy())


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The array, made read-only."""
    array.flags.writeable = False
    return array
