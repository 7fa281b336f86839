"""Numbers as people read them."""

from __future__ import annotations

NONE = '–'  # noqa: RUF001  an en dash is meant
"""Stands for a number that there is none of."""


def seconds(value: float | None) -> str:
    """A duration, in milliseconds below one second."""
    if value is None:
        return NONE
    return f'{value:.2f} s' if abs(value) >= 1 else f'{value * 1e3:.3g} ms'


def joule(value: float | None) -> str:
    """An energy."""
    if value is None:
        return NONE
    for factor, unit in ((1e6, 'MJ'), (1e3, 'kJ'), (1.0, 'J')):
        if abs(value) >= factor:
            return f'{value / factor:.3g} {unit}'
    return f'{value * 1e3:.3g} mJ'


def data(mbit: float | None) -> str:
    """An amount of data."""
    if mbit is None:
        return NONE
    for factor, unit in ((1e6, 'Tbit'), (1e3, 'Gbit')):
        if abs(mbit) >= factor:
            return f'{mbit / factor:.4g} {unit}'
    return f'{mbit:.4g} Mbit'


def percent(value: float | None) -> str:
    """A share."""
    return NONE if value is None else f'{value * 100:.1f} %'


def task_label(task_id: int) -> str:
    """A task by its device and its number there, from which the identifier is made."""
    return f'd{task_id >> 32} #{task_id & 0xFFFFFFFF}'


def times(value: float | None) -> str:
    """A factor."""
    return NONE if value is None else f'{value:.2f} x'
