"""Baselines and the reference controller of the partial scenario."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sec_nodes.controllers.batch import batch_controller_names, create_batch
from sec_nodes.controllers.partial import descent as partial_descent
from sec_nodes.controllers.partial.flight import Flight, sortie_of
from sec_nodes.controllers.partial.hover import HoverTable, hover_table, improve, neighbours, rank
from sec_nodes.controllers.partial.paths import loiter_path
from sec_nodes.controllers.partial.plans import (
    closed_form_plan,
    plan_from_dict,
    plan_to_dict,
)
from sec_nodes.scenarios.partial.bounds import lower_bound_j
from sec_nodes.scenarios.partial.instance import cut_tasks
from sec_nodes.scenarios.partial.scenario import UNSERVED, Partial
from sec_nodes.scenarios.partial.validator import validate
from sec_nodes.scenarios.registry import read_settings

SMALL = {'uavs.count': 2, 'tasks.count': 4, 'tasks.file': None}


def world(mode='partial', seed=0, **overrides):
    scenario = Partial(read_settings(mode, overrides))
    return scenario, scenario.reset(np.atleast_1d(seed))


def flight(scenario, state, member):
    return Flight(scenario.settings, sortie_of(scenario, state, 0, member))


def wavy_path(depot_m, seed, reach_m=150.0):
    wiggle_m = np.random.default_rng(seed).normal(size=(51, 2)) * 5
    swing = np.sin(np.linspace(0, np.pi, 51))[:, None]
    return depot_m + swing * (np.array([reach_m, 0.4 * reach_m]) + wiggle_m)


class TestBaselines:
    def test_they_miss_deadlines_of_the_frozen_instance(self):
        scenario, state = world()
        missed, propulsion_j = {}, {}
        for name in ('ellipse', 'tsp', 'tsp_hover'):
            plan = create_batch(name, scenario).decide(state)
            outcome = scenario.evaluate(state, plan)
            missed[name] = int((~outcome.met).sum())
            propulsion_j[name] = outcome.propulsion_j.sum()
            broken = {kind for kind, count in outcome.violations.items() if count[0]}
            assert broken <= {'program', 'intermediate'}
            loads = np.bincount(plan.server[0], plan.cpu_hz[0])
            np.testing.assert_allclose(loads, 6e9)
        assert missed == {'ellipse': 6, 'tsp': 4, 'tsp_hover': 4}
        # hovering costs a third more propulsion than the tour at one speed
        assert 1.25 < propulsion_j['tsp_hover'] / propulsion_j['tsp'] < 1.4
        assert propulsion_j['tsp'] < 1.01 * 3 * 8820.2

    def test_each_task_has_the_best_mean_link_along_the_ellipses(self):
        scenario, state = world()
        plan = create_batch('ellipse', scenario).decide(state)
        for task in range(18):
            rates = scenario.rates_bit_s(state, plan.waypoint_m)[0, :, task]
            assert rates.mean(axis=1).argmax() == plan.server[0, task]


class TestContract:
    def test_all_are_known(self):
        assert batch_controller_names('partial') == [
            'binary',
            'descent',
            'ellipse',
            'sca_bcd',
            'sca_bcd_single',
            'tsp',
            'tsp_hover',
        ]
        assert Partial.reference in batch_controller_names('partial')

    @pytest.mark.parametrize('name', batch_controller_names('partial'))
    def test_a_batch_is_decided_as_its_copies_are(self, name, monkeypatch):
        monkeypatch.setattr(partial_descent, 'RANDOM_STARTS', 2)
        scenario, state = world('partial:tight', [3, 4, 3], **SMALL)
        before = {key: value.copy() for key, value in vars(state).items()}
        together = create_batch(name, scenario, seed=1).decide(state)
        for copy in range(2):
            alone = create_batch(name, scenario, seed=1).decide(state.only(slice(copy, copy + 1)))
            for key, value in vars(alone).items():
                np.testing.assert_array_equal(value[0], getattr(together, key)[copy])
        for key, value in vars(together).items():
            np.testing.assert_array_equal(value[0], value[2], err_msg=key)
        for key, value in before.items():
            np.testing.assert_array_equal(value, getattr(state, key))
        outcome = scenario.evaluate(state, together)
        bound_j = create_batch(name, scenario).bound(state)
        feasible = outcome.met.all(axis=1)
        assert (outcome.objective_j >= bound_j)[feasible].all()

    @pytest.mark.parametrize('name', ['descent', 'ellipse', 'tsp', 'tsp_hover'])
    @pytest.mark.parametrize('counts', [(1, 1), (3, 2)])
    def test_few_tasks_and_idle_uavs(self, name, counts):
        scenario, state = world(
            'partial:tight', 5, **{'uavs.count': counts[0], 'tasks.count': counts[1]}
        )
        plan = create_batch(name, scenario).decide(state)
        assert np.isfinite(scenario.evaluate(state, plan).objective_j).all()


class TestFlight:
    @pytest.mark.parametrize('mode', ['partial', 'partial:agile'])
    @pytest.mark.parametrize(
        ('member', 'reach_m'),
        [([0, 3, 7, 9], 150.0), ([1, 4], 150.0), ([8, 10], -900.0), ([], 100.0)],
    )
    def test_gradients_against_differences(self, mode, member, reach_m):
        # the third path is so far off that uploads end long after the mission
        scenario, state = world(mode)
        self_ = flight(scenario, state, member)
        path_m = wavy_path(state.depot_m[0], 1, reach_m)
        point = self_.at(path_m)
        rng = np.random.default_rng(2)
        for _ in range(4):
            aside_m = rng.normal(size=path_m.shape)
            step = 1e-5
            plus, minus = self_.at(path_m + step * aside_m), self_.at(path_m - step * aside_m)
            slope = (plus.cost_j - minus.cost_j) / (2 * step)
            assert (point.cost_pull * aside_m).sum() == pytest.approx(slope, rel=1e-4, abs=1e-4)
            slopes = (plus.margins - minus.margins) / (2 * step)
            found = np.einsum('cmx,mx->c', point.margin_pulls, aside_m)
            np.testing.assert_allclose(found, slopes, rtol=1e-4, atol=1e-6)

    def test_the_cost_is_the_scenario_s(self):
        scenario, state = world('partial:tight', 1)
        pairs_path = np.stack([wavy_path(state.depot_m[0], seed) for seed in range(3)])[None]
        pairs = scenario.pairs(state, pairs_path, state.split)
        server = pairs.cpu_hz.argmin(axis=1)
        plan = closed_form_plan(scenario, state, pairs_path, server)
        outcome = scenario.evaluate(state, plan)
        sure = 0
        for uav in range(3):
            member = server[0] == uav
            if not outcome.met[0, member].all():
                continue
            sure += 1
            point = flight(scenario, state, member).at(pairs_path[0, uav])
            assert point.cost_j == pytest.approx(outcome.energy_j[0, uav], rel=1e-12)
            n_tasks = member.sum()
            program = outcome.program_margin_bit[0, member]
            size = cut_tasks(state, state.split).program_bit[0, member]
            np.testing.assert_allclose(point.margins[:n_tasks], program / size, atol=1e-9)
            load = plan.cpu_hz[0, member].sum() / scenario.settings.uavs.cpu_hz
            assert point.margins[n_tasks] == pytest.approx(1 - load)
        assert sure >= 1

    def test_descent_gets_cheaper_and_stays_feasible(self):
        scenario, state = world()
        member = np.isin(np.arange(18), [0, 2, 14, 15, 16, 17])
        start_m = loiter_path(
            state.depot_m[0], state.terminal_m[0, member].mean(axis=0), 50, 1.4, 14.0, 10.0, 0.0
        )
        self_ = flight(scenario, state, member)
        start, end = self_.judge(start_m), self_.descend(start_m, 150)
        assert start.shortage == end.shortage == 0.0
        assert end.cost_j < 0.99 * start.cost_j
        # a second descent from the end finds next to nothing
        assert self_.descend(end.path_m, 150).cost_j > end.cost_j - 1.0

    def test_infeasible_starts_are_mended(self):
        scenario, state = world()
        member = np.isin(np.arange(18), [0, 3, 7])
        self_ = flight(scenario, state, member)
        away_m = wavy_path(state.depot_m[0], 3, -200.0)
        assert self_.judge(away_m).shortage > 0.1
        assert self_.descend(away_m, 150).shortage == 0.0


class TestHoverTable:
    def test_a_group_costs_what_its_best_path_costs(self):
        scenario, state = world('partial:tight', 2, **SMALL)
        table = hover_table(scenario, state)
        member = np.array([[True, False, True, False]])
        path_m = table.best_paths_m(member[0], 1)
        both_m = np.repeat(path_m[None], 2, axis=1)
        server = np.where(member, 0, 1)
        plan = closed_form_plan(scenario, state, both_m, server)
        outcome = scenario.evaluate(state, plan)
        assert outcome.met[member].all()
        assert table.group_cost_j(member)[0] == pytest.approx(outcome.energy_j[0, 0])
        others_m = np.stack([table.path_m[::50], table.path_m[::50]], axis=1)
        many = state.only(np.zeros(len(others_m), dtype=np.int64))
        servers = np.repeat(server, len(others_m), axis=0)
        others = scenario.evaluate(many, closed_form_plan(scenario, many, others_m, servers))
        fine = others.met[:, member[0]].all(axis=1)
        assert (others.energy_j[fine, 0] >= outcome.energy_j[0, 0] - 1e-9).all()

    def test_a_group_by_hand(self):
        table = HoverTable(
            path_m=np.zeros((2, 3, 2)),
            fixed_j=np.array([100.0, 110.0]),
            cost_j=np.array([[1.0, 2.0, 4.0], [3.0, 3.0, 3.0]]),
            load=np.array([[0.7, 0.6, 0.1], [0.2, 0.2, 0.2]]),
        )
        groups = np.array([[True, False, True], [True, True, False], [False, False, False]])
        # the first path's processor is needed 1.3 times by the second group
        np.testing.assert_allclose(table.group_cost_j(groups), [105.0, 116.0, 100.0])

    def test_neighbours_are_all_moves_and_swaps(self):
        found = {tuple(row) for row in neighbours(np.array([0, 0, 1]), 2)}
        moves = {(1, 0, 1), (0, 1, 1), (0, 0, 0)}
        swaps = {(1, 0, 0), (0, 1, 0)}
        assert found == moves | swaps

    def test_improving_ends_where_no_neighbour_is_better(self):
        scenario, state = world('partial:tight', 2, **SMALL)
        table = hover_table(scenario, state)
        start = np.zeros(4, dtype=np.int64)
        end = improve(table, start, 2)
        value = rank(table, end[None], 2)[0]
        assert value < rank(table, start[None], 2)[0]
        assert (rank(table, neighbours(end, 2), 2) >= value - 1e-6).all()


class TestDescent:
    @pytest.mark.parametrize('seed', range(3))
    def test_small_instances_are_near_the_best_association(self, seed, monkeypatch):
        monkeypatch.setattr(partial_descent, 'RANDOM_STARTS', 4)
        scenario, state = world('partial:tight', seed, **SMALL)
        plan = create_batch('descent', scenario).decide(state)
        assert validate(scenario.settings, state, plan) == []
        cost_j = scenario.evaluate(state, plan).objective_j[0]
        search = partial_descent._Search(scenario, state, 0)
        halves = [np.array([bits >> task & 1 for task in range(4)]) for bits in range(8)]
        best_j = min(
            max(
                descent.cost_j if descent.shortage == 0.0 else np.inf
                for descent in map(search._fly, search._groups(half))
            )
            for half in halves
        )
        assert cost_j <= best_j + 0.5

    def test_an_impossible_deadline_is_missed_visibly(self):
        scenario, state = world('partial:tight', 0, **SMALL)
        deadline_s = state.deadline_s.copy()
        deadline_s[0, 2] = 1.0
        late = replace(state, deadline_s=deadline_s)
        assert lower_bound_j(scenario.settings, late)[0] == np.inf
        plan = create_batch('descent', scenario).decide(late)
        outcome = scenario.evaluate(late, plan)
        assert plan.server[0, 2] == UNSERVED
        np.testing.assert_array_equal(outcome.met[0], [True, True, False, True])
        assert outcome.violations['served'][0] == 1

    def test_a_mission_in_which_nothing_is_possible_is_flown_anyway(self):
        scenario, state = world('partial:tight', 0, **SMALL)
        late = replace(state, deadline_s=np.ones((1, 4)))
        outcome = scenario.evaluate(late, create_batch('descent', scenario).decide(late))
        assert not outcome.met.any()
        assert outcome.objective_j[0] == pytest.approx(8820.2, abs=1.0)

    def test_plans_survive_json(self):
        scenario, state = world('partial:random', 1)
        plan = create_batch('tsp', scenario).decide(state)
        again = plan_from_dict(json.loads(json.dumps(plan_to_dict(plan))))
        for name, value in vars(plan).items():
            np.testing.assert_allclose(getattr(again, name), value, rtol=1e-15)
        with pytest.raises(ValueError, match="KeyError\\('f'\\)"):
            plan_from_dict({'q': [], 'A': [], 'k': []})

    @pytest.mark.slow
    @pytest.mark.parametrize(('mode', 'limit_j'), [('partial', 9700.0), ('partial:agile', 9750.0)])
    def test_the_frozen_instance(self, mode, limit_j):
        scenario, state = world(mode)
        plan = create_batch('descent', scenario).decide(state)
        assert validate(scenario.settings, state, plan) == []
        summary = scenario.summarise(state, scenario.evaluate(state, plan))
        assert summary.extra['missed'][0] == summary.violations[0] == 0
        assert summary.cost[0] <= limit_j

    @pytest.mark.slow
    def test_tight_instances(self):
        scenario, state = world('partial:tight', np.arange(4))
        plan = create_batch('descent', scenario).decide(state)
        for copy in range(4):
            assert validate(scenario.settings, state, plan, copy) == []
        cost_j = scenario.evaluate(state, plan).objective_j
        assert (cost_j <= 1.01 * lower_bound_j(scenario.settings, state)).all()
