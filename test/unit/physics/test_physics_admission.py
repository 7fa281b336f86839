"""Queues with admission against a loop that serves one task after another."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sec_nodes.physics.queueing import fcfs_admission_s

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


def test_a_dropped_task_adds_no_work():
    # Task 1 would wait 5 s and is dropped; task 2 then waits 5 - 4.5 = 0.5 s only.
    wait, dropped, free = fcfs_admission_s(
        np.array([[0.0, 0.0, 4.5]]),
        np.array([[5.0, 9.0, 1.0]]),
        np.zeros((1, 3), dtype=int),
        np.zeros((1, 1)),
        2.0,
    )
    np.testing.assert_allclose(wait, [[0.0, 5.0, 0.5]])
    assert dropped.tolist() == [[False, True, False]]
    np.testing.assert_allclose(free, [[6.0]])


def test_inputs_stay_as_they_are():
    free = np.zeros((1, 1))
    fcfs_admission_s(np.zeros((1, 1)), np.ones((1, 1)), np.zeros((1, 1), dtype=int), free, 1.0)
    assert free[0, 0] == 0
