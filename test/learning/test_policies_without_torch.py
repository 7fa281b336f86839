"""What a learner finds best and what its policy decides without torch are the same."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from random_policies import flat_policy  # noqa: E402

from sec_nodes.controllers.base import create  # noqa: E402
from sec_nodes.controllers.batch import create_batch  # noqa: E402
from sec_nodes.controllers.learned import (  # noqa: E402
    FlatPolicy,
    read_policy,
    trained_on,
    write_policy,
)
from sec_nodes.controllers.mllm.sight import Sight  # noqa: E402
from sec_nodes.controllers.mllm.slot_sight import SlotSight  # noqa: E402
from sec_nodes.learning.mllm import MllmProblem  # noqa: E402
from sec_nodes.learning.registry import ALGORITHMS, learner_class, recipe  # noqa: E402
from sec_nodes.paths import config_dir  # noqa: E402
from sec_nodes.scenarios.mllm import Mllm  # noqa: E402
from sec_nodes.scenarios.mllm.view import MllmView  # noqa: E402
from sec_nodes.slot import DECLINED  # noqa: E402

PAIRS = [
    *((name, 'extended') for name in ALGORITHMS),
    *((name, mode) for name in ('ad_sac', 'ad_sac_flat') for mode in ('stress', 'fig7')),
]
TUNED = {path.stem for path in (config_dir() / 'controllers' / 'mllm').glob('*.yaml')}
WARM_UP = 64


def small(name, mode):
    """A learner of small networks that has seen a few slots, and its problem."""
    problem = MllmProblem(mode, 8, {'devices.count': 6} if mode != 'fig7' else None)
    hyper = recipe(name, 'mllm', mode=mode).hyper
    known = type(hyper).model_fields
    changes = {'warm_up': WARM_UP, 'rollout': WARM_UP, 'hidden': (32, 24), 'batch': 16}
    hyper = hyper.model_copy(update={key: changes[key] for key in changes if key in known})
    torch.manual_seed(3)
    learner = learner_class(name)(problem, hyper)
    observation = problem.reset(11)
    for _ in range(2 * WARM_UP // problem.copies + 2):
        action = learner.act(observation)
        turn = problem.step(action)
        learner.learn(observation, action, turn)
        observation = turn.observation
    return learner, problem


def exported(learner, mode, path):
    description, arrays = learner.policy_arrays()
    overrides = {'devices.count': 6} if mode != 'fig7' else None
    write_policy(path, description | trained_on(f'mllm:{mode}', overrides), arrays)
    return path


@pytest.mark.parametrize(('name', 'mode'), PAIRS)
def test_a_policy_decides_as_its_learner(name, mode, tmp_path):
    if name not in TUNED:
        pytest.skip(f'no hyper-parameters of {name}')
    learner, problem = small(name, mode)
    path = exported(learner, mode, tmp_path / f'{name}.npz')
    scenario = problem.environment.scenario
    controller = create_batch(str(path), scenario)
    policy, sight = read_policy(path).policy(scenario.settings), Sight(scenario.settings)
    problem.reset(500)
    differ = chosen = 0
    for _ in range(20):
        state = problem.environment.state
        observation = torch.from_numpy(problem.environment.observe(state))
        with torch.no_grad():
            best = learner.best(observation)
        seen = observation.numpy()
        server, continuous = policy.answer(seen, lambda c, seen=seen: sight.mask(seen, c))
        np.testing.assert_allclose(continuous, best.continuous.numpy(), atol=2e-4)
        differ += int((server != best.choice.numpy()).sum())
        chosen += server.size
        decision = controller.decide(state)
        np.testing.assert_array_equal(decision.server, server)
        problem.step(best)
    # scores that are equal but for rounding may be ranked either way
    assert differ <= 2e-3 * chosen


def test_a_node_decides_as_the_learner_with_hovering_uavs(tmp_path):
    """The same scores; servers are masked where UAVs are, goals and powers are the learner's."""
    learner, _ = small('ad_sac_flat', 'stress')
    path = exported(learner, 'stress', tmp_path / 'p.npz')
    scenario = Mllm(read_policy_settings(path))
    view = MllmView(scenario)
    node, sight = create(str(path), view), SlotSight(view)
    state = scenario.reset(np.arange(700, 720))
    for copy, slot in enumerate(view.slot_states(state)):
        observation = torch.from_numpy(sight.of_devices(slot, np.arange(slot.n_tasks)))
        allowed = view.admissible(slot)[None, :, :-1]
        mask = torch.from_numpy(allowed | ~allowed.any(axis=-1, keepdims=True))
        learner.problem.mask = lambda _o, _c, mask=mask: mask
        with torch.no_grad():
            best = learner.best(observation)
        answer = node.decide(slot)
        served = allowed[0].any(axis=1)
        np.testing.assert_array_equal(
            answer.server, np.where(served, best.choice[0].numpy(), DECLINED), err_msg=str(copy)
        )
        power = best.continuous[0, :6].numpy()
        np.testing.assert_allclose(answer.power_w, 0.01 + 0.99 * (power + 1) / 2, atol=1e-4)
        goal_m = (best.continuous[0, 6:].numpy().reshape(3, 2) + 1) * 250
        np.testing.assert_allclose(answer.uav_goal_m[:, :2], goal_m, atol=0.1)


def read_policy_settings(path):
    from sec_nodes.scenarios.mllm.settings import MllmSettings

    return MllmSettings.model_validate(read_policy(path).description['settings'])


@pytest.mark.parametrize('widths', [((256, 256, 256), (256, 256, 256)), ((64, 32), (48,))])
@pytest.mark.parametrize('batch', [1, 33])
def test_networks_say_what_torch_says(widths, batch):
    description, arrays = flat_policy(144, 10, 7, 16, widths=widths)
    observation = np.random.default_rng(5).normal(size=(batch, 144)).astype(np.float32)
    seen = torch.from_numpy(observation)
    std = torch.clamp(torch.from_numpy(arrays['obs_std']), min=1e-3)
    seen = torch.clamp((seen - torch.from_numpy(arrays['obs_mean'])) / std, -10, 10)
    said = []
    for number, hidden in enumerate(widths):
        h = seen
        for layer in range(len(hidden) + 1):
            weight = torch.from_numpy(arrays[f'n{number}_w{layer}'])
            h = h @ weight + torch.from_numpy(arrays[f'n{number}_b{layer}'])
            h = torch.relu(h) if layer < len(hidden) else h
        said.append(h)
    np.testing.assert_allclose(
        FlatPolicy(description, arrays).outputs(observation),
        torch.cat(said, dim=1).numpy(),
        rtol=1e-4,
        atol=1e-4,
    )
