"""What the ROS path costs: overhead a task, real-time factor, start-up, memory.

    make bench            # or: python bench/pipeline/run.py

Every row is one real fleet on this machine at the wall clock's speed. The overhead of a task is
the time at which its device really had the answer, minus the time at which the models say that
it should: transport, queues of the executors, real inference beyond what the platform's model
allows, and waiting for the scheduler. Decisions count as overhead too: the models give them no
time.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.progress import track

WARM_SLOTS = 5
"""Slots at the beginning that are not counted: code and caches are cold."""


@dataclass(frozen=True)
class Case:
    """One fleet to measure."""

    name: str
    changes: tuple[str, ...]
    slots: int
    controller: str = 'greedy'


CASES = (
    Case('10 devices, 3 UAVs, 4 satellites', (), 60),
    Case('100 devices, 3 UAVs, 4 satellites', ('devices.count=100', 'devices.rate_per_s=0.2'), 40),
    Case('10 devices, 16 UAVs, 4 satellites', ('uavs.count=16',), 60),
    Case(
        '100 devices, 16 UAVs, 4 satellites',
        ('devices.count=100', 'uavs.count=16', 'devices.rate_per_s=0.2'),
        40,
    ),
)


def measure(case: Case, folder: Path, domain: int) -> dict[str, float]:
    """Run one fleet and read its figures."""
    command = [sys.executable, '-m', 'sec_nodes.cli.main', 'up', 'laptop', '--plain']
    command += ['--no-report', '--results', str(folder), '--run', 'run', '--seed', '1']
    command += ['--slots', str(case.slots), '--controller', case.controller]
    for change in case.changes:
        command += ['--set', change]
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'ROS_DOMAIN_ID': str(domain)},
    )
    assert process.stdout is not None
    start_up_s, peak_bytes, cpu_s = 0.0, 0, 0.0
    for line in process.stdout:
        if not line.startswith('slot'):
            continue
        if not start_up_s:
            # the line of the first slot comes when it is over
            start_up_s = time.monotonic() - began - 1.0
        fleet = psutil.Process(process.pid)
        family = [fleet, *fleet.children(recursive=True)]
        peak_bytes = max(peak_bytes, sum(member.memory_info().rss for member in family))
        cpu_s = sum(sum(member.cpu_times()[:2]) for member in family)
    wall_s = time.monotonic() - began
    if process.wait() != 0:
        raise SystemExit(f'{case.name}: the run failed; see {folder}/run/logs')
    return figures(folder / 'run', start_up_s, peak_bytes, cpu_s / wall_s)


def figures(run: Path, start_up_s: float, peak_bytes: int, cores: float) -> dict[str, float]:
    """The figures of one run from its tables."""
    with (run / 'outcomes.csv').open() as file:
        rows = [row for row in csv.DictReader(file) if int(row['slot']) >= WARM_SLOTS]
    with (run / 'slots.csv').open() as file:
        slots = [row for row in csv.DictReader(file) if int(row['slot']) >= WARM_SLOTS]
    answered = [row for row in rows if float(row['observed_s']) > 0]
    over_ms = 1e3 * np.array(
        [
            float(row['observed_s']) - float(row['latency_s']) + float(row['timing_decision_s'])
            for row in answered
        ]
    )
    factor = [float(row['real_time_factor']) for row in slots if int(row['tasks_new'])]
    summary = json.loads((run / 'summary.json').read_text())
    if not summary['exactly_once']['holds']:
        raise SystemExit(f'{run}: a task was lost')
    return {
        'tasks': len(answered),
        'p50_ms': float(np.percentile(over_ms, 50)),
        'p99_ms': float(np.percentile(over_ms, 99)),
        'decide_ms': 1e3 * float(np.median([float(row['decide_s']) for row in slots])),
        'factor': float(np.mean(factor)),
        'start_s': start_up_s,
        'memory_mb': peak_bytes / 2**20,
        'cores': cores,
    }


def table(results: dict[str, dict[str, float]]) -> str:
    """The results as Markdown."""
    head = (
        '| fleet | tasks | overhead p50 | overhead p99 | of it: decision | '
        'real-time factor | start-up | memory | cores |'
    )
    lines = [head, '|---|---|---|---|---|---|---|---|---|']
    for name, row in results.items():
        lines.append(
            f'| {name} | {row["tasks"]:.0f} | {row["p50_ms"]:.1f} ms | {row["p99_ms"]:.1f} ms | '
            f'{row["decide_ms"]:.1f} ms | {row["factor"]:.3f} | {row["start_s"]:.1f} s | '
            f'{row["memory_mb"]:.0f} MB | {row["cores"]:.2f} |'
        )
    return '\n'.join(lines)


def main() -> None:
    """Measure all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--domain', type=int, default=91, help='ROS domain to use')
    parser.add_argument('--output', type=Path, help='file that gets the table as well')
    chosen = parser.parse_args()
    console = Console(stderr=True)
    results = {}
    for case in track(CASES, description='fleets', console=console):
        with tempfile.TemporaryDirectory() as folder:
            results[case.name] = measure(case, Path(folder), chosen.domain)
    print(table(results))
    if chosen.output:
        chosen.output.write_text(table(results) + '\n')


if __name__ == '__main__':
    main()
