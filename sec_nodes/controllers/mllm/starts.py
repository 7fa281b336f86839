"""Partitions that the search for the best mllm slot begins with and, later, returns to."""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.mllm.groups import IMPOSSIBLE, Groups
from sec_nodes.controllers.mllm.search import NOWHERE
from sec_nodes.slot import FloatArray, IntArray

_ROUNDS = 3


def without_interference(groups: Groups) -> IntArray:
    """(B, K) receivers that would be best if devices did not disturb each other.

    UAVs take turns in choosing the circle of devices that saves most, the others' circles given;
    each device then goes where it costs least among the UAVs whose circle holds it and the
    satellites.
    """
    m = groups.n_uavs
    alone, active = groups.offers.alone, groups.active
    n_copies, n_devices = active.shape
    inside = groups.circles.holds[..., None] & groups.bits != 0  # (B, C, K)
    sky = alone[..., m:].min(axis=2)
    cost = np.full((n_copies, n_devices, m), IMPOSSIBLE)
    for turn in range(_ROUNDS * m):
        # The last UAV answers most demands: let it choose first.
        uav = m - 1 - turn % m
        cost[..., uav] = IMPOSSIBLE
        others = np.minimum(sky, cost.min(axis=2))
        saving = np.where(active, np.maximum(others - alone[..., uav], 0), 0)
        best = np.einsum('bck,bk->bc', inside, saving).argmax(axis=1)
        held = inside[np.arange(n_copies), best]
        cost[..., uav] = np.where(held, alone[..., uav], IMPOSSIBLE)
    choices = np.concatenate([cost, alone[..., m:]], axis=2)
    return np.where(active, choices.argmin(axis=2), NOWHERE)


def emptied(receiver: IntArray, draws: FloatArray) -> IntArray:
    """Partitions (B, K) with the devices of two receivers, and a few others, sent away.

    The receivers are those of two random devices.

    Args:
        receiver: (B, K) partitions.
        draws: (B, 2 + K) uniform numbers in (0, 1).
    """
    n_devices = receiver.shape[1]
    two = np.take_along_axis(receiver, (draws[:, :2] * n_devices).astype(np.int64), axis=1)
    away = (receiver[:, :, None] == two[:, None]).any(axis=2) | (draws[:, 2:] < 0.15)
    return np.where(away, NOWHERE, receiver)


def moved_uav(groups: Groups, copy: IntArray, receiver: IntArray, draws: FloatArray) -> IntArray:
    """Partitions (B, K) with a random UAV sent to a random circle.

    The devices inside that it serves more cheaply than a satellite go to it, unless another UAV
    has them already and a number drawn for each says no; those that it had outside are sent away.

    Args:
        groups: of the slot.
        copy: (B,) copy of each partition.
        receiver: (B, K) partitions.
        draws: (B, 2 + K) uniform numbers in (0, 1).
    """
    m = groups.n_uavs
    uav = (draws[:, 0] * m).astype(np.int64)
    holds = groups.circles.holds[copy]
    # Large circles hold most; the list is ascending, so draw from its upper end.
    index = ((holds != 0).sum(axis=1) * np.sqrt(draws[:, 1])).astype(np.int64)
    circle = holds[np.arange(len(copy)), index]
    inside = (circle[:, None] & groups.bits) != 0
    alone = groups.offers.alone[copy]
    at_uav = np.take_along_axis(alone, uav[:, None, None], axis=2)[..., 0]
    cheaper = at_uav < alone[..., m:].min(axis=2)
    elsewhere = (receiver >= 0) & (receiver < m) & (receiver != uav[:, None])
    joins = inside & cheaper & ~(elsewhere & (draws[:, 2:] < 0.5)) & (receiver != NOWHERE)
    leaves = (receiver == uav[:, None]) & ~inside
    return np.where(joins, uav[:, None], np.where(leaves, NOWHERE, receiver))
