"""Who is there, and who has fallen silent."""

from __future__ import annotations

from sec_nodes.loop.roster import Roster


def test_silence_is_noticed_once_and_a_return_is_noticed_too():
    roster = Roster(expected=[0, 1], timeout_s=1.0)
    assert roster.absent() == [0, 1]
    roster.heard(0, 'a', -1, at_s=0.0)
    roster.heard(1, 'b', -1, at_s=0.9)
    assert roster.newly_missing(1.5) == [0]
    assert roster.newly_missing(1.6) == []
    assert roster.living() == [1]
    assert roster.heard(0, 'c', -1, at_s=1.7)
    assert roster.living() == [0, 1]
    assert not roster.absent()


def test_only_the_living_are_awaited():
    roster = Roster(expected=[0, 1, 2], timeout_s=1.0)
    for member in range(3):
        roster.heard(member, None, -1, at_s=0.0)
    roster.heard(0, None, 5, at_s=0.0)
    assert roster.awaited(5) == [1, 2]
    roster.heard(1, None, -1, at_s=2.0)
    roster.heard(0, None, 4, at_s=2.0)
    roster.newly_missing(2.0)
    assert roster.awaited(5) == [1]


def test_a_member_may_say_itself_that_it_fails():
    roster = Roster(expected=[0, 1], timeout_s=1.0)
    roster.heard(0, 'a', -1, at_s=0.0)
    roster.heard(1, 'b', -1, at_s=2.0)
    roster.lose(1)
    assert roster.living() == [0]
    assert roster.newly_missing(9.0) == [0]
    assert roster.silence_s(0, at_s=2.5) == 2.5
    assert roster.heard(1, 'c', -1, at_s=9.0)
    assert roster.living() == [1]
