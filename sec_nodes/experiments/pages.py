"""Parts that the reports of all experiments have."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sec_nodes.cli.page_tables import markdown
from sec_nodes.experiments.judging import Claim
from sec_nodes.experiments.rows import Row, spoken


def claims_section(found: Sequence[Claim]) -> str:
    """What the paper says, what came out, and the verdicts."""
    rows = (
        (spoken(c.figure), c.statement, c.published, c.ours, f'**{c.verdict}**', c.because)
        for c in found
    )
    columns = ('Fig.', 'the paper says', 'printed', 'here', 'verdict', 'because')
    return '## Claims\n\n' + markdown(columns, rows)


def cell(rows: Sequence[Row]) -> str:
    """`27.9 [27.1, 28.8]` of the only row, `-` without one."""
    if not rows or not math.isfinite(rows[0].value):
        return '-'
    row = rows[0]
    if not math.isfinite(row.low) or row.low == row.high:
        return f'{row.value:.3g}'
    return f'{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]'
