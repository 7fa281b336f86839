"""Failures of UAVs and what becomes of their tasks, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robust_cases import counted, decide, failing, quiet, robust

from sec_nodes.physics import workload
from sec_nodes.scenarios.robust.migration import survive
from sec_nodes.scenarios.robust.state import LOCAL, NEVER, Sent

TOTAL = 1_428_206_592 / 8
"""AlexNet [cycle], as the sum of its eight layers below."""
LAYERS = [140_553_600, 447_897_600, 224_280_576, 299_040_768, 199_360_512]
LAYERS += [2 * 9215 * 4096, 2 * 4095 * 4096, 2 * 4095 * 1000]
IMAGE_BIT = 4_816_896
BACKHAUL_BIT_S = 15e6 * math.log2(1 + 2.5e-8 / (1e-3 * 10 ** (-17.4) * 15e6))
"""(17) over 200 m."""


def pair(users=1, network='alexnet', uavs=2, **overrides):
    """Users below UAV 0; UAV 1 stands 200 m beside it."""
    scenario = robust(
        users__count=users,
        users__networks=[network],
        uavs__count=uavs,
        failures__largest=uavs,
        **overrides,
    )
    places = [[100.0, 100.0, 100.0], [300.0, 100.0, 100.0], [100.0, 400.0, 100.0]]
    return scenario, quiet(scenario, [[100.0, 100.0]] * users, places[:uavs])


def test_a_task_moves_to_the_living_uav():
    scenario, state = pair()
    state = failing(state, 0)
    outcome = scenario.evaluate(state, decide(state))
    calm = scenario.evaluate(
        replace(state, failure_slot=state.failure_slot * 0 + NEVER), decide(state)
    )
    assert outcome.migrated[0, 0] and outcome.completed[0, 0] and not outcome.lost[0, 0]
    assert (outcome.server[0, 0], outcome.effective[0, 0]) == (0, 1)
    # (22) over r_jk, and its energy (23) at 1 W.
    assert outcome.migration_s[0, 0] == pytest.approx(IMAGE_BIT / BACKHAUL_BIT_S)
    assert outcome.migration_j[0, 0] == pytest.approx(IMAGE_BIT / BACKHAUL_BIT_S)
    # The upload stays as it was; UAV 1 makes up for the time of the move, and the slot is full.
    assert outcome.transmission_s[0, 0] == calm.transmission_s[0, 0]
    left_s = calm.offload_s[0, 0] - IMAGE_BIT / BACKHAUL_BIT_S
    assert outcome.offload_s[0, 0] == pytest.approx(left_s)
    assert outcome.frequency_hz[0, 0] == pytest.approx(sum(LAYERS) / 8 / left_s)
    assert outcome.offload_j[0, 0] == pytest.approx(1e-28 * (sum(LAYERS) / 8) ** 3 / left_s**2)
    assert outcome.latency_s[0, 0] == pytest.approx(1.0)
    # (27): only the living UAV pays for its flight.
    assert outcome.flight_j[0].tolist() == [0.0, pytest.approx(168.48422)]
    expected = calm.task_j[0, 0] - 1e-3 * calm.offload_j[0, 0]
    expected += 1e-3 * (outcome.offload_j[0, 0] + outcome.migration_j[0, 0])
    assert outcome.e_tot_j[0] == pytest.approx(expected + 1e-4 * 168.48422, rel=1e-7)
    assert outcome.violations.sum() == 0


def test_a_task_is_lost_where_it_may_not_move():
    scenario, state = pair(failures__migration='none')
    outcome = scenario.evaluate(failing(state, 0), decide(state))
    assert outcome.lost[0, 0] and not outcome.migrated[0, 0] and not outcome.completed[0, 0]
    assert outcome.effective[0, 0] == LOCAL and outcome.latency_s[0, 0] == math.inf
    # What users spent is counted, e_off is 0.
    assert outcome.transmission_j[0, 0] > 0
    assert outcome.offload_j[0, 0] == outcome.migration_j[0, 0] == 0.0
    assert counted(outcome, '(28k)') == [1] and outcome.violations.sum() == 1


def test_nothing_moves_when_all_uavs_fail_at_once():
    scenario, state = pair()
    outcome = scenario.evaluate(failing(failing(state, 0), 1), decide(state))
    assert outcome.lost[0, 0] and not outcome.alive.any() and not outcome.flight_j.any()


def test_sending_again_is_the_users_business():
    scenario, state = pair(failures__migration='resend')
    state = failing(replace(state, fading=np.array([[[1.0, 3.0]]])), 0)
    outcome = scenario.evaluate(state, decide(state))
    calm = pair()[0].evaluate(replace(state, failure_slot=np.array([[9, 9]])), decide(state))
    # r_ik at the power of the first upload, and nothing from UAV to UAV.
    power_w = outcome.power_w[0, 0]
    snr = power_w * scenario.snr_per_w(state)[0, 0, 1]
    again_s = IMAGE_BIT / (1e7 * math.log2(1 + snr))
    assert power_w == calm.power_w[0, 0]
    assert outcome.migrated[0, 0] and outcome.completed[0, 0]
    assert outcome.migration_s[0, 0] == pytest.approx(again_s)
    assert outcome.offload_s[0, 0] == pytest.approx(calm.offload_s[0, 0] - again_s)
    assert outcome.resend_j[0, 0] == pytest.approx(power_w * again_s)
    assert outcome.migration_j[0, 0] == 0.0
    users_j = outcome.transmission_j[0, 0] + outcome.resend_j[0, 0]
    assert outcome.task_j[0, 0] == pytest.approx(users_j + 1e-3 * outcome.offload_j[0, 0])
    # Over a bad link that takes longer than what is left of the slot.
    weak = replace(state, fading=np.array([[[1.0, 0.1]]]))
    outcome = scenario.evaluate(weak, decide(weak))
    assert outcome.lost[0, 0] and outcome.resend_j[0, 0] == 0.0


def test_the_preferred_uav_takes_over_if_it_lives():
    scenario, state = pair(uavs=3)
    state = failing(state, 0)
    for preference, target in (([9, 1, 2], 2), ([9, 2, 1], 1), ([0, 0, 0], 1)):
        outcome = scenario.evaluate(state, decide(state, preference=preference))
        assert outcome.effective[0, 0] == target
    also = failing(state, 2)
    assert scenario.evaluate(also, decide(also, preference=[0, 1, 2])).effective[0, 0] == 1


def test_a_busy_uav_takes_no_task_over():
    # `equal` gives all of UAV 1 away, so nothing is left for the task of UAV 0.
    scenario, state = pair(users=2, allocation='equal')
    state = failing(state, 0)
    outcome = scenario.evaluate(state, decide(state, server=[0, 1]))
    assert outcome.lost.tolist() == [[True, False]]
    assert outcome.completed.tolist() == [[False, True]]
    # `joint` leaves room.
    scenario, state = pair(users=2)
    outcome = scenario.evaluate(failing(state, 0), decide(state, server=[0, 1]))
    assert outcome.completed.all() and outcome.effective.tolist() == [[1, 1]]


def test_those_that_need_least_move_first():
    # Three VGG13 need 2.83 GHz each or more; UAV 1 serves two of its own and has room for one.
    scenario, state = pair(users=4, network='vgg13')
    state = replace(
        state, user_m=np.array([[[100, 100], [100, 300], [300, 100], [300, 100]]]) * 1.0
    )
    outcome = scenario.evaluate(failing(state, 0), decide(state, server=[0, 0, 1, 1]))
    assert outcome.migrated.sum() == 1 and outcome.lost.sum() == 1
    assert outcome.frequency_hz[0].sum() <= 10e9 * (1 + 1e-9)
    calm = scenario.evaluate(state, decide(state, server=[0, 0, 1, 1]))
    assert outcome.migrated[0, np.argmin(calm.frequency_hz[0, :2])]


def sent(split, frequency_hz=1e9, power_w=0.01, spent_s=0.5):
    """AlexNet as it reaches UAV 0."""
    table = workload.dnn_table('alexnet')
    cut = np.array([[split - 1]])
    return Sent(
        server=np.array([[0]]),
        network=np.array([[0]]),
        cut=cut,
        local_cycles=table.front_flop[cut] / 8,
        cycles=table.rear_flop[cut] / 8,
        size_bit=table.cut_bit[cut] * 1.0,
        power_w=np.array([[power_w]]),
        frequency_hz=np.array([[frequency_hz]]),
        local_s=np.array([[0.1]]),
        transmission_s=np.array([[spent_s - 0.1]]),
    )


def after(task, **overrides):
    """`survive` of one task whose UAV fails; r_jk 280 Mbit/s and SNR 1e3 a watt to UAV 1."""
    scenario, _ = pair(**overrides)
    return survive(
        scenario.settings,
        scenario.tables,
        task,
        np.array([[False, True]]),
        np.zeros((1, 1, 2)),
        np.full((1, 1, 2), 1e3),
        np.full((1, 2, 2), 280e6),
    )


def test_progress_that_is_lost():
    # 30 % of 1.39 Gflop / 8 at 1 GHz; then everything again after the image has moved.
    task = sent(1)
    found = after(task, failures__progress=0.3)
    total = sum(LAYERS) / 8
    assert found.lost_cycles[0, 0] == pytest.approx(0.3 * total)
    assert found.lost_s[0, 0] == pytest.approx(0.3 * total / 1e9)
    assert found.moving_s[0, 0] == pytest.approx(IMAGE_BIT / 280e6)
    assert found.cycles[0, 0] == total
    left_s = 1 - 0.5 - 0.3 * total / 1e9 - IMAGE_BIT / 280e6
    assert found.frequency_hz[0, 0] == pytest.approx(total / left_s)


@pytest.mark.parametrize(
    ('split', 'progress', 'resumed', 'size_bit'),
    [
        (1, 0.05, 1, IMAGE_BIT),  # within the first layer, 9.8 % of the work
        (1, 0.2, 2, 46_656 * 32),  # within the second, which ends at 41 %
        (1, 0.5, 3, 32_448 * 32),
        (2, 0.1, 2, 46_656 * 32),
        (2, 0.5, 3, 32_448 * 32),
        (8, 0.9, 8, 4096 * 32),  # the last layer cannot be finished
        (1, 0.9999, 8, 4096 * 32),
    ],
)
def test_progress_that_is_kept(split, progress, resumed, size_bit):
    found = after(sent(split), failures__progress=progress, failures__progress_kept='checkpoint')
    rear = sum(LAYERS[split - 1 :]) / 8
    assert found.cycles[0, 0] == pytest.approx(sum(LAYERS[resumed - 1 :]) / 8)
    assert found.moving_s[0, 0] == pytest.approx(size_bit / 280e6)
    assert found.lost_cycles[0, 0] == pytest.approx(progress * rear)
    assert found.cycles[0, 0] >= (1 - progress) * rear * (1 - 1e-12)


def test_sending_again_keeps_no_progress():
    found = after(
        sent(1, power_w=0.4),
        failures__progress=0.5,
        failures__progress_kept='checkpoint',
        failures__migration='resend',
    )
    assert found.cycles[0, 0] == sum(LAYERS) / 8
    assert found.moving_s[0, 0] == pytest.approx(IMAGE_BIT / (1e7 * math.log2(1 + 400)))


def test_progress_costs_energy_where_it_was_made():
    scenario, state = pair(failures__progress=0.3)
    outcome = scenario.evaluate(failing(state, 0), decide(state))
    calm = scenario.evaluate(state, decide(state))
    work, before_hz = sum(LAYERS) / 8, calm.frequency_hz[0, 0]
    # The time that is left: (1 - rho) tau_off - tau_mig, for the slot was full.
    left_s = 0.7 * calm.offload_s[0, 0] - IMAGE_BIT / BACKHAUL_BIT_S
    assert outcome.offload_s[0, 0] == pytest.approx(left_s)
    expected = 1e-28 * (before_hz**2 * 0.3 * work + (work / left_s) ** 2 * work)
    assert outcome.offload_j[0, 0] == pytest.approx(expected)
    assert outcome.lost_s[0, 0] == pytest.approx(0.3 * work / before_hz)
    # That was spent even if the task is lost then.
    gone, state = pair(failures__progress=0.3, failures__migration='none')
    outcome = gone.evaluate(failing(state, 0), decide(state))
    assert outcome.offload_j[0, 0] == pytest.approx(1e-28 * before_hz**2 * 0.3 * work)


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 0.9), st.floats(0.001, 0.09), st.integers(1, 8))
def test_more_progress_lost_never_needs_a_slower_uav(progress, more, split):
    def needed_hz(value):
        found = after(sent(split), failures__progress=value)
        return found.frequency_hz[0, 0] if found.migrated[0, 0] else math.inf

    assert needed_hz(progress) <= needed_hz(progress + more)


def test_failures_are_for_good():
    scenario, state = pair(horizon=4)
    # Slot 2 of the paper is slot 1 here: the first in which a UAV can fail.
    state = failing(state, 0, slot=1)
    state, first = scenario.step(state, decide(state))
    assert first.completed[0, 0] and not first.migrated[0, 0] and first.alive.all()
    assert state.alive.all()  # not yet known when slot 1 is decided
    state, second = scenario.step(state, decide(state, acceleration=5.0))
    assert second.migrated[0, 0] and second.completed[0, 0]
    assert counted(second, '(28h)') == [0]
    # A UAV that fails in the slot stays where it is, and stands still.
    np.testing.assert_array_equal(second.uav_m[0, 0], first.uav_m[0, 0])
    assert (second.uav_m[0, 1] != first.uav_m[0, 1]).any()
    assert state.alive.tolist() == [[False, True]]
    state, third = scenario.step(state, decide(state))
    assert counted(third, '(28h)') == [1] and third.rejected[0, 0]
    assert third.flight_j[0, 0] == 0.0
    fourth = scenario.evaluate(state, decide(state, server=1))
    assert fourth.completed[0, 0] and counted(fourth, '(28h)') == [0]
    # (10): even a schedule that changes its mind does not bring it back.
    undone = replace(state, failure_slot=np.full_like(state.failure_slot, NEVER))
    assert scenario.evaluate(undone, decide(undone)).alive.tolist() == [[False, True]]


def test_how_many_fail_and_when():
    scenario = robust(failures__largest=2)
    slots = scenario.reset(np.arange(6000)).failure_slot
    fails = slots != NEVER
    assert slots[fails].min() == 1 and slots[fails].max() == 59
    share = np.bincount(fails.sum(axis=1), minlength=4) / 6000
    np.testing.assert_allclose(share, [1 / 3, 1 / 3, 1 / 3, 0], atol=0.02)
    # Every UAV is as likely as the others, every slot as well: mean of 1..59 is 30, sd 17.03.
    np.testing.assert_allclose(fails.mean(axis=0), 1 / 3, atol=0.02)
    assert slots[fails].mean() == pytest.approx(30, abs=4 * 17.03 / math.sqrt(fails.sum()))
    fixed = robust(failures__largest=2, failures__fixed=2).reset(np.arange(500)).failure_slot
    np.testing.assert_array_equal((fixed != NEVER).sum(axis=1), 2)
    none = robust(failures__largest=0).reset(np.arange(50)).failure_slot
    np.testing.assert_array_equal(none, NEVER)
