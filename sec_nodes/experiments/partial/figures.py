"""Figs 3 to 7, and what is said of Algorithm 1, as missions that are planned."""

from __future__ import annotations

from collections.abc import Sequence

from sec_nodes.experiments.partial.missions import Census, Job, Mission
from sec_nodes.experiments.partial.plans import (
    AGILE,
    BASE,
    BINARY,
    FREE,
    OP,
    RANDOM,
    SCHEMES,
    SINGLE,
    START,
    TIGHT,
    Plan,
)
from sec_nodes.experiments.rows import Exhibit

ALGORITHM = 'algorithm1'
TITLES: dict[Exhibit, str] = {
    3: 'Trajectories',
    4: 'Allocated computing and uplink rates',
    5: 'Service and propulsion energy',
    6: 'Partial against full offloading',
    7: 'Weight of the service energy',
    ALGORITHM: 'Convergence and running time',
}
"""In the order of the page."""
FREE_CUTS = (('tasks.split', 'free'),)


def frozen(mode: str = BASE, players: Sequence[str] = SCHEMES) -> list[Mission]:
    """Everybody on the frozen instance."""
    return [Mission(player, mode) for player in players]


def drawn(plan: Plan, players: Sequence[str] = SCHEMES) -> list[Mission]:
    """Everybody on drawn instances."""
    return [Mission(player, TIGHT, plan.episodes) for player in players]


def lasting(slots: int) -> Mission:
    """Fig. 6: OP in a mission of another length."""
    return Mission(OP, overrides=() if slots == 50 else (('slots', slots),))


def weighted(weight: float, mode: str = BASE, episodes: int = 1) -> Mission:
    """Fig. 7: OP with another beta."""
    overrides = () if weight == 10.0 else (('objective.service_weight', weight),)
    return Mission(OP, mode, episodes, overrides)


def free_cuts(plan: Plan) -> Mission:
    """OP that chooses the cuts of drawn instances."""
    return Mission(OP, TIGHT, plan.episodes, FREE_CUTS)


def ends(plan: Plan) -> list[Mission]:
    """Fig. 7: OP with the smallest and with the largest beta, on drawn instances."""
    return [weighted(plan.weights[place], TIGHT, plan.episodes) for place in (0, -1)]


def jobs(exhibit: Exhibit, plan: Plan) -> list[Job]:
    """Everything that a figure needs."""
    if exhibit in (3, 4, 5):
        agile = frozen(AGILE, (OP,)) if exhibit != 4 else []
        return [*frozen(), *agile, *(drawn(plan) if exhibit != 3 else [])]
    if exhibit == 6:
        lengths = [lasting(slots) for slots in plan.slots]
        cuts = [Mission(BINARY), *frozen(FREE, (OP,)), *drawn(plan, (OP,)), free_cuts(plan)]
        return [*lengths, *cuts, *(Census(mode, plan.certified) for mode in (TIGHT, RANDOM))]
    if exhibit == 7:
        return [*(weighted(weight) for weight in plan.weights), *ends(plan)]
    players = START, SINGLE, OP
    return [*frozen(players=players), *drawn(plan, players)]
