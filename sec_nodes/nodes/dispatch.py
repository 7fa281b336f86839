"""From reports to a slot state, and from a decision to assignments."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Vector3

from sec_nodes.controllers.base import Controller, decision
from sec_nodes.loop.ledger import Entry, Ledger, Outcome, Try
from sec_nodes.loop.roster import Roster
from sec_nodes.loop.screening import Screened, screen
from sec_nodes.nodes import names
from sec_nodes.nodes.failover_desk import Redirected, failover_desk
from sec_nodes.nodes.mission_desk import mission_desk
from sec_nodes.nodes.orders import migration_message, order_message
from sec_nodes.nodes.relay_desk import relay_desk
from sec_nodes.nodes.slot_messages import model_messages, state_from
from sec_nodes.nodes.task_messages import request_from
from sec_nodes.nodes.vector_messages import point
from sec_nodes.slot import DECLINED, LOCAL, FloatArray, SlotDecision, SlotState
from sec_nodes.world import World
from sec_offload import msg


class Dispatcher:
    """Builds the state of a slot and turns decisions on it into assignments.

    Args:
        world: the system of the run.
        fallback: decides what a controller could not.
        ledger: where tasks are kept.
    """

    def __init__(self, world: World, fallback: Controller, ledger: Ledger) -> None:
        self.fallback = fallback
        self.link_request = msg.LinkRequest()
        self.state: SlotState
        self._world, self._scenario, self._ledger = world, world.scenario, ledger
        self._profiles = model_messages(world.scenario.models)
        self._relays = relay_desk(world)
        self._mission = mission_desk(world, fallback)
        self._failover = failover_desk(world, ledger)
        self._streaming: list[int] = []
        self._gathered = msg.SlotState()

    def gather(
        self,
        slot: int,
        devices: Roster[Any],
        servers: Roster[msg.ServerState],
        serving: Container[int],
        server_names: list[str],
    ) -> None:
        """Take down where everybody is and who serves, and prepare the request for the links."""
        present = [device for device in devices.expected if device in devices.state]
        message = msg.SlotState(
            slot=slot, scenario=self._scenario.settings.name, models=self._profiles
        )
        message.device_id = present
        message.device_position = [devices.state[device][0] for device in present]
        message.device_model = self._world.device_models(present)
        message.device_velocity = [devices.state[device][1] for device in present]
        message.device_flop_s = [devices.state[device][2] for device in present]
        message.device_backlog_s = [devices.state[device][3] for device in present]
        self._streaming = [row for row, device in enumerate(present) if devices.state[device][4]]
        for server in servers.expected:
            state = servers.state.get(server) or self._unknown(server, server_names[server])
            state.alive = server in serving
            message.servers.append(state)
        self._gathered = message
        self.link_request = msg.LinkRequest(
            slot=slot,
            device_id=message.device_id,
            device_position=message.device_position,
            servers=message.servers,
        )
        self.link_request.header.frame_id = names.MAP_FRAME

    def make_state(self, table: msg.LinkTable, start_s: float, slot_s: float) -> msg.SlotState:
        """The state of the slot, with all tasks that wait for a decision.

        Raises:
            BadMessageError: the link table does not fit.
        """
        message = self._gathered
        message.time_s, message.slot_s, message.links = start_s, slot_s, table
        here = set(message.device_id)
        waiting = [entry for entry in self._ledger.pending() if entry.task.device_id in here]
        message.tasks = [request_from(entry.task) for entry in waiting]
        message.attempt = [entry.attempts for entry in waiting]
        message.header.frame_id = names.MAP_FRAME
        message.mission = self._mission.in_force if self._mission is not None else []
        self.state = state_from(message, self._world.device_model, self._mission is not None)
        if self._relays is not None:
            self.state = self._relays.complete(message, self.state, self._streaming)
        return message

    def dispatch(
        self, wanted: SlotDecision, controller: str, now_s: float
    ) -> tuple[msg.AssignmentBatch, Screened, list[Outcome]]:
        """Check a decision on the slot and assign its tasks.

        Args:
            wanted: the decision, in the order of the state's tasks.
            controller: who decided.
            now_s: when devices may start [s].

        Returns:
            The assignments, what the check found, and the tasks that ended because nobody may
            serve them.
        """
        if self._mission is not None:
            wanted = self._mission.sound(self.state, wanted)
            state = self.state
        else:
            state = replace(self.state, time_s=max(now_s, self.state.time_s))
        screened = screen(self._scenario, state, wanted, self.fallback)
        batch, ended = self._assign(state, screened, controller, now_s)
        if self._mission is not None:
            batch.mission = self._mission.take(self.state, wanted, controller)
        batch.uav_id = list(range(self.state.n_uavs))
        batch.uav_goal = [point(goal) for goal in screened.decision.uav_goal_m]
        if self._relays is not None and screened.decision.relays is not None:
            batch.relays = self._relays.orders(self.state, screened.decision.relays)
        return batch, screened, ended

    def lacks_plan(self) -> bool:
        """Whether this is a mission that nobody has planned yet."""
        return self._mission is not None and not self._mission.in_force

    @property
    def plan_fault(self) -> str:
        """Why the last plan of a mission could not be flown; empty if it could."""
        return self._mission.fault if self._mission is not None else ''

    def owes(self, in_flight: list[Entry]) -> bool:
        """Whether an answer is still to come in this slot, if nothing waits for the clock.

        Of a mission only what had been uploaded when the slot began.
        """
        if self._mission is None:
            return bool(in_flight)
        desk, state = self._mission, self.state
        return any(not desk.is_uploading(state, entry.task.task_id) for entry in in_flight)

    def without_satellite(self) -> msg.AssignmentBatch:
        """Orders to relays to finish the slot by themselves; none where there are no relays."""
        batch = msg.AssignmentBatch(slot=self.state.slot, controller=self.fallback.name)
        batch.repair = True
        if self._relays is not None:
            batch.relays = self._relays.orders_alone()
        return batch

    def redirect(self, orphans: list[Entry], living: list[int], now_s: float) -> Redirected:
        """Assign tasks of a lost server anew within the slot.

        Where there is a failover they go on from what has been computed for them; elsewhere to
        their backups, or as the fallback knows better, from the start.

        Args:
            orphans: pending tasks whose last try was lost with its server.
            living: servers that are left.
            now_s: when devices may start again [s].
        """
        if self._failover is not None:
            return self._failover.redirect(self.state, orphans, living, now_s)
        row_of = {task_id: row for row, task_id in enumerate(self.state.tasks.task_id.tolist())}
        known = [entry for entry in orphans if entry.task.task_id in row_of]
        rows = np.array([row_of[entry.task.task_id] for entry in known], dtype=np.int64)
        state = self._without_the_dead(living).only(rows)
        backup = np.array(
            [entry.last_try.backup if entry.last_try else LOCAL for entry in known],
            dtype=np.int64,
        )
        full_power_w = self._scenario.transmit_power_w[1]
        wanted = decision(
            state,
            backup,
            power_w=np.full(len(rows), full_power_w),
            uav_goal_m=state.servers.position_m[: state.n_uavs],
        )
        screened = screen(self._scenario, state, wanted, self.fallback)
        batch, ended = self._assign(state, screened, self.fallback.name, now_s)
        batch.repair = True
        moving_s, size_bit = self._moves(state, screened.decision)
        migrations = [
            migration_message(
                entry, entry.last_try, state.slot, float(size_bit[row]), float(moving_s[row])
            )
            for row, entry in enumerate(known)
            if entry.in_flight and entry.last_try is not None
        ]
        return Redirected(batch, ended, migrations)

    def _moves(self, state: SlotState, decided: SlotDecision) -> tuple[FloatArray, FloatArray]:
        """(K,) time [s] and size [bit] of what devices send; nothing where they do not."""
        moving_s, size_bit = np.zeros(state.n_tasks), np.zeros(state.n_tasks)
        sent = np.flatnonzero(decided.server >= 0)
        size_bit[sent] = state.payload_bit(decided.server, decided.split)[sent]
        device, server = state.tasks.device[sent], decided.server[sent]
        up = self._scenario.uplink(
            state.links, device, server, decided.power_w[sent], size_bit[sent]
        )
        moving_s[sent] = up.time_s
        return moving_s, size_bit

    def _assign(
        self, state: SlotState, screened: Screened, controller: str, now_s: float
    ) -> tuple[msg.AssignmentBatch, list[Outcome]]:
        checked = screened.decision
        batch = msg.AssignmentBatch(slot=state.slot, controller=controller)
        ended = []
        model = state.executing_model(checked.server)
        for row, task_id in enumerate(state.tasks.task_id.tolist()):
            if task_id not in self._ledger.open:  # its device was lost meanwhile
                continue
            if screened.rejected[row]:
                reason = f'no_admissible_server (asked for: {screened.reason(row)})'
                ended.append(self._ledger.reject(task_id, reason))
                continue
            if checked.server[row] == DECLINED:
                ended.append(self._ledger.reject(task_id, f'declined by {controller}'))
                continue
            attempt = Try(
                server=int(checked.server[row]),
                model_id=state.models.model_id[model[row]],
                split=int(checked.split[row]),
                power_w=float(checked.power_w[row]) if checked.server[row] != LOCAL else 0.0,
                compute_share=float(checked.compute_share[row]),
                backup=int(checked.backup[row]),
                controller=self.fallback.name if screened.repaired[row] else controller,
                assigned_s=now_s,
            )
            number = self._ledger.assign(task_id, attempt)
            task = self._ledger.open[task_id].task
            batch.assignments.append(order_message(task, number, attempt))
        return batch, ended

    def _without_the_dead(self, living: list[int]) -> SlotState:
        alive = np.isin(np.arange(self.state.n_servers), living)
        return replace(self.state, servers=replace(self.state.servers, alive=alive))

    def _unknown(self, server: int, name: str) -> msg.ServerState:
        """A server that never reported: dead, and nowhere."""
        known = self._world.server(server)
        return msg.ServerState(
            server_id=server,
            name=name,
            kind=int(known.kind),
            receiver=server,
            position=Point(z=1.0),
            receiver_position=Point(z=1.0),
            velocity=Vector3(),
            model_id=known.model_id,
            flop_s=known.flop_s,
            compute_power_w=known.compute_power_w,
            transmit_power_w=known.transmit_power_w,
        )
