"""Local search over associations on tables of guesses: tasks move, swap, or go unserved.

The figure of merit is the largest cost of a UAV, a hundredth of all costs so that a search goes on
where only the second costliest can get cheaper, and a large price for what is missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sec_nodes.controllers.partial.guesses import SHORTAGE_J, Guesses
from sec_nodes.scenarios.partial.instance import UNSERVED
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_SUM_WEIGHT = 0.01
_GAIN_J = 0.03
"""Least gain of merit for which a task is moved: a few joules of the sum of all costs."""


@dataclass(frozen=True)
class Worth:
    """What groups are worth, one for each UAV or candidate."""

    cost_j: FloatArray
    """(...) E_u of (12)."""
    shortage: FloatArray
    """(...) sum of relative amounts by which constraints are missed."""


def merit(worth: Worth) -> FloatArray:
    """Figure of merit (...) of the groups (..., U) of all UAVs [J]."""
    return (
        worth.cost_j.max(axis=-1)
        + _SUM_WEIGHT * worth.cost_j.sum(axis=-1)
        + SHORTAGE_J * worth.shortage.sum(axis=-1)
    )


@dataclass(frozen=True)
class Sharpened:
    """How a guess is turned into an estimate of the optimised cost of a group.

    The optimised cost lies between what the group costs at the very least and the guess.
    """

    least_fixed_j: float
    """What flying costs at the very least."""
    least_j: FloatArray
    """(N,) what each task costs at the very least."""
    share: float
    """Of the difference, what remains after the path is optimised; 1 for the bare guess."""


class Exchange:
    """Exchanges of tasks between UAVs that lower the merit on tables.

    Args:
        tables: of each UAV; UAVs that are alike may share one.
        sharpened: how guesses become estimates.
    """

    def __init__(self, tables: list[Guesses], sharpened: Sharpened) -> None:
        self.tables = tables
        self.sharpened = sharpened
        self.n_uavs = len(tables)
        self.n_tasks = tables[0].cost_j.shape[1]
        # (3, N + 1, P): cost, shortage, load; a last column of zeros stands for no task
        self.columns = {
            id(table): np.stack(
                [_padded(table.cost_j), _padded(table.shortage), _padded(table.load)]
            )
            for table in tables
        }

    def worth(self, uav: int, member: BoolArray) -> Worth:
        """What groups (G, N) are worth on a UAV, (G,)."""
        total = member.astype(float) @ self.columns[id(self.tables[uav])][:, :-1]
        least_j = self.sharpened.least_fixed_j + member @ self.sharpened.least_j
        return self._best(uav, total, least_j)

    def worths(self, server: IntArray) -> Worth:
        """What the groups of an association (N,) are worth, (U,)."""
        each = [self.worth(uav, (server == uav)[None]) for uav in range(self.n_uavs)]
        return Worth(
            np.concatenate([worth.cost_j for worth in each]),
            np.concatenate([worth.shortage for worth in each]),
        )

    def descend(self, server: IntArray) -> IntArray:
        """Exchange tasks of an association (N,) until no exchange lowers its merit."""
        server = server.copy()
        worths = self.worths(server)
        while True:
            found = self._gain(server, worths)
            if found is None:
                return server
            server, worths = found

    def around(self, server: IntArray) -> list[tuple[float, IntArray]]:
        """All associations one exchange away from one (N,), with their merits, best first."""
        worths = self.worths(server)
        found = [
            (float(value), self._exchanged(server, uav, other, task, back))
            for uav in range(self.n_uavs)
            for other in range(uav)
            for value, task, back in self._exchanges(server, worths, uav, other)
        ]
        return sorted(found, key=lambda pair: pair[0])

    def _gain(self, server: IntArray, worths: Worth) -> tuple[IntArray, Worth] | None:
        """The best exchange of the first UAVs that have a good one, costliest with cheapest."""
        order = _costliest_first(worths)
        now = float(merit(worths))
        for uav, other in ((u, o) for u in order for o in order[::-1] if u != o):
            tasks, backs = _candidates(server, uav), _candidates(server, other)
            value = self._merits(worths, uav, other, tasks, backs, server)
            if value.min() < now - _GAIN_J:
                task, back = np.unravel_index(value.argmin(), value.shape)
                new = self._exchanged(server, uav, other, tasks[task], backs[back])
                return new, self.worths(new)
        return None

    def _exchanges(
        self, server: IntArray, worths: Worth, uav: int, other: int
    ) -> list[tuple[float, int, int]]:
        tasks, backs = _candidates(server, uav), _candidates(server, other)
        value = self._merits(worths, uav, other, tasks, backs, server)
        return [
            (float(value[i, j]), int(task), int(back))
            for i, task in enumerate(tasks)
            for j, back in enumerate(backs)
            if task != UNSERVED or back != UNSERVED
        ]

    def _exchanged(self, server: IntArray, uav: int, other: int, task: int, back: int) -> IntArray:
        """The association after `task` went from a UAV to another one and `back` came back."""
        server = server.copy()
        if task != UNSERVED:
            server[task] = other
        if back != UNSERVED:
            server[back] = uav
        return server

    def _merits(
        self,
        worths: Worth,
        uav: int,
        other: int,
        tasks: IntArray,
        backs: IntArray,
        server: IntArray,
    ) -> FloatArray:
        """Merits (t, b) after each exchange of a task of `uav` for one of `other`."""
        mine = self._swapped(uav, server == uav, tasks, backs)
        theirs = self._swapped(other, server == other, backs, tasks)
        rest = np.delete(np.arange(self.n_uavs), [uav, other])
        shape = (len(tasks), len(backs), len(rest))
        cost_j = np.concatenate(
            [
                np.stack([mine.cost_j, theirs.cost_j.T], axis=-1),
                np.broadcast_to(worths.cost_j[rest], shape),
            ],
            axis=-1,
        )
        shortage = mine.shortage + theirs.shortage.T + worths.shortage[rest].sum()
        return merit(Worth(cost_j, shortage[..., None]))

    def _swapped(self, uav: int, member: BoolArray, out: IntArray, into: IntArray) -> Worth:
        """What a group (N,) is worth without one and with another task, (out, in)."""
        columns = self.columns[id(self.tables[uav])]
        base = columns[:, :-1][:, member].sum(axis=1)[:, None, None]
        # UNSERVED is -1 and so picks the column of zeros
        total = base - columns[:, out][:, :, None] + columns[:, None, into]
        least = np.append(self.sharpened.least_j, 0.0)
        least_j = self.sharpened.least_fixed_j + self.sharpened.least_j @ member
        return self._best(uav, total, least_j - least[out][:, None] + least[into])

    def _best(self, uav: int, total: FloatArray, least_j: FloatArray) -> Worth:
        """The best path's worth for sums (3, ..., P) over groups that cost at least so much."""
        cost_j = self.tables[uav].fixed_j + total[0]
        short = total[1] + np.maximum(total[2] - 1.0, 0.0)
        path = (cost_j + SHORTAGE_J * short).argmin(axis=-1)[..., None]
        cost_j = np.take_along_axis(cost_j, path, axis=-1)[..., 0]
        shortage = np.take_along_axis(short, path, axis=-1)[..., 0]
        cost_j = least_j + self.sharpened.share * np.maximum(cost_j - least_j, 0.0)
        return Worth(cost_j, self.sharpened.share * np.where(shortage > 1e-9, shortage, 0.0))


def _padded(values: FloatArray) -> FloatArray:
    """(N + 1, P) of values (P, N)."""
    return np.concatenate([values.T, np.zeros((1, len(values)))])


def _candidates(server: IntArray, uav: int) -> IntArray:
    """Tasks that a UAV can give, and that it gives none."""
    return np.append(np.flatnonzero(server == uav), UNSERVED)


def _costliest_first(worths: Worth) -> IntArray:
    return np.argsort(-(worths.cost_j + SHORTAGE_J * worths.shortage), kind='stable')
