"""Radio links between all devices and all servers in one slot, from where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sec_nodes.physics import channel
from sec_nodes.physics.constants import SPEED_OF_LIGHT_M_S
from sec_nodes.physics.randomness import Stream, gamma, normal, pair
from sec_nodes.scenarios.survey_settings import Radio, SurveySettings
from sec_nodes.slot import BoolArray, FloatArray, IntArray, LinkTable, ServerKind


@dataclass(frozen=True)
class Receivers:
    """Who receives the radio signals that are meant for each of the S servers."""

    kind: IntArray
    """(S,) `ServerKind` of the server."""
    receiver: IntArray
    """(S,) identity of the receiver: a UAV itself, else its access satellite."""
    position_m: FloatArray
    """(S, 3) position of the receiver [m; map]."""
    in_view: BoolArray
    """(S,) a UAV: always; a satellite: its access satellite is above the elevation mask."""
    hops: IntArray
    """(S,) inter-satellite links between receiver and server."""
    isl_m: FloatArray
    """(S,) length of those links together [m]."""
    remaining_s: FloatArray
    """(S,) time until the receiver sets [s]."""
    transmit_power_w: FloatArray
    """(S,) power of the server's transmitter [W]."""


class Draw(NamedTuple):
    """Which random numbers a slot gets."""

    seed: int
    slot: int


def link_table(
    settings: SurveySettings,
    seed: int,
    slot: int,
    device_id: IntArray,
    device_m: FloatArray,
    servers: Receivers,
) -> LinkTable:
    """Gains, rates, delays and losses; Yan et al., eqs (3), (6)-(11), (20) as corrected.

    Fading is drawn for each device, receiver and slot, whatever the other entities are.

    Args:
        settings: the scenario.
        seed: seed of the run.
        slot: number of the slot.
        device_id: (D,) identifiers, which address the random draws.
        device_m: (D, 3) positions [m; map].
        servers: the S servers.
    """
    radio = settings.radio
    is_uav = servers.kind == ServerKind.UAV
    offset_m = servers.position_m[None] - device_m[:, None]
    distance_m = np.linalg.norm(offset_m, axis=2)
    entity = pair(device_id[:, None], servers.receiver[None])
    draw = Draw(seed, slot)
    gain = np.where(
        is_uav,
        _uav_gain(radio, draw, entity, distance_m),
        _satellite_gain(radio, draw, entity, distance_m) * servers.in_view,
    )
    bandwidth_hz = np.where(is_uav, radio.uav_bandwidth_hz, radio.satellite_bandwidth_hz)
    noise_w = channel.thermal_noise_w(bandwidth_hz, radio.noise_figure_db)
    full_power_w = settings.devices.transmit_power_w[1]
    horizontal_m = np.linalg.norm(offset_m[..., :2], axis=2)
    reachable = np.where(is_uav, horizontal_m <= settings.uavs.coverage_m + 1e-9, servers.in_view)
    received_w = gain * servers.transmit_power_w
    others_w = np.where(is_uav, (received_w * is_uav).sum(axis=1, keepdims=True) - received_w, 0.0)
    # eq. (9): the other UAVs radiate too; eq. (11): satellites do not disturb each other
    down_sinr = received_w / (np.maximum(others_w, 0.0) + noise_w)
    return LinkTable(
        gain=gain,
        rate_bit_s=channel.shannon_rate_bit_s(bandwidth_hz, gain * full_power_w / noise_w),
        downlink_rate_bit_s=channel.shannon_rate_bit_s(bandwidth_hz, down_sinr),
        delay_s=(distance_m + servers.isl_m) / SPEED_OF_LIGHT_M_S,
        reachable=reachable,
        loss=np.full_like(gain, radio.loss),
        bandwidth_hz=bandwidth_hz,
        noise_w=noise_w,
        receiver=servers.receiver,
        hops=servers.hops,
        isl_m=servers.isl_m,
        remaining_s=servers.remaining_s,
    )


def _uav_gain(radio: Radio, draw: Draw, entity: IntArray, distance_m: FloatArray) -> FloatArray:
    """(D, S) power gains towards UAVs, eqs (6) and (7)."""
    fading = channel.rician_fading_power(
        radio.rician_factor, normal(draw.seed, Stream.FADING_AIR, entity, draw.slot, 2)
    )
    return channel.air_ground_gain(
        distance_m, channel.db_to_ratio(radio.reference_gain_db), radio.path_loss_exponent, fading
    )


def _satellite_gain(
    radio: Radio, draw: Draw, entity: IntArray, distance_m: FloatArray
) -> FloatArray:
    """(D, S) power gains towards access satellites, section 5 of Yan et al."""
    scattered, shape, line_of_sight = radio.shadowing
    fading = channel.shadowed_rician_power(
        scattered,
        shape,
        line_of_sight,
        gamma(draw.seed, Stream.FADING_SPACE, entity, draw.slot, 1, shape)[..., 0],
        normal(draw.seed, Stream.FADING_SPACE, entity, draw.slot, 2),
    )
    return channel.satellite_gain(
        distance_m,
        radio.carrier_hz,
        channel.db_to_ratio(radio.satellite_antenna_db),
        channel.db_to_ratio(radio.device_antenna_db),
        channel.db_to_ratio(radio.additional_loss_db),
        fading,
    )
