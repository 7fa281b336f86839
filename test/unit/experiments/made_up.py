"""Results that are made up, for tests of tables, claims and pages only."""

from dataclasses import replace

import numpy as np

from sec_nodes.experiments.mllm.figures import FIGURES
from sec_nodes.experiments.mllm.plans import QUICK
from sec_nodes.experiments.mllm.tables import QUANTITIES
from sec_nodes.experiments.rows import MEAN, Row

PLAN = replace(QUICK, name='made-up', steps=100, seeds=2, episodes=4, optimum_episodes=2,
               sweep_optimum_episodes=2)  # fmt: skip
LEVEL = {
    'masked_random': 80.0,
    'greedy': 29.0,
    'myopic': 28.0,
    'optimum': 27.0,
    'ad_sac': 28.5,
    'ad_sac_flat': 30.0,
    'ppo': 33.0,
    'hybrid_ppo': 32.0,
    'd3qn': 34.0,
    'ddpg': 35.0,
    'ad_sac_d': 31.0,
    'ad_sac_c': 36.0,
}
WORLD = np.array([1.0, 1.2, 0.9, 1.1])
"""How hard the four episodes are."""


class MadeUpStore:
    """Answers as `sec_nodes.experiments.jobs.Store` does: cost is the player's level times how
    hard the episode is, run s is s hundredths above, and there are twenty rows in a curve."""

    def figures(self, play):
        name = play.player if isinstance(play.player, str) else play.player.algorithm
        run = 0 if isinstance(play.player, str) else play.player.seed
        cost = LEVEL[name] * (1 + run / 100) * WORLD[: play.episodes]
        figures = {quantity: cost.copy() for quantity in QUANTITIES}
        figures['reward'] = 1000 / cost
        figures['violations'] = np.zeros(play.episodes)
        return figures

    def curve(self, training):
        place = np.arange(1, 21)
        cost = LEVEL[training.algorithm] * (1 + 1 / place) * (1 + training.seed / 100)
        return {'steps': 10.0 * place, 'cost': cost, 'latency_s': cost, 'energy_j': cost}

    def summary(self, training):
        return {'steps': 100, 'updates': 50, 'cpu_s': 4.0}

    def cpu_s(self, play):
        return 2.0


def made_up_row(figure=3, player='ppo', value=1.0, low=None, high=None, **changes):
    """One line of a table."""
    row = Row(
        figure=figure,
        mode='paper',
        x=None,
        player=player,
        runs=2,
        episodes=4,
        quantity='cost',
        relation=MEAN,
        value=value,
        low=value - 0.1 if low is None else low,
        high=value + 0.1 if high is None else high,
        published=None,
    )
    return replace(row, **changes)


def points(number):
    return FIGURES[number].points(PLAN)
