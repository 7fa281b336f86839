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
_GAIN_J = 1e-6


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
        # (3, P, N): cost, shortage, load
        self.columns = {
            id(table): np.stack([table.cost_j, table.shortage, table.load]) for table in tables
        }

    def worth(self, uav: int, member: BoolArray) -> Worth:
        """What groups (G, N) are worth on a UAV, (G,)."""
        total = self.columns[id(self.tables[uav])] @ member.T.astype(float)
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
            for uav in _costliest_first(worths):
                found = self._best_exchange(server, worths, uav)
                if found is not None:
                    server, worths = found
                    break
            else:
                return server

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

    def _best_exchange(
        self, server: IntArray, worths: Worth, uav: int
    ) -> tuple[IntArray, Worth] | None:
        """The best exchange between a UAV and any other that lowers the merit."""
        best, chosen = float(merit(worths)) - _GAIN_J, None
        for other in range(self.n_uavs):
            if other == uav:
                continue
            tasks, backs = _candidates(server, uav), _candidates(server, other)
            value = self._merits(worths, uav, other, tasks, backs, server)
            if value.min() < best:
                at = np.unravel_index(value.argmin(), value.shape)
                best, chosen = float(value.min()), (other, tasks[at[0]], backs[at[1]])
        if chosen is None:
            return None
        server = self._exchanged(server, uav, *chosen)
        return server, self.worths(server)

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
        padded = np.concatenate([columns, np.zeros((*columns.shape[:2], 1))], axis=2)
        base = columns[:, :, member].sum(axis=2)[..., None, None]
        # UNSERVED is -1 and so picks the column of zeros
        total = base - padded[:, :, out][..., None] + padded[:, :, None, into]
        least = np.append(self.sharpened.least_j, 0.0)
        least_j = self.sharpened.least_fixed_j + self.sharpened.least_j @ member
        return self._best(uav, total, least_j - least[out][:, None] + least[into])

    def _best(self, uav: int, total: FloatArray, least_j: FloatArray) -> Worth:
        """The best row's worth for sums (3, P, ...) over groups that cost at least so much."""
        fixed_j = self.tables[uav].fixed_j.reshape(-1, *(1,) * (total.ndim - 2))
        cost_j = fixed_j + total[0]
        short = total[1] + np.maximum(total[2] - 1.0, 0.0)
        row = (cost_j + SHORTAGE_J * short).argmin(axis=0)[None]
        cost_j = np.take_along_axis(cost_j, row, axis=0)[0]
        shortage = np.take_along_axis(short, row, axis=0)[0]
        cost_j = least_j + self.sharpened.share * np.maximum(cost_j - least_j, 0.0)
        return Worth(cost_j, self.sharpened.share * np.where(shortage > 1e-9, shortage, 0.0))


def _candidates(server: IntArray, uav: int) -> IntArray:
    """Tasks that a UAV can give, and that it gives none."""
    return np.append(np.flatnonzero(server == uav), UNSERVED)


def _costliest_first(worths: Worth) -> IntArray:
    return np.argsort(-(worths.cost_j + SHORTAGE_J * worths.shortage), kind='stable')
