"""The tables of a run: which columns each has, and how rows are written.

Names carry units. A row is in the file as soon as it is known, so that a killed recorder loses
at most the line it was writing.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

TIMING = ('decision_s', 'lost_s', 'front_s', 'upload_s', 'wait_s', 'back_s', 'download_s')
"""Fields of sec_offload/msg/TaskTiming, in the order in which a task goes through them."""

ENERGY = ('front_j', 'upload_j', 'back_j', 'download_j')
"""Fields of sec_offload/msg/TaskEnergy."""

Columns = Mapping[str, type]
"""Column names of a table with the type of their values; an empty cell means "none"."""


_TYPES: dict[str, type] = {'f': float, 'i': int, 'b': bool, 's': str}


def _columns(*spec: str) -> Columns:
    """Columns from texts like `f: x_m y_m`: a type and the names that have it."""
    return MappingProxyType(
        {
            name: _TYPES[kind]
            for kind, names in (text.split(':') for text in spec)
            for name in names.split()
        }
    )


_MOTION = 'x_m y_m z_m vx_m_s vy_m_s vz_m_s'
_COSTS = ' '.join([f'timing_{name}' for name in TIMING] + [f'energy_{name}' for name in ENERGY])

TABLES: Mapping[str, Columns] = MappingProxyType(
    {
        # every task that devices created
        'tasks': _columns(
            'i: task_id device_id slot',
            'f: created_s deadline_s accuracy_required input_bit steps answer_bit',
            's: prompt',
        ),
        # how each task ended
        'outcomes': _columns(
            'i: task_id device_id slot',
            's: status reason controller',
            'i: server',
            's: server_name model_id',
            'i: split attempts',
            'f: power_w accuracy_required accuracy',
            's: answer truth prompt question_kind picture',
            'i: tokens batch',
            'f: confidence created_s deadline_s latency_s first_token_s observed_s',
            'f: front_inference_s back_inference_s',
            f'f: {_COSTS} ended_s',
        ),
        # the balance of each slot; servers_lost holds numbers separated by spaces
        'slots': _columns(
            'i: slot',
            'f: start_s',
            's: controller',
            'b: fallback',
            'f: decide_s',
            'i: tasks_new tasks_decided decisions_repaired decisions_rejected tasks_open',
            's: servers_lost',
            'f: real_time_factor',
        ),
        # the flight of each UAV, ten times a second; energy_left_j is empty without battery
        'uavs': _columns(
            'f: time_s',
            's: name',
            f'f: {_MOTION} setpoint_x_m setpoint_y_m setpoint_z_m tracking_error_m',
            'f: energy_used_j energy_left_j',
        ),
        # where each device was at the start of each slot
        'devices': _columns('i: slot', 'f: time_s', 'i: device_id', f'f: {_MOTION}'),
        # every order that a device got; a task that was sent again has several
        'assignments': _columns(
            'f: time_s',
            'i: slot',
            's: controller',
            'b: fallback repair',
            'i: task_id device_id attempt server',
            's: model_id',
            'i: split',
            'f: power_w compute_share assigned_s',
        ),
        # when satellites are above the elevation mask; announced anew from time to time, so that
        # one pass may have several rows, cut off at different ends
        'passes': _columns(
            'i: satellite', 's: name', 'f: rise_s set_s peak_elevation_rad minimum_elevation_rad'
        ),
        # what each UAV did in each slot, in runs where UAVs relay to a satellite
        'relays': _columns(
            'i: slot server_id',
            's: name',
            'i: satellite',
            'f: ratio power_w cpu_hz start_s batch_bit',
            'i: frames frames_offloaded',
            'f: upload_s local_s transmit_s execute_s finish_s',
            'b: late',
            'f: upload_start_s collected_bit overflow_bit uploaded_bit stored_bit storage_bit',
            'f: sensitive_radio_j tolerant_radio_j uav_compute_j satellite_compute_j',
            'i: files_stored',
            'f: local_inference_s satellite_inference_s',
        ),
        # what servers held when each slot started, in such runs
        'stores': _columns(
            'i: slot', 'f: time_s', 's: name', 'f: stored_bit storage_bit', 'b: ground_contact'
        ),
        # every file that reached the ground station, in such runs
        'deliveries': _columns(
            'f: time_s',
            's: file_id',
            'i: device_id created_slot slot',
            's: satellite',
            'i: size_byte',
            'f: size_bit',
            's: sha256',
        ),
        # every task of every plan of a mission, and what the plan promised; times are infinite if
        # it gave the task up. Plans are numbered as they were made
        'plans': _columns(
            'i: plan task_id device_id server split',
            'f: cpu_hz upload_end_s finish_s loss_db due_s',
        ),
        # every UAV of every plan: when and why it was planned, energy for the rest of the mission,
        # and what no plan could beat in the largest of them
        'sorties': _columns(
            'i: plan slot',
            'f: start_s slot_s',
            's: controller reason',
            'i: server_id',
            's: name',
            'f: energy_j bound_j',
        ),
        # where each UAV of every plan shall be at the start of each slot, and at the end
        'waypoints': _columns('i: plan server_id', 's: name', 'i: slot', 'f: time_s x_m y_m z_m'),
        # how far each upload of a mission had got when each slot started; program_s and arrived_s
        # are empty before the program, and all of it, is there
        'uploads': _columns(
            'i: slot',
            'f: time_s',
            'i: task_id device_id server attempt',
            's: model_id',
            'i: split',
            'f: compute_share steps created_s deadline_s',
            'f: program_bit intermediate_bit program_s arrived_s',
        ),
        # every failure that was injected; every one that the coordinator noticed, with how long
        # the server had been silent [wall time] and how many tasks it had; and when a server that
        # had failed was heard again. Each row has one of the first three columns
        'failures': _columns(
            'f: injected_s noticed_s back_s',
            'i: slot server_id',
            's: name kind reason',
            'f: silence_s',
            'i: tasks',
        ),
        # every task of a failed server that went on elsewhere; way: relay (the failed server
        # passed the tensor on), resend (the device sent it again), local (the device went on)
        'migrations': _columns(
            'f: decided_s',
            'i: slot task_id device_id attempt from_server',
            's: from_name',
            'i: to_server',
            's: to_name way model_id',
            'i: cut',
            'f: size_bit expected_s compute_share',
            's: reason',
        ),
        # what happened besides: plan, run_state, server_lost, fallback, repair, failure
        'events': _columns('f: time_s', 'i: slot', 's: kind name detail'),
    }
)
"""Every table of a run, by name; the file is `<name>.csv`."""

RELAY_TABLES = ('relays', 'stores', 'deliveries')
"""Those that only runs have in which UAVs relay to a satellite."""

MISSION_TABLES = ('plans', 'sorties', 'waypoints', 'uploads')
"""Those that only runs have in which UAVs fly the plan of a mission."""


FAILURE_TABLES = ('failures', 'migrations')
"""Those that runs of earlier versions lack."""


class CsvTable:
    """A table that is being written, row by row."""

    def __init__(self, folder: Path, name: str) -> None:
        """Create `<name>.csv` with its header line.

        Raises:
            OSError: the file cannot be written.
        """
        self._file = (folder / f'{name}.csv').open('w', encoding='utf-8', newline='')
        self._writer = csv.DictWriter(self._file, list(TABLES[name]), lineterminator='\n')
        self._writer.writeheader()
        self._file.flush()

    def add(self, *rows: Mapping[str, Any]) -> None:
        """Write rows, and let them reach the operating system at once.

        Raises:
            OSError: e.g. the disk is full.
            ValueError: a row with a column that the table does not have.
        """
        for row in rows:
            self._writer.writerow({name: _cell(value) for name, value in row.items()})
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return f'{value:.9g}'
    if isinstance(value, str):
        # One row is one line, or a reader could not tell a truncated file from a whole one.
        return ' '.join(value.splitlines())
    return value
