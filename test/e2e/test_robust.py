"""UAVs of robust fail for real, and their tasks go on elsewhere with the same answers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sec_nodes.controllers.batch import create_batch
from sec_nodes.loop.ledger import Task
from sec_nodes.scenarios.registry import read_flown
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.state import LOCAL
from sec_nodes.slot import task_number

SEED = 3
OPTIONS = ('laptop', '--scenario', 'robust', '--seed', SEED)
PATIENT = ('--set', 'detection.timeout_s=10.0')
"""Whoever is merely slow, on a slow machine, shall not count as silent."""


def outcomes_of(run):
    """Outcomes of a run, by task."""
    return {int(row['task_id']): row for row in run.table('outcomes')}


def answers_of(run):
    """Answers of a run, by task."""
    return {task: row['answer'] for task, row in outcomes_of(run).items() if row['answer']}


def migrations_of(run):
    """What moved, by task and attempt."""
    return {(int(r['task_id']), int(r['attempt'])): r for r in run.table('migrations')}


@pytest.fixture(scope='module')
def calm_answers():
    """Answers of slots without failures, by task: what the whole networks say."""
    from sec_nodes.inference.engine import SplitModel
    from sec_nodes.world import build_world

    world = build_world(read_flown('robust'))
    models = {name: SplitModel.load(name) for name in world.scenario.models.model_id}
    look, known = world.sights('', SEED), {}

    def answer(task_id, device, slot):
        if task_id not in known:
            task = Task(task_id, device, slot, float(slot), 1.0, 0.0, 0.0)
            model = models[world.device_models([device])[0]]
            known[task_id] = model.answer(model.run(look(task).take().image))[0]
        return known[task_id]

    return answer


def assert_answers_are_right(run, calm_answers):
    """Every answer is the one that the undivided network gives on the device's picture."""
    rows = [row for row in run.table('outcomes') if row['answer']]
    assert rows
    for row in rows:
        task, device, slot = (int(row[name]) for name in ('task_id', 'device_id', 'slot'))
        assert row['answer'] == calm_answers(task, device, slot), row


def test_a_run_without_failures_is_the_scenario(start, calm_answers):
    slots = 6
    run = start(*OPTIONS, *PATIENT, '--speed', 0, '--slots', slots)
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    scenario = Robust(read_flown('robust', {'failures.largest': 0}))
    controller = create_batch('optimum', scenario)
    state, rows = scenario.reset(np.array([SEED])), outcomes_of(run)
    for slot in range(slots):
        decision = controller.decide(state)
        state, outcome = scenario.step(state, decision)
        for device in range(scenario.settings.users.count):
            row = rows[int(task_number(device, slot))]
            assert int(row['server']) == (outcome.server[0, device]), (slot, device)
            assert int(row['split']) == decision.split[0, device] - 1
            assert float(row['latency_s']) == pytest.approx(outcome.latency_s[0, device], rel=1e-6)
            energy_j = sum(float(row[f'energy_{part}_j']) for part in ('front', 'upload', 'back'))
            assert energy_j == pytest.approx(outcome.task_energy_j[0, device], rel=1e-6)
            assert row['status'] == 'done'
    assert {int(row['server']) for row in rows.values()} - {LOCAL}
    assert_answers_are_right(run, calm_answers)


@pytest.mark.parametrize('kind', ['battery', pytest.param('kill', marks=pytest.mark.slow)])
def test_tasks_of_a_failed_uav_go_on_within_the_slot(start, calm_answers, kind):
    # time for machines of any speed; relays that cost no more than other ways
    slowly = ('--slots', 4, '--speed', 0.25, '--set', 'uavs.transmit_power_w=1e-6')
    patient = PATIENT if kind == 'battery' else ()  # an empty battery says so itself
    run = start(*OPTIONS, *slowly, *patient, '--fail', f'uav_{busiest()}@1.5:{kind}')
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    assert_answers_are_right(run, calm_answers)
    rows = outcomes_of(run)
    assert {row['status'] for row in rows.values()} <= {'done', 'late'}
    # the UAV stays away: later slots do without it
    later = [row for row in rows.values() if int(row['slot']) >= 3]
    assert str(busiest()) not in {row['server'] for row in later}
    noticed = [row for row in run.table('failures') if row['noticed_s']]
    assert len(noticed) == 1
    ways = {row['way'] for row in run.table('migrations')}
    assert 'relay' in ways if kind == 'battery' else ways and ways <= {'resend', 'local'}


def busiest():
    """The UAV that serves most users of the first slots."""
    scenario = Robust(read_flown('robust', {'failures.largest': 0}))
    state = scenario.reset(np.array([SEED]))
    server = create_batch('optimum', scenario).decide(state).server[0]
    return int(np.bincount(server[server >= 0], minlength=3).argmax())


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['cut', 'hang', 'crash', 'link'])
def test_silent_uavs_lose_no_task_and_come_back(start, calm_answers, kind):
    run = start(*OPTIONS, '--slots', 14, '--fail', f'uav_{busiest()}@3-8:{kind}')
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    assert_answers_are_right(run, calm_answers)
    name, rows = f'uav_{busiest()}', outcomes_of(run)
    injected = [row for row in run.table('failures') if row['injected_s'] and row['name'] == name]
    assert [row['kind'] for row in injected] == [kind, 'recover']
    away = {row['server_name'] for row in rows.values() if 5 <= int(row['slot']) < 7}
    if kind != 'link':  # whose device hears of it only from the tasks that do not come through
        assert any(row['noticed_s'] and row['name'] == name for row in run.table('failures'))
        assert name not in away
    back = [row for row in rows.values() if int(row['slot']) >= 11]
    assert name in {row['server_name'] for row in back}


@pytest.mark.slow
def test_hundreds_of_slots_with_random_failures_lose_nothing(start, calm_answers):
    run = start(*OPTIONS, '--slots', 300, '--fail', 'random:0.03')
    assert run.finish(1800) == 0, run.output
    run.assert_nothing_lost()
    assert_answers_are_right(run, calm_answers)
    rows = outcomes_of(run)
    assert len(rows) == 3000
    assert len({row['kind'] for row in run.table('failures') if row['kind']}) >= 4
    assert run.table('migrations')
    assert {row['status'] for row in rows.values()} <= {'done', 'late'}


@pytest.mark.slow
def test_alexnet_and_vgg_are_split_and_survive(start, tmp_path):
    for name in ('alexnet', 'vgg13', 'vgg16'):
        subprocess.run(
            [
                sys.executable, '-m', 'sec_nodes.cli.main', 'models', 'build', name,
                '--models-dir', tmp_path / 'nets', '--width', '0.125',
            ],
            check=True,
        )  # fmt: skip
    environment = {'SEC_MODELS_DIR': str(tmp_path / 'nets')}
    options = ('laptop', '--scenario', 'robust:networks', '--seed', SEED, '--slots', 6)
    answers = {}
    for name, more in (
        ('calm', ('--speed', 0)),
        ('stormy', ('--fail', f'uav_{busiest()}@2:battery')),
    ):
        run = start(*options, *more, folder=tmp_path / name, environment=environment)
        assert run.finish() == 0, run.output
        run.assert_nothing_lost()
        assert {row['model_id'] for row in run.table('outcomes')} == {'alexnet', 'vgg13', 'vgg16'}
        answers[name] = answers_of(run)
    assert any(row['noticed_s'] for row in run.table('failures'))
    assert len(answers['stormy']) >= 50
    assert all(answers['calm'][task] == answer for task, answer in answers['stormy'].items())
