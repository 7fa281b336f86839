"""Verdicts on what the paper says of maritime, from numbers that are made up."""

import pytest
from made_up_maritime import PLAN, MadeUpGames, made_up_row
from verdicts import assert_complete, verdict

from sec_nodes.experiments.judging import FAILS, HOLDS, UNDECIDED, UNTESTABLE, sized
from sec_nodes.experiments.maritime.claims import claims
from sec_nodes.experiments.maritime.figures import FIGURES, TABLE_2
from sec_nodes.experiments.maritime.tables import figure_rows, race_rows


def test_a_size_may_be_missed_by_a_tenth():
    assert sized(made_up_row(4, value=43.0, low=42.8, high=43.2), 41.5) == HOLDS
    assert sized(made_up_row(4, value=50.0, low=49.0, high=51.0), 41.5) == FAILS
    assert sized(made_up_row(4, value=50.0, low=40.0, high=60.0), 41.5) == HOLDS
    assert sized(made_up_row(5, value=29.6, low=29.0, high=30.0), -29.6) == FAILS


def above(figure, rival, value, published, quantity='utility_mbit', x=10.0, **changes):
    return made_up_row(
        figure, value=value, relation=f'above {rival}', published=published, quantity=quantity,
        x=x, **changes,
    )  # fmt: skip


def line_up(*gains):
    """Utilities after each slot, that much gained in each."""
    return [
        made_up_row(4, value=float(sum(gains[: n + 1])), x=float(n + 1)) for n in range(len(gains))
    ]


def test_almost_linear():
    start = 'Utility grows almost linearly'
    assert verdict(claims(line_up(10, 10.5, 9.5)), start) == HOLDS
    assert verdict(claims(line_up(10, 15, 5)), start) == FAILS


def test_a_solvers_rounding_is_no_advantage():
    base = line_up(*[10] * 10)
    rest = [above(4, 'genetic 10x20', 8.9, 8.9), above(4, 'half_slot', 42.0, 41.5)]
    start = 'JCORM has a higher utility'
    tiny = above(4, 'sca', 1e-6, 0.7, low=5e-7, high=2e-6)
    assert verdict(claims([*base, *rest, tiny]), start) == FAILS
    assert verdict(claims([*base, *rest, tiny]), 'JCORM is 0.7 % above SCA') == FAILS
    large = above(4, 'sca', 0.7, 0.7)
    assert verdict(claims([*base, *rest, large]), start) == HOLDS
    assert verdict(claims([*base, *rest, large]), 'JCORM is 0.7 % above SCA') == HOLDS


def test_budgets_that_disagree_decide_nothing():
    base = line_up(*[10] * 10)
    start = 'JCORM is 8.9 % above HA'
    small, large = above(4, 'genetic 10x10', 9.0, 8.9), above(4, 'genetic 50x80', 3.0, 8.9)
    assert verdict(claims([*base, small]), start) == HOLDS
    assert verdict(claims([*base, large]), start) == FAILS
    assert verdict(claims([*base, small, large]), start) == UNDECIDED


def test_half_slots_by_either_reading_are_judged_apart():
    base = line_up(*[10] * 10)
    found = claims(
        [*base, above(4, 'half_slot', 42, 41.5), above(4, 'half_slot_literal', 80, 41.5)]
    )
    assert verdict(found, 'JCORM is 41.5 % above ATSM (`half_slot`)') == HOLDS
    assert verdict(found, 'JCORM is 41.5 % above ATSM (`half_slot_literal`)') == FAILS


def test_those_who_are_late_are_named_beside_the_utility():
    late = made_up_row(4, 'half_slot', 12.5, quantity='late_percent', x=10.0)
    rows = [*line_up(*[10] * 10), above(4, 'half_slot', 42, 41.5), late]
    (claim,) = [c for c in claims(rows) if c.statement.endswith('ATSM (`half_slot`)')]
    assert '`half_slot` 12.5 % of tasks late' in claim.ours


@pytest.mark.parametrize(
    ('low', 'high', 'expected'),
    [
        (1.0, 3.0, HOLDS),
        (-1.0, 3.0, UNDECIDED),
        (8.0, 12.0, UNDECIDED),
        (11.0, 48.0, FAILS),
        (-30.0, -20.0, FAILS),
    ],
)
def test_slightly_slower_is_slower_by_a_tenth_at_most(low, high, expected):
    slower = above(
        7, 'no_offloading', (low + high) / 2, None, 'delay_s', 1.0,
        player='jcorm_literal_half', low=low, high=high,
    )  # fmt: skip
    assert verdict(claims([slower]), 'With little data JCORM (`jcorm_literal_half`)') == expected


@pytest.mark.parametrize(
    ('steps', 'expected'), [([-2, -1], HOLDS), ([-2, 0], UNDECIDED), ([-2, 1], FAILS)]
)
def test_energy_must_fall_at_every_step(steps, expected):
    rows = [
        made_up_row(3, value=value, quantity='energy_j', relation='above previous', x=x)
        for x, value in zip((30.0, 40.0), steps, strict=True)
    ]
    assert verdict(claims(rows), 'Energy falls with bandwidth') == expected


def test_factors_of_time():
    def found(factor):
        row = made_up_row(
            TABLE_2, 'sca', factor, quantity='experiment_s', relation='times jcorm',
            published=1989.0,
        )  # fmt: skip
        return verdict(claims([row]), 'SCA takes 318.21 s')

    assert found(2000.0) == HOLDS
    assert found(50.0) == FAILS
    assert found(0.5) == FAILS
    assert verdict(claims([made_up_row(TABLE_2)]), 'JCORM has a lower complexity') == UNTESTABLE


def test_jcorm_is_quick_enough():
    def found(value):
        return verdict(claims([made_up_row(TABLE_2, value=value, low=value, high=value,
                                           quantity='experiment_s')]), 'JCORM takes')  # fmt: skip

    assert found(0.02) == HOLDS
    assert found(0.2) == FAILS


def weights(values):
    return [made_up_row(9, value=value, x=x) for x, value in values.items()]


def test_drops_with_lambda_in_all_and_by_the_unit():
    total = 'Utility falls noticeably until lambda = 1, more gradually until 10'
    found = claims(weights({0.01: 1000, 1.0: 900, 10.0: 850}))
    assert [claim.verdict for claim in found if claim.statement.startswith(total)] == [HOLDS] * 2
    found = claims(weights({0.01: 1000, 1.0: 990, 10.0: 950}))
    verdicts = [claim.verdict for claim in found if claim.statement.startswith(total)]
    assert verdicts == [FAILS, HOLDS]


def test_storages_are_compared_where_the_text_names_bandwidths_and_everywhere():
    def found(at_40, at_60):
        rows = [
            made_up_row(
                6, value=value, mode=f'0.5 GB free of {size} GB', x=x,
                relation='over 0.5 GB free of 1 GB',
            )
            for x, gap in {30.0: 0.0, 40.0: at_40, 60.0: at_60}.items()
            for size, value in {'1.3': 10.0, '1.5': 10.0 + gap}.items()
        ]  # fmt: skip
        start = 'With 0.5 GB free, storages of 1.3 and 1.5 GB hardly differ, '
        every = claims(rows)
        return verdict(every, f'{start}at 30'), verdict(every, f'{start}wherever')

    assert found(0.5, 0.5) == (HOLDS, HOLDS)
    assert found(0.5, 20.0) == (HOLDS, FAILS)
    assert found(10.0, 20.0) == (FAILS, FAILS)


def test_figures_that_are_missing_have_no_claims():
    assert {claim.figure for claim in claims(line_up(*[10] * 10))} == {4}


def test_every_claim_says_what_and_why():
    every = [
        row for figure in FIGURES.values() for row in figure_rows(figure, PLAN, MadeUpGames())
    ]
    found = claims([*every, *race_rows(PLAN, MadeUpGames())])
    assert_complete(found, {3, 4, TABLE_2, 5, 6, 7, 8, 9})
    for claim in found:
        assert 'no numbers' not in claim.ours, claim.statement
