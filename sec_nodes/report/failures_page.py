"""Failures as a page shows them: how they were noticed, and what became of their tasks."""

from __future__ import annotations

import html
import math
from typing import Any

from sec_nodes.report.failures import WAY_LABELS, Moved, moved_of
from sec_nodes.report.load import Run
from sec_nodes.report.questions import judge
from sec_nodes.report.units import NONE, data, percent, seconds, task_label

_MOST_MOVED = 500
"""Rows of the table of tasks that moved, the first ones."""

_BIT_PER_MBIT = 1e6


def failures_section(run: Run, failures: dict[str, Any] | None, figures: str) -> str:
    """A section on failures and tasks that moved; empty without any.

    Args:
        run: the run.
        failures: its numbers.
        figures: HTML of the figures.
    """
    if failures is None:
        return ''
    moved = moved_of(run)
    section = (
        f'<section><h2>Failures</h2><p class="lead">{html.escape(_lead(failures))}</p>'
        f'{_scrolled(_kinds(failures))}{figures}</section>\n'
        f'<section><h2>Tasks that failures hit</h2><p class="lead">{_HIT_LEAD}</p>'
        f'{_scrolled(_comparison(failures))}</section>\n'
    )
    if moved:
        section += (
            f'<section><h2>Tasks that moved</h2><p class="lead">{_MOVED_LEAD}</p>'
            f'{_scrolled(_moved(moved))}</section>'
        )
    return section


def failures_tiles(failures: dict[str, Any] | None) -> tuple[tuple[str, str, str], ...]:
    """Label, value and detail of what stands at the head of the page."""
    if failures is None:
        return ()
    hit, after = failures['tasks']['hit'], failures['detection_s']['p50']
    noticed = f'{failures["noticed"]} noticed'
    return (
        (
            'failures',
            str(failures['outages']),
            noticed + (f' after {seconds(after)}' if after else ''),
        ),
        (
            'tasks hit',
            f'{hit["done"]} / {hit["count"]}',
            f'in time; {ways_text(failures["moved"])}',
        ),
    )


def failures_text(failures: dict[str, Any]) -> str:
    """Failures and what became of their tasks, in a line or two."""
    hit, after = failures['tasks']['hit'], failures['detection_s']['p50']
    found = f'{failures["noticed"]} noticed' + (f', after {seconds(after)} (p50)' if after else '')
    return (
        f'{failures["outages"]}, {found}; {hit["count"]} tasks hit: '
        f'{ways_text(failures["moved"])}; {hit["done"]} in time '
        f'({hit["observed_in_time"]} as seen by devices), {hit["late"]} late, '
        f'{hit["failed"] + hit["rejected"]} failed'
    )


def ways_text(ways: dict[str, int]) -> str:
    """How many tasks went on in which way."""
    parts = [f'{count} {WAY_LABELS[way]}' for way, count in ways.items() if count]
    return ', '.join(parts) or 'none moved'


def _lead(failures: dict[str, Any]) -> str:
    after, silence = failures['detection_s'], failures['silence_s']
    text = f'{failures["outages"]} failures, {failures["injected"]} of them injected. '
    if after['count']:
        text += (
            f'They were noticed {seconds(after["p50"])} after they were injected in the median, '
            f'{seconds(after["max"])} at worst, in simulated time. '
        )
    if silence['count']:
        text += f'Servers had then been silent for {seconds(silence["p50"])} of wall time. '
    if failures['moving_s']['count']:
        text += f'Tensors took {seconds(failures["moving_s"]["p50"])} to move. '
    return text + (
        'Tasks that are hit are those that went on elsewhere, or failed with their server.'
    )


def _kinds(failures: dict[str, Any]) -> list[str]:
    heads = (
        'kind', 'failures', 'noticed', 'after (p50)', 'after (max)', 'back', 'tasks hit', 'relay',
        'sent again', 'device itself', 'moving (p50)', 'in time', 'late', 'failed',
    )  # fmt: skip
    rows = [_row(heads, 'th')]
    for kind, found in failures['by_kind'].items():
        after, tasks = found['detection_s'], found['tasks']
        rows.append(
            _row(
                (
                    html.escape(kind),
                    str(found['count']),
                    str(found['noticed']),
                    seconds(after['p50']),
                    seconds(after['max']),
                    str(found['back']),
                    str(tasks['count']),
                    *(str(found['moved'][way]) for way in WAY_LABELS),
                    seconds(found['moving_s']['p50']),
                    str(tasks['done']),
                    str(tasks['late']),
                    str(tasks['failed'] + tasks['rejected']),
                )
            )
        )
    return rows


_HIT_LEAD = (
    'What failures cost those whose server failed, beside all other tasks of the run. Times are '
    'those of the models of radio and computers; "seen in time" also counts what this machine '
    'took to do it all.'
)


def _comparison(failures: dict[str, Any]) -> list[str]:
    heads = ('tasks', 'number', 'in time', 'seen in time', 'late', 'failed', 'p50', 'p95', 'mean')
    rows = [_row(heads, 'th')]
    for name, label in (('hit', 'hit by a failure'), ('not_hit', 'all others')):
        fate = failures['tasks'][name]
        latency = fate['latency_s']
        rows.append(
            _row(
                (
                    label,
                    str(fate['count']),
                    f'{fate["done"]} ({percent(fate["completion"])})',
                    str(fate['observed_in_time']),
                    str(fate['late']),
                    str(fate['failed'] + fate['rejected']),
                    *(seconds(latency[key]) for key in ('p50', 'p95', 'mean')),
                )
            )
        )
    return rows


_MOVED_LEAD = (
    'Relay: the failed server passed the tensor on; sent again: the device did; device itself: '
    'it went on with the layers that were left. Moving is the time that the tensor travelled, '
    'as planned and as the channel had it; latency is that of the whole task. Who moved twice '
    'has two rows.'
)


def _moved(moved: list[Moved]) -> list[str]:
    heads = (
        'slot', 'task', 'from', 'to', 'how', 'network', 'cut', 'size', 'moving, planned',
        'moving, channel', 'latency', 'status', 'answer',
    )  # fmt: skip
    rows = [_row(heads, 'th')] + [_row(_cells(move)) for move in moved[:_MOST_MOVED]]
    if len(moved) > _MOST_MOVED:
        more = len(moved) - _MOST_MOVED
        rows.append(f'<tr><td colspan="{len(heads)}">and {more} more in migrations.csv</td></tr>')
    return rows


def _cells(move: Moved) -> tuple[str, ...]:
    end = f'<b class="{html.escape(move.status)}">{html.escape(move.status)}</b>'
    mark = ''
    if move.truth:
        hits, count = judge('', move.answer, move.truth)
        mark = ' ✓' if hits == count else ' ✗'
    return (
        str(move.slot),
        task_label(move.task_id),
        html.escape(move.source.replace('_', ' ')),
        html.escape('device' if move.target == 'local' else move.target.replace('_', ' ')),
        WAY_LABELS.get(move.way, move.way),
        html.escape(move.model_id),
        str(move.cut),
        data(move.size_bit / _BIT_PER_MBIT),
        seconds(move.expected_s),
        _known(move.moving_s),
        _known(move.latency_s) if move.is_last else '',
        end if move.is_last else 'moved again',
        html.escape(move.answer) + mark if move.is_last else '',
    )


def _known(value_s: float) -> str:
    return NONE if math.isnan(value_s) else seconds(value_s)


def _scrolled(rows: list[str]) -> str:
    return '<div class="scroll"><table>\n' + '\n'.join(rows) + '\n</table></div>'


def _row(cells: tuple[str, ...], tag: str = 'td') -> str:
    return '<tr>' + ''.join(f'<{tag}>{cell}</{tag}>' for cell in cells) + '</tr>'
