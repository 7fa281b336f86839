"""Places of figures: who plays there, and what came of it as lines of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic

import numpy as np

from sec_nodes.experiments.rows import Exhibit, Row
from sec_nodes.experiments.statistics import Interval
from sec_nodes.experiments.trainings import PlayStore, PlayT, Training, needs
from sec_nodes.slot import FloatArray


@dataclass(frozen=True)
class Point(Generic[PlayT]):
    """A player at one place of a figure."""

    mode: str
    x: float | None
    """Where in the sweep; None without one."""
    player: str
    """Its name, with what else tells it from others."""
    plays: tuple[PlayT, ...]
    """One for each training; one only of what is not trained."""

    @property
    def trainings(self) -> tuple[Training, ...]:
        """What it needs."""
        return tuple(training for training in map(needs, self.plays) if training is not None)


@dataclass(frozen=True)
class Played(Generic[PlayT]):
    """What a point came to."""

    point: Point[PlayT]
    figures: dict[str, FloatArray]
    """(R, E) of each run and episode, by quantity."""

    @property
    def runs(self) -> int:
        """R."""
        return len(self.point.plays)

    @property
    def episodes(self) -> int:
        """E."""
        return next(iter(self.figures.values())).shape[1]

    def row(
        self,
        figure: Exhibit,
        quantity: str,
        relation: str,
        found: Interval,
        published: float | None = None,
    ) -> Row:
        """A line of a table."""
        point = self.point
        return Row(
            figure=figure,
            mode=point.mode,
            x=point.x,
            player=point.player,
            runs=self.runs,
            episodes=self.episodes,
            quantity=quantity,
            relation=relation,
            value=found.value,
            low=found.low,
            high=found.high,
            published=published,
        )


def played(
    points: Iterable[Point[PlayT]], store: PlayStore[PlayT], quantities: Iterable[str]
) -> list[Played[PlayT]]:
    """Results of points."""
    names, results = tuple(quantities), []
    for point in points:
        runs = [store.figures(play) for play in point.plays]
        figures = {name: np.stack([run[name] for run in runs]) for name in names}
        results.append(Played(point, figures))
    return results
