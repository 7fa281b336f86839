"""UAVs that accelerate for the rest of a slot: against (6) and (7) worked by hand."""

from __future__ import annotations

import numpy as np

from sec_nodes.loop.accelerated import AcceleratedFleet
from sec_nodes.physics.energy import ZENG_2019
from sec_nodes.physics.motion import MotionLimits

STEP_S = 0.02
START_M = np.array([[100.0, 100.0, 150.0], [250.0, 250.0, 120.0]])


def fleet() -> AcceleratedFleet:
    space_m = np.array([0.0, 0.0, 100.0]), np.array([500.0, 500.0, 200.0])
    limits, planned = MotionLimits(22.0, 7.5, 60.0), MotionLimits(20.0, 5.0, 60.0)
    return AcceleratedFleet(START_M, limits, planned, [0, 1], STEP_S, ZENG_2019, 1.0, space_m)


def fly(uavs: AcceleratedFleet, until_s: float) -> None:
    while uavs.due(until_s):
        uavs.step()


def test_set_point_is_at_the_goal_at_the_end_of_the_slot_and_moves_on() -> None:
    uavs = fleet()
    uavs.goal_m[0] = START_M[0] + [2.0, 0.0, 0.0]  # half of 4 m/s2 times 1 s2
    fly(uavs, 1.0)
    np.testing.assert_allclose(uavs.setpoint.position_m[0], [102.0, 100.0, 150.0], atol=1e-9)
    np.testing.assert_allclose(uavs.setpoint.velocity_m_s[0], [4.0, 0.0, 0.0], atol=1e-9)
    uavs.goal_m[0] = [106.0, 100.0, 150.0]  # straight on
    fly(uavs, 2.0)
    np.testing.assert_allclose(uavs.setpoint.position_m[0], [106.0, 100.0, 150.0], atol=1e-9)
    np.testing.assert_allclose(uavs.setpoint.velocity_m_s[0], [4.0, 0.0, 0.0], atol=1e-9)
    assert np.linalg.norm(uavs.tracking_error_m[0]) < 1.0
    np.testing.assert_allclose(uavs.motion.position_m[1], START_M[1])


def test_a_goal_that_comes_late_is_met_by_the_end_of_the_slot() -> None:
    uavs = fleet()
    fly(uavs, 0.2)
    uavs.goal_m[0] = START_M[0] + [0.0, 1.6, 0.0]  # 5 m/s2 for the 0.8 s that are left
    fly(uavs, 1.0)
    np.testing.assert_allclose(uavs.setpoint.position_m[0], [100.0, 101.6, 150.0], atol=1e-9)


def test_a_goal_that_is_too_far_is_approached_and_kept() -> None:
    uavs = fleet()
    goal_m = START_M[0] + [200.0, 0.0, 0.0]
    fastest_m_s = 0.0
    for second in range(1, 41):
        # a hair's breadth apart, so that each is a new goal
        uavs.goal_m[0] = goal_m + np.array([0.0, 1e-3 * second, 0.0])
        fly(uavs, float(second))
        fastest_m_s = max(fastest_m_s, uavs.setpoint.velocity_m_s[0, 0])
        assert uavs.setpoint.position_m[0, 0] <= goal_m[0] + 0.5
    assert 15.0 < fastest_m_s <= 20.0 + 1e-9
    np.testing.assert_allclose(uavs.setpoint.position_m[0], goal_m, atol=0.5)


def test_nobody_leaves_the_space() -> None:
    uavs = fleet()
    uavs.motion.position_m[0, 2] = uavs.setpoint.position_m[0, 2] = 199.0
    uavs.goal_m[0] = [100.0, 100.0, 201.0]  # 4 m/s2: reachable, but outside
    fly(uavs, 1.0)
    assert uavs.setpoint.position_m[0, 2] == 200.0
    assert uavs.setpoint.velocity_m_s[0, 2] == 0.0


def test_without_a_goal_for_a_slot_a_uav_stops() -> None:
    uavs = fleet()
    uavs.goal_m[0] = START_M[0] + [2.0, 0.0, 0.0]
    fly(uavs, 2.0)
    np.testing.assert_allclose(uavs.setpoint.velocity_m_s[0], [4.0, 0.0, 0.0], atol=1e-9)
    fly(uavs, 8.0)
    np.testing.assert_allclose(uavs.setpoint.velocity_m_s[0], 0.0, atol=1e-9)
    np.testing.assert_allclose(uavs.motion.velocity_m_s[0], 0.0, atol=0.05)
