"""Uploads over many slots."""

from __future__ import annotations

import numpy as np
import pytest

from sec_nodes.loop.uploads import Leg, Upload
from sec_nodes.scenarios.partial.uploads import first_passage_s


def upload(program_bit=100.0, result_bit=30.0, local_s=12.0):
    return Upload(Leg(program_bit), Leg(result_bit), program_from_s=0.0, result_from_s=local_s)


def fly(one, rates, slot_s=2.0):
    for slot, rate in enumerate(rates):
        one.advance(slot * slot_s, (slot + 1) * slot_s, rate)


def test_the_parts_follow_each_other():
    one = upload()
    fly(one, [10.0, 20.0, 20.0, 10.0])
    # 20 + 40 in the first two slots, 40 in the third, which is just through at its end
    assert one.program.end_s == 6.0
    assert one.result.sent_bit == 0.0
    fly(one, [10.0] * 10)
    assert one.result.end_s == 15.0  # 3 s after the front layers
    assert one.on_air_s == 9.0


def test_a_late_program_holds_up_the_result():
    one = upload(local_s=1.0)
    fly(one, [10.0] * 10)
    assert (one.program.end_s, one.arrived_s) == (10.0, 13.0)


def test_nothing_is_sent_before_it_is_there():
    one = Upload(Leg(10.0), Leg(10.0))
    fly(one, [10.0] * 2)
    assert (one.program.sent_bit, one.is_handed_over) == (0.0, False)
    one.program_from_s = 0.0
    one.advance(4.0, 6.0, 10.0)
    assert one.program.end_s == 5.0  # the slots that are over are lost
    one.result_from_s = 3.0
    one.advance(6.0, 8.0, 10.0)
    assert one.arrived_s == 7.0


def test_a_cut_link_pauses():
    one = upload(program_bit=30.0, result_bit=0.0, local_s=0.0)
    fly(one, [10.0, 0.0, 0.0, 10.0])
    assert one.program.end_s == one.arrived_s == 7.0
    assert one.on_air_s == 3.0


def test_advancing_twice_changes_nothing():
    one, again = upload(), upload()
    fly(one, [7.0] * 12)
    for slot in range(12):
        for _ in range(2):
            again.advance(2.0 * slot, 2.0 * slot + 2.0, 7.0)
    assert one == again


@pytest.mark.parametrize('seed', range(5))
def test_as_the_scenario_has_it(seed):
    random = np.random.default_rng(seed)
    rates = random.uniform(1.0, 9.0, 40)
    local_s, program_bit, result_bit = random.uniform(5.0, 20.0), 25.0, random.uniform(10.0, 60.0)
    one = upload(program_bit, result_bit, local_s)
    fly(one, rates.tolist(), 1.4)
    program_s = first_passage_s(rates, 0.0, program_bit, 1.4)
    from_s = max(local_s, float(program_s))
    assert one.program.end_s == pytest.approx(program_s)
    assert one.arrived_s == pytest.approx(first_passage_s(rates, from_s, result_bit, 1.4))
