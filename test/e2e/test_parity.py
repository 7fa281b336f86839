"""One controller, two places: the ROS graph in lockstep and the bare scenario agree."""

from __future__ import annotations

import pytest
from replay import Replay

SLOTS, SEED = 20, 11
# resending after a loss is the coordinator's business; slow servers make queues that last
CHANGES = {'radio.loss': 0.0, 'uavs.flop_s': 1e8, 'satellites.flop_s': 5e8}


@pytest.mark.parametrize('controller', ['greedy', 'nearest_uav'])
def test_every_task_takes_the_time_and_energy_that_the_scenario_says(start, controller):
    options = [part for key, value in CHANGES.items() for part in ('--set', f'{key}={value}')]
    run = start(
        'laptop',
        '--speed', 0, '--slots', SLOTS, '--seed', SEED, '--controller', controller, *options,
    )  # fmt: skip
    assert run.finish() == 0, run.output
    replay = Replay(CHANGES, controller, SEED)
    expected = {}
    for slot in range(SLOTS):
        expected |= replay.slot(slot)
    answered = {int(row['task_id']): row for row in run.table('outcomes') if row['answer']}
    assert answered.keys() == expected.keys()
    waited = 0
    for task_id, row in answered.items():
        latency_s, energy_j, server, split = expected[task_id]
        assert (int(row['server']), int(row['split'])) == (server, split)
        assert int(row['attempts']) == 1
        # the table is written with nine digits
        assert float(row['latency_s']) == pytest.approx(latency_s, rel=2e-8, abs=1e-9)
        parts = [
            float(row[f'energy_{part}_j']) for part in ('front', 'upload', 'back', 'download')
        ]
        assert sum(parts) == pytest.approx(energy_j, rel=2e-8)
        waited += float(row['timing_wait_s']) > 0
    # greedy avoids queues, the other does not know of them
    assert controller == 'greedy' or waited > 5, 'no queue was put to the test'
