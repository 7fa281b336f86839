"""Collects the lines of a figure's table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sec_nodes.experiments.partial.measures import of_mission
from sec_nodes.experiments.partial.missions import Flown, Mission
from sec_nodes.experiments.partial.plans import BASE
from sec_nodes.experiments.rows import MEAN, Exhibit, Row
from sec_nodes.experiments.statistics import Interval, mean_interval, paired_percent


class Lines:
    """Collects the rows of a figure."""

    def __init__(self, figure: Exhibit) -> None:
        self.figure = figure
        self.rows: list[Row] = []

    def add(
        self,
        player: str,
        quantity: str,
        found: Interval | float | np.generic,
        relation: str = MEAN,
        mode: str = BASE,
        x: float | None = None,
        episodes: int = 1,
        published: float | None = None,
    ) -> None:
        """One line; a plain number has no interval."""
        value, low, high = found if isinstance(found, Interval) else (float(found),) * 3
        row = Row(
            self.figure, mode, x, player, 1, episodes, quantity, relation, value, low, high,
            published,
        )  # fmt: skip
        self.rows.append(row)

    def missions(
        self,
        mission: Mission,
        flown: Sequence[Flown],
        quantities: Iterable[str],
        x: float | None = None,
        mode: str | None = None,
    ) -> None:
        """Means over instances."""
        every = [of_mission(one) for one in flown]
        for quantity in quantities:
            value = np.array([[one[quantity] for one in every]])
            exact = len(flown) == 1
            found = float(value[0, 0]) if exact else mean_interval(value)
            where = mission.mode if mode is None else mode
            self.add(mission.player, quantity, found, mode=where, x=x, episodes=len(flown))

    def compared(
        self,
        player: str,
        relation: str,
        ours: Sequence[Flown],
        theirs: Sequence[Flown],
        quantities: Iterable[str],
        mode: str,
        x: float | None = None,
    ) -> None:
        """By how many percent ours is above theirs on the same instances."""
        for quantity in quantities:
            pair = [[of_mission(one)[quantity] for one in side] for side in (ours, theirs)]
            found = _percent(*pair)
            self.add(player, quantity, found, relation, mode, x, len(ours))


def _percent(ours: Sequence[float], theirs: Sequence[float]) -> Interval | float:
    """By how many percent ours is above theirs; of one instance an exact number."""
    found = paired_percent(np.array([ours]), np.array([theirs]))
    return found if len(ours) > 1 else found.value
