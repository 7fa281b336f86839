"""What is known, decided and measured in a slot of the robust scenario.

The letters in the shapes are B copies, I users and J UAVs. Slots are counted from 0, so slot t of
Meng and Li is slot t - 1 here; split layers phi are counted from 1, as in the paper. Positions
are ENU, the origin is a corner of the area on the ground.
"""

from __future__ import annotations

from dataclasses import dataclass

from sec_nodes.slot import BoolArray, FloatArray, IntArray

NEVER = 1 << 62
"""Failure slot of a UAV that does not fail."""

LOCAL = -1
"""Server number of a task that stays with its user."""

CONSTRAINTS = (
    '(5)',
    '(7)',
    '(10)',
    '(11)',
    '(12)',
    '(13)',
    '(28c)',
    '(28e)',
    '(28g)',
    '(28h)',
    '(28i)',
    '(28j)',
    '(28k)',
)
"""Constraints that are counted, by their numbers; (1), (6), (28d) and (28f) hold by construction:
a task has one server or none, and one that has none is late, (28k)."""


@dataclass(frozen=True)
class RobustState:
    """Everything at the start of a slot, once its fading is drawn."""

    seed: IntArray
    """(B,) seed of the episode."""
    slot: IntArray
    """(B,) slot, from 0."""
    network: IntArray
    """(B, I) network of each user, an index of `Robust.tables`."""
    user_m: FloatArray
    """(B, I, 2) position [m; ENU]."""
    user_heading_rad: FloatArray
    """(B, I) direction of walking [rad; 0 = east, counter-clockwise], not wrapped."""
    user_speed_m_s: FloatArray
    """(B, I)"""
    uav_m: FloatArray
    """(B, J, 3) position [m; ENU]."""
    uav_velocity_m_s: FloatArray
    """(B, J, 3) [m/s; ENU]."""
    alive: BoolArray
    """(B, J) UAVs that had not failed by the end of the last slot: s_j(t - 1)."""
    failure_slot: IntArray
    """(B, J) slot in which each UAV fails, or `NEVER`. No controller may look at it."""
    fading: FloatArray
    """(B, I, J) power of the small-scale fading, mean 1, constant over the slot."""


@dataclass(frozen=True)
class RobustDecision:
    """What is decided at the start of a slot, (30)."""

    split: IntArray
    """(B, I) phi: layers phi to L run on a UAV; 1 sends the image, L + 1 stays local."""
    server: IntArray
    """(B, I) UAV that the task is sent to at first, `LOCAL` for a task that stays."""
    preference: FloatArray
    """(B, I, J) if that UAV fails, the task moves to the living one with the largest number; the
    lowest index wins ties."""
    acceleration_m_s2: FloatArray
    """(B, J, 3) [m/s^2; ENU]; longer ones are shortened to the limit."""


@dataclass(frozen=True)
class Plan:
    """How a decision is read, (B, I)."""

    exists: BoolArray
    """The network has such a split, (28e)."""
    cut: IntArray
    """Layers that run on the user, phi - 1; 0 where the split does not exist."""
    stays: BoolArray
    """All layers run on the user."""
    server: IntArray
    """UAV that the task is meant for, `LOCAL` for none."""
    known_dead: BoolArray
    """That UAV had failed before the slot."""

    @property
    def asks(self) -> BoolArray:
        """Tasks that are meant to be sent."""
        return self.exists & ~self.stays & (self.server != LOCAL)


@dataclass(frozen=True)
class Sent:
    """Tasks as they reach their first UAV, (B, I); 0 and `LOCAL` for those that are not sent."""

    server: IntArray
    network: IntArray
    cut: IntArray
    """Layers that ran on the user, phi - 1."""
    local_cycles: FloatArray
    """Work of the user [cycle], also of tasks that are not sent."""
    cycles: FloatArray
    """Work of the UAV [cycle]."""
    size_bit: FloatArray
    power_w: FloatArray
    frequency_hz: FloatArray
    local_s: FloatArray
    """tau_loc, also of tasks that are not sent."""
    transmission_s: FloatArray
    """tau_tr."""


@dataclass(frozen=True)
class Survival:
    """How each task goes on after the failures of the slot, (B, I)."""

    effective: IntArray
    """UAV that finishes the task, `LOCAL` where none does."""
    cycles: FloatArray
    """Work of that UAV [cycle]."""
    frequency_hz: FloatArray
    """Its share of that UAV."""
    lost_s: FloatArray
    """Time at the UAV that failed."""
    lost_cycles: FloatArray
    """Work done there."""
    moving_s: FloatArray
    """tau_mig: on the way to the other UAV."""
    migrated: BoolArray
    lost: BoolArray


@dataclass(frozen=True)
class RobustOutcome:
    """What a slot cost and what became of each task.

    Times and energies of tasks are by stage, (B, I), 0 where a stage did not happen.
    """

    local_s: FloatArray
    """(18)"""
    transmission_s: FloatArray
    """Upload to the first UAV, (20)."""
    lost_s: FloatArray
    """Computing at a UAV until it failed."""
    migration_s: FloatArray
    """Moving the task to another UAV, (22), or sending it there again."""
    offload_s: FloatArray
    """Computing at the UAV that finished the task, (24)."""
    latency_s: FloatArray
    """(B, I) (26), infinite for a task that was never finished."""
    local_j: FloatArray
    """(19)"""
    transmission_j: FloatArray
    """(21)"""
    resend_j: FloatArray
    """Uploads to a second UAV, spent by users."""
    migration_j: FloatArray
    """(23), spent by UAVs."""
    offload_j: FloatArray
    """(25), at all UAVs that worked on the task, also those that failed."""
    frequency_hz: FloatArray
    """(B, I) share of the UAV that finishes the task; 0 for all others."""
    power_w: FloatArray
    """(B, I) transmit power; 0 where nothing was sent."""
    server: IntArray
    """(B, I) first UAV of each task that was sent, else `LOCAL`."""
    effective: IntArray
    """(B, I) UAV that finished the task, else `LOCAL`."""
    completed: BoolArray
    """(B, I) finished within the slot."""
    rejected: BoolArray
    """(B, I) not admitted, or a decision that cannot be carried out: nothing was sent."""
    migrated: BoolArray
    """(B, I) moved to another UAV, since the first failed."""
    lost: BoolArray
    """(B, I) gone with the UAV that failed."""
    alive: BoolArray
    """(B, J) s_j(t): UAVs that did not fail up to and in this slot."""
    flight_j: FloatArray
    """(B, J) propulsion, (2); 0 for failed UAVs."""
    uav_m: FloatArray
    """(B, J, 3) positions at the end of the slot [m; ENU]."""
    uav_velocity_m_s: FloatArray
    """(B, J, 3) velocities at the end of the slot [m/s; ENU]."""
    task_energy_j: FloatArray
    """(B, I) everything spent on each task, by users and UAVs, unweighted."""
    task_j: FloatArray
    """(B, I) share of each task in e_tot [J], weighted as in (27)."""
    e_tot_j: FloatArray
    """(B,) weighted energy, (27)."""
    n_close: IntArray
    """(B,) pairs of living UAVs closer than the safe distance, (5)."""
    n_late: IntArray
    """(B,) tasks that were not completed."""
    n_outside: IntArray
    """(B,) living UAVs that were stopped at the border of their space."""
    penalty: FloatArray
    """(B,) P_dis P_time P_0, >= 1."""
    reward: FloatArray
    """(B,) -e_tot P_dis P_time P_0, (31)."""
    violations: IntArray
    """(B, len(CONSTRAINTS)) how often each constraint was broken, in that order."""
