"""maritime flown in lockstep does what its copies do, slot by slot and UAV by UAV."""

from __future__ import annotations

import numpy as np
import pytest

from sec_nodes.controllers.batch import create_batch
from sec_nodes.scenarios.maritime import Maritime, MaritimeState
from sec_nodes.scenarios.registry import read_settings

SLOTS, SEED = 9, 3
CHANGES = {'uavs.count': 4, 'satellite.rises_s': 3.0, 'ground_station.distance_m': 1.2e6}
TIMES = ('local_s', 'transmit_s', 'execute_s', 'finish_s')
ENERGIES = ('sensitive_radio_j', 'tolerant_radio_j', 'uav_compute_j', 'satellite_compute_j')


def replayed(controller, tables):
    """What copies come to in each slot, beginning with the storage that the nodes had."""
    scenario = Maritime(read_settings('maritime', CHANGES))
    decider = create_batch(controller, scenario)
    state = scenario.reset(np.array([SEED]))
    for slot in range(SLOTS):
        # whole bytes are stored, so the levels of the nodes are taken from slot to slot
        stored_bit = (
            np.array([tables[slot - 1, uav]['stored_bit'] for uav in range(4)])
            if slot
            else state.stored_bit[0]
        )
        state = MaritimeState(**{**vars(state), 'stored_bit': stored_bit[None]})
        decision = decider.decide(state)
        following, outcome = scenario.step(state, decision)
        yield slot, state, decision, outcome
        state = following


@pytest.mark.parametrize(
    'controller', ['jcorm', pytest.param('half_slot', marks=pytest.mark.slow)]
)
def test_relays_take_the_times_energies_and_data_that_the_scenario_says(start, controller):
    options = [part for key, value in CHANGES.items() for part in ('--set', f'{key}={value}')]
    run = start(
        'laptop', '--scenario', 'maritime',
        '--speed', 0, '--slots', SLOTS, '--seed', SEED, '--controller', controller, *options,
    )  # fmt: skip
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    tables = {
        (int(row['slot']), int(row['server_id'])): {
            name: float(value) for name, value in row.items() if name not in ('name', 'late')
        }
        for row in run.table('relays')
    }
    assert tables.keys() == {(slot, uav) for slot in range(SLOTS) for uav in range(4)}
    byte_bit = 8 / read_settings('maritime', CHANGES).flown.byte_share
    offloaded = 0
    for slot, state, decision, outcome in replayed(controller, tables):
        for uav in range(4):
            row = tables[slot, uav]
            for name in ('ratio', 'power_w', 'cpu_hz', 'start_s'):
                expected = getattr(decision, name)[0, uav]
                assert row[name] == pytest.approx(expected, rel=1e-5, abs=1e-6), (slot, uav, name)
            assert row['upload_s'] == pytest.approx(state.upload_s[0, uav], rel=1e-6, abs=1e-9)
            for name in TIMES:
                expected = getattr(outcome, name)[0, uav]
                if name == 'transmit_s' and not row['frames_offloaded']:
                    continue  # nothing was sent
                assert row[name] == pytest.approx(expected, rel=1e-5, abs=1e-6), (slot, uav, name)
            for name in ENERGIES:
                expected = getattr(outcome, name)[0, uav]
                assert row[name] == pytest.approx(expected, rel=1e-5, abs=1e-3), (slot, uav, name)
            files = 20  # every file of a slot is rounded to whole bytes
            for name in ('collected_bit', 'uploaded_bit'):
                expected = getattr(outcome, name)[0, uav]
                assert row[name] == pytest.approx(expected, rel=1e-5, abs=files * byte_bit), (
                    slot, uav, name,
                )  # fmt: skip
            offloaded += row['ratio'] > 0
    assert offloaded > 10
    assert run.table('deliveries')
