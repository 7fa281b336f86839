"""Who flies, and how much is done, as data."""

from __future__ import annotations

from dataclasses import dataclass

OP, SINGLE = 'sca_bcd', 'sca_bcd_single'
BL, TSP, TSP_HOVER, BINARY = 'ellipse', 'tsp', 'tsp_hover', 'binary'
START = 'ellipse, best association'
"""Not a controller: where Algorithm 1 begins, with exact association and best speeds."""
SCHEMES = (BL, TSP, TSP_HOVER, SINGLE, OP)
"""Who is compared; the paper has BL, TSP, described in two ways, and OP, our `sca_bcd_single`."""

BASE, AGILE, FREE, TIGHT, RANDOM = 'base', 'agile', 'free_split', 'tight', 'random'
"""Modes of the scenario; `base` is the frozen instance as it stands."""


@dataclass(frozen=True)
class Plan:
    """What `sec reproduce partial` spends."""

    name: str
    episodes: int
    """Drawn instances of `tight`, the same ones for everybody."""
    slots: tuple[int, ...]
    """Lengths of the mission in Fig. 6, in slots."""
    weights: tuple[float, ...]
    """beta in Fig. 7; the ends are planned on drawn instances as well."""
    certified: int
    """Drawn instances for which the certificates are computed."""


QUICK = Plan(
    'quick',
    episodes=20,
    slots=(38, 40, 41, 42, 44, 47, 50),
    weights=(0.1, 1.0, 10.0, 100.0, 1000.0),
    certified=2000,
)
"""Within five minutes on one core."""

FULL = Plan(
    'full',
    episodes=100,
    slots=tuple(range(36, 51)),
    weights=(0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0),
    certified=2000,
)
"""Within half an hour."""

PLANS = {plan.name: plan for plan in (QUICK, FULL)}
