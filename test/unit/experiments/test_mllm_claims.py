"""Verdicts on the paper's claims, from numbers that are made up."""

import pytest
from made_up import PLAN, MadeUpStore, made_up_row
from verdicts import assert_complete, verdict

from sec_nodes.experiments.judging import (
    FAILS,
    HOLDS,
    UNDECIDED,
    UNTESTABLE,
    near,
    one_sided,
    ordered,
    shown,
    within,
    worst,
    write_claims,
)
from sec_nodes.experiments.mllm.claims import claims
from sec_nodes.experiments.mllm.figures import FIGURES
from sec_nodes.experiments.mllm.tables import figure_rows

BASELINES = ('ppo', 'hybrid_ppo', 'd3qn', 'ddpg')


def rows(*ends):
    return [made_up_row(value=(low + high) / 2, low=low, high=high) for low, high in ends]


@pytest.mark.parametrize(
    ('ends', 'side', 'verdict'),
    [
        ([(1, 2), (0.1, 5)], 1, HOLDS),
        ([(1, 2), (-0.1, 5)], 1, UNDECIDED),
        ([(1, 2), (-3, -0.1)], 1, FAILS),
        ([(-3, -1)], -1, HOLDS),
        ([(-3, 1)], -1, UNDECIDED),
        ([(-3, -1), (1, 2)], -1, FAILS),
        ([(0, 0)], 1, UNDECIDED),
        ([], 1, UNTESTABLE),
    ],
)
def test_one_sided(ends, side, verdict):
    assert one_sided(rows(*ends), side) == verdict


@pytest.mark.parametrize(
    ('ends', 'verdict'),
    [
        ([(6, 13), (5.7, 7)], HOLDS),
        ([(6, 13), (5, 7)], UNDECIDED),
        ([(6, 13), (1, 5)], FAILS),
        ([(14, 20)], FAILS),
        ([], UNTESTABLE),
    ],
)
def test_within(ends, verdict):
    assert within(rows(*ends), 5.7, 13.4) == verdict


def test_printed_values_may_be_missed_by_a_twentieth():
    assert near(1.47, 1.41) == HOLDS
    assert near(1.49, 1.41) == FAILS
    assert near(1.33, 1.41) == FAILS


def test_order_needs_intervals_apart():
    low, high, between = rows((1, 2), (3, 4), (1.5, 3.5))
    assert ordered([low], [high]) == HOLDS
    assert ordered([high], [low]) == FAILS
    assert ordered([low, between], [high]) == UNDECIDED
    assert ordered([], [high]) == UNTESTABLE


def test_the_worst_verdict_counts():
    assert worst([HOLDS, UNDECIDED, FAILS]) == FAILS
    assert worst([HOLDS, UNDECIDED]) == UNDECIDED
    assert worst([HOLDS, HOLDS]) == HOLDS


def test_numbers_are_shown_with_their_intervals():
    assert shown(made_up_row(value=4.12, low=2.0, high=6.34)) == '+4.1 % [+2.0, +6.3]'
    assert shown(made_up_row(value=1.417, low=1.4, high=1.44), percent=False) == '1.42 [1.4, 1.44]'


def gaps(quantity, values, figure=3, relation='above ad_sac_flat', **changes):
    """Rows of the four baselines at given distances from AD-SAC, half a percent wide."""
    return [
        made_up_row(
            figure=figure,
            player=player,
            quantity=quantity,
            relation=relation,
            value=value,
            low=value - 0.25,
            high=value + 0.25,
            **changes,
        )
        for player, value in zip(BASELINES, values, strict=True)
    ]


def test_the_range_of_gaps_that_is_printed():
    size = 'Their rewards are'
    best = 'AD-SAC (`ad_sac_flat`) reaches'
    found = claims(gaps('reward', [-6, -8, -12, -13]))
    assert (verdict(found, size), verdict(found, best)) == (HOLDS, HOLDS)
    found = claims(gaps('reward', [-1, -8, -12, -13]))
    assert (verdict(found, size), verdict(found, best)) == (FAILS, HOLDS)
    found = claims(gaps('reward', [2, -8, -12, -13]))
    assert (verdict(found, size), verdict(found, best)) == (FAILS, FAILS)


def test_hybrid_ppo_second():
    start = 'Hybrid-PPO ends'
    assert verdict(claims(gaps('reward', [-8, -6, -12, -13])), start) == HOLDS
    assert verdict(claims(gaps('reward', [-6.1, -6, -12, -13])), start) == UNDECIDED
    assert verdict(claims(gaps('reward', [-5, -6, -12, -13])), start) == FAILS


def sweep(quantity, value):
    players = ('ad_sac_flat', *BASELINES, 'masked_random')
    return [
        made_up_row(6, player, value, quantity=quantity, relation='above first', x=3.0)
        for player in players
    ]


def test_trends_are_judged_at_the_end_of_a_sweep():
    found = claims([*sweep('latency_s', 3.0), *sweep('energy_j', 2.0), *sweep('uav_share', -4.0)])
    assert verdict(found, 'Latency rises with the deadline') == HOLDS
    assert verdict(found, 'Energy falls as the deadline') == FAILS
    assert verdict(found, 'With looser deadlines') == HOLDS


def test_the_step_between_half_and_six_tenths():
    def steps(values):
        places = (0.3, 0.4, 0.5, 0.6, 0.7)
        return [
            made_up_row(7, 'ad_sac_flat', value, quantity=quantity, x=x)
            for quantity in ('latency_s', 'energy_j')
            for x, value in zip(places, values, strict=True)
        ]

    start = 'The sharpest step'
    assert verdict(claims(steps([1, 1.1, 1.2, 1.9, 2.0])), start) == HOLDS
    assert verdict(claims(steps([1, 1.1, 1.8, 1.9, 2.0])), start) == FAILS


def test_printed_values_are_met_by_ad_sac_or_shown_to_be_in_reach():
    def met(flat, optimum):
        rows = [
            made_up_row(7, 'ad_sac_flat', flat, quantity='latency_s', x=0.3, published=1.41),
            made_up_row(7, 'optimum', optimum, quantity='latency_s', x=0.3),
        ]
        return verdict(claims(rows), 'latency where all ask for an accuracy of 0.3')

    assert met(1.40, 3.0) == HOLDS
    assert met(2.00, 1.45) == UNDECIDED
    assert met(2.00, 1.6) == FAILS


def test_an_ablation_must_have_the_printed_size():
    def gap(low, high):
        row = made_up_row(
            8, 'ad_sac_d', (low + high) / 2, low, high,
            quantity='energy_j', relation='above ad_sac_flat', published=24.3,
        )  # fmt: skip
        return verdict(claims([row]), 'AD-SAC-D needs 24.3 % more energy')

    assert gap(20, 30) == HOLDS
    assert gap(1, 2) == FAILS
    assert gap(-1, 30) == UNDECIDED
    assert gap(-2, -1) == FAILS


def test_a_contradictory_statement_is_untestable():
    found = claims([made_up_row(8, 'ad_sac_c', quantity='energy_j', relation='above ad_sac_flat')])
    assert verdict(found, 'AD-SAC-C has "better energy efficiency') == UNTESTABLE


def test_figures_that_are_missing_have_no_claims():
    assert {claim.figure for claim in claims(gaps('reward', [-6, -8, -12, -13]))} == {3}


def test_every_claim_says_what_and_why(tmp_path):
    every = [
        row for figure in FIGURES.values() for row in figure_rows(figure, PLAN, MadeUpStore())
    ]
    found = claims(every)
    assert_complete(found, {3, 4, 5, 6, 7, 8})
    for claim in found:
        assert 'no numbers' not in claim.ours, claim.statement
    write_claims(tmp_path / 'claims.csv', found)
    assert (tmp_path / 'claims.csv').read_text().count('\n') == len(found) + 1
