"""ROS parameters from frozen dataclasses: declared once, described, checked.

A node's parameters are the fields of a dataclass; `parameter` gives each its default, its
description and its range. `read_parameters` declares them on the node, with descriptors that
`ros2 param describe` shows, and returns the dataclass filled in. All parameters are read-only:
what may change while running has a service of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, Field, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rclpy.node import Node

ParametersT = TypeVar('ParametersT')


class ParameterError(ValueError):
    """A node parameter that cannot be used; the text names parameter, value and remedy."""


def parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """A field of a parameter dataclass.

    Args:
        default: default value; lists are copied.
        description: what it means, with its unit in brackets.
        low: smallest allowed value.
        high: largest allowed value.
        choices: allowed values of a text.
    """
    metadata = {'description': description, 'low': low, 'high': high, 'choices': tuple(choices)}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def default_of(item: Field[Any]) -> Any:
    """Default value of a field made by `parameter`."""
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


def check(name: str, value: Any, item: Field[Any]) -> None:
    """Raise `ParameterError` if a value is outside what its field allows."""
    low, high, choices = (item.metadata[key] for key in ('low', 'high', 'choices'))
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            raise ParameterError(f'parameter {name} = {value}: must be a finite number')
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            if low is not None and number < low:
                raise ParameterError(f'parameter {name} = {value}: must be at least {low}')
            if high is not None and number > high:
                raise ParameterError(f'parameter {name} = {value}: must be at most {high}')
    if choices and value not in choices:
        raise ParameterError(f'parameter {name} = {value!r}: must be one of {", ".join(choices)}')


def read_parameters(node: Node, kind: type[ParametersT]) -> ParametersT:
    """Declare the fields of a parameter dataclass on a node and return their values.

    Args:
        node: the node that gets the parameters.
        kind: frozen dataclass whose fields were made by `parameter`.

    Raises:
        ParameterError: a value has the wrong type or lies outside its range.
    """
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

    values = {}
    for item in fields(kind):  # type: ignore[arg-type]
        default = default_of(item)
        try:
            declared = node.declare_parameter(item.name, default, _descriptor(item))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(f'parameter {item.name}: {error}') from None
        value = declared.value
        value = list(value) if isinstance(default, list) else value
        check(item.name, value, item)
        values[item.name] = value
    return kind(**values)


def _descriptor(item: Field[Any]) -> Any:
    from rcl_interfaces.msg import ParameterDescriptor

    low, high, choices = (item.metadata[key] for key in ('low', 'high', 'choices'))
    limits = [f'at least {low}'] * (low is not None) + [f'at most {high}'] * (high is not None)
    limits += [f'one of {", ".join(choices)}'] * bool(choices)
    return ParameterDescriptor(
        description=item.metadata['description'],
        additional_constraints='; '.join(limits),
        read_only=True,
    )
