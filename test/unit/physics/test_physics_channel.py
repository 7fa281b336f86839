import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sec_nodes.physics import channel, randomness

POWERS = st.floats(1e-15, 1e3)


def test_decibels_by_hand():
    assert channel.db_to_ratio(30.0) == pytest.approx(1000.0)
    assert channel.db_to_ratio(-15.0) == pytest.approx(0.0316227766)
    assert channel.ratio_to_db(2.0) == pytest.approx(3.0102999566)
    assert channel.ratio_to_db(0.0) == -math.inf
    assert channel.dbm_to_watt(-100.0) == pytest.approx(1e-13)
    assert channel.dbm_to_watt(30.0) == pytest.approx(1.0)


@given(st.floats(-200, 200))
def test_decibels_go_round(value_db):
    back = channel.ratio_to_db(channel.db_to_ratio(value_db))
    assert back == pytest.approx(value_db, abs=1e-10)


def test_thermal_noise_by_hand():
    # 1.380649e-23 J/K * 290 K * 10 MHz = 4.003882e-14 W = -103.9752 dBm; + 4 dB = -99.9752 dBm.
    assert channel.thermal_noise_w(10e6, 0.0) == pytest.approx(4.003882e-14, rel=1e-6)
    level_dbm = channel.ratio_to_db(channel.thermal_noise_w(10e6, 4.0)) + 30.0
    assert level_dbm == pytest.approx(-99.9752, abs=1e-4)
    # Twice the band and 1 dB: -100.9649 + 1 = -99.9649 dBm, the paper's -100 again.
    level_dbm = channel.ratio_to_db(channel.thermal_noise_w(20e6, 1.0)) + 30.0
    assert level_dbm == pytest.approx(-99.9649, abs=1e-4)


def test_rician_power_by_hand():
    # kappa = 3, z = (2 + 0j)/sqrt(2): h = sqrt(3/4) + sqrt(1/4) * sqrt(2) = 0.866025 + 0.707107
    # = 1.573132, squared 2.474745.  With z = (0 + 2j)/sqrt(2): 0.75 + 0.5 = 1.25.
    normals = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    power = channel.rician_fading_power(3.0, normals)
    np.testing.assert_allclose(power, [2.474744871, 1.25, 0.75], rtol=1e-9)


def test_rayleigh_is_rician_without_line_of_sight():
    normals = randomness.normal(0, 0, np.arange(100), 0, 2)
    np.testing.assert_allclose(
        channel.rician_fading_power(0.0, normals), 0.5 * np.square(normals).sum(-1)
    )


@pytest.mark.parametrize('kappa', [0.0, 1.0, 10.0])
def test_rician_moments(kappa):
    normals = randomness.normal(2, randomness.Stream.FADING_AIR, np.arange(40_000), 0, 2)
    power = channel.rician_fading_power(kappa, normals)
    # Mean 1, variance (1 + 2 kappa)/(1 + kappa)^2: the noncentral chi-square of two degrees.
    variance = (1 + 2 * kappa) / (1 + kappa) ** 2
    assert power.mean() == pytest.approx(1.0, abs=5 * math.sqrt(variance / 40_000))
    assert power.var() == pytest.approx(variance, rel=0.05)


def test_shadowed_rician_moments_and_limits():
    b, m, omega = 0.126, 10.1, 0.835
    entity = np.arange(40_000)
    draw = randomness.gamma(1, randomness.Stream.FADING_SPACE, entity, 0, 1, m)[:, 0]
    normals = randomness.normal(1, randomness.Stream.FADING_SPACE, entity, 0, 2)
    power = channel.shadowed_rician_power(b, m, omega, draw, normals)
    # E|h|^2 = 2 b + omega = 1.087; var = 4 b^2 + 4 b omega + omega^2/m = 0.55337.
    assert power.mean() == pytest.approx(1.087, abs=5 * math.sqrt(0.553 / 40_000))
    assert power.var() == pytest.approx(0.55337, rel=0.05)
    # No scatter leaves the shadowed line of sight, omega/m times the gamma draw.
    np.testing.assert_allclose(
        channel.shadowed_rician_power(0.0, m, omega, draw, normals), omega / m * draw
    )
    # No line of sight leaves Rayleigh of mean 2 b.
    np.testing.assert_allclose(
        channel.shadowed_rician_power(b, m, 0.0, draw, normals), b * np.square(normals).sum(-1)
    )


def test_air_ground_gain_by_hand():
    # 1e-5 * 50^-2 * 1 = 4e-9, doubled by fading; exponent 3: 1e-5 / 125000 = 8e-11.
    assert channel.air_ground_gain(50.0, 1e-5, 2.0, 2.0) == pytest.approx(8e-9)
    assert channel.air_ground_gain(50.0, 1e-5, 3.0, 1.0) == pytest.approx(8e-11)


def test_zenith_link_budget_of_the_paper():
    # Free space at 500 km and 2 GHz: 20 log10(4 pi 5e5 2e9 / c) = 152.4478 dB.
    # SNR = 0 dBW + 30 dBi + 0 dBi - 5.3 dB - 152.4478 dB + 130 dB (N0 = 1e-13 W) = 2.252 dB.
    gain = channel.satellite_gain(
        500e3, 2e9, channel.db_to_ratio(30.0), 1.0, channel.db_to_ratio(5.3), 1.0
    )
    snr_db = channel.ratio_to_db(channel.sinr(gain * 1.0, 0.0, 1e-13, 1.0))
    assert snr_db == pytest.approx(2.252, abs=5e-4)


@given(st.floats(3e5, 3e6), st.floats(1.01, 3.0))
def test_satellite_gain_follows_the_inverse_square(slant_m, factor):
    near = channel.satellite_gain(slant_m, 2e9, 1000.0, 1.0, 3.4, 1.0)
    far = channel.satellite_gain(factor * slant_m, 2e9, 1000.0, 1.0, 3.4, 1.0)
    assert near / far == pytest.approx(factor**2)


def test_interference_by_hand():
    # Devices 0, 1, 3 at receiver 2, device 2 alone at 0, device 4 silent.
    power = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    receiver = np.array([2, 2, 0, 2, -1])
    found = channel.same_receiver_interference_w(power, receiver, 3)
    np.testing.assert_array_equal(found, [10.0, 9.0, 0.0, 3.0, 0.0])


def test_interference_survives_a_strong_own_signal_in_float32():
    # "Total minus own" would return 0 for device 0: 1 + 1e-10 rounds to 1.
    power = np.array([1.0, 1e-10], dtype=np.float32)
    found = channel.same_receiver_interference_w(power, np.array([0, 0]), 1)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, power[::-1])


@st.composite
def transmissions(draw):
    shape = draw(st.tuples(st.integers(0, 3), st.integers(0, 8)))
    power = draw(npst.arrays(float, shape, elements=st.floats(0, 1e3)))
    receiver = draw(npst.arrays(np.int64, shape, elements=st.integers(-1, 3)))
    return power, receiver


@settings(max_examples=40, deadline=None)
@given(transmissions())
def test_interference_against_the_definition(case):
    power, receiver = case
    expected = np.zeros_like(power)
    for batch in range(power.shape[0]):
        for k in range(power.shape[1]):
            for j in range(power.shape[1]):
                if j != k and receiver[batch, j] == receiver[batch, k] != -1:
                    expected[batch, k] += power[batch, j]
    found = channel.same_receiver_interference_w(power, receiver, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(st.permutations(list(range(6))))
def test_interference_does_not_depend_on_the_order_of_devices(order):
    power = np.array([1.0, 0.5, 3.0, 0.01, 7.0, 2.0])
    receiver = np.array([0, 1, 0, 1, 1, -1])
    found = channel.same_receiver_interference_w(power, receiver, 2)
    moved = channel.same_receiver_interference_w(power[order], receiver[order], 2)
    np.testing.assert_allclose(moved, found[order], rtol=1e-14)


def test_sinr_by_hand():
    # 8e-9 / (0.5 * 2e-9 + 1e-9) = 4.
    assert channel.sinr(8e-9, 2e-9, 1e-9, 0.5) == pytest.approx(4.0)
    assert channel.sinr(0.0, 2e-9, 1e-9, 0.5) == 0.0


def test_rate_by_hand_and_far_below_the_noise():
    assert channel.shannon_rate_bit_s(10e6, 3.0) == pytest.approx(20e6)
    assert channel.shannon_rate_bit_s(10e6, 0.0) == 0.0
    # log2(1 + x) -> x / ln 2; 1 + 1e-18 would round to 1 and give no rate at all.
    assert channel.shannon_rate_bit_s(1.0, 1e-18) == pytest.approx(1e-18 / math.log(2))


@given(POWERS, st.floats(1.001, 100.0), POWERS)
def test_rate_rises_with_power_and_falls_with_interference(power, factor, interference):
    def rate(received, other):
        return channel.shannon_rate_bit_s(1e7, channel.sinr(received, other, 1e-6, 1.0))

    assert rate(power * factor, interference) > rate(power, interference)
    assert rate(power, interference * factor) <= rate(power, interference)


def test_transmission_time_limits():
    size = np.array([0.0, 0.0, 5e6, 5e6])
    rate = np.array([0.0, 1e6, 0.0, 1e6])
    np.testing.assert_array_equal(
        channel.transmission_time_s(size, rate), [0.0, 0.0, math.inf, 5.0]
    )


@given(st.floats(1e3, 1e7), st.floats(0.01, 5.0), st.floats(1e-12, 1e-6))
def test_minimum_power_is_the_inverse_of_the_rate(size_bit, time_s, gain):
    noise_w, bandwidth_hz = 1e-13, 1e7
    power = channel.minimum_power_w(size_bit, time_s, bandwidth_hz, noise_w, gain)
    if not math.isfinite(power):
        assert size_bit / (bandwidth_hz * time_s) > 1000
        return
    rate = channel.shannon_rate_bit_s(bandwidth_hz, channel.sinr(gain * power, 0.0, noise_w, 1.0))
    assert channel.transmission_time_s(size_bit, rate) == pytest.approx(time_s, rel=1e-9)


def test_minimum_power_by_hand_and_limits():
    # D / (B T) = 2e7 / (1e7 * 1) = 2: (2^2 - 1) * 1e-13 / 1e-10 = 3e-3 W.
    assert channel.minimum_power_w(2e7, 1.0, 1e7, 1e-13, 1e-10) == pytest.approx(3e-3)
    size = np.array([0.0, 1.0, 1.0, 1.0, 1e12])
    time = np.array([0.0, 0.0, -1.0, 1.0, 1.0])
    gain = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    np.testing.assert_array_equal(
        channel.minimum_power_w(size, time, 1e6, 1e-13, gain), [0.0] + [math.inf] * 4
    )


def test_float32_stays_float32():
    power = np.full((4, 3), 1e-9, dtype=np.float32)
    noise = channel.sinr(power, np.zeros_like(power), 1e-13, 1.0)
    rate = channel.shannon_rate_bit_s(1e7, noise)
    normals = np.ones((4, 3, 2), dtype=np.float32)
    results = {
        'gain': channel.air_ground_gain(power + 50, 1e-5, 2.0, power),
        'fading': channel.rician_fading_power(10.0, normals),
        'shadowing': channel.shadowed_rician_power(0.126, 10.1, 0.835, power, normals),
        'satellite': channel.satellite_gain(power + 5e5, 2e9, 1e3, 1.0, 3.4, power),
        'sinr': noise,
        'rate': rate,
        'time': channel.transmission_time_s(power, rate),
        'minimum power': channel.minimum_power_w(power, 1.0, 1e7, 1e-13, power),
    }
    assert {name: value.dtype for name, value in results.items()} == dict.fromkeys(
        results, np.dtype(np.float32)
    )


@pytest.mark.parametrize(
    ('call', 'named'),
    [
        (
            lambda: channel.air_ground_gain(np.array([5.0, -2.0]), 1e-5, 2.0, 1.0),
            '-2.0 at index 1',
        ),
        (lambda: channel.air_ground_gain(math.nan, 1e-5, 2.0, 1.0), 'distance_m is nan'),
        (lambda: channel.satellite_gain(0.0, 2e9, 1.0, 1.0, 1.0, 1.0), 'slant_m'),
        (lambda: channel.satellite_gain(5e5, 0.0, 1.0, 1.0, 1.0, 1.0), 'carrier_hz'),
        (lambda: channel.satellite_gain(5e5, 2e9, 1.0, 1.0, 0.5, 1.0), 'additional_loss'),
        (lambda: channel.thermal_noise_w(-1.0, 0.0), 'bandwidth_hz'),
        (lambda: channel.rician_fading_power(-1.0, np.ones(2)), 'kappa'),
        (lambda: channel.rician_fading_power(1.0, np.ones(3)), 'normals has shape'),
        (lambda: channel.sinr(1.0, 0.0, 0.0, 1.0), 'noise_w'),
        (lambda: channel.sinr(1.0, -1.0, 1.0, 1.0), 'interference_w'),
        (lambda: channel.shannon_rate_bit_s(1.0, -0.1), 'sinr_ratio'),
        (lambda: channel.transmission_time_s(-1.0, 1.0), 'size_bit'),
        (lambda: channel.transmission_time_s(1.0, math.nan), 'rate_bit_s'),
        (lambda: channel.minimum_power_w(1.0, 1.0, 0.0, 1.0, 1.0), 'bandwidth_hz'),
        (lambda: channel.ratio_to_db(-1.0), 'ratio'),
        (
            lambda: channel.same_receiver_interference_w(np.ones(2), np.array([0, 3]), 3),
            'receiver',
        ),
    ],
)
def test_wrong_input_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()
