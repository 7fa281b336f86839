"""A maritime run that no node flew: the scenario, slot by slot, written as the recorder would."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from report_rows import outcome

from sec_nodes.controllers.batch import create_batch
from sec_nodes.inference.scenes import CLASSES
from sec_nodes.loop.recorded import contents
from sec_nodes.recording.tables import TABLES, CsvTable
from sec_nodes.scenarios.maritime import Maritime, MaritimeDecision, MaritimeOutcome, MaritimeState
from sec_nodes.scenarios.registry import read_settings

SEED = 3


@dataclass(frozen=True)
class Voyage:
    """What is played."""

    slots: int = 40
    uavs: int = 6
    rises_s: float = 12.0
    controller: str = 'jcorm'
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the scenario, by dotted name."""


def write_voyage(folder: Path, voyage: Voyage | None = None) -> Path:
    """Write the tables of a run; returns the folder."""
    voyage = voyage or Voyage()
    folder.mkdir(parents=True, exist_ok=True)
    given = {'uavs.count': voyage.uavs, 'satellite.rises_s': voyage.rises_s, **voyage.changes}
    _Writer(folder, Maritime(read_settings('maritime', given)), voyage).write()
    return folder


class _Writer:
    def __init__(self, folder: Path, scenario: Maritime, voyage: Voyage) -> None:
        self.folder, self.scenario, self.voyage = folder, scenario, voyage
        self.settings = scenario.settings
        self.tables = {name: CsvTable(folder, name) for name in TABLES}
        self.rng = np.random.default_rng(SEED)
        self.waiting: list[tuple[str, int, int, int]] = []
        """Files on the satellite: name, device, slot, bytes."""
        self.ground_from, self.ground_to = 5, 5 + voyage.slots // 2

    def write(self) -> None:
        self._describe()
        controller = create_batch(self.voyage.controller, self.scenario)
        state = self.scenario.reset(np.array([SEED]))
        self._event(0, 'running')
        for slot in range(self.voyage.slots):
            decision = controller.decide(state)
            following, out = self.scenario.step(state, decision)
            self._slot(slot, controller.name)
            self._stores(slot, state)
            self._relays(slot, state, decision, out)
            self._tasks(slot, state, decision, out)
            self._deliver(slot, state, out)
            state = following
        self._event(self.voyage.slots, 'finished')
        for table in self.tables.values():
            table.close()

    def _describe(self) -> None:
        names = [f'uav_{m}' for m in range(self.voyage.uavs)] + ['satellite_0']
        info = {
            'run': self.folder.name,
            'version': '0.0.0',
            'started': '2026-01-01T12:00:00+00:00',
            'servers': [{'server_id': k, 'name': name} for k, name in enumerate(names)],
            'scenario': self.settings.model_dump(mode='json'),
        }
        (self.folder / 'run.json').write_text(json.dumps(info), encoding='utf-8')
        fleet = f'backend: sim\nseed: {SEED}\n'
        (self.folder / 'fleet.yaml').write_text(fleet, encoding='utf-8')
        rises_s = self.voyage.rises_s
        self.tables['passes'].add(
            {
                'satellite': 0,
                'name': 'satellite 0',
                'rise_s': rises_s,
                'set_s': rises_s + self.scenario.visible_s,
                'peak_elevation_rad': math.pi / 2,
                'minimum_elevation_rad': math.radians(40.0),
            }
        )

    def _event(self, slot: int, name: str) -> None:
        row = {'time_s': slot * self.settings.slot_s, 'slot': slot, 'kind': 'run_state'}
        self.tables['events'].add({**row, 'name': name, 'detail': ''})

    def _slot(self, slot: int, controller: str) -> None:
        self.tables['slots'].add(
            {
                'slot': slot, 'start_s': slot * self.settings.slot_s, 'controller': controller,
                'fallback': False, 'decide_s': 0.004, 'servers_lost': '', 'real_time_factor': 4.0,
            }
        )  # fmt: skip

    def _stores(self, slot: int, state: MaritimeState) -> None:
        base = {'slot': slot, 'time_s': slot * self.settings.slot_s}
        for m in range(self.voyage.uavs):
            self.tables['stores'].add(
                {
                    **base, 'name': f'uav_{m}', 'stored_bit': float(state.stored_bit[0, m]),
                    'storage_bit': self.settings.uavs.storage_bit, 'ground_contact': False,
                }
            )  # fmt: skip
            east_m, north_m = (float(x) for x in state.uav_m[0, m])
            self.tables['uavs'].add(
                {
                    'time_s': base['time_s'], 'name': f'uav_{m}', 'x_m': east_m, 'y_m': north_m,
                    'z_m': self.settings.uavs.altitude_m, 'tracking_error_m': 0.1,
                    'energy_used_j': 300.0 * base['time_s'],
                }
            )  # fmt: skip
        share = self.settings.flown.byte_share
        self.tables['stores'].add(
            {
                **base, 'name': 'satellite_0', 'storage_bit': 0.0,
                'stored_bit': sum(size for *_, size in self.waiting) * 8 / share,
                'ground_contact': self.ground_from <= slot < self.ground_to,
            }
        )  # fmt: skip

    def _relays(
        self, slot: int, state: MaritimeState, decision: MaritimeDecision, out: MaritimeOutcome
    ) -> None:
        in_view = bool(state.leo_gain[0, 0] > 0)
        for m in range(self.voyage.uavs):
            frames = self._frames(state.batch_bit[0, m])
            self.tables['relays'].add(
                {
                    'slot': slot,
                    'server_id': m,
                    'name': f'uav_{m}',
                    'satellite': self.voyage.uavs if in_view else -1,
                    **{
                        name: float(getattr(decision, name)[0, m])
                        for name in ('ratio', 'power_w', 'cpu_hz', 'start_s')
                    },
                    'batch_bit': float(state.batch_bit[0, m]),
                    'frames': frames,
                    'frames_offloaded': round(frames * decision.ratio[0, m]),
                    'upload_s': float(state.upload_s[0, m]),
                    'upload_start_s': float(out.start_s[0, m]),
                    'stored_bit': float(out.next_stored_bit[0, m]),
                    'storage_bit': self.settings.uavs.storage_bit,
                    **{
                        name: out.__dict__[name][0, m].item()
                        for name in (
                            'local_s', 'transmit_s', 'execute_s', 'finish_s', 'late',
                            'collected_bit', 'overflow_bit', 'uploaded_bit', 'sensitive_radio_j',
                            'tolerant_radio_j', 'uav_compute_j', 'satellite_compute_j',
                        )
                    },
                    'files_stored': 16,
                    'local_inference_s': 0.004 * frames,
                    'satellite_inference_s': 0.001 * frames,
                }
            )  # fmt: skip

    def _frames(self, size_bit: float) -> int:
        return max(1, round(size_bit / self.settings.flown.frame_bit)) if size_bit else 0

    def _tasks(
        self, slot: int, state: MaritimeState, decision: MaritimeDecision, out: MaritimeOutcome
    ) -> None:
        devices, start_s = state.devices, slot * self.settings.slot_s
        for m, k in zip(*np.nonzero(devices.active[0]), strict=True):
            device = int(m * self.settings.columns + k)
            east_m, north_m = (float(x) for x in devices.position_m[0, m, k])
            self.tables['devices'].add(
                {
                    'slot': slot, 'time_s': start_s, 'device_id': device, 'x_m': east_m,
                    'y_m': north_m, 'z_m': 0.0, 'vx_m_s': 0.0, 'vy_m_s': 0.0, 'vz_m_s': 0.0,
                }
            )  # fmt: skip
            if devices.size_bit[0, m, k] > 0:
                self._task(slot, device, int(m), float(devices.size_bit[0, m, k]), state, out)

    def _task(
        self, slot: int, device: int, uav: int, size_bit: float, state: MaritimeState,
        out: MaritimeOutcome,
    ) -> None:  # fmt: skip
        task_id, start_s = (device << 32) + slot, slot * self.settings.slot_s
        column = device % self.settings.columns
        own_s = size_bit / float(state.devices.rate_bit_s[0, uav, column])
        all_s, finish_s = float(state.upload_s[0, uav]), float(out.finish_s[0, uav])
        truth = [str(word) for word in self.rng.choice(CLASSES, self._frames(size_bit))]
        seen = [w if self.rng.uniform() < 0.9 else str(self.rng.choice(CLASSES)) for w in truth]
        self.tables['tasks'].add(
            {
                'task_id': task_id, 'device_id': device, 'slot': slot, 'created_s': start_s,
                'deadline_s': self.settings.slot_s, 'accuracy_required': 0.0,
                'input_bit': size_bit, 'answer_bit': 0.0, 'prompt': '',
            }
        )  # fmt: skip
        self.tables['assignments'].add(
            {
                'time_s': start_s, 'slot': slot, 'controller': self.voyage.controller,
                'fallback': False, 'repair': False, 'task_id': task_id, 'device_id': device,
                'attempt': 0, 'server': uav, 'model_id': 'scene-s', 'power_w': 0.1,
            }
        )  # fmt: skip
        self.tables['outcomes'].add(
            outcome(
                task_id, device_id=device, slot=slot, server=uav, server_name=f'uav_{uav}',
                model_id='scene-s', controller=self.voyage.controller,
                status='late' if out.late[0, uav] else 'done', created_s=start_s,
                deadline_s=self.settings.slot_s, latency_s=finish_s, observed_s=finish_s,
                answer=' '.join(seen), truth=' '.join(truth), question_kind='frames',
                timing_upload_s=own_s, timing_wait_s=all_s - own_s, timing_back_s=finish_s - all_s,
                energy_upload_j=0.1 * own_s, ended_s=start_s + finish_s,
            )
        )  # fmt: skip

    def _deliver(self, slot: int, state: MaritimeState, out: MaritimeOutcome) -> None:
        """Hand down what the satellite holds, and take in what UAVs upload, in files."""
        share = self.settings.flown.byte_share
        if self.ground_from <= slot < self.ground_to:
            budget = self.settings.ground_station.rate_bit_s * self.settings.slot_s * share / 8
            while self.waiting and self.waiting[0][-1] <= budget:
                file_id, device, created, size = self.waiting.pop(0)
                budget -= size
                self._delivery(slot, file_id, device, created, size)
        for m in range(self.voyage.uavs):
            size = int(out.uploaded_bit[0, m] * share / 8)
            if size:
                device = m * self.settings.columns + self.settings.devices.sensitive_count[1]
                self.waiting.append((f'{device}-{slot}', device, slot, size))

    def _delivery(self, slot: int, file_id: str, device: int, created: int, size: int) -> None:
        self.tables['deliveries'].add(
            {
                'time_s': (slot + 1) * self.settings.slot_s, 'file_id': file_id,
                'device_id': device, 'created_slot': created, 'slot': slot,
                'satellite': 'satellite_0', 'size_byte': size,
                'size_bit': size * 8 / self.settings.flown.byte_share,
                'sha256': hashlib.sha256(contents(SEED, device, created, size)).hexdigest(),
            }
        )  # fmt: skip
