"""How verdicts are found and compared in tests of claims."""

from sec_nodes.experiments.judging import FAILS, HOLDS, UNDECIDED, UNTESTABLE


def verdict(found, start):
    """Of the one claim whose statement begins like this."""
    (claim,) = [claim for claim in found if claim.statement.startswith(start)]
    return claim.verdict


def with_rows(every, *new):
    """Those rows in place of the ones about the same."""

    def about(row):
        return row.figure, row.mode, row.x, row.player, row.quantity, row.relation

    names = {about(row) for row in new}
    assert names <= {about(row) for row in every}
    return [*(row for row in every if about(row) not in names), *new]


def assert_complete(found, exhibits):
    """There are claims about all of these, and each says what came out, and why."""
    assert {claim.figure for claim in found} == set(exhibits)
    for claim in found:
        assert claim.verdict in (HOLDS, FAILS, UNDECIDED, UNTESTABLE)
        assert claim.because
        assert claim.ours
        assert 'nan' not in claim.ours, claim.statement
