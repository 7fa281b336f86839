"""Marine devices of one slot: where they are, what they have, how fast they upload to their UAV.

Qi et al., IEEE Internet Things J. 2025, eqs (3) to (6) and (11).  Shapes: B copies, M UAVs, K
devices a UAV, padded to the largest number: the delay-sensitive ones first, then the
delay-tolerant ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sec_nodes.physics import channel, randomness
from sec_nodes.physics.checks import Floats
from sec_nodes.physics.randomness import Stream
from sec_nodes.scenarios.maritime.settings import MaritimeSettings, Radio
from sec_nodes.slot import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Devices:
    """Devices of a slot; columns that nobody fills are not `active`, and 0."""

    position_m: FloatArray
    """(B, M, K, 2) east and north [m]."""
    active: BoolArray
    """(B, M, K) whether the column holds a device."""
    sensitive: BoolArray
    """(K,) whether the column is for delay-sensitive devices."""
    gain: FloatArray
    """(B, M, K) power gain to the UAV h = L |g|^2, (3) and (4)."""
    size_bit: FloatArray
    """(B, M, K) data to be computed D_k, 0 for delay-tolerant devices [bit]."""
    rate_bit_s: FloatArray
    """(B, M, K) upload rate (5), (6) [bit/s]."""

    @property
    def upload_s(self) -> FloatArray:
        """(B, M) time until every delay-sensitive device has uploaded T_up, (11) [s]."""
        return channel.transmission_time_s(self.size_bit, self.rate_bit_s).max(
            axis=-1, initial=0.0
        )

    @property
    def batch_bit(self) -> FloatArray:
        """(B, M) what the UAV has to have computed D_m [bit]."""
        return self.size_bit.sum(axis=-1)

    @property
    def collect_rate_bit_s(self) -> FloatArray:
        """(B, M) rate at which the UAV collects delay-tolerant data R^U, sum of (6) [bit/s]."""
        return np.where(self.sensitive, 0.0, self.rate_bit_s).sum(axis=-1)


def draw_uavs(settings: MaritimeSettings, seed: IntArray) -> FloatArray:
    """Place UAVs uniformly over the area, (B, M, 2) east and north [m]."""
    uav = np.arange(settings.uavs.count)
    unit = randomness.uniform(seed[:, None], Stream.PLACEMENT, uav, 0, 2)
    return unit * np.array(settings.area_m)


def draw_devices(
    settings: MaritimeSettings, seed: IntArray, slot: IntArray, uav_m: FloatArray
) -> Devices:
    """Draw the devices of a slot anew: numbers, places in the discs of coverage, data, fading.

    Args:
        settings: parameters of the scenario.
        seed: (B,) seeds.
        slot: (B,) slots, counted from 0.
        uav_m: (B, M, 2) where the UAVs are [m].
    """
    devices, uavs = settings.devices, settings.uavs
    most = devices.sensitive_count[1], devices.tolerant_count[1]
    sensitive = np.arange(sum(most)) < most[0]
    uav = np.arange(uavs.count)
    own = randomness.uniform(seed[:, None], Stream.ARRIVAL, uav, slot[:, None], 2)
    n_sensitive = _whole_number(own[..., :1], devices.sensitive_count)
    n_tolerant = _whole_number(own[..., 1:], devices.tolerant_count)
    rank = np.where(sensitive, np.arange(sum(most)), np.arange(sum(most)) - most[0])
    count = np.where(sensitive, n_sensitive, n_tolerant)
    active = rank < count

    # A device is known by its UAV and column; UAV 0 keeps entity 0, placed by `draw_uavs`.
    device = randomness.pair(uav[:, None] + 1, np.arange(sum(most)))
    seeds, slots = seed[:, None, None], slot[:, None, None]
    place = randomness.uniform(seeds, Stream.PLACEMENT, device, slots, 2)
    size = randomness.uniform(seeds, Stream.TASK, device, slots, 1)[..., 0]

    radius_m = uavs.coverage_m * np.sqrt(place[..., 0])
    angle_rad = 2.0 * math.pi * place[..., 1]
    offset_m = radius_m[..., None] * np.stack([np.cos(angle_rad), np.sin(angle_rad)], axis=-1)
    radio = settings.radio
    gain = channel.air_ground_gain(
        np.hypot(radius_m, uavs.altitude_m),
        channel.db_to_ratio(radio.reference_gain_db),
        radio.path_loss_exponent,
        draw_fading(settings, seed, slot),
    )
    low_bit, high_bit = devices.size_bit
    asks = active & sensitive
    band_hz = np.where(sensitive, radio.sensitive_share, 1.0 - radio.sensitive_share)
    share_hz = band_hz * radio.uav_bandwidth_hz / np.maximum(count, 1)
    rate_bit_s = device_rate_bit_s(radio, share_hz, devices.transmit_power_w, gain)
    return Devices(
        position_m=np.where(active[..., None], uav_m[..., None, :] + offset_m, 0.0),
        active=active,
        sensitive=sensitive,
        gain=np.where(active, gain, 0.0),
        size_bit=np.where(asks, low_bit + (high_bit - low_bit) * size, 0.0),
        rate_bit_s=np.where(active, rate_bit_s, 0.0),
    )


def draw_fading(settings: MaritimeSettings, seed: IntArray, slot: IntArray) -> FloatArray:
    """(B, M, K) fading of the links from devices to their UAVs |g|^2, (4)."""
    uav = np.arange(settings.uavs.count)[:, None]
    device = randomness.pair(uav + 1, np.arange(settings.columns))
    scatter = randomness.normal(
        seed[:, None, None], Stream.FADING_AIR, device, slot[:, None, None], 2
    )
    return channel.rician_fading_power(settings.radio.rician_factor, scatter)


def device_rate_bit_s(
    radio: Radio, share_hz: Floats, transmit_power_w: Floats, gain: Floats
) -> FloatArray:
    """Upload rate in an orthogonal sub-channel b, (5) and (6): b log2(1 + P h / sigma^2(b))."""
    return channel.shannon_rate_bit_s(
        share_hz, np.multiply(transmit_power_w, gain) / noise_w(radio, share_hz)
    )


def noise_w(radio: Radio, band_hz: Floats) -> FloatArray:
    """Noise power sigma^2(b) [W]: N_0 b, or the fixed one whatever the band."""
    if radio.fixed_noise_dbm is not None:
        return channel.dbm_to_watt(radio.fixed_noise_dbm)
    return channel.dbm_to_watt(radio.noise_density_dbm_hz) * np.asarray(band_hz)


def _whole_number(unit: FloatArray, limits: tuple[int, int]) -> FloatArray:
    """Integers that are uniform between limits, both included, from numbers in (0, 1)."""
    low, high = limits
    return low + np.floor(unit * (high - low + 1))
