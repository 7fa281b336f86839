"""Results that are needed again at once: of functions of arrays that cannot change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

ResultT = TypeVar('ResultT')


class Kept(Generic[ResultT]):
    """A function of arrays that remembers its latest result.

    Arguments are recognised by identity, so only the result for arrays that nobody can write to is
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
        if not any(array.flags.writeable for array in arrays):
            self._latest = arrays, result
        return result


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The array, made read-only."""
    array.flags.writeable = False
    return array
