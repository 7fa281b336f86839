"""What Yan et al., Drones 2025, 9, 500, section 5.2 states in words or numbers.

The figures themselves give no values in print, so these are all there are.
"""

from __future__ import annotations

from typing import NamedTuple

PAPER = 'Yan et al., *Drones* 2025, 9, 500'


class Number(NamedTuple):
    """A printed number about a figure."""

    figure: int
    player: str
    """Whose it is, in our names."""
    x: float | None
    """Point of the sweep."""
    quantity: str
    relation: str
    """`mean`, or a difference in percent, see `tables`."""
    value: float


NUMBERS = (
    Number(7, 'ad_sac_flat', 0.3, 'latency_s', 'mean', 1.41),
    Number(7, 'ad_sac_flat', 0.7, 'latency_s', 'mean', 2.19),
    Number(7, 'ad_sac_flat', 0.7, 'latency_s', 'above first', 55.3),
    Number(7, 'ad_sac_flat', 0.3, 'energy_j', 'mean', 377.0),
    Number(7, 'ad_sac_flat', 0.7, 'energy_j', 'mean', 782.0),
    Number(7, 'ad_sac_flat', 0.7, 'energy_j', 'above first', 107.4),
    Number(8, 'ad_sac_d', None, 'latency_s', 'above ad_sac_flat', 7.4),
    Number(8, 'ad_sac_d', None, 'energy_j', 'above ad_sac_flat', 24.3),
    Number(8, 'ad_sac_c', None, 'latency_s', 'above ad_sac_flat', 11.7),
    Number(8, 'ad_sac_c', None, 'energy_j', 'above ad_sac_flat', 13.5),
)
"""Fig. 8's energy of AD-SAC-C is printed as "better energy efficiency 13.5% increase": the sign is
not clear, the number stands here as an increase."""

LOWER_REWARD_PERCENT = (5.7, 13.4)
"""Fig. 3: "Hybrid-PPO, DDPG, D3QN, and PPO obtain approximately 5.7-13.4% lower reward"."""


def number(
    figure: int, player: str, x: float | None, quantity: str, relation: str
) -> float | None:
    """The printed number of this kind, None if there is none."""
    for printed in NUMBERS:
        if printed[:5] == (figure, player, x, quantity, relation):
            return printed.value
    return None
