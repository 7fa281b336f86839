"""The optimum of a slot of the robust scenario against searches that know nothing of its ways."""

from dataclasses import fields, replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from robust_hindsight import best_targets
from scipy import optimize

from sec_nodes.controllers.batch import batch_controller_names, create_batch
from sec_nodes.controllers.robust import packing as robust_packing
from sec_nodes.controllers.robust.optimum import best_association
from sec_nodes.controllers.robust.solution import solve
from sec_nodes.controllers.robust.subsets import best_shares, convolve, memberships, through
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.state import LOCAL, NEVER, RobustDecision, RobustState


def robust(mode='robust', **changes) -> Robust:
    values = {key.replace('__', '.'): value for key, value in changes.items()}
    return Robust(read_settings(mode, values))


def slots(scenario: Robust, copies=8, dead=0) -> RobustState:
    """First slots without failures to come, in which some UAVs have failed before."""
    state = scenario.reset(np.arange(copies))
    alive = np.arange(state.alive.shape[1]) >= dead
    return replace(
        state,
        alive=np.tile(alive, (copies, 1)),
        failure_slot=np.full_like(state.failure_slot, NEVER),
    )


def one_copy(state: RobustState, copy: int) -> RobustState:
    return RobustState(*(getattr(state, field.name)[[copy]] for field in fields(state)))


def small(**changes) -> Robust:
    return robust(**{'users__count': 3, 'uavs__count': 2, 'failures__largest': 1, **changes})


# --- an independent optimum ----------------------------------------------------------------------


def exhaustive(scenario: Robust, state: RobustState) -> tuple[int, float]:
    """Most tasks completed, and their least energy: all a and phi tried, f and p by SLSQP."""
    numbers = scenario.settings
    n_users, n_uavs = state.fading.shape[1:]
    flop_per_cycle = numbers.computing.flop_per_cycle
    kappa, cpu_hz = numbers.computing.capacitance_j_s2, numbers.uavs.frequency_hz
    weight, own_hz = numbers.objective.compute_weight, numbers.users.frequency_hz
    snr = scenario.snr_per_w(state)[0]
    splits = []
    for network in state.network[0]:
        layers = scenario.tables.layers[network]
        splits.append(
            [
                (
                    scenario.tables.front_flop[network, cut] / flop_per_cycle,
                    scenario.tables.rear_flop[network, cut] / flop_per_cycle,
                    scenario.tables.cut_bit[network, cut]
                    * np.log(2)
                    / numbers.uplink_bandwidth_hz,
                )
                for cut in range(layers)
            ]
        )

    def least_j(uav: int, chosen: list[tuple[int, tuple[float, float, float]]]) -> float:
        front, cycles, unit_s = np.array([split for _, split in chosen]).T
        g = snr[[user for user, _ in chosen], uav]
        time_s = numbers.slot_s - front / own_hz
        longest_s = time_s - unit_s / np.log1p(numbers.users.power_max_w * g)
        if np.any(longest_s <= 0) or (cycles / longest_s).sum() > cpu_hz:
            return np.inf
        local_j = (kappa * own_hz**2 * front).sum()

        def energy(x):
            t = time_s - x * longest_s
            computing = weight * kappa * cycles**3 / (x * longest_s) ** 2
            return (t / g * np.expm1(unit_s / t) + computing).sum()

        start = energy(np.ones_like(cycles))
        found = optimize.minimize(
            lambda x: energy(x) / start,
            np.ones_like(cycles),
            method='SLSQP',
            bounds=[(0.01, 1.0)] * len(cycles),
            constraints=[
                {'type': 'ineq', 'fun': lambda x: 1 - (cycles / (x * longest_s)).sum() / cpu_hz}
            ],
            options={'ftol': 1e-15, 'maxiter': 500},
        )
        return local_j + min(1.0, found.fun) * start

    @cache
    def of_set(uav: int, users: tuple[int, ...]) -> float:
        if not users:
            return 0.0
        ways = product(*(splits[user] for user in users))
        return min(least_j(uav, list(zip(users, way, strict=True))) for way in ways)

    best = (0, 0.0)
    for server in product(range(-1, n_uavs), repeat=n_users):
        sets = [tuple(i for i, at in enumerate(server) if at == uav) for uav in range(n_uavs)]
        completed = n_users - server.count(-1)
        if completed < best[0] or any(
            not state.alive[0, uav] and users for uav, users in enumerate(sets)
        ):
            continue
        total = sum(of_set(uav, users) for uav, users in enumerate(sets))
        if np.isfinite(total) and (completed > best[0] or total < best[1] or best[0] == 0):
            best = completed, total
    return best


CASES = {
    'room': {},
    'short': {'uavs__frequency_hz': 5.2e9},
    'drops': {'uavs__frequency_hz': 3.4e9},
    'heavy': {'uavs__frequency_hz': 5.2e9, 'objective__compute_weight': 1.0},
    'feasible': {'mode': 'robust:feasible', 'uavs__frequency_hz': 0.5e9, 'users__count': 2},
    'weightless': {'objective__compute_weight': 1e-6, 'uavs__frequency_hz': 7.2e9},
}
NETWORKS = {'feasible': ['alexnet', 'vgg13']}


@pytest.mark.parametrize('case', CASES)
def test_equals_exhaustive_search(case):
    scenario = small(
        **CASES[case], users__networks=NETWORKS.get(case, ['vgg13', 'vgg16', 'alexnet'])
    )
    state = slots(scenario, 2)
    solution = solve(scenario, state)
    for copy in range(2 if case in ('short', 'drops', 'heavy') else 1):
        completed, energy_j = exhaustive(scenario, one_copy(state, copy))
        assert solution.completed[copy].sum() == completed
        assert solution.energy_j[copy] == pytest.approx(energy_j, rel=1e-6)
        assert solution.bound_j[copy] <= energy_j * (1 + 1e-7)


@pytest.mark.parametrize('cpu_hz', [1e10, 4e9])
def test_best_association_equals_trying_all(cpu_hz):
    scenario = robust(users__count=5, uavs__frequency_hz=cpu_hz)
    state = slots(scenario, 3)
    split = np.random.default_rng(1).integers(1, 4, state.network.shape)
    server = best_association(scenario, state, split)
    decided = decision(state, split, server)
    mine = scenario.evaluate(state, decided)
    ways = np.array(list(product(range(-1, 3), repeat=5)))
    for copy in range(3):
        many = one_copy(state, copy)
        many = RobustState(*(np.repeat(getattr(many, f.name), len(ways), 0) for f in fields(many)))
        outcome = scenario.evaluate(
            many, decision(many, np.tile(split[copy], (len(ways), 1)), ways)
        )
        completed = outcome.completed.sum(axis=1)
        sums = outcome.task_j.sum(axis=1)
        assert mine.completed[copy].sum() == completed.max()
        least = sums[completed == completed.max()].min()
        assert mine.task_j[copy].sum() == pytest.approx(least, rel=1e-8)


def decision(state: RobustState, split, server) -> RobustDecision:
    preference = np.zeros_like(state.fading)
    return RobustDecision(split, server, preference, np.zeros_like(state.uav_m))


# --- default size --------------------------------------------------------------------------------


@pytest.mark.parametrize('mode', ['robust', 'robust:feasible'])
@pytest.mark.parametrize('dead', [0, 1, 2])
def test_default_size_is_solved_with_a_proof(mode, dead):
    scenario = robust(mode, failures__largest=3)
    state = slots(scenario, 4, dead)
    controller = create_batch('optimum', scenario)
    outcome = scenario.evaluate(state, controller.decide(state))
    solution = solve(scenario, state)
    assert np.all(solution.energy_j - solution.bound_j <= 1e-6 * solution.energy_j)
    # The scenario charges and completes what the solver promised.
    np.testing.assert_array_equal(outcome.completed, solution.completed)
    np.testing.assert_allclose(outcome.task_j.sum(axis=1), solution.energy_j, rtol=1e-9)
    np.testing.assert_allclose(controller.bound(state), outcome.e_tot_j, rtol=1e-6)
    assert np.all(controller.bound(state) <= outcome.e_tot_j * (1 + 1e-12))
    assert solution.completed.all() or (mode == 'robust' and dead)
    assert not outcome.violations[:, :-1].any()


@pytest.mark.parametrize('dead', [0, 1])
def test_paper_mode_never_splits(dead):
    # For w2 <= 1 and f as low as the deadline allows, a prefix costs its user at least what it
    # saves the UAV: phi = 1 is optimal, and the optimum is to offload all.
    scenario = robust()
    state = slots(scenario, 6, dead)
    solution = solve(scenario, state)
    assert np.all(solution.split == 1)
    whole = solve(scenario, state, np.ones_like(solution.split))
    np.testing.assert_array_equal(whole.completed.sum(axis=1), solution.completed.sum(axis=1))
    np.testing.assert_allclose(whole.energy_j, solution.energy_j, rtol=1e-8)
    if not dead:
        assert solution.energy_j.mean() == pytest.approx(0.0272, rel=0.02)


def test_feasible_mode_splits_by_network_and_distance():
    scenario = robust('robust:feasible')
    state = slots(scenario, 64)
    solution = solve(scenario, state)
    whole = solve(scenario, state, np.ones_like(solution.split))
    assert solution.completed.all() and whole.completed.all()
    saved = 1 - solution.energy_j / whole.energy_j
    assert saved.min() > 0.03 and saved.mean() > 0.15
    assert 0.20 < solution.energy_j.mean() < 0.26 < whole.energy_j.mean() < 0.34
    for network in range(3):
        assert len(np.unique(solution.split[state.network == network])) > 1


@pytest.mark.parametrize('mode', ['robust', 'robust:feasible'])
def test_no_baseline_does_better(mode):
    scenario = robust(mode)
    state = slots(scenario, 4)
    state = replace(
        state, alive=np.array([[1, 1, 1], [1, 1, 0], [0, 1, 0], [1, 1, 1]], dtype=bool)
    )
    best = scenario.evaluate(state, create_batch('optimum', scenario).decide(state))
    names = set(batch_controller_names('robust')) - {'optimum'}
    assert 'offload_all' in names
    for name in names:
        outcome = scenario.evaluate(state, create_batch(name, scenario).decide(state))
        completed, most = outcome.completed.sum(axis=1), best.completed.sum(axis=1)
        assert np.all(completed <= most), name
        spent, least = outcome.task_j.sum(axis=1), best.task_j.sum(axis=1)
        assert np.all((completed < most) | (spent >= least * (1 - 1e-8))), name


@pytest.mark.parametrize('mode', ['robust', 'robust:feasible'])
def test_users_and_uavs_have_no_rank(mode):
    scenario = robust(mode)
    state = slots(scenario, 3, dead=1)
    users, uavs = np.random.default_rng(3).permutation(10), np.array([2, 0, 1])
    turned = replace(
        state,
        network=state.network[:, users],
        user_m=state.user_m[:, users],
        uav_m=state.uav_m[:, uavs],
        alive=state.alive[:, uavs],
        fading=state.fading[:, users][:, :, uavs],
    )
    mine, other = solve(scenario, state), solve(scenario, turned)
    np.testing.assert_array_equal(mine.completed.sum(axis=1), other.completed.sum(axis=1))
    np.testing.assert_allclose(mine.energy_j, other.energy_j, rtol=1e-8)


def test_copies_are_solved_for_themselves():
    scenario = robust()
    state = slots(scenario, 3)
    together = solve(scenario, state)
    for copy in range(3):
        alone = solve(scenario, one_copy(state, copy))
        np.testing.assert_array_equal(alone.server[0], together.server[copy])
        np.testing.assert_array_equal(alone.split[0], together.split[copy])


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize('mode', ['robust', 'robust:feasible'])
def test_without_uavs_nothing_is_completed(mode):
    scenario = robust(mode)
    state = slots(scenario, 2, dead=3)
    solution = solve(scenario, state)
    assert not solution.completed.any()
    assert np.all(solution.server == LOCAL) and np.all(solution.split == 1)
    assert not solution.energy_j.any() and not solution.bound_j.any()
    outcome = scenario.evaluate(state, create_batch('optimum', scenario).decide(state))
    assert not outcome.completed.any() and not outcome.task_j.any()


def test_tasks_stay_local_where_that_is_allowed_and_best():
    scenario = robust('robust:feasible', users__local_only=True)
    grounded = solve(scenario, slots(scenario, 2, dead=3))
    assert grounded.completed.all() and np.all(grounded.server == LOCAL)
    # kappa f^2 c: 1e-10 J a cycle at 1 GHz.
    cycles = scenario.front_cycles.max(axis=1)[slots(scenario, 2).network]
    np.testing.assert_allclose(grounded.energy_j, 1e-10 * cycles.sum(axis=1), rtol=1e-12)
    flying = solve(scenario, slots(scenario, 2))
    assert np.all(flying.energy_j < grounded.energy_j)
    # In paper mode VGG takes seconds at the user: it cannot stay.
    slow = robust(users__local_only=True)
    alexnet = slots(slow, 1, dead=3).network == 0
    np.testing.assert_array_equal(solve(slow, slots(slow, 1, dead=3)).completed, alexnet)


def test_completion_comes_before_energy():
    # The CPU holds AlexNet or VGG16 beside VGG13, and dropping VGG16 alone is the most.
    scenario = small(uavs__frequency_hz=3.3e9, uavs__count=1)
    state = slots(scenario, 1)
    solution = solve(scenario, state)
    assert solution.completed[0].tolist() == [True, True, False]
    decided = create_batch('optimum', scenario).decide(state)
    assert decided.server[0].tolist() == [0, 0, LOCAL]
    assert scenario.evaluate(state, decided).completed[0].tolist() == [True, True, False]


def test_computing_for_free():
    scenario = small(objective__compute_weight=0.0, uavs__frequency_hz=8e9)
    state = slots(scenario, 2)
    solution = solve(scenario, state)
    assert solution.completed.all()
    assert np.all(solution.energy_j - solution.bound_j <= 1e-6 * solution.energy_j)
    outcome = scenario.evaluate(state, create_batch('optimum', scenario).decide(state))
    np.testing.assert_allclose(outcome.task_j.sum(axis=1), solution.energy_j, rtol=1e-9)
    mine = outcome.server[..., None] == np.arange(2)
    used_hz = np.where(mine, outcome.frequency_hz[..., None], 0).sum(axis=1)
    np.testing.assert_allclose(used_hz[mine.any(axis=1)], 8e9, rtol=1e-9)


def test_settled_association_is_kept():
    scenario = robust(users__association='nearest')
    state = slots(scenario, 4)
    solution = solve(scenario, state)
    sent = solution.server != LOCAL
    np.testing.assert_array_equal(solution.server[sent], scenario.nearest(state)[sent])
    outcome = scenario.evaluate(state, create_batch('optimum', scenario).decide(state))
    np.testing.assert_array_equal(outcome.completed, solution.completed)
    np.testing.assert_allclose(outcome.task_j.sum(axis=1), solution.energy_j, rtol=1e-9)


def test_many_users_keep_a_true_bound(monkeypatch):
    scenario = robust()
    state = slots(scenario, 1)
    exact = solve(scenario, state)
    monkeypatch.setattr(robust_packing, 'MOST_FREE', 7)
    monkeypatch.setattr(robust_packing, '_FREE_AT_ONCE', 6)
    rough = solve(scenario, state)
    np.testing.assert_array_equal(rough.completed, exact.completed)
    assert np.all(rough.bound_j <= exact.energy_j)
    assert np.all(rough.energy_j >= exact.energy_j * (1 - 1e-8))
    assert np.all(rough.energy_j <= rough.bound_j * 1.02)


@pytest.mark.parametrize('mode', ['robust', 'robust:feasible'])
@pytest.mark.parametrize('migration', ['relay', 'resend'])
def test_preferences_lose_as_little_as_hindsight(mode, migration):
    scenario = robust(mode, failures__migration=migration)
    state = slots(scenario, 6)
    when = np.where(np.arange(6)[:, None] % 3 == np.arange(3), 0, NEVER)
    state = replace(state, failure_slot=when)
    decided = create_batch('optimum', scenario).decide(state)
    mine = scenario.evaluate(state, decided)
    best = scenario.evaluate(
        state, replace(decided, preference=best_targets(scenario, state, decided))
    )
    assert (mine.migrated | mine.lost).any()
    np.testing.assert_array_equal(mine.lost.sum(axis=1), best.lost.sum(axis=1))
    np.testing.assert_allclose(mine.e_tot_j, best.e_tot_j, rtol=1e-9)
    # what a lost task would have cost is partly not spent: no bound is claimed
    assert np.isnan(create_batch('optimum', scenario).bound(state)).all()


# --- subsets -------------------------------------------------------------------------------------


def test_subset_tables_against_trying_all():
    random = np.random.default_rng(5)
    n_users, n_servers = 4, 3
    tables = [random.uniform(0, 1, 1 << n_users) for _ in range(n_servers)]
    tables[1][5] = np.inf
    cost = {}
    for server in product(range(n_servers), repeat=n_users):
        shares = [sum(1 << i for i, at in enumerate(server) if at == j) for j in range(n_servers)]
        cost[tuple(shares)] = sum(
            table[share] for table, share in zip(tables, shares, strict=True)
        )
    shares, least = best_shares(tables)
    assert least == pytest.approx(min(cost.values()))
    assert cost[tuple(shares)] == pytest.approx(least)
    for server, table in enumerate(through(tables)):
        for subset in range(1 << n_users):
            expected = min(each for shares, each in cost.items() if shares[server] == subset)
            assert table[subset] == pytest.approx(expected)
    pair = convolve(tables[0], tables[1])
    for whole in range(1 << n_users):
        parts = [part for part in range(1 << n_users) if part & ~whole == 0]
        assert pair[whole] == min(tables[0][part] + tables[1][whole ^ part] for part in parts)
    assert memberships(2).tolist() == [[False, False], [True, False], [False, True], [True, True]]
