"""Learnt policies of robust without torch: files, which plays what, and what they never do."""

from itertools import pairwise

import numpy as np
import pytest

from sec_nodes.controllers.base import ControllerError, create
from sec_nodes.controllers.batch import batch_controller_names, create_batch
from sec_nodes.controllers.learned import trained_on, write_policy
from sec_nodes.controllers.robust.policies import best_fit, read_network, shipped
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.offloading import RobustOffloading
from sec_nodes.scenarios.robust.view import RobustView

USER_WIDTHS = {'pair': (5, 4, 1), 'move': (4, 4, 1), 'fly': (15, 4, 3)}


def user_arrays():
    """A policy of kind `user` with random weights."""
    draw = np.random.default_rng(0)
    arrays = {
        'sharpness': np.float32(20),
        'crowding': np.float32(5),
        'half_m': np.array([250, 250, 50], dtype=np.float32),
        'braking': np.array([0.16, 0.16, 0.8], dtype=np.float32),
    }
    for name, widths in USER_WIDTHS.items():
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            weight = draw.normal(0, 0.3, (inputs, outputs))
            arrays[f'{name}_w{number}'] = weight.astype(np.float32)
            arrays[f'{name}_b{number}'] = draw.normal(0, 0.3, outputs).astype(np.float32)
    return arrays


def flat_arrays(observation=104, numbers=79):
    """One of kind `flat`."""
    draw = np.random.default_rng(1)
    return {
        'obs_mean': np.zeros(observation, dtype=np.float32),
        'obs_std': np.ones(observation, dtype=np.float32),
        'n0_w0': draw.normal(0, 0.3, (observation, numbers)).astype(np.float32),
        'n0_b0': np.zeros(numbers, dtype=np.float32),
    }


def written(folder, kind, arrays, scenario='robust:feasible'):
    path = folder / f'{kind}.npz'
    description = {'kind': kind, 'algorithm': 'sac_per', **trained_on(scenario)}
    write_policy(path, description, arrays)
    return str(path)


@pytest.fixture
def user(tmp_path):
    return written(tmp_path, 'user', user_arrays())


@pytest.fixture
def flat(tmp_path):
    return written(tmp_path, 'flat', flat_arrays())


@pytest.mark.parametrize('overrides', [{}, {'users.count': 4, 'uavs.count': 2}])
@pytest.mark.parametrize('scenario', ['robust', 'robust:feasible', 'robust:flown'])
def test_user_policies_play_any_fleet_and_never_ask_for_what_is_not_there(
    user, scenario, overrides
):
    failing = {'failures.largest': 2, 'failures.fixed': 2, 'horizon': 8, **overrides}
    system = Robust(read_settings(scenario, failing))
    controller = create_batch(user, system)
    state = system.reset(np.arange(5))
    for _ in range(system.horizon):
        decision = controller.decide(state)
        someone = state.alive.any(axis=1)
        chosen = np.take_along_axis(state.alive, np.maximum(decision.server, 0), axis=1)
        assert chosen[someone].all()
        allowed = system.allowed_splits(state)
        assert np.take_along_axis(allowed, decision.split[..., None] - 1, axis=-1).all()
        state, _ = system.step(state, decision)
    assert (state.alive.sum(axis=1) == system.settings.uavs.count - 2).all()


def test_flat_policies_play_their_own_fleet_alone(flat):
    create_batch(flat, Robust(read_settings('robust:feasible', {'failures.fixed': 1})))
    with pytest.raises(ControllerError, match=r'other values of users\.count; train'):
        create_batch(flat, Robust(read_settings('robust:feasible', {'users.count': 4})))
    with pytest.raises(ControllerError, match='path_loss_exponent'):
        create_batch(flat, Robust(read_settings('robust')))


def test_flat_policies_say_what_their_arrays_say(flat):
    system = Robust(read_settings('robust:feasible'))
    controller = create_batch(flat, system)
    state = system.reset(np.arange(3))
    from sec_nodes.scenarios.robust.vector import observe

    seen = np.clip(observe(system, state), -10, 10)
    expected = np.tanh(seen @ flat_arrays()['n0_w0'])
    np.testing.assert_allclose(controller.action(state), expected, atol=1e-5)


@pytest.mark.parametrize('kind', ['user', 'flat'])
def test_nodes_decide_as_copies_do(kind, user, flat):
    path = {'user': user, 'flat': flat}[kind]
    system = Robust(read_settings('robust:feasible'))
    view, state = RobustView(system), system.reset(np.arange(4))
    decision, node = create_batch(path, system).decide(state), create(path, view)
    for copy, slot in enumerate(view.slot_states(state)):
        answer = node.decide(slot)
        np.testing.assert_array_equal(answer.server, decision.server[copy])
        np.testing.assert_array_equal(answer.split, decision.split[copy] - 1)


def test_other_kinds_are_refused(tmp_path):
    path = written(tmp_path, 'set', flat_arrays())
    with pytest.raises(ControllerError, match=r"kind = 'set' of policy; robust has flat, user"):
        create_batch(path, Robust(read_settings('robust:feasible')))


def test_a_missing_array_is_named(tmp_path):
    arrays = user_arrays()
    del arrays['crowding']
    path = written(tmp_path, 'user', arrays)
    with pytest.raises(ControllerError, match='crowding'):
        create_batch(path, Robust(read_settings('robust:feasible')))


def test_what_is_no_network_is_refused(tmp_path):
    path = tmp_path / 'sac_per.onnx'
    path.write_bytes(b'nothing')
    with pytest.raises(ControllerError, match='no network of a policy'):
        read_network(path)


def test_policies_that_ship_play_the_modes_that_they_were_trained_in():
    paths = shipped('sac_per')
    assert paths and 'sac_per' in batch_controller_names('robust')
    for path in paths:
        mode = path.parent.name
        settings = read_settings('robust' if mode == 'paper' else f'robust:{mode}')
        network = best_fit('sac_per', settings)
        assert network.path == path and network.differences(settings) == []
        assert path.with_suffix('.md').is_file()
        assert path.stat().st_size < 400_000
        system = Robust(settings)
        state = system.reset(np.arange(2))
        _, outcome = system.step(state, create_batch('sac_per', system).decide(state))
        assert outcome.completed.mean() > 0.5
    assert create('sac_per', RobustOffloading(read_settings('robust:feasible'))).plays == 'robust'
