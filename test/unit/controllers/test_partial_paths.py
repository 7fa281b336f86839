"""Paths and sectors of the partial scenario's controllers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from sec_nodes.controllers.partial.paths import (
    ellipse,
    equal_arcs,
    hovering_tour_path,
    loiter_path,
    sector_cuts,
    sectors,
    shortest_tour,
    smoothed,
    tour_path,
)

DEPOT = np.array([250.0, 250.0])


def steps_m(path_m):
    return np.hypot(*np.diff(path_m, axis=-2).T).T


class TestSectors:
    def test_four_clusters_are_found_whatever_the_angle_they_begin_at(self):
        for turn in np.linspace(0, 2 * math.pi, 17):
            angle = turn + np.repeat(np.arange(4) * math.pi / 2, 3) + np.tile([-0.1, 0, 0.1], 4)
            terminal_m = DEPOT + 100 * np.column_stack([np.cos(angle), np.sin(angle)])
            found = sectors(terminal_m, DEPOT, 4).reshape(4, 3)
            assert (found == found[:, :1]).all()
            assert len(set(found[:, 0])) == 4

    @pytest.mark.parametrize(('n_terminals', 'n_uavs'), [(18, 3), (7, 3), (2, 5), (1, 1)])
    def test_groups_are_even(self, n_terminals, n_uavs):
        terminal_m = np.random.default_rng(1).uniform(0, 500, (n_terminals, 2))
        for cut in sector_cuts(terminal_m, DEPOT, n_uavs):
            sizes = np.bincount(cut, minlength=n_uavs)
            assert sizes.sum() == n_terminals
            assert sizes.max() - sizes.min() <= 1

    def test_groups_are_consecutive(self):
        terminal_m = np.random.default_rng(2).uniform(0, 500, (12, 2))
        angle = np.arctan2(*(terminal_m - DEPOT).T[::-1])
        for cut in sector_cuts(terminal_m, DEPOT, 3):
            around = cut[np.argsort(angle)]
            assert (around != np.roll(around, 1)).sum() == 3


class TestEllipses:
    def test_by_hand(self):
        # towards east, farthest terminal 200 m: 2a = 200, b = 80
        terminal_m = DEPOT + np.array([[200.0, 30.0], [100.0, -30.0]])
        path_m = ellipse(DEPOT, terminal_m, 50, 1400.0)
        np.testing.assert_allclose(path_m[[0, -1]], [DEPOT, DEPOT], atol=1e-9)
        x, y = (path_m - DEPOT).T
        np.testing.assert_allclose(((x - 100) / 100) ** 2 + (y / 80) ** 2, 1.0, atol=2e-5)
        assert y[1] < 0  # sin phi > 0 to the right of the direction
        np.testing.assert_allclose(steps_m(path_m), steps_m(path_m).mean(), rtol=1e-3)
        # Ramanujan: perimeter of semi-axes 100 and 80
        assert steps_m(path_m).sum() == pytest.approx(567.2, rel=2e-3)

    def test_it_is_at_least_60_m_long_and_shrinks_if_it_must(self):
        near_m = DEPOT + np.array([[1.0, 0.0]])
        assert ellipse(DEPOT, near_m, 50, 1400.0)[:, 0].max() == pytest.approx(310.0, abs=0.1)
        far_m = DEPOT + np.array([[250.0, 0.0]])
        assert steps_m(ellipse(DEPOT, far_m, 50, 400.0)).sum() == pytest.approx(380.0, rel=2e-3)

    def test_a_uav_without_terminals_has_one(self):
        assert np.isfinite(ellipse(DEPOT, np.zeros((0, 2)), 50, 1400.0)).all()


class TestTours:
    @pytest.mark.parametrize('n_terminals', range(1, 8))
    def test_against_all_orders(self, n_terminals):
        terminal_m = np.random.default_rng(n_terminals).uniform(0, 500, (n_terminals, 2))

        def length_m(order):
            corners = np.vstack([DEPOT, terminal_m[list(order)], DEPOT])
            return steps_m(corners).sum()

        order = shortest_tour(DEPOT, terminal_m)
        assert sorted(order) == list(range(n_terminals))
        best_m = min(map(length_m, itertools.permutations(range(n_terminals))))
        assert length_m(order) == pytest.approx(best_m, rel=1e-12)
        assert order[0] <= order[-1]

    def test_too_many_terminals_are_refused(self):
        with pytest.raises(ValueError, match='19 terminals'):
            shortest_tour(DEPOT, np.zeros((19, 2)))

    def test_one_speed(self):
        square_m = DEPOT + np.array([[100.0, 0.0], [100.0, 100.0], [0.0, 100.0]])
        path_m = tour_path(DEPOT, square_m, 40)
        np.testing.assert_allclose(steps_m(path_m), 10.0)
        np.testing.assert_allclose(path_m[[10, 20, 30]], square_m)

    def test_hovering_by_hand(self):
        # 140 m at 20 m/s take 7 s there and back; 56 s of 70 s are left: 40 slots of 1.4 s
        path_m = hovering_tour_path(DEPOT, DEPOT + np.array([[140.0, 0.0]]), 50, 1.4, 20.0)
        np.testing.assert_allclose(path_m[[0, -1]], [DEPOT, DEPOT])
        np.testing.assert_allclose(steps_m(path_m), [28.0] * 5 + [0.0] * 40 + [28.0] * 5)

    def test_time_is_shared_between_terminals(self):
        # 300 m at 20 m/s leave 55 s of 70 s for two
        places_m = DEPOT + np.array([[100.0, 0.0], [150.0, 0.0]])
        path_m = hovering_tour_path(DEPOT, places_m, 700, 0.1, 20.0)
        still = steps_m(path_m) < 1e-9
        for place_m in places_m:
            here = np.hypot(*(path_m[:-1] - place_m).T) < 1e-9
            assert (still & here).sum() * 0.1 == pytest.approx(27.5, abs=0.2)

    def test_a_tour_that_is_too_long_is_flown_too_fast(self):
        path_m = hovering_tour_path(DEPOT, DEPOT + np.array([[200.0, 0.0]]), 10, 1.0, 20.0)
        np.testing.assert_allclose(steps_m(path_m), 40.0)

    def test_no_terminals(self):
        assert (tour_path(DEPOT, np.zeros((0, 2)), 5) == DEPOT).all()
        assert (hovering_tour_path(DEPOT, np.zeros((0, 2)), 5, 1.0, 20.0) == DEPOT).all()


class TestLoitering:
    def test_there_to_and_fro_and_back(self):
        # 100 m at 10 m/s: 10 slots there, 10 back; between them steps of 8 m
        path_m = loiter_path(DEPOT, DEPOT + np.array([100.0, 0.0]), 40, 1.0, 10.0, 8.0, 0.0)
        step = steps_m(path_m)
        np.testing.assert_allclose(step[:10], 10.0)
        np.testing.assert_allclose(step[10:29], 8.0)
        np.testing.assert_allclose(step[31:], 10.0)
        np.testing.assert_allclose(
            path_m[[0, 10, 40]], DEPOT + np.array([[0, 0], [100, 0], [0, 0]])
        )

    def test_circles_bend_no_more_than_they_must(self):
        # radius 50 m at 10 m/s: 2 m/s^2 towards the centre, in the direction of arrival
        path_m = loiter_path(DEPOT, DEPOT + np.array([0.0, 100.0]), 60, 1.0, 10.0, 10.0, 50.0)
        bend = np.hypot(*np.diff(path_m, n=2, axis=0).T)
        assert bend[:45].max() == pytest.approx(2.0, abs=1e-6)

    def test_many_places_at_once_also_the_depot(self):
        places_m = DEPOT + np.array([[0.0, 0.0], [30.0, 40.0]])
        together = loiter_path(DEPOT, places_m, 20, 1.0, 10.0, 8.0, 0.0)
        assert together.shape == (2, 21, 2)
        for place_m, path_m in zip(places_m, together, strict=True):
            alone = loiter_path(DEPOT, place_m, 20, 1.0, 10.0, 8.0, 0.0)
            np.testing.assert_array_equal(path_m, alone)
            np.testing.assert_array_equal(path_m[[0, -1]], [DEPOT, DEPOT])


def test_equal_arcs_along_a_corner():
    path_m = equal_arcs(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 3.0]]), 3)
    np.testing.assert_allclose(path_m, [[0, 0], [2, 0], [3, 1], [3, 3]])


def test_smoothing_rounds_corners_and_keeps_ends_and_straights():
    straight = np.column_stack([np.arange(9.0), np.zeros(9)])
    np.testing.assert_allclose(smoothed(straight, 5), straight)
    peak = np.zeros((5, 2))
    peak[2, 0] = 4.0
    np.testing.assert_allclose(smoothed(peak, 1)[:, 0], [0, 1, 2, 1, 0])
