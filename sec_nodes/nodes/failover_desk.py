"""The coordinator's part in failovers: orphaned tasks become orders to go on elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sec_nodes.loop.ledger import Entry, Ledger, Outcome, Try
from sec_nodes.nodes.orders import migration_message, order_message
from sec_nodes.slot import DECLINED, LOCAL, SlotState
from sec_nodes.world import World
from sec_offload import msg

if TYPE_CHECKING:
    from sec_nodes.controllers.robust.emergency import Busy, Onward, Orphan
    from sec_nodes.scenarios.robust.offloading import RobustOffloading

EMERGENCY = 'emergency'
"""Who decides where orphans go on, as tries and batches name it."""


class Redirected(NamedTuple):
    """What becomes of tasks that a server has lost."""

    batch: msg.AssignmentBatch
    ended: list[Outcome]
    """Tasks that go nowhere."""
    migrations: list[msg.Migration]
    """One for each order of the batch."""


class FailoverDesk:
    """Sends orphans on, from what has been computed for them.

    Args:
        scenario: costs and rules.
        ledger: where tasks are kept.
    """

    def __init__(self, scenario: RobustOffloading, ledger: Ledger) -> None:
        from sec_nodes.controllers.robust import emergency

        self._emergency = emergency
        self._scenario, self._ledger = scenario, ledger

    def redirect(
        self, state: SlotState, orphans: Sequence[Entry], living: Sequence[int], now_s: float
    ) -> Redirected:
        """Place orphans and note their new tries.

        Args:
            state: the slot, whose positions and links hold.
            orphans: pending tasks that a server has lost.
            living: servers that are left.
            now_s: the instant [s].
        """
        row_of = {device: row for row, device in enumerate(state.devices.device_id.tolist())}
        lost = {
            entry.task.task_id: (entry, entry.last_try)
            for entry in orphans
            if entry.last_try is not None and entry.task.device_id in row_of
        }
        placed = self._emergency.redirect(
            self._scenario,
            state,
            [self._orphan(state, entry, row_of) for entry, _ in lost.values()],
            self._busy(),
            living,
            now_s,
        )
        batch = msg.AssignmentBatch(slot=state.slot, controller=EMERGENCY, repair=True)
        redirected = Redirected(batch, [], [])
        for onward in placed:
            entry, last = lost[onward.task_id]
            if onward.server == DECLINED:
                redirected.ended.append(self._ledger.reject(onward.task_id, onward.reason))
                continue
            attempt = _try(last, onward)
            number = self._ledger.assign(onward.task_id, attempt)
            batch.assignments.append(order_message(entry.task, number, attempt))
            redirected.migrations.append(
                migration_message(entry, attempt, state.slot, onward.size_bit, onward.moving_s)
            )
        return redirected

    def _busy(self) -> list[Busy]:
        return [
            self._emergency.Busy(entry.last_try.server, entry.last_try.compute_share)
            for entry in self._ledger.in_flight()
            if entry.last_try is not None and entry.last_try.server != LOCAL
        ]

    def _orphan(self, state: SlotState, entry: Entry, row_of: dict[int, int]) -> Orphan:
        task, last, held = entry.task, entry.last_try, entry.held
        begun = entry.begun or last
        assert last is not None and begun is not None
        row = row_of[task.device_id]
        orphan = self._emergency.Orphan(
            task_id=task.task_id,
            device=row,
            due_s=task.created_s + task.deadline_s,
            cut=begun.split,
            ready_s=self._front_end_s(state, row, begun),
            backup=last.backup,
            avoid=self._avoided(entry, state.n_servers),
        )
        if held is None:
            return orphan
        held_s = self._arrival_s(state, row, last)
        return replace(orphan, holder=held.server, held_cut=held.cut, held_s=held_s)

    def _avoided(self, entry: Entry, n_servers: int) -> frozenset[int]:
        """UAVs that have failed a task; all of them for a last try that its device can make."""
        is_last = entry.attempts + 1 >= self._ledger.max_attempts
        if is_last and self._scenario.settings.users.local_only:
            return frozenset(range(n_servers))
        return frozenset(entry.failed_by)

    def _front_end_s(self, state: SlotState, row: int, begun: Try) -> float:
        """When a device has done its layers [s]: first what it had promised before the slot."""
        free_s = state.time_s + float(state.devices.backlog_s[row])
        is_new = begun.assigned_s >= state.time_s
        begin_s = max(begun.assigned_s, free_s) if is_new else begun.assigned_s
        model = state.devices.model[row]
        front_s = state.models.front_flop[model, begun.split] / state.devices.flop_s[row]
        return float(begin_s + front_s)

    def _arrival_s(self, state: SlotState, row: int, last: Try) -> float:
        """When the tensor of a try was at its server [s]; in lockstep that may lie ahead."""
        size_bit = float(state.models.cut_bit[state.devices.model[row], last.split])
        if last.holder != LOCAL:
            place_m = state.servers.position_m
            rate = self._scenario.backhaul_rate_bit_s(place_m[last.holder], place_m[last.server])
            return last.assigned_s + size_bit / rate
        way = (np.array([row]), np.array([last.server]), np.array([last.power_w]))
        up = self._scenario.uplink(state.links, *way, np.array([size_bit]))
        return self._front_end_s(state, row, last) + float(up.time_s[0])


def _try(last: Try, onward: Onward) -> Try:
    return Try(
        server=onward.server,
        model_id=last.model_id,
        split=onward.cut,
        power_w=onward.power_w,
        compute_share=onward.compute_share,
        backup=LOCAL,
        controller=EMERGENCY,
        assigned_s=onward.start_s,
        holder=onward.holder,
        due_s=onward.end_s if onward.holder != LOCAL else math.inf,
    )


def failover_desk(world: World, ledger: Ledger) -> FailoverDesk | None:
    """The desk of a world whose tasks go on within their slot; None in others."""
    if world.failover is None:
        return None
    scenario: Any = world.scenario
    return FailoverDesk(scenario, ledger)
