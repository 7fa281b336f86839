"""The survey scenario without ROS: what a lockstep run must come to, task by task."""

from __future__ import annotations

import numpy as np

from sec_nodes.controllers.base import create
from sec_nodes.loop.devices import DeviceFleet
from sec_nodes.loop.links import Receivers, link_table
from sec_nodes.loop.satellites import SatelliteNetwork
from sec_nodes.loop.uavs import UavFleet
from sec_nodes.scenarios.registry import read_survey
from sec_nodes.slot import DECLINED, DeviceTable, ServerKind, ServerTable, SlotState, TaskTable
from sec_nodes.world import build_world

STEP_S = 1 / 50


class Replay:
    """Devices, UAVs, satellites, links and queues of a run, slot by slot."""

    def __init__(self, overrides, controller, seed):
        self.settings = read_survey('survey', overrides)
        self.scenario = build_world(self.settings).scenario
        self.controller = create(controller, self.scenario, seed)
        self.seed = seed
        self.devices = DeviceFleet(self.settings, list(range(self.settings.devices.count)), seed)
        self.uavs = UavFleet(self.settings, list(range(self.settings.uavs.count)), STEP_S)
        self.network = SatelliteNetwork(self.settings)
        self.free_s = np.zeros(self.settings.n_servers)
        n_uavs, n_satellites = self.settings.uavs.count, self.settings.satellites.count
        self.kind = np.array([ServerKind.UAV] * n_uavs + [ServerKind.SATELLITE] * n_satellites)
        self.is_uav = self.kind == ServerKind.UAV

    def slot(self, number):
        """Latency, energy, server and cut of each task of a slot, by its number."""
        now_s = number * self.settings.slot_s
        tasks = self.devices.open_slot(number)
        while self.uavs.due(now_s):
            self.uavs.step()
        state = self.state(number, now_s, tasks)
        decision = self.controller.decide(state)
        outcome = self.scenario.evaluate(state, decision)
        self.uavs.goal_m = decision.uav_goal_m
        self.remember(state, decision, outcome, now_s)
        return {
            task.task_id: (
                outcome.latency_s[row],
                outcome.energy_j[row],
                int(decision.server[row]),
                int(decision.split[row]),
            )
            for row, task in enumerate(tasks)
            if decision.server[row] != DECLINED
        }

    def state(self, number, now_s, tasks):
        """What the controller sees."""
        view, motion = self.network.at(now_s), self.uavs.motion
        own = np.arange(self.settings.uavs.count)
        uav, satellite = self.settings.uavs, self.settings.satellites
        transmit_power_w = self.by_tier(uav.transmit_power_w, satellite.transmit_power_w)
        receivers = Receivers(
            kind=self.kind,
            receiver=np.concatenate([own, len(own) + view.access]),
            position_m=np.vstack([motion.position_m, view.access_position_m]),
            in_view=np.concatenate([own >= 0, view.in_view]),
            hops=np.concatenate([0 * own, view.hops]),
            isl_m=np.concatenate([0.0 * own, view.isl_m]),
            remaining_s=np.concatenate([np.full(len(own), np.inf), view.remaining_s]),
            transmit_power_w=transmit_power_w,
        )
        models, row_of = self.scenario.models, self.scenario.models.model_id.index
        fleet = self.devices
        links = link_table(
            self.settings, self.seed, number, fleet.ids, fleet.position_m, receivers
        )
        return SlotState(
            slot=number,
            time_s=now_s,
            slot_s=self.settings.slot_s,
            tasks=TaskTable(
                task_id=np.array([task.task_id for task in tasks], dtype=np.int64),
                device=np.array([task.device_id for task in tasks], dtype=np.int64),
                created_s=np.full(len(tasks), now_s),
                deadline_s=np.array([task.deadline_s for task in tasks]),
                accuracy=np.array([task.accuracy for task in tasks]),
                answer_bit=np.array([task.answer_bit for task in tasks]),
                attempt=np.zeros(len(tasks), dtype=np.int64),
            ),
            devices=DeviceTable(
                fleet.ids,
                fleet.position_m,
                fleet.velocity_m_s,
                fleet.flop_s,
                fleet.backlog_s(now_s),
                np.full(len(fleet.ids), row_of(self.settings.devices.model)),
            ),
            servers=ServerTable(
                kind=self.kind,
                alive=np.ones(len(self.kind), dtype=bool),
                position_m=np.vstack([motion.position_m, view.position_m]),
                velocity_m_s=np.vstack([motion.velocity_m_s, view.velocity_m_s]),
                model=self.by_tier(row_of(uav.model), row_of(satellite.model)),
                flop_s=self.by_tier(uav.flop_s, satellite.flop_s),
                compute_power_w=self.by_tier(uav.compute_power_w, satellite.compute_power_w),
                transmit_power_w=transmit_power_w,
                backlog_s=np.maximum(0.0, self.free_s - now_s),
                energy_left_j=np.full(len(self.kind), np.inf),
            ),
            models=models,
            links=links,
        )

    def by_tier(self, of_uavs, of_satellites):
        return np.where(self.is_uav, of_uavs, of_satellites)

    def remember(self, state, decision, outcome, now_s):
        """Queues that reach into the next slot."""
        front_end_s = now_s + outcome.front_s
        back_end_s = front_end_s + outcome.upload_s + outcome.wait_s + outcome.back_s
        for row in range(state.n_tasks):
            if decision.server[row] == DECLINED:
                continue
            device, server = state.tasks.device[row], decision.server[row]
            self.devices.free_s[device] = max(self.devices.free_s[device], front_end_s[row])
            if server >= 0:
                self.free_s[server] = max(self.free_s[server], back_end_s[row])
