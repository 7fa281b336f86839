"""Trained policies see and decide the same in simulations and in single slots."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from random_policies import mllm_policy

from sec_nodes.controllers.base import ControllerError, create
from sec_nodes.controllers.batch import create_batch
from sec_nodes.controllers.learned import read_policy
from sec_nodes.controllers.mllm import shipped
from sec_nodes.controllers.mllm.sight import Sight
from sec_nodes.controllers.mllm.slot_sight import SlotSight, newest_of_each_device
from sec_nodes.scenarios.mllm import Mllm, MllmDecision
from sec_nodes.scenarios.mllm.controls import Controls
from sec_nodes.scenarios.mllm.observation import Observer
from sec_nodes.scenarios.mllm.view import MllmView
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.slot import DECLINED, TaskTable, task_number

MODES = ('paper', 'fig7', 'stress', 'extended', 'measured')
SEEDS = np.arange(40, 44)


def episode(scenario, slots):
    """States of an episode in which UAVs roam."""
    controller = create_batch('masked_random', scenario, 3)
    state = scenario.reset(SEEDS)
    for _ in range(slots):
        yield state
        state = scenario.step(state, controller.decide(state))[0]


def all_tasks(slot):
    return np.arange(slot.n_tasks)


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_a_slot_looks_as_in_training(mode, dtype):
    scenario = Mllm(read_settings(f'mllm:{mode}'), dtype)
    view = MllmView(scenario)
    observer, sight = Observer(scenario), SlotSight(view)
    relayed = idle = 0
    for state in episode(scenario, 25):
        expected = observer.observe(state)
        for copy, slot in enumerate(view.slot_states(state)):
            seen = sight.of_devices(slot, all_tasks(slot))
            assert seen.dtype == np.float32
            np.testing.assert_allclose(seen[0], expected[copy], rtol=1e-5, atol=2e-6)
            relayed += int((slot.links.hops > 0).any())
            idle += slot.n_tasks < scenario.n_devices
    assert relayed > 0
    assert (idle > 0) == (mode == 'fig7')


def test_tasks_alone_are_seen_as_devices_of_their_own():
    scenario = Mllm(read_settings('mllm:fig7'))
    view, observer = MllmView(scenario), Observer(scenario)
    blocks = observer.blocks
    for state in episode(scenario, 3):
        whole = observer.observe(state)
        for copy, slot in enumerate(view.slot_states(state)):
            seen = SlotSight(view).of_tasks(slot)[0]
            asks, n = np.flatnonzero(state.active[copy]), slot.n_tasks
            parts = [whole[copy, blocks[name]][asks] for name in list(blocks)[:4]]
            parts += [
                whole[copy, blocks[name]].reshape(scenario.n_devices, -1)[asks].ravel()
                for name in ('snr', 'device')
            ]
            expected = np.concatenate([*parts, whole[copy, blocks['uav'].start :]])
            assert len(asks) == n < scenario.n_devices
            np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=2e-6)


@pytest.fixture(scope='module', params=MODES)
def played(request, tmp_path_factory):
    """A scenario and a policy of it."""
    path = tmp_path_factory.mktemp('policies') / f'{request.param}.npz'
    name = f'mllm:{request.param}'
    return Mllm(read_settings(name), np.float32), mllm_policy(path, name)


def test_copies_and_slots_are_decided_alike(played):
    """UAVs transmit where they are in both."""
    scenario, path = played
    settings = scenario.settings
    view = MllmView(scenario)
    node, policy = create(str(path), view), read_policy(path).policy(settings)
    observer, controls = Observer(scenario), Controls(settings)
    chosen = set()
    for state in episode(scenario, 25):
        allowed = scenario.mask(state, state.uav_m)
        mask = allowed | ~allowed.any(axis=-1, keepdims=True)
        server, continuous = policy.answer(observer.observe(state), lambda _, mask=mask: mask)
        power_w, goal_m = controls.read(continuous, state.uav_m)
        for copy, slot in enumerate(view.slot_states(state)):
            answer = node.decide(slot)
            asks = state.active[copy]
            served = allowed[copy][asks].any(axis=1)
            np.testing.assert_array_equal(
                answer.server, np.where(served, server[copy][asks], DECLINED)
            )
            np.testing.assert_allclose(answer.power_w, power_w[copy][asks], rtol=1e-4)
            np.testing.assert_allclose(answer.uav_goal_m[:, :2], goal_m[copy], atol=1e-2)
            np.testing.assert_array_equal(
                answer.uav_goal_m[:, 2], np.array(settings.uavs.altitude_m)
            )
            assert not view.violations(slot, answer).any()
            chosen.update(answer.server.tolist())
    assert len(chosen) > 3, 'the policy does not tell slots apart'


def test_in_simulations_uavs_move_before_devices_transmit(played):
    scenario, path = played
    settings = scenario.settings
    controller, policy = create_batch(str(path), scenario), read_policy(path).policy(settings)
    observer, sight, controls = Observer(scenario), Sight(settings), Controls(settings)
    state = scenario.reset(SEEDS)
    for _ in range(10):
        observation = observer.observe(state)
        server, continuous = policy.answer(
            observation, lambda numbers, seen=observation: sight.mask(seen, numbers)
        )
        power_w, uav_m = controls.read(continuous, state.uav_m)
        decision = controller.decide(state)
        np.testing.assert_array_equal(decision.server, server)
        np.testing.assert_array_equal(decision.power_w, power_w)
        np.testing.assert_array_equal(decision.uav_m, uav_m)
        # whom a UAV shall serve is in reach when it has flown
        assert not scenario.evaluate(state, decision).coverage_broken.any()
        state = scenario.step(state, decision)[0]


def stress_slot(tmp_path, changes=None):
    scenario = Mllm(read_settings('mllm:stress'))
    view = MllmView(scenario)
    state = scenario.reset(SEEDS[:1])
    node = create(str(mllm_policy(tmp_path / 'p.npz')), view)
    return view, node, view.slot_states(state)[0]


def with_older_tasks(slot, devices, later=1):
    """The slot with one more task, of the slot before, of some devices; these come first."""
    old = {name: getattr(slot.tasks, name)[devices] for name in TaskTable.__dataclass_fields__}
    old['task_id'] = task_number(slot.devices.device_id[devices], slot.slot - later)
    old['created_s'] = old['created_s'] - later * slot.slot_s
    old['attempt'] = np.ones(len(devices), dtype=np.int64)
    old['accuracy'] = np.full(len(devices), 0.3)
    joined = {
        name: np.concatenate([values, getattr(slot.tasks, name)]) for name, values in old.items()
    }
    return replace(slot, tasks=TaskTable(**joined))


def test_tasks_that_are_sent_again_go_to_who_hears_them_best(tmp_path, caplog):
    view, node, slot = stress_slot(tmp_path)
    plain = node.decide(slot)
    devices = np.array([2, 7])
    crowded = with_older_tasks(slot, devices)
    with caplog.at_level(logging.INFO):
        answer = node.decide(crowded)
    assert node.unseen == 2
    assert '2 tasks besides the newest' in caplog.text
    np.testing.assert_array_equal(answer.server[2:], plain.server)
    np.testing.assert_array_equal(answer.power_w[2:], plain.power_w)
    may = view.admissible(crowded)[:2, :-1]
    best = np.where(may, slot.links.gain[devices], 0).argmax(axis=1)
    np.testing.assert_array_equal(answer.server[:2], best)
    np.testing.assert_array_equal(answer.power_w[:2], [1.0, 1.0])
    assert not view.violations(crowded, answer).any()


def test_an_older_task_alone_is_seen(tmp_path):
    _, node, slot = stress_slot(tmp_path)
    crowded = with_older_tasks(slot, np.array([4]))
    rows = np.array([0, 1, 2, 3, 4, 6, 7])  # the older task of 4, without its newest
    only = crowded.only(rows)
    assert newest_of_each_device(only)[0].tolist() == list(range(7))
    answer = node.decide(only)
    assert node.unseen == 0
    assert (answer.server >= 0).all()


def test_newest_tasks_of_devices(tmp_path):
    _, _, slot = stress_slot(tmp_path)
    crowded = with_older_tasks(with_older_tasks(slot, np.array([3])), np.array([3, 9]), 2)
    newest, older = newest_of_each_device(crowded)
    assert older.tolist() == [0, 1, 2]
    assert newest.tolist() == list(range(3, 13))
    empty = slot.only(np.zeros(0, dtype=np.int64))
    assert [len(rows) for rows in newest_of_each_device(empty)] == [0, 0]


def test_without_tasks_uavs_stay(tmp_path):
    _, node, slot = stress_slot(tmp_path)
    answer = node.decide(slot.only(np.zeros(0, dtype=np.int64)))
    assert len(answer.server) == 0
    np.testing.assert_array_equal(answer.uav_goal_m, slot.servers.position_m[:3])


def test_who_can_be_served_by_nobody_is_declined(tmp_path):
    _, node, slot = stress_slot(tmp_path)
    dead = replace(slot, servers=replace(slot.servers, alive=np.zeros(7, dtype=bool)))
    answer = node.decide(dead)
    assert (answer.server == DECLINED).all()
    one = replace(slot, servers=replace(slot.servers, alive=np.arange(7) == 5))
    answer = node.decide(one)
    assert set(answer.server.tolist()) <= {5, DECLINED}
    assert (answer.server == 5).any()


def test_a_device_that_left_is_idle(tmp_path):
    view, node, slot = stress_slot(tmp_path)
    sight = SlotSight(view)
    there = np.array([0, 1, 3, 4, 5, 6, 7, 8, 9])
    devices = {
        name: getattr(slot.devices, name)[there] for name in slot.devices.__dataclass_fields__
    }
    per_link = ('gain', 'rate_bit_s', 'downlink_rate_bit_s', 'delay_s', 'reachable', 'loss')
    links = {name: getattr(slot.links, name)[there] for name in per_link}
    left = replace(
        slot.only(there),
        devices=type(slot.devices)(**devices),
        links=replace(slot.links, **links),
    )
    left = replace(left, tasks=replace(left.tasks, device=np.arange(9)))
    seen, whole = sight.of_devices(left, all_tasks(left)), sight.of_devices(slot, all_tasks(slot))
    layout = Observer(view.scenario).blocks
    for name, width, absent in (
        ('size', 1, 0),
        ('accuracy', 1, 0),
        ('snr', 7, -1),
        ('device', 2, 0),
    ):
        rows, expected = (part[0, layout[name]].reshape(10, width) for part in (seen, whole))
        np.testing.assert_array_equal(rows[there], expected[there])
        np.testing.assert_array_equal(rows[2], np.full(width, absent))
    assert len(node.decide(left).server) == 9


def test_another_fleet_is_refused(tmp_path):
    path = str(mllm_policy(tmp_path / 'p.npz'))
    for changes, complaint in (
        ({'devices.count': 12}, r'devices.count = 10, but the scenario has 12; train one with '
         r'`sec train mllm:stress --algo nobody --set-scenario devices.count=12`'),
        ({'objective.lateness_penalty': 3.0}, r'with objective.lateness_penalty = 2.0'),
        ({'uavs.flop_s': 2e12}, r'uavs.pace = '),
        ({'uavs.altitude_m': [40.0, 50.0], 'uavs.start_m': [[1.0, 1.0], [9.0, 9.0]],
          'uavs.accuracy': [0.4, 0.5]}, r'uavs.count = 3, .* has 2; uavs.altitude_m'),
        ({'queue.enabled': True}, 'queue.enabled = False, but the scenario has True'),
    ):  # fmt: skip
        settings = read_settings('mllm:stress', changes)
        with pytest.raises(ControllerError, match=complaint):
            create_batch(path, Mllm(settings))
        with pytest.raises(ControllerError, match=complaint):
            create(path, MllmView(Mllm(settings)))


def test_what_is_shown_or_masked_may_change(tmp_path):
    path = str(mllm_policy(tmp_path / 'p.npz'))
    changes = {
        'tasks.deadline_s': [1.5, 1.5],
        'tasks.accuracy': [0.6, 0.6],
        'uavs.accuracy': [0.3, 0.5, 0.61],
        'uavs.start_m': [[1.0, 1.0], [9.0, 9.0], [4.0, 4.0]],
        'slots': 7,
        'devices.requests_per_slot': 4.0,
    }
    scenario = Mllm(read_settings('mllm:stress', changes))
    state = scenario.reset(SEEDS)
    decision = create_batch(path, scenario).decide(state)
    assert isinstance(decision, MllmDecision)
    assert not scenario.evaluate(state, decision).accuracy_broken.any()


def test_any_fleet_will_do_for_a_structured_policy(tmp_path, monkeypatch):
    file = read_policy(mllm_policy(tmp_path / 'p.npz'))
    larger = read_settings('mllm:stress', {'devices.count': 300, 'uavs.flop_s': 3e12})
    with pytest.raises(ControllerError, match=r'devices.count = 10'):
        shipped.require_fit(file, larger, 'p')
    monkeypatch.setattr(type(file.policy(None)), 'any_fleet', True)
    shipped.require_fit(file, larger, 'p')
    queued = read_settings('mllm:extended', {'devices.count': 300})
    with pytest.raises(ControllerError, match=r'queue.enabled|speed_m_s'):
        shipped.require_fit(file, queued, 'p')


def test_a_policy_that_says_not_what_it_was_trained_on_is_refused(tmp_path):
    path = mllm_policy(tmp_path / 'p.npz')
    file = read_policy(path)
    settings = read_settings('mllm:stress')
    for change, complaint in (
        ({'settings': None}, 'settings are not those of this version'),
        ({'settings': {'name': 'mllm'}}, 'settings are not those of this version'),
        ({'scenario': 'maritime'}, "scenario = 'maritime', but it is to play mllm"),
    ):
        other = replace(file, description={**file.description, **change})
        with pytest.raises(ControllerError, match=complaint):
            shipped.require_fit(other, settings, 'p')


def test_the_policy_of_the_nearest_mode_is_taken(tmp_path, monkeypatch):
    for mode in ('paper', 'stress', 'extended', 'measured'):
        folder = tmp_path / 'policies' / 'mllm' / mode
        folder.mkdir(parents=True)
        mllm_policy(folder / 'ppo.npz', f'mllm:{mode}', widths=((),))
    monkeypatch.setattr(shipped, 'models_dir', lambda: tmp_path)
    assert shipped.shipped_names() == ['ppo']
    assert shipped.summary('ppo') == 'PPO; trained on extended, measured, paper, stress.'
    for scenario, mode in (
        ('mllm', 'paper'),
        ('mllm:stress', 'stress'),
        ('mllm:extended', 'extended'),
        ('mllm:measured', 'measured'),
    ):
        found = shipped.best_fit('ppo', read_settings(scenario, {'tasks.deadline_s': [2.0, 2.0]}))
        assert found.path.parent.name == mode
    with pytest.raises(ControllerError, match=r"'ppo' was trained on mllm:.* devices.count = 10"):
        shipped.best_fit('ppo', read_settings('mllm:stress', {'devices.count': 11}))
    with pytest.raises(ControllerError, match='no policy of ddpg ships'):
        shipped.best_fit('ddpg', read_settings('mllm'))


def test_a_policy_plays_its_scenario_only(tmp_path):
    path = str(mllm_policy(tmp_path / 'p.npz'))

    class Other:
        class settings:  # noqa: N801
            name = 'survey'

    with pytest.raises(ControllerError, match='was made for scenario mllm, not for survey'):
        create(path, Other())
