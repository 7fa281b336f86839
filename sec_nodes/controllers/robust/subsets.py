"""Tables over all subsets of a few users: the best way to share users among servers.

A subset is a number whose bit i stands for user i. Sharing n users among servers with tables of
what each would cost with each subset is a chain of min-plus subset convolutions, 3^n sums each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from sec_nodes.physics.checks import FloatArray
from sec_nodes.slot import BoolArray, IntArray


@lru_cache(maxsize=4)
def memberships(n_users: int) -> BoolArray:
    """(2^n, n) whether each user is in each subset."""
    return (np.arange(1 << n_users)[:, None] >> np.arange(n_users)) & 1 == 1


@lru_cache(maxsize=4)
def _pairs(n_users: int) -> tuple[IntArray, IntArray, IntArray]:
    """All pairs of disjoint subsets, by ascending union; where the pairs of each union begin."""
    code = np.arange(3**n_users)
    first, second = np.zeros_like(code), np.zeros_like(code)
    for user in range(n_users):
        digit = code % 3
        code //= 3
        first |= (digit == 1).astype(np.int64) << user
        second |= (digit == 2).astype(np.int64) << user
    order = np.argsort(first | second, kind='stable')
    begin = np.searchsorted((first | second)[order], np.arange(1 << n_users))
    return first[order], second[order], begin


def convolve(one: FloatArray, other: FloatArray) -> FloatArray:
    """(2^n,) least sum of a cost of a part of each subset and another cost of the rest."""
    first, second, begin = _pairs(len(one).bit_length() - 1)
    return np.minimum.reduceat(one[first] + other[second], begin)


def through(tables: Sequence[FloatArray]) -> list[FloatArray]:
    """For each table, (2^n,) the least cost of sharing all users in which it takes a subset."""
    before = [_nobody(len(tables[0]))]
    for table in tables[:-1]:
        before.append(convolve(before[-1], table))
    result: list[FloatArray] = []
    after = _nobody(len(tables[0]))
    for table, front in zip(reversed(tables), reversed(before), strict=True):
        # The complement of a subset has its bits inverted, which reverses the table.
        result.append(table + convolve(front, after)[::-1])
        after = convolve(after, table)
    return result[::-1]


def best_shares(tables: Sequence[FloatArray]) -> tuple[list[int], float]:
    """The subset of each table in a cheapest sharing of all users, and its cost."""
    sums = [_nobody(len(tables[0]))]
    for table in tables:
        sums.append(convolve(sums[-1], table))
    rest = len(tables[0]) - 1
    shares: list[int] = []
    for table, front in zip(reversed(tables), reversed(sums[:-1]), strict=True):
        subsets = np.arange(len(table))
        subsets = subsets[subsets & ~rest == 0]
        share = int(subsets[np.argmin(table[subsets] + front[rest ^ subsets])])
        shares.append(share)
        rest ^= share
    return shares[::-1], float(sums[-1][-1])


def _nobody(size: int) -> FloatArray:
    """Table of a server that can take nobody."""
    table = np.full(size, np.inf)
    table[0] = 0.0
    return table
