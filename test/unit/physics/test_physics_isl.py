import math
from datetime import datetime, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sec_nodes.physics import isl, orbit

EPOCH = datetime(2025, 3, 20, 12, 0, tzinfo=timezone.utc)


def shell(planes, per_plane, phasing):
    return orbit.walker_shell(1200e3, math.radians(70.0), planes, per_plane, phasing, EPOCH)


def circle(count, radius_m):
    angle = 2 * np.pi * np.arange(count) / count
    return radius_m * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)


def ring(count):
    return np.sort([[i, (i + 1) % count] for i in range(count)], axis=-1)


def test_grid_gives_four_neighbours():
    links = isl.grid_links(shell(6, 10, 1))
    assert links.shape == (120, 2)
    assert np.all(np.bincount(links.ravel(), minlength=60) == 4)
    assert np.all(links[:, 0] < links[:, 1])
    assert len(np.unique(links, axis=0)) == 120


@pytest.mark.parametrize('phasing', [0, 1, 2, 4, 5])
def test_grid_links_the_nearest_satellite_in_phase(phasing):
    constellation = shell(6, 10, phasing)
    links = isl.grid_links(constellation)
    phase = constellation.slot / 10 + phasing * constellation.plane / 60
    crossing = constellation.plane[links[:, 0]] != constellation.plane[links[:, 1]]
    assert crossing.sum() == 60
    gap = np.diff(phase[links[crossing]], axis=-1)[:, 0]
    gap = np.abs(gap - np.rint(gap))
    assert gap.max() <= 0.5 / 10 + 1e-12


@pytest.mark.parametrize(
    ('planes', 'per_plane', 'count'),
    [
        (1, 1, 0),  # nobody to link with
        (1, 2, 1),  # ahead and behind are the same satellite
        (1, 5, 5),  # a ring
        (2, 5, 15),  # two rings, and each satellite linked once across (both sides are one plane)
        (3, 1, 3),  # one satellite a plane
    ],
)
def test_small_grids(planes, per_plane, count):
    assert len(isl.grid_links(shell(planes, per_plane, 0))) == count


def test_grid_needs_planes():
    tles = (
        '1 00005U 58002B   00179.78495062  .00000023  00000-0  28098-4 0  4753\n'
        '2 00005  34.2682 348.7242 1859667 331.7664  19.3264 10.82419157413667\n'
    )
    with pytest.raises(ValueError, match='nearest_links'):
        isl.grid_links(orbit.constellation_from_tles(tles))


def test_nearest_links_on_a_line():
    positions = np.array([[0.0, 0, 0], [1.0, 0, 0], [3.0, 0, 0], [6.0, 0, 0]])
    np.testing.assert_array_equal(isl.nearest_links(positions, 1), [[0, 1], [1, 2], [2, 3]])
    with pytest.raises(ValueError, match='neighbours is 4'):
        isl.nearest_links(positions, 4)


def test_links_through_the_atmosphere_are_rejected():
    # A chord between satellites 2 delta apart on radius r is lowest at r cos delta.
    radius, lowest = 6.878137e6, 6.378137e6 + 80e3
    edge = math.acos(lowest / radius)
    for factor, kept in ((0.999, 1), (1.001, 0)):
        ends = [-factor * edge, factor * edge]
        positions = radius * np.array([[math.cos(a), math.sin(a), 0.0] for a in ends])
        assert len(isl.clear_links(positions, np.array([[0, 1]]))) == kept


def test_a_link_that_only_points_down_is_clear():
    # The nearest point of the *line* to the centre is 0, but of the segment it is an end.
    positions = np.array([[7.0e6, 0, 0], [9.0e6, 0, 0]])
    assert len(isl.clear_links(positions, np.array([[0, 1]]))) == 1


def test_routes_around_a_ring_by_hand():
    # 12 satellites on 8000 km: neighbours are 2 * 8e6 * sin 15 deg = 4141104.722 m apart.
    hops, length_m = isl.isl_routes(
        circle(12, 8e6), ring(12), np.array([0, 3, 0]), np.array([0, 1, 6, 11])
    )
    np.testing.assert_array_equal(hops, [[0, 1, 6, 1], [3, 2, 3, 4], [0, 1, 6, 1]])
    np.testing.assert_allclose(length_m, hops * 4141104.722, rtol=1e-9)


def test_unreachable_targets():
    positions = np.concatenate([circle(12, 8e6), 3 * circle(3, 8e6)])
    hops, length_m = isl.isl_routes(positions, ring(12), np.array([0, 13]), np.array([5, 13]))
    np.testing.assert_array_equal(hops, [[5, -1], [-1, 0]])
    np.testing.assert_array_equal(np.isfinite(length_m), [[True, False], [False, True]])


def test_blocked_links_are_not_used():
    # Satellites on opposite sides of the Earth: only the way around is left.
    positions = circle(12, 8e6)
    hops, _ = isl.isl_routes(
        positions, np.concatenate([ring(12), [[0, 6]]]), np.array([0]), np.array([6])
    )
    assert hops[0, 0] == 6


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_routes_against_relaxing_every_link(seed):
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(14, 3))
    positions *= 2e7 / np.linalg.norm(positions, axis=-1, keepdims=True)
    links = isl.nearest_links(positions, 2)
    everyone = np.arange(14)
    hops, length_m = isl.isl_routes(positions, links, everyone, everyone)
    # Floyd-Warshall.
    best = np.full((14, 14), np.inf)
    np.fill_diagonal(best, 0.0)
    for a, b in isl.clear_links(positions, links):
        best[a, b] = best[b, a] = np.linalg.norm(positions[a] - positions[b])
    edges = np.isfinite(best) & (best > 0)
    for k in range(14):
        best = np.minimum(best, best[:, k, None] + best[None, k])
    np.testing.assert_allclose(length_m, best, rtol=1e-12)
    np.testing.assert_array_equal(hops >= 0, np.isfinite(best))
    np.testing.assert_array_equal(hops == 0, np.eye(14, dtype=bool))
    # h hops exist: the target is among what h links reach.
    reach, at_least = np.eye(14, dtype=bool), np.full((14, 14), 99)
    for h in range(14):
        at_least = np.where(reach & (at_least == 99), h, at_least)
        reach = reach | (reach @ edges)
    assert np.all(hops[hops >= 0] >= at_least[hops >= 0])


def test_a_whole_shell_is_connected():
    constellation = shell(6, 10, 1)
    positions = orbit.positions_ecef_m(constellation, 500.0)
    hops, length_m = isl.isl_routes(
        positions, isl.grid_links(constellation), np.array([0]), np.arange(60)
    )
    assert hops.max() <= 3 + 5 + 1
    assert hops.min() == 0 and np.isfinite(length_m).all()
    straight = np.linalg.norm(positions - positions[0], axis=-1)
    assert np.all(length_m[0] >= straight - 1e-6)


def test_wrong_indices_are_named():
    with pytest.raises(ValueError, match='targets holds 12'):
        isl.isl_routes(circle(12, 8e6), ring(12), np.array([0]), np.array([12]))
    with pytest.raises(ValueError, match='positions_m is nan'):
        isl.isl_routes(circle(12, math.nan), ring(12), np.array([0]), np.array([1]))
