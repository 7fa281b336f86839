"""The mllm environments: spaces, observations, seeds, masks, and one copy as a batch of one."""

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import sec_nodes.environments  # noqa: F401 (registers)
from sec_nodes.environments.base import episode_seed
from sec_nodes.environments.mllm import FLAGS, MllmEnv, MllmVectorEnv

MODES = (None, 'paper', 'fig7', 'stress', 'extended', 'literal', 'quoted')


@pytest.mark.parametrize('mode', MODES)
def test_gymnasium_s_own_check(mode):
    env = gymnasium.make('sec_offload/Mllm-v0', mode=mode)
    check_env(env.unwrapped, skip_render_check=True)


def test_spaces():
    env = gymnasium.make_vec('sec_offload/Mllm-v0', num_envs=5)
    # K (4 + S + 2) + 2 M + 2 N numbers.
    assert env.single_observation_space.shape == (144,)
    assert env.observation_space.shape == (5, 144)
    assert env.single_action_space['server'].nvec.tolist() == [7] * 10
    assert env.single_action_space['continuous'].shape == (16,)
    assert env.metadata['autoreset_mode'] == AutoresetMode.NEXT_STEP
    assert MllmEnv('extended').observation_space.shape == (151,)
    assert MllmEnv('fig7').observation_space.shape == (25 * 13 + 14,)


@pytest.mark.parametrize('mode', ['paper', 'fig7', 'extended'])
def test_copies_are_environments_of_their_own(mode):
    many = MllmVectorEnv(4, mode)
    singles = [MllmEnv(mode) for _ in range(4)]
    observation, info = many.reset(seed=30)
    for copy, single in enumerate(singles):
        alone, about = single.reset(seed=30 + copy)
        np.testing.assert_array_equal(alone, observation[copy])
        np.testing.assert_array_equal(about['action_mask'], info['action_mask'][copy])
    many.action_space.seed(1)
    for _ in range(5):
        action = many.action_space.sample()
        observation, reward, terminated, truncated, info = many.step(action)
        assert not terminated.any()
        assert not truncated.any()
        for copy, single in enumerate(singles):
            mine = {name: part[copy] for name, part in action.items()}
            alone, gain, _, _, about = single.step(mine)
            np.testing.assert_array_equal(alone, observation[copy])
            assert gain == pytest.approx(reward[copy], rel=1e-6)
            assert set(about) == set(info)
            for name, value in about.items():
                np.testing.assert_allclose(value, info[name][copy], rtol=1e-5)


def test_an_observation_number_by_number():
    env = MllmVectorEnv(12, 'extended')
    env.reset(seed=2)
    for _ in range(3):
        observation, *_ = env.step(env.action_space.sample())
    state, scenario = env.state, env.scenario
    orbit = scenario.orbit(state)
    gain = scenario.links.gains(state, state.uav_m, orbit.slant_m)
    copy = int(np.flatnonzero(~orbit.visible.all(axis=-1))[0])  # a satellite is hidden
    expected = [*(state.size_bit[copy] / 1e7), *(state.words[copy] / 96), *state.accuracy[copy]]
    expected += [*(state.deadline_s[copy] / 3)]
    for k in range(10):
        for s in range(7):
            snr = 10 * np.log10(gain[copy, k, s] * 1.0 / 1e-13) / 60
            hidden = s >= 3 and not orbit.visible[copy, s - 3]
            expected.append(-1.0 if hidden else snr)
    expected += [*(state.device_m[copy] / 500).ravel(), *(state.uav_m[copy] / 500).ravel()]
    expected += [*(orbit.remaining_s[copy] / 443), *orbit.visible[copy]]
    expected += [*(state.backlog_s[copy] / 6)]
    assert observation.dtype == np.float32
    np.testing.assert_allclose(observation[copy], expected, rtol=1e-5, atol=1e-6)


def test_devices_that_do_not_ask_show_no_request():
    env = MllmVectorEnv(8, 'fig7')
    observation, info = env.reset(seed=0)
    asks, blocks = info['active'], env.observer.blocks
    assert not asks.all()
    for name in ('size', 'words', 'accuracy', 'deadline'):
        np.testing.assert_array_equal(observation[:, blocks[name]] > 0, asks)


@pytest.mark.parametrize('mode', MODES)
def test_observations_keep_their_bounds(mode):
    env = MllmVectorEnv(16, mode)
    env.action_space.seed(0)
    observation, _ = env.reset(seed=5)
    for _ in range(40):
        assert env.observation_space.contains(observation)
        observation, reward, *_ = env.step(env.action_space.sample())
        assert np.isfinite(reward).all()


def test_actions_mean_what_is_documented():
    env = MllmVectorEnv(2)
    env.reset(seed=1)
    continuous = np.zeros((2, 16), dtype=np.float32)
    continuous[:, 0], continuous[:, 1] = -1, 1
    continuous[:, 10:] = [-1, -1, 1, 1, 0, 0.5]
    server = np.arange(20).reshape(2, 10) % 7
    decision = env.decode(env.state, {'server': server, 'continuous': continuous})
    np.testing.assert_array_equal(decision.server, server)
    np.testing.assert_allclose(decision.power_w[0, :3], [0.01, 1.0, 0.505], rtol=1e-6)
    np.testing.assert_allclose(decision.uav_m[1], [[0, 0], [500, 500], [250, 375]])
    moving = MllmVectorEnv(2, 'extended')
    moving.reset(seed=1)
    decision = moving.decode(moving.state, {'server': server, 'continuous': continuous})
    # 60 m a slot; diagonals are shortened to that.
    step = decision.uav_m[0] - moving.state.uav_m[0]
    diagonal = 60 / np.sqrt(2)
    np.testing.assert_allclose(
        step, [[-diagonal, -diagonal], [diagonal, diagonal], [0, 30]], atol=1e-3
    )


@pytest.mark.parametrize(
    ('action', 'complaint'),
    [
        (np.zeros(26), 'must be a dict'),
        ({'server': np.zeros((1, 10), int)}, 'must be a dict'),
        (
            {'server': np.zeros((1, 10), int), 'continuous': np.zeros((1, 15))},
            'continuous has shape',
        ),
        (
            {'server': np.zeros((1, 10), int), 'continuous': np.full((1, 16), 1.1)},
            'clip actions',
        ),
        (
            {'server': np.zeros((1, 10), int), 'continuous': np.full((1, 16), np.nan)},
            'clip actions',
        ),
        ({'server': np.full((1, 10), 7), 'continuous': np.zeros((1, 16))}, 'server holds 7'),
    ],
)
def test_malformed_actions_are_refused(action, complaint):
    env = MllmVectorEnv(1)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=complaint):
        env.step(action)


def test_rewards_are_the_penalised_cost_and_add_up_over_tasks():
    for mode in ('paper', 'fig7'):
        env = MllmVectorEnv(6, mode)
        env.action_space.seed(3)
        env.reset(seed=3)
        _, reward, _, _, info = env.step(env.action_space.sample())
        np.testing.assert_allclose(reward, -info['penalised_cost'])
        np.testing.assert_allclose(info['task_reward'].sum(axis=-1), reward, rtol=1e-5)
        np.testing.assert_allclose(info['reward_eq34'], 20 / info['cost'], rtol=1e-6)
        assert (info['penalised_cost'] > info['cost']).any()
        for name in FLAGS:
            assert info[name].dtype == np.bool_


def test_masks_may_be_asked_for_the_positions_of_an_action():
    env = MllmVectorEnv(3)
    env.reset(seed=4)
    action = env.action_space.sample()
    decision = env.decode(env.state, action)
    mask = env.masks(action['continuous'])
    np.testing.assert_array_equal(mask, env.scenario.mask(env.state, decision.uav_m))
    assert not np.array_equal(mask, env.scenario.mask(env.state, env.state.uav_m))
    _, _, _, _, info = env.step(action)
    np.testing.assert_array_equal(
        info['action_mask'], env.scenario.mask(env.state, env.state.uav_m)
    )


def test_episodes_end_together_and_begin_anew():
    env = MllmVectorEnv(3, overrides={'slots': 4})
    first, _ = env.reset(seed=9)
    env.action_space.seed(0)
    for slot in range(4):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        assert not terminated.any()
        assert truncated.tolist() == [slot == 3] * 3
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert reward.tolist() == [0, 0, 0]
    assert not truncated.any()
    assert set(info) == {'action_mask', 'active'}
    assert not np.array_equal(observation, first)
    assert env.state.slot.tolist() == [0, 0, 0]
    again, _ = env.reset(seed=9)
    np.testing.assert_array_equal(again, first)


def test_later_episodes_of_a_copy_are_the_same_alone():
    many, single = MllmVectorEnv(3), MllmEnv()
    many.reset(seed=5)
    single.reset(seed=7)
    for _ in range(3):
        observation, _ = many.reset()
        alone, _ = single.reset()
        np.testing.assert_array_equal(alone, observation[2])


def test_seeds():
    env = MllmVectorEnv(2)
    one, _ = env.reset(seed=[3, 8])
    assert env.state.seed.tolist() == [3, 8]
    other, _ = env.reset(seed=3)
    np.testing.assert_array_equal(one[0], other[0])
    assert env.state.seed.tolist() == [3, 4]
    env.reset()
    assert len(set(env.state.seed.tolist())) == 2
    assert min(env.state.seed) >= 0
    for bad in ([1], [1, -2]):
        with pytest.raises(ValueError, match='seed is'):
            env.reset(seed=bad)


def test_without_a_seed_every_run_is_another():
    a, _ = MllmVectorEnv(1).reset()
    b, _ = MllmVectorEnv(1).reset()
    assert not np.array_equal(a, b)


def test_episode_seeds_are_far_apart():
    seeds = np.arange(1000)
    assert episode_seed(seeds, 0) is seeds
    drawn = np.concatenate([episode_seed(seeds, e) for e in range(1, 5)])
    assert len(np.unique(drawn)) == 4000
    assert drawn.min() >= 0
    assert drawn.max() < 1 << 62


def test_steps_out_of_turn_are_refused():
    env = MllmEnv(overrides={'slots': 1})
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    *_, truncated, _ = env.step(env.action_space.sample())
    assert truncated
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    with pytest.raises(ResetNeeded):
        _ = MllmVectorEnv(2).state


def test_unknown_modes_and_counts_are_named():
    with pytest.raises(ValueError, match="mode is 'papr'; did you mean 'paper'"):
        MllmEnv('papr')
    with pytest.raises(ValueError, match='num_envs is 0'):
        MllmVectorEnv(0)


def test_observations_and_infos_belong_to_the_caller():
    env = MllmVectorEnv(2)
    observation, _ = env.reset(seed=1)
    kept = observation.copy()
    env.step(env.action_space.sample())
    np.testing.assert_array_equal(observation, kept)
