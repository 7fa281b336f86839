"""Slots of the robust scenario that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.state import NEVER, RobustDecision, RobustState


def robust(mode='robust', dtype=np.float64, **overrides):
    """The scenario with some values replaced: `users__count=1` is `users.count=1`."""
    values = {key.replace('__', '.'): value for key, value in overrides.items()}
    return Robust(read_settings(mode, values), dtype)


def quiet(scenario, user_m, uav_m, networks=None, slot=0) -> RobustState:
    """One copy with everything in place, no fading, and no failures to come."""
    state = scenario.reset(np.array([0]))
    kind = scenario.dtype
    return replace(
        state,
        slot=np.array([slot]),
        network=state.network if networks is None else np.array([networks]),
        user_m=np.array([user_m], dtype=kind),
        uav_m=np.array([uav_m], dtype=kind),
        failure_slot=np.full_like(state.failure_slot, NEVER),
        fading=np.ones_like(state.fading),
    )


def failing(state, uav, slot=None) -> RobustState:
    """The same with one UAV that fails in this slot, or in the given one."""
    when = state.failure_slot.copy()
    when[:, uav] = state.slot if slot is None else slot
    return replace(state, failure_slot=when)


def decide(state, split=1, server=0, preference=None, acceleration=0.0) -> RobustDecision:
    """The same for everyone, unless arrays are given."""
    copies, n_users, n_uavs = state.fading.shape

    def fill(value, *shape):
        return np.broadcast_to(np.asarray(value), (copies, *shape)).copy()

    return RobustDecision(
        split=fill(split, n_users),
        server=fill(server, n_users),
        preference=fill(0.0 if preference is None else preference, n_users, n_uavs),
        acceleration_m_s2=fill(acceleration, n_uavs, 3),
    )


def counted(outcome, name):
    """How often a constraint was broken, by its number."""
    from sec_nodes.scenarios.robust.state import CONSTRAINTS

    return outcome.violations[:, CONSTRAINTS.index(name)].tolist()
