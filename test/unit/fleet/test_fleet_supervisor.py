from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from waiting import GIVE_UP_S, until

from sec_nodes.fleet import supervisor as supervising
from sec_nodes.fleet.supervisor import Exit, Program, Supervisor, last_message

OBEDIENT = """
import signal
print('ready', flush=True)
try:
    signal.pause()
except KeyboardInterrupt:
    print('told to end', flush=True)
"""
STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, '-S', '-c', 'import signal; signal.pause()'])
print('ready', grandchild.pid, flush=True)
while True:
    signal.pause()
"""
FAILING = """
import sys
print('error: parameter speed = -1: must be at least 0', file=sys.stderr)
print('and some noise', file=sys.stderr)
sys.exit(2)
"""
CRASHING = 'raise SystemExit(7)'
SCRIPTS = {
    'obedient': OBEDIENT, 'stubborn': STUBBORN, 'failing': FAILING, 'crashing': CRASHING,
}  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    for name, text in SCRIPTS.items():
        (tmp_path / f'{name}_program.py').write_text(text)
    paths = [str(tmp_path), *sys.path]
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}


def supervisor_of(tmp_path: Path, environment: dict[str, str], *programs: Program) -> Supervisor:
    supervisor = Supervisor(programs, tmp_path / 'logs', environment, retry_delay_s=0.0)
    supervisor.start()
    return supervisor


def program(kind: str, name: str = '', **changes) -> Program:
    return Program(name or kind, f'{kind}_program', **changes)


def until_ready(supervisor: Supervisor, *names: str) -> None:
    until(lambda: all('ready' in supervisor.log(name).read_text() for name in names))


def next_exits(supervisor: Supervisor) -> list[Exit]:
    exits: list[Exit] = []
    until(lambda: bool(exits.extend(supervisor.wait(0.5)) or exits))
    return exits


def test_stop_asks_everybody_and_the_last_one_at_the_end(tmp_path, environment, monkeypatch):
    order = []
    signal_them = Supervisor._signal

    def listen(self, names, number):
        order.append((sorted(names), number))
        signal_them(self, names, number)

    monkeypatch.setattr(Supervisor, '_signal', listen)
    supervisor = supervisor_of(
        tmp_path, environment,
        program('obedient', 'recorder', last=True), program('obedient', 'a'),
        program('obedient', 'b'),
    )  # fmt: skip
    until_ready(supervisor, 'recorder', 'a', 'b')
    assert supervisor.stop() == []
    assert order == [(['a', 'b'], signal.SIGINT), (['recorder'], signal.SIGINT)]
    assert supervisor.running == []
    assert all('told to end' in supervisor.log(name).read_text() for name in ('recorder', 'a'))


def test_who_does_not_listen_is_killed_with_all_it_started(tmp_path, environment, monkeypatch):
    monkeypatch.setattr(supervising, 'SIGTERM_AFTER_S', 0.1)
    monkeypatch.setattr(supervising, 'SIGKILL_AFTER_S', 0.2)
    supervisor = supervisor_of(tmp_path, environment, program('stubborn'))
    until_ready(supervisor, 'stubborn')
    grandchild = int(supervisor.log('stubborn').read_text().split()[1])
    assert supervisor.stop() == ['stubborn']
    until(lambda: not _lives(grandchild))


def test_second_interrupt_kills_at_once(tmp_path, environment):
    supervisor = supervisor_of(tmp_path, environment, program('stubborn'))
    until_ready(supervisor, 'stubborn')
    hurry = threading.Event()
    hurry.set()
    assert supervisor.stop(hurry) == ['stubborn']


def test_configuration_error_is_reported_with_its_message(tmp_path, environment):
    supervisor = supervisor_of(tmp_path, environment, program('failing', respawn=True))
    (ended,) = next_exits(supervisor)
    assert ended.is_configuration_error
    assert ended.message == 'parameter speed = -1: must be at least 0'
    assert not ended.respawns
    assert supervisor.running == []


def test_respawn_is_bounded(tmp_path, environment, monkeypatch):
    monkeypatch.setattr(supervising, 'RETRIES', 1)
    supervisor = supervisor_of(tmp_path, environment, program('crashing', respawn=True))
    first = next_exits(supervisor)[0]
    assert (first.code, first.respawns) == (7, True)
    assert 'ended with exit code 7; it is started again' in first.describe()
    second = next_exits(supervisor)[0]
    assert (second.code, second.respawns) == (7, False)
    assert supervisor.wait(0.01) == []
    assert supervisor.running == []


def test_restart_on_request_is_bounded(tmp_path, environment, monkeypatch):
    monkeypatch.setattr(supervising, 'RETRIES', 1)
    supervisor = supervisor_of(tmp_path, environment, program('crashing'))
    assert not next_exits(supervisor)[0].respawns
    assert supervisor.is_idle
    assert supervisor.restart('crashing')
    assert not supervisor.is_idle
    assert next_exits(supervisor)[0].code == 7
    assert not supervisor.restart('crashing')


def test_killed_process_is_noticed_and_comes_back(tmp_path, environment):
    supervisor = supervisor_of(tmp_path, environment, program('obedient', respawn=True))
    until_ready(supervisor, 'obedient')
    pid = supervisor.pid('obedient')
    os.kill(pid, signal.SIGKILL)
    (ended,) = next_exits(supervisor)
    assert ended.describe() == 'obedient was killed by SIGKILL; it is started again'
    until(lambda: supervisor.wait(0.01) == [] and bool(supervisor.running))
    assert supervisor.pid('obedient') != pid
    supervisor.stop()


def test_who_is_killed_on_purpose_comes_back_when_asked(tmp_path, environment, monkeypatch):
    monkeypatch.setattr(supervising, 'RETRIES', 0)
    supervisor = supervisor_of(tmp_path, environment, program('obedient', respawn=True))
    for _ in range(2):  # more often than it would be started by itself
        until(lambda: supervisor.wait(0.01) == [] and bool(supervisor.running))
        pid = supervisor.pid('obedient')
        supervisor.give_up('obedient')
        os.kill(pid, signal.SIGKILL)
        assert not next_exits(supervisor)[0].respawns
        assert supervisor.wait(0.05) == []
        assert supervisor.is_idle
        supervisor.revive('obedient')
        assert not supervisor.is_idle
    until(lambda: supervisor.wait(0.01) == [] and bool(supervisor.running))
    assert supervisor.pid('obedient') != pid
    supervisor.revive('obedient')
    assert supervisor.wait(0.05) == [], 'who lives is not started twice'
    supervisor.stop()


def test_stopped_process_goes_on_and_ends_in_order(tmp_path, environment):
    supervisor = supervisor_of(tmp_path, environment, program('obedient'))
    until_ready(supervisor, 'obedient')
    pid = supervisor.pid('obedient')

    def stop_it() -> None:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)

    stop_it()
    supervisor.resume('obedient')
    until(lambda: psutil.Process(pid).status() != psutil.STATUS_STOPPED)
    stop_it()
    assert supervisor.stop() == []
    assert 'told to end' in supervisor.log('obedient').read_text()


def test_wake_ends_a_wait(tmp_path, environment):
    supervisor = supervisor_of(tmp_path, environment)
    supervisor.wake()
    assert supervisor.wait(GIVE_UP_S) == []


def test_nobody_outlives_a_killed_supervisor(tmp_path, environment):
    driver = f"""
import os, sys
from pathlib import Path
from sec_nodes.fleet.supervisor import Program, Supervisor
supervisor = Supervisor(
    [Program('a', 'stubborn_program'), Program('r', 'obedient_program', last=True)],
    Path({str(tmp_path / 'logs')!r}), dict(os.environ))
supervisor.start()
print(supervisor.pid('a'), supervisor.pid('r'), flush=True)
while True:
    supervisor.wait(10.0)
"""
    command = [sys.executable, '-c', driver]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        logs = [tmp_path / 'logs' / f'{name}.log' for name in 'ar']
        until(lambda: all('ready' in log.read_text() for log in logs))
        parent.kill()
    until(lambda: not any(_lives(pid) for pid in pids))
    assert 'told to end' in logs[1].read_text(), 'the last one may finish its work'


def test_last_message(tmp_path):
    assert last_message(tmp_path / 'none.log') == ''
    log = tmp_path / 'a.log'
    log.write_text('one\ntwo\n\n')
    assert last_message(log) == 'two'
    log.write_text('error: first\nerror: second\nnoise\n')
    assert last_message(log) == 'second'


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
