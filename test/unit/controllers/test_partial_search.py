"""Search for associations of the partial scenario: guesses, exchanges, paths to one place."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from sec_nodes.controllers.partial.exchange import Exchange, Sharpened, merit
from sec_nodes.controllers.partial.flight import Flight, sortie_of
from sec_nodes.controllers.partial.guesses import Guesses, guesses, rows
from sec_nodes.controllers.partial.loiter import loiter_paths, path_allowed
from sec_nodes.controllers.partial.pilot import Pilot
from sec_nodes.scenarios.partial import Partial
from sec_nodes.scenarios.registry import read_settings


def world(mode='partial', seed=0, **overrides):
    named = {key.replace('__', '.'): value for key, value in overrides.items()}
    scenario = Partial(read_settings(mode, named))
    return scenario, scenario.reset(np.array([seed]))


def drawn_table(seed, paths=6, tasks=6):
    rng = np.random.default_rng(seed)
    return Guesses(
        path_m=np.zeros((paths, 3, 2)),
        fixed_j=rng.uniform(100, 120, paths),
        cost_j=rng.uniform(0, 50, (paths, tasks)),
        shortage=np.where(rng.uniform(size=(paths, tasks)) < 0.1, 0.3, 0.0),
        load=rng.uniform(0.0, 0.6, (paths, tasks)),
        split=np.zeros((paths, tasks), dtype=np.int64),
    )


def drawn_exchange(seed):
    table = drawn_table(seed)
    return Exchange([table, table, drawn_table(seed + 1)], Sharpened(0.0, np.zeros(6), 1.0))


def value(exchange, server):
    return float(merit(exchange.worths(np.asarray(server))))


def test_the_worth_of_a_group_by_hand():
    table = drawn_table(0)
    exchange = Exchange([table], Sharpened(90.0, np.full(6, 1.0), 0.5))
    member = np.array([True, False, True, True, False, False])
    found = []
    for path in range(6):
        load = sum(table.load[path, n] for n in (0, 2, 3))
        short = sum(table.shortage[path, n] for n in (0, 2, 3)) + max(load - 1.0, 0.0)
        cost_j = table.fixed_j[path] + sum(table.cost_j[path, n] for n in (0, 2, 3))
        found.append((cost_j + 1e6 * short, cost_j, short))
    _, cost_j, short = min(found)
    worth = exchange.worth(0, member[None])
    # half of what the guess is above the least cost, 90 + 3 * 1
    assert worth.cost_j[0] == pytest.approx(93.0 + 0.5 * (cost_j - 93.0))
    assert worth.shortage[0] == pytest.approx(0.5 * short)


@pytest.mark.parametrize('seed', range(8))
def test_no_exchange_improves_what_a_descent_ends_with(seed):
    exchange = drawn_exchange(seed)
    end = exchange.descend(np.zeros(6, dtype=np.int64))
    reached = value(exchange, end)
    assert reached <= value(exchange, np.zeros(6, dtype=np.int64))
    nearby = []
    for task, uav in product(range(6), range(3)):
        moved = end.copy()
        moved[task] = uav
        nearby.append(moved)
    for one, other in product(range(6), range(6)):
        swapped = end.copy()
        swapped[[one, other]] = end[[other, one]]
        nearby.append(swapped)
    assert min(value(exchange, server) for server in nearby) >= reached - 1e-6
    every = min(value(exchange, server) for server in product(range(3), repeat=6))
    assert every <= reached


def test_associations_around_one_are_all_moves_and_swaps():
    exchange = drawn_exchange(3)
    server = np.array([0, 0, 1, 1, 2, 2])
    around = exchange.around(server)
    # 6 tasks to 2 others each, 3 pairs of UAVs with 2 * 2 swaps each
    assert len({tuple(other) for _, other in around}) == len(around) == 12 + 12
    for promised, other in around:
        assert promised == pytest.approx(value(exchange, other))
        assert (other != server).sum() in (1, 2)


def test_guesses_are_what_the_exact_evaluation_says():
    scenario, state = world()
    table = guesses(scenario, state, 0)
    member = np.arange(18) % 3 == 0
    for row in table.rank(member)[:5]:
        flight = Flight(scenario.settings, sortie_of(scenario, state, 0, member))
        exact = flight.judge(table.path_m[row])
        guess_j = table.fixed_j[row] + table.cost_j[row, member].sum()
        missed = table.shortage[row, member].sum() + max(table.load[row, member].sum() - 1, 0)
        assert guess_j == pytest.approx(exact.cost_j, rel=1e-9)
        assert (missed > 0) == (exact.shortage > 0)


def test_the_best_cut_along_a_path_is_the_best_of_all():
    scenario, state = world('partial:free_split')
    path_m = guesses(scenario, state, 0).path_m[100:102]
    free = rows(scenario, state, 0, path_m)
    for cut in range(state.splits_bit.shape[2]):
        fixed = replace(state, split=np.full_like(state.split, cut))
        given = rows(world()[0], fixed, 0, path_m)
        fine = (given.shortage == 0) & (given.load <= 1)
        assert (free.cost_j[fine] <= given.cost_j[fine] + 1e-9).all()
        same = free.split == cut
        np.testing.assert_allclose(free.cost_j[same], given.cost_j[same])


@pytest.mark.parametrize('acceleration', [None, 2.0])
@pytest.mark.parametrize('velocity', [np.nan, 8.0])
def test_paths_to_one_place_can_be_flown(acceleration, velocity):
    scenario, state = world(uavs__acceleration_m_s2=acceleration)
    rest = scenario.settings.model_copy(update={'slots': 24})
    nobody = np.zeros(18, dtype=bool)
    sortie = replace(
        sortie_of(scenario, state, 0, nobody),
        start_m=np.array([120.0, 60.0]),
        velocity_m_s=np.full(2, velocity),
    )
    place_m = np.array([[0.0, 500.0], [250.0, 250.0], [120.0, 60.0], [400.0, 100.0]])
    path_m = loiter_paths(rest, sortie, place_m, 12.0, 10.0)
    assert path_allowed(rest, sortie, path_m).all()
    np.testing.assert_allclose(path_m[:, 0], np.broadcast_to([120.0, 60.0], (len(path_m), 2)))
    np.testing.assert_allclose(path_m[:, -1], np.broadcast_to([250.0, 250.0], (len(path_m), 2)))
    assert len(path_m) == len(place_m)
    nearest_m = np.hypot(*np.moveaxis(path_m - place_m[:, None], -1, 0)).min(axis=1)
    # 33.6 s at 20 m/s do not reach the far corner, which is 810 m away with the way home
    assert nearest_m[0] > 50.0
    assert acceleration is not None or nearest_m[1:].max() < 30.0


def test_uavs_that_are_alike_share_what_is_known():
    scenario, state = world('partial:tight', 2)
    pilot = Pilot(scenario, state)
    assert pilot.kinds == [0, 0, 0]
    rows_before = len(pilot.tables[1].path_m)
    member = np.arange(18) < 4
    flown = pilot.fly(0, member)
    assert pilot.knows(2, member) and pilot.fly(2, member) is flown
    assert len(pilot.tables[1].path_m) == rows_before + 1
    layered, other = world('partial:tight', 2, uavs__layer_m=5.0)
    assert Pilot(layered, other).kinds == [0, 1, 2]
