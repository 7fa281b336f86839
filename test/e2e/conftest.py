"""Real fleets in real processes, each in a ROS domain of its own."""

from __future__ import annotations

import csv
import itertools
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from sec_nodes.recording.tables import TIMING

_domains = itertools.count(os.getpid() % 60)
ROOT = __file__.rsplit('/test/', 1)[0]
PATIENCE_S = 600.0
"""Far more than any run here takes, on slow machines as well; passing it means that it hangs."""


class FleetRun:
    """A `sec up` in a process, its output, and the processes that it has started."""

    def __init__(self, folder, domain, fleet, *options, environment=None):
        self.folder = folder / 'run'
        self.environment = {
            **os.environ,
            'ROS_DOMAIN_ID': str(domain),
            'PYTHONUNBUFFERED': '1',
            **(environment or {}),
        }
        command = [sys.executable, '-m', 'sec_nodes.cli.main', 'up', str(fleet), '--plain']
        command += ['--results', str(folder), '--run', 'run', '--no-report', *map(str, options)]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=self.environment,
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._queue.put(line)
        self._queue.put(None)

    @property
    def output(self):
        return ''.join(self.lines)

    def wait_for(self, pattern, timeout_s=PATIENCE_S):
        """Wait for a line of the output."""
        until = time.monotonic() + timeout_s
        while True:
            left_s = until - time.monotonic()
            try:
                line = self._queue.get(timeout=max(left_s, 0.01))
            except queue.Empty:
                pytest.fail(f'no line like {pattern!r} within {timeout_s} s:\n{self.output}')
            if line is None:
                pytest.fail(f'the run ended without a line like {pattern!r}:\n{self.output}')
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def wait_for_slot(self, slot):
        """Wait until a slot is over."""
        return self.wait_for(rf'^slot\s+{slot}/')

    def finish(self, timeout_s=PATIENCE_S):
        """Wait for the end; gives the exit code."""
        until = time.monotonic() + timeout_s
        while True:
            try:
                line = self._queue.get(timeout=max(until - time.monotonic(), 0.01))
            except queue.Empty:
                pytest.fail(f'still running after {timeout_s} s:\n{self.output}')
            if line is None:
                return self.process.wait(max(until - time.monotonic(), 1.0))
            self.lines.append(line)

    def processes(self, node=''):
        """Node processes of this run."""
        found = []
        for process in psutil.process_iter(['cmdline']):
            command = ' '.join(process.info['cmdline'] or [])
            if f'sec_nodes.nodes.{node}' in command and str(self.folder) in command:
                found.append(process)
        return found

    def kill(self, node, name=''):
        """kill -9 the process of a node."""
        for process in self.processes(node):
            if name in ' '.join(process.cmdline()):
                process.send_signal(signal.SIGKILL)
                process.wait(60)
                return
        pytest.fail(f'no process of {node} {name}: {[p.cmdline() for p in self.processes()]}')

    def summary(self):
        return json.loads((self.folder / 'summary.json').read_text())

    def table(self, name):
        with (self.folder / f'{name}.csv').open() as file:
            return list(csv.DictReader(file))

    def assert_nothing_lost(self):
        """Every task has exactly one outcome; counts add up, and so do the times of tasks."""
        summary = self.summary()
        assert summary['exactly_once']['holds'], summary['exactly_once']
        tasks = summary['tasks']
        assert tasks['created'] == tasks['ended'] == sum(tasks['by_status'].values())
        outcomes = self.table('outcomes')
        assert tasks['created'] == len(outcomes) > 0
        for row in outcomes:
            if row['status'] in ('done', 'late'):
                parts_s = [float(row[f'timing_{part}']) for part in TIMING]
                assert sum(parts_s) == pytest.approx(float(row['latency_s']), abs=1e-6), row
                assert min(parts_s) >= -1e-9, row


@pytest.fixture
def domain():
    """A ROS domain that no other test of this machine uses."""
    return 20 + next(_domains) % 75


@pytest.fixture
def start(tmp_path, domain):
    """Starts fleets; whatever is left of them is killed after the test."""
    runs = []

    def begin(fleet='laptop', *options, folder=tmp_path, environment=None):
        run = FleetRun(folder, domain, fleet, *options, environment=environment)
        runs.append(run)
        return run

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait(60)
        for process in run.processes():
            process.kill()


@pytest.fixture
def fleet_file(tmp_path):
    """A fleet with one process a UAV, so that a single one can be killed."""
    path = tmp_path / 'fleet.yaml'
    path.write_text(
        'name: test\nbackend: sim\nscenario: survey\ncontroller: greedy\n'
        'seed: 1\nslots: 60\nspeed: 1.0\n'
        'processes:\n'
        '  - {node: recorder}\n'
        '  - {node: channel}\n'
        '  - {node: satellite}\n'
        "  - {node: uav, name: first, ids: '0'}\n"
        "  - {node: uav, name: others, ids: '1-2'}\n"
        '  - {node: device}\n'
        '  - {node: controller, respawn: true}\n'
        '  - {node: coordinator}\n'
    )
    return path
