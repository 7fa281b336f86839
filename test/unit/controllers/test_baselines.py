"""What each built-in controller promises; and what every controller must."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from sec_nodes.controllers.base import (
    Controller,
    ControllerError,
    controller_names,
    create,
    register,
)
from sec_nodes.controllers.placement import towards_devices
from sec_nodes.scenarios.mllm.offloading import MllmOffloading
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import DECLINED, LOCAL, SlotDecision

BUILT_IN = ['greedy', 'local_only', 'nearest_uav', 'offload_all', 'random']


def test_the_built_in_controllers_are_known():
    assert set(BUILT_IN) <= set(controller_names())


@pytest.mark.parametrize('name', BUILT_IN)
def test_every_controller_gives_a_sound_and_reproducible_decision(name, scenario, state):
    decision = create(name, scenario, seed=4).decide(state)
    assert not scenario.violations(state, decision).any()
    again = create(name, scenario, seed=4).decide(state)
    for item in fields(SlotDecision):
        np.testing.assert_array_equal(getattr(decision, item.name), getattr(again, item.name))
    assert decision.uav_goal_m.shape == (3, 3)


@pytest.mark.parametrize('name', BUILT_IN)
def test_every_controller_copes_with_no_tasks_and_with_no_servers(
    name, scenario, state, with_dead
):
    nothing = state.only(np.array([], dtype=np.int64))
    assert len(create(name, scenario).decide(nothing).server) == 0
    dark = with_dead(state, *range(7))
    decision = create(name, scenario).decide(dark)
    assert not scenario.violations(dark, decision).any()
    # tasks up to 0.8 can be answered by the device, the one that needs 0.9 by nobody
    assert decision.server.tolist() == [LOCAL, LOCAL, LOCAL, DECLINED]


def test_local_only_keeps_what_it_can_and_declines_the_rest(scenario, state):
    decision = create('local_only', scenario).decide(state)
    assert decision.server.tolist() == [LOCAL, LOCAL, LOCAL, DECLINED]


def test_nearest_uav_takes_the_nearest_and_a_satellite_where_accuracy_demands(scenario, state):
    decision = create('nearest_uav', scenario).decide(state)
    assert decision.server[:3].tolist() == [0, 1, 2]
    assert decision.server[3] >= 3
    assert np.all(decision.split == 0)
    assert np.all(decision.backup[:3] != decision.server[:3])


def test_offload_all_takes_the_fastest_uplink(scenario, state):
    decision = create('offload_all', scenario).decide(state)
    admissible = scenario.admissible(state)[:, :-1]
    rate = np.where(admissible, state.links.rate_bit_s[state.tasks.device], -1)
    np.testing.assert_array_equal(decision.server, rate.argmax(axis=1))


def test_random_covers_all_admissible_servers_and_only_those(scenario, state):
    seen = [set() for _ in range(4)]
    for slot in range(200):
        decision = create('random', scenario).decide(replace(state, slot=slot))
        for task, server in enumerate(decision.server.tolist()):
            seen[task].add(server)
    admissible = scenario.admissible(state)
    for task in range(4):
        allowed = set(np.flatnonzero(admissible[task, :-1]).tolist())
        assert seen[task] == allowed | ({LOCAL} if admissible[task, -1] else set())


def test_greedy_finds_the_cheapest_punctual_option_of_a_lone_task(scenario, state):
    one = state.only(np.array([2]))
    decision = create('greedy', scenario).decide(one)
    low_w, high_w = scenario.settings.devices.transmit_power_w
    options = scenario.options(one, np.geomspace(low_w, high_w, 4))
    cheapest = np.where(options.punctual, options.cost, np.inf).min()
    outcome = scenario.evaluate(one, decision)
    assert scenario.cost(outcome.latency_s, outcome.energy_j)[0] == pytest.approx(cheapest)


def test_greedy_takes_the_fastest_way_when_nothing_is_in_time(scenario, state):
    hasty = replace(state, tasks=replace(state.tasks, deadline_s=np.full(4, 1e-4)))
    decision = create('greedy', scenario).decide(hasty)
    one = hasty.only(np.array([0]))
    options = scenario.options(one, np.array([1.0]))
    fastest = np.where(options.feasible, options.latency_s, np.inf).min()
    assert decision.server[0] != DECLINED
    alone = create('greedy', scenario).decide(one)
    assert scenario.evaluate(one, alone).latency_s[0] == pytest.approx(fastest)


def test_greedy_spreads_tasks_when_a_server_is_busy(scenario, state):
    free = create('greedy', scenario).decide(state)
    server = int(free.server[free.server >= 0][0])
    backlog_s = np.zeros(7)
    backlog_s[server] = 50.0
    busy = replace(state, servers=replace(state.servers, backlog_s=backlog_s))
    assert server not in create('greedy', scenario).decide(busy).server


def test_greedy_beats_the_other_rules_in_cost(scenario, state):
    def total(name):
        outcome = scenario.evaluate(state, create(name, scenario).decide(state))
        served = np.isfinite(outcome.latency_s)
        return scenario.cost(outcome.latency_s, outcome.energy_j)[served].sum()

    assert total('greedy') <= min(total('nearest_uav'), total('offload_all'), total('random'))


def test_placement_moves_each_uav_over_its_devices_and_leaves_the_dead(state, with_dead):
    goals = towards_devices(state)
    # devices 2 and 3 are nearest to UAV 2: their centroid is (365, 440)
    np.testing.assert_allclose(goals, [[100, 100, 40], [400, 100, 50], [365, 440, 60]])
    two_left = towards_devices(with_dead(state, 2))
    np.testing.assert_array_equal(two_left[2], state.servers.position_m[2])


def test_an_unknown_name_is_refused_with_the_closest_match(scenario):
    with pytest.raises(ControllerError, match="did you mean 'greedy'"):
        create('gready', scenario)


@pytest.mark.parametrize('name', ['no_such_module:X', 'sec_nodes.slot:Nothing'])
def test_a_class_that_cannot_be_imported_is_refused(scenario, name):
    with pytest.raises(ControllerError, match='cannot be imported'):
        create(name, scenario)


def test_a_module_that_fails_is_refused_with_its_error(scenario, tmp_path, monkeypatch):
    (tmp_path / 'failing.py').write_text('1 / 0')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ControllerError, match='ZeroDivisionError'):
        create('failing:Mine', scenario)


def test_a_class_that_is_no_controller_is_refused(scenario):
    with pytest.raises(ControllerError, match='no subclass'):
        create('sec_nodes.slot:SlotState', scenario)


def test_a_controller_of_one_s_own_is_found_by_module_and_by_name(scenario):
    by_path = create('sec_nodes.controllers.greedy:Greedy', scenario)
    assert by_path.name == 'greedy'

    class Mine(Controller):
        """Takes the place of a built-in name."""

        name = 'greedy'

        def decide(self, state):
            raise AssertionError

    with pytest.raises(ControllerError, match='belongs to'):
        register(Mine)


def test_who_needs_devices_that_compute_is_refused_where_they_cannot():
    scenario = MllmOffloading(read_settings('mllm'))
    with pytest.raises(ControllerError, match=r'devices of mllm cannot compute.*greedy.*random'):
        create('local_only', scenario)
    assert create('greedy', scenario).name == 'greedy'
