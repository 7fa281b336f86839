"""Which trainings and plays the figures of mllm need."""

from dataclasses import replace

import pytest

from sec_nodes.experiments.mllm.figures import FIGURES
from sec_nodes.experiments.mllm.plans import FULL, LEARNERS, MODES, OPTIMUM, QUICK, SIMPLE
from sec_nodes.experiments.trainings import Training, needs


def trainings(*numbers, plan=QUICK):
    jobs = [job for number in numbers for job in FIGURES[number].jobs(plan)]
    return {training for training in map(needs, jobs) if training is not None}


def test_all_figures_of_the_paper_are_there():
    assert list(FIGURES) == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize('number', FIGURES)
def test_everybody_gets_the_same_budget_and_the_same_episodes(number):
    figure = FIGURES[number]
    for training in trainings(number):
        assert (training.steps, training.minutes) == (QUICK.steps, QUICK.minutes)
    for point in figure.points(QUICK):
        for play in point.plays:
            few = point.player == OPTIMUM
            assert play.episodes in (
                (QUICK.optimum_episodes, QUICK.sweep_optimum_episodes) if few else (40,)
            )


@pytest.mark.parametrize('number', FIGURES)
def test_simple_controllers_and_the_optimum_are_in_every_figure(number):
    points = FIGURES[number].points(QUICK)
    places = {(point.mode, point.x) for point in points if point.player in LEARNERS}
    for name in (*SIMPLE, OPTIMUM):
        drawn = {(point.mode, point.x) for point in points if point.player == name}
        assert drawn == ({('paper', None)} if number == 4 else places)


def test_convergence_trains_all_learners_in_three_modes():
    found = trainings(3)
    assert len(found) == len(LEARNERS) * len(MODES) * QUICK.seeds
    assert {training.scenario for training in found} == {f'mllm:{mode}' for mode in MODES}


def test_figures_share_what_is_trained():
    everything = trainings(3)
    assert trainings(8) < everything
    assert trainings(6) < everything
    # of five devices and of twenty the five learners of the paper, and nothing else is new
    new = trainings(5) - everything
    assert {training.overrides for training in new} == {
        (('devices.count', 5),),
        (('devices.count', 20),),
    }
    assert len(new) == 2 * 5 * QUICK.sweep_seeds
    assert 'ad_sac' not in {training.algorithm for training in new}


def test_the_structured_policy_of_ten_devices_plays_any_number():
    points = [point for point in FIGURES[5].points(QUICK) if point.player == 'ad_sac']
    assert [point.x for point in points] == [5, 10, 20]
    assert len({point.trainings for point in points}) == 1
    assert [dict(point.plays[0].overrides) for point in points] == [
        {'devices.count': 5},
        {},
        {'devices.count': 20},
    ]


def test_only_the_unusual_critic_rates_are_trained_anew():
    new = trainings(4) - trainings(3)
    assert {training.hyper for training in new} == {
        (('critic_rate', 1e-4),),
        (('critic_rate', 1e-2),),
    }


def test_sweeps_replace_ranges_by_values():
    deadlines = {play.overrides for point in FIGURES[6].points(QUICK) for play in point.plays}
    assert deadlines == {(('tasks.deadline_s', (s, s)),) for s in (2.0, 2.5, 3.0)}
    accuracies = FIGURES[7].points(QUICK)
    assert {point.mode for point in accuracies} == {'fig7'}
    assert {training.overrides for training in trainings(7)} == {()}


def test_the_full_plan_is_what_the_protocol_asks_for():
    assert FULL.minutes is None
    assert (FULL.steps, FULL.seeds, FULL.episodes, FULL.slots) == (100_000, 10, 100, 100)
    seeds = {training.seed for training in trainings(3, plan=FULL)}
    assert seeds == set(range(10))


def test_jobs_can_be_told_apart_by_their_labels():
    found = trainings(3, 4, 5, plan=replace(QUICK, seeds=2, sweep_seeds=2))
    assert all(isinstance(training, Training) for training in found)
    assert len({training.label for training in found}) == len(found)
