"""Whether tasks can be parted among UAVs at all.

Processors hold only so much, and some tasks do not go together.

Which tasks no single UAV can serve together is found out as needed: a parting that the processors
allow is checked group by group, and each group that is refuted becomes a further constraint, until
a parting stands or none is left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from sec_nodes.scenarios.partial.instance import GIGAHERTZ
from sec_nodes.slot import FloatArray, IntArray

_ROUNDING = 1e-6
"""What the solver may take as kept."""
_INFEASIBLE = 2
"""Status of scipy's milp for a problem that is proven to have no solution."""
_MOST_NODES = 20000
"""Branches after which the solver gives up: then nothing is proven."""
_MOST_PARTINGS = 300
"""Partings that are checked before nothing is proven."""

Groups = list[list[int]]


def parting(
    cpu_hz: FloatArray, free_hz: FloatArray, apart: Groups
) -> tuple[IntArray | None, bool]:
    """A way to part tasks among UAVs, or the proof that there is none.

    Args:
        cpu_hz: (U, n) what each task takes of each UAV at least; infinite if it cannot go there.
        free_hz: (U,) what UAVs have.
        apart: groups that no UAV can serve together.

    Returns:
        The UAV (n,) of each task, None if none was found; and whether it is proven that no such
        parting exists.
    """
    n_uavs, n_tasks = cpu_hz.shape
    if n_tasks == 0:
        return np.zeros(0, dtype=np.int64), False
    possible = cpu_hz <= free_hz[:, None]
    load = np.where(possible, cpu_hz, 0.0) / GIGAHERTZ
    column = np.arange(n_uavs * n_tasks)
    owner, task = np.divmod(column, n_tasks)
    capacity = scipy.sparse.csr_array((load.ravel(), (owner, column)), shape=(n_uavs, len(column)))
    service = scipy.sparse.csr_array((np.ones(len(column)), (task, column)))
    constraints = [
        scipy.optimize.LinearConstraint(capacity, -np.inf, free_hz / GIGAHERTZ * (1 + _ROUNDING)),
        scipy.optimize.LinearConstraint(service, 1.0, 1.0),
    ]
    if apart:
        member = np.zeros((len(apart), n_tasks))
        for row, group in enumerate(apart):
            member[row, group] = 1.0
        each = scipy.sparse.kron(scipy.sparse.eye_array(n_uavs), member, format='csr')
        most = np.tile(member.sum(axis=1) - 1.0, n_uavs)
        constraints.append(scipy.optimize.LinearConstraint(each, -np.inf, most))
    found = scipy.optimize.milp(
        c=np.zeros(len(column)),
        constraints=constraints,
        integrality=np.ones(len(column)),
        bounds=scipy.optimize.Bounds(0.0, possible.ravel().astype(float)),
        options={'node_limit': _MOST_NODES},
    )
    if found.x is None:
        return None, found.status == _INFEASIBLE
    return found.x.reshape(n_uavs, n_tasks).argmax(axis=0), False


def groups_apart(
    cpu_hz: FloatArray, free_hz: FloatArray, refuted: Callable[[list[int]], bool]
) -> Groups | None:
    """Groups of tasks that cannot go together and leave no parting; None if one may exist.

    Args:
        cpu_hz: (U, n) as in `parting`.
        free_hz: (U,)
        refuted: whether it is proven that no UAV can serve a group of tasks together.
    """
    n_uavs = len(cpu_hz)
    apart: Groups = []
    for _ in range(_MOST_PARTINGS):
        uav, proven = parting(cpu_hz, free_hz, apart)
        if uav is None:
            return apart if proven else None
        groups = [np.flatnonzero(uav == number).tolist() for number in range(n_uavs)]
        new = [_smallest(group, refuted) for group in groups if refuted(group)]
        if not new:
            return None
        apart += new
    return None


def needed_tasks(cpu_hz: FloatArray, free_hz: FloatArray, apart: Groups) -> list[int]:
    """Tasks without any of which there would be a parting, from an infeasible set of all (n,)."""
    kept = list(np.argsort(-cpu_hz.min(axis=0), kind='stable').tolist())
    for task in kept[::-1]:
        fewer = [other for other in kept if other != task]
        if parting(cpu_hz[:, fewer], free_hz, _within(apart, fewer))[1]:
            kept = fewer
    return kept


def _within(apart: Groups, tasks: list[int]) -> Groups:
    """Groups of only these tasks, in their new numbers."""
    number = {task: place for place, task in enumerate(tasks)}
    return [[number[task] for task in group] for group in apart if set(group) <= set(tasks)]


def _smallest(group: list[int], refuted: Callable[[list[int]], bool]) -> list[int]:
    """A part of a refuted group that is refuted itself, and no longer if any task is left out."""
    for task in list(group):
        fewer = [other for other in group if other != task]
        if refuted(fewer):
            group = fewer
    return group
