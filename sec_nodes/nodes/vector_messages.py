"""ROS points and vectors from numbers and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Vector3

from sec_nodes.slot import FloatArray


def point(vector: Sequence[float] | FloatArray) -> Point:
    """A ROS point from three numbers."""
    return Point(x=float(vector[0]), y=float(vector[1]), z=float(vector[2]))


def vector3(vector: Sequence[float] | FloatArray) -> Vector3:
    """A ROS vector from three numbers."""
    return Vector3(x=float(vector[0]), y=float(vector[1]), z=float(vector[2]))


def array3(vectors: Sequence[Any]) -> FloatArray:
    """(N, 3) from ROS points or vectors."""
    return np.array([[v.x, v.y, v.z] for v in vectors], dtype=float).reshape(-1, 3)


def are_finite(*items: Any) -> bool:
    """Whether numbers, ROS points and vectors hold neither NaN nor infinity."""
    numbers = [
        number
        for item in items
        for number in ((item.x, item.y, item.z) if hasattr(item, 'x') else (item,))
    ]
    return all(map(math.isfinite, numbers))
