"""A certified upper bound on the utility of a slot: prices for CPU and time, cells of the ratio.

Problem (28) of Qi et al., IEEE Internet Things J. 2025, is not convex, so that a good decision
proves nothing about how much better another one could be.  Weak duality does.

**The CPU.**  For any mu >= 0 the utility of every decision that keeps (28d) is at most

    mu F + sum over m of L_m,    L_m = max over the decisions of UAV m of (U_m - mu f_m),

since mu (F - sum f) >= 0 is added.  The UAVs are now apart.

**One UAV.**  Let s be the time after T_up by which it is done and h(s) what its upload is worth
if it starts then or later: h is constant up to a = hold_s - T_up and falls by w a second after
it, and s <= S = limit_s - T_up.  A UAV that offloads x > 0 with u CPU keeps (29), s >= A (1 - x),
and (30), s >= delta + x r(p) + x/u.  For any pi >= 0, adding pi (s - delta - x r - x/u) >= 0 gives

    L_m(x) <= q(x) = max over s of [h(s) + pi s] - pi delta - lambda e_loc (1 - x)
                     - x D min over p of [(lambda p + pi) / R(p)]
                     - min over u of [x (k u^2 + pi/u) + mu C D u],

the maximum over max(0, A (1 - x)) <= s <= S.  Both minima have closed forms (Lambert's W and a
cubic).

**One cell.**  As functions of x the first term is piecewise linear with its only kink at
x = 1 - a/A, where (29) meets a, the next ones are linear, and minus the last one is convex: a
minimum of functions linear in x is concave.  So on a cell [y, z] that has the kink at most at an
end, q is convex and largest at an end:

    L_m(x) <= max(q(y), q(z))    for all x in the cell and any pi >= 0.

The cell takes the pi where this is least (golden section: the maximum is convex in pi).  Cells
that could still beat the incumbent are parted; their error falls with the square of their width.
x = 0 is a case of its own, without offloading and exact.

Nothing here relies on the prices or the incumbent being optimal: these only make the bound tight.
Rounding is allowed for by `_ROUNDING`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from sec_nodes.controllers.maritime.coupled import Solution
from sec_nodes.controllers.maritime.problem import (
    SlotProblem,
    finish_s,
    positive_root,
    priced_power_w,
)
from sec_nodes.scenarios.maritime.state import MaritimeDecision
from sec_nodes.slot import FloatArray, IntArray

_GAP = 1e-7
"""Part of the utility to which cells are refined."""
_ROUNDS = 20
"""Most partings of a cell."""
_CROWD = 4
"""Open cells of a UAV from which on a better incumbent is looked for."""
_NARROWEST = 1e-5
"""Width of cells whose error no longer matters, unless they begin at 0: q is steep there."""
_ROUNDING = 1e-12
"""Part of the terms of the bound that is added for their rounding."""
_SMALLEST_PRICE = 1e-9
_STEPS = 24
"""Golden sections in the search for the price of a cell."""
_WIDE, _NARROW = 10.0, 2.5
"""How far it goes, in logarithms: for new cells, and for parts of one whose price is known."""
_GOLDEN = (5.0**0.5 - 1.0) / 2.0


def upper_bound_mbit(problem: SlotProblem, solution: Solution) -> FloatArray:
    """(B,) a utility that no decision exceeds [Mbit].

    Among the decisions that keep (28).  In a copy where no decision has all batches done in time,
    among those that make no more of them late than must be and start no upload before the batch
    is done.  A late batch, after which nothing is uploaded, is worth at most 0.  Where uploads do
    not pay, only UAVs without a batch have to keep (28g).

    Args:
        problem: the slot.
        solution: a solution of it; prices and incumbent are taken from it.
    """
    price = _cpu_price(problem, solution)
    rent = price * problem.cycles
    own_mbit = _utility_mbit(problem, solution.decision)
    net_mbit = own_mbit - price * solution.decision.cpu_hz
    shape = net_mbit.shape
    tolerance_mbit = _GAP / shape[-1] * np.abs(own_mbit).sum(axis=-1, keepdims=True)
    incumbent = _Incumbent(net_mbit.ravel(), np.broadcast_to(tolerance_mbit, shape).ravel())

    flat = _take(problem, np.arange(problem.batch_bit.size))
    cells = _first_cells(flat, solution.decision.ratio.ravel())
    best_mbit = _refine(flat, rent.ravel(), cells, _local_mbit(flat), incumbent).reshape(shape)
    best_mbit = _with_late(best_mbit, solution.sacrificed.sum(axis=-1))
    scale_mbit = np.abs(best_mbit) + np.abs(problem.gain_mbit_s) * problem.slot_s
    best_mbit = best_mbit + _ROUNDING * scale_mbit
    return best_mbit.sum(axis=-1) + price[:, 0] * problem.cpu_hz


def _with_late(in_time_mbit: FloatArray, n_late: IntArray) -> FloatArray:
    """(B, M) bounds in which so many UAVs of a copy are late, at 0, where this helps most."""
    order = np.argsort(in_time_mbit, axis=-1)
    ascending = np.take_along_axis(in_time_mbit, order, axis=-1)
    chosen = np.arange(in_time_mbit.shape[-1]) < n_late[:, None]
    return np.where(chosen, np.maximum(ascending, 0.0), ascending)


@dataclass(frozen=True)
class _Incumbent:
    """L_m as the incumbent has it, and how much above it a cell may stay; (B M)."""

    net_mbit: FloatArray
    tolerance_mbit: FloatArray


@dataclass(frozen=True)
class _Cells:
    """Intervals of the ratio of some UAVs; all (cells,)."""

    uav: IntArray
    low: FloatArray
    high: FloatArray
    log_price: FloatArray
    """Where the search for pi begins."""
    reach: float
    """How far it goes to either side."""


def _cpu_price(problem: SlotProblem, solution: Solution) -> FloatArray:
    """(B, 1) mu of the solution; next to nothing where CPU is left over, so that u is finite."""
    worth = np.abs(problem.gain_mbit_s).max(axis=-1, keepdims=True)
    return np.maximum(solution.cpu_price, 1e-15 * (1.0 + worth) / problem.cpu_hz)


def _utility_mbit(problem: SlotProblem, decision: MaritimeDecision) -> FloatArray:
    """(B, M) what a UAV adds to the objective."""
    busy_s = np.where(
        decision.power_w > 0, problem.send_s(np.maximum(decision.power_w, 1e-9)), 0.0
    )
    radio_j = decision.power_w * decision.ratio * busy_s
    cpu = decision.cpu_hz / problem.cycles
    satellite_mbit = problem.capacitance_mbit_s2 * np.square(cpu) * decision.ratio
    spent_mbit = problem.energy_weight_mbit_j * radio_j + satellite_mbit
    upload_mbit = _upload_mbit(problem, finish_s(problem, decision) - problem.upload_s)
    return upload_mbit - spent_mbit - problem.local_mbit * (1.0 - decision.ratio)


def _upload_mbit(problem: SlotProblem, done_s: FloatArray) -> FloatArray:
    """h(s), what the upload is worth after a batch that took s after T_up."""
    missed_s = np.maximum(done_s - (problem.hold_s - problem.upload_s), 0.0)
    return problem.upload_mbit - np.maximum(problem.gain_mbit_s, 0.0) * missed_s


def _take(problem: SlotProblem, index: IntArray) -> SlotProblem:
    """The problem of some UAVs, by their number among all (B M)."""
    values: dict[str, Any] = {f.name: getattr(problem, f.name) for f in fields(problem)}
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            values[name] = value.reshape(-1)[index]
    return SlotProblem(**values)


def _local_mbit(flat: SlotProblem) -> FloatArray:
    """L_m(0): the batch stays on the UAV; minus infinity where that is not in time."""
    in_time = flat.upload_s + flat.local_s <= flat.limit_s
    return np.where(in_time, _upload_mbit(flat, flat.local_s) - flat.local_mbit, -np.inf)


def _first_cells(flat: SlotProblem, ratio: FloatArray) -> _Cells:
    """Cells between the least ratio in time, the kink, the incumbent's ratio and 1."""
    limit_s, hold_s = flat.limit_s - flat.upload_s, flat.hold_s - flat.upload_s
    with np.errstate(divide='ignore', invalid='ignore'):
        least = np.where(flat.busy, np.clip(1.0 - limit_s / flat.local_s, 0.0, 1.0), 1.0)
        kink = np.where(flat.busy, np.clip(1.0 - hold_s / flat.local_s, least, 1.0), 1.0)
    ends = np.sort(
        np.stack([least, kink, np.clip(ratio, least, 1.0), np.ones_like(least)]), axis=0
    )
    possible = flat.busy & flat.reachable & (limit_s >= flat.round_trip_s) & (ends[1:] > ends[:-1])
    interval, uav = np.nonzero(possible)
    scale = np.abs(flat.gain_mbit_s) + flat.local_mbit / np.maximum(flat.local_s, 1e-9) + 1e-9
    return _Cells(
        uav, ends[:-1][interval, uav], ends[1:][interval, uav], np.log(scale[uav]) - 2.0, _WIDE
    )


def _refine(
    flat: SlotProblem,
    rent: FloatArray,
    cells: _Cells,
    best_mbit: FloatArray,
    incumbent: _Incumbent,
) -> FloatArray:
    """(B M) the largest bound among x = 0 and all cells, parted until they matter no more."""
    best_mbit = best_mbit.copy()
    enough_mbit = incumbent.net_mbit + incumbent.tolerance_mbit
    for round_ in range(_ROUNDS):
        if not cells.uav.size:
            break
        bound_mbit, log_price = _cell_bound(flat, rent, cells)
        close = bound_mbit <= np.maximum(enough_mbit, best_mbit)[cells.uav]
        close |= (cells.high - cells.low < _NARROWEST) & (cells.low > 0)
        close |= round_ == _ROUNDS - 1
        np.maximum.at(best_mbit, cells.uav[close], bound_mbit[close])
        uav, low, high = cells.uav[~close], cells.low[~close], cells.high[~close]
        middle, log_price = np.where(low > 0, 0.5 * (low + high), high / 8.0), log_price[~close]

        crowded = np.bincount(uav, minlength=best_mbit.size)[uav] > _CROWD
        if crowded.any():  # the incumbent is poor: any ratio inside is a better one
            points = _Cells(
                uav[crowded], middle[crowded], middle[crowded], log_price[crowded], _NARROW
            )
            there_mbit, _ = _cell_bound(flat, rent, points)
            there_mbit = there_mbit + incumbent.tolerance_mbit[points.uav]
            np.maximum.at(enough_mbit, points.uav, there_mbit)
        cells = _Cells(
            np.concatenate([uav, uav]),
            np.concatenate([low, middle]),
            np.concatenate([middle, high]),
            np.concatenate([log_price, log_price]),
            _NARROW,
        )
    return best_mbit


def _cell_bound(
    flat: SlotProblem, rent: FloatArray, cells: _Cells
) -> tuple[FloatArray, FloatArray]:
    """The least max(q(y), q(z)) over pi, and the logarithm of that pi, by golden section."""
    part = _take(flat, cells.uav)
    ends = np.stack([cells.low, cells.high])

    def largest(log_price: FloatArray) -> FloatArray:
        return _relaxation_mbit(part, rent[cells.uav], ends, np.exp(log_price)).max(axis=0)

    low, high = cells.log_price - cells.reach, cells.log_price + cells.reach
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = largest(left), largest(right)
    for _ in range(_STEPS):
        shrink = at_left <= at_right  # the minimum lies left of `right`
        low, high = np.where(shrink, low, left), np.where(shrink, right, high)
        fresh = np.where(shrink, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        at_fresh = largest(fresh)
        left, right = np.where(shrink, fresh, right), np.where(shrink, left, fresh)
        at_left, at_right = (
            np.where(shrink, at_fresh, at_right),
            np.where(shrink, at_left, at_fresh),
        )
    # Where s jumps, at pi = w, the minimum is a kink that golden sections only come close to.
    kink = np.log(np.maximum(part.gain_mbit_s, _SMALLEST_PRICE))
    prices, values = np.stack([left, right, kink]), np.stack([at_left, at_right, largest(kink)])
    least = values.argmin(axis=0)[None]
    return (
        np.take_along_axis(values, least, axis=0)[0],
        np.take_along_axis(prices, least, axis=0)[0],
    )


def _relaxation_mbit(
    part: SlotProblem, rent: FloatArray, ratio: FloatArray, price: FloatArray
) -> FloatArray:
    """q(x) at the ends of cells, (2, cells); a price pi for each cell."""
    least_s = np.maximum(part.local_s * (1.0 - ratio), part.hold_s - part.upload_s)
    most_s = part.limit_s - part.upload_s
    time_mbit = np.maximum(
        *(
            _upload_mbit(part, done_s) + price * done_s
            for done_s in (np.minimum(least_s, most_s), most_s)
        )
    )
    power_w = priced_power_w(part, price)
    radio_mbit = (part.energy_weight_mbit_j * power_w + price) * part.send_s(power_w)
    energy = part.capacitance_mbit_s2 * ratio
    cpu = positive_root(2.0 * energy, rent, np.zeros_like(rent), price * ratio)
    with np.errstate(divide='ignore', invalid='ignore'):
        compute_mbit = energy * np.square(cpu) + price * ratio / cpu + rent * cpu
    compute_mbit = np.where(ratio > 0, compute_mbit, 0.0)
    fixed_mbit = price * part.round_trip_s + part.local_mbit * (1.0 - ratio)
    return time_mbit - fixed_mbit - ratio * radio_mbit - compute_mbit
