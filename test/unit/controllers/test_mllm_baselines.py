"""Baselines of mllm: what they choose, that they keep to masks, and how they compare."""

from dataclasses import replace

import numpy as np
import pytest

from sec_nodes.controllers.batch import batch_controller_names, create_batch
from sec_nodes.controllers.mllm.baselines import gathering_m, repeated, without_neighbours
from sec_nodes.scenarios.mllm import Mllm, MllmDecision
from sec_nodes.scenarios.registry import read_settings

NAMES = (
    'random',
    'masked_random',
    'nearest_uav',
    'all_satellite',
    'greedy',
    'least_loaded',
    'myopic',
)
MODES = ('mllm', 'mllm:fig7', 'mllm:stress', 'mllm:extended', 'mllm:literal', 'mllm:quoted')
SCENARIOS = {mode: Mllm(read_settings(mode)) for mode in MODES}


def run(scenario, name, seeds, slots=2):
    """Decide and step; yields state, decision and outcome of every slot."""
    controller = create_batch(name, scenario, seed=1)
    state = scenario.reset(np.asarray(seeds))
    for _ in range(slots):
        decision = controller.decide(state)
        following, outcome = scenario.step(state, decision)
        yield state, decision, outcome
        state = following


def mean_cost(scenario, name, seeds, slots=2):
    """Mean penalised cost of a run."""
    return np.mean([out.penalised_cost.mean() for *_, out in run(scenario, name, seeds, slots)])


def test_all_are_known():
    assert set(NAMES) <= set(batch_controller_names('mllm'))


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('name', NAMES)
def test_masks_are_respected_and_powers_in_range(name, mode):
    scenario = SCENARIOS[mode]
    low_w, high_w = scenario.settings.devices.power_w
    for state, decision, outcome in run(scenario, name, np.arange(3)):
        assert (decision.power_w >= low_w * (1 - 1e-9)).all()
        assert not outcome.power_broken.any()
        if name != 'random':
            allowed = scenario.mask(state, decision.uav_m)
            chosen = np.take_along_axis(allowed, decision.server[..., None], axis=-1)[..., 0]
            assert chosen[state.active].all()
        assert (decision.power_w <= high_w * (1 + 1e-9)).all()


@pytest.mark.parametrize('name', NAMES)
def test_a_batch_is_its_copies_one_by_one(name):
    scenario = SCENARIOS['mllm:extended']
    together = list(run(scenario, name, [5, 6, 5]))
    for copy, seed in enumerate([5, 6, 5]):
        for (_, batch, _), (_, alone, _) in zip(
            together, run(scenario, name, [seed]), strict=True
        ):
            np.testing.assert_array_equal(alone.server[0], batch.server[copy])
            np.testing.assert_allclose(alone.power_w[0], batch.power_w[copy])
            np.testing.assert_allclose(alone.uav_m[0], batch.uav_m[copy])


def test_random_is_reproducible_and_uniform():
    scenario = SCENARIOS['mllm']
    state = scenario.reset(np.arange(500))
    decision = create_batch('random', scenario, 4).decide(state)
    again = create_batch('random', scenario, 4).decide(state)
    other = create_batch('random', scenario, 5).decide(state)
    np.testing.assert_array_equal(decision.server, again.server)
    assert (decision.server != other.server).mean() > 0.5
    share = np.bincount(decision.server.ravel(), minlength=7) / decision.server.size
    np.testing.assert_allclose(share, 1 / 7, atol=0.02)
    assert decision.uav_m.mean() == pytest.approx(250, abs=10)


def test_masked_random_uses_every_admissible_server_alike():
    scenario = SCENARIOS['mllm']
    controller = create_batch('masked_random', scenario)
    allowed = np.array([[[True, False, True, False, True, False, False]]])
    scenario_mask = scenario.mask
    scenario.mask = lambda state, uav_m: np.repeat(allowed, len(state.seed), axis=0)
    try:
        level = (np.arange(300)[:, None] + 0.5) / 300
        state = scenario.reset(np.arange(300))
        chosen = controller.choose(state, state.uav_m, level)
    finally:
        scenario.mask = scenario_mask
    assert np.unique(chosen, return_counts=True)[1].tolist() == [100, 100, 100]
    assert np.unique(chosen).tolist() == [0, 2, 4]


def test_nearest_uav_is_the_nearest_admissible():
    scenario = SCENARIOS['mllm']
    for state, decision, _ in run(scenario, 'nearest_uav', np.arange(20), 1):
        allowed = scenario.mask(state, decision.uav_m)
        for copy in range(20):
            for k in range(10):
                uavs = [m for m in range(3) if allowed[copy, k, m]]
                if not uavs:
                    assert decision.server[copy, k] >= 3
                    continue
                way = decision.uav_m[copy, uavs] - state.device_m[copy, k]
                assert decision.server[copy, k] == uavs[np.hypot(*way.T).argmin()]


def test_all_satellite_uses_no_uav():
    for _, decision, outcome in run(SCENARIOS['mllm'], 'all_satellite', np.arange(20), 1):
        assert (decision.server >= 3).all()
        assert not outcome.visibility_broken.any()


def test_greedy_is_the_cheapest_choice_of_each_device_alone():
    scenario = Mllm(read_settings('mllm', {'devices.count': 3}))
    alone = without_neighbours(scenario)
    for state, decision, _ in run(scenario, 'greedy', [1, 2], 1):
        chosen = alone.evaluate(state, decision)
        allowed = scenario.mask(state, decision.uav_m)
        for server in range(7):
            for power_w in np.geomspace(0.01, 1.0, 6):
                trial = MllmDecision(
                    np.full((2, 3), server), np.full((2, 3), power_w), decision.uav_m
                )
                cost = alone.evaluate(state, trial)
                worse = cost.task_cost + cost.task_penalty
                best = chosen.task_cost + chosen.task_penalty
                assert (worse >= best - 1e-9)[allowed[..., server]].all()


def test_least_loaded_fills_the_server_that_is_done_first():
    scenario = SCENARIOS['mllm:extended']
    for state, decision, _ in run(scenario, 'least_loaded', np.arange(8), 3):
        allowed = scenario.mask(state, decision.uav_m)
        for copy in range(8):
            done = state.backlog_s[copy].copy()
            for k in sorted(range(10), key=lambda k: -state.words[copy, k]):
                after = done + state.words[copy, k] * scenario.costs.seconds_per_word
                after[~allowed[copy, k]] = np.inf
                assert decision.server[copy, k] == after.argmin()
                done[after.argmin()] = after.min()


def test_no_single_move_improves_on_myopic():
    scenario = Mllm(read_settings('mllm:stress', {'devices.count': 4}))
    for state, decision, outcome in run(scenario, 'myopic', np.arange(6), 1):
        allowed = scenario.mask(state, decision.uav_m)
        for k in range(4):
            for server in range(7):
                moved = decision.server.copy()
                moved[:, k] = server
                trial = MllmDecision(moved, decision.power_w, decision.uav_m)
                cost = scenario.evaluate(state, trial).penalised_cost
                assert (cost >= outcome.penalised_cost - 1e-9)[allowed[:, k, server]].all()


def test_thinking_pays():
    seeds = np.arange(24)
    paper = {name: mean_cost(SCENARIOS['mllm'], name, seeds) for name in NAMES}
    assert paper['random'] > paper['masked_random'] > paper['all_satellite'] > paper['greedy']
    assert paper['greedy'] >= paper['myopic']
    stress = {name: mean_cost(SCENARIOS['mllm:stress'], name, seeds) for name in NAMES}
    assert stress['greedy'] > 1.5 * stress['myopic']
    extended = {name: mean_cost(SCENARIOS['mllm:extended'], name, seeds, 6) for name in NAMES}
    assert extended['myopic'] < extended['least_loaded'] < extended['greedy']


def test_uavs_gather_in_the_middle_of_devices_they_can_serve():
    scenario = Mllm(read_settings('mllm', {'devices.count': 3}))
    state = scenario.reset(np.array([0]))
    state.accuracy[:] = [[0.3, 0.3, 0.7]]
    device_m = np.array([[[100.0, 100.0], [140.0, 120.0], [400.0, 100.0]]])
    uav_m = gathering_m(scenario, replace(state, device_m=device_m))
    # The third device needs a satellite: UAV 1, nearest to it, stays; so does UAV 2.
    np.testing.assert_allclose(uav_m[0], [[120, 110], [375, 125], [250, 375]])


def test_repeated_states_are_read_only_copies():
    scenario = SCENARIOS['mllm']
    state = scenario.reset(np.array([3, 4]))
    twice = repeated(state, 2)
    assert twice.seed.tolist() == [3, 3, 4, 4]
    np.testing.assert_array_equal(twice.fading_uav[1], state.fading_uav[0])
    assert not twice.in_track_rad.flags.writeable
