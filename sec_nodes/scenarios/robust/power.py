"""Upload power of Meng & Li, sec. "Optimization for Transmission Power", eqs (32) to (35).

An upload of D bit over a bandwidth B takes t = D ln2 / (B ln(1 + p g)) seconds at the power p,
where g = |h|^2 / sigma^2 [1/W]. Times and powers are kept apart from networks and servers here;
all arguments broadcast.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sec_nodes.physics.checks import FloatArray, Floats

_LN2 = math.log(2.0)


class DinkelbachResult(NamedTuple):
    """What Dinkelbach's iteration ends at, and how it got there."""

    power_w: FloatArray
    """Minimiser of (32) [W]."""
    energy_j: FloatArray
    """Its transmit energy y = p D / r [J]."""
    history_w: FloatArray
    """(N, ...) power of each iterate, the start first [W]."""


def unit_upload_s(size_bit: Floats, bandwidth_hz: Floats) -> FloatArray:
    """Time D ln2 / B [s] in which an upload would pass at one nat per second and hertz."""
    return np.asarray(size_bit) * _LN2 / bandwidth_hz


def upload_time_s(
    size_bit: Floats, bandwidth_hz: Floats, snr_per_w: Floats, power_w: Floats
) -> FloatArray:
    """Time of an upload, eqs (15) and (20) [s]; 0 for an empty one, inf over a dead link."""
    unit_s = unit_upload_s(size_bit, bandwidth_hz)
    nats = np.log1p(np.multiply(power_w, snr_per_w))
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        return np.where(unit_s > 0, unit_s / nats, 0.0)


def least_power_w(
    size_bit: Floats, bandwidth_hz: Floats, snr_per_w: Floats, time_s: Floats
) -> FloatArray:
    """Power p_hat that ends an upload in exactly the time given [W], eq. (33).

    Corrected: (33) prints the whole slot for the time, so that (28k) would fail for every task
    with anything to compute; `time_s` is what local and remote computing really leave. 0 for an
    empty upload in a time >= 0, inf where no power is enough.
    """
    unit_s = unit_upload_s(size_bit, bandwidth_hz)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        power_w = np.expm1(unit_s / time_s) / snr_per_w
    power_w = np.where((np.asarray(time_s) > 0) & (np.asarray(snr_per_w) > 0), power_w, np.inf)
    return np.where((unit_s > 0) | (np.asarray(time_s) < 0), power_w, 0.0)


def marginal_upload_energy_w(
    unit_s: FloatArray, snr_per_w: FloatArray, time_s: FloatArray
) -> FloatArray:
    """Energy that a little more upload time saves, nu_tr = (1 + e^u (u - 1)) / g [W].

    u = `unit_s` / `time_s`. It is minus the derivative of the upload energy t expm1(u) / g with
    respect to t: positive, and decreasing in t.
    """
    u = unit_s / time_s
    # Where u is tiny the difference cancels; the first term of its series bounds it from below.
    return np.maximum(np.expm1(u) * (u - 1.0) + u, 0.5 * u * u) / snr_per_w


def dinkelbach_power(
    size_bit: Floats,
    bandwidth_hz: Floats,
    snr_per_w: Floats,
    power_low_w: Floats,
    power_max_w: Floats,
    tolerance: float = 1e-12,
    max_iterations: int = 200,
) -> DinkelbachResult:
    """Minimise the transmit energy over p in [p_lo, p_max] by (34) and (35), as printed.

    A step minimises p D - y B log2(1 + p g): p = clip(y B / (D ln2) - 1/g, p_lo, p_max). The
    iterates fall from p_max and reach p_lo after finitely many steps, because p / log2(1 + p g)
    increases in p: the closed form p = p_lo is all that the scenario needs.

    Args:
        size_bit: D > 0 [bit].
        bandwidth_hz: B [Hz].
        snr_per_w: g > 0 [1/W].
        power_low_w: p_lo [W].
        power_max_w: p_max [W].
        tolerance: relative change of y at which to stop.
        max_iterations: steps after which to give up.

    Raises:
        ValueError: an empty upload, a dead link, or bounds that cross.
    """
    if not (np.all(np.greater(size_bit, 0)) and np.all(np.greater(snr_per_w, 0))):
        raise ValueError('size_bit and snr_per_w must be > 0: leave out what sends nothing')
    if not np.all(np.less_equal(power_low_w, power_max_w)):
        raise ValueError('power_low_w exceeds power_max_w: the upload is infeasible, leave it out')
    unit_s = unit_upload_s(size_bit, bandwidth_hz)
    power_w: FloatArray = np.broadcast_to(
        np.asarray(power_max_w, dtype=float),
        np.broadcast_shapes(*map(np.shape, (unit_s, snr_per_w, power_low_w, power_max_w))),
    )
    history = [power_w]
    y = power_w * unit_s / np.log1p(power_w * snr_per_w)
    for _ in range(max_iterations):
        power_w = np.clip(y / unit_s - 1.0 / np.asarray(snr_per_w), power_low_w, power_max_w)
        history.append(power_w)
        before, y = y, _energy_j(unit_s, snr_per_w, power_w)
        if np.all(np.abs(y - before) <= tolerance * before):
            break
    return DinkelbachResult(power_w, y, np.stack(history))


def _energy_j(unit_s: FloatArray, snr_per_w: Floats, power_w: FloatArray) -> FloatArray:
    """Transmit energy p t(p) [J]; its limit at p = 0 is D ln2 / (B g)."""
    exponent = power_w * snr_per_w
    with np.errstate(invalid='ignore', divide='ignore'):
        ratio = np.where(exponent > 0, exponent / np.log1p(exponent), 1.0)
    return unit_s * ratio / snr_per_w
