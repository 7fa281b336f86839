"""The coupled JCORM: a slot solved by pricing the deadline that the sub-problems share.

Qi et al., IEEE Internet Things J. 2025, Algorithm 2 alternates between its four sub-problems at a
frozen start time; since (30) is then tight, none of them can move it, and the result is decided
by the initial point (corrected).  Here the same four blocks see prices instead:

* mu, of the satellite's CPU (28d), the same for all UAVs of a copy;
* pi, of a second of a UAV's offloading branch (30).

Given its power, a UAV is in one of three forms, each the root of a cubic:

* *delay form*: (29) and (30) are both tight, x = (A - delta) / (A + r + 1/u);
* *whole form*: everything is offloaded, x = 1;
* *deadline form*: done exactly at a given time T, x = (T - delta) / (r + 1/u): the storage's
  `hold_s` where it would be done earlier, `limit_s` where it would be done later.

Symbols as in `maritime_problem`: A local time, r time to send, u CPU in batches per second, delta
round trip.  Arrays are (B, M), and (B, 1) for what all UAVs of a copy share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sec_nodes.controllers.maritime.problem import (
    SlotProblem,
    best_start_s,
    finish_s,
    least_power_w,
    positive_root,
    priced_power_w,
)
from sec_nodes.scenarios.maritime.state import MaritimeDecision
from sec_nodes.slot import BoolArray, FloatArray

PowerStep = Callable[[SlotProblem, FloatArray], FloatArray]
"""The powers (B, M) that are best at the prices pi (B, M) of a second of offloading."""

_PASSES = 60
_PRICE_STEPS = 100


@dataclass(frozen=True)
class Solution:
    """What was found for a slot."""

    decision: MaritimeDecision
    cpu_price: FloatArray
    """(B, 1) mu, what one cycle a second more of the satellite's CPU is worth [Mbit s/cycle]."""
    sacrificed: BoolArray
    """(B, M) batches that are not done by their `limit_s`, the fewest possible."""
    passes: int
    """Rounds through the four blocks until the slowest copy stood still."""

    @property
    def in_time(self) -> BoolArray:
        """(B, 1) whether all batches of the copy are done by their `limit_s`."""
        return ~np.logical_or.reduce(self.sacrificed, axis=-1, keepdims=True)


def solve(
    problem: SlotProblem, tolerance: float = 1e-6, power_step: PowerStep = priced_power_w
) -> Solution:
    """Optimise power, CPU, ratio and start time of a slot.

    Where the CPU does not suffice to have all batches done by `limit_s`, those that need least of
    it are, which makes them as many as possible; the others stay on their UAVs, as do those of
    UAVs without a satellite in view.

    Args:
        problem: the slot.
        tolerance: the passes end when f / F, p / P_max and x change by less in sum.
        power_step: how SP1 is solved at given prices of time; its closed form if not given.
    """
    in_time = ~problem.busy | _within_supply(least_cpu_by_limit_hz(problem), problem.cpu_hz)
    served = problem.busy & in_time & problem.reachable
    if not problem.reachable.all():  # where nothing is sent, any rate will do that divides
        problem = replace(problem, snr_per_w=np.where(problem.reachable, problem.snr_per_w, 1.0))
    power_w = np.full(problem.cycles.shape, problem.largest_power_w)
    before = np.zeros((3, *power_w.shape))
    root, change, passes = np.array(np.nan), np.inf, 0
    while change >= tolerance and passes < _PASSES:
        passes += 1
        uavs = _Uavs(problem, power_w, served)
        root = _clearing_root(uavs, np.where(np.isfinite(root), root, uavs.guess_root()))
        answer = uavs.answer(_price(root))
        priced_w = power_step(problem, answer.time_price)
        power_w = np.where(answer.ratio > 0, priced_w, problem.largest_power_w)
        cpu_share = answer.cpu * problem.cycles / problem.cpu_hz
        now = np.stack([cpu_share, power_w / problem.largest_power_w, answer.ratio])
        change = np.abs(now - before).max(axis=(1, 2)).sum()
        before = now
    return Solution(
        decision=_finished(problem, power_w, answer),
        cpu_price=_price(root),
        sacrificed=~in_time,
        passes=passes,
    )


def _within_supply(needed_hz: FloatArray, supply_hz: float) -> BoolArray:
    """(B, M) the needs, smallest first, that a supply meets together."""
    order = np.argsort(needed_hz, axis=-1)
    fits = np.cumsum(np.take_along_axis(needed_hz, order, axis=-1), axis=-1) <= supply_hz
    within = np.empty_like(fits)
    np.put_along_axis(within, order, fits, axis=-1)
    return within


def least_cpu_by_limit_hz(problem: SlotProblem) -> FloatArray:
    """(B, M) CPU without which a batch cannot be done by `limit_s`; infinite if none is enough.

    The share that the UAV cannot do itself, x = [1 - T/A]^+ of (29), sent with P_max, has to be
    computed in what then is left, (44); a larger share would need more.
    """
    left_s = problem.limit_s - problem.upload_s
    ratio = _least_ratio(problem, left_s)
    send_s = problem.send_s(problem.largest_power_w)
    with np.errstate(divide='ignore', invalid='ignore'):
        compute_s = left_s - problem.round_trip_s - ratio * send_s
        needed_hz = np.where(compute_s > 0, ratio * problem.cycles / compute_s, np.inf)
    return np.where(ratio > 0, needed_hz, 0.0)


@dataclass(frozen=True)
class _Answer:
    """What the UAVs do at a price of CPU; all 0 where nothing is offloaded."""

    cpu: FloatArray
    """u [1/s]."""
    ratio: FloatArray
    time_price: FloatArray
    """pi, what a second less of the offloading branch is worth [Mbit/s]."""
    due_s: FloatArray
    """Time after T_up at which the deadline form is done, infinite in the other forms [s]."""

    def where(self, condition: BoolArray, other: _Answer) -> _Answer:
        """This answer where a condition holds, the other one elsewhere."""
        return _Answer(
            np.where(condition, self.cpu, other.cpu),
            np.where(condition, self.ratio, other.ratio),
            np.where(condition, self.time_price, other.time_price),
            np.where(condition, self.due_s, other.due_s),
        )


class _Uavs:
    """UAVs that keep their powers and answer a price of CPU with CPU and ratio."""

    def __init__(self, problem: SlotProblem, power_w: FloatArray, served: BoolArray) -> None:
        p = self.problem = problem
        self.served = served
        self.send_s = p.send_s(power_w)
        self.extra_mbit = p.energy_weight_mbit_j * power_w * self.send_s - p.local_mbit  # c_0
        self.head_start_s = np.maximum(p.local_s - p.round_trip_s, 0.0)
        self.both_s = p.local_s + self.send_s
        self.saving_mbit = p.gain_mbit_s * p.local_s - self.extra_mbit
        self.worth = np.maximum(p.gain_mbit_s, 0.0)
        self.cheap_whole = served & (self.worth * self.send_s + self.extra_mbit <= 0)
        self.hold_s = p.hold_s - p.upload_s
        self.limit_s = p.limit_s - p.upload_s

    def answer(self, price: FloatArray) -> _Answer:
        """The best of each UAV at a price mu (B, 1)."""
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            rent = price * self.problem.cycles  # of one u
            free, done_s = self._in_delay_form(rent)
            if self.cheap_whole.any():
                whole, whole_s, better = self._whole(rent)
                free = whole.where(better, free)
                done_s = np.where(better, whole_s, done_s)
            early = (done_s < self.hold_s) | (self.worth == 0)
            late = done_s > self.limit_s
            bound = self.served & (early | late)
            if bound.any():
                due_s = np.where(late, self.limit_s, self.hold_s)
                free = self._by_deadline(due_s, rent).where(bound, free)
        nothing = np.zeros_like(free.cpu)
        offloads = self.served & (free.cpu > 0)
        return free.where(offloads, _Answer(nothing, nothing, nothing, nothing + np.inf))

    def demand_hz(self, price: FloatArray) -> FloatArray:
        """(B, 1) CPU that the UAVs of a copy ask for at a price."""
        asked_hz = self.answer(price).cpu * self.problem.cycles
        return asked_hz.sum(axis=-1, keepdims=True)

    def guess_root(self) -> FloatArray:
        """(B, 1) mu^(-1/2) that clears the CPU if its energy were free and all offloaded."""
        stake = np.maximum(self.saving_mbit, 0.0) * self.head_start_s * self.problem.cycles
        use = self.served & (stake > 0)
        weight = np.divide(1.0, self.both_s, out=np.zeros_like(stake), where=use)
        slope = (np.sqrt(stake) * weight).sum(axis=-1, keepdims=True)
        base_hz = (self.problem.cycles * weight).sum(axis=-1, keepdims=True)
        return np.where(
            slope > 0, (self.problem.cpu_hz + base_hz) / np.where(slope > 0, slope, 1), 1
        )

    def _in_delay_form(self, rent: FloatArray) -> tuple[_Answer, FloatArray]:
        """The delay form and when after T_up it is done; x = 0 where that is best."""
        p = self.problem
        stake = np.maximum(self.saving_mbit, 0.0) * self.head_start_s
        cpu = self._cpu(self.head_start_s, self.both_s, stake, rent)
        ratio = np.where(cpu > 0, self.head_start_s / (self.both_s + 1.0 / cpu), 0.0)
        saved_mbit = self.saving_mbit - p.capacitance_mbit_s2 * np.square(cpu)
        price = np.clip(saved_mbit / (self.both_s + 1.0 / cpu), 0.0, self.worth)
        return _Answer(cpu, ratio, price, np.full_like(cpu, np.inf)), p.local_s * (1.0 - ratio)

    def _whole(self, rent: FloatArray) -> tuple[_Answer, FloatArray, BoolArray]:
        """The whole form, when it is done, and whether it beats a smaller share."""
        p = self.problem
        k = p.capacitance_mbit_s2
        cpu = positive_root(2.0 * k, rent, np.zeros_like(rent), self.worth)
        whole_s = self.send_s + 1.0 / cpu
        loss_mbit = self.worth * whole_s + self.extra_mbit + k * np.square(cpu)
        answer = _Answer(cpu, np.ones_like(cpu), self.worth, np.full_like(cpu, np.inf))
        return answer, whole_s + p.round_trip_s, self.served & (self.worth > 0) & (loss_mbit <= 0)

    def _by_deadline(self, due_s: FloatArray, rent: FloatArray) -> _Answer:
        """The deadline form; x = 0 where the UAV is in time alone and energy asks no more."""
        left_s = np.maximum(due_s - self.problem.round_trip_s, 0.0)
        cpu = self._cpu(left_s, self.send_s, np.maximum(-self.extra_mbit, 0.0) * left_s, rent)
        ratio = np.where(cpu > 0, left_s / (self.send_s + 1.0 / cpu), 0.0)
        ratio = np.clip(ratio, _least_ratio(self.problem, due_s), 1.0)
        compute_s = left_s - ratio * self.send_s
        cpu = np.where((ratio > 0) & (compute_s > 0), ratio / compute_s, 0.0)
        marginal = 2.0 * self.problem.capacitance_mbit_s2 * cpu + rent / ratio
        return _Answer(cpu, ratio, np.square(cpu) * marginal, due_s)

    def _cpu(
        self, factor_s: FloatArray, base_s: FloatArray, stake: FloatArray, rent: FloatArray
    ) -> FloatArray:
        """The u that is best where the ratio is x = factor / (base + 1/u).

        Maximises (stake/factor) x - k u^2 x - rent u: with (base u + 1)^2 multiplied out,
        2 k factor base u^3 + (3 k factor + rent base^2) u^2 + 2 rent base u + rent = stake.
        """
        energy = self.problem.capacitance_mbit_s2 * factor_s
        return positive_root(
            2.0 * energy * base_s,
            3.0 * energy + rent * np.square(base_s),
            2.0 * rent * base_s,
            stake - rent,
        )


def _least_ratio(problem: SlotProblem, left_s: FloatArray) -> FloatArray:
    """What the UAV cannot compute itself in a time, [1 - T/A]^+ of (29)."""
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(problem.busy, np.clip(1.0 - left_s / problem.local_s, 0.0, 1.0), 0.0)


def _clearing_root(uavs: _Uavs, guess: FloatArray) -> FloatArray:
    """(B, 1) the mu^(-1/2) at which the UAVs ask for F in all; infinite where CPU is left over.

    Demand decreases in mu and is almost linear in mu^(-1/2): secants, and halving where they
    leave the bracket.
    """
    supply_hz = uavs.problem.cpu_hz
    enough = uavs.demand_hz(np.zeros((len(uavs.served), 1))) <= supply_hz
    root = guess
    low, high = np.zeros_like(root), np.full_like(root, np.inf)
    last_root, last_excess = low, np.full_like(root, -supply_hz)
    for _ in range(_PRICE_STEPS):
        excess = uavs.demand_hz(_price(root)) - supply_hz
        low, high = np.where(excess > 0, low, root), np.where(excess > 0, root, high)
        found = (np.abs(excess) <= 1e-12 * supply_hz) | (high - low <= 1e-15 * root)
        if (found | enough).all():
            break
        with np.errstate(divide='ignore', invalid='ignore'):
            secant = root - excess * (root - last_root) / (excess - last_excess)
        inside = (secant > low) & (secant < high)
        middle = np.where(np.isfinite(high), 0.5 * (low + high), 2.0 * root)
        last_root, last_excess = root, excess
        root = np.where(found, root, np.where(inside, secant, middle))
    return np.where(enough, np.inf, root)


def _price(root: FloatArray) -> FloatArray:
    """Mu from mu^(-1/2)."""
    return 1.0 / np.square(root)


def _finished(problem: SlotProblem, power_w: FloatArray, answer: _Answer) -> MaritimeDecision:
    """A decision that keeps every constraint to the last digit, not only to the tolerance."""
    cpu_hz = answer.cpu * problem.cycles
    given_hz = cpu_hz.sum(axis=-1, keepdims=True)
    cpu_hz = cpu_hz * (problem.cpu_hz / np.maximum(given_hz, problem.cpu_hz))
    offloads, at_deadline = answer.ratio > 0, np.isfinite(answer.due_s)
    with np.errstate(divide='ignore', invalid='ignore'):
        compute_s = problem.cycles / cpu_hz
        whole_s = problem.local_s + problem.send_s(power_w) + compute_s
        both_tight = (problem.local_s - problem.round_trip_s) / whole_s
        ratio = np.where(at_deadline | (answer.ratio == 1.0), answer.ratio, both_tight)
        send_s = answer.due_s - problem.round_trip_s - ratio * compute_s
    ratio = np.where(offloads, ratio, 0.0)
    exact_w = least_power_w(problem, ratio, np.where(at_deadline & offloads, send_s, np.inf))
    plan = MaritimeDecision(
        power_w=np.where(offloads, np.where(at_deadline, exact_w, power_w), 0.0),
        cpu_hz=np.where(offloads, cpu_hz, 0.0),
        ratio=ratio,
        start_s=np.zeros_like(ratio),
    )
    return MaritimeDecision(
        plan.power_w, plan.cpu_hz, plan.ratio, best_start_s(problem, finish_s(problem, plan))
    )
