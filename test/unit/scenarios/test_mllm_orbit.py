"""Satellites of mllm: eqs (4) and (5) as corrected, access satellites and routes."""

import math
from dataclasses import replace

import numpy as np
import pytest
from mllm_cases import ZENITH, build, decide, plain

from sec_nodes.physics import spherical

DEG = math.pi / 180
R, H = 6_371_000.0, 500_000.0


def zenith(**overrides):
    return build(**{key.replace('.', '__'): value for key, value in ZENITH.items()}, **overrides)


def test_orbital_rate_and_the_length_of_a_zenith_pass():
    scenario = zenith()
    assert scenario.chain.rate_rad_s == pytest.approx(1.108508e-3, rel=1e-6)
    # Rise: phi = -omega(theta_min); (4), (5): 442.636 s until it sets.
    reach = math.acos(R / (R + H) * math.cos(10 * DEG)) - 10 * DEG
    rising = -reach + 1e-9
    orbit = scenario.chain.orbit(rising + 7.5 * DEG * np.array([[0.0, 1.0, 2.0, 3.0]]))
    assert orbit.visible[0, 0]
    assert orbit.remaining_s[0, 0] == pytest.approx(442.636, abs=1e-3)
    # v_vis = 2 (R + H) omega / T, the orbital speed.
    speed_m_s = 2 * (R + H) * reach / orbit.remaining_s[0, 0]
    assert speed_m_s == pytest.approx(math.sqrt(3.986004418e14 / (R + H)), rel=1e-6)


def test_a_satellite_at_the_zenith():
    orbit = zenith().orbit(plain(zenith()))
    assert orbit.elevation_rad[0, 1] == pytest.approx(math.pi / 2)
    assert orbit.slant_m[0, 1] == pytest.approx(H)
    assert orbit.remaining_s[0, 1] == pytest.approx(442.636 / 2, abs=1e-3)


def test_a_satellite_off_the_zenith():
    scenario = zenith()
    orbit = scenario.orbit(plain(scenario))
    # phi = 7.5 degrees: law of cosines, and the elevation by the sine rule.
    slant_m = math.sqrt(R**2 + (R + H) ** 2 - 2 * R * (R + H) * math.cos(7.5 * DEG))
    elevation = math.acos((R + H) * math.sin(7.5 * DEG) / slant_m)
    assert orbit.slant_m[0, 2] == pytest.approx(slant_m)
    assert orbit.elevation_rad[0, 2] == pytest.approx(elevation)
    # The one that comes (phi = -7.5 degrees) stays longer than the one that goes, by 15 degrees.
    longer_s = orbit.remaining_s[0, 0] - orbit.remaining_s[0, 2]
    assert longer_s == pytest.approx(15 * DEG / 1.108508e-3, rel=1e-6)


def test_hidden_satellites_are_reached_through_the_highest():
    scenario = zenith()
    orbit = scenario.orbit(plain(scenario))
    assert orbit.visible[0].tolist() == [True, True, True, False]  # 15 degrees is beyond 14.06
    assert orbit.access[0].tolist() == [0, 1, 2, 1]
    # Order along the track: 3 (-15), 0 (-7.5), 1 (0), 2 (7.5).
    assert orbit.hops[0].tolist() == [0, 0, 0, 2]
    chord_m = 2 * (R + H) * math.sin(3.75 * DEG)
    assert orbit.isl_m[0] == pytest.approx([0, 0, 0, 2 * chord_m])
    assert orbit.access_slant_m[0, 3] == pytest.approx(H)
    assert orbit.access_remaining_s[0, 3] == orbit.remaining_s[0, 1]
    assert orbit.remaining_s[0, 3] == 0


def test_links_between_planes_are_longer():
    scenario = build()
    state = plain(scenario)
    orbit = scenario.orbit(state)
    # Neighbours differ by 7.5 degrees along and 6 degrees across the track.
    cosine = math.cos(3 * DEG) ** 2 * math.cos(7.5 * DEG) - math.sin(3 * DEG) ** 2
    chord_m = (R + H) * math.sqrt(2 - 2 * cosine)
    assert orbit.isl_m[0, 3] == pytest.approx(2 * chord_m)


def walk(position_m, in_track_rad, start, end):
    """Hops and length from one satellite to another, from neighbour to neighbour."""
    chain = sorted(range(len(in_track_rad)), key=lambda n: in_track_rad[n])
    first, last = sorted((chain.index(start), chain.index(end)))
    steps = [
        np.linalg.norm(position_m[chain[place + 1]] - position_m[chain[place]])
        for place in range(first, last)
    ]
    return len(steps), sum(steps)


@pytest.mark.parametrize('cross', [[3.0, -3.0, 3.0, -3.0], [1.0, -2.0, 5.0], [5.0], [14.5, 0.0]])
def test_as_the_general_functions(cross):
    scenario = build(satellites__cross_track_deg=cross, satellites__accuracy=[0.7] * len(cross))
    state = scenario.reset(np.arange(500))
    orbit, psi = scenario.orbit(state), np.radians(cross)
    central = spherical.central_angle_rad(state.in_track_rad, psi)
    elevation = spherical.elevation_rad(H, central)
    np.testing.assert_allclose(orbit.elevation_rad, elevation, atol=1e-9)
    np.testing.assert_allclose(orbit.slant_m, spherical.slant_range_m(H, central), rtol=1e-12)
    np.testing.assert_array_equal(orbit.visible, elevation >= 10 * DEG)
    remaining_s = spherical.remaining_pass_s(H, 10 * DEG, state.in_track_rad, psi)
    np.testing.assert_allclose(orbit.remaining_s, remaining_s, atol=1e-9)
    position_m = spherical.shell_position_m(H, state.in_track_rad, psi)
    for copy in range(0, 500, 7):
        for n, access in enumerate(orbit.access[copy]):
            assert (access >= 0) == orbit.visible[copy].any()
            if access >= 0:
                hops, length_m = walk(position_m[copy], state.in_track_rad[copy], n, access)
                assert orbit.hops[copy, n] == hops
                assert orbit.isl_m[copy, n] == pytest.approx(length_m)


def test_at_least_three_and_3_6_satellites_on_average_are_visible():
    scenario = build()
    phase = (np.arange(20_000) + 0.5) / 20_000
    visible = scenario.chain.orbit(scenario.chain.start(phase)).visible.sum(axis=-1)
    assert visible.min() == 3
    assert visible.mean() == pytest.approx(3.6, abs=0.1)


def test_satellites_advance_and_are_replaced():
    scenario = build()
    state = scenario.reset(np.arange(50))
    start = state.in_track_rad
    for _ in range(20):
        state, _ = scenario.step(state, decide(state, 0))
    ahead = (state.in_track_rad - start) % (30 * DEG)
    np.testing.assert_allclose(ahead, 20 * 3 * 1.1085083e-3, rtol=1e-6)
    assert state.in_track_rad.min() >= -15 * DEG
    assert state.in_track_rad.max() < 15 * DEG


def test_a_sky_without_satellites():
    scenario = zenith(satellites__spacing_deg=20.0)
    state = plain(scenario)
    angles = 20 * DEG * (np.array([[-1.0, 0.0, 1.0, 2.0]]) + 2)
    orbit = scenario.orbit(replace(state, in_track_rad=angles + 30 * DEG))
    assert not orbit.visible.any()
    assert not orbit.has_access.any()
    assert orbit.access.tolist() == [[-1] * 4]
    assert not orbit.hops.any()
    assert not orbit.access_remaining_s.any()


def test_other_angles_are_refused():
    scenario = build()
    state = plain(scenario)
    for angles in ([0.0, 0.1, 0.2, 0.3], [0.0, math.nan, 0.2, 0.3]):
        with pytest.raises(ValueError, match='in_track_rad'):
            scenario.orbit(replace(state, in_track_rad=np.array([angles])))


def test_a_state_that_is_changed_in_place_is_noticed():
    scenario = build()
    state = plain(scenario)
    before = scenario.orbit(state).slant_m.copy()
    state.in_track_rad[:] += 0.01
    assert np.abs(scenario.orbit(state).slant_m - before).min() > 100
