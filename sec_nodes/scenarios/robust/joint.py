"""Frequency and power together: the convex problem inside a slot of Meng & Li's system.

A job has T seconds for an upload of t seconds and s = T - t seconds of computing at f = c / s.
Its weighted energy, e_tr + w2 e_off of (27), and the use of the CPU are

    (t / g) expm1(u) + w2 kappa c^3 / s^2,   u = D ln2 / (B t),   and   c / s,

both convex in s. At a price of the CPU [J/Hz] the best s makes the marginal energy of the upload
equal to that of computing plus the marginal rent; the price of a CPU is 0 if all jobs have room
at that, and otherwise such that the CPU is just used up. `energy` is w2 kappa throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sec_nodes.physics.checks import FloatArray, Floats
from sec_nodes.scenarios.robust.power import marginal_upload_energy_w
from sec_nodes.slot import BoolArray, IntArray

_ITERATIONS = 200
"""Bound of the guarded Newton iterations; bisection alone would need about 60."""
_CLOSE = 1e-13
"""Relative change at which an iteration has arrived."""


@dataclass(frozen=True)
class Jobs:
    """Tasks as their UAV sees them, arrays of one shape."""

    cycles: FloatArray
    """c [cycle]."""
    snr_per_w: FloatArray
    """g [1/W]."""
    time_s: FloatArray
    """T, what the local part leaves of the slot [s]."""
    unit_s: FloatArray
    """D ln2 / B [s]."""
    fastest_s: FloatArray
    """Upload time at full power [s]."""

    @property
    def longest_s(self) -> FloatArray:
        """Most that computing may take [s]; not positive where the deadline cannot be met."""
        return self.time_s - self.fastest_s

    @property
    def least_hz(self) -> FloatArray:
        """Frequency that meets the deadline after the fastest upload [Hz]; inf if none does."""
        with np.errstate(divide='ignore', invalid='ignore'):
            least_hz = np.where(self.longest_s > 0, self.cycles / self.longest_s, np.inf)
        return np.where((self.cycles == 0) & (self.longest_s == 0), 0.0, least_hz)

    @property
    def flexible(self) -> BoolArray:
        """Jobs that can weigh upload against computing: they meet the deadline and do both."""
        return (self.longest_s > 0) & (self.cycles > 0) & (self.unit_s > 0)

    def rows(self, chosen: BoolArray | IntArray | tuple[Any, ...]) -> Jobs:
        """The jobs at some indices, as of an array."""
        return Jobs(
            self.cycles[chosen],
            self.snr_per_w[chosen],
            self.time_s[chosen],
            self.unit_s[chosen],
            self.fastest_s[chosen],
        )

    def where(self, chosen: BoolArray) -> Jobs:
        """The chosen jobs; harmless ones in the place of the others."""
        return Jobs(
            cycles=np.where(chosen, self.cycles, 1.0),
            snr_per_w=np.where(chosen, self.snr_per_w, 1.0),
            time_s=np.where(chosen, self.time_s, 1.0),
            unit_s=np.where(chosen, self.unit_s, 1.0),
            fastest_s=np.where(chosen, self.fastest_s, 0.5),
        )


class Servers:
    """Sums over the jobs of each server, without a loop over jobs or servers.

    Args:
        server: (B, I) server of each job, -1 for none.
        n_servers: J.
    """

    def __init__(self, server: IntArray, n_servers: int) -> None:
        self.member: BoolArray = server[:, :, None] == np.arange(n_servers)
        """(B, I, J)"""
        self._own = np.maximum(server, 0)

    def total(self, value: FloatArray) -> FloatArray:
        """Sum (B, J) of a number (B, I) over the jobs of each server."""
        return np.where(self.member, value[:, :, None], 0.0).sum(axis=1)

    def largest(self, value: FloatArray) -> FloatArray:
        """Largest (B, J) of a number (B, I) >= 0 among the jobs of each server, 0 without any."""
        return np.where(self.member, value[:, :, None], 0.0).max(axis=1, initial=0.0)

    def of_job(self, value: FloatArray) -> FloatArray:
        """The number (B, J) of each job's own server (B, I); of server 0 where it has none."""
        return np.take_along_axis(value, self._own, axis=1)


def weighted_energy_j(jobs: Jobs, computing_s: FloatArray, energy: float) -> FloatArray:
    """e_tr + w2 e_off of each job [J]; `computing_s` in (0, T), or any where there is no work."""
    upload_s = jobs.time_s - np.where(jobs.cycles > 0, computing_s, 0.0)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        upload_j = upload_s * np.expm1(jobs.unit_s / upload_s) / jobs.snr_per_w
        computing_j = energy * jobs.cycles**3 / np.square(computing_s) if energy else 0.0
    return np.where(jobs.unit_s > 0, upload_j, 0.0) + np.where(jobs.cycles > 0, computing_j, 0.0)


def computing_time_s(
    jobs: Jobs, price: Floats, energy: float, start_s: FloatArray | None = None
) -> FloatArray:
    """Best computing time s of each job at a price [J/Hz] of its CPU [s].

    The root of nu_tr(T - s) = 2 w2 kappa c^3 / s^3 + price c / s^2, or the longest time possible.
    All jobs must be flexible. 0 where computing costs neither energy nor rent.
    """
    longest_s = jobs.longest_s
    low_s, high_s = np.zeros_like(longest_s), longest_s
    computing_s = longest_s * 0.5 if start_s is None else np.minimum(start_s, longest_s)
    at_end = _log_ratio(jobs, longest_s, price, energy)[0] <= 0
    free = np.asarray(price) + energy == 0
    arrived = at_end | free
    for _ in range(_ITERATIONS):
        ratio, slope = _log_ratio(jobs, computing_s, price, energy)
        low_s = np.where(ratio <= 0, computing_s, low_s)
        high_s = np.where(ratio >= 0, computing_s, high_s)
        with np.errstate(over='ignore', invalid='ignore', divide='ignore'):
            newton_s = computing_s * np.exp(-ratio / (slope * computing_s))
        arrived = arrived | (np.abs(newton_s - computing_s) <= _CLOSE * computing_s)
        arrived |= high_s - low_s <= _CLOSE * computing_s
        if arrived.all():
            break
        inside = (newton_s > low_s) & (newton_s < high_s)
        next_s = np.where(inside, newton_s, 0.5 * (low_s + high_s))
        computing_s = np.where(arrived, computing_s, next_s)
    return np.where(free, 0.0, np.where(at_end, longest_s, computing_s))


def joint_frequency_hz(
    jobs: Jobs,
    served: BoolArray,
    server: IntArray,
    n_servers: int,
    capacity_hz: Floats,
    energy: float,
) -> FloatArray:
    """(B, I) frequencies of the least weighted energy of the jobs served, 0 for the others [Hz].

    Their least frequencies must fit the CPUs together. `server` (B, I) holds the server of each
    job, -1 for none; `capacity_hz` is one for all CPUs, or (J,).
    """
    frequency_hz = np.where(served, jobs.least_hz, 0.0)
    flexible = served & jobs.flexible
    jobs = jobs.where(flexible)
    with np.errstate(divide='ignore'):
        free_hz = jobs.cycles / computing_time_s(jobs, 0.0, energy)
    frequency_hz = np.where(flexible, free_hz, frequency_hz)
    total_hz = Servers(server, n_servers).total(frequency_hz)
    tight = np.any(total_hz > capacity_hz, axis=1)
    if tight.any():
        fixed_hz = np.where(flexible, 0.0, frequency_hz)[tight]
        servers = Servers(server[tight], n_servers)
        frequency_hz[tight] = _shared_hz(
            jobs.rows(tight), flexible[tight], fixed_hz, servers, capacity_hz, energy
        )
    return frequency_hz


def _shared_hz(
    jobs: Jobs,
    flexible: BoolArray,
    fixed_hz: FloatArray,
    servers: Servers,
    capacity_hz: Floats,
    energy: float,
) -> FloatArray:
    """(B, I) frequencies at the least prices at which all CPUs suffice."""
    least_hz = np.where(flexible, jobs.least_hz, fixed_hz)
    spare_hz = capacity_hz - servers.total(least_hz)
    # At this price a job no longer asks for more than its least frequency.
    rent_w = marginal_upload_energy_w(jobs.unit_s, jobs.snr_per_w, jobs.fastest_s)
    highest = (rent_w - 2.0 * energy * jobs.least_hz**3) * jobs.longest_s**2 / jobs.cycles
    high = servers.largest(np.where(flexible, np.maximum(highest, 0.0), 0.0))
    low = price = np.zeros_like(high)
    computing_s = None
    for _ in range(_ITERATIONS):
        own_price = servers.of_job(price)
        computing_s = computing_time_s(jobs, own_price, energy, computing_s)
        with np.errstate(divide='ignore'):
            above_hz = np.where(flexible, jobs.cycles / computing_s - least_hz, 0.0)
        excess_hz = servers.total(above_hz) - spare_hz
        low = np.where(excess_hz > 0, price, low)
        high = np.where(excess_hz > 0, high, price)
        settled = (np.abs(excess_hz) <= _CLOSE * capacity_hz) | (high - low <= _CLOSE * high)
        if settled.all():
            break
        slope = np.where(flexible, _frequency_slope(jobs, computing_s, own_price, energy), 0.0)
        with np.errstate(divide='ignore', invalid='ignore'):
            newton = price + excess_hz / servers.total(slope)
        inside = (newton > low) & (newton < high)
        price = np.where(settled, price, np.where(inside, newton, 0.5 * (low + high)))
    # The rest of an excess is rounding; it is taken from what lies above the least frequencies.
    total_hz = servers.total(above_hz)
    keep = np.where(total_hz > spare_hz, spare_hz / np.where(total_hz > 0, total_hz, 1.0), 1.0)
    return least_hz + above_hz * np.maximum(servers.of_job(keep), 0.0)


def _log_ratio(
    jobs: Jobs, computing_s: FloatArray, price: Floats, energy: float
) -> tuple[FloatArray, FloatArray]:
    """Logarithm of marginal upload by marginal computing energy, which increases in s; its slope.

    Logarithms make both sides nearly straight, so that Newton's iteration takes few steps.
    """
    upload_s = jobs.time_s - computing_s
    upload_w = marginal_upload_energy_w(jobs.unit_s, jobs.snr_per_w, upload_s)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        work_w = 2.0 * energy * (jobs.cycles / computing_s) ** 3
        rent_w = price * jobs.cycles / np.square(computing_s)
        slope = _upload_curvature_w_s(jobs, upload_s) / upload_w
        slope = slope + (3.0 * work_w + 2.0 * rent_w) / (computing_s * (work_w + rent_w))
        return np.log(upload_w / (work_w + rent_w)), slope


def _upload_curvature_w_s(jobs: Jobs, upload_s: FloatArray) -> FloatArray:
    """Second derivative of the upload energy with respect to its time [W/s]."""
    u = jobs.unit_s / upload_s
    return np.square(u) * np.exp(u) / (upload_s * jobs.snr_per_w)


def _frequency_slope(
    jobs: Jobs, computing_s: FloatArray, price: FloatArray, energy: float
) -> FloatArray:
    """How fast the best frequency falls with the price, -df/dprice >= 0 [Hz^2/J]."""
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        curvature = _upload_curvature_w_s(jobs, jobs.time_s - computing_s)
        curvature = curvature + 6.0 * energy * (jobs.cycles / computing_s) ** 3 / computing_s
        curvature = curvature + 2.0 * price * jobs.cycles / computing_s**3
        slope = np.square(jobs.cycles / np.square(computing_s)) / curvature
    return np.where(computing_s < jobs.longest_s, slope, 0.0)
