"""The ledger's mouth and ears: task requests and reports come in, outcomes go out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sec_nodes.loop.ledger import Entry, Ledger, Outcome
from sec_nodes.nodes import names
from sec_nodes.nodes.base import SecNode
from sec_nodes.nodes.convert import answer_from, outcome_message, task_from
from sec_nodes.scenarios.offloading import Offloading
from sec_nodes.slot import LOCAL
from sec_offload import msg


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

    def take(self, report: msg.TaskReport) -> None:
        """A try has brought an answer, or has failed."""
        task_id, attempt = report.task_id, report.attempt
        if report.kind == msg.TaskReport.ANSWERED:
            outcome = self._ledger.answered(task_id, attempt, answer_from(report))
        elif report.kind == msg.TaskReport.LOST:
            outcome = self._ledger.lost(task_id, attempt, report.reason)
        else:
            outcome = self._ledger.failed(task_id, attempt, report.reason)
        if outcome is not None:
            self.end(outcome)

    def lose_device(self, device: int) -> None:
        """Nobody will receive the answers for a device: close its tasks."""
        for entry in self._ledger.in_flight():
            if entry.task.device_id == device:
                self.give_up(entry, 'device_lost', for_good=True)
        for entry in self._ledger.pending():
            if entry.task.device_id == device:
                self.end(self._ledger.reject(entry.task.task_id, 'device_lost'))

    def lose_server(self, server: int) -> list[Entry]:
        """Take back the tasks of a lost server; gives those that may be sent elsewhere."""
        orphans = []
        for entry in self._ledger.in_flight():
            if entry.last_try is not None and entry.last_try.server == server:
                self.give_up(entry, f'server_lost: {self._scenario.server_name(server)}')
                orphans.append(entry)
        return [entry for entry in orphans if entry.task.task_id in self._ledger.open]

    def give_up(self, entry: Entry, reason: str, for_good: bool = False) -> None:
        """Close the current try of a task, and tell the nodes that wait for it."""
        last, task_id, attempt = entry.last_try, entry.task.task_id, entry.attempts - 1
        close = self._ledger.failed if for_good else self._ledger.lost
        outcome = close(task_id, attempt, reason)
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
