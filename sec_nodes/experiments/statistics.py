"""How trained policies are compared: few training runs, many episodes, intervals on everything.

Scores and their intervals follow Agarwal et al., "Deep reinforcement learning at the edge of the
statistical precipice", NeurIPS 2021: interquartile means, bootstrap stratified by task,
probability of improvement, performance profiles. Costs of a policy are (runs R, episodes E); a
controller that is not trained has one run. Episodes are the same ones for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sec_nodes.slot import FloatArray, IntArray

LEVEL = 0.95
"""Confidence of every interval."""
DRAWS = 2000
"""Resamples behind an interval."""
_SEED = 20250716


class Interval(NamedTuple):
    """An estimate and the ends of its interval; NaN where there is nothing to tell it from."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is positive."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval is negative."""
        return self.high < 0


Scores = Sequence[FloatArray]
"""Scores of the runs of one algorithm, an array (R,) for each task; R may differ."""


def normalised(cost: FloatArray, random_cost: float, best_cost: float) -> FloatArray:
    """Scores with 0 = masked random and 1 = per-slot optimum; above 1 where that is beaten."""
    return (random_cost - cost) / (random_cost - best_cost)


def interquartile_mean(scores: Scores) -> float:
    """Mean of the middle half of all scores: at each end a quarter of them falls off."""
    every = np.sort(np.concatenate(list(scores)))
    cut = int(0.25 * len(every))
    return float(every[cut : len(every) - cut].mean())


def interquartile_interval(scores: Scores, draws: int = DRAWS) -> Interval:
    """Interquartile mean with its stratified bootstrap interval: runs are drawn within tasks."""
    rng = np.random.default_rng(_SEED)

    def once() -> float:
        return interquartile_mean([_redrawn(task, rng) for task in scores])

    return _interval(interquartile_mean(scores), once, draws)


def probability_of_improvement(ours: Scores, theirs: Scores) -> float:
    """How likely a run of ours beats a run of theirs, mean over tasks; a draw counts half."""
    return float(
        np.mean(
            [
                np.mean((np.sign(a[:, None] - b[None, :]) + 1) / 2)
                for a, b in zip(ours, theirs, strict=True)
            ]
        )
    )


def improvement_interval(ours: Scores, theirs: Scores, draws: int = DRAWS) -> Interval:
    """`probability_of_improvement` with its stratified bootstrap interval."""
    rng = np.random.default_rng(_SEED)

    def once() -> float:
        return probability_of_improvement(
            [_redrawn(task, rng) for task in ours], [_redrawn(task, rng) for task in theirs]
        )

    return _interval(probability_of_improvement(ours, theirs), once, draws)


def performance_profile(scores: Scores, levels: FloatArray) -> FloatArray:
    """(L,) share of runs whose score is above each level, mean over all runs and tasks."""
    every = np.concatenate(list(scores))
    share: FloatArray = (every[None, :] > levels[:, None]).mean(axis=1)
    return share


def mean_interval(cost: FloatArray, draws: int = DRAWS) -> Interval:
    """Mean of costs (R, E), NaN left out, resampled by runs and episodes."""
    rng = np.random.default_rng(_SEED)
    return _interval(
        _mean(cost), lambda: _mean(_resampled(cost, rng, _episodes(cost, rng))), draws
    )


def paired_percent(ours: FloatArray, theirs: FloatArray, draws: int = DRAWS) -> Interval:
    """By how many percent of theirs ours is higher, on the same episodes.

    Each resample draws the runs of either side by themselves, and one set of episodes for both:
    worlds are shared, training runs are not.

    Args:
        ours: costs (R, E).
        theirs: costs (Q, E) on the same episodes.
        draws: number of resamples.

    Raises:
        ValueError: not the same number of episodes.
    """
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(
            f'{ours.shape[1]} and {theirs.shape[1]} episodes cannot be paired; '
            'evaluate both on the same ones'
        )
    rng = np.random.default_rng(_SEED)

    def once() -> float:
        episodes = _episodes(ours, rng)
        return _percent(_resampled(ours, rng, episodes), _resampled(theirs, rng, episodes))

    return _interval(_percent(ours, theirs), once, draws)


def _percent(ours: FloatArray, theirs: FloatArray) -> float:
    base = _mean(theirs)
    return 100 * (_mean(ours) - base) / abs(base)


def _mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _redrawn(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    return values[rng.integers(len(values), size=len(values))]


def _episodes(cost: FloatArray, rng: np.random.Generator) -> IntArray:
    count = cost.shape[1]
    return rng.integers(count, size=(count,))


def _resampled(cost: FloatArray, rng: np.random.Generator, episodes: IntArray) -> FloatArray:
    return _redrawn(cost, rng)[:, episodes]


def _interval(value: float, once: Callable[[], float], draws: int) -> Interval:
    """Percentiles of what `once` draws."""
    drawn = [once() for _ in range(draws)]
    low, high = np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(value, float(low), float(high))
