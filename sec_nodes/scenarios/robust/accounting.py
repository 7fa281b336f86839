"""What a slot of the robust scenario cost: (18) to (27), the reward (31), broken constraints."""

from __future__ import annotations

import numpy as np

from sec_nodes.physics import energy
from sec_nodes.scenarios.robust.checks import count_violations, tolerance
from sec_nodes.scenarios.robust.motion import Flight, close_pairs
from sec_nodes.scenarios.robust.settings import RobustSettings
from sec_nodes.scenarios.robust.state import (
    LOCAL,
    Plan,
    RobustOutcome,
    RobustState,
    Sent,
    Survival,
)
from sec_nodes.slot import BoolArray, FloatArray


def account(
    settings: RobustSettings,
    state: RobustState,
    plan: Plan,
    sent: Sent,
    survival: Survival,
    alive: BoolArray,
    flight: Flight,
) -> RobustOutcome:
    """Add up times, energies, penalties and broken constraints of a slot.

    Args:
        settings: weights and constants.
        state: the slot as it began.
        plan: what was decided on the tasks.
        sent: what reached a UAV.
        survival: what was finished, and where.
        alive: (B, J) s_j(t).
        flight: where the UAVs are at the end.
    """
    works = survival.cycles > 0
    offload_s = survival.cycles / np.where(works, survival.frequency_hz, 1)
    latency_s = (
        sent.local_s + sent.transmission_s + survival.lost_s + survival.moving_s + offload_s
    )
    served = plan.stays | (survival.effective != LOCAL)
    latency_s = np.where(served, latency_s, latency_s.dtype.type(np.inf))
    completed = latency_s <= settings.slot_s * (1.0 + tolerance(latency_s))

    spent = _task_energies(settings, sent, survival)
    local_j, transmission_j, resend_j, migration_j, offload_j = spent
    weights = settings.objective
    task_j = local_j + transmission_j + resend_j
    task_j = task_j + weights.compute_weight * (offload_j + migration_j)
    flight_j = _flight_energy_j(settings, state, alive)
    e_tot_j = task_j.sum(axis=1) + weights.flight_weight * flight_j.sum(axis=1)

    n_close = close_pairs(flight.position_m, settings.uavs.safe_distance_m, alive)
    n_late, n_outside = (~completed).sum(axis=1), flight.outside.sum(axis=1)
    penalty = (
        (1.0 + weights.penalty_distance * n_close)
        * (1.0 + weights.penalty_late * n_late)
        * (1.0 + weights.penalty_outside * n_outside)
    ).astype(e_tot_j.dtype)
    return RobustOutcome(
        local_s=sent.local_s,
        transmission_s=sent.transmission_s,
        lost_s=survival.lost_s,
        migration_s=survival.moving_s,
        offload_s=offload_s,
        latency_s=latency_s,
        local_j=local_j,
        transmission_j=transmission_j,
        resend_j=resend_j,
        migration_j=migration_j,
        offload_j=offload_j,
        frequency_hz=survival.frequency_hz,
        power_w=sent.power_w,
        server=sent.server,
        effective=survival.effective,
        completed=completed,
        rejected=~plan.stays & (sent.server == LOCAL),
        migrated=survival.migrated,
        lost=survival.lost,
        alive=alive,
        flight_j=flight_j,
        uav_m=flight.position_m,
        uav_velocity_m_s=flight.velocity_m_s,
        task_energy_j=sum(spent[1:], start=spent[0]),
        task_j=task_j,
        e_tot_j=e_tot_j,
        n_close=n_close,
        n_late=n_late,
        n_outside=n_outside,
        penalty=penalty,
        reward=-e_tot_j * penalty,
        violations=count_violations(
            settings, state, plan, sent, survival, alive, flight, completed
        ),
    )


def _task_energies(
    settings: RobustSettings, sent: Sent, survival: Survival
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Local, transmission, resending, migration and offload energies, each (B, I) [J]."""
    capacitance = settings.computing.capacitance_j_s2
    user_hz = np.full_like(sent.local_cycles, settings.users.frequency_hz)
    local_j = energy.computing_energy_j(sent.local_cycles, user_hz, capacitance)
    transmission_j = energy.transmission_energy_j(sent.power_w, sent.transmission_s)
    moving_j = survival.moving_s * settings.uavs.transmit_power_w
    resend_j = np.zeros_like(moving_j)
    if settings.failures.migration == 'resend':
        # The user sends again, so it pays, and UAVs do not.
        resend_j, moving_j = sent.power_w * survival.moving_s, resend_j
    offload_j = energy.computing_energy_j(
        survival.cycles, survival.frequency_hz, capacitance
    ) + energy.computing_energy_j(survival.lost_cycles, sent.frequency_hz, capacitance)
    return local_j, transmission_j, resend_j, moving_j, offload_j


def _flight_energy_j(settings: RobustSettings, state: RobustState, alive: BoolArray) -> FloatArray:
    """(B, J) (2) over the slot, at the speed it began with; a failed UAV spends nothing."""
    speed_m_s = np.sqrt(np.square(state.uav_velocity_m_s).sum(axis=-1))
    wing = energy.RotaryWing(**settings.uavs.propulsion.model_dump())
    power_w = energy.propulsion_power_w(speed_m_s, wing)
    return np.where(alive, settings.slot_s * power_w, power_w.dtype.type(0))
