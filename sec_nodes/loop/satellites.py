"""Which satellites serve, who relays for them, and when they pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sec_nodes.physics.geodesy import Site, enu_from_ecef, look_angles
from sec_nodes.physics.isl import grid_links, isl_routes, nearest_links
from sec_nodes.physics.orbit import (
    Constellation,
    constellation_from_tles,
    positions_ecef_m,
    walker_shell,
)
from sec_nodes.physics.visibility import (
    VisibilityWindows,
    remaining_visibility_s,
    visibility_windows,
)
from sec_nodes.scenarios.survey_settings import SurveySettings
from sec_nodes.slot import BoolArray, FloatArray, IntArray

HORIZON_S = 2 * 3600.0
"""How far passes are computed ahead [s]; an orbit takes about an hour and a half."""
TLE_NEIGHBOURS = 4
"""Inter-satellite links of a satellite whose plane is unknown, as many as in a grid."""


@dataclass(frozen=True)
class SatelliteView:
    """The N serving satellites at one instant."""

    satellite: IntArray
    """(N,) number of the satellite that serves."""
    position_m: FloatArray
    """(N, 3) [m; map]."""
    velocity_m_s: FloatArray
    """(N, 3) [m/s; map]."""
    access: IntArray
    """(N,) number of the satellite that talks to the ground for it; itself if it is in view."""
    access_position_m: FloatArray
    """(N, 3) [m; map]."""
    in_view: BoolArray
    """(N,) whether there is an access satellite, and a route to it."""
    hops: IntArray
    """(N,) inter-satellite links on the route."""
    isl_m: FloatArray
    """(N,) their length together [m]."""
    remaining_s: FloatArray
    """(N,) time until the access satellite sets [s]."""


class SatelliteNetwork:
    """The constellation above the site, with N satellites in service.

    All satellites carry the same computer, N of them work for the site. At time 0 these are the N
    that stay in view longest; when one sets, the satellite that is in view longest takes over its
    number, or if all in view are in service already, the next one to rise. A satellite that is not
    in view is reached over inter-satellite links from the highest one that is (Yan et al. 2025,
    section 4 of its system model).

    Args:
        settings: the scenario.
    """

    def __init__(self, settings: SurveySettings) -> None:
        where = settings.site
        self.site = Site(math.radians(where.latitude_deg), math.radians(where.longitude_deg), 0.0)
        self.mask_rad = math.radians(settings.satellites.minimum_elevation_deg)
        self.constellation = _constellation(settings)
        if len(self.constellation) < settings.satellites.count:
            raise ValueError(
                f'satellites.count = {settings.satellites.count} exceeds the '
                f'{len(self.constellation)} satellites of the constellation; ask for fewer'
            )
        self._count = settings.satellites.count
        self.labels: tuple[str, ...] = self.constellation.names
        self._plan(HORIZON_S)

    def at(self, time_s: float) -> SatelliteView:
        """The serving satellites at an instant [s; simulation time]."""
        if time_s > 0.75 * self._horizon_s:
            self._plan(2 * self._horizon_s)
        before, after = positions_ecef_m(
            self.constellation, np.array([time_s - 0.5, time_s + 0.5])
        )
        ecef_m = positions_ecef_m(self.constellation, time_s)
        enu_m = enu_from_ecef(ecef_m, self.site)
        velocity_m_s = (after - before) @ self.site.enu_from_ecef_rotation.T
        elevation_rad = look_angles(enu_m)[0]
        serving = self._serving(time_s)
        access, in_view, hops, isl_m = self._access(ecef_m, elevation_rad, serving)
        remaining_s = remaining_visibility_s(self.windows, time_s, len(self.constellation))
        return SatelliteView(
            satellite=serving,
            position_m=enu_m[serving],
            velocity_m_s=velocity_m_s[serving],
            access=access,
            access_position_m=enu_m[access],
            in_view=in_view,
            hops=hops,
            isl_m=isl_m,
            remaining_s=np.where(in_view, remaining_s[access], 0.0),
        )

    def passes(self, start_s: float, end_s: float) -> IntArray:
        """Rows of `windows` that lie at least partly in a span [s], in the order of rise."""
        rows = np.flatnonzero((self.windows.rise_s < end_s) & (self.windows.set_s > start_s))
        return rows[np.argsort(self.windows.rise_s[rows], kind='stable')]

    def _plan(self, horizon_s: float) -> None:
        """Compute the passes up to a horizon, and who serves when."""
        self._horizon_s = horizon_s
        self.windows: VisibilityWindows = visibility_windows(
            self.constellation, self.site, 0.0, horizon_s, self.mask_rad
        )
        self._changes = self._successions()

    def _successions(self) -> list[list[tuple[float, int]]]:
        """For each serving number, from when on [s] which satellite has it."""
        windows = self.windows
        order = np.lexsort((-windows.set_s, windows.rise_s > 0))
        first = [int(row) for row in order[: self._count]]
        spare = list(range(len(self.constellation)))
        history: list[list[tuple[float, int]]] = []
        until: list[float] = []
        busy: set[int] = set()
        for number in range(self._count):
            known = number < len(first)
            satellite = int(windows.satellite[first[number]]) if known else spare[number]
            history.append([(0.0, satellite)])
            until.append(float(windows.set_s[first[number]]) if known else math.inf)
            busy.add(satellite)
        while until and min(until) < self._horizon_s:
            number = int(np.argmin(until))
            now_s = until[number]
            row = self._successor(now_s, busy)
            if row is None:
                until[number] = math.inf
                continue
            busy.discard(history[number][-1][1])
            satellite = int(windows.satellite[row])
            busy.add(satellite)
            history[number].append((now_s, satellite))
            until[number] = float(windows.set_s[row])
        return history

    def _successor(self, now_s: float, busy: set[int]) -> int | None:
        """Row of the pass whose satellite takes over: longest in view, else next to rise."""
        windows = self.windows
        free = ~np.isin(windows.satellite, list(busy)) & (windows.set_s > now_s)
        up = np.flatnonzero(free & (windows.rise_s <= now_s))
        if len(up):
            return int(up[np.argmax(windows.set_s[up])])
        coming = np.flatnonzero(free)
        return int(coming[np.argmin(windows.rise_s[coming])]) if len(coming) else None

    def _serving(self, time_s: float) -> IntArray:
        """(N,) satellites in service at an instant."""
        return np.array(
            [
                max(change for change in history if change[0] <= max(time_s, 0.0))[1]
                for history in self._changes
            ],
            dtype=np.int64,
        )

    def _access(
        self, ecef_m: FloatArray, elevation_rad: FloatArray, serving: IntArray
    ) -> tuple[IntArray, BoolArray, IntArray, FloatArray]:
        """Access satellite, whether it can be used, hops and length of the route to it."""
        up = elevation_rad >= self.mask_rad
        hops = np.zeros(len(serving), dtype=np.int64)
        isl_m = np.zeros(len(serving))
        if not up.any() or not len(serving):
            return serving, np.zeros(len(serving), dtype=bool), hops, isl_m
        highest = int(np.argmax(elevation_rad))
        access = np.where(up[serving], serving, highest)
        hidden = np.flatnonzero(~up[serving])
        if len(hidden):
            route_hops, route_m = isl_routes(
                ecef_m, self._links(ecef_m), np.array([highest]), serving[hidden]
            )
            hops[hidden], isl_m[hidden] = route_hops[0], route_m[0]
        in_view = hops >= 0
        return access, in_view, np.maximum(hops, 0), np.where(in_view, isl_m, 0.0)

    def _links(self, ecef_m: FloatArray) -> IntArray:
        if self.constellation.is_walker:
            return grid_links(self.constellation)
        neighbours = min(TLE_NEIGHBOURS, len(self.constellation) - 1)
        return (
            nearest_links(ecef_m, neighbours) if neighbours else np.empty((0, 2), dtype=np.int64)
        )


def _constellation(settings: SurveySettings) -> Constellation:
    shell = settings.satellites
    if shell.tle_file is not None:
        return constellation_from_tles(shell.tle_file, settings.site.epoch)
    return walker_shell(
        shell.altitude_m,
        math.radians(shell.inclination_deg),
        shell.planes,
        shell.per_plane,
        shell.phasing,
        settings.site.epoch,
    )
