"""Verdicts on what the paper says of partial, from numbers that are made up."""

import pytest
from made_up_partial import PLAN, MadeUpMissions, made_up_row
from verdicts import assert_complete, verdict, with_rows

from sec_nodes.experiments.judging import FAILS, HOLDS, UNDECIDED
from sec_nodes.experiments.partial.claims import claims
from sec_nodes.experiments.partial.figures import ALGORITHM, TITLES
from sec_nodes.experiments.partial.tables import rows


@pytest.fixture(scope='module')
def every():
    """Rows of all figures, some of which tests replace."""
    return [row for exhibit in TITLES for row in rows(exhibit, PLAN, MadeUpMissions())]


def above(figure, rival, value, low=None, high=None, **changes):
    return made_up_row(figure, value=value, low=low, high=high, relation=f'above {rival}',
                       **changes)  # fmt: skip


def test_every_claim_says_what_and_why(every):
    found = claims(every)
    assert_complete(found, TITLES)
    for claim in found:
        assert 'no numbers' not in claim.ours, claim.statement


def test_figures_that_are_missing_have_no_claims(every):
    assert {claim.figure for claim in claims([r for r in every if r.figure == 7])} == {7}


def test_made_up_missions_are_judged_as_they_are(every):
    """OP flies ellipses with the best speeds where it can, and misses what BL misses by paths."""
    found = claims(every)
    assert verdict(found, 'OP meets all deadlines') == FAILS
    assert verdict(found, 'TSP comes closest') == HOLDS
    assert verdict(found, 'TSP and BL have the same distribution') == HOLDS
    assert verdict(found, "TSP's service energy is lower") == FAILS
    assert verdict(found, "TSP's propulsion energy (`tsp_hover`)") == HOLDS
    assert verdict(found, "TSP's propulsion energy (`tsp`)") == FAILS
    assert verdict(found, 'Full offloading is infeasible') == HOLDS
    assert verdict(found, 'OP needs 2.23e4 J') == FAILS


@pytest.mark.parametrize(
    ('default', 'low', 'high', 'expected'),
    [(-12, -15, -11, HOLDS), (-12, -15, -9, UNDECIDED), (-5, -15, -11, FAILS)],
)
def test_drastic_is_by_a_tenth_everywhere(every, default, low, high, expected):
    changed = with_rows(
        every,
        above(7, 'first', default, x=10.0),
        above(7, 'first', (low + high) / 2, low, high, x=10.0, mode='tight', episodes=2),
    )
    assert verdict(claims(changed), 'A larger beta reduces service energy') == expected


@pytest.mark.parametrize(
    ('default', 'expected'), [(0.5, HOLDS), (4.9, HOLDS), (5.1, FAILS), (-0.1, FAILS)]
)
def test_slightly_more_is_more(every, default, expected):
    own = {'quantity': 'propulsion_j', 'x': 10.0}
    changed = with_rows(
        every,
        above(7, 'first', default, **own),
        above(7, 'first', 0.2, 0.1, 0.3, mode='tight', episodes=2, **own),
    )
    assert verdict(claims(changed), 'A larger beta raises propulsion') == expected


@pytest.mark.parametrize(('value', 'expected'), [(-0.1, HOLDS), (0.1, FAILS)])
def test_uav_3_is_the_one_that_the_paper_names(every, value, expected):
    changed = with_rows(
        every,
        above(5, 'sca_bcd, UAV 3', value, player='tsp', quantity='propulsion_j'),
        above(5, 'sca_bcd, UAV 1', 5.0, player='tsp', quantity='propulsion_j'),
    )
    assert verdict(claims(changed), "UAV 3's propulsion energy") == expected


def test_a_total_near_the_printed_one_holds(every):
    near = made_up_row(6, value=2.2e4, quantity='energy_j', x=70.0, published=2.23e4)
    assert verdict(claims(with_rows(every, near)), 'OP needs 2.23e4 J') == HOLDS


def test_each_instance_has_its_own_verdict_on_service_energy(every):
    for mode, where in (('base', 'default instance'), ('tight', 'mean of drawn instances')):
        episodes = 1 if mode == 'base' else 2
        rivals = [
            above(5, rival, -5.0, -6.0, -4.0, mode=mode, episodes=episodes)
            for rival in ('ellipse', 'tsp')
        ]
        found = claims(with_rows(every, *rivals))
        start = f'OP has a lower service energy than BL and TSP, {where}'
        assert verdict(found, start) == HOLDS
        rivals[1] = above(5, 'tsp', 5.0, 4.0, 6.0, mode=mode, episodes=episodes)
        assert verdict(claims(with_rows(every, *rivals)), start) == FAILS


@pytest.mark.parametrize(('step_j', 'expected'), [(-0.1, HOLDS), (1e-9, HOLDS), (0.1, FAILS)])
def test_a_trace_may_rise_by_rounding_only(every, step_j, expected):
    row = made_up_row(ALGORITHM, 'sca_bcd_single', step_j, quantity='largest_step_j')
    found = claims(with_rows(every, row))
    assert verdict(found, 'The objective never rises') == expected


@pytest.mark.parametrize(
    ('count', 'time_s', 'expected'), [(40, 4.0, HOLDS), (6, 0.4, HOLDS), (40, 6.0, FAILS)]
)
def test_iterations_are_a_range_and_time_a_limit(every, count, time_s, expected):
    own = {'player': 'sca_bcd_single', 'figure': ALGORITHM}
    changed = with_rows(
        every,
        *(
            made_up_row(
                value=value, quantity=name, mode=mode, episodes=1 + (mode == 'tight'), **own
            )
            for mode in ('base', 'tight')
            for name, value in (('iterations', count), ('cpu_s', time_s))
        ),
    )
    assert verdict(claims(changed), 'Convergence takes 3 to 5 s') == expected
    inside = HOLDS if count == 40 else FAILS
    assert verdict(claims(changed), 'Convergence takes 30 to 50 iterations') == inside


def test_free_cuts_must_save_everywhere(every):
    def found(default, low, high):
        own = {'quantity': 'objective_j'}
        changed = with_rows(
            every,
            above(6, 'base', default, mode='free_split', **own),
            above(6, 'base', low, low, high, mode='tight, free_split', episodes=2, **own),
        )
        return verdict(claims(changed), 'Cuts that follow channels')

    assert found(-1.0, -0.8, -0.2) == HOLDS
    assert found(-1.0, -0.8, 0.2) == UNDECIDED
    assert found(1.0, -0.8, -0.2) == FAILS
