"""Smallest circles around devices, and positions that cover them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sec_nodes.controllers.mllm.placement import Circles, bits, towards

COVERAGE_M = 250.0


def smallest_radius_m(place_m):
    """Radius of the smallest circle by Badoiu and Clarkson's iteration, to about 0.1 m."""
    centre_m = place_m.mean(axis=0)
    for step in range(1, 4000):
        farthest = place_m[np.linalg.norm(place_m - centre_m, axis=1).argmax()]
        centre_m = centre_m + (farthest - centre_m) / (step + 1)
    return np.linalg.norm(place_m - centre_m, axis=1).max()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 6))
def test_smallest_circles(seed, size):
    rng = np.random.default_rng(seed)
    device_m = rng.uniform(0, 500, (1, 6, 2))
    chosen = rng.permutation(6)[:size]
    circles = Circles.around(device_m, COVERAGE_M)
    centre_m, found = circles.smallest(np.array([0]), bits(6)[chosen].sum(keepdims=True))
    radius_m = smallest_radius_m(device_m[0, chosen])
    if abs(radius_m - COVERAGE_M) > 1:
        assert found[0] == (radius_m < COVERAGE_M)
    if found[0]:
        reach_m = np.linalg.norm(device_m[0, chosen] - centre_m[0], axis=1).max()
        assert reach_m <= radius_m + 1e-5
        assert reach_m >= radius_m - 1.0


def test_devices_at_one_place_and_on_a_line():
    device_m = np.array([[[10.0, 10], [10, 10], [20, 10], [30, 10]]])
    circles = Circles.around(device_m, COVERAGE_M)
    centre_m, found = circles.smallest(np.zeros(2, dtype=int), np.array([0b0011, 0b1111]))
    assert found.all()
    np.testing.assert_allclose(centre_m, [[10, 10], [20, 10]])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_towards_stops_where_coverage_ends(seed):
    rng = np.random.default_rng(seed)
    member_m = rng.uniform(100, 300, (1, 4, 2))
    present = np.array([[True, True, True, False]])
    start_m, goal_m = member_m[:, :3].mean(axis=1), rng.uniform(-500, 900, (1, 2))
    found_m = towards(start_m, goal_m, member_m, present, COVERAGE_M)
    reach_m = np.linalg.norm(member_m[0, :3] - found_m, axis=1).max()
    assert reach_m <= COVERAGE_M
    if not np.allclose(found_m, goal_m):
        assert reach_m == pytest.approx(COVERAGE_M, abs=1e-3)
    way, whole = found_m - start_m, goal_m - start_m
    assert way[0, 0] * whole[0, 1] == pytest.approx(way[0, 1] * whole[0, 0], abs=1e-3)
