"""What the servers of an mllm slot offer each device, apart from what devices do to each other.

Without queues a task's latency and energy are those of its transmission plus numbers that only
depend on the device and the server. These are taken from the scenario's own outcomes, so that
nothing of Yan et al., Drones 2025, 9, 500, eqs. (12) to (30) is written down twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.mllm.power import PowerRules
from sec_nodes.physics.channel import db_to_ratio
from sec_nodes.physics.constants import SPEED_OF_LIGHT_M_S
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.mllm.state import MllmDecision, MllmState
from sec_nodes.slot import FloatArray, IntArray


@dataclass(frozen=True)
class Tables:
    """A slot by device and executing server; (B, K, S) unless another shape is given."""

    fixed_s: FloatArray
    """Latency of all but the transmission [s]."""
    fixed_j: FloatArray
    """Energy of all but the transmission [J]."""
    broken: FloatArray
    """Broken constraints, coverage and power excepted."""
    base: FloatArray
    """What these three cost."""
    download_s: FloatArray
    """Part of `fixed_s` that depends on where the UAVs are [s]; 0 for satellites."""
    compute_s: FloatArray
    """Part of `fixed_s` at the processor [s]."""
    forward_s: FloatArray
    """Part of `fixed_s` between the transmission and the processor [s]."""
    load_s: FloatArray
    """Transmission time at ln(1 + SINR) = 1 [s]; 0 where nothing is sent."""
    slack_s: FloatArray
    """Time that the deadline leaves for transmission [s], negative if none."""
    tail_s: FloatArray
    """Propagation to the access satellite, charged as transmit energy [s]."""
    ends_s: FloatArray
    """Longest transmission before the access satellite sets [s]."""
    metre_gain_w: FloatArray
    """(B, K, M) signal-to-noise ratio of one watt at a UAV one metre away [1/W]."""
    space_gain_w: FloatArray
    """(B, K, N) signal-to-noise ratio of one watt at each satellite's access satellite [1/W]."""
    receiver: IntArray
    """(B, S) server that listens when s computes."""


def power_rules(settings: MllmSettings) -> PowerRules:
    """Prices and bounds of transmission.

    Raises:
        ControllerError: devices at different receivers disturb each other, so that groups of
            devices cannot be solved one by one.
    """
    radio, objective = settings.radio, settings.objective
    if radio.interference not in ('same_server', 'none'):
        raise ControllerError(
            f'radio.interference = {radio.interference!r}: this controller needs groups of '
            'devices that do not disturb each other; use same_server or none'
        )
    residual = float(db_to_ratio(radio.residual_interference_db))
    return PowerRules(
        time_price=objective.latency_weight / objective.latency_reference_s,
        late_price=objective.lateness_penalty / objective.latency_reference_s,
        energy_price=objective.energy_weight / objective.energy_reference_j,
        residual=residual if radio.interference == 'same_server' else 0.0,
        lowest_w=settings.devices.power_w[0],
        highest_w=settings.devices.power_w[1],
        time_cap_s=radio.longest_upload_s,
    )


def tables(scenario: Mllm, state: MllmState) -> Tables:
    """Take a slot apart. Downloads are those with the UAVs where they are now.

    Args:
        scenario: without queues, which would make latencies depend on who else is there.
        state: start of the slot.
    """
    settings, links = scenario.settings, scenario.links
    rules, orbit = power_rules(settings), scenario.orbit(state)
    n_copies, n_devices = state.size_bit.shape
    m, n_servers = settings.uavs.count, settings.n_servers
    shape = n_copies, n_devices, n_servers
    tail_s = np.zeros((n_copies, n_servers))
    tail_s[:, m:] = orbit.access_slant_m / SPEED_OF_LIGHT_M_S
    fixed_s, fixed_j, broken, download_s = (np.zeros(shape) for _ in range(4))
    compute_s, forward_s = np.zeros(shape), np.zeros(shape)
    ends_s = np.full(shape, np.inf)
    for server in range(n_servers):
        outcome = scenario.evaluate(state, everyone_at(state, server, rules.highest_w))
        radio_j = rules.highest_w * (outcome.radio_s + tail_s[:, server, None])
        fixed_s[..., server] = outcome.latency_s - outcome.radio_s
        fixed_j[..., server] = outcome.energy_j - np.where(outcome.receiver >= 0, radio_j, 0)
        compute_s[..., server] = outcome.compute_s
        forward_s[..., server] = outcome.upload_s - outcome.radio_s
        never = outcome.unserved
        if server >= m:
            left_s = orbit.access_remaining_s[:, server - m, None] - fixed_s[..., server]
            never = never | (left_s <= 0)
            ends_s[..., server] = np.where(never, np.inf, left_s)
        else:
            download_s[..., server] = outcome.download_s
        broken[..., server] = outcome.accuracy_broken + 1.0 * never
    active = state.active[..., None]
    in_reach = np.ones((n_copies, n_servers), dtype=bool)
    in_reach[:, m:] = orbit.has_access
    receiver = np.tile(np.arange(n_servers), (n_copies, 1))
    receiver[:, m:] = np.where(orbit.has_access, orbit.access + m, receiver[:, m:])
    radio = settings.radio
    bandwidth_hz = np.full(n_servers, radio.uav_bandwidth_hz)
    bandwidth_hz[m:] = radio.satellite_bandwidth_hz
    load_s = state.size_bit[..., None] * math.log(2.0) / bandwidth_hz
    gain_w = scenario.gains(state, state.uav_m) / links.noise_w[receiver][:, None]
    overhead = float(db_to_ratio(radio.reference_gain_db)) * state.fading_uav
    base = base_cost(scenario, state, fixed_s, fixed_j, broken)
    return Tables(
        fixed_s=fixed_s,
        fixed_j=fixed_j,
        broken=broken,
        base=base,
        download_s=download_s,
        compute_s=compute_s,
        forward_s=forward_s,
        load_s=np.where(active & in_reach[:, None], load_s, 0),
        slack_s=state.deadline_s[..., None] - fixed_s,
        tail_s=np.where(active, tail_s[:, None], 0),
        ends_s=ends_s,
        metre_gain_w=overhead / links.noise_w[:m],
        space_gain_w=gain_w[..., m:],
        receiver=receiver,
    )


def base_cost(
    scenario: Mllm,
    state: MllmState,
    fixed_s: FloatArray,
    fixed_j: FloatArray,
    broken: FloatArray,
) -> FloatArray:
    """What latency, energy and broken constraints (B, K, S) apart from the transmission cost.

    Lateness counts as far as it is there without any transmission; 0 for idle devices.
    """
    rules = power_rules(scenario.settings)
    late_s = np.maximum(fixed_s - state.deadline_s[..., None], 0)
    cost = (
        rules.time_price * fixed_s
        + rules.late_price * late_s
        + rules.energy_price * fixed_j
        + scenario.settings.objective.violation_penalty * broken
    )
    return np.where(state.active[..., None], cost, 0)


def everyone_at(state: MllmState, server: int, power_w: float) -> MllmDecision:
    """The decision that sends all devices to one server, with UAVs where they are."""
    shape = state.size_bit.shape
    return MllmDecision(np.full(shape, server), np.full(shape, power_w), state.uav_m)
