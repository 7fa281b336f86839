"""Results of maritime that are made up, for tests of tables, claims and pages only."""

from dataclasses import replace

import numpy as np
from made_up import made_up_row as a_row

from sec_nodes.experiments.maritime.games import BOUND_MBIT, Race, batched
from sec_nodes.experiments.maritime.plans import QUICK, kind

PLAN = replace(
    QUICK,
    name='made-up',
    episodes=4,
    sca_episodes=2,
    genetic_episodes=1,
    bound_episodes=2,
    budget='10x20',
    other_budgets=('10x10',),
    timed=2,
    batch=8,
)
LEVEL = {
    'jcorm': 600.0,
    'jcorm_literal': 580.0,
    'jcorm_literal_half': 470.0,
    'sca': 600.0,
    'genetic': 550.0,
    'half_slot': 400.0,
    'half_slot_literal': 390.0,
    'no_offloading': 480.0,
}
"""Utility of a slot [Mbit]."""
WORLD = np.array([1.0, 1.2, 0.9, 1.1])
"""How easy the four experiments are."""
SLOTS = 10
SECONDS = {'jcorm': 0.02, 'jcorm_literal': 0.01, 'sca': 4.0, 'genetic': 8.0}


class MadeUpGames:
    """Answers as `GameStore` does: a slot is worth the player's level times how easy the
    experiment is, changed settings add a percent each; half slots are late with a tenth."""

    def found(self, job):
        if isinstance(job, Race):
            times = {
                name: SECONDS[kind(name)] * np.array([1.0, 1.5][: job.experiments])
                for name in job.players
            }
            return {**times, batched(job.batched, job.batch): np.array([0.001])}
        easy = WORLD[: job.episodes] * (1 + len(job.overrides) / 100)
        utility = np.outer(np.ones(SLOTS), LEVEL[kind(job.player)] * easy)
        tasks = np.full(utility.shape, 10.0)
        figures = {
            'utility_mbit': utility,
            'delivered_mbit': utility + 5,
            'energy_j': utility / 100,
            'delay_s': 6000 * tasks / utility / 10,
            'tasks': tasks,
            'late': tasks / 10 if job.player == 'half_slot' else 0 * tasks,
            'early': 0 * tasks,
            'batch_mbit': tasks,
            'offloaded_mbit': 0.4 * tasks,
        }
        return figures | ({BOUND_MBIT: 1.001 * utility} if job.certify else {})

    def cpu_s(self, job):
        return 2.0


def made_up_row(figure, player='jcorm', value=1.0, low=None, high=None, **changes):
    """One line of a table."""
    own = {'mode': 'base', 'runs': 1, 'quantity': 'utility_mbit'}
    return a_row(figure, player, value, low, high, **(own | changes))
