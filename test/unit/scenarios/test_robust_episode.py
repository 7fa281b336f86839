"""How episodes of the robust scenario begin and go on, and its parameter file."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace

import numpy as np
import pytest
from robust_cases import counted, decide, quiet, robust

from sec_nodes.config import ConfigError
from sec_nodes.paths import config_dir
from sec_nodes.scenarios.registry import read_settings, scenario_modes


def test_episodes_begin_as_described():
    scenario = robust()
    state = scenario.reset(np.arange(2000))
    assert state.user_m.shape == (2000, 10, 2) and state.uav_m.shape == (2000, 3, 3)
    for values, low, high in (
        (state.user_m, 0, 500),
        (state.uav_m[..., :2], 0, 500),
        (state.uav_m[..., 2], 100, 200),
        (state.user_heading_rad, 0, 2 * math.pi),
    ):
        assert values.min() >= low and values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, rel=0.02)
        assert values.std() == pytest.approx((high - low) / math.sqrt(12), rel=0.03)
    np.testing.assert_array_equal(state.user_speed_m_s, 1.0)
    assert not state.uav_velocity_m_s.any() and state.alive.all() and not state.slot.any()
    # Users 1, 4, 7, 10 run AlexNet, 2, 5, 8 VGG13, 3, 6, 9 VGG16.
    assert state.network[0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    # Rician fading of mean 1 and variance (1 + 2 Gamma) / (1 + Gamma)^2 = 21 / 121.
    assert state.fading.mean() == pytest.approx(1, abs=0.01)
    assert state.fading.var() == pytest.approx(21 / 121, rel=0.03)


def test_uavs_are_drawn_until_they_are_apart():
    scenario = robust(uavs__count=3, uavs__safe_distance_m=160.0)
    state = scenario.reset(np.arange(300))
    apart = np.linalg.norm(state.uav_m[:, :, None] - state.uav_m[:, None], axis=-1)
    assert apart[:, [0, 0, 1], [1, 2, 2]].min() >= 160
    # Copies whose first draw was fine keep it.
    usual = robust().reset(np.arange(300)).uav_m
    same = (usual == state.uav_m).all(axis=(1, 2))
    assert 0.05 < same.mean() < 0.95


def test_the_world_follows_from_the_seed_alone():
    scenario = robust(horizon=5, failures__fixed=1)
    rng = np.random.default_rng(0)
    states = [scenario.reset(np.array([7, 8, 7]))] * 2
    for _ in range(4):
        following = []
        for state in states:
            split = rng.integers(1, 9, (3, 10))
            server = rng.integers(0, 3, (3, 10))
            following.append(scenario.step(state, decide(state, split, server))[0])
        states = following
        for name in ('user_m', 'user_heading_rad', 'user_speed_m_s', 'fading', 'failure_slot'):
            one, two = (getattr(state, name) for state in states)
            np.testing.assert_array_equal(one, two)
            np.testing.assert_array_equal(one[0], one[2])
            assert name == 'failure_slot' or (one[0] != one[1]).any()


def test_evaluation_changes_nothing():
    scenario = robust()
    state = scenario.reset(np.arange(2))
    before = {field.name: getattr(state, field.name).copy() for field in fields(state)}
    scenario.step(state, decide(state, acceleration=3.0))
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(state, name), value)


def test_users_walk_on_with_their_old_heading():
    scenario = robust(users__count=1)
    state = quiet(scenario, [[100.0, 200.0]], [[1, 1, 150], [200, 1, 150], [400, 1, 150]])
    state = replace(
        state, user_heading_rad=np.array([[math.pi / 2]]), user_speed_m_s=np.array([[3.0]])
    )
    following, _ = scenario.step(state, decide(state))
    np.testing.assert_allclose(following.user_m[0, 0], [100, 203], atol=1e-12)
    # (3) over many seeds: 0.8 of the old and 0.2 of the mean, and sqrt(1 - 0.64) = 0.6 of the
    # noise's 0.5 rad and 0.3 m/s.
    many = scenario.reset(np.arange(4000))
    many = replace(
        many,
        user_m=np.full_like(many.user_m, 250.0),
        user_heading_rad=np.full_like(many.user_heading_rad, 1.0),
        user_speed_m_s=np.full_like(many.user_speed_m_s, 3.0),
    )
    following, _ = scenario.step(many, decide(many))
    heading, speed = following.user_heading_rad, following.user_speed_m_s
    assert heading.mean() == pytest.approx(0.8 + 0.2 * math.pi / 4, abs=0.02)
    assert heading.std() == pytest.approx(0.3, rel=0.05)
    assert speed.mean() == pytest.approx(2.6, abs=0.01)
    assert speed.std() == pytest.approx(0.18, rel=0.05)


def test_users_stay_in_the_area():
    scenario = robust(users__mobility__mean_speed_m_s=90.0, failures__largest=0)
    state = scenario.reset(np.arange(4))
    for _ in range(20):
        state, _ = scenario.step(state, decide(state, server=-1))
        assert state.user_m.min() >= 0 and state.user_m.max() <= 500


def flown(velocity, acceleration, place=(250.0, 250.0, 150.0)):
    scenario = robust(users__count=1, uavs__count=1)
    state = quiet(scenario, [[1.0, 1.0]], [place])
    state = replace(state, uav_velocity_m_s=np.array([[velocity]], dtype=float))
    outcome = scenario.evaluate(state, decide(state, acceleration=acceleration))
    return outcome.uav_m[0, 0], outcome.uav_velocity_m_s[0, 0], outcome


def test_a_uav_flies_by_its_acceleration():
    # (6): q + v delta + a delta^2 / 2.
    place, velocity, outcome = flown([2.0, 0.0, 0.0], [0.0, 3.0, -4.0])
    np.testing.assert_allclose(place, [252, 251.5, 148])
    np.testing.assert_allclose(velocity, [2, 3, -4])
    assert outcome.violations.sum() == outcome.n_outside[0] == 0
    # (7): an acceleration of 30 m/s^2 becomes 5, in its direction.
    place, velocity, outcome = flown([0.0, 0.0, 0.0], [18.0, -24.0, 0.0])
    np.testing.assert_allclose(velocity, [3, -4, 0])
    np.testing.assert_allclose(place, [251.5, 248, 150])
    assert counted(outcome, '(7)') == [0]
    # At 20 m/s no more is gained, and the position belongs to the acceleration that remained.
    place, velocity, _ = flown([20.0, 0.0, 0.0], [5.0, 0.0, 0.0])
    np.testing.assert_allclose(velocity, [20, 0, 0])
    np.testing.assert_allclose(place, [270, 250, 150])
    place, velocity, _ = flown([20.0, 0.0, 0.0], [0.0, 5.0, 0.0])
    expected = np.array([20, 5]) * 20 / math.hypot(20, 5)
    np.testing.assert_allclose(velocity[:2], expected)
    np.testing.assert_allclose(place[:2], 250 + (np.array([20, 0]) + expected) / 2)


def test_a_uav_stops_at_the_border():
    place, velocity, outcome = flown([10.0, 3.0, -8.0], [0.0, 0.0, 0.0], (495.0, 250.0, 101.0))
    # East and altitude are beyond: one UAV, and only those components of the velocity end.
    np.testing.assert_allclose(place, [500, 253, 100])
    np.testing.assert_allclose(velocity, [0, 3, 0])
    assert outcome.n_outside[0] == 1 and counted(outcome, '(28c)') == [1]
    assert outcome.penalty[0] == 2.0
    _, _, outcome = flown([0.0, -9.0, 0.0], [0.0, 0.0, 0.0], (250.0, 4.0, 150.0))
    assert outcome.n_outside[0] == 1 and counted(outcome, '(28c)') == [0]
    # On the border itself nothing is wrong.
    _, _, outcome = flown([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], (500.0, 0.0, 200.0))
    assert outcome.n_outside[0] == 0


def test_limits_hold_whatever_is_decided():
    scenario = robust(failures__largest=0)
    rng = np.random.default_rng(2)
    state = scenario.reset(np.arange(20))
    for _ in range(30):
        acceleration = rng.normal(size=(20, 3, 3)) * 20
        before = state
        state, outcome = scenario.step(state, decide(state, server=-1, acceleration=acceleration))
        assert np.linalg.norm(state.uav_velocity_m_s, axis=-1).max() <= 20 * (1 + 1e-12)
        assert (state.uav_m >= [0, 0, 100]).all() and (state.uav_m <= [500, 500, 200]).all()
        assert np.linalg.norm(state.uav_m - before.uav_m, axis=-1).max() <= 20 * (1 + 1e-12)
        assert sum(counted(outcome, '(7)')) == 0


def test_a_summary_has_what_every_scenario_has():
    scenario = robust()
    state = scenario.reset(np.arange(3))
    outcome = scenario.evaluate(state, decide(state, server=np.arange(10) % 3))
    summary = scenario.summarise(state, outcome)
    np.testing.assert_array_equal(summary.cost, outcome.e_tot_j)
    np.testing.assert_array_equal(summary.tasks, 10.0)
    np.testing.assert_array_equal(summary.completed, outcome.completed.sum(axis=1))
    hover = 3 * 168.48422
    flight = summary.cost - summary.extra['cost_without_flight_j']
    np.testing.assert_allclose(flight, 1e-4 * hover, rtol=1e-6)
    spent = outcome.local_j + outcome.transmission_j + outcome.offload_j
    np.testing.assert_allclose(summary.energy_j, spent.sum(axis=1) + hover, rtol=1e-6)
    np.testing.assert_allclose(
        summary.extra['energy_per_completed_j'] * summary.completed, summary.cost
    )


@pytest.mark.parametrize('seed', [np.array(1), np.array([0.5]), np.zeros((2, 2), int)])
def test_seeds_must_be_a_row_of_integers(seed):
    with pytest.raises(ValueError, match='seed has shape'):
        robust().reset(seed)


def test_modes_change_what_they_say():
    assert scenario_modes('robust') == ['feasible', 'fig5', 'flown', 'networks']
    paper, feasible, fig5 = (
        read_settings(name) for name in ('robust', 'robust:feasible', 'robust:fig5')
    )
    assert paper.computing.flop_per_cycle == 8 and feasible.computing.flop_per_cycle == 64
    assert feasible.radio.path_loss_exponent == 3 and feasible.objective.compute_weight == 1
    assert fig5.allocation == 'prop' and fig5.users.association == 'nearest'
    assert paper.allocation == feasible.allocation == 'joint'


@pytest.mark.parametrize(
    ('overrides', 'complaint'),
    [
        ({'failures.largest': 4}, 'there are 3 UAVs'),
        ({'failures.fixed': 2}, 'exceeds failures.largest'),
        ({'horizon': 1}, 'from the second slot on'),
        ({'users.networks': ['resnet50']}, 'no layer table'),
        ({'uavs.safe_distance_m': 200.0}, 'leaves no room'),
        ({'failures.progress': 1.0}, 'less than 1'),
        ({'allocation': 'fair'}, "'joint', 'deadline'"),
    ],
)
def test_impossible_settings_are_refused(overrides, complaint):
    with pytest.raises(ConfigError, match=complaint):
        read_settings('robust', overrides)


def test_every_value_of_the_scenario_file_says_where_it_comes_from():
    for line in (config_dir() / 'scenarios' / 'robust.yaml').read_text().splitlines():
        key, _, value = line.partition(':')
        if line.startswith('#') or not key.strip() or not value.split('#')[0].strip():
            continue
        if key.strip() != 'name':
            assert re.search(r'#.*\[(paper|chosen|corrected)\]', line), line
