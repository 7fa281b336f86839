"""How trained policies are compared: few training runs, many episodes, intervals on everything.

Scores and their intervals follow Agarwal et al., "Deep reinforcement learning at the edge of the
statistical precipice", NeurIPS 2021: interquartile means, bootstrap stratified by task,
probability of improvement, performance profiles. Costs of a policy are (runs R, episodes E); a
controller that is not trained has one run. Episodes are the same ones for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sec_nodes.slot import FloatArray, IntArray

LEVEL = 0.95
"""Confidence of every interval."""
DRAWS = 2000
"""Resamples behind an interval."""
_SEED = 20250716
_OURS, _THEIRS, _EPISODES = range(3)
"""What is drawn independently of each other."""


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
    return float(_middle(np.concatenate(list(scores))[None])[0])


def interquartile_interval(scores: Scores, draws: int = DRAWS) -> Interval:
    """Interquartile mean with its stratified bootstrap interval: runs are drawn within tasks."""
    drawn = [_redrawn(task, draws, number) for number, task in enumerate(scores)]
    return _ends(interquartile_mean(scores), _middle(np.concatenate(drawn, axis=1)))


def probability_of_improvement(ours: Scores, theirs: Scores) -> float:
    """How likely a run of ours beats a run of theirs, mean over tasks; a draw counts half."""
    pairs = zip(ours, theirs, strict=True)
    return float(np.mean([_beats(a[None], b[None])[0] for a, b in pairs]))


def improvement_interval(ours: Scores, theirs: Scores, draws: int = DRAWS) -> Interval:
    """`probability_of_improvement` with its stratified bootstrap interval."""
    tasks = len(ours)
    drawn = [
        _beats(_redrawn(a, draws, number), _redrawn(b, draws, tasks + number))
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True))
    ]
    return _ends(probability_of_improvement(ours, theirs), np.mean(drawn, axis=0))


def performance_profile(scores: Scores, levels: FloatArray) -> FloatArray:
    """(L,) share of runs whose score is above each level, mean over all runs and tasks."""
    every = np.concatenate(list(scores))
    share: FloatArray = (every[None, :] > levels[:, None]).mean(axis=1)
    return share


def mean_interval(cost: FloatArray, draws: int = DRAWS) -> Interval:
    """Mean of costs (R, E), NaN left out, resampled by runs and episodes."""
    runs, episodes = cost.shape
    drawn = _means(cost, _counts(runs, draws, _OURS), _counts(episodes, draws, _EPISODES))
    return _ends(_mean(cost), drawn)


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
    now, drawn_ours, drawn_theirs = _paired(ours, theirs, draws)
    base = _mean(theirs)
    with np.errstate(divide='ignore', invalid='ignore'):
        drawn = 100 * (drawn_ours - drawn_theirs) / np.abs(drawn_theirs)
    return _ends(100 * (now - base) / abs(base) if base else np.nan, drawn)


def scaled_mean(
    ours: FloatArray, theirs: FloatArray, theirs_everywhere: FloatArray, draws: int = DRAWS
) -> Interval:
    """Mean that ours would have on more episodes than it played: the ratio estimator.

    Episodes differ far more than players do, so the ratio to someone who played all is known
    better than a mean over few.

    Args:
        ours: positive costs (R, E) on the first E episodes.
        theirs: positive costs (Q, E) on the same ones.
        theirs_everywhere: costs (Q, F) on all F.
        draws: number of resamples.
    """
    now, drawn_ours, drawn_theirs = _paired(ours, theirs, draws)
    everywhere = mean_interval(theirs_everywhere, draws).value
    return _ends(everywhere * now / _mean(theirs), everywhere * drawn_ours / drawn_theirs)


def _paired(
    ours: FloatArray, theirs: FloatArray, draws: int
) -> tuple[float, FloatArray, FloatArray]:
    """Mean of ours, and resampled means (draws,) of both with the same episodes."""
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(
            f'{ours.shape[1]} and {theirs.shape[1]} episodes cannot be paired; '
            'evaluate both on the same ones'
        )
    episodes = _counts(ours.shape[1], draws, _EPISODES)
    drawn_ours = _means(ours, _counts(len(ours), draws, _OURS), episodes)
    return _mean(ours), drawn_ours, _means(theirs, _counts(len(theirs), draws, _THEIRS), episodes)


@lru_cache(maxsize=64)
def _counts(size: int, draws: int, stream: int) -> IntArray:
    """(draws, size) how often each of so many is drawn, with replacement; others a stream."""
    rng = np.random.default_rng((_SEED, stream))
    counts: IntArray = rng.multinomial(size, np.full(size, 1 / size), size=draws)
    counts.setflags(write=False)
    return counts


def _means(cost: FloatArray, runs: IntArray, episodes: IntArray) -> FloatArray:
    """(draws,) means of costs (R, E) with runs and episodes counted that often."""
    known = np.isfinite(cost)
    total = ((episodes @ np.where(known, cost, 0.0).T) * runs).sum(axis=1)
    count = ((episodes @ known.astype(float).T) * runs).sum(axis=1)
    means: FloatArray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return means


def _mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _redrawn(values: FloatArray, draws: int, stream: int) -> FloatArray:
    """(draws, R) values drawn with replacement."""
    rng = np.random.default_rng((_SEED, stream))
    drawn: FloatArray = values[rng.integers(len(values), size=(draws, len(values)))]
    return drawn


def _middle(scores: FloatArray) -> FloatArray:
    """(draws,) means of the middle half of scores (draws, n)."""
    cut = int(0.25 * scores.shape[1])
    means: FloatArray = np.sort(scores, axis=1)[:, cut : scores.shape[1] - cut].mean(axis=1)
    return means


def _beats(ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """(draws,) share of pairs of ours (draws, R) and theirs (draws, Q) that ours wins."""
    sign = np.sign(ours[:, :, None] - theirs[:, None, :])
    share: FloatArray = ((sign + 1) / 2).mean(axis=(1, 2))
    return share


def _ends(value: float, drawn: FloatArray) -> Interval:
    """The interval that holds the middle of what was drawn."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Interval(value, np.nan, np.nan)
    low, high = np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(value, float(low), float(high))
