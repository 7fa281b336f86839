"""Groups of devices that share a receiver of an mllm slot, and what each group costs at best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sec_nodes.controllers.mllm_placement import Circles, bits, towards
from sec_nodes.controllers.mllm_power import QUICK, PowerRules, Radio, Uplinks, best_powers
from sec_nodes.controllers.mllm_tables import Tables, power_rules, tables
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm_types import MllmState
from sec_nodes.slot import BoolArray, FloatArray, IntArray

IMPOSSIBLE = 1e9
"""Cost of a group that no UAV position covers; finite, so that differences stay numbers."""

_MOVES = 8
_FAINT = 1e-12
_SIZES = (1, 2, 3, 4, 6, 9, 14, 22, 64)


class Solved(NamedTuple):
    """Groups at their best."""

    cost: FloatArray
    """(G,) cost with penalties, summed over the devices."""
    power_w: FloatArray
    """(G, K) transmit powers [W]; 0 for devices outside the group."""
    uav_m: FloatArray
    """(G, 2) position of the receiver, for groups at a UAV."""


@dataclass(frozen=True)
class ByReceiver:
    """`Tables` with each device's best executing server behind each receiver; (B, K, S)."""

    executor: IntArray
    """Server that computes."""
    base: FloatArray
    load_s: FloatArray
    slack_s: FloatArray
    tail_s: FloatArray
    ends_s: FloatArray
    gain_w: FloatArray
    """Signal-to-noise ratio of one watt [1/W], for UAVs at a distance of one metre."""
    alone: FloatArray
    """Cost of the device with nobody else at the receiver and a UAV right above it; no group
    costs less than the sum of these."""


class Groups:
    """Solves groups of one slot in B copies.

    Args:
        scenario: without queues and speed limit.
        state: start of the slot.
    """

    def __init__(self, scenario: Mllm, state: MllmState) -> None:
        settings = scenario.settings
        self.settings, self.rules = settings, power_rules(settings)
        self.device_m, self.active = state.device_m, state.active
        self.n_uavs, self.n_servers = settings.uavs.count, settings.n_servers
        self.circles = Circles.around(state.device_m, settings.uavs.coverage_m)
        self.offers = by_receiver(tables(scenario, state), self.rules, scenario)
        self._height2_m2 = np.square(np.array(settings.uavs.altitude_m))
        self.bits = bits(state.device_m.shape[1])

    def solve(self, copy: IntArray, receiver: IntArray, member: BoolArray) -> Solved:
        """Least costs of groups, with UAVs placed by rule: as near to their devices' centroid as
        they still cover them all.

        Args:
            copy: (G,) copy that each group belongs to.
            receiver: (G,) its receiver.
            member: (G, K) its devices.
        """
        size = member.sum(axis=1)
        cost = np.zeros(len(copy))
        power_w = np.zeros(member.shape)
        uav_m = np.zeros((len(copy), 2))
        low = 0
        for high in _SIZES:
            rows = np.flatnonzero((size > low) & (size <= high))
            low = high
            if not len(rows):
                continue
            part = self._solve(copy[rows], receiver[rows], member[rows], high)
            cost[rows], power_w[rows], uav_m[rows] = part
        return Solved(cost, power_w, uav_m)

    def _solve(
        self, copy: IntArray, receiver: IntArray, member: BoolArray, largest: int
    ) -> Solved:
        """`solve` for groups of similar size."""
        place = member_places(member, largest)
        present = np.take_along_axis(member, place, axis=1)
        uav_m, covered = self.placed(copy, receiver, member, place, present)
        uplinks = self.uplinks(copy, receiver, place, present, uav_m)
        best = best_powers(uplinks, self.rules, QUICK)
        cost = self.total(copy, receiver, place, present, best.cost, best.time_s)
        power_w = np.zeros(member.shape)
        np.put_along_axis(power_w, place, np.where(present, best.power_w, 0), axis=1)
        return Solved(np.where(covered, cost, IMPOSSIBLE), power_w, uav_m)

    def refine(self, copy: IntArray, receiver: IntArray, member: BoolArray) -> Solved:
        """Costs of groups with powers to full accuracy and UAVs moved as long as it helps.

        A UAV that sends its members' gains to the powers w_k moves towards the mean of their
        positions weighted by w_k / d_k^2, where the sum of w_k ln g_k is stationary; w_k is the
        fall of the group's cost with ln g_k.
        """
        place = member_places(member, member.shape[1])
        present = np.take_along_axis(member, place, axis=1)
        uav_m, covered = self.placed(copy, receiver, member, place, present)
        member_m = self.device_m[copy[:, None], place]
        height2_m2 = self._height2_m2[np.where(receiver < self.n_uavs, receiver, 0)][:, None]
        best = self._at(copy, receiver, place, present, uav_m)
        share = np.ones((len(copy), 1))
        for _ in range(_MOVES):
            distance2_m2 = np.square(uav_m[:, None] - member_m).sum(-1) + height2_m2
            weight = np.where(present, np.maximum(best.gain_price, 0) + _FAINT, 0) / distance2_m2
            weight /= np.maximum(weight.sum(axis=1, keepdims=True), _FAINT * 1e-9)
            goal_m = np.einsum('gn,gnd->gd', weight, member_m)
            goal_m = uav_m + share * (goal_m - uav_m)
            trial_m = towards(uav_m, goal_m, member_m, present, self.settings.uavs.coverage_m)
            trial = self._at(copy, receiver, place, present, trial_m)
            better = trial.cost < best.cost
            uav_m = np.where(better[:, None], trial_m, uav_m)
            best = Radio(*(_where(better, new, old) for new, old in zip(trial, best, strict=True)))
            share = np.where(better[:, None], share, 0.4 * share)
        power_w = np.zeros(member.shape)
        np.put_along_axis(power_w, place, np.where(present, best.power_w, 0), axis=1)
        return Solved(np.where(covered, best.cost, IMPOSSIBLE), power_w, uav_m)

    def _at(
        self,
        copy: IntArray,
        receiver: IntArray,
        place: IntArray,
        present: BoolArray,
        uav_m: FloatArray,
    ) -> Radio:
        """Groups with their UAVs at given positions (G, 2) and all that they cost."""
        uplinks = self.uplinks(copy, receiver, place, present, uav_m)
        best = best_powers(uplinks, self.rules)
        total = self.total(copy, receiver, place, present, best.cost, best.time_s)
        return best._replace(cost=total)

    def placed(
        self,
        copy: IntArray,
        receiver: IntArray,
        member: BoolArray,
        place: IntArray,
        present: BoolArray,
    ) -> tuple[FloatArray, BoolArray]:
        """Positions (G, 2) by rule and whether they cover the group, always so for satellites."""
        centre_m, covered = self.circles.smallest(copy, member @ self.bits)
        member_m = self.device_m[copy[:, None], place]
        weight = present / np.maximum(present.sum(axis=1, keepdims=True), 1)
        centroid_m = np.einsum('gn,gnd->gd', weight, member_m)
        uav_m = towards(centre_m, centroid_m, member_m, present, self.settings.uavs.coverage_m)
        return uav_m, covered | (receiver >= self.n_uavs)

    def uplinks(
        self,
        copy: IntArray,
        receiver: IntArray,
        place: IntArray,
        present: BoolArray,
        uav_m: FloatArray,
    ) -> Uplinks:
        """Links (G, n) of groups whose UAV is at uav_m (G, 2)."""
        at = copy[:, None], place, receiver[:, None]
        offset2_m2 = np.square(uav_m[:, None] - self.device_m[at[:2]]).sum(-1)
        gain_w = self.offers.gain_w[at]
        on_uav = receiver < self.n_uavs
        height2_m2 = self._height2_m2[np.where(on_uav, receiver, 0)][:, None]
        exponent = -0.5 * self.settings.radio.path_loss_exponent
        loss = np.where(on_uav[:, None], (offset2_m2 + height2_m2) ** exponent, 1.0)
        return Uplinks(
            load_s=np.where(present, self.offers.load_s[at], 0),
            gain_w=np.where(present, gain_w * loss, 0),
            slack_s=self.offers.slack_s[at],
            tail_s=self.offers.tail_s[at],
        )

    def total(
        self,
        copy: IntArray,
        receiver: IntArray,
        place: IntArray,
        present: BoolArray,
        radio_cost: FloatArray,
        time_s: FloatArray,
    ) -> FloatArray:
        """Costs (G,) of groups whose transmissions take time_s (G, n) and cost radio_cost (G,)."""
        at = copy[:, None], place, receiver[:, None]
        cut_off = present & (time_s > self.offers.ends_s[at])
        penalty = self.settings.objective.violation_penalty
        return radio_cost + np.where(present, self.offers.base[at] + penalty * cut_off, 0).sum(1)


def _where(condition: BoolArray, new: FloatArray, old: FloatArray) -> FloatArray:
    """Rows of `new` where the condition (G,) holds, of `old` elsewhere."""
    return np.where(condition if new.ndim == 1 else condition[:, None], new, old)


def member_places(member: BoolArray, largest: int) -> IntArray:
    """Indices (G, n) of the members (G, K), first in each row, n the lesser of `largest` and K."""
    return np.argsort(~member, axis=1, kind='stable')[:, :largest]


def by_receiver(offered: Tables, rules: PowerRules, scenario: Mllm) -> ByReceiver:
    """Choose the executing server behind each receiver: the one that costs a device least alone.

    Servers behind a receiver differ by inter-satellite links and accuracy only, not by what
    happens on the air, so this choice is right for every group unless shorter links come with
    less accuracy *and* a deadline is in between.
    """
    settings = scenario.settings
    n_servers = settings.n_servers
    height_m = np.array(settings.uavs.altitude_m)
    overhead = offered.metre_gain_w * height_m**-settings.radio.path_loss_exponent
    gain_w = np.concatenate([overhead, offered.space_gain_w], axis=2)
    alone = offered.base + alone_cost(offered, gain_w, rules)
    executor = np.empty(offered.base.shape, dtype=np.int64)
    lowest = np.empty(offered.base.shape)
    for receiver in range(n_servers):
        behind = offered.receiver[:, None] == receiver
        choices = np.where(behind, alone, IMPOSSIBLE)
        executor[..., receiver] = choices.argmin(axis=2)
        lowest[..., receiver] = choices.min(axis=2)

    def of_executor(table: FloatArray) -> FloatArray:
        return np.take_along_axis(table, executor, axis=2)

    gain_w = np.concatenate([offered.metre_gain_w, offered.space_gain_w], axis=2)
    return ByReceiver(
        executor=executor,
        base=np.where(lowest < IMPOSSIBLE, of_executor(offered.base), IMPOSSIBLE),
        load_s=of_executor(offered.load_s),
        slack_s=of_executor(offered.slack_s),
        tail_s=of_executor(offered.tail_s),
        ends_s=of_executor(offered.ends_s),
        gain_w=of_executor(gain_w),
        alone=lowest,
    )


def alone_cost(offered: Tables, gain_w: FloatArray, rules: PowerRules) -> FloatArray:
    """Costs (B, K, S) of transmission without interference at the best power."""
    flat = Uplinks(
        *(
            table.reshape(-1, 1)
            for table in (offered.load_s, gain_w, offered.slack_s, offered.tail_s)
        )
    )
    return best_powers(flat, rules).cost.reshape(gain_w.shape)
