"""Trials that nobody played, for tests of tables, claims and pages of robust only."""

from dataclasses import replace

import numpy as np
from made_up import made_up_row as a_row

from sec_nodes.experiments.robust.plans import FEASIBLE, PAPER, QUICK, Budget
from sec_nodes.experiments.robust.trials import QUANTITIES

PLAN = replace(
    QUICK,
    name='made-up',
    budgets=(
        Budget('sac_per', FEASIBLE, 2, 4000),
        Budget('sac', FEASIBLE, 2, 4000),
        Budget('redq', FEASIBLE, 1, 2000),
        Budget('sac_per, flat', FEASIBLE, 1, 2000),
        Budget('sac, flat', FEASIBLE, 1, 2000),
        Budget('sac_per', PAPER, 1, 2000),
    ),
    episodes=4,
    slow_episodes=4,
    drills=4,
    users=(4, 10),
    slow_users=(4, 10),
    uavs=(2, 3),
    failure_slots=(2, 60),
    progress=(0.0, 0.5),
    reserves_s=(0.0, 0.5),
    weights=(1e-3, 1.0, 4.0),
)
LEVEL = {
    'optimum': 20.0,
    'nearest_uav': 21.0,
    'sac_per': 22.0,
    'sac': 24.0,
    'redq': 26.0,
    'offload_all': 30.0,
    'random_feasible': 33.0,
    'local_only': 35.0,
    'random': 40.0,
}
WORLD = np.array([1.0, 1.2, 0.9, 1.1])
"""How hard the four episodes are."""
KEPT_PERCENT, NEW_PERCENT, RELAY_PERCENT = 80.0, 99.0, 100.0


class MadeUpTrials:
    """Answers as `TrialStore` does: energies are the player's level times how hard the episode
    is, run s is s hundredths above; completion follows from what is done about failures."""

    def figures(self, trial):
        name, run = (
            (trial.player, 0)
            if isinstance(trial.player, str)
            else (trial.player.algorithm, trial.player.seed)
        )
        energy = LEVEL[name] * (1 + run / 100) * WORLD[: trial.episodes]
        figures = {quantity: energy.copy() for quantity in QUANTITIES}
        figures['return'] = -60 * energy
        relays = dict(trial.overrides).get('failures.migration', 'relay') == 'relay'
        percent = RELAY_PERCENT if relays else NEW_PERCENT
        figures['completion_percent'] = np.full(
            trial.episodes, KEPT_PERCENT if trial.association_kept else percent
        )
        figures['rescued_percent'] = np.full(trial.episodes, 100.0 if relays else 0.0)
        figures['whole_percent'] = np.full(trial.episodes, 100.0)
        figures['broken'] = np.zeros(trial.episodes)
        return figures

    def cpu_s(self, trial):
        return 2.0

    def curve(self, training):
        place = np.arange(1, 21)
        cost = LEVEL[training.algorithm] * (1 + 1 / place) * (1 + training.seed / 100)
        return {
            'steps': 200.0 * place,
            'updates': 50.0 * place,
            'cpu_s': 3.0 * place,
            'reward': -cost,
            'cost': cost / 1e3,
            'late_share': 1 / (1 + place),
        }

    def summary(self, training):
        return {'steps': training.steps, 'updates': 50, 'cpu_s': 4.0}


def made_up_row(figure, player='sac_per', value=1.0, low=None, high=None, **changes):
    """One line of a table; without ends it is exact."""
    own = {'mode': FEASIBLE, 'runs': 1, 'episodes': 4, 'quantity': 'cost_mj'}
    ends = (value if low is None else low, value if high is None else high)
    return a_row(figure, player, value, *ends, **(own | changes))
