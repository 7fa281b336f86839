"""Episodes into means with intervals, and differences on common random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from sec_nodes.simulation.run import FIGURES, Trace
from sec_nodes.slot import FloatArray

LEVEL = 0.95
"""Confidence of every interval."""
_ABOUT_ZERO, _ABOUT_ZERO_SHARE = 1e-9, 1e-6
"""Bounds that are no measure of a gap: alone, and as a part of the largest cost or bound."""


class Estimate(NamedTuple):
    """A mean over episodes and half the width of its interval, NaN with one episode."""

    mean: float
    half_width: float


class Row(NamedTuple):
    """One controller in a comparison."""

    controller: str
    figures: dict[str, Estimate]
    """Per slot; `completion` is the share of tasks."""
    gap: Estimate | None
    """Cost above that of the reference on the same episodes [% of the reference's mean]."""
    decide_s: float
    """Mean time to decide one slot of one episode [s; wall time]."""


class Certificate(NamedTuple):
    """How far the reference's cost is above what no decision could beat, slot by slot."""

    mean: float
    """[% of the bound], or in the unit of the cost, see `relative`."""
    largest: float
    """The same."""
    slots: int
    relative: bool = True
    """Whether in percent: not if a bound is so close to 0 that a percentage says nothing."""


def estimate(values: FloatArray) -> Estimate:
    """Mean of independent values (B,) and Student's t interval; what is NaN does not count."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Estimate(np.nan, np.nan)
    if len(known) == 1:
        return Estimate(float(known[0]), np.nan)
    spread = float(known.std(ddof=1)) / np.sqrt(len(known))
    quantile = float(stats.t.ppf(0.5 + LEVEL / 2, len(known) - 1))
    return Estimate(float(known.mean()), quantile * spread)


def per_episode(trace: Trace) -> dict[str, FloatArray]:
    """(B,) means over the slots of each episode; `completion` is completed over all tasks."""
    means = {}
    for name, values in trace.figures.items():
        known = np.isfinite(values)
        count = known.sum(axis=0)
        total = np.where(known, values, 0.0).sum(axis=0)
        means[name] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    tasks = trace.figures['tasks'].sum(axis=0)
    completed = trace.figures['completed'].sum(axis=0)
    means['completion'] = np.where(tasks > 0, completed / np.maximum(tasks, 1), np.nan)
    return means


def compare(
    traces: Sequence[Trace], reference: str | None, prices_failure: bool = True
) -> list[Row]:
    """A row for each controller, cheapest first.

    Those that complete fewer tasks than the reference, by more than a hundredth of all, come
    last: what they save they may save by dropping work.

    Args:
        traces: runs on the same seeds.
        reference: controller that gaps are measured from; None for no gaps.
        prices_failure: whether costs can be compared where completed shares differ; otherwise
            those who complete fewer have no gap.
    """
    by_episode = {trace.controller: per_episode(trace) for trace in traces}
    base = by_episode[reference]['cost'] if reference is not None else None
    shares = {name: estimate(means['completion']).mean for name, means in by_episode.items()}
    enough = shares[reference] - 0.01 if reference is not None else -np.inf
    rows = []
    for trace in traces:
        means = by_episode[trace.controller]
        rows.append(
            Row(
                controller=trace.controller,
                figures={name: estimate(values) for name, values in means.items()},
                gap=None
                if base is None or not (prices_failure or shares[trace.controller] >= enough)
                else _gap(means['cost'], base),
                decide_s=float(trace.decide_s.mean()) / trace.episodes,
            )
        )
    return sorted(
        rows, key=lambda row: (shares[row.controller] < enough, row.figures['cost'].mean)
    )


def certificate(trace: Trace) -> Certificate | None:
    """Distance of a controller's costs from the bounds of the states it was in."""
    if trace.bound is None:
        return None
    cost = trace.figures['cost']
    known = np.isfinite(cost) & np.isfinite(trace.bound)
    if not known.any():
        return None
    cost, size = cost[known], np.abs(trace.bound[known])
    gap = cost - trace.bound[known]
    about_zero = max(_ABOUT_ZERO_SHARE * max(size.max(), np.abs(cost).max()), _ABOUT_ZERO)
    relative = bool(size.min() > about_zero)
    if relative:
        gap = 100 * gap / size
    return Certificate(float(gap.mean()), float(gap.max()), int(gap.size), relative)


def uneven(rows: Sequence[Row]) -> bool:
    """Whether the completed shares differ by more than a hundredth."""
    shares = [row.figures['completion'].mean for row in rows]
    return max(shares) - min(shares) > 0.01


def extra_figures(traces: Sequence[Trace]) -> list[str]:
    """Names of the figures that the scenario adds."""
    return [name for name in traces[0].figures if name not in FIGURES]


def _gap(cost: FloatArray, base: FloatArray) -> Estimate:
    """Paired difference in percent of the mean of the reference."""
    difference = estimate(cost - base)
    scale = 100 / abs(float(np.nanmean(base))) if np.nanmean(base) else np.nan
    return Estimate(difference.mean * scale, difference.half_width * scale)
