"""What learnt policies of robust are shown: physics worked out from the observation alone."""

import numpy as np
import pytest

from sec_nodes.controllers.robust.choices import best_at_price, choices
from sec_nodes.controllers.robust.sight import DEAREST, Looker
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.vector import observe

FAILED = {'failures.fixed': 1, 'horizon': 2}  # one of the UAVs fails in slot 1


def after_a_failure(scenario: str, copies: int = 6):
    """A system and a state in which a UAV of every copy has failed."""
    system = Robust(read_settings(scenario, FAILED), np.float32)
    state = system.reset(np.arange(copies))
    from sec_nodes.controllers.batch import create_batch

    for _ in range(2):
        state, _ = system.step(state, create_batch('offload_all', system).decide(state))
    assert (state.alive.sum(axis=1) == 2).all()
    return system, state


@pytest.mark.parametrize('scenario', ['robust', 'robust:feasible', 'robust:flown'])
def test_energies_are_nearly_those_of_the_best_allocation(scenario):
    system, state = after_a_failure(scenario)
    look = Looker(system)
    seen = look(observe(system, state))
    exact = choices(system, state)
    energy_j, _ = best_at_price(exact.jobs, exact.local_j[:, :, None, :], 0.0, exact.energy)
    sent = np.arange(energy_j.shape[-1]) < system.tables.layers[state.network][..., None, None]
    np.testing.assert_array_equal((seen.possible > 0) & sent, exact.possible)
    shown = exact.possible & (seen.energy < DEAREST)
    ratio = seen.energy[shown] * look.unit_j / energy_j[shown]
    # The best of seven times is never better than the best of all.
    assert ratio.min() > 0.999 and ratio.max() < 1.3
    assert (seen.energy[seen.possible == 0] == DEAREST).all()
    least = exact.jobs.least_hz / exact.capacity_hz
    np.testing.assert_allclose(seen.least[exact.possible], least[exact.possible], rtol=1e-3)


def test_upload_of_the_cheapest_split_is_part_of_its_energy():
    system, state = after_a_failure('robust:feasible')
    seen = Looker(system)(observe(system, state))
    cheapest = seen.energy.min(axis=-1)
    reachable = cheapest < DEAREST
    assert (seen.sent[reachable] > 0).all()
    assert (seen.sent <= cheapest).all()


def test_staying_is_possible_where_it_is_allowed_even_without_uavs():
    system, state = after_a_failure('robust:flown')
    nobody = np.zeros_like(state.alive)
    observation = observe(system, state.__class__(**{**vars(state), 'alive': nobody}))
    look = Looker(system)
    seen = look(observation)
    stays = np.arange(seen.exists.shape[-1]) == system.tables.layers[state.network][..., None]
    assert (seen.possible.any(axis=2) == stays).all()
    front = system.front_cycles[state.network] * 1e-28 * 1e18
    expected = front[stays] / look.unit_j
    np.testing.assert_allclose(seen.energy[:, :, 0][stays], expected, rtol=1e-5)


def test_numbers_in_the_middle_of_a_split_mean_it():
    system, state = after_a_failure('robust:feasible')
    seen = Looker(system)(observe(system, state))
    # AlexNet has 8 layers: the first split is [-1, -3/4), whose middle is -7/8.
    assert seen.centre[0, 0, :2].tolist() == [-0.875, -0.625]
    assert seen.exists[0, :3].sum(axis=-1).tolist() == [8, 13, 16]


def test_places_are_scaled_to_their_space():
    system, state = after_a_failure('robust:feasible')
    seen = Looker(system)(observe(system, state))
    np.testing.assert_allclose(seen.user, state.user_m / 250 - 1, atol=1e-5)
    np.testing.assert_allclose(seen.uav[..., 2], (state.uav_m[..., 2] - 150) / 50, atol=1e-4)
    np.testing.assert_allclose(seen.velocity, state.uav_velocity_m_s / 20, atol=1e-6)
    assert (seen.link == seen.link.transpose(0, 2, 1)).all()
    assert (seen.link[~state.alive] == 0).all()
