"""robust as vectors of numbers, as learners have it: what they see, and what their answers mean.

`sec_nodes.environments.robust` says what each block of either vector is. The letters in the shapes
are B copies, I users and J UAVs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sec_nodes.physics import channel
from sec_nodes.scenarios.robust.scenario import Robust
from sec_nodes.scenarios.robust.settings import RobustSettings
from sec_nodes.scenarios.robust.state import LOCAL, RobustDecision, RobustState
from sec_nodes.slot import FloatArray

EFFICIENCY_BIT_S_HZ = 20.0
"""Scale of rates: their spectral efficiency near a UAV."""
RATE_LIMIT = 2.0
"""Largest rate that is shown, in that scale; fading has no limit of its own."""

Blocks = dict[str, slice]


def action_blocks(settings: RobustSettings) -> Blocks:
    """Where each block of an action lies."""
    users, uavs = settings.users.count, settings.uavs.count
    return _blocks(
        split=users, association=users * uavs, migration=users * uavs, acceleration=3 * uavs
    )


def observation_blocks(settings: RobustSettings) -> Blocks:
    """Where each block of an observation lies."""
    users, uavs = settings.users.count, settings.uavs.count
    return _blocks(
        network=users * len(settings.users.networks),
        rate=users * uavs,
        backhaul=uavs * (uavs - 1) // 2,
        user=2 * users,
        uav=3 * uavs,
        velocity=3 * uavs,
        alive=uavs,
    )


def observe(scenario: Robust, state: RobustState) -> FloatArray:
    """Observations (B, n) float32."""
    settings, blocks = scenario.settings, observation_blocks(scenario.settings)
    seen = np.empty((len(state.seed), blocks['alive'].stop), dtype=np.float32)
    first, second = np.triu_indices(settings.uavs.count, 1)
    known = np.arange(len(settings.users.networks))
    longest_m = *settings.area_m, settings.uavs.altitude_m[1]
    to_space = np.float32(1) / np.array(longest_m, dtype=np.float32)
    snr = scenario.snr_per_w(state) * np.float32(settings.users.power_max_w)
    rate = channel.shannon_rate_bit_s(1 / EFFICIENCY_BIT_S_HZ, snr)
    scale = np.float32(settings.radio.backhaul_bandwidth_hz * EFFICIENCY_BIT_S_HZ)
    backhaul = scenario.backhaul_bit_s(state)[:, first, second] / scale
    both = state.alive[:, first] & state.alive[:, second]
    parts = {
        'network': state.network[..., None] == known,
        'rate': np.minimum(rate, RATE_LIMIT) * state.alive[:, None],
        'backhaul': np.minimum(backhaul, RATE_LIMIT) * both,
        'user': state.user_m * to_space[:2],
        'uav': state.uav_m * to_space,
        'velocity': state.uav_velocity_m_s / np.float32(settings.uavs.speed_m_s),
        'alive': state.alive,
    }
    for name, block in blocks.items():
        seen[:, block] = parts[name].reshape(len(seen), -1)
    return seen


def decode(scenario: Robust, state: RobustState, action: Any) -> RobustDecision:
    """The decisions that actions (B, D) in [-1, 1] mean."""
    vector = np.clip(np.asarray(action, dtype=np.float32), -1, 1)
    blocks = action_blocks(scenario.settings)
    part = {name: vector[:, block] for name, block in blocks.items()}
    choices = scenario.allowed_splits(state).sum(axis=-1)
    step = np.floor((part['split'] + 1) * np.float32(0.5) * choices).astype(np.int64)
    wish = np.where(state.alive[:, None], part['association'].reshape(state.fading.shape), -np.inf)
    someone = state.alive.any(axis=1, keepdims=True)
    return RobustDecision(
        split=1 + np.minimum(step, choices - 1),
        server=np.where(someone, np.argmax(wish, axis=-1), LOCAL),
        preference=part['migration'].reshape(state.fading.shape),
        acceleration_m_s2=part['acceleration'].reshape(state.uav_m.shape)
        * np.float32(scenario.settings.uavs.acceleration_m_s2),
    )


def _blocks(**lengths: int) -> Blocks:
    """Slices of a vector that holds blocks of these lengths, one after the other."""
    ends = np.cumsum(list(lengths.values())).tolist()
    return {
        name: slice(end - length, end)
        for (name, length), end in zip(lengths.items(), ends, strict=True)
    }
