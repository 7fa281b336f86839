"""Whether a decision of the robust scenario can be read, and which constraints it broke."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.scenarios.robust.joint import Servers
from sec_nodes.scenarios.robust.motion import Flight, close_pairs
from sec_nodes.scenarios.robust.settings import RobustSettings
from sec_nodes.scenarios.robust.state import (
    CONSTRAINTS,
    LOCAL,
    Plan,
    RobustDecision,
    RobustState,
    Sent,
    Survival,
)
from sec_nodes.slot import BoolArray, FloatArray, IntArray


def require_decision(state: RobustState, decision: RobustDecision) -> None:
    """Check what a decision is made of; constraints are counted elsewhere.

    Raises:
        ValueError: an array has the wrong shape or kind, a server does not exist, or a number is
            not finite.
    """
    copies, n_users, n_uavs = state.fading.shape
    for name, shape, kinds in (
        ('split', (copies, n_users), 'iu'),
        ('server', (copies, n_users), 'iu'),
        ('preference', (copies, n_users, n_uavs), 'fiu'),
        ('acceleration_m_s2', (copies, n_uavs, 3), 'fiu'),
    ):
        value: NDArray[Any] = np.asarray(getattr(decision, name))
        if value.shape != shape:
            raise ValueError(
                f'decision.{name} has shape {value.shape}, but must have {shape} for {copies} '
                f'copies, {n_users} users and {n_uavs} UAVs; put the copy first'
            )
        if value.dtype.kind not in kinds:
            kind = 'integers' if kinds == 'iu' else 'real numbers'
            raise ValueError(f'decision.{name} has type {value.dtype}, but must hold {kind}')
        if value.dtype.kind == 'f' and not np.isfinite(value).all():
            raise ValueError(f'decision.{name} holds NaN or infinity; decide for finite numbers')
    server = decision.server
    if ((server < LOCAL) | (server >= n_uavs)).any():
        worst = int(server[(server < LOCAL) | (server >= n_uavs)][0])
        raise ValueError(
            f'decision.server holds {worst}, but there are UAVs 0 to {n_uavs - 1}; '
            f'{LOCAL} stands for no UAV'
        )


def count_violations(
    settings: RobustSettings,
    state: RobustState,
    plan: Plan,
    sent: Sent,
    survival: Survival,
    alive: BoolArray,
    flight: Flight,
    completed: BoolArray,
) -> IntArray:
    """(B, len(CONSTRAINTS)) how often each constraint was broken, in the order of `CONSTRAINTS`.

    Users and pairs or numbers of UAVs are counted, whatever the constraint is about. (7), (10),
    (12), (13), (28g), (28i) and (28j) are kept by the scenario itself; they are checked all the
    same.

    Args:
        settings: limits.
        state: the slot as it began.
        plan: what was decided on the tasks.
        sent: what reached a UAV.
        survival: what was finished, and where.
        alive: (B, J) s_j(t).
        flight: where the UAVs are at the end.
        completed: (B, I) tasks that were finished in time.
    """
    uavs = settings.uavs
    excess = 1.0 + tolerance(sent.power_w)
    moved, to = survival.migrated, survival.effective
    # Being stopped by the border is no manoeuvre: it is counted as such, not as an acceleration.
    gained_m_s: FloatArray = np.where(
        flight.outside[..., None], 0, flight.velocity_m_s - state.uav_velocity_m_s
    )
    too_fast = _length(flight.velocity_m_s) > uavs.speed_m_s * excess
    too_sharp = _length(gained_m_s) > uavs.acceleration_m_s2 * settings.slot_s * excess
    powered = (sent.power_w < 0) | (sent.power_w > settings.users.power_max_w * excess)
    load_hz = np.maximum(
        Servers(sent.server, uavs.count).total(sent.frequency_hz),
        Servers(to, uavs.count).total(survival.frequency_hz),
    )
    broken = {
        '(7)': (too_fast | too_sharp) & alive,
        '(10)': alive & ~state.alive,
        '(12)': moved & _of_server(alive, sent.server),
        '(13)': moved & (~_of_server(alive, to) | (to == sent.server)),
        '(28c)': flight.wrong_altitude,
        '(28e)': ~plan.exists,
        '(28g)': moved & (to == LOCAL),
        '(28h)': plan.asks & plan.known_dead,
        '(28i)': load_hz > uavs.frequency_hz * excess,
        '(28j)': powered,
        '(28k)': ~completed,
    }
    counts = {name: where.sum(axis=1) for name, where in broken.items()}
    counts['(5)'] = close_pairs(flight.position_m, uavs.safe_distance_m, alive)
    counts['(11)'] = np.maximum((~alive).sum(axis=1) - settings.failures.largest, 0)
    return np.stack([counts[name] for name in CONSTRAINTS], axis=-1)


def tolerance(value: FloatArray) -> float:
    """Relative excess over a limit that is taken for rounding, by the precision of a value."""
    return max(1e-9, 64.0 * float(np.finfo(value.dtype).eps))


def _of_server(value: BoolArray, server: IntArray) -> BoolArray:
    """(B, I) the value (B, J) of each task's server; that of UAV 0 where there is none."""
    return np.take_along_axis(value, np.maximum(server, 0), axis=1)


def _length(vectors: FloatArray) -> FloatArray:
    return np.sqrt(np.square(vectors).sum(axis=-1))
