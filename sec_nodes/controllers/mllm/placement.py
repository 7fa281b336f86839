"""Where a UAV hovers for the devices that send to it: inside the coverage of them all.

A UAV covers a device within a horizontal radius, so one position covers a group if and only if
the smallest circle around the group is no larger than that radius. The smallest circle is that
of one, two or three of the devices; all these circles of a slot are listed once, in ascending
order, and the circle of any group is then the first one that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sec_nodes.slot import BoolArray, FloatArray, IntArray

MOST_DEVICES = 62
"""Groups are bits of a 64-bit number."""

_ROUNDING_M = 1e-6


@dataclass(frozen=True)
class Circles:
    """Circles through one, two and three devices of each copy, ascending by radius."""

    centre_m: FloatArray
    """(B, C, 2) centres."""
    holds: IntArray
    """(B, C) devices inside, one bit each; 0 for a circle that is larger than the coverage."""

    @classmethod
    def around(cls, device_m: FloatArray, coverage_m: float) -> Circles:
        """All circles of (B, K, 2) devices that are no larger than the coverage."""
        n_devices = device_m.shape[1]
        pairs = np.array(list(combinations(range(n_devices), 2)), dtype=np.int64).reshape(-1, 2)
        triples = np.array(list(combinations(range(n_devices), 3)), dtype=np.int64).reshape(-1, 3)
        centre_m = np.concatenate(
            [
                device_m,
                device_m[:, pairs].mean(axis=2),
                _circumcentre(*(device_m[:, triples[:, i]] for i in range(3))),
            ],
            axis=1,
        )
        first = np.concatenate([np.arange(n_devices), pairs[:, 0], triples[:, 0]])
        radius_m = np.linalg.norm(device_m[:, first] - centre_m, axis=-1)
        distance_m = np.linalg.norm(device_m[:, None] - centre_m[:, :, None], axis=-1)
        inside = distance_m <= radius_m[..., None] + _ROUNDING_M
        fits = radius_m <= coverage_m - _ROUNDING_M
        holds = np.where(fits, inside @ bits(n_devices), 0)
        order = np.argsort(np.where(fits, radius_m, np.inf), axis=1, kind='stable')
        order = order[:, : fits.sum(axis=1).max()]
        return cls(
            np.take_along_axis(centre_m, order[..., None], axis=1),
            np.take_along_axis(holds, order, axis=1),
        )

    def smallest(self, copy: IntArray, group: IntArray) -> tuple[FloatArray, BoolArray]:
        """Centres (G, 2) of the smallest circles around groups, and whether there is one.

        Args:
            copy: (G,) copy that each group belongs to.
            group: (G,) its devices, one bit each.

        Returns:
            centres [m] and (G,) booleans; the centre of a group that has none means nothing.
        """
        holds = self.holds[copy]
        found = (holds & group[:, None]) == group[:, None]
        index = found.argmax(axis=1)
        return self.centre_m[copy, index], found[np.arange(len(copy)), index]


def bits(n_devices: int) -> IntArray:
    """One bit for each device, (K,)."""
    return np.left_shift(np.int64(1), np.arange(n_devices, dtype=np.int64))


def towards(
    covering_m: FloatArray,
    goal_m: FloatArray,
    member_m: FloatArray,
    present: BoolArray,
    coverage_m: float,
) -> FloatArray:
    """The positions nearest to a goal on the way from a covering position that still cover.

    Args:
        covering_m: (G, 2) positions that cover all members.
        goal_m: (G, 2) where it would be best.
        member_m: (G, n, 2) positions of the members.
        present: (G, n) which places of a group are taken.
        coverage_m: greatest horizontal distance.

    Returns:
        (G, 2) positions [m].
    """
    step_m = goal_m - covering_m
    length2 = np.square(step_m).sum(-1, keepdims=True)
    offset_m = covering_m[:, None] - member_m
    along = np.einsum('gd,gnd->gn', step_m, offset_m)
    room = (coverage_m - _ROUNDING_M) ** 2 - np.square(offset_m).sum(-1)
    with np.errstate(divide='ignore', invalid='ignore'):
        share = (np.sqrt(np.maximum(along**2 + length2 * room, 0)) - along) / length2
    share = np.where(present & (length2 > 0), share, 1.0).min(axis=1, initial=1.0)
    return covering_m + np.clip(share, 0, 1)[:, None] * step_m


def _circumcentre(a_m: FloatArray, b_m: FloatArray, c_m: FloatArray) -> FloatArray:
    """Centres (..., 2) of the circles through three points; infinite for points on a line."""
    b, c = b_m - a_m, c_m - a_m
    with np.errstate(divide='ignore', invalid='ignore'):
        twice_area = 2 * (b[..., 0] * c[..., 1] - b[..., 1] * c[..., 0])
        b2, c2 = np.square(b).sum(-1), np.square(c).sum(-1)
        x = (c[..., 1] * b2 - b[..., 1] * c2) / twice_area
        y = (b[..., 0] * c2 - c[..., 0] * b2) / twice_area
    centre_m = a_m + np.stack([x, y], axis=-1)
    return np.where(np.isfinite(centre_m), centre_m, 1e12)
