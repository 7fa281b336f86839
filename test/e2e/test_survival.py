"""Processes die, controllers fail, users press Ctrl-C: no task is lost, and nothing is left."""

from __future__ import annotations

import signal
from pathlib import Path

SLOTS = 14


def left_in_shared_memory():
    """Names of what processes with Fast DDS have in shared memory."""
    return {path.name for path in Path('/dev/shm').glob('fast*')}


def test_killing_a_uav_is_noticed_within_two_slots_and_loses_no_task(start, fleet_file):
    run = start(fleet_file, '--slots', SLOTS, '--controller', 'nearest_uav')
    run.wait_for_slot(5)
    run.kill('uav', 'first')
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    lost_in = [
        int(row['slot']) for row in run.table('slots') if '0' in row['servers_lost'].split()
    ]
    # the line of slot 5 (counted from 1) is printed while slot 5 (counted from 0) has begun
    assert len(lost_in) == 1, run.table('slots')
    assert 5 <= lost_in[0] <= 7
    outcomes = run.table('outcomes')
    before = [row for row in outcomes if int(row['slot']) < 5]
    after = [row for row in outcomes if int(row['slot']) > lost_in[0]]
    assert any(row['server_name'] == 'uav_0' for row in before)
    assert not any(row['server_name'] == 'uav_0' for row in after)
    assert any(row['server_name'] in ('uav_1', 'uav_2') for row in after)


def test_killing_a_uav_in_lockstep_sends_its_tasks_elsewhere(start, fleet_file):
    shared_memory = left_in_shared_memory()
    run = start(fleet_file, '--slots', 20, '--speed', 0, '--controller', 'nearest_uav')
    run.wait_for_slot(6)
    run.kill('uav', 'first')
    assert run.finish() == 0, run.output
    # it would be left there by the killed process, and could cut off those of later runs
    assert left_in_shared_memory() <= shared_memory
    run.assert_nothing_lost()
    assert run.summary()['slots']['servers_lost']
    assert 'failed' not in {row['status'] for row in run.table('outcomes')}


def test_a_fallback_decides_until_the_controller_is_back(start, fleet_file):
    run = start(fleet_file, '--slots', 1000)
    run.wait_for_slot(4)
    run.kill('controller')
    # how soon depends on the machine
    for decider in ('nearest_uav', 'greedy'):
        run.wait_for(rf'^slot .* {decider} ')
    run.process.send_signal(signal.SIGINT)
    assert run.finish() == 130, run.output
    run.assert_nothing_lost()
    deciders = [row['controller'] for row in run.table('slots')]
    assert deciders[0] == 'greedy'
    assert 'greedy' in deciders[deciders.index('nearest_uav') :], deciders


def test_ctrl_c_keeps_the_results_and_leaves_no_process_behind(start):
    run = start('laptop', '--slots', 1000)
    run.wait_for_slot(4)
    assert len(run.processes()) == 7
    run.process.send_signal(signal.SIGINT)
    assert run.finish() == 130, run.output
    assert not run.processes()
    run.assert_nothing_lost()
    summary = run.summary()
    assert summary['state'] == 'aborted'
    assert summary['tasks']['by_status']['done'] > 0
    reasons = {row['reason'] for row in run.table('outcomes') if row['status'] == 'failed'}
    assert reasons <= {'run_aborted'}


def test_a_second_run_in_a_busy_domain_is_refused(start, tmp_path):
    run = start('laptop', '--slots', 1000)
    run.wait_for_slot(1)
    second = start('laptop', folder=tmp_path / 'second')
    assert second.finish() == 3
    assert 'ROS_DOMAIN_ID' in second.output
    assert 'Traceback' not in second.output
    run.process.send_signal(signal.SIGINT)
    assert run.finish() == 130
