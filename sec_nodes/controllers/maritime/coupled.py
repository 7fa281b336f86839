"""The coupled JCORM: a slot solved by pricing the deadline that the sub-problems share.

Qi et al., IEEE Internet Things J. 2025, Algorithm 2 alternates between its four sub-problems at a
frozen start time; since (30) is then tight, none of them can move it, and the result is decided
by the initial point (corrected).  Here the same four blocks see prices instead:

* mu, of the satellite's CPU (28d), the same for all UAVs of a copy;
* pi, of a second of a UAV's offloading branch (30).

`response` says what the UAVs do at a price of CPU, given their powers.  Arrays are (B, M), and
(B, 1) for what all UAVs of a copy share.
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
    least_ratio,
    priced_power_w,
)
from sec_nodes.controllers.maritime.response import Response, Uavs
from sec_nodes.scenarios.maritime.state import MaritimeDecision
from sec_nodes.slot import BoolArray, FloatArray

PowerStep = Callable[[SlotProblem, FloatArray], FloatArray]
"""The powers (B, M) that are best at the prices pi (B, M) of a second of offloading."""

_PASSES = 60
_PRICE_STEPS = 100
_JUMP = 1e-10
"""Part of a price within which demand is taken to jump."""
_CLEARED = 1e-6
"""Part of F by which demand may miss it before the last secant, which leaves its square."""


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
        tolerance: the passes of a copy end when its powers change by less, in parts of P_max.
        power_step: how SP1 is solved at given prices of time; its closed form if not given.
    """
    in_time = ~problem.busy | _within_supply(least_cpu_by_limit_hz(problem), problem.cpu_hz)
    served = problem.busy & in_time & problem.reachable
    if not problem.reachable.all():  # where nothing is sent, any rate will do that divides
        problem = replace(problem, snr_per_w=np.where(problem.reachable, problem.snr_per_w, 1.0))
    copies = np.arange(len(problem.cycles))
    first_w = _first_power_w(problem)
    power_w = first_w.copy()
    time_price = np.zeros_like(power_w)
    response = Response.nothing(power_w.shape)
    market = np.empty((3, len(copies), 1))
    fixed, beyond = np.zeros((len(copies), 1), dtype=bool), np.zeros_like(served)
    passes = 0
    while copies.size and passes < _PASSES:
        passes += 1
        uavs = Uavs(problem.of(copies), power_w[copies], served[copies])
        uavs.fix(fixed[copies], beyond[copies])
        start = market[:, copies] if passes > 1 else uavs.guess()
        market[:, copies] = _clearing_price(uavs, start)
        price = np.square(market[0, copies])
        answer = uavs.at(price)
        unsold = _unsold(uavs.problem, answer, price) & ~fixed[copies]
        if unsold.any():
            market[:, copies] = _decide_marginal(uavs, market[:, copies], unsold)
            fixed[copies], beyond[copies] = uavs.fixed, uavs.beyond
            price = np.square(market[0, copies])
            answer = uavs.at(price)
        response.put(copies, answer)
        time_price[copies] = uavs.time_price(answer, price)
        priced_w = power_step(problem, time_price)[copies]
        priced_w = np.where(answer.ratio > 0, priced_w, first_w[copies])
        change = np.abs(priced_w - power_w[copies]).max(axis=-1)
        power_w[copies] = priced_w
        copies = copies[change >= tolerance * problem.largest_power_w]
    return Solution(
        decision=_finished(problem, power_w, response),
        cpu_price=np.square(market[0]),
        sacrificed=~in_time,
        passes=passes,
    )


def _first_power_w(problem: SlotProblem) -> FloatArray:
    """(B, M) power that suits a dear second: P_max, unless its energy would forbid to offload.

    Dear is what a second is worth to the upload and saves of the energy of local computing.
    """
    saved_mbit_s = problem.local_mbit / np.where(problem.busy, problem.local_s, 1.0)
    return priced_power_w(problem, np.maximum(problem.gain_mbit_s, 0.0) + saved_mbit_s)


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
    ratio = least_ratio(problem, left_s)
    send_s = problem.send_s(problem.largest_power_w)
    with np.errstate(divide='ignore', invalid='ignore'):
        compute_s = left_s - problem.round_trip_s - ratio * send_s
        needed_hz = np.where(compute_s > 0, ratio * problem.cycles / compute_s, np.inf)
    return np.where(ratio > 0, needed_hz, 0.0)


def _unsold(problem: SlotProblem, answer: Response, price: FloatArray) -> BoolArray:
    """(B, 1) whether CPU has a price and yet is left over: demand jumps there."""
    asked_hz = np.add.reduce(answer.cpu * problem.cycles, axis=-1, keepdims=True)
    return (price > 0) & (asked_hz < problem.cpu_hz * (1.0 - 10.0 * _CLEARED))


def _decide_marginal(uavs: Uavs, market: FloatArray, unsold: BoolArray) -> FloatArray:
    """Decide about the UAV at whose price demand jumps, whichever is better, and clear again.

    It offloads beyond the balance just below that price and does not just above.  With that and
    all others' forms fixed demand jumps no more.

    Args:
        uavs: what is asked for; the forms are fixed in it.
        market: (3, B, 1) where the search for a price ended, see `_clearing_price`.
        unsold: (B, 1) copies with such a UAV.
    """
    prices = np.square(market[0])
    masks = [uavs.at(prices * (1.0 + side * 1e-8)).beyond for side in (1.0, -1.0)]
    markets, worth_mbit = [], []
    for mask in masks:
        trial = uavs.fixing(unsold, mask)
        markets.append(_clearing_price(trial, market))
        answer = trial.at(np.square(markets[-1][0]))
        worth_mbit.append(trial.net_mbit(answer, 0.0).sum(axis=-1, keepdims=True))
    second = worth_mbit[1] > worth_mbit[0]
    uavs.fix(unsold, np.where(second, masks[1], masks[0]))
    return np.where(unsold, np.where(second, markets[1], markets[0]), market)


def _clearing_price(uavs: Uavs, start: FloatArray) -> FloatArray:
    """Find the price of CPU at which the UAVs of a copy ask for F in all.

    Secants of demand, and halving where they leave the bracket.  Demand falls almost linearly in
    mu^(-1/2) where CPU is scarce, and in mu where it nearly suffices for all that UAVs want.
    Copies that are done leave.

    Args:
        uavs: what is asked for.
        start: (3, B, 1) v = mu^(1/2), the power q of it in which demand is taken as linear (-1 or
            2) and the slope of demand in v^q, where the search begins.

    Returns:
        The same where it ends; v = 0 where CPU is left over.
    """
    supply_hz, (guess, *_) = uavs.problem.cpu_hz, uavs.guess()
    copies, found, (v, q, slope) = np.arange(len(guess)), start.copy(), start
    low, high = np.full_like(v, -np.inf), np.full_like(v, np.inf)
    last_v, last_excess = np.full((2, *v.shape), np.nan)
    for _ in range(_PRICE_STEPS):
        excess = uavs.demand_hz(np.square(v)) - supply_hz
        low, high = np.where(excess > 0, v, low), np.where(excess > 0, high, v)
        q = np.where(v > 0, q, 2.0)
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            y = np.power(v, q)
            secant = (excess - last_excess) / (y - np.power(last_v, q))
            slope = np.where(secant * q <= 0, secant, slope)
            step = np.power(y - excess / slope, 1.0 / q)
            # Without a lower limit go to 0 rather than far: CPU may be left over at no price.
            inside = (step > np.where(low < 0, 0.5 * v, low)) & (step < high)
        halved = np.maximum(0.5 * (low + high), 0.0)
        middle = np.where(high < np.inf, halved, 2.0 * np.maximum(v, guess))
        jumps = high <= low * (1.0 + _JUMP)
        done = (np.abs(excess) <= _CLEARED * supply_hz) | jumps | ((v == 0) & (excess <= 0))
        last_v, last_excess = v, excess
        v = np.where(jumps, high, np.where(inside, step, np.where(done, v, middle)))
        found[:, copies] = v, q, slope
        if done.all():
            break
        if done.any():
            left = ~done[:, 0]
            copies, uavs = copies[left], uavs.of(left)
            v, q, slope, low, high, last_v, last_excess, guess = (
                values[left] for values in (v, q, slope, low, high, last_v, last_excess, guess)
            )
    return found


def _finished(problem: SlotProblem, power_w: FloatArray, answer: Response) -> MaritimeDecision:
    """A decision that keeps every constraint to the last digit, not only to the tolerance."""
    cpu_hz = answer.cpu * problem.cycles
    given_hz = cpu_hz.sum(axis=-1, keepdims=True)
    cpu_hz = cpu_hz * (problem.cpu_hz / np.maximum(given_hz, problem.cpu_hz))
    offloads, at_deadline = answer.ratio > 0, np.isfinite(answer.due_s)
    with np.errstate(divide='ignore', invalid='ignore'):
        compute_s = problem.cycles / cpu_hz
        whole_s = problem.local_s + problem.send_s(power_w) + compute_s
        both_tight = (problem.local_s - problem.round_trip_s) / whole_s
        ratio = np.where(at_deadline | answer.whole, answer.ratio, both_tight)
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
