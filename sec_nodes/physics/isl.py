"""Inter-satellite links: which satellites are linked, and the shortest routes between them."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from sec_nodes.physics.checks import FloatArray, IntArray, require_finite, require_last_axis
from sec_nodes.physics.constants import EARTH_EQUATORIAL_RADIUS_M
from sec_nodes.physics.orbit import Constellation

GRAZING_ALTITUDE_M = 80_000.0
"""A link must not dip below this altitude [m], where the atmosphere bends and absorbs it."""


def grid_links(constellation: Constellation) -> IntArray:
    """Return the links of the +grid (E, 2) of a Walker shell, each pair once, lower index first.

    Every satellite has its two neighbours in the plane and, in each adjacent plane, the satellite
    nearest in phase.  In a Walker shell that is the same satellite at all times, so the links are
    permanent.  Raises ValueError for TLE sets, whose planes are unknown: use `nearest_links`.
    """
    if not constellation.is_walker:
        raise ValueError(
            'constellation has satellites of unknown plane, but the grid needs planes. '
            'Use nearest_links for a TLE set.'
        )
    plane, slot = constellation.plane, constellation.slot
    planes, per_plane = int(plane.max()) + 1, int(slot.max()) + 1
    ahead = plane * per_plane + (slot + 1) % per_plane
    east = (plane + 1) % planes
    # Satellites of plane p lead by F p / P slots: the nearest one next door is that many back.
    lead = constellation.phasing * (plane - east) / planes
    beside = east * per_plane + (slot + np.rint(lead).astype(np.int64)) % per_plane
    here = np.arange(len(constellation))
    links = np.concatenate([np.stack([here, ahead], -1), np.stack([here, beside], -1)])
    return _unique_links(links)


def nearest_links(positions_m: FloatArray, neighbours: int) -> IntArray:
    """Return links (E, 2) from every satellite to its nearest ones, each pair once.

    `positions_m` is (S, 3); a satellite may end up with more than `neighbours` links, because
    nearness is not mutual.  Raises ValueError for neighbours outside [1, S).
    """
    require_last_axis('positions_m', positions_m, 3)
    count = len(positions_m)
    if not 1 <= neighbours < count:
        raise ValueError(
            f'neighbours is {neighbours}, but must lie in [1, {count}). '
            'A satellite cannot have more neighbours than there are others.'
        )
    # The nearest point to a satellite is itself; ask for one more and drop self-links below.
    _, nearest = scipy.spatial.cKDTree(positions_m).query(positions_m, k=neighbours + 1)
    here = np.repeat(np.arange(count), neighbours + 1)
    return _unique_links(np.stack([here, nearest.ravel()], axis=-1))


def clear_links(positions_m: FloatArray, links: IntArray) -> IntArray:
    """Return the links (E', 2) whose line of sight stays above the atmosphere.

    `positions_m` (S, 3) count from the centre of the Earth.  The Earth is taken as a sphere of
    equatorial radius, the cautious choice.
    """
    start, end = positions_m[links[:, 0]], positions_m[links[:, 1]]
    way = end - start
    length2 = np.maximum(np.einsum('ij,ij->i', way, way), 1.0)
    # Point of the segment nearest to the centre of the Earth.
    share = np.clip(-np.einsum('ij,ij->i', start, way) / length2, 0.0, 1.0)
    height = np.linalg.norm(start + share[:, None] * way, axis=-1)
    return links[height >= EARTH_EQUATORIAL_RADIUS_M + GRAZING_ALTITUDE_M]


def isl_routes(
    positions_m: FloatArray, links: IntArray, sources: IntArray, targets: IntArray
) -> tuple[IntArray, FloatArray]:
    """Return hops (n, m) and length [m] (n, m) of the shortest routes over inter-satellite links.

    `positions_m` (S, 3) count from the centre of the Earth, `links` (E, 2) are used in both
    directions if their line of sight is clear, `sources` (n,) and `targets` (m,) are satellites.
    Shortest means least length.  A satellite reaches itself with 0 hops; an unreachable target has
    hops -1 and infinite length.  These are h and isl of Yan et al. 2025, eqs. (20) to (26).
    Raises ValueError for positions that are not finite or an index outside [0, S).
    """
    require_last_axis('positions_m', positions_m, 3)
    require_finite('positions_m', positions_m, 'Propagate the orbits first.')
    count = len(positions_m)
    for name, index in (('links', links), ('sources', sources), ('targets', targets)):
        if index.size and not (index.min() >= 0 and index.max() < count):
            raise ValueError(
                f'{name} holds {index.min()} to {index.max()}, but must lie in [0, {count}). '
                'Index the rows of positions_m.'
            )
    usable = clear_links(positions_m, links.reshape(-1, 2))
    length = np.linalg.norm(positions_m[usable[:, 0]] - positions_m[usable[:, 1]], axis=-1)
    # A sparse graph drops edges of length 0, so satellites in one place stay a millimetre apart.
    graph = scipy.sparse.coo_array(
        (np.maximum(length, 1e-3), (usable[:, 0], usable[:, 1])), shape=(count, count)
    ).tocsr()
    starts, row = np.unique(sources, return_inverse=True)
    distance, previous = scipy.sparse.csgraph.dijkstra(
        graph, directed=False, indices=starts, return_predecessors=True
    )
    row = row.reshape(-1, 1)
    length_m = distance[row, targets]
    return _count_hops(previous, row, np.asarray(targets), np.isfinite(length_m)), length_m


def _unique_links(links: IntArray) -> IntArray:
    """Return each undirected link once, sorted, without links of a satellite to itself."""
    links = np.sort(links, axis=-1)
    return np.unique(links[links[:, 0] != links[:, 1]], axis=0)


def _count_hops(
    previous: IntArray, row: IntArray, targets: IntArray, reachable: NDArray[np.bool_]
) -> IntArray:
    """Return hops (n, m) by walking all routes back at once, one hop a turn."""
    hops = np.where(reachable, 0, -1)
    at = np.broadcast_to(targets, hops.shape)
    while True:
        before = previous[row, at]
        moving = reachable & (before >= 0)  # negative at the start of a route
        if not moving.any():
            return hops
        hops = hops + moving
        at = np.where(moving, before, at)
