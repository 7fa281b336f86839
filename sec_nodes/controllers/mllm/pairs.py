"""How the structured networks see mllm: one row of features for each pair of device and server.

The features are physics first (how long, how much, how late), so that networks which share their
weights over all pairs need little data, and work for any number of devices and servers. numpy and
torch alike, see `sight`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sec_nodes.controllers.mllm.sight import (
    Array,
    Estimate,
    Load,
    Seen,
    Sight,
    as_constants,
    as_numbers,
)

N_FEATURES = 20
SHARPNESS = 3.0
"""How strongly the first guess prefers cheaper servers [1 / cost unit]."""

SLIGHT = 0.01
"""Added to weights before their logarithm is taken: how much a UAV minds devices of others."""
LARGEST_MOVE = 0.97
"""Moves are clipped to +- this, so that they are those of finite numbers before tanh."""


class Scene(NamedTuple):
    """An observation together with the continuous part of an action."""

    seen: Seen
    snr: Array
    """(X, K, S) at the powers chosen, UAVs where they are sent."""
    power: Array
    """(X, K, S) as shares of full power, the same for all servers."""
    inside: Array
    """(X, K, S) see `Sight.inside`."""
    allowed: Array
    """(X, K, S) bool, at least one each."""


def scene(sight: Sight, observation: Array, continuous: Array, xp: Any = np) -> Scene:
    """The pairs of observations (X, n) with continuous parts (X, K + 2 M) in [-1, 1]."""
    seen = sight.see(observation, xp)
    level, move = sight.split(continuous, seen.size_bit.shape[1])
    return scene_at(sight, seen, level, sight.moved(seen, move, xp), xp)


def scene_at(sight: Sight, seen: Seen, level: Array, uav: Array, xp: Any = np) -> Scene:
    """The pairs with powers of level (X, K) in [-1, 1] and UAVs at (X, M, 2) areas."""
    distance_m = sight.distance_m(seen.device, uav, xp)
    inside = sight.inside(seen, distance_m, xp)
    allowed = sight.may(seen, xp) & (inside >= 0)
    allowed = allowed | ~allowed.any(-1)[..., None]
    low = sight.settings.devices.power_w[0] / sight.full_w
    power = (low + (1 - low) * (level + 1) / 2)[..., None] + inside * 0
    snr = sight.snr_after(seen, distance_m, xp) * power
    return Scene(seen, snr, power, inside, allowed)


def beside(sight: Sight, at: Scene, weight: Array, xp: Any = np) -> tuple[Array, Estimate]:
    """Features (X, K, S, F) and costs of pairs if all devices go where weights (X, K, S) say."""
    load = sight.load(at.seen, at.snr, weight, xp)
    guess = sight.estimate(at.seen, at.snr, at.power, weight, load, xp)
    return features(sight, at, load, guess, xp), guess


def first_guess(sight: Sight, at: Scene, xp: Any = np) -> Array:
    """Weights (X, K, S) of servers if every device were alone; 0 for devices that do not ask."""
    nothing = at.snr * 0
    radio_s = sight.radio_s(at.seen, at.snr, nothing, xp)
    nobody = Load(radio_s, nothing, nothing, nothing, nothing)
    alone = sight.estimate(at.seen, at.snr, at.power, nothing, nobody, xp)
    return shares(-SHARPNESS * alone.cost, at, xp)


def shares(score: Array, at: Scene, xp: Any = np) -> Array:
    """Scores (X, K, S) as weights of the allowed servers, 0 for devices that do not ask."""
    score = xp.where(at.allowed, score, score * 0 - 1e9)
    top = score.max(-1)[..., None] if xp is np else score.amax(-1)[..., None]
    weight = xp.exp(score - top) * at.seen.asks[..., None]
    return weight / (weight.sum(-1)[..., None] + 1e-9)


def features(sight: Sight, at: Scene, load: Load, guess: Estimate, xp: Any = np) -> Array:
    """Features (X, K, S, F), numbers of order 1."""
    seen = at.seen
    flat = at.snr * 0
    deadline_s = seen.deadline_s[..., None]
    columns = [
        xp.log1p(guess.radio_s),
        xp.clip(guess.radio_s / 3, 0.0, 3.0),
        guess.compute_s / 3,
        xp.clip(guess.wait_s / 3, 0.0, 4.0),
        xp.clip((deadline_s - guess.latency_s) / 3, -3.0, 1.0),
        xp.clip(guess.late_s / 3, 0.0, 3.0),
        xp.clip(guess.energy_j / 50, 0.0, 3.0),
        xp.clip(guess.cost / 3, 0.0, 5.0),
        xp.clip(guess.toll / 3, 0.0, 5.0),
        xp.log1p(at.snr) / 10,
        xp.log1p(sight.residual * load.disturbance) / 10,
        at.power,
        as_numbers(at.allowed, flat),
        flat + as_constants(sight.is_uav, flat, xp),
        xp.clip(at.inside, -1.0, 1.0),
        xp.clip(load.work_s / 6, 0.0, 3.0),
        xp.clip(load.tasks / 4, 0.0, 3.0),
        flat + (seen.backlog_s / 6)[:, None],
        flat + seen.accuracy[..., None],
        flat + (seen.size_bit / 1e7)[..., None],
    ]
    return xp.stack(columns, -1)
