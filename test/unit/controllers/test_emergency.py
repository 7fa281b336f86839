"""Orphaned tasks go where they can be in time, and nobody promises more than a UAV has."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from sec_nodes.controllers.robust.emergency import (
    LEAST_SHARE,
    ORDER_S,
    Busy,
    Orphan,
    redirect,
)
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust.offloading import RobustOffloading
from sec_nodes.scenarios.robust.view import RobustView
from sec_nodes.slot import DECLINED, LOCAL, ModelTable

UAV_FLOP_S = 640e9
DEVICE_FLOP_S = 64e9
RATE_BIT_S = 10e6
NOW_S = 0.5 - ORDER_S
"""So that half a second is left of a slot of one."""
PLACES_M = np.array([[0.0, 0.0, 100.0], [200.0, 0.0, 100.0], [0.0, 400.0, 100.0]])


def slot(**overrides):
    """A slot of feasible with one network of three layers, and 10 Mbit/s to every UAV."""
    values = {'users.local_only': True} | {
        key.replace('__', '.'): value for key, value in overrides.items()
    }
    scenario = RobustOffloading(read_settings('robust:feasible', values))
    physical = scenario.physical
    state = RobustView(physical).slot_states(physical.reset(np.array([0])))[0]
    back_flop = np.array([[320e9, 192e9, 64e9, 0.0]])
    network = ModelTable(
        model_id=('made up',),
        accuracy=np.ones(1),
        n_cuts=np.array([4]),
        front_flop=320e9 - back_flop,
        start_flop=np.zeros((1, 4)),
        back_flop=back_flop,
        cut_bit=np.array([[4e6, 1e6, 2e6, 0.0]]),
    )
    links = state.links
    per_watt = 1023.0 / 0.5  # log2(1 + 0.5 W x that) = 10 bit/s/Hz over 1 MHz
    links = replace(links, gain=np.full_like(links.gain, per_watt) * links.noise_w)
    return scenario, replace(
        state,
        models=network,
        links=links,
        devices=replace(state.devices, model=np.zeros(10, dtype=np.int64)),
        servers=replace(state.servers, position_m=PLACES_M),
    )


def orphan(task_id=0, **changes):
    """A task of UAV 0, whose device has the tensor at cut 1 already."""
    fields = {'device': task_id, 'due_s': 1.0, 'cut': 1, 'ready_s': 0.2, 'backup': LOCAL}
    return Orphan(task_id, **{**fields, 'avoid': frozenset({0}), **changes})


def place(orphans, busy=(), living=(1, 2), now_s=NOW_S, **overrides):
    return redirect(*slot(**overrides), orphans, busy, living, now_s)


def backhaul_s(size_bit, apart_m):
    """(16), (17), corrected: h_0 / d^2 is a power gain."""
    noise_w = 10 ** (-174.0 / 10 - 3) * 15e6
    return size_bit / (15e6 * math.log2(1 + 1.0 * 1e-3 / apart_m**2 / noise_w))


def test_a_device_sends_its_tensor_again_and_gets_the_share_that_is_in_time():
    (onward,) = place([orphan(backup=2)])
    assert (onward.server, onward.holder, onward.cut) == (2, LOCAL, 1)
    assert onward.moving_s == pytest.approx(1e6 / RATE_BIT_S)
    assert (onward.size_bit, onward.power_w, onward.start_s) == (1e6, 0.5, NOW_S)
    # 192 GFLOP in the 0.4 s that are left, by 640 GFLOP/s
    assert onward.compute_share == pytest.approx(192e9 / 0.4 / UAV_FLOP_S)
    assert onward.end_s == pytest.approx(1.0 - ORDER_S)


@pytest.mark.parametrize(('weight', 'taken'), [(1e-3, 0.0), (1e-6, 0.0), (1e-6, 0.1)])
def test_power_and_share_have_the_least_energy_together(weight, taken):
    """Beside a search over the upload time; the tensor has 1 Mbit, and 192 GFLOP follow."""
    busy = [Busy(2, taken)]
    (onward,) = place([orphan(backup=2)], busy, objective__compute_weight=weight)
    computing = read_settings('robust:feasible').computing
    cycles = 192e9 / computing.flop_per_cycle
    room_hz = (1.0 - taken) * UAV_FLOP_S / computing.flop_per_cycle

    def energy_j(moving_s):
        power_w = (2 ** (1.0 / moving_s) - 1) * 0.5 / 1023
        return (
            power_w * moving_s
            + weight * computing.capacitance_j_s2 * cycles**3 / (0.5 - moving_s) ** 2
        )

    longest_s = 0.5 - cycles / room_hz
    best = minimize_scalar(energy_j, bounds=(0.1, longest_s), options={'xatol': 1e-9})
    assert onward.moving_s == pytest.approx(best.x, rel=1e-4)
    assert onward.power_w == pytest.approx((2 ** (1.0 / best.x) - 1) * 0.5 / 1023, rel=1e-3)
    assert onward.compute_share <= 1.0 - taken + 1e-9
    assert onward.end_s == pytest.approx(1.0 - ORDER_S)
    assert onward.power_w < 0.5


DEVICE_J = 1e-28 * 1e9**2 * 1e9
"""What the device needs for the 64 GFLOP after cut 2, 1e9 cycles at 1 GHz, in a second."""


def energies_j(weight, size_bit, cycles, time_s, moving_s):
    """(20), (21), (24), (25) by hand: power of an upload over 1 MHz, and its weighted energy."""
    power_w = (2 ** (size_bit / 1e6 / moving_s) - 1) * 0.5 / 1023
    return power_w, power_w * moving_s + weight * 1e-28 * cycles**3 / (time_s - moving_s) ** 2


def test_a_uav_wins_at_its_best_power_where_it_would_lose_at_full_power():
    (onward,) = place([orphan(cut=2, due_s=2.0)])
    best = minimize_scalar(
        lambda moving_s: energies_j(1.0, 2e6, 1e9, 1.5, moving_s)[1],
        bounds=(0.2, 1.4),
        options={'xatol': 1e-9},
    )
    assert best.fun < DEVICE_J < energies_j(1.0, 2e6, 1e9, 1.5, 0.2)[1]
    assert (onward.server, onward.holder) == (1, LOCAL)
    assert onward.moving_s == pytest.approx(best.x, rel=1e-4)
    power_w = energies_j(1.0, 2e6, 1e9, 1.5, best.x)[0]
    assert onward.power_w == pytest.approx(power_w, rel=1e-3)
    assert onward.compute_share == pytest.approx(1e9 / (1.5 - best.x) / 10e9, rel=1e-4)


@pytest.mark.parametrize('backup', [LOCAL, 2])
def test_a_device_goes_on_where_that_costs_less_in_time(backup):
    # the UAV has 1.5 s at most, and 4e-28 x (1e9)^3 / 1.5^2 = 0.18 J are more than 0.1 J
    dear = {'objective__compute_weight': 4.0}
    (onward,) = place([orphan(cut=2, due_s=2.0, backup=backup)], **dear)
    assert (onward.server, onward.cut) == (LOCAL, 2)
    assert onward.end_s == pytest.approx(NOW_S + 1.0)
    # nobody may choose it where the scenario leaves the last layers to UAVs, or where it is late
    assert place([orphan(cut=2, due_s=2.0)], users__local_only=False, **dear)[0].server == 1
    assert place([orphan(cut=2, due_s=NOW_S + 0.999 + ORDER_S)], **dear)[0].server == 1
    assert place([orphan(cut=2, due_s=NOW_S + 1.001 + ORDER_S)], **dear)[0].server == LOCAL


def test_what_moves_to_one_uav_shares_its_room_at_least_energy():
    """Beside a search over the share of the first task; together they could use more than all."""
    placed = place(
        [orphan(0, cut=2), orphan(1, due_s=1.1)],
        living=(1,),
        objective__compute_weight=1e-6,
    )

    def energy_j(share):
        first = energies_j(1e-6, 2e6, 1e9, 0.5, 0.5 - 1e9 / (share * 10e9))[1]
        return first + energies_j(1e-6, 1e6, 3e9, 0.6, 0.6 - 3e9 / ((1 - share) * 10e9))[1]

    best = minimize_scalar(energy_j, bounds=(1 / 3, 0.4), options={'xatol': 1e-9})
    assert [(onward.task_id, onward.server) for onward in placed] == [(0, 1), (1, 1)]
    assert placed[0].compute_share == pytest.approx(best.x, rel=1e-4)
    assert sum(onward.compute_share for onward in placed) == pytest.approx(1.0)
    for onward, work_flop in zip(placed, (64e9, 192e9), strict=True):
        assert onward.power_w < 0.5
        computing_s = work_flop / (onward.compute_share * UAV_FLOP_S)
        assert NOW_S + onward.moving_s + computing_s == pytest.approx(onward.end_s)


def test_who_has_a_device_in_time_yields_to_who_has_none():
    # 0.8 of a UAV are free: 0.75 for the one, 0.09 at least for the other
    easy = orphan(0, cut=2, due_s=1.8)
    setting = {'busy': [Busy(1, 0.2)], 'living': (1,), 'objective__compute_weight': 0.5}
    assert place([easy], **setting)[0].server == 1
    placed = place([easy, orphan(1)], **setting)
    assert {onward.task_id: onward.server for onward in placed} == {0: LOCAL, 1: 1}


def test_who_is_late_anyway_goes_where_it_is_ready_first():
    late = orphan(cut=2)
    # the device would be ready at 1.95
    (onward,) = place([late], [Busy(1, 0.5), Busy(2, 0.95)], now_s=0.95)
    assert (onward.server, onward.power_w) == (1, pytest.approx(0.5))
    assert onward.end_s == pytest.approx(0.95 + 0.2 + 0.2)
    assert place([late], [Busy(1, 0.95), Busy(2, 0.95)], now_s=0.95)[0].server == LOCAL


def test_a_relay_gives_way_to_sending_again_where_that_costs_less():
    held = orphan(cut=2, due_s=3.0, holder=0, held_cut=2, held_s=0.4)
    weight = {'objective__compute_weight': 0.5}
    assert place([held], **weight)[0].holder == 0
    # at 2.6 Mbit/s the failing UAV would send with 1 W for 0.77 s, still in time
    (onward,) = place([held], **weight, radio__backhaul_bandwidth_hz=1e5)
    assert (onward.server, onward.holder) == (1, LOCAL)


def test_a_front_part_that_is_not_done_yet_costs_time():
    (onward,) = place([orphan(ready_s=NOW_S + 0.08)])
    assert onward.compute_share == pytest.approx(192e9 / 0.32 / UAV_FLOP_S)


def test_without_a_backup_the_uav_is_chosen_that_costs_least():
    scenario, state = slot()
    gain = state.links.gain.copy()
    gain[:, 1] /= 4.0
    state = replace(state, links=replace(state.links, gain=gain))
    assert [
        onward.server for onward in redirect(scenario, state, [orphan()], [], (1, 2), NOW_S)
    ] == [2]
    named = redirect(scenario, state, [orphan(backup=1)], [], (1, 2), NOW_S)
    assert named[0].server == 1


def test_a_uav_that_gives_a_task_up_passes_its_tensor_on():
    held = {'holder': 0, 'held_cut': 2, 'held_s': 0.4}
    (onward,) = place([orphan(backup=1, **held)])
    moving_s = backhaul_s(2e6, 200.0)
    assert (onward.server, onward.holder, onward.cut, onward.power_w) == (1, 0, 2, 1.0)
    assert onward.moving_s == pytest.approx(moving_s, rel=1e-6)
    assert onward.compute_share == pytest.approx(64e9 / (0.5 - moving_s) / UAV_FLOP_S, rel=1e-6)
    # nearer ones are reached with less energy
    assert place([orphan(**held)])[0].server == 1
    # it cannot leave before it has come
    assert place([orphan(**{**held, 'held_s': NOW_S + 0.1})])[0].start_s == NOW_S + 0.1


def test_a_relay_that_would_be_late_gives_way_to_the_device():
    held = orphan(holder=0, held_cut=2, held_s=0.4)
    (onward,) = place([held], radio__backhaul_bandwidth_hz=1e5)
    assert (onward.holder, onward.cut) == (LOCAL, 1)


def test_devices_send_again_where_nobody_relays():
    (onward,) = place([orphan(holder=0, held_cut=2, held_s=0.4)], failures__migration='resend')
    assert (onward.holder, onward.cut, onward.server) == (LOCAL, 1, 1)


def test_nothing_moves_where_the_scenario_has_no_migration():
    (onward,) = place([orphan(backup=1)], failures__migration='none')
    assert (onward.server, onward.reason) == (DECLINED, 'not migrated')


def test_a_full_backup_is_passed_over():
    # a share of 0.75 is needed
    assert place([orphan(backup=2)], [Busy(2, 0.2), Busy(2, 0.04)])[0].server == 2
    assert place([orphan(backup=2)], [Busy(2, 0.2), Busy(2, 0.06)])[0].server == 1


def test_least_needy_tasks_choose_first_and_the_last_stays_with_its_device():
    light = orphan(7, cut=2, ready_s=0.1)
    placed = place([orphan(1), orphan(2), orphan(3), orphan(4), light])
    # 64 GFLOP in 0.3 s take a third of a UAV, so that a heavy task does not fit beside it; two
    # are late with what is left, 2 / 3 and 1 / 4, and there is nothing for the last
    assert [(onward.task_id, onward.server) for onward in placed] == [
        (7, 1), (1, 2), (2, 1), (3, 2), (4, LOCAL)
    ]  # fmt: skip
    shares = [onward.compute_share for onward in placed]
    assert shares == pytest.approx([1 / 3, 3 / 4, 2 / 3, 1 / 4, 0.0])


def test_a_device_that_goes_on_has_its_own_speed():
    (onward,) = place([orphan()], living=())
    assert (onward.server, onward.cut, onward.size_bit, onward.compute_share) == (LOCAL, 1, 0, 0)
    assert onward.end_s == pytest.approx(NOW_S + 192e9 / DEVICE_FLOP_S)


def test_without_devices_that_may_go_on_a_uav_gives_what_it_has_left():
    late = {'now_s': 0.95, 'users__local_only': False}
    (onward,) = place([orphan(backup=1)], [Busy(1, 0.6), Busy(2, 0.5)], **late)
    assert (onward.server, onward.compute_share) == (2, 0.5)
    assert onward.end_s == pytest.approx(0.95 + 0.1 + 192e9 / 0.5 / UAV_FLOP_S)
    full = [Busy(1, 1.0), Busy(2, 1.0 - 0.5 * LEAST_SHARE)]
    (onward,) = place([orphan()], full, **late)
    assert (onward.server, onward.reason) == (DECLINED, 'no room')


def test_nobody_is_asked_who_has_failed_the_task_before_or_is_dead():
    assert place([orphan(backup=1, avoid=frozenset({0, 1}))], living=(0, 1, 2))[0].server == 2
    assert place([orphan(backup=2)], living=(0, 1))[0].server == 1
    assert place([orphan(holder=0, avoid=frozenset())], living=(0,))[0].server == LOCAL
    scenario, state = slot()
    reachable = np.tile([True, True, False], (10, 1))
    state = replace(state, links=replace(state.links, reachable=reachable))
    assert redirect(scenario, state, [orphan(backup=2)], [], (1, 2), NOW_S)[0].server == 1


@st.composite
def emergencies(draw):
    count = draw(st.integers(1, 8))
    orphans = []
    for number in range(count):
        failed = draw(st.integers(0, 2))
        cut = draw(st.integers(0, 2))
        orphans.append(
            Orphan(
                task_id=number,
                device=number,
                due_s=draw(st.floats(0.3, 1.5)),
                cut=cut,
                ready_s=draw(st.floats(0.0, 0.6)),
                backup=draw(st.integers(-1, 2)),
                avoid=frozenset({failed}),
                holder=draw(st.sampled_from([failed, LOCAL])),
                held_cut=draw(st.integers(cut, 2)),
                held_s=draw(st.floats(0.0, 0.6)),
            )
        )
    busy = draw(st.lists(st.builds(Busy, st.integers(0, 2), st.floats(0.0, 0.5)), max_size=6))
    living = draw(st.sets(st.integers(0, 2)))
    return orphans, busy, living, draw(st.floats(0.0, 1.0))


@settings(max_examples=60, deadline=None)
@given(emergencies(), st.booleans())
def test_every_orphan_is_placed_once_and_nobody_gets_more_than_there_is(emergency, local_only):
    orphans, busy, living, now_s = emergency
    placed = place(orphans, busy, living, now_s, users__local_only=local_only)
    assert sorted(onward.task_id for onward in placed) == list(range(len(orphans)))
    used = np.zeros(3)
    for one in busy:
        used[one.server] += one.share
    for onward in placed:
        task = orphans[onward.task_id]
        assert onward.server != LOCAL or local_only
        if onward.server < 0:
            continue
        assert onward.server in living - {*task.avoid, task.holder}
        leaves_s = max(now_s, task.ready_s if onward.holder == LOCAL else task.held_s)
        assert onward.cut == (task.cut if onward.holder == LOCAL else task.held_cut)
        work_flop = (320e9, 192e9, 64e9)[onward.cut]
        end_s = leaves_s + onward.moving_s + work_flop / (onward.compute_share * UAV_FLOP_S)
        assert onward.end_s == pytest.approx(end_s)
        alone_s = max(now_s, task.ready_s) + (320e9, 192e9, 64e9)[task.cut] / DEVICE_FLOP_S
        in_time = end_s <= task.due_s - ORDER_S + 1e-9
        assert in_time or not local_only or end_s <= alone_s
        assert in_time or alone_s > task.due_s - ORDER_S or not local_only
        assert onward.power_w <= (0.5 if onward.holder == LOCAL else 1.0)
        used[onward.server] += onward.compute_share
        assert used[onward.server] <= 1.0 + 1e-6
