"""Who is served in a slot, at which frequency and power: (28i), (28j), (28k) of Meng & Li.

The action (30) holds neither frequencies nor powers, so a rule has to choose them once splits and
association are known. Letters: B copies, I users, J servers (UAVs). Rules:

`prop`, `sqrt`, `equal`
    Share the whole CPU in proportion to the cycles, to their roots (KKT of the least sum of
    computing times), or evenly. Everyone is served; the power is the least that still meets the
    deadline, or the largest for a task that is late anyway.
`deadline`
    Upload at full power, compute just fast enough: least computing energy for these times.
`joint`
    Least e_tr + w2 e_off over frequencies and powers together.

Where the CPU is too small for all, `deadline` and `joint` admit by ascending least frequency,
which serves the largest number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sec_nodes.config import suggest
from sec_nodes.physics.checks import (
    FloatArray,
    require_finite,
    require_nonnegative,
    require_positive,
)
from sec_nodes.scenarios.robust.joint import Jobs, Servers, joint_frequency_hz
from sec_nodes.scenarios.robust.power import (
    least_power_w,
    unit_upload_s,
    upload_time_s,
)
from sec_nodes.slot import BoolArray, IntArray

RULES = ('prop', 'sqrt', 'equal', 'deadline', 'joint')

_ROUNDING = 1e-12
"""Relative excess of a CPU that is taken for rounding."""


@dataclass(frozen=True)
class Offloading:
    """What the users send to the UAVs in a slot, all (B, I)."""

    server: IntArray
    """UAV of the task; -1: not offloaded."""
    cycles: FloatArray
    """Work of the UAV's part, its FLOPs / C_0 [cycle]."""
    size_bit: FloatArray
    """What is sent, D_phi [bit]."""
    snr_per_w: FloatArray
    """|h|^2 / sigma_1^2 on the link to the server [1/W]."""
    bandwidth_hz: FloatArray
    """Of the uplink [Hz]."""
    time_s: FloatArray
    """Left of the slot after the local part, delta - tau_loc [s]; <= 0 if nothing is left."""


@dataclass(frozen=True)
class Allocation:
    """What each task gets, all (B, I); zero where it is not served."""

    frequency_hz: FloatArray
    """f_ij of eq. (24) [Hz]."""
    power_w: FloatArray
    """p_i of eq. (15) [W]."""
    admitted: BoolArray
    """Served by its UAV; False for what is not offloaded, too."""


def allocate(
    rule: str,
    offloading: Offloading,
    n_servers: int,
    capacity_hz: float,
    power_max_w: float,
    compute_weight: float,
    capacitance_j_s2: float,
) -> Allocation:
    """Choose who is served, at which frequency and power.

    A task whose link carries nothing is served under no rule.

    Args:
        rule: one of RULES.
        offloading: the tasks.
        n_servers: J.
        capacity_hz: CPU of a UAV, F of (28i).
        power_max_w: of a user, (28j).
        compute_weight: w2 of (27), weight of the energy of a UAV's CPU.
        capacitance_j_s2: kappa of (25).

    Raises:
        ValueError: unknown rule, a server that does not exist, or a number out of its range.
    """
    _require_sound(rule, offloading, n_servers)
    require_positive('capacity_hz', capacity_hz, 'Pass the CPU frequency of a UAV.')
    require_nonnegative('power_max_w', power_max_w, 'Pass the largest transmit power.')
    require_nonnegative('compute_weight', compute_weight, 'Pass w2 of eq. (27).')
    require_positive('capacitance_j_s2', capacitance_j_s2, 'A usual value is 1e-28.')
    jobs = as_jobs(offloading, power_max_w)
    servers = Servers(offloading.server, n_servers)
    offloaded = offloading.server >= 0
    if rule in ('prop', 'sqrt', 'equal'):
        served = offloaded & np.isfinite(jobs.fastest_s)
        frequency_hz = _shares(rule, jobs.cycles, served, servers, capacity_hz)
    else:
        served = _admit(np.where(offloaded, jobs.least_hz, np.inf), servers, capacity_hz)
        frequency_hz = np.where(served, jobs.least_hz, 0.0)
        if rule == 'joint':
            energy = compute_weight * capacitance_j_s2
            frequency_hz = joint_frequency_hz(
                jobs, served, offloading.server, n_servers, capacity_hz, energy
            )
    power_w = _power_w(offloading, jobs, frequency_hz, power_max_w)
    return Allocation(frequency_hz, np.where(served, power_w, 0.0), served)


def as_jobs(offloading: Offloading, power_max_w: float) -> Jobs:
    """The tasks with what the rules need to know of them, (B, I)."""
    size_bit, bandwidth_hz = offloading.size_bit, offloading.bandwidth_hz
    return Jobs(
        cycles=np.asarray(offloading.cycles, dtype=float),
        snr_per_w=np.asarray(offloading.snr_per_w, dtype=float),
        time_s=np.asarray(offloading.time_s, dtype=float),
        unit_s=unit_upload_s(size_bit, bandwidth_hz),
        fastest_s=upload_time_s(size_bit, bandwidth_hz, offloading.snr_per_w, power_max_w),
    )


def _shares(
    rule: str, cycles: FloatArray, served: BoolArray, servers: Servers, capacity_hz: float
) -> FloatArray:
    """(B, I) frequencies that use the whole CPU whatever the deadlines are."""
    weight = {'prop': cycles, 'sqrt': np.sqrt(cycles), 'equal': (cycles > 0).astype(float)}[rule]
    weight = np.where(served, weight, 0.0)
    total = servers.of_job(servers.total(weight))
    return capacity_hz * weight / np.where(total > 0, total, 1.0)


def _admit(need_hz: FloatArray, servers: Servers, capacity_hz: float) -> BoolArray:
    """(B, I) tasks served: by ascending least frequency while the CPU of their UAV lasts."""
    order = np.argsort(need_hz, axis=1, kind='stable')
    sorted_hz = np.take_along_axis(need_hz, order, axis=1)
    member = np.take_along_axis(servers.member, order[:, :, None], axis=1)
    running_hz = np.where(member, sorted_hz[:, :, None], 0.0).cumsum(axis=1)
    fits = (member & (running_hz <= capacity_hz * (1.0 + _ROUNDING))).any(axis=2)
    admitted = np.empty_like(fits)
    np.put_along_axis(admitted, order, fits, axis=1)
    return admitted


def _power_w(
    offloading: Offloading, jobs: Jobs, frequency_hz: FloatArray, power_max_w: float
) -> FloatArray:
    """(B, I) least power that still meets the deadline; the largest for a task that is late."""
    with np.errstate(divide='ignore', invalid='ignore'):
        computing_s = np.where(jobs.cycles > 0, jobs.cycles / frequency_hz, 0.0)
    left_s = jobs.time_s - computing_s
    power_w = least_power_w(
        offloading.size_bit, offloading.bandwidth_hz, offloading.snr_per_w, left_s
    )
    return np.where(jobs.unit_s > 0, np.minimum(power_w, power_max_w), 0.0)


def _require_sound(rule: str, offloading: Offloading, n_servers: int) -> None:
    """Raise ValueError for a rule or tasks that mean nothing."""
    if rule not in RULES:
        raise ValueError(f'rule = {rule!r}: {suggest(rule, list(RULES))}')
    server = offloading.server
    if server.ndim != 2 or not np.all((server >= -1) & (server < n_servers)):
        raise ValueError(
            f'server must be (B, I) numbers from -1 to {n_servers - 1}, but has shape '
            f'{server.shape} and values {np.unique(server)}; -1 stands for not offloaded'
        )
    require_nonnegative('cycles', offloading.cycles, 'Pass the work of the part at the UAV.')
    require_nonnegative('size_bit', offloading.size_bit, 'Pass what is sent to the UAV.')
    require_nonnegative('snr_per_w', offloading.snr_per_w, 'Pass |h|^2 / sigma^2.')
    require_positive('bandwidth_hz', offloading.bandwidth_hz, 'Pass the bandwidth of the uplink.')
    require_finite('time_s', offloading.time_s, 'Pass the slot less the local computing time.')
