"""States, decisions and outcomes of the mllm scenario.

The letters in the shapes are B copies, K devices, M UAVs, N satellites and S = M + N servers,
the UAVs first. Times are in seconds, energies in joule, sizes in bit, positions in metres east
and north of the area's south-west corner.
"""

from __future__ import annotations

from dataclasses import dataclass

from sec_nodes.slot import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class MllmState:
    """B copies at the start of a slot: Yan et al. 2025, eq. (32), with the UAVs' positions."""

    seed: IntArray
    """(B,) what each copy's world is drawn from."""
    slot: IntArray
    """(B,) number of the slot, from 0."""
    device_m: FloatArray
    """(B, K, 2) positions of the devices."""
    size_bit: FloatArray
    """(B, K) u, what a request sends."""
    words: FloatArray
    """(B, K) o, words of the answer."""
    deadline_s: FloatArray
    """(B, K) Tmax."""
    accuracy: FloatArray
    """(B, K) a, least accuracy of the model that answers."""
    active: BoolArray
    """(B, K) whether the device asks in this slot; at least one does."""
    fading_uav: FloatArray
    """(B, K, M) |h|^2 of the links to UAVs in this slot, wherever they move."""
    fading_satellite: FloatArray
    """(B, K, N) |h|^2 of the links to satellites."""
    in_track_rad: FloatArray
    """(B, N) phi, float64 always; increases in time."""
    uav_m: FloatArray
    """(B, M, 2) positions of the UAVs before they move."""
    backlog_s: FloatArray
    """(B, S) computing that each server has left from earlier slots; 0 without queues."""


@dataclass(frozen=True)
class MllmDecision:
    """What is decided in a slot: Yan et al. 2025, eq. (33)."""

    server: IntArray
    """(B, K) x, the server that computes the answer."""
    power_w: FloatArray
    """(B, K) P, transmit power of the device."""
    uav_m: FloatArray
    """(B, M, 2) q, positions of the UAVs after the move, during transmission."""


@dataclass(frozen=True)
class MllmOutcome:
    """What a slot came to. Numbers of devices that did not ask are 0, their flags False."""

    latency_s: FloatArray
    """(B, K) T, eqs (18), (27), (29); twice the deadline for unserved and dropped tasks."""
    energy_j: FloatArray
    """(B, K) E, eqs (19), (28), (30); 0 for unserved, the upload alone for dropped tasks."""
    upload_s: FloatArray
    """(B, K) eqs (12), (20): radio, propagation and inter-satellite links."""
    radio_s: FloatArray
    """(B, K) the radio part of the upload, u / R, cut off at `longest_upload_s`."""
    compute_s: FloatArray
    """(B, K) eqs (14), (23)."""
    wait_s: FloatArray
    """(B, K) time in the server's queue; for a dropped task the wait it would have had."""
    download_s: FloatArray
    """(B, K) eqs (16), (25)."""
    upload_j: FloatArray
    """(B, K) eqs (13), (22)."""
    compute_j: FloatArray
    """(B, K) eqs (15), (24)."""
    download_j: FloatArray
    """(B, K) eqs (17), (26)."""
    sinr: FloatArray
    """(B, K) of the upload at the receiver [-], inside the logarithms of eqs (8), (10)."""
    rate_bit_s: FloatArray
    """(B, K) of the upload, eqs (8), (10)."""
    receiver: IntArray
    """(B, K) server that receives the upload; -1 where nothing is sent."""
    access: IntArray
    """(B, K) access satellite, counted from 0; -1 for UAVs and unserved tasks."""
    hops: IntArray
    """(B, K) inter-satellite links between access and executing satellite."""
    task_cost: FloatArray
    """(B, K) C, the summands of eq. (31)."""
    task_penalty: FloatArray
    """(B, K) for lateness and broken constraints."""
    cost: FloatArray
    """(B,) mean of C over the tasks, eq. (31)."""
    penalised_cost: FloatArray
    """(B,) mean of C and penalty over the tasks."""
    reward: FloatArray
    """(B,) beta_r / cost, eq. (34)."""
    training_reward: FloatArray
    """(B,) beta_r / penalised cost."""
    accuracy_broken: BoolArray
    """(B, K) the model is less accurate than asked for, eq. (2)."""
    coverage_broken: BoolArray
    """(B, K) the UAV is out of reach, eq. (3)."""
    visibility_broken: BoolArray
    """(B, K) no access satellite, or it sets before the task is done, eqs (4), (5)."""
    power_broken: BoolArray
    """(B, K) power outside [0, P_max], eq. (31d)."""
    late: BoolArray
    """(B, K) later than the deadline, eq. (31c)."""
    dropped: BoolArray
    """(B, K) turned away from a queue that is too long."""
    unserved: BoolArray
    """(B, K) sent to a satellite while none is visible."""
    backlog_next_s: FloatArray
    """(B, S) computing left for the next slot."""


@dataclass(frozen=True)
class Orbit:
    """Where the satellites are, seen from the centre of the area; every array (B, N)."""

    visible: BoolArray
    """Above the minimum elevation."""
    elevation_rad: FloatArray
    """Above the horizon, negative below."""
    slant_m: FloatArray
    """Distance d_n."""
    remaining_s: FloatArray
    """Time until the satellite sets; 0 if it is not visible."""
    access: IntArray
    """a(n), the satellite that devices talk to when n computes; -1 if none is visible."""
    has_access: BoolArray
    """Whether there is one."""
    hops: IntArray
    """Inter-satellite links from a(n) to n."""
    isl_m: FloatArray
    """Length of these links together."""
    access_slant_m: FloatArray
    """Distance of a(n)."""
    access_remaining_s: FloatArray
    """Time until a(n) sets."""
