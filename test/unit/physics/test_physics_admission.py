"""Queues with admission against a loop that serves one task after another."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sec_nodes.physics.queueing import fcfs_admission_s, fcfs_start_or_drop_s

TENTHS = st.integers(0, 60).map(lambda n: n / 8)  # many ties


def one_by_one(arrival, service, server, free, longest):
    """Serve a copy's tasks event by event."""
    free = list(free)
    wait, dropped = [0.0] * len(arrival), [False] * len(arrival)
    for _, task in sorted((time, number) for number, time in enumerate(arrival)):
        at = server[task]
        if at < 0:
            continue
        wait[task] = max(0.0, free[at] - arrival[task])
        dropped[task] = wait[task] > longest
        if not dropped[task]:
            free[at] = max(free[at], arrival[task]) + service[task]
    return wait, dropped, free


@st.composite
def queues(draw):
    copies, tasks, servers = draw(st.integers(1, 3)), draw(st.integers(1, 7)), 3

    def table(element, width):
        row = st.lists(element, min_size=width, max_size=width)
        return draw(st.lists(row, min_size=copies, max_size=copies))

    return (
        table(TENTHS, tasks),
        table(TENTHS, tasks),
        table(st.integers(-1, servers - 1), tasks),
        table(TENTHS, servers),
        draw(st.sampled_from([0.5, 2.0, 6.0])),
    )


@settings(max_examples=150, deadline=None)
@given(queues())
def test_as_the_loop(case):
    *tables, longest = case
    arrays = [np.array(table) for table in tables]
    wait, dropped, free = fcfs_admission_s(*arrays, longest)
    for copy in range(len(wait)):
        expected = one_by_one(*(table[copy] for table in tables), longest)
        np.testing.assert_allclose(wait[copy], expected[0])
        assert dropped[copy].tolist() == expected[1]
        np.testing.assert_allclose(free[copy], expected[2])


def test_as_the_other_way_to_compute_it():
    rng = np.random.default_rng(0)
    arrival, service = rng.uniform(0, 4, (50, 12)), rng.uniform(0.5, 2, (50, 12))
    server, free = rng.integers(0, 4, (50, 12)), rng.uniform(0, 3, (50, 4))
    wait, dropped, after = fcfs_admission_s(arrival, service, server, free, 3.0)
    start, expected = fcfs_start_or_drop_s(arrival, service, server, free, 3.0)
    np.testing.assert_array_equal(dropped, np.isinf(start))
    assert dropped.any()
    np.testing.assert_allclose(wait[~dropped], (start - arrival)[~dropped], atol=1e-12)
    np.testing.assert_allclose(after, expected)


def test_inputs_stay_as_they_are():
    free = np.zeros((1, 1))
    fcfs_admission_s(np.zeros((1, 1)), np.ones((1, 1)), np.zeros((1, 1), dtype=int), free, 1.0)
    assert free[0, 0] == 0
