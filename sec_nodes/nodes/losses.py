"""The coordinator's part in failures: who has fallen silent, and where their tasks go on."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from sec_nodes.loop.ledger import Entry
from sec_nodes.nodes import names
from sec_nodes.slot import LOCAL
from sec_offload import msg

if TYPE_CHECKING:
    from sec_nodes.nodes.coordinator import CoordinatorNode

SILENT, RESTARTED = 'silent', 'started again'
SAID = {SILENT: 'is silent', RESTARTED: 'has started again'}
"""Reasons for which servers are lost that they have not given themselves, in full."""
SLOT_PATIENCE_S = 120.0
"""Wall time for the servers' part of a slot in lockstep [s]; what they wait for themselves they
give up sooner."""
SERVER_FAILING = 'server_failing'
"""How reasons begin for which servers give tasks up that they fail with."""


class Losses:
    """Notices failures, takes tries back, and sends tasks on.

    In worlds with a failover every task whose try at a server is lost goes on at once; in others
    those of servers that are lost while a slot is served do.

    Args:
        node: the coordinator.
    """

    def __init__(self, node: CoordinatorNode) -> None:
        self.left_out: set[int] = set()
        """Servers that take no part until they report on a slot that opens: those that have
        started again, and know neither time nor assignments, and those that did not finish one."""
        self._node, self._desk, self._muster = node, node.desk, node.muster
        self._fails_over = node.world.failover is not None
        self.failures = node.advertise(names.FAILURE)
        self.notices = node.advertise(names.FAILURE_NOTICE)
        self.migrations = node.advertise(names.MIGRATION)
        self._orphans: dict[int, tuple[Entry, float]] = {}
        self._last_words: dict[int, float] = {}
        """Until when servers that fail in good order may say what they hand over [s, listened]."""
        self._given_up: Counter[int] = Counter()

    @property
    def is_quiet(self) -> bool:
        """Whether no task waits for being sent on."""
        return not self._orphans

    # -- who is there ----------------------------------------------------------------------------

    def serving(self) -> list[int]:
        """Servers that take part in the slot, ascending."""
        return [one for one in self._muster.servers.living() if one not in self.left_out]

    def look(self) -> None:
        """Look after what time alone changes."""
        self._notice_silence()
        for server, until_s in list(self._last_words.items()):
            if self._muster.listened_s > until_s:
                self._take_back(server, still_relays=True)
        self._give_up_tries()
        self._leave_out_the_slow()
        self.send_on()

    def hear_server(self, state: msg.ServerState, slot: int) -> None:
        """A server lives, or says that it fails; it may have started again since."""
        node, server = self._node, state.server_id
        before = self._muster.servers.state.get(server)
        was_missing = self._muster.servers.heard(server, state, slot, self._muster.listened_s)
        restarted = before is not None and state.started_ns != before.started_ns
        if not state.alive:
            self._muster.servers.lose(server)
            if not was_missing:
                self._lose_in_order(server, state.failing)
            return
        if was_missing:
            node.get_logger().warning(f'{state.name} is back')
            if server in self._last_words:
                self._take_back(server)
        if restarted:
            self.left_out.add(server)
            if slot < 0:
                self._muster.servers.slot.pop(server, None)
            if not was_missing:
                self._lose([server], RESTARTED)
        if node.is_gathering and slot == node.slot:
            self.left_out.discard(server)

    def _notice_silence(self) -> None:
        node = self._node
        for device in self._muster.devices.newly_missing(self._muster.listened_s):
            node.complain('device lost', f'device {device} is silent')
            self._desk.lose_device(device)
        self._lose(self._muster.servers.newly_missing(self._muster.listened_s), SILENT)

    def _lose(self, lost: list[int], reason: str) -> None:
        """What was under way on servers is gone."""
        for server in lost:
            self._notify(server, reason)
        for server in lost:
            self._take_back(server)
        node = self._node
        if node.is_serving and any(s >= node.world.settings.uavs.count for s in lost):
            self._relay_alone()
        self.send_on()

    def _relay_alone(self) -> None:
        """The satellite is lost within the slot: UAVs that work with it go on without."""
        batch = self._node.dispatcher.without_satellite()
        if batch.relays:
            self._node.send(batch)

    def _lose_in_order(self, server: int, reason: str) -> None:
        """A server says that it fails: what it can hand over comes in reports of its own."""
        if not self._fails_over:
            self._lose([server], reason or 'failed')
            return
        self._notify(server, reason or 'failed')
        self._last_words[server] = self._muster.listened_s + self._muster.servers.timeout_s

    def _notify(self, server: int, reason: str) -> None:
        node = self._node
        name = node.names[server]
        node.complain('server lost', f'{name} {SAID.get(reason, f"fails: {reason}")}')
        node.outcome.servers_lost = [*node.outcome.servers_lost, server]
        notice = msg.FailureNotice(
            slot=max(node.slot, 0),
            server_id=server,
            name=name,
            reason=reason,
            noticed_s=node.now_s,
            silence_s=self._muster.servers.silence_s(server, self._muster.listened_s),
            tasks=len(self._desk.at_server(server)) + self._given_up.pop(server, 0),
        )
        notice.header.stamp = node.stamp_of_now()
        self.notices.publish(notice)

    def _leave_out_the_slow(self) -> None:
        """Where the clock waits for servers, it does not wait for good."""
        node = self._node
        waited_s = time.monotonic() - node.phase_at
        if not (node.is_serving and node.clock.lockstep and waited_s > SLOT_PATIENCE_S):
            return
        for server in self.unfinished():
            node.complain(
                'unfinished slot',
                f'{node.names[server]} has not finished slot {node.slot} in {waited_s:.0f} s',
            )
            self.left_out.add(server)

    def unfinished(self) -> list[int]:
        """Servers that have not yet said that they know, or have done, what the slot asks for."""
        state = self._muster.servers.state
        return [one for one in self.serving() if state[one].decision_slot < self._node.slot]

    # -- what becomes of tasks -------------------------------------------------------------------

    def take_report(self, report: msg.TaskReport) -> None:
        """A try has brought an answer, or has failed."""
        server, servers = report.server, self._muster.servers
        entry = self._desk.take(report)
        if entry is None:
            return
        if report.reason.startswith(SERVER_FAILING) and servers.is_living(server):
            self._given_up[server] += 1
        if self._fails_over:
            self._orphan(entry, self._node.now_s)

    def take_back_undelivered(self, batch: msg.AssignmentBatch) -> None:
        """Tries of a decision at servers that were lost while it was made go on elsewhere."""
        node, serving = self._node, {LOCAL, *self.serving()}
        for order in batch.assignments:
            if order.server in serving:
                continue
            entry = node.ledger.open[order.task_id]
            reason = f'server_lost: {node.names[order.server]}'
            self._desk.give_up(entry, reason, culprit=order.server)
            if node.world.missions is None and order.task_id in node.ledger.open:
                self._orphan(entry, node.now_s)
        if any(relay.satellite not in serving for relay in batch.relays):
            self._relay_alone()
        self.send_on()

    def send_on(self) -> None:
        """Send orphaned tasks elsewhere, all that are known of together."""
        if not self._orphans:
            return
        node, orphans = self._node, list(self._orphans.values())
        self._orphans.clear()
        redirected = node.dispatcher.redirect(
            [entry for entry, _ in orphans if entry.task.task_id in node.ledger.open],
            self.serving(),
            max(from_s for _, from_s in orphans),
        )
        if redirected.batch.assignments:
            node.send(redirected.batch)
        for migration in redirected.migrations:
            migration.header.stamp = node.stamp_of_now()
            self.migrations.publish(migration)
        for outcome in redirected.ended:
            self._desk.end(outcome)

    def _take_back(self, server: int, still_relays: bool = False) -> None:
        """Close the tries that a server has lost; in lockstep their loss took time to notice."""
        node = self._node
        self._last_words.pop(server, None)
        waited_s = node.chosen.heartbeat_timeout_s if node.clock.lockstep else 0.0
        planned_anew = node.world.missions is not None
        for entry in self._desk.lose_server(server, still_relays):
            if self._fails_over or (node.is_serving and not planned_anew):
                self._orphan(entry, node.now_s + waited_s)

    def _orphan(self, entry: Entry, from_s: float) -> None:
        if entry.last_try is not None and entry.last_try.server != LOCAL:
            self._orphans[entry.task.task_id] = (entry, from_s)

    def _give_up_tries(self) -> None:
        """Give up tries of which nothing was heard for too long."""
        node = self._node
        if not node.is_serving:
            return
        for entry in node.ledger.in_flight():
            if self._is_overdue(entry):
                holder = entry.last_try.holder if entry.last_try is not None else LOCAL
                self._desk.give_up(entry, 'no_news', culprit=None if holder == LOCAL else holder)
                if self._fails_over and entry.task.task_id in node.ledger.open:
                    self._orphan(entry, node.now_s)

    def _is_overdue(self, entry: Entry) -> bool:
        node, last = self._node, entry.last_try
        patience_s = node.chosen.attempt_timeout_s
        if node.clock.lockstep or last is None:
            return time.monotonic() - max(node.phase_at, node.news_at) > patience_s
        due_s = min(
            last.assigned_s + patience_s + entry.task.deadline_s,
            last.due_s + node.world.settings.slot_s,
        )
        return node.now_s > due_s

    # -- on command ------------------------------------------------------------------------------

    def inject(self, request: Any, response: Any) -> Any:
        """Make a server fail, or recover."""
        node, most = self._node, msg.Failure.BATTERY
        if request.server_id not in self._muster.servers.expected or request.kind > most:
            response.success = False
            response.message = (
                f'server_id = {request.server_id}, kind = {request.kind}: '
                f'servers are 0..{len(node.names) - 1}, kinds 0..{most}'
            )
            return response
        failure = msg.Failure(server_id=request.server_id, kind=request.kind)
        failure.header.stamp = node.stamp_of_now()
        self.failures.publish(failure)
        response.success, response.message = True, node.names[request.server_id]
        return response
