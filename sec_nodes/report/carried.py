"""What UAVs passed on to a satellite, and what of it came down: numbers of runs with relays."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Any

import numpy as np

from sec_nodes.loop.recorded import contents
from sec_nodes.report.load import Run, Table
from sec_nodes.report.statistics import ratio, statistics

BIT_PER_MBIT = 1e6

ENERGIES = ('sensitive_radio', 'tolerant_radio', 'uav_compute', 'satellite_compute')
"""Columns of `relays` that the objective weighs, without their unit."""

_OF_DEVICE = re.compile(r'd(\d+)-(\d+)')
_SHA256 = re.compile(r'[0-9a-f]{64}')
_MOST_BYTE = 256 << 20
"""Files of a run beyond this sum are not made again to compare them."""


def summarise_carried(run: Run) -> dict[str, Any] | None:
    """Sum up what was computed, collected, uploaded and delivered; None without relays.

    Utility is what reached the satellite less lambda times energy, (28) of Qi et al., IEEE
    Internet Things J. 2025.
    """
    relays = run['relays']
    if not len(relays):
        return None
    asked = relays.where(relays['batch_bit'] > 0)
    parts_j = {f'{name}_j': float(relays[f'{name}_j'].sum()) for name in ENERGIES}
    weight = run.scenario.get('energy_weight_mbit_j')
    uploaded_mbit = _mbit(relays, 'uploaded_bit')
    total_j = sum(parts_j.values())
    offloaded_bit = float((asked['ratio'] * asked['batch_bit']).sum())
    return {
        'utility_mbit': None if weight is None else uploaded_mbit - weight * total_j,
        'energy_weight_mbit_j': weight,
        'energy_j': {'parts': parts_j, 'total': total_j},
        'batches': len(asked),
        'late_batches': int(asked['late'].sum()),
        'finish_s': statistics(asked['finish_s']),
        'offloaded_share': ratio(offloaded_bit, float(asked['batch_bit'].sum())),
        'frames': int(relays['frames'].sum()),
        'frames_offloaded': int(relays['frames_offloaded'].sum()),
        'with_satellite': float((relays['satellite'] >= 0).mean()),
        'collected_mbit': _mbit(relays, 'collected_bit'),
        'overflow_mbit': _mbit(relays, 'overflow_bit'),
        'uploaded_mbit': uploaded_mbit,
        'delivered_mbit': _mbit(run['deliveries'], 'size_bit'),
        'files': _files(run),
        'conservation': conservation(run),
    }


def conservation(run: Run) -> dict[str, Any]:
    """Whether all data are where they should be: at first + collected = uploaded + at the end.

    Data are whole bytes, of each device and of each upload, so that a slot may miss the balance
    by one byte for each of them. UAVs whose storage at the start is not recorded are passed over.
    """
    relays, missing_bit = run['relays'], {}
    for name in uav_names(relays):
        own = relays.where(relays['name'] == name)
        own = own.where(np.argsort(own['slot'], kind='stable'))
        stores = run['stores']
        first = stores.where((stores['name'] == name) & (stores['slot'] <= own['slot'][0]))
        if len(first):
            came_bit = first['stored_bit'][-1] + own['collected_bit'].sum()
            missing_bit[name] = float(came_bit - own['uploaded_bit'].sum() - own['stored_bit'][-1])
    slots = len(np.unique(relays['slot']))
    tolerance_bit = slots * _rounding_bit(run)
    return {
        'holds': all(abs(bit) <= tolerance_bit for bit in missing_bit.values())
        if missing_bit
        else None,
        'tolerance_bit': tolerance_bit,
        'missing_bit': missing_bit,
    }


def uav_names(relays: Table) -> list[str]:
    """Names of the UAVs that reported, in order of their numbers."""
    found = {
        str(name): int(k) for name, k in zip(relays['name'], relays['server_id'], strict=True)
    }
    return sorted(found, key=found.__getitem__)


def checksum_states(run: Run) -> list[str]:
    """What is known of each delivered file: as recorded, altered, verified or unverified.

    Simulated devices record what can be made again from the run's seed: these files are compared
    with what the device had. Of all others the ground station has compared the checksum only.
    """
    deliveries = run['deliveries']
    seed = run.fleet.get('seed') if run.fleet.get('backend') == 'sim' else None
    if int(deliveries['size_byte'].sum()) > _MOST_BYTE:
        seed = None
    columns = (deliveries[name] for name in ('file_id', 'size_byte', 'sha256'))
    return [_state(seed, *row) for row in zip(*columns, strict=True)]


def _state(seed: int | None, file_id: str, size_byte: int, sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        return 'unverified'
    match = _OF_DEVICE.fullmatch(file_id)
    if seed is None or not match:
        return 'verified'
    recorded = contents(seed, int(match[1]), int(match[2]), int(size_byte))
    return 'as recorded' if hashlib.sha256(recorded).hexdigest() == sha256 else 'altered'


def _files(run: Run) -> dict[str, Any]:
    names = run['deliveries']['file_id'].tolist()
    states = checksum_states(run)
    return {
        'delivered': len(set(names)),
        'verified': len({f for f, s in zip(names, states, strict=True) if s != 'unverified'}),
        'as_recorded': len({f for f, s in zip(names, states, strict=True) if s == 'as recorded'}),
        'altered': sorted({f for f, s in zip(names, states, strict=True) if s == 'altered'}),
        'delivered_twice': sorted(name for name, times in Counter(names).items() if times > 1),
    }


def _rounding_bit(run: Run) -> float:
    """By how much the balance of a slot may miss, by rounding to bytes [bit]."""
    scenario = run.scenario
    share = scenario.get('flown', {}).get('byte_share', 1.0)
    most_files = scenario.get('devices', {}).get('tolerant_count', (0, 0))[1]
    return float(8 / share * (most_files + 1))


def _mbit(table: Table, column: str) -> float:
    return float(table[column].sum()) / BIT_PER_MBIT
