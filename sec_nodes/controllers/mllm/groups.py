"""Groups of devices that share a receiver of an mllm slot, and what each group costs at best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sec_nodes.controllers.mllm.placement import Circles, bits, towards
from sec_nodes.controllers.mllm.power import (
    PRECISE,
    QUICK,
    PowerRules,
    Radio,
    Stages,
    Uplinks,
    best_powers,
)
from sec_nodes.controllers.mllm.tables import Tables, power_rules, tables
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.state import MllmState
from sec_nodes.slot import BoolArray, FloatArray, IntArray

IMPOSSIBLE = 1e9
"""Cost of a group that no UAV position covers; finite, so that differences stay numbers."""

_MOVES = 8
_FAINT = 1e-12
_SIZES = (3, 6, 12, 22, 64)


class Solved(NamedTuple):
    """G groups at their best."""

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


class Layout(NamedTuple):
    """G groups with their devices in the first of n places."""

    copy: IntArray
    """(G,) copy that each group belongs to."""
    receiver: IntArray
    """(G,) its receiver."""
    member: BoolArray
    """(G, K) its devices."""
    place: IntArray
    """(G, n) the same as numbers, then others."""
    present: BoolArray
    """(G, n) which of these are members."""

    @classmethod
    def of(cls, copy: IntArray, receiver: IntArray, member: BoolArray, largest: int) -> Layout:
        """Lay out groups; n is the lesser of `largest` and K."""
        place = np.argsort(~member, axis=1, kind='stable')[:, :largest]
        return cls(copy, receiver, member, place, np.take_along_axis(member, place, axis=1))

    @property
    def at(self) -> tuple[IntArray, IntArray, IntArray]:
        """Index (G, n) into tables (B, K, S)."""
        return self.copy[:, None], self.place, self.receiver[:, None]

    def by_device(self, values: FloatArray) -> FloatArray:
        """Values (G, n) of the members, by device (G, K); 0 for others."""
        table = np.zeros(self.member.shape)
        np.put_along_axis(table, self.place, np.where(self.present, values, 0), axis=1)
        return table


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
        self.bits = bits(state.device_m.shape[1])
        self.offers = self._offers(scenario, state)
        self._height2_m2 = np.square(np.array(settings.uavs.altitude_m))

    @cached_property
    def circles(self) -> Circles:
        """Circles around devices that fit into a UAV's coverage."""
        return Circles.around(self.device_m, self.settings.uavs.coverage_m)

    def solve(self, copy: IntArray, receiver: IntArray, member: BoolArray) -> Solved:
        """Least costs of groups, with UAVs placed by rule.

        Args:
            copy: (G,) copy that each group belongs to.
            receiver: (G,) its receiver.
            member: (G, K) its devices.
        """
        size = member.sum(axis=1)
        solved = Solved(np.zeros(len(copy)), np.zeros(member.shape), np.zeros((len(copy), 2)))
        low = 0
        for high in _SIZES:
            rows = np.flatnonzero((size > low) & (size <= high))
            low = high
            if not len(rows):
                continue
            groups = Layout.of(copy[rows], receiver[rows], member[rows], high)
            uav_m, covered = self.placed(groups)
            best = self.at_position(groups, uav_m, QUICK)
            solved.cost[rows] = np.where(covered, best.cost, IMPOSSIBLE)
            solved.power_w[rows] = groups.by_device(best.power_w)
            solved.uav_m[rows] = uav_m
        return solved

    def refine(self, copy: IntArray, receiver: IntArray, member: BoolArray) -> Solved:
        """Costs of groups with powers to full accuracy and UAVs moved as long as it helps.

        A UAV that sends its members' gains to the powers w_k moves towards the mean of their
        positions weighted by w_k / d_k^2, where the sum of w_k ln g_k is stationary; w_k is the
        fall of the group's cost with ln g_k.
        """
        groups = Layout.of(copy, receiver, member, member.shape[1])
        coverage_m = self.settings.uavs.coverage_m
        uav_m, covered = self.placed(groups)
        member_m = self.device_m[groups.at[:2]]
        height2_m2 = self._height2_m2[np.where(receiver < self.n_uavs, receiver, 0)][:, None]
        best = self.at_position(groups, uav_m, PRECISE)
        share = np.ones((len(copy), 1))
        for _ in range(_MOVES):
            distance2_m2 = np.square(uav_m[:, None] - member_m).sum(-1) + height2_m2
            pull = np.where(groups.present, np.maximum(best.gain_price, 0) + _FAINT, 0)
            weight = pull / distance2_m2
            weight /= np.maximum(weight.sum(axis=1, keepdims=True), _FAINT * 1e-9)
            mean_m = np.einsum('gn,gnd->gd', weight, member_m)
            goal_m = uav_m + share * (mean_m - uav_m)
            trial_m = towards(uav_m, goal_m, member_m, groups.present, coverage_m)
            trial = self.at_position(groups, trial_m, PRECISE)
            better = trial.cost < best.cost
            uav_m = np.where(better[:, None], trial_m, uav_m)
            best = best_of(better, trial, best)
            share = np.where(better[:, None], share, 0.4 * share)
        cost = np.where(covered, best.cost, IMPOSSIBLE)
        return Solved(cost, groups.by_device(best.power_w), uav_m)

    def at_position(self, groups: Layout, uav_m: FloatArray, stages: Stages) -> Radio:
        """Groups with their UAVs at given positions (G, 2) and all that they cost."""
        best = best_powers(self.uplinks(groups, uav_m), self.rules, stages)
        return best._replace(cost=self.total(groups, best))

    def placed(self, groups: Layout) -> tuple[FloatArray, BoolArray]:
        """Positions (G, 2) by rule and whether they cover the group, always so for satellites.

        The rule: as near to the devices' centroid as the UAV still covers them all.
        """
        centre_m, covered = self.circles.smallest(groups.copy, groups.member @ self.bits)
        goal_m, member_m = self.centroid_m(groups), self.device_m[groups.at[:2]]
        uav_m = towards(centre_m, goal_m, member_m, groups.present, self.settings.uavs.coverage_m)
        return uav_m, covered | (groups.receiver >= self.n_uavs)

    def centroid_m(self, groups: Layout) -> FloatArray:
        """Means (G, 2) of the members' positions [m]."""
        weight = groups.present / np.maximum(groups.present.sum(axis=1, keepdims=True), 1)
        return np.einsum('gn,gnd->gd', weight, self.device_m[groups.at[:2]])

    def uplinks(self, groups: Layout, uav_m: FloatArray) -> Uplinks:
        """Links (G, n) of groups whose UAV is at uav_m (G, 2)."""
        at, on_uav = groups.at, groups.receiver < self.n_uavs
        offset2_m2 = np.square(uav_m[:, None] - self.device_m[at[:2]]).sum(-1)
        height2_m2 = self._height2_m2[np.where(on_uav, groups.receiver, 0)][:, None]
        exponent = -0.5 * self.settings.radio.path_loss_exponent
        loss = np.where(on_uav[:, None], (offset2_m2 + height2_m2) ** exponent, 1.0)
        return Uplinks(
            load_s=np.where(groups.present, self.offers.load_s[at], 0),
            gain_w=np.where(groups.present, self.offers.gain_w[at] * loss, 0),
            slack_s=self.offers.slack_s[at],
            tail_s=self.offers.tail_s[at],
        )

    def total(self, groups: Layout, best: Radio) -> FloatArray:
        """Costs (G,) of groups with all that is not transmission."""
        cut_off = best.time_s > self.offers.ends_s[groups.at]
        penalty = self.settings.objective.violation_penalty
        rest = self.offers.base[groups.at] + penalty * cut_off
        return best.cost + np.where(groups.present, rest, 0).sum(axis=1)

    def _offers(self, scenario: Mllm, state: MllmState) -> ByReceiver:
        return by_receiver(tables(scenario, state), self.rules, scenario)


def best_of(better: BoolArray, new: Radio, old: Radio) -> Radio:
    """Groups of `new` where they are better (G,), of `old` elsewhere."""
    return Radio(
        *(
            np.where(better if one.ndim == 1 else better[:, None], one, other)
            for one, other in zip(new, old, strict=True)
        )
    )


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
