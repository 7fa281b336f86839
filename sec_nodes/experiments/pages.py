"""Parts that the reports of all experiments have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sec_nodes.cli.page_tables import markdown
from sec_nodes.experiments.judging import Claim
from sec_nodes.experiments.rows import Exhibit, Row, heading, spoken, stem


def head(title: str, source: str, summary: Mapping[str, Any], done: str) -> str:
    """Title, source, plan and command of a report; `done` is what was carried out."""
    plan = summary['plan']['name']
    return (
        f'# {title}\n\n{source}, beside what comes out here.\n\n'
        f'Plan **{plan}**, version {summary["version"]}, {summary["date"]}, '
        f'{summary["machine"]}: {done}, {summary["cpu_s"] / 60:.1f} CPU-minutes.\n\n'
        f'```bash\nsec reproduce {title.rpartition(" ")[2]} --{plan}\n```\n'
    )


def opening(exhibit: Exhibit, title: str, pictures: str) -> str:
    """Heading and picture of a figure; `pictures` stands before its name in the link."""
    name = heading(exhibit)
    return f'## {name}: {title}\n\n![{name}]({pictures}{stem(exhibit)}.png)\n'


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
