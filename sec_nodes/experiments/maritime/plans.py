"""How much is done: numbers of experiments, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

JCORM, LITERAL, LITERAL_HALF = 'jcorm', 'jcorm_literal', 'jcorm_literal_half'
SCA, GENETIC = 'sca', 'genetic'
HALF, HALF_LITERAL, LOCAL = 'half_slot', 'half_slot_literal', 'no_offloading'
BOUND = 'bound'
"""Not a player: what no decision could have beaten in the slots that `jcorm` met."""
COMPARED = (JCORM, LITERAL, LITERAL_HALF, SCA, GENETIC, HALF, HALF_LITERAL, LOCAL)
"""Players of the figures that compare algorithms; the paper has JCORM, SCA, HA and ATSM. With
`genetic` goes its budget, population x generations: `genetic 50x80`."""


def kind(player: str) -> str:
    """A player without its budget."""
    return player.partition(' ')[0]


@dataclass(frozen=True)
class Plan:
    """What `sec reproduce maritime` spends."""

    name: str
    episodes: int
    """Experiments at each place of a figure; the same ones for everybody."""
    sca_episodes: int
    """Of them those that `sca` plays."""
    genetic_episodes: int
    """Of them those that `genetic` plays, for each budget."""
    bound_episodes: int
    """Of them those in which the bound is computed."""
    budget: str
    """Of `genetic`: population x generations in a slot."""
    other_budgets: tuple[str, ...]
    """Those that it is tried with in Fig. 4 besides."""
    timed: int
    """Experiments that are timed, one by one."""
    batch: int
    """Experiments that are timed together."""

    def episodes_of(self, player: str) -> int:
        """How many experiments a player plays."""
        few = {SCA: self.sca_episodes, GENETIC: self.genetic_episodes}
        return few.get(kind(player), self.episodes)

    def players(self, names: Sequence[str], all_budgets: bool = False) -> list[str]:
        """Players with the budgets that `genetic` is given."""
        budgets = (self.budget, *(self.other_budgets if all_budgets else ()))
        searches = [f'{GENETIC} {budget}' for budget in budgets]
        return [each for name in names for each in (searches if name == GENETIC else [name])]


QUICK = Plan(
    'quick',
    episodes=64,
    sca_episodes=8,
    genetic_episodes=2,
    bound_episodes=4,
    budget='50x80',
    other_budgets=('30x50', '60x100', '100x200'),
    timed=4,
    batch=256,
)
"""Within six minutes on one core."""

FULL = Plan(
    'full',
    episodes=256,
    sca_episodes=32,
    genetic_episodes=2,
    bound_episodes=8,
    budget='100x200',
    other_budgets=('30x50', '50x80'),
    timed=3,
    batch=256,
)
"""Within twenty."""

PLANS = {plan.name: plan for plan in (QUICK, FULL)}
