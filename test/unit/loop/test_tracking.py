"""UAVs that follow a plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sec_nodes.loop.tracking import MissionFleet, Route
from sec_nodes.physics.energy import ZENG_2019
from sec_nodes.physics.motion import MotionLimits

LIMITS = MotionLimits(20.0, 5.0, 20.0)
SLOT_S = 1.4
START_M = np.array([[250.0, 250.0, 200.0], [250.0, 250.0, 205.0], [250.0, 250.0, 210.0]])


@pytest.fixture
def fleet() -> MissionFleet:
    """UAVs 0 and 2 of three."""
    return MissionFleet(START_M, LIMITS, [0, 2], 0.02)


def fly(fleet: MissionFleet, until_s: float) -> float:
    """Fly up to an instant; gives the largest tracking error on the way."""
    worst_m = 0.0
    while fleet.due(until_s):
        fleet.step()
        worst_m = max(worst_m, float(np.linalg.norm(fleet.tracking_error_m, axis=1).max()))
    return worst_m


def line(speed_m_s: float, legs: int, origin_m: np.ndarray) -> np.ndarray:
    """Waypoints due north at one speed."""
    path_m = np.tile(origin_m, (legs + 1, 1))
    path_m[:, 1] += speed_m_s * SLOT_S * np.arange(legs + 1)
    return path_m


def loop(origin_m: np.ndarray, acceleration_m_s2: float, legs: int) -> np.ndarray:
    """Waypoints from rest, in a circle at 10 m/s with that acceleration after a run-up."""
    speed, heading = 0.0, 0.0
    path_m = [origin_m]
    for _ in range(legs):
        step = acceleration_m_s2 * SLOT_S
        heading += step / 10.0 if speed >= 10.0 else 0.0
        speed = min(10.0, speed + step)
        way_m = speed * SLOT_S * np.array([np.cos(heading), np.sin(heading), 0.0])
        path_m.append(path_m[-1] + way_m)
    return np.array(path_m)


class TestRoute:
    ROUTE = Route(2.8, SLOT_S, np.array([[0.0, 0, 9], [14.0, 0, 9], [14.0, 7, 9]]))

    @pytest.mark.parametrize(
        ('time_s', 'position_m', 'velocity_m_s'),
        [
            (0.0, (0, 0, 9), (0, 0, 0)),
            (2.79, (0, 0, 9), (0, 0, 0)),
            (2.8, (0, 0, 9), (10, 0, 0)),
            (3.5, (7, 0, 9), (10, 0, 0)),
            (4.2, (14, 0, 9), (0, 5, 0)),
            (4.9, (14, 3.5, 9), (0, 5, 0)),
            (5.6, (14, 7, 9), (0, 0, 0)),
            (90.0, (14, 7, 9), (0, 0, 0)),
        ],
    )
    def test_it_is_straight_from_waypoint_to_waypoint(self, time_s, position_m, velocity_m_s):
        position, velocity = self.ROUTE.at(time_s)
        np.testing.assert_allclose(position, position_m, atol=1e-9)
        np.testing.assert_allclose(velocity, velocity_m_s, atol=1e-9)

    def test_every_slot_begins_with_its_own_velocity(self):
        # of 50 sums of 0.02 s, many fall short of the sum of 1.4 s by rounding
        turns = np.array([[k % 2, k, 0.0] for k in range(51)])
        route = Route(0.0, SLOT_S, turns)
        for slot in range(50):
            velocity = route.at(70 * slot * 0.02)[1]
            np.testing.assert_allclose(velocity * SLOT_S, turns[slot + 1] - turns[slot])


def test_without_a_plan_uavs_hover_where_they_are(fleet):
    assert fly(fleet, 2.0) == 0.0
    np.testing.assert_array_equal(fleet.motion.position_m, START_M[[0, 2]])
    np.testing.assert_allclose(fleet.energy_used_j, 2.0 * 168.484, rtol=1e-5)


def test_a_steady_plan_is_followed_to_the_spot(fleet):
    path_m = line(10.0, 20, START_M[2])
    fleet.follow(2, 0.0, SLOT_S, path_m)
    fly(fleet, 14.0)
    np.testing.assert_allclose(fleet.motion.position_m[1], path_m[10], atol=1e-3)
    np.testing.assert_allclose(fleet.motion.velocity_m_s[1], [0, 10, 0], atol=1e-3)
    np.testing.assert_array_equal(fleet.motion.position_m[0], START_M[0])


def test_after_the_end_of_the_plan_it_stays_at_the_last_waypoint(fleet):
    path_m = line(8.0, 4, START_M[0])
    fleet.follow(0, 0.0, SLOT_S, path_m)
    fly(fleet, 20.0)
    np.testing.assert_allclose(fleet.motion.position_m[0], path_m[-1], atol=1e-3)
    np.testing.assert_allclose(fleet.motion.velocity_m_s[0], 0.0, atol=1e-3)


def test_a_plan_with_half_the_acceleration_of_the_uav_is_tracked_closely(fleet):
    path_m = loop(START_M[0], 2.0, 50)
    fleet.follow(0, 0.0, SLOT_S, path_m)
    worst_m = fly(fleet, 70.0)
    # velocities jump by 2.8 m/s between slots: what a UAV falls behind that makes up for it with
    # 5 m/s^2, which at 20 m/s^3 takes a quarter of a second to come and as long to go
    assert 0.1 < worst_m < 2.8**2 / (2 * 5.0) + 2.8 * 0.25


def test_the_plan_counts_from_its_start_wherever_it_is_received(fleet):
    path_m = line(10.0, 40, START_M[0])
    fly(fleet, 7.0)
    fleet.follow(0, 4.2, SLOT_S, path_m)
    np.testing.assert_allclose(fleet.setpoint.position_m[0], path_m[2], atol=1e-9)
    np.testing.assert_allclose(fleet.tracking_error_m[0], path_m[2] - START_M[0], atol=1e-9)
    fly(fleet, 28.0)
    np.testing.assert_allclose(fleet.motion.position_m[0], path_m[17], atol=1e-3)


def test_a_new_plan_replaces_the_old_one_and_the_same_again_changes_nothing(fleet):
    east_m = line(10.0, 40, START_M[0])
    east_m[:, [0, 1]] = east_m[:, [1, 0]]
    fleet.follow(0, 0.0, SLOT_S, line(10.0, 40, START_M[0]))
    fly(fleet, 7.0)
    here_m = fleet.motion.position_m[0]
    fleet.follow(0, 7.0, SLOT_S, east_m - START_M[0] + here_m)
    before = fleet.setpoint
    fleet.follow(0, 7.0, SLOT_S, east_m - START_M[0] + here_m)
    np.testing.assert_array_equal(fleet.setpoint.position_m, before.position_m)
    fly(fleet, 21.0)
    np.testing.assert_allclose(fleet.motion.position_m[0] - here_m, [140.0, 0.0, 0.0], atol=1e-3)


def test_a_failed_uav_stands_still_and_then_flies_to_where_the_plan_is(fleet):
    path_m = line(5.0, 40, START_M[0])
    fleet.follow(0, 0.0, SLOT_S, path_m)
    fly(fleet, 7.0)
    fleet.alive[0] = False
    here_m, spent_j = fleet.motion.position_m[0].copy(), fleet.energy_used_j[0]
    fleet.follow(0, 0.0, SLOT_S, path_m)
    fly(fleet, 10.0)
    np.testing.assert_array_equal(fleet.motion.position_m[0], here_m)
    assert fleet.energy_used_j[0] == spent_j
    fleet.alive[0] = True
    fly(fleet, 28.0)
    np.testing.assert_allclose(fleet.motion.position_m[0], path_m[20], atol=1e-3)


def test_energy_is_that_of_the_airframe():
    heavy = replace(ZENG_2019, induced_power_w=2 * ZENG_2019.induced_power_w)
    spent_j = []
    for wing in (ZENG_2019, heavy):
        fleet = MissionFleet(START_M, LIMITS, [0], 0.02, wing)
        fly(fleet, 3.0)
        spent_j.append(fleet.energy_used_j[0])
    np.testing.assert_allclose(spent_j[1] - spent_j[0], 3.0 * ZENG_2019.induced_power_w)


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        ({'server_id': 1}, r'server 1 is none of the UAVs \[0, 2\]'),
        ({'start_s': np.inf}, 'start_s is inf'),
        ({'slot_s': 0.0}, 'slot_s is 0'),
        ({'slot_s': np.nan}, 'slot_s is nan'),
        ({'waypoint_m': np.zeros((0, 3))}, r'shape \(0, 3\)'),
        ({'waypoint_m': np.zeros(3)}, r'shape \(3,\)'),
        ({'waypoint_m': np.zeros((4, 2))}, 'last axis'),
        ({'waypoint_m': np.full((4, 3), np.nan)}, 'waypoint_m is nan'),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_and_the_old_one_stays(fleet, change, complaint):
    path_m = line(10.0, 40, START_M[0])
    fleet.follow(0, 0.0, SLOT_S, path_m)
    plan = {'server_id': 0, 'start_s': 0.0, 'slot_s': SLOT_S, 'waypoint_m': START_M}
    with pytest.raises(ValueError, match=complaint):
        fleet.follow(**(plan | change))
    fly(fleet, 14.0)
    np.testing.assert_allclose(fleet.motion.position_m[0], path_m[10], atol=1e-3)
