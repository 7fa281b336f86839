"""Slots of mllm: eqs (12) to (31) and (34) by hand, flags, limits, invariances."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from mllm_cases import anything, build, copy_of, decide, plain

from sec_nodes.controllers.batch import create_batch

C = 299_792_458.0
NOISE_W = 1e-13
NEAR = 1e-5 / 50**2
ALONE = {'devices__count': 1}
IN_PLANE = {'satellites__cross_track_deg': [0.0, 0.0, 0.0, 0.0]}


def lone(server, power_w=1.0, mode='mllm', overrides=None, **changes):
    """One device alone, and the scenario and state of it."""
    scenario = build(mode, **ALONE, **IN_PLANE, **(overrides or {}))
    state = plain(scenario)
    state = replace(state, **{name: np.array([value]) for name, value in changes.items()})
    return scenario.evaluate(state, decide(state, server, power_w)), scenario, state


def test_a_task_on_a_uav():
    outcome, _, _ = lone(0, 0.5)
    rate = 1e7 * math.log2(1 + NEAR * 0.5 / NOISE_W)
    others = 2 * (1e-5 / (300**2 + 50**2) + 1e-5 / (300**2 + 60**2))
    back = 1e7 * math.log2(1 + 2 * NEAR / (others + NOISE_W))
    upload_s, compute_s, download_s = 8e6 / rate, 64 * 0.05e12 / 1.88e12, 48 * 64 / back
    assert outcome.upload_s[0, 0] == pytest.approx(upload_s)  # (12)
    assert outcome.upload_j[0, 0] == pytest.approx(0.5 * upload_s)  # (13)
    assert outcome.compute_s[0, 0] == pytest.approx(compute_s)  # (14): 1.702 s
    assert compute_s == pytest.approx(1.70213, abs=1e-5)
    assert outcome.compute_j[0, 0] == pytest.approx(42.553, abs=1e-3)  # (15): 25 W
    assert outcome.download_s[0, 0] == pytest.approx(download_s)  # (16)
    assert outcome.download_j[0, 0] == pytest.approx(2 * download_s)  # (17)
    latency_s = upload_s + compute_s + download_s  # (18)
    energy_j = 0.5 * upload_s + 25 * compute_s + 2 * download_s  # (19)
    assert outcome.latency_s[0, 0] == pytest.approx(latency_s)
    assert outcome.energy_j[0, 0] == pytest.approx(energy_j)
    assert outcome.cost[0] == pytest.approx(0.5 * latency_s + 0.5 * energy_j)  # (31)
    assert outcome.reward[0] == pytest.approx(20 / outcome.cost[0])  # (34)
    assert outcome.penalised_cost[0] == outcome.cost[0]
    assert not any(getattr(outcome, name).any() for name in FLAGS)


FLAGS = (
    'accuracy_broken',
    'coverage_broken',
    'visibility_broken',
    'power_broken',
    'late',
    'dropped',
    'unserved',
)


def zenith_rate(power_w):
    gain = 10**2.47 * (C / (4 * math.pi * 5e5 * 2e9)) ** 2
    return 2e7 * math.log2(1 + gain * power_w / NOISE_W)


def test_a_task_on_a_visible_satellite():
    outcome, _, _ = lone(4)
    upload_s = 8e6 / zenith_rate(1) + 5e5 / C
    assert outcome.upload_s[0, 0] == pytest.approx(upload_s)  # (20)
    assert outcome.upload_j[0, 0] == pytest.approx(upload_s)  # (22): 1 W, propagation too
    assert outcome.compute_s[0, 0] == pytest.approx(1.92192, abs=1e-5)  # (23)
    assert outcome.compute_j[0, 0] == pytest.approx(96.096, abs=1e-3)  # (24)
    download_s = 48 * 64 / zenith_rate(4) + 5e5 / C
    assert outcome.download_s[0, 0] == pytest.approx(download_s)  # (25)
    assert outcome.download_j[0, 0] == pytest.approx(4 * download_s)  # (26)
    assert outcome.latency_s[0, 0] == pytest.approx(upload_s + 1.921922 + download_s)  # (27)
    assert outcome.energy_j[0, 0] == pytest.approx(upload_s + 96.096096 + 4 * download_s)  # (28)
    assert (outcome.hops[0, 0], outcome.access[0, 0], outcome.receiver[0, 0]) == (0, 1, 4)


def test_a_task_on_a_hidden_satellite_pays_for_the_links_between():
    outcome, _, _ = lone(6)
    isl_s = 2 * 2 * 6_871e3 * math.sin(math.radians(3.75)) / C
    up_s, down_s = isl_s + 2 * 8e6 / 1e9, isl_s + 2 * 48 * 64 / 1e9
    direct, _, _ = lone(4)
    assert outcome.hops[0, 0] == 2
    assert outcome.upload_s[0, 0] == pytest.approx(direct.upload_s[0, 0] + up_s)  # (20), (21)
    assert outcome.upload_j[0, 0] == pytest.approx(direct.upload_j[0, 0] + up_s)  # P_ISL = 1 W
    assert outcome.download_s[0, 0] == pytest.approx(direct.download_s[0, 0] + down_s)
    assert outcome.download_j[0, 0] == pytest.approx(direct.download_j[0, 0] + down_s)
    assert outcome.compute_s[0, 0] == direct.compute_s[0, 0]


def test_costs_are_means_over_the_tasks_and_rewards_their_inverse():
    scenario = build('mllm:stress', devices__count=3)
    state = plain(scenario)
    outcome = scenario.evaluate(state, decide(state, [0, 1, 4]))
    costs = [
        0.5 * latency + 0.5 * energy / 25
        for latency, energy in zip(outcome.latency_s[0], outcome.energy_j[0], strict=True)
    ]
    np.testing.assert_allclose(outcome.task_cost[0], costs)
    assert outcome.cost[0] == pytest.approx(sum(costs) / 3)
    # (34): r = K beta_r / sum of the costs, beta_r = 2.
    assert outcome.reward[0] == pytest.approx(3 * 2 / sum(costs))


def test_lateness_costs_by_the_second():
    outcome, _, _ = lone(0, deadline_s=[1.5])
    late_s = outcome.latency_s[0, 0] - 1.5
    assert outcome.late[0, 0]
    assert outcome.task_penalty[0, 0] == pytest.approx(10 * late_s)
    assert outcome.penalised_cost[0] == pytest.approx(outcome.cost[0] + 10 * late_s)
    assert outcome.training_reward[0] == pytest.approx(20 / outcome.penalised_cost[0])


@pytest.mark.parametrize(
    ('server', 'changes', 'flag'),
    [
        (0, {'accuracy': [0.43]}, 'accuracy_broken'),
        (1, {}, 'coverage_broken'),  # 300 m away
        (2, {}, 'coverage_broken'),
    ],
)
def test_broken_constraints_cost_the_same_each(server, changes, flag):
    outcome, _, _ = lone(server, **changes)
    assert getattr(outcome, flag)[0, 0]
    assert outcome.task_penalty[0, 0] == pytest.approx(100)


def test_accuracy_and_coverage_may_be_met_exactly():
    exact, _, _ = lone(0, accuracy=[0.42])
    assert not exact.accuracy_broken[0, 0]
    scenario = build(**ALONE)
    state = plain(scenario)
    for distance_m, broken in ((250.0, False), (250.001, True)):
        uav_m = state.uav_m.copy()
        uav_m[0, 0] = [100.0 + distance_m, 100.0]
        outcome = scenario.evaluate(state, decide(state, 0, uav_m=uav_m))
        assert outcome.coverage_broken[0, 0] == broken


def test_coverage_is_that_of_the_positions_after_the_move():
    scenario = build(**ALONE)
    state = plain(scenario)
    near = state.uav_m.copy()
    near[0, 1] = state.device_m[0, 0]
    assert scenario.evaluate(state, decide(state, 1)).coverage_broken[0, 0]
    assert not scenario.evaluate(state, decide(state, 1, uav_m=near)).coverage_broken[0, 0]
    assert not scenario.mask(state, state.uav_m)[0, 0, 1]
    assert scenario.mask(state, near)[0, 0, 1]


def test_power_outside_its_range_is_a_violation():
    for power_w, broken in ((-0.1, True), (0.0, False), (1.0, False), (1.001, True)):
        outcome, _, _ = lone(0, power_w)
        assert outcome.power_broken[0, 0] == broken, power_w
    # Negative power radiates nothing; too much power is radiated.
    assert lone(0, -0.1)[0].sinr[0, 0] == 0
    assert lone(0, 2.0)[0].sinr[0, 0] == pytest.approx(2 * NEAR / NOISE_W)


def test_without_power_the_upload_is_given_up():
    outcome, _, _ = lone(0, 0.0)
    assert outcome.rate_bit_s[0, 0] == 0
    assert outcome.radio_s[0, 0] == 30
    assert outcome.upload_j[0, 0] == 0
    assert outcome.late[0, 0]
    assert np.isfinite(outcome.penalised_cost[0])


def test_a_satellite_must_stay_until_the_task_is_done():
    # 0.8 s before it sets at 14.056 degrees; the others are far behind.
    scenario = build(**ALONE, **IN_PLANE)
    state = plain(scenario)
    set_rad = 442.636 / 2 * 1.108508e-3
    spacing = np.radians(7.5)
    setting = set_rad - 0.8 * 1.108508e-3
    angles = setting - spacing * np.array([[3.0, 2.0, 1.0, 0.0]])
    state = replace(state, in_track_rad=angles)
    assert scenario.orbit(state).remaining_s[0, 3] == pytest.approx(0.8, abs=2e-3)
    assert scenario.evaluate(state, decide(state, 6)).visibility_broken[0, 0]
    assert not scenario.evaluate(state, decide(state, 4)).visibility_broken[0, 0]
    assert scenario.mask(state, state.uav_m)[0, 0].tolist() == [1, 0, 0, 1, 1, 1, 0]


def far_below(state):
    """All satellites below the horizon."""
    angles = np.radians(60 + 7.5 * np.arange(4.0))
    return replace(state, in_track_rad=np.tile(angles, (len(state.seed), 1)))


def test_without_a_satellite_in_view_a_task_is_unserved():
    scenario = build(devices__count=2)
    state = far_below(plain(scenario))
    outcome = scenario.evaluate(state, decide(state, [5, 0]))
    assert outcome.unserved.tolist() == [[True, False]]
    assert outcome.visibility_broken.tolist() == [[True, False]]
    # T := 2 Tmax, E := 0.
    assert outcome.latency_s[0, 0] == 6
    assert outcome.energy_j[0, 0] == 0
    assert outcome.task_penalty[0, 0] == pytest.approx(10 * 3 + 100)
    assert (outcome.receiver[0, 0], outcome.access[0, 0], outcome.hops[0, 0]) == (-1, -1, 0)
    # It sends nothing, so it disturbs nobody.
    assert outcome.sinr[0, 1] == pytest.approx(NEAR / NOISE_W)
    assert not scenario.mask(state, state.uav_m)[..., 3:].any()
    assert not scenario.gains(state, state.uav_m)[..., 3:].any()


def test_devices_that_do_not_ask_count_for_nothing():
    scenario = build(devices__count=3)
    state = plain(scenario)
    some = replace(state, active=np.array([[True, False, True]]))
    decision = decide(state, [0, 0, 4])
    outcome = scenario.evaluate(some, decision)
    alone = scenario.evaluate(
        copy_devices(some, [0, 2]), decide(copy_devices(some, [0, 2]), [0, 4])
    )
    assert outcome.cost[0] == pytest.approx(alone.cost[0])
    for field in fields(outcome):
        array = getattr(outcome, field.name)
        if array.shape == (1, 3):
            assert array[0, 1] == (-1 if field.name in ('receiver', 'access') else 0), field.name


def copy_devices(state, order):
    names = ('device_m', 'size_bit', 'words', 'deadline_s', 'accuracy', 'active')
    names = (*names, 'fading_uav', 'fading_satellite')
    return replace(state, **{name: getattr(state, name)[:, order] for name in names})


MODES = ('mllm', 'mllm:fig7', 'mllm:stress', 'mllm:extended', 'mllm:literal', 'mllm:quoted')


@pytest.mark.parametrize('mode', MODES)
def test_the_order_of_devices_does_not_matter(mode):
    scenario = build(mode, **({} if mode == 'mllm:fig7' else {'devices__count': 8}))
    rng = np.random.default_rng(1)
    state = scenario.reset(np.arange(5))
    decision = anything(scenario, state, rng)
    order = rng.permutation(scenario.n_devices)
    shuffled = replace(
        decision, server=decision.server[:, order], power_w=decision.power_w[:, order]
    )
    outcome = scenario.evaluate(state, decision)
    again = scenario.evaluate(copy_devices(state, order), shuffled)
    np.testing.assert_allclose(again.latency_s, outcome.latency_s[:, order], rtol=1e-12)
    np.testing.assert_allclose(again.penalised_cost, outcome.penalised_cost, rtol=1e-12)
    np.testing.assert_allclose(again.backlog_next_s, outcome.backlog_next_s, atol=1e-12)


def test_equal_uavs_may_change_places():
    scenario = build(uavs__altitude_m=[50.0] * 3, uavs__accuracy=[0.5] * 3)
    state = scenario.reset(np.arange(6))
    decision = anything(scenario, state, np.random.default_rng(2))
    order = np.array([2, 0, 1])
    renamed = replace(
        decision,
        server=np.where(
            decision.server < 3, np.argsort(order)[np.minimum(decision.server, 2)], decision.server
        ),
        uav_m=decision.uav_m[:, order],
    )
    moved = replace(state, fading_uav=state.fading_uav[..., order], uav_m=state.uav_m[:, order])
    np.testing.assert_allclose(
        scenario.evaluate(moved, renamed).penalised_cost,
        scenario.evaluate(state, decision).penalised_cost,
        rtol=1e-12,
    )


@pytest.mark.parametrize('mode', MODES)
def test_a_batch_is_its_copies_one_by_one(mode):
    scenario = build(mode)
    rng = np.random.default_rng(3)
    state = scenario.reset(np.array([4, 9, 4, 100]))
    for _ in range(3):
        decision = anything(scenario, state, rng)
        following, outcome = scenario.step(state, decision)
        for copy in range(4):
            index = slice(copy, copy + 1)
            after, single = scenario.step(copy_of(state, index), copy_of(decision, index))
            for field in fields(single):
                np.testing.assert_allclose(
                    getattr(single, field.name),
                    getattr(outcome, field.name)[index],
                    rtol=1e-12,
                    err_msg=field.name,
                )
            for field in fields(after):
                np.testing.assert_array_equal(
                    getattr(after, field.name), getattr(following, field.name)[index]
                )
        state = following


@pytest.mark.parametrize('mode', MODES)
def test_float32_is_float64_rounded(mode):
    double, single = build(mode), build(mode, np.float32)
    a, b = double.reset(np.arange(40)), single.reset(np.arange(40))
    rng = np.random.default_rng(4)
    for _ in range(3):
        decision = anything(double, a, rng)
        a, fine = double.step(a, decision)
        b, rough = single.step(b, decision)
        for field in fields(rough):
            array = getattr(rough, field.name)
            if array.dtype.kind == 'f':
                assert array.dtype == np.float32, field.name
        np.testing.assert_array_equal(rough.receiver, fine.receiver)
        same = (rough.dropped == fine.dropped).all(axis=-1)
        assert same.mean() > 0.9  # a wait at the limit may round to either side
        np.testing.assert_allclose(rough.cost[same], fine.cost[same], rtol=2e-4)
        b = replace(b, backlog_s=a.backlog_s.astype(np.float32))


def test_a_decision_is_looked_at_and_left_alone():
    scenario = build()
    state = scenario.reset(np.arange(3))
    decision = anything(scenario, state, np.random.default_rng(5))
    before = copy_of(decision, slice(None))
    saved = {f.name: getattr(state, f.name).copy() for f in fields(state)}
    server, uav_m = decision.server.copy(), decision.uav_m.copy()
    scenario.step(state, decision)
    np.testing.assert_array_equal(decision.server, server)
    np.testing.assert_array_equal(decision.uav_m, uav_m)
    assert decision.uav_m.flags.writeable == before.uav_m.flags.writeable
    for name, array in saved.items():
        np.testing.assert_array_equal(getattr(state, name), array)


@examples(max_examples=50, deadline=None)
@given(st.floats(0.01, 0.98), st.integers(0, 6), st.floats(1e5, 2e7))
def test_alone_more_power_is_faster(power_w, server, size_bit):
    patient = {'radio__longest_upload_s': 1e9}
    slow, _, _ = lone(server, power_w, overrides=patient, size_bit=[size_bit])
    fast, _, _ = lone(server, power_w + 0.02, overrides=patient, size_bit=[size_bit])
    assert fast.latency_s[0, 0] < slow.latency_s[0, 0]
    # u / R falls more slowly than P rises: P u / log(1 + c P) increases in P.
    assert fast.upload_j[0, 0] > slow.upload_j[0, 0]


@examples(max_examples=50, deadline=None)
@given(st.floats(1e5, 1e7), st.floats(1e4, 1e7), st.integers(0, 6))
def test_more_to_send_costs_more(size_bit, more_bit, server):
    less, _, _ = lone(server, size_bit=[size_bit])
    more, _, _ = lone(server, size_bit=[size_bit + more_bit])
    assert more.cost[0] > less.cost[0]


@examples(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 9))
def test_who_else_sends_never_makes_an_upload_faster(seed, device):
    scenario = STRESS
    state = scenario.reset(np.array([seed]))
    decision = anything(scenario, state, np.random.default_rng(seed))
    mute = decision.power_w.copy()
    mute[0, device] = 0
    quiet = scenario.evaluate(state, replace(decision, power_w=mute))
    outcome = scenario.evaluate(state, decision)
    others = np.arange(10) != device
    assert (outcome.radio_s[0, others] >= quiet.radio_s[0, others] - 1e-12).all()


STRESS = build('mllm:stress')


def test_energy_is_that_of_computing():
    for accuracy, per_word in ((0.3, 25 * 0.05 / 1.88), (0.7, 50 * 0.1 / 3.33)):
        scenario = build(tasks__accuracy=[accuracy, accuracy])
        state = scenario.reset(np.arange(60))
        decision = create_batch('greedy', scenario).decide(state)
        if accuracy == 0.3:
            decision = replace(decision, server=np.minimum(decision.server, 2))
        outcome = scenario.evaluate(state, decision)
        expected_j = 10 * per_word * state.words.mean()
        assert outcome.energy_j.sum(axis=-1).mean() == pytest.approx(expected_j, rel=0.01)


def test_capacity_of_the_servers():
    scenario = build()
    mean_s = scenario.costs.seconds_per_word * 52
    tasks = 3.0 / mean_s
    assert mean_s[[0, 6]] == pytest.approx([1.383, 1.562], abs=1e-3)
    assert tasks.sum() == pytest.approx(14.2, abs=0.05)
    assert tasks[3:].sum() == pytest.approx(7.7, abs=0.05)


@pytest.mark.parametrize(('accuracy', 'ceiling'), [(0.3, 0.83), (0.7, 0.66)])
def test_some_tasks_are_too_long_for_their_deadline(accuracy, ceiling):
    scenario = build(tasks__accuracy=[accuracy, accuracy])
    state = scenario.reset(np.arange(150))
    controller = create_batch('greedy', scenario)
    outcome = scenario.evaluate(state, controller.decide(state))
    share = 1 - outcome.late.mean()
    assert ceiling - 0.12 < share < ceiling + 0.04


@pytest.mark.parametrize(
    ('accuracy', 'latency_s', 'energy_j'), [(0.3, 1.45, 381.0), (0.7, 2.14, 788.0)]
)
def test_fig7_is_nearly_met_by_a_greedy_rule(accuracy, latency_s, energy_j):
    scenario = build('mllm:fig7', tasks__accuracy=[accuracy, accuracy])
    state = scenario.reset(np.arange(120))
    outcome = scenario.evaluate(state, create_batch('greedy', scenario).decide(state))
    tasks = state.active.sum()
    words = state.words[state.active]
    assert outcome.latency_s.sum() / tasks == pytest.approx(latency_s, rel=0.15)
    # In proportion to what this sample asks for; 12.5 tasks of 39 words are expected.
    asked = words.sum() / 120 / (12.5 * 39)
    assert outcome.energy_j.sum() / 120 / asked == pytest.approx(energy_j, rel=0.03)
