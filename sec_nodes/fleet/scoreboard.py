"""Keeps the score of a run from its messages, without ROS: messages are read, never made."""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sec_nodes.fleet.mission_board import MissionBoard
from sec_nodes.fleet.snapshot import (
    RUN_STATES,
    STAGES,
    STATUSES,
    WAYS,
    PassView,
    RelayView,
    ServerView,
    Snapshot,
    TaskView,
)
from sec_nodes.report.questions import judge

RECENT = 12
EVENTS = 20
LATENCIES = 100_000
"""Latencies kept for percentiles."""


class Scoreboard:
    """Takes messages in one thread and gives snapshots in another.

    Args:
        area_m: east and north extent of the area [m].
        batteries_j: full battery of a UAV [J]; none where energy is no limit.
        servers: names of all servers, by their numbers.
        moves_tasks: whether the coordinator tells where tasks of failed servers go on.
        on_slot: called with a snapshot when a slot is closed.
        on_event: called with the text of each event; must not call back.
        first: values that hold before the first message.
    """

    def __init__(
        self,
        area_m: tuple[float, float],
        batteries_j: float | None,
        servers: Mapping[int, str],
        moves_tasks: bool = False,
        on_slot: Callable[[Snapshot], None] | None = None,
        on_event: Callable[[str], None] | None = None,
        **first: Any,
    ) -> None:
        self._on_slot = on_slot
        self._on_event = on_event
        self._battery_j = batteries_j
        self._names, self._moves_tasks = dict(servers), moves_tasks
        self._lock = threading.Lock()
        self._values: dict[str, Any] = {'area_m': area_m, **first}
        self._ended: Counter[str] = Counter()
        self._served: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._energy_j: Counter[str] = Counter()
        self._right = self._known = 0
        self._latencies_s: deque[float] = deque(maxlen=LATENCIES)
        self._repaired = self._dropped = 0
        self._tasks: set[int] = set()
        self._devices: dict[int, tuple[float, float]] = {}
        self._links: dict[int, str] = {}
        self._servers: dict[str, ServerView] = {}
        self._relays: dict[str, RelayView] = {}
        self._relayed: set[tuple[int, int]] = set()
        self._uploaded_bit, self._late_batches = 0.0, 0
        self._files: dict[str, float] = {}
        self._mission = MissionBoard(self._name)
        self._noticed: set[str] = set()
        self._moved: Counter[tuple[str, str]] = Counter()
        self._recent: deque[TaskView] = deque(maxlen=RECENT)
        self._events: deque[str] = deque(maxlen=EVENTS)

    def snapshot(self) -> Snapshot:
        """What is known now."""
        with self._lock:
            p50_s, p95_s = _percentiles(self._latencies_s)
            return Snapshot(
                **self._values,
                ended=dict(self._ended),
                served={name: dict(counts) for name, counts in self._served.items()},
                latency_p50_s=p50_s,
                latency_p95_s=p95_s,
                energy_j=dict(self._energy_j),
                right=self._right,
                judged=self._known,
                repaired=self._repaired,
                dropped=self._dropped,
                devices=dict(self._devices),
                links=dict(self._links),
                servers=dict(self._servers),
                relays=dict(self._relays),
                uploaded_bit=self._uploaded_bit,
                late_batches=self._late_batches,
                files=len(self._files),
                delivered_bit=sum(self._files.values()),
                mission=self._mission.view(),
                recent=tuple(reversed(self._recent)),
                events=tuple(reversed(self._events)),
            )

    def note(self, text: str) -> None:
        """Add an event."""
        with self._lock:
            self._note(text)

    def on_run_state(self, message: Any) -> None:
        """sec_offload/msg/RunState."""
        with self._lock:
            state = RUN_STATES[message.state]
            if state != self._values.get('state') and state in ('draining', 'aborted'):
                self._note(f'run is {state}' + (f': {message.detail}' if message.detail else ''))
            created = self._values.get('created', 0)
            self._values.update(
                run=message.run,
                scenario=message.scenario,
                state=state,
                detail=message.detail,
                slot=message.slot,
                slots=message.slots,
                speed=message.speed,
                created=max(message.tasks_created, created),
            )

    def on_slot_start(self, message: Any) -> None:
        """sec_offload/msg/SlotStart."""
        with self._lock:
            self._values.update(slot=message.slot, time_s=message.start_s)

    def on_device_report(self, message: Any) -> None:
        """sec_offload/msg/DeviceReport."""
        with self._lock:
            for device, position in zip(message.device_id, message.position, strict=True):
                self._devices[device] = (position.x, position.y)
            if message.slot >= 0:
                # A report may be sent again, so tasks are told apart by their numbers.
                self._tasks.update(task.task_id for task in message.tasks)
                self._values['created'] = max(self._values.get('created', 0), len(self._tasks))

    def on_server_report(self, message: Any) -> None:
        """sec_offload/msg/ServerReport."""
        with self._lock:
            for server in message.servers:
                position = server.position
                full_j = self._battery_j if server.has_battery else None
                left = server.energy_left_j / full_j if full_j else None
                self._servers[server.name] = ServerView(
                    name=server.name,
                    is_uav=server.kind == 0,
                    position_m=(position.x, position.y, position.z),
                    tracking_error_m=server.tracking_error_m,
                    energy_left=left,
                    backlog_s=server.backlog_s,
                    alive=server.alive,
                    stored_bit=server.stored_bit,
                    storage_bit=server.storage_bit,
                    ground_contact=server.ground_contact,
                )

    def on_assignments(self, message: Any) -> None:
        """sec_offload/msg/AssignmentBatch."""
        with self._lock:
            if message.repair and message.assignments and not self._moves_tasks:
                self._note(f'{len(message.assignments)} tasks sent elsewhere')
            if not message.repair and not message.mission:
                self._links.clear()  # in a mission, uploads tell who sends to whom
            for plan in message.mission:
                if self._mission.on_plan(plan):
                    self._note(f'plan by {plan.controller}: {plan.reason}')
            for assignment in message.assignments:
                if assignment.server >= 0:
                    self._links[assignment.device_id] = self._name(assignment.server)

    def on_link_table(self, message: Any) -> None:
        """sec_offload/msg/LinkTable: how far uploads of missions have got."""
        with self._lock:
            for upload in message.uploads:
                self._mission.on_upload(upload)
                if upload.arrived_s < 0:
                    self._links[upload.device_id] = self._name(upload.server)
                else:
                    self._links.pop(upload.device_id, None)

    def on_failure_notice(self, message: Any) -> None:
        """sec_offload/msg/FailureNotice."""
        with self._lock:
            tasks = f'tasks there: {message.tasks}'
            self._note(f'{message.name} has failed ({message.reason}), {tasks}')
            self._noticed.add(message.name)
            self._mark_dead(message.name)

    def on_migration(self, message: Any) -> None:
        """sec_offload/msg/Migration: told with the balance of the slot, all together."""
        with self._lock:
            way = WAYS[message.way]
            to = 'device' if way == 'local' else self._name(message.to_server)
            self._moved[self._name(message.from_server), f'to {to} ({way})'] += 1

    def on_slot_outcome(self, message: Any) -> None:
        """sec_offload/msg/SlotOutcome."""
        with self._lock:
            if message.fallback and not self._values.get('fallback'):
                self._note('no decision in time: the fallback decides')
            elif self._values.get('fallback') and not message.fallback:
                self._note(f'{message.controller} decides again')
            self._values.update(
                controller=message.controller,
                fallback=message.fallback,
                decide_s=message.decide_s,
                real_time_factor=message.real_time_factor,
            )
            for server in message.servers_lost:
                self._lose(self._name(server))
            self._tell_moved(message.slot)
            self._count_screening(message)
        if self._on_slot:
            # The next slot may have begun already.
            closed = replace(self.snapshot(), slot=message.slot, time_s=message.start_s)
            self._on_slot(closed)

    def on_task_outcome(self, message: Any) -> None:
        """sec_offload/msg/TaskOutcome."""
        with self._lock:
            status = STATUSES[message.status]
            server = message.server_name or '-'
            self._ended[status] += 1
            self._mission.on_outcome(message, status)
            self._served[server][status] += 1
            for stage in STAGES:
                self._energy_j[stage] += getattr(message.energy, f'{stage}_j')
            if status in ('done', 'late'):
                self._latencies_s.append(message.latency_s)
                if message.truth:
                    hits, count = judge(message.question_kind, message.answer, message.truth)
                    self._right, self._known = self._right + hits, self._known + count
            self._recent.append(
                TaskView(
                    status=status,
                    server=server,
                    latency_s=message.latency_s,
                    deadline_s=message.deadline_s,
                    answer=message.answer,
                    truth=message.truth,
                    question_kind=message.question_kind,
                    reason=message.reason,
                )
            )

    def on_relay_report(self, message: Any) -> None:
        """sec_offload/msg/RelayReport."""
        with self._lock:
            if (message.slot, message.server_id) in self._relayed:
                return
            self._relayed.add((message.slot, message.server_id))
            self._relays[message.name] = RelayView(
                satellite=message.satellite,
                ratio=message.ratio,
                upload_start_s=message.upload_start_s,
                late=message.late,
            )
            self._uploaded_bit += message.uploaded_bit
            self._late_batches += message.late
            if message.name in self._servers:
                server = self._servers[message.name]
                self._servers[message.name] = replace(
                    server, stored_bit=message.stored_bit, storage_bit=message.storage_bit
                )

    def on_delivery(self, message: Any) -> None:
        """sec_offload/msg/Delivery."""
        with self._lock:
            if message.file_id in self._files:
                self._note(f'{message.file_id} is delivered again')
            self._files[message.file_id] = message.size_bit

    def on_visibility(self, message: Any) -> None:
        """sec_offload/msg/VisibilityWindows."""
        with self._lock:
            known = {(view.name, view.rise_s): view for view in self._values.get('passes', ())}
            for window in message.windows:
                known[window.name, window.rise_s] = PassView(
                    name=window.name,
                    rise_s=window.rise_s,
                    set_s=window.set_s,
                    peak_deg=math.degrees(window.peak_elevation_rad),
                )
            self._values['passes'] = tuple(sorted(known.values(), key=lambda view: view.rise_s))

    def _name(self, server: int) -> str:
        return self._names.get(server, f'server {server}')

    def _lose(self, name: str) -> None:
        if name not in self._noticed:
            self._note(f'{name} is lost')
        self._noticed.discard(name)
        self._mark_dead(name)

    def _mark_dead(self, name: str) -> None:
        if name in self._servers:
            self._servers[name] = replace(self._servers[name], alive=False)

    def _tell_moved(self, slot: int) -> None:
        """One event for each server whose tasks went on elsewhere."""
        for name in sorted({source for source, _ in self._moved}):
            parts = [f'{n} {how}' for (source, how), n in self._moved.items() if source == name]
            self._note(f'moved from {name}: {", ".join(parts)}', slot)
        self._moved.clear()

    def _count_screening(self, message: Any) -> None:
        self._repaired += message.decisions_repaired
        self._dropped += message.decisions_rejected
        if message.decisions_repaired or message.decisions_rejected:
            self._note(
                f'decisions repaired: {message.decisions_repaired}, '
                f'rejected: {message.decisions_rejected}'
            )

    def _note(self, text: str, slot: int | None = None) -> None:
        event = f'slot {self._values.get("slot", 0) if slot is None else slot}: {text}'
        self._events.append(event)
        if self._on_event:
            self._on_event(event)


def _percentiles(values: deque[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 0.0
    p50, p95 = np.percentile(np.fromiter(values, dtype=float), [50, 95])
    return float(p50), float(p95)
