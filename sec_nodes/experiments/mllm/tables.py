"""Results into tables: a line for each quantity of each player at each place of a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sec_nodes.experiments import places
from sec_nodes.experiments.jobs import Play, Store
from sec_nodes.experiments.mllm.figures import FLAT, Figure, Point
from sec_nodes.experiments.mllm.plans import (
    LEARNERS,
    OPTIMUM,
    STRUCTURED,
    USUAL_CRITIC_RATE,
    Plan,
)
from sec_nodes.experiments.mllm.published import number
from sec_nodes.experiments.rows import MEAN, Row
from sec_nodes.experiments.statistics import (
    Interval,
    improvement_interval,
    interquartile_interval,
    mean_interval,
    normalised,
    paired_percent,
    performance_profile,
    scaled_mean,
)
from sec_nodes.slot import FloatArray

QUANTITIES = {
    'cost': 'penalised cost',
    'raw_cost': 'cost of eq. (31)',
    'reward': 'reward of eq. (34)',
    'latency_s': 'latency [s]',
    'energy_j': 'energy [J]',
    'completion': 'completed',
    'violations': 'violations',
    'uav_share': 'on UAVs',
}
"""What is reported, per slot; `latency_s` is the mean over the tasks that were served."""
PRICES = ('cost', 'raw_cost', 'reward', 'latency_s', 'energy_j')
"""Positive quantities, of which ratios make sense."""
FLUCTUATION, WHILE_LEARNING = 'fluctuation', 'cost while learning'
"""Of the curves: spread of the cost about its trend in the second half [%], and mean cost. Their
ends are the least and the largest of the runs."""
_ROWS_OF_A_CURVE = 8
"""Fewer tell nothing of fluctuations."""

ABOVE_FLAT = f'above {FLAT}'
ABOVE_STRUCTURED = f'above {STRUCTURED}'
ABOVE_OPTIMUM = f'above {OPTIMUM}'
ABOVE_FIRST = 'above first'
SCORE = 'score'
INTERQUARTILE = 'interquartile mean'
IMPROVEMENT = f'better than {FLAT}'
PROFILE = 'above '
ALL_MODES = 'all'
_COMPARED = {ABOVE_OPTIMUM: ('cost',), ABOVE_FIRST: (*PRICES, 'uav_share')}
"""Quantities that are compared, if not all prices."""
_RATIO_TO = 'myopic'
CURVED = (3, 4)
"""Figures that show trainings."""
LEVELS = (0.5, 0.8, 0.9, 0.95, 1.0)
"""Scores that performance profiles are told at."""


Played = places.Played[Play]


def figure_rows(figure: Figure, plan: Plan, store: Store) -> list[Row]:
    """The table of a figure."""
    results = places.played(figure.points(plan), store, QUANTITIES)
    rows = [*_rows(figure.number, results), *_score_rows(figure.number, results)]
    if figure.number in CURVED:
        rows += _curve_rows(figure.number, results, store)
    return rows


def _rows(figure: int, results: Sequence[Played]) -> Iterator[Row]:
    for result in results:
        for name in QUANTITIES:
            yield _row(figure, result, name, MEAN, _mean(result, name, results))
        for relation, other in _others(result, results):
            for name in _COMPARED.get(relation, PRICES):
                few = min(result.episodes, other.episodes)
                ours, theirs = result.figures[name][:, :few], other.figures[name][:, :few]
                yield _row(figure, result, name, relation, paired_percent(ours, theirs))


def _mean(result: Played, name: str, results: Sequence[Played]) -> Interval:
    """Mean over all episodes; of what played few of them, by its ratio to who played all."""
    base = _at(results, result.point, _RATIO_TO)
    if name in PRICES and result.episodes < base.episodes:
        theirs = base.figures[name]
        return scaled_mean(result.figures[name], theirs[:, : result.episodes], theirs)
    return mean_interval(result.figures[name])


def _others(result: Played, results: Sequence[Played]) -> Iterator[tuple[str, Played]]:
    """Who a point is compared with."""
    point = result.point
    places = [other for other in results if other.point.mode == point.mode]
    for relation, name in ((ABOVE_FLAT, FLAT), (ABOVE_STRUCTURED, STRUCTURED)):
        other = next((each for each in places if _is_base(each.point, name, point)), None)
        if other is not None and other is not result:
            yield relation, other
    if point.player != OPTIMUM:
        yield ABOVE_OPTIMUM, _at(results, point, OPTIMUM)
    first = next(other for other in places if other.point.player == point.player)
    if first is not result:
        yield ABOVE_FIRST, first


def _is_base(base: Point, player: str, point: Point) -> bool:
    """Whether `player` at `base` is whom a point is compared with; in Fig. 4 at the usual rate."""
    same_player_swept = point.player == player and point.x is not None
    x = USUAL_CRITIC_RATE if same_player_swept else point.x
    return base.player == player and base.x == x


def _at(results: Sequence[Played], point: Point, player: str) -> Played:
    """Another player at the same place; places without one, of Fig. 4, share the mode's."""
    same_mode = [
        other
        for other in results
        if other.point.mode == point.mode and other.point.player == player
    ]
    return next((other for other in same_mode if other.point.x == point.x), same_mode[0])


def _score_rows(figure: int, results: Sequence[Played]) -> Iterator[Row]:
    """Scores of all that is neither random nor optimal; over all modes where there are several."""
    scored = [
        (result, _scores(result, results))
        for result in results
        if result.point.player not in ('masked_random', OPTIMUM)
    ]
    for result, scores in scored:
        found = interquartile_interval([scores])
        yield _row(figure, result, SCORE, INTERQUARTILE, found)
    if len({result.point.mode for result in results}) == 1:
        return
    by_player = {
        name: [(result, scores) for result, scores in scored if result.point.player == name]
        for name in LEARNERS
    }
    flat = [scores for _, scores in by_player[FLAT]]
    for entries in by_player.values():
        if entries:
            yield from _over_modes(figure, entries, flat)


def _over_modes(
    figure: int, entries: Sequence[tuple[Played, FloatArray]], flat: Sequence[FloatArray]
) -> Iterator[Row]:
    """Interquartile mean, chance of being better than AD-SAC, and profile over all modes."""
    result, scores = entries[0][0], [scores for _, scores in entries]

    def row(relation: str, found: Interval) -> Row:
        return replace(_row(figure, result, SCORE, relation, found), mode=ALL_MODES)

    yield row(INTERQUARTILE, interquartile_interval(scores))
    if result.point.player != FLAT:
        yield row(IMPROVEMENT, improvement_interval(scores, flat))
    profile = performance_profile(scores, np.array(LEVELS))
    for level, share in zip(LEVELS, profile, strict=True):
        yield row(f'{PROFILE}{level}', Interval(float(share), np.nan, np.nan))


def _scores(result: Played, results: Sequence[Played]) -> FloatArray:
    """(R,) scores of the runs, from the episodes that the optimum plays."""
    best = _at(results, result.point, OPTIMUM)
    random = _at(results, result.point, 'masked_random')
    few = best.episodes
    means = [np.nanmean(each.figures['cost'][:, :few], axis=1) for each in (result, random, best)]
    return normalised(means[0], float(means[1][0]), float(means[2][0]))


def _curve_rows(figure: int, results: Sequence[Played], store: Store) -> Iterator[Row]:
    """How trainings went, where their curves are long enough to tell."""
    for result in results:
        costs = [
            store.curve(training).get('cost', np.zeros(0)) for training in result.point.trainings
        ]
        if not costs or min(map(len, costs)) < _ROWS_OF_A_CURVE:
            continue
        for name, of_run in ((FLUCTUATION, _fluctuation), (WHILE_LEARNING, np.mean)):
            found = [float(of_run(cost)) for cost in costs]
            interval = Interval(float(np.mean(found)), min(found), max(found))
            yield _row(figure, result, name, MEAN, interval)


def _fluctuation(cost: FloatArray) -> float:
    """Spread about a straight line through the second half, in percent of its mean."""
    half = cost[len(cost) // 2 :]
    place = np.arange(len(half))
    spread = np.std(half - np.polyval(np.polyfit(place, half, 1), place))
    return float(100 * spread / half.mean())


def _row(figure: int, result: Played, quantity: str, relation: str, found: Interval) -> Row:
    published = _published(figure, result.point, quantity, relation)
    return result.row(figure, quantity, relation, found, published)


def _published(figure: int, point: Point, quantity: str, relation: str) -> float | None:
    """Printed numbers are about the paper's problem: `paper`, and `fig7` for Fig. 7."""
    if point.mode not in ('paper', 'fig7'):
        return None
    return number(figure, point.player, point.x, quantity, relation)
