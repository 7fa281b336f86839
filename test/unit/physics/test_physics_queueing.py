import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sec_nodes.physics.queueing import fcfs_start_s

INF = math.inf


def serve(arrival, service, server, free):
    """Serve one batch entry task by task: the definition."""
    start, free = np.full(len(arrival), INF), list(free)
    for k in sorted(range(len(arrival)), key=lambda k: (arrival[k], k)):
        m = server[k]
        if m < 0 or not math.isfinite(arrival[k]):
            continue
        begin = max(arrival[k], free[m])
        start[k] = begin
        free[m] = begin + service[k]
    return start, np.array(free)


@st.composite
def queues(draw):
    """Draw queues on a coarse grid of times, so that ties are common and sums are exact."""
    batch, tasks, servers = (
        draw(st.integers(1, 3)),
        draw(st.integers(0, 9)),
        draw(st.integers(1, 4)),
    )

    def times(shape, highest):
        return draw(npst.arrays(float, shape, elements=st.integers(0, highest).map(float))) / 4

    arrival = times((batch, tasks), 12)
    never = draw(npst.arrays(bool, (batch, tasks), elements=st.booleans()))
    never &= draw(npst.arrays(bool, (batch, tasks), elements=st.booleans()))
    server = draw(npst.arrays(np.int64, (batch, tasks), elements=st.integers(-1, servers - 1)))
    service, free = times((batch, tasks), 8), times((batch, servers), 12)
    return np.where(never, INF, arrival), service, server, free


@settings(max_examples=40, deadline=None)
@given(queues())
def test_against_serving_task_by_task(case):
    start, free = fcfs_start_s(*case)
    for batch in range(len(start)):
        expected = serve(*(column[batch] for column in case))
        np.testing.assert_array_equal(start[batch], expected[0])
        np.testing.assert_array_equal(free[batch], expected[1])


def test_by_hand():
    # Server 0 is busy until 1.0 and gets task 2 (arrives 0.5), 0 (0.7), 3 (0.7, higher index);
    # server 1 is free and gets task 1; task 4 stays local.
    start, free = fcfs_start_s(
        np.array([0.7, 2.0, 0.5, 0.7, 0.0]),
        np.array([1.0, 3.0, 0.5, 2.0, 9.0]),
        np.array([0, 1, 0, 0, -1]),
        np.array([1.0, 0.0, 4.0]),
    )
    np.testing.assert_allclose(start, [1.5, 2.0, 1.0, 2.5, INF])
    np.testing.assert_allclose(free, [4.5, 5.0, 4.0])


def test_a_server_may_idle_between_tasks():
    start, free = fcfs_start_s(
        np.array([0.0, 10.0, 10.5]), np.array([1.0, 1.0, 1.0]), np.zeros(3, int), np.zeros(1)
    )
    np.testing.assert_allclose(start, [0.0, 10.0, 11.0])
    np.testing.assert_allclose(free, [12.0])


def test_order_breaks_ties():
    arrival, service, server = np.zeros(3), np.array([1.0, 2.0, 4.0]), np.zeros(3, int)
    start, _ = fcfs_start_s(arrival, service, server, np.zeros(1), np.array([2, 0, 1]))
    np.testing.assert_allclose(start, [6.0, 0.0, 2.0])


@settings(max_examples=40, deadline=None)
@given(queues())
def test_tasks_never_start_before_they_arrive_nor_overlap(case):
    arrival, service, server, free = (column[0] for column in case)
    arrival, service = arrival + math.pi, service * math.e  # sums that round
    start, _ = fcfs_start_s(arrival, service, server, free)
    assert np.all(start >= arrival)
    for m in range(len(free)):
        mine = np.flatnonzero((server == m) & np.isfinite(arrival))
        mine = mine[np.lexsort((mine, arrival[mine]))]
        assert np.all(start[mine][:1] >= free[m])
        assert np.all(start[mine][1:] >= (start + service)[mine][:-1] - 1e-12)


@settings(max_examples=40, deadline=None)
@given(queues(), st.randoms(use_true_random=False))
def test_the_order_of_tasks_in_the_arrays_does_not_matter(case, random):
    arrival, service, server, free = (column[0] for column in case)
    rank = np.arange(len(arrival))
    order = list(range(len(arrival)))
    random.shuffle(order)
    start, end = fcfs_start_s(arrival, service, server, free, rank)
    moved, moved_end = fcfs_start_s(
        arrival[order], service[order], server[order], free, rank[order]
    )
    np.testing.assert_array_equal(moved, start[order])
    np.testing.assert_array_equal(moved_end, end)


def test_many_servers_and_tasks():
    # 100 000 tasks on 1000 servers agree with the definition on a few of them.
    rng = np.random.default_rng(0)
    arrival, service = rng.uniform(0, 100, 100_000), rng.uniform(0, 2, 100_000)
    server, free = rng.integers(0, 1000, 100_000), np.zeros(1000)
    start, end = fcfs_start_s(arrival, service, server, free)
    # Sums round here; still no task may start before it arrives, not by a single bit.
    assert np.all(start >= arrival)
    for m in (0, 500, 999):
        mine = server == m
        expected = serve(arrival[mine], service[mine], np.zeros(mine.sum(), int), [0.0])
        np.testing.assert_allclose(start[mine], expected[0], rtol=1e-12)
        assert end[m] == pytest.approx(expected[1][0])


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        ({'arrival_s': np.array([0.0, math.nan])}, 'arrival_s holds NaN'),
        ({'service_s': np.array([0.0, -1.0])}, 'service_s is -1.0 at index 1'),
        ({'service_s': np.array([0.0, INF])}, 'service_s is inf'),
        ({'server': np.array([0, 2])}, 'server holds 0 to 2'),
        ({'free_s': np.array([INF, 0.0])}, 'free_s is inf'),
        ({'arrival_s': np.zeros(3)}, 'have shapes'),
    ],
)
def test_wrong_queues_are_named(change, named):
    good = {
        'arrival_s': np.zeros(2),
        'service_s': np.ones(2),
        'server': np.zeros(2, int),
        'free_s': np.zeros(2),
    }
    with pytest.raises(ValueError, match=named):
        fcfs_start_s(**{**good, **change})
