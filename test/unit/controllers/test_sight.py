"""What is read from observations of mllm is what the environment then does."""

from __future__ import annotations

import numpy as np
import pytest

from sec_nodes.controllers.mllm.pairs import beside, scene
from sec_nodes.controllers.mllm.sight import Load, Seen, Sight, _ahead
from sec_nodes.environments.mllm import FLAGS, MllmVectorEnv
from sec_nodes.scenarios.mllm import Mllm, MllmDecision
from sec_nodes.scenarios.mllm.controls import Controls
from sec_nodes.scenarios.mllm.observation import Observer
from sec_nodes.scenarios.registry import read_settings

COPIES = 16


def slots(mode, count=3, overrides=None):
    """An environment with, slot after slot, an observation and the random action taken in it."""
    env = MllmVectorEnv(COPIES, mode, overrides)
    rng = np.random.default_rng(5)
    observation, _ = env.reset(seed=70)
    devices, length = env.scenario.n_devices, env.scenario.n_devices + 2 * env.scenario.n_uavs
    for _ in range(count):
        continuous = rng.uniform(-1, 1, (COPIES, length)).astype(np.float32)
        mask = with_all(env.masks(continuous))
        draw = np.where(mask, rng.random(mask.shape), -1)
        action = {'server': draw.argmax(-1), 'continuous': continuous}
        yield env, observation, action
        observation = env.step(action)[0]
    assert action['server'].shape == (COPIES, devices)


def with_all(mask):
    """A mask with all options for those who have none."""
    return mask | ~mask.any(axis=-1, keepdims=True)


def assert_mask_agrees(env, sight, observation, continuous):
    state = env.state
    decision = env.decode(
        state, {'server': np.zeros(state.words.shape, int), 'continuous': continuous}
    )
    seen = sight.mask(observation, continuous)
    apart = (seen != with_all(env.masks(continuous))) & state.active[..., None]
    assert seen.shape == apart.shape
    assert seen.any(axis=-1).all()
    way_m = state.device_m[:, :, None] - decision.uav_m[:, None]
    distance_m = np.linalg.norm(way_m, axis=-1)
    coverage_m = env.scenario.settings.uavs.coverage_m
    at_edge = (np.abs(distance_m - coverage_m) < 0.012).any(axis=-1)
    assert not (apart.any(axis=-1) & ~at_edge).any()
    return apart, seen[state.active]


@pytest.mark.parametrize('mode', ['paper', 'fig7', 'stress', 'extended'])
def test_masks_are_those_of_the_environment(mode):
    found = []
    for env, observation, action in slots(mode):
        sight = Sight(env.scenario.settings)
        found.append(assert_mask_agrees(env, sight, observation, action['continuous']))
    share = np.mean(np.concatenate([seen for _, seen in found]))
    assert 0.2 < share < 0.9
    assert np.concatenate([apart for apart, _ in found]).mean() < 1e-3


def test_within_a_centimetre_of_the_edge_devices_are_left_out():
    env, observation, action = next(slots('paper'))
    sight = Sight(env.scenario.settings)
    device = Observer(env.scenario).blocks['device']
    uav = env.decode(env.state, action).uav_m[:, 0]
    accuracy = Observer(env.scenario).blocks['accuracy']
    observation[:, accuracy] = 0.3  # every UAV is accurate enough
    for gap_m, allowed in ((0.02, True), (0.005, False), (-0.005, False)):
        place = uav + np.array([250 - gap_m, 0])
        observation[:, device][:, :2] = place / 500
        assert (sight.mask(observation, action['continuous'])[:, 0, 0] == allowed).all()


def test_whoever_has_no_option_gets_all():
    env, observation, action = next(slots('paper'))
    sight = Sight(env.scenario.settings)
    observation[:, Observer(env.scenario).blocks['accuracy']][:, 3] = 0.9
    mask = sight.mask(observation, action['continuous'])
    assert mask[:, 3].all()
    assert not mask[:, [0, 1, 2, 4]].all(axis=(1, 2)).any()


@pytest.mark.parametrize('count', [5, 25])
def test_the_number_of_devices_is_that_of_the_observation(count):
    """One reader, made for ten devices, reads any fleet."""
    sight = Sight(read_settings('mllm:extended'))
    for env, observation, action in slots('extended', 2, {'devices.count': count}):
        assert sight.devices_in(observation.shape[1]) == count
        assert sight.see(observation).size_bit.shape == (COPIES, count)
        assert_mask_agrees(env, sight, observation, action['continuous'])


@pytest.mark.parametrize('mode', ['paper', 'extended'])
def test_observations_of_another_length_are_refused(mode):
    settings = read_settings(f'mllm:{mode}')
    sight, length = Sight(settings), Observer(Mllm(settings)).length
    assert sight.devices_in(length) == 10
    for wrong in (length + 1, length - 1, 0, 14):
        with pytest.raises(ValueError, match=f'{wrong} numbers.*3 UAVs and 4 satellites.*another'):
            sight.devices_in(wrong)


def at_choice(pairs, server):
    """Numbers (B, K) of the servers chosen, of (B, K, S)."""
    return np.take_along_axis(pairs, server[..., None], axis=-1)[..., 0]


def weights(server, active, n_servers):
    """Choices as one-hot, 0 for who does not ask."""
    return ((server[..., None] == np.arange(n_servers)) & active[..., None]).astype(np.float32)


@pytest.mark.parametrize('mode', ['paper', 'fig7', 'stress'])
def test_estimates_are_what_slots_come_to(mode):
    """But for propagation, links between satellites and answers on their way down."""
    left_out_s, cost_off, n_late = [], [], 0
    for env, observation, action in slots(mode):
        scenario, state, server = env.scenario, env.state, action['server']
        sight = Sight(scenario.settings)
        outcome = scenario.evaluate(state, env.decode(state, action))
        broken = sum(getattr(outcome, flag).astype(int) for flag in FLAGS if flag != 'late')
        fair = state.active & (broken == 0)
        at = scene(sight, observation, action['continuous'])
        _, found = beside(sight, at, weights(server, state.active, scenario.n_servers))
        radio_s = at_choice(found.radio_s, server)
        np.testing.assert_allclose(radio_s[fair], outcome.radio_s[fair], rtol=2e-3)
        compute_s = at_choice(found.compute_s, server)
        np.testing.assert_allclose(compute_s[fair], outcome.compute_s[fair], rtol=1e-5)
        cost = (outcome.task_cost + outcome.task_penalty)[fair]
        left_out_s += [outcome.latency_s[fair] - at_choice(found.latency_s, server)[fair]]
        cost_off += [np.abs(at_choice(found.cost, server)[fair] * sight.cost_unit / cost - 1)]
        n_late += int(outcome.late[fair].sum())
        assert fair.sum() > 0.9 * state.active.sum()
    left_out_s, cost_off = np.concatenate(left_out_s), np.concatenate(cost_off)
    assert n_late > 20
    assert left_out_s.min() > -0.002 and left_out_s.max() < 0.06
    assert np.quantile(left_out_s, 0.85) < 0.03
    assert np.quantile(cost_off, 0.94) < 0.01
    assert cost_off.max() < 0.05


def test_ahead_of_whom_work_arrives():
    """Two servers; who arrives first at the one is last at the other."""
    arrival_s = np.array([[[0.3, 0.1], [0.1, 0.2], [0.2, 0.4]]])
    work_s = np.array([[[1.0, 4.0], [2.0, 8.0], [0.5, 16.0]]])
    expected = [[[2.5, 0.0], [0.0, 4.0], [2.0, 12.0]]]
    np.testing.assert_allclose(_ahead(arrival_s, work_s, np), expected)


def test_tolls_are_what_more_power_costs_the_others():
    """Against differences of the scenario's own costs, in float64."""
    settings = read_settings('mllm:stress')
    scenario, sight, goal = Mllm(settings), Sight(settings), settings.objective
    state = scenario.reset(np.arange(30, 36))
    rng = np.random.default_rng(1)
    shape = (6, scenario.n_devices + 2 * scenario.n_uavs)
    continuous = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    observation = Observer(scenario).observe(state)
    mask = sight.mask(observation, continuous)
    server = np.where(mask, rng.random(mask.shape), -1).argmax(-1)
    power_w, uav_m = Controls(settings).read(continuous, state.uav_m)
    at = scene(sight, observation, continuous)
    _, found = beside(sight, at, weights(server, state.active, scenario.n_servers))
    toll = at_choice(found.toll, server) * sight.cost_unit

    def time_costs(power_w):
        outcome = scenario.evaluate(state, MllmDecision(server, power_w, uav_m))
        late_s = np.maximum(outcome.latency_s - state.deadline_s, 0)
        cost = goal.latency_weight * outcome.latency_s + goal.lateness_penalty * late_s
        return cost / goal.latency_reference_s, outcome.task_cost + outcome.task_penalty

    # whose upload is cut off is not hurt by more
    radio_s = scenario.evaluate(state, MllmDecision(server, power_w, uav_m)).radio_s
    fair = radio_s.max(axis=1) < 0.99 * settings.radio.longest_upload_s
    assert fair.sum() >= 4
    for device in range(scenario.n_devices):
        change = np.zeros(scenario.n_devices)
        change[device] = 1e-4
        more, less = time_costs(power_w * (1 + change)), time_costs(power_w * (1 - change))
        others = np.arange(scenario.n_devices) != device
        slopes = [(a - b)[:, others].sum(axis=1) / 2e-4 for a, b in zip(more, less, strict=True)]
        np.testing.assert_allclose(toll[fair, device], slopes[0][fair], rtol=5e-3, atol=1e-4)
        # the energy of sending for longer, 1 W at 25 J, is left out
        np.testing.assert_allclose(toll[fair, device], slopes[1][fair], rtol=0.06, atol=1e-4)
    assert (toll > 0.01).mean() > 0.5


def queue_at_one_uav(sight):
    """Three devices at UAV 0 and one elsewhere; arrivals 0.1, 0.2, 0.5 and 0.3 s there.

    At an SNR of 1023, 10 MHz carry 100 Mbit/s.
    """
    work_s = np.array([1.0, 2.0, 1.5, 1.2])
    flat = np.zeros((1, 4, sight.s))
    backlog_s = np.zeros((1, sight.s))
    backlog_s[0, 0] = 0.4
    seen = Seen(
        size_bit=np.array([[1e7, 2e7, 5e7, 3e7]]),
        words=work_s[None] / sight.word_s[0],
        accuracy=np.full((1, 4), 0.3),
        deadline_s=np.array([[9.0, 3.0, 9.0, 9.0]]),
        snr_db=flat,
        device=np.zeros((1, 4, 2)),
        uav=np.zeros((1, sight.m, 2)),
        stays_s=np.full((1, sight.s), 1e6),
        same=np.eye(sight.s)[None],
        backlog_s=backlog_s,
    )
    weight = flat.copy()
    weight[0, :3, 0] = weight[0, 3, 1] = 1.0
    return seen, flat + 1023.0, weight


def test_waits_and_tolls_of_a_queue():
    """The second is 0.4 s late, so a second costs it 0.5 + 2; the others 0.5 each."""
    sight = Sight(read_settings('mllm:extended'))
    sight.residual = 0.0  # queue alone
    seen, snr, weight = queue_at_one_uav(sight)
    load = sight.load(seen, snr, weight)
    found = sight.estimate(seen, snr, np.ones_like(snr), weight, load)
    np.testing.assert_allclose(load.ahead_s[0, :, 0], [0.0, 1.0, 3.0, 3.0], rtol=1e-5)
    np.testing.assert_allclose(load.tasks[0, :, 0], [2, 2, 2, 3])
    np.testing.assert_allclose(load.work_s[0, :, 0], [3.5, 2.5, 3.0, 4.5], rtol=1e-5)
    np.testing.assert_allclose(found.radio_s[0, :, 0], [0.1, 0.2, 0.5, 0.3], rtol=1e-5)
    np.testing.assert_allclose(found.wait_s[0, :, 0], [0.3, 1.2, 2.9, 3.1], rtol=1e-5)
    np.testing.assert_allclose(found.latency_s[0, :, 0], [1.4, 3.4, 4.9, 4.6], rtol=1e-5)
    np.testing.assert_allclose(found.late_s[0, :3, 0], [0.0, 0.4, 0.0], atol=1e-5)
    # behind the first come 2.5 + 0.5, behind the second 0.5, behind the guest 0.5
    toll = np.array([1.0 * 3.0, 2.0 * 0.5, 0.0, 1.2 * 0.5])
    np.testing.assert_allclose(found.toll[0, :, 0] * sight.cost_unit, toll, atol=1e-4)
    energy_j = 1.0 * 0.1 + 25.0 * 1.0
    np.testing.assert_allclose(found.energy_j[0, 0, 0], energy_j, rtol=1e-5)
    cost = 0.5 * 1.4 + 0.5 / 25 * energy_j
    np.testing.assert_allclose(found.cost[0, 0, 0] * sight.cost_unit, cost, rtol=1e-5)


def test_waits_beyond_the_longest_one_are_violations():
    sight = Sight(read_settings('mllm:extended'))
    seen, snr, weight = queue_at_one_uav(sight)
    nothing = np.zeros_like(snr)
    cost = []
    for ahead_s in (5.0, 7.0):  # the first waits 0.1 s less, 0.4 s more
        radio_s = sight.radio_s(seen, snr, nothing)
        load = Load(radio_s, nothing, nothing + ahead_s, nothing, nothing)
        seen = seen._replace(deadline_s=np.full((1, 4), 90.0))
        cost.append(sight.estimate(seen, snr, nothing, weight, load).cost[0, 0, 0])
    expected = 0.5 * 2.0 + sight.settings.objective.violation_penalty
    np.testing.assert_allclose((cost[1] - cost[0]) * sight.cost_unit, expected, rtol=1e-5)


def test_without_a_satellite_in_view_none_may_be_chosen():
    settings = read_settings('mllm:stress')
    scenario, sight = Mllm(settings), Sight(settings)
    observer = Observer(scenario)
    observation = observer.observe(scenario.reset(np.arange(2)))
    observation[:, observer.blocks['visible']] = 0
    seen = sight.see(observation)
    assert not seen.stays_s[:, sight.m :].any()
    assert not sight.may(seen)[..., sight.m :].any()
    assert not seen.same[:, sight.m :, sight.m :].any()


def test_servers_behind_one_access_satellite_share_it():
    """All tasks for satellites that are not visible go through the same one."""
    settings = read_settings('mllm:stress')
    scenario, sight = Mllm(settings), Sight(settings)
    state = scenario.reset(np.arange(40))
    routes = scenario.orbit(state).access
    seen = sight.see(Observer(scenario).observe(state))
    expected = routes[:, :, None] == routes[:, None]
    np.testing.assert_array_equal(seen.same[:, sight.m :, sight.m :] > 0, expected)
    assert (expected.sum(axis=(1, 2)) > settings.satellites.count).any()


def test_powers_are_shares_of_full_power():
    settings = read_settings('mllm:stress')
    scenario, sight = Mllm(settings), Sight(settings)
    state = scenario.reset(np.arange(2))
    observation = Observer(scenario).observe(state)
    level = np.linspace(-1, 1, scenario.n_devices, dtype=np.float32)
    continuous = np.concatenate([np.tile(level, (2, 1)), np.zeros((2, 6), np.float32)], axis=1)
    power_w, _ = Controls(settings).read(continuous, state.uav_m)
    at = scene(sight, observation, continuous)
    np.testing.assert_allclose(at.power[..., 0] * settings.devices.power_w[1], power_w, rtol=1e-5)
