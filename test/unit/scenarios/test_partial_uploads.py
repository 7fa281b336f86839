"""Windows, uploads and their ends against fine sums and bisection."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from sec_nodes.scenarios.partial.uploads import (
    endless_passage,
    first_passage_s,
    slot_overlap_s,
    uploaded_bit,
)

times = st.floats(0, 12)


def test_overlaps_by_hand():
    # slots of 2 s; 1.5 to 4.25 s: a quarter of the first, all of the second, 0.25 s of the third
    found = slot_overlap_s(np.array(1.5), np.array(4.25), 2.0, 4)
    np.testing.assert_allclose(found, [0.5, 2.0, 0.25, 0.0])


def test_nothing_counts_outside_of_the_mission_or_backwards():
    assert slot_overlap_s(np.array(7.0), np.array(99.0), 2.0, 4).sum() == 1.0
    assert slot_overlap_s(np.array(9.0), np.array(99.0), 2.0, 4).sum() == 0.0
    assert slot_overlap_s(np.array(3.0), np.array(1.0), 2.0, 4).sum() == 0.0


def test_whole_slots_are_what_the_printed_floors_count():
    rate = np.array([3.0, 5.0, 7.0, 11.0])
    assert uploaded_bit(rate, np.array(2.0), np.array(6.0), 2.0) == 2 * (5 + 7)


@settings(max_examples=40)
@given(times, times, st.integers(0, 1000))
def test_uploads_against_a_fine_sum(start_s, end_s, seed):
    rate = np.random.default_rng(seed).uniform(1, 10, 6)
    fine_s = 1e-4
    middle_s = np.arange(fine_s / 2, 6 * 1.7, fine_s)
    inside = (middle_s > start_s) & (middle_s < end_s)
    by_hand = (rate[(middle_s / 1.7).astype(int)] * inside).sum() * fine_s
    found = uploaded_bit(rate, np.array(start_s), np.array(end_s), 1.7)
    assert found == pytest.approx(by_hand, abs=4 * fine_s * 10)


@settings(max_examples=60)
@given(times, st.floats(0.01, 60), st.integers(0, 1000))
def test_the_end_of_an_upload_against_bisection(start_s, size_bit, seed):
    rate = np.random.default_rng(seed).uniform(1, 10, 6)
    at_s = np.arange(7) * 1.7
    total = np.concatenate([[0.0], np.cumsum(rate * 1.7)])

    def missing(time_s):
        return np.interp(time_s, at_s, total) - np.interp(start_s, at_s, total) - size_bit

    end_s = first_passage_s(rate, np.array(start_s), np.array(size_bit), 1.7)
    if missing(at_s[-1]) < -1e-9:
        assert end_s == math.inf
    elif missing(at_s[-1]) > 1e-9:
        assert end_s == pytest.approx(optimize.bisect(missing, start_s, at_s[-1]), abs=1e-9)


def test_ends_by_hand():
    # from 1 s at 3, then 5 bit/s in slots of 2 s: 3 bit until 2 s, the other 2 take 0.4 s
    rate = np.array([3.0, 5.0])
    assert first_passage_s(rate, np.array(1.0), np.array(5.0), 2.0) == pytest.approx(2.4)
    assert first_passage_s(rate, np.array(1.0), np.array(13.0), 2.0) == 4.0
    assert first_passage_s(rate, np.array(1.0), np.array(13.001), 2.0) == math.inf


def test_an_empty_upload_ends_when_it_begins():
    rate = np.array([3.0, 5.0])
    begins_s = np.array([0.0, 1.3, 99.0])
    np.testing.assert_array_equal(first_passage_s(rate, begins_s, np.zeros(3), 2.0), begins_s)


def test_the_last_slot_may_be_thought_endless():
    rate = np.array([3.0, 5.0])
    end_s, slot = endless_passage(rate, np.array([0.0, 1.0]), np.array([26.0, 4.0]), 2.0)
    np.testing.assert_allclose(end_s, [6.0, 2.2])  # 6 and 20 bit; 3 and 1 bit
    np.testing.assert_array_equal(slot, [1, 1])
    end_s, _ = endless_passage(rate, np.array(7.0), np.array(10.0), 2.0)
    assert end_s == 9.0


def test_batches_are_what_their_parts_are():
    rng = np.random.default_rng(3)
    rate, start_s, size_bit = rng.uniform(1, 9, (4, 3, 6)), rng.uniform(0, 5, (4, 3)), 20.0
    size = np.full((4, 3), size_bit)
    together = first_passage_s(rate, start_s, size, 1.0)
    for index in np.ndindex(4, 3):
        alone = first_passage_s(rate[index], start_s[index], size[index], 1.0)
        np.testing.assert_array_equal(together[index], alone)
