"""Runs, statistics and tables of simulations, on a system small enough to work out by hand."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from sec_nodes.config import ConfigError
from sec_nodes.controllers.batch import BatchController
from sec_nodes.scenarios.base import SlotSummary
from sec_nodes.simulation import statistics
from sec_nodes.simulation.results import write_results
from sec_nodes.simulation.run import EPISODE_STRIDE, check_slots, episode_seeds, simulate
from sec_nodes.simulation.statistics import Estimate, certificate, compare, estimate
from sec_nodes.simulation.tables import cell, notes


@dataclass(frozen=True)
class Count:
    """A sum that decisions add to."""

    seed: np.ndarray
    total: np.ndarray


class Counter:
    """Cost of a slot: seed + total + what is decided. One task a slot, done if that is >= 0."""

    name, reference, horizon = 'counter', 'zero', 4

    def reset(self, seed):
        return Count(seed, np.zeros(len(seed)))

    def step(self, state, decision):
        return Count(state.seed, state.total + decision), state.seed + state.total + decision

    def summarise(self, state, outcome):
        one = np.ones(len(outcome))
        return SlotSummary(
            cost=outcome,
            latency_s=np.where(state.total > 1, np.nan, 2.0),
            energy_j=3 * one,
            tasks=one,
            completed=(outcome >= 3).astype(float),
            violations=0 * one,
            extra={'level_m': state.total},
        )


class Steady(BatchController):
    """Decides the same number in every slot."""

    scenario_name = 'counter'

    def __init__(self, scenario, name, value, bound=None):
        super().__init__(scenario)
        self.name, self.value, self._bound = name, value, bound

    def decide(self, state):
        return np.full(len(state.seed), self.value)

    def bound(self, state):
        return None if self._bound is None else state.seed + state.total - self._bound


SEEDS = np.array([1, 3])


@pytest.fixture
def traces():
    system = Counter()
    return [
        simulate(system, Steady(system, 'one', 1.0), SEEDS, 3),
        simulate(system, Steady(system, 'zero', 0.0, bound=0.5), SEEDS, 3, certify=True),
    ]


def test_a_run_passes_the_state_on(traces):
    np.testing.assert_array_equal(traces[0].figures['cost'], [[2, 4], [3, 5], [4, 6]])
    np.testing.assert_array_equal(traces[0].figures['level_m'], [[0, 0], [1, 1], [2, 2]])
    np.testing.assert_array_equal(traces[1].figures['cost'], [[1, 3]] * 3)
    assert traces[0].bound is None
    np.testing.assert_array_equal(traces[1].bound, [[0.5, 2.5]] * 3)


def test_gaps_are_paired(traces):
    first, second = compare(traces, 'zero')
    assert (first.controller, second.controller) == ('zero', 'one')
    assert first.gap == Estimate(0.0, 0.0)
    # every episode costs 2 more on average, whatever its seed: nothing is left of their spread
    assert second.gap == Estimate(100.0, 0.0)
    cost = second.figures['cost']
    assert cost.mean == 4.0
    assert cost.half_width == pytest.approx(stats.t.ppf(0.975, 1) * math.sqrt(2) / math.sqrt(2))
    # latency counts the two slots that have one; 1 + 3 of the 2 x 3 tasks are completed
    assert second.figures['latency_s'].mean == 2.0
    assert second.figures['completion'].mean == pytest.approx(5 / 6)


def test_without_reference_there_is_no_gap(traces):
    assert all(row.gap is None for row in compare(traces, None))


def test_the_certificate_is_the_distance_from_the_bound(traces):
    found = certificate(traces[1])
    # 1 over 0.5 is 100 % above, 3 over 2.5 is 20 %
    assert found == pytest.approx((60.0, 100.0, 6, True))
    assert certificate(traces[0]) is None


def test_a_bound_about_0_is_no_measure_of_the_distance_from_it(tmp_path):
    system, seeds = Counter(), np.array([2, 2])
    # costs are 2 in every slot, the bound 2 - bound: far from 0, then rounding, then 0
    for below, text in ((1.5, '300 %'), (2.0 - 5e-15, '2'), (2.0, '2')):
        trace = simulate(system, Steady(system, 'zero', 0.0, bound=below), seeds, 2, certify=True)
        found = certificate(trace)
        (line,) = notes(2, 2, 'zero', found, paired=False, uneven=False)[1:]
        assert f'zero costs {text} more' in line and f'at most {text} (' in line
        assert ('%' in line) == ('not in percent' not in line) == (below < 1.9)
        write_results(tmp_path, [trace], compare([trace], None), found, {'scenario': 'counter'})
        summary = json.loads((tmp_path / 'summary.json').read_text())
        assert (summary['reference_above_bound_percent'] is None) == (below > 1.9)
        assert (summary['reference_above_bound'] is None) == (below < 1.9)


def test_an_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        found = estimate(rng.exponential(size=40))
        hits += abs(found.mean - 1.0) <= found.half_width
    # exponential samples are skewed: a little below 95 %; the deviation of the count is 4.4
    assert 365 <= hits <= 395


def test_what_is_not_known_does_not_count():
    assert estimate(np.array([1.0, np.nan, 3.0])).mean == 2.0
    alone = estimate(np.array([5.0]))
    assert alone.mean == 5.0
    assert math.isnan(alone.half_width)
    assert math.isnan(estimate(np.array([np.nan])).mean)


def test_runs_share_no_episode():
    assert not set(episode_seeds(1, 1000)) & set(episode_seeds(2, 1000))
    assert episode_seeds(2, 3).tolist() == [2 * EPISODE_STRIDE + i for i in range(3)]
    for seed, episodes, named in ((-1, 3, 'seed'), (1 << 40, 3, 'seed'), (0, 0, 'episodes')):
        with pytest.raises(ConfigError, match=f'{named} = '):
            episode_seeds(seed, episodes)


def test_an_episode_has_no_more_slots_than_its_horizon():
    assert check_slots(Counter(), None) == 4
    assert check_slots(Counter(), 2) == 2
    for slots in (0, 5):
        with pytest.raises(ConfigError, match=r'1 to 4 slots; for more .* --episodes'):
            check_slots(Counter(), slots)


@pytest.mark.parametrize(
    ('mean', 'half_width', 'text'),
    [
        (0.24012, 0.0563, '0.24±0.06'),
        (0.24012, 0.0143, '0.240±0.014'),
        (187.2, 109.0, '187±109'),
        (1.5, float('nan'), '1.5'),
        (float('nan'), 1.0, '-'),
        (2.0, 0.0, '2'),
        (0.0, 0.0, '0'),
        (9587.39, 3e-12, '9587.4'),
    ],
)
def test_cells_show_the_digits_that_are_known(mean, half_width, text):
    assert cell(Estimate(mean, half_width)) == text


def test_results_hold_the_numbers(tmp_path, traces):
    rows = compare(traces, 'zero')
    description = {'scenario': 'counter', 'seed': 0}
    write_results(tmp_path / 'run', traces, rows, certificate(traces[1]), description)
    summary = json.loads((tmp_path / 'run' / 'summary.json').read_text())
    assert summary['controllers']['one']['cost']['mean'] == 4.0
    assert summary['controllers']['one']['above_reference_percent']['mean'] == 100.0
    assert summary['reference_above_bound_percent']['largest'] == pytest.approx(100.0)
    with (tmp_path / 'run' / 'episodes.csv').open() as file:
        episodes = list(csv.DictReader(file))
    assert [(row['controller'], row['seed'], row['cost']) for row in episodes] == [
        ('one', '1', '3'), ('one', '3', '5'), ('zero', '1', '1'), ('zero', '3', '3'),
    ]  # fmt: skip
    with (tmp_path / 'run' / 'slots.csv').open() as file:
        slots = list(csv.DictReader(file))
    assert [row['cost'] for row in slots] == ['3', '4', '5', '2', '2', '2']
    assert (tmp_path / 'run' / 'comparison.png').stat().st_size > 5000


def test_half_the_interval_is_that_of_the_stated_level():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    low, high = stats.t.interval(
        statistics.LEVEL, 3, loc=values.mean(), scale=values.std(ddof=1) / 2
    )
    assert estimate(values).half_width == pytest.approx((high - low) / 2)
