"""robust as the nodes have it agrees with robust in copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sec_nodes.config import ConfigError
from sec_nodes.controllers.base import create
from sec_nodes.controllers.batch import create_batch
from sec_nodes.loop.links import Receivers
from sec_nodes.loop.screening import screen
from sec_nodes.scenarios.registry import read_flown
from sec_nodes.scenarios.robust import RobustDecision, RobustState
from sec_nodes.scenarios.robust.state import NEVER
from sec_nodes.scenarios.robust.view import RobustView, robust_state, slot_decision
from sec_nodes.scenarios.stages import Violation
from sec_nodes.slot import DECLINED, LOCAL, SlotState
from sec_nodes.world import build_world
from sec_nodes.world.robust import RobustWorld

SEED = 7


def made(**overrides: object) -> RobustWorld:
    changes = {name.replace('__', '.'): value for name, value in overrides.items()}
    world = build_world(read_flown('robust', {'failures.largest': 0, **changes}))
    assert isinstance(world, RobustWorld)
    return world


@pytest.fixture(scope='module')
def world() -> RobustWorld:
    return made()


@pytest.fixture(scope='module')
def copy(world: RobustWorld) -> RobustState:
    """A slot in the middle of an episode, in which UAVs move."""
    physical = world.scenario.physical
    state = physical.reset(np.array([SEED]))
    for slot in range(5):
        decision = create_batch('optimum', physical).decide(state)
        push = np.full(decision.acceleration_m_s2.shape, 1.0 if slot < 2 else 0.0)
        state, _ = physical.step(state, replace(decision, acceleration_m_s2=push))
    return state


@pytest.fixture(scope='module')
def seen(world: RobustWorld, copy: RobustState) -> SlotState:
    return RobustView(world.scenario.physical).slot_states(copy)[0]


def decide(world: RobustWorld, copy: RobustState) -> RobustDecision:
    decision: RobustDecision = create_batch('optimum', world.scenario.physical).decide(copy)
    return decision


def test_a_copy_survives_the_way_through_a_slot_state(
    world: RobustWorld, copy: RobustState, seen: SlotState
) -> None:
    back = robust_state(world.scenario.physical, seen, SEED)
    for name in ('network', 'user_m', 'uav_m', 'uav_velocity_m_s', 'alive', 'fading', 'slot'):
        np.testing.assert_allclose(getattr(back, name), getattr(copy, name), err_msg=name)
    turned = np.angle(np.exp(1j * (back.user_heading_rad - copy.user_heading_rad)))
    np.testing.assert_allclose(turned, 0.0, atol=1e-9)
    assert (back.failure_slot == NEVER).all()


def test_users_walk_as_in_the_scenario_however_they_are_spread(
    world: RobustWorld, copy: RobustState
) -> None:
    for ids in ([0, 1, 2], [5], [3, 9]):
        users = world.devices(ids, SEED)
        tasks = users.open_slot(5)
        np.testing.assert_allclose(users.position_m[:, :2], copy.user_m[0, ids])
        assert [task.device_id for task in tasks] == ids
        assert {(task.created_s, task.deadline_s) for task in tasks} == {(5.0, 1.0)}
        assert users.open_slot(6, new_tasks=False) == []


def test_links_are_those_of_the_scenario(
    world: RobustWorld, copy: RobustState, seen: SlotState
) -> None:
    uavs = world.settings.uavs.count
    receivers = Receivers(
        kind=np.zeros(uavs, dtype=np.int64),
        receiver=np.arange(uavs),
        position_m=copy.uav_m[0],
        in_view=np.ones(uavs, dtype=bool),
        hops=np.zeros(uavs, dtype=np.int64),
        isl_m=np.zeros(uavs),
        remaining_s=np.full(uavs, np.inf),
        transmit_power_w=np.ones(uavs),
    )
    links = world.links(SEED, 5, np.arange(10), seen.devices.position_m, receivers)
    np.testing.assert_allclose(links.gain, seen.links.gain)
    np.testing.assert_allclose(links.rate_bit_s, seen.links.rate_bit_s)


def test_slot_controller_decides_as_that_of_copies_does(
    world: RobustWorld, copy: RobustState, seen: SlotState
) -> None:
    decision = create('optimum', world.scenario, SEED).decide(seen)
    wanted = decide(world, copy)
    stays = wanted.split[0] - 1 == world.scenario.models.n_cuts[copy.network[0]] - 1
    np.testing.assert_array_equal(decision.split, wanted.split[0] - 1)
    np.testing.assert_array_equal(decision.server, np.where(stays, LOCAL, wanted.server[0]))
    assert (decision.backup != decision.server)[~stays].all()
    _, outcome = world.scenario.physical.step(copy, wanted)
    np.testing.assert_allclose(decision.uav_goal_m, outcome.uav_m[0])


def test_powers_and_shares_are_those_of_the_scenario(
    world: RobustWorld, copy: RobustState, seen: SlotState
) -> None:
    scenario = world.scenario
    outcome = scenario.physical.evaluate(copy, decide(world, copy))
    decision = scenario.settled(seen, create('optimum', scenario, SEED).decide(seen))
    assert (decision.server >= 0).sum() >= 3
    np.testing.assert_allclose(decision.power_w, outcome.power_w[0], rtol=1e-9)
    np.testing.assert_allclose(
        decision.compute_share, outcome.frequency_hz[0] / world.settings.uavs.frequency_hz
    )
    assert (scenario.violations(seen, decision) == 0).all()
    flown = scenario.evaluate(seen, decision)
    np.testing.assert_allclose(flown.latency_s, outcome.latency_s[0], rtol=1e-6)
    energy_j = flown.front_j + flown.upload_j + flown.back_j
    np.testing.assert_allclose(energy_j, outcome.task_energy_j[0], rtol=1e-6)


def test_too_much_for_the_processors_is_declined(seen: SlotState) -> None:
    narrow = made(uavs__frequency_hz=1e9).scenario
    settled = narrow.settled(seen, create('offload_all', narrow, SEED).decide(seen))
    sent = settled.server >= 0
    assert 0 < sent.sum() < seen.n_tasks
    assert (settled.server[~sent] == DECLINED).all()
    assert (settled.compute_share[sent] > 0).all()


def test_generic_controllers_fly_within_the_processors(
    world: RobustWorld, seen: SlotState
) -> None:
    for name in ('nearest_uav', 'greedy', 'random', 'offload_all'):
        controller = create(name, world.scenario, SEED)
        screened = screen(world.scenario, seen, controller.decide(seen), controller)
        decision = screened.decision
        sent = decision.server >= 0
        used = np.bincount(decision.server[sent], decision.compute_share[sent], minlength=3)
        assert used.max() <= 1.0 + 1e-9, name
        # a whole processor for each picture costs more than staying, which greedy prefers
        assert sent.any() == (name != 'greedy')
        assert not screened.violation.any(), name


def test_staying_needs_permission(seen: SlotState) -> None:
    strict = made(users__local_only=False).scenario
    assert not strict.admissible(seen)[:, -1].any()
    stays = create('local_only', strict, SEED).decide(seen)
    assert (stays.server == DECLINED).all()
    kept = replace(stays, server=np.full(seen.n_tasks, LOCAL))
    assert (strict.violations(seen, kept) == Violation.NO_COMPUTER).all()


def test_the_older_of_two_tasks_of_a_device_is_declined(
    world: RobustWorld, copy: RobustState, seen: SlotState
) -> None:
    fields = seen.tasks.__dataclass_fields__
    columns = {name: getattr(seen.tasks, name) for name in fields}
    twice = replace(
        seen.tasks, **{name: np.append(column, column[:1]) for name, column in columns.items()}
    )
    twice.created_s[-1] -= 1.0
    decision = slot_decision(
        world.scenario.physical, replace(seen, tasks=twice), copy, decide(world, copy)
    )
    assert decision.server[-1] == DECLINED
    assert decision.server[0] != DECLINED


def test_backhaul_is_17(world: RobustWorld, copy: RobustState) -> None:
    matrix = world.scenario.physical.backhaul_bit_s(copy)
    there = world.scenario.backhaul_rate_bit_s(copy.uav_m[0, 0], copy.uav_m[0, 2])
    assert there == pytest.approx(matrix[0, 0, 2])


def test_pictures_have_the_size_that_networks_take(world: RobustWorld) -> None:
    look = world.sights('', SEED)
    task = world.devices([1], SEED).open_slot(0)[0]
    assert look(task).take().image.shape == (128, 128, 3)


def test_layers_of_the_paper_cannot_be_flown() -> None:
    with pytest.raises(ConfigError, match=r'users\.layers = paper'):
        build_world(read_flown('robust:feasible'))


def test_networks_that_nobody_has_built_name_the_command() -> None:
    with pytest.raises(ConfigError, match='sec models build alexnet'):
        read_flown('robust:networks')
