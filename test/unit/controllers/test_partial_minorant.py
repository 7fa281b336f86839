"""Lower bounds of rates and of bits in time: below everywhere, tight where they touch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sec_nodes.controllers.partial.minorant import (
    SLOTS_AHEAD,
    SLOTS_BACK,
    RateMinorants,
    joint_minorant_bit_s,
    los_free_minorant_bit_s,
    plane_minorant,
    time_minorant,
)
from sec_nodes.physics.urban import rate_bit_s, rate_slope_bit_s_m, snr
from sec_nodes.scenarios.registry import read_settings

LINK = read_settings('partial').link
GRID_M = np.linspace(0.0, 900.0, 3601)

links = st.builds(
    lambda altitude_m, loss_db: replace(LINK, altitude_m=altitude_m, penetration_loss_db=loss_db),
    st.sampled_from([60.0, 200.0, 260.0]),
    st.sampled_from([0.0, 30.0, 41.5]),
)
distances = st.floats(0.0, 900.0)


def parabola(link, distance_m):
    return RateMinorants(link, 1, 900.0).around(np.array([[distance_m]]))


def bowl(link, offset_m):
    return plane_minorant(parabola(link, float(np.hypot(*offset_m))), offset_m[None, None])


class TestPaper:
    def test_it_prices_a_link_as_if_there_were_no_line_of_sight(self):
        assert float(los_free_minorant_bit_s(0.0, 0.0, LINK)) == pytest.approx(13.8e3, rel=2e-3)
        assert float(rate_bit_s(0.0, LINK)) == pytest.approx(83.9e3, rel=1e-3)

    @given(links, distances)
    def test_it_is_below(self, link, local_m):
        assert (los_free_minorant_bit_s(GRID_M, local_m, link) <= rate_bit_s(GRID_M, link)).all()

    @given(links, distances)
    def test_it_is_the_tangent_of_the_rate_without_a_sight(self, link, local_m):
        # A = 0 with the loss of no sight: then nothing was given up, and it touches the rate
        dark = replace(link, los_loss_db=link.nlos_loss_db)
        value = los_free_minorant_bit_s(local_m, local_m, link)
        assert value == pytest.approx(float(rate_bit_s(local_m, dark)), rel=1e-9)
        step_m = 0.01
        rise = los_free_minorant_bit_s(local_m + step_m, local_m, link) - value
        slope = float(rate_slope_bit_s_m(local_m + step_m / 2, dark))
        assert rise / step_m == pytest.approx(slope, rel=1e-2, abs=1e-3)

    def test_a_frozen_line_of_sight_is_no_bound(self):
        # the tangent by v = (d / H)^2 at 300 m, with the elevation's share as it is there
        v_local, v = (300.0 / 200.0) ** 2, (465.0 / 200.0) ** 2
        xi = float(snr(300.0, LINK)) * (1.0 + v_local)
        slope = -xi / (np.log(2) * ((1 + v_local) ** 2 + xi * (1 + v_local)))
        frozen = np.log2(1 + xi / (1 + v_local)) + slope * (v - v_local)
        assert LINK.bandwidth_hz * frozen == pytest.approx(32.2e3, rel=2e-3)
        assert float(rate_bit_s(465.0, LINK)) == pytest.approx(16.4e3, rel=3e-3)


class TestRates:
    @given(links, distances)
    def test_they_are_below(self, link, local_m):
        exact = rate_bit_s(GRID_M, link) * (1 + 1e-12)
        assert (joint_minorant_bit_s(GRID_M, local_m, link) <= exact).all()
        assert (parabola(link, local_m).at(GRID_M) <= exact).all()

    @given(links, distances)
    def test_they_touch_with_the_same_slope(self, link, local_m):
        exact, slope = float(rate_bit_s(local_m, link)), float(rate_slope_bit_s_m(local_m, link))
        found = parabola(link, local_m)
        assert float(found.at(np.array(local_m))[0, 0]) == pytest.approx(exact)
        assert float(joint_minorant_bit_s(local_m, local_m, link)) == pytest.approx(exact)
        step_m = 1e-3
        ends = np.array([local_m, local_m + step_m])
        for value in (found.at(ends)[0], joint_minorant_bit_s(ends, local_m, link)):
            assert np.diff(value)[0] / step_m == pytest.approx(slope, rel=1e-3, abs=0.01)

    @given(links, distances, st.floats(0, 6.3), st.floats(0, 900), st.floats(0, 6.3))
    def test_the_joint_one_is_concave_along_lines(self, link, local_m, turn, far_m, other):
        ends = [local_m * np.exp(1j * turn), far_m * np.exp(1j * other)]
        share = np.linspace(0.0, 1.0, 41)
        distance_m = np.abs(ends[0] * (1 - share) + ends[1] * share)
        value = joint_minorant_bit_s(distance_m, local_m, link)
        assert (np.diff(value, 2) <= 1e-9 * np.abs(value).max()).all()

    @given(links, st.floats(0.0, 850.0), st.floats(0, 6.3))
    def test_bowls_are_below_in_the_whole_plane(self, link, local_m, turn):
        offset_m = local_m * np.array([np.cos(turn), np.sin(turn)])
        found = bowl(link, offset_m)
        angle = np.linspace(0.0, 2 * np.pi, 49)[:, None]
        place_m = GRID_M[::6, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)[:, 0]
        exact = rate_bit_s(np.hypot(place_m[..., 0], place_m[..., 1]), link)
        assert (found.at(place_m - offset_m) <= exact * (1 + 1e-12)).all()
        assert (found.curvature_bit_s_m2 >= 0).all()

    @given(links, st.floats(1.01, 850.0), st.floats(0, 6.3))
    def test_bowls_touch_with_the_same_slope(self, link, local_m, turn):
        along = np.array([np.cos(turn), np.sin(turn)])
        found = bowl(link, local_m * along)
        assert found.rate_bit_s[0, 0] == pytest.approx(float(rate_bit_s(local_m, link)))
        slope = float(rate_slope_bit_s_m(local_m, link))
        np.testing.assert_allclose(found.gradient_bit_s_m[0, 0], slope * along, atol=1e-9)

    @given(links, st.floats(0.0, 1.0, exclude_max=True))
    def test_right_overhead_a_bowl_lies_a_trifle_below(self, link, local_m):
        found = bowl(link, np.array([local_m, 0.0]))
        rate = float(rate_bit_s(local_m, link))
        assert 0.0 <= rate - found.rate_bit_s[0, 0] < 2e-5 * rate
        if link.altitude_m == 200.0:
            assert rate - found.rate_bit_s[0, 0] < 2e-6 * rate
        # and it is hardly sharper than a little aside, though the slope has a kink
        beside = bowl(link, np.array([2.0, 0.0])).curvature_bit_s_m2[0, 0]
        assert found.curvature_bit_s_m2[0, 0] < 2.5 * beside

    def test_wide_areas(self):
        far = RateMinorants(LINK, 1, 2500.0)
        distance_m = np.linspace(0.0, 2500.0, 2501)
        for local_m in (0.0, 333.3, 1200.7, 2400.2):
            value = far.around(np.array([[local_m]])).at(distance_m)
            assert (value <= rate_bit_s(distance_m, LINK) * (1 + 1e-12)).all()

    def test_each_link_has_its_own_loss(self):
        loss_db = np.array([[30.0], [42.0]])
        both = RateMinorants(replace(LINK, penetration_loss_db=loss_db), 2, 900.0)
        found = both.around(np.full((2, 3), 210.0))
        for row, loss in enumerate(loss_db[:, 0]):
            alone = parabola(replace(LINK, penetration_loss_db=loss), 210.0)
            for name, value in vars(alone).items():
                np.testing.assert_allclose(getattr(found, name)[row], value[0, 0])
        assert found.rate_bit_s[1, 0] < found.rate_bit_s[0, 0]


class TestTime:
    SLOT_S, SLOTS = 1.4, 20

    def draw(self, seed, end_s):
        rng = np.random.default_rng(seed)
        slow = rng.uniform(5e3, 60e3, (1, self.SLOTS))
        fast = slow + rng.uniform(0.0, 30e3, slow.shape)
        rate = slow + rng.uniform(0.0, 1.0, slow.shape) * (fast - slow)
        return time_minorant(fast, slow, np.array([end_s]), self.SLOT_S), rate[0]

    def carried_bit(self, rate, from_s, until_s):
        """Piece by piece, between all times at which the rate changes."""
        cuts = np.unique(np.clip(np.arange(self.SLOTS + 1) * self.SLOT_S, from_s, until_s))
        slot = np.minimum(((cuts[1:] + cuts[:-1]) / 2 / self.SLOT_S).astype(int), self.SLOTS - 1)
        return float((np.diff(cuts) * rate[slot]).sum())

    @settings(max_examples=200)
    @given(st.integers(0, 10**6), st.floats(0.1, 28.0), st.floats(0.0, 1.0))
    def test_it_is_below_whatever_the_rates_are(self, seed, local_s, share):
        psi, rate = self.draw(seed, local_s)
        end_s = psi.earliest_s[0] + share * (psi.latest_s[0] - psi.earliest_s[0])
        if end_s < local_s:
            exact = -self.carried_bit(rate, end_s, local_s)
        else:
            exact = self.carried_bit(rate, local_s, end_s)
        assert psi.at(np.array([end_s]))[0] <= exact + 1e-6

    @given(st.integers(0, 10**6), st.floats(0.1, 28.0))
    def test_it_is_concave_and_0_at_the_local_end(self, seed, local_s):
        psi, _ = self.draw(seed, local_s)
        assert psi.at(np.array([local_s]))[0] == pytest.approx(0.0, abs=1e-6)
        # slopes fall with time: backwards they must not fall, forwards they must not rise
        slope = psi.slope_bit_s[0]
        assert (np.diff(slope[: SLOTS_BACK + 1]) >= 0).all()
        assert (np.diff(slope[SLOTS_BACK + 1 :]) <= 0).all()
        assert slope[SLOTS_BACK + 1] <= slope[0]

    @given(st.integers(0, 10**6), st.floats(0.1, 28.0))
    def test_equal_rates_make_it_exact_within_the_slot(self, seed, local_s):
        assume(0.01 < local_s % self.SLOT_S < self.SLOT_S - 0.01)
        rate = np.random.default_rng(seed).uniform(5e3, 60e3, (1, self.SLOTS))
        psi = time_minorant(rate, rate, np.array([local_s]), self.SLOT_S)
        slot = int(local_s / self.SLOT_S)
        for aside_s in (-0.005, 0.005):
            value = psi.at(np.array([local_s + aside_s]))[0]
            assert value == pytest.approx(aside_s * rate[0, slot])

    def test_how_far_it_reaches(self):
        rate = np.full((2, self.SLOTS), 1e4)
        psi = time_minorant(rate, rate, np.array([14.7, 2.0]), self.SLOT_S)
        # 14.7 s lies in slot 10, which begins at 14 s
        begin_s, end_s = 10 * self.SLOT_S, 11 * self.SLOT_S
        assert psi.earliest_s[0] == pytest.approx(begin_s - SLOTS_BACK * self.SLOT_S)
        assert psi.latest_s[0] == pytest.approx(end_s + SLOTS_AHEAD * self.SLOT_S)
        assert psi.earliest_s[1] == 0.0
