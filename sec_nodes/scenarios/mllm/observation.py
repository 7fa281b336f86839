"""What learners see of mllm: one float32 vector a copy, every number near [-1, 1].

Blocks in order, for K devices, M UAVs, N satellites and S = M + N servers:

=========== ======= ============================================================= =============
block       length  meaning                                                       scale
=========== ======= ============================================================= =============
size        K       u, size of the request; 0 for a device that does not ask      1e7 bit
words       K       o, words of the answer; 0 likewise                            96 words
accuracy    K       a, least accuracy; 0 likewise                                 1
deadline    K       Tmax; 0 likewise                                              3 s
snr         K S     device by device: SNR at P_max to each server where it is     60 dB
                    now, clipped to [-60, 120] dB; -1 for satellites not visible
device      2 K     east and north of each device                                 the area
uav         2 M     east and north of each UAV before it moves                    the area
remaining   N       time until the satellite sets; 0 if it is not visible         443 s
visible     N       1 if the satellite is above the minimum elevation, else 0     1
backlog     S       only with queues: computing left at the server                longest wait
=========== ======= ============================================================= =============
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sec_nodes.scenarios.mllm.links import for_each_device
from sec_nodes.scenarios.mllm.scenario import Mllm
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.mllm.state import MllmState
from sec_nodes.slot import BoolArray, FloatArray

SIZE_BIT, WORDS, DEADLINE_S, SNR_DB, REMAINING_S = 1e7, 96.0, 3.0, 60.0, 443.0
SNR_LIMITS = (-1.0, 2.0)


@dataclass(frozen=True)
class Sights:
    """What an observation is made of; letters as in `state`, and in the order of the blocks."""

    size_bit: FloatArray
    """(B, K)"""
    words: FloatArray
    """(B, K)"""
    accuracy: FloatArray
    """(B, K)"""
    deadline_s: FloatArray
    """(B, K)"""
    active: BoolArray
    """(B, K) whether the device asks."""
    gain: FloatArray
    """(B, K, S) to each server itself; of no account for satellites that are not visible."""
    device_m: FloatArray
    """(B, K, 2)"""
    uav_m: FloatArray
    """(B, M, 2)"""
    remaining_s: FloatArray
    """(B, N)"""
    visible: BoolArray
    """(B, N)"""
    backlog_s: FloatArray
    """(B, S)"""


class Encoder:
    """Writes observations.

    Args:
        settings: the scenario.
        devices: K, which need not be the scenario's.
        noise_w: (S,) noise power at each server [W].
    """

    def __init__(self, settings: MllmSettings, devices: int, noise_w: FloatArray) -> None:
        self._devices, self._uavs = devices, settings.uavs.count
        self._servers = settings.n_servers
        self._backlog_scale = 1 / settings.queue.longest_wait_s if settings.queue.enabled else None
        m, n, s = self._uavs, settings.satellites.count, self._servers
        lengths = {
            'size': devices,
            'words': devices,
            'accuracy': devices,
            'deadline': devices,
            'snr': devices * s,
            'device': 2 * devices,
            'uav': 2 * m,
            'remaining': n,
            'visible': n,
        }
        if settings.queue.enabled:
            lengths['backlog'] = s
        ends = np.cumsum(list(lengths.values())).tolist()
        self.blocks = {
            name: slice(end - length, end)
            for (name, length), end in zip(lengths.items(), ends, strict=True)
        }
        """Where each block lies in the vector."""
        self.length: int = ends[-1]
        """Numbers in an observation."""
        largest_w = settings.devices.power_w[1]
        snr_db = 10 * np.log10(largest_w / noise_w.astype(np.float64))
        self._snr_offset = np.tile(snr_db / SNR_DB, devices).astype(np.float32)
        self._to_area = np.float32(1) / np.array(settings.area_m, dtype=np.float32)

    def __call__(self, sights: Sights) -> FloatArray:
        """Observations (B, n) float32."""
        batch = len(sights.size_bit)
        seen = np.empty((batch, self.length), dtype=np.float32)
        blocks = self.blocks
        for name, numbers, scale in (
            ('size', sights.size_bit, SIZE_BIT),
            ('words', sights.words, WORDS),
            ('deadline', sights.deadline_s, DEADLINE_S),
        ):
            np.multiply(numbers, 1 / scale, out=seen[:, blocks[name]], casting='same_kind')
        seen[:, blocks['accuracy']] = sights.accuracy
        if not sights.active.all():
            asks = np.tile(sights.active, (1, 4))
            seen[:, : asks.shape[1]] *= asks
        seen[:, blocks['snr']] = self._snr(sights)
        seen[:, blocks['device']] = (sights.device_m * self._to_area).reshape(batch, -1)
        seen[:, blocks['uav']] = (sights.uav_m * self._to_area).reshape(batch, -1)
        seen[:, blocks['remaining']] = sights.remaining_s * (1 / REMAINING_S)
        seen[:, blocks['visible']] = sights.visible
        if self._backlog_scale is not None:
            seen[:, blocks['backlog']] = sights.backlog_s * self._backlog_scale
        return seen

    def _snr(self, sights: Sights) -> FloatArray:
        """The block of SNRs (B, K S)."""
        batch = len(sights.gain)
        with np.errstate(divide='ignore'):  # a gain of 0 is -inf dB, clipped below
            snr: FloatArray = np.log10(sights.gain.reshape(batch, -1))
        snr *= 10 / SNR_DB
        snr += self._snr_offset
        np.maximum(snr, SNR_LIMITS[0], out=snr)
        np.minimum(snr, SNR_LIMITS[1], out=snr)
        hidden = np.zeros((batch, self._servers), dtype=np.bool_)
        np.logical_not(sights.visible, out=hidden[:, self._uavs :])
        np.copyto(
            snr, SNR_LIMITS[0], where=for_each_device(hidden, self._devices).reshape(batch, -1)
        )
        return snr


class Observer(Encoder):
    """Observations of the scenario's own states.

    Args:
        scenario: the system, in float32 if observing is to be fast.
    """

    def __init__(self, scenario: Mllm) -> None:
        super().__init__(scenario.settings, scenario.n_devices, scenario.links.noise_w)
        self._scenario = scenario

    def observe(self, state: MllmState) -> FloatArray:
        """Observations (B, n) float32 of states."""
        scenario, orbit = self._scenario, self._scenario.orbit(state)
        return self(
            Sights(
                size_bit=state.size_bit,
                words=state.words,
                accuracy=state.accuracy,
                deadline_s=state.deadline_s,
                active=state.active,
                gain=scenario.links.gains(state, state.uav_m, orbit.slant_m),
                device_m=state.device_m,
                uav_m=state.uav_m,
                remaining_s=orbit.remaining_s,
                visible=orbit.visible,
                backlog_s=state.backlog_s,
            )
        )
