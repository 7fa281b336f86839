"""The space of observations of mllm; what they are: `sec_nodes.scenarios.mllm.observation`."""

from __future__ import annotations

import math

import numpy as np
from gymnasium import spaces

from sec_nodes.physics.constants import SPEED_OF_LIGHT_M_S
from sec_nodes.physics.spherical import zenith_pass_s
from sec_nodes.scenarios.mllm.observation import (
    DEADLINE_S,
    REMAINING_S,
    SIZE_BIT,
    SNR_LIMITS,
    WORDS,
    Encoder,
)
from sec_nodes.scenarios.mllm.settings import MllmSettings

_ROUNDING = 1e-6


def observation_space(settings: MllmSettings, encoder: Encoder) -> spaces.Box:
    """What an observation of one copy lies in."""
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
    low, high = np.zeros(encoder.length, np.float32), np.zeros(encoder.length, np.float32)
    for name, block in encoder.blocks.items():
        low[block], high[block] = limits[name]
    return spaces.Box(low, high * np.float32(1 + _ROUNDING), dtype=np.float32)


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
