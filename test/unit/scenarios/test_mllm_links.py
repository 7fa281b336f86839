"""Radio of mllm: eqs (6) to (11) by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from mllm_cases import ZENITH, build, decide, plain

from sec_nodes.scenarios.mllm import Mllm, MllmDecision
from sec_nodes.scenarios.registry import read_settings

NOISE_W = 1e-13
TWO = {'devices__count': 2}
ALONE = {'devices__count': 1}
C = 299_792_458.0


def zenith(**overrides):
    return build(**{key.replace('.', '__'): value for key, value in ZENITH.items()}, **overrides)


def test_gain_of_a_uav_is_a_power_gain():
    scenario = build()
    state = plain(scenario)
    gain = scenario.gains(state, state.uav_m)
    # (6): 30 m away at 40 m altitude, d = 50 m; beta_0 = 1e-5.
    assert gain[0, 0, 0] == pytest.approx(1e-5 / 50**2)
    # 300 m away at 50 m altitude.
    assert gain[0, 0, 1] == pytest.approx(1e-5 / (300**2 + 50**2))
    faded = replace(state, fading_uav=np.full_like(state.fading_uav, 0.25))
    np.testing.assert_allclose(scenario.gains(faded, state.uav_m)[..., :3], 0.25 * gain[..., :3])


def test_the_path_loss_exponent_counts():
    gains = {}
    for exponent in (2.0, 3.0):
        scenario = build(radio__path_loss_exponent=exponent)
        state = plain(scenario)
        gains[exponent] = scenario.gains(state, state.uav_m)[0, 0, 0]
    assert gains[2.0] / gains[3.0] == pytest.approx(50.0)


def test_snr_at_the_zenith_is_2_252_db():
    scenario = zenith()
    state = plain(scenario)
    snr = scenario.gains(state, state.uav_m)[0, 0, 4] / NOISE_W
    assert 10 * math.log10(snr) == pytest.approx(2.252, abs=1e-3)


def test_gain_of_a_hidden_satellite_is_that_of_its_access():
    scenario = zenith()
    state = plain(scenario)
    state.fading_satellite[..., 1], state.fading_satellite[..., 3] = 0.5, 7.0
    gain = scenario.gains(state, state.uav_m)
    np.testing.assert_array_equal(gain[..., 6], gain[..., 4])


def test_a_lone_device_is_not_disturbed():
    scenario = build(**ALONE)
    state = plain(scenario)
    outcome = scenario.evaluate(state, decide(state, 0, 0.5))
    snr = 1e-5 / 2500 * 0.5 / NOISE_W
    assert outcome.sinr[0, 0] == pytest.approx(snr)
    # (8): 10 MHz.
    assert outcome.rate_bit_s[0, 0] == pytest.approx(1e7 * math.log2(1 + snr))


def pair(interference, server=(0, 0), residual_db=-15.0, **changes):
    """Two devices, 50 m and 130 m from UAV 0, at 1 W and 0.5 W."""
    scenario = build(
        radio__interference=interference, radio__residual_interference_db=residual_db, **TWO
    )
    state = plain(scenario)
    state.device_m[0, 1] = [130.0, 100.0 + math.sqrt(130**2 - 40**2)]
    state = replace(state, **changes)
    return scenario.evaluate(state, decide(state, list(server), [1.0, 0.5]))


NEAR, FAR = 1e-5 / 50**2, 1e-5 / 130**2


def test_same_server_interference_is_softened_by_xi():
    outcome = pair('same_server')
    xi = 10**-1.5
    assert outcome.sinr[0, 0] == pytest.approx(NEAR / (xi * FAR * 0.5 + NOISE_W))
    assert outcome.sinr[0, 1] == pytest.approx(FAR * 0.5 / (xi * NEAR + NOISE_W))
    # xi = 1 is the print.
    assert pair('same_server', residual_db=0.0).sinr[0, 0] == pytest.approx(
        NEAR / (FAR * 0.5 + NOISE_W)
    )


def test_devices_of_other_servers_disturb_only_where_they_are_meant_to():
    undisturbed = NEAR / NOISE_W
    # Device 1 sends to UAV 2 at (400, 100); UAV 0 hears it with gain FAR.
    disturbed = NEAR / (10**-1.5 * FAR * 0.5 + NOISE_W)
    assert pair('same_server', (0, 2)).sinr[0, 0] == pytest.approx(undisturbed)
    assert pair('same_tier', (0, 2)).sinr[0, 0] == pytest.approx(disturbed)
    assert pair('all', (0, 2)).sinr[0, 0] == pytest.approx(disturbed)
    assert pair('same_tier', (0, 3)).sinr[0, 0] == pytest.approx(undisturbed)
    assert pair('all', (0, 3)).sinr[0, 0] == pytest.approx(disturbed)
    assert pair('none', (0, 0)).sinr[0, 0] == pytest.approx(undisturbed)


def test_orthogonal_devices_share_band_and_noise():
    outcome = pair('orthogonal')
    assert outcome.sinr[0, 0] == pytest.approx(2 * NEAR / NOISE_W)
    assert outcome.rate_bit_s[0, 0] == pytest.approx(0.5e7 * math.log2(1 + 2 * NEAR / NOISE_W))


def test_devices_that_do_not_ask_disturb_nobody():
    for interference in ('same_server', 'same_tier', 'all', 'orthogonal'):
        outcome = pair(interference, active=np.array([[True, False]]))
        assert outcome.sinr[0, 0] == pytest.approx(NEAR / NOISE_W)


def test_satellites_disturb_each_other_at_the_access_satellite():
    # Satellites 1 and 3 compute; both are heard by 1, with 20 MHz.
    scenario = zenith(**TWO)
    state = plain(scenario)
    outcome = scenario.evaluate(state, decide(state, [4, 6]))
    gain = 10**2.47 * (C / (4 * math.pi * 5e5 * 2e9)) ** 2
    sinr = gain / (10**-1.5 * gain + NOISE_W)
    assert outcome.receiver.tolist() == [[4, 4]]
    assert outcome.access.tolist() == [[1, 1]]
    np.testing.assert_allclose(outcome.sinr, sinr)
    np.testing.assert_allclose(outcome.rate_bit_s, 2e7 * math.log2(1 + sinr))
    apart = scenario.evaluate(state, decide(state, [4, 5]))
    assert apart.sinr[0, 0] == pytest.approx(gain / NOISE_W)


def test_a_weak_disturber_counts_beside_a_strong_signal_in_float32():
    scenario = build(dtype=np.float32, **TWO)
    state = plain(scenario)
    state = replace(
        state,
        **{
            name: getattr(state, name).astype(np.float32)
            for name in ('device_m', 'fading_uav', 'fading_satellite', 'uav_m', 'size_bit')
        },
    )
    state.fading_uav[0, 1] = 1e-6
    outcome = scenario.evaluate(state, decide(state, [0, 0]))
    expected = NEAR / (10**-1.5 * NEAR * 1e-6 + NOISE_W)
    assert outcome.sinr[0, 0] == pytest.approx(expected, rel=1e-5)


def test_noise_as_a_density_is_ten_million_times_more():
    scenario = build('mllm:literal', **ALONE)
    state = plain(scenario)
    outcome = scenario.evaluate(state, decide(state, 0))
    assert outcome.sinr[0, 0] == pytest.approx(NEAR / 1e-6)
    outcome = scenario.evaluate(state, decide(state, 4))
    assert scenario.links.noise_w[4] == pytest.approx(2e-6)


def test_as_printed_an_upload_takes_minutes():
    # Nearest UAV at full power, all devices disturbing each other, noise per hertz: median
    # 590 s (UAVs in the middle of their devices) to 860 s (where they start).
    scenario = build('mllm:literal')
    state = scenario.reset(np.arange(300))
    nearest = scenario.links.offset2_m2(state.device_m, state.uav_m).argmin(axis=-1)
    outcome = scenario.evaluate(state, decide(state, nearest))
    assert np.median(state.size_bit / outcome.rate_bit_s) == pytest.approx(784, rel=0.2)
    assert np.median(outcome.radio_s) == 30.0


def test_answers_are_disturbed_by_the_other_uavs():
    scenario = build(**ALONE)
    state = plain(scenario)
    outcome = scenario.evaluate(state, decide(state, 0))
    # (9): UAVs 1 and 2 are 300 m away, at 50 m and 60 m; P_m = 2 W, 64 words of 48 bit.
    others = 1e-5 / (300**2 + 50**2) + 1e-5 / (300**2 + 60**2)
    rate = 1e7 * math.log2(1 + 2 * NEAR / (2 * others + NOISE_W))
    assert outcome.download_s[0, 0] == pytest.approx(48 * 64 / rate)
    assert outcome.download_j[0, 0] == pytest.approx(2 * 48 * 64 / rate)


def test_a_receiver_straight_below_is_no_singularity():
    scenario = build(**ALONE)
    state = plain(scenario)
    uav_m = state.uav_m.copy()
    uav_m[0, 0] = state.device_m[0, 0]
    gain = scenario.gains(state, uav_m)[0, 0, 0]
    assert gain == pytest.approx(1e-5 / 40**2)


@examples(max_examples=40, deadline=None)
@given(st.floats(0, 380), st.floats(0.5, 60))
def test_gain_falls_with_distance(distance_m, further_m):
    scenario = SINGLE
    state = plain(scenario)
    uav_m = state.uav_m.copy()
    uav_m[0, 0] = state.device_m[0, 0] + [distance_m, 0.0]
    near = scenario.gains(state, uav_m)[0, 0, 0]
    uav_m[0, 0, 0] += further_m
    assert scenario.gains(state, uav_m)[0, 0, 0] < near


SINGLE = build(devices__count=1)


def test_same_server_and_all_differ_little_once_xi_is_small():
    cost = {}
    for interference in ('same_server', 'all'):
        scenario = build(radio__interference=interference)
        state = scenario.reset(np.arange(400))
        nearest = scenario.links.offset2_m2(state.device_m, state.uav_m).argmin(axis=-1)
        cost[interference] = scenario.evaluate(state, decide(state, nearest)).cost.mean()
    assert cost['all'] == pytest.approx(cost['same_server'], rel=0.03)
    assert cost['all'] > cost['same_server']


def test_many_devices_are_counted_like_few():
    changes = {
        'devices.count': 200,
        'satellites.accuracy': [0.7] * 300,
        'satellites.cross_track_deg': [3.0] * 300,
        'satellites.spacing_deg': 1.2,
    }
    scenario = Mllm(read_settings('mllm:stress', changes))
    state = scenario.reset(np.arange(2))
    rng = np.random.default_rng(3)
    server = rng.choice([0, 1, 3 + 7, 3 + 100, 3 + 263], state.size_bit.shape)
    decision = MllmDecision(server, rng.uniform(0.1, 1, server.shape), state.uav_m)
    outcome = scenario.evaluate(state, decision)
    gain, noise_w = scenario.gains(state, state.uav_m), scenario.links.noise_w
    for copy in range(2):
        received_w = [
            gain[copy, k, s] * decision.power_w[copy, k] for k, s in enumerate(server[copy])
        ]
        for k in range(0, 200, 23):
            others_w = sum(
                received_w[j]
                for j in range(200)
                if j != k and outcome.receiver[copy, j] == outcome.receiver[copy, k]
            )
            assert outcome.sinr[copy, k] == pytest.approx(
                received_w[k] / (others_w + noise_w[server[copy, k]]), rel=1e-9
            )
