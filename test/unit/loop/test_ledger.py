"""Every task ends exactly once, whatever news comes in whatever order."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sec_nodes.loop.ledger import Answer, Energy, Held, Ledger, Task, Timing, Try
from sec_nodes.slot import LOCAL, Status


def task(task_id=1, **changes):
    values = {'deadline_s': 0.5, 'accuracy': 0.5, 'answer_bit': 8.0} | changes
    return Task(task_id=task_id, device_id=0, slot=0, created_s=10.0, **values)


def attempt(server=0, backup=LOCAL, assigned_s=10.2, split=0, **others):
    return Try(server, 'scene-s', split, 0.1, 0.0, backup, 'greedy', assigned_s, **others)


def answer(answered_s):
    return Answer('ship', 'ship', 0.9, answered_s, answered_s, 0, 0, Timing(front_s=0.1), Energy())


def test_an_answer_within_the_deadline_is_done_and_one_after_it_is_late():
    ledger = Ledger()
    for number, answered_s, status in ((1, 10.5, Status.DONE), (2, 10.5 + 1e-6, Status.LATE)):
        ledger.enter(task(number))
        ledger.assign(number, attempt())
        outcome = ledger.answered(number, 0, answer(answered_s))
        assert outcome.status is status
    # decided 0.2 s after the picture
    assert outcome.answer.timing.decision_s == pytest.approx(0.2)
    assert ledger.ended[Status.DONE] == ledger.ended[Status.LATE] == 1
    assert not ledger.open


def test_a_lost_try_is_pending_again_until_no_try_is_left():
    ledger = Ledger(max_attempts=2)
    ledger.enter(task())
    assert ledger.assign(1, attempt()) == 0
    assert ledger.lost(1, 0, 'server_lost') is None
    assert [entry.task.task_id for entry in ledger.pending()] == [1]
    assert ledger.assign(1, attempt()) == 1
    outcome = ledger.lost(1, 1, 'payload_lost')
    assert (outcome.status, outcome.reason, outcome.attempts) == (Status.FAILED, 'payload_lost', 2)


def test_time_in_lost_tries_is_neither_decision_nor_work():
    ledger = Ledger()
    ledger.enter(task())
    for assigned_s in (10.1, 10.4, 10.6):
        attempt_number = ledger.assign(1, attempt(assigned_s=assigned_s))
        if assigned_s < 10.6:
            ledger.lost(1, attempt_number, 'server_lost')
    timing = ledger.answered(1, attempt_number, answer(10.7)).answer.timing
    assert (timing.decision_s, timing.lost_s) == pytest.approx((0.1, 0.5))
    # answer() says that the device worked for 0.1 s
    assert sum(vars(timing).values()) == pytest.approx(10.7 - 10.0)


def test_the_first_answer_counts_where_all_tries_answer_alike():
    ledger = Ledger(first_answer_counts=True)
    ledger.enter(task())
    ledger.assign(1, attempt(server=2, assigned_s=10.1))
    ledger.lost(1, 0, 'server_lost')
    ledger.assign(1, attempt(server=1, assigned_s=10.3))
    outcome = ledger.answered(1, 0, answer(10.4))
    assert (outcome.status, outcome.attempts) == (Status.DONE, 2)
    # the outcome is that of the try that answered
    assert outcome.last_try.server == 2
    assert outcome.answer.timing.decision_s == pytest.approx(0.1)
    assert outcome.answer.timing.lost_s == 0.0
    assert ledger.answered(1, 1, answer(10.5)) is None
    assert (ledger.stale, ledger.ended[Status.DONE]) == (1, 1)


def test_tries_that_never_were_do_not_answer():
    ledger = Ledger(first_answer_counts=True)
    ledger.enter(task())
    assert ledger.answered(1, 0, answer(10.1)) is None
    ledger.assign(1, attempt())
    assert ledger.answered(1, 7, answer(10.1)) is None
    assert ledger.stale == 2
    # losses of an earlier try change nothing
    ledger.lost(1, 0, 'server_lost')
    ledger.assign(1, attempt())
    assert ledger.lost(1, 0, 'payload_lost') is None
    assert ledger.is_current(1, 1)


def test_news_of_an_earlier_try_is_stale():
    ledger = Ledger()
    ledger.enter(task())
    ledger.assign(1, attempt())
    ledger.lost(1, 0, 'server_lost')
    assert ledger.answered(1, 0, answer(10.1)) is None
    ledger.assign(1, attempt())
    assert ledger.answered(1, 0, answer(10.1)) is None
    assert ledger.stale == 2
    assert ledger.answered(1, 1, answer(10.1)).status is Status.DONE


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'deadline_s': -1.0}, 'deadline_s'),
        ({'deadline_s': math.nan}, 'deadline_s'),
        ({'accuracy': 1.5}, 'accuracy'),
        ({'accuracy': math.nan}, 'accuracy'),
        ({'answer_bit': -8.0}, 'answer_bit'),
    ],
)
def test_a_task_that_makes_no_sense_is_rejected_with_its_reason(changes, named):
    ledger = Ledger()
    outcome = ledger.enter(task(**changes))
    assert outcome.status is Status.REJECTED
    assert named in outcome.reason
    assert not ledger.open


def test_a_task_entered_twice_is_one_task():
    ledger = Ledger()
    ledger.enter(task())
    ledger.reject(1, 'declined')
    assert ledger.enter(task()) is None
    assert ledger.created == 1
    assert not ledger.open


def test_a_task_rejected_after_a_try_has_failed_for_the_reason_of_the_try():
    ledger = Ledger()
    ledger.enter(task())
    ledger.assign(1, attempt())
    ledger.lost(1, 0, 'server_lost: uav_0')
    outcome = ledger.reject(1, 'declined by greedy')
    assert outcome.status is Status.FAILED
    assert outcome.reason == 'server_lost: uav_0; then declined by greedy'


def test_a_task_cannot_be_assigned_twice_at_a_time():
    ledger = Ledger()
    ledger.enter(task())
    ledger.assign(1, attempt())
    with pytest.raises(ValueError, match='in flight'):
        ledger.assign(1, attempt())


def test_a_task_that_is_handed_over_says_who_has_what_until_it_is_sent_on():
    ledger = Ledger()
    ledger.enter(task())
    ledger.assign(1, attempt(server=2, split=3))
    assert ledger.handed_over(1, 0, 'server_failing: battery empty', 4, 0.25) is None
    entry = ledger.open[1]
    assert (entry.held, entry.failed_by, entry.in_flight) == (Held(2, 4), {2}, False)
    assert ledger.handed_over(1, 0, 'server_failing: battery empty', 5, 0.25) is None
    assert ledger.stale == 1
    ledger.assign(1, attempt(server=0, split=4, holder=2))
    assert entry.held is None
    outcome = ledger.answered(1, 1, answer(10.4))
    # only what was handed over once has been spent
    assert outcome.answer.energy.back_j == 0.25


def test_the_last_try_that_is_handed_over_ends_the_task():
    ledger = Ledger(max_attempts=1)
    ledger.enter(task())
    ledger.assign(1, attempt())
    outcome = ledger.handed_over(1, 0, 'server_failing: battery empty', 0, 0.0)
    assert (outcome.status, outcome.reason) == (Status.FAILED, 'server_failing: battery empty')


def test_the_ledger_knows_since_when_a_device_has_what_it_sends():
    ledger = Ledger(max_attempts=9)
    ledger.enter(task())
    tries = [
        attempt(server=0, split=2, assigned_s=10.1),
        attempt(server=1, split=2, assigned_s=10.2),
        attempt(server=2, split=4, assigned_s=10.3, holder=1),
        attempt(server=0, split=2, assigned_s=10.4),
        attempt(server=1, split=3, assigned_s=10.5),
    ]
    begun = []
    for number, one in enumerate(tries):
        ledger.assign(1, one)
        begun.append(ledger.open[1].begun)
        ledger.lost(1, number, 'payload_lost', culprit=2 if number == 2 else None)
    # a relay is not the device's work, and the same layers are not run twice
    assert begun == [tries[0], tries[0], tries[0], tries[0], tries[4]]
    assert ledger.open[1].failed_by == {0, 1, 2}


def test_a_device_is_no_server_that_fails():
    ledger = Ledger()
    ledger.enter(task())
    ledger.assign(1, attempt(server=LOCAL))
    ledger.lost(1, 0, 'no_news')
    assert ledger.open[1].failed_by == set()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ['enter', 'assign', 'answered', 'lost', 'handed over', 'failed', 'reject']
        ),
        st.integers(0, 4),
        st.integers(0, 3),
    ),
    max_size=80,
)


@given(EVENTS)
def test_each_task_ends_exactly_once_under_any_sequence_of_events(events):
    ledger = Ledger(max_attempts=3)
    endings = Counter()
    entered = set()
    for event, number, tried in events:
        outcome = None
        pending = {entry.task.task_id for entry in ledger.pending()}
        if event == 'enter':
            entered.add(number)
            outcome = ledger.enter(task(number, deadline_s=-1.0 if number == 4 else 0.5))
        elif event == 'assign' and number in pending:
            ledger.assign(number, attempt())
        elif event == 'answered':
            outcome = ledger.answered(number, tried, answer(10.4))
        elif event == 'lost':
            outcome = ledger.lost(number, tried, 'lost')
        elif event == 'handed over':
            outcome = ledger.handed_over(number, tried, 'handed over', 0, 0.0)
        elif event == 'failed':
            outcome = ledger.failed(number, tried, 'failed')
        elif event == 'reject' and number in pending:
            outcome = ledger.reject(number, 'no')
        if outcome is not None:
            endings[outcome.task.task_id] += 1
    for outcome in ledger.abandon('run_ended'):
        endings[outcome.task.task_id] += 1
    assert endings == Counter(dict.fromkeys(entered, 1))
    assert sum(ledger.ended.values()) == ledger.created == len(entered)
