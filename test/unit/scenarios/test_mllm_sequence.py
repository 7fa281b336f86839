"""How mllm goes on: what is drawn, queues and moves of `extended`, what decisions are refused."""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from mllm_cases import anything, build, copy_of, decide, plain
from scipy import stats

from sec_nodes.scenarios.mllm import MllmDecision


def slots(scenario, seeds, count):
    """States of a run in which nothing is decided."""
    state = scenario.reset(np.asarray(seeds))
    states = [state]
    for _ in range(count - 1):
        state, _ = scenario.step(state, decide(state, 0))
        states.append(state)
    return states


def test_what_requests_ask_for():
    scenario = build()
    states = slots(scenario, np.arange(400), 5)

    def drawn(name):
        return np.concatenate([getattr(state, name).ravel() for state in states])

    for name, low, high in (
        ('size_bit', 5e6, 1e7),
        ('deadline_s', 2.0, 3.0),
        ('accuracy', 0.3, 0.7),
    ):
        assert stats.kstest(drawn(name), 'uniform', args=(low, high - low)).pvalue > 1e-3
    levels, counts = np.unique(drawn('words'), return_counts=True)
    assert levels.tolist() == [16, 32, 64, 96]
    assert stats.chisquare(counts).pvalue > 1e-3
    table = np.array([drawn(name) for name in ('size_bit', 'words', 'deadline_s', 'accuracy')])
    assert np.abs(np.corrcoef(table)[np.triu_indices(4, 1)]).max() < 0.03
    assert drawn('fading_uav').mean() == pytest.approx(1.0, abs=0.01)
    assert drawn('fading_satellite').mean() == pytest.approx(2 * 0.126 + 0.835, abs=0.01)
    for name in ('fading_uav', 'size_bit'):
        series = np.array([getattr(state, name)[:, 0] for state in states]).reshape(5, -1)
        assert abs(np.corrcoef(series[0], series[1])[0, 1]) < 0.15


def test_devices_stay_where_they_are_and_are_everywhere():
    states = slots(build(), np.arange(500), 2)
    np.testing.assert_array_equal(states[0].device_m, states[1].device_m)
    for axis in (0, 1):
        places = states[0].device_m[..., axis].ravel()
        assert stats.kstest(places, 'uniform', args=(0, 500)).pvalue > 1e-3


def test_the_world_does_not_care_what_is_decided():
    scenario = build('mllm:extended')
    a = b = scenario.reset(np.array([7, 8]))
    rng = np.random.default_rng(0)
    for _ in range(4):
        a, _ = scenario.step(a, anything(scenario, a, rng))
        b, _ = scenario.step(b, anything(scenario, b, rng))
    for name in ('device_m', 'size_bit', 'words', 'deadline_s', 'accuracy', 'in_track_rad'):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.fading_uav, b.fading_uav)
    assert np.abs(a.uav_m - b.uav_m).max() > 1
    assert a.slot.tolist() == [4, 4]


def test_the_first_devices_of_many_are_those_of_few():
    few = slots(build(devices__count=4), [3], 3)[-1]
    many = slots(build(devices__count=25), [3], 3)[-1]
    for name in ('device_m', 'size_bit', 'words', 'accuracy', 'fading_uav', 'fading_satellite'):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:, :4])


def test_seeds_differ():
    state = build().reset(np.array([0, 1, 1 << 40]))
    for field in fields(state):
        array = getattr(state, field.name)
        if field.name in ('size_bit', 'device_m', 'in_track_rad', 'fading_uav'):
            assert not np.any(array[0] == array[1]), field.name
            assert not np.any(array[0] == array[2]), field.name


def test_requests_of_fig7_are_poisson():
    scenario = build('mllm:fig7')
    states = slots(scenario, np.arange(400), 5)
    active = np.array([state.active for state in states])
    asking = active.sum(axis=-1).ravel()
    assert asking.min() >= 1
    assert asking.max() <= 25
    expected = stats.poisson(12.5).pmf(np.arange(26))
    counts = np.bincount(asking, minlength=26)
    mid = slice(7, 20)
    assert (
        stats.chisquare(
            counts[mid], expected[mid] / expected[mid].sum() * counts[mid].sum()
        ).pvalue
        > 1e-3
    )
    # Every position asks equally often.
    each = active.sum(axis=(0, 1))
    assert stats.chisquare(each).pvalue > 1e-3


def test_tasks_wait_for_their_server():
    scenario = build('mllm:extended', devices__count=3)
    state = plain(scenario, words=np.array([[16.0, 64.0, 32.0]]))
    state.backlog_s[0, 0] = 1.0
    outcome = scenario.evaluate(state, decide(state, 0, [0.2, 1.0, 0.5]))
    arrival, work = outcome.upload_s[0], np.array([16, 64, 32]) * 0.05 / 1.88
    order = np.argsort(arrival)
    free = 1.0
    for task in order:
        start = max(arrival[task], free)
        assert outcome.wait_s[0, task] == pytest.approx(start - arrival[task])
        free = start + work[task]
    assert outcome.backlog_next_s[0] == pytest.approx([max(0, free - 3.0), 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(
        outcome.latency_s,
        outcome.upload_s + outcome.wait_s + outcome.compute_s + outcome.download_s,
    )
    # Waiting costs time, no energy.
    idle = scenario.evaluate(replace(state, backlog_s=np.zeros((1, 7))), decide(state, 0, 0.5))
    np.testing.assert_allclose(idle.compute_j, outcome.compute_j)


def test_a_task_that_would_wait_too_long_is_dropped():
    scenario = build('mllm:extended', devices__count=1)
    state = plain(scenario)
    arrival = scenario.evaluate(state, decide(state, 0)).upload_s[0, 0]
    for backlog, dropped in ((arrival + 5.999, False), (arrival + 6.001, True)):
        state.backlog_s[0, 0] = backlog
        outcome = scenario.evaluate(state, decide(state, 0))
        assert outcome.dropped[0, 0] == dropped
        assert outcome.wait_s[0, 0] == pytest.approx(backlog - arrival)
    # T := 2 Tmax, E := E_up, one hard violation; no work is added.
    assert outcome.latency_s[0, 0] == 6.0
    assert outcome.energy_j[0, 0] == outcome.upload_j[0, 0] > 0
    assert outcome.compute_j[0, 0] == outcome.download_s[0, 0] == 0
    assert outcome.task_penalty[0, 0] == pytest.approx(2 * 3.0 + 10)
    assert outcome.backlog_next_s[0, 0] == pytest.approx(arrival + 6.001 - 3)


def test_a_satellite_that_sets_while_a_task_waits_is_too_early():
    # Waiting 9 s with 5 s left breaks (4) even though the task is dropped.
    scenario = build('mllm:extended', devices__count=1)
    state = plain(scenario)
    remaining_s = scenario.orbit(state).remaining_s[0, 2]
    later = state.in_track_rad + (remaining_s - 5.0) * scenario.chain.rate_rad_s
    state = replace(state, in_track_rad=later)
    assert scenario.orbit(state).remaining_s[0, 2] == pytest.approx(5.0, abs=1e-6)
    assert not scenario.evaluate(state, decide(state, 5)).visibility_broken[0, 0]
    state.backlog_s[0, 5] = 9.0
    outcome = scenario.evaluate(state, decide(state, 5))
    assert outcome.dropped[0, 0]
    assert outcome.visibility_broken[0, 0]


def test_backlog_is_carried_and_worked_off():
    scenario = build('mllm:extended')
    state = scenario.reset(np.arange(4))
    following, outcome = scenario.step(state, decide(state, 6))
    np.testing.assert_array_equal(following.backlog_s, outcome.backlog_next_s)
    assert (following.backlog_s[:, 6] > 1).all()
    nobody = replace(following, active=np.zeros_like(following.active))
    nobody.active[:, 0] = True
    after, _ = scenario.step(nobody, decide(nobody, 0))
    np.testing.assert_allclose(
        after.backlog_s[:, 6], np.maximum(following.backlog_s[:, 6] - 3, 0), atol=1e-12
    )
    plainly = build()
    state = plainly.reset(np.arange(4))
    assert not plainly.step(state, decide(state, 6))[0].backlog_s.any()


def test_uavs_start_in_their_layout_and_keep_their_speed():
    scenario = build('mllm:extended')
    state = scenario.reset(np.arange(2))
    assert state.uav_m[1].tolist() == [[125, 125], [375, 125], [250, 375]]
    goal_m = np.tile([[125.0, 500.0], [400.0, 125.0], [250.0, 375.0]], (2, 1, 1))
    reached_m = scenario.reachable_m(state, goal_m)
    # 60 m a slot: north, all 25 m east, not at all.
    assert reached_m[0].tolist() == [[125, 185], [400, 125], [250, 375]]
    following, _ = scenario.step(state, decide(state, 0, uav_m=reached_m))
    np.testing.assert_array_equal(following.uav_m, reached_m)
    with pytest.raises(ValueError, match=r'moves a UAV by 375\.000 m'):
        scenario.step(state, decide(state, 0, uav_m=goal_m))
    free = build()
    np.testing.assert_array_equal(free.reachable_m(state, goal_m), goal_m)
    np.testing.assert_array_equal(free.reachable_m(state, goal_m + 1e4), 500.0)


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        ({'server': np.zeros((2, 9), dtype=int)}, r'server has shape \(2, 9\)'),
        ({'server': np.full((2, 10), 7)}, 'server holds 7 to 7'),
        ({'server': np.full((2, 10), -1)}, 'server holds -1 to -1'),
        ({'server': np.zeros((2, 10))}, 'server has type float64'),
        ({'power_w': np.ones((10,))}, 'power_w has shape'),
        ({'power_w': np.full((2, 10), np.nan)}, 'power_w must be finite'),
        ({'power_w': np.full((2, 10), np.inf)}, 'power_w must be finite'),
        ({'uav_m': np.zeros((2, 3))}, 'uav_m has shape'),
        ({'uav_m': np.full((2, 3, 2), 500.1)}, 'uav_m must lie inside the area'),
        ({'uav_m': np.full((2, 3, 2), np.nan)}, 'must not be NaN'),
    ],
)
def test_malformed_decisions_are_refused(change, complaint):
    scenario = build()
    state = scenario.reset(np.arange(2))
    decision = replace(decide(state, 0), **change)
    for call in (scenario.evaluate, scenario.step):
        with pytest.raises(ValueError, match=complaint):
            call(state, decision)


@pytest.mark.parametrize('seed', [np.array(3), np.array([-1]), np.array([1.5])])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match='seed'):
        build().reset(seed)


def test_masks_hold_accuracy_coverage_and_stay():
    scenario = build()
    state = scenario.reset(np.arange(100))
    mask = scenario.mask(state, state.uav_m)
    accuracy = [0.42, 0.52, 0.58, 0.68, 0.72, 0.74, 0.76]
    orbit = scenario.orbit(state)
    for copy in range(0, 100, 9):
        longest_s = state.deadline_s[copy].max()
        for k in range(10):
            for s in range(7):
                fine = accuracy[s] >= state.accuracy[copy, k]
                if s < 3:
                    way_m = state.device_m[copy, k] - state.uav_m[copy, s]
                    fine &= np.hypot(*way_m) <= 250
                else:
                    fine &= orbit.access_remaining_s[copy, s - 3] >= 2 * longest_s
                assert mask[copy, k, s] == fine
    assert mask.any(axis=-1).all()


def test_a_mask_promises_that_nothing_is_broken():
    scenario = build()
    state = scenario.reset(np.arange(200))
    mask = scenario.mask(state, state.uav_m)
    rng = np.random.default_rng(6)
    server = (rng.uniform(size=mask.shape) * mask).argmax(axis=-1)
    outcome = scenario.evaluate(state, decide(state, server))
    assert not outcome.accuracy_broken.any()
    assert not outcome.coverage_broken.any()
    assert not outcome.visibility_broken[outcome.latency_s < 4].any()


def test_repair_sends_what_is_inadmissible_to_the_best_satellite():
    scenario = build()
    state = scenario.reset(np.arange(50))
    decision = anything(scenario, state, np.random.default_rng(7))
    repaired = scenario.repair(state, decision)
    mask, gain = scenario.mask(state, decision.uav_m), scenario.gains(state, decision.uav_m)
    for copy in range(50):
        for k in range(10):
            wanted = decision.server[copy, k]
            choices = [n for n in range(3, 7) if mask[copy, k, n]]
            best = max(choices, key=lambda n: gain[copy, k, n])  # the first of equals
            expected = wanted if mask[copy, k, wanted] else best
            assert repaired.server[copy, k] == expected
    np.testing.assert_array_equal(repaired.power_w, decision.power_w)


def test_repair_without_a_way_out_changes_nothing():
    scenario = build(tasks__accuracy=[0.9, 0.9])
    state = scenario.reset(np.arange(2))
    decision = anything(scenario, state, np.random.default_rng(8))
    np.testing.assert_array_equal(scenario.repair(state, decision).server, decision.server)


def test_summary_counts():
    scenario = build('mllm:fig7')
    state = scenario.reset(np.arange(8))
    outcome = scenario.evaluate(state, anything(scenario, state, np.random.default_rng(9)))
    summary = scenario.summarise(state, outcome)
    copy = 5
    asks = state.active[copy]
    np.testing.assert_array_equal(summary.cost, outcome.penalised_cost)
    assert summary.tasks[copy] == asks.sum()
    assert summary.latency_s[copy] == pytest.approx(outcome.latency_s[copy, asks].mean())
    assert summary.energy_j[copy] == pytest.approx(outcome.energy_j[copy].sum())
    flags = np.array(
        [
            getattr(outcome, f'{name}_broken')[copy]
            for name in ('accuracy', 'coverage', 'visibility', 'power')
        ]
    )
    assert summary.violations[copy] == flags.sum()
    fine = asks & ~outcome.late[copy] & ~flags.any(axis=0)
    assert summary.completed[copy] == fine.sum()
    uavs = asks & (outcome.receiver[copy] < 3)
    assert summary.extra['uav_share'][copy] == pytest.approx(uavs.sum() / asks.sum())
    assert summary.extra['raw_cost'][copy] == outcome.cost[copy]


def test_an_episode_has_100_slots_and_states_are_small_batches():
    scenario = build()
    assert scenario.horizon == 100
    state = scenario.reset(np.arange(3))
    one = copy_of(state, slice(1, 2))
    decision = MllmDecision(np.full((1, 10), 3), np.full((1, 10), 0.5), one.uav_m)
    assert scenario.evaluate(one, decision).cost.shape == (1,)


def test_scenarios_travel_between_processes():
    scenario = build()
    state = scenario.reset(np.arange(2))
    scenario.evaluate(state, decide(state, 0))
    twin = pickle.loads(pickle.dumps(scenario))
    np.testing.assert_array_equal(twin.reset(np.arange(2)).size_bit, state.size_bit)
