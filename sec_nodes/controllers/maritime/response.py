"""What UAVs that keep their powers ask for at a price of the satellite's CPU.

The second block of the coupled JCORM (`coupled`): SP2 and SP4 of Qi et al., IEEE Internet Things
J. 2025, at once.  Given its power, a UAV is in one of three forms:

* *delay form*: (29) and (30) are both tight, x = (A - delta) / (A + r + 1/u);
* *whole form*: everything is offloaded, x = 1;
* *deadline form*: done exactly at a given time T, x = (T - delta) / (r + 1/u): the storage's
  `hold_s` where it would be done earlier, `limit_s` where it would be done later.

In each the best CPU u is the root of a cubic and falls as the price grows.  The prices at which a
UAV changes its form are therefore known beforehand, and a price costs one root a UAV.

Symbols as in `problem`: A local time, r time to send, u CPU in batches per second, delta round
trip; rent is the price of one u, mu C D.  Arrays are (B, M), and (B, 1) for what all UAVs of a
copy share.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np

from sec_nodes.controllers.maritime.problem import SlotProblem, positive_root
from sec_nodes.physics.checks import Floats
from sec_nodes.slot import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Response:
    """What the UAVs do at a price; all 0 where nothing is offloaded."""

    cpu: FloatArray
    """u [1/s]."""
    ratio: FloatArray
    whole: BoolArray
    """Whether everything is offloaded, whatever the time."""
    due_s: FloatArray
    """Time after T_up at which the deadline form is done, infinite in the other forms [s]."""
    beyond: BoolArray
    """Whether energy is reason to offload more than has both branches done together."""

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> Response:
        """Nobody offloads."""
        zero, no = np.zeros(shape), np.zeros(shape, dtype=bool)
        return cls(zero, zero.copy(), no, np.full(shape, np.inf), no.copy())

    def where(self, condition: BoolArray, other: Response) -> Response:
        """This response where a condition holds, the other one elsewhere."""
        mine, others = vars(self), vars(other)
        return Response(**{k: np.where(condition, mine[k], others[k]) for k in mine})

    def put(self, copies: IntArray, other: Response) -> None:
        """Replace what some copies do."""
        for name, value in vars(other).items():
            getattr(self, name)[copies] = value


class Uavs:
    """UAVs that keep their powers.

    Args:
        problem: the slot.
        power_w: (B, M) their powers.
        served: (B, M) who may offload.
    """

    def __init__(self, problem: SlotProblem, power_w: FloatArray, served: BoolArray) -> None:
        p = self.problem = problem
        self.served = served
        self.send_s = p.send_s(power_w)
        self.both_s = p.local_s + self.send_s
        self.extra_mbit = p.energy_weight_mbit_j * power_w * self.send_s - p.local_mbit  # c_0
        self.saving_mbit = p.gain_mbit_s * p.local_s - self.extra_mbit
        self.head_start_s = np.where(served, np.maximum(p.local_s - p.round_trip_s, 0.0), 0.0)
        self.stake = np.maximum(self.saving_mbit, 0.0) * self.head_start_s
        self.worth = np.maximum(p.gain_mbit_s, 0.0)
        self.hold_s = p.hold_s - p.upload_s
        self.limit_s = p.limit_s - p.upload_s
        self.fixed, self.beyond = np.zeros((len(served), 1), dtype=bool), np.zeros_like(served)
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            self._find_ends_of_forms()

    def of(self, copies: IntArray | BoolArray) -> Uavs:
        """The UAVs of some copies."""
        part = copy.copy(self)
        part.problem = self.problem.of(copies)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(part, name, value[copies])
        return part

    def demand_hz(self, price: FloatArray) -> FloatArray:
        """(B, 1) CPU that the UAVs of a copy ask for at a price mu (B, 1)."""
        return np.add.reduce(self.at(price).cpu * self.problem.cycles, axis=-1, keepdims=True)

    def at(self, price: FloatArray) -> Response:
        """The best of each UAV at a price mu (B, 1)."""
        rent = price * self.problem.cycles
        balanced = self._best(rent, np.zeros_like(self.served))
        beyond = np.where(self.fixed, self.beyond, rent <= self.whole_rent)
        if not beyond.any():
            return balanced
        other = self._best(rent, beyond)
        better = beyond & (
            self.fixed | (self.net_mbit(other, rent) > self.net_mbit(balanced, rent))
        )
        return other.where(better, balanced)

    def fix(self, copies: BoolArray, beyond: BoolArray) -> None:
        """Have the UAVs of some copies (B, 1) offload beyond the balance, or not, at any price."""
        self.beyond = np.where(copies, beyond, self.beyond)
        self.fixed = self.fixed | copies

    def fixing(self, copies: BoolArray, beyond: BoolArray) -> Uavs:
        """The same UAVs after `fix`."""
        other = copy.copy(self)
        other.fix(copies, beyond)
        return other

    def net_mbit(self, response: Response, rent: Floats) -> FloatArray:
        """What a response is worth after rent, but for a constant."""
        p, cpu, ratio = self.problem, response.cpu, response.ratio
        with np.errstate(divide='ignore', invalid='ignore'):
            away_s = np.where(ratio > 0, ratio * (self.send_s + 1.0 / cpu) + p.round_trip_s, 0.0)
        missed_s = np.maximum(np.maximum(p.local_s * (1.0 - ratio), away_s) - self.hold_s, 0.0)
        burnt_mbit = p.capacitance_mbit_s2 * np.square(cpu)
        return -self.worth * missed_s - (self.extra_mbit + burnt_mbit) * ratio - rent * cpu

    def _best(self, rent: FloatArray, beyond: BoolArray) -> Response:
        """The best CPU and its ratio, given who offloads beyond the balance."""
        k = self.problem.capacitance_mbit_s2
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            early, late = rent < self.early_rent, rent > self.late_rent
            some_whole = bool(beyond.any())
            if some_whole:
                early = np.where(beyond, rent < self.whole_early_rent, early)
                late = np.where(beyond, rent > self.whole_late_rent, late)
            at_deadline = (early | late) & self.served
            factor_s, base_s, stake = self.head_start_s, self.both_s, self.stake
            some_deadline = bool(at_deadline.any())
            if some_deadline:
                due_s = np.where(late, self.limit_s, self.hold_s)
                left_s = np.maximum(due_s - self.problem.round_trip_s, 0.0)
                factor_s = np.where(at_deadline, left_s, factor_s)
                base_s = np.where(at_deadline, self.send_s, base_s)
                stake = np.where(at_deadline, np.maximum(-self.extra_mbit, 0.0) * left_s, stake)
            # Maximises (stake/factor) x - k u^2 x - rent u with x = factor / (base + 1/u); the
            # derivative times (base u + 1)^2.
            energy = k * factor_s
            rented_s = rent * base_s
            cubic, square = 2.0 * energy * base_s, 3.0 * energy + rented_s * base_s
            linear, level = 2.0 * rented_s, stake - rent
            whole = beyond & ~at_deadline
            if some_whole:  # minimises w / u + k u^2 + rent u
                cubic, square = np.where(whole, 2.0 * k, cubic), np.where(whole, rent, square)
                linear, level = np.where(whole, 0.0, linear), np.where(whole, self.worth, level)
            cpu = positive_root(cubic, square, linear, level)
            ratio = factor_s / (base_s + 1.0 / cpu)
            if some_whole:
                ratio = np.where(whole, 1.0, ratio)
            if not some_deadline:
                return Response(cpu, ratio, whole, np.full(cpu.shape, np.inf), beyond)
            least = 1.0 - due_s / self.problem.local_s  # (29)
            ratio = np.where(at_deadline, np.minimum(np.maximum(ratio, least), 1.0), ratio)
            compute_s = left_s - ratio * self.send_s
            in_time_cpu = np.where((ratio > 0) & (compute_s > 0), ratio / compute_s, 0.0)
            cpu = np.where(at_deadline, in_time_cpu, cpu)
        due_s = np.where(at_deadline, due_s, np.inf)
        return Response(cpu, ratio * (cpu > 0), whole, due_s, beyond)

    def time_price(self, response: Response, price: FloatArray) -> FloatArray:
        """(B, M) pi, what a second less of a UAV's offloading branch is worth [Mbit/s]."""
        cpu, ratio = response.cpu, response.ratio
        burnt_mbit = self.problem.capacitance_mbit_s2 * np.square(cpu)
        with np.errstate(divide='ignore', invalid='ignore'):
            balanced = (self.saving_mbit - burnt_mbit) / (self.both_s + 1.0 / cpu)
            per_s = price * self.problem.cycles * np.square(cpu) / ratio + 2.0 * burnt_mbit * cpu
        free = np.where(
            response.whole, self.worth, np.minimum(np.maximum(balanced, 0.0), self.worth)
        )
        return np.where(ratio > 0, np.where(np.isfinite(response.due_s), per_s, free), 0.0)

    def guess(self) -> FloatArray:
        """(3, B, 1) mu^(1/2), -1, slope: where demand meets supply if it were linear in mu^(-1/2).

        It is where everybody is in the delay form and the CPU's energy is free.
        """
        weight = np.where(self.stake > 0, 1.0 / np.maximum(self.both_s, 1e-300), 0.0)
        cycles = self.problem.cycles
        slope = np.add.reduce(np.sqrt(self.stake * cycles) * weight, axis=-1, keepdims=True)
        base_hz = np.add.reduce(cycles * weight, axis=-1, keepdims=True)
        slope = np.where(slope > 0, slope, self.problem.cpu_hz)
        return np.stack(
            [slope / (self.problem.cpu_hz + base_hz), np.full_like(slope, -1.0), slope]
        )

    def _find_ends_of_forms(self) -> None:
        """Rents below which a UAV is early, above which late, up to which it offloads all."""
        self.early_rent = np.where(self.worth == 0, np.inf, self._rent_when_done(self.hold_s))
        self.late_rent = self._rent_when_done(self.limit_s)
        self.whole_rent = self._rent_of_the_whole()
        if (self.whole_rent >= 0).any():
            self.whole_early_rent = self._rent_when_wholly_done(self.hold_s)
            self.whole_late_rent = self._rent_when_wholly_done(self.limit_s)

    def _rent_when_done(self, due_s: FloatArray) -> FloatArray:
        """The rent at which the delay form is done at a given time; below it, it is earlier."""
        ratio = 1.0 - due_s / self.problem.local_s  # (29)
        compute_s = self.head_start_s / ratio - self.both_s
        cpu = 1.0 / compute_s
        energy = self.problem.capacitance_mbit_s2 * self.head_start_s * np.square(cpu)
        net = self.stake - energy * (2.0 * self.both_s * cpu + 3.0)
        rent = net / np.square(self.both_s * cpu + 1.0)
        return np.where(ratio < 0, np.inf, np.where(compute_s > 0, rent, -np.inf))

    def _rent_when_wholly_done(self, due_s: FloatArray) -> FloatArray:
        """The same in the whole form."""
        compute_s = due_s - self.problem.round_trip_s - self.send_s
        cpu = 1.0 / compute_s
        rent = self.worth * np.square(compute_s) - 2.0 * self.problem.capacitance_mbit_s2 * cpu
        return np.where(compute_s > 0, rent, -np.inf)

    def _rent_of_the_whole(self) -> FloatArray:
        """The rent up to which nothing is gained by keeping a share; minus infinity where it is.

        Offloading more saves energy, S = -c_0 - w r, beyond what its time and energy cost on the
        satellite, w / u + k u^2, from the u on at which k u^3 - S u + w = 0.
        """
        spare_mbit = -self.extra_mbit - self.worth * self.send_s
        k = self.problem.capacitance_mbit_s2
        cosine = -1.5 * (self.worth / spare_mbit) * np.sqrt(3.0 * k / spare_mbit)
        possible = self.served & (self.worth > 0) & (spare_mbit > 0) & (cosine >= -1.0)
        angle = np.arccos(np.clip(cosine, -1.0, 0.0)) / 3.0 - 2.0 * math.pi / 3.0
        cpu = 2.0 * np.sqrt(spare_mbit / (3.0 * k)) * np.cos(angle)
        rent = self.worth / np.square(cpu) - 2.0 * k * cpu
        return np.where(possible, rent, -np.inf)
