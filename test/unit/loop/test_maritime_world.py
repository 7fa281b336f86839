"""What nodes see of maritime is what its copies see, and decisions come back unchanged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sec_nodes.controllers.base import ControllerError, create
from sec_nodes.controllers.batch import create_batch
from sec_nodes.loop.links import Receivers
from sec_nodes.loop.screening import screen
from sec_nodes.physics.visibility import VisibilityWindows
from sec_nodes.scenarios.maritime.offloading import Storage
from sec_nodes.scenarios.registry import read_flown
from sec_nodes.slot import (
    DECLINED,
    LOCAL,
    DeviceTable,
    RelayPlan,
    ServerTable,
    SlotState,
    TaskTable,
)
from sec_nodes.world import build_world

SEED = 5


def world_of(mode='maritime', **changes):
    return build_world(read_flown(mode, changes))


def slot_state(world, slot, stored_bit, alive=None):
    """A slot as the coordinator puts it together from what nodes report."""
    settings, scenario = world.settings, world.scenario
    m = settings.uavs.count
    devices = world.devices(list(range(settings.n_devices)), SEED)
    tasks = devices.open_slot(slot)
    uav_m = world.uavs(list(range(m)), 0.02, SEED).motion.position_m
    view = world.sky(SEED).at(slot * settings.slot_s)
    alive = np.ones(m + 1, dtype=bool) if alive is None else alive
    receivers = Receivers(
        kind=np.array([0] * m + [1]),
        receiver=np.arange(m + 1),
        position_m=np.vstack([uav_m, view.position_m]),
        in_view=np.append(np.ones(m, dtype=bool), view.in_view),
        hops=np.zeros(m + 1, dtype=np.int64),
        isl_m=np.zeros(m + 1),
        remaining_s=np.append(np.full(m, np.inf), view.remaining_s),
        transmit_power_w=np.ones(m + 1),
    )
    links = world.links(SEED, slot, devices.ids, devices.position_m, receivers)
    count = len(tasks)
    state = SlotState(
        slot=slot,
        time_s=slot * settings.slot_s,
        slot_s=settings.slot_s,
        tasks=TaskTable(
            task_id=np.array([task.task_id for task in tasks], dtype=np.int64),
            device=np.array([task.device_id for task in tasks], dtype=np.int64),
            created_s=np.full(count, slot * settings.slot_s),
            deadline_s=np.array([task.deadline_s for task in tasks]),
            accuracy=np.zeros(count),
            input_bit=np.array([task.input_bit for task in tasks]),
            steps=np.ones(count),
            answer_bit=np.zeros(count),
            attempt=np.zeros(count, dtype=np.int64),
        ),
        devices=DeviceTable(
            device_id=devices.ids,
            position_m=devices.position_m,
            velocity_m_s=devices.velocity_m_s,
            flop_s=devices.flop_s,
            backlog_s=devices.backlog_s(0.0),
            model=np.zeros(len(devices.ids), dtype=np.int64),
        ),
        servers=ServerTable(
            kind=receivers.kind,
            alive=alive,
            position_m=receivers.position_m,
            velocity_m_s=np.zeros((m + 1, 3)),
            model=np.array([0] * m + [1]),
            flop_s=np.ones(m + 1),
            compute_power_w=np.ones(m + 1),
            transmit_power_w=np.ones(m + 1),
            backlog_s=np.zeros(m + 1),
            energy_left_j=np.full(m + 1, np.inf),
        ),
        models=scenario.models,
        links=links,
    )
    storage = Storage(stored_bit, np.flatnonzero(devices.streaming), world.relay_gain(slot))
    relays = scenario.relay_table(state, storage)
    return SlotState(**{**vars(state), 'relays': relays})


@pytest.mark.parametrize('mode', ['maritime', 'maritime:no_pass', 'maritime:shared_band'])
def test_nodes_see_what_copies_see(mode):
    world = world_of(mode)
    expected = world.relays.reset(np.array([SEED]))
    for slot in range(4):
        state = slot_state(world, slot, expected.stored_bit[0])
        relays = state.relays
        np.testing.assert_allclose(relays.batch_bit, expected.batch_bit[0], rtol=1e-12)
        np.testing.assert_allclose(relays.upload_s, expected.upload_s[0], rtol=1e-9)
        np.testing.assert_allclose(
            relays.collect_rate_bit_s, expected.collect_rate_bit_s[0], rtol=1e-9
        )
        np.testing.assert_array_equal(relays.satellite_gain, expected.leo_gain[0])
        assert set(relays.satellite) == ({LOCAL} if mode.endswith('no_pass') else {10})
        decision = create_batch('jcorm', world.relays).decide(expected)
        flown = create('jcorm', world.scenario).decide(state)
        for name in ('ratio', 'power_w', 'cpu_hz', 'start_s'):
            np.testing.assert_allclose(
                getattr(flown.relays, name), getattr(decision, name)[0], rtol=1e-6, atol=1e-9
            )
        expected, _ = world.relays.step(expected, decision)


def test_tasks_go_to_the_uav_above_and_nowhere_if_it_is_lost():
    world = world_of()
    alive = np.ones(11, dtype=bool)
    alive[3] = False
    state = slot_state(world, 0, np.full(10, 8e9), alive)
    fallback = create(world.fallback, world.scenario)
    screened = screen(
        world.scenario, state, create('jcorm', world.scenario).decide(state), fallback
    )
    above = world.scenario.uav_of(state.tasks.device)
    lost = above == 3
    assert lost.any()
    np.testing.assert_array_equal(screened.rejected, lost)
    np.testing.assert_array_equal(screened.decision.server[~lost], above[~lost])
    assert state.relays.batch_bit[3] == state.relays.stored_bit[3] == 0
    assert screened.relays_held == 0


def test_orders_beyond_their_limits_are_held_or_replaced():
    world = world_of()
    state = slot_state(world, 0, np.full(10, 8e9))
    fallback = create(world.fallback, world.scenario)
    sound = create('jcorm', world.scenario).decide(state)
    own = fallback.decide(state).relays

    def screened(**changes):
        plan = RelayPlan(**{**vars(sound.relays), **changes})
        return screen(
            world.scenario, state, type(sound)(**{**vars(sound), 'relays': plan}), fallback
        )

    def changed(name, value):
        column = getattr(sound.relays, name).copy()
        column[4] = value
        return screened(**{name: column})

    assert changed('ratio', 1.5).decision.relays.ratio[4] == 1.0
    assert changed('power_w', 7.0).decision.relays.power_w[4] == 1.0
    assert changed('start_s', 9.0).decision.relays.start_s[4] == 3.0
    for name, value in (('ratio', math.nan), ('power_w', -1.0), ('start_s', math.inf)):
        result = changed(name, value)
        assert result.relays_held == 1
        assert result.decision.relays.ratio[4] == own.ratio[4]
        assert result.decision.relays.start_s[4] == own.start_s[4]
        assert result.decision.relays.ratio[3] == sound.relays.ratio[3]
    greedy = screened(cpu_hz=np.full(10, 2e9))
    np.testing.assert_allclose(greedy.decision.relays.cpu_hz, 1e9)
    assert greedy.relays_held == 10
    nothing = screen(
        world.scenario, state, type(sound)(**{**vars(sound), 'relays': None}), fallback
    )
    assert nothing.relays_held == 10
    np.testing.assert_array_equal(nothing.decision.relays.start_s, own.start_s)


def test_what_is_in_view_when():
    world = world_of(**{'satellite.rises_s': 30.0})
    orbit = world.sky(SEED)
    assert not orbit.at(29.0).in_view[0] and orbit.at(31.0).in_view[0]
    assert orbit.at(31.0).remaining_s[0] == pytest.approx(world.relays.visible_s - 1.0)
    assert world.relay_gain(9).max() == 0 < world.relay_gain(10).min()
    overhead = orbit.at(30.0 + 0.5 * world.relays.visible_s).position_m[0]
    np.testing.assert_allclose(overhead, [1000.0, 1000.0, 780e3], atol=1.0)
    horizon = orbit.at(30.0).position_m[0] - [1000.0, 1000.0, 0.0]
    assert math.degrees(math.asin(horizon[2] / np.linalg.norm(horizon))) == pytest.approx(40.0)
    windows: VisibilityWindows = orbit.windows
    rows = orbit.passes(0.0, 2.5 * world.relays.orbit_s)
    assert len(rows) == 3
    np.testing.assert_allclose(np.diff(orbit.windows.rise_s[rows]), world.relays.orbit_s)
    assert windows.rise_s[0] == 30.0


def test_the_ground_station_sees_it_later_and_loses_it_later():
    world = world_of()
    seen = [world.ground_in_view(slot) for slot in range(300)]
    first, last = seen.index(True), len(seen) - 1 - seen[::-1].index(True)
    assert 0 < first < 10
    assert all(seen[first : last + 1])
    reach_rad = math.acos(6371 / 7151 * math.cos(math.radians(10))) - math.radians(10)
    rate_rad_s = math.sqrt(3.986004418e14 / 7.151e6**3)
    assert (last + 1 - first) * 3.0 == pytest.approx(2 * reach_rad / rate_rad_s, abs=6.0)


def test_devices_have_frames_and_come_and_go():
    world = world_of()
    devices = world.devices(list(range(world.settings.n_devices)), SEED)
    tasks = devices.open_slot(0)
    look = world.sights('', SEED)
    picture = look(tasks[0]).take()
    frames = round(tasks[0].input_bit / 5e5)
    assert picture.image.shape[0] == frames == len(picture.label.split())
    assert 50 <= devices.streaming.sum() <= 100
    before = devices.position_m
    assert {task.device_id for task in devices.open_slot(1)} != {task.device_id for task in tasks}
    assert not np.array_equal(before, devices.position_m)
    assert not devices.open_slot(2, new_tasks=False)
    assert not devices.streaming.any()


def test_controllers_of_other_scenarios_are_refused():
    world = world_of()
    with pytest.raises(ControllerError, match=r'greedy.*those that were: .*jcorm'):
        create('greedy', world.scenario)
    with pytest.raises(ControllerError, match='made for scenario maritime'):
        create('jcorm', build_world(read_flown('survey')).scenario)


def test_declined_where_nobody_hears():
    world = world_of(**{'uavs.coverage_m': 350.0})
    state = slot_state(world, 0, np.full(10, 8e9))
    state.links.reachable[:] = False
    decision = create('no_offloading', world.scenario).decide(state)
    assert set(decision.server) == {DECLINED}
