"""Lower bound and certificates of the partial scenario."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from partial_worlds import small_world

from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial import Partial, PartialDecision
from sec_nodes.scenarios.partial.bounds import (
    binary_certificate,
    least_power_w,
    lower_bound_j,
    partial_certificate,
)
from sec_nodes.scenarios.registry import read_settings


@pytest.fixture(scope='module')
def default():
    scenario = Partial(read_settings('partial'))
    return scenario.settings, scenario.reset(np.arange(1))


def test_the_bound_of_the_frozen_instance(default):
    assert lower_bound_j(*default)[0] == pytest.approx(9587.39, abs=5e-3)


def test_the_bound_by_hand():
    # hovering above each task: T_n - T_lc - S / r(0) = 58 - 16 - 1.193 s for the first two and
    # 58 - 24 - 2.385 s for the third; W = 1.2, 1.2 and 4.8 Gcycle; phi = 1 W/GHz^3, beta = 10
    scenario, state, _ = small_world()
    rate = float(rate_bit_s(0.0, scenario.settings.link))
    assert rate == pytest.approx(83851, abs=1)
    first, third = 42 - 1e5 / rate, 34 - 2e5 / rate
    service = [1.2**3 / first**2, 1.2**3 / first**2, 4.8**3 / third**2]
    # the third costs more than half of all
    by_hand = 60 * 126.0027 + 10 * max(sum(service) / 2, service[2])
    assert lower_bound_j(scenario.settings, state)[0] == pytest.approx(by_hand, abs=1e-2)


def test_the_least_power_is_at_the_most_enduring_speed_or_at_the_limit():
    assert least_power_w(read_settings('partial')) == pytest.approx(126.0027, abs=5e-5)
    slow = read_settings('partial', {'uavs.speed_m_s': 5.0})
    scenario = Partial(slow)
    straight = np.stack([np.arange(51) * 7.0, np.zeros(51)], axis=-1)
    assert least_power_w(slow) == pytest.approx(float(scenario.propulsion_j(straight)) / 70)


def test_full_offloading_is_certified_infeasible_and_partial_is_not(default):
    whole, part = binary_certificate(*default), partial_certificate(*default)
    assert whole.needed_hz[0] / 1e9 == pytest.approx(21.00, abs=5e-3)
    assert part.needed_hz[0] / 1e9 == pytest.approx(10.98, abs=5e-3)
    assert whole.available_hz == part.available_hz == 18e9
    assert whole.infeasible[0] and not part.infeasible[0]


def test_the_binary_certificate_by_hand():
    # 1, 1 and 2 Mb at 6e3 cycles a bit, uploaded from overhead, until 58 s
    scenario, state, _ = small_world()
    rate = float(rate_bit_s(0.0, scenario.settings.link))
    by_hand = [6e9 / (58 - 1e6 / rate), 6e9 / (58 - 1e6 / rate), 12e9 / (58 - 2e6 / rate)]
    found = binary_certificate(scenario.settings, state)
    np.testing.assert_allclose(found.least_hz[0], by_hand, rtol=1e-12)
    assert not found.infeasible[0]
    one_slow = small_world(uavs__cpu_hz=by_hand[2] * 0.999).scenario.settings
    assert binary_certificate(one_slow, state).infeasible[0]


def test_most_tight_instances_need_partial_offloading():
    scenario = Partial(read_settings('partial:tight'))
    state = scenario.reset(np.arange(500))
    assert binary_certificate(scenario.settings, state).infeasible.mean() > 0.8
    assert partial_certificate(scenario.settings, state).infeasible.mean() < 0.1


@pytest.mark.parametrize('deadline_s', [1e-3, 16.0, 17.0])
def test_a_deadline_that_nothing_can_meet_is_certified(deadline_s):
    # local running takes 16 s, the upload from overhead 1.19 s more
    scenario, state, _ = small_world()
    late = replace(state, deadline_s=np.array([[deadline_s, 58.0, 58.0]]))
    assert lower_bound_j(scenario.settings, late)[0] == math.inf
    certificate = partial_certificate(scenario.settings, late)
    assert certificate.infeasible[0]
    np.testing.assert_array_equal(np.isinf(certificate.least_hz[0]), [True, False, False])


def test_a_program_that_cannot_arrive_is_certified():
    # 0.9 Mb in the 2 s that the last tenth of 1 Mb takes
    scenario, state, _ = small_world()
    sizes = state.splits_bit.copy()
    sizes[0, 1, 0, 0] = 0.9e6
    certificate = partial_certificate(scenario.settings, replace(state, splits_bit=sizes))
    np.testing.assert_array_equal(np.isinf(certificate.least_hz[0]), [False, True, False])


def test_no_weight_hides_an_impossible_task():
    scenario, state, _ = small_world(objective__service_weight=0.0)
    assert np.isfinite(lower_bound_j(scenario.settings, state)[0])
    late = replace(state, deadline_s=np.array([[1.0, 58.0, 58.0]]))
    assert lower_bound_j(scenario.settings, late)[0] == math.inf


def test_free_cuts_can_only_lower_the_bound(default):
    settings, state = default
    free = read_settings('partial:free_split')
    assert lower_bound_j(free, state)[0] < lower_bound_j(settings, state)[0]
    for cut in range(20):
        same = replace(state, split=np.full_like(state.split, cut))
        assert lower_bound_j(free, state)[0] <= lower_bound_j(settings, same)[0]


@pytest.mark.parametrize('step_m', [5.0, 14.3, 28.0])
def test_no_plan_beats_the_bound(step_m):
    # four UAVs fly to and fro in the quarters; a task goes where it needs the least speed
    settings = read_settings('partial:tight', {'uavs.count': 4})
    scenario = Partial(settings)
    state = scenario.reset(np.arange(100))
    turn = np.arange(51) * math.pi
    wave_m = np.stack([step_m / 2 * np.cos(turn), np.zeros(51)], axis=-1)
    quarters_m = np.array([[125.0, 125.0], [125.0, 375.0], [375.0, 125.0], [375.0, 375.0]])
    waypoint_m = np.broadcast_to(quarters_m[:, None] + wave_m, (100, 4, 51, 2))
    pairs = scenario.pairs(state, waypoint_m, state.split)
    server = np.where(pairs.possible, pairs.cpu_hz, np.inf).argmin(axis=1)
    cpu_hz = np.take_along_axis(pairs.cpu_hz, server[:, None], axis=1)[:, 0]
    plan = PartialDecision(waypoint_m, server, np.minimum(cpu_hz, 1e12), state.split)
    outcome = scenario.evaluate(state, plan)
    served = outcome.met.all(axis=1)
    assert served.sum() > 30
    assert (outcome.objective_j >= lower_bound_j(settings, state))[served].all()
