"""Structured policies: alike for all devices, for any fleet, and never against the mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_set_policy import set_policy_arrays

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.learned import PolicyFile
from sec_nodes.controllers.mllm.pairs import scene
from sec_nodes.controllers.mllm.set_policy import SetPolicy
from sec_nodes.controllers.mllm.sight import Sight
from sec_nodes.scenarios.mllm import Mllm, MllmDecision
from sec_nodes.scenarios.mllm.controls import Controls
from sec_nodes.scenarios.mllm.observation import Encoder, Observer
from sec_nodes.scenarios.registry import read_settings

MODES = ['paper', 'fig7', 'stress', 'extended']
SEEDS = np.arange(20, 28)


def world(mode, changes=None):
    """Scenario, and observations at the start and after some slots."""
    scenario = Mllm(read_settings(f'mllm:{mode}', changes), np.float32)
    state = scenario.reset(SEEDS)
    observer, roam = Observer(scenario), create_batch('masked_random', scenario)
    seen = [observer.observe(state)]
    for _ in range(3):
        state = scenario.step(state, roam.decide(state))[0]
    return scenario, np.concatenate([*seen, observer.observe(state)])


def policy_of(scenario, moves_first=True, changes=None, **options):
    arrays = set_policy_arrays(**options) | (changes or {})
    return SetPolicy({}, arrays, scenario.settings, moves_first)


def mask_at(scenario, observation):
    sight = Sight(scenario.settings)
    return lambda continuous: sight.mask(observation, continuous)


def answer(scenario, policy, observation):
    return policy.answer(observation, mask_at(scenario, observation))


def shuffled(scenario, observation, order):
    """Observations with devices in another order."""
    encoder = Encoder(scenario.settings, len(order), scenario.links.noise_w)
    changed = observation.copy()
    for name in ('size', 'words', 'accuracy', 'deadline', 'snr', 'device'):
        block = encoder.blocks[name]
        rows = observation[:, block].reshape(len(observation), len(order), -1)
        changed[:, block] = rows[:, order].reshape(len(observation), -1)
    return changed


@pytest.mark.parametrize('seed', [1, 2, 3])
@pytest.mark.parametrize('mode', MODES)
def test_order_of_devices_is_of_no_account(mode, seed):
    # uploads that are cut off at the same time arrive in no order
    scenario, observation = world(mode, {'radio.longest_upload_s': 1e6})
    k = scenario.n_devices
    policy = policy_of(scenario, seed=seed)
    order = np.random.default_rng(seed).permutation(k)
    server, continuous = answer(scenario, policy, observation)
    changed, numbers = answer(scenario, policy, shuffled(scenario, observation, order))
    asks = observation[:, :k] > 0
    same = np.where(asks[:, order], changed, -1) == np.where(asks, server, -1)[:, order]
    # sums in another order are rounded otherwise, which may decide where two servers tie
    assert same.all(axis=1).sum() >= len(same) - 1
    np.testing.assert_allclose(numbers[:, :k], continuous[:, :k][:, order], atol=1e-4)
    np.testing.assert_allclose(numbers[:, k:], continuous[:, k:], atol=1e-4)
    assert len(np.unique(server)) > 3
    assert continuous[:, :k].std() > 0.01


@pytest.mark.parametrize('mode', MODES)
def test_masks_are_honoured(mode):
    scenario, observation = world(mode)
    rng = np.random.default_rng(0)
    shape = (len(observation), scenario.n_devices, scenario.n_servers)
    for seed in range(3):
        mask = rng.random(shape) < 0.3
        mask |= ~mask.any(axis=-1, keepdims=True)
        policy = policy_of(scenario, seed=seed)
        server, continuous = policy.answer(observation, lambda _, mask=mask: mask)
        assert np.take_along_axis(mask, server[..., None], axis=-1).all()
        assert np.abs(continuous).max() <= 1


def test_masks_are_asked_where_the_uavs_go():
    scenario, observation = world('extended')
    asked = []

    def mask_of(continuous):
        asked.append(continuous)
        return mask_at(scenario, observation)(continuous)

    server, continuous = policy_of(scenario).answer(observation, mask_of)
    np.testing.assert_array_equal(asked[-1], continuous)
    allowed = mask_at(scenario, observation)(continuous)
    assert np.take_along_axis(allowed, server[..., None], axis=-1).all()


def test_who_does_not_ask_changes_nothing_for_the_others():
    """Where UAVs stay; they may well mind places that requests come from."""
    scenario, observation = world('fig7')
    k = scenario.n_devices
    policy = policy_of(scenario, moves_first=False)
    asks = observation[:, :k] > 0
    blocks, rng = Observer(scenario).blocks, np.random.default_rng(0)
    changed = observation.copy()
    for name, width in (('snr', scenario.n_servers), ('device', 2)):
        block = changed[:, blocks[name]].reshape(len(observation), k, width)
        block[~asks] = rng.random((np.sum(~asks), width))
        changed[:, blocks[name]] = block.reshape(len(observation), -1)
    mask = rng.random((len(observation), k, scenario.n_servers)) < 0.6
    mask |= ~mask.any(axis=-1, keepdims=True)
    server, continuous = policy.answer(observation, lambda _: mask)
    server_now, continuous_now = policy.answer(changed, lambda _: mask)
    assert 0.2 < asks.mean() < 0.8
    assert not np.array_equal(changed, observation)
    np.testing.assert_array_equal(server_now[asks], server[asks])
    np.testing.assert_allclose(continuous_now[:, :k][asks], continuous[:, :k][asks], atol=1e-5)


@pytest.mark.parametrize('devices', [1, 3, 25, 150])
def test_any_fleet(devices):
    """With the same policy, made for the scenario's ten devices."""
    scenario, observation = world('extended', {'devices.count': devices})
    policy = SetPolicy({}, set_policy_arrays(), read_settings('mllm:extended'))
    server, continuous = answer(scenario, policy, observation)
    assert server.shape == (len(observation), devices)
    assert continuous.shape == (len(observation), devices + 2 * scenario.n_uavs)
    allowed = mask_at(scenario, observation)(continuous)
    assert np.take_along_axis(allowed, server[..., None], axis=-1).all()


def test_a_device_alone_goes_where_it_is_cheapest():
    """Untrained, there is nothing but the estimated cost."""
    scenario, observation = world('stress', {'devices.count': 1})
    policy = policy_of(scenario, last=0.0, sharpness=10.0)
    server, continuous = answer(scenario, policy, observation)
    at = scene(policy.sight, observation, continuous)
    watts = at.power * policy.sight.full_w
    rate = policy.sight.bandwidth_hz * np.log2(1 + at.snr)
    upload_s = np.minimum(at.seen.size_bit[..., None] / rate, 30)
    compute_s = at.seen.words[..., None] * policy.sight.word_s
    late_s = np.maximum(upload_s + compute_s - at.seen.deadline_s[..., None], 0)
    energy_j = watts * upload_s + policy.sight.compute_w * compute_s
    cost = 0.5 * (upload_s + compute_s) + 0.5 / 25 * energy_j + 2 * late_s
    np.testing.assert_array_equal(server, np.where(at.allowed, cost, np.inf).argmin(axis=-1))


def test_without_moves_first_devices_send_where_uavs_are():
    """Another mix of heads changes moves alone, and choices only if UAVs have moved by then."""
    scenario, observation = world('stress')
    apart = {'mix_b': np.array([3.0, -3, 2, -2, 1], dtype=np.float32)}
    k = scenario.n_devices
    mask = np.ones((len(observation), k, scenario.n_servers), dtype=bool)
    for moves_first in (False, True):
        (server, numbers), (others, changed) = (
            policy_of(scenario, moves_first, changes).answer(observation, lambda _: mask)
            for changes in ({}, apart)
        )
        np.testing.assert_array_equal(numbers[:, :k], changed[:, :k])
        assert np.abs(numbers[:, k:] - changed[:, k:]).max() > 0.05
        assert np.array_equal(server, others) == (not moves_first)


@pytest.mark.parametrize('name', sorted(set_policy_arrays()))
def test_missing_arrays_are_named(name):
    arrays = set_policy_arrays()
    del arrays[name]
    file = PolicyFile(Path('p.npz'), {'kind': 'set'}, arrays)
    with pytest.raises(ControllerError, match=rf"policy p\.npz: '{name}' is missing.*sec train"):
        file.policy(read_settings('mllm:stress'))


@pytest.mark.parametrize('name', sorted(set_policy_arrays()))
def test_arrays_that_do_not_fit_are_named(name):
    arrays = set_policy_arrays()
    whole = arrays[name]
    for wrong, why in (
        (np.full_like(whole, np.nan), 'NaN'),
        (np.concatenate([np.atleast_1d(whole)] * 2), 'must be floats of'),
        (np.zeros(whole.shape, dtype=np.int64), 'must be floats of'),
    ):
        file = PolicyFile(Path('p.npz'), {'kind': 'set'}, arrays | {name: wrong})
        with pytest.raises(ControllerError, match=f'{name} .*{why}.*sec train'):
            file.policy(read_settings('mllm:stress'))


def test_complete_files_play():
    scenario, observation = world('stress')
    file = PolicyFile(Path('p.npz'), {'kind': 'set'}, set_policy_arrays())
    policy = file.policy(scenario.settings)
    assert policy.any_fleet
    expected = answer(scenario, policy_of(scenario), observation)
    for found, wanted in zip(answer(scenario, policy, observation), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_observations_of_another_scenario_are_refused():
    scenario, observation = world('stress')
    policy = policy_of(scenario)
    with pytest.raises(ValueError, match='made for another scenario'):
        answer(scenario, policy, observation[:, :-1])


def test_untrained_it_is_better_than_greedy():
    """It knows what devices do to each other, and greedy does not."""
    scenario = Mllm(read_settings('mllm:stress'), np.float32)
    policy, greedy = (
        policy_of(scenario, last=0.0, sharpness=10.0),
        create_batch('greedy', scenario),
    )
    observer, controls = Observer(scenario), Controls(scenario.settings)
    state = scenario.reset(SEEDS)
    mine, its = [], []
    for _ in range(5):
        server, numbers = answer(scenario, policy, observer.observe(state))
        decision = MllmDecision(server, *controls.read(numbers, state.uav_m))
        its.append(scenario.evaluate(state, greedy.decide(state)).penalised_cost)
        state, outcome = scenario.step(state, decision)
        mine.append(outcome.penalised_cost)
        assert not outcome.coverage_broken.any()
    assert np.mean(mine) < 0.95 * np.mean(its)
