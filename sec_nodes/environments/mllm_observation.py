"""How the mllm environment shows its state: one float32 vector a copy, every number near [-1, 1].

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

import math

import numpy as np
from gymnasium import spaces

from sec_nodes.physics.constants import SPEED_OF_LIGHT_M_S
from sec_nodes.physics.spherical import zenith_pass_s
from sec_nodes.scenarios.mllm import Mllm, MllmState
from sec_nodes.scenarios.mllm.links import for_each_device
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.slot import FloatArray

SIZE_BIT, WORDS, DEADLINE_S, SNR_DB, REMAINING_S = 1e7, 96.0, 3.0, 60.0, 443.0
SNR_LIMITS = (-1.0, 2.0)
_ROUNDING = 1e-6


class Observer:
    """Builds observations.

    Args:
        scenario: the system, in float32 if observing is to be fast.
    """

    def __init__(self, scenario: Mllm) -> None:
        settings = scenario.settings
        self._scenario = scenario
        self._backlog_scale = 1 / settings.queue.longest_wait_s if settings.queue.enabled else None
        devices, m, n, s = (
            scenario.n_devices,
            scenario.n_uavs,
            scenario.n_satellites,
            scenario.n_servers,
        )
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
        self.length = ends[-1]
        """Numbers in an observation."""
        largest_w = settings.devices.power_w[1]
        snr_db = 10 * np.log10(largest_w / scenario.links.noise_w.astype(np.float64))
        self._snr_offset = np.tile(snr_db / SNR_DB, devices).astype(np.float32)
        self._to_area = np.float32(1) / np.array(settings.area_m, dtype=np.float32)

    @property
    def space(self) -> spaces.Box:
        """What an observation of one copy lies in."""
        settings = self._scenario.settings
        tasks, satellites = settings.tasks, settings.satellites
        pass_s = float(
            zenith_pass_s(satellites.altitude_m, math.radians(satellites.minimum_elevation_deg))
        )
        limits = {
            'size': (0, tasks.size_bit[1] / SIZE_BIT),
            'words': (0, max(tasks.words) / WORDS),
            'accuracy': (0, tasks.accuracy[1]),
            'deadline': (0, tasks.deadline_s[1] / DEADLINE_S),
            'snr': SNR_LIMITS,
            'device': (0, 1),
            'uav': (0, 1),
            'remaining': (0, pass_s / REMAINING_S),
            'visible': (0, 1),
            'backlog': (0, _longest_backlog_s(settings) / settings.queue.longest_wait_s),
        }
        low, high = np.zeros(self.length, np.float32), np.zeros(self.length, np.float32)
        for name, block in self.blocks.items():
            low[block], high[block] = limits[name]
        return spaces.Box(low, high * np.float32(1 + _ROUNDING), dtype=np.float32)

    def __call__(self, state: MllmState) -> FloatArray:
        """Observations (B, n) float32 of states."""
        orbit = self._scenario.orbit(state)
        batch = len(state.seed)
        seen = np.empty((batch, self.length), dtype=np.float32)
        blocks = self.blocks
        np.multiply(state.size_bit, 1 / SIZE_BIT, out=seen[:, blocks['size']], casting='same_kind')
        np.multiply(state.words, 1 / WORDS, out=seen[:, blocks['words']], casting='same_kind')
        seen[:, blocks['accuracy']] = state.accuracy
        np.multiply(
            state.deadline_s, 1 / DEADLINE_S, out=seen[:, blocks['deadline']], casting='same_kind'
        )
        if not state.active.all():
            asks = np.tile(state.active, (1, 4))
            seen[:, : asks.shape[1]] *= asks
        seen[:, blocks['snr']] = self._snr(state)
        seen[:, blocks['device']] = (state.device_m * self._to_area).reshape(batch, -1)
        seen[:, blocks['uav']] = (state.uav_m * self._to_area).reshape(batch, -1)
        seen[:, blocks['remaining']] = orbit.remaining_s * (1 / REMAINING_S)
        seen[:, blocks['visible']] = orbit.visible
        if self._backlog_scale is not None:
            seen[:, blocks['backlog']] = state.backlog_s * self._backlog_scale
        return seen

    def _snr(self, state: MllmState) -> FloatArray:
        """The block of SNRs (B, K S)."""
        orbit = self._scenario.orbit(state)
        batch, devices = state.size_bit.shape
        gain = self._scenario.links.gains(state, state.uav_m, orbit.slant_m)
        with np.errstate(divide='ignore'):  # a gain of 0 is -inf dB, clipped below
            snr = np.log10(gain.reshape(batch, -1))
        snr *= 10 / SNR_DB
        snr += self._snr_offset
        np.maximum(snr, SNR_LIMITS[0], out=snr)
        np.minimum(snr, SNR_LIMITS[1], out=snr)
        hidden = np.zeros((batch, self._scenario.n_servers), dtype=np.bool_)
        np.logical_not(orbit.visible, out=hidden[:, self._scenario.n_uavs :])
        np.copyto(snr, SNR_LIMITS[0], where=for_each_device(hidden, devices).reshape(batch, -1))
        return snr


def _longest_backlog_s(settings: MllmSettings) -> float:
    """Largest computing that can be left: the last task starts as late as it may and is long."""
    longest = max(settings.tasks.words)
    satellites = settings.satellites
    around_m = 4 * math.pi * (7e6 + satellites.altitude_m)
    arrival_s = settings.radio.longest_upload_s + around_m / SPEED_OF_LIGHT_M_S
    arrival_s += satellites.count * settings.tasks.size_bit[1] / satellites.isl_rate_bit_s
    paces = (*settings.uavs.pace, *satellites.pace)
    compute_s = max(pace.start_s + pace.word_s * longest for pace in paces)
    return arrival_s + settings.queue.longest_wait_s + compute_s - settings.slot_s
