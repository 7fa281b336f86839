"""Parts that the reports of all experiments have."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sec_nodes.cli.page_tables import markdown
from sec_nodes.experiments.judging import Claim, Table
from sec_nodes.experiments.reproduction import SUMMARY
from sec_nodes.experiments.rows import Exhibit, Row, heading, rows_of, spoken, stem

Part = Callable[[dict[str, Any]], str]
"""A part of a report, from summary.json."""
Section = Callable[[Table], Iterable[str]]
"""What a report says of a figure below its picture and its note, from its table."""


def report(
    folder: Path,
    pictures: str,
    front: Sequence[Part],
    claims: Callable[[Iterable[Row]], Sequence[Claim]],
    titles: Mapping[Exhibit, str],
    notes: Mapping[Exhibit, str],
    sections: Mapping[Exhibit, Section],
    back: Sequence[Part] = (),
) -> str:
    """The report on what a folder holds.

    Args:
        folder: with summary.json and the tables.
        pictures: what stands before the names of pictures in links.
        front: what comes before the claims.
        claims: judges them.
        titles: of all figures, in their order.
        notes: a paragraph on a figure, of those that need one.
        sections: of all figures.
        back: what comes after the figures, if it says something.
    """
    summary = json.loads((folder / SUMMARY).read_text(encoding='utf-8'))
    rows = rows_of(folder, tuple(titles))
    every = [row for table in rows.values() for row in table]
    parts = [*(part(summary) for part in front), _claims_section(claims(every))]
    for exhibit, table in rows.items():
        parts.append(_opening(exhibit, titles[exhibit], pictures))
        if exhibit in notes:
            parts.append(notes[exhibit] + '\n')
        parts += sections[exhibit](Table(table))
    ends = (part(summary) for part in back)
    return '\n'.join([*parts, *filter(None, ends)])


def head(title: str, source: str, summary: Mapping[str, Any], done: str) -> str:
    """Title, source, plan and command of a report; `done` is what was carried out."""
    plan = summary['plan']['name']
    return (
        f'# {title}\n\n{source}, beside what comes out here.\n\n'
        f'Plan **{plan}**, version {summary["version"]}, {summary["date"]}, '
        f'{summary["machine"]}: {done}, {summary["cpu_s"] / 60:.1f} CPU-minutes.\n\n'
        f'```bash\nsec reproduce {title.rpartition(" ")[2]} --{plan}\n```\n'
    )


def _opening(exhibit: Exhibit, title: str, pictures: str) -> str:
    """Heading and picture of a figure; `pictures` stands before its name in the link."""
    name = heading(exhibit)
    return f'## {name}: {title}\n\n![{name}]({pictures}{stem(exhibit)}.png)\n'


def _claims_section(found: Sequence[Claim]) -> str:
    """What the paper says, what came out, and the verdicts."""
    rows = (
        (spoken(c.figure), c.statement, c.published, c.ours, f'**{c.verdict}**', c.because)
        for c in found
    )
    columns = ('Fig.', 'the paper says', 'printed', 'here', 'verdict', 'because')
    return '## Claims\n\n' + markdown(columns, rows)


def trainings_section(spent: Sequence[Mapping[str, Any]], who: str) -> str:
    """What trainings took, if there were any; `who` is the key of a learner's name."""
    if not spent:
        return ''
    rows = (
        (
            f'`{entry[who]}`',
            entry['scenario'],
            str(entry['runs']),
            f'{entry["steps"]:,}',
            f'{entry["updates"]:,.0f}',
            f'{entry["cpu_s"]:.0f}',
        )
        for entry in spent
    )
    columns = ('', 'scenario', 'trainings', 'slots each', 'gradient steps each', 'CPU-s each')
    return '## What trainings took\n\n' + markdown(columns, rows)


def cell(rows: Sequence[Row]) -> str:
    """`27.9 [27.1, 28.8]` of the only row, `-` without one."""
    if not rows or not math.isfinite(rows[0].value):
        return '-'
    row = rows[0]
    if not math.isfinite(row.low) or row.low == row.high:
        return f'{row.value:.3g}'
    return f'{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]'
