"""Tables of mllm's figures, from results that are made up and can be checked by hand."""

import numpy as np
import pytest
from made_up import LEVEL, PLAN, MadeUpStore

from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.mllm.curves import CurveRow, curve_rows
from sec_nodes.experiments.mllm.figures import FIGURES
from sec_nodes.experiments.mllm.tables import figure_rows
from sec_nodes.experiments.rows import read_records, read_rows, write_records, write_rows


@pytest.fixture(scope='module')
def rows():
    return {number: figure_rows(figure, PLAN, MadeUpStore()) for number, figure in FIGURES.items()}


def only(rows, *args, **kwargs):
    found = Table(rows[args[0]]).of(*args, **kwargs)
    assert len(found) == 1
    return found[0]


def test_a_mean_is_over_runs_and_episodes(rows):
    # runs of 33 and 33.33, episodes of 1, 1.2, 0.9 and 1.1: 33.165 * 1.05
    row = only(rows, 3, 'cost', 'mean', ['ppo'], 'stress')
    assert row.value == pytest.approx(33.165 * 1.05)
    assert (row.runs, row.episodes) == (2, 4)
    assert row.low < row.value < row.high


def test_the_optimum_is_taken_to_all_episodes(rows):
    # on its two episodes, 1 and 1.2, it is 27/28 of myopic, whose mean over all is 28 * 1.05
    row = only(rows, 3, 'cost', 'mean', ['optimum'], 'paper')
    assert row.value == pytest.approx(27 * 1.05)
    assert row.episodes == 2
    # shares are not scaled
    assert only(rows, 3, 'uav_share', 'mean', ['optimum'], 'paper').value == pytest.approx(
        27 * 1.1
    )


def test_differences_are_paired(rows):
    row = only(rows, 3, 'cost', 'above ad_sac_flat', ['greedy'], 'paper')
    # 29 against runs of 30 and 30.3; which runs are drawn is all that is left to chance
    assert row.value == pytest.approx(100 * (29 / 30.15 - 1))
    assert (row.low, row.high) == pytest.approx((100 * (29 / 30.3 - 1), 100 * (29 / 30 - 1)))
    row = only(rows, 8, 'cost', 'above optimum', ['myopic'], 'extended')
    assert (row.value, row.low, row.high) == pytest.approx((100 / 27,) * 3)


def test_a_score_is_0_for_random_and_1_for_the_optimum(rows):
    row = only(rows, 3, 'score', 'interquartile mean', ['greedy'], 'paper')
    assert row.value == pytest.approx((80 - 29) / (80 - 27))
    players = {row.player for row in rows[3] if row.quantity == 'score'}
    assert players == set(LEVEL) - {'masked_random', 'optimum'}


def test_scores_over_modes(rows):
    # every run of ppo is worse than all of AD-SAC, every run of the structured one better
    for player, chance in (('ppo', 0), ('ad_sac', 1)):
        row = only(rows, 3, 'score', 'better than ad_sac_flat', [player], 'all')
        assert (row.value, row.low, row.high) == (chance,) * 3
    # scores of ad_sac: (80 - 28.5) / 53 = 0.972 and (80 - 28.785) / 53 = 0.966
    share = {
        level: only(rows, 3, 'score', f'above {level}', ['ad_sac'], 'all').value
        for level in (0.95, 1.0)
    }
    assert share == {0.95: 1, 1.0: 0}


def test_sweeps_are_compared_with_their_first_place(rows):
    found = Table(rows[6]).of(6, 'cost', 'above first', ['ppo'])
    assert [row.x for row in found] == [2.5, 3.0]
    # the made-up costs do not depend on deadlines, but runs are drawn separately
    assert [row.value for row in found] == pytest.approx([0, 0])


def test_critic_rates_are_compared_with_the_usual_one(rows):
    found = Table(rows[4]).of(4, 'cost', 'above ad_sac_flat', ['ad_sac_flat'])
    assert [row.x for row in found] == [1e-4, 1e-2]


def test_printed_numbers_stand_beside_ours_where_they_belong(rows):
    found = {
        (row.figure, row.player, row.x, row.quantity, row.relation): row.published
        for table in rows.values()
        for row in table
        if row.published is not None
    }
    assert found[7, 'ad_sac_flat', 0.3, 'latency_s', 'mean'] == 1.41
    assert found[7, 'ad_sac_flat', 0.7, 'energy_j', 'above first'] == 107.4
    assert found[8, 'ad_sac_d', None, 'energy_j', 'above ad_sac_flat'] == 24.3
    assert len(found) == 10
    modes = {row.mode for table in rows.values() for row in table if row.published is not None}
    assert modes == {'paper', 'fig7'}


def test_curves_tell_of_fluctuation_and_of_costs_while_learning(rows):
    row = only(rows, 3, 'cost while learning', 'mean', ['ppo'], 'paper')
    factor = np.mean(1 + 1 / np.arange(1, 21))
    assert row.value == pytest.approx(33.165 * factor)
    assert (row.low, row.high) == pytest.approx((33 * factor, 33.33 * factor))
    # 1/n from 11 to 20 is nearly straight
    assert 0 < only(rows, 3, 'fluctuation', 'mean', ['ppo'], 'paper').value < 0.5


def test_tables_come_back_from_their_files(tmp_path, rows):
    for number, table in rows.items():
        write_rows(tmp_path / 'table.csv', table)
        back = read_rows(tmp_path / 'table.csv')
        assert len(back) == len(table)
        for one, other in zip(back, table, strict=True):
            assert one.value == pytest.approx(other.value, rel=1e-5, abs=1e-8, nan_ok=True)
            assert (one.figure, one.x, one.player, one.relation, one.published) == (
                number,
                other.x,
                other.player,
                other.relation,
                other.published,
            )


def test_curves_come_back_from_their_files(tmp_path):
    rows = curve_rows(FIGURES[4].points(PLAN), MadeUpStore())
    assert len(rows) == 3 * 20
    # two runs at the usual rate, one at the others
    assert {row.x: row.runs for row in rows} == {1e-4: 1, 1e-3: 2, 1e-2: 1}
    first = next(row for row in rows if row.x == 1e-3)
    assert (first.cost_low, first.cost, first.cost_high) == pytest.approx((60, 60.3, 60.6))
    write_records(tmp_path / 'curves.csv', CurveRow, rows)
    back = read_records(tmp_path / 'curves.csv', CurveRow)
    assert [row.cost for row in back] == pytest.approx([row.cost for row in rows], rel=1e-5)
    assert [row.x for row in back] == [row.x for row in rows]
