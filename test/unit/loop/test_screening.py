"""What breaks a constraint is replaced or rejected, and named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sec_nodes.controllers.base import create
from sec_nodes.loop.screening import describe, screen
from sec_nodes.scenarios.stages import Violation
from sec_nodes.slot import DECLINED, LOCAL


@pytest.fixture
def fallback(scenario):
    return create('nearest_uav', scenario)


@pytest.fixture
def sound(scenario, state):
    return create('nearest_uav', scenario).decide(state)


def changed(decision, row, **columns):
    fresh = {}
    for name, value in columns.items():
        column = getattr(decision, name).copy()
        column[row] = value
        fresh[name] = column
    return replace(decision, **fresh)


def test_a_sound_decision_passes_unchanged(scenario, state, sound, fallback):
    screened = screen(scenario, state, sound, fallback)
    assert not screened.violation.any()
    np.testing.assert_array_equal(screened.decision.server, sound.server)
    assert screened.goals_held == 0


@pytest.mark.parametrize(
    ('columns', 'flag'),
    [
        ({'server': 99}, Violation.SERVER),
        ({'server': -7}, Violation.SERVER),
        ({'split': 2}, Violation.SPLIT),
        ({'split': -1}, Violation.SPLIT),
        ({'power_w': np.nan}, Violation.POWER),
        ({'power_w': 5.0}, Violation.POWER),
        ({'power_w': 0.0}, Violation.POWER),
        ({'compute_share': 1.5}, Violation.SHARE),
        ({'compute_share': np.nan}, Violation.SHARE),
    ],
)
def test_each_broken_constraint_is_named_and_repaired(
    scenario, state, sound, fallback, columns, flag
):
    broken = changed(sound, 0, **columns)
    screened = screen(scenario, state, broken, fallback)
    assert screened.violation[0] & flag
    assert flag.name.lower() in screened.reason(0)
    assert screened.repaired.tolist() == [True, False, False, False]
    assert not scenario.violations(state, screened.decision).any()


def test_a_uav_out_of_coverage_is_unreachable(scenario, state, sound, fallback):
    # device 3 at (480, 480) is 509 m from UAV 0 at (120, 120); coverage ends at 250 m
    broken = changed(sound, 3, server=0)
    screened = screen(scenario, state, broken, fallback)
    assert screened.violation[3] & Violation.UNREACHABLE
    assert screened.decision.server[3] >= 3


def test_a_dead_server_is_replaced(scenario, state, sound, fallback, with_dead):
    server = int(sound.server[0])
    screened = screen(scenario, with_dead(state, server), sound, fallback)
    assert screened.violation[0] & Violation.DEAD
    assert screened.decision.server[0] != server


def test_what_nobody_may_serve_is_rejected_with_all_reasons(
    scenario, state, sound, fallback, with_dead
):
    # task 3 needs 0.9: only satellites have it, and they are gone
    dark = with_dead(state, 3, 4, 5, 6)
    screened = screen(scenario, dark, sound, fallback)
    assert screened.rejected.tolist() == [False, False, False, True]
    assert screened.decision.server[3] == DECLINED
    assert describe(int(screened.violation[3])) == 'dead'


def test_a_local_answer_that_is_not_accurate_enough_breaks_a_constraint(scenario, state, sound):
    own = changed(sound, 3, server=LOCAL, split=2)
    assert scenario.violations(state, own)[3] == Violation.ACCURACY


def test_goals_off_the_map_are_held(scenario, state, sound, fallback):
    goals = sound.uav_goal_m.copy()
    goals[0] = np.nan
    goals[1] = [9e9, -5.0, 50.0]
    screened = screen(scenario, state, replace(sound, uav_goal_m=goals), fallback)
    assert screened.goals_held == 2
    np.testing.assert_array_equal(screened.decision.uav_goal_m[0], state.servers.position_m[0])
    np.testing.assert_array_equal(screened.decision.uav_goal_m[1], [500.0, 0.0, 50.0])
    missing = screen(scenario, state, replace(sound, uav_goal_m=goals[:1]), fallback)
    np.testing.assert_array_equal(missing.decision.uav_goal_m, state.servers.position_m[:3])
