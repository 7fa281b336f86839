"""Constraints that the scenario keeps by itself are still counted when something breaks them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from robust_cases import quiet, robust

from sec_nodes.scenarios.robust.checks import count_violations
from sec_nodes.scenarios.robust.motion import Flight
from sec_nodes.scenarios.robust.state import CONSTRAINTS, LOCAL, Plan, Sent, Survival

SCENARIO = robust(users__count=2, users__networks=['alexnet'], uavs__count=2)
STATE = replace(
    quiet(SCENARIO, [[10.0, 10.0]] * 2, [[100.0, 100.0, 150.0], [300.0, 100.0, 150.0]]),
    uav_velocity_m_s=np.array([[[3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]),
)


def row(*values):
    return np.array([values])


def sound():
    """UAV 0 serves the first user; the second moves from UAV 1, which fails, to UAV 0."""
    yes, no, zero = row(True, True), row(False, False), row(0.0, 0.0)
    return {
        'plan': Plan(exists=yes, cut=row(0, 0), stays=no, server=row(0, 1), known_dead=no),
        'sent': Sent(
            server=row(0, 1),
            network=row(0, 0),
            cut=row(0, 0),
            local_cycles=zero,
            cycles=row(1e8, 1e8),
            size_bit=row(1e6, 1e6),
            power_w=row(0.5, 0.1),
            frequency_hz=row(4e9, 5e9),
            local_s=zero,
            transmission_s=row(0.1, 0.1),
        ),
        'survival': Survival(
            effective=row(0, 0),
            cycles=row(1e8, 1e8),
            frequency_hz=row(4e9, 6e9),
            lost_s=zero,
            lost_cycles=zero,
            moving_s=row(0.0, 0.1),
            migrated=row(False, True),
            lost=no,
        ),
        'alive': row(True, False),
        'flight': Flight(STATE.uav_m, np.array([[[8.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]), no, no),
        'completed': yes,
    }


def broken(state=STATE, **changes):
    """Names of the constraints that are counted, with their counts."""
    parts = {**sound(), **changes}
    counts = count_violations(SCENARIO.settings, state, **parts)[0]
    return {name: int(count) for name, count in zip(CONSTRAINTS, counts, strict=True) if count}


def changed(part, **values):
    return {part: replace(sound()[part], **values)}


def flown(**values):
    return {'flight': sound()['flight']._replace(**values)}


def test_what_is_sound_breaks_nothing():
    assert broken() == {}


FAST = np.array([[[20.1, 0.0, 0.0], [0.0, 0.0, 0.0]]])
SHARP = np.array([[[8.1, 0.0, 0.0], [0.0, 0.0, 0.0]]])


@pytest.mark.parametrize(
    ('changes', 'counts'),
    [
        (flown(velocity_m_s=SHARP), {'(7)': 1}),
        # A UAV that the border stops may lose speed faster than by a_max, not gain it.
        (flown(velocity_m_s=np.zeros((1, 2, 3)), outside=row(True, False)), {}),
        (flown(velocity_m_s=FAST, outside=row(True, False)), {'(7)': 1}),
        (flown(wrong_altitude=row(True, False)), {'(28c)': 1}),
        (changed('survival', migrated=row(True, True)), {'(12)': 1, '(13)': 1}),
        (changed('survival', effective=row(0, 1), frequency_hz=row(4e9, 5e9)), {'(13)': 1}),
        (changed('survival', effective=row(0, LOCAL)), {'(28g)': 1}),
        (changed('survival', frequency_hz=row(4e9, 6.001e9)), {'(28i)': 1}),
        (changed('sent', frequency_hz=row(4e9, 10.001e9)), {'(28i)': 1}),
        (changed('sent', power_w=row(0.501, -0.1)), {'(28j)': 2}),
        (changed('plan', exists=row(True, False)), {'(28e)': 1}),
        (changed('plan', known_dead=row(False, True)), {'(28h)': 1}),
        ({'completed': row(False, False)}, {'(28k)': 2}),
    ],
)
def test_every_breach_is_seen(changes, counts):
    assert broken(**changes) == counts


def test_rounding_is_no_breach():
    almost = 1 + 1e-12
    assert broken(**changed('sent', power_w=row(0.5 * almost, 0.0))) == {}
    assert broken(**changed('survival', frequency_hz=row(4e9, 6e9 * almost))) == {}


def test_failures_and_distances():
    # UAV 1 had failed before: if it lives again, (10) is broken.
    dead = replace(STATE, alive=row(True, False))
    assert broken(dead, alive=row(True, True)) == {'(10)': 1, '(12)': 1}
    # Both fail, though one is allowed to; who moved has moved to a failed UAV.
    assert broken(alive=row(False, False)) == {'(11)': 1, '(13)': 1}
    near = np.array([[[100.0, 100.0, 150.0], [104.0, 100.0, 152.9]]])
    moved = {
        'alive': row(True, True),
        'survival': replace(
            sound()['survival'],
            migrated=row(False, False),
            effective=row(0, 1),
            frequency_hz=row(4e9, 5e9),
        ),
    }
    assert broken(**moved, **flown(position_m=near)) == {'(5)': 1}
    near[0, 1, 2] = 153.0  # 3, 4, 5
    assert broken(**moved, **flown(position_m=near)) == {}
