"""The paper's baselines: paths first, then the best link, and even shares of the processor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial

import numpy as np

from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.partial.paths import (
    ellipse,
    hovering_tour_path,
    sectors,
    tour_path,
)
from sec_nodes.scenarios.partial import Partial, PartialDecision
from sec_nodes.scenarios.partial.bounds import lower_bound_j
from sec_nodes.scenarios.partial.instance import PartialState
from sec_nodes.slot import FloatArray, IntArray


class PartialController(BatchController[Partial, PartialState, PartialDecision]):
    """A controller of the partial scenario."""

    scenario_name = 'partial'

    def bound(self, state: PartialState) -> FloatArray:
        """(B,) lower bound of (12) [J]; infinite where a task is late at any processor speed."""
        return lower_bound_j(self.scenario.settings, state)


class _Baseline(PartialController):
    """Best mean link along the ellipses, F_max / N_u for each task; nothing is repaired."""

    def decide(self, state: PartialState) -> PartialDecision:
        """Plan each copy; which paths are flown is up to the subclass."""
        uavs = self.scenario.settings.uavs
        outline_m = initial_ellipses(self.scenario, state)
        server = best_links(self.scenario, state, outline_m)
        mine = server[:, None] == np.arange(uavs.count)[:, None]
        rivals = np.take_along_axis(mine.sum(axis=2), server, axis=1)
        return PartialDecision(
            waypoint_m=self._paths_m(state, server, outline_m),
            server=server,
            cpu_hz=uavs.cpu_hz / rivals,
            split=self._split(state),
        )

    def _split(self, state: PartialState) -> IntArray:
        """(B, N) cuts; the given ones."""
        return state.split

    @abstractmethod
    def _paths_m(self, state: PartialState, server: IntArray, outline_m: FloatArray) -> FloatArray:
        """Waypoints (B, U, M + 1, 2); `outline_m` are the ellipses."""


class _Tour(_Baseline):
    """Paths over the UAV's own terminals."""

    def _paths_m(self, state: PartialState, server: IntArray, outline_m: FloatArray) -> FloatArray:
        return paths_of_groups(state, server, self.scenario.settings.uavs.count, self._path_m)

    @abstractmethod
    def _path_m(self, depot_m: FloatArray, terminal_m: FloatArray) -> FloatArray:
        """Path (M + 1, 2) of a UAV that serves terminals (n, 2)."""


@register_batch
class Tsp(_Tour):
    """TSP: the shortest closed tour over the UAV's terminals, at one speed."""

    name = 'tsp'

    def _path_m(self, depot_m: FloatArray, terminal_m: FloatArray) -> FloatArray:
        return tour_path(depot_m, terminal_m, self.scenario.settings.slots)


@register_batch
class TspHover(_Tour):
    """TSP-FH: the same tour at full speed, the time left spent hovering above the terminals."""

    name = 'tsp_hover'

    def _path_m(self, depot_m: FloatArray, terminal_m: FloatArray) -> FloatArray:
        settings = self.scenario.settings
        return hovering_tour_path(
            depot_m, terminal_m, settings.slots, settings.slot_s, settings.uavs.speed_m_s
        )


@register_batch
class Ellipse(_Baseline):
    """BL: the ellipses with which the paper's algorithm begins."""

    name = 'ellipse'

    def _paths_m(self, state: PartialState, server: IntArray, outline_m: FloatArray) -> FloatArray:
        return outline_m


@register_batch
class Binary(Ellipse):
    """Full offloading: nothing is run at the terminal, D_off = D.

    By the printed (6) and (7) its program has no time to arrive, so it misses every task, and a
    given cut is not kept. The fair statement is the certificate of `bounds.binary_certificate`.
    """

    name = 'binary'

    def _split(self, state: PartialState) -> IntArray:
        """(B, N) the cuts with the largest program."""
        return state.splits_bit[..., 0].argmax(axis=-1)


def initial_ellipses(scenario: Partial, state: PartialState) -> FloatArray:
    """Ellipses (B, U, M + 1, 2) towards angular sectors, with which Algorithm 1 begins."""
    n_uavs = scenario.settings.uavs.count
    pairs = zip(state.terminal_m, state.depot_m, strict=True)
    server = np.stack([sectors(terminal_m, depot_m, n_uavs) for terminal_m, depot_m in pairs])
    return paths_of_groups(state, server, n_uavs, partial(ellipse_of, scenario))


def ellipse_of(scenario: Partial, depot_m: FloatArray, terminal_m: FloatArray) -> FloatArray:
    """The ellipse (M + 1, 2) of a UAV that serves terminals (n, 2)."""
    settings = scenario.settings
    return ellipse(
        depot_m, terminal_m, settings.slots, settings.uavs.speed_m_s * settings.mission_s
    )


def paths_of_groups(
    state: PartialState,
    server: IntArray,
    n_uavs: int,
    path_m: Callable[[FloatArray, FloatArray], FloatArray],
) -> FloatArray:
    """Paths (B, U, M + 1, 2), each from its depot and the terminals that the UAV serves."""
    return np.stack(
        [
            [path_m(depot_m, terminal_m[chosen == uav]) for uav in range(n_uavs)]
            for depot_m, terminal_m, chosen in zip(
                state.depot_m, state.terminal_m, server, strict=True
            )
        ]
    )


def best_links(scenario: Partial, state: PartialState, waypoint_m: FloatArray) -> IntArray:
    """(B, N) UAV of the best mean rate along its path."""
    rate = scenario.rates_bit_s(state, waypoint_m)
    return rate.mean(axis=-1).argmax(axis=1)
