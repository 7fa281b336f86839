"""Learning curves of Figs 3 and 4: what exploring policies came to while they learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sec_nodes.experiments.jobs import Store
from sec_nodes.experiments.mllm.figures import Point


@dataclass(frozen=True)
class CurveRow:
    """A stretch of the trainings of a point."""

    mode: str
    x: float | None
    player: str
    steps: int
    """Slots at its end."""
    runs: int
    cost: float
    """Mean over the runs, as the following."""
    cost_low: float
    """Of the best run."""
    cost_high: float
    """Of the worst run."""
    latency_s: float
    energy_j: float


def curve_rows(points: Sequence[Point], store: Store) -> list[CurveRow]:
    """Curves of all that is trained."""
    rows = []
    for point in points:
        curves = [store.curve(training) for training in point.trainings]
        length = min((len(curve.get('steps', ())) for curve in curves), default=0)
        for place in range(length):
            cost, latency_s, energy_j = (
                np.array([curve[name][place] for curve in curves])
                for name in ('cost', 'latency_s', 'energy_j')
            )
            rows.append(
                CurveRow(
                    mode=point.mode,
                    x=point.x,
                    player=point.player,
                    steps=int(curves[0]['steps'][place]),
                    runs=len(curves),
                    cost=float(cost.mean()),
                    cost_low=float(cost.min()),
                    cost_high=float(cost.max()),
                    latency_s=float(latency_s.mean()),
                    energy_j=float(energy_j.mean()),
                )
            )
    return rows
