"""A cost that no decision in an mllm slot can beat."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from sec_nodes.controllers.mllm.power import PowerRules
from sec_nodes.controllers.mllm.tables import Tables, base_cost, power_rules, tables
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.state import MllmState
from sec_nodes.slot import FloatArray

_FAINT_W = 1e-9
_TOLERATED_M = 0.01 + 1e-6
"""By how much the scenario lets positions exceed the speed limit, and coverage a radius."""
_TOLERATED_POWER = 1 + 1e-9
_HALVINGS = 45
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Ideal(Tables):
    """Tables with the fastest answers, and what no decision can beat."""

    least: FloatArray
    """Least cost with penalties of each device at each server, alone there."""


def lower_bound(scenario: Mllm, state: MllmState) -> FloatArray:
    """(B,) a penalised cost that no decision in this slot can beat.

    It is the mean over the tasks of what each would cost if it were alone: the least over all
    servers, admissible or not, at its own best power, with the UAV as near as it can get. Proof
    that no decision costs a task less at the server that it chooses. Let P be its power.

    1. Interference lowers the rate (with orthogonal bands, (B / n) ln(1 + n s) <= B ln(1 + s)), a
       nearer UAV has a larger gain, and a rate is larger without other UAVs' noise: so the
       transmission takes at least its time t(P) alone under the nearest UAV, and the answer at
       least its time without noise from others. Waiting takes no less than 0.
    2. Cost and penalty rise with latency and energy. With the 1st they are at least
       F(P) = w T + l max(0, T - Tmax) + e E with T = fixed + t(P), E = fixed + P (t(P) + tail),
       plus the penalty of an accuracy that is too low. A UAV too far to get within its coverage
       costs a penalty more.
    3. For P up to P_max, F is convex in ln P (see `mllm_power`) except where the transmission is
       cut off. There its time is the greatest there is, so w, l and an energy of 0 bound it; the
       same holds for powers below 1e-9 W with the time t(1e-9 W).
    4. For P above P_max, one more penalty is due, T exceeds fixed, and the energy that of P_max,
       because P t(P) rises with P.
    5. An unserved task costs what the scenario says; a dropped one takes twice its deadline and
       pays a penalty.
    """
    settings = scenario.settings
    rules = power_rules(settings)
    per_task = ideal(scenario, state).least.min(axis=-1)
    if settings.queue.enabled:
        dropped = (
            2 * rules.time_price + rules.late_price
        ) * state.deadline_s + settings.objective.violation_penalty
        per_task = np.minimum(per_task, dropped)
    total = np.where(state.active, per_task, 0).sum(axis=-1)
    return total / state.active.sum(axis=-1) * (1 - _ROUNDING)


def ideal(scenario: Mllm, state: MllmState) -> Ideal:
    """What each server would be to each device if both were alone, by the proof above."""
    settings = scenario.settings
    rules = power_rules(settings)
    offered = tables(without_queues(scenario), state)
    gain_w, too_far = _nearest_gain_w(scenario, state, offered)
    fixed_s, fixed_j = _best_download(scenario, state, offered, gain_w)
    base = base_cost(scenario, state, fixed_s, fixed_j, offered.broken + too_far)
    slack_s = state.deadline_s[..., None] - fixed_s
    added = _transmission(offered, gain_w, slack_s, rules, settings.objective.violation_penalty)
    parts = {field.name: getattr(offered, field.name) for field in fields(Tables)}
    parts |= {'fixed_s': fixed_s, 'fixed_j': fixed_j, 'base': base, 'slack_s': slack_s}
    return Ideal(**parts, least=base + added)


def without_queues(scenario: Mllm) -> Mllm:
    """The scenario with a processor for every task."""
    settings = scenario.settings
    if not settings.queue.enabled:
        return scenario
    queue = settings.queue.model_copy(update={'enabled': False})
    return Mllm(settings.model_copy(update={'queue': queue}), scenario.dtype)


def _nearest_gain_w(
    scenario: Mllm, state: MllmState, offered: Tables
) -> tuple[FloatArray, FloatArray]:
    """Greatest gains (B, K, S) [1/W] and whether a UAV stays out of reach even so."""
    uavs = scenario.settings.uavs
    distance_m = np.zeros(offered.metre_gain_w.shape)
    if uavs.speed_m_s is not None:
        offset_m = state.device_m[:, :, None] - state.uav_m[:, None]
        flown_m = uavs.speed_m_s * scenario.settings.slot_s + _TOLERATED_M
        distance_m = np.maximum(np.linalg.norm(offset_m, axis=-1) - flown_m, 0)
    height_m = np.array(uavs.altitude_m)
    exponent = -0.5 * scenario.settings.radio.path_loss_exponent
    air = offered.metre_gain_w * (distance_m**2 + height_m**2) ** exponent
    too_far = np.zeros(offered.base.shape)
    too_far[..., : len(height_m)] = distance_m > uavs.coverage_m + _TOLERATED_M
    return np.concatenate([air, offered.space_gain_w], axis=2), too_far


def _best_download(
    scenario: Mllm, state: MllmState, offered: Tables, gain_w: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Latency [s] and energy [J] (B, K, S) of all but the transmission with the best download."""
    settings = scenario.settings
    m, send_w = settings.uavs.count, settings.uavs.transmit_power_w
    bandwidth = settings.radio.uav_bandwidth_hz / math.log(2.0)
    answer_bit = settings.tasks.answer_bit_per_word * state.words[..., None]
    saved_s = offered.download_s.copy()
    saved_s[..., :m] -= answer_bit / (bandwidth * np.log1p(gain_w[..., :m] * send_w))
    saved_s *= state.active[..., None]
    return offered.fixed_s - saved_s, offered.fixed_j - send_w * saved_s


def _transmission(
    offered: Tables,
    gain_w: FloatArray,
    slack_s: FloatArray,
    rules: PowerRules,
    violation_penalty: float,
) -> FloatArray:
    """Least cost (B, K, S) that a transmission adds, by steps 3 and 4 of the proof."""
    highest_w = rules.highest_w * _TOLERATED_POWER
    late_before_s = np.maximum(-slack_s, 0)

    def seconds(time_s: FloatArray) -> FloatArray:
        late_s = np.maximum(time_s - slack_s, 0) - late_before_s
        return rules.time_price * time_s + rules.late_price * late_s

    def time_s(power_w: FloatArray) -> FloatArray:
        with np.errstate(divide='ignore', invalid='ignore'):
            alone_s = offered.load_s / np.log1p(gain_w * power_w)
        return np.where(offered.load_s > 0, alone_s, 0)

    def joules(power_w: FloatArray) -> FloatArray:
        on_air_s = np.minimum(time_s(power_w), rules.time_cap_s)
        return rules.energy_price * power_w * (on_air_s + offered.tail_s)

    def at_slope(price: float) -> FloatArray:
        """Power of least (price + e P) t(P) + e P tail, by halving ln P at its derivative."""
        low = np.full(gain_w.shape, math.log(_FAINT_W))
        high = np.full(gain_w.shape, math.log(highest_w))
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            power_w = np.exp(middle)
            ratio = gain_w * power_w
            depth = np.log1p(ratio)
            steep = np.where(depth > 0, ratio / (1 + ratio) / np.maximum(depth, 1e-300), 1)
            time = time_s(power_w)
            spent = rules.energy_price * power_w
            rises = spent * (time + offered.tail_s) > (price + spent) * time * steep
            low, high = np.where(rises, low, middle), np.where(rises, middle, high)
        return np.exp(0.5 * (low + high))

    calm_w = at_slope(rules.time_price)
    hurried_w = at_slope(rules.time_price + rules.late_price)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        just_w = np.expm1(offered.load_s / np.maximum(slack_s, 1e-300)) / gain_w
    # The power of least cost is calm if that is in time, hurried if that is late all the same,
    # and otherwise the one that is just in time.
    power_w = np.clip(np.where(np.isfinite(just_w), just_w, np.inf), calm_w, hurried_w)
    within = seconds(time_s(power_w)) + joules(power_w)
    given_up = seconds(np.minimum(time_s(np.full_like(gain_w, _FAINT_W)), rules.time_cap_s))
    beyond = joules(np.full_like(gain_w, highest_w)) + violation_penalty
    least = np.minimum(np.minimum(within, given_up), beyond)
    return np.where(offered.load_s > 0, least, 0)
