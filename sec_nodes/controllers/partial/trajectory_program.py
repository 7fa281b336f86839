"""One convex problem for the path of one UAV: P5 and P6 of Liu et al. 2026, corrected.

Sensors 2026, 26(11), 3540. The problem is an inner approximation around a path q_l: what it allows
is allowed by (12), and at q_l both cost the same. All parts but psi, the bits by time, also agree
in slope there; psi does as the reach of the step goes to 0.

Corrected: the printed P6 minimises the sum of squared steps, which drives speeds below the
cheapest one; here it is the propulsion energy (1) itself. And it freezes windows and processor
speeds while the path moves; here the end tau of each upload moves along, so that a faster upload
is rewarded.

Rates enter by bowls over the plane (`plane_minorant`), so that one slack e >= |q - q_l|^2 / 2 for
each waypoint serves all tasks, and (7) and (11) are linear rows. A slack for each distance, as the
parabolas alone would need, makes the problem three times as large and its steps no better.

Inside, lengths are in 100 m, times in 10 s, data in Mb, energies in kJ and work in Gcycle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sec_nodes.controllers.partial.flight import Sortie
from sec_nodes.controllers.partial.minorant import (
    LINES,
    PlaneMinorant,
    RateMinorants,
    TimeMinorant,
    plane_minorant,
    time_minorant,
)
from sec_nodes.controllers.partial.trajectory_cones import ConeProgram
from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial.settings import PartialSettings
from sec_nodes.scenarios.partial.uploads import endless_passage, slot_overlap_s
from sec_nodes.slot import FloatArray, IntArray

_LENGTH_M = 100.0
_TIME_S = 10.0
_SPEED_M_S = _LENGTH_M / _TIME_S
_DATA_BIT = 1e6
_ENERGY_J = 1e3
_WORK_CYCLE = 1e9

UPLOAD_MARGIN = 1e-5
MARGIN = 1e-6
"""Relative reserves of uploads, and of speeds, bends and processor, against what the solver
leaves of its own tolerance."""
_SHORTAGE = 1e3
"""Price of a relative shortage in the elastic problem [kJ], far above what flying costs."""
_LEAST_WORK, _LEAST_JOULE = 1e-3, 1e-6
"""Least work of a task [Gcycle] and price of it at 1 GHz [J], so that each time has a price."""
_LEAST_LEFT_S = 1e-3


@dataclass(frozen=True)
class Links:
    """What links carry along a path, from below."""

    distance_m: FloatArray
    """(n, M) d_l."""
    rate_bit_s: FloatArray
    """(n, M) exact rates there."""
    bowl: PlaneMinorant
    """(n, M)"""


@dataclass(frozen=True)
class UploadRows:
    """Where the rows of uploads and their changing coefficients are."""

    rows: IntArray
    """(n,)"""
    by_place: slice
    by_swerve: slice


class PathProgram:
    """Path, speeds and propulsion (1) of one UAV, with what is common to both problems.

    Args:
        settings: parameters of the scenario.
        sortie: what the UAV has to do.
    """

    def __init__(self, settings: PartialSettings, sortie: Sortie) -> None:
        self.settings = settings
        self.sortie = sortie
        self.cones = ConeProgram('sca_bcd')
        self.slots, self.slot_s = settings.slots, settings.slot_s
        self.minorants = RateMinorants(
            sortie.link, len(sortie.terminal_m), float(np.hypot(*settings.area_m))
        )
        self._lay_path()
        self._lay_propulsion()
        self._lay_bends()

    def links(self, path_m: FloatArray) -> Links:
        """Rates and bowls along a path (M + 1, 2)."""
        offset_m = path_m[None, :-1] - self.sortie.terminal_m[:, None]
        distance_m = np.hypot(offset_m[..., 0], offset_m[..., 1])
        parabola = self.minorants.around(distance_m)
        return Links(distance_m, parabola.rate_bit_s, plane_minorant(parabola, offset_m))

    def fill_path(self, path_m: FloatArray, reach_m: float) -> None:
        """Put a path (M + 1, 2) in the middle, from which waypoints may move by `reach_m`."""
        self.cones.offset[self._moved[:, 2:]] = -path_m[1:-1] / _LENGTH_M
        self.cones.offset[self._reach] = (reach_m / _LENGTH_M) ** 2 / 2.0
        self._fill_induced(path_m)

    def path_of(self, x: FloatArray) -> FloatArray:
        """The path (M + 1, 2) [m] in a solution."""
        inner_m = x[self._q] * _LENGTH_M
        return np.concatenate([self.sortie.start_m[None], inner_m, self.sortie.end_m[None]])

    def lay_uploads(self, count: int) -> UploadRows:
        """New rows: what windows carry at least, in the end minus what they must, `count`."""
        rows = self.cones.nonnegative(count)
        return UploadRows(
            rows=rows,
            by_place=self.cones.enter(rows[:, None, None], self._q),
            by_swerve=self.cones.enter(rows[:, None], self._swerve),
        )

    def fill_uploads(
        self,
        upload: UploadRows,
        bowl: PlaneMinorant,
        window_s: FloatArray,
        size_bit: FloatArray,
        path_m: FloatArray,
    ) -> None:
        """Fill `UploadRows` with windows (n, M) and sizes (n,), along a path (M + 1, 2)."""
        pull = (window_s[..., None] * bowl.gradient_bit_s_m)[:, 1:]
        bend = (window_s * bowl.curvature_bit_s_m2)[:, 1:]
        here_bit = (window_s * bowl.rate_bit_s).sum(axis=1)
        wanted_bit = size_bit * (1.0 + UPLOAD_MARGIN)
        rest_bit = here_bit - np.einsum('nmx,mx->n', pull, path_m[1:-1]) - wanted_bit
        self.cones.coefficient[upload.by_place] = pull.ravel() * (_LENGTH_M / _DATA_BIT)
        self.cones.coefficient[upload.by_swerve] = -bend.ravel() * (_LENGTH_M**2 / _DATA_BIT)
        self.cones.offset[upload.rows] = rest_bit / _DATA_BIT

    def _lay_path(self) -> None:
        """Inner waypoints, speeds v >= |q_{m+1} - q_m| / t_s, swerves e >= |q - q_l|^2 / 2."""
        cones, slots = self.cones, self.slots
        self._q = cones.columns(slots - 1, 2)
        self._speed = cones.columns(slots)
        self._swerve = cones.columns(slots - 1)
        fastest = cones.nonnegative(slots)
        cones.enter(fastest, self._speed, -1.0)
        cones.offset[fastest] = self.settings.uavs.speed_m_s * (1.0 - MARGIN) / _SPEED_M_S
        self._reach = cones.nonnegative(slots - 1)
        cones.enter(self._reach, self._swerve, -1.0)
        step = cones.second_order(slots, 3)
        cones.enter(step[:, 0], self._speed, self.slot_s / _TIME_S)
        self._enter_points(step[:, 1:], np.arange(slots), (-1.0, 1.0))
        self._moved = cones.second_order(slots - 1, 4)
        cones.enter(self._moved[:, :2], self._swerve[:, None], 1.0)
        cones.offset[self._moved[:, :2]] = 0.5, -0.5
        cones.enter(self._moved[:, 2:], self._q, 1.0)

    def _lay_propulsion(self) -> None:
        """(1): P0 (1 + 3 v^2 / Utip^2) + drag c + P1 y with c >= v^3, y the induced share."""
        cones, wing, slots = self.cones, self.settings.wing, self.slots
        cube, self._induced = cones.columns(slots), cones.columns(slots)
        rotor = wing.air_density_kg_m3 * wing.solidity * wing.disc_area_m2
        drag = 0.5 * wing.drag_ratio * rotor * _SPEED_M_S**3
        blade = 3.0 * wing.blade_power_w * (_SPEED_M_S / wing.tip_speed_m_s) ** 2
        cones.square[self._speed] = 2.0 * blade * self.slot_s / _ENERGY_J
        cones.linear[cube] = drag * self.slot_s / _ENERGY_J
        cones.linear[self._induced] = wing.induced_power_w * self.slot_s / _ENERGY_J
        cubed = cones.third_power(slots)
        cones.enter(cubed[:, 0], cube, 1.0)
        cones.offset[cubed[:, 1]] = 1.0
        cones.enter(cubed[:, 2], self._speed, 1.0)
        self._inverse = cones.third_power(slots)
        self._by_induced = cones.enter(self._inverse[:, 0], self._induced)
        cones.enter(self._inverse[:, 1], self._induced, 1.0)
        cones.offset[self._inverse[:, 2]] = 1.0
        # the steps: slot m moves from waypoint m to m + 1, of which the inner ones are unknown
        self._by_end = cones.enter(self._inverse[:-1, 0, None], self._q)
        self._by_begin = cones.enter(self._inverse[1:, 0, None], self._q)

    def _fill_induced(self, path_m: FloatArray) -> None:
        """1 / y^2 <= y^2 + |Dq|^2 / (t_s v0)^2, the right side by its tangent at the path."""
        step_m = np.diff(path_m, axis=0)
        induced_m = self.slot_s * self.settings.wing.induced_speed_m_s
        squares = np.square(step_m).sum(axis=1) / induced_m**2
        z = squares / 2.0
        y = 1.0 / np.sqrt(np.sqrt(1.0 + z * z) + z)
        pull = 2.0 * step_m / induced_m**2
        cones = self.cones
        cones.coefficient[self._by_induced] = 2.0 * y
        cones.coefficient[self._by_end] = pull[:-1].ravel() * _LENGTH_M
        cones.coefficient[self._by_begin] = -pull[1:].ravel() * _LENGTH_M
        rest = -np.square(y) - squares
        rest[0] -= pull[0] @ self.sortie.start_m
        rest[-1] += pull[-1] @ self.sortie.end_m
        cones.offset[self._inverse[:, 0]] = rest

    def _lay_bends(self) -> None:
        """Second differences within a_max t_s^2; the first step by the velocity, if known."""
        limit_m_s2 = self.settings.uavs.acceleration_m_s2
        if limit_m_s2 is None:
            return
        cones, velocity_m_s = self.cones, self.sortie.velocity_m_s
        most = limit_m_s2 * self.slot_s**2 * (1.0 - MARGIN) / _LENGTH_M
        bend = cones.second_order(self.slots - 1, 3)
        cones.offset[bend[:, 0]] = most
        self._enter_points(bend[:, 1:], np.arange(self.slots - 1), (1.0, -2.0, 1.0))
        if np.isfinite(velocity_m_s).all():
            jolt = cones.second_order(1, 3)
            cones.offset[jolt[:, 0]] = most
            self._enter_points(jolt[:, 1:], np.arange(1), (-1.0, 1.0))
            cones.offset[jolt[:, 1:]] -= velocity_m_s * self.slot_s / _LENGTH_M

    def _enter_points(self, rows: IntArray, first: IntArray, stencil: tuple[float, ...]) -> None:
        """Rows (k, 2) that weigh waypoints from `first` (k,) on; both ends are known."""
        for ahead, weight in enumerate(stencil):
            waypoint = first + ahead
            inner = (waypoint > 0) & (waypoint < self.slots)
            self.cones.enter(rows[inner], self._q[waypoint[inner] - 1], weight)
            for number, place_m in ((0, self.sortie.start_m), (self.slots, self.sortie.end_m)):
                self.cones.offset[rows[waypoint == number]] += weight * place_m / _LENGTH_M


class StepProgram(PathProgram):
    """The step of the algorithm: least E_u of (12), with tau and the processor's times."""

    def __init__(self, settings: PartialSettings, sortie: Sortie) -> None:
        super().__init__(settings, sortie)
        tasks = sortie.tasks
        zero_s = np.zeros_like(tasks.local_s)
        self._program = np.nonzero(tasks.program_bit > 0)[0]
        self._upload = np.nonzero(tasks.intermediate_bit > 0)[0]
        self._program_s = slot_overlap_s(zero_s, tasks.local_s, self.slot_s, self.slots)
        self._program_rows = self.lay_uploads(len(self._program))
        self._upload_rows = self.lay_uploads(len(self._upload))
        self._lay_times()

    def path_near(self, path_m: FloatArray, reach_m: float) -> FloatArray | None:
        """The best path (M + 1, 2) of the problem around a path; None if there is none."""
        self.fill_path(path_m, reach_m)
        links, tasks = self.links(path_m), self.sortie.tasks
        end_s, _ = endless_passage(
            links.rate_bit_s, tasks.local_s, tasks.intermediate_bit, self.slot_s
        )
        windows = (
            (self._program_rows, self._program, self._program_s, tasks.program_bit),
            (
                self._upload_rows,
                self._upload,
                slot_overlap_s(tasks.local_s, end_s, self.slot_s, self.slots),
                tasks.intermediate_bit,
            ),
        )
        for rows, task, window_s, size_bit in windows:
            self.fill_uploads(rows, links.bowl.of(task), window_s[task], size_bit[task], path_m)
        self._fill_times(links.distance_m, end_s, reach_m)
        x = self.cones.solve()
        return None if x is None else self.path_of(x)

    def _lay_times(self) -> None:
        """tau, psi, and k >= 1 / t, h >= k^2 of the time t = T_n - tau that is left to compute."""
        cones, tasks, task = self.cones, self.sortie.tasks, self._upload
        count = len(task)
        self._tau, self._psi = cones.columns(count), cones.columns(count)
        hurry, squared = cones.columns(count), cones.columns(count)
        work = np.maximum(tasks.work_cycle[task] / _WORK_CYCLE, _LEAST_WORK)
        uavs, weight = self.settings.uavs, self.settings.objective.service_weight
        joule = weight * uavs.capacitance_j_s2 * _WORK_CYCLE**3
        joule = max(joule, _LEAST_JOULE)
        cones.linear[squared] = joule * work**3 / _TIME_S**2 / _ENERGY_J
        cones.enter(self._upload_rows.rows, self._psi, 1.0)
        self._bounds = cones.nonnegative(2, count)
        cones.enter(self._bounds, self._tau, np.array([[1.0], [-1.0]]))
        self._lines = cones.nonnegative(count, LINES)
        cones.enter(self._lines, self._psi[:, None], -1.0)
        self._by_tau = cones.enter(self._lines, self._tau[:, None])
        capacity = cones.nonnegative(1)
        cones.enter(capacity, hurry, -work / _TIME_S)
        cones.offset[capacity] = (self._free_hz() / _WORK_CYCLE) * (1.0 - MARGIN)
        inverse = cones.second_order(count, 3)  # (k + t)^2 - (k - t)^2 = 4 k t >= 2^2
        cones.enter(inverse[:, :2], hurry[:, None], 1.0)
        cones.enter(inverse[:, :2], self._tau[:, None], np.array([-1.0, 1.0]))
        left = tasks.deadline_s[task] / _TIME_S
        cones.offset[inverse] = np.stack([left, -left, np.full(count, 2.0)], axis=1)
        square = cones.second_order(count, 3)  # (h + 1)^2 - (h - 1)^2 = 4 h >= (2 k)^2
        cones.enter(square[:, :2], squared[:, None], 1.0)
        cones.offset[square[:, :2]] = 1.0, -1.0
        cones.enter(square[:, 2], hurry, 2.0)

    def _free_hz(self) -> float:
        """The processor without tasks that have nothing left to upload: they run right away."""
        tasks = self.sortie.tasks
        done = (tasks.intermediate_bit <= 0) & (tasks.work_cycle > 0)
        left_s = np.maximum((tasks.deadline_s - tasks.local_s)[done], _LEAST_LEFT_S)
        return self.sortie.cpu_hz - float((tasks.work_cycle[done] / left_s).sum())

    def _fill_times(self, distance_m: FloatArray, end_s: FloatArray, reach_m: float) -> None:
        task, cones = self._upload, self.cones
        near_m = np.maximum(distance_m - reach_m, 0.0)
        psi = time_minorant(
            rate_bit_s(near_m, self.sortie.link)[task],
            rate_bit_s(distance_m + reach_m, self.sortie.link)[task],
            end_s[task],
            self.slot_s,
        )
        self._fill_lines(psi)
        mission_s = self.slots * self.slot_s
        earliest_s = np.maximum(psi.earliest_s, self.sortie.tasks.local_s[task])
        cones.offset[self._bounds[0]] = -earliest_s / _TIME_S
        cones.offset[self._bounds[1]] = np.minimum(psi.latest_s, mission_s) / _TIME_S

    def _fill_lines(self, psi: TimeMinorant) -> None:
        self.cones.offset[self._lines] = psi.intercept_bit / _DATA_BIT
        slope = psi.slope_bit_s * (_TIME_S / _DATA_BIT)
        self.cones.coefficient[self._by_tau] = slope.ravel()


class MendProgram(PathProgram):
    """The elastic problem of phase 0: windows stay as they are, uploads may fall short.

    Args:
        settings: parameters of the scenario.
        sortie: what the UAV has to do.
        end_s: (n,) when the uploads must end.
    """

    def __init__(self, settings: PartialSettings, sortie: Sortie, end_s: FloatArray) -> None:
        super().__init__(settings, sortie)
        tasks = sortie.tasks
        window_s = np.stack(
            [
                slot_overlap_s(np.zeros_like(end_s), tasks.local_s, self.slot_s, self.slots),
                slot_overlap_s(tasks.local_s, end_s, self.slot_s, self.slots),
            ]
        )
        size_bit = np.stack([tasks.program_bit, tasks.intermediate_bit])
        wanted = size_bit > 0
        self._task = np.nonzero(wanted)[1]
        self._window_s, self._size_bit = window_s[wanted], size_bit[wanted]
        self._rows = self.lay_uploads(len(self._task))
        short = self.cones.columns(len(self._task))
        self.cones.linear[short] = _SHORTAGE
        self.cones.enter(self._rows.rows, short, self._size_bit / _DATA_BIT)
        self.cones.enter(self.cones.nonnegative(len(self._task)), short, 1.0)

    def shortage(self, path_m: FloatArray) -> float:
        """Sum of the shares that a path leaves of what must be uploaded."""
        carried_bit = (self._window_s * self.links(path_m).rate_bit_s[self._task]).sum(axis=1)
        return float(np.maximum(1.0 - carried_bit / self._size_bit, 0.0).sum())

    def path_near(self, path_m: FloatArray, reach_m: float) -> FloatArray | None:
        """The path (M + 1, 2) of least shortage in the problem around a path, if any."""
        self.fill_path(path_m, reach_m)
        bowl = self.links(path_m).bowl.of(self._task)
        self.fill_uploads(self._rows, bowl, self._window_s, self._size_bit, path_m)
        x = self.cones.solve()
        return None if x is None else self.path_of(x)
