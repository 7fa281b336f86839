"""What devices record: alike in every run, different in everything else."""

from __future__ import annotations

import zlib
from itertools import combinations

from sec_nodes.loop.recorded import contents


def test_the_same_in_every_run() -> None:
    # bytes from openssl: printf 7/3/2 | openssl dgst -shake128 -xoflen 8
    assert contents(7, 3, 2, 8).hex() == '3e10fc8bdbe9266d'


def test_the_size_is_that_asked_for() -> None:
    assert [len(contents(1, 2, 3, size)) for size in (0, 1, 7, 8, 1000)] == [0, 1, 7, 8, 1000]


def test_seed_device_and_slot_each_make_a_difference() -> None:
    keys = [(1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (1, 23, 4), (12, 3, 4), (1, 2**31 + 5, 0)]
    files = [contents(*key, 64) for key in keys]
    assert all(one != other for one, other in combinations(files, 2))


def test_it_does_not_compress() -> None:
    data = contents(1, 2, 3, 100_000)
    assert len(zlib.compress(data, 9)) > 99_000
