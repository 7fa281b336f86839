"""Transmit powers of devices that share a receiver: a convex problem, solved by Newton's method.

Devices interfere only with those at the same receiver (Yan et al., Drones 2025, 9, 500, eqs. (8)
and (10) as corrected), so given who sends where the powers of each group are a problem of their
own. In x = ln P it is convex: with L(y) = ln(1 + e^y) and y = ln SINR,

* y is concave in x (a logarithm of a sum of exponentials with a minus sign);
* 1 / L is convex and falling, so the transmission time load / L(y(x)) is convex, and so is every
  rising convex function of it, such as time plus lateness;
* L is log-concave (L L'' <= L'^2, because ln(1 + t) <= t), so -ln L(y(x)) is convex, and with it
  the energy exp(x - ln L(y(x))) load.

A local minimum is thus the minimum. Two things of the scenario lie outside: a transmission time is
capped, and a satellite may set before a task is done. Both cost more than any sensible
alternative; they are counted in the cost that is returned, not searched for.

The Hessian is a diagonal plus a matrix of rank two, so that a Newton step costs as much as a
gradient; groups are solved many at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sec_nodes.slot import FloatArray

Stages = tuple[tuple[float, int], ...]

# The kink of the lateness is rounded over these times [s], one after the other, for so many steps.
PRECISE: Stages = ((0.05, 7), (0.01, 4), (0.002, 4), (0.0004, 4))
QUICK: Stages = ((0.05, 6), (0.005, 4))
_LONGEST_STEP = 2.5  # of ln P
_MIN_SCALE = 1e-3


@dataclass(frozen=True)
class PowerRules:
    """What a group of devices pays for and obeys, the same for all groups."""

    time_price: float
    """Cost of a second."""
    late_price: float
    """Cost of a second after the deadline, on top of `time_price`."""
    energy_price: float
    """Cost of a joule."""
    residual: float
    """Share xi of the interference that is left after reception."""
    lowest_w: float
    """Least transmit power [W], above 0."""
    highest_w: float
    """Greatest transmit power [W]."""
    time_cap_s: float
    """Greatest transmission time that is counted [s]."""


@dataclass(frozen=True)
class Uplinks:
    """G groups of up to n devices; the devices of a group share a receiver. All (G, n)."""

    load_s: FloatArray
    """Transmission time at ln(1 + SINR) = 1 [s]: size ln 2 / bandwidth. 0 for an empty place."""
    gain_w: FloatArray
    """Signal-to-noise ratio at the receiver of one watt [1/W]; 0 for an empty place."""
    slack_s: FloatArray
    """Time that the deadline leaves for transmission [s], negative if none."""
    tail_s: FloatArray
    """Time beyond the transmission that is charged as transmit energy [s]."""


class Radio(NamedTuple):
    """Solved groups."""

    cost: FloatArray
    """(G,) cost of transmission: time, energy and what it adds to the lateness."""
    power_w: FloatArray
    """(G, n) transmit powers [W]; those of empty places mean nothing."""
    time_s: FloatArray
    """(G, n) transmission times [s]."""
    gain_price: FloatArray
    """(G, n) fall of the group's cost with the logarithm of each gain, at fixed powers."""


class _Point(NamedTuple):
    """Cost, gradient in ln P, and the Newton direction at some powers, each (G,) or (G, n)."""

    cost: FloatArray
    gradient: FloatArray
    direction: FloatArray


def best_powers(uplinks: Uplinks, rules: PowerRules, stages: Stages = PRECISE) -> Radio:
    """The powers of least cost in every group.

    Args:
        uplinks: (G, n) links of the groups.
        rules: prices and bounds.
        stages: `PRECISE`, or `QUICK` for comparing groups.
    """
    low, high = np.log(rules.lowest_w), np.log(rules.highest_w)
    log_power = np.full(uplinks.gain_w.shape, 0.5 * (low + high))
    for rounding_s, steps in stages:
        log_power = _newton(uplinks, rules, log_power, rounding_s, steps)
    return radio(uplinks, rules, np.exp(log_power))


def radio(uplinks: Uplinks, rules: PowerRules, power_w: FloatArray) -> Radio:
    """What given powers (G, n) cost."""
    received = uplinks.gain_w * power_w
    disturbance = _disturbance(received, rules)
    ratio = received / disturbance
    depth = np.log1p(ratio)
    full_s = _divide(uplinks.load_s, depth)
    time_s = np.minimum(full_s, rules.time_cap_s)
    late = time_s > uplinks.slack_s
    seconds = rules.time_price * time_s + rules.late_price * (
        np.maximum(time_s - uplinks.slack_s, 0) - np.maximum(-uplinks.slack_s, 0)
    )
    joules = power_w * (time_s + uplinks.tail_s)
    cost = np.where(uplinks.load_s > 0, seconds + rules.energy_price * joules, 0)
    per_second = rules.time_price + rules.late_price * late + rules.energy_price * power_w
    fall = per_second * time_s * _divide(ratio / (1 + ratio), depth)
    per_watt = fall / disturbance
    loss = rules.residual * received * (per_watt.sum(-1, keepdims=True) - per_watt)
    return Radio(cost.sum(-1), power_w, time_s, fall - loss)


def _newton(
    uplinks: Uplinks, rules: PowerRules, log_power: FloatArray, rounding_s: float, steps: int
) -> FloatArray:
    """Damped Newton steps on the cost with a rounded kink, in all groups at once."""
    low, high = np.log(rules.lowest_w), np.log(rules.highest_w)
    here = _point(uplinks, rules, log_power, rounding_s)
    scale = np.ones((len(log_power), 1))
    for _ in range(steps):
        trial_power = np.clip(log_power + scale * here.direction, low, high)
        trial = _point(uplinks, rules, trial_power, rounding_s)
        better = trial.cost <= here.cost
        log_power = np.where(better[:, None], trial_power, log_power)
        here = _Point(
            *(
                np.where(better if new.ndim == 1 else better[:, None], new, old)
                for new, old in zip(trial, here, strict=True)
            )
        )
        scale = np.where(better[:, None], 1.0, np.maximum(0.3 * scale, _MIN_SCALE))
    return log_power


def _point(
    uplinks: Uplinks, rules: PowerRules, log_power: FloatArray, rounding_s: float
) -> _Point:
    """Cost, gradient and Newton direction; derivatives by the chain over y = ln SINR and x."""
    power_w = np.exp(log_power)
    received = uplinks.gain_w * power_w
    disturbance = _disturbance(received, rules)
    ratio = received / disturbance
    depth = np.log1p(ratio)
    share = ratio / (1 + ratio)
    steep = _divide(share, depth)  # -d ln(time) / dy
    time_s = _divide(uplinks.load_s, depth)
    excess = (time_s - uplinks.slack_s) / rounding_s
    soft_s, is_late = _softplus(excess)
    joules = rules.energy_price * power_w * (time_s + uplinks.tail_s)
    cost = rules.time_price * time_s + rules.late_price * rounding_s * soft_s + joules
    used = uplinks.load_s > 0
    per_second = rules.time_price + rules.late_price * is_late + rules.energy_price * power_w
    time_y = -time_s * steep
    time_yy = time_s * steep * (2 * steep - (1 - share))
    curve = rules.late_price * is_late * (1 - is_late) / rounding_s
    cost_y = per_second * time_y
    cost_yy = per_second * time_yy + curve * time_y**2
    cost_xy = rules.energy_price * power_w * time_y
    cost_x = np.where(used, joules, 0)

    heard = rules.residual * received
    push = -cost_y / disturbance
    push_all = push.sum(-1, keepdims=True) - push
    gradient = cost_x + cost_y + heard * push_all
    # Hessian = diag(own) + both v v' - (b v' + v b'), with v = heard.
    bend = cost_yy / disturbance**2
    turn = push / disturbance
    both = (bend - turn).sum(-1, keepdims=True)
    cross = (cost_yy + cost_xy) / disturbance + heard * (bend - turn)
    own = (
        cost_yy
        + cost_x
        + 2 * cost_xy
        + heard * push_all
        - heard**2 * (bend - turn)
        + 2 * heard * cross
    )
    low, high = np.log(rules.lowest_w), np.log(rules.highest_w)
    at_bound = ((log_power <= low) & (gradient > 0)) | ((log_power >= high) & (gradient < 0))
    free = used & ~at_bound
    downhill = np.where(free, -gradient, 0)
    step = _solve(
        np.where(free, own, 1), np.where(free, heard, 0), np.where(free, cross, 0), both, downhill
    )
    # Rounding can spoil a step where one device drowns all others; the gradient always leads down.
    good = np.isfinite(step).all(-1, keepdims=True) & (
        (step * downhill).sum(-1, keepdims=True) > 0
    )
    plain = downhill / np.maximum(np.abs(downhill).max(-1, keepdims=True), 1e-300)
    step = np.where(good, step, plain)
    longest = np.abs(step).max(-1, keepdims=True)
    step = step * np.minimum(1, _LONGEST_STEP / np.maximum(longest, 1e-300))
    return _Point(np.where(used, cost, 0).sum(-1), gradient, step)


def _solve(
    own: FloatArray, heard: FloatArray, cross: FloatArray, both: FloatArray, right: FloatArray
) -> FloatArray:
    """Solve (diag(own) + both v v' - b v' - v b') z = right by Woodbury's formula."""
    with np.errstate(all='ignore'):
        v, b = heard / own, cross / own
        plain = right / own
        vv, vb, bb = (
            (p * q).sum(-1, keepdims=True) for p, q in ((heard, v), (heard, b), (cross, b))
        )
        # Inverse of the 2 x 2 middle matrix [[both, -1], [-1, 0]] is [[0, -1], [-1, -both]].
        m11, m12, m22 = vv, vb - 1, bb - both
        r1 = (heard * plain).sum(-1, keepdims=True)
        r2 = (cross * plain).sum(-1, keepdims=True)
        det = m11 * m22 - m12**2
        return plain - (v * (m22 * r1 - m12 * r2) + b * (m11 * r2 - m12 * r1)) / det


def _disturbance(received: FloatArray, rules: PowerRules) -> FloatArray:
    """xi I + N0 of every device, in units of N0."""
    others = received.sum(-1, keepdims=True) - received
    return rules.residual * np.maximum(others, 0) + 1


def _softplus(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """ln(1 + e^z) and its derivative."""
    small = np.exp(-np.abs(z))
    return np.maximum(z, 0) + np.log1p(small), np.where(z > 0, 1.0, small) / (1 + small)


def _divide(a: FloatArray, b: FloatArray) -> FloatArray:
    """a / b, and 0 where a is 0 or there is nothing to divide by."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
