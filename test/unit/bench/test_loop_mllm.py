"""The vectorised mllm scenario and the loop over entities of bench/ agree in every number."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sec_nodes.paths import share_dir
from sec_nodes.scenarios.mllm import Mllm, MllmDecision
from sec_nodes.scenarios.registry import read_settings

FOLDER = share_dir() / 'bench' / 'environments'
if not FOLDER.is_dir():
    pytest.skip('an installed copy has no bench', allow_module_level=True)
sys.path.insert(0, str(FOLDER))
from loop_mllm import Inputs, LoopMllm  # noqa: E402

NUMBERS = (
    'latency_s', 'energy_j', 'upload_s', 'compute_s', 'download_s', 'wait_s', 'task_cost',
    'backlog_next_s', 'cost', 'penalised_cost',
)  # fmt: skip
FLAGS = ('accuracy_broken', 'coverage_broken', 'power_broken', 'unserved', 'dropped', 'late')
COPIES = 12


def inputs_of(state, copy):
    """One copy of a state as lists."""
    return Inputs(
        device_m=[tuple(place) for place in state.device_m[copy]],
        size_bit=state.size_bit[copy].tolist(),
        words=state.words[copy].tolist(),
        deadline_s=state.deadline_s[copy].tolist(),
        accuracy=state.accuracy[copy].tolist(),
        fading_uav=state.fading_uav[copy].tolist(),
        fading_satellite=state.fading_satellite[copy].tolist(),
        in_track_rad=state.in_track_rad[copy].tolist(),
        uav_m=[tuple(place) for place in state.uav_m[copy]],
        backlog_s=state.backlog_s[copy].tolist(),
    )


def draw(scenario, state, rng):
    """Any decision, sound or not."""
    shape = state.size_bit.shape
    goal_m = rng.uniform(0, 500, state.uav_m.shape)
    return MllmDecision(
        server=rng.integers(0, scenario.n_servers, shape),
        power_w=rng.uniform(0.005, 1.1, shape),
        uav_m=scenario.reachable_m(state, goal_m),
    )


@pytest.mark.parametrize('mode', ['mllm', 'mllm:stress', 'mllm:extended', 'mllm:quoted'])
def test_every_number_of_every_task_is_the_same(mode):
    scenario, loop = Mllm(read_settings(mode)), LoopMllm(read_settings(mode))
    rng = np.random.default_rng(4)
    state = scenario.reset(np.arange(COPIES))
    seen = dict.fromkeys(FLAGS, 0)
    for _ in range(6):
        decision = draw(scenario, state, rng)
        if mode == 'mllm:extended':  # crowd the servers, so that queues fill and tasks are dropped
            decision.server[:6] %= 2
        following, outcome = scenario.step(state, decision)
        for copy in range(COPIES):
            found = loop.evaluate(
                inputs_of(state, copy),
                decision.server[copy].tolist(),
                decision.power_w[copy].tolist(),
                [tuple(place) for place in decision.uav_m[copy]],
            )
            kept = ~np.array(found['dropped'])  # a dropped task is computed by nobody
            for name in ('compute_s', 'download_s'):
                found[name] = np.where(kept, found[name], 0.0)
            for name in NUMBERS:
                np.testing.assert_allclose(
                    getattr(outcome, name)[copy], found[name], rtol=1e-9, atol=1e-12, err_msg=name
                )
            np.testing.assert_allclose(
                outcome.task_cost[copy] + outcome.task_penalty[copy],
                found['task_penalised'],
                rtol=1e-9,
            )
            for name in (*FLAGS, 'visibility_broken'):
                np.testing.assert_array_equal(getattr(outcome, name)[copy], found[name], name)
                seen[name] = seen.get(name, 0) + sum(found[name])
        state = following
    for name in ('accuracy_broken', 'coverage_broken', 'power_broken', 'late'):
        assert seen[name] > 0, f'{name} was not put to the test'
    assert (seen['dropped'] > 0) == (mode == 'mllm:extended')


def test_masks_agree():
    scenario, loop = Mllm(read_settings('mllm')), LoopMllm(read_settings('mllm'))
    state = scenario.reset(np.arange(40))
    mask = scenario.mask(state, state.uav_m)
    for copy in range(40):
        loop.inputs = inputs_of(state, copy)
        np.testing.assert_array_equal(mask[copy], loop.info(None)['action_mask'])
    assert 0.1 < mask.mean() < 0.9
