"""Results into tables: a line for each quantity of each player at each place of a figure.

What relations there are: `mean`; `above ...` by how many percent it is above another player's on
the same episodes (of shares in percent: by how many points); `above first`, above the first place
of a sweep; `score`, 0 = random and 1 = per-slot optimum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sec_nodes.experiments import places
from sec_nodes.experiments.robust.curves import dip, steps_to_arrive
from sec_nodes.experiments.robust.figures import (
    FAILURES,
    KEPT,
    LOST,
    MOMENTS,
    NEW,
    PROGRESS,
    RESERVE,
    THEOREM,
    Point,
    named,
    points,
)
from sec_nodes.experiments.robust.plans import (
    FEASIBLE,
    FLAT,
    OFFLOAD_ALL,
    OPTIMUM,
    OURS,
    RANDOM,
    Plan,
)
from sec_nodes.experiments.robust.published import STEPS_TO_CONVERGE
from sec_nodes.experiments.robust.trials import QUANTITIES, Trial, TrialStore
from sec_nodes.experiments.rows import MEAN, Exhibit, Row
from sec_nodes.experiments.statistics import Interval, mean_interval, paired_percent
from sec_nodes.slot import FloatArray

ABOVE, ABOVE_FIRST = 'above ', 'above first'
PRICES = ('cost_mj', 'service_mj', 'per_task_mj', 'return')
"""Quantities of which percentages make sense; of the others differences do."""
COMPARED = (*PRICES, 'completion_percent')
SCORE = 'score'
STEPS, DIP, UPDATES, CPU_S = 'steps', 'dip_percent', 'updates', 'cpu_s'
"""Of trainings: slots until 95 % of the final return, how far the return falls before
it rises, gradient steps and CPU time in all. Their ends are the least and largest of the runs."""
_EVERY = ('cost_mj', 'service_mj', 'completion_percent', 'per_task_mj')
_SHOWN: dict[Exhibit, tuple[str, ...]] = {
    3: (*_EVERY, 'return', 'broken'),
    4: (*_EVERY, 'return', 'broken'),
    5: (*_EVERY, 'return', 'whole_percent'),
    FAILURES: (*_EVERY, 'rescued_percent'),
    MOMENTS: (*_EVERY, 'rescued_percent'),
    PROGRESS: (*_EVERY, 'rescued_percent'),
    RESERVE: (*_EVERY, 'rescued_percent'),
    THEOREM: (*_EVERY, 'whole_percent'),
}
_RIVALS: dict[Exhibit, tuple[str, ...]] = {
    3: (OURS, f'{OURS}{FLAT}', OPTIMUM),
    4: (OURS, OPTIMUM),
    5: (OPTIMUM, RANDOM),
    PROGRESS: (named(OPTIMUM, f'relay, {LOST}'),),
    THEOREM: (OFFLOAD_ALL,),
}
"""Whom everybody is compared with."""
SCORED = (3, 4, 5)


Played = places.Played[Trial]


def rows(exhibit: Exhibit, plan: Plan, store: TrialStore) -> list[Row]:
    """The table of a figure."""
    results = places.played(points(exhibit, plan), store, QUANTITIES)
    found = [row for result in results for row in _of_point(exhibit, result, results)]
    if exhibit in SCORED:
        found += [row for result in results for row in _scores(exhibit, result, results)]
    if exhibit == 3:
        found += [row for result in results for row in _of_trainings(result, store)]
    return found


def _of_point(exhibit: Exhibit, result: Played, results: Sequence[Played]) -> Iterator[Row]:
    for name in _SHOWN[exhibit]:
        yield result.row(exhibit, name, MEAN, mean_interval(result.figures[name]))
    for relation, other in _others(exhibit, result, results):
        for name in (name for name in _SHOWN[exhibit] if name in COMPARED):
            ours, theirs = result.figures[name], other.figures[name]
            yield result.row(exhibit, name, relation, difference(name, ours, theirs))


def difference(quantity: str, ours: FloatArray, theirs: FloatArray) -> Interval:
    """By how many percent, of shares by how many points, ours (R, E) is above theirs (Q, E).

    Points are told with the mean of their runs.
    """
    if quantity in PRICES:
        return paired_percent(ours, theirs)
    return mean_interval(ours - theirs.mean(axis=0))


def _others(
    exhibit: Exhibit, result: Played, results: Sequence[Played]
) -> Iterator[tuple[str, Played]]:
    """Who a point is compared with."""
    point = result.point
    for name in _rivals(exhibit, point):
        other = _at(results, point, name)
        if other is not None and other is not result:
            yield f'{ABOVE}{name}', other
    first = next(
        one for one in results if (one.point.mode, one.point.player) == (point.mode, point.player)
    )
    if first is not result:
        yield ABOVE_FIRST, first


def _rivals(exhibit: Exhibit, point: Point) -> tuple[str, ...]:
    if exhibit in _RIVALS:
        return _RIVALS[exhibit]
    player = point.player.partition(':')[0]
    return named(player, KEPT), named(player, NEW)


def _at(results: Sequence[Played], point: Point, player: str) -> Played | None:
    """Another player at the same place."""
    place = point.mode, point.x, player
    return next((o for o in results if (o.point.mode, o.point.x, o.point.player) == place), None)


def _scores(exhibit: Exhibit, result: Played, results: Sequence[Played]) -> Iterator[Row]:
    """How far the return is from random (0) to the per-slot optimum (1), on the same episodes."""
    best, random = (_at(results, result.point, name) for name in (OPTIMUM, RANDOM))
    assert best is not None
    assert random is not None
    if result is best or result is random:
        return
    # What is missing is far smaller than the way from random, and known far better.
    way = float((best.figures['return'] - random.figures['return']).mean())
    missing = mean_interval(best.figures['return'] - result.figures['return'])
    found = Interval(1 - missing.value / way, 1 - missing.high / way, 1 - missing.low / way)
    yield result.row(exhibit, 'return', SCORE, found)


def _of_trainings(result: Played, store: TrialStore) -> Iterator[Row]:
    """How trainings went, where their curves are long enough to tell."""
    trainings = result.point.trainings
    curves = [store.curve(training) for training in trainings]
    summaries = [store.summary(training) for training in trainings]
    measured: dict[str, list[float | None]] = {
        STEPS: [steps_to_arrive(c['steps'], c['reward']) for c in curves if c],
        DIP: [dip(curve['reward']) for curve in curves if curve],
        UPDATES: [float(summary['updates']) for summary in summaries],
        CPU_S: [float(summary['cpu_s']) for summary in summaries],
    }
    for quantity, values in measured.items():
        known = [value for value in values if value is not None]
        if known and len(known) == len(trainings):
            found = Interval(float(np.mean(known)), min(known), max(known))
            printed = quantity == STEPS and result.point.mode != FEASIBLE
            published = STEPS_TO_CONVERGE.get(result.point.player) if printed else None
            yield result.row(3, quantity, MEAN, found, published)
