"""Policies that are read from files: what they answer, and which files are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from random_policies import flat_policy

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.learned import FlatPolicy, read_policy, write_policy


def everything(continuous):
    return np.ones((len(continuous), 3, 4), dtype=bool)


def small(tmp_path, **options):
    description, arrays = flat_policy(7, 3, 4, 5, **options)
    path = tmp_path / 'small.npz'
    write_policy(path, description, arrays)
    return path, description, arrays


def by_hand(arrays, networks, observation):
    """The same sums in float64, written out."""
    seen = (observation - arrays['obs_mean']) / np.maximum(arrays['obs_std'], 1e-3)
    seen = np.clip(seen, -10, 10).astype(np.float64)
    said = []
    for number in range(networks):
        h, layer = seen, 0
        while f'n{number}_w{layer}' in arrays:
            h = h @ arrays[f'n{number}_w{layer}'] + arrays[f'n{number}_b{layer}']
            layer += 1
            if f'n{number}_w{layer}' in arrays:
                h = np.where(h > 0, h, 0)
        said.append(h)
    return np.concatenate(said, axis=1)


@pytest.mark.parametrize(
    'widths', [((32, 24), (16,)), ((9, 8, 7),), ((), (5,)), ((6,), (6, 6, 6)), ((8, 8), ())]
)
@pytest.mark.parametrize('batch', [1, 6])
def test_outputs_are_those_of_the_networks(tmp_path, widths, batch):
    path, _, arrays = small(tmp_path, widths=widths)
    policy = read_policy(path).policy(None)
    observation = np.random.default_rng(1).normal(size=(batch, 7)).astype(np.float32)
    observation[0, 2] = 1e4  # clipped
    expected = by_hand(arrays, len(widths), observation)
    for _ in range(2):  # buffers are used again
        said = policy.outputs(observation)
        assert said.dtype == np.float32
        np.testing.assert_allclose(said, expected, rtol=1e-4, atol=1e-5)
    first = policy.outputs(observation)
    policy.outputs(observation + 1)
    np.testing.assert_allclose(first, expected, rtol=1e-4, atol=1e-5)


def test_the_best_admissible_choice_wins():
    # one layer that says its bias: 2 devices with 3 options, then 2 numbers
    description = {
        'shape': {'observation': 1, 'devices': 2, 'options': 3, 'continuous': 2},
        'networks': 1,
        'bins': None,
    }
    bias = np.array([5, 1, 3, -1, -2, -3, 0.5, -8], dtype=np.float32)
    arrays = {
        'obs_mean': np.zeros(1, np.float32),
        'obs_std': np.ones(1, np.float32),
        'n0_w0': np.zeros((1, 8), np.float32),
        'n0_b0': bias,
    }
    policy = FlatPolicy(description, arrays)
    asked = []

    def mask_of(continuous):
        asked.append(continuous)
        return np.array([[[False, True, True], [False, False, True]]])

    choice, continuous = policy.answer(np.zeros((1, 1), np.float32), mask_of)
    assert choice.tolist() == [[2, 2]]
    np.testing.assert_allclose(continuous, np.tanh([[0.5, -8]]), rtol=1e-6)
    np.testing.assert_array_equal(asked[0], continuous)


def test_bins_are_evenly_spaced():
    description = {
        'shape': {'observation': 1, 'devices': 0, 'options': 0, 'continuous': 3},
        'networks': 1,
        'bins': [5, 3, 2],
    }
    bias = np.array([0, 0, 0, 4, 1, 2, 7, 3, 9, 8], dtype=np.float32)
    arrays = {
        'obs_mean': np.zeros(1, np.float32),
        'obs_std': np.ones(1, np.float32),
        'n0_w0': np.zeros((1, 10), np.float32),
        'n0_b0': bias,
    }
    for batch in (1, 4):
        choice, continuous = FlatPolicy(description, arrays).answer(np.zeros((batch, 1)), None)
        assert choice.shape == (batch, 0)
        np.testing.assert_allclose(continuous, [[0.5, 0.0, -1.0]] * batch)


def test_the_same_policy_makes_the_same_file(tmp_path):
    path, description, arrays = small(tmp_path)
    other = tmp_path / 'other.npz'
    write_policy(other, description, dict(reversed(arrays.items())))
    assert path.read_bytes() == other.read_bytes()
    assert read_policy(path).description == description


def changed(tmp_path, change):
    path, description, arrays = small(tmp_path)
    change(description, arrays)
    write_policy(path, description, arrays)
    return path


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        (lambda d, a: d.update(kind='round'), "kind = 'round' of policy; known: flat, set"),
        (lambda d, a: d.pop('bins'), "'bins' is missing"),
        (lambda d, a: d['shape'].pop('options'), "'options' is missing"),
        (lambda d, a: a.pop('n1_b0'), "'n1_b0' is missing"),
        (lambda d, a: a.pop('obs_mean'), "'obs_mean' is missing"),
        (lambda d, a: d.update(networks=0), 'networks = 0'),
        (lambda d, a: d.update(networks=1), r'say 12 numbers, but .* need 17'),
        (lambda d, a: d['shape'].update(observation=8), 'n0_w0 reads 7 numbers, but .* is 8'),
        (lambda d, a: d.update(bins=[3, 3]), 'bins has 2 entries, but shape.continuous is 5'),
        (lambda d, a: d.update(bins=[1] * 5), 'needs at least two'),
        (lambda d, a: a.update(n0_w1=a['n0_w1'][:-1]), 'n0_w1 reads 31 .* before says 32'),
        (lambda d, a: a.update(obs_std=a['obs_std'][:-1]), r'obs_std is float32 of shape \(6,\)'),
        (lambda d, a: a.update(n0_w0=a['n0_w0'].astype(int)), 'must be floats'),
        (lambda d, a: a['n1_w1'].fill(np.nan), 'n1_w1 holds NaN'),
    ],
)
def test_a_wrong_policy_is_refused(tmp_path, change, complaint):
    path = changed(tmp_path, change)
    with pytest.raises(ControllerError, match=complaint) as error:
        read_policy(path).policy(None)
    assert str(path) in str(error.value)
    assert 'sec train' in str(error.value)


def test_a_file_that_is_no_policy_is_refused(tmp_path):
    path, _, _ = small(tmp_path)
    whole = path.read_bytes()
    cases = {
        'cut': whole[: len(whole) // 2],
        'damaged': whole[:400] + bytes(byte ^ 0xFF for byte in whole[400:480]) + whole[480:],
        'empty': b'',
        'text': b'a policy, honestly',
    }
    for name, content in cases.items():
        wrong = tmp_path / f'{name}.npz'
        wrong.write_bytes(content)
        with pytest.raises(ControllerError, match=rf'{name}.npz: damaged, or no .npz file'):
            read_policy(wrong)
    with pytest.raises(ControllerError, match='no such file'):
        read_policy(tmp_path / 'nowhere.npz')
    with pytest.raises(ControllerError, match='damaged, or no'):
        read_policy(tmp_path)
    array = tmp_path / 'array.npz'
    with array.open('wb') as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ControllerError, match='damaged, or no'):
        read_policy(array)
    for text in (None, 'no JSON', json.dumps([1, 2])):
        other = tmp_path / 'other.npz'
        np.savez(other, weight=np.zeros(2), **({} if text is None else {'description': text}))
        with pytest.raises(ControllerError, match='holds no description'):
            read_policy(other)


def test_pickles_are_not_opened(tmp_path):
    path = tmp_path / 'pickled.npz'
    np.savez(path, description=np.array([{'kind': 'flat'}], dtype=object))
    with pytest.raises(ControllerError, match='damaged, or no'):
        read_policy(path)


def test_observations_of_another_length_are_refused():
    policy = FlatPolicy(*flat_policy(7, 3, 4, 5))
    with pytest.raises(ValueError, match='have 8 numbers, but the policy was trained on 7'):
        policy.answer(np.zeros((2, 8), np.float32), everything)
