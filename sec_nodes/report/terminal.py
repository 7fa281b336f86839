"""The summary of a run for a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text

from sec_nodes.report.carried_page import carried_alerts, skipped_text
from sec_nodes.report.failures_page import failures_text
from sec_nodes.report.load import load_run
from sec_nodes.report.mission_page import (
    energy_text,
    later_text,
    mission_alerts,
    nearest_text,
    plans_text,
)
from sec_nodes.report.summary import STATUSES, summarise_run
from sec_nodes.report.units import NONE, data, joule, percent, seconds, times

_STYLES = {'done': 'green', 'late': 'yellow', 'failed': 'red', 'rejected': 'magenta'}
_WIDTH = 80


def summary_panel(run_dir: Path) -> RenderableType:
    """What happened in a run, to be printed with rich.

    Args:
        run_dir: folder of the run.

    Raises:
        ReportError: it is not the folder of a run.
    """
    run = load_run(run_dir)
    summary = summarise_run(run)
    state = summary['state'] or 'end not recorded'
    title = f'[bold]{run.name}[/bold] · {summary["scenario"] or "?"} · {state}'
    parts: list[RenderableType] = [_headline(summary), '', _servers(summary), '', _facts(summary)]
    parts += [Text(line, style='bold red') for line in _complaints(summary)]
    parts += [Text(f'note: {note}', style='dim') for note in run.notes]
    return Panel(Group(*parts), title=title, width=_WIDTH, box=box.ROUNDED, padding=(1, 2))


def _headline(summary: dict[str, Any]) -> Text:
    tasks = summary['tasks']
    text = Text(f'{tasks["ended"]} of {tasks["created"]} tasks ended: ')
    for index, status in enumerate(STATUSES):
        count = tasks['by_status'][status]
        style = f'bold {_STYLES[status]}' if count else 'dim'
        text.append(', ' if index else '')
        text.append(f'{count} {status}', style=style)
    return text


def _servers(summary: dict[str, Any]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    grid.add_column('served by')
    for heading in ('tasks', 'correct', 'p50', 'p95', 'p99', 'mean'):
        grid.add_column(heading, justify='right')
    served = summary['served_by']['kind']
    for kind in [*served, 'all']:
        latency, accuracy = summary['latency_s'][kind], summary['accuracy'].get(kind)
        grid.add_row(
            kind,
            str(served.get(kind, sum(served.values()))),
            percent(accuracy['accuracy'] if accuracy else None),
            *(seconds(latency[name]) for name in ('p50', 'p95', 'p99', 'mean')),
            style='bold' if kind == 'all' else '',
        )
    return grid


def _facts(summary: dict[str, Any]) -> Grid:
    tasks, energy, flight, slots, measured = (
        summary[name] for name in ('tasks', 'energy_j', 'flight', 'slots', 'measured')
    )
    factor = slots['real_time_factor']
    controllers = ', '.join(f'{name} ({count})' for name, count in slots['controllers'].items())
    rms, top = flight['tracking_error_rms_m'], flight['tracking_error_max_m']
    lateness = measured['observed_minus_modelled_s']
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style='dim', no_wrap=True)
    grid.add_column()
    grid.add_row('deadlines met', percent(tasks['deadline_satisfaction']))
    grid.add_row(
        'energy',
        f'{joule(energy["per_answered_task"])} per answer, {joule(energy["total"])} in all; '
        f'propulsion {joule(energy["propulsion"])}',
    )
    _add_carried(grid, summary['carried'])
    _add_mission(grid, summary['mission'])
    grid.add_row(
        'flight', NONE if rms is None else f'tracking error {rms:.2f} m rms, {top:.2f} m at most'
    )
    grid.add_row('slots', f'{slots["count"]}, decided by {controllers or "nobody"}')
    grid.add_row(
        'repairs',
        f'{slots["fallback"]} slots by fallback, {slots["decisions_repaired"]} decisions mended, '
        f'{slots["decisions_rejected"]} rejected',
    )
    grid.add_row('servers lost', ', '.join(slots['servers_lost']) or 'none')
    if summary['failures'] is not None:
        grid.add_row('failures', failures_text(summary['failures']))
    questions = summary['questions']
    if questions['by_model']:
        first = questions['first_token_s']
        models = ', '.join(
            f'{name} {percent(found["accuracy"])} ({percent(found["held_out"])})'
            for name, found in questions['by_model'].items()
        )
        grid.add_row('first word', f'{seconds(first["p50"])} (p50), {seconds(first["p99"])} (p99)')
        grid.add_row('right answers', f'{models}; held-out accuracy in brackets')
    grid.add_row(
        'speed',
        f'{times(factor)} real time; observed later than modelled by '
        f'{seconds(lateness["p50"])} (p50), {seconds(lateness["p99"])} (p99)',
    )
    return grid


def _add_carried(grid: Grid, carried: dict[str, Any] | None) -> None:
    """Rows on data that UAVs passed on."""
    if carried is None:
        return
    files = carried['files']
    grid.add_row(
        'utility',
        f'{data(carried["utility_mbit"])}: uploaded '
        f'{data(carried["uploaded_mbit"])} for {joule(carried["energy_j"]["total"])}',
    )
    grid.add_row(
        'urgent data',
        f'{carried["late_batches"]} of {carried["batches"]} batches late, '
        f'{percent(carried["offloaded_share"])} computed by the satellite '
        f'({carried["frames_offloaded"]} of {carried["frames"]} frames)',
    )
    grid.add_row(
        'stored data',
        f'collected {data(carried["collected_mbit"])}, no room for '
        f'{data(carried["overflow_mbit"])}; on the ground {data(carried["delivered_mbit"])} in '
        f'{files["delivered"]} files, {files["verified"]} verified',
    )
    kept = {True: 'kept on every UAV', False: 'broken', None: 'not recorded'}
    told = filter(None, (kept[carried['conservation']['holds']], skipped_text(carried)))
    grid.add_row('balance of data', '; '.join(told))


def _add_mission(grid: Grid, mission: dict[str, Any] | None) -> None:
    """Rows on what was planned and flown."""
    if mission is None:
        return
    tasks = mission['tasks']
    grid.add_row('plans', plans_text(mission))
    grid.add_row(
        'mission',
        f'{tasks["in_time"]} of {tasks["count"]} tasks in time, '
        f'{tasks["planned_in_time"]} by the first plan',
    )
    grid.add_row('uploads', later_text(mission).removeprefix('Uploads ').lower())
    grid.add_row('largest energy', energy_text(mission))
    grid.add_row('least distance', nearest_text(mission))


def _complaints(summary: dict[str, Any]) -> list[str]:
    """Violations of "every task ends exactly once", and of the balance of data."""
    check = summary['exactly_once']
    words = {
        'duplicates': 'tasks with several outcomes',
        'missing': 'tasks without outcome',
        'unknown': 'outcomes of unknown tasks',
    }
    return [
        f'{len(check[name])} {text}: {", ".join(map(str, check[name][:5]))}'
        + (' …' if len(check[name]) > 5 else '')
        for name, text in words.items()
        if check[name]
    ] + [*carried_alerts(summary['carried']), *mission_alerts(summary['mission'])]
