"""Scenario partial: UAVs plan a mission in which they finish neural networks of ground terminals.

Liu et al., "Joint Optimization of Trajectory-Resource Allocation and Deep Task Partial Offloading
for MEC-Enabled Multi-UAV", Sensors 2026, 26(11), 3540; equation numbers are its own, as corrected
in docs/scenario_partial.md. Each terminal runs the first layers of its network itself and
meanwhile uploads the program of the others, then uploads the intermediate result; its UAV computes
the rest before the deadline:

    [0, T_lc] local run and program upload, [T_lc, tau] intermediate upload, [tau, tau + T_oc] UAV.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from sec_nodes.physics.energy import computing_energy_j, propulsion_power_w
from sec_nodes.physics.urban import UrbanLink, rate_bit_s
from sec_nodes.scenarios.base import Scenario, SlotSummary
from sec_nodes.scenarios.partial.bounds import lower_bound_j
from sec_nodes.scenarios.partial.instance import (
    UNSERVED,
    PartialState,
    cut_tasks,
    draw_instance,
    read_instance,
)
from sec_nodes.scenarios.partial.settings import PartialSettings
from sec_nodes.scenarios.partial.uploads import first_passage_s, uploaded_bit
from sec_nodes.slot import BoolArray, FloatArray, IntArray

TOLERANCE_BIT = 1.0
TOLERANCE_HZ = 1e3
TOLERANCE_M = 1e-6
TOLERANCE_M_S = 1e-5
TOLERANCE_S = 1e-9
"""How far a plan may miss a constraint: 1e-6 Mb, GHz and m, 1e-5 m/s, rounding of times."""

PATH_KINDS = 'speed', 'depot', 'acceleration'
"""Constraints on each UAV's path: (12f), (12e), and the optional limit of second differences."""
TASK_KINDS = 'program', 'intermediate'
"""Constraints that make a task late if they fail: (7), (11)."""


@dataclass(frozen=True)
class PartialDecision:
    """A plan for the mission of each copy. B copies, U UAVs, N tasks, M slots."""

    waypoint_m: FloatArray
    """(B, U, M + 1, 2) where each UAV is at the beginning of each slot, and at the end [m]."""
    server: IntArray
    """(B, N) UAV that serves each task, UNSERVED for none."""
    cpu_hz: FloatArray
    """(B, N) f_n, share of the UAV's processor that the task gets."""
    split: IntArray
    """(B, N) cut of each task."""

    def only(self, copies: IntArray | slice) -> PartialDecision:
        """The plan of some copies, (b,) indices or a slice."""
        return PartialDecision(**{name: value[copies] for name, value in vars(self).items()})


@dataclass(frozen=True)
class PartialOutcome:
    """What a plan costs, and what it breaks. B copies, U UAVs, N tasks."""

    propulsion_j: FloatArray
    """(B, U) E^prop: (1) summed over the slots."""
    service_j: FloatArray
    """(B, N) E_n: (9)."""
    energy_j: FloatArray
    """(B, U) E_u of (12): propulsion and beta times service."""
    objective_j: FloatArray
    """(B,) the largest E_u: (12)."""
    program_margin_bit: FloatArray
    """(B, N) what (7) has to spare; -D_off if nobody serves."""
    intermediate_margin_bit: FloatArray
    """(B, N) what (11) has to spare; -S if nobody serves."""
    upload_end_s: FloatArray
    """(B, N) tau, when the intermediate result has arrived; infinite if never."""
    finish_s: FloatArray
    """(B, N) tau + T_oc; infinite if never."""
    met: BoolArray
    """(B, N) tasks served before their deadline: (5), (7) and (11) hold."""
    violations: dict[str, IntArray]
    """Number of broken constraints of each kind, (B,): `speed` (slots), `depot` (UAVs),
    `acceleration` (waypoints), `capacity` (UAVs; (10)), `served` (tasks that nobody serves, or
    not the UAV that has their program; (5)), `split` (tasks whose given cut was changed),
    `program` (tasks; (7)), `intermediate` (tasks; (11))."""


@dataclass(frozen=True)
class Pairs:
    """What each UAV could do for each task along given paths, (B, U, N)."""

    program_end_s: FloatArray
    """When the program has arrived; infinite if never."""
    upload_end_s: FloatArray
    """tau, when the intermediate result has arrived; infinite if never."""
    cpu_hz: FloatArray
    """f = W / (T_n - tau), the least that meets the deadline; infinite if none does."""
    service_j: FloatArray
    """E of (9) at that speed; infinite if none does."""
    possible: BoolArray
    """(7) holds, f is no more than the whole processor, and no other UAV has the program."""


class Partial(Scenario[PartialState, PartialDecision, PartialOutcome]):
    """Missions of UAVs that serve ground terminals by partial program offloading."""

    name: ClassVar[str] = 'partial'
    reference: ClassVar[str] = 'descent'

    def __init__(self, settings: PartialSettings) -> None:
        self.settings: PartialSettings = settings
        self.wing = settings.wing
        if settings.tasks.file is not None:  # a wrong file shows before anything is planned
            read_instance(settings, settings.tasks.file, np.zeros(1, dtype=np.int64))
        for shadow in settings.radio.shadows:
            if shadow.terminal >= settings.n_devices:
                raise ValueError(
                    f'radio.shadows has terminal {shadow.terminal}, but there are '
                    f'{settings.n_devices}, counted from 0'
                )

    @property
    def same_every_episode(self) -> bool:
        """Whether the instance is that of a file."""
        return self.settings.tasks.file is not None

    @property
    def horizon(self) -> int:
        """One: a mission is decided as a whole."""
        return 1

    def reset(self, seed: IntArray) -> PartialState:
        """The frozen instance in every copy, or one drawn for each seed (B,).

        Raises:
            ValueError: a file that holds no instance.
        """
        seeds = np.asarray(seed, dtype=np.int64)
        if self.settings.tasks.file is not None:
            return read_instance(self.settings, self.settings.tasks.file, seeds)
        return draw_instance(self.settings, seeds)

    def link(self, state: PartialState, uav: IntArray | None = None) -> UrbanLink:
        """The links of all pairs, to be broadcast against distances (B, U, N, M).

        Args:
            state: the instances.
            uav: (P,) UAVs in the order of distances, then (B, P, N, M); None for all.
        """
        link = self.settings.link
        altitude_m = self.settings.altitudes_m if uav is None else self.settings.altitudes_m[uav]
        return replace(
            link,
            altitude_m=altitude_m[:, None, None],
            penetration_loss_db=link.penetration_loss_db + state.loss_db[:, None, :, None],
        )

    def rates_bit_s(
        self, state: PartialState, waypoint_m: FloatArray, uav: IntArray | None = None
    ) -> FloatArray:
        """Rate (4) in each slot, (B, U, N, M), with the UAV where the slot begins.

        Args:
            state: the instances.
            waypoint_m: (B, U, M + 1, 2), or (B, P, M + 1, 2) with `uav`.
            uav: (P,) whose paths these are; None for one of each UAV.
        """
        offset_m = waypoint_m[:, :, None, :-1] - state.terminal_m[:, None, :, None]
        distance_m = np.hypot(offset_m[..., 0], offset_m[..., 1])
        return rate_bit_s(distance_m, self.link(state, uav))

    def own_rates_bit_s(
        self, state: PartialState, waypoint_m: FloatArray, server: IntArray
    ) -> FloatArray:
        """As `rates_bit_s`, (B, N, M), to the UAV that serves each task; 0 if none does."""
        served = server != UNSERVED
        uav = np.where(served, server, 0)
        path_m = np.take_along_axis(waypoint_m, uav[..., None, None], axis=1)
        offset_m = path_m[:, :, :-1] - state.terminal_m[:, :, None]
        link = self.settings.link
        own = replace(
            link,
            altitude_m=self.settings.altitudes_m[uav][..., None],
            penetration_loss_db=link.penetration_loss_db + state.loss_db[..., None],
        )
        rate = rate_bit_s(np.hypot(offset_m[..., 0], offset_m[..., 1]), own)
        return np.where(served[..., None], rate, 0.0)

    def speeds_m_s(self, waypoint_m: FloatArray) -> FloatArray:
        """Speed in each slot, (..., M), along waypoints (..., M + 1, 2)."""
        step_m = np.diff(waypoint_m, axis=-2)
        return np.hypot(step_m[..., 0], step_m[..., 1]) / self.settings.slot_s

    def propulsion_j(self, waypoint_m: FloatArray) -> FloatArray:
        """Energy t_s sum P(v) of (1), (...), along waypoints (..., M + 1, 2)."""
        power_w = propulsion_power_w(self.speeds_m_s(waypoint_m), self.wing)
        return self.settings.slot_s * power_w.sum(axis=-1)

    def pairs(
        self,
        state: PartialState,
        waypoint_m: FloatArray,
        split: IntArray,
        uav: IntArray | None = None,
    ) -> Pairs:
        """What each UAV could do for each task along given paths.

        The least processor speed f = W / (T_n - tau) is also the best, for (9) grows with f.
        Corrected: the printed (18), f >= W / (T_n - T_lc), leaves no time for the upload.

        Args:
            state: the instances.
            waypoint_m: (B, U, M + 1, 2), or (B, P, M + 1, 2) with `uav`.
            split: (B, N)
            uav: (P,) whose paths these are; None for one of each UAV.
        """
        number = np.arange(self.settings.uavs.count) if uav is None else uav
        tasks = cut_tasks(state, split)
        rate = self.rates_bit_s(state, waypoint_m, number)
        slot_s, held = self.settings.slot_s, state.held[:, None]
        zero_s = np.zeros_like(tasks.local_s)[:, None]
        program_end_s = first_passage_s(rate, zero_s, tasks.program_bit[:, None], slot_s)
        upload_end_s = first_passage_s(
            rate, tasks.local_s[:, None], tasks.intermediate_bit[:, None], slot_s
        )
        cpu_hz = least_cpu_hz(tasks.work_cycle[:, None], tasks.deadline_s[:, None] - upload_end_s)
        with np.errstate(invalid='ignore'):
            service_j = self._service_j(tasks.work_cycle[:, None], cpu_hz)
        return Pairs(
            program_end_s=program_end_s,
            upload_end_s=upload_end_s,
            cpu_hz=cpu_hz,
            service_j=service_j,
            possible=(program_end_s <= tasks.local_s[:, None] + TOLERANCE_S)
            & (cpu_hz <= self.free_hz(state)[:, number, None])
            & ((held == UNSERVED) | (held == number[:, None])),
        )

    def free_hz(self, state: PartialState) -> FloatArray:
        """(B, U) processor of each UAV that is not reserved."""
        return self.settings.uavs.cpu_hz - state.reserved_hz

    def evaluate(self, state: PartialState, decision: PartialDecision) -> PartialOutcome:
        """Cost a plan; broken constraints are counted, not mended.

        Raises:
            ValueError: a plan of the wrong shape, with numbers that are none, negative processor
                speeds, or UAVs and cuts that do not exist.
        """
        self._require_plan(state, decision)
        tasks = cut_tasks(state, decision.split)
        served = decision.server != UNSERVED
        rate = self.own_rates_bit_s(state, decision.waypoint_m, decision.server)
        slot_s, zero_s = self.settings.slot_s, np.zeros_like(tasks.local_s)
        with np.errstate(divide='ignore', invalid='ignore'):
            compute_s = tasks.work_cycle / decision.cpu_hz
            compute_s = np.where(tasks.work_cycle > 0, compute_s, 0.0)
            upload_end_s = first_passage_s(rate, tasks.local_s, tasks.intermediate_bit, slot_s)
        upload_end_s = np.where(served, upload_end_s, np.inf)
        program_bit = uploaded_bit(rate, zero_s, tasks.local_s, slot_s)
        intermediate_bit = uploaded_bit(rate, tasks.local_s, tasks.deadline_s - compute_s, slot_s)
        program_margin_bit = program_bit - tasks.program_bit
        intermediate_margin_bit = intermediate_bit - tasks.intermediate_bit
        service_j = np.where(served, self._service_j(tasks.work_cycle, decision.cpu_hz), 0.0)
        of_uav = decision.server[:, None] == np.arange(self.settings.uavs.count)[:, None]
        propulsion_j = self.propulsion_j(decision.waypoint_m)
        weight = self.settings.objective.service_weight
        energy_j = propulsion_j + weight * np.einsum('bun,bn->bu', of_uav, service_j)
        late = compute_s > tasks.deadline_s - tasks.local_s + TOLERANCE_S
        broken = {
            'program': served & (program_margin_bit < -TOLERANCE_BIT),
            # an empty intermediate result still leaves the UAV only what local running leaves
            'intermediate': served & (late | (intermediate_margin_bit < -TOLERANCE_BIT)),
        }
        load_hz = np.einsum('bun,bn->bu', of_uav, decision.cpu_hz)
        given = self.settings.tasks.split == 'given'
        elsewhere = (state.held != UNSERVED) & (decision.server != state.held)
        return PartialOutcome(
            propulsion_j=propulsion_j,
            service_j=service_j,
            energy_j=energy_j,
            objective_j=energy_j.max(axis=1),
            program_margin_bit=program_margin_bit,
            intermediate_margin_bit=intermediate_margin_bit,
            upload_end_s=upload_end_s,
            finish_s=upload_end_s + compute_s,
            met=served & ~broken['program'] & ~broken['intermediate'],
            violations={
                **self._path_violations(state, decision.waypoint_m),
                'capacity': (load_hz > self.free_hz(state) + TOLERANCE_HZ).sum(axis=1),
                'served': (~served | elsewhere).sum(axis=1),
                'split': ((decision.split != state.split) & given).sum(axis=1),
                **{kind: tasks_broken.sum(axis=1) for kind, tasks_broken in broken.items()},
            },
        )

    def step(
        self, state: PartialState, decision: PartialDecision
    ) -> tuple[PartialState, PartialOutcome]:
        """Fly the mission; the state after it is the same, for the episode ends here."""
        return state, self.evaluate(state, decision)

    def summarise(self, state: PartialState, outcome: PartialOutcome) -> SlotSummary:
        """The mission in the figures that every scenario has.

        `cost` is (12) also for plans that break constraints: look at `violations` and at
        `extra['missed']`, tasks that nobody finishes in time.
        """
        met = outcome.met.sum(axis=1)
        with np.errstate(invalid='ignore'):
            finish_s = np.where(outcome.met, outcome.finish_s, 0.0).sum(axis=1)
            latency_s = np.divide(finish_s, met, out=np.full(met.shape, np.nan), where=met > 0)
        kinds = [kind for kind in outcome.violations if kind not in TASK_KINDS]
        return SlotSummary(
            cost=outcome.objective_j,
            latency_s=latency_s,
            energy_j=outcome.propulsion_j.sum(axis=1) + outcome.service_j.sum(axis=1),
            tasks=np.full(met.shape, float(state.n_tasks)),
            completed=met.astype(float),
            violations=np.sum([outcome.violations[kind] for kind in kinds], axis=0).astype(float),
            extra={
                'propulsion_j': outcome.propulsion_j.sum(axis=1),
                'service_j': outcome.service_j.sum(axis=1),
                'missed': (state.n_tasks - met).astype(float),
                'lower_bound_j': lower_bound_j(self.settings, state),
            },
        )

    def obstacles(self, state: PartialState) -> dict[int, tuple[str, ...]]:
        """Why no plan can meet every deadline, by copy; see `certificates`."""
        from sec_nodes.scenarios.partial.certificates import explain

        copies = 1 if self.same_every_episode else state.n_copies
        found = {copy: explain(self, state, copy) for copy in range(copies)}
        return {copy: tuple(one.text for one in why) for copy, why in found.items() if why}

    def _service_j(self, work_cycle: FloatArray, cpu_hz: FloatArray) -> FloatArray:
        """(9) as corrected, phi f^(vartheta - 1) W with vartheta = 3: printed is a power."""
        return computing_energy_j(work_cycle, cpu_hz, self.settings.uavs.capacitance_j_s2)

    def _path_violations(self, state: PartialState, waypoint_m: FloatArray) -> dict[str, IntArray]:
        """Broken constraints of the paths, (B,) of each of PATH_KINDS."""
        uavs, slot_s = self.settings.uavs, self.settings.slot_s
        depot_m = np.broadcast_to(state.depot_m[:, None], state.start_m.shape)
        off_m = waypoint_m[:, :, [0, -1]] - np.stack([state.start_m, depot_m], axis=2)
        off = np.hypot(off_m[..., 0], off_m[..., 1]) > TOLERANCE_M
        fast = self.speeds_m_s(waypoint_m) > uavs.speed_m_s + TOLERANCE_M_S
        step_m = np.diff(waypoint_m, axis=2)
        # where any first step is allowed, it counts as no change
        known = np.isfinite(state.velocity_m_s)
        before_m = np.where(known, state.velocity_m_s * slot_s, step_m[:, :, 0])
        bend_m = np.diff(step_m, axis=2, prepend=before_m[:, :, None])
        limit_m = np.inf if uavs.acceleration_m_s2 is None else uavs.acceleration_m_s2 * slot_s**2
        sharp = np.hypot(bend_m[..., 0], bend_m[..., 1]) > limit_m + TOLERANCE_M
        found = fast.sum(axis=(1, 2)), off.any(axis=2).sum(axis=1), sharp.sum(axis=(1, 2))
        return dict(zip(PATH_KINDS, found, strict=True))

    def _require_plan(self, state: PartialState, plan: PartialDecision) -> None:
        copies, tasks, uavs = state.n_copies, state.n_tasks, self.settings.uavs.count
        shapes = {
            'waypoint_m': (copies, uavs, self.settings.slots + 1, 2),
            'server': (copies, tasks),
            'cpu_hz': (copies, tasks),
            'split': (copies, tasks),
        }
        ranges = {
            'server': (UNSERVED, uavs - 1),
            'cpu_hz': (0.0, np.finfo(float).max),
            'split': (0, state.splits_bit.shape[2] - 1),
        }
        for name, shape in shapes.items():
            value = getattr(plan, name)
            if value.shape != shape:
                raise ValueError(f'{name} has shape {value.shape}, but must have {shape}.')
            low, high = ranges.get(name, (-np.finfo(float).max, np.finfo(float).max))
            # written so that a NaN fails too
            fine = (value >= low) & (value <= high)
            if not fine.all():
                raise ValueError(
                    f'{name} holds {value[~fine][0]}, but must lie in [{low:g}, {high:g}].'
                )


def least_cpu_hz(work_cycle: FloatArray, left_s: FloatArray) -> FloatArray:
    """Processor speed W / (T_n - tau) that just meets the deadline; infinite if none does.

    Args:
        work_cycle: (...) W.
        left_s: (...) T_n - tau, minus infinity where the upload never ends.
    """
    in_time = left_s > 0
    needed_hz = work_cycle / np.where(in_time, left_s, 1.0)
    idle = np.equal(work_cycle, 0) & np.greater_equal(left_s, 0)
    return np.where(in_time, needed_hz, np.where(idle, 0.0, np.inf))
