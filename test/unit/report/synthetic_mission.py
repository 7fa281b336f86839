"""A mission that no node flew: planned, flown and uploaded without ROS, and recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace as Message
from typing import Any

import numpy as np

from sec_nodes.controllers.batch import create_batch
from sec_nodes.loop.tracking import MissionFleet
from sec_nodes.loop.uploads import Leg, Upload
from sec_nodes.physics.energy import computing_energy_j
from sec_nodes.physics.motion import MotionLimits
from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.recording.run_files import RunFiles
from sec_nodes.recording.tables import TABLES
from sec_nodes.scenarios.partial.instance import UNSERVED, cut_tasks
from sec_nodes.scenarios.partial.scenario import Partial
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import DECLINED, TASKS_PER_DEVICE, FloatArray, Status

STEP_S = 0.1
_PLAIN = {
    name: '' if kind is str else 0
    for name, kind in TABLES['outcomes'].items()
    if not name.startswith(('timing_', 'energy_'))
}


@dataclass(frozen=True)
class Sortie:
    """What is flown."""

    mode: str = 'partial:agile'
    controller: str = 'ellipse'
    slots: int | None = None
    """Slots after which the run breaks off; None for all."""
    planned_anew: int = 0
    """Slot in which there is a second plan; 0 for none."""
    lost: int = -1
    """UAV that crashes in mid-run; negative for none."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the scenario, by dotted name."""


def write_mission(folder: Path, sortie: Sortie | None = None) -> Path:
    """Write the tables of a run; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _Mission(folder, sortie or Sortie()).play()
    return folder


class _Mission:
    def __init__(self, folder: Path, sortie: Sortie) -> None:
        self.sortie = sortie
        given = {'uavs.layer_m': 5.0, **sortie.changes}
        self.settings: Any = read_settings(sortie.mode, given)
        self.scenario = Partial(self.settings)
        self.state = self.scenario.reset(np.array([0]))
        self.names = {u: f'uav_{u}' for u in range(self.settings.uavs.count)}
        self.files = RunFiles(folder, self.settings.model_dump(mode='json'), self.names)
        self.decision = create_batch(sortie.controller, self.scenario).decide(self.state)
        self.planned = self.scenario.evaluate(self.state, self.decision)
        self.tasks = cut_tasks(self.state, self.decision.split)
        up_m = self.settings.altitudes_m
        self.path_m = np.concatenate(
            [
                self.decision.waypoint_m[0],
                np.tile(up_m[:, None, None], (1, self.settings.slots + 1, 1)),
            ],
            axis=2,
        )
        limits = MotionLimits(self.settings.uavs.speed_m_s, 5.0, 20.0)
        self.fleet = MissionFleet(
            self.path_m[:, 0], limits, list(self.names), 0.02, self.settings.wing
        )
        n = self.state.n_tasks
        self.task_id = np.arange(n) * TASKS_PER_DEVICE
        self.uploads = [
            Upload(
                Leg(self.tasks.program_bit[0, n]),
                Leg(self.tasks.intermediate_bit[0, n]),
                0.0,
                self.tasks.local_s[0, n],
            )
            for n in range(n)
        ]

    def play(self) -> None:
        """Slot by slot to the end."""
        slots = self.sortie.slots or self.settings.slots
        self._state(0, 1)
        for slot in range(slots):
            start_s = slot * self.settings.slot_s
            self._report(slot, start_s)
            self.files.link_table(self._link_table(slot, start_s))
            plans = [self._plan(0, 0.0)]
            if 0 < self.sortie.planned_anew <= slot:
                anew = self.sortie.planned_anew
                plans = [self._plan(anew, anew * self.settings.slot_s)]
            if slot in (0, self.sortie.planned_anew):
                for u, path in enumerate(plans[0].paths):
                    way_m = np.array([[p.x, p.y, p.z] for p in path.waypoints])
                    self.fleet.follow(u, plans[0].start_s, self.settings.slot_s, way_m)
            self.files.assignment_batch(
                Message(
                    header=_header(start_s), slot=slot, controller=self.sortie.controller,
                    fallback=False, repair=False, assignments=self._orders(slot), mission=plans,
                )
            )  # fmt: skip
            if self.sortie.lost >= 0 and slot == slots // 2:
                self.fleet.alive[self.sortie.lost] = False
            self._carry(start_s)
            self._fly(start_s + self.settings.slot_s)
            self._close(slot, start_s)
        for n, upload in enumerate(self.uploads):
            self._outcome(n, upload, slots * self.settings.slot_s)
        self._state(slots, 3)
        self.files.close()

    def _state(self, slot: int, state: int) -> None:
        header = _header(slot * self.settings.slot_s)
        self.files.run_state(Message(header=header, slot=slot, state=state, detail=''))

    def _report(self, slot: int, start_s: float) -> None:
        n = self.state.n_tasks
        requests = [
            Message(
                task_id=int(self.task_id[i]), device_id=i, created_s=0.0, accuracy=0.0,
                deadline_s=float(self.state.deadline_s[0, i]), input_bit=0.0, answer_bit=0.0,
                steps=float(self.state.work_cycle_per_bit[0, i]), prompt='',
            )
            for i in range(n)
        ]  # fmt: skip
        self.files.device_report(
            Message(
                header=_header(start_s), slot=slot, device_id=range(n),
                position=[_xyz(x, y, 0.0) for x, y in self.state.terminal_m[0].tolist()],
                velocity=[_xyz(0.0, 0.0, 0.0)] * n, tasks=requests if slot == 0 else [],
            )
        )  # fmt: skip

    def _plan(self, slot: int, start_s: float) -> Message:
        """The plan, or what is left of it with UAVs where they are."""
        left = [n for n, upload in enumerate(self.uploads) if upload.arrived_s is None]
        if slot == 0:
            left = list(range(self.state.n_tasks))
        path_m = self.path_m[:, slot:].copy()
        if slot:
            path_m[:, 0] = self.fleet.motion.position_m
        weight = self.settings.objective.service_weight
        server = self.decision.server[0]
        energy_j = self.scenario.propulsion_j(path_m[..., :2]) + [
            weight * sum(self.planned.service_j[0, n] for n in left if server[n] == u)
            for u in self.names
        ]
        per_task: dict[str, FloatArray] = {
            'task_id': self.task_id, 'device_id': np.arange(len(server)),
            'server': np.where(server == UNSERVED, DECLINED, server),
            'split': self.decision.split[0], 'cpu_hz': self.decision.cpu_hz[0],
            'upload_end_s': self.planned.upload_end_s[0], 'finish_s': self.planned.finish_s[0],
            'loss_db': np.zeros(len(server)), 'due_s': self.state.deadline_s[0],
        }  # fmt: skip
        return Message(
            slot=slot, start_s=start_s, slot_s=self.settings.slot_s,
            controller=self.sortie.controller, bound_j=9587.39,
            reason='the links of device 3 are 3.0 dB worse than planned' if slot else
            'mission start',
            paths=[
                Message(server_id=u, waypoints=[_xyz(*point) for point in path_m[u].tolist()])
                for u in self.names
            ],
            energy_j=energy_j.tolist(),
            **{name: values[left].tolist() for name, values in per_task.items()},
        )  # fmt: skip

    def _orders(self, slot: int) -> list[Message]:
        if slot:
            return []
        return [
            Message(
                task_id=int(self.task_id[n]), device_id=n, attempt=0, server=int(server),
                model_id='chain-s', split=int(self.decision.split[0, n]), power_w=0.005,
                compute_share=self._cpu_hz(n) / self.settings.uavs.cpu_hz, assigned_s=0.0,
            )
            for n, server in enumerate(self.decision.server[0])
            if server >= 0
        ]  # fmt: skip

    def _cpu_hz(self, n: int) -> float:
        return float(self.decision.cpu_hz[0, n])

    def _link_table(self, slot: int, start_s: float) -> Message:
        rows = [] if slot == 0 else [
            Message(
                task_id=int(self.task_id[n]), device_id=n, attempt=0,
                server=int(self.decision.server[0, n]), model_id='chain-s',
                split=int(self.decision.split[0, n]), created_s=0.0,
                compute_share=self._cpu_hz(n) / self.settings.uavs.cpu_hz,
                steps=1.0, deadline_s=float(self.state.deadline_s[0, n]),
                program_bit=upload.program.sent_bit, intermediate_bit=upload.result.sent_bit,
                program_s=-1.0 if upload.program.end_s is None else upload.program.end_s,
                arrived_s=-1.0 if upload.arrived_s is None else upload.arrived_s,
            )
            for n, upload in enumerate(self.uploads)
            if self._finish_s(n, upload) > start_s
        ]  # fmt: skip
        return Message(header=_header(start_s), slot=slot, uploads=rows)

    def _finish_s(self, n: int, upload: Upload) -> float:
        if upload.arrived_s is None or not self._cpu_hz(n):
            return math.inf
        return upload.arrived_s + float(self.tasks.work_cycle[0, n]) / self._cpu_hz(n)

    def _carry(self, start_s: float) -> None:
        """Upload at the rates that hold where UAVs are at the start of the slot."""
        for n, upload in enumerate(self.uploads):
            u = int(self.decision.server[0, n])
            if u < 0 or not self.fleet.alive[u]:
                continue
            offset_m = self.fleet.motion.position_m[u, :2] - self.state.terminal_m[0, n]
            rate = float(rate_bit_s(np.hypot(*offset_m), self.settings.link))
            upload.advance(start_s, start_s + self.settings.slot_s, rate)

    def _fly(self, until_s: float) -> None:
        while self.fleet.due(until_s):
            self.fleet.step()
            stamp = _header(self.fleet.time_s)
            for u, name in self.names.items():
                if self.fleet.alive[u] and self.files.wants_flight(
                    name, 'odom', self.fleet.time_s
                ):
                    self._record(u, name, stamp)

    def _record(self, u: int, name: str, header: Message) -> None:
        self.files.setpoint(
            name,
            Message(
                header=header,
                pose=Message(position=_xyz(*self.fleet.setpoint.position_m[u].tolist())),
            ),
        )
        error_m = _xyz(*self.fleet.tracking_error_m[u].tolist())
        self.files.tracking_error(name, Message(header=header, vector=error_m))
        motion = self.fleet.motion
        self.files.odometry(
            name,
            Message(
                header=header, child_frame_id='map',
                pose=Message(pose=Message(position=_xyz(*motion.position_m[u].tolist()))),
                twist=Message(twist=Message(linear=_xyz(*motion.velocity_m_s[u].tolist()))),
            ),
        )  # fmt: skip

    def _close(self, slot: int, start_s: float) -> None:
        servers = [
            Message(
                name=name, energy_used_j=float(self.fleet.energy_used_j[u]), energy_left_j=0.0,
                has_battery=False, storage_bit=0.0, stored_bit=0.0, ground_contact=False,
            )
            for u, name in self.names.items()
        ]  # fmt: skip
        self.files.server_report(Message(header=_header(start_s), slot=slot, servers=servers))
        lost = slot == (self.sortie.slots or self.settings.slots) // 2 and self.sortie.lost >= 0
        counts = dict.fromkeys(TABLES['slots'], 0) | {
            'slot': slot, 'start_s': start_s, 'controller': self.sortie.controller,
            'fallback': False, 'decide_s': 2.1 if slot == 0 else 0.001, 'real_time_factor': 1.0,
            'servers_lost': [self.sortie.lost] if lost else [],
        }  # fmt: skip
        self.files.slot_outcome(Message(header=_header(start_s), **counts))

    def _outcome(self, n: int, upload: Upload, end_s: float) -> None:
        u, finish_s = int(self.decision.server[0, n]), self._finish_s(n, upload)
        deadline_s, local_s = float(self.state.deadline_s[0, n]), float(self.tasks.local_s[0, n])
        answered = finish_s <= end_s
        status = Status.FAILED
        if answered:
            status = Status.DONE if finish_s <= deadline_s else Status.LATE
        parts = ('decision_s', 'lost_s', 'front_s', 'upload_s', 'wait_s', 'back_s')
        times = dict.fromkeys(parts, 0.0)
        service_j = 0.0
        if answered and upload.arrived_s is not None:
            times |= {
                'front_s': local_s, 'upload_s': upload.arrived_s - local_s,
                'back_s': finish_s - upload.arrived_s,
            }  # fmt: skip
            service_j = float(
                computing_energy_j(
                    self.tasks.work_cycle[0, n],
                    self._cpu_hz(n),
                    self.settings.uavs.capacitance_j_s2,
                )
            )
        values = _PLAIN | {
            'task_id': int(self.task_id[n]), 'device_id': n, 'status': int(status),
            'reason': '' if answered else 'run_ended', 'controller': self.sortie.controller,
            'server': u, 'server_name': self.names.get(u, ''), 'model_id': 'chain-s',
            'split': int(self.decision.split[0, n]), 'attempts': int(u >= 0), 'batch': 1,
            'answer': 'raft' if answered else '', 'truth': 'raft', 'deadline_s': deadline_s,
            'latency_s': finish_s if answered else 0.0,
            'observed_s': finish_s + 0.004 if answered else 0.0,
        }  # fmt: skip
        self.files.task_outcome(
            Message(
                header=_header(min(finish_s, end_s)), **values,
                timing=Message(**times, download_s=0.0),
                energy=Message(
                    front_j=0.0, upload_j=0.005 * upload.on_air_s, back_j=service_j,
                    download_j=0.0,
                ),
            )
        )  # fmt: skip


def _header(time_s: float) -> Message:
    whole = math.floor(time_s)
    return Message(stamp=Message(sec=whole, nanosec=round((time_s - whole) * 1e9)), frame_id='map')


def _xyz(x: float, y: float, z: float) -> Message:
    return Message(x=x, y=y, z=z)
