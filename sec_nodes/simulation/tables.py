"""Comparisons for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from sec_nodes.simulation.statistics import LEVEL, Certificate, Estimate, Row

MAIN = {
    'cost': 'cost',
    'latency_s': 'latency of served [s]',
    'energy_j': 'energy [J]',
    'completion': 'completed [%]',
}
EPISODES_SHOWN = 5
"""Episodes whose proofs are printed."""
UNITS = {'s': 's', 'j': 'J', 'mbit': 'Mbit', 'w': 'W', 'm': 'm', 'percent': '%', 'ms': 'ms'}


def comparison_tables(
    rows: Sequence[Row], title: str, extra: Sequence[str], reference: str | None
) -> list[Table]:
    """Means per slot with half intervals, a line a controller: the main figures, then the rest.

    Args:
        rows: one a controller.
        title: stands above.
        extra: figures that the scenario adds.
        reference: controller that gaps are measured from, if any.
    """
    first = _table(['controller', *MAIN.values()], title)
    if reference is not None:
        first.add_column(Text(f'above {reference} [%]'), justify='right', no_wrap=False)
    for row in rows:
        cells = [cell(row.figures[name], 100 if name == 'completion' else 1) for name in MAIN]
        if reference is not None:
            is_base = row.controller == reference or row.gap is None
            cells.append('-' if is_base or row.gap is None else cell(row.gap))
        first.add_row(Text(row.controller), *cells)
    # many columns: names broken at their underscores, means without intervals
    second = _table(['', *(row.controller.replace('_', '\n') for row in rows)], '')
    for name in ('violations', *extra):
        second.add_row(Text(heading(name)), *(_short(row.figures[name].mean) for row in rows))
    second.add_row(Text('decides in [ms]'), *(_short(1e3 * row.decide_s) for row in rows))
    return [first, second]


def obstacle_lines(obstacles: Mapping[int, Sequence[str]], episodes: int) -> list[str]:
    """Why in some episodes not everything can be done, whoever decides; none if nothing is known.

    Args:
        obstacles: proofs by episode.
        episodes: how many were played.
    """
    if not obstacles:
        return []
    count, of = _count(len(obstacles), 'episode'), f' of {episodes}' if episodes > 1 else ''
    lines = [f'In {count}{of} no decision can do all that is asked:']
    for episode in list(obstacles)[:EPISODES_SHOWN]:
        lines += [f'  episode {episode}: {text}' for text in obstacles[episode]]
    left = len(obstacles) - EPISODES_SHOWN
    return [*lines, f'  and {left} more, see summary.json'] if left > 0 else lines


def notes(
    episodes: int,
    slots: int,
    subject: str,
    certificate: Certificate | None,
    paired: bool,
    uneven: bool,
) -> list[str]:
    """What a reader must know to read the table.

    Args:
        episodes: how many were played.
        slots: of each.
        subject: controller that the certificate is about.
        certificate: how far it is from the best conceivable, where known.
        paired: whether several controllers were compared.
        uneven: whether some of them complete more tasks than others.
    """
    lines = [
        f'Means per slot over {_count(episodes, "episode")} of {_count(slots, "slot")}'
        + (f', ± half the {LEVEL:.0%} interval over episodes.' if episodes > 1 else '.')
    ]
    if paired:
        lines.append('All controllers saw the same random numbers; differences are paired.')
    if uneven:
        lines.append('They do not complete the same share of tasks: read costs beside it.')
    if certificate is not None:
        mean, largest = (
            _percent(gap) if certificate.relative else f'{gap:.3g}'
            for gap in (certificate.mean, certificate.largest)
        )
        lines.append(
            f'{subject} costs {mean} more than a certified lower bound for decisions that '
            f'complete all that can be, at most {largest} ({_count(certificate.slots, "slot")}'
            + ('' if certificate.relative else '; not in percent, as the bound is about 0')
            + ').'
        )
    return lines


def cell(estimate: Estimate, scale: float = 1) -> str:
    """A mean with the digits that its interval leaves, `0.240±0.056`."""
    mean, half_width = scale * estimate.mean, scale * estimate.half_width
    if not math.isfinite(mean):
        return '-'
    if not math.isfinite(half_width) or half_width < 1e-12 * abs(mean) or half_width == 0:
        return f'{mean:.5g}'
    exponent = math.floor(math.log10(half_width))
    leading_one = half_width < 1.95 * 10.0**exponent  # two digits only where one is coarse
    decimals = max(0, leading_one - exponent)
    if decimals > 8:
        return f'{mean:.6g}±{half_width:.1g}'
    return f'{mean:.{decimals}f}±{half_width:.{decimals}f}'


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


def _percent(value: float) -> str:
    return f'{value:.3g} %' if abs(value) >= 1e-9 else '0 %'


def _short(value: float) -> str:
    if not math.isfinite(value):
        return '-'
    return f'{value:.0f}' if 100 <= abs(value) < 1e7 else f'{value:.3g}'


def _table(columns: Sequence[str], title: str) -> Table:
    table = Table(
        title=title, title_justify='left', title_style='bold', box=box.SIMPLE, pad_edge=False
    )
    for place, name in enumerate(columns):
        side: Any = 'right' if place else 'left'
        table.add_column(Text(name), justify=side, no_wrap=not place, overflow='fold')
    return table


def heading(name: str) -> str:
    """`storage_mbit` as `storage [Mbit]`."""
    words, _, unit = name.rpartition('_')
    if words and unit in UNITS:
        return f'{words.replace("_", " ")} [{UNITS[unit]}]'
    return name.replace('_', ' ')
