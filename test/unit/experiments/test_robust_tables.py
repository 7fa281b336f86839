"""Tables and curves of robust's reproduction that can be worked out another way."""

import numpy as np
import pytest
from made_up_robust import KEPT_PERCENT, LEVEL, NEW_PERCENT, PLAN, MadeUpTrials

from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.robust.curves import (
    CurveRow,
    curve_rows,
    dip,
    steps_to_arrive,
)
from sec_nodes.experiments.robust.figures import FAILURES, KEPT, NEW, RELAY, TITLES, named, points
from sec_nodes.experiments.robust.plans import FEASIBLE, OPTIMUM, PAPER
from sec_nodes.experiments.robust.tables import SCORE, STEPS, difference, rows
from sec_nodes.experiments.rows import MEAN, read_records, write_records


@pytest.fixture(scope='module')
def tables():
    return {exhibit: Table(rows(exhibit, PLAN, MadeUpTrials())) for exhibit in TITLES}


def only(found):
    (row,) = found
    return row


def test_energies_never_stand_without_completion(tables):
    for exhibit, table in tables.items():
        means = [row for row in table.rows if row.relation == MEAN]
        places = {(row.mode, row.x, row.player) for row in means}
        for mode, x, player in places:
            found = {row.quantity for row in means if (row.mode, row.x, row.player)
                     == (mode, x, player)}  # fmt: skip
            assert {'cost_mj', 'service_mj', 'completion_percent', 'per_task_mj'} <= found, (
                exhibit, player
            )  # fmt: skip


def test_differences_are_paired(tables):
    row = only(tables[3].of(3, 'cost_mj', 'above optimum', ['offload_all'], FEASIBLE))
    assert (row.value, row.low, row.high) == pytest.approx((50.0, 50.0, 50.0))
    # runs of SAC are 24 and 24.24, those of SAC-PER 22 and 22.22
    row = only(tables[3].of(3, 'return', 'above sac_per', ['sac'], FEASIBLE))
    assert row.value == pytest.approx(-100 * (24.12 / 22.11 - 1))
    assert row.low < row.value < row.high < 0


def test_points_of_completion_are_differences(tables):
    relation = f'above {named(OPTIMUM, KEPT)}'
    row = only(
        tables[FAILURES].of(
            FAILURES, 'completion_percent', relation, [named(OPTIMUM, NEW)], FEASIBLE, 1.0
        )
    )
    assert row.value == row.low == row.high == NEW_PERCENT - KEPT_PERCENT


def test_points_against_several_runs_are_against_their_mean():
    found = difference(
        'completion_percent', np.array([[90.0, 100.0]]), np.array([[80.0, 90.0], [90.0, 90.0]])
    )
    assert found.value == pytest.approx((90 + 100) / 2 - 87.5)


def test_scores_lie_between_random_and_optimum(tables):
    row = only(tables[4].of(4, 'return', SCORE, ['offload_all'], FEASIBLE, 4.0))
    assert row.value == pytest.approx(0.5)  # 30 is half way from 40 to 20
    assert not tables[4].of(4, 'return', SCORE, ['random', 'optimum'])


def test_learnt_policies_are_as_many_as_trainings(tables):
    rows_of_sac_per = tables[FAILURES].of(
        FAILURES, 'completion_percent', MEAN, [named('sac_per', RELAY)], x=2.0
    )
    assert only(rows_of_sac_per).runs == 2
    assert only(tables[3].of(3, 'cost_mj', MEAN, ['redq'], FEASIBLE)).runs == 1
    assert not tables[3].of(3, 'cost_mj', MEAN, ['sac', 'redq'], PAPER)
    mean = only(tables[4].of(4, 'cost_mj', MEAN, ['sac_per'], FEASIBLE, 10.0))
    assert mean.value == pytest.approx(LEVEL['sac_per'] * 1.005 * 1.05)


def test_printed_slots_stand_beside_the_paper_s_mode_only(tables):
    assert only(tables[3].of(3, STEPS, MEAN, ['sac_per'], PAPER)).published == 20_000
    assert only(tables[3].of(3, STEPS, MEAN, ['sac_per'], FEASIBLE)).published is None


def test_a_curve_arrives_where_it_is_near_its_end():
    steps = 10.0 * np.arange(1, 41)
    value = np.concatenate([np.full(10, -100.0), np.full(30, -20.0)])
    # from the eleventh row on it is there; means of three rows are so two rows later
    assert steps_to_arrive(steps, value) == 130.0
    value[-3:] = -20.9  # less than 5 % away
    assert steps_to_arrive(steps, value) == 130.0
    value[:10] = -10.0  # it ends worse than it begins
    assert steps_to_arrive(steps, value) == 10.0
    assert steps_to_arrive(steps[:7], value[:7]) is None


def test_a_dip_is_measured_against_the_beginning():
    value = np.array([-10.0, -15.0, -12.0, -8.0, -5.0, -4.0, -4.0, -40.0])
    assert dip(value) == pytest.approx(50.0)  # the late fall is none of the first half
    assert dip(-np.arange(20.0, 0.0, -1.0)) == 0.0
    assert dip(value[:5]) is None


def test_curves_come_back_from_their_file(tmp_path):
    found = curve_rows(points(3, PLAN), MadeUpTrials(), 60)
    first = found[0]
    assert (first.player, first.mode, first.steps, first.runs) == ('sac_per', FEASIBLE, 200, 2)
    # rewards of -44 and -44.44 a slot
    assert (first.value, first.low, first.high) == pytest.approx((-2653.2, -2666.4, -2640.0))
    assert first.completion_percent == pytest.approx(50.0)
    write_records(tmp_path / 'curves.csv', CurveRow, found)
    again = read_records(tmp_path / 'curves.csv', CurveRow)
    assert [row.steps for row in again] == [row.steps for row in found]
    assert again[7].value == pytest.approx(found[7].value, rel=1e-5)
