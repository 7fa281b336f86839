"""Frequencies and powers of a slot: Meng & Li, eqs (28i) to (28k) and (32) to (35)."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from sec_nodes.scenarios.robust.allocation import RULES, Offloading, allocate
from sec_nodes.scenarios.robust.power import (
    dinkelbach_power,
    least_power_w,
    marginal_upload_energy_w,
    upload_time_s,
)

KAPPA = 1e-28
CPU_HZ = 1e10
POWER_W = 0.5


def tasks(
    server, cycles, size_bit=4.8e6, snr_per_w=1e5, bandwidth_hz=1e7, time_s=1.0
) -> Offloading:
    server = np.atleast_2d(server)

    def full(value):
        return np.broadcast_to(np.asarray(value, dtype=float), server.shape).copy()

    return Offloading(
        server, full(cycles), full(size_bit), full(snr_per_w), full(bandwidth_hz), full(time_s)
    )


def drawn(seed: int, copies: int = 40, n_users: int = 9, n_servers: int = 3, work: float = 1.0):
    random = np.random.default_rng(seed)
    shape = copies, n_users
    return tasks(
        random.integers(-1, n_servers, shape),
        work * random.uniform(1e8, 4e9, shape),
        random.uniform(1e5, 5e6, shape),
        10 ** random.uniform(3, 6, shape),
        time_s=random.uniform(0.3, 1.0, shape),
    )


def give(rule: str, offloading: Offloading, n_servers: int = 3, weight: float = 1e-3, **changes):
    numbers = {'capacity_hz': CPU_HZ, 'power_max_w': POWER_W, **changes}
    return allocate(
        rule,
        offloading,
        n_servers,
        compute_weight=weight,
        capacitance_j_s2=KAPPA,
        **numbers,
    )


def times(offloading: Offloading, allocation):
    """Upload and computing times by (15), (20) and (24), written anew."""
    with np.errstate(divide='ignore', invalid='ignore'):
        rate = offloading.bandwidth_hz * np.log2(1 + allocation.power_w * offloading.snr_per_w)
        upload_s = np.where(offloading.size_bit > 0, offloading.size_bit / rate, 0)
        computing_s = np.where(
            offloading.cycles > 0, offloading.cycles / allocation.frequency_hz, 0
        )
    return upload_s, computing_s


def energy_j(offloading: Offloading, allocation, weight: float):
    """e_tr + w2 e_off of the admitted tasks, (21) and (25)."""
    upload_s, _ = times(offloading, allocation)
    sends = allocation.power_w > 0
    upload_j = np.where(sends, allocation.power_w * np.where(sends, upload_s, 0), 0)
    computing_j = KAPPA * allocation.frequency_hz**2 * offloading.cycles
    return np.where(allocation.admitted, upload_j + weight * computing_j, 0)


def used_hz(offloading: Offloading, allocation, n_servers: int = 3):
    mine = offloading.server[..., None] == np.arange(n_servers)
    return np.where(mine, allocation.frequency_hz[..., None], 0).sum(axis=1)


# --- power, (32) to (35) -------------------------------------------------------------------------


def test_least_power_by_hand():
    # 2e7 bit over 1e7 Hz in 0.5 s: 4 bit/s/Hz, so 1 + p g = 16 and p = 15 / g (33).
    assert least_power_w(2e7, 1e7, 1e3, 0.5) == pytest.approx(0.015, rel=1e-12)
    assert upload_time_s(2e7, 1e7, 1e3, 0.015) == pytest.approx(0.5, rel=1e-12)


def test_least_power_in_limiting_cases():
    assert least_power_w(1e7, 1e7, 1e3, 0.0) == np.inf
    assert least_power_w(1e7, 1e7, 1e3, 1e-9) == np.inf
    assert least_power_w(1e7, 1e7, 0.0, 1.0) == np.inf
    assert least_power_w(0.0, 1e7, 0.0, 0.0) == 0.0
    assert least_power_w(0.0, 1e7, 1e3, -0.1) == np.inf
    assert upload_time_s(0.0, 1e7, 0.0, POWER_W) == 0.0
    assert upload_time_s(1.0, 1e7, 0.0, POWER_W) == np.inf
    # A tiny upload needs D ln2 / (B t g): expm1 keeps all its digits.
    assert least_power_w(1e-6, 1e7, 1.0, 1.0) == pytest.approx(1e-13 * np.log(2), rel=1e-12)


@given(
    size_bit=st.floats(1e4, 1e7),
    snr=st.floats(1e2, 1e7),
    low=st.floats(1e-6, 0.4),
)
@settings(max_examples=60, deadline=None)
def test_dinkelbach_ends_at_the_lowest_power(size_bit, snr, low):
    # Facts (i), (ii): the energy increases in p, the iterates fall, and reach p_lo in finite time.
    result = dinkelbach_power(size_bit, 1e7, snr, low, POWER_W)
    assert result.power_w == low
    assert np.all(np.diff(result.history_w) <= 0)
    assert result.history_w[0] == POWER_W
    grid = np.linspace(low, POWER_W, 50)
    cost = grid * upload_time_s(size_bit, 1e7, snr, grid)
    assert np.all(np.diff(cost) > 0)
    assert result.energy_j == pytest.approx(cost[0], rel=1e-12)


def test_dinkelbach_step_is_the_maximiser_it_claims_to_be():
    # (34): p D - y B log2(1 + p g) at the first y; 1-D search knows nothing of the closed form.
    size_bit, bandwidth_hz, snr = 4.8e6, 1e7, 1e4
    result = dinkelbach_power(size_bit, bandwidth_hz, snr, 1e-9, POWER_W)
    y = POWER_W * size_bit / (bandwidth_hz * np.log2(1 + POWER_W * snr))
    found = optimize.minimize_scalar(
        lambda p: p * size_bit - y * bandwidth_hz * np.log2(1 + p * snr),
        bounds=(1e-9, POWER_W),
        method='bounded',
        options={'xatol': 1e-12},
    )
    assert result.history_w[1] == pytest.approx(found.x, rel=1e-5)


def test_printed_power_leaves_no_time_to_compute():
    # (33) with the whole slot: the upload takes all of it, so (28k) fails for any work.
    power_w = least_power_w(4.8e6, 1e7, 1e5, 1.0)
    assert upload_time_s(4.8e6, 1e7, 1e5, power_w) == pytest.approx(1.0, rel=1e-12)


def test_dinkelbach_refuses_what_means_nothing():
    with pytest.raises(ValueError, match='must be > 0'):
        dinkelbach_power(0.0, 1e7, 1e3, 0.1, 0.5)
    with pytest.raises(ValueError, match='exceeds power_max_w'):
        dinkelbach_power(1e6, 1e7, 1e3, 0.6, 0.5)


# --- all rules -----------------------------------------------------------------------------------


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('work', [0.1, 1.0])
def test_limits_hold(rule, work):
    offloading = drawn(1, work=work)
    allocation = give(rule, offloading)
    assert np.all(used_hz(offloading, allocation) <= CPU_HZ * (1 + 1e-9))
    assert np.all((allocation.power_w >= 0) & (allocation.power_w <= POWER_W))
    assert not allocation.admitted[offloading.server < 0].any()
    assert not allocation.frequency_hz[~allocation.admitted].any()
    assert not allocation.power_w[~allocation.admitted].any()
    upload_s, computing_s = times(offloading, allocation)
    spent_s = np.where(allocation.admitted, upload_s + computing_s, 0)
    if rule in ('deadline', 'joint'):
        assert np.all(spent_s <= offloading.time_s * (1 + 1e-9))
    else:
        # Whoever is late sends at full power; all others are in time to the dot.
        late = allocation.admitted & (spent_s > offloading.time_s * (1 + 1e-9))
        assert late.any() or work < 1.0
        np.testing.assert_array_equal(allocation.power_w[late], POWER_W)
        in_time = allocation.admitted & ~late
        np.testing.assert_allclose(spent_s[in_time], offloading.time_s[in_time], rtol=1e-9)


@pytest.mark.parametrize('rule', RULES)
def test_copies_do_not_know_of_each_other(rule):
    offloading = drawn(2, copies=6)
    together = give(rule, offloading)
    for copy in range(6):
        rows = {name: getattr(offloading, name)[[copy]] for name in offloading.__dict__}
        alone = give(rule, Offloading(**rows))
        np.testing.assert_allclose(alone.frequency_hz[0], together.frequency_hz[copy], rtol=1e-9)
        np.testing.assert_allclose(alone.power_w[0], together.power_w[copy], rtol=1e-6)


@pytest.mark.parametrize('rule', RULES)
def test_users_have_no_rank(rule):
    offloading = drawn(3)
    order = np.random.default_rng(0).permutation(9)
    turned = Offloading(
        **{name: getattr(offloading, name)[:, order] for name in offloading.__dict__}
    )
    np.testing.assert_allclose(
        give(rule, turned).frequency_hz, give(rule, offloading).frequency_hz[:, order], rtol=1e-9
    )


@pytest.mark.parametrize('rule', RULES)
def test_limiting_tasks(rule):
    # No time, a dead link, nothing to send, nothing to compute, neither, not offloaded.
    offloading = tasks(
        [0, 0, 0, 0, 0, -1],
        cycles=[1e9, 1e9, 1e9, 0, 0, 1e9],
        size_bit=[1e6, 1e6, 0, 1e6, 0, 1e6],
        snr_per_w=[1e5, 0, 1e5, 1e5, 0, 1e5],
        time_s=[-0.2, 1, 1, 1, 1, 1],
    )
    allocation = give(rule, offloading, 1)
    late_is_sent = rule in ('prop', 'sqrt', 'equal')
    assert allocation.admitted[0].tolist() == [late_is_sent, False, True, True, True, False]
    assert np.isfinite(allocation.frequency_hz).all() and np.isfinite(allocation.power_w).all()
    assert allocation.power_w[0, 2] == 0 and allocation.power_w[0, 4] == 0
    assert allocation.frequency_hz[0, 3] == 0 and allocation.frequency_hz[0, 4] == 0
    # Nothing to compute: the upload has all the time.
    assert allocation.power_w[0, 3] == pytest.approx((2**0.1 - 1) / 1e5, rel=1e-9)
    if not late_is_sent:
        assert allocation.frequency_hz[0, 2] == pytest.approx(1e9)  # 1e9 cycles in a second


def test_shares_by_hand():
    offloading = tasks([0, 0, 1], [1e9, 4e9, 3e9])
    np.testing.assert_allclose(give('prop', offloading, 2).frequency_hz, [[2e9, 8e9, 1e10]])
    np.testing.assert_allclose(
        give('sqrt', offloading, 2).frequency_hz, [[1e10 / 3, 2e10 / 3, 1e10]]
    )
    np.testing.assert_allclose(give('equal', offloading, 2).frequency_hz, [[5e9, 5e9, 1e10]])


def test_sqrt_satisfies_its_kkt_conditions():
    # min sum c / f subject to sum f = F: c / f^2 is the same for all tasks of a UAV.
    offloading = drawn(4)
    allocation = give('sqrt', offloading)
    for server in range(3):
        for copy in range(len(offloading.server)):
            mine = offloading.server[copy] == server
            if mine.any():
                price = offloading.cycles[copy, mine] / allocation.frequency_hz[copy, mine] ** 2
                np.testing.assert_allclose(price, price[0], rtol=1e-12)
                assert allocation.frequency_hz[copy, mine].sum() == pytest.approx(CPU_HZ)


def test_deadline_by_hand():
    # 1 + p g = 2 at full power: 1e7 Hz carry 1e7 bit/s, so 5e6 bit take 0.5 s and leave 0.5 s.
    offloading = tasks([0, 0], [1e9, 2e9], size_bit=5e6, snr_per_w=2.0)
    allocation = give('deadline', offloading, 1)
    np.testing.assert_allclose(allocation.frequency_hz, [[2e9, 4e9]], rtol=1e-12)
    np.testing.assert_allclose(allocation.power_w, POWER_W, rtol=1e-12)


@pytest.mark.parametrize('rule', ['deadline', 'joint'])
@pytest.mark.parametrize('seed', range(8))
def test_admission_serves_the_largest_number(rule, seed):
    offloading = drawn(seed, copies=1, n_users=9, n_servers=1)
    upload_s = upload_time_s(
        offloading.size_bit, offloading.bandwidth_hz, offloading.snr_per_w, POWER_W
    )
    left_s = offloading.time_s - upload_s
    able = np.flatnonzero((offloading.server >= 0)[0] & (left_s > 0)[0])
    need_hz = (offloading.cycles / left_s)[0]
    most = max(
        n
        for n in range(len(able) + 1)
        if any(need_hz[list(some)].sum() <= CPU_HZ for some in combinations(able, n))
    )
    assert give(rule, offloading, 1).admitted.sum() == most


def test_a_cpu_that_just_suffices_admits_all():
    # Needs of 0.1 + 0.2 + 0.7 of the CPU, whose sum rounding may push above 1.
    offloading = tasks([0, 0, 0], [1e9, 2e9, 7e9], size_bit=0.0)
    assert give('deadline', offloading, 1).admitted.all()


# --- joint ---------------------------------------------------------------------------------------


def test_joint_alone_by_hand():
    # Chosen so that u = 1 in the optimum: t = D ln2 / B = 0.4 s, nu_tr = 1 / g. With T = 1 s,
    # s = 0.6 s and 2 w2 kappa c^3 / s^3 = 1 / g at f = c / s = 1e9 Hz: g = 1 / (2 w2 kappa f^3).
    weight = 1.0
    snr = 1 / (2 * weight * KAPPA * 1e27)
    offloading = tasks([0], [6e8], size_bit=0.4 * 1e7 / np.log(2), snr_per_w=snr)
    allocation = give('joint', offloading, 1, weight, power_max_w=10.0)
    np.testing.assert_allclose(allocation.frequency_hz, 1e9, rtol=1e-9)
    np.testing.assert_allclose(allocation.power_w, (np.e - 1) / snr, rtol=1e-9)


def test_marginal_energies_are_derivatives():
    unit_s, snr, time_s = np.array(0.33), np.array(1e4), np.linspace(0.05, 0.9, 7)

    def energy(t):
        return t / snr * np.expm1(unit_s / t)

    step = 1e-6
    slope = (energy(time_s + step) - energy(time_s - step)) / (2 * step)
    np.testing.assert_allclose(marginal_upload_energy_w(unit_s, snr, time_s), -slope, rtol=1e-6)


@pytest.mark.parametrize('weight', [1e-3, 1.0])
@pytest.mark.parametrize('work', [0.2, 1.0])
def test_joint_satisfies_its_kkt_conditions(weight, work):
    # nu_tr = nu_u, i.e. one price a UAV: (nu_tr - 2 w2 kappa f^3) c / f^2 is equal for all tasks
    # that are not at full power, and 0 if the CPU has room.
    offloading = drawn(5, copies=60, work=work)
    allocation = give('joint', offloading, weight=weight)
    upload_s, computing_s = times(offloading, allocation)
    f = allocation.frequency_hz
    with np.errstate(divide='ignore', invalid='ignore'):
        u = offloading.size_bit * np.log(2) / (offloading.bandwidth_hz * upload_s)
        nu_tr = (1 + np.exp(u) * (u - 1)) / offloading.snr_per_w
        price = (nu_tr - 2 * weight * KAPPA * f**3) * computing_s**2 / offloading.cycles
        scale = nu_tr * computing_s**2 / offloading.cycles
    full = allocation.power_w >= POWER_W * (1 - 1e-9)
    used = used_hz(offloading, allocation)
    binding = 0
    for copy, server in np.ndindex(used.shape):
        mine = (offloading.server[copy] == server) & allocation.admitted[copy]
        inner, at_full = mine & ~full[copy], mine & full[copy]
        if not inner.any():
            continue
        tight = used[copy, server] >= CPU_HZ * (1 - 1e-9)
        binding += tight
        common = np.median(price[copy, inner]) if tight else 0.0
        assert common >= -1e-9 * scale[copy, inner].max()
        np.testing.assert_allclose(
            price[copy, inner], common, rtol=1e-5, atol=1e-6 * scale[copy, inner].min()
        )
        # At full power a task would rather compute longer at this price.
        assert np.all(price[copy, at_full] <= common * (1 + 1e-6) + 1e-9 * scale[copy, at_full])
    assert binding > 3 or work < 1.0 or weight == 1.0


@pytest.mark.parametrize('seed', range(6))
def test_joint_against_a_general_solver(seed):
    # SLSQP over upload times and frequencies; it knows nothing of prices.
    weight = [1e-3, 1.0][seed % 2]
    offloading = drawn(seed, copies=1, n_users=4, n_servers=1, work=0.9)
    offloading = replace(offloading, server=np.zeros((1, 4), dtype=np.int64))
    allocation = give('joint', offloading, 1, weight)
    chosen = np.flatnonzero(allocation.admitted[0])
    cycles, time_s, snr = (
        np.asarray(each)[0, chosen]
        for each in (offloading.cycles, offloading.time_s, offloading.snr_per_w)
    )
    unit_s = offloading.size_bit[0, chosen] * np.log(2) / 1e7
    fastest_s = unit_s / np.log1p(POWER_W * snr)
    mine_j = energy_j(offloading, allocation, weight).sum()

    def cost(s):
        t = time_s - s
        upload = t / snr * np.expm1(unit_s / t)
        return (upload + weight * KAPPA * cycles**3 / s**2).sum() / mine_j

    longest_s = time_s - fastest_s
    found = optimize.minimize(
        cost,
        longest_s * (1 - 1e-6),
        method='SLSQP',
        bounds=[(0.02 * each, each) for each in longest_s],
        constraints=[{'type': 'ineq', 'fun': lambda s: 1 - (cycles / s).sum() / CPU_HZ}],
        options={'ftol': 1e-14, 'maxiter': 2000},
    )
    assert (cycles / found.x).sum() <= CPU_HZ * (1 + 1e-7)
    assert mine_j == pytest.approx(mine_j * found.fun, rel=1e-6)


def test_joint_without_weight_uses_the_whole_cpu():
    # w2 = 0: computing costs nothing, so all of it is used to upload slowly.
    offloading = drawn(7, n_servers=1)
    allocation = give('joint', offloading, 1, weight=0.0)
    served = allocation.admitted.any(axis=1)
    np.testing.assert_allclose(used_hz(offloading, allocation, 1)[served], CPU_HZ, rtol=1e-9)


@given(seed=st.integers(0, 10_000), factor=st.floats(1.0, 3.0))
@settings(max_examples=30, deadline=None)
def test_joint_is_the_cheapest_and_never_suffers_from_a_larger_cpu(seed, factor):
    offloading = drawn(seed, copies=4, work=0.4)
    joint, deadline = (give(rule, offloading, weight=1.0) for rule in ('joint', 'deadline'))
    np.testing.assert_array_equal(joint.admitted, deadline.admitted)
    joint_j = energy_j(offloading, joint, 1.0).sum(axis=1)
    assert np.all(joint_j <= energy_j(offloading, deadline, 1.0).sum(axis=1) * (1 + 1e-9))
    larger = give('joint', offloading, weight=1.0, capacity_hz=factor * CPU_HZ)
    same = (larger.admitted == joint.admitted).all(axis=1)
    larger_j = energy_j(offloading, larger, 1.0).sum(axis=1)
    assert np.all(larger_j[same] <= joint_j[same] * (1 + 1e-9))


# --- errors --------------------------------------------------------------------------------------


def test_bad_input_is_named():
    offloading = tasks([0, 1], [1e9, 1e9])
    with pytest.raises(ValueError, match=r"rule = 'proportional'.*prop"):
        give('proportional', offloading, 2)
    with pytest.raises(ValueError, match='numbers from -1 to 0'):
        give('joint', offloading, 1)
    with pytest.raises(ValueError, match='cycles is nan'):
        give('joint', tasks([0], [np.nan]), 1)
    with pytest.raises(ValueError, match='time_s is nan'):
        give('joint', tasks([0], [1e9], time_s=np.nan), 1)
    with pytest.raises(ValueError, match='bandwidth_hz is 0'):
        give('joint', tasks([0], [1e9], bandwidth_hz=0.0), 1)
