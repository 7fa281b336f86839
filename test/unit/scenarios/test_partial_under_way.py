"""A mission that is under way is a mission: the rest of a plan costs what is left of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from partial_worlds import SLOT_S, SLOTS, small_world

from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial import Partial, PartialDecision
from sec_nodes.scenarios.partial.instance import UNSERVED, cut_tasks
from sec_nodes.scenarios.partial.uploads import uploaded_bit
from sec_nodes.scenarios.partial.validator import measure, validate


def rest_of(world, slot):
    """The mission after some slots of a plan, and the rest of the plan."""
    scenario, state, plan = world
    cuts = cut_tasks(state, plan.split)
    now_s = slot * SLOT_S
    rate = scenario.own_rates_bit_s(state, plan.waypoint_m, plan.server)
    zero_s = np.zeros_like(cuts.local_s)
    program_bit = uploaded_bit(rate, zero_s, np.minimum(cuts.local_s, now_s), SLOT_S)
    result_bit = uploaded_bit(rate, cuts.local_s, np.maximum(cuts.local_s, now_s), SLOT_S)
    sent_bit = np.stack(
        [
            np.minimum(program_bit, cuts.program_bit),
            np.minimum(result_bit, cuts.intermediate_bit),
        ],
        axis=-1,
    )
    settings = scenario.settings.model_copy(update={'slots': SLOTS - slot})
    later = replace(
        state,
        start_m=plan.waypoint_m[:, :, slot],
        elapsed_s=np.array([now_s]),
        sent_bit=sent_bit,
        held=plan.server,
    )
    return Partial(settings), later, replace(plan, waypoint_m=plan.waypoint_m[:, :, slot:])


@pytest.mark.parametrize('slot', [0, 3, 8])  # the first upload ends at 17.2 s
def test_the_rest_of_a_plan_ends_when_the_plan_would_have(slot):
    world = small_world()
    whole = world.scenario.evaluate(world.state, world.plan)
    scenario, later, plan = rest_of(world, slot)
    rest = scenario.evaluate(later, plan)
    np.testing.assert_allclose(rest.finish_s + slot * SLOT_S, whole.finish_s, atol=1e-9)
    np.testing.assert_array_equal(rest.met, whole.met)
    np.testing.assert_allclose(rest.service_j, whole.service_j)
    flown_j = Partial(world.scenario.settings).propulsion_j(
        world.plan.waypoint_m[:, :, : slot + 1]
    )
    np.testing.assert_allclose(flown_j + rest.propulsion_j, whole.propulsion_j)
    assert not any(count.any() for count in rest.violations.values())
    assert validate(scenario.settings, later, plan) == []
    second = measure(scenario.settings, later, plan)
    np.testing.assert_allclose(second.finish_s, rest.finish_s[0])
    assert second.objective_j == pytest.approx(rest.objective_j[0])


def both_name(kind, scenario, state, plan):
    """Whether scenario and validator find just this kind of violation."""
    found = {name for name, count in scenario.evaluate(state, plan).violations.items() if count[0]}
    return found == {v.kind for v in validate(scenario.settings, state, plan)} == {kind}


def test_a_task_stays_with_the_uav_that_has_its_program():
    scenario, state, plan = small_world()
    elsewhere = replace(state, held=np.array([[UNSERVED, 1, UNSERVED]]))
    assert both_name('served', scenario, elsewhere, plan)
    assert not scenario.pairs(elsewhere, plan.waypoint_m, plan.split).possible[0, 0, 1]


def test_reserved_processors_are_not_free():
    scenario, state, plan = small_world()  # UAV 0 gives 1 GHz to each of two tasks
    busy = replace(state, reserved_hz=np.array([[4.1e9, 0.0]]))
    assert both_name('capacity', scenario, busy, plan)
    calmer = replace(state, reserved_hz=np.array([[3.9e9, 0.0]]))
    assert validate(scenario.settings, calmer, plan) == []


def test_losses_and_layers_weaken_links():
    scenario, state, plan = small_world(uavs__layer_m=30.0)
    lossy = replace(state, loss_db=np.array([[0.0, 3.0, 0.0]]))
    rate = scenario.rates_bit_s(lossy, plan.waypoint_m)
    link = scenario.settings.link
    assert rate[0, 0, 1, 0] == rate_bit_s(60.0, replace(link, penetration_loss_db=33.0))
    assert rate[0, 1, 0, 0] == rate_bit_s(0.0, replace(link, altitude_m=230.0))
    own = scenario.own_rates_bit_s(lossy, plan.waypoint_m, plan.server)
    np.testing.assert_array_equal(own[0, :, 5], rate[0, [0, 0, 1], [0, 1, 2], 5])
    outcome = scenario.evaluate(lossy, plan)
    np.testing.assert_allclose(
        measure(scenario.settings, lossy, plan).upload_end_s, outcome.upload_end_s[0]
    )


def test_the_first_step_is_limited_where_the_velocity_is_known():
    scenario, state, plan = small_world(uavs__acceleration_m_s2=20.0)
    # UAV 1 leaves the depot with 36 m in a slot of 2 s: from standing that is 9 m/s2
    assert not scenario.evaluate(state, plan).violations['acceleration'].any()
    standing = replace(state, velocity_m_s=np.zeros((1, 2, 2)))
    assert not scenario.evaluate(standing, plan).violations['acceleration'].any()
    backwards = replace(state, velocity_m_s=np.array([[[0.0, 0.0], [-25.0, 0.0]]]))
    assert both_name('acceleration', scenario, backwards, plan)  # 43 m/s in 2 s
    (violation,) = validate(scenario.settings, backwards, plan)
    assert violation.where == 'UAV 1, waypoint 0'
    assert violation.excess == pytest.approx(36.0 + 50.0 - 80.0)


def test_from_rest():
    assert np.isnan(small_world().state.velocity_m_s).all()
    assert (small_world(uavs__from_rest=True).state.velocity_m_s == 0).all()


def test_when_all_tasks_are_done_there_is_still_the_way_home():
    scenario, state, plan = small_world()
    nobody = state.with_tasks(np.zeros(3, dtype=bool))
    home = PartialDecision(
        waypoint_m=plan.waypoint_m, server=plan.server[:, :0], cpu_hz=plan.cpu_hz[:, :0],
        split=plan.split[:, :0],
    )  # fmt: skip
    outcome = scenario.evaluate(nobody, home)
    assert outcome.objective_j[0] == outcome.propulsion_j[0].max()
    assert validate(scenario.settings, nobody, home) == []
    assert validate(scenario.settings, nobody, replace(home, waypoint_m=home.waypoint_m + 1.0))
