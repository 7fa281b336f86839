"""Controllers are swapped while running, and come from outside, sound or not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from e2e_support import ROOT


@pytest.fixture
def ros(domain):
    """A node of the test in the domain of its fleet, spinning on a thread."""
    rclpy = pytest.importorskip('rclpy')
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node('visitor', context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield node
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()
    thread.join(60)


def call(node, name, kind, request, timeout_s=120):
    """Call a service and wait for the answer."""
    client = node.create_client(kind, name)
    assert client.wait_for_service(timeout_s), f'no service {name}'
    answered = threading.Event()
    future = client.call_async(request)
    future.add_done_callback(lambda _: answered.set())
    assert answered.wait(timeout_s)
    return future.result()


def test_a_controller_is_swapped_while_the_run_goes_on(start, ros):
    from sec_offload.srv import SetController

    run = start('laptop', '--slots', 12)
    run.wait_for_slot(3)
    unknown = call(ros, 'set_controller', SetController, SetController.Request(name='gready'))
    assert not unknown.success
    assert "did you mean 'greedy'" in unknown.message
    answer = call(ros, 'set_controller', SetController, SetController.Request(name='local_only'))
    assert answer.success
    assert answer.message == 'greedy'
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    deciders = [row['controller'] for row in run.table('slots')]
    assert deciders[0] == 'greedy'
    assert deciders[11] == 'local_only'


def test_an_injected_failure_silences_a_server_and_recovery_brings_it_back(start, ros):
    from sec_offload.msg import Failure
    from sec_offload.srv import InjectFailure

    run = start('laptop', '--slots', 16, '--controller', 'nearest_uav')
    run.wait_for_slot(3)
    refused = call(ros, 'inject_failure', InjectFailure, InjectFailure.Request(server_id=99))
    assert not refused.success
    assert '99' in refused.message
    crash = InjectFailure.Request(server_id=1, kind=Failure.CRASH)
    assert call(ros, 'inject_failure', InjectFailure, crash).message == 'uav_1'
    run.wait_for_slot(8)
    recover = InjectFailure.Request(server_id=1, kind=Failure.RECOVER)
    assert call(ros, 'inject_failure', InjectFailure, recover).success
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    served = {int(row['slot']) for row in run.table('outcomes') if row['server_name'] == 'uav_1'}
    assert not served & {6, 7}
    assert served & set(range(10, 16)), served


def test_a_registered_class_from_outside_decides(start):
    run = start(
        'laptop',
        '--speed',
        0,
        '--slots',
        6,
        '--controller',
        'battery_saver:BatterySaver',
        environment={'PYTHONPATH': f'{ROOT}/examples:{os.environ.get("PYTHONPATH", "")}'},
    )
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    assert {row['controller'] for row in run.table('slots')} == {'battery_saver'}


def test_a_node_from_outside_decides(start):
    run = start(f'{ROOT}/examples/external_fleet.yaml', '--speed', 0, '--slots', 6)
    node = subprocess.Popen(
        [sys.executable, f'{ROOT}/examples/external_controller.py'], env=run.environment
    )
    try:
        assert run.finish() == 0, run.output
    finally:
        node.kill()
        node.wait()
    run.assert_nothing_lost()
    assert {row['controller'] for row in run.table('slots')} == {'strongest_link'}
    assert run.summary()['served_by']['kind']['uav'] > 0


def test_nonsense_from_outside_is_counted_and_replaced(start, ros):
    from sec_offload.msg import SlotDecision, SlotState, TaskDecision

    decisions = ros.create_publisher(SlotDecision, 'slot_decision', 10)

    def decide(state):
        answer = SlotDecision(slot=state.slot, controller='nonsense')
        for number, task in enumerate(state.tasks):
            # out of coverage or of range, without power, or not a number; and a task left out
            server = (0, 99, -5, 1)[number % 4]
            power_w = (float('nan'), 1.0, -3.0, 0.5)[number % 4]
            if number != 5:
                answer.tasks.append(
                    TaskDecision(task_id=task.task_id, server=server, split=50, power_w=power_w)
                )
        answer.tasks.append(TaskDecision(task_id=2**63, server=0))
        decisions.publish(answer)

    ros.create_subscription(SlotState, 'slot_state', decide, 10)
    run = start(f'{ROOT}/examples/external_fleet.yaml', '--speed', 0, '--slots', 8)
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    slots = run.table('slots')
    repaired = sum(int(row['decisions_repaired']) for row in slots)
    assert repaired > 0.8 * len(run.table('outcomes'))
    assert run.summary()['tasks']['by_status']['done'] > 0
