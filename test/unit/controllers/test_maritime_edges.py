"""Maritime at its edges: no data, no room, no CPU, no power, no time, no reason to upload."""

from __future__ import annotations

import numpy as np
import pytest

from sec_nodes.config import ConfigError
from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.maritime.coupled import solve
from sec_nodes.controllers.maritime.problem import slot_problem
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.registry import read_settings

pytestmark = pytest.mark.filterwarnings('error')

EDGES = {
    'storage full': {'uavs.initially_free_bit': 0.0},
    'storage small and full': {'uavs.storage_bit': 3e8, 'uavs.initially_free_bit': 0.0},
    'storage of one bit': {'uavs.storage_bit': 1.0, 'uavs.initially_free_bit': 1.0},
    'storage full, uploads do not pay': {
        'uavs.initially_free_bit': 0.0,
        'energy_weight_mbit_j': 300.0,
    },
    'no tasks': {'devices.sensitive_count': [0, 0]},
    'tasks for some': {'devices.sensitive_count': [0, 2]},
    'tasks without data': {'devices.size_bit': [0.0, 0.0]},
    'tasks of a bit': {'devices.size_bit': [1.0, 1.0]},
    'no tolerant devices': {'devices.tolerant_count': [0, 0]},
    'nothing stored, nothing comes': {
        'devices.tolerant_count': [0, 0],
        'uavs.initially_free_bit': 1.2e10,
    },
    'no devices': {'devices.tolerant_count': [0, 0], 'devices.sensitive_count': [0, 0]},
    'lambda 0': {'energy_weight_mbit_j': 0.0},
    'lambda 0, little CPU': {'energy_weight_mbit_j': 0.0, 'satellite.cpu_hz': 1e8},
    'lambda 1e6': {'energy_weight_mbit_j': 1e6},
    'one UAV': {'uavs.count': 1},
    'one UAV, nothing stored': {'uavs.count': 1, 'uavs.initially_free_bit': 1.2e10},
    'one cycle a second': {'satellite.cpu_hz': 1.0},
    'P_max 1 uW': {'uavs.largest_power_w': 1e-6},
    'P_max 1 kW': {'uavs.largest_power_w': 1e3},
    'slot shorter than uploads': {'slot_s': 0.1},
    'slot of a millisecond': {'slot_s': 1e-3},
    'noise that drowns the link': {'radio.noise_density_dbm_hz': 0.0},
}

BASELINES = (
    'jcorm_literal',
    'jcorm_literal_half',
    'half_slot',
    'half_slot_literal',
    'no_offloading',
)


def played(overrides, controller='jcorm', slots=2, seeds=range(2)):
    """State, decision, outcome and bound of every slot."""
    scenario = Maritime(read_settings('maritime', overrides))
    policy = create_batch(controller, scenario)
    state = scenario.reset(np.array(list(seeds)))
    for _ in range(slots):
        decision = policy.decide(state)
        following, outcome = scenario.step(state, decision)
        yield scenario, state, decision, outcome, policy.bound(state)
        state = following


@pytest.mark.parametrize('edge', EDGES)
@pytest.mark.parametrize('controller', ['jcorm', 'half_slot', 'no_offloading'])
def test_limits_are_kept_and_the_bound_holds(edge, controller):
    for scenario, state, _, outcome, bound in played(EDGES[edge], controller):
        for letter in 'abcde':
            assert not outcome.violations[letter].any(), letter
        assert np.isfinite(outcome.utility_mbit).all()
        assert np.isfinite(scenario.summarise(state, outcome).cost).all()
        if controller == 'jcorm':
            gap_mbit = -bound - outcome.utility_mbit
            in_time = ~outcome.late.any(axis=-1)
            assert (gap_mbit >= 0).all()
            assert (gap_mbit <= 1e-6 * np.abs(bound) + 1e-9)[in_time].all()
            assert not outcome.violations['f'][in_time].any()


def test_a_storage_that_is_full_takes_only_what_it_hands_over():
    for _, state, _, outcome, _ in played(EDGES['storage small and full']):
        full = state.stored_bit == 3e8
        assert (outcome.collected_bit[full] == 0).all()
        assert (outcome.overflow_bit[full] > 0).all()
        assert (outcome.next_stored_bit <= 3e8).all()


@pytest.mark.parametrize('size_bit', [[1e6, 3e6], [4e6, 4e6]])
@pytest.mark.parametrize('free_bit', [0.0, 2e7])
def test_batches_are_done_where_uploads_do_not_pay_and_storage_fills_up(free_bit, size_bit):
    """lambda = 300: no baseline is better without more late batches, and no decision by much."""
    overrides = {
        'energy_weight_mbit_j': 300.0,
        'uavs.initially_free_bit': free_bit,
        'devices.size_bit': size_bit,
    }
    for scenario, state, _, outcome, bound in played(overrides, slots=2, seeds=range(8)):
        assert not outcome.late.any()
        assert (-bound >= outcome.utility_mbit).all()
        np.testing.assert_allclose(outcome.utility_mbit, -bound, rtol=1e-6)
        for name in BASELINES:
            other = scenario.evaluate(state, create_batch(name, scenario).decide(state))
            as_complete = ~other.late.any(axis=-1)
            assert (outcome.utility_mbit >= other.utility_mbit)[as_complete].all(), name


def test_uavs_without_a_batch_upload_once_their_storage_is_full_even_where_that_does_not_pay():
    """t_hi = S / R^U: at once if no room is left; those with a batch may put it off."""
    overrides = {**EDGES['storage full, uploads do not pay'], 'devices.sensitive_count': [0, 2]}
    for _, state, decision, _, _ in played(overrides, slots=1):
        idle = state.batch_bit == 0
        assert idle.any() and not idle.all()
        assert (decision.start_s[idle] == 0).all()
        assert (decision.start_s[~idle] == 3.0).all()


def test_a_uav_without_tasks_uploads_from_the_start():
    for _, state, decision, outcome, _ in played(EDGES['tasks for some']):
        idle = state.batch_bit == 0
        assert idle.any() and not idle.all()
        for nothing in (decision.power_w, decision.cpu_hz, decision.ratio, decision.start_s):
            assert (nothing[idle] == 0).all()
        # R^T tau for p_DT alone
        np.testing.assert_allclose(outcome.uploaded_bit[idle], 277.27e6 * 3 + 1e6 * 3, rtol=1e-5)


def test_without_weight_energy_is_no_object():
    for _, state, decision, _, _ in played(EDGES['lambda 0']):
        out = decision.ratio > 0  # the rest is so small that its CPU is better given to others
        assert state.batch_bit[~out].max(initial=0.0) < state.batch_bit[out].min()
        assert (decision.power_w[out] == 1.0).all()
        np.testing.assert_allclose(decision.cpu_hz.sum(axis=-1), 1e10, rtol=1e-6)


def test_where_nothing_pays_nothing_is_done_that_costs():
    for scenario, state, decision, outcome, _ in played(EDGES['lambda 1e6']):
        assert (outcome.uploaded_bit == 0).all()  # the storage lasts, so that no upload must begin
        # whatever is offloaded costs less on its way and on the satellite than on the UAV
        alone_j = 1e-28 * 4e18 * 400 * state.batch_bit
        spent_j = outcome.uav_j + outcome.satellite_compute_j
        assert (spent_j <= alone_j).all()
        assert (decision.power_w < scenario.settings.uavs.largest_power_w).all()


def test_some_batch_must_be_late_where_cpu_is_scarce_and_all_where_the_slot_is_short():
    scarce = {'satellite.cpu_hz': 1e8, 'devices.size_bit': [5e6, 5e6]}
    some_late = False
    for _, _, decision, outcome, _ in played(scarce, slots=4):
        some_late |= bool(outcome.late.any())
        assert not outcome.late.all()
        assert (decision.ratio[outcome.late] == 0).all()  # CPU is not spent on lost causes
        assert (outcome.uploaded_bit[outcome.late] == 0).all()
    assert some_late
    for _, state, _, outcome, _ in played(EDGES['slot of a millisecond']):
        assert (state.upload_s > 1e-3).all() and outcome.late.all()


def test_with_hardly_any_power_almost_all_is_computed_at_home():
    for _, _, decision, outcome, _ in played(EDGES['P_max 1 uW']):
        assert (decision.ratio < 2e-3).all() and not outcome.late.any()


def test_power_that_would_waste_energy_does_not_keep_tasks_at_home():
    """At P_max = 1 kW sending costs more than computing; at the best power it does not."""
    for _, _, decision, _, _ in played(EDGES['P_max 1 kW']):
        assert (decision.ratio > 0.5).all()
        assert (decision.power_w < 1.0).all()


def test_ten_thousand_uavs():
    scenario = Maritime(read_settings('maritime', {'uavs.count': 10_000}))
    state = scenario.reset(np.array([0]))
    solution = solve(slot_problem(scenario, state))
    outcome = scenario.evaluate(state, solution.decision)
    assert solution.in_time.all() and not outcome.late.any()
    assert solution.decision.cpu_hz.sum() == pytest.approx(1e10)
    local = scenario.evaluate(state, create_batch('no_offloading', scenario).decide(state))
    assert outcome.utility_mbit[0] > local.utility_mbit[0]


@pytest.mark.parametrize(
    ('key', 'value', 'text'),
    [
        ('devices.size_bit', [-1.0, 2.0], 'greater than or equal to 0'),
        ('devices.size_bit', [3e6, 1e6], 'must not exceed'),
        ('devices.sensitive_count', [-1, 2], 'greater than or equal to 0'),
        ('uavs.storage_bit', -1.0, 'greater than 0'),
        ('uavs.storage_bit', 1e9, 'no more can be free than there is'),
        ('uavs.largest_power_w', 0.0, 'greater than 0'),
        ('uavs.cpu_hz', float('nan'), 'finite'),
        ('energy_weight_mbit_j', float('nan'), 'finite'),
        ('energy_weight_mbit_j', -1.0, 'greater than or equal to 0'),
        ('satellite.rises_s', float('nan'), 'finite'),
        ('satellite.rises_s', 'soon', 'valid number'),
        ('satellite.cpu_hz', float('inf'), 'finite'),
        ('slot_s', 0.0, 'greater than 0'),
        ('slot_s', 300.0, 'use shorter slots'),
        ('slots', 0, 'greater than or equal to 1'),
    ],
)
def test_unsound_settings_are_refused_by_name_value_and_remedy(key, value, text):
    with pytest.raises(ConfigError) as error:
        read_settings('maritime', {key: value})
    message = str(error.value)
    assert text in message
    assert key.split('.')[-1] in message
