"""Learning curves of Fig. 3: what exploring policies came to while they learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sec_nodes.experiments.robust.figures import Point
from sec_nodes.experiments.robust.trials import TrialStore
from sec_nodes.slot import FloatArray

NEAR = 0.05
"""How far below its final return, as a share of it, a curve has arrived."""
_ROWS_OF_A_CURVE = 8
"""Fewer tell nothing of where a curve is going."""
_SMOOTH = 3
"""Rows that are averaged before a curve is asked where it has got to."""


@dataclass(frozen=True)
class CurveRow:
    """A stretch of the trainings of a point."""

    mode: str
    player: str
    steps: int
    """Slots at its end."""
    runs: int
    updates: float
    """Gradient steps, mean over the runs, as the following."""
    cpu_s: float
    value: float
    """Return of an episode if all of its slots were like these."""
    low: float
    """Of the worst run."""
    high: float
    """Of the best run."""
    cost_mj: float
    completion_percent: float


def curve_rows(points: Sequence[Point], store: TrialStore, horizon: int) -> list[CurveRow]:
    """Curves of all that is trained; `horizon` slots are an episode."""
    rows = []
    for point in points:
        curves = [store.curve(training) for training in point.trainings]
        length = min((len(curve.get('steps', ())) for curve in curves), default=0)
        for place in range(length):
            at = {name: np.array([curve[name][place] for curve in curves]) for name in curves[0]}
            value = horizon * at['reward']
            rows.append(
                CurveRow(
                    mode=point.mode,
                    player=point.player,
                    steps=int(at['steps'][0]),
                    runs=len(curves),
                    updates=float(at['updates'].mean()),
                    cpu_s=float(at['cpu_s'].mean()),
                    value=float(value.mean()),
                    low=float(value.min()),
                    high=float(value.max()),
                    cost_mj=1e3 * float(at['cost'].mean()),
                    completion_percent=100.0 * (1.0 - float(at['late_share'].mean())),
                )
            )
    return rows


def steps_to_arrive(steps: FloatArray, value: FloatArray) -> float | None:
    """After how many slots a curve is within `NEAR` of its final return; None if too short.

    Returns are means of three rows each. A curve that ends worse than it begins is there at once.
    """
    if len(value) < _ROWS_OF_A_CURVE:
        return None
    smooth = _smoothed(value)
    arrived = smooth >= smooth[-1] - NEAR * abs(smooth[-1])
    return float(steps[np.argmax(arrived)])


def dip(value: FloatArray) -> float | None:
    """How far the first half falls below its first row, in percent of that; None if too short."""
    if len(value) < _ROWS_OF_A_CURVE:
        return None
    return float(100 * (value[0] - value[: len(value) // 2].min()) / abs(value[0]))


def _smoothed(value: FloatArray) -> FloatArray:
    """Means of each row and those before it."""
    total = np.cumsum(np.concatenate([np.full(_SMOOTH, value[0]), value]))
    smooth: FloatArray = (total[_SMOOTH:] - total[:-_SMOOTH]) / _SMOOTH
    return smooth
