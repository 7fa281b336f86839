"""What UAVs passed on to a satellite, and what of it came down: numbers of runs with relays."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sec_nodes.loop.handover import FIRST_INITIAL_DEVICE, INITIAL_FILES
from sec_nodes.loop.recorded import contents
from sec_nodes.report.load import Run, Table
from sec_nodes.report.statistics import ratio, statistics

BIT_PER_MBIT = 1e6

ENERGIES = ('sensitive_radio', 'tolerant_radio', 'uav_compute', 'satellite_compute')
"""Columns of `relays` that the objective weighs, without their unit."""

INITIAL = re.compile(r'uav_(\d+)-initial-(\d+)')
"""Names of files that a UAV had before the run: UAV and number."""

_DIGITS = 5e-10
"""By how much a number in a table may be off, in parts of it."""

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
    """Whether all data are where they should be: stored + collected = uploaded + stored after.

    Each report of a UAV is balanced against its report before, the first one against the storage
    at the start. (`stores` has no part in the others: unless slots wait for the UAVs, a slot may
    start while the one before is under way.) A UAV that was started anew has no report of the
    slot in which it was killed, and what its next report counts is not known: with that report
    the balance begins anew.

    Data are counted in whole bytes, so that only the digits that tables keep are allowed for.
    """
    relays = run['relays']
    slots = range(int(relays['slot'].min()), int(relays['slot'].max()) + 1)
    names = uav_names(relays)
    steps = [step for name in names for step in _steps(run, name, slots.start)]
    share = run.scenario.get('flown', {}).get('byte_share', 1.0)
    largest_bit = max((max(step.came_bit, step.went_bit) for step in steps), default=0.0)
    tolerance_bit = 0.5 * 8 / share + 2 * _DIGITS * largest_bit
    breaks = [step for step in steps if abs(step.missing_bit) > tolerance_bit]
    return {
        'holds': not breaks if steps else None,
        'tolerance_bit': tolerance_bit,
        'balanced_slots': len(steps),
        'skipped_slots': len(names) * len(slots)
        - len(set(zip(relays['name'].tolist(), relays['slot'].tolist(), strict=True))),
        'breaks': [
            {'name': step.name, 'slot': step.slot, 'missing_bit': step.missing_bit}
            for step in breaks
        ],
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
    names = ('file_id', 'device_id', 'created_slot', 'size_byte', 'sha256')
    columns = (deliveries[name].tolist() for name in names)
    return [_state(seed, *row) for row in zip(*columns, strict=True)]


@dataclass(frozen=True)
class _Step:
    """What was in a UAV's storage and came into it, and what went and was left."""

    name: str
    slot: int
    came_bit: float
    went_bit: float

    @property
    def missing_bit(self) -> float:
        return self.came_bit - self.went_bit


def _steps(run: Run, name: str, first_slot: int) -> Iterator[_Step]:
    """Reports of a UAV, as they were made, that can be balanced against the one before."""
    own = run['relays'].where(run['relays']['name'] == name)
    stores = run['stores'].where(run['stores']['name'] == name)
    start_bit = stores['stored_bit'][stores['slot'] == first_slot]
    held_bit = float(start_bit[0]) if len(start_bit) else None
    names = ('slot', 'collected_bit', 'uploaded_bit', 'stored_bit')
    columns = (own[column].tolist() for column in names)
    reported, before = set(own['slot'].tolist()), first_slot - 1
    for slot, collected_bit, uploaded_bit, stored_bit in zip(*columns, strict=True):
        # slots may overlap, so that the later one is done first
        between = range(min(before, slot) + 1, max(before, slot))
        if held_bit is not None and reported.issuperset(between):
            yield _Step(name, slot, held_bit + collected_bit, uploaded_bit + stored_bit)
        before, held_bit = slot, stored_bit


def _state(
    seed: int | None, file_id: str, device: int, slot: int, size_byte: int, sha256: str
) -> str:
    if not _SHA256.fullmatch(sha256):
        return 'unverified'
    if seed is None:
        return 'verified'
    if match := INITIAL.fullmatch(file_id):
        device = FIRST_INITIAL_DEVICE + int(match[1]) * INITIAL_FILES + int(match[2])
    recorded = contents(seed, device, slot, size_byte)
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


def _mbit(table: Table, column: str) -> float:
    return float(table[column].sum()) / BIT_PER_MBIT
