"""Times, energies and constraints of a slot of the robust scenario, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robust_cases import counted, decide, failing, quiet, robust

from sec_nodes.scenarios.robust.state import LOCAL, NEVER

NOISE_W = 1e-3 * 10 ** (-17.4) * 1e7
"""-174 dBm/Hz in 10 MHz: 3.981e-14 W."""
ALEXNET = [140_553_600, 447_897_600, 224_280_576, 299_040_768, 199_360_512]
ALEXNET += [2 * 9215 * 4096, 2 * 4095 * 4096, 2 * 4095 * 1000]


def one_user(mode='robust', network='alexnet', uavs=1, **overrides):
    """A user below a UAV at 100 m; further UAVs stand 200 m away."""
    scenario = robust(
        mode,
        users__count=1,
        users__networks=[network],
        uavs__count=uavs,
        failures__largest=min(uavs, overrides.pop('largest', 1)),
        **overrides,
    )
    places = [[100.0, 100.0, 100.0], [300.0, 100.0, 100.0], [100.0, 300.0, 100.0]]
    return scenario, quiet(scenario, [[100.0, 100.0]], places[:uavs])


def test_tables_have_the_papers_layers():
    scenario = robust(users__networks=['alexnet', 'vgg13', 'vgg16'])
    np.testing.assert_array_equal(scenario.tables.layers, [8, 13, 16])
    # (8): cumulated work of AlexNet over C_0 = 8 FLOP a cycle, column phi - 1.
    before = np.cumsum([0, *ALEXNET]) / 8
    np.testing.assert_array_equal(scenario.front_cycles[0, :9], before)
    np.testing.assert_array_equal(scenario.rear_cycles[0, :9], sum(ALEXNET) / 8 - before)
    # (9): the image, then 64 x 27 x 27 values of 32 bit after the first pool.
    assert scenario.size_bit[:, 0].tolist() == [4_816_896] * 3
    assert scenario.size_bit[0, 1] == 64 * 27 * 27 * 32


@pytest.mark.parametrize(
    ('name', 'channels', 'sides'),
    [
        (
            'vgg13',
            [64, 64, 128, 128, 256, 256, 512, 512, 512, 512],
            [224, 224, 112, 112, 56, 56, 28, 28, 14, 14],
        ),
        (
            'vgg16',
            [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512],
            [224, 224, 112, 112, 56, 56, 56, 28, 28, 28, 14, 14, 14],
        ),
    ],
)
def test_vgg_work_is_that_of_the_published_definition(name, channels, sides):
    # Simonyan and Zisserman, table 1, configurations B and D: 3 x 3 convolutions, then 4096, 4096
    # and 1000 units behind 512 x 7 x 7.
    before = [3, *channels[:-1]]
    work = sum(
        2 * side**2 * 9 * c_in * c_out
        for side, c_in, c_out in zip(sides, before, channels, strict=True)
    )
    work += sum(
        2 * (u_in - 1) * u_out for u_in, u_out in [(25088, 4096), (4096, 4096), (4096, 1000)]
    )
    scenario = robust(users__networks=[name])
    assert scenario.rear_cycles[0, 0] == work / 8
    assert scenario.tables.layers[0] == len(channels) + 3


def test_gain_and_rate_of_an_uplink():
    scenario, state = one_user(uavs=2)
    # (14) with no fading: 1e-3 / 100^2 over the noise, and at sqrt(200^2 + 100^2) = 223.6 m.
    expected = [1e-7 / NOISE_W, 1e-3 / 50_000 / NOISE_W]
    np.testing.assert_allclose(scenario.snr_per_w(state)[0, 0], expected, rtol=1e-12)
    faded = replace(state, fading=np.array([[[0.25, 4.0]]]))
    np.testing.assert_allclose(
        scenario.snr_per_w(faded)[0, 0], np.multiply(expected, [0.25, 4.0]), rtol=1e-12
    )
    # chi = 3 of the feasible mode, and a tenth... of one user: all of B_1.
    steep, state = one_user('robust:feasible')
    np.testing.assert_allclose(steep.snr_per_w(state)[0, 0, 0], 1e-9 / NOISE_W, rtol=1e-12)


def test_users_share_the_band_only_under_fdma():
    assert robust().settings.uplink_bandwidth_hz == 10e6
    assert robust('robust:feasible').settings.uplink_bandwidth_hz == 1e6
    # Less band, less noise: the ratio of signal to noise a watt is ten times as large.
    paper, shared = robust(), robust(radio__uplink_sharing='fdma')
    state = paper.reset(np.array([3]))
    np.testing.assert_allclose(shared.snr_per_w(state), 10 * paper.snr_per_w(state), rtol=1e-12)


def test_rate_between_uavs():
    scenario, state = one_user(uavs=2)
    rate = scenario.backhaul_bit_s(state)[0]
    # (16), (17): 1 W x 1e-3 / 200^2 = 2.5e-8 W over 5.972e-14 W, 15 MHz: 280 Mbit/s. With |h|^2
    # as printed, 6.25e-16 W would give 0.23 Mbit/s.
    noise_w = 1e-3 * 10 ** (-17.4) * 15e6
    assert rate[0, 1] == rate[1, 0] == pytest.approx(15e6 * math.log2(1 + 2.5e-8 / noise_w))
    assert rate[0, 1] == pytest.approx(280e6, rel=2e-3)
    assert rate[0, 0] == rate[1, 1] == 0.0


def test_uavs_in_one_place_have_a_finite_rate():
    scenario, state = one_user(uavs=2)
    state = replace(state, uav_m=np.full((1, 2, 3), 100.0))
    noise_w = 1e-3 * 10 ** (-17.4) * 15e6
    rate = scenario.backhaul_bit_s(state)[0, 0, 1]
    assert rate == pytest.approx(15e6 * math.log2(1 + 1e-3 / noise_w))


def test_a_split_task_by_hand():
    scenario, state = one_user(allocation='equal')
    outcome = scenario.evaluate(state, decide(state, split=2))
    local = 140_553_600 / 8
    rear = sum(ALEXNET[1:]) / 8
    # (18), (19): 17.57 Mcycle at 1 GHz.
    assert outcome.local_s[0, 0] == pytest.approx(0.0175692)
    assert outcome.local_j[0, 0] == pytest.approx(1e-28 * 1e18 * local)
    # (24), (25): the whole CPU.
    off_s = rear / 10e9
    assert outcome.frequency_hz[0, 0] == 10e9
    assert outcome.offload_s[0, 0] == pytest.approx(off_s)
    assert outcome.offload_j[0, 0] == pytest.approx(1e-28 * 1e20 * rear)
    # (33) with the time that is left, so that (20) fills the slot; (21).
    left_s = 1 - 0.0175692 - off_s
    power_w = (2 ** (64 * 27 * 27 * 32 / (1e7 * left_s)) - 1) * NOISE_W / 1e-7
    assert outcome.power_w[0, 0] == pytest.approx(power_w)
    assert outcome.transmission_s[0, 0] == pytest.approx(left_s)
    assert outcome.transmission_j[0, 0] == pytest.approx(power_w * left_s)
    # (26), (27): hovering costs 168.484 W.
    assert outcome.latency_s[0, 0] == pytest.approx(1.0)
    assert outcome.completed[0, 0] and outcome.effective[0, 0] == 0
    users_j = outcome.local_j[0, 0] + outcome.transmission_j[0, 0]
    expected = users_j + 1e-4 * 168.48422 + 1e-3 * outcome.offload_j[0, 0]
    assert outcome.e_tot_j[0] == pytest.approx(expected, rel=1e-7)
    assert outcome.reward[0] == -outcome.e_tot_j[0]
    assert outcome.violations.sum() == 0


def test_flight_energy_follows_zengs_curve():
    scenario, state = one_user(uavs=3)
    velocity = np.zeros((1, 3, 3))
    velocity[0, 1] = [6.0, 0.0, 8.0]  # 10 m/s, climbing
    velocity[0, 2] = [10.2, 0.0, 0.0]
    state = replace(state, uav_velocity_m_s=velocity)
    outcome = scenario.evaluate(state, decide(state))
    # (2), Zeng 2019: hover 168.48 W, least 126.0 W near 10.2 m/s; the 3-D speed counts.
    x = 100 / (2 * 4.03**2)
    by_hand = 79.85628 * (1 + 300 / 120**2) + 0.5 * 0.6 * 1.225 * 0.05 * 0.503 * 1000
    by_hand += 88.62794 * math.sqrt(math.sqrt(1 + x * x) - x)
    np.testing.assert_allclose(outcome.flight_j[0], [168.484, by_hand, 126.0], atol=5e-3)


def test_the_whole_network_may_stay_with_the_user():
    scenario, state = one_user(users__local_only=True)
    outcome = scenario.evaluate(state, decide(state, split=9, server=LOCAL))
    work = sum(ALEXNET) / 8
    assert outcome.completed[0, 0] and not outcome.rejected[0, 0]
    assert outcome.latency_s[0, 0] == pytest.approx(work / 1e9)
    assert outcome.e_tot_j[0] == pytest.approx(1e-10 * work + 1e-4 * 168.48422)
    assert outcome.violations.sum() == 0
    # A server that is named for it does not matter.
    again = scenario.evaluate(state, decide(state, split=9, server=0))
    assert again.e_tot_j[0] == outcome.e_tot_j[0] and again.server[0, 0] == LOCAL
    # 3.87 s for VGG16: late, though it ends.
    slow, state = one_user(network='vgg16', users__local_only=True)
    outcome = slow.evaluate(state, decide(state, split=17, server=LOCAL))
    assert not outcome.completed[0, 0] and outcome.n_late[0] == 1
    assert outcome.latency_s[0, 0] == pytest.approx(3.87, abs=0.005)


@pytest.mark.parametrize(('network', 'most'), [('vgg16', 2), ('vgg13', 3)])
def test_how_many_whole_networks_fit_a_uav(network, most):
    scenario = robust(users__networks=[network])
    state = scenario.reset(np.arange(3))
    outcome = scenario.evaluate(state, decide(state))
    np.testing.assert_array_equal(outcome.completed.sum(axis=1), most)
    np.testing.assert_array_equal(outcome.rejected.sum(axis=1), 10 - most)
    assert not outcome.transmission_j[outcome.rejected].any()
    assert np.isinf(outcome.latency_s[outcome.rejected]).all()


def test_work_shared_in_proportion_may_be_late():
    scenario = robust(users__networks=['vgg16'], allocation='prop')
    state = scenario.reset(np.arange(3))
    outcome = scenario.evaluate(state, decide(state))
    # Ten times 3.87 Gcycle at 1 GHz each: nobody is in time, and all that energy is counted.
    assert not outcome.completed.any() and not outcome.rejected.any()
    np.testing.assert_allclose(outcome.offload_s, 3.8697, rtol=1e-3)
    assert counted(outcome, '(28k)') == [10] * 3


@pytest.mark.parametrize('weight', [1.0, 0.3, 1e-3])
@pytest.mark.parametrize('network', ['alexnet', 'vgg13', 'vgg16'])
def test_sending_the_image_costs_least_computing(network, weight):
    # For w2 <= 1 and u = f_uav / f_loc, the first derivative of the computing energy in the local
    # work is proportional to 1 - 3 w2 u^2 + 2 w2 u^3 >= (1 - u)^2 (1 + 2 u) >= 0, so that phi = 1
    # is best. Uploads take no time here.
    scenario, state = one_user(
        network=network, radio__uplink_bandwidth_hz=1e15, objective__compute_weight=weight
    )
    last = int(scenario.tables.layers[0])
    energies = []
    for split in range(1, last + 1):
        outcome = scenario.evaluate(state, decide(state, split=split))
        if outcome.completed[0, 0]:
            energies.append(outcome.local_j[0, 0] + weight * outcome.offload_j[0, 0])
    assert len(energies) > 1
    assert energies[0] <= min(energies) * (1 + 1e-9)


def test_penalties_multiply():
    # (31): a pair 1 m apart, a UAV that flies into the wall, and a task that nobody takes.
    scenario = robust(
        users__count=2,
        users__networks=['alexnet'],
        objective__penalty_distance=2.0,
        objective__penalty_late=3.0,
        objective__penalty_outside=4.0,
    )
    state = quiet(
        scenario, [[10, 10], [20, 20]], [[100, 100, 150], [100, 101, 150], [499, 100, 150]]
    )
    acceleration = np.zeros((3, 3))
    acceleration[2, 0] = 5.0
    outcome = scenario.evaluate(state, decide(state, server=[0, -1], acceleration=acceleration))
    assert (outcome.n_close[0], outcome.n_late[0], outcome.n_outside[0]) == (1, 1, 1)
    assert outcome.penalty[0] == (1 + 2) * (1 + 3) * (1 + 4)
    assert outcome.reward[0] == pytest.approx(-60 * outcome.e_tot_j[0])
    np.testing.assert_allclose(outcome.uav_m[0, 2], [500, 100, 150])


def test_each_constraint_is_counted():
    scenario = robust(users__count=6, users__networks=['alexnet'])
    state = quiet(
        scenario,
        np.full((6, 2), 100.0),
        [[100, 100, 100], [100, 300, 150], [100, 302, 150]],
    )
    state = replace(state, alive=np.array([[True, True, True]]))
    dead = replace(state, alive=np.array([[True, True, False]]))
    acceleration = np.zeros((3, 3))
    acceleration[0, 2] = -4.0
    outcome = scenario.evaluate(
        dead,
        decide(
            dead,
            split=[0, 9, 1, 1, 2, 8],  # 0 and 9 do not exist, 9 is for local_only
            server=[0, 0, 2, -1, 0, 1],  # UAV 2 has failed before
            acceleration=acceleration,
        ),
    )
    assert counted(outcome, '(28e)') == [2]
    assert counted(outcome, '(28h)') == [1]
    assert counted(outcome, '(28k)') == [4]
    assert counted(outcome, '(28c)') == [1]
    assert counted(outcome, '(5)') == [0]  # a failed UAV is no neighbour
    assert outcome.rejected.tolist() == [[True] * 4 + [False] * 2]
    assert outcome.violations.sum() == 8
    # Tasks whose split does not exist cost nothing; the others of the rejected keep their phi.
    assert not outcome.task_j[0, :2].any()
    alive = scenario.evaluate(state, decide(state))
    assert counted(alive, '(5)') == [1]
    summary = scenario.summarise(dead, outcome)
    assert summary.violations.tolist() == [4.0] and summary.completed.tolist() == [2.0]


def test_a_rejected_task_pays_for_its_local_part():
    scenario, state = one_user()
    outcome = scenario.evaluate(state, decide(state, split=3, server=LOCAL))
    assert outcome.rejected[0, 0] and not outcome.completed[0, 0]
    assert outcome.task_j[0, 0] == pytest.approx(1e-10 * sum(ALEXNET[:2]) / 8)
    assert outcome.latency_s[0, 0] == math.inf


def test_failed_uavs_before_the_slot():
    scenario, state = one_user(uavs=2, largest=2)
    state = replace(state, alive=np.zeros((1, 2), dtype=bool), uav_velocity_m_s=np.ones((1, 2, 3)))
    outcome = scenario.evaluate(state, decide(state, server=LOCAL, acceleration=5.0))
    # The UAVs neither fly nor cost anything.
    assert counted(outcome, '(28k)') == [1] and outcome.violations.sum() == 1
    assert outcome.e_tot_j[0] == 0.0 and not outcome.flight_j.any()
    np.testing.assert_array_equal(outcome.uav_m, state.uav_m)
    assert outcome.n_outside[0] == outcome.n_close[0] == 0
    summary = scenario.summarise(state, outcome)
    assert np.isnan(summary.latency_s[0]) and np.isnan(summary.extra['energy_per_completed_j'][0])
    again = scenario.evaluate(state, decide(state, server=1))
    assert counted(again, '(28h)') == [1] and again.rejected[0, 0]


def test_more_failures_than_allowed_are_counted():
    scenario, state = one_user(uavs=3)
    state = failing(failing(state, 0), 2)
    outcome = scenario.evaluate(state, decide(state, server=1))
    assert counted(outcome, '(11)') == [1]
    assert outcome.alive.tolist() == [[False, True, False]]


def test_association_by_distance_overrules_the_decision():
    scenario, state = one_user('robust:fig5', uavs=2)
    outcome = scenario.evaluate(state, decide(state, server=1))
    assert outcome.server[0, 0] == 0
    dead = replace(state, alive=np.array([[False, True]]))
    assert scenario.evaluate(dead, decide(dead, server=0)).server[0, 0] == 1
    assert scenario.nearest(replace(state, alive=np.zeros((1, 2), bool)))[0, 0] == LOCAL


@pytest.mark.parametrize(
    ('name', 'value', 'complaint'),
    [
        ('split', np.ones((1, 3), int), r'split has shape \(1, 3\)'),
        ('split', np.ones((1, 1)), 'split has type float64'),
        ('server', np.full((1, 1), 2), 'server holds 2, but there are UAVs 0 to 1'),
        ('server', np.full((1, 1), -2), 'server holds -2'),
        ('preference', np.full((1, 1, 2), np.nan), 'preference holds NaN'),
        ('acceleration_m_s2', np.full((1, 2, 3), np.inf), 'acceleration_m_s2 holds NaN or inf'),
        ('acceleration_m_s2', np.zeros((2, 3)), 'acceleration_m_s2 has shape'),
    ],
)
def test_a_decision_that_cannot_be_read_is_refused(name, value, complaint):
    scenario, state = one_user(uavs=2)
    with pytest.raises(ValueError, match=complaint):
        scenario.evaluate(state, replace(decide(state), **{name: value}))


def drawn(scenario, seeds, slots=0):
    """States in the middle of episodes, with decisions of every kind, also bad ones."""
    rng = np.random.default_rng(1)
    state = scenario.reset(np.asarray(seeds))
    for _ in range(slots + 1):
        copies, n_users, n_uavs = state.fading.shape
        decision = replace(
            decide(state),
            split=rng.integers(1, 6, (copies, n_users)),
            server=rng.integers(-1, n_uavs, (copies, n_users)),
            preference=rng.normal(size=(copies, n_users, n_uavs)),
            acceleration_m_s2=rng.normal(size=(copies, n_uavs, 3)) * 4,
        )
        last = state, decision
        state = scenario.step(state, decision)[0]
    return last


def take(group, rows):
    """Some copies of a state, decision or outcome."""
    return type(group)(*(getattr(group, field.name)[rows] for field in fields(group)))


@pytest.mark.parametrize('rule', ['joint', 'deadline', 'prop', 'sqrt', 'equal'])
@pytest.mark.parametrize('mode', ['robust', 'robust:feasible'])
def test_copies_do_not_know_of_each_other(mode, rule):
    scenario = robust(mode, allocation=rule, failures__largest=2, failures__fixed=2, horizon=4)
    state, decision = drawn(scenario, np.arange(6), slots=2)
    together = scenario.evaluate(state, decision)
    for copy in range(6):
        alone = scenario.evaluate(take(state, [copy]), take(decision, [copy]))
        for field in fields(together):
            np.testing.assert_allclose(
                getattr(alone, field.name)[0], getattr(together, field.name)[copy], rtol=1e-9
            )


@pytest.mark.parametrize('migration', ['relay', 'resend', 'none'])
@pytest.mark.parametrize('kept', ['lost', 'checkpoint'])
def test_numbers_stay_numbers(migration, kept):
    scenario = robust(
        'robust:feasible',
        failures__largest=3,
        failures__fixed=3,
        failures__migration=migration,
        failures__progress=0.4,
        failures__progress_kept=kept,
        users__local_only=True,
        horizon=6,
    )
    for slots in range(6):
        state, decision = drawn(scenario, np.arange(8), slots)
        outcome = scenario.evaluate(state, decision)
        for field in fields(outcome):
            value = getattr(outcome, field.name)
            if field.name == 'latency_s':
                assert not np.isnan(value).any()
                continue
            assert np.isfinite(value).all(), field.name
        assert (outcome.e_tot_j >= 0).all() and (outcome.penalty >= 1).all()
        # (27): shares of tasks and flights make up the total.
        total = outcome.task_j.sum(axis=1) + 1e-4 * outcome.flight_j.sum(axis=1)
        np.testing.assert_allclose(outcome.e_tot_j, total, rtol=1e-12)
        # Each task ends in exactly one way.
        ends = outcome.rejected.astype(int) + outcome.lost + np.isfinite(outcome.latency_s)
        np.testing.assert_array_equal(ends, 1)


@pytest.mark.parametrize('mode', ['robust', 'robust:feasible', 'robust:fig5'])
def test_the_order_of_users_and_uavs_does_not_matter(mode):
    scenario = robust(mode, failures__fixed=1, horizon=4)
    state, decision = drawn(scenario, np.arange(5), slots=2)
    users, uavs = np.array([3, 0, 9, 1, 2, 8, 4, 7, 6, 5]), np.array([2, 0, 1])
    back = np.argsort(uavs)
    other = replace(
        state,
        **{
            name: getattr(state, name)[:, users]
            for name in ('network', 'user_m', 'user_heading_rad', 'user_speed_m_s')
        },
        **{
            name: getattr(state, name)[:, uavs]
            for name in ('uav_m', 'uav_velocity_m_s', 'alive', 'failure_slot')
        },
        fading=state.fading[:, users][:, :, uavs],
    )
    server = decision.server[:, users]
    renamed = replace(
        decision,
        split=decision.split[:, users],
        server=np.where(server == LOCAL, LOCAL, back[server]),
        preference=decision.preference[:, users][:, :, uavs],
        acceleration_m_s2=decision.acceleration_m_s2[:, uavs],
    )
    one, two = scenario.evaluate(state, decision), scenario.evaluate(other, renamed)
    for name in ('e_tot_j', 'reward', 'n_close', 'n_late', 'n_outside', 'violations'):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), rtol=1e-7)
    np.testing.assert_allclose(two.task_j, one.task_j[:, users], rtol=1e-6)
    np.testing.assert_array_equal(two.completed, one.completed[:, users])
    np.testing.assert_allclose(two.uav_m, one.uav_m[:, uavs], rtol=1e-12)


@pytest.mark.parametrize('mode', ['robust', 'robust:feasible', 'robust:fig5'])
def test_single_precision_agrees(mode):
    wide = robust(mode, failures__fixed=1, horizon=4)
    narrow = robust(mode, np.float32, failures__fixed=1, horizon=4)
    state, decision = drawn(wide, np.arange(8), slots=2)
    small = replace(
        state,
        **{
            field.name: getattr(state, field.name).astype(np.float32)
            for field in fields(state)
            if getattr(state, field.name).dtype == np.float64
        },
    )
    one, two = wide.evaluate(state, decision), narrow.evaluate(small, decision)
    for field in fields(two):
        value = getattr(two, field.name)
        assert value.dtype != np.float64, field.name
    np.testing.assert_array_equal(two.completed, one.completed)
    np.testing.assert_allclose(two.e_tot_j, one.e_tot_j, rtol=1e-4)
    following, _ = narrow.step(small, decision)
    assert all(getattr(following, field.name).dtype != np.float64 for field in fields(following))


@settings(max_examples=20, deadline=None)
@given(
    st.floats(0, 380), st.floats(1, 100), st.integers(1, 5), st.sampled_from(['vgg16', 'alexnet'])
)
def test_a_farther_uav_never_costs_less(near, step, split, network):
    scenario, state = one_user(
        'robust:feasible', network=network, radio__uplink_sharing='per_user'
    )

    def cost(away):
        moved = replace(state, uav_m=np.array([[[100.0 + away, 100.0, 100.0]]]))
        outcome = scenario.evaluate(moved, decide(moved, split=split))
        return outcome.e_tot_j[0] if outcome.completed[0, 0] else math.inf

    assert cost(near) <= cost(min(near + step, 400)) * (1 + 1e-9)


@settings(max_examples=12, deadline=None)
@given(st.floats(1e-3, 10), st.floats(1, 10), st.integers(1, 3))
def test_dearer_computing_never_costs_less(weight, factor, split):
    def cost(weight):
        scenario, state = one_user(
            'robust:feasible', network='vgg13', objective__compute_weight=weight
        )
        return scenario.evaluate(state, decide(state, split=split)).e_tot_j[0]

    assert cost(weight) <= cost(weight * factor) * (1 + 1e-9)


def test_a_task_never_failing_has_a_slot_beyond_all_slots():
    assert NEVER > 10**9
