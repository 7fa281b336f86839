"""What failures of UAVs cost: detection, migration, completion, and latency without any.

    source scripts/env.sh; python bench/robust/run.py

Every row comes from real fleets on this machine at the wall clock's speed; it should have nothing
else to do. UAVs really fail: processes are killed and stopped, nodes are cut off.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

HERE = Path(__file__).resolve().parent
KINDS = ('battery', 'kill', 'hang', 'cut')
SLOTS = 30
OUTAGES = ('uav_0@4.4-9', 'uav_1@12.4-17', 'uav_2@20.4-25')
"""Each UAV fails once, at work, and comes back."""
LASTING = ('uav_0@10.4:kill',)
"""A UAV that is gone for the last two thirds of a run."""
WARM_SLOTS = 3
"""Slots at the beginning that are not counted: code and caches are cold."""


@dataclass(frozen=True)
class Case:
    """One fleet to measure."""

    name: str
    fails: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    controller: str = 'optimum'


@dataclass
class Measured:
    """Runs of a case."""

    summaries: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, str]] = field(default_factory=list)
    noticed_s: list[float] = field(default_factory=list)
    moved_s: list[float] = field(default_factory=list)


OF_KIND = {kind: Case(kind, tuple(f'{outage}:{kind}' for outage in OUTAGES)) for kind in KINDS}
SURVIVAL = (
    Case('static association', LASTING, ('failures.migration=none',),
         'static_association:StaticAssociation'),
    Case('new association in the next slot', LASTING, ('failures.migration=none',)),
    Case('and within the slot', LASTING),
)  # fmt: skip
CALM = (
    Case('as shipped'),
    Case('heartbeats of 1 s', (), ('detection.heartbeat_s=1.0', 'detection.timeout_s=5.0')),
    Case('reserve of 0.1 s', (), ('failures.reserve_s=0.1',)),
)


def measure(case: Case, seeds: int, domain: int) -> Measured:
    """Run a fleet with several seeds and read its tables."""
    measured = Measured()
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            _run(case, seed, Path(folder), domain)
            _read(Path(folder) / 'run', measured)
    return measured


def _run(case: Case, seed: int, folder: Path, domain: int) -> None:
    command = [sys.executable, '-m', 'sec_nodes.cli.main', 'up', 'laptop', '--plain']
    command += ['--no-report', '--results', str(folder), '--run', 'run', '--seed', str(seed)]
    command += ['--scenario', 'robust', '--slots', str(SLOTS), '--controller', case.controller]
    for option, values in (('--set', case.changes), ('--fail', case.fails)):
        command += [part for value in values for part in (option, value)]
    path = os.pathsep.join([str(HERE), os.environ.get('PYTHONPATH', '')])
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain), 'PYTHONPATH': path}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(
            f'{case.name}: the run failed\n{done.stdout[-2000:]}{done.stderr[-2000:]}'
        )


def _read(run: Path, measured: Measured) -> None:
    summary = json.loads((run / 'summary.json').read_text())
    if not summary['exactly_once']['holds']:
        raise SystemExit(f'{run}: a task was lost')
    measured.summaries.append(summary)
    rows = {
        name: list(csv.DictReader((run / f'{name}.csv').open()))
        for name in ('outcomes', 'failures', 'migrations')
    }
    measured.outcomes += [row for row in rows['outcomes'] if int(row['slot']) >= WARM_SLOTS]
    measured.noticed_s += _detections(rows['failures'])
    measured.moved_s += _moves(rows['migrations'], rows['outcomes'])


def _detections(rows: list[dict[str, str]]) -> list[float]:
    """From each failure to its notice [s]."""
    injected = [(row['name'], float(row['injected_s'])) for row in rows if row['injected_s']]
    noticed = [(row['name'], float(row['noticed_s'])) for row in rows if row['noticed_s']]
    found = []
    for name, at_s in injected:
        after_s = [when_s - at_s for other, when_s in noticed if other == name and when_s >= at_s]
        found += [min(after_s)] if after_s else []
    return found


def _moves(migrations: list[dict[str, str]], outcomes: list[dict[str, str]]) -> list[float]:
    """How long tensors travelled to their new UAVs, by the channel's model [s]."""
    ended = {row['task_id']: row for row in outcomes}
    return [
        float(ended[row['task_id']]['timing_upload_s'])
        for row in migrations
        if row['way'] != 'local' and ended[row['task_id']]['server'] == row['to_server']
    ]


def _of_kinds(measured: dict[str, Measured]) -> list[str]:
    """Detection, migration and what became of the tasks."""
    lines = [
        '| failure | noticed after, median | at most | tasks hit | relay | resend | local | '
        'tensor travels, median | at most | in time | late | lost | false alarms |',
        '|---|---|---|---|---|---|---|---|---|---|---|---|---|',
    ]
    for kind, runs in measured.items():
        told = [summary['failures'] for summary in runs.summaries]
        hit = [one['tasks']['hit'] for one in told]
        count = {key: sum(one[key] for one in hit) for key in ('count', 'done', 'late', 'failed')}
        ways = [sum(one['moved'][way] for one in told) for way in ('relay', 'resend', 'local')]
        alarms = sum(one['by_kind'].get('not injected', {}).get('count', 0) for one in told)
        lines.append(
            f'| {kind} | {_ms(runs.noticed_s, 50)} | {_ms(runs.noticed_s, 100)} | '
            f'{count["count"]} | {ways[0]} | {ways[1]} | {ways[2]} | {_ms(runs.moved_s, 50)} | '
            f'{_ms(runs.moved_s, 100)} | {count["done"]} | {count["late"]} | {count["failed"]} | '
            f'{alarms} |'
        )
    return lines


def _of_tasks(measured: dict[str, Measured]) -> list[str]:
    """Completion, energy and latency of all tasks."""
    lines = [
        '| fleet | tasks | in time | latency p50 | decision p50 | overhead p50 | overhead p99 | '
        'energy per task in time |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for name, runs in measured.items():
        rows = runs.outcomes
        answered = [row for row in rows if row['answer']]
        done = sum(row['status'] == 'done' for row in rows)
        spent_j = sum(
            float(row[f'energy_{part}_j'])
            for row in rows
            for part in ('front', 'upload', 'back', 'download')
        )
        over_s = [float(row['observed_s']) - float(row['latency_s']) for row in answered]
        lines.append(
            f'| {name} | {len(rows)} | {100 * done / len(rows):.1f} % | '
            f'{_ms([float(row["latency_s"]) for row in answered], 50)} | '
            f'{_ms([float(row["timing_decision_s"]) for row in answered], 50)} | '
            f'{_ms(over_s, 50)} | {_ms(over_s, 99)} | {1e3 * spent_j / max(done, 1):.1f} mJ |'
        )
    return lines


def _ms(values_s: list[float], percentile: float) -> str:
    return f'{1e3 * np.percentile(values_s, percentile):.0f} ms' if values_s else '-'


def main() -> None:
    """Measure all cases and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--domain', type=int, default=92, help='ROS domain to use')
    parser.add_argument('--seeds', type=int, default=2, help='runs of each fleet')
    chosen = parser.parse_args()
    cases = {case.name: case for case in (*OF_KIND.values(), *SURVIVAL, *CALM)}
    measured = {}
    for name, case in track(
        cases.items(), description='fleets', console=Console(stderr=True), total=len(cases)
    ):
        measured[name] = measure(case, chosen.seeds, chosen.domain)
    print('\n'.join(_of_kinds({name: measured[name] for name in OF_KIND})), end='\n\n')
    print('\n'.join(_of_tasks({case.name: measured[case.name] for case in SURVIVAL})), end='\n\n')
    print('\n'.join(_of_tasks({case.name: measured[case.name] for case in CALM})))


if __name__ == '__main__':
    main()
