"""Missions decided slot by slot, as the nodes have them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from mission_slots import first_slot, later_slot, offloading

from sec_nodes.controllers.base import ControllerError, create
from sec_nodes.scenarios.partial import PartialDecision
from sec_nodes.scenarios.partial.validator import validate
from sec_nodes.scenarios.partial.view import mission_of, one_slot_ahead
from sec_nodes.slot import DECLINED


@pytest.fixture(scope='module')
def flown():
    """A scenario, its first slot, and what the product decides there."""
    scenario = offloading()
    start = first_slot(scenario)
    return scenario, start, create('sca_bcd', scenario).decide(start)


def test_the_first_slot_plans_the_mission(flown):
    scenario, start, decision = flown
    plan = decision.mission
    assert scenario.fault_of(start, plan) == ''
    assert not scenario.violations(start, decision).any()
    assert plan.reason == 'mission start'
    assert (plan.server >= 0).all()
    np.testing.assert_array_equal(plan.server, decision.server)
    np.testing.assert_allclose(plan.cpu_hz, decision.compute_share * 6e9)
    # the reserve of 1.5 s is kept
    assert (plan.finish_s <= plan.due_s - 1.5 + 1e-6).all()
    assert (plan.energy_j.max() >= plan.bound_j) and plan.energy_j.max() < 1.1 * plan.bound_j
    np.testing.assert_allclose(plan.waypoint_m[:, 0], start.servers.position_m)
    np.testing.assert_array_equal(decision.uav_goal_m, plan.waypoint_m[:, 1])


@pytest.mark.parametrize('slot', [1, 12, 30])
def test_a_plan_that_holds_is_left_alone(flown, slot):
    scenario, start, decision = flown
    later = later_slot(scenario, start, decision, slot)
    answer = create('sca_bcd', scenario).decide(later)
    assert answer.mission is None
    np.testing.assert_array_equal(answer.uav_goal_m, decision.mission.waypoint_m[:, slot + 1])


def test_what_is_left_ends_when_the_plan_says(flown):
    scenario, start, decision = flown
    later = later_slot(scenario, start, decision, 20)
    mission = mission_of(scenario, later)
    row = {task: n for n, task in enumerate(decision.mission.task_id.tolist())}
    rows = [row[task] for task in mission.task_id.tolist()]
    assert 0 < len(rows) <= 18
    np.testing.assert_array_equal(mission.state.held[0], decision.server[rows])
    rest = mission.scenario.evaluate(mission.state, _rest_of(decision, rows, 20, mission))
    np.testing.assert_allclose(
        rest.upload_end_s[0] + later.time_s, decision.mission.upload_end_s[rows], atol=1e-6
    )


def _rest_of(decision, rows, slot, mission):
    return PartialDecision(
        waypoint_m=decision.mission.waypoint_m[None, :, slot:, :2],
        server=decision.server[None, rows],
        cpu_hz=decision.mission.cpu_hz[None, rows],
        split=mission.state.split,
    )


def test_a_worse_link_is_a_reason_to_plan_anew(flown):
    scenario, start, decision = flown
    loss_db = np.zeros(18)
    later = later_slot(scenario, start, decision, 12)
    device = later.uploads.device[np.isnan(later.uploads.arrived_s)][0]
    loss_db[device] = 3.0
    later = later_slot(scenario, start, decision, 12, loss_db)
    answer = create('sca_bcd', scenario).decide(later)
    plan = answer.mission
    assert plan.reason == f'the links of device {device} are 3.0 dB worse than planned'
    assert plan.slot == 12
    assert scenario.fault_of(later, plan) == ''
    assert plan.waypoint_m.shape == (3, 39, 3)
    # this slot is flown as planned, so that nobody jumps when the new plan comes
    np.testing.assert_allclose(plan.waypoint_m[:, :2], decision.mission.waypoint_m[:, 12:14])
    jolt_m = np.diff(plan.waypoint_m[:, :3], n=2, axis=1)
    assert np.linalg.norm(jolt_m, axis=-1).max() <= 2.0 * 1.4**2 + 1e-6
    np.testing.assert_allclose(plan.waypoint_m[:, -1, :2], 250.0)
    # tasks stay where their programs are
    before = dict(zip(decision.mission.task_id, decision.server, strict=True))
    assert all(before[task] == uav for task, uav in zip(plan.task_id, plan.server, strict=True))
    assert plan.loss_db[plan.device_id == device] == pytest.approx(3.0)
    # the next slot sees the same loss, which the plan reckons with
    same = replace(later, mission=plan)
    assert create('sca_bcd', scenario).decide(same).mission is None


def test_the_next_slot_is_foreseen(flown):
    scenario, start, decision = flown
    for slot in (11, 29, 33):
        foreseen = one_slot_ahead(scenario, later_slot(scenario, start, decision, slot))
        later = later_slot(scenario, start, decision, slot + 1)
        np.testing.assert_allclose(foreseen.uploads.sent_bit, later.uploads.sent_bit)
        np.testing.assert_allclose(foreseen.uploads.arrived_s, later.uploads.arrived_s)
        np.testing.assert_allclose(foreseen.servers.position_m, later.servers.position_m)
        np.testing.assert_allclose(
            foreseen.servers.velocity_m_s, later.servers.velocity_m_s, atol=1e-9
        )
        assert (foreseen.slot, foreseen.time_s) == (later.slot, pytest.approx(later.time_s))


def test_a_uav_that_is_off_its_path_is_planned_for_where_it_is(flown):
    scenario, start, decision = flown
    later = later_slot(scenario, start, decision, 12)
    strayed_m = later.servers.position_m + np.array([[30.0, 0, 0], [0, 0, 0], [0, 0, 0]])
    strayed = replace(later, servers=replace(later.servers, position_m=strayed_m))
    plan = create('sca_bcd', scenario).decide(strayed).mission
    assert plan.reason == 'UAV 0 is 30 m off its path'
    np.testing.assert_allclose(plan.waypoint_m[:, 0], strayed_m)
    assert scenario.fault_of(strayed, plan) == ''


def test_a_program_that_will_be_late_holds_its_task_up_and_no_more(flown):
    scenario, start, decision = flown
    later = later_slot(scenario, start, decision, 12)
    cut = start.models.front_flop[later.uploads.model, later.uploads.split]
    local_s = cut * later.uploads.steps / start.devices.flop_s
    left_bit = start.models.back_flop[later.uploads.model, later.uploads.split]
    left_bit = left_bit - later.uploads.sent_bit[:, 0]
    pressed = (left_bit / (local_s - later.time_s)).argmax()
    loss_db = np.zeros(18)
    loss_db[pressed] = 4.0
    later = later_slot(scenario, start, decision, 12, loss_db)
    mission = mission_of(scenario, later)
    assert mission.state.local_hz[0, pressed] < start.devices.flop_s[pressed]
    others = np.arange(18) != pressed
    np.testing.assert_allclose(mission.state.local_hz[0, others], start.devices.flop_s[others])
    plan = create('sca_bcd', scenario).decide(later).mission
    assert (plan.server >= 0).all()
    assert np.isfinite(plan.finish_s).all()
    assert (plan.finish_s[others] <= plan.due_s[others]).all()


def test_a_task_that_cannot_be_in_time_gets_what_is_left(flown):
    scenario, start, decision = flown
    later = later_slot(scenario, start, decision, 20)
    hopeless = replace(
        later, uploads=replace(later.uploads, deadline_s=np.where(np.arange(18) == 4, 29.0, 70.0))
    )
    mission = mission_of(scenario, hopeless)
    row = mission.device_id.tolist().index(4)
    plan = (
        create('sca_bcd', scenario)
        .decide(
            replace(hopeless, mission=None)  # nothing in force: plan
        )
        .mission
    )
    assert plan.server[row] == decision.server[4]
    assert plan.cpu_hz[row] > 0
    assert plan.due_s[row] < plan.finish_s[row] < np.inf
    assert scenario.fault_of(hopeless, plan) == ''


def test_a_plan_says_whom_it_leaves_out_and_why(flown):
    scenario, start, _ = flown
    deadline_s = start.tasks.deadline_s.copy()
    deadline_s[4] = 20.0
    hasty = replace(start, tasks=replace(start.tasks, deadline_s=deadline_s))
    decision = create('sca_bcd', scenario).decide(hasty)
    assert decision.server[4] == DECLINED
    assert (np.delete(decision.server, 4) >= 0).all()
    told = decision.mission.reason
    assert told.startswith('mission start; not served: devices 4 (task 4: ')
    assert 'deadline' in told


def test_others_keep_their_plan_whatever_happens(flown):
    scenario, start, _ = flown
    controller = create('tsp', scenario)
    decision = controller.decide(start)
    assert decision.mission is not None
    later = later_slot(scenario, start, decision, 9, np.full(18, 3.0))
    assert controller.decide(later).mission is None


def test_tasks_of_a_lost_uav_go_to_others(flown):
    scenario, start, decision = flown
    later = later_slot(scenario, start, decision, 5)
    orphans = np.flatnonzero(decision.server == 1)
    alive = np.array([True, False, True])
    waiting = replace(
        later,
        tasks=start.only(orphans).tasks,
        servers=replace(later.servers, alive=alive),
    )
    for name in ('sca_bcd', 'ellipse'):
        answer = create(name, scenario).decide(waiting)
        assert set(answer.server.tolist()) <= {0, 2, DECLINED}
        assert (answer.mission is not None) == (name == 'sca_bcd')
        assert not scenario.violations(waiting, answer).any()


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (lambda plan: replace(plan, slot=1), 'must begin in slot 0'),
        (lambda plan: replace(plan, waypoint_m=plan.waypoint_m[:, :-1]), r'\(3, 51, 3\)'),
        (
            lambda plan: replace(plan, waypoint_m=plan.waypoint_m + np.array([0, 0, 5.0])),
            'leaves the airspace',
        ),
        (lambda plan: replace(plan, waypoint_m=plan.waypoint_m * np.nan), 'leaves the airspace'),
        (
            lambda plan: replace(plan, waypoint_m=plan.waypoint_m - np.array([60.0, 0, 0])),
            'away from',
        ),
        (lambda plan: replace(plan, waypoint_m=plan.waypoint_m[:, [0, 25, *range(2, 51)]]), 'm/s'),
        (lambda plan: replace(plan, cpu_hz=plan.cpu_hz * 20), 'GHz of 6 GHz'),
        (lambda plan: replace(plan, cpu_hz=plan.cpu_hz * -1), 'cpu_hz holds -'),
    ],
)
def test_plans_that_cannot_be_flown_are_named(flown, change, text):
    scenario, start, decision = flown
    plan = decision.mission
    bad = change(replace(plan, waypoint_m=plan.waypoint_m.copy()))
    assert re.search(text, scenario.fault_of(start, bad))


def test_the_view_is_the_instance(flown):
    scenario, start, _ = flown
    mission, instance = mission_of(scenario, start), scenario.physical.reset(np.array([0]))
    for name, value in vars(instance).items():
        seen = getattr(mission.state, name)
        wanted = value - 1.5 if name == 'deadline_s' else value
        if name == 'split':  # those that a terminal picks depend on the deadline
            continue
        np.testing.assert_allclose(seen, wanted, err_msg=name)


def test_plans_pass_the_validator(flown):
    scenario, start, decision = flown
    mission = mission_of(scenario, start)
    plan = _rest_of(decision, list(range(18)), 0, mission)
    plan = replace(plan, split=decision.split[None])
    assert validate(mission.scenario.settings, mission.state, plan) == []


def test_other_scenarios_controllers_do_not_fit():
    scenario = offloading()
    with pytest.raises(ControllerError, match='was not made for partial'):
        create('greedy', scenario)
