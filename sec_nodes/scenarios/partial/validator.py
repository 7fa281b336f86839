"""An independent check of plans: every constraint of (12), one after the other, in plain Python.

Nothing here is shared with the scenario, on purpose: the equations are written a second time, for
one copy, with scalars and loops, in the paper's units (Mb, GHz, Gcycle), so that a slip in the
arrays of `sec_nodes.scenarios.partial` does not hide itself. The tolerance is 1e-6 Mb, GHz and m,
1e-5 m/s and 1e-9 s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sec_nodes.scenarios.partial import PartialDecision
from sec_nodes.scenarios.partial.instance import PartialState
from sec_nodes.scenarios.partial.settings import PartialSettings

TOLERANCE = 1e-6
TOLERANCE_M_S = 1e-5
TOLERANCE_S = 1e-9


@dataclass(frozen=True)
class Violation:
    """A constraint that a plan breaks."""

    kind: str
    """`depot`, `speed`, `acceleration`, `capacity`, `served`, `split`, `program`,
    `intermediate`, or `number` for one that is none."""
    where: str
    """UAV, slot or task, counted from 0."""
    excess: float
    """By how much [m, m/s, GHz or Mb]."""


@dataclass(frozen=True)
class Measures:
    """What a plan costs, worked out a second time."""

    propulsion_j: list[float]
    """By UAV."""
    service_j: list[float]
    """By task; 0 if nobody serves it."""
    upload_end_s: list[float]
    """tau by task; infinite if never."""
    finish_s: list[float]
    """By task; infinite if never."""
    objective_j: float
    """(12)"""


def validate(
    settings: PartialSettings, state: PartialState, plan: PartialDecision, copy: int = 0
) -> list[Violation]:
    """Name every constraint of (12) that a plan breaks; an empty list if it keeps them all.

    Args:
        settings: parameters of the scenario.
        state: the instances.
        plan: the plans, as the scenario takes them.
        copy: which of the copies to check.
    """
    mission = _Mission(settings, state, plan, copy)
    bad = mission.no_numbers()
    if bad:
        return bad
    return [
        *mission.depot(),
        *mission.speed(),
        *mission.acceleration(),
        *mission.served(),
        *mission.split_kept(),
        *mission.capacity(),
        *mission.program(),
        *mission.intermediate(),
    ]


def measure(
    settings: PartialSettings, state: PartialState, plan: PartialDecision, copy: int = 0
) -> Measures:
    """Work out a second time what the plan of a copy costs; arguments as `validate`."""
    mission = _Mission(settings, state, plan, copy)
    tasks, uavs = range(mission.n_tasks), range(settings.uavs.count)
    service_j = [mission.service_j(n) for n in tasks]
    propulsion_j = [mission.propulsion_j(u) for u in uavs]
    upload_end_s = [mission.upload_end_s(n) for n in tasks]
    beta = settings.objective.service_weight
    return Measures(
        propulsion_j=propulsion_j,
        service_j=service_j,
        upload_end_s=upload_end_s,
        finish_s=[end_s + mission.compute_s(n) for n, end_s in enumerate(upload_end_s)],
        objective_j=max(
            propulsion_j[u] + beta * sum(service_j[n] for n in tasks if mission.server[n] == u)
            for u in uavs
        ),
    )


class _Mission:
    """One copy as lists of numbers in the paper's units."""

    def __init__(
        self, settings: PartialSettings, state: PartialState, plan: PartialDecision, copy: int
    ) -> None:
        self.settings = settings
        self.path = plan.waypoint_m[copy].tolist()
        self.server: list[int] = plan.server[copy].tolist()
        self.split: list[int] = plan.split[copy].tolist()
        self.given: list[int] = state.split[copy].tolist()
        self.f_ghz = [f / 1e9 for f in plan.cpu_hz[copy].tolist()]
        self.n_tasks = len(self.server)
        self.place = state.terminal_m[copy].tolist()
        self.start = state.start_m[copy].tolist()
        self.velocity = state.velocity_m_s[copy].tolist()
        self.home = state.depot_m[copy].tolist()
        self.held: list[int] = state.held[copy].tolist()
        self.reserved_ghz = [f / 1e9 for f in state.reserved_hz[copy].tolist()]
        self.loss_db: list[float] = state.loss_db[copy].tolist()
        gone_s = float(state.elapsed_s[copy])
        sent_mb = [[bits / 1e6 for bits in both] for both in state.sent_bit[copy].tolist()]
        self.deadline: list[float] = [t - gone_s for t in state.deadline_s[copy].tolist()]
        menu = state.splits_bit[copy].tolist()
        data = [d / 1e6 for d in state.data_bit[copy].tolist()]
        work = [f / 1e3 for f in state.work_cycle_per_bit[copy].tolist()]
        local = [f / 1e9 for f in state.local_hz[copy].tolist()]
        cuts = range(len(menu[0]) if menu else 0)
        known = [k if k in cuts else 0 for k in self.split]
        self.program_mb = [menu[n][k][0] / 1e6 for n, k in enumerate(known)]
        self.result_mb = [menu[n][k][1] / 1e6 for n, k in enumerate(known)]
        self.work_gcycle = [F * p for F, p in zip(work, self.program_mb, strict=True)]
        self.local_s = [
            max(F * (D - p) / f - gone_s, 0.0)
            for F, D, p, f in zip(work, data, self.program_mb, local, strict=True)
        ]
        for n, (program_mb, result_mb) in enumerate(sent_mb):
            self.program_mb[n] = max(self.program_mb[n] - program_mb, 0.0)
            self.result_mb[n] = max(self.result_mb[n] - result_mb, 0.0)
        self.cuts = cuts

    def no_numbers(self) -> list[Violation]:
        """Numbers that are none, and UAVs and cuts that do not exist."""
        found = []
        for u, path in enumerate(self.path):
            for m, point in enumerate(path):
                if not all(math.isfinite(x) for x in point):
                    found.append(Violation('number', f'UAV {u}, waypoint {m}', math.inf))
        for n in range(self.n_tasks):
            if not (math.isfinite(self.f_ghz[n]) and self.f_ghz[n] >= 0):
                found.append(Violation('number', f'task {n}, processor speed', math.inf))
            if not -1 <= self.server[n] < self.settings.uavs.count:
                found.append(Violation('number', f'task {n}, UAV {self.server[n]}', math.inf))
            if self.split[n] not in self.cuts:
                found.append(Violation('number', f'task {n}, cut {self.split[n]}', math.inf))
        return found

    def depot(self) -> list[Violation]:
        """(12e): the first waypoint is where the UAV is, the last one the depot."""
        found = []
        for u, path in enumerate(self.path):
            for m, place in ((0, self.start[u]), (len(path) - 1, self.home)):
                off_m = math.dist(path[m], place)
                if off_m > TOLERANCE:
                    found.append(Violation('depot', f'UAV {u}, waypoint {m}', off_m))
        return found

    def speed(self) -> list[Violation]:
        """(12f): no slot faster than V_max."""
        found = []
        for u, path in enumerate(self.path):
            for m in range(len(path) - 1):
                excess = self._speed(path, m) - self.settings.uavs.speed_m_s
                if excess > TOLERANCE_M_S:
                    found.append(Violation('speed', f'UAV {u}, slot {m}', excess))
        return found

    def acceleration(self) -> list[Violation]:
        """Optional: second differences of the waypoints within a_max t_s^2.

        A known velocity at the start says where the waypoint before would have been.
        """
        limit, slot_s = self.settings.uavs.acceleration_m_s2, self.settings.slot_s
        if limit is None:
            return []
        found = []
        for u, path in enumerate(self.path):
            moving = all(math.isfinite(v) for v in self.velocity[u])
            before = [x - v * slot_s for x, v in zip(path[0], self.velocity[u], strict=True)]
            for m in range(0 if moving else 1, len(path) - 1):
                last = path[m - 1] if m else before
                bend_m = math.hypot(*(path[m + 1][i] - 2 * path[m][i] + last[i] for i in (0, 1)))
                excess = bend_m - limit * slot_s**2
                if excess > TOLERANCE:
                    found.append(Violation('acceleration', f'UAV {u}, waypoint {m}', excess))
        return found

    def served(self) -> list[Violation]:
        """(5) as corrected: exactly one UAV for each task, and the one that has its program."""
        pairs = enumerate(zip(self.server, self.held, strict=True))
        return [
            Violation('served', f'task {n}', 1.0)
            for n, (u, holder) in pairs
            if u < 0 or (holder >= 0 and u != holder)
        ]

    def split_kept(self) -> list[Violation]:
        """A given cut stays as it is, unless the scenario leaves cuts free."""
        if self.settings.tasks.split == 'free':
            return []
        pairs = enumerate(zip(self.split, self.given, strict=True))
        return [Violation('split', f'task {n}', abs(k - own)) for n, (k, own) in pairs if k != own]

    def capacity(self) -> list[Violation]:
        """(10): processor speeds of a UAV's tasks within F_max."""
        found = []
        for u in range(self.settings.uavs.count):
            used = sum(f for n, f in enumerate(self.f_ghz) if self.server[n] == u)
            excess = used - (self.settings.uavs.cpu_hz / 1e9 - self.reserved_ghz[u])
            if excess > TOLERANCE:
                found.append(Violation('capacity', f'UAV {u}', excess))
        return found

    def program(self) -> list[Violation]:
        """(7) as corrected: D_off arrives during the local run."""
        found = []
        for n, u in enumerate(self.server):
            if u >= 0:
                short = self.program_mb[n] - self._carried_mb(n, 0.0, self.local_s[n])
                if short > TOLERANCE:
                    found.append(Violation('program', f'task {n}', short))
        return found

    def intermediate(self) -> list[Violation]:
        """(11) as corrected: S arrives between the local run and the start on the UAV."""
        found = []
        for n, u in enumerate(self.server):
            if u >= 0:
                latest_s = self.deadline[n] - self.compute_s(n)
                short = self.result_mb[n] - self._carried_mb(n, self.local_s[n], latest_s)
                if latest_s < self.local_s[n] - TOLERANCE_S:
                    short = math.inf
                if short > TOLERANCE:
                    found.append(Violation('intermediate', f'task {n}', short))
        return found

    def propulsion_j(self, u: int) -> float:
        """E^prop = t_s sum P(v): (1) as corrected to an energy."""
        slot_s = self.settings.slot_s
        slots = range(len(self.path[u]) - 1)
        return slot_s * sum(self._power_w(self._speed(self.path[u], m)) for m in slots)

    def service_j(self, n: int) -> float:
        """E_n = phi f^3 T_oc with phi in W/GHz^3: (9) as corrected to an energy."""
        if self.server[n] < 0 or self.f_ghz[n] == 0:
            return 0.0
        phi = self.settings.uavs.capacitance_j_s2 * 1e27
        return phi * self.f_ghz[n] ** 3 * self.compute_s(n)

    def compute_s(self, n: int) -> float:
        """T_oc = W / f: (8)."""
        if self.work_gcycle[n] == 0:
            return 0.0
        return self.work_gcycle[n] / self.f_ghz[n] if self.f_ghz[n] > 0 else math.inf

    def upload_end_s(self, n: int) -> float:
        """tau: walk slot by slot until S has arrived."""
        if self.server[n] < 0:
            return math.inf
        missing_mb = self.result_mb[n]
        now_s = self.local_s[n]
        slot_s = self.settings.slot_s
        if missing_mb <= 0:
            return now_s
        for m in range(self.settings.slots):
            end_s = (m + 1) * slot_s
            if end_s <= now_s:
                continue
            rate = self._rate_mb_s(n, m)
            if missing_mb <= rate * (end_s - now_s):
                return now_s + missing_mb / rate
            missing_mb -= rate * (end_s - now_s)
            now_s = end_s
        return math.inf

    def _carried_mb(self, n: int, from_s: float, until_s: float) -> float:
        total, slot_s = 0.0, self.settings.slot_s
        for m in range(self.settings.slots):
            shared_s = min(until_s, (m + 1) * slot_s) - max(from_s, m * slot_s)
            if shared_s > 0:
                total += shared_s * self._rate_mb_s(n, m)
        return total

    def _rate_mb_s(self, n: int, m: int) -> float:
        """(2) to (4) as corrected, in dB: degrees, a square root, and A = eta_LoS - eta_NLoS."""
        radio, uavs = self.settings.radio, self.settings.uavs
        height_m = uavs.altitude_m + self.server[n] * uavs.layer_m
        distance_m = math.dist(self.path[self.server[n]][m], self.place[n])
        theta = 90.0 if distance_m == 0 else math.degrees(math.atan(height_m / distance_m))
        a, b = radio.los_midpoint_deg, radio.los_steepness_per_deg
        clear = 1.0 / (1.0 + a * math.exp(-b * (theta - a)))
        wave = 4.0 * math.pi * radio.carrier_hz / radio.light_speed_m_s
        loss_db = (
            20.0 * math.log10(wave * math.sqrt(height_m**2 + distance_m**2))
            + clear * radio.los_loss_db
            + (1.0 - clear) * radio.nlos_loss_db
            + radio.penetration_loss_db
            + self.loss_db[n]
        )
        sent_dbm = 10.0 * math.log10(radio.transmit_power_w * 1e3)
        noise_dbm = radio.noise_dbm_hz + 10.0 * math.log10(radio.bandwidth_hz)
        snr = 10.0 ** ((sent_dbm - loss_db - noise_dbm) / 10.0)
        return radio.bandwidth_hz / 1e6 * math.log2(1.0 + snr)

    def _power_w(self, v: float) -> float:
        """(1) as printed."""
        wing = self.settings.airframe
        ratio = v / wing.induced_speed_m_s
        blade = wing.blade_power_w * (1.0 + 3.0 * (v / wing.tip_speed_m_s) ** 2)
        drag = 0.5 * wing.drag_ratio * wing.air_density_kg_m3 * wing.solidity * wing.disc_area_m2
        induced = wing.induced_power_w * math.sqrt(
            math.sqrt(1.0 + ratio**4 / 4.0) - ratio**2 / 2.0
        )
        return blade + drag * v**3 + induced

    def _speed(self, path: list[list[float]], m: int) -> float:
        return math.dist(path[m], path[m + 1]) / self.settings.slot_s
