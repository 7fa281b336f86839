"""mllm as a problem is its environment: masks, rewards, figures, seeds and ends."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch')

import numpy as np  # noqa: E402

from sec_nodes.environments.mllm import FLAGS, MllmVectorEnv  # noqa: E402
from sec_nodes.learning.mllm import MllmProblem  # noqa: E402
from sec_nodes.learning.problem import Action  # noqa: E402
from sec_nodes.learning.problems import make_problem  # noqa: E402

MODES = ['paper', 'stress', 'extended', 'fig7', 'measured']
COPIES = 6


def random_action(problem, observation, generator):
    """Random numbers, and random options among the admissible."""
    shape = (len(observation), problem.shape.continuous)
    continuous = 2 * torch.rand(shape, generator=generator) - 1
    mask = problem.mask(observation, continuous)
    drawn = torch.rand(mask.shape, generator=generator)
    return Action(torch.where(mask, drawn, -1).argmax(-1), continuous)


@pytest.mark.parametrize('mode', MODES)
def test_masks_are_those_of_the_environment(mode):
    """But for a centimetre at the edge of coverage, and where nothing is admissible or asked."""
    problem = MllmProblem(mode, COPIES)
    generator = torch.Generator().manual_seed(0)
    environment = problem.environment
    settings = environment.scenario.settings
    observation = problem.reset(3)
    compared = 0
    for _ in range(25):
        action = random_action(problem, observation, generator)
        ours = problem.mask(observation, action.continuous).numpy()
        theirs = environment.masks(action.continuous.numpy())
        uav_m = environment.decode(
            environment.state,
            {'server': action.choice.numpy(), 'continuous': action.continuous.numpy()},
        ).uav_m
        way_m = environment.state.device_m[:, :, None] - uav_m[:, None]
        edge = np.abs(np.linalg.norm(way_m, axis=-1) - settings.uavs.coverage_m) < 0.02
        near = np.concatenate([edge, np.zeros_like(ours[..., edge.shape[-1] :])], axis=-1)
        asks = environment.state.active & theirs.any(-1)
        same = (ours == theirs) | near
        assert same[asks].all()
        assert ours.any(-1).all()
        compared += int((~near & asks[..., None]).sum())
        observation = problem.step(action).observation
    assert compared > 1000


@pytest.mark.parametrize('mode', ['stress', 'fig7'])
def test_a_turn_is_what_the_environment_says(mode):
    problem, environment = MllmProblem(mode, COPIES), MllmVectorEnv(COPIES, mode)
    generator = torch.Generator().manual_seed(1)
    observation = problem.reset(5)
    assert np.array_equal(observation.numpy(), environment.reset(seed=5)[0])
    for _ in range(5):
        action = random_action(problem, observation, generator)
        active = environment.state.active
        turn = problem.step(action)
        seen, reward, terminated, truncated, info = environment.step(
            {'server': action.choice.numpy(), 'continuous': action.continuous.numpy()}
        )
        observation = turn.observation
        assert np.array_equal(observation.numpy(), seen)
        assert turn.reward.dtype == torch.float32 and turn.reward.shape == active.shape
        assert not turn.reward.numpy()[~active].any()
        np.testing.assert_allclose(turn.reward.sum(-1), reward, rtol=1e-5)
        np.testing.assert_allclose(turn.figures['cost'], -reward, rtol=1e-5)
        assert np.array_equal(turn.figures['raw_cost'], info['cost'])
        assert np.array_equal(turn.figures['latency_s'], info['latency_s'])
        assert np.array_equal(turn.figures['energy_j'], info['energy_j'])
        broken = sum(info[name].sum(-1) for name in FLAGS if name not in ('late', 'unserved'))
        assert np.array_equal(turn.figures['violations'], broken)
        late_share = [row[asks].mean() for row, asks in zip(info['late'], active, strict=True)]
        np.testing.assert_allclose(turn.figures['late_share'], late_share, rtol=1e-6)
        assert not turn.terminated.any() and not terminated.any() and not truncated.any()


def test_all_copies_end_together_and_begin_anew():
    problem = make_problem('mllm:stress', 3, {'slots': 4, 'devices.count': 5})
    generator = torch.Generator().manual_seed(2)
    shape = problem.shape
    assert (shape.devices, shape.options, shape.continuous) == (5, 7, 11)
    assert shape.axis_bins == (5,) * 5 + (3,) * 6
    observation = problem.reset(0)
    over = []
    for _ in range(8):
        turn = problem.step(random_action(problem, observation, generator))
        over.append(turn.over)
        observation = problem.reset() if turn.over else turn.observation
    assert over == [False, False, False, True] * 2


def test_seeds_repeat_episodes_and_neighbours_share_copies():
    problem = MllmProblem('stress', 3)
    first, again, next_seed = problem.reset(8), problem.reset(8), problem.reset(9)
    assert torch.equal(first, again)
    assert torch.equal(first[1:], next_seed[:-1])
    assert not torch.equal(first[0], first[1])
