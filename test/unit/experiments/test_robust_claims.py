"""Verdicts on what the paper says of robust, from numbers that are made up."""

import pytest
from made_up_robust import PLAN, MadeUpTrials, made_up_row
from verdicts import assert_complete, verdict, with_rows

from sec_nodes.experiments.judging import FAILS, HOLDS, UNDECIDED, UNTESTABLE
from sec_nodes.experiments.robust.claims import claims
from sec_nodes.experiments.robust.figures import (
    FAILURES,
    KEPT,
    MOMENTS,
    NEW,
    PROGRESS,
    RELAY,
    RESEND,
    THEOREM,
    TITLES,
    named,
)
from sec_nodes.experiments.robust.plans import PAPER
from sec_nodes.experiments.robust.tables import rows


@pytest.fixture(scope='module')
def every():
    """Rows of all figures, some of which tests replace."""
    return [row for exhibit in TITLES for row in rows(exhibit, PLAN, MadeUpTrials())]


def test_every_claim_says_what_and_why(every):
    found = claims(every)
    assert_complete(found, TITLES)
    for claim in found:
        assert 'no numbers' not in claim.ours or claim.verdict == UNTESTABLE, claim.statement


def test_figures_that_are_missing_have_no_claims(every):
    found = claims([row for row in every if row.figure == 5])
    assert {claim.figure for claim in found} == {5}


def test_made_up_trials_are_judged_as_they_are(every):
    found = claims(every)
    assert verdict(found, '`sac` reaches a lower reward than `sac_per`, mode feasible') == HOLDS
    assert (
        verdict(found, '`redq_g1` reaches a lower reward than `sac_per`, mode feas') == UNTESTABLE
    )
    flat = '`sac, flat` reaches a lower reward than `sac_per, flat`, mode feasible'
    assert verdict(found, flat) == HOLDS
    assert verdict(found, 'REDQ has the highest weighted energy of the learners, mode fe') == HOLDS
    # made-up energies are the same for any number of users
    assert verdict(found, 'Weighted energy rises with the number of users, mode fe') == FAILS
    assert (
        verdict(found, 'Offloading needs more weighted energy than random splits, mode fe')
        == FAILS
    )
    assert verdict(found, 'Partitioning is necessary for energy efficiency, mode paper') == FAILS


@pytest.mark.parametrize(
    ('low', 'high', 'expected'), [(-3, -1, HOLDS), (-3, 1, UNDECIDED), (1, 3, FAILS)]
)
def test_a_win_is_one_whose_interval_excludes_zero(every, low, high, expected):
    row = made_up_row(
        3, 'sac', (low + high) / 2, low, high, quantity='return', relation='above sac_per', runs=2
    )
    start = '`sac` reaches a lower reward than `sac_per`, mode feasible'
    assert verdict(claims(with_rows(every, row)), start) == expected


def test_who_is_equal_has_not_won(every):
    same = [
        made_up_row(5, player, 0.0, relation='above optimum', mode=PAPER, x=x)
        for player in ('offload_all',)
        for x in (2.0, 3.0)
    ]
    start = 'Best splits need the least weighted energy, mode paper'
    assert verdict(claims(every), start) == HOLDS
    assert verdict(claims(with_rows(every, *same)), start) == FAILS


@pytest.mark.parametrize(
    ('first', 'last', 'expected'), [(-20, 40, HOLDS), (-90, -50, FAILS), (40, 3, FAILS)]
)
def test_more_uavs_must_make_offloading_worse_than_random(every, first, last, expected):
    changed = with_rows(
        every,
        *(
            made_up_row(5, 'offload_all', value, relation='above random', x=x)
            for x, value in ((2.0, first), (3.0, last))
        ),
    )
    start = 'Offloading is the worse the more UAVs there are, mode feasible'
    assert verdict(claims(changed), start) == expected


def test_new_associations_migration_and_sending_again_are_told_apart(every):
    found = claims(every)
    assert verdict(found, 'A new association from the next slot on') == HOLDS  # 99 against 80 %
    assert verdict(found, 'Migration keeps inference going') == HOLDS  # 100 against 99 %
    assert verdict(found, 'Sending tasks again') == FAILS  # 99 against 99 %
    row = made_up_row(
        FAILURES, named('optimum', RESEND), 0.3, 0.1, 0.5, quantity='completion_percent',
        relation=f'above {named("optimum", NEW)}', x=1.0,
    )  # fmt: skip
    assert verdict(claims(with_rows(every, row)), 'Sending tasks again') == HOLDS


@pytest.mark.parametrize(('low', 'expected'), [(100.0, HOLDS), (99.9, FAILS)])
def test_inference_that_goes_on_misses_nothing(every, low, expected):
    row = made_up_row(
        MOMENTS, named('optimum', RELAY), 100.0, low, 100.0, quantity='completion_percent',
        relation='mean', x=60.0,
    )  # fmt: skip
    assert verdict(claims(with_rows(every, row)), 'Inference goes on') == expected
    kept = made_up_row(
        MOMENTS, named('optimum', KEPT), 70.0, quantity='completion_percent', relation='mean',
        x=60.0,
    )  # fmt: skip
    assert verdict(claims(with_rows(every, kept)), 'Inference goes on') == HOLDS


def test_checkpoints_must_save_where_something_was_done(every):
    def found(value):
        row = made_up_row(
            PROGRESS, named('optimum', 'relay, checkpoint'), value, quantity='per_task_mj',
            relation=f'above {named("optimum", "relay, lost")}', x=0.5,
        )  # fmt: skip
        return verdict(claims(with_rows(every, row)), 'To reassign only layers')

    assert found(-2.0) == HOLDS
    assert found(2.0) == FAILS


def test_splits_beyond_the_theorem_do_not_count_against_it(every):
    start = 'Partitioning is necessary for energy efficiency, mode paper'
    for x, percent, expected in ((4.0, 50.0, FAILS), (1.0, 50.0, HOLDS)):
        row = made_up_row(
            THEOREM, 'optimum', percent, mode=PAPER, quantity='whole_percent', relation='mean', x=x
        )
        assert verdict(claims(with_rows(every, row)), start) == expected


def test_random_splits_may_spend_less_because_they_drop_tasks(every):
    """The same claim is judged by energy and by energy per completed task."""
    row = made_up_row(4, 'random', -5.0, relation='above optimum', x=10.0)
    found = claims(with_rows(every, row))
    start = 'The best splits have a lower {} than offloading and random ones, mode feasible'
    assert verdict(found, start.format('weighted energy')) == FAILS
    assert verdict(found, start.format('energy per completed task')) == HOLDS
    (claim,) = [one for one in found if one.statement == start.format('weighted energy')]
    assert '1 of 2 places above, 1 below' in claim.ours


@pytest.mark.parametrize(('points', 'expected'), [(0.0, HOLDS), (-3.0, FAILS)])
def test_who_drops_tasks_beats_nobody(every, points, expected):
    own = {'relation': 'above optimum', 'quantity': 'completion_percent', 'runs': 2}
    rows_of_sac_per = [made_up_row(4, 'sac_per', points, x=x, **own) for x in (4.0, 10.0)]
    ahead = [
        made_up_row(4, player, 5.0, relation='above sac_per', x=x)
        for player in ('nearest_uav', 'offload_all')
        for x in (4.0, 10.0)
    ]
    start = 'SAC-PER needs less weighted energy than simple rules and completes as much as the '
    start += 'optimum, mode feasible'
    assert verdict(claims(with_rows(every, *rows_of_sac_per, *ahead)), start) == expected
