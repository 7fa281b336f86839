"""Figs 3 to 8 from the first training to the last picture.

    python -m sec_nodes.experiments.mllm.reproduce

writes the page in docs/ anew from the tables beside it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes import __version__
from sec_nodes.config import ConfigError
from sec_nodes.experiments.jobs import Job, Play, Store, Train, Training, needs, with_torch
from sec_nodes.experiments.mllm.claims import claims
from sec_nodes.experiments.mllm.curves import curve_rows, read_curves, write_curves
from sec_nodes.experiments.mllm.figures import FIGURES, Figure
from sec_nodes.experiments.mllm.judging import write_claims
from sec_nodes.experiments.mllm.page import page, rows_of
from sec_nodes.experiments.mllm.plans import Plan
from sec_nodes.experiments.mllm.plots import draw
from sec_nodes.experiments.mllm.tables import CURVED, figure_rows, read_rows, write_rows
from sec_nodes.experiments.runner import Progress, carry_out
from sec_nodes.paths import share_dir

JOBS, REPORT, SUMMARY, CLAIMS = 'jobs', 'report.md', 'summary.json', 'claims.csv'
PUBLISHED, PAGE = 'results/mllm', 'reproduce_mllm.md'
"""Below docs/."""


def reproduce(
    numbers: Sequence[int],
    plan: Plan,
    folder: Path,
    workers: int,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    train: Train = with_torch,
) -> list[Path]:
    """Carry out figures, or what is left of them, and write tables, pictures and a report.

    Args:
        numbers: of the figures; those that the folder has already stay in the report.
        plan: how much is done.
        folder: `jobs` in it keeps policies and evaluations.
        workers: processes at work at a time.
        on_progress: told how far the jobs are.
        train: carries out trainings.

    Returns:
        The files that were written.

    Raises:
        ConfigError: the folder is of another plan.
        KeyboardInterrupt, JobError: as `sec_nodes.experiments.runner.carry_out`.
    """
    _check_plan(folder, plan)
    figures = [FIGURES[number] for number in numbers]
    jobs = [job for figure in figures for job in figure.jobs(plan)]
    store = carry_out(jobs, folder / JOBS, workers, on_progress, train)
    written = [path for figure in figures for path in _write_figure(figure, plan, folder, store)]
    return [*written, *_write_report(plan, folder, store)]


def publish(folder: Path, docs: Path) -> list[Path]:
    """Copy tables and pictures below docs/, and write the page about them.

    Raises:
        ConfigError: a figure is missing.
    """
    missing = [str(number) for number in FIGURES if not (folder / f'fig{number}.csv').is_file()]
    if missing:
        raise ConfigError(
            f'{folder} lacks Figs {", ".join(missing)}; reproduce all of them, then publish'
        )
    target = docs / PUBLISHED
    target.mkdir(parents=True, exist_ok=True)
    names = [path.name for path in sorted(folder.glob('fig*')) if path.suffix in ('.csv', '.png')]
    for name in (*names, CLAIMS, SUMMARY):
        shutil.copyfile(folder / name, target / name)
    return [target, write_page(docs)]


def write_page(docs: Path) -> Path:
    """Write the page about what is published below docs/."""
    path = docs / PAGE
    path.write_text(page(docs / PUBLISHED, f'{PUBLISHED}/'), encoding='utf-8')
    return path


def _check_plan(folder: Path, plan: Plan) -> None:
    path = folder / SUMMARY
    if path.is_file():
        found = json.loads(path.read_text(encoding='utf-8'))['plan']
        if found != _plain(asdict(plan)):
            raise ConfigError(
                f'{folder} holds results of another plan ({found["name"]}); give another '
                '--results, or remove its summary.json and tables'
            )


def _write_figure(figure: Figure, plan: Plan, folder: Path, store: Store) -> list[Path]:
    """The table, the picture and, where trainings are shown, their curves."""
    table, picture, curves = (
        folder / f'fig{figure.number}{end}' for end in ('.csv', '.png', '_curves.csv')
    )
    write_rows(table, figure_rows(figure, plan, store))
    shows_trainings = figure.number in CURVED
    if shows_trainings:
        write_curves(curves, curve_rows(figure.points(plan), store))
    # Drawn from what was written, so that the files alone make the same picture.
    draw(picture, figure.number, read_rows(table), read_curves(curves) if shows_trainings else [])
    return [table, picture, *([curves] if shows_trainings else [])]


def _write_report(plan: Plan, folder: Path, store: Store) -> list[Path]:
    """Summary, claims and report about all figures that the folder holds."""
    rows = rows_of(folder)
    jobs = [job for number in rows for job in FIGURES[number].jobs(plan)]
    text = json.dumps(_summary(plan, jobs, store), indent=2) + '\n'
    (folder / SUMMARY).write_text(text, encoding='utf-8')
    write_claims(folder / CLAIMS, claims(row for table in rows.values() for row in table))
    (folder / REPORT).write_text(page(folder, ''), encoding='utf-8')
    return [folder / name for name in (SUMMARY, CLAIMS, REPORT)]


def _summary(plan: Plan, jobs: Iterable[Job], store: Store) -> dict[str, Any]:
    plays = {job for job in jobs if isinstance(job, Play)}
    trainings = sorted(
        {training for training in map(needs, plays) if training is not None},
        key=lambda training: training.label,
    )
    spent = _spent(trainings, store)
    return {
        'version': __version__,
        'date': date.today().isoformat(),
        'machine': f'{os.cpu_count()} cores, {platform.machine()}',
        'plan': _plain(asdict(plan)),
        'plays': len(plays),
        'trainings': len(trainings),
        'cpu_s': round(
            sum(entry['cpu_s'] * entry['runs'] for entry in spent)
            + sum(store.play_cpu_s(play) for play in plays)
        ),
        'spent': spent,
    }


def _spent(trainings: Sequence[Training], store: Store) -> list[dict[str, Any]]:
    """What the trainings of each algorithm in each variant of the scenario took, on average."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for training in trainings:
        changes = ''.join(f' {key}={value}' for key, value in training.overrides + training.hyper)
        key = training.algorithm, training.scenario + changes
        groups.setdefault(key, []).append(store.summary(training))
    return [
        {
            'algorithm': algorithm,
            'scenario': scenario,
            'runs': len(summaries),
            'steps': round(float(np.mean([one['steps'] for one in summaries]))),
            'updates': float(np.mean([one['updates'] for one in summaries])),
            'cpu_s': round(float(np.mean([one['cpu_s'] for one in summaries])), 1),
        }
        for (algorithm, scenario), summaries in groups.items()
    ]


def _plain(value: Any) -> Any:
    """As it comes back from JSON."""
    return json.loads(json.dumps(value))


if __name__ == '__main__':
    write_page(share_dir() / 'docs')
