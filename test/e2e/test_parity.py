"""One controller, two places: the ROS graph in lockstep and the bare scenario agree."""

from __future__ import annotations

import numpy as np
import pytest

from sec_nodes.controllers.base import create
from sec_nodes.loop.simulation import FlownSystem
from sec_nodes.scenarios.registry import read_flown
from sec_nodes.slot import DECLINED
from sec_nodes.world import build_world

SLOTS, SEED = 20, 11
# resending after a loss is the coordinator's business; slow servers make queues that last
CHANGES = {'radio.loss': 0.0, 'uavs.flop_s': 1e8, 'satellites.flop_s': 5e8}


def simulated(controller):
    """Latency, energy, server and cut of each task of the run, by its number."""
    system = FlownSystem(build_world(read_flown('survey', CHANGES)))
    decider = create(controller, system.world.scenario, SEED)
    tasks = {}
    state = system.reset(np.array([SEED]))
    for _ in range(SLOTS):
        decision = decider.decide(state.slots[0])
        following, outcome = system.step(state, (decision,))
        for row in np.flatnonzero(decision.server != DECLINED):
            tasks[int(state.slots[0].tasks.task_id[row])] = (
                outcome.outcomes[0].latency_s[row],
                outcome.outcomes[0].energy_j[row],
                int(decision.server[row]),
                int(decision.split[row]),
            )
        state = following
    return tasks


@pytest.mark.parametrize(
    'controller', [pytest.param('greedy', marks=pytest.mark.slow), 'nearest_uav']
)
def test_every_task_takes_the_time_and_energy_that_the_scenario_says(start, controller):
    options = [part for key, value in CHANGES.items() for part in ('--set', f'{key}={value}')]
    run = start(
        'laptop',
        '--speed', 0, '--slots', SLOTS, '--seed', SEED, '--controller', controller, *options,
    )  # fmt: skip
    assert run.finish() == 0, run.output
    expected = simulated(controller)
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
