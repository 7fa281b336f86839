"""The report as files: a self-contained HTML page and one picture."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from sec_nodes.recording.tables import TABLES
from sec_nodes.report.carried_page import carried_alerts, carried_section, carried_tiles
from sec_nodes.report.failures_page import failures_section, failures_tiles
from sec_nodes.report.figures import CARRIED, FAILURES, MISSION, Plot, overview, plots_of, single
from sec_nodes.report.figures.style import RC
from sec_nodes.report.gallery import gallery
from sec_nodes.report.load import Run, load_run
from sec_nodes.report.mission_page import mission_alerts, mission_section, mission_tiles
from sec_nodes.report.page_style import PAGE
from sec_nodes.report.questions import judge
from sec_nodes.report.summary import STATUSES, summarise_run
from sec_nodes.report.units import joule, percent, seconds, task_label, times

_MOST_TASKS = 2000
"""Rows of the task table; a longer one makes browsers slow."""

_DPI = 170


def write_report(run_dir: Path) -> Path:
    """Write report.html and report.png into the folder of a run; returns the former.

    Raises:
        ReportError: it is not the folder of a run.
    """
    run = load_run(run_dir)
    with mpl.rc_context(RC):
        overview(run).savefig(run_dir / 'report.png', dpi=150)
        figures = _figures(plots_of(run), run)
        of_data = _figures(CARRIED, run) if len(run['relays']) else ''
        of_mission = _figures(MISSION, run) if len(run['sorties']) else ''
        of_failures = _figures(FAILURES, run) if len(run['failures']) else ''
    page = run_dir / 'report.html'
    page.write_text(_page(run, figures, of_data, of_mission, of_failures), encoding='utf-8')
    return page


def _page(
    run: Run, figures: str, figures_of_data: str, figures_of_mission: str, of_failures: str
) -> str:
    summary = summarise_run(run)
    return PAGE.format(
        name=html.escape(run.name),
        subtitle=html.escape(_subtitle(run, summary)),
        alerts=_alerts(run, summary),
        tiles=_tiles(summary),
        gallery=gallery(run),
        mission=mission_section(run, summary['mission'], figures_of_mission),
        carried=carried_section(run, summary['carried'], figures_of_data),
        failures=failures_section(run, summary['failures'], of_failures),
        figures=figures,
        servers=_servers(summary),
        tasks=_tasks(run),
        parameters=_parameters(run),
        files=_files(run),
    )


def _subtitle(run: Run, summary: dict[str, Any]) -> str:
    slots = summary['slots']
    parts = [
        f'scenario {summary["scenario"] or "unknown"}',
        f'{slots["count"]} slots of {run.slot_s:g} s',
        'decided by ' + (', '.join(slots['controllers']) or 'nobody'),
        summary['state'] or 'end not recorded',
        str(run.info.get('started', '')),
    ]
    return ' · '.join(part for part in parts if part)


def _alerts(run: Run, summary: dict[str, Any]) -> str:
    check = summary['exactly_once']
    texts = [
        f'{len(check[name])} {what}: {", ".join(task_label(task) for task in check[name][:10])}'
        for name, what in (
            ('duplicates', 'tasks have several outcomes'),
            ('missing', 'tasks have no outcome'),
            ('unknown', 'outcomes belong to no known task'),
        )
        if check[name]
    ]
    texts += carried_alerts(summary['carried'])
    texts += mission_alerts(summary['mission'])
    lines = [f'<p class="alert">{html.escape(text)}</p>' for text in texts]
    return '\n'.join(lines + [f'<p class="note">{html.escape(note)}</p>' for note in run.notes])


def _tiles(summary: dict[str, Any]) -> str:
    tasks, latency = summary['tasks'], summary['latency_s']['all']
    counts = ', '.join(f'{tasks["by_status"][name]} {name}' for name in STATUSES)
    accuracy = summary['accuracy']['all']
    factor = summary['slots']['real_time_factor']
    tiles = (
        *carried_tiles(summary['carried']),
        *mission_tiles(summary['mission']),
        *failures_tiles(summary['failures']),
        ('tasks', f'{tasks["ended"]} / {tasks["created"]}', counts),
        ('deadlines met', percent(tasks['deadline_satisfaction']), 'of the tasks that ended'),
        (
            'correct answers',
            percent(accuracy['accuracy']),
            f'of {accuracy["known"]} {_answers(summary)} with known truth',
        ),
        ('latency', seconds(latency['p50']), f'median; p99 {seconds(latency["p99"])}'),
        (
            'energy',
            joule(summary['energy_j']['per_answered_task']),
            'per answered task, without propulsion',
        ),
        ('speed', times(factor), 'simulated over wall time'),
    )
    return '\n'.join(
        f'<div class="tile"><span>{label}</span><strong>{html.escape(value)}</strong>'
        f'<small>{html.escape(detail)}</small></div>'
        for label, value, detail in tiles
    )


def _answers(summary: dict[str, Any]) -> str:
    """What is right or wrong: an answer, or a frame of several."""
    return 'answers' if summary['carried'] is None else 'frames'


def _figures(plots: Sequence[Plot], run: Run) -> str:
    return '\n'.join(_figure(*single(plot, run), plot.title) for plot in plots)


def _figure(figure: Figure, caption: str, title: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=_DPI)
    data = base64.b64encode(buffer.getvalue()).decode('ascii')
    return (
        f'<figure><h2>{html.escape(title)}</h2>'
        f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'
        f'<figcaption>{html.escape(caption)}</figcaption></figure>'
    )


def _row(cells: list[str], tag: str = 'td') -> str:
    return '<tr>' + ''.join(f'<{tag}>{cell}</{tag}>' for cell in cells) + '</tr>'


def _servers(summary: dict[str, Any]) -> str:
    rows = [_row(['served by', 'tasks', 'correct', 'p50', 'p95', 'p99', 'mean'], 'th')]
    for kind, latency in summary['latency_s'].items():
        accuracy = summary['accuracy'].get(kind, {'accuracy': None})
        rows.append(
            _row(
                [
                    html.escape(kind.replace('_', ' ')),
                    str(latency['count']),
                    percent(accuracy['accuracy']),
                    *(seconds(latency[name]) for name in ('p50', 'p95', 'p99', 'mean')),
                ]
            )
        )
    return '\n'.join(rows)


def _tasks(run: Run) -> str:
    heads = [
        'task',
        'created [s]',
        'status',
        'server',
        'split',
        'answer',
        'truth',
        'latency',
        'deadline',
        'energy',
        'reason',
    ]
    outcomes = run['outcomes']
    rows = [_row(heads, 'th')]
    for row in range(min(len(outcomes), _MOST_TASKS)):
        rows.append(_task_row({name: outcomes[name][row] for name in TABLES['outcomes']}))
    if len(outcomes) > _MOST_TASKS:
        more = len(outcomes) - _MOST_TASKS
        rows.append(f'<tr><td colspan="{len(heads)}">and {more} more in outcomes.csv</td></tr>')
    return '\n'.join(rows)


def _task_row(task: dict[str, Any]) -> str:
    answered = task['status'] in ('done', 'late')
    judged = answered and task['truth']
    hits, count = judge(task['question_kind'], task['answer'], task['truth'])
    mark = (' ✓' if hits == count else ' ✗') if judged else ''
    if judged and count > 1:
        mark += f' {hits} of {count}'
    energy = sum(task[name] for name in task if name.startswith('energy_'))
    return _row(
        [
            task_label(int(task['task_id'])),
            f'{task["created_s"]:.2f}',
            f'<b class="{html.escape(task["status"])}">{html.escape(task["status"])}</b>',
            html.escape(task['server_name'].replace('_', ' ')),
            str(task['split']) if answered else '',
            html.escape(task['answer']) + mark,
            html.escape(task['truth']),
            seconds(float(task['latency_s'])) if answered else '',
            seconds(float(task['deadline_s'])),
            joule(float(energy)) if answered else '',
            html.escape(task['reason']),
        ]
    )


def _parameters(run: Run) -> str:
    flat = _flat(run.scenario)
    rows = [_row([html.escape(key), html.escape(value)]) for key, value in flat.items()]
    return '\n'.join(rows) or _row(['not recorded'])


def _flat(tree: dict[str, Any], prefix: str = '') -> dict[str, str]:
    """Nested parameters by dotted name."""
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f'{prefix}{key}.')
        elif isinstance(value, list):
            flat[prefix + key] = ', '.join(str(item) for item in value)
        else:
            flat[prefix + key] = str(value)
    return flat


_FILES = {
    'run.mcap': 'every message; opens in Foxglove and with ros2 bag',
    'summary.json': 'the numbers of this report',
    'run.json': 'scenario and version',
    **{f'{name}.csv': 'table' for name in TABLES},
}


def _files(run: Run) -> str:
    rows = [
        _row([f'<a href="{name}">{name}</a>', what, f'{size / 1e3:,.0f} kB'])
        for name, what in _FILES.items()
        if (path := run.folder / name).is_file() and (size := path.stat().st_size) >= 0
    ]
    return '\n'.join(rows)
