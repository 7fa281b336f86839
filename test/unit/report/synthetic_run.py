"""A run that never happened, written as the recorder would: for tests and for report design."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sec_nodes.recording.tables import TABLES, CsvTable

AREA_M = 500.0
CLASSES = ('ship', 'raft', 'slick', 'sea', 'buoy')


@dataclass(frozen=True)
class Plan:
    """How large the run is."""

    slots: int = 60
    devices: int = 10
    uavs: int = 3
    satellites: int = 4
    rate: float = 0.7
    all_failed: bool = False
    seed: int = 1


def write_run(folder: Path, plan: Plan | None = None) -> Path:
    """Write every table of a synthetic run; returns the folder."""
    plan = plan or Plan()
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(plan.seed)
    tables = {name: CsvTable(folder, name) for name in TABLES}
    _write_info(folder, plan)
    start = rng.uniform(0, AREA_M, (plan.devices, 2))
    drift = rng.normal(0, 1.0, (plan.devices, 2))
    numbers = [0] * plan.devices
    event = tables['events']
    event.add(_event(0.0, 0, 'run_state', 'running'))
    for slot in range(plan.slots):
        devices = np.clip(start + drift * slot, 0, AREA_M)
        _write_devices(tables['devices'], slot, devices)
        ended = 0
        for device in range(plan.devices):
            for _ in range(rng.poisson(plan.rate)):
                _write_task(tables, plan, rng, slot, device, numbers, devices[device])
                ended += 1
        lost = '1' if slot == plan.slots // 2 and plan.uavs > 1 else ''
        fallback = slot in (12, 13)
        tables['slots'].add(
            {
                'slot': slot,
                'start_s': float(slot),
                'fallback': fallback,
                'tasks_new': ended,
                'controller': 'nearest' if fallback else 'greedy',
                'decide_s': rng.gamma(2, 0.002),
                'tasks_decided': ended,
                'decisions_repaired': int(rng.poisson(0.1)),
                'decisions_rejected': 0,
                'tasks_open': 0,
                'servers_lost': lost,
                'real_time_factor': rng.normal(1, 0.01),
            }
        )
        if lost:
            event.add(_event(slot, slot, 'server_lost', 'uav_1'))
            event.add(_event(slot, slot, 'repair', 'greedy', '2 tasks sent again'))
        if fallback:
            event.add(_event(slot, slot, 'fallback', 'nearest'))
    _write_flights(tables['uavs'], plan, rng)
    _write_passes(tables['passes'], plan)
    event.add(_event(float(plan.slots), plan.slots, 'run_state', 'finished'))
    for table in tables.values():
        table.close()
    return folder


def _write_info(folder: Path, plan: Plan) -> None:
    names = [f'uav_{i}' for i in range(plan.uavs)]
    names += [f'satellite_{i}' for i in range(plan.satellites)]
    info = {
        'run': folder.name,
        'version': '0.1.0',
        'started': '2026-01-01T12:00:00+00:00',
        'servers': [{'server_id': k, 'name': v} for k, v in enumerate(names)],
        'scenario': {
            'name': 'survey',
            'slot_s': 1.0,
            'area_m': [AREA_M, AREA_M],
            'uavs': {'count': plan.uavs, 'coverage_m': 250.0, 'altitude_m': [40.0, 60.0]},
            'satellites': {'count': plan.satellites, 'minimum_elevation_deg': 10.0},
            'tasks': {'deadline_s': [0.3, 1.0]},
        },
    }
    (folder / 'run.json').write_text(json.dumps(info), encoding='utf-8')


def _event(time_s: float, slot: int, kind: str, name: str, detail: str = '') -> dict:
    return {'time_s': float(time_s), 'slot': slot, 'kind': kind, 'name': name, 'detail': detail}


def _write_devices(table: CsvTable, slot: int, positions: np.ndarray) -> None:
    table.add(
        *(
            {
                'slot': slot,
                'time_s': float(slot),
                'device_id': device,
                'x_m': float(x),
                'y_m': float(y),
                'z_m': 0.0,
                'vx_m_s': 0.0,
                'vy_m_s': 0.0,
                'vz_m_s': 0.0,
            }
            for device, (x, y) in enumerate(positions)
        )
    )


def _uav_position(uav: int, time_s: float) -> tuple[float, float, float]:
    angle = 0.05 * time_s + 2.1 * uav
    radius = 60.0 + 30.0 * math.sin(0.03 * time_s + uav)
    centre = [(150.0, 150.0), (350.0, 180.0), (250.0, 360.0)][uav % 3]
    return (
        centre[0] + radius * math.cos(angle),
        centre[1] + radius * math.sin(angle),
        40 + 10.0 * uav,
    )


def _nearest_uav(plan: Plan, time_s: float, device: np.ndarray) -> tuple[int, float]:
    positions = np.array([_uav_position(uav, time_s) for uav in range(plan.uavs)])
    distance = np.hypot(*(positions[:, :2] - device).T)
    return int(distance.argmin()), float(distance.min())


def _server(plan: Plan, rng: np.random.Generator, slot: int, device: np.ndarray) -> int:
    draw = rng.uniform()
    if plan.uavs and draw < 0.55:
        uav, distance = _nearest_uav(plan, slot, device)
        if distance < 250:
            return uav
    if plan.satellites and draw < 0.85:
        return plan.uavs + int(rng.integers(plan.satellites))
    return -1


def _write_task(
    tables: dict[str, CsvTable],
    plan: Plan,
    rng: np.random.Generator,
    slot: int,
    device: int,
    numbers: list[int],
    position: np.ndarray,
) -> None:
    task_id = (device << 32) + numbers[device]
    numbers[device] += 1
    server = _server(plan, rng, slot, position)
    deadline = float(rng.uniform(0.3, 1.0))
    required = float(rng.uniform(0.5, 0.9))
    created = slot + 0.0
    tables['tasks'].add(
        {
            'task_id': task_id,
            'device_id': device,
            'slot': slot,
            'created_s': created,
            'deadline_s': deadline,
            'accuracy_required': required,
            'answer_bit': 384.0,
            'prompt': '',
        }
    )
    kind = 'local' if server < 0 else 'uav' if server < plan.uavs else 'satellite'
    name = 'local' if server < 0 else f'{kind}_{server - plan.uavs * (kind == "satellite")}'
    split = 4 if kind == 'local' else int(rng.choice([0, 0, 1, 2]))
    order = {
        'slot': slot,
        'controller': 'greedy',
        'task_id': task_id,
        'device_id': device,
        'server': server,
        'model_id': 'scene-l' if kind == 'satellite' else 'scene-s',
        'split': split,
        'power_w': 0.0 if kind == 'local' else float(rng.uniform(0.1, 1.0)),
    }
    tables['assignments'].add(
        {
            **order,
            'time_s': slot + 0.01,
            'fallback': False,
            'repair': False,
            'attempt': 0,
            'compute_share': 0.0,
            'assigned_s': slot + 0.01,
        }
    )
    times, energies = _costs(rng, kind, split)
    latency = sum(times)
    failed = plan.all_failed or rng.uniform() < 0.02
    rejected = not failed and rng.uniform() < 0.01
    status = (
        'failed'
        if failed
        else 'rejected'
        if rejected
        else ('late' if latency > deadline else 'done')
    )
    answered = status in ('done', 'late')
    truth = str(rng.choice(CLASSES))
    accuracy = 0.93 if kind == 'satellite' else 0.81
    answer = truth if rng.uniform() < accuracy else str(rng.choice(CLASSES))
    columns = list(TABLES['outcomes'])
    timing = [name for name in columns if name.startswith('timing_')]
    energy = [name for name in columns if name.startswith('energy_')]
    tables['outcomes'].add(
        {
            **order,
            'status': status,
            'reason': 'payload lost on the link' if failed else 'no server' if rejected else '',
            'server_name': '' if rejected else name,
            'attempts': 0 if rejected else 1,
            'accuracy_required': required,
            'accuracy': accuracy,
            'answer': answer if answered else '',
            'truth': truth if answered else '',
            'confidence': float(rng.uniform(0.5, 1)) if answered else 0.0,
            'created_s': created,
            'deadline_s': deadline,
            'latency_s': latency if answered else 0.0,
            'observed_s': latency + rng.gamma(2, 0.002) if answered else 0.0,
            'front_inference_s': 0.0004 * split if answered else 0.0,
            'back_inference_s': 0.002 if answered and kind != 'local' else 0.0,
            **dict(zip(timing, times if answered else [0.0] * 7, strict=True)),
            **dict(zip(energy, energies if answered else [0.0] * 4, strict=True)),
            'ended_s': created + latency,
        }
    )


def _costs(rng: np.random.Generator, kind: str, split: int) -> tuple[list[float], list[float]]:
    decision = 0.01
    if kind == 'local':
        front = float(rng.uniform(0.25, 0.5))
        return [decision, 0.0, front, 0.0, 0.0, 0.0, 0.0], [0.15 * front, 0.0, 0.0, 0.0]
    front = 0.04 * split
    fast = kind == 'uav'
    upload = float(rng.gamma(4, 0.02 if fast else 0.07)) / (1 + split)
    wait = float(rng.exponential(0.01))
    back, download = (0.003, 0.001) if fast else (0.02, 0.004)
    times = [decision, 0.0, front, upload, wait, back, download]
    return times, [0.15 * front, 0.6 * upload, (25 if fast else 50) * back, 2 * download]


def _write_passes(table: CsvTable, plan: Plan) -> None:
    for number in range(2 * plan.satellites):
        rise = -200.0 + 35.0 * number
        table.add(
            {
                'satellite': 17 * number,
                'name': f'P{number:02d}S{(5 * number) % 24:02d}',
                'rise_s': rise,
                'set_s': rise + 240.0,
                'peak_elevation_rad': math.radians(18 + (37 * number) % 60),
                'minimum_elevation_rad': math.radians(10),
            }
        )


def _write_flights(table: CsvTable, plan: Plan, rng: np.random.Generator) -> None:
    for step in range(plan.slots * 10):
        time_s = step / 10
        for uav in range(plan.uavs):
            if uav == 1 and time_s > plan.slots / 2:
                continue  # this one is lost in mid-run
            x, y, z = _uav_position(uav, time_s)
            swing = (0.6 + 0.4 * uav) * math.exp(-3 * ((time_s + 0.1 * uav) % 1))
            error = 0.2 + swing + abs(float(rng.normal(0, 0.03)))
            table.add(
                {
                    'time_s': time_s,
                    'name': f'uav_{uav}',
                    'x_m': x,
                    'y_m': y,
                    'z_m': z,
                    'vx_m_s': 3.0,
                    'vy_m_s': 0.0,
                    'vz_m_s': 0.0,
                    'setpoint_x_m': x + error,
                    'setpoint_y_m': y,
                    'setpoint_z_m': z,
                    'tracking_error_m': error,
                    'energy_used_j': 170.0 * time_s,
                    'energy_left_j': 500e3 - 170.0 * time_s,
                }
            )
