"""A run with failures that never happened, as the recorder would write it: for report design."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes.recording.tables import TABLES, CsvTable

SLOTS, DEVICES, UAVS = 30, 10, 3
NETWORKS = ('scene-s', 'chain-l', 'scene-l')

OUTAGES: tuple[tuple[str, int, float, float | None, float | None, str], ...] = (
    ('kill', 1, 7.3, 7.6, 9.9, 'silent'),
    ('battery', 2, 13.4, 13.42, 18.1, 'battery empty'),
    ('link loss', 1, 16.2, None, 17.2, ''),
    ('cut', 0, 20.2, 20.5, 23.3, 'silent'),
    ('hang', 2, 25.5, 25.8, None, 'silent'),
)
"""Kind, UAV, when it was injected, noticed and over, and why it was noticed."""


def row(table: str, **values: Any) -> dict[str, Any]:
    """A row of a table, zeros and empty texts unless told otherwise."""
    return {name: '' if kind is str else 0 for name, kind in TABLES[table].items()} | values


def write_failures(folder: Path, seed: int = 1) -> Path:
    """Write every table; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tables = {name: CsvTable(folder, name) for name in TABLES}
    _write_info(folder)
    place_m = rng.uniform(0, 500, (DEVICES, 2))
    for slot in range(SLOTS):
        lost = [o for o in OUTAGES if o[3] is not None and int(o[3]) == slot]
        tables['slots'].add(
            row(
                'slots', slot=slot, start_s=float(slot), controller='optimum', tasks_new=DEVICES,
                tasks_decided=DEVICES, decide_s=0.03, real_time_factor=0.98,
                servers_lost=' '.join(str(o[1]) for o in lost),
            )
        )  # fmt: skip
        for device in range(DEVICES):
            x_m, y_m = place_m[device] + slot
            tables['devices'].add(
                row('devices', slot=slot, time_s=float(slot), device_id=device, x_m=x_m, y_m=y_m)
            )
            _write_task(tables, rng, slot, device)
    _write_outages(tables)
    for step in range(10 * SLOTS):
        _write_flight(tables['uavs'], step / 10)
    tables['events'].add(row('events', kind='run_state', name='finished', time_s=float(SLOTS)))
    for table in tables.values():
        table.close()
    return folder


def _write_info(folder: Path) -> None:
    info = {
        'run': folder.name, 'version': '1.0.0', 'started': '2026-01-01T12:00:00+00:00',
        'servers': [{'server_id': k, 'name': f'uav_{k}'} for k in range(UAVS)],
        'scenario': {'name': 'robust', 'slot_s': 1.0, 'area_m': 500.0, 'uavs': {'count': UAVS}},
    }  # fmt: skip
    (folder / 'run.json').write_text(json.dumps(info), encoding='utf-8')


def _down(uav: int, time_s: float) -> bool:
    return any(
        uav == other and begin_s <= time_s < (end_s or math.inf)
        for _, other, begin_s, _, end_s, _ in OUTAGES
    )


def _hit_by(slot: int, uav: int) -> tuple[str, float] | None:
    """Kind of the failure that the UAV has in a slot, and when it is noticed."""
    found = [(o[0], o[3]) for o in OUTAGES if o[1] == uav and int(o[2]) == slot and o[3]]
    return found[0] if found else None


def _write_task(
    tables: dict[str, CsvTable], rng: np.random.Generator, slot: int, device: int
) -> None:
    task_id = (device << 32) + slot
    living = [uav for uav in range(UAVS) if not _down(uav, float(slot))]
    uav = living[device % len(living)]
    tables['tasks'].add(
        row(
            'tasks', task_id=task_id, device_id=device, slot=slot, created_s=float(slot),
            deadline_s=1.0,
        )
    )  # fmt: skip
    order = {
        'slot': slot, 'controller': 'optimum', 'task_id': task_id, 'device_id': device,
        'server': uav, 'model_id': NETWORKS[device % 3], 'split': 4, 'power_w': 0.2,
    }  # fmt: skip
    tables['assignments'].add(row('assignments', time_s=slot + 0.03, **order))
    decision_s, lost_s, upload_s = 0.03, 0.0, float(rng.uniform(0.1, 0.25))
    attempts, status, reason = 1, 'done', ''
    hit = _hit_by(slot, uav)
    if hit is not None:
        kind, noticed_s = hit
        others = [other for other in living if other != uav]
        way = 'relay' if kind == 'battery' else 'resend' if others else 'local'
        target = others[device % len(others)] if way != 'local' else -1
        if device == 9:
            way, target = 'local', -1
        lost_s = noticed_s + 0.01 - slot - decision_s
        upload_s = 0.0 if way == 'local' else 0.05 if way == 'relay' else upload_s
        attempts, order['server'] = 2, target
        tables['migrations'].add(
            row(
                'migrations', decided_s=noticed_s + 0.01, slot=slot, task_id=task_id,
                device_id=device, attempt=1, from_server=uav, from_name=f'uav_{uav}',
                to_server=target, to_name='local' if way == 'local' else f'uav_{target}', way=way,
                model_id=NETWORKS[device % 3], cut=4, size_bit=2e5 if way != 'local' else 0.0,
                expected_s=0.9 * upload_s, compute_share=0.2, reason='server_lost',
            )
        )  # fmt: skip
        uav = target
    back_s = 0.3 if uav >= 0 else 0.5
    latency_s = decision_s + lost_s + 0.12 + upload_s + back_s
    if latency_s > 1.0:
        status = 'late'
    if hit is not None and device == 2:
        status, reason = 'failed', 'server_lost: uav_2; then no room'
    timing = {'timing_decision_s': decision_s, 'timing_lost_s': lost_s, 'timing_front_s': 0.12}
    timing |= {'timing_upload_s': upload_s, 'timing_back_s': back_s}
    tables['outcomes'].add(
        row(
            'outcomes', **order, status=status, reason=reason, attempts=attempts, accuracy=0.9,
            server_name=f'uav_{uav}' if uav >= 0 else 'local', answer='ship', truth='ship',
            created_s=float(slot), deadline_s=1.0, latency_s=latency_s, observed_s=latency_s,
            front_inference_s=0.001, back_inference_s=0.004, energy_front_j=0.01,
            energy_upload_j=0.2 * upload_s, energy_back_j=0.02, ended_s=slot + latency_s, **timing,
        )
    )  # fmt: skip


def _write_outages(tables: dict[str, CsvTable]) -> None:
    table = tables['failures']
    for kind, uav, begin_s, noticed_s, end_s, reason in OUTAGES:
        none: dict[str, Any] = dict.fromkeys(('injected_s', 'noticed_s', 'back_s'), math.nan)
        none |= {'server_id': uav, 'name': f'uav_{uav}'}
        table.add(row('failures', **none | {'injected_s': begin_s}, kind=kind))
        if noticed_s is None:
            table.add(row('failures', **none | {'injected_s': end_s}, kind='recover'))
            continue
        notice = {'slot': int(noticed_s), 'silence_s': noticed_s - begin_s, 'tasks': 3}
        table.add(row('failures', **none | {'noticed_s': noticed_s}, reason=reason, **notice))
        if end_s is not None:
            table.add(row('failures', **none | {'back_s': end_s}))


def _write_flight(table: CsvTable, time_s: float) -> None:
    for uav in range(UAVS):
        if _down(uav, time_s):
            continue
        angle = 0.05 * time_s + 2.1 * uav
        x_m, y_m = 250 + 120 * math.cos(angle), 250 + 120 * math.sin(angle)
        error_m = 0.2 + 0.8 * math.exp(-3 * (time_s % 1))
        table.add(
            row(
                'uavs', time_s=time_s, name=f'uav_{uav}', x_m=x_m, y_m=y_m, z_m=150.0, vx_m_s=6.0,
                setpoint_x_m=x_m, setpoint_y_m=y_m, setpoint_z_m=150.0, tracking_error_m=error_m,
                energy_used_j=170.0 * time_s, energy_left_j=math.nan,
            )
        )  # fmt: skip
