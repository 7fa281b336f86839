"""Reasons why missions of the partial scenario are infeasible: by hand and by trying all."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from partial_worlds import small_world

from sec_nodes.physics.urban import rate_bit_s
from sec_nodes.scenarios.partial import Partial
from sec_nodes.scenarios.partial.certificates import explain, least_needs, verdict
from sec_nodes.scenarios.partial.occupancy import occupancy
from sec_nodes.scenarios.partial.packing import groups_apart, needed_tasks, parting
from sec_nodes.scenarios.registry import read_settings


def kinds(scenario, state):
    return [(reason.kind, reason.tasks) for reason in explain(scenario, state)]


def with_task(state, task, **values):
    changed = {}
    for name, value in values.items():
        array = getattr(state, name).copy()
        array[0, task] = value
        changed[name] = array
    return replace(state, **changed)


def test_a_sound_world_is_not_refuted():
    scenario, state, _ = small_world()
    assert explain(scenario, state) == ()
    scenario = Partial(read_settings('partial'))
    assert explain(scenario, scenario.reset(np.arange(1))) == ()


def test_a_program_that_cannot_arrive_is_named_with_the_share_that_can():
    # task 1 runs 0.8 Mb * 6 kcycle/bit at 3 GHz in 1.6 s, within the first slot, which the UAV
    # begins 60 m away
    scenario, state, _ = small_world()
    (reason,) = explain(scenario, with_task(state, 1, local_hz=3e9))
    share = 1.6 * float(rate_bit_s(60.0, scenario.settings.link)) / 0.2e6
    assert 0.6 < share < 0.7
    assert (reason.kind, reason.tasks) == ('program', (1,))
    assert f'{share:.1%}' in reason.text


def test_a_deadline_that_no_processor_meets_is_named():
    # task 0 waits below the start: 16 s, 0.1 Mb at 83.85 kb/s, 1.2 Gcycle at 6 GHz: 17.393 s
    scenario, state, _ = small_world()
    assert kinds(scenario, with_task(state, 0, deadline_s=17.38)) == [('deadline', (0,))]
    assert kinds(scenario, with_task(state, 0, deadline_s=17.40)) == []
    (reason,) = explain(scenario, with_task(state, 0, deadline_s=10.0))
    assert reason.kind == 'deadline' and 'cannot arrive before its deadline' in reason.text


def test_processors_that_are_too_slow_for_one_task():
    # 1.2 / 40.8, 1.2 / 40.8 and 4.8 / 31.6 Gcycle/s
    scenario, state, _ = small_world(uavs__cpu_hz=1e8)
    assert kinds(scenario, state) == [('deadline', (2,))]


def test_processors_that_are_too_slow_together_and_those_that_cannot_be_parted():
    # three tasks below the start need 1.2 / (42 - 0.1 / 0.08385) Gcycle/s each
    _, state, _ = small_world()
    alike = replace(state, terminal_m=np.zeros((1, 3, 2)), split=np.zeros((1, 3), dtype=np.int64))
    alike = with_task(alike, 2, data_bit=1e6, splits_bit=state.splits_bit[0, 0])
    need_hz = 1.2e9 / (42.0 - 1e5 / 83851)
    worlds = {factor: small_world(uavs__cpu_hz=factor * need_hz)[0] for factor in (1.4, 1.6, 2.01)}
    assert kinds(worlds[1.4], alike) == [('processors', (0, 1, 2))]
    assert kinds(worlds[1.6], alike) == [('packing', (0, 1, 2))]
    assert kinds(worlds[2.01], alike) == []


def test_tasks_that_no_uav_can_serve_together():
    # three corners of a triangle of 500 m, the depot in the middle; each program takes 85 % of
    # its 50 s from overhead, and half way between two terminals there are 70 %
    state = triangle()
    two, three = (small_world(uavs__count=count)[0] for count in (2, 3))
    third = {
        name: np.repeat(getattr(state, name)[:, :1], 3, axis=1)
        for name in ('start_m', 'velocity_m_s', 'reserved_hz')
    }
    (reason,) = explain(two, state)
    assert (reason.kind, sorted(reason.tasks)) == ('apart', [0, 1, 2])
    assert 'tasks 0, 1' in reason.text
    assert kinds(three, replace(state, **third)) == []


def triangle():
    _, state, _ = small_world()
    program_bit = 0.85 * 50.0 * 83851
    data_bit = program_bit + 50.0 * 3e8 / 6e3
    middle_m = np.array([250.0, 144.0])
    return replace(
        state,
        terminal_m=np.array([[[0.0, 0.0], [500.0, 0.0], [250.0, 433.0]]]),
        depot_m=middle_m[None],
        start_m=np.broadcast_to(middle_m, state.start_m.shape),
        data_bit=np.full((1, 3), data_bit),
        deadline_s=np.full((1, 3), 60.0),
        splits_bit=np.broadcast_to(np.array([program_bit, 1e5]), state.splits_bit.shape),
    )


def test_a_program_that_has_arrived_is_in_nobodys_way():
    # 20 s on, the local runs of 16 s are over: tasks 0 and 1 have nothing left of the program
    scenario, state, _ = small_world()
    later = replace(state, elapsed_s=np.array([20.0]))
    assert kinds(scenario, later)[:2] == [('program', (0,)), ('program', (1,))]
    sent = with_task(later, slice(None), sent_bit=[1e6, 0.0])
    rest = Partial(scenario.settings.model_copy(update={'slots': 20}))
    assert kinds(rest, sent) == []


def test_a_verdict_says_solved_infeasible_or_not_found():
    scenario, state, plan = small_world()
    assert verdict(scenario, state, plan).status == 'solved'
    late = with_task(state, 0, deadline_s=17.38)
    judged = verdict(scenario, late, plan)
    assert judged.status == 'infeasible' and judged.reasons[0].tasks == (0,)
    idle = replace(plan, server=np.full((1, 3), -1))
    assert verdict(scenario, state, idle) == type(judged)('not found', ())


def test_a_uav_that_cannot_get_home():
    scenario, state, _ = small_world()
    late = Partial(scenario.settings.model_copy(update={'slots': 2}))
    stuck = replace(state, start_m=np.array([[[0.0, 0.0], [450.0, 0.0]]]))
    assert kinds(late, stuck)[0] == ('home', ())


def test_a_task_is_served_by_the_uav_that_holds_it_or_not_at_all():
    scenario, state, _ = small_world()
    held = with_task(state, 2, held=1)
    away = replace(held, start_m=np.array([[[0.0, 0.0], [0.0, 500.0]]]))
    # UAV 0 could still do it, but UAV 1 has its program and is 25 s and more away from it
    assert np.isfinite(least_needs(scenario, state).cpu_hz[0, 2])
    needs = least_needs(scenario, away)
    assert np.isinf(needs.cpu_hz[0, 2])
    assert kinds(scenario, away) == [('program', (2,))]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_partings_are_those_that_trying_all_finds(seed):
    rng = np.random.default_rng(seed)
    load, free = rng.uniform(0.1, 1.0, (2, 5)) * 1e9, np.full(2, rng.uniform(0.8, 2.5)) * 1e9
    pairs = [sorted(rng.choice(5, 2, replace=False).tolist()) for _ in range(rng.integers(0, 4))]

    def stands(server):
        fits = all(load[u, np.equal(server, u)].sum() <= free[u] for u in range(2))
        return fits and all(server[i] != server[j] for i, j in pairs)

    possible = [server for server in product((0, 1), repeat=5) if stands(server)]
    found, proven = parting(load, free, pairs)
    assert proven == (not possible)
    if possible:
        assert tuple(found) in possible
    apart = groups_apart(load, free, lambda group: any(set(p) <= set(group) for p in pairs))
    assert (apart is None) == bool(possible)
    if apart is not None:
        kept = needed_tasks(load, free, apart)
        for task in kept:
            fewer = [n for n in kept if n != task]
            rest = [[fewer.index(n) for n in g] for g in apart if set(g) <= set(fewer)]
            assert not parting(load[:, fewer], free, rest)[1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_what_a_path_uploads_is_never_refuted(seed):
    scenario = Partial(read_settings('partial:random', {'tasks.count': 4}))
    state = scenario.reset(np.array([seed]))
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, scenario.settings.slots + 1)
    reach_m = rng.uniform(0, 200)
    path_m = 250.0 + reach_m * np.column_stack(
        [np.cos(angle) - 1, rng.uniform(-1, 1) * np.sin(angle)]
    )
    offset_m = path_m[:-1] - state.terminal_m[0][:, None]
    carried_bit = rate_bit_s(np.hypot(*np.moveaxis(offset_m, -1, 0)), scenario.settings.link)
    total_bit = carried_bit.sum(axis=1) * scenario.settings.slot_s
    task, zero_s = np.arange(4), np.zeros(4)
    cells = occupancy(scenario, state)
    end_s = np.full(4, scenario.settings.mission_s)
    assert not cells.refutes(task, zero_s, end_s, total_bit)
    # more than from overhead all the time is refuted
    overhead_bit = float(rate_bit_s(0.0, scenario.settings.link)) * end_s
    assert cells.refutes(task[:1], zero_s[:1], end_s[:1], 1.01 * overhead_bit[:1])
