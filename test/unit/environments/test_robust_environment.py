"""The robust environment: gymnasium's own check, decoding, observations, rewards and seeds."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import sec_nodes.environments  # noqa: F401 (registers)
from sec_nodes.environments.robust import RobustEnv, RobustVectorEnv
from sec_nodes.scenarios.robust.state import LOCAL

SHORT = {'horizon': 3}


def vector_of(env, **blocks):
    """An action of zeros with some blocks filled."""
    action = np.zeros(env.action_space.shape, dtype=np.float32)
    for name, value in blocks.items():
        part = action[:, env.action_blocks[name]]
        part[...] = np.asarray(value, dtype=np.float32).reshape(-1, part.shape[1])
    return action


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('mode', [None, 'feasible', 'fig5'])
def test_gymnasium_accepts_it(mode):
    env = gymnasium.make('sec_offload/Robust-v0', mode=mode)
    check_env(env.unwrapped)
    assert env.action_space.shape == (10 + 30 + 30 + 9,)
    assert env.observation_space.shape == (30 + 30 + 3 + 20 + 9 + 9 + 3,)
    many = gymnasium.make_vec('sec_offload/Robust-v0', num_envs=3, mode=mode)
    assert many.metadata['autoreset_mode'] == AutoresetMode.NEXT_STEP


def test_splits_are_decoded_by_the_number_of_layers():
    env = RobustVectorEnv(1, overrides={'users.count': 6, 'users.networks': ['alexnet', 'vgg16']})
    env.reset(seed=0)
    # 1 + min(L - 1, floor((u + 1) / 2 L)) with L = 8, 16, 8, ...: 0.25 is 5/8 of the range.
    u = [-1, -1, 0.25, 0.25, 1, 1]
    decision = env.decode(env.state, vector_of(env, split=u))
    assert decision.split.tolist() == [[1, 1, 6, 11, 8, 16]]
    own = RobustVectorEnv(1, overrides={'users.count': 2, 'users.local_only': True})
    own.reset(seed=0)
    assert own.decode(own.state, vector_of(own, split=[1, 1])).split.tolist() == [[9, 14]]


def test_association_goes_to_living_uavs():
    env = RobustVectorEnv(1, overrides={'users.count': 3})
    env.reset(seed=0)
    logits = [[0.1, 0.9, 0.5], [0.3, 0.3, 0.3], [0.0, -0.5, 0.2]]
    action = vector_of(env, association=logits, migration=logits)
    decision = env.decode(env.state, action)
    assert decision.server.tolist() == [[1, 0, 2]]
    np.testing.assert_allclose(decision.preference[0], logits, rtol=1e-6)
    state = replace(env.state, alive=np.array([[False, False, True]]))
    assert env.decode(state, action).server.tolist() == [[2, 2, 2]]
    state = replace(env.state, alive=np.zeros((1, 3), dtype=bool))
    assert env.decode(state, action).server.tolist() == [[LOCAL] * 3]


def test_accelerations_are_scaled():
    env = RobustVectorEnv(1)
    env.reset(seed=0)
    u = [[1, 0, 0], [0, -0.5, 0], [1, 1, 1]]
    decision = env.decode(env.state, vector_of(env, acceleration=u))
    np.testing.assert_allclose(decision.acceleration_m_s2[0], np.multiply(u, 5.0))
    env.step(vector_of(env, acceleration=u))
    # The third is longer than a_max and is shortened: 5 / sqrt(3) in each direction.
    expected = [[5, 0, 0], [0, -2.5, 0], [5 / np.sqrt(3)] * 3]
    np.testing.assert_allclose(env.state.uav_velocity_m_s[0], expected, rtol=1e-6)


def test_observations_by_hand():
    env = RobustVectorEnv(1)
    env.reset(seed=4)
    state = replace(
        env.state,
        user_m=np.full((1, 10, 2), 100.0, dtype=np.float32),
        uav_m=np.array([[[100, 100, 100], [300, 100, 100], [100, 400, 200]]], dtype=np.float32),
        uav_velocity_m_s=np.array([[[20, 0, 0], [0, -10, 0], [0, 0, 5]]], dtype=np.float32),
        fading=np.ones((1, 10, 3), dtype=np.float32),
    )
    seen = env.observe(state)[0]
    part = {name: seen[block] for name, block in env.blocks.items()}
    assert part['network'].reshape(10, 3)[:4].tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [1, 0, 0],
    ]
    # 0.5 W x 1e-3 / 1e4 over 3.981e-14 W is 1.256e6, that is 20.26 bit/s/Hz.
    np.testing.assert_allclose(part['rate'][0], np.log2(1 + 5e-8 / 3.9810717e-14) / 20, rtol=1e-5)
    # 280 Mbit/s over 15 MHz between UAVs 0 and 1, (17).
    pair_01 = np.log2(1 + 2.5e-8 / 5.9716076e-14)
    np.testing.assert_allclose(part['backhaul'][0], pair_01 / 20, rtol=1e-5)
    np.testing.assert_allclose(part['user'], 0.2)
    np.testing.assert_allclose(part['uav'][:6], [0.2, 0.2, 0.5, 0.6, 0.2, 0.5])
    np.testing.assert_allclose(part['velocity'], [1, 0, 0, 0, -0.5, 0, 0, 0, 0.25])
    assert part['alive'].tolist() == [1, 1, 1]
    dead = env.observe(replace(state, alive=np.array([[True, False, True]])))[0]
    assert dead[env.blocks['alive']].tolist() == [1, 0, 1]
    assert not dead[env.blocks['rate']].reshape(10, 3)[:, 1].any()
    assert (dead[env.blocks['backhaul']] > 0).tolist() == [False, True, False]


def test_failures_to_come_are_not_seen():
    env = RobustVectorEnv(4, overrides={'failures.fixed': 1})
    env.reset(seed=0)
    soon = replace(env.state, failure_slot=np.ones_like(env.state.failure_slot))
    np.testing.assert_array_equal(env.observe(soon), env.observe(env.state))
    assert 'failure_slot' not in env.describe(env.state)


@pytest.mark.parametrize('mode', [None, 'feasible', 'fig5'])
def test_shares_of_users_add_up_to_the_reward(mode):
    env = RobustVectorEnv(16, mode)
    _, info = env.reset(seed=1)
    assert info['action_mask'].shape == (16, 10, 3) and info['action_mask'].all()
    assert info['split_mask'].sum(axis=-1)[0, :3].tolist() == [8, 13, 16]
    env.action_space.seed(3)
    for _ in range(4):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert observation in env.observation_space
        np.testing.assert_allclose(info['task_reward'].sum(axis=1), reward, rtol=1e-5)
        # (31)
        np.testing.assert_allclose(-info['cost'] * info['penalty'], reward, rtol=1e-6)
        assert not terminated.any() and not truncated.any()
        assert all(np.isfinite(value).all() for value in info.values())


def test_many_copies_are_many_single_ones():
    many = RobustVectorEnv(3, 'feasible', {**SHORT, 'failures.fixed': 1})
    singles = [RobustEnv('feasible', {**SHORT, 'failures.fixed': 1}) for _ in range(3)]
    together, _ = many.reset(seed=7)
    alone = [env.reset(seed=7 + copy)[0] for copy, env in enumerate(singles)]
    np.testing.assert_array_equal(together, alone)
    many.action_space.seed(0)
    for _ in range(2):
        for slot in range(3):
            actions = many.action_space.sample()
            observation, reward, _, truncated, info = many.step(actions)
            for copy, env in enumerate(singles):
                one = env.step(actions[copy])
                np.testing.assert_allclose(observation[copy], one[0], rtol=1e-6, atol=1e-7)
                assert reward[copy] == pytest.approx(one[1], rel=1e-5)
                assert truncated[copy] == one[3] == (slot == 2)
                for name, value in one[4].items():
                    np.testing.assert_allclose(info[name][copy], value, rtol=1e-5)
        together, reward, _, truncated, _ = many.step(actions)
        assert not reward.any() and not truncated.any()
        alone = [env.reset()[0] for env in singles]
        np.testing.assert_array_equal(together, alone)


def test_the_seed_decides_everything():
    runs = []
    for _ in range(2):
        env = RobustVectorEnv(2, overrides=SHORT)
        seen = [env.reset(seed=11)[0]]
        env.action_space.seed(5)
        seen += [env.step(env.action_space.sample())[0] for _ in range(8)]
        runs.append(np.array(seen))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0][0] != RobustVectorEnv(2, overrides=SHORT).reset(seed=12)[0]).any()


@pytest.mark.parametrize('value', [np.nan, 1.5])
def test_actions_outside_the_space_are_refused(value):
    env = RobustEnv()
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape, dtype=np.float32)
    action[3] = value
    with pytest.raises(ValueError, match=r'in \[-1, 1\]'):
        env.step(action)
    with pytest.raises(ValueError, match='action has shape'):
        env.step(action[:-1])


def test_single_precision_completes_what_double_precision_does():
    # `joint` fills the slot to the last moment, so rounding must not make tasks late.
    env = RobustVectorEnv(64, 'feasible')
    env.reset(seed=0)
    nearest = env.scenario.nearest(env.state)
    decision = env.decode(env.state, vector_of(env, split=np.full(10, -1)))
    outcome = env.scenario.evaluate(env.state, replace(decision, server=nearest))
    assert outcome.completed.all()
    assert np.abs(outcome.latency_s - 1).max() < 1e-5
