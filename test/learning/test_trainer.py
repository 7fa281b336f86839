"""A training run: what it writes, that it can be interrupted, and what it is judged on."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace

import pytest

torch = pytest.importorskip('torch')

import numpy as np  # noqa: E402

from sec_nodes.config import ConfigError, value_of  # noqa: E402
from sec_nodes.environments.mllm import MllmVectorEnv  # noqa: E402
from sec_nodes.learning import registry, trainer  # noqa: E402
from sec_nodes.learning.job import Job, TrainingError  # noqa: E402
from sec_nodes.learning.problem import Action  # noqa: E402
from sec_nodes.learning.problems import make_problem  # noqa: E402
from sec_nodes.learning.trainer import Training, evaluate, training_seed  # noqa: E402
from sec_nodes.paths import config_dir  # noqa: E402
from sec_nodes.simulation.run import episode_seeds  # noqa: E402

SMALL = {
    'copies': 4,
    'hidden': [8],
    'batch': 8,
    'buffer': 150,
    'warm_up': 20,
    'rollout': 5,
    'epochs': 1,
    'minibatch': 10,
    'merge.samples': 2,
}
"""Hyper-parameters that make any algorithm quick, as far as it has them."""
WORLD = {'slots': 5, 'devices.count': 3}
FILES = sorted((config_dir() / 'controllers' / 'mllm').glob('*.yaml'))
WRITTEN = [path.stem for path in FILES]


def small_job(folder, algorithm='ad_sac_flat', **changes):
    """A job of seconds."""
    known = registry.values(algorithm, 'mllm')
    settings = {key: value for key, value in SMALL.items() if key in known}
    job = Job(
        algorithm,
        'mllm:stress',
        0,
        folder,
        steps=200,
        settings=settings,
        scenario_settings=WORLD,
        save_every_s=0.0,
    )
    return replace(job, **changes)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short rows, constant reports and few held-out episodes."""
    monkeypatch.setattr(trainer, 'INTERVAL', 50)
    monkeypatch.setattr(trainer, 'REPORT_EVERY_S', 0.0)
    monkeypatch.setattr(trainer, 'HELD_OUT_EPISODES', 3)


def rows(folder):
    """The curve without what it took."""
    with (folder / 'curve.csv').open() as file:
        found = list(csv.DictReader(file))
    for row in found:
        del row['cpu_s']
    return found


def policy(folder):
    return dict(np.load(folder / 'policy.npz'))


@pytest.mark.parametrize('algorithm', WRITTEN)
def test_a_killed_run_goes_on_as_if_never_interrupted(algorithm, tmp_path):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'

    def copy_on_the_way(progress):
        # what lies on the disk when a run is killed: an older checkpoint, a longer curve
        if 60 <= progress.steps < 80:
            shutil.copytree(whole, killed, dirs_exist_ok=True)
        return True

    job = small_job(whole, algorithm, steps=120)
    assert Training(job).run(copy_on_the_way)
    resumed = Training(replace(job, folder=killed))
    assert 0 < resumed.steps < 80
    assert resumed.run()
    assert rows(killed) == rows(whole)
    first, second = policy(whole), policy(killed)
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert np.array_equal(array, second[name]), name


def test_a_run_writes_what_it_was_and_came_to(tmp_path):
    job = small_job(tmp_path, seed=3)
    reports = []
    assert Training(job).run(lambda progress: bool(reports.append(progress)) or True)
    summary = json.loads((tmp_path / 'training.json').read_text())
    assert summary['algorithm'] == 'ad_sac_flat' and summary['scenario'] == 'mllm:stress'
    assert (summary['seed'], summary['profile'], summary['steps']) == (3, 'default', 200)
    assert summary['updates'] == 180  # one each but for those of the warm-up
    assert summary['settings'] == job.settings and summary['scenario_settings'] == WORLD
    assert summary['hyper_parameters']['hidden'] == [8]
    assert summary['final']['reward'] == pytest.approx(-summary['final']['cost'], rel=1e-4)
    curve = rows(tmp_path)
    assert [int(row['steps']) for row in curve] == [52, 100, 152, 200]
    for row in curve:
        assert float(row['reward']) == pytest.approx(-float(row['cost']), rel=1e-4)
    assert [report.steps for report in reports] == [0, *range(4, 204, 4), 200]
    assert reports[-1].figures['cost'] == float(curve[-1]['cost'])
    description = json.loads(str(policy(tmp_path)['description']))
    assert (description['kind'], description['algorithm']) == ('flat', 'ad_sac_flat')
    assert list(tmp_path.glob('events.out.tfevents.*'))
    assert not list(tmp_path.glob('*.part'))


def test_a_stopped_run_leaves_a_checkpoint_at_the_end_of_an_episode(tmp_path):
    job = small_job(tmp_path, save_every_s=1e9)
    run = Training(job)
    assert not run.run(lambda progress: progress.steps < 24)
    assert run.steps == 40  # the episode is 5 slots of 4 copies
    assert not (tmp_path / 'training.json').exists()
    assert Training(job).steps == 40


def test_a_finished_run_can_be_made_longer(tmp_path):
    job = small_job(tmp_path, steps=40)
    assert Training(job).run()
    assert json.loads((tmp_path / 'training.json').read_text())['steps'] == 40
    longer = Training(replace(job, steps=80))
    assert longer.steps == 40
    assert longer.run()
    assert json.loads((tmp_path / 'training.json').read_text())['steps'] == 80


def test_without_being_kept_the_checkpoint_is_gone_at_the_end(tmp_path):
    Training(small_job(tmp_path, steps=40, keep_checkpoint=False)).run()
    assert not (tmp_path / 'checkpoint.pt').exists()
    assert (tmp_path / 'policy.npz').exists()


def test_a_budget_of_time_ends_a_run(tmp_path):
    run = Training(small_job(tmp_path, steps=None, minutes=1 / 60))
    assert run.run()
    assert 1 <= run.cpu_s < 10


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'seed': 1}, 'seed = 0, not 1'),
        ({'scenario': 'mllm:extended'}, "scenario = 'mllm:stress', not 'mllm:extended'"),
        ({'algorithm': 'ad_sac_flat', 'settings': {}}, 'settings = {'),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, message):
    Training(small_job(tmp_path, steps=20)).run()
    with pytest.raises(TrainingError) as refused:
        Training(replace(small_job(tmp_path, steps=20), **change))
    assert message in str(refused.value) and 'checkpoint.pt' in str(refused.value)


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_a_figure_that_is_no_number_stops_the_run(tmp_path, value):
    run = Training(small_job(tmp_path))
    learn = run.learner.learn

    def diverge(*arguments):
        learn(*arguments)
        return {'critic_loss': value if run.steps >= 100 else 1.0}

    run.learner.learn = diverge
    with pytest.raises(TrainingError, match=f'critic_loss became {value} at step 104'):
        run.run()


def test_runs_differ_by_seed_only(tmp_path):
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        Training(small_job(tmp_path / name, seed=seed, steps=60)).run()
    first, second, third = (policy(tmp_path / name) for name in 'abc')
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first['n0_w0'], third['n0_w0'])


def test_training_never_sees_episodes_of_evaluations_or_of_other_runs():
    copies = np.arange(registry.MOST_COPIES)
    places = [(0, 0), (0, 1), (1, 0), (2**28 - 1, 2**20 - 1)]
    seeds = np.concatenate([training_seed(*place) + copies for place in places])
    assert len(np.unique(seeds)) == len(seeds)
    assert episode_seeds(2**40 - 1, 2**20).max() < seeds.min()
    assert seeds.max() < 2**62
    with pytest.raises(ValueError, match='seed -1'):
        training_seed(-1, 0)


class Still:
    """Sends everything to the last satellite at full power; UAVs go to the middle."""

    def best(self, observation):
        rows = len(observation)
        continuous = torch.zeros(rows, 9)
        continuous[:, :3] = 1
        return Action(torch.full((rows, 3), 6), continuous)


def test_evaluation_is_the_mean_over_slots_of_the_episodes_that_were_asked_for():
    problem = make_problem('mllm:stress', 2, WORLD)
    figures = evaluate(problem, Still(), episodes=3, slots=4, seed=1)
    environment = MllmVectorEnv(3, 'stress', WORLD)
    observation = environment.reset(seed=2**20)[0]
    action = Still().best(torch.from_numpy(observation))
    order = {'server': action.choice.numpy(), 'continuous': action.continuous.numpy()}
    rewards = [environment.step(order)[1] for _ in range(4)]
    np.testing.assert_allclose(figures['reward'], np.mean(rewards, axis=0), rtol=1e-5)
    np.testing.assert_allclose(figures['cost'], -np.mean(rewards, axis=0), rtol=1e-5)


@pytest.mark.parametrize('change', [{'slots': 6}, {'episodes': 0}, {'seed': -1}])
def test_evaluation_refuses_numbers_out_of_range(change):
    problem = make_problem('mllm:stress', 2, WORLD)
    numbers = {'episodes': 2, 'slots': 5, 'seed': 0, **change}
    name = next(iter(change))
    with pytest.raises(ValueError, match=f'{name} = {change[name]}: must lie in'):
        evaluate(problem, Still(), **numbers)


@pytest.mark.parametrize(
    ('algorithm', 'profile'),
    [(path.stem, profile) for path in FILES for profile in value_of(path, 'profiles')],
)
def test_files_give_every_hyper_parameter(algorithm, profile):
    found = registry.recipe(algorithm, 'mllm', profile)
    kind = registry.learner_class(algorithm)
    assert kind.name == algorithm and isinstance(found.hyper, kind.Hyper)
    given = registry.values(algorithm, 'mllm', profile).keys() - {'copies'}
    assert {key.split('.')[0] for key in given} == set(kind.Hyper.model_fields)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'gamma': 2}, 'command line: gamma = 2: Input should be less than 1'),
        ({'merge.every': -1}, 'command line: merge.every = -1: '),
        ({'copies': 0}, 'copies = 0: must be a number from 1 to 4096'),
        ({'critic': 'scalar'}, 'critic is scalar'),
    ],
)
def test_values_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError) as refused:
        registry.recipe('ad_sac_flat', 'mllm', overrides=settings)
    assert message in str(refused.value)
