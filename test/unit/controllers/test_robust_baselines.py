"""The simple rules of the robust scenario, against enumeration and hand-made slots."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
from robust_hindsight import best_targets

from sec_nodes.controllers.batch import batch_controller_names, create_batch
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.state import CONSTRAINTS, LOCAL, NEVER, RobustState

NAMES = ('offload_all', 'random', 'random_feasible', 'nearest_uav', 'local_only')


def robust(mode='robust', **overrides):
    values = {key.replace('__', '.'): value for key, value in overrides.items()}
    return Robust(read_settings(mode, values))


def small(mode='robust:feasible', **overrides):
    """Three users and two UAVs: few enough to try everything."""
    values = {'users__count': 3, 'uavs__count': 2, 'failures__largest': 0, **overrides}
    return robust(mode, **values)


def copied(state, number):
    """The first copy of a state, several times."""
    rows = np.zeros(number, dtype=int)
    return RobustState(*(getattr(state, field.name)[rows] for field in fields(state)))


def test_every_rule_is_known():
    assert set(NAMES) | {'optimum'} <= set(batch_controller_names('robust'))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('mode', ['robust:feasible', 'robust:fig5'])
def test_rules_play_episodes(name, mode):
    scenario = robust(mode, users__local_only=True, failures__fixed=1, horizon=3)
    controller = create_batch(name, scenario, seed=3)
    again = create_batch(name, scenario, seed=3)
    state = scenario.reset(np.arange(3))
    for _ in range(3):
        decision = controller.decide(state)
        repeated = again.decide(state)
        for field in fields(decision):
            np.testing.assert_array_equal(
                getattr(decision, field.name), getattr(repeated, field.name)
            )
        following, outcome = scenario.step(state, decision)
        # Nobody breaks anything but deadlines, nor moves UAVs that stand still.
        assert not outcome.violations[:, : CONSTRAINTS.index('(28k)')].any()
        np.testing.assert_array_equal(following.uav_m, state.uav_m)
        state = following


def test_moving_uavs_are_stopped():
    scenario = robust()
    state = scenario.reset(np.arange(2))
    velocity = np.zeros_like(state.uav_velocity_m_s)
    velocity[:, 1] = [3.0, 0.0, -4.0]
    velocity[:, 2] = [0.0, 8.0, 0.0]
    state = replace(state, uav_m=np.full_like(state.uav_m, 150), uav_velocity_m_s=velocity)
    after = scenario.step(state, create_batch('local_only', scenario).decide(state))[0]
    np.testing.assert_allclose(after.uav_velocity_m_s[0], [[0, 0, 0], [0, 0, 0], [0, 3, 0]])


@pytest.mark.parametrize('name', ['offload_all', 'random', 'random_feasible'])
@pytest.mark.parametrize('mode', ['robust', 'robust:feasible'])
def test_no_association_is_better(name, mode):
    # VGG16 for everyone is more than two UAVs can take in the paper's mode: some are dropped.
    scenario = small(mode, users__networks=['vgg16', 'vgg13', 'vgg16'], users__count=5)
    for seed in range(3):
        state = scenario.reset(np.array([seed]))
        decision = create_batch(name, scenario).decide(state)
        mine = scenario.evaluate(state, decision)
        server = np.array(list(product([LOCAL, 0, 1], repeat=5)))
        every = copied(state, len(server))
        split = np.repeat(decision.split, len(server), axis=0)
        still = np.zeros((len(server), 2, 3))
        preference = np.zeros((len(server), 5, 2))
        tried = scenario.evaluate(
            every,
            replace(
                decision,
                split=split,
                server=server,
                preference=preference,
                acceleration_m_s2=still,
            ),
        )
        most = tried.completed.sum(axis=1)
        assert mine.completed.sum() == most.max()
        # Energies of what is completed; local parts of dropped tasks are the same for all.
        least_j = np.where(tried.completed, tried.task_j, 0).sum(axis=1)[most == most.max()].min()
        mine_j = np.where(mine.completed, mine.task_j, 0).sum()
        assert mine_j == pytest.approx(least_j, rel=1e-6)


def test_offloading_sends_every_image():
    scenario = robust('robust:feasible')
    state = scenario.reset(np.arange(3))
    assert (create_batch('offload_all', scenario).decide(state).split == 1).all()


def test_a_settled_association_is_taken_as_it_is():
    scenario = robust('robust:fig5')
    state = scenario.reset(np.arange(3))
    outcome = scenario.evaluate(state, create_batch('offload_all', scenario).decide(state))
    # Everybody is served by the nearest UAV, some of them late.
    np.testing.assert_array_equal(outcome.server, scenario.nearest(state))
    assert not outcome.rejected.any() and not outcome.completed.all()


def test_random_splits_are_uniform():
    scenario = robust('robust:feasible', users__networks=['alexnet', 'vgg16'])
    controller = create_batch('random', scenario)
    state = scenario.reset(np.arange(200))
    split = controller.decide(state).split
    for offset, layers in ((0, 8), (1, 16)):
        share = np.bincount(split[:, offset::2].ravel(), minlength=layers + 1)[1:] / 1000
        assert len(share) == layers
        deviation = math.sqrt(1 / layers / 1000)
        np.testing.assert_allclose(share, 1 / layers, atol=4.5 * deviation)
    assert (create_batch('random', scenario, seed=1).decide(state).split != split).any()
    later = replace(state, slot=state.slot + 1)
    assert (controller.decide(later).split != split).any()


def test_random_feasible_splits_leave_half_of_a_uav():
    scenario = robust('robust', users__networks=['alexnet', 'vgg13', 'vgg16'])
    state = scenario.reset(np.arange(30))
    split = create_batch('random_feasible', scenario).decide(state).split
    # f_min = c / (1 s - tau_loc - D / r_ij(p_max)) <= 5 GHz at the best UAV.
    best_snr = 0.5 * scenario.snr_per_w(state).max(axis=-1)

    def least_hz(front, rear, size_bit, snr):
        left_s = 1 - front / 1e9 - size_bit / (10e6 * np.log2(1 + snr))
        return np.where(left_s > 0, rear / np.where(left_s > 0, left_s, 1), np.inf)

    assert (least_hz(*scenario.work(state, split), best_snr) <= 5e9).all()
    # What even the user with the worst link may choose is chosen by somebody.
    for network, layers in enumerate(scenario.tables.layers):
        tables = scenario.front_cycles, scenario.rear_cycles, scenario.size_bit
        always = least_hz(*(table[network, :layers] for table in tables), best_snr.min()) <= 5e9
        seen = set(split[state.network == network].tolist())
        assert always[0] and set((np.flatnonzero(always) + 1).tolist()) <= seen


def test_without_a_feasible_split_the_image_is_sent():
    scenario = robust('robust', uavs__frequency_hz=1e8)
    state = scenario.reset(np.arange(2))
    decision = create_batch('random_feasible', scenario).decide(state)
    assert (decision.split[state.network == 2] == 1).all()


@pytest.mark.parametrize('mode', ['robust', 'robust:feasible'])
def test_the_nearest_uav_serves_the_best_splits(mode):
    scenario = small(mode, users__networks=['alexnet', 'vgg13', 'alexnet'])
    for seed in range(3):
        state = scenario.reset(np.array([seed]))
        decision = create_batch('nearest_uav', scenario).decide(state)
        mine = scenario.evaluate(state, decision)
        nearest = np.argmin(scenario.distance_m(state), axis=-1)
        served = decision.server != LOCAL
        np.testing.assert_array_equal(decision.server[served], nearest[served])
        split = np.array(list(product(range(1, 9), range(1, 14), range(1, 9))))
        number = len(split)
        tried = scenario.evaluate(
            copied(state, number),
            replace(
                decision,
                split=split,
                server=np.repeat(nearest, number, axis=0),
                preference=np.zeros((number, 3, 2)),
                acceleration_m_s2=np.zeros((number, 2, 3)),
            ),
        )
        most = tried.completed.sum(axis=1)
        assert mine.completed.sum() == most.max()
        least_j = tried.task_j.sum(axis=1)[most == most.max()].min()
        assert mine.task_j.sum() == pytest.approx(least_j, rel=1e-6)


def test_the_nearest_uav_may_be_too_small():
    # Ten VGG16 near one UAV: two are served, the other UAV has nothing to do.
    scenario = robust('robust', users__networks=['vgg16'], uavs__count=2)
    state = scenario.reset(np.array([0]))
    state = replace(
        state,
        user_m=np.full_like(state.user_m, 100.0),
        uav_m=np.array([[[100.0, 100.0, 100.0], [400.0, 400.0, 100.0]]]),
    )
    decision = create_batch('nearest_uav', scenario).decide(state)
    outcome = scenario.evaluate(state, decision)
    assert outcome.completed.sum() == 2 and (outcome.server[outcome.completed] == 0).all()


def test_staying_local_needs_the_setting():
    own = robust(users__local_only=True)
    state = own.reset(np.arange(2))
    outcome = own.evaluate(state, create_batch('local_only', own).decide(state))
    np.testing.assert_array_equal(outcome.completed, state.network == 0)  # 0.18 s, 2.8 s, 3.9 s
    assert not outcome.violations[:, : CONSTRAINTS.index('(28k)')].any()
    printed = robust()
    outcome = printed.evaluate(state, create_batch('local_only', printed).decide(state))
    assert outcome.violations[0, CONSTRAINTS.index('(28e)')] == 10
    assert not outcome.completed.any()


@pytest.mark.parametrize('mode', ['robust', 'robust:feasible'])
@pytest.mark.parametrize('migration', ['relay', 'resend'])
@pytest.mark.parametrize('progress', [0.0, 0.2])
def test_tasks_move_as_well_as_with_hindsight(mode, migration, progress):
    scenario = robust(mode, failures__migration=migration, failures__progress=progress)
    state = scenario.reset(np.arange(12))
    when = np.where(np.arange(3) == np.arange(12)[:, None] % 3, 0, NEVER)
    state = replace(state, failure_slot=when)
    decision = create_batch('offload_all', scenario).decide(state)
    mine = scenario.evaluate(state, decision)
    target = best_targets(scenario, state, decision)
    best = scenario.evaluate(state, replace(decision, preference=target))
    assert mine.migrated.any() or migration == 'resend'
    np.testing.assert_array_equal(mine.lost.sum(axis=1), best.lost.sum(axis=1))
    np.testing.assert_allclose(mine.e_tot_j, best.e_tot_j, rtol=1e-9)


def test_hindsight_has_its_limits():
    scenario = robust('robust', users__count=17, users__networks=['alexnet'])
    state = scenario.reset(np.array([0]))
    state = replace(state, failure_slot=np.array([[0, NEVER, NEVER]]))
    decision = create_batch('offload_all', scenario).decide(state)
    crowd = replace(decision, server=np.zeros_like(decision.server))
    with pytest.raises(ValueError, match='17 tasks and 2 UAVs make 131072 ways'):
        best_targets(scenario, state, crowd)
