"""The maritime scenario against numbers worked out by hand, equation by equation."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sec_nodes.config import ConfigError
from sec_nodes.paths import config_dir
from sec_nodes.scenarios.maritime.devices import device_rate_bit_s
from sec_nodes.scenarios.maritime.scenario import Maritime, take
from sec_nodes.scenarios.maritime.state import MaritimeDecision
from sec_nodes.scenarios.registry import read_settings, scenario_modes


def maritime(mode=None, **overrides):
    dotted = {key.replace('__', '.'): value for key, value in overrides.items()}
    return Maritime(read_settings('maritime' if mode is None else f'maritime:{mode}', dotted))


def decision(state, power_w=0.0, cpu_hz=0.0, ratio=0.0, start_s=0.0):
    values = (power_w, cpu_hz, ratio, start_s)
    return MaritimeDecision(*(np.broadcast_to(v, state.batch_bit.shape) * 1.0 for v in values))


@pytest.fixture(scope='module')
def two():
    """Two UAVs whose numbers are round; the satellite's rate is 40 MHz log2(1 + 3) at 1 W."""
    scenario = maritime(uavs__count=2)
    state = scenario.reset(np.array([0]))
    return scenario, replace(
        state,
        upload_s=np.array([[0.1, 0.2]]),
        batch_bit=np.array([[2e6, 5e6]]),
        collect_rate_bit_s=np.array([[20e6, 30e6]]),
        stored_bit=np.array([[8e9, 8e9]]),
        leo_gain=np.full((1, 2), 3.0 * scenario.noise_w),
    )


def test_every_value_of_the_file_says_where_it_is_from():
    for line in (config_dir() / 'scenarios' / 'maritime.yaml').read_text().splitlines():
        key, _, value = line.partition(':')
        if line.startswith('#') or not value.split('#')[0].strip() or key.strip() == 'name':
            continue
        assert re.search(r'#.*\[(paper|chosen)\]', line), line


@pytest.mark.parametrize('mode', [None, *scenario_modes('maritime')])
def test_every_mode_plays_its_episode_without_a_nan(mode):
    scenario = maritime(mode)
    state = scenario.reset(np.arange(3))
    for _ in range(scenario.horizon):
        state, outcome = scenario.step(
            state, decision(state, power_w=1.0, cpu_hz=1e9, ratio=0.4, start_s=1.5)
        )
        for field in fields(outcome):
            if field.name != 'violations':
                assert not np.isnan(getattr(outcome, field.name)).any(), field.name


def test_the_satellite_is_seen_for_232_seconds_from_1131_km():
    scenario = maritime()
    # (2): arccos(6371 cos 40 / 7151) - 40 degrees, worked out by hand
    gamma = math.acos(6371 * math.cos(math.radians(40)) / 7151) - math.radians(40)
    assert math.degrees(gamma) == pytest.approx(6.96, abs=0.005)
    # (1) with v_s = sqrt(GM / r) = 7466 m/s
    assert scenario.visible_s == pytest.approx(2 * 7151e3 * gamma / 7466, rel=1e-4)
    assert scenario.visible_s == pytest.approx(232.6, abs=0.2)
    # (8), and the same by the elevation
    assert scenario.slant_m == pytest.approx(1131e3, abs=500)
    by_elevation = math.sqrt(7151e3**2 - (6371e3 * math.cos(math.radians(40))) ** 2)
    by_elevation -= 6371e3 * math.sin(math.radians(40))
    assert scenario.slant_m == pytest.approx(by_elevation, rel=1e-9)
    assert scenario.round_trip_s == pytest.approx(2 * 1131.4e3 / 2.998e8, rel=1e-3)


def test_the_link_to_the_satellite_carries_278_mbit_s_at_one_watt():
    scenario = maritime()
    state = scenario.reset(np.array([0]))
    # (7): -40 dB + 54 dB - 20 log10(1131445) = -107.07 dB; noise -174 + 76.02 = -97.98 dBm
    gain = 10 ** ((-40 + 54 - 20 * math.log10(1131445.5)) / 10)
    noise_w = 10 ** ((-174 - 30) / 10) * 40e6
    np.testing.assert_allclose(state.leo_gain, gain, rtol=1e-6)
    rate = 40e6 * math.log2(1 + gain / noise_w)  # (9), (10)
    np.testing.assert_allclose(scenario.leo_rate_bit_s(state, 1.0), rate, rtol=1e-6)
    assert rate == pytest.approx(278.3e6, rel=1e-3)


def test_other_readings_of_band_and_noise():
    state = maritime().reset(np.array([0]))
    shared = maritime('shared_band')
    assert shared.band_hz == 4e6
    assert shared.noise_w == pytest.approx(maritime().noise_w / 10)
    fixed = maritime('fixed_noise')
    assert fixed.noise_w == pytest.approx(10 ** (-12.8))
    narrow = maritime('fixed_noise', radio__satellite_bandwidth_hz=2e7)
    halved = narrow.leo_rate_bit_s(state, 1.0)
    np.testing.assert_allclose(halved, 0.5 * fixed.leo_rate_bit_s(state, 1.0))


def test_sub_channels_share_the_band_of_their_kind():
    radio = maritime().settings.radio
    # (5) with omega B_U / K = 8 MHz / 4 and noise N_0 b; P h / sigma^2 = 1 gives 1 bit/s/Hz
    noise_w = 10**-20.4 * 2e6
    np.testing.assert_allclose(device_rate_bit_s(radio, 2e6, 0.1, 10 * noise_w), 2e6)
    scenario = maritime()
    state = scenario.reset(np.arange(20))
    devices, s = state.devices, scenario.settings
    for kind, share in ((True, 0.8), (False, 0.2)):  # (5), (6)
        there = devices.active & (devices.sensitive == kind)
        band_hz = share * 1e7 / np.maximum(there.sum(-1, keepdims=True), 1)
        snr = 0.1 * devices.gain / (10**-20.4 * band_hz)
        rate = band_hz * np.log2(1 + snr)
        np.testing.assert_allclose(devices.rate_bit_s[there], rate[there], rtol=1e-12)
    urgent = devices.active & devices.sensitive
    assert (devices.size_bit[urgent] >= 1e6).all() and (devices.size_bit[urgent] <= 3e6).all()
    assert (devices.size_bit[~urgent] == 0).all()
    # (11) is the slowest device, R^U the sum of (6), D the sum of D_k
    b, m = 3, 4
    own = np.flatnonzero(urgent[b, m])
    slowest = max(devices.size_bit[b, m, k] / devices.rate_bit_s[b, m, k] for k in own)
    assert state.upload_s[b, m] == pytest.approx(slowest)
    assert state.batch_bit[b, m] == pytest.approx(devices.size_bit[b, m, own].sum())
    tolerant = np.flatnonzero(devices.active[b, m] & ~devices.sensitive)
    assert state.collect_rate_bit_s[b, m] == pytest.approx(
        sum(devices.rate_bit_s[b, m, k] for k in tolerant)
    )
    assert s.devices.sensitive_count == (1, 5)


def test_devices_are_drawn_as_the_settings_say():
    scenario = maritime(uavs__count=100)
    state = scenario.reset(np.arange(40))
    devices = state.devices
    for kind, low, high in ((True, 1, 5), (False, 5, 10)):
        count = (devices.active & (devices.sensitive == kind)).sum(axis=-1)
        values, how_often = np.unique(count, return_counts=True)
        assert values.tolist() == list(range(low, high + 1))
        assert how_often.min() > 0.8 * count.size / len(values)
    away_m = np.linalg.norm(devices.position_m - state.uav_m[:, :, None], axis=-1)
    away_m = away_m[devices.active]
    assert away_m.max() <= 350.0
    assert (away_m**2).mean() == pytest.approx(350**2 / 2, rel=0.02)  # uniform on the disc
    # (3), (4): E|g|^2 = 1 around beta_0 d^-alpha of the 3-D distance
    mean_gain = 1e-4 * (away_m**2 + 500.0**2) ** -1.1
    fading = devices.gain[devices.active] / mean_gain
    assert fading.mean() == pytest.approx(1.0, abs=0.01)
    # Rician with K = 10: variance (2 K + 1) / (K + 1)^2
    assert fading.var() == pytest.approx(21 / 121, rel=0.05)
    assert (state.uav_m >= 0).all() and (state.uav_m <= 2000).all()


def test_times_energies_and_data_of_a_slot(two):
    scenario, state = two
    plan = decision(
        state, power_w=[[1.0, 0.5]], cpu_hz=[[4e9, 5e9]], ratio=[[0.5, 0.2]], start_s=[[1.0, 2.0]]
    )
    got = scenario.evaluate(state, plan)
    rate = np.array([80e6, 40e6 * math.log2(2.5)])
    delta = scenario.round_trip_s
    np.testing.assert_allclose(got.local_s[0], [400 * 1e6 / 2e9, 400 * 4e6 / 2e9])  # (12)
    np.testing.assert_allclose(got.transmit_s[0], [1e6 / 80e6, 1e6 / rate[1]])  # (13)
    np.testing.assert_allclose(got.propagation_s[0], delta / 2)  # (14)
    np.testing.assert_allclose(got.execute_s[0], [400 * 1e6 / 4e9, 400 * 1e6 / 5e9])  # (15)
    # (16): the first waits for its UAV (0.2 s), as offloading takes 0.0125 + 0.1 + 0.0075 s
    np.testing.assert_allclose(got.finish_s[0], [0.1 + 0.2, 0.2 + 0.8])
    np.testing.assert_allclose(got.collected_bit[0], [20e6 * 1.0, 30e6 * 2.0])  # (17)
    np.testing.assert_allclose(got.uploaded_bit[0], [80e6 * 2.0, 80e6 * 1.0])  # (19)
    np.testing.assert_allclose(
        got.next_stored_bit[0], [8e9 + 20e6 - 160e6, 8e9 + 60e6 - 80e6]
    )  # (22)
    np.testing.assert_allclose(got.sensitive_radio_j[0], [0.0125, 0.5e6 / rate[1]])  # (23)
    np.testing.assert_allclose(got.tolerant_radio_j[0], [2.0, 1.0])  # (23): p_DT (tau - t)
    np.testing.assert_allclose(
        got.uav_compute_j[0], [1e-28 * 4e18 * 400e6, 1e-28 * 4e18 * 1600e6]
    )  # (24)
    np.testing.assert_allclose(
        got.satellite_compute_j[0], [1e-28 * 16e18 * 400e6, 1e-28 * 25e18 * 400e6]
    )  # (26)
    np.testing.assert_allclose(
        got.uav_j, got.sensitive_radio_j + got.tolerant_radio_j + got.uav_compute_j
    )  # (25)
    energy_j = (got.uav_j + got.satellite_compute_j).sum()
    assert got.energy_j[0] == pytest.approx(energy_j)  # (27)
    assert got.utility_mbit[0] == pytest.approx(240 - 1.0 * energy_j)  # (28)
    assert not any(broken.any() for broken in got.violations.values())
    summary = scenario.summarise(state, got)
    assert summary.cost[0] == -got.utility_mbit[0]
    assert summary.latency_s[0] == pytest.approx((0.3 + 1.0) / 2)
    assert (summary.tasks[0], summary.completed[0], summary.violations[0]) == (2, 2, 0)
    assert summary.extra['delivered_mbit'][0] == pytest.approx(240)
    assert summary.extra['stored_mbit'][0] == pytest.approx(16000 + 80 - 240)


def test_two_propagation_delays_when_offloading_and_none_otherwise(two):
    scenario, state = two
    bare_s = scenario.round_trip_s
    everything = scenario.evaluate(state, decision(state, 1.0, 5e9, 1.0, 3.0))
    np.testing.assert_allclose(
        everything.finish_s - state.upload_s,
        state.batch_bit / 80e6 + bare_s + 400 * state.batch_bit / 5e9,
    )
    nothing = scenario.evaluate(state, decision(state, 0.0, 0.0, 0.0, 3.0))
    np.testing.assert_allclose(nothing.finish_s - state.upload_s, 400 * state.batch_bit / 2e9)
    assert (nothing.propagation_s == 0).all() and (nothing.transmit_s == 0).all()


def test_storage_limits_what_comes_in_and_what_goes_out(two):
    scenario, state = two
    full = replace(state, stored_bit=np.array([[12e9 - 1e6, 0.0]]))
    got = scenario.evaluate(full, decision(full, start_s=[[2.0, 2.0]]))
    # (18): 40 Mbit are offered to a room of 1 Mbit
    assert got.collected_bit[0, 0] == pytest.approx(1e6)
    assert got.overflow_bit[0, 0] == pytest.approx(39e6)
    # (20), (21): 80 Mbit could go, 60 Mbit came in during this slot
    assert got.uploaded_bit[0, 1] == pytest.approx(60e6)
    assert got.next_stored_bit[0, 1] == 0.0
    assert got.tolerant_radio_j[0, 1] == pytest.approx(60 / 80)  # only while sending
    assert got.violations['g'].tolist() == [[True, False]]
    assert got.violations['h'].tolist() == [[False, True]]
    assert scenario.summarise(full, got).violations[0] == 0
    assert scenario.summarise(full, got).extra['overflow_mbit'][0] == pytest.approx(39)


def test_a_late_task_takes_its_slot(two):
    scenario, state = two
    slow = replace(state, batch_bit=np.array([[20e6, 5e6]]))  # 4 s of computing
    got = scenario.evaluate(slow, decision(slow, start_s=[[1.0, 1.2]]))
    assert got.late.tolist() == [[True, False]]
    assert got.start_s[0, 0] == 3.0 and got.uploaded_bit[0, 0] == 0.0
    assert got.collected_bit[0, 0] == pytest.approx(60e6)
    assert got.violations['f'].tolist() == [[True, False]]
    summary = scenario.summarise(slow, got)
    assert summary.extra['late'][0] == 1 and summary.completed[0] == 1
    assert summary.latency_s[0] == pytest.approx(0.2 + 1.0)  # of the one that was served
    early = scenario.evaluate(state, decision(state, start_s=0.3))
    assert early.violations['f'].tolist() == [[True, True]] and not early.late.any()
    assert scenario.summarise(state, early).extra['early_uploads'][0] == 2


@pytest.mark.parametrize('missing', ['power_w', 'cpu_hz'])
def test_offloading_without_power_or_cpu_never_ends(two, missing):
    scenario, state = two
    got = scenario.evaluate(
        state, replace(decision(state, 1.0, 1e9, 0.5, 1.0), **{missing: np.zeros((1, 2))})
    )
    assert got.late.all() and np.isinf(got.finish_s).all()
    assert np.isfinite(got.utility_mbit).all()


@pytest.mark.parametrize(
    ('letter', 'given', 'limit'),
    [
        ('a', {'ratio': 1.5}, {'ratio': 1.0}),
        ('b', {'start_s': 4.0}, {'start_s': 3.0}),
        ('d', {'cpu_hz': 8e9}, {'cpu_hz': 5e9}),
        ('e', {'power_w': 7.0}, {'power_w': 1.0}),
    ],
)
def test_what_is_out_of_range_is_counted_and_does_not_pay(two, letter, given, limit):
    scenario, state = two
    sound = {'power_w': 1.0, 'cpu_hz': 4e9, 'ratio': 0.5, 'start_s': 2.0}
    beyond = scenario.evaluate(state, decision(state, **{**sound, **given}))
    at_limit = scenario.evaluate(state, decision(state, **{**sound, **limit}))
    assert beyond.violations[letter].all() and not at_limit.violations[letter].any()
    np.testing.assert_allclose(beyond.utility_mbit, at_limit.utility_mbit)
    per_copy = 1 if letter == 'd' else 2
    assert scenario.summarise(state, beyond).violations[0] == per_copy


@pytest.mark.parametrize('bad', [np.nan, np.inf, -1e-3])
@pytest.mark.parametrize('name', ['power_w', 'cpu_hz', 'ratio', 'start_s'])
def test_what_is_no_decision_is_refused_by_name(two, name, bad):
    scenario, state = two
    plan = decision(state)
    with pytest.raises(ValueError, match=name):
        scenario.evaluate(state, replace(plan, **{name: np.array([[0.0, bad]])}))
    with pytest.raises(ValueError, match=f'{name} has shape'):
        scenario.evaluate(state, replace(plan, **{name: np.zeros((1, 3))}))


@given(st.integers(0, 10**6), st.sampled_from([None, 'storage_limited', 'large_tasks']))
@settings(max_examples=25, deadline=None)
def test_storage_is_conserved_over_an_episode(seed, mode):
    scenario = maritime(mode)
    generator = np.random.default_rng(seed)
    state = first = scenario.reset(np.array([seed, seed + 1]))
    balance_bit = np.zeros_like(state.stored_bit)
    for _ in range(scenario.horizon):
        u = generator.random((4, *state.batch_bit.shape))
        state, outcome = scenario.step(state, MaritimeDecision(u[0], 1e9 * u[1], u[2], 3 * u[3]))
        balance_bit += outcome.collected_bit - outcome.uploaded_bit
        assert (state.stored_bit >= 0).all()
        assert (state.stored_bit <= scenario.settings.uavs.storage_bit).all()
        assert (outcome.uploaded_bit >= 0).all() and (outcome.overflow_bit >= 0).all()
    np.testing.assert_allclose(state.stored_bit, first.stored_bit + balance_bit, atol=1.0)


def test_a_batch_is_its_copies_one_by_one():
    scenario = maritime('half_storage')
    together = scenario.reset(np.array([5, 9, 5]))
    for _ in range(3):
        plan = decision(together, 0.7, 8e8, 0.3, 1.7)
        following, outcome = scenario.step(together, plan)
        for copy in range(3):
            one = take(together, np.array([copy]))
            got = scenario.evaluate(one, decision(one, 0.7, 8e8, 0.3, 1.7))
            np.testing.assert_array_equal(got.utility_mbit, outcome.utility_mbit[copy : copy + 1])
        together = following
    alone = scenario.reset(np.array([9]))
    np.testing.assert_array_equal(
        alone.batch_bit[0], scenario.reset(np.array([5, 9])).batch_bit[1]
    )
    np.testing.assert_array_equal(together.batch_bit[0], together.batch_bit[2])


def test_the_world_does_not_depend_on_what_is_decided():
    scenario = maritime()
    state = scenario.reset(np.array([1, 1]))
    different = MaritimeDecision(
        *(np.broadcast_to([[0.0], [0.4]], state.batch_bit.shape) for _ in range(4))
    )
    following, _ = scenario.step(state, different)
    for name in ('upload_s', 'batch_bit', 'collect_rate_bit_s', 'uav_m'):
        np.testing.assert_array_equal(getattr(following, name)[0], getattr(following, name)[1])
    assert (following.batch_bit != state.batch_bit).any()
    np.testing.assert_array_equal(following.uav_m, state.uav_m)  # UAVs stay, devices are redrawn


def test_a_uav_without_devices_has_nothing_to_do():
    scenario = maritime(devices__sensitive_count=[0, 1], devices__tolerant_count=[0, 0])
    state = scenario.reset(np.arange(5))
    idle = state.batch_bit == 0
    assert idle.any() and (~idle).any()
    assert (state.upload_s[idle] == 0).all() and (state.collect_rate_bit_s == 0).all()
    got = scenario.evaluate(state, decision(state, 1.0, 1e9, 0.5, 2.0))
    np.testing.assert_array_equal(got.finish_s[idle], 0.0)
    np.testing.assert_array_equal(scenario.summarise(state, got).tasks, (~idle).sum(axis=-1))


@pytest.mark.parametrize(
    ('overrides', 'text'),
    [
        ({'slot_s': 240.0}, 'slot_s = 240 outlasts the 232'),
        ({'uavs.initially_free_bit': 2e10}, 'no more can be free'),
        ({'uavs.tolerant_power_w': 2.0}, 'exceeds largest_power_w'),
        ({'devices.sensitive_count': [5, 1]}, 'must not exceed'),
        ({'radio.sensitive_share': 1.0}, 'less than 1'),
        ({'uavs.count': 0}, 'greater than or equal to 1'),
    ],
)
def test_unsound_settings_are_refused(overrides, text):
    with pytest.raises(ConfigError, match=text):
        read_settings('maritime', overrides)
