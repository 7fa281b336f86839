"""Remembered results: found by identity, never outdated."""

import numpy as np
from mllm_cases import build, decide

from sec_nodes.scenarios.mllm.kept import Kept, frozen


def counted():
    calls = []

    def total(*arrays):
        calls.append(arrays)
        return sum(array.sum() for array in arrays)

    return Kept(total), calls


def test_the_latest_result_of_frozen_arrays_is_kept():
    kept, calls = counted()
    a, b = frozen(np.arange(3)), frozen(np.arange(4))
    assert kept(a, b) == kept(a, b) == 9
    assert len(calls) == 1
    assert kept(b, a) == 9
    assert len(calls) == 2
    assert kept(frozen(np.arange(3)), b) == 9  # equal, but not the same
    assert len(calls) == 3


def test_what_may_change_is_computed_again():
    kept, _ = counted()
    a = np.arange(3)
    assert kept(a) == 3
    a[0] = 10
    assert kept(a) == 13
    view = a[:]
    view.flags.writeable = False
    assert kept(view) == 13
    a[0] = 0
    assert kept(view) == 3


def test_reset_and_step_give_arrays_that_are_kept():
    scenario = build()
    state = scenario.reset(np.arange(2))
    for _ in range(2):
        for array in (state.in_track_rad, state.device_m, state.uav_m, state.seed):
            assert array.flags.owndata
            assert not array.flags.writeable
        assert scenario.orbit(state) is scenario.orbit(state)
        state, _ = scenario.step(state, decide(state, 0))
