"""The main job: devices ask, devices, UAVs and satellites answer, and the answers are right."""

from __future__ import annotations

import numpy as np
import pytest
from mcap.reader import make_reader
from PIL import Image

from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.pictures import RenderedPictures
from sec_nodes.inference.scenes import render
from sec_nodes.slot import TASKS_PER_DEVICE

SEED = 3


@pytest.fixture(scope='module')
def models():
    return {name: SplitModel.load(name) for name in ('scene-s', 'scene-l')}


def test_the_main_job_ends_with_right_answers_from_all_tiers(start, models):
    run = start('laptop', '--speed', 0, '--slots', 25, '--seed', SEED)
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    summary = run.summary()
    served = summary['served_by']['kind']
    assert min(served['local'], served['uav'], served['satellite']) >= 5, served
    # held-out accuracies are 0.84 and 0.95
    assert summary['accuracy']['all']['accuracy'] > 0.75
    assert summary['tasks']['by_status']['done'] > 0.8 * summary['tasks']['created']
    assert_answers_are_those_of_the_whole_models(run, models)
    assert_who_is_late_is_called_so(run)
    with (run.folder / 'run.mcap').open('rb') as file:
        topics = {channel.topic for channel in make_reader(file).get_summary().channels.values()}
    assert {'/scene', '/uav_0/odom', '/slot_state', '/task_outcome'} <= topics
    assert not run.processes()


def assert_answers_are_those_of_the_whole_models(run, models):
    """Whatever the cut, the answer is the one that the uncut model gives."""
    split = set()
    for row in run.table('outcomes'):
        if not row['answer']:
            continue
        task_id, device = int(row['task_id']), int(row['device_id'])
        picture = RenderedPictures().picture(
            SEED, device, int(row['slot']), task_id % TASKS_PER_DEVICE
        )
        model = models[row['model_id']]
        answer, confidence = model.answer(model.run(picture.image))
        assert row['answer'] == answer
        assert float(row['confidence']) == pytest.approx(confidence, abs=1e-4)
        assert row['truth'] == picture.label
        split.add((row['model_id'], int(row['split'])))
    cut_within = [cut for model, cut in split if 0 < cut < len(models[model].cuts) - 1]
    assert cut_within, f'no task was cut within a network: {split}'


def assert_who_is_late_is_called_so(run):
    for row in run.table('outcomes'):
        if row['answer']:
            in_time = float(row['latency_s']) <= float(row['deadline_s'])
            assert row['status'] == ('done' if in_time else 'late')


def test_the_same_seed_gives_the_same_run_however_processes_are_cut(start, tmp_path, fleet_file):
    tables = []
    for number, fleet in enumerate(('laptop', fleet_file)):
        folder = tmp_path / str(number)
        run = start(fleet, '--speed', 0, '--slots', 8, '--seed', 5, folder=folder)
        assert run.finish() == 0, run.output
        tables.append({row['task_id']: row for row in run.table('outcomes')})
    first, second = tables
    assert first.keys() == second.keys()
    for task_id, row in first.items():
        for name in ('status', 'server_name', 'split', 'answer', 'attempts'):
            assert row[name] == second[task_id][name]
        for name in ('latency_s', 'energy_upload_j', 'timing_wait_s'):
            np.testing.assert_allclose(
                float(row[name]), float(second[task_id][name]), rtol=1e-9, atol=1e-12
            )


def test_nodes_can_live_on_wall_time(start):
    run = start('laptop', '--backend', 'hardware', '--slots', 5)
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    flown_s = max(float(row['time_s']) for row in run.table('uavs'))
    assert 3.0 < flown_s < 15.0


def test_pictures_of_one_s_own_are_asked_about(start, tmp_path, models):
    folder = tmp_path / 'pictures'
    for number, label in enumerate(('ship', 'coast', 'oil_slick')):
        (folder / label).mkdir(parents=True)
        picture = Image.fromarray(render(label, number)).resize((200, 160))
        picture.save(folder / label / f'{number}.png')
    run = start('laptop', '--speed', 0, '--slots', 4, '--images', folder)
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    truths = {row['truth'] for row in run.table('outcomes') if row['answer']}
    assert truths == {'ship', 'coast', 'oil_slick'}


@pytest.mark.slow
def test_one_process_a_vehicle_does_the_same(start):
    run = start('laptop', '--speed', 0, '--slots', 4, '--per-vehicle')
    run.wait_for_slot(1)
    assert len(run.processes('uav')) == 3
    assert len(run.processes('device')) == 10
    assert len(run.processes('satellite')) == 4
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()


@pytest.mark.slow
@pytest.mark.parametrize('node', ['controller', 'coordinator'])
def test_a_process_that_nobody_sees_is_started_again(start, fleet_file, node):
    run = start(fleet_file, '--speed', 0, '--slots', 3)
    while not (hidden := run.processes(node)):
        assert run.process.poll() is None
    hidden[0].suspend()
    run.wait_for(f'{node} is not seen by the others; it is started again')
    assert run.finish() == 0, run.output
    run.assert_nothing_lost()
    assert [row['controller'] for row in run.table('slots')[:3]] == ['greedy'] * 3
