"""Who is seen by nobody while others are is found, once at a time."""

from sec_nodes.fleet.unseen import Unseen

RUNNING = ['recorder', 'channel', 'uavs']


def test_who_is_not_seen_for_too_long_is_found():
    unseen = Unseen(20.0)
    assert unseen.look(RUNNING, {'recorder'}, 100.0) == []
    assert unseen.look(RUNNING, {'recorder', 'channel'}, 119.0) == []
    assert unseen.look(RUNNING, {'recorder', 'channel', 'monitor'}, 120.5) == ['uavs']
    # it has as much time again
    assert unseen.look(RUNNING, {'recorder', 'channel'}, 121.0) == []
    assert unseen.look(RUNNING, {'recorder', 'channel'}, 140.5) == []
    assert unseen.look(RUNNING, {'recorder', 'channel'}, 141.5) == ['uavs']


def test_time_begins_when_others_are_seen():
    """A slow machine starts all of them slowly."""
    unseen = Unseen(20.0)
    assert unseen.look(RUNNING, {'monitor'}, 100.0) == []
    assert unseen.look(RUNNING, {'channel'}, 150.0) == []
    assert unseen.look(RUNNING, {'channel'}, 171.0) == ['recorder', 'uavs']


def test_who_was_seen_in_between_or_has_ended_begins_anew():
    unseen = Unseen(20.0)
    unseen.look(RUNNING, {'recorder'}, 100.0)
    unseen.look(['recorder', 'uavs'], {'recorder', 'uavs'}, 110.0)
    assert unseen.look(RUNNING, {'recorder'}, 125.0) == []
    assert unseen.look([], set(), 200.0) == []
