"""Missions of partial's reproduction, and tables that can be worked out another way."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_partial import PLAN, TRACE_J, MadeUpMissions, permuted

from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.keeping import StoppedError
from sec_nodes.experiments.partial.figures import ALGORITHM, TITLES, jobs, lasting, weighted
from sec_nodes.experiments.partial.measures import hopeless, of_mission, of_uavs, spent
from sec_nodes.experiments.partial.missions import (
    Census,
    Mission,
    MissionStore,
    instances,
    numbered_alike,
    scenario_of,
)
from sec_nodes.experiments.partial.plans import BASE, BL, OP, PLANS, QUICK, SINGLE, START, TIGHT
from sec_nodes.experiments.partial.tables import rows
from sec_nodes.experiments.rows import MEAN
from sec_nodes.scenarios.partial.bounds import partial_certificate
from sec_nodes.scenarios.partial.validator import measure, validate
from sec_nodes.scenarios.registry import read_settings

LEAST_W = 126.0027
"""P(v*) of docs/scenario_partial.md."""
STORE = MadeUpMissions()


@pytest.fixture(scope='module')
def tables():
    return {exhibit: Table(rows(exhibit, PLAN, STORE)) for exhibit in TITLES}


def value(tables, exhibit, quantity, relation=MEAN, player=OP, mode=BASE, x=None):
    (row,) = [
        row
        for row in tables[exhibit].of(exhibit, quantity, relation, [player], mode)
        if row.x == x
    ]
    return row.value


def flown(player, mode=BASE, copy=0, episodes=1):
    return STORE.flown(Mission(player, mode, episodes))[copy]


@pytest.mark.parametrize('plan', PLANS.values(), ids=list(PLANS))
@pytest.mark.parametrize('exhibit', TITLES)
def test_every_mission_is_one_of_a_sound_scenario(exhibit, plan):
    for job in jobs(exhibit, plan):
        if isinstance(job, Mission):
            scenario_of(job.mode, job.overrides)


def test_what_is_as_in_the_file_is_the_same_mission():
    settings = read_settings('partial')
    assert lasting(settings.slots) == weighted(settings.objective.service_weight) == Mission(OP)
    assert lasting(41).overrides == (('slots', 41),)


def test_drawn_instances_are_the_first_that_are_not_certified_infeasible():
    scenario = scenario_of(TIGHT)
    some = instances(scenario, 30)
    assert some.n_copies == 30
    assert not partial_certificate(scenario.settings, some).infeasible.any()
    assert (instances(scenario, 5).seed == some.seed[:5]).all()


def test_uavs_are_numbered_as_in_the_baseline():
    own = flown(BL)
    mixed = permuted(own.plan, np.array([2, 0, 1]))
    assert (mixed.server != own.plan.server).any()
    again = numbered_alike(own.scenario, own.state, mixed)
    assert (again.server == own.plan.server).all()
    assert (again.waypoint_m == own.plan.waypoint_m).all()
    unserved = replace(mixed, server=np.where(mixed.server == 0, -1, mixed.server))
    assert (numbered_alike(own.scenario, own.state, unserved).server == -1).sum() == (
        mixed.server == 0
    ).sum()


def test_a_mission_is_kept_with_what_the_validator_found(tmp_path):
    store, mission = MissionStore(tmp_path), Mission('tsp')
    assert not store.has(mission)
    store.carry_out(mission, lambda: False)
    assert store.has(mission)
    (kept,) = store.flown(mission)
    broken = validate(kept.scenario.settings, kept.state, kept.plan)
    assert [(v.kind, v.where) for v in kept.broken] == [(v.kind, v.where) for v in broken]
    assert [v.excess for v in kept.broken] == pytest.approx([v.excess for v in broken])
    assert {v.excess for v in kept.broken} >= {np.inf}  # what JSON cannot hold
    expected = flown('tsp')
    assert np.allclose(kept.outcome.energy_j, expected.outcome.energy_j, rtol=1e-12)


def test_algorithm_one_is_kept_with_its_trace(tmp_path):
    store, mission = MissionStore(tmp_path), Mission(SINGLE)
    store.carry_out(mission, lambda: False)
    (kept,) = store.flown(mission)
    assert kept.trace_j[-1] == pytest.approx(kept.outcome.objective_j[0], rel=1e-9)
    assert len(kept.trace_j) > 1


def test_the_start_of_algorithm_one_has_the_best_speeds(tmp_path):
    store, mission = MissionStore(tmp_path), Mission(START, TIGHT, 2)
    store.carry_out(mission, lambda: False)
    for one in store.flown(mission):
        # either everything fits in, or no association does and nobody is served
        assert of_mission(one)['missed'] in (0, one.state.n_tasks)


def test_missions_can_be_interrupted(tmp_path):
    store = MissionStore(tmp_path)
    with pytest.raises(StoppedError):
        store.carry_out(Mission(BL), lambda: True)
    assert not store.has(Mission(BL))


def test_a_census_counts_certificates(tmp_path):
    store, census = MissionStore(tmp_path), Census(TIGHT, 50)
    store.carry_out(census, lambda: False)
    shares = store.shares(census)
    assert len(shares['binary']) == len(shares['given']) == 50
    # full offloading of drawn tasks is harder than computing a part of them
    assert sum(shares['binary']) > sum(shares['given'])


@pytest.mark.parametrize('player', [BL, 'tsp', OP])
def test_energies_are_those_of_the_validator(tables, player):
    own = flown(player)
    known = measure(own.scenario.settings, own.state, own.plan)
    assert value(tables, 5, 'objective_j', player=player) == pytest.approx(known.objective_j)
    for uav in range(3):
        mine = [known.service_j[n] for n in np.flatnonzero(own.plan.server[0] == uav)]
        relation = f'UAV {uav + 1}'
        assert value(tables, 5, 'service_j', relation, player) == pytest.approx(sum(mine))
        assert value(tables, 5, 'propulsion_j', relation, player) == pytest.approx(
            known.propulsion_j[uav]
        )


@pytest.mark.parametrize('player', [BL, OP])
def test_energy_over_time_ends_at_the_total(player):
    own = flown(player)
    known, until = measure(own.scenario.settings, own.state, own.plan), spent(own)
    assert (np.diff(until.service_j) >= 0).all()
    assert (until.service_j[:, 0] == 0).all()
    assert until.service_j[:, -1].sum() == pytest.approx(sum(known.service_j))
    assert until.time_s[-1] >= max(known.finish_s) > until.time_s[-2] - 1.4
    excess_j = np.array(known.propulsion_j) - 70.0 * LEAST_W
    assert until.excess_j[:, -1] == pytest.approx(excess_j, abs=0.01)
    assert (until.excess_j[:, 0] == 0).all()


def test_service_energy_halfway_through_a_task():
    own = flown(BL)
    task = int(np.argmax(own.outcome.service_j[0]))
    until = spent(own)
    tau_s, finish_s = own.outcome.upload_end_s[0, task], own.outcome.finish_s[0, task]
    others = own.plan.server[0] == own.plan.server[0, task]
    at_s = until.time_s[np.searchsorted(until.time_s, (tau_s + finish_s) / 2)]
    expected_j = 0.0
    for n in np.flatnonzero(others):
        begin_s, end_s = own.outcome.upload_end_s[0, n], own.outcome.finish_s[0, n]
        share = min(max((at_s - begin_s) / (end_s - begin_s), 0.0), 1.0)
        expected_j += share * own.outcome.service_j[0, n]
    place = round(at_s / 1.4)
    assert until.service_j[own.plan.server[0, task], place] == pytest.approx(expected_j)


def test_paths_servers_and_late_tasks_are_in_the_table_of_figure_3(tables):
    own, table = flown(BL), tables[3]
    assert len(table.of(3, 'east_m', 'UAV 2', [BL], BASE)) == 51
    assert value(tables, 3, 'north_m', 'UAV 2', BL, x=7) == own.plan.waypoint_m[0, 1, 7, 1]
    assert value(tables, 3, 'server', player=BL, x=4) == own.plan.server[0, 4] + 1
    late = {row.x for row in table.of(3, 'late', None, [BL], BASE)}
    broken = {
        int(v.where.split()[1]) for v in validate(own.scenario.settings, own.state, own.plan)
    }
    assert late == broken == {3, 4, 5, 7, 10, 15}


def test_gaps_are_those_of_plans_that_miss_nothing(tables):
    late, fine = flown(BL), flown('tsp')
    fine = replace(fine, outcome=replace(fine.outcome, met=np.full((1, 18), True)))
    assert np.isnan(of_mission(late)['gap_percent'])
    assert of_mission(fine)['gap_percent'] == pytest.approx(
        100 * (10759.637 / 9587.39 - 1), abs=1e-3
    )
    assert np.isnan(value(tables, 5, 'gap_percent', player=BL))


def test_even_shares_and_distributions(tables):
    own = flown(BL)
    for uav in range(3):
        count = int((own.plan.server[0] == uav).sum())
        found = tables[4].of(4, 'cpu_ghz_at', f'UAV {uav + 1}', [BL], BASE)
        assert [row.value for row in found] == pytest.approx([6.0 / count] * count)
        assert found[-1].x == 1.0
        rates = [row.value for row in tables[4].of(4, 'rate_kbit_s_at', f'UAV {uav + 1}', [BL])]
        assert rates == sorted(rates)
        assert rates[-1] <= 83.91  # from overhead
    assert value(tables, 4, 'cpu_ghz', player=BL) == pytest.approx(3 * 6.0 / 18)


def test_differences_are_percentages_on_the_same_instances(tables):
    ours, theirs = (
        np.mean([of_mission(flown(player, TIGHT, n, 2))['service_j'] for n in (0, 1)])
        for player in (OP, BL)
    )
    found = value(tables, 5, 'service_j', f'above {BL}', OP, TIGHT)
    assert found == pytest.approx(100 * (ours / theirs - 1))
    mine, yours = of_uavs(flown('tsp')), of_uavs(flown(OP))
    expected = 100 * (mine['propulsion_j'][2] / yours['propulsion_j'][2] - 1)
    assert value(tables, 5, 'propulsion_j', f'above {OP}, UAV 3', 'tsp') == pytest.approx(expected)


def test_certificates_and_lengths_of_figure_6(tables):
    assert value(tables, 6, 'needed_ghz', player='binary') == pytest.approx(21.0, abs=0.005)
    assert value(tables, 6, 'needed_ghz') == pytest.approx(10.98, abs=0.005)
    assert value(tables, 6, 'available_ghz') == 18
    assert value(tables, 6, 'certified_percent', player='binary', mode=TIGHT) == 75
    lasts_s = 41 * 1.4
    floor = [row for row in tables[6].rows if row.player == 'least propulsion']
    assert floor[0].x == pytest.approx(lasts_s)
    assert floor[0].value == pytest.approx(3 * lasts_s * LEAST_W, rel=1e-6)


def test_tasks_that_outlast_a_short_mission():
    """T_lc + S / r(0) beyond 57.4 s, in the units of the file and with its rounded rate."""
    short = STORE.flown(lasting(41))[0]
    state = short.state
    expected = 0
    for n in range(state.n_tasks):
        program_bit, result_bit = state.splits_bit[0, n, state.split[0, n]]
        work = state.work_cycle_per_bit[0, n] * (state.data_bit[0, n] - program_bit)
        expected += work / state.local_hz[0, n] + result_bit / 83.9e3 > 57.4
    assert hopeless(short) == expected == 3
    assert hopeless(flown(OP)) == 0


def test_the_trace_of_algorithm_one(tables):
    found = tables[ALGORITHM].of(ALGORITHM, 'objective_j_at', MEAN, [SINGLE], BASE)
    assert [row.value for row in found] == list(TRACE_J)
    assert value(tables, ALGORITHM, 'iterations', player=SINGLE) == 2
    assert value(tables, ALGORITHM, 'largest_step_j', player=SINGLE) == -1
    assert value(tables, ALGORITHM, 'cpu_s', player=SINGLE, mode=TIGHT) == 1.0


def test_sweeps_are_compared_with_their_first_place(tables):
    first, last = (of_mission(STORE.flown(weighted(weight))[0]) for weight in PLAN.weights)
    found = value(tables, 7, 'service_j', 'above first', x=10.0)
    assert found == pytest.approx(100 * (last['service_j'] / first['service_j'] - 1))
    assert QUICK.weights[0] < QUICK.weights[-1]
