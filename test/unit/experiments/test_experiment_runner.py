"""Jobs in processes: order, what is kept, going on, failing. Trainings are fake."""

import json

import fake_training
import numpy as np
import pytest

from sec_nodes.experiments.jobs import Play, Store, expected_s
from sec_nodes.experiments.keeping import StoppedError
from sec_nodes.experiments.runner import JobError, carry_out
from sec_nodes.experiments.trainings import HELD_OUT_SEED, Training
from sec_nodes.simulation.run import episode_seeds, simulate
from sec_nodes.simulation.statistics import per_episode
from sec_nodes.simulation.systems import controller, system

FLAT = Training('ad_sac_flat', 'mllm:paper', seed=0, steps=100)
LEARNT = Play('mllm:paper', FLAT, episodes=2, slots=2)
GREEDY = Play('mllm:paper', 'greedy', episodes=3, slots=2)


def test_all_is_done_once_and_found_again(tmp_path):
    seen = []
    store = Store(tmp_path, fake_training.train)
    carry_out([LEARNT, GREEDY], store, 1, seen.append)
    assert (seen[-1].done, seen[-1].total, seen[-1].at_work) == (3, 3, [])
    assert store.figures(LEARNT)['cost'].shape == (2,)
    assert store.summary(FLAT)['updates'] == 7
    assert store.curve(FLAT)['steps'].tolist() == list(range(10, 101, 10))
    # A second call has nothing to do: not even a training that fails is asked.
    again = []
    carry_out([LEARNT, GREEDY], Store(tmp_path, fake_training.failing), 1, again.append)
    assert again == []


def test_a_play_is_what_simulate_comes_to_on_the_held_out_episodes(tmp_path):
    Store(tmp_path).carry_out(GREEDY, lambda: False)
    scenario = system('mllm:paper')
    seeds = episode_seeds(HELD_OUT_SEED, 3)
    trace = simulate(scenario, controller('greedy', scenario, 0), seeds, 2)
    wanted = per_episode(trace)
    found = Store(tmp_path).figures(GREEDY)
    assert found.keys() == wanted.keys()
    for name, column in wanted.items():
        np.testing.assert_allclose(found[name], column, rtol=1e-8)


def test_episodes_of_a_short_play_are_the_first_of_a_long_one(tmp_path):
    store = Store(tmp_path)
    short = Play('mllm:paper', 'greedy', episodes=2, slots=2)
    for play in (GREEDY, short):
        store.carry_out(play, lambda: False)
    long_cost, short_cost = store.figures(GREEDY)['cost'], store.figures(short)['cost']
    np.testing.assert_allclose(short_cost, long_cost[:2], rtol=1e-8)
    assert short_cost[0] != short_cost[1]


def test_a_failure_names_its_job_and_keeps_the_rest(tmp_path):
    store = Store(tmp_path, fake_training.failing)
    with pytest.raises(JobError, match='train ad_sac_flat mllm:paper seed 0: this one cannot'):
        carry_out([GREEDY, LEARNT], store, 1)
    # the training is the longest, so it came first; what was done before a failure stays
    carry_out([GREEDY], store, 1)
    assert store.has(GREEDY)


def test_what_is_stopped_leaves_no_result(tmp_path):
    store = Store(tmp_path, fake_training.train)
    for job in (GREEDY, FLAT):
        with pytest.raises(StoppedError):
            store.carry_out(job, lambda: True)
        assert not store.has(job)


@pytest.mark.parametrize(
    'other',
    [
        Training('ad_sac_flat', 'mllm:paper', seed=1, steps=100),
        Training('ad_sac_flat', 'mllm:paper', seed=0, steps=200),
        Training('ad_sac_flat', 'mllm:stress', seed=0, steps=100),
        Training('ad_sac_flat', 'mllm:paper', 0, 100, hyper=(('critic_rate', 0.01),)),
        Training('ad_sac_flat', 'mllm:paper', 0, 100, overrides=(('devices.count', 5),)),
    ],
)
def test_whatever_changes_a_result_changes_the_key(other):
    assert other.key != FLAT.key
    assert Play('mllm:paper', other, 2, 2).key != LEARNT.key


def test_the_same_job_has_the_same_key():
    assert Training('ad_sac_flat', 'mllm:paper', seed=0, steps=100).key == FLAT.key
    assert Play('mllm:paper', 'greedy', 3, 2).key == GREEDY.key


def test_results_are_json_without_nan(tmp_path):
    Store(tmp_path).carry_out(GREEDY, lambda: False)
    (path,) = tmp_path.glob('play-*.json')
    kept = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert kept['job'] == 'play greedy mllm:paper'


def test_the_optimum_is_expected_to_take_longest():
    optimum = Play('mllm:paper', 'optimum', episodes=3, slots=2)
    assert expected_s(optimum) > expected_s(GREEDY)
    assert expected_s(Training('ad_sac_flat', 'mllm:paper', 0, 1000)) > expected_s(FLAT)
    assert expected_s(Training('ppo', 'mllm:paper', 0, 100)) < expected_s(FLAT)
