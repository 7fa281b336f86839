"""Who sends where in an mllm slot: local search over the partition into groups at receivers.

Costs of a group are those of `Groups`; a slot's cost is their sum. A group never costs less than
a smaller group and the rest of its devices alone, because whoever leaves takes interference away:
cost(A + k) >= cost(A) + alone(k). This bound spares the search most of the groups it could look
at without changing what it finds.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from sec_nodes.controllers.mllm.groups import IMPOSSIBLE, Groups
from sec_nodes.slot import BoolArray, FloatArray, IntArray

NOWHERE = -1
"""Receiver of a device that does not ask, or has not been placed yet."""

_TOLERANCE = 1e-7
_MOST_MOVES = 1000


class Search:
    """A partition of each copy's devices and its descent to one that no single move improves.

    Moves are: one device to another receiver; two devices that change places; and one device that
    takes the place of another, which goes to a third receiver.

    Args:
        groups: of the slot.
        receiver: (B, K) receivers to begin with, `NOWHERE` for devices to be placed.
        copy: (B,) copy of the slot that each partition belongs to; several may share one.
    """

    def __init__(self, groups: Groups, receiver: IntArray, copy: IntArray) -> None:
        self.groups, self.copy = groups, copy
        self.receiver = receiver.copy()
        self.active = groups.active[copy]
        self.alone = groups.offers.alone[copy]
        n, n_devices = receiver.shape
        self.cost = np.zeros((n, groups.n_servers))
        self._without = np.full((n, n_devices), np.nan)
        self._joined = np.full((n, n_devices, groups.n_servers), np.nan)
        self._pairs = np.array(list(combinations(range(n_devices), 2)), dtype=np.int64)
        row, server = np.divmod(np.arange(self.cost.size), groups.n_servers)
        self.cost[row, server] = self._solve(row, server, receiver[row] == server[:, None])

    @property
    def total(self) -> FloatArray:
        """(B,) costs of the partitions."""
        missing = (self.active & (self.receiver == NOWHERE)).sum(axis=1)
        return self.cost.sum(axis=1) + IMPOSSIBLE * missing

    def descend(self) -> None:
        """Take the best move in each copy until none improves."""
        rows = np.arange(len(self.receiver))
        for _ in range(_MOST_MOVES):
            moved = self._relocate(rows)
            stuck = rows[~moved]
            swapped = self._swap(stuck)
            fixed = stuck[~swapped]
            chained = self._chain(fixed)
            rows = np.sort(np.concatenate([rows[moved], stuck[swapped], fixed[chained]]))
            if not len(rows):
                return

    def _relocate(self, rows: IntArray) -> BoolArray:
        """Move the best single device in each of the rows; whether there was one that helps."""
        gain = self._gain(rows)
        server = np.arange(self.groups.n_servers)
        here = self.receiver[rows][..., None] == server
        promise = gain[..., None] - self.alone[rows]
        promising = (promise > _TOLERANCE) & ~here
        unknown = promising & np.isnan(self._joined[rows])
        at, device, to = np.nonzero(unknown)
        self._learn(rows[at], device, to)
        added = self._joined[rows] - self.cost[rows][:, None]
        saving = np.where(promising, gain[..., None] - added, -np.inf).reshape(len(rows), -1)
        best = saving.argmax(axis=1)
        moves = saving[np.arange(len(rows)), best] > _TOLERANCE
        row = rows[moves]
        device, to = np.divmod(best[moves], self.groups.n_servers)
        origin = self.receiver[row, device]
        placed = origin != NOWHERE
        self.cost[row[placed], origin[placed]] = self._without[row, device][placed]
        self.cost[row, to] = self._joined[row, device, to]
        self.receiver[row, device] = to
        self._forget(row, origin)
        self._forget(row, to)
        return moves

    def _swap(self, rows: IntArray) -> BoolArray:
        """Let the best two devices of each row change places; whether there were two."""
        if not (len(rows) and len(self._pairs)):
            return np.zeros(len(rows), dtype=bool)
        gain = self._gain(rows)
        first, second = self._pairs.T
        here = self.receiver[rows]
        alone = self.alone[rows]
        index = np.arange(len(rows))[:, None]
        one, other = here[:, first], here[:, second]
        promise = (
            gain[:, first]
            + gain[:, second]
            - alone[index, second, one]
            - alone[index, first, other]
        )
        sound = (one != other) & (one != NOWHERE) & (other != NOWHERE)
        at, pair = np.nonzero(sound & (promise > _TOLERANCE))
        row, i, j = rows[at], first[pair], second[pair]
        left, right = self.receiver[row, i], self.receiver[row, j]
        new_left = self._exchanged(row, left, i, j)
        hope = promise[at, pair] - (new_left - self._without[row, i] - self.alone[row, j, left])
        keep = hope > _TOLERANCE
        at, row, i, j = at[keep], row[keep], i[keep], j[keep]
        left, right, new_left = left[keep], right[keep], new_left[keep]
        new_right = self._exchanged(row, right, j, i)
        saving = self.cost[row, left] + self.cost[row, right] - new_left - new_right
        swaps, winners = _best(len(rows), at, saving)
        row, i, j = row[winners], i[winners], j[winners]
        left, right = left[winners], right[winners]
        self.cost[row, left], self.cost[row, right] = new_left[winners], new_right[winners]
        self.receiver[row, i], self.receiver[row, j] = right, left
        self._forget(row, left)
        self._forget(row, right)
        return swaps

    def _chain(self, rows: IntArray) -> BoolArray:
        """Let one device push another to a third receiver; whether that helped in each row."""
        n_devices = self.receiver.shape[1]
        if not len(rows) or n_devices < 2:
            return np.zeros(len(rows), dtype=bool)
        gain, here = self._gain(rows), self.receiver[rows]
        added = self._joined[rows] - self.cost[rows][:, None]
        entry = np.where(np.isnan(added), self.alone[rows], added)
        index, device = np.arange(len(rows))[:, None, None], np.arange(n_devices)
        alone = self.alone[rows][index, device[:, None], here[:, None]]  # of i at j's receiver
        promise = gain[:, :, None] + gain[:, None] - alone - entry.min(axis=2)[:, None]
        sound = (here[:, :, None] != here[:, None]) & (here != NOWHERE)[:, :, None]
        sound &= (here != NOWHERE)[:, None]
        at, i, j = np.nonzero(sound & (promise > _TOLERANCE))
        third = entry[at, j]
        each = np.arange(len(at))
        third[each, here[at, i]] = third[each, here[at, j]] = np.inf
        keep = promise[at, i, j] + entry.min(axis=2)[at, j] - third.min(axis=1) > _TOLERANCE
        at, i, j, third = at[keep], i[keep], j[keep], third[keep]
        row = rows[at]
        via = self.receiver[row, j]
        pushed = self._exchanged(row, via, j, i)
        rest = gain[at, i] + self.cost[row, via] - pushed
        which, to = np.nonzero(rest[:, None] - third > _TOLERANCE)
        at, row, i, j, via = at[which], row[which], i[which], j[which], via[which]
        pushed, rest = pushed[which], rest[which]
        unknown = np.isnan(self._joined[row, j, to])
        self._learn(row[unknown], j[unknown], to[unknown])
        saving = rest - (self._joined[row, j, to] - self.cost[row, to])
        chains, winners = _best(len(rows), at, saving)
        row, i, j, to = row[winners], i[winners], j[winners], to[winners]
        origin, via = self.receiver[row, i], via[winners]
        self.cost[row, origin] = self._without[row, i]
        self.cost[row, via] = pushed[winners]
        self.cost[row, to] = self._joined[row, j, to]
        self.receiver[row, i], self.receiver[row, j] = via, to
        for server in (origin, via, to):
            self._forget(row, server)
        return chains

    def _learn(self, row: IntArray, device: IntArray, to: IntArray) -> None:
        """Solve the groups that come about when devices join receivers."""
        member = self.receiver[row] == to[:, None]
        member[np.arange(len(row)), device] = True
        # The same group may be asked for more than once; the answers are the same.
        self._joined[row, device, to] = self._solve(row, to, member)

    def _exchanged(
        self, row: IntArray, server: IntArray, leaves: IntArray, comes: IntArray
    ) -> FloatArray:
        """Costs of groups after one device left and another came."""
        member = self.receiver[row] == server[:, None]
        each = np.arange(len(row))
        member[each, leaves] = False
        member[each, comes] = True
        return self._solve(row, server, member)

    def _gain(self, rows: IntArray) -> FloatArray:
        """What leaving its receiver saves (rows, K), by device."""
        here = self.receiver[rows]
        placed = here != NOWHERE
        at, device = np.nonzero(placed & np.isnan(self._without[rows]))
        row = rows[at]
        server = self.receiver[row, device]
        member = self.receiver[row] == server[:, None]
        member[np.arange(len(row)), device] = False
        self._without[row, device] = self._solve(row, server, member)
        cost = np.take_along_axis(self.cost[rows], np.where(placed, here, 0), axis=1)
        waiting = np.where(self.active[rows], 2 * IMPOSSIBLE, -np.inf)
        return np.where(placed, cost - self._without[rows], waiting)

    def _forget(self, row: IntArray, server: IntArray) -> None:
        """Drop what was known about groups that changed."""
        known = server != NOWHERE
        row, server = row[known], server[known]
        self._joined[row, :, server] = np.nan
        inside = self.receiver[row] == server[:, None]
        self._without[row] = np.where(inside, np.nan, self._without[row])

    def _solve(self, row: IntArray, server: IntArray, member: BoolArray) -> FloatArray:
        return self.groups.solve(self.copy[row], server, member).cost


def _best(n: int, at: IntArray, saving: FloatArray) -> tuple[BoolArray, IntArray]:
    """Which of n rows have a saving, and where the first of the greatest of each such row is."""
    best = np.full(n, _TOLERANCE)
    np.maximum.at(best, at, saving)
    found = best > _TOLERANCE
    winners = np.flatnonzero(found[at] & (saving == best[at]))
    return found, winners[np.unique(at[winners], return_index=True)[1]]
