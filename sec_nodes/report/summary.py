"""The numbers of a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.recording.tables import ENERGY
from sec_nodes.report.carried import summarise_carried
from sec_nodes.report.failures import summarise_failures
from sec_nodes.report.load import Run, Table, kind_of, kinds_in, kinds_of, load_run
from sec_nodes.report.mission import summarise_mission
from sec_nodes.report.questions import by_kind, by_model, judged
from sec_nodes.report.statistics import ratio, statistics
from sec_nodes.slot import Status

STATUSES = tuple(status.name.lower() for status in Status)


def summarise(run_dir: Path | str) -> dict[str, Any]:
    """Sum a run up in numbers that JSON can hold; None where there is nothing to measure.

    Args:
        run_dir: folder of the run.

    Raises:
        ReportError: it is not the folder of a run.
    """
    return summarise_run(load_run(run_dir))


def summarise_run(run: Run) -> dict[str, Any]:
    """Sum up a run that has been read."""
    answered = run.answered
    return {
        'run': run.name,
        'scenario': run.scenario.get('name'),
        'version': run.info.get('version'),
        'state': _last_state(run),
        'tasks': _tasks(run),
        'exactly_once': exactly_once(run),
        'served_by': _served_by(answered),
        'accuracy': _accuracy(answered),
        'latency_s': _by_kind(answered, answered['latency_s']),
        'energy_j': _energy(run),
        'flight': _flight(run['uavs']),
        'slots': _slots(run),
        'questions': _questions(answered),
        'carried': summarise_carried(run),
        'mission': summarise_mission(run),
        'failures': summarise_failures(run),
        'measured': _measured(answered),
        'notes': list(run.notes),
    }


def exactly_once(run: Run) -> dict[str, Any]:
    """Whether every created task has exactly one outcome; names the tasks that have not."""
    created = set(run['tasks']['task_id'].tolist())
    ended = Counter(run['outcomes']['task_id'].tolist())
    duplicates = sorted(task for task, times in ended.items() if times > 1)
    missing = sorted(created - ended.keys())
    unknown = sorted(ended.keys() - created)
    return {
        'holds': not (duplicates or missing or unknown),
        'duplicates': duplicates,
        'missing': missing,
        'unknown': unknown,
    }


def _last_state(run: Run) -> str | None:
    events = run['events']
    states = events['name'][events['kind'] == 'run_state']
    return str(states[-1]) if len(states) else None


def _tasks(run: Run) -> dict[str, Any]:
    outcomes = run['outcomes']
    counts = Counter(outcomes['status'].tolist())
    failures = [
        Counter(outcomes['reason'][outcomes['status'] == status].tolist())
        for status in ('failed', 'rejected')
    ]
    return {
        'created': len(run['tasks']),
        'ended': len(outcomes),
        'by_status': {status: counts.get(status, 0) for status in STATUSES},
        'failed_because': dict(failures[0].most_common()),
        'rejected_because': dict(failures[1].most_common()),
        'deadline_satisfaction': ratio(counts.get('done', 0), len(outcomes)),
        'sent_more_than_once': int(np.sum(outcomes['attempts'] > 1)),
    }


def _served_by(answered: Table) -> dict[str, Any]:
    kinds = kinds_of(answered)
    return {
        'kind': {kind: int(np.sum(kinds == kind)) for kind in kinds_in(kinds)},
        'server': dict(sorted(Counter(answered['server_name'].tolist()).items())),
        'split': int(np.sum((answered['split'] > 0) & (kinds != 'local'))),
    }


def _accuracy(answered: Table) -> dict[str, Any]:
    known = answered.where(answered['truth'] != '')
    (hits, answers), kinds = judged(known), kinds_of(known)
    groups = {'all': np.ones(len(known), bool), **{k: kinds == k for k in kinds_in(kinds)}}
    return {
        name: {
            'known': int(answers[mask].sum()),
            'correct': int(hits[mask].sum()),
            'accuracy': ratio(int(hits[mask].sum()), int(answers[mask].sum())),
        }
        for name, mask in groups.items()
    }


def _by_kind(table: Table, values: NDArray[np.float64]) -> dict[str, Any]:
    kinds = kinds_of(table)
    return {
        'all': statistics(values),
        **{kind: statistics(values[kinds == kind]) for kind in kinds_in(kinds)},
    }


def _energy(run: Run) -> dict[str, Any]:
    outcomes, answered = run['outcomes'], len(run.answered)
    parts = {part: float(np.nansum(outcomes[f'energy_{part}'])) for part in ENERGY}
    total = sum(parts.values())
    return {
        'parts': parts,
        'total': total,
        'per_answered_task': ratio(total, answered),
        'propulsion': propulsion_j(run),
    }


def propulsion_j(run: Run) -> float | None:
    """What the UAVs used beyond computing and transmitting for tasks [J]."""
    uavs, outcomes = run['uavs'], run['outcomes']
    used = [
        float(np.nanmax(values))
        for name in np.unique(uavs['name'])
        if np.isfinite(values := uavs['energy_used_j'][uavs['name'] == name]).any()
    ]
    if not used:
        return None
    by_uav = np.array([kind_of(name) == 'uav' for name in outcomes['server_name']], dtype=bool)
    on_tasks = outcomes['energy_back_j'][by_uav] + outcomes['energy_download_j'][by_uav]
    return max(0.0, sum(used) - float(np.nansum(on_tasks)))


def _flight(uavs: Table) -> dict[str, Any]:
    error = uavs['tracking_error_m']
    finite = np.isfinite(error)
    if not finite.any():
        return {'tracking_error_rms_m': None, 'tracking_error_max_m': None, 'by_uav': {}}
    names = uavs['name'][finite]
    by_uav = {str(name): _rms(error[finite][names == name]) for name in np.unique(names)}
    return {
        'tracking_error_rms_m': _rms(error[finite]),
        'tracking_error_max_m': float(error[finite].max()),
        'by_uav': {name: {'tracking_error_rms_m': value} for name, value in by_uav.items()},
    }


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _slots(run: Run) -> dict[str, Any]:
    slots, events = run['slots'], run['events']
    factor = slots['real_time_factor']
    factor = factor[np.isfinite(factor) & (factor > 0)]
    return {
        'count': len(slots),
        'controllers': dict(Counter(slots['controller'].tolist())),
        'fallback': int(slots['fallback'].sum()),
        'decisions_repaired': int(np.maximum(slots['decisions_repaired'], 0).sum()),
        'decisions_rejected': int(np.maximum(slots['decisions_rejected'], 0).sum()),
        'repair_batches': int(np.sum(events['kind'] == 'repair')),
        'servers_lost': events['name'][events['kind'] == 'server_lost'].tolist(),
        'decide_s': statistics(slots['decide_s']),
        # Slots are equally long in simulated time, so their wall times are what adds up.
        'real_time_factor': float(len(factor) / np.sum(1 / factor)) if len(factor) else None,
    }


def _questions(answered: Table) -> dict[str, Any]:
    """What language models were asked; all empty without any."""
    first_s = answered['first_token_s'][answered['tokens'] > 0]
    batch = answered['batch'][answered['tokens'] > 0]
    return {
        'by_model': by_model(answered),
        'by_kind': by_kind(answered),
        'first_token_s': statistics(first_s),
        'batch': statistics(batch.astype(float)),
    }


def _measured(answered: Table) -> dict[str, Any]:
    front, back = answered['front_inference_s'], answered['back_inference_s']
    return {
        'observed_minus_modelled_s': statistics(answered['observed_s'] - answered['latency_s']),
        'front_inference_s': statistics(front[front > 0]),
        'back_inference_s': statistics(back[back > 0]),
    }
