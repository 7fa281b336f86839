"""Slots without the satellite in view: when they are, and what then happens."""

from __future__ import annotations

import numpy as np
import pytest

from sec_nodes.controllers.batch import create_batch
from sec_nodes.scenarios.maritime import Maritime, MaritimeDecision
from sec_nodes.scenarios.registry import read_settings


def maritime(rises_s, **overrides):
    dotted = {key.replace('__', '.'): value for key, value in overrides.items()}
    return Maritime(read_settings('maritime', {'satellite.rises_s': rises_s, **dotted}))


def slots_in_view(scenario, first, last):
    return [int(n) for n in range(first, last) if scenario.in_view(np.array(n))]


def test_the_satellite_comes_again_after_one_orbit():
    # Kepler: 2 pi sqrt(r^3 / GM) with r = 7151 km
    assert maritime(0.0).orbit_s == pytest.approx(
        2 * np.pi * np.sqrt(7151e3**3 / 3.986004418e14), rel=1e-6
    )
    # T_vis = 232.76 s has room for 77 slots of 3 s; 6018.12 s later slot 2007 begins after 6021 s
    assert slots_in_view(maritime(0.0), 0, 2090) == [*range(77), *range(2007, 2083)]


@pytest.mark.parametrize(
    ('rises_s', 'expected'),
    [
        (0.0, range(10)),
        (6.0, range(2, 10)),
        (6.5, range(3, 10)),  # slot 2 begins before the satellite rises
        (-217.5, range(5)),  # sets after 15.26 s, in slot 5
        (-229.5, range(1)),
        (-230.5, ()),  # sets before slot 0 ends
        (600.0, ()),
        (1e6, ()),
        (-6018.125, range(10)),  # the second pass begins a millisecond before slot 0
        (-6015.125, range(1, 10)),
    ],
)
def test_slots_count_that_lie_wholly_within_a_pass(rises_s, expected):
    assert slots_in_view(maritime(rises_s), 0, 10) == list(expected)


def test_rounding_costs_no_slot():
    visible_s = maritime(0.0).visible_s
    for slots in (7, 77, 321):
        scenario = maritime(0.0, slot_s=visible_s / slots)
        assert slots_in_view(scenario, 0, slots + 2) == list(range(slots))
    for rises in range(1, 40):  # 3 * 0.1 and the like
        assert slots_in_view(maritime(rises * 0.1, slot_s=0.1), 0, 42) == list(range(rises, 42))


def test_gain_and_rate_are_those_of_a_pass_or_nothing():
    scenario = Maritime(read_settings('maritime:setting'))
    always = maritime(0.0)
    state, other = scenario.reset(np.arange(2)), always.reset(np.arange(2))
    controller = create_batch('no_offloading', scenario)
    for slot in range(10):
        if slot < 5:
            np.testing.assert_array_equal(state.leo_gain, other.leo_gain)
        else:
            assert (state.leo_gain == 0).all()
            assert (scenario.leo_rate_bit_s(state, 1.0) == 0).all()
        np.testing.assert_array_equal(state.batch_bit, other.batch_bit)  # the sea stays the same
        state, _ = scenario.step(state, controller.decide(state))
        other, _ = always.step(other, controller.decide(other))


@pytest.mark.filterwarnings('error')
def test_nothing_reaches_a_satellite_that_is_not_in_view():
    scenario = maritime(600.0, uavs__storage_bit=1e9, uavs__initially_free_bit=1e7)
    state = scenario.reset(np.arange(3))
    shape = state.batch_bit.shape
    plan = MaritimeDecision(*(np.full(shape, value) for value in (1.0, 1e9, 0.5, 1.0)))
    got = scenario.evaluate(state, plan)
    assert got.late.all() and np.isinf(got.finish_s).all()
    assert (got.uploaded_bit == 0).all()
    for nothing_j in (got.sensitive_radio_j, got.tolerant_radio_j, got.satellite_compute_j):
        assert (nothing_j == 0).all()
    cycles = 400 * 0.5 * state.batch_bit  # the half that stays on the UAV
    np.testing.assert_allclose(got.uav_compute_j, 1e-28 * 4e18 * cycles)
    np.testing.assert_allclose(got.collected_bit, np.minimum(3.0 * state.collect_rate_bit_s, 1e7))


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('name', ['jcorm', 'no_offloading', 'half_slot'])
@pytest.mark.parametrize(
    'overrides',
    [
        {},
        {'energy_weight_mbit_j': 0.0},
        {'energy_weight_mbit_j': 300.0},
        {'devices__tolerant_count': [0, 0]},
        {'devices__sensitive_count': [0, 2]},
        {'devices__size_bit': [5e6, 5e6]},
        {'uavs__initially_free_bit': 0.0},
    ],
)
def test_controllers_wait_for_the_satellite(name, overrides):
    scenario = maritime(-217.5, **overrides)  # sets in slot 5
    controller = create_batch(name, scenario)
    state = scenario.reset(np.arange(2))
    for slot in range(7):
        plan = controller.decide(state)
        bound = controller.bound(state)
        following, outcome = scenario.step(state, plan)
        if slot >= 5:
            for nothing in (plan.power_w, plan.cpu_hz, plan.ratio, outcome.uploaded_bit):
                assert (nothing == 0).all()
            assert (plan.start_s == 3.0).all()  # collects to the end of the slot
            room_bit = 1.2e10 - state.stored_bit
            np.testing.assert_allclose(
                outcome.collected_bit, np.minimum(3.0 * state.collect_rate_bit_s, room_bit)
            )
            assert (outcome.energy_j == outcome.uav_compute_j.sum(axis=-1)).all()
            alone_s = state.upload_s + 400 * state.batch_bit / 2e9
            np.testing.assert_array_equal(outcome.late, alone_s > 3.0)
        if bound is not None:
            assert (-bound >= outcome.utility_mbit).all()
            tight = ~outcome.late.any(axis=-1)
            gap = -bound - outcome.utility_mbit
            assert (gap <= 1e-6 * np.abs(bound) + 1e-9)[tight].all()
        state = following


def test_the_best_time_of_a_run_is_while_the_satellite_is_in_view():
    delivered = {}
    for mode in ('', ':setting', ':no_pass'):
        scenario = Maritime(read_settings(f'maritime{mode}'))
        state, controller = scenario.reset(np.arange(2)), create_batch('jcorm', scenario)
        total = 0.0
        for _ in range(scenario.horizon):
            state, outcome = scenario.step(state, controller.decide(state))
            total += outcome.uploaded_bit.sum()
        delivered[mode] = total
    assert delivered[':no_pass'] == 0.0
    assert delivered[':setting'] == pytest.approx(0.5 * delivered[''], rel=0.05)
