"""`ros2 launch sec_offload sim.launch.py`, for a few slots in a ROS domain of its own."""

from __future__ import annotations

import csv
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import launch_pytest
import pytest
import rclpy
from launch.actions import IncludeLaunchDescription, SetEnvironmentVariable
from launch.launch_description_sources import AnyLaunchDescriptionSource
from rclpy.executors import SingleThreadedExecutor

from launch import LaunchDescription
from sec_nodes.nodes import names
from sec_offload.msg import RunState

LAUNCH = Path(__file__).parents[2] / 'launch'
DOMAIN = 100 + os.getpid() % 100
SLOTS = 4
GIVE_UP_S = 600.0


@pytest.fixture(scope='module')
def run_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('results') / 'launched'


@launch_pytest.fixture(scope='module')
def fleet(run_dir):
    arguments = {
        'slots': str(SLOTS), 'speed': '0.0', 'results': str(run_dir.parent), 'run': run_dir.name,
    }  # fmt: skip
    source = AnyLaunchDescriptionSource(str(LAUNCH / 'sim.launch.py'))
    return LaunchDescription(
        [
            SetEnvironmentVariable('ROS_DOMAIN_ID', str(DOMAIN)),
            IncludeLaunchDescription(source, launch_arguments=arguments.items()),
            launch_pytest.actions.ReadyToTest(),
        ]
    )


@pytest.fixture
def ended() -> Iterator[threading.Event]:
    """Set once the coordinator has said that the run is finished."""
    event = threading.Event()
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node('listener', context=context)

    def on_run_state(message: RunState) -> None:
        if message.state == RunState.FINISHED:
            event.set()

    topic = names.RUN_STATE
    node.create_subscription(topic.type, topic.name, on_run_state, topic.qos)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin)
    thread.start()
    yield event
    stop.set()
    thread.join()
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.launch(fixture=fleet)
def test_run_finishes(fleet, ended):
    assert ended.wait(GIVE_UP_S), 'no RunState FINISHED'


@pytest.mark.launch(fixture=fleet, shutdown=True)
def test_every_task_has_its_outcome(fleet, run_dir):
    summary = json.loads((run_dir / 'summary.json').read_text())
    with (run_dir / 'outcomes.csv').open() as file:
        tasks = [row['task_id'] for row in csv.DictReader(file)]
    assert tasks
    assert len(tasks) == len(set(tasks))
    assert summary['state'] == 'finished'
