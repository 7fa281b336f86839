"""Problem (28) of a slot as numbers, and the closed forms of its four sub-problems.

Qi et al., IEEE Internet Things J. 2025, eqs (28) to (54).  All arrays are (B, M): copies, UAVs.
CPU is measured in *batches*: u = f / (C D) [1/s], so that the satellite takes x / u for the
share x of a batch.  With k = lambda kappa_L (C D)^3 its energy then costs k u^2 x, and
r(p) = D / R(p) is the time to send the whole batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sec_nodes.physics import channel
from sec_nodes.physics.checks import Floats
from sec_nodes.scenarios.maritime.scenario import BIT_PER_MBIT, Maritime
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeState
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_LN2 = math.log(2.0)
_ROOT_STEPS = 2
_HALLEY_STEPS = 3


@dataclass(frozen=True)
class SlotProblem:
    """What the objective and the constraints of a slot are made of."""

    batch_bit: FloatArray
    """D [bit]."""
    cycles: FloatArray
    """C D [cycle]; 1 where there is no batch, so that it may divide."""
    upload_s: FloatArray
    """T_up [s]."""
    local_s: FloatArray
    """Time to compute all of the batch on the UAV, A = C D / f_U [s]."""
    snr_per_w: FloatArray
    """g = h^L / sigma^2 [1/W]; 0 where the satellite is not in view."""
    gain_mbit_s: FloatArray
    """w: what a second of delay-tolerant upload is worth, 1e-6 R^T - lambda p_DT [Mbit/s]; 0
    where the satellite is not in view."""
    local_mbit: FloatArray
    """lambda e_loc: energy to compute all of the batch on the UAV [Mbit]."""
    capacitance_mbit_s2: FloatArray
    """k = lambda kappa_L (C D)^3 [Mbit s^2]."""
    hold_s: FloatArray
    """Time of the slot before which an upload would find the storage empty [s]."""
    limit_s: FloatArray
    """Time of the slot by which the batch has to be done, and the upload begun if w <= 0 [s]."""
    upload_mbit: FloatArray
    """What the upload is worth if it begins at `hold_s`, or earlier [Mbit]."""
    round_trip_s: float
    """delta = 2 d_L / c [s]."""
    band_hz: float
    """B_m [Hz]."""
    largest_power_w: float
    """P_max [W]."""
    cpu_hz: float
    """F [cycle/s]."""
    energy_weight_mbit_j: float
    """lambda [Mbit/J]."""
    slot_s: float
    """tau [s]."""

    @property
    def busy(self) -> BoolArray:
        """Whether there is a batch."""
        return self.batch_bit > 0

    @property
    def reachable(self) -> BoolArray:
        """Whether the satellite is in view."""
        return self.snr_per_w > 0

    def of(self, copies: IntArray | BoolArray) -> SlotProblem:
        """The slot of some copies, or of any (copy, UAV) that an index picks."""
        values: dict[str, Any] = dict(vars(self))
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                values[name] = value[copies]
        return SlotProblem(**values)

    def send_s(self, power_w: Floats) -> FloatArray:
        """r(p) = D / R(p) [s]; infinite without power or satellite, 0 without a batch."""
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.where(self.busy, self.batch_bit / self.rate_bit_s(power_w), 0.0)

    def rate_bit_s(self, power_w: Floats) -> FloatArray:
        """R(p), (9) [bit/s]."""
        return np.log1p(power_w * self.snr_per_w) * (self.band_hz / _LN2)


def slot_problem(scenario: Maritime, state: MaritimeState) -> SlotProblem:
    """The numbers of a slot.

    Before `hold_s`, t_st of section 3, the stored and collected data are fewer than the link could
    take for the rest of the slot, (28h).  A storage that overflows before that, where (28g) and
    (28h) leave no t at all, holds no more than S_cap, so that waiting until tau - S_cap / R^T
    costs nothing either.  Where an upload costs more than it is worth (w <= 0) it waits as long as
    it may: a UAV without a batch until its storage is full, t_hi = S / R^U of (28g).  A batch that
    is done later goes before that, max(t_hi, T_DS), and since its end can be put off until the
    slot's for next to nothing, t = tau: nothing is uploaded, and what finds no room is lost, (18).
    Where the satellite is not in view no upload begins in the slot either.  Batches are due at
    the end of the slot.
    """
    s = scenario.settings
    weight = s.energy_weight_mbit_j
    slot_s = s.slot_s
    cycles = s.devices.cycles_per_bit * state.batch_bit
    upload_rate_bit_s = scenario.leo_rate_bit_s(state, s.uavs.upload_power_w)
    reachable = upload_rate_bit_s > 0
    gain_mbit_s = np.where(
        reachable, upload_rate_bit_s / BIT_PER_MBIT - weight * s.uavs.upload_power_w, 0.0
    )
    earliest_s, latest_s = storage_window_s(
        slot_s,
        upload_rate_bit_s,
        state.collect_rate_bit_s,
        state.stored_bit,
        s.uavs.storage_bit - state.stored_bit,
    )
    full_upload_s = channel.transmission_time_s(s.uavs.storage_bit, upload_rate_bit_s)
    pays = gain_mbit_s > 0
    full_s = np.where(state.batch_bit > 0, slot_s, np.maximum(earliest_s, latest_s))
    hold_s = np.where(pays, np.maximum(earliest_s, slot_s - full_upload_s), full_s)
    hold_s = np.where(reachable, hold_s, slot_s)
    return SlotProblem(
        batch_bit=state.batch_bit,
        cycles=np.where(cycles > 0, cycles, 1.0),
        upload_s=state.upload_s,
        local_s=cycles / s.uavs.cpu_hz,
        snr_per_w=state.leo_gain / scenario.noise_w,
        gain_mbit_s=gain_mbit_s,
        local_mbit=weight * s.uavs.capacitance_j_s2 * s.uavs.cpu_hz**2 * cycles,
        capacitance_mbit_s2=weight * s.satellite.capacitance_j_s2 * cycles**3,
        hold_s=hold_s,
        limit_s=np.where(pays, slot_s, hold_s),
        upload_mbit=gain_mbit_s * np.minimum(slot_s - hold_s, full_upload_s),
        round_trip_s=scenario.round_trip_s,
        band_hz=scenario.band_hz,
        largest_power_w=s.uavs.largest_power_w,
        cpu_hz=s.satellite.cpu_hz,
        energy_weight_mbit_j=weight,
        slot_s=slot_s,
    )


def storage_window_s(
    slot_s: float,
    upload_rate_bit_s: FloatArray,
    collect_rate_bit_s: FloatArray,
    stored_bit: FloatArray,
    free_bit: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """When the upload may begin for storage's sake, t_st of (28h) and t_hi of (28g) [s].

    It finds data to the end of the slot from t_st = (R^T tau - stored) / (R^T + R^U) on, and the
    storage has room until t_hi = S / R^U; both within the slot.
    """
    short_bit = upload_rate_bit_s * slot_s - stored_bit
    earliest_s = np.divide(
        short_bit,
        upload_rate_bit_s + collect_rate_bit_s,
        out=np.zeros_like(short_bit),
        where=short_bit > 0,
    )
    latest_s = channel.transmission_time_s(free_bit, collect_rate_bit_s)
    nothing_comes = collect_rate_bit_s == 0
    return (
        np.clip(earliest_s, 0.0, slot_s),
        np.where(nothing_comes, slot_s, np.clip(latest_s, 0.0, slot_s)),
    )


def least_power_w(problem: SlotProblem, ratio: Floats, time_s: Floats) -> FloatArray:
    """SP1, (31) to (42): the least power that sends the share x in the time Upsilon [W].

    p / R(p) increases in p, so the fractional programme ends at its rate constraint,
    p* = (2^(x D / (B Upsilon)) - 1) / g: what Dinkelbach's method converges to.  P_max where even
    that is not enough, 0 where nothing is to be sent.
    """
    needed_w = channel.minimum_power_w(
        np.multiply(ratio, problem.batch_bit), time_s, problem.band_hz, 1.0, problem.snr_per_w
    )
    return np.minimum(needed_w, problem.largest_power_w)


def priced_power_w(problem: SlotProblem, price_mbit_s: FloatArray) -> FloatArray:
    """SP1 with a price pi of time: the minimum of (pi + lambda p) / R(p) over 0 < p <= P_max [W].

    With y = ln(1 + p g) it lies where (y - 1) e^(y - 1) = (pi g / lambda - 1) / e, Lambert's W.
    Without a weight of energy it is P_max.
    """
    weight = problem.energy_weight_mbit_j
    if weight == 0.0:
        return np.full(price_mbit_s.shape, problem.largest_power_w)
    with np.errstate(over='ignore'):
        relative = np.minimum(price_mbit_s * problem.snr_per_w / weight, 1e300)
    exponent = one_plus_lambert(relative)
    return np.minimum(np.expm1(exponent) / problem.snr_per_w, problem.largest_power_w)


def one_plus_lambert(relative: FloatArray) -> FloatArray:
    """y = 1 + W((relative - 1) / e), so that (y - 1) e^y = relative - 1, for relative >= 0.

    Halley's method on the real branch, ten times as fast as scipy's complex one.  Near the branch
    point at 0, where it cancels, W's series is exact to rounding.
    """
    q = np.sqrt(2.0 * np.minimum(relative, 1.0))
    series = q * (1.0 + q * (-1.0 / 3.0 + q * (11.0 / 72.0 - q * (43.0 / 540.0))))
    log = np.log1p(np.maximum(relative - 1.0, 0.0) / math.e)
    y = np.where(relative < 1.0, series, 1.0 + log * (1.0 - np.log1p(log) / (2.0 + log)))
    with np.errstate(divide='ignore', invalid='ignore'):
        for _ in range(_HALLEY_STEPS):
            error = (y - 1.0) - (relative - 1.0) * np.exp(-y)
            y = y - 2.0 * error * y / (2.0 * y * y - error * (y + 1.0))
    return np.where(relative < 1e-6, series, y)


def least_cpu_hz(problem: SlotProblem, ratio: FloatArray, time_s: FloatArray) -> FloatArray:
    """SP2, (44): the least CPU that computes the share x in the time that is left [cycle/s].

    NaN where no time is left: the CPU then has to stay as it is.
    """
    with np.errstate(divide='ignore', invalid='ignore'):
        cpu_hz = ratio * problem.cycles / time_s
    return np.where(ratio == 0, 0.0, np.where(np.greater(time_s, 0), cpu_hz, np.nan))


def least_ratio(problem: SlotProblem, left_s: FloatArray) -> FloatArray:
    """What the UAV cannot compute itself in a time, [1 - T/A]^+ of (29)."""
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(problem.busy, np.clip(1.0 - left_s / problem.local_s, 0.0, 1.0), 0.0)


def best_start_s(problem: SlotProblem, finish_s: FloatArray) -> FloatArray:
    """SP3, (45) to (50): as early as batch and storage allow, since dU/dt = -w; [s].

    Where w <= 0 (Case I) `hold_s` is the latest time, so that the same maximum is taken.
    """
    return np.minimum(np.maximum(finish_s, problem.hold_s), problem.slot_s)


def ratio_limits(
    problem: SlotProblem, power_w: FloatArray, cpu_hz: FloatArray, start_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """SP4, (52): smallest ratio by (29) and largest by (30), given p, f and t.

    Where the first exceeds the second, no ratio meets both.
    """
    left_s = start_s - problem.upload_s
    with np.errstate(divide='ignore', invalid='ignore'):
        lowest = np.where(problem.busy, 1.0 - left_s / problem.local_s, 0.0)
        whole_s = problem.send_s(power_w) + problem.cycles / cpu_hz
        highest = np.where(problem.busy, (left_s - problem.round_trip_s) / whole_s, 0.0)
    return np.clip(lowest, 0.0, 1.0), np.clip(highest, 0.0, 1.0)


def ratio_slope_mbit(problem: SlotProblem, power_w: FloatArray, cpu_hz: FloatArray) -> FloatArray:
    """SP4, (53): how the utility grows with the ratio, c_x [Mbit]."""
    send_s = problem.send_s(power_w)
    radio_j = np.where(power_w > 0, power_w * np.where(power_w > 0, send_s, 0.0), 0.0)
    satellite_mbit = problem.capacitance_mbit_s2 * np.square(cpu_hz / problem.cycles)
    return problem.local_mbit - problem.energy_weight_mbit_j * radio_j - satellite_mbit


def best_ratio(
    problem: SlotProblem,
    power_w: FloatArray,
    cpu_hz: FloatArray,
    start_s: FloatArray,
    ratio: FloatArray,
) -> FloatArray:
    """SP4, (54): the end of the interval to which the slope points; `ratio` where it is empty."""
    lowest, highest = ratio_limits(problem, power_w, cpu_hz, start_s)
    best = np.where(ratio_slope_mbit(problem, power_w, cpu_hz) > 0, highest, lowest)
    return np.where(lowest <= highest, best, ratio)


def finish_s(problem: SlotProblem, plan: MaritimeDecision) -> FloatArray:
    """T_DS, (16) [s]."""
    with np.errstate(divide='ignore', invalid='ignore'):
        whole_s = problem.send_s(plan.power_w) + problem.cycles / plan.cpu_hz
        offload_s = np.where(plan.ratio > 0, plan.ratio * whole_s + problem.round_trip_s, 0.0)
    return problem.upload_s + np.maximum((1.0 - plan.ratio) * problem.local_s, offload_s)


def positive_root(
    cubic: FloatArray, square: FloatArray, linear: FloatArray, level: FloatArray
) -> FloatArray:
    """The u >= 0 with cubic u^3 + square u^2 + linear u = level; 0 where level <= 0.

    All coefficients are >= 0.  Halley's method, from the root without its cubic term and the one
    with nothing else, joined so that they are at most 8 % off: two steps leave 1e-12.  Infinite
    where all coefficients are 0.
    """
    level = np.maximum(level, 0.0)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        no_cube = (linear + np.sqrt(linear * linear + 4.0 * square * level)) / (2.0 * level)
        start = 1.0 / np.hypot(no_cube, np.cbrt(cubic / level))
        root = start
        for _ in range(_ROOT_STEPS):
            third = cubic * root
            flat = third + square
            error = (flat * root + linear) * root - level
            slope = (flat + flat + third) * root + linear
            root = root - error * slope / (slope * slope - error * (flat + third + third))
    return np.where(level > 0, np.where(np.isinf(start), np.inf, root), 0.0)
