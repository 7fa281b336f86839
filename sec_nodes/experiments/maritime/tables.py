"""Results into tables: a line for each quantity of each player at each place of a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sec_nodes.experiments.maritime.figures import BASE, TABLE_2, Figure, Point, race
from sec_nodes.experiments.maritime.games import BOUND_MBIT, GameStore, batched
from sec_nodes.experiments.maritime.plans import BOUND, JCORM, LOCAL, Plan
from sec_nodes.experiments.maritime.published import number
from sec_nodes.experiments.rows import MEAN, Exhibit, Row
from sec_nodes.experiments.statistics import Interval, mean_interval, paired_percent, scaled_mean
from sec_nodes.slot import FloatArray

QUANTITIES = {
    'utility_mbit': 'utility [Mbit]',
    'delivered_mbit': 'data volume [Mbit]',
    'energy_j': 'energy [J]',
    'delay_s': 'mean delay of DS tasks [s]',
    'ratio': 'share offloaded',
    'late_percent': 'late tasks [%]',
    'early_percent': 'uploads before a task is done [%]',
    'experiment_s': 'CPU time of an experiment [s]',
}
"""Of whole experiments; delay is the mean over all tasks, late ones included."""
FAILURES = ('late_percent', 'early_percent')
"""What a utility must not be read without."""
GAP = 'gap_percent'
"""By how much of it `jcorm` is below the bound, slot by slot: mean, least and largest [%]."""

ABOVE = 'above '
"""Before a player, by how many percent a number is above that player's at the same place."""
ABOVE_FIRST = 'above first'
"""The same at the first place of the sweep."""
ABOVE_PREVIOUS = 'above previous'
OVER = 'over '
"""Before a variant, the same in that variant at the same place."""
TIMES = f'times {JCORM}'
_SCALED = ('utility_mbit', 'delivered_mbit', 'energy_j', 'delay_s')
"""Positive quantities, of which ratios make sense."""


@dataclass(frozen=True)
class Played:
    """What a player came to at a place."""

    mode: str
    x: float
    player: str
    over: tuple[str, ...]
    figures: dict[str, FloatArray]
    """(1, E) of whole experiments, by quantity."""

    @property
    def episodes(self) -> int:
        """E."""
        return self.figures['utility_mbit'].shape[1]


def figure_rows(figure: Figure, plan: Plan, store: GameStore) -> list[Row]:
    """The table of a figure."""
    points = figure.points(plan)
    certified = [point for point in points if point.player == BOUND]
    results = [
        result for point in points for result in played(figure, point, store.found(point.game))
    ]
    rows = [row for result in results for row in _rows(figure, result, results)]
    return rows + [_gap_row(figure, point, store.found(point.game)) for point in certified]


def played(figure: Figure, point: Point, slots: dict[str, FloatArray]) -> list[Played]:
    """Whole experiments from their slots (T, B); by slot, what they came to until each of them."""
    place, horizon = point.place, len(slots['utility_mbit'])
    ends = range(1, horizon + 1) if figure.by_slot else (horizon,)
    return [
        Played(
            place.mode,
            float(end) if figure.by_slot else place.x,
            point.player,
            place.over,
            _totals({name: values[:end] for name, values in slots.items()}, point.player),
        )
        for end in ends
    ]


def _totals(slots: dict[str, FloatArray], player: str) -> dict[str, FloatArray]:
    """(1, E) by quantity."""
    total = {name: values.sum(axis=0)[None] for name, values in slots.items()}
    if player == BOUND:
        return {'utility_mbit': total[BOUND_MBIT]}
    return {
        **{name: total[name] for name in ('utility_mbit', 'delivered_mbit', 'energy_j')},
        'delay_s': total['delay_s'] / total['tasks'],
        'ratio': total['offloaded_mbit'] / total['batch_mbit'],
        'late_percent': 100 * total['late'] / total['tasks'],
        'early_percent': 100 * total['early'] / total['tasks'],
    }


def _rows(figure: Figure, result: Played, results: Sequence[Played]) -> Iterator[Row]:
    quantities = (*figure.quantities, *FAILURES)
    for name in quantities:
        if name in result.figures:
            yield _row(figure.number, result, name, MEAN, _mean(result, name, results))
    if result.player == BOUND:
        return
    for relation, other in _others(figure, result, results):
        few = min(result.episodes, other.episodes)
        for name in figure.quantities:
            ours, theirs = result.figures[name][:, :few], other.figures[name][:, :few]
            found = paired_percent(ours, theirs)
            yield _row(figure.number, result, name, relation, found, few)


def _mean(result: Played, name: str, results: Sequence[Played]) -> Interval:
    """Mean over all episodes; of what played few of them, by its ratio to `jcorm` there."""
    base = _find(results, result.mode, result.x, JCORM)
    if base is not None and result.episodes < base.episodes and name in _SCALED:
        theirs = base.figures[name]
        return scaled_mean(result.figures[name], theirs[:, : result.episodes], theirs)
    return mean_interval(result.figures[name])


def _others(
    figure: Figure, result: Played, results: Sequence[Played]
) -> Iterator[tuple[str, Played]]:
    """Who and what a player at a place is compared with."""
    whole = not figure.by_slot or result.x == max(other.x for other in results)
    for other in results:
        same_place = (other.mode, other.x) == (result.mode, result.x)
        if not (whole and same_place) or other.player in (result.player, BOUND):
            continue
        if result.player == JCORM or other.player == LOCAL:
            yield f'{ABOVE}{other.player}', other
    if figure.by_slot:
        return
    sweep = [each for each in results if (each.mode, each.player) == (result.mode, result.player)]
    place = sweep.index(result)
    if place:
        yield ABOVE_FIRST, sweep[0]
        if result.player == JCORM:
            yield ABOVE_PREVIOUS, sweep[place - 1]
    for mode in result.over:
        variant = _find(results, mode, result.x, result.player)
        if variant is not None:
            yield f'{OVER}{mode}', variant


def _find(results: Sequence[Played], mode: str, x: float, player: str) -> Played | None:
    here = (each for each in results if (each.mode, each.x, each.player) == (mode, x, player))
    return next(here, None)


def _gap_row(figure: Figure, point: Point, slots: dict[str, FloatArray]) -> Row:
    """How far `jcorm` is from what no decision could have beaten in the slots that it met.

    Only where the bound is one: a slot in which tasks must be late has none that says much.
    """
    bound = slots[BOUND_MBIT]
    gap = 100 * (bound - slots['utility_mbit']) / np.abs(bound)
    gap = gap[(slots['late'] == 0) & np.isfinite(gap)]
    found = (
        Interval(float(gap.mean()), float(gap.min()), float(gap.max()))
        if gap.size
        else Interval(np.nan, np.nan, np.nan)
    )
    place = point.place
    result = Played(place.mode, place.x, JCORM, (), {'utility_mbit': bound[:1]})
    return _row(figure.number, result, GAP, MEAN, found)


def race_rows(plan: Plan, store: GameStore) -> list[Row]:
    """Table II: CPU times, and how many times that of `jcorm` they are."""
    order = race(plan)
    times = {name: column[None] for name, column in store.found(order).items()}
    rows = []
    for name in (*order.players, batched(order.batched, order.batch)):
        spent_s = times[name]
        rows.append(_time_row(name, spent_s, MEAN, mean_interval(spent_s)))
        if name in order.players and name != JCORM:
            ratio = paired_percent(spent_s, times[JCORM])
            factors = Interval(*(1 + value / 100 for value in ratio))
            rows.append(_time_row(name, spent_s, TIMES, factors))
    return rows


def _time_row(player: str, spent_s: FloatArray, relation: str, found: Interval) -> Row:
    result = Played(BASE, np.nan, player, (), {'utility_mbit': spent_s})
    return _row(TABLE_2, result, 'experiment_s', relation, found)


def _row(
    figure: Exhibit,
    result: Played,
    quantity: str,
    relation: str,
    found: Interval,
    episodes: int | None = None,
) -> Row:
    x = None if np.isnan(result.x) else result.x
    return Row(
        figure=figure,
        mode=result.mode,
        x=x,
        player=result.player,
        runs=1,
        episodes=result.episodes if episodes is None else episodes,
        quantity=quantity,
        relation=relation,
        value=found.value,
        low=found.low,
        high=found.high,
        published=number(figure, result.mode, result.player, x, quantity, relation),
    )
