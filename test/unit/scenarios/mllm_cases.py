"""Slots of the mllm scenario with round numbers, to be worked out by hand."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from functools import lru_cache

import numpy as np

from sec_nodes.scenarios.mllm import Mllm, MllmDecision
from sec_nodes.scenarios.registry import read_settings

ZENITH = {'satellites.cross_track_deg': [0.0, 0.0, 0.0, 0.0]}
"""All satellites in one plane through the zenith."""


def build(mode='mllm', dtype=np.float64, **overrides):
    """The scenario; overrides with `__` for the dot."""
    dotted = {key.replace('__', '.'): value for key, value in overrides.items()}
    return Mllm(_settings(mode, json.dumps(dotted)), dtype)


@lru_cache
def _settings(mode, overrides):
    return read_settings(mode, json.loads(overrides))


def plain(scenario, copies=1, **arrays):
    """A state without fading: 8 Mbit, 64 words, 3 s, accuracy 0.3, satellite 1 at the zenith.

    Devices stand at (100, 100), UAVs 30 m east, 300 m north and 300 m east of there.
    """
    state = scenario.reset(np.arange(copies))
    shape = state.size_bit.shape
    spacing = np.radians(7.5)
    values = {
        'device_m': np.full((*shape, 2), 100.0),
        'size_bit': np.full(shape, 8e6),
        'words': np.full(shape, 64.0),
        'deadline_s': np.full(shape, 3.0),
        'accuracy': np.full(shape, 0.3),
        'active': np.ones(shape, dtype=bool),
        'fading_uav': np.ones_like(state.fading_uav),
        'fading_satellite': np.ones_like(state.fading_satellite),
        'in_track_rad': np.tile(spacing * np.array([-1.0, 0.0, 1.0, -2.0]), (copies, 1)),
        'uav_m': np.tile([[130.0, 100.0], [100.0, 400.0], [400.0, 100.0]], (copies, 1, 1)),
        **arrays,
    }
    return replace(state, **values)


def decide(state, server, power_w=1.0, uav_m=None):
    """A decision for every copy alike."""
    shape = state.size_bit.shape
    return MllmDecision(
        server=np.broadcast_to(np.array(server), shape).copy(),
        power_w=np.broadcast_to(np.array(power_w, dtype=float), shape).copy(),
        uav_m=state.uav_m if uav_m is None else uav_m,
    )


def anything(scenario, state, rng):
    """Any decision that is sound in form."""
    shape = state.size_bit.shape
    return MllmDecision(
        server=rng.integers(0, scenario.n_servers, shape),
        power_w=rng.uniform(0.01, 1.0, shape).astype(scenario.dtype),
        uav_m=scenario.reachable_m(state, rng.uniform(0, 500, state.uav_m.shape)),
    )


def copy_of(record, index):
    """Copies of a state, decision or outcome, as a batch of their own."""
    arrays = {field.name: getattr(record, field.name)[index] for field in fields(record)}
    return type(record)(**arrays)
