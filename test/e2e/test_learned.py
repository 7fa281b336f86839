"""A trained policy decides in the ROS graph as it does offline, slot by slot."""

from __future__ import annotations

import os

import numpy as np
import pytest
from e2e_support import ROOT, stand_in_fleet
from mcap.reader import make_reader
from random_policies import mllm_policy
from stand_in_language import models_folder

from sec_nodes.controllers.base import create
from sec_nodes.inference.manifest import load_manifest
from sec_nodes.loop.simulation import FlownSystem
from sec_nodes.scenarios.registry import read_flown
from sec_nodes.slot import DECLINED
from sec_nodes.world.mllm import MllmWorld

SLOTS, SEED = 4, 11
# a queue that is full would send tasks again in the graph, and not offline
CHANGES = {'queue.longest_wait_s': 60.0}


@pytest.fixture
def world(tmp_path, monkeypatch):
    models = models_folder(tmp_path)
    monkeypatch.setenv('SEC_MODELS_DIR', str(models))
    return MllmWorld(read_flown('mllm', CHANGES), load_manifest(models))


@pytest.fixture
def policy(tmp_path, world):
    """A random policy for the scenario that is flown with the stand-ins' accuracies."""
    return mllm_policy(tmp_path / 'policy.npz', 'mllm:measured', CHANGES)


@pytest.fixture
def fleet(tmp_path):
    """Servers run stand-ins; the fleet itself would fly something else."""
    return stand_in_fleet(tmp_path / 'learned_fleet.yaml', 'survey', SEED, SLOTS)


def published(run):
    """States and decisions of a run, by slot."""
    from rclpy.serialization import deserialize_message

    from sec_offload.msg import SlotDecision, SlotState

    kinds = {'/slot_state': SlotState, '/slot_decision': SlotDecision}
    found = {topic: {} for topic in kinds}
    with (run.folder / 'run.mcap').open('rb') as file:
        for _, channel, record in make_reader(file).iter_messages(list(kinds)):
            message = deserialize_message(record.data, kinds[channel.topic])
            found[channel.topic][message.slot] = message
    return found['/slot_state'], found['/slot_decision']


def offline(world, controller):
    """Decisions of a run without ROS, with the tasks that they are on."""
    system, decider = FlownSystem(world), create(controller, world.scenario, SEED)
    state = system.reset(np.array([SEED]))
    for _ in range(SLOTS):
        slot, decision = state.slots[0], decider.decide(state.slots[0])
        yield slot, decision
        state, _ = system.step(state, (decision,))


def assert_decided(message, state, decision):
    """A published decision is this one."""
    rows = {int(task_id): row for row, task_id in enumerate(state.tasks.task_id)}
    assert {task.task_id for task in message.tasks} == rows.keys()
    order = [rows[task.task_id] for task in message.tasks]
    assert [task.server for task in message.tasks] == decision.server[order].tolist()
    np.testing.assert_allclose(
        [task.power_w for task in message.tasks], decision.power_w[order], rtol=1e-6
    )
    goal_m = [(goal.x, goal.y, goal.z) for goal in message.uav_goal]
    np.testing.assert_allclose(goal_m, decision.uav_goal_m, atol=1e-3)


def test_the_node_decides_as_offline(start, fleet, policy, world):
    from sec_nodes.nodes.slot_messages import state_from

    changes = [part for key, value in CHANGES.items() for part in ('--set', f'{key}={value}')]
    environment = {
        'SEC_MODELS_DIR': os.environ['SEC_MODELS_DIR'],
        'PYTHONPATH': f'{ROOT}/test/stand_in:{os.environ.get("PYTHONPATH", "")}',
    }
    run = start(fleet, '--controller', policy, *changes, environment=environment)
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    assert 'plays scenario mllm only, which takes the place of survey' in run.output
    assert run.summary()['slots']['controllers'] == {str(policy): SLOTS}
    states, decisions = published(run)
    decider = create(str(policy), world.scenario, SEED)
    served = set()
    for slot, (state, decision) in enumerate(offline(world, str(policy))):
        assert_decided(decisions[slot], state, decision)
        # and in the very state that was published
        seen = state_from(states[slot], world.device_model)
        assert_decided(decisions[slot], seen, decider.decide(seen))
        served.update(decision.server.tolist())
    assert len(served - {DECLINED}) > 1


def test_another_scenario_is_refused_before_anything_starts(start, fleet, policy):
    run = start(fleet, '--controller', policy, '--scenario', 'survey')
    assert run.finish() == 2
    assert 'was made for scenario mllm, not for survey' in run.output
