"""The independent validator names what is broken and nothing else, and has the same numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from partial_worlds import SLOT_S, SLOTS, small_world

from sec_nodes.scenarios.partial.scenario import UNSERVED, Partial, PartialDecision
from sec_nodes.scenarios.partial.validator import measure, validate
from sec_nodes.scenarios.registry import read_settings


def moved(plan, uav, waypoint, by_m):
    waypoint_m = plan.waypoint_m.copy()
    waypoint_m[0, uav, waypoint] += by_m
    return replace(plan, waypoint_m=waypoint_m)


def with_cpu(plan, task, cpu_hz):
    changed = plan.cpu_hz.copy()
    changed[0, task] = cpu_hz
    return replace(plan, cpu_hz=changed)


def later(waypoint_m, slots):
    """The same way out, begun some slots later, and back from where the UAVs are at half time."""
    wait_m = np.repeat(waypoint_m[:, :, :1], slots, axis=2)
    out_m = np.concatenate([wait_m, waypoint_m], axis=2)[:, :, : SLOTS // 2 + 1]
    return np.concatenate([out_m, out_m[:, :, -2::-1]], axis=2)


def too_slow(world, missing_s):
    """Processor speed with which task 0 ends so much after its deadline."""
    tau_s = world.scenario.evaluate(world.state, world.plan).upload_end_s[0, 0]
    return 1.2e9 / (58.0 - tau_s + missing_s)


CORRUPTIONS = {
    'depot at the start': ('depot', lambda w: moved(w.plan, 0, 0, [2e-6, 0.0])),
    'depot at the end': ('depot', lambda w: moved(w.plan, 1, SLOTS, [0.0, 0.5])),
    'speed in the middle': ('speed', lambda w: moved(w.plan, 0, 9, [40.0001, 0.0])),
    'speed on the way': ('speed', lambda w: moved(w.plan, 1, 5, [5.0, 0.0])),
    'capacity': ('capacity', lambda w: with_cpu(w.plan, 0, 5e9 + 2e3)),
    'nobody serves': ('served', lambda w: replace(w.plan, server=np.array([[0, UNSERVED, 1]]))),
    'another cut': ('split', lambda w: replace(w.plan, split=np.array([[1, 0, 2]]))),
    'a program that is late': (
        'program',
        lambda w: replace(w.plan, waypoint_m=later(w.plan.waypoint_m, 8)),
    ),
    'a deadline missed': ('intermediate', lambda w: with_cpu(w.plan, 0, too_slow(w, 1e-3))),
    'no time on the UAV': ('intermediate', lambda w: with_cpu(w.plan, 1, 1e7)),
    'no processor': ('intermediate', lambda w: with_cpu(w.plan, 2, 0.0)),
}


@pytest.mark.parametrize('corruption', CORRUPTIONS)
def test_exactly_the_broken_constraint_is_named(corruption):
    world = small_world()
    assert validate(world.scenario.settings, world.state, world.plan) == []
    kind, corrupt = CORRUPTIONS[corruption]
    plan = corrupt(world)
    found = validate(world.scenario.settings, world.state, plan)
    assert {violation.kind for violation in found} == {kind}
    outcome = world.scenario.evaluate(world.state, plan)
    assert {name for name, count in outcome.violations.items() if count[0]} == {kind}


@pytest.mark.parametrize('limit_m_s2', [2.0, 5.0])
def test_bends_are_named_where_acceleration_is_limited(limit_m_s2):
    free = small_world()
    slow = replace(free.plan, waypoint_m=np.zeros_like(free.plan.waypoint_m))
    # a step of x m aside is a bend of 2 x m against a_max t_s^2
    inside, outside = (moved(slow, 0, 7, [limit_m_s2 * SLOT_S**2 / 2 + x, 0.0]) for x in (0, 1e-5))
    limited = small_world(uavs__acceleration_m_s2=limit_m_s2)
    for plan, kinds in ((inside, set()), (outside, {'acceleration'})):
        found = validate(limited.scenario.settings, limited.state, plan)
        assert {violation.kind for violation in found} - {'program'} == kinds
        outcome = limited.scenario.evaluate(limited.state, plan)
        assert (outcome.violations['acceleration'][0] > 0) == bool(kinds)
    assert outcome.violations['speed'][0] == 0


@pytest.mark.parametrize(
    ('inside', 'outside'),
    [
        (lambda w: moved(w.plan, 0, 0, [0.9e-6, 0.0]), lambda w: moved(w.plan, 0, 0, [1.1e-6, 0])),
        (
            lambda w: moved(w.plan, 0, 9, [40 + 1.9e-5, 0.0]),
            lambda w: moved(w.plan, 0, 9, [40 + 2.1e-5, 0.0]),
        ),
        (lambda w: with_cpu(w.plan, 0, 5e9 + 900), lambda w: with_cpu(w.plan, 0, 5e9 + 1100)),
        # 84 kbit/s: 1 bit takes 12 microseconds
        (
            lambda w: with_cpu(w.plan, 0, too_slow(w, 11e-6)),
            lambda w: with_cpu(w.plan, 0, too_slow(w, 13e-6)),
        ),
    ],
    ids=['depot', 'speed', 'capacity', 'deadline'],
)
def test_tolerances(inside, outside):
    world = small_world()
    assert validate(world.scenario.settings, world.state, inside(world)) == []
    assert len(validate(world.scenario.settings, world.state, outside(world))) >= 1


def test_the_place_and_the_amount_are_told():
    world = small_world()
    plan = moved(world.plan, 1, SLOTS, [0.3, 0.4])
    (violation,) = validate(world.scenario.settings, world.state, plan)
    assert violation.where == f'UAV 1, waypoint {SLOTS}'
    assert violation.excess == pytest.approx(0.5)


@pytest.mark.parametrize(
    'broken',
    [
        lambda w: moved(w.plan, 0, 3, [math.nan, 0.0]),
        lambda w: with_cpu(w.plan, 0, math.nan),
        lambda w: with_cpu(w.plan, 0, -1.0),
        lambda w: replace(w.plan, server=np.array([[0, 2, 1]])),
        lambda w: replace(w.plan, split=np.array([[0, 9, 2]])),
    ],
)
def test_what_is_no_plan_is_no_number(broken):
    world = small_world()
    found = validate(world.scenario.settings, world.state, broken(world))
    assert [violation.kind for violation in found] == ['number']


@pytest.mark.parametrize('mode', ['partial', 'partial:random', 'partial:free_split'])
def test_the_numbers_agree_with_the_scenario_s(mode):
    scenario = Partial(read_settings(mode))
    state = scenario.reset(np.array([3, 4]))
    rng = np.random.default_rng(7)
    for _ in range(3):
        plan = PartialDecision(
            waypoint_m=rng.uniform(0, 500, (2, 3, 51, 2)) * rng.uniform(0, 1, (2, 3, 1, 1)),
            server=rng.integers(UNSERVED, 3, (2, 18)),
            cpu_hz=rng.uniform(0, 2e9, (2, 18)),
            split=rng.integers(0, 20, (2, 18)),
        )
        outcome = scenario.evaluate(state, plan)
        for copy in range(2):
            found = measure(scenario.settings, state, plan, copy)
            close = {'rtol': 1e-9, 'atol': 1e-9}
            np.testing.assert_allclose(found.propulsion_j, outcome.propulsion_j[copy], **close)
            np.testing.assert_allclose(found.service_j, outcome.service_j[copy], **close)
            np.testing.assert_allclose(found.upload_end_s, outcome.upload_end_s[copy], **close)
            np.testing.assert_allclose(found.finish_s, outcome.finish_s[copy], **close)
            np.testing.assert_allclose(found.objective_j, outcome.objective_j[copy], **close)
            kinds = [v.kind for v in validate(scenario.settings, state, plan, copy)]
            # UAVs that miss the depot at both ends are named twice, and counted once
            names = {name: int(count[copy]) for name, count in outcome.violations.items()}
            assert {name for name, count in names.items() if count} == set(kinds)
            for name in ('speed', 'capacity', 'served', 'split', 'program', 'intermediate'):
                assert kinds.count(name) == names[name], name
