"""What Qi et al., IEEE Internet Things J. 2025, section VI states in numbers.

The figures are not at hand, so these are all there are.
"""

from __future__ import annotations

from typing import NamedTuple

from sec_nodes.experiments.maritime.plans import GENETIC, HALF, HALF_LITERAL, JCORM, SCA
from sec_nodes.experiments.rows import MEAN, Exhibit

PAPER = 'Qi et al., *IEEE Internet Things J.* 12(24), 2025, arXiv 2510.20443'


class Number(NamedTuple):
    """A printed number."""

    figure: Exhibit
    mode: str
    player: str
    x: float | None
    quantity: str
    relation: str
    """`mean`, or a difference in percent, see `tables`."""
    value: float


NUMBERS = (
    Number(4, 'base', JCORM, 10, 'utility_mbit', f'above {SCA}', 0.7),
    Number(4, 'base', JCORM, 10, 'utility_mbit', f'above {GENETIC}', 8.9),
    Number(4, 'base', JCORM, 10, 'utility_mbit', f'above {HALF}', 41.5),
    Number(4, 'base', JCORM, 10, 'utility_mbit', f'above {HALF_LITERAL}', 41.5),
    Number('table2', 'base', JCORM, None, 'experiment_s', MEAN, 0.16),
    Number('table2', 'base', SCA, None, 'experiment_s', MEAN, 318.21),
    Number('table2', 'base', SCA, None, 'experiment_s', f'times {JCORM}', 318.21 / 0.16),
    Number(5, 'base', JCORM, 5, 'delay_s', f'above {SCA}', -29.6),
    Number(5, 'base', JCORM, 5, 'delay_s', f'above {GENETIC}', -49.9),
    Number(5, 'base', JCORM, 5, 'delay_s', f'above {HALF}', -54.9),
    Number(5, 'base', JCORM, 5, 'delay_s', f'above {HALF_LITERAL}', -54.9),
    Number(6, '1 GB free of 1.5 GB', JCORM, 40, 'utility_mbit', 'above previous', 4.9),
    Number(6, '0.5 GB free of 1.5 GB', JCORM, 40, 'utility_mbit', 'above previous', 24.9),
)
"""ATSM has two readings, so its numbers stand twice. The second number about Fig. 6 is printed for
0.5 GB free, without the size of the storage; the sentence before it is about 1.5 GB."""


def _without_budget(name: str) -> str:
    before, found, _ = name.partition(f'{GENETIC} ')
    return f'{before}{GENETIC}' if found else name


def number(
    figure: Exhibit, mode: str, player: str, x: float | None, quantity: str, relation: str
) -> float | None:
    """The printed number of this kind, None if there is none; budgets were not printed."""
    player, relation = _without_budget(player), _without_budget(relation)
    for printed in NUMBERS:
        if printed[:6] == (figure, mode, player, x, quantity, relation):
            return printed.value
    return None
