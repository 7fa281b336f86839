"""`sec up`: from a request to the summary on the screen."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from sec_nodes.fleet.plan import Plan, Request, make_plan
from sec_nodes.fleet.runner import BAD_CONFIGURATION, INTERRUPTED, Run
from sec_nodes.fleet.view import LiveView, PlainView, View


def fly(request: Request, live: bool | None = None, report: bool = True) -> int:
    """Check a request, carry it out and show what came of it.

    Args:
        request: what to run.
        live: draw the live view; None = where there is a terminal.
        report: write report.html at the end.

    Returns:
        Exit code.

    Raises:
        ConfigError: the request cannot be used.
        DomainBusyError: another run has the ROS domain.
    """
    plan = make_plan(request)
    console = Console()
    run = Run(plan, _view(console, live))
    _announce(console, plan)
    code = run.execute()
    if run.message:
        print(f'error: {run.message}', file=sys.stderr)
    if code != BAD_CONFIGURATION and request.host is None:
        # Drawing takes seconds: who pressed Ctrl-C wants the prompt back.
        drawn = report and code != INTERRUPTED
        show_report(plan.files.folder, console, drawn)
        if not drawn:
            _say(console, f'report:  drawn by `sec report {_short(plan.files.folder)}`')
        _say(console, f'results: {_short(plan.files.folder)}')
    return code


def show_report(folder: Path, console: Console, drawn: bool = True) -> bool:
    """Print the summary of a run, and write its report.

    Args:
        folder: folder of the run.
        console: where the summary is printed.
        drawn: write report.html.

    Returns:
        False where there is nothing to report; the reason is printed.
    """
    from sec_nodes.report import ReportError, build, summary_table

    try:
        console.print(summary_table(folder))
        if drawn:
            _say(console, f'report:  {_short(build(folder))}')
    except ReportError as error:
        print(f'error: no report: {error}', file=sys.stderr)
        return False
    return True


def _view(console: Console, live: bool | None) -> View:
    wanted = console.is_terminal if live is None else live
    return LiveView(console) if wanted else PlainView(console)


def _announce(console: Console, plan: Plan) -> None:
    speed = f'x{plan.fleet.speed:g}' if plan.fleet.speed else 'lockstep'
    _say(
        console,
        f'{plan.fleet.name}: scenario {plan.scenario.name}, controller {plan.fleet.controller}, '
        f'{plan.fleet.slots} slots, seed {plan.fleet.seed}, {speed}, '
        f'{len(plan.processes)} processes',
    )
    for note in plan.notes:
        _say(console, note)


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def _short(path: Path) -> Path:
    """Relative to where the user is, if it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
