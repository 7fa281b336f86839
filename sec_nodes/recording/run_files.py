"""All tables of a run together: takes messages in, puts rows into the right files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sec_nodes import __version__
from sec_nodes.recording import rows
from sec_nodes.recording.flight import FlightSampler
from sec_nodes.recording.tables import TABLES, CsvTable

RUN_FILE = 'run.json'
"""Holds what was run: scenario, servers, version."""


class RunFiles:
    """The tables of a run that is being recorded. Methods are named after messages."""

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], server_names: Mapping[int, str]
    ) -> None:
        """Create every table, empty, and describe the run in run.json.

        Args:
            folder: an existing folder.
            settings: the scenario, as it can be written to JSON.
            server_names: name of each server by its number.

        Raises:
            OSError: a file cannot be written.
        """
        self.outcomes: set[int] = set()
        """Tasks whose outcome has been recorded."""
        self._names = dict(server_names)
        self._tables = {name: CsvTable(folder, name) for name in TABLES}
        self._flight = FlightSampler(
            name for name in server_names.values() if name.startswith('uav_')
        )
        self._created: set[int] = set()
        self._reported: set[tuple[int, int]] = set()
        self._passes: set[tuple[int, float, float]] = set()
        self._stores: set[tuple[int, str]] = set()
        self._relayed: set[tuple[int, int]] = set()
        self._plans: set[tuple[int, str, str]] = set()
        self._uploads: set[tuple[int, int, int]] = set()
        self._failed_s: dict[str, float] = {}
        self._now_s = 0.0
        self._migrated: set[tuple[int, int]] = set()
        self._state: tuple[int, str] | None = None
        self._fallback_slot = -1
        description = {
            'run': folder.name,
            'version': __version__,
            'started': datetime.now(timezone.utc).isoformat(timespec='seconds'),
            'servers': [{'server_id': k, 'name': v} for k, v in server_names.items()],
            'scenario': dict(settings),
        }
        (folder / RUN_FILE).write_text(json.dumps(description, indent=2) + '\n', encoding='utf-8')

    def run_state(self, message: Any) -> None:
        """Note a change of state."""
        if (message.state, message.detail) != self._state:
            self._state = (message.state, message.detail)
            state = rows.name_of(rows.RUN_STATES, message.state)
            self._event(message, message.slot, 'run_state', state, message.detail)

    def slot_state(self, message: Any) -> None:
        """Note tasks whose DeviceReport was missed."""
        self._note_tasks(message.tasks, message.slot)

    def device_report(self, message: Any) -> None:
        """Note new tasks and where the devices are."""
        if message.slot < 0:  # a heartbeat: it describes no slot
            return
        self._note_tasks(message.tasks, message.slot)
        for row in rows.devices(message):
            key = (row['slot'], row['device_id'])
            if key not in self._reported:
                self._reported.add(key)
                self._tables['devices'].add(row)

    def task_outcome(self, message: Any) -> None:
        """Note how a task ended."""
        self.outcomes.add(message.task_id)
        self._tables['outcomes'].add(rows.outcome(message))

    def slot_outcome(self, message: Any) -> None:
        """Note the balance of a slot, and what went wrong in it."""
        self._tables['slots'].add(rows.slot(message))
        for server in message.servers_lost:
            self._event(message, message.slot, 'server_lost', self._names.get(server, str(server)))
        if message.fallback:
            self._note_fallback(message)

    def assignment_batch(self, message: Any) -> None:
        """Note who was sent where, and the plan in force if it is a new one."""
        for plan in message.mission:
            self._note_plan(message, plan)
        self._tables['assignments'].add(*rows.assignments(message))
        if message.repair:
            detail = f'{len(message.assignments)} tasks sent again'
            self._event(message, message.slot, 'repair', message.controller, detail)
        elif message.fallback:
            self._note_fallback(message)

    def failure(self, message: Any) -> None:
        """Note an injected failure."""
        name = self._names.get(message.server_id, str(message.server_id))
        self._event(message, None, 'failure', name, rows.name_of(rows.FAILURES, message.kind))
        self._tables['failures'].add(rows.failure(message, name))

    def failure_notice(self, message: Any) -> None:
        """Note that the coordinator has found a server to have failed."""
        self._failed_s[message.name] = message.noticed_s
        self._tables['failures'].add(rows.failure_notice(message))

    def migration(self, message: Any) -> None:
        """Note a task that goes on elsewhere; what is told again is passed over."""
        key = (message.task_id, message.attempt)
        if key not in self._migrated:
            self._migrated.add(key)
            self._tables['migrations'].add(rows.migration(message, self._names))

    def visibility(self, message: Any) -> None:
        """Note the passes that have not been announced before."""
        for row in rows.passes(message):
            key = (row['satellite'], row['rise_s'], row['set_s'])
            if key not in self._passes:
                self._passes.add(key)
                self._tables['passes'].add(row)

    def server_report(self, message: Any) -> None:
        """Note the energy of the UAVs, and what servers have stored when a slot starts."""
        for state in message.servers:
            self._flight.server(state)
            self._note_back(message, state)
        if message.slot < 0:  # a heartbeat: it describes no slot
            return
        for row in rows.stores(message):
            key = (row['slot'], row['name'])
            if key not in self._stores:
                self._stores.add(key)
                self._tables['stores'].add(row)

    def relay_report(self, message: Any) -> None:
        """Note what a UAV did in a slot; a report that comes again is passed over."""
        key = (message.slot, message.server_id)
        if key not in self._relayed:
            self._relayed.add(key)
            self._tables['relays'].add(rows.relay(message))

    def link_table(self, message: Any) -> None:
        """Note how far uploads have got; what is told again is passed over."""
        for row in rows.uploads(message):
            key = (row['slot'], row['task_id'], row['attempt'])
            if key not in self._uploads:
                self._uploads.add(key)
                self._tables['uploads'].add(row)

    def delivery(self, message: Any) -> None:
        """Note a file on the ground."""
        self._tables['deliveries'].add(rows.delivery(message))

    def wants_flight(self, uav: str, topic: str, stamp_s: float) -> bool:
        """Whether a message of a UAV is to be deserialised and passed on."""
        return self._flight.wants(uav, topic, stamp_s)

    def setpoint(self, uav: str, message: Any) -> None:
        """Note where a UAV shall be."""
        self._tables['uavs'].add(*self._flight.setpoint(uav, message))

    def tracking_error(self, uav: str, message: Any) -> None:
        """Note how far a UAV is from there."""
        self._tables['uavs'].add(*self._flight.tracking_error(uav, message))

    def odometry(self, uav: str, message: Any) -> None:
        """Note where a UAV is."""
        self._tables['uavs'].add(*self._flight.odometry(uav, message))

    def close(self) -> None:
        """Write what waits, and close every table."""
        waiting = self._flight.rest()
        if waiting:  # nothing can be written when it is called again
            self._tables['uavs'].add(*waiting)
        for table in self._tables.values():
            table.close()

    def _note_back(self, message: Any, state: Any) -> None:
        stamp_s = rows.seconds(message.header.stamp)
        # the clock of a process that was stopped is behind at first
        self._now_s = max(self._now_s, stamp_s)
        failed_s = self._failed_s.get(state.name)
        if failed_s is not None and state.alive and stamp_s > failed_s:
            del self._failed_s[state.name]
            self._tables['failures'].add(rows.server_back(state, self._now_s))

    def _note_tasks(self, requests: Any, slot: int) -> None:
        new = [request for request in requests if request.task_id not in self._created]
        self._created.update(request.task_id for request in new)
        self._tables['tasks'].add(*(rows.task(request, slot) for request in new))

    def _note_plan(self, message: Any, plan: Any) -> None:
        key = (plan.slot, plan.controller, plan.reason)
        if key in self._plans:
            return
        number = len(self._plans)
        self._plans.add(key)
        self._tables['plans'].add(*rows.planned_tasks(plan, number))
        self._tables['waypoints'].add(*rows.waypoints(plan, number, self._names))
        # last, so that a plan that has sorties is complete
        self._tables['sorties'].add(*rows.sorties(plan, number, self._names))
        self._event(message, plan.slot, 'plan', plan.controller, plan.reason)

    def _note_fallback(self, message: Any) -> None:
        # Both the batch and the balance of a slot tell; one line a slot is enough.
        if message.slot > self._fallback_slot:
            self._fallback_slot = message.slot
            self._event(message, message.slot, 'fallback', message.controller)

    def _event(
        self, message: Any, slot: int | None, kind: str, name: str, detail: str = ''
    ) -> None:
        self._tables['events'].add(
            {
                'time_s': rows.seconds(message.header.stamp),
                'slot': '' if slot is None else slot,
                'kind': kind,
                'name': name,
                'detail': detail,
            }
        )
