"""Radio of the mllm scenario: gains, interference and rates, Yan et al. 2025, eqs (6) to (11)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sec_nodes.physics.channel import (
    air_ground_gain,
    db_to_ratio,
    dbm_to_watt,
    satellite_gain,
    shannon_rate_bit_s,
)
from sec_nodes.scenarios.mllm.kept import Kept, frozen
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.mllm.state import MllmState
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_FEW_DEVICES = 64
"""Up to here it is quickest to look at every pair of devices."""


class Uplink(NamedTuple):
    """Uploads of all devices at once, each (B, K)."""

    sinr: FloatArray
    rate_bit_s: FloatArray


def pick(table: NDArray[Any], index: IntArray) -> NDArray[Any]:
    """Entries (B, K) of a table (B, X) or (B, K, X) at an index (B, K) into its last axis."""
    return table.take(places(index, table.shape[-1], each=table.ndim == 3))


def places(index: IntArray, width: int, each: bool) -> IntArray:
    """Places (B, K) in memory of the entries that `pick` picks, for several tables of a shape.

    Args:
        index: (B, K) into the last axis.
        width: length of that axis.
        each: whether tables have a row for each device (B, K, X) or only for each copy (B, X).
    """
    rows, columns = index.shape
    if each:
        return np.arange(0, index.size * width, width).reshape(rows, columns) + index
    return np.arange(0, rows * width, width)[:, None] + index


def for_each_device(row: NDArray[Any], devices: int) -> NDArray[Any]:
    """A row (B, X) repeated for each device, (B, K, X): faster to compute with than a view."""
    return np.repeat(row[:, None], devices, axis=1)


class Links:
    """Constants of the radio, ready for use.

    Args:
        settings: the scenario.
        dtype: of the tables by server; all other constants are Python numbers.
    """

    def __init__(self, settings: MllmSettings, dtype: DTypeLike = np.float64) -> None:
        radio = settings.radio
        m, n = settings.uavs.count, settings.satellites.count
        self._n_uavs, self._n_servers = m, m + n
        self._interference = radio.interference
        self._residual = float(db_to_ratio(radio.residual_interference_db))
        self._height2_m2 = np.square(np.array(settings.uavs.altitude_m)).astype(dtype)
        self._reference_gain = float(db_to_ratio(radio.reference_gain_db))
        self._radio = radio
        self._antenna_gains = (
            float(db_to_ratio(radio.satellite_antenna_db)),
            float(db_to_ratio(radio.device_antenna_db)),
        )
        self._additional_loss = float(db_to_ratio(radio.additional_loss_db))
        bandwidth_hz = np.array([radio.uav_bandwidth_hz] * m + [radio.satellite_bandwidth_hz] * n)
        bandwidths = bandwidth_hz if radio.noise_is_density else np.ones(m + n)
        self.noise_w = (float(dbm_to_watt(radio.noise_dbm)) * bandwidths).astype(dtype)
        """(S,) noise power at each server's receiver, and at a device that listens to it [W]."""
        self._bandwidth_hz = bandwidth_hz.astype(dtype)
        self._send_w = np.array(
            [settings.uavs.transmit_power_w] * m + [settings.satellites.transmit_power_w] * n,
            dtype=dtype,
        )
        # Power of which servers (rows) disturbs what is received from which (columns).
        among_uavs = np.zeros((m + n, m + n), dtype=dtype)
        among_uavs[:m, :m] = self._send_w[:m, None] * ~np.eye(m, dtype=np.bool_)
        self._disturbing_w = among_uavs
        self.offset2_m2 = Kept(_offset2_m2)
        """Squares (B, K, M) of the horizontal distances r [m^2] of devices (B, K, 2) and UAVs
        (B, M, 2)."""
        self._uav_path = Kept(self._find_uav_path)

    def gains(self, state: MllmState, uav_m: FloatArray, slant_m: FloatArray) -> FloatArray:
        """Power gains (B, K, S) to the servers themselves, eq. (6) as a power gain.

        Args:
            state: for the devices' positions and the fading.
            uav_m: (B, M, 2) where the UAVs are while devices transmit.
            slant_m: (B, N) distances of the satellites, all above the horizon or not.
        """
        spread = for_each_device(self.satellite_path(slant_m), state.size_bit.shape[1])
        uav_path = self._uav_path(state.device_m, uav_m)
        return np.concatenate(
            [uav_path * state.fading_uav, spread * state.fading_satellite], axis=-1
        )

    def satellite_path(self, slant_m: FloatArray) -> FloatArray:
        """Path gains to satellites at distances [m], without fading."""
        to_space, on_ground = self._antenna_gains
        return satellite_gain(
            slant_m, self._radio.carrier_hz, to_space, on_ground, self._additional_loss, 1.0
        )

    def uav_path(self, distance_m: FloatArray) -> FloatArray:
        """Path gains to UAVs at distances [m], eq. (6) without fading."""
        exponent = self._radio.path_loss_exponent
        return air_ground_gain(distance_m, self._reference_gain, exponent, 1.0)

    def _find_uav_path(self, device_m: FloatArray, uav_m: FloatArray) -> FloatArray:
        """Path gains (B, K, M) of devices (B, K, 2) and UAVs (B, M, 2), eq. (6) without fading."""
        distance2_m2 = self.offset2_m2(device_m, uav_m) + self._height2_m2
        return frozen(self.uav_path(np.sqrt(distance2_m2)))

    def upload(
        self, gain: FloatArray, power_w: FloatArray, receiver: IntArray, sends: BoolArray
    ) -> Uplink:
        """SINR and rate of all uploads, eqs (8) and (10).

        Args:
            gain: (B, K, S) from `gains`.
            power_w: (B, K) what devices radiate; 0 where nothing is sent.
            receiver: (B, K) server that listens.
            sends: (B, K) which devices transmit.
        """
        signal_w = pick(gain, receiver) * power_w
        noise_w = self.noise_w.take(receiver)
        bandwidth_hz = self._bandwidth_hz.take(receiver)
        if self._interference == 'orthogonal':
            sharers = self._others(receiver, sends).sum(axis=-1, dtype=signal_w.dtype) + 1
            sinr = signal_w * sharers / noise_w
            return Uplink(sinr, shannon_rate_bit_s(bandwidth_hz / sharers, sinr))
        if self._interference != 'none':
            disturbance_w = self._residual * self._received_w(
                gain, power_w, signal_w, receiver, sends
            )
            noise_w = noise_w + disturbance_w
        sinr = signal_w / noise_w
        return Uplink(sinr, shannon_rate_bit_s(bandwidth_hz, sinr))

    def download_rate_bit_s(self, gain: FloatArray, receiver: IntArray) -> FloatArray:
        """Rates (B, K) of answers from the server that received the upload, eqs (9) and (11).

        All other UAVs radiate as well; satellites are alone in their beams.
        """
        at = places(receiver, self._n_servers, each=True)
        others_w = (gain.reshape(-1, self._n_servers) @ self._disturbing_w).take(at)
        own_w = gain.take(at) * self._send_w.take(receiver)
        snr = own_w / (others_w + self.noise_w.take(receiver))
        return shannon_rate_bit_s(self._bandwidth_hz.take(receiver), snr)

    def _others(self, receiver: IntArray, sends: BoolArray) -> BoolArray:
        """Who disturbs whom, (B, K, K): is the last device heard by the receiver of the first."""
        if self._interference == 'all':
            heard = np.repeat(sends[:, None, :], sends.shape[-1], axis=1)
        else:
            place = receiver
            if self._interference == 'same_tier':
                place = np.where(receiver < self._n_uavs, 0, 1)
            place = np.where(sends, place, -1).astype(np.int16)
            heard = place[:, :, None] == place[:, None, :]
        diagonal = np.arange(sends.shape[-1])
        heard[:, diagonal, diagonal] = False
        return heard

    def _received_w(
        self,
        gain: FloatArray,
        power_w: FloatArray,
        signal_w: FloatArray,
        receiver: IntArray,
        sends: BoolArray,
    ) -> FloatArray:
        """Power (B, K) of all others that a device's receiver hears [W].

        Summed over the others; "all minus own" would lose a weak one beside a strong own signal.
        """
        if self._interference == 'same_server' and receiver.shape[1] > _FEW_DEVICES:
            return _among_many(signal_w, receiver, self._n_servers)
        heard = self._others(receiver, sends)
        if self._interference == 'same_server':
            return np.einsum('bkj,bj->bk', heard.astype(gain.dtype), signal_w)
        # Gain from each device to the receiver of each: axes of device, disturber.
        cross = np.take_along_axis(gain.transpose(0, 2, 1), receiver[..., None], axis=1)
        return np.einsum('bkj,bkj,bj->bk', cross, heard.astype(gain.dtype), power_w)


def _offset2_m2(device_m: FloatArray, uav_m: FloatArray) -> FloatArray:
    (copies, devices, _), uavs = device_m.shape, uav_m.shape[1]
    # Pairs are laid out before the subtraction: broadcasting over short axes is slow.
    way_m = np.repeat(device_m, uavs, axis=1) - np.tile(uav_m, (1, devices, 1))
    way_m *= way_m
    return frozen((way_m[..., 0] + way_m[..., 1]).reshape(copies, devices, uavs))


def _among_many(signal_w: FloatArray, receiver: IntArray, n_receivers: int) -> FloatArray:
    """Power (B, K) that receivers hear of all others, by their totals.

    In float64, so that taking a device's own signal from the total leaves what matters beside
    noise: a signal that is 60 dB above the noise leaves an error of 1e-10 of the noise.
    """
    copies = len(receiver)
    place = receiver + n_receivers * np.arange(copies)[:, None]
    own_w = signal_w.astype(np.float64)
    total_w = np.bincount(place.reshape(-1), own_w.reshape(-1), copies * n_receivers)
    return np.maximum(total_w[place] - own_w, 0.0).astype(signal_w.dtype)
