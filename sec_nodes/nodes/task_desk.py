"""The ledger's mouth and ears: task requests and reports come in, outcomes go out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from sec_nodes.loop.ledger import Entry, Ledger, Outcome
from sec_nodes.nodes import names
from sec_nodes.nodes.base import SecNode
from sec_nodes.nodes.task_messages import answer_from, outcome_message, task_from
from sec_nodes.scenarios.offloading import Offloading
from sec_nodes.slot import LOCAL
from sec_offload import msg

HANDOVER_FAILED = 'handover_failed'
"""How the reason of a server begins that cannot pass a tensor on."""


class TaskDesk:
    """Keeps the ledger of a run in step with the messages about its tasks.

    Args:
        node: the coordinator.
        scenario: names servers and models.
        ledger: where tasks are kept.
        stamp: gives the ROS time of now.
    """

    def __init__(
        self, node: SecNode, scenario: Offloading, ledger: Ledger, stamp: Callable[[], Any]
    ) -> None:
        self.outcomes = node.advertise(names.TASK_OUTCOME)
        self.news = node.advertise(names.TASK_REPORT)
        self._node, self._scenario, self._ledger, self._stamp = node, scenario, ledger, stamp

    def enter(self, requests: Iterable[msg.TaskRequest], slot: int) -> int:
        """Enter the tasks of a slot; says how many of them are new."""
        known = self._ledger.created
        for request in requests:
            rejected = self._ledger.enter(task_from(request, slot))
            if rejected is not None:
                self.end(rejected)
        return self._ledger.created - known

    def take(self, report: msg.TaskReport) -> Entry | None:
        """A try has brought an answer, or has failed; gives the task if it may be sent again."""
        task_id, attempt, reason = report.task_id, report.attempt, report.reason
        answers = report.kind == msg.TaskReport.ANSWERED
        earlier = answers and self._ledger.takes_earlier(task_id, attempt)
        if not (earlier or self._ledger.is_current(task_id, attempt)):
            self._ledger.stale += 1
            return None
        entry = self._ledger.open[task_id]
        if answers:
            outcome = self._ledger.answered(task_id, attempt, answer_from(report))
        elif report.kind == msg.TaskReport.HANDOVER and self._can_be(report, entry):
            outcome = self._ledger.handed_over(
                task_id, attempt, reason, report.held_cut, report.spent_j
            )
        elif report.kind in (msg.TaskReport.LOST, msg.TaskReport.HANDOVER):
            outcome = self._ledger.lost(task_id, attempt, reason, self._culprit(report, entry))
        else:
            outcome = self._ledger.failed(task_id, attempt, reason)
        if outcome is not None:
            self.end(outcome)
            return None
        return entry

    def _can_be(self, report: msg.TaskReport, entry: Entry) -> bool:
        """Whether a server can hold what it says that it does."""
        last, models = entry.last_try, self._scenario.models
        if last is None or last.model_id not in models.model_id:
            return False
        whole = models.n_cuts[models.model_id.index(last.model_id)] - 1
        sound = last.split <= report.held_cut < whole and 0 <= report.spent_j < math.inf
        if not sound:
            self._node.complain(
                'bad handover',
                f'task {report.task_id} at cut {report.held_cut} of {last.model_id!r} after '
                f'{report.spent_j} J',
            )
        return bool(sound)

    def _culprit(self, report: msg.TaskReport, entry: Entry) -> int | None:
        """Who lost a try: a server that should have passed its tensor on, else the target."""
        failed = report.reason.startswith(HANDOVER_FAILED)
        return entry.last_try.holder if failed and entry.last_try is not None else None

    def lose_device(self, device: int) -> None:
        """Nobody will receive the answers for a device: close its tasks."""
        for entry in self._ledger.in_flight():
            if entry.task.device_id == device:
                self.give_up(entry, 'device_lost', for_good=True)
        for entry in self._ledger.pending():
            if entry.task.device_id == device:
                self.end(self._ledger.reject(entry.task.task_id, 'device_lost'))

    def at_server(self, server: int) -> list[Entry]:
        """Tasks under way that a server shall answer."""
        tries = ((entry, entry.last_try) for entry in self._ledger.in_flight())
        return [entry for entry, last in tries if last is not None and last.server == server]

    def relayed_by(self, server: int) -> list[Entry]:
        """Tasks under way whose tensor a server shall pass on."""
        tries = ((entry, entry.last_try) for entry in self._ledger.in_flight())
        return [entry for entry, last in tries if last is not None and last.holder == server]

    def lose_server(self, server: int, still_relays: bool = False) -> list[Entry]:
        """Take back the tasks of a lost server; gives those that may be sent elsewhere.

        Args:
            server: that is lost.
            still_relays: whether it passes on what it was told to.
        """
        reason = f'server_lost: {self._scenario.server_name(server)}'
        orphans = self.at_server(server) + ([] if still_relays else self.relayed_by(server))
        for entry in orphans:
            self.give_up(entry, reason, culprit=server)
        return [entry for entry in orphans if entry.task.task_id in self._ledger.open]

    def give_up(
        self, entry: Entry, reason: str, for_good: bool = False, culprit: int | None = None
    ) -> None:
        """Close the current try of a task, and tell the nodes that wait for it."""
        last, task_id, attempt = entry.last_try, entry.task.task_id, entry.attempts - 1
        if for_good:
            outcome = self._ledger.failed(task_id, attempt, reason)
        else:
            outcome = self._ledger.lost(task_id, attempt, reason, culprit)
        report = msg.TaskReport(
            kind=msg.TaskReport.LOST,
            reason=reason,
            reporter=self._node.get_name(),
            task_id=task_id,
            attempt=attempt,
            server=last.server if last is not None else LOCAL,
        )
        self.news.publish(report)
        if outcome is not None:
            self.end(outcome)

    def abandon(self, reason: str) -> None:
        """Close every open task, because the run ends."""
        for outcome in self._ledger.abandon(reason):
            self.end(outcome)

    def end(self, outcome: Outcome) -> None:
        """Publish how a task ended."""
        models, last = self._scenario.models, outcome.last_try
        accuracy = 0.0
        if last is not None and last.model_id in models.model_id:
            accuracy = float(models.accuracy[models.model_id.index(last.model_id)])
        server_name = self._scenario.server_name(last.server) if last is not None else ''
        message = outcome_message(outcome, server_name, accuracy, declined=last is None)
        message.header.stamp = self._stamp()
        self.outcomes.publish(message)
