"""What each user of the robust scenario could do in a slot, and what it would cost.

The letters in the shapes are B copies, I users, J UAVs and C splits (phi - 1 counts them).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sec_nodes.physics.checks import FloatArray
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.joint import Jobs, computing_time_s, weighted_energy_j
from sec_nodes.scenarios.robust.power import unit_upload_s, upload_time_s
from sec_nodes.scenarios.robust.state import RobustState
from sec_nodes.slot import BoolArray, IntArray


@dataclass(frozen=True)
class Choices:
    """All pairs of a UAV and a split that meet the deadline, and staying local."""

    jobs: Jobs
    """(B, I, J, C)"""
    local_j: FloatArray
    """(B, I, C) e_loc of (19) [J]."""
    possible: BoolArray
    """(B, I, J, C) allowed, in time, and within the CPU of a living UAV on its own."""
    stay_j: FloatArray
    """(B, I) energy of a task that stays with its user; inf where that is late or not allowed."""
    capacity_hz: float
    energy: float
    """w2 kappa, as in `sec_nodes.scenarios.robust.joint`."""


def choices(scenario: Robust, state: RobustState, split: IntArray | None = None) -> Choices:
    """What the users can do with their tasks in a slot.

    Args:
        scenario: the system.
        state: the slot.
        split: (B, I) phi of each task if it is settled, else all allowed ones are choices.
    """
    settings = scenario.settings
    copies, n_users, n_uavs = state.fading.shape
    allowed = scenario.allowed_splits(state)
    column = np.arange(allowed.shape[-1])
    if split is not None:
        allowed = allowed & (column == split[..., None] - 1)
    stays = column == scenario.tables.layers[state.network][..., None]
    front = np.asarray(scenario.front_cycles[state.network], dtype=float)
    jobs = _jobs(scenario, state, front)
    near = np.ones((copies, n_users, n_uavs), dtype=bool)
    if settings.users.association == 'nearest':
        near = scenario.nearest(state)[..., None] == np.arange(n_uavs)
    capacity_hz = settings.uavs.frequency_hz
    reachable = (near & state.alive[:, None, :])[..., None] & (jobs.least_hz <= capacity_hz)
    capacitance, local_hz = settings.computing.capacitance_j_s2, settings.users.frequency_hz
    local_j = capacitance * local_hz**2 * front
    on_time = front / local_hz <= settings.slot_s * (1.0 + scenario.tolerance)
    return Choices(
        jobs=jobs,
        local_j=local_j,
        possible=reachable & (allowed & ~stays)[:, :, None, :],
        stay_j=np.where(allowed & stays & on_time, local_j, np.inf).min(axis=-1),
        capacity_hz=capacity_hz,
        energy=settings.objective.compute_weight * capacitance,
    )


def best_at_price(
    jobs: Jobs, local_j: FloatArray, price: FloatArray | float, energy: float
) -> tuple[FloatArray, FloatArray]:
    """Energy of each job [J] and the frequency it asks for [Hz] at a price of the CPU [J/Hz].

    Shapes broadcast; the deadline of every job must be feasible.
    """
    flexible = jobs.flexible
    computing_s = computing_time_s(jobs.where(flexible), price, energy)
    computing_s = np.where(flexible, computing_s, jobs.longest_s)
    with np.errstate(divide='ignore', invalid='ignore'):
        frequency_hz = np.where(jobs.cycles > 0, jobs.cycles / computing_s, 0.0)
    return local_j + weighted_energy_j(jobs, computing_s, energy), frequency_hz


def _jobs(scenario: Robust, state: RobustState, front: FloatArray) -> Jobs:
    settings = scenario.settings
    snr_per_w = np.asarray(scenario.snr_per_w(state), dtype=float)[..., None]
    size_bit = np.asarray(scenario.size_bit[state.network], dtype=float)[:, :, None, :]
    bandwidth_hz = settings.uplink_bandwidth_hz
    time_s = settings.planned_s - front / settings.users.frequency_hz
    fastest_s = upload_time_s(size_bit, bandwidth_hz, snr_per_w, settings.users.power_max_w)
    shape = fastest_s.shape
    rear = np.asarray(scenario.rear_cycles[state.network], dtype=float)
    return Jobs(
        cycles=np.broadcast_to(rear[:, :, None, :], shape),
        snr_per_w=np.broadcast_to(snr_per_w, shape),
        time_s=np.broadcast_to(time_s[:, :, None, :], shape),
        unit_s=np.broadcast_to(unit_upload_s(size_bit, bandwidth_hz), shape),
        fastest_s=fastest_s,
    )
