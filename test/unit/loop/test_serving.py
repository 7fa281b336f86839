"""Queues of a server: first come, first served, on the scenario's clock."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sec_nodes.loop.serving import ComputeQueue, OrderedIntake
from sec_nodes.physics.queueing import fcfs_start_s


def test_work_waits_for_the_work_before_it():
    queue = ComputeQueue(free_s=1.0)
    # busy until 1.0; 0.5 s of work from 1.0, then 0.5 s from 1.5; the third comes when it is idle
    assert queue.start_s(0.2, 0.5, 0.0) == 1.0
    assert queue.start_s(1.1, 0.5, 0.0) == 1.5
    assert queue.start_s(3.0, 0.5, 0.0) == 3.0
    assert queue.backlog_s(3.2) == pytest.approx(0.3)
    assert queue.backlog_s(9.0) == 0.0


def test_a_reserved_share_does_not_wait_and_holds_up_nobody():
    queue = ComputeQueue(free_s=5.0)
    assert queue.start_s(1.0, 2.0, 0.5) == 1.0
    assert queue.free_s == 5.0


def test_an_intake_says_what_waits_for_the_others():
    handed_on: list[str] = []
    intake = OrderedIntake(handed_on.append)
    for key in ((1, 0), (2, 0), (3, 0)):
        intake.expect(key)
    intake.arrived((3, 0), 7.0, 'third')
    intake.arrived((1, 0), 8.0, 'first')
    assert sorted(intake.waiting()) == ['first', 'third']
    intake.gone((2, 0))
    assert (handed_on, intake.waiting()) == (['third', 'first'], [])


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 3)), min_size=1, max_size=12))
def test_intake_and_queue_give_the_scenario_s_start_times_in_any_order_of_messages(work):
    arrival_s, service_s = np.array(work).T
    expected, _ = fcfs_start_s(
        arrival_s, service_s, np.zeros(len(work), dtype=np.int64), np.array([0.5])
    )
    queue, started = ComputeQueue(0.5), {}
    intake = OrderedIntake(
        lambda row: started.update({row: queue.start_s(arrival_s[row], service_s[row], 0.0)})
    )
    for row in range(len(work)):
        intake.expect((row, 0))
    for row in np.random.default_rng(len(work)).permutation(len(work)).tolist():
        intake.arrived((row, 0), float(arrival_s[row]), row)
    np.testing.assert_allclose([started[row] for row in range(len(work))], expected, rtol=1e-12)


@pytest.mark.parametrize('order', list(itertools.permutations(['expect', 'arrive', 'gone'])))
def test_nothing_is_handed_on_before_the_missing_is_known_to_be_lost(order):
    handed = []
    intake = OrderedIntake(handed.append)
    for step in order:
        if step == 'expect':
            intake.expect((1, 0))
            intake.expect((2, 0))
            intake.flush()
        elif step == 'arrive':
            intake.arrived((1, 0), 0.3, 'first')
        else:
            intake.gone((2, 0))
    assert handed == ['first']


def test_a_crash_forgets_what_was_waiting():
    handed = []
    intake = OrderedIntake(handed.append)
    intake.expect((1, 0))
    intake.expect((2, 0))
    intake.arrived((1, 0), 0.1, 'lost')
    intake.clear()
    intake.expect((3, 0))
    intake.arrived((3, 0), 0.2, 'kept')
    assert handed == ['kept']
