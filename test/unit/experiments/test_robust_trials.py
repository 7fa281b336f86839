"""Trials of robust's reproduction: failures when we want them, associations that are kept."""

from dataclasses import replace

import fake_training
import numpy as np
import pytest

from sec_nodes.controllers.batch import create_batch
from sec_nodes.experiments.keeping import StoppedError
from sec_nodes.experiments.robust.figures import TITLES, points
from sec_nodes.experiments.robust.plans import FEASIBLE, FLAT, OURS, PAPER, PLANS, QUICK
from sec_nodes.experiments.robust.trials import (
    AppointedFailures,
    KeptAssociation,
    Trial,
    TrialStore,
    play,
    scenario_name,
)
from sec_nodes.experiments.trainings import Training
from sec_nodes.learning.registry import values
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.state import LOCAL, NEVER

ONE_FAILURE = (('failures.fixed', 1),)


def go_on():
    return False


def trial(player='optimum', mode=FEASIBLE, episodes=2, slots=3, **changes):
    return Trial(player, mode, episodes, slots, **changes)


def settings(**overrides):
    return read_settings('robust:feasible', overrides)


def test_modes_have_names():
    assert scenario_name(PAPER) == 'robust'
    assert scenario_name(FEASIBLE) == 'robust:feasible'


@pytest.mark.parametrize('plan', PLANS.values(), ids=list(PLANS))
@pytest.mark.parametrize('exhibit', TITLES)
def test_every_trial_is_one_of_a_sound_scenario(exhibit, plan):
    found = points(exhibit, plan)
    kinds = {
        (one.mode, one.overrides, one.slots, one.failure_slot)
        for point in found
        for one in point.plays
    }
    for mode, overrides, slots, failure_slot in kinds:
        sound = read_settings(scenario_name(mode), dict(overrides))
        assert slots <= sound.horizon
        assert failure_slot is None or 2 <= failure_slot <= sound.horizon
    places = [(point.mode, point.x, point.player) for point in found]
    assert len(places) == len(set(places))


def test_uavs_fail_in_the_appointed_slot():
    drawn = Robust(settings(**dict(ONE_FAILURE))).reset(np.arange(5))
    state = AppointedFailures(settings(**dict(ONE_FAILURE)), 7).reset(np.arange(5))
    assert ((state.failure_slot == 6).sum(axis=1) == 1).all()  # the seventh slot
    assert ((state.failure_slot == NEVER) == (drawn.failure_slot == NEVER)).all()
    assert (state.uav_m == drawn.uav_m).all()


def test_a_trial_counts_what_fails_in_its_slots():
    """Three slots of ten tasks; the UAV fails in the second, with its tasks and for good."""
    lost = trial(
        overrides=(*ONE_FAILURE, ('failures.migration', 'none')), failure_slot=2, episodes=6
    )
    found = play(lost, 'optimum', go_on)
    once = found['completion_percent']
    assert (once[found['rescued_percent'] == 0] < 100).all()
    relayed = play(replace(lost, overrides=ONE_FAILURE), 'optimum', go_on)
    assert relayed['completion_percent'] == pytest.approx(np.full(6, 100.0))
    later = play(replace(lost, failure_slot=4), 'optimum', go_on)
    assert later['completion_percent'] == pytest.approx(np.full(6, 100.0))
    assert np.isnan(later['rescued_percent']).all()
    kept = play(replace(lost, association_kept=True), 'optimum', go_on)['completion_percent']
    # the same tasks are lost in the second slot, and in the third as well
    hit = once < 100
    assert hit.any()
    assert (kept[hit] < once[hit]).all()
    assert kept[~hit] == pytest.approx(once[~hit])


def test_an_association_is_kept_and_dead_uavs_get_nothing():
    scenario = AppointedFailures(settings(**dict(ONE_FAILURE)), 2)
    controller = KeptAssociation(create_batch('optimum', scenario))
    state = scenario.reset(np.arange(4))
    first = controller.decide(state).server
    for _ in range(3):
        state, _ = scenario.step(state, controller.decide(state))
    server = controller.decide(state).server
    dead = ~np.take_along_axis(state.alive, first, axis=1)
    assert dead.any()
    assert (server[dead] == LOCAL).all()
    assert (server[~dead] == first[~dead]).all()


def test_quantities_follow_from_each_other():
    figures = play(trial('offload_all', episodes=3), 'offload_all', go_on)
    assert figures['completion_percent'] == pytest.approx(np.full(3, 100.0))
    assert figures['per_task_mj'] == pytest.approx(figures['service_mj'] / 10)
    assert figures['whole_percent'] == pytest.approx(np.full(3, 100.0))
    # nobody is late or too close, so the reward is minus the energy
    assert figures['return'] == pytest.approx(-60 * figures['cost_mj'] / 1e3)
    # three UAVs that hover, P_1 + P_2 of docs/scenario_robust.md, weighted by 1e-4
    hovering_mj = 1e3 * 1e-4 * 3 * (79.85628 + 88.62794)
    assert figures['cost_mj'] - figures['service_mj'] == pytest.approx(np.full(3, hovering_mj))


def test_a_store_keeps_trials(tmp_path):
    store, one = TrialStore(tmp_path), trial('offload_all', episodes=1, slots=1)
    assert not store.has(one)
    store.carry_out(one, go_on)
    assert store.has(one)
    assert store.figures(one).keys() == play(one, 'offload_all', go_on).keys()
    assert np.isnan(store.figures(one)['rescued_percent']).all()
    assert store.cpu_s(one) > 0
    assert not store.has(replace(one, failure_slot=2))
    assert not store.has(replace(one, association_kept=True))
    with pytest.raises(StoppedError):
        store.carry_out(replace(one, slots=2), lambda: True)


def test_policies_come_from_trainings(tmp_path):
    training = Training('sac', 'robust:feasible', 3, 20)
    learnt = trial(training)
    store = TrialStore(tmp_path, fake_training.failing)
    assert store.needs(learnt) == training
    assert store.needs(trial()) is None
    with pytest.raises(ValueError, match='cannot be trained'):
        store.carry_out(training, go_on)
    assert not store.has(training)
    assert store.expected_s(Training('redq', 'robust', 0, 1000)) > store.expected_s(training)


@pytest.mark.parametrize('plan', PLANS.values(), ids=list(PLANS))
def test_learners_are_trained_as_their_names_say(plan):
    for point in points(3, plan):
        for one in point.trainings:
            own, flat = dict(one.hyper), point.player.endswith(FLAT)
            assert one.algorithm == point.player.removesuffix(FLAT)
            # priorities are corrected by the end of a training
            assert own.get('correction_slots') == (one.steps if one.algorithm == OURS else None)
            assert own.get('networks', 'per_user') == ('flat' if flat else 'per_user')
            values(one.algorithm, 'robust', overrides=own)  # raises for keys that do not exist


def test_flat_learners_differ_from_their_profile_by_what_the_plan_says():
    (point,) = [one for one in points(3, QUICK) if one.player == f'sac{FLAT}']
    own = values('sac', 'robust', overrides=dict(point.trainings[0].hyper))
    profile = values('sac', 'robust', profile='flat')
    changed = {key for key, value in profile.items() if own[key] != value and key != 'hidden'}
    assert changed == set(dict(QUICK.flat_hyper))
    assert list(own['hidden']) == list(profile['hidden'])
