"""The ledger of tasks: each one that is entered ends exactly once, with a stated outcome.

A task is *pending* until it is assigned, *in flight* until news of that try comes in, and then
either ends or is pending again. News of an earlier try, or of a task that has ended, is stale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from sec_nodes.slot import LOCAL, Status


@dataclass(frozen=True)
class Task:
    """What a device asks for."""

    task_id: int
    device_id: int
    slot: int
    created_s: float
    deadline_s: float
    accuracy: float
    answer_bit: float
    prompt: str = ''
    input_bit: float = 0.0
    steps: float = 1.0

    def fault(self) -> str:
        """Why the task makes no sense; empty if it does."""
        if self.task_id >= 2**63:
            return f'task_id = {self.task_id} must be below 2**63'
        if not math.isfinite(self.created_s):
            return f'created_s = {self.created_s} is no time'
        if not (math.isfinite(self.deadline_s) and self.deadline_s > 0):
            return f'deadline_s = {self.deadline_s} must be positive'
        if not 0 <= self.accuracy <= 1:
            return f'accuracy = {self.accuracy} must lie in [0, 1]'
        for name in ('answer_bit', 'input_bit'):
            if not 0 <= getattr(self, name) < math.inf:
                return f'{name} = {getattr(self, name)} must not be negative'
        if not 0 < self.steps < math.inf:
            return f'steps = {self.steps} must be positive'
        return ''


@dataclass(frozen=True)
class Timing:
    """Where the time of a task went [s]; the parts add up to its latency."""

    decision_s: float = 0.0
    lost_s: float = 0.0
    """In tries that were given up."""
    front_s: float = 0.0
    upload_s: float = 0.0
    wait_s: float = 0.0
    back_s: float = 0.0
    download_s: float = 0.0


@dataclass(frozen=True)
class Energy:
    """Where the energy of a task went [J]."""

    front_j: float = 0.0
    upload_j: float = 0.0
    back_j: float = 0.0
    download_j: float = 0.0


@dataclass(frozen=True)
class Try:
    """One attempt to get a task answered."""

    server: int
    model_id: str
    split: int
    power_w: float
    compute_share: float
    backup: int
    controller: str
    assigned_s: float
    holder: int = LOCAL
    """Server that passes the tensor on; `LOCAL` where the device sends it."""
    due_s: float = math.inf
    """When the answer should be there, where there is a reason to doubt that it comes [s]."""


@dataclass(frozen=True)
class Held:
    """What a server has of a task that it gives up."""

    server: int
    cut: int
    """Cut whose tensor it can pass on."""


@dataclass(frozen=True)
class Asked:
    """What the device had before it."""

    prompt: str = ''
    question_kind: str = ''
    picture: str = ''


@dataclass(frozen=True)
class Writing:
    """How a language model wrote its answer; zeros for a classifier."""

    tokens: int = 0
    batch: int = 0
    first_token_s: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What a device reports when an answer has arrived."""

    answer: str
    truth: str
    confidence: float
    answered_s: float
    observed_s: float
    front_inference_s: float
    back_inference_s: float
    timing: Timing
    energy: Energy
    asked: Asked = Asked()
    writing: Writing = Writing()


@dataclass(frozen=True)
class Outcome:
    """How one task ended."""

    task: Task
    status: Status
    reason: str
    attempts: int
    last_try: Try | None
    answer: Answer | None


@dataclass
class Entry:
    """A task that has not ended."""

    task: Task
    attempts: int = 0
    last_try: Try | None = None
    in_flight: bool = False
    last_reason: str = ''
    tries: list[Try] = field(default_factory=list)
    """All of them so far."""
    begun: Try | None = None
    """First of the tries in a row for which the device ran the same layers."""
    held: Held | None = None
    """Who can pass its tensor on since the last try was lost."""
    lost_by: int = LOCAL
    """Server that lost the last try that was lost."""
    failed_by: set[int] = field(default_factory=set)
    """Servers that lost a try of it."""
    spent_j: float = 0.0
    """Energy that servers have spent on tries that they gave up [J]."""


class Ledger:
    """Open tasks, and the counts of those that ended.

    Args:
        max_attempts: how often a task may be sent out.
        first_answer_counts: whether an answer of an earlier try is taken, where all tries answer
            alike; the server that was given up may just have been slow.
    """

    def __init__(self, max_attempts: int = 3, first_answer_counts: bool = False) -> None:
        self.max_attempts, self.first_answer_counts = max_attempts, first_answer_counts
        self.open: dict[int, Entry] = {}
        self.ended: dict[Status, int] = dict.fromkeys(Status, 0)
        self.stale = 0
        self._seen: set[int] = set()

    @property
    def created(self) -> int:
        """Tasks entered so far."""
        return len(self._seen)

    def pending(self) -> list[Entry]:
        """Open tasks that wait for a decision, in the order of their numbers."""
        return [self.open[key] for key in sorted(self.open) if not self.open[key].in_flight]

    def in_flight(self) -> list[Entry]:
        """Open tasks that were sent out, in the order of their numbers."""
        return [self.open[key] for key in sorted(self.open) if self.open[key].in_flight]

    def enter(self, task: Task) -> Outcome | None:
        """Enter a new task; one that makes no sense is rejected at once.

        A task whose number was entered before is the same task reported again: it is ignored.
        """
        if task.task_id in self._seen:
            return None
        self._seen.add(task.task_id)
        self.open[task.task_id] = Entry(task)
        fault = task.fault()
        return self.reject(task.task_id, f'invalid_task: {fault}') if fault else None

    def assign(self, task_id: int, attempt: Try) -> int:
        """Note that a pending task is sent out; returns the number of this try, from 0."""
        entry = self.open[task_id]
        if entry.in_flight:
            raise ValueError(f'task {task_id} is in flight already; wait for news of that try')
        entry.last_try, entry.in_flight, entry.held = attempt, True, None
        entry.tries.append(attempt)
        if attempt.holder == LOCAL and not _same_front(entry.begun, attempt):
            entry.begun = attempt
        entry.attempts += 1
        return entry.attempts - 1

    def is_current(self, task_id: int, attempt: int) -> bool:
        """Whether a try is the one that the ledger waits for."""
        entry = self.open.get(task_id)
        return entry is not None and entry.in_flight and entry.attempts - 1 == attempt

    def takes_earlier(self, task_id: int, attempt: int) -> bool:
        """Whether an answer of a try that was given up is still welcome."""
        entry = self.open.get(task_id)
        return (
            self.first_answer_counts
            and entry is not None
            and not self.is_current(task_id, attempt)
            and 0 <= attempt < entry.attempts
        )

    def answered(self, task_id: int, attempt: int, answer: Answer) -> Outcome | None:
        """Close a task whose answer has arrived; None if the news is stale."""
        if self.takes_earlier(task_id, attempt):
            self.open[task_id].last_try = self.open[task_id].tries[attempt]
        elif not self._accept(task_id, attempt):
            return None
        task = self.open[task_id].task
        latency_s = answer.answered_s - task.created_s
        in_time = latency_s <= task.deadline_s * (1 + 1e-9)
        return self._end(task_id, Status.DONE if in_time else Status.LATE, '', answer)

    def lost(
        self, task_id: int, attempt: int, reason: str, culprit: int | None = None
    ) -> Outcome | None:
        """Note that a try was lost. The task is pending again, or fails if it was the last try.

        Args:
            task_id: the task.
            attempt: the try.
            reason: why.
            culprit: server that lost it, if that was not the one that should compute.
        """
        if not self._accept(task_id, attempt):
            return None
        entry = self.open[task_id]
        entry.in_flight, entry.last_reason = False, reason
        if culprit is None and entry.last_try is not None:
            culprit = entry.last_try.server
        entry.lost_by = LOCAL if culprit is None else culprit
        entry.failed_by |= {entry.lost_by} - {LOCAL}
        if entry.attempts >= self.max_attempts:
            return self._end(task_id, Status.FAILED, reason)
        return None

    def handed_over(
        self, task_id: int, attempt: int, reason: str, held_cut: int, spent_j: float
    ) -> Outcome | None:
        """Note that a server gives a try up, but can pass its tensor on; else like `lost`."""
        if not self.is_current(task_id, attempt):
            return self.lost(task_id, attempt, reason)
        entry = self.open[task_id]
        entry.spent_j += spent_j
        if entry.last_try is not None:
            entry.held = Held(entry.last_try.server, held_cut)
        return self.lost(task_id, attempt, reason)

    def failed(self, task_id: int, attempt: int, reason: str) -> Outcome | None:
        """Close a task for whose failure another try is no remedy."""
        if not self._accept(task_id, attempt):
            return None
        return self._end(task_id, Status.FAILED, reason)

    def reject(self, task_id: int, reason: str) -> Outcome:
        """Close a pending task that is not sent out, or not again.

        A task that has been tried before has failed, for the reason that its last try gave.
        """
        entry = self.open[task_id]
        if entry.attempts:
            return self._end(task_id, Status.FAILED, f'{entry.last_reason}; then {reason}')
        return self._end(task_id, Status.REJECTED, reason)

    def abandon(self, reason: str) -> list[Outcome]:
        """Close every open task, because the run ends."""
        return [self._end(task_id, Status.FAILED, reason) for task_id in sorted(self.open)]

    def _accept(self, task_id: int, attempt: int) -> bool:
        current = self.is_current(task_id, attempt)
        self.stale += not current
        return current

    def _end(
        self, task_id: int, status: Status, reason: str, answer: Answer | None = None
    ) -> Outcome:
        entry = self.open.pop(task_id)
        self.ended[status] += 1
        if answer is not None and entry.last_try is not None:
            energy = replace(answer.energy, back_j=answer.energy.back_j + entry.spent_j)
            first_s = entry.tries[0].assigned_s
            timing = replace(
                answer.timing,
                decision_s=first_s - entry.task.created_s,
                lost_s=entry.last_try.assigned_s - first_s,
            )
            answer = replace(answer, timing=timing, energy=energy)
        return Outcome(entry.task, status, reason, entry.attempts, entry.last_try, answer)


def _same_front(one: Try | None, other: Try) -> bool:
    """Whether the device ran the same layers for two tries."""
    return one is not None and (one.model_id, one.split) == (other.model_id, other.split)
