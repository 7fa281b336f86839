"""Groups of an mllm slot whose servers have queues and whose UAVs fly at a limited speed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sec_nodes.controllers.mllm.bound import without_queues
from sec_nodes.controllers.mllm.groups import (
    IMPOSSIBLE,
    ByReceiver,
    Groups,
    Layout,
    Solved,
    best_of,
)
from sec_nodes.controllers.mllm.placement import towards
from sec_nodes.controllers.mllm.power import PRECISE, Radio, best_powers
from sec_nodes.controllers.mllm.tables import tables
from sec_nodes.physics.queueing import fcfs_admission_s
from sec_nodes.scenarios.mllm import Mllm
from sec_nodes.scenarios.mllm.state import MllmState
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_PROJECTIONS = 20
_INSIDE_M = 1e-4


class QueuedGroups(Groups):
    """Groups by executing server, which serves its tasks first come, first served.

    Interference between groups at servers behind the same access satellite is left out, and waits
    do not enter the choice of powers in `solve`; both are small beside the waits themselves.
    """

    def __init__(self, scenario: Mllm, state: MllmState) -> None:
        settings = scenario.settings
        self._uav_m, self._backlog_s = state.uav_m, state.backlog_s
        self._deadline_s = state.deadline_s
        self._area_m = np.array(settings.area_m)
        speed_m_s = settings.uavs.speed_m_s
        self._step_m = np.inf if speed_m_s is None else speed_m_s * settings.slot_s
        super().__init__(scenario, state)
        self.offers = replace(self.offers, alone=self._alone())

    def refine(self, copy: IntArray, receiver: IntArray, member: BoolArray) -> Solved:
        """Costs of groups with powers to full accuracy for the time that waits leave."""
        groups = Layout.of(copy, receiver, member, member.shape[1])
        uav_m, covered = self.placed(groups)
        first = self.at_position(groups, uav_m, PRECISE)
        wait_s, _ = self._waits(groups, first)
        uplinks = self.uplinks(groups, uav_m)
        uplinks = replace(uplinks, slack_s=uplinks.slack_s - wait_s)
        second = best_powers(uplinks, self.rules, PRECISE)
        second = second._replace(cost=self.total(groups, second))
        best = best_of(second.cost < first.cost, second, first)
        cost = np.where(covered, best.cost, IMPOSSIBLE)
        return Solved(cost, groups.by_device(best.power_w), uav_m)

    def placed(self, groups: Layout) -> tuple[FloatArray, BoolArray]:
        """As near to the devices' centroid as the UAV gets and still covers them all.

        A covering position within reach is found by projecting in turn on the discs of coverage
        and on what the UAV can reach; all are convex.
        """
        coverage_m = self.settings.uavs.coverage_m
        on_uav = groups.receiver < self.n_uavs
        uav = np.where(on_uav, groups.receiver, 0)
        start_m = self._uav_m[groups.copy, uav]
        member_m = self.device_m[groups.at[:2]]
        uav_m = start_m
        each = np.arange(len(uav))
        for _ in range(_PROJECTIONS):
            offset_m = member_m - uav_m[:, None]
            distance_m = np.where(groups.present, np.linalg.norm(offset_m, axis=-1), 0)
            farthest = distance_m.argmax(axis=1)
            excess_m = distance_m[each, farthest] - (coverage_m - _INSIDE_M)
            if not (on_uav & (excess_m > 0)).any():
                break
            share = np.maximum(excess_m + _INSIDE_M / 2, 0) / np.maximum(
                distance_m[each, farthest], 1e-9
            )
            share = np.where(excess_m > 0, share, 0)
            uav_m = self._reached(start_m, uav_m + share[:, None] * offset_m[each, farthest])
        distance_m = np.linalg.norm(member_m - uav_m[:, None], axis=-1)
        covered = np.all(np.where(groups.present, distance_m, 0) <= coverage_m, axis=1)
        covered = np.asarray(covered)
        goal_m = self._reached(start_m, self.centroid_m(groups))
        nearer_m = towards(uav_m, goal_m, member_m, groups.present, coverage_m)
        return np.where(covered[:, None], nearer_m, uav_m), covered | ~on_uav

    def total(self, groups: Layout, best: Radio) -> FloatArray:
        """Costs (G,) of groups with waits and drops."""
        offers, rules, at = self.offers, self.rules, groups.at
        wait_s, dropped = self._waits(groups, best)
        deadline_s = self._deadline_s[at[:2]]
        latency_s = self._fixed_s[at] + best.time_s + wait_s
        sent_j = best.power_w * (best.time_s + offers.tail_s[at])
        broken = self._broken[at] + (best.time_s + wait_s > offers.ends_s[at]) + dropped
        latency_s = np.where(dropped, 2 * deadline_s, latency_s)
        energy_j = sent_j + np.where(dropped, 0, self._fixed_j[at])
        cost = (
            rules.time_price * latency_s
            + rules.late_price * np.maximum(latency_s - deadline_s, 0)
            + rules.energy_price * energy_j
            + self.settings.objective.violation_penalty * broken
        )
        return np.where(groups.present, cost, 0).sum(axis=1)

    def _waits(self, groups: Layout, best: Radio) -> tuple[FloatArray, BoolArray]:
        """Waits (G, n) [s] and who is dropped."""
        queue = self.settings.queue
        if not queue.enabled:
            nothing = np.zeros(groups.present.shape)
            return nothing, nothing > 0
        wait_s, dropped, _ = fcfs_admission_s(
            best.time_s + self._forward_s[groups.at],
            self._compute_s[groups.at],
            np.where(groups.present, 0, -1),
            self._backlog_s[groups.copy, groups.receiver][:, None],
            queue.longest_wait_s,
        )
        return wait_s, dropped

    def _reached(self, start_m: FloatArray, goal_m: FloatArray) -> FloatArray:
        """Positions (G, 2) on the way to the goals that are reached within the slot."""
        way_m = goal_m - start_m
        length_m = np.linalg.norm(way_m, axis=-1, keepdims=True)
        share = np.minimum(1, self._step_m / np.maximum(length_m, 1e-9))
        return np.clip(start_m + share * way_m, 0, self._area_m)

    def _offers(self, scenario: Mllm, state: MllmState) -> ByReceiver:
        """The tables by executing server."""
        table = tables(without_queues(scenario), state)
        self._fixed_s, self._fixed_j, self._broken = table.fixed_s, table.fixed_j, table.broken
        self._compute_s, self._forward_s = table.compute_s, table.forward_s
        itself = np.broadcast_to(np.arange(self.n_servers), table.base.shape)
        return ByReceiver(
            executor=itself,
            base=table.base,
            load_s=table.load_s,
            slack_s=table.slack_s,
            tail_s=table.tail_s,
            ends_s=table.ends_s,
            gain_w=np.concatenate([table.metre_gain_w, table.space_gain_w], axis=2),
            alone=np.zeros(table.base.shape),
        )

    def _alone(self) -> FloatArray:
        """Costs (B, K, S) of each device as the only one that the server gets in this slot."""
        shape = self.offers.base.shape
        copy, device, server = (index.reshape(-1) for index in np.indices(shape))
        member = device[:, None] == np.arange(shape[1])
        return self.solve(copy, server, member).cost.reshape(shape)
