"""Regimes and edges of the maritime scenario, and what every decision keeps in all of them."""

from dataclasses import fields

import numpy as np

from sec_nodes.scenarios.maritime.scenario import Maritime
from sec_nodes.scenarios.registry import read_settings

REGIMES = {
    'link': ('maritime', {}),
    'mixed': ('maritime:half_storage', {}),
    'storage': ('maritime:storage_limited', {}),
    'little CPU': ('maritime:cpu_scarce', {}),
    'large tasks': ('maritime:large_tasks', {}),
    'lambda 10': ('maritime:large_lambda', {}),
    'uploads do not pay': ('maritime', {'energy_weight_mbit_j': 300.0}),
    'shared band': ('maritime:shared_band', {}),
    'fixed noise': ('maritime:fixed_noise', {}),
    'out of view': ('maritime:no_pass', {}),
    'setting': ('maritime:setting', {}),
    'lambda 0': ('maritime', {'energy_weight_mbit_j': 0.0}),
    'one UAV': ('maritime', {'uavs.count': 1}),
    'storage full': ('maritime', {'uavs.initially_free_bit': 0.0}),
    'storage full, uploads do not pay': (
        'maritime',
        {'uavs.initially_free_bit': 0.0, 'energy_weight_mbit_j': 300.0},
    ),
    'some idle': ('maritime', {'devices.sensitive_count': [0, 2]}),
    'all idle': ('maritime', {'devices.sensitive_count': [0, 0]}),
}


def world(regime, seeds=(0,), **overrides):
    """Scenario and first state of a regime; two underscores in an override stand for a dot."""
    name, own = REGIMES[regime]
    dotted = {key.replace('__', '.'): value for key, value in overrides.items()}
    scenario = Maritime(read_settings(name, {**own, **dotted}))
    return scenario, scenario.reset(np.array(seeds))


def assert_keeps_the_limits(scenario, state, plan):
    """Check that a decision is finite, keeps (28a) to (28e) and asks nothing of an absent link."""
    for field in fields(plan):
        value = getattr(plan, field.name)
        assert value.shape == state.batch_bit.shape and np.isfinite(value).all(), field.name
    outcome = scenario.evaluate(state, plan)
    for letter in 'abcde':
        assert not outcome.violations[letter].any(), letter
    kept = plan.ratio == 0
    assert (plan.power_w[kept] == 0).all() and (plan.cpu_hz[kept] == 0).all()
    assert kept[(state.batch_bit == 0) | (state.leo_gain == 0)].all()
    assert np.isfinite(outcome.utility_mbit).all()
    return outcome
