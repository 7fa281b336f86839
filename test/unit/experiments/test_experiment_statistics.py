"""Scores and intervals against numbers worked out by hand, and against rliable 1.2.0."""

import numpy as np
import pytest

from sec_nodes.experiments.statistics import (
    improvement_interval,
    interquartile_interval,
    interquartile_mean,
    mean_interval,
    normalised,
    paired_percent,
    performance_profile,
    probability_of_improvement,
    scaled_mean,
)

# Five runs (rows) of two algorithms on three tasks (columns), and what rliable 1.2.0 makes of
# them with 50,000 resamples (20,000 for the probability of improvement).
OURS = np.array(
    [
        [0.91, 0.72, 0.40],
        [0.95, 0.61, 0.55],
        [0.88, 0.80, 0.35],
        [0.97, 0.70, 0.10],
        [0.93, 0.66, 0.48],
    ]
).T
THEIRS = np.array(
    [
        [0.90, 0.50, 0.45],
        [0.92, 0.65, 0.20],
        [0.85, 0.52, 0.42],
        [0.89, 0.71, 0.30],
        [0.94, 0.48, 0.25],
    ]
).T


def test_scores_are_0_for_random_and_1_for_the_optimum():
    score = normalised(np.array([80.0, 30.0, 55.0, 20.0, 105.0]), 80.0, 30.0)
    assert score == pytest.approx([0.0, 1.0, 0.5, 1.2, -0.5])


def test_interquartile_mean_by_hand():
    # of eight scores two fall off each end: (3 + 4 + 5 + 6) / 4
    assert interquartile_mean([np.array([100.0, 4, 3, 5]), np.array([6.0, 7, 1, 2])]) == 4.5
    # of five only one does: (2 + 3 + 4) / 3
    assert interquartile_mean([np.array([-99.0, 2, 3, 4, 99])]) == 3.0
    # of three none does
    assert interquartile_mean([np.array([1.0, 2, 6])]) == 3.0


def test_probability_of_improvement_by_hand():
    # pairs 3 > 1, 3 = 3, 2 > 1, 2 < 3: (1 + 0.5 + 1 + 0) / 4; in the other task always
    ours = [np.array([3.0, 2.0]), np.array([1.0])]
    theirs = [np.array([1.0, 3.0]), np.array([0.0, 0.5, -1.0])]
    assert probability_of_improvement(ours, theirs) == pytest.approx((0.625 + 1) / 2)


def test_profile_by_hand():
    share = performance_profile([np.array([0.2, 0.9]), np.array([0.5])], np.array([0, 0.2, 0.6]))
    assert share == pytest.approx([1, 2 / 3, 1 / 3])


def test_agrees_with_rliable():
    ours = interquartile_interval(list(OURS), draws=4000)
    assert ours.value == pytest.approx(0.7011111111111111, abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((0.65666667, 0.73555556), abs=0.003)
    theirs = interquartile_interval(list(THEIRS), draws=4000)
    assert theirs.value == pytest.approx(0.6077777777777778, abs=1e-12)
    assert (theirs.low, theirs.high) == pytest.approx((0.55333333, 0.65333333), abs=0.003)
    better = improvement_interval(list(OURS), list(THEIRS), draws=2000)
    assert better.value == pytest.approx(0.7333333333333334, abs=1e-12)
    assert (better.low, better.high) == pytest.approx((0.53333333, 0.90666667), abs=0.02)
    profile = performance_profile(list(OURS), np.array([0, 0.3, 0.5, 0.7, 0.9]))
    assert profile == pytest.approx([1.0, 0.93333333, 0.73333333, 0.46666667, 0.26666667])


def test_an_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        found = mean_interval(5 + rng.normal(size=(1, 30)), draws=1000)
        hits += found.low <= 5 <= found.high
    # percentiles of 30 values cover a little less than 95 %; 3 sigma of 200 trials is 4.6 %
    assert 0.88 <= hits / 200 <= 0.985


def test_pairing_removes_what_episodes_share():
    rng = np.random.default_rng(1)
    world = 100 + 50 * rng.normal(size=(1, 40))
    ours, theirs = 1.1 * world, world
    found = paired_percent(ours, theirs)
    assert found.value == pytest.approx(10)
    assert (found.low, found.high) == pytest.approx((10, 10))
    # unpaired the same costs are far from telling a tenth apart
    assert paired_percent(ours, theirs[:, ::-1]).low < 5


def test_runs_of_the_two_sides_are_drawn_independently():
    # one run of two is 20 % higher: resamples of ours are 0, 10 or 20 % above theirs
    ours, theirs = np.array([[100.0] * 3, [120.0] * 3]), np.full((1, 3), 100.0)
    found = paired_percent(ours, theirs)
    assert found == pytest.approx((10, 0, 20))
    assert not found.above_zero
    assert not found.below_zero
    assert paired_percent(ours + 1, theirs).above_zero
    assert paired_percent(ours - 21, theirs).below_zero


def test_negative_costs_keep_the_sign_of_a_difference():
    # rewards as costs: -8 is higher than -10 by a fifth
    assert paired_percent(np.full((1, 2), -8.0), np.full((1, 2), -10.0)).value == 20


def test_a_ratio_stands_for_episodes_that_were_not_played():
    # ours is half of theirs on the two hard episodes that it played; on all theirs is 6 on average
    theirs = np.array([[10.0, 10.0, 2.0, 2.0]])
    found = scaled_mean(np.array([[5.0, 5.0]]), theirs[:, :2], theirs)
    assert found == pytest.approx((3, 3, 3))
    # ratios of 0.4 and 0.6: resamples give 0.4, 0.5 or 0.6 times 6
    found = scaled_mean(np.array([[4.0, 6.0]]), theirs[:, :2], theirs)
    assert found == pytest.approx((3, 2.4, 3.6))


def test_missing_values_do_not_count():
    cost = np.array([[1.0, np.nan, 3.0]])
    assert mean_interval(cost, draws=50).value == 2


def test_unequal_episodes_are_refused():
    with pytest.raises(ValueError, match='2 and 3 episodes cannot be paired'):
        paired_percent(np.ones((1, 2)), np.ones((1, 3)))
