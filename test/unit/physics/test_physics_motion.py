import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sec_nodes.physics import motion
from sec_nodes.physics.motion import GaussMarkov, MotionLimits, MotionState

STEP_S = 0.02
QUADROTOR = MotionLimits(speed_m_s=20.0, acceleration_m_s2=5.0, jerk_m_s3=20.0)
LIMITS = st.builds(
    MotionLimits,
    speed_m_s=st.floats(1.0, 40.0),
    acceleration_m_s2=st.floats(0.5, 20.0),
    jerk_m_s3=st.floats(0.5, 500.0),
)
STILL = np.zeros((1, 3))


def fly(state, reference, limits, seconds, velocity=STILL):
    """Return the states of every step towards reference(t)."""
    states = [state]
    for k in range(round(seconds / STEP_S)):
        states.append(motion.track(states[-1], reference(k * STEP_S), velocity, limits, STEP_S))
    return states


def norms(vectors):
    return np.linalg.norm(vectors, axis=-1)


@settings(max_examples=30, deadline=None)
@given(limits=LIMITS, step_s=st.sampled_from([0.005, 0.02, 0.1]), seed=st.integers(0, 2**31))
def test_limits_hold_at_every_step_whatever_is_asked(limits, step_s, seed):
    # Set-points that jump, also far beyond reach and with reference velocities beyond the limit.
    rng = np.random.default_rng(seed)
    state = MotionState.at_rest(rng.uniform(-50, 50, (4, 3)))
    rounding = 1 + 1e-12
    for k in range(120):
        if k % 15 == 0:
            goal = rng.uniform(-1, 1, (4, 3)) * 10 ** rng.uniform(-1, 3)
            velocity = rng.uniform(-2, 2, (4, 3)) * limits.speed_m_s
        new = motion.track(state, goal, velocity, limits, step_s)
        jerk = norms(new.acceleration_m_s2 - state.acceleration_m_s2) / step_s
        assert norms(new.velocity_m_s).max() <= limits.speed_m_s * rounding
        assert norms(new.acceleration_m_s2).max() <= limits.acceleration_m_s2 * rounding
        # The difference of two accelerations carries their rounding, divided by the step.
        assert jerk.max() <= limits.jerk_m_s3 * rounding + 1e-14 * (
            limits.acceleration_m_s2 / step_s
        )
        state = new


@settings(max_examples=20, deadline=None)
@given(limits=LIMITS, seed=st.integers(0, 2**31))
def test_a_step_is_a_double_integrator(limits, seed):
    rng = np.random.default_rng(seed)
    old = MotionState.at_rest(rng.uniform(-50, 50, (4, 3)))
    for _ in range(5):
        new = motion.track(old, rng.uniform(-50, 50, (4, 3)), np.zeros((4, 3)), limits, STEP_S)
        a = new.acceleration_m_s2
        np.testing.assert_allclose(new.velocity_m_s, old.velocity_m_s + a * STEP_S, atol=1e-12)
        np.testing.assert_allclose(
            new.position_m,
            old.position_m + old.velocity_m_s * STEP_S + 0.5 * a * STEP_S**2,
            atol=1e-12,
        )
        old = new


@pytest.mark.parametrize(
    ('distance_m', 'jerk'),
    [(0.1, 20.0), (3.0, 4.0), (3.0, 1000.0), (60.0, 20.0), (60.0, 1000.0), (300.0, 20.0)],
)
def test_a_still_goal_is_reached_without_overshoot(distance_m, jerk):
    limits = MotionLimits(20.0, 5.0, jerk)
    direction = np.array([[2.0, -1.0, 2.0]]) / 3.0
    goal = distance_m * direction
    # Cruise at 20 m/s, 4 s up and 8 s down at half the acceleration, then some time constants
    # 4 A / J of the critically damped end.
    seconds = distance_m / 20 + 12 + 15 * 4 * max(5.0 / jerk, 0.08)
    states = fly(MotionState.at_rest(np.zeros((1, 3))), lambda _: goal, limits, seconds)
    along = np.array([(s.position_m @ direction.T)[0, 0] for s in states])
    assert along.max() <= distance_m * (1 + 1e-9) + 1e-6
    assert np.diff(along).min() >= -1e-6  # no way back: no oscillation
    assert along[-1] == pytest.approx(distance_m, abs=0.01)
    assert norms(states[-1].velocity_m_s)[0] < 0.01


def test_a_long_leg_is_flown_at_the_speed_limit():
    goal = np.array([[1000.0, 0.0, 0.0]])
    states = fly(MotionState.at_rest(np.zeros((1, 3))), lambda _: goal, QUADROTOR, 30.0)
    speeds = np.array([norms(s.velocity_m_s)[0] for s in states])
    # 20 m/s at 5 m/s^2 take 4 s, and the jerk limit adds some 5/20 s at either end.
    assert speeds[round(6.0 / STEP_S)] > 0.99 * 20
    assert speeds.max() > 0.9999 * 20


def test_a_moving_set_point_is_followed_without_steady_error():
    velocity = np.array([[12.0, -3.0, 1.0]])
    states = fly(
        MotionState.at_rest(np.array([[5.0, 5.0, 0.0]])),
        lambda t: velocity * t,
        QUADROTOR,
        20.0,
        velocity,
    )
    error = states[-1].position_m - velocity * (len(states) - 1) * STEP_S
    assert norms(error)[0] < 1e-3


def test_a_circle_is_followed_closely():
    # 10 m radius at 5 m/s: 2.5 m/s^2 and 1.25 m/s^3, inside the limits.
    def place(t):
        return np.array([[10 * math.cos(t / 2), 10 * math.sin(t / 2), 0.0]])

    state = MotionState(place(0.0), np.array([[0.0, 5.0, 0.0]]), np.array([[-2.5, 0.0, 0.0]]))
    worst = 0.0
    for k in range(1000):
        t = k * STEP_S
        velocity = np.array([[-5 * math.sin(t / 2), 5 * math.cos(t / 2), 0.0]])
        worst = max(worst, norms(state.position_m - place(t))[0])
        state = motion.track(state, place(t), velocity, QUADROTOR, STEP_S)
    # Without acceleration feed-forward the loop lags by a / (k_p k_v) = 2.5 / (1 * 4) m.
    assert 0.1 < worst < 0.7


@given(st.permutations(list(range(5))))
@settings(max_examples=10, deadline=None)
def test_vehicles_do_not_influence_each_other(order):
    rng = np.random.default_rng(4)
    state = MotionState(
        rng.uniform(-9, 9, (5, 3)), rng.uniform(-11, 11, (5, 3)), rng.uniform(-1, 1, (5, 3))
    )
    goal, velocity = rng.uniform(-99, 99, (2, 5, 3))
    together = motion.track(state, goal, velocity, QUADROTOR, STEP_S)
    moved = motion.track(
        MotionState(
            state.position_m[order], state.velocity_m_s[order], state.acceleration_m_s2[order]
        ),
        goal[order],
        velocity[order],
        QUADROTOR,
        STEP_S,
    )
    np.testing.assert_array_equal(moved.position_m, together.position_m[order])
    np.testing.assert_array_equal(moved.acceleration_m_s2, together.acceleration_m_s2[order])


def test_the_speed_stays_avoidable_when_far_goals_jump():
    # The cascade alone would pass the limit by 0.2 % here once its acceleration has died out.
    limits = MotionLimits(11.889482482, 10.8055773308, 38.3006866702)
    rng = np.random.default_rng(45)
    rng.uniform(size=3)  # the draws that found these limits
    state = MotionState.at_rest(rng.uniform(-50, 50, (32, 3)))
    for k in range(600):
        if k % 25 == 0:
            goal = rng.uniform(-1, 1, (32, 3)) * 1e4
        state = motion.track(state, goal, np.zeros((32, 3)), limits, STEP_S)
        coasting = motion._coasting_velocity(
            state.velocity_m_s, state.acceleration_m_s2, limits, STEP_S
        )
        assert norms(coasting).max() <= limits.speed_m_s * (1 + 1e-12)


def test_acceleration_is_given_up_at_the_speed_limit():
    # At 20 m/s along x the change of 0.4 m/s^2 a step allows may turn the velocity, not raise it.
    state = MotionState(np.zeros((2, 3)), np.full((2, 3), [20.0, 0.0, 0.0]), np.zeros((2, 3)))
    asked = np.array([[0.4, 0.0, 0.0], [-0.2, 0.3, 0.0]])
    kept = motion._keep_speed(state, asked, QUADROTOR, STEP_S)
    np.testing.assert_allclose(kept[0], 0.0, atol=1e-12)
    np.testing.assert_array_equal(kept[1], asked[1])  # this one slows down: untouched


def test_coasting_velocity_by_hand():
    # 20 m/s^3 * 0.02 s = 0.4 m/s^2 a step: 1.0 falls to 0.6, 0.2, 0, which adds 0.8 * 0.02 m/s.
    found = motion._coasting_velocity(
        np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]]), QUADROTOR, STEP_S
    )
    np.testing.assert_allclose(found, [[1.0, 0.016, 0.0]])


def test_float32_and_an_empty_fleet():
    state = MotionState.at_rest(np.zeros((2, 3), dtype=np.float32))
    goal = np.full((2, 3), 30.0, dtype=np.float32)
    for _ in range(600):
        state = motion.track(state, goal, np.zeros_like(goal), QUADROTOR, STEP_S)
        assert state.position_m.dtype == np.float32
    np.testing.assert_allclose(state.position_m, goal, atol=0.05)
    nobody = MotionState.at_rest(np.zeros((0, 3)))
    assert motion.track(nobody, np.zeros((0, 3)), np.zeros((0, 3)), QUADROTOR, STEP_S) is not None


@pytest.mark.parametrize(
    ('velocity', 'acceleration', 'named'),
    [
        ([21.0, 0.0, 0.0], [0.0, 0.0, 0.0], r'velocity_m_s of vehicle 0 is 21'),
        ([0.0, 0.0, 0.0], [0.0, 6.0, 0.0], r'acceleration_m_s2 of vehicle 0 is 6'),
        # 20 m/s and still accelerating: 20.5 m/s cannot be avoided.
        ([20.0, 0.0, 0.0], [4.0, 0.0, 0.0], r'died out of vehicle 0 is 20'),
        ([math.nan, 0.0, 0.0], [0.0, 0.0, 0.0], r'state.velocity_m_s is nan'),
    ],
)
def test_impossible_states_are_refused(velocity, acceleration, named):
    state = MotionState(STILL, np.array([velocity]), np.array([acceleration]))
    with pytest.raises(ValueError, match=named):
        motion.track(state, np.array([[500.0, 0.0, 0.0]]), STILL, QUADROTOR, STEP_S)


@pytest.mark.filterwarnings('ignore:invalid value')
@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_broken_set_points_are_refused(value):
    state = MotionState.at_rest(STILL)
    with pytest.raises(ValueError, match='reference_m is'):
        motion.track(state, STILL + value, STILL, QUADROTOR, STEP_S)
    with pytest.raises(ValueError, match='reference_velocity_m_s is'):
        motion.track(state, STILL, STILL + value, QUADROTOR, STEP_S)


def test_bad_limits_are_named():
    with pytest.raises(ValueError, match='jerk_m_s3 is 0'):
        MotionLimits(20.0, 5.0, 0.0)
    with pytest.raises(ValueError, match='speed_m_s is inf'):
        MotionLimits(math.inf, 5.0, 1.0)
    with pytest.raises(ValueError, match='step_s'):
        motion.track(MotionState.at_rest(STILL), STILL, STILL, QUADROTOR, 0.0)


def test_reference_along_by_hand():
    start, goal = np.zeros((2, 3)), np.array([[30.0, 40.0, 0.0], [300.0, 400.0, 0.0]])
    # 50 m in 5 s is 10 m/s; 500 m in 5 s would be 100, so 20 m/s: both at 2 s.
    position, velocity = motion.reference_along(start, goal, 2.0, 5.0, 20.0)
    np.testing.assert_allclose(position, [[12.0, 16.0, 0.0], [24.0, 32.0, 0.0]])
    np.testing.assert_allclose(velocity, [[6.0, 8.0, 0.0], [12.0, 16.0, 0.0]])
    # At 5 s the near goal is reached, the far one is at 100 m and goes on.
    position, velocity = motion.reference_along(start, goal, 5.0, 5.0, 20.0)
    np.testing.assert_array_equal(position[0], goal[0])
    np.testing.assert_array_equal(velocity[0], [0.0, 0.0, 0.0])
    np.testing.assert_allclose(position[1], [60.0, 80.0, 0.0])
    # It arrives after 500 / 20 = 25 s.
    position, _ = motion.reference_along(start, goal, np.array([0.0, 25.0]), 5.0, 20.0)
    np.testing.assert_array_equal(position, [[0.0, 0.0, 0.0], [300.0, 400.0, 0.0]])


def test_reference_along_no_way_at_all_rests():
    position, velocity = motion.reference_along(STILL, STILL, 1.0, 5.0, 20.0)
    np.testing.assert_array_equal(position, STILL)
    np.testing.assert_array_equal(velocity, STILL)


@given(st.floats(0, 20), st.floats(0, 20), st.floats(0.1, 10), st.floats(0.5, 30))
def test_reference_along_never_exceeds_the_speed(t0, t1, duration_s, speed_m_s):
    goal = np.array([60.0, -20.0, 5.0])
    places = [
        motion.reference_along(np.zeros(3), goal, t, duration_s, speed_m_s)[0] for t in (t0, t1)
    ]
    assert norms(places[1] - places[0]) <= speed_m_s * abs(t1 - t0) + 1e-9


WALK = GaussMarkov(
    heading_memory=0.8,
    speed_memory=0.8,
    mean_heading_rad=math.pi / 4,
    mean_speed_m_s=1.0,
    heading_deviation_rad=0.5,
    speed_deviation_m_s=0.3,
)


def test_gauss_markov_by_hand():
    # Old heading 0, speed 2: moves 2 m east.  sqrt(1 - 0.64) = 0.6:
    # heading 0.2 pi/4 + 0.6 * 0.5 * 1 = 0.457080, speed 1.6 + 0.2 + 0.6 * 0.3 * (-2) = 1.44.
    position, heading, speed = motion.gauss_markov_step(
        np.array([[10.0, 10.0]]),
        np.zeros(1),
        np.array([2.0]),
        WALK,
        np.array([[1.0, -2.0]]),
        1.0,
        500.0,
    )
    np.testing.assert_allclose(position, [[12.0, 10.0]])
    np.testing.assert_allclose(heading, [0.4570796327])
    np.testing.assert_allclose(speed, [1.44])


@pytest.mark.parametrize(
    ('start', 'heading', 'end', 'turned'),
    [
        # No noise and full memory leave only the walls.  (499.5 + 2 -> 501.5 -> 498.5)
        ([499.5, 250.0], 0.0, [498.5, 250.0], math.pi),
        ([0.5, 250.0], math.pi, [1.5, 250.0], 0.0),
        ([250.0, 499.5], math.pi / 2, [250.0, 498.5], -math.pi / 2),
        ([250.0, 0.5], -math.pi / 2, [250.0, 1.5], math.pi / 2),
        # A corner: x first, then y; north-east becomes south-west.
        ([499.5, 499.5], math.pi / 4, [499.0858, 499.0858], -3 * math.pi / 4),
    ],
)
def test_walls_reflect(start, heading, end, turned):
    straight = GaussMarkov(1.0, 1.0, 0.0, 0.0, 0.5, 0.3)
    position, new_heading, speed = motion.gauss_markov_step(
        np.array(start), np.asarray(heading), np.asarray(2.0), straight, np.ones(2), 1.0, 500.0
    )
    np.testing.assert_allclose(position, end, atol=1e-4)
    np.testing.assert_allclose(
        [np.cos(new_heading), np.sin(new_heading)], [math.cos(turned), math.sin(turned)], atol=1e-9
    )
    assert speed == 2.0


def test_walkers_stay_inside_with_stationary_speed():
    rng = np.random.default_rng(0)
    position = rng.uniform(0, 1, (2000, 2)) * [50.0, 30.0]
    heading, speed = rng.uniform(0, 6.28, 2000), np.ones(2000)
    for _ in range(60):
        position, heading, speed = motion.gauss_markov_step(
            position, heading, speed, WALK, rng.standard_normal((2000, 2)), 1.0, np.array([50, 30])
        )
        assert position.min() >= 0 and np.all(position <= [50.0, 30.0])
        assert speed.min() >= 0
    # Stationary speed is N(1, 0.3^2) but for the clip at 0 (0.04 % of it).
    assert speed.mean() == pytest.approx(1.0, abs=5 * 0.3 / math.sqrt(2000))
    assert speed.std() == pytest.approx(0.3, rel=0.08)


def test_bad_mobility_is_named():
    with pytest.raises(ValueError, match='heading_memory is'):
        GaussMarkov(1.2, 0.8, 0.0, 1.0, 0.5, 0.3)
    with pytest.raises(ValueError, match='area_m - position_m'):
        motion.gauss_markov_step(
            np.array([600.0, 1.0]), np.zeros(()), np.ones(()), WALK, np.ones(2), 1.0, 500.0
        )


def test_px4_border():
    # One metre east, two north, three up.
    np.testing.assert_array_equal(motion.ned_from_enu(np.array([1.0, 2.0, 3.0])), [2, 1, -3])
    np.testing.assert_array_equal(motion.enu_from_ned(np.array([[2.0, 1.0, -3.0]])), [[1, 2, 3]])
    east, north, up = np.eye(3)
    # Both frames are right-handed, so the change is a rotation.
    np.testing.assert_array_equal(
        np.cross(motion.ned_from_enu(east), motion.ned_from_enu(north)), motion.ned_from_enu(up)
    )
    with pytest.raises(ValueError, match='vectors_enu'):
        motion.ned_from_enu(np.zeros(2))


def test_accelerating_by_hand():
    # Meng & Li (6): 3 m/s for 2 s and 0.5 m/s^2 on top gives 7 m and 4 m/s.
    position, velocity = motion.accelerate(
        np.zeros(3), np.array([3.0, 0, 0]), np.array([0.5, 0, 0]), 20.0, 5.0, 2.0
    )
    np.testing.assert_allclose(position, [7, 0, 0])
    np.testing.assert_allclose(velocity, [4, 0, 0])


@given(
    st.tuples(*[st.floats(-11, 11)] * 3),
    st.tuples(*[st.floats(-50, 50)] * 3),
    st.floats(0.1, 3.0),
)
def test_accelerating_keeps_both_limits(velocity, acceleration, duration):
    # (7), also for the acceleration that is left where the speed limit shortens the velocity.
    before = np.array(velocity)
    place, after = motion.accelerate(
        np.ones(3), before, np.array(acceleration), 20.0, 5.0, duration
    )
    assert np.linalg.norm(after) <= 20 * (1 + 1e-12)
    assert np.linalg.norm(after - before) <= 5 * duration * (1 + 1e-9)
    np.testing.assert_allclose(place, 1 + duration * (before + after) / 2)


def test_a_wrong_acceleration_is_named():
    with pytest.raises(ValueError, match='acceleration_m_s2 is nan'):
        motion.accelerate(np.zeros(3), np.zeros(3), np.array([0, np.nan, 0]), 20.0, 5.0, 1.0)
    with pytest.raises(ValueError, match='speed_limit_m_s'):
        motion.accelerate(np.zeros(3), np.zeros(3), np.zeros(3), 0.0, 5.0, 1.0)
