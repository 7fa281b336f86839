"""The vectorised robust scenario and a loop over users agree in every number of every task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from loop_robust import layers, slot

from sec_nodes.physics.workload import dnn_table
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust import Robust, RobustDecision

COPIES, SLOTS = 12, 8
EXACT = ('completed', 'migrated', 'lost', 'n_close', 'n_outside', 'n_late')
CHANGES = {
    'prop': {},
    'sqrt': {'failures.migration': 'none'},
    'equal': {'failures.migration': 'resend'},
    'deadline': {},
    'deadline, resend': {'failures.migration': 'resend'},
    'deadline, lost progress': {'failures.progress': 0.4},
    'deadline, checkpoints': {'failures.progress': 0.4, 'failures.progress_kept': 'checkpoint'},
    'deadline, no migration': {'failures.migration': 'none'},
}


def draw(scenario, state, rng):
    """Splits near both ends, living UAVs, hard manoeuvres; goals that bring UAVs together."""
    allowed = scenario.allowed_splits(state)
    last = allowed.sum(axis=-1)
    split = 1 + np.minimum(rng.geometric(0.4, last.shape) - 1, last - 1)
    order = np.where(state.alive[:, None], rng.random(state.fading.shape), -1)
    centre_m = state.uav_m.mean(axis=1, keepdims=True)
    pull = rng.choice([-3.0, 3.0], (len(last), 1, 1)) * (centre_m - state.uav_m)
    return RobustDecision(
        split=split,
        server=np.argmax(order, axis=-1),
        preference=rng.random(state.fading.shape),
        acceleration_m_s2=pull + rng.normal(0, 2, state.uav_m.shape),
    )


@pytest.mark.parametrize('name', CHANGES)
@pytest.mark.parametrize('mode', ['robust', 'robust:feasible'])
def test_every_number_of_every_task_is_the_same(mode, name):
    rule = name.partition(',')[0]
    changes = {'allocation': rule, 'failures.largest': 2, 'failures.fixed': 2, **CHANGES[name]}
    scenario = Robust(read_settings(mode, changes))
    rng = np.random.default_rng(7)
    state = scenario.reset(np.arange(COPIES))
    # failures fall into the slots that are played
    early = np.where(state.failure_slot < 60, 1 + state.failure_slot % (SLOTS - 1), 60)
    state = replace(state, failure_slot=early)
    seen = {'migrated': 0, 'lost': 0, 'n_outside': 0}
    for _ in range(SLOTS):
        decision = draw(scenario, state, rng)
        following, outcome = scenario.step(state, decision)
        for copy in range(COPIES):
            found = slot(scenario.settings, state, decision, copy)
            for key, value in found.items():
                mine = getattr(outcome, key)[copy]
                if key in EXACT:
                    np.testing.assert_array_equal(mine, value, key)
                else:
                    np.testing.assert_allclose(mine, value, rtol=1e-9, atol=1e-15, err_msg=key)
            for key in seen:
                seen[key] += np.sum(found[key])
        state = following
    assert seen['lost'] + seen['migrated'] > 10, 'no failure was put to the test'
    if rule == 'deadline' and 'no' not in name and mode == 'robust:feasible':
        assert seen['migrated'] > 0, 'no migration was put to the test'


@pytest.mark.parametrize('network', ['alexnet', 'vgg13', 'vgg16'])
def test_layers_are_counted_alike(network):
    flop, bits = layers(network)
    table = dnn_table(network)
    assert table.layer_flop.tolist() == flop
    assert table.input_bit.tolist() == bits
