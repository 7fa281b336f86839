"""SCA-BCD of the partial scenario: one start, many starts, cuts, full offloading."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.partial.algorithm_one import AlgorithmOne
from sec_nodes.controllers.partial.split import choose_cuts
from sec_nodes.scenarios.partial import Partial
from sec_nodes.scenarios.partial.bounds import lower_bound_j
from sec_nodes.scenarios.partial.certificates import verdict
from sec_nodes.scenarios.partial.instance import UNSERVED
from sec_nodes.scenarios.partial.validator import validate
from sec_nodes.scenarios.registry import read_settings


def world(mode, seed=0, **overrides):
    named = {key.replace('__', '.'): value for key, value in overrides.items()}
    scenario = Partial(read_settings(mode, named))
    return scenario, scenario.reset(np.array([seed]))


@lru_cache
def planned(name, mode, seed=0, **overrides):
    scenario, state = world(mode, seed, **overrides)
    plan = create_batch(name, scenario).decide(state)
    return scenario, state, plan


def test_many_starts_on_the_frozen_instance():
    scenario, state, plan = planned('sca_bcd', 'partial')
    outcome = scenario.evaluate(state, plan)
    assert outcome.objective_j[0] <= 9700.0
    assert outcome.met.all()
    assert validate(scenario.settings, state, plan) == []


def test_one_start_on_the_frozen_instance():
    scenario, state = world('partial')
    trace = AlgorithmOne(scenario, state).run()
    outcome = scenario.evaluate(state, trace.plan)
    assert outcome.objective_j[0] == pytest.approx(trace.objective_j[-1], abs=1e-6)
    assert outcome.objective_j[0] <= 10125.0
    assert validate(scenario.settings, state, trace.plan) == []
    # it stopped by the paper's rule, and not before
    gains = -np.diff(trace.objective_j) / trace.objective_j[:-1]
    assert (gains[:-1] > 1e-3).all() and 0 <= gains[-1] <= 1e-3


@pytest.mark.parametrize(
    'mode, seed', [('partial:tight', 1), ('partial:random', 2), ('partial:agile', 0)]
)
@pytest.mark.parametrize('name', ['sca_bcd', 'sca_bcd_single'])
def test_plans_keep_every_constraint(name, mode, seed):
    scenario, state, plan = planned(name, mode, seed)
    assert validate(scenario.settings, state, plan) == []
    cost_j = scenario.evaluate(state, plan).objective_j[0]
    assert cost_j >= lower_bound_j(scenario.settings, state)[0]


@pytest.mark.parametrize('name', ['sca_bcd', 'sca_bcd_single'])
def test_free_cuts_help(name):
    scenario, state, plan = planned(name, 'partial:free_split')
    assert validate(scenario.settings, state, plan) == []
    assert (plan.split != state.split).any()
    given = scenario.evaluate(state, planned(name, 'partial')[2]).objective_j[0]
    assert scenario.evaluate(state, plan).objective_j[0] < given - 10.0


@pytest.mark.parametrize('uavs, tasks', [(1, 1), (4, 2), (1, 3)])
def test_any_number_of_uavs_and_tasks(uavs, tasks):
    scenario, state, plan = planned(
        'sca_bcd', 'partial:tight', 5, uavs__count=uavs, tasks__count=tasks
    )
    assert validate(scenario.settings, state, plan) == []


def test_the_same_instance_gets_the_same_plan_in_every_copy():
    scenario = Partial(read_settings('partial:tight', {'tasks.count': 4}))
    one, other = scenario.reset(np.array([3])), scenario.reset(np.array([3, 4, 3]))
    alone = create_batch('sca_bcd', scenario).decide(one)
    among = create_batch('sca_bcd', scenario).decide(other)
    np.testing.assert_array_equal(among.waypoint_m[[0, 2]], alone.waypoint_m[[0, 0]])
    np.testing.assert_array_equal(among.server[[0, 2]], alone.server[[0, 0]])


def test_a_mission_under_way_is_planned_from_where_the_uavs_are():
    scenario, state, plan = planned('sca_bcd', 'partial:tight', 1)
    gone = 10
    later = under_way(scenario, state, plan, gone)
    rest = Partial(scenario.settings.model_copy(update={'slots': scenario.settings.slots - gone}))
    new = create_batch('sca_bcd', rest).decide(later)
    assert validate(rest.settings, later, new) == []
    np.testing.assert_array_equal(new.server, plan.server)
    np.testing.assert_allclose(new.waypoint_m[:, :, 0], plan.waypoint_m[:, :, gone])
    # the plan that is being flown is one of the choices
    flown = replace(plan, waypoint_m=plan.waypoint_m[:, :, gone:])
    flown_j = rest.evaluate(later, flown).objective_j[0]
    assert rest.evaluate(later, new).objective_j[0] <= flown_j * 1.01


def under_way(scenario, state, plan, gone):
    """The state after `gone` slots of a plan: every task is bound to the UAV that it talks to."""
    slot_s = scenario.settings.slot_s
    rate = scenario.own_rates_bit_s(state, plan.waypoint_m, plan.server)[0, :, :gone]
    sent_bit = np.zeros_like(state.sent_bit)
    sent_bit[0, :, 0] = rate.sum(axis=1) * slot_s
    return replace(
        state,
        start_m=plan.waypoint_m[:, :, gone],
        elapsed_s=np.array([gone * slot_s]),
        sent_bit=sent_bit,
        held=plan.server,
    )


@pytest.mark.slow
@pytest.mark.parametrize('mode', ['partial:random', 'partial:tight'])
def test_never_a_wrong_plan(mode):
    # every plan is sound but for tasks that are left out, and then a proof is rarely missing
    scenario = Partial(read_settings(mode))
    statuses = []
    for seed in range(28, 44):
        _, state, plan = planned('sca_bcd', mode, seed)
        broken = [v.kind for v in validate(scenario.settings, state, plan)]
        judged = verdict(scenario, state, plan)
        assert set(broken) <= {'served'}
        assert (judged.status == 'solved') == (not broken)
        statuses.append(judged.status)
    assert statuses.count('not found') <= 2
    assert statuses.count('solved') >= 6


def test_a_task_that_nobody_can_finish_is_left_out_and_the_others_are_served():
    scenario, state = world('partial:tight', 1)
    deadline_s = state.deadline_s.copy()
    deadline_s[0, 7] = 1.0
    hopeless = replace(state, deadline_s=deadline_s)
    for name in ('sca_bcd', 'sca_bcd_single'):
        plan = create_batch(name, scenario).decide(hopeless)
        assert np.flatnonzero(plan.server[0] == UNSERVED).tolist() == [7]
        assert [v.kind for v in validate(scenario.settings, hopeless, plan)] == ['served']


def test_full_offloading_misses_every_task():
    scenario, state, plan = planned('binary', 'partial')
    assert not scenario.evaluate(state, plan).met.any()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_cuts_are_chosen_as_by_trying_all(seed):
    rng = np.random.default_rng(seed)
    cost, load = rng.uniform(0, 1, (3, 4)), rng.uniform(0, 1, (3, 4))
    cost[rng.uniform(size=cost.shape) < 0.2] = np.inf
    limit = rng.uniform(0.5, 3.0)
    every = np.stack(np.meshgrid(*[np.arange(3)] * 4), axis=-1).reshape(-1, 4)
    total = cost[every, np.arange(4)].sum(axis=1)
    total[load[every, np.arange(4)].sum(axis=1) > limit] = np.inf
    chosen = choose_cuts(cost, load, limit)
    if np.isinf(total.min()):
        assert chosen is None
    else:
        assert chosen is not None
        assert cost[chosen, np.arange(4)].sum() == pytest.approx(total.min(), rel=1e-6)
        assert load[chosen, np.arange(4)].sum() <= limit * (1 + 1e-6)
