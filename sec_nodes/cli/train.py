"""`sec train`: an algorithm on a scenario, from several seeds at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sec_nodes.cli.train_progress import watching
from sec_nodes.cli.training_environment import go_on_there, has_libraries
from sec_nodes.config import ConfigError, parse_overrides
from sec_nodes.fleet.settings import check_run_name
from sec_nodes.learning.cluster import run_jobs_on_cluster
from sec_nodes.learning.job import POLICY, Job
from sec_nodes.learning.jobs import Finished, run_jobs
from sec_nodes.learning.problems import learnable
from sec_nodes.learning.registry import DEFAULT, recipe, values
from sec_nodes.simulation.statistics import estimate
from sec_nodes.simulation.tables import cell, heading

USUAL_STEPS = 100_000
FIGURES = ('cost', 'latency_s', 'energy_j', 'violations', 'late_share')
"""Figures of final policies that are shown, where a scenario has them."""
LIBRARIES = ('torch', 'tensorboard')
ORDER = 'order.json'
FAILED, INTERRUPTED = 1, 130


@dataclass(frozen=True)
class Order:
    """What a user asks for; what is kept of it in the run's folder lets the run go on."""

    scenario: str
    algorithms: tuple[str, ...]
    seeds: int
    steps: int | None
    minutes: float | None
    profile: str
    settings: dict[str, Any]
    scenario_settings: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """The command line."""

    scenario: str | None
    algorithms: str | None
    seeds: int | None
    steps: int | None
    minutes: float | None
    profile: str | None
    settings: list[str]
    scenario_settings: list[str]
    resume: str | None
    workers: int | None
    ray: str | None
    results: Path
    run: str | None


def carry_out(request: Request, console: Console) -> int:
    """Train, show how it goes and print what came of it; returns the exit code.

    Where torch is not installed this process is replaced by one in .venv-train.

    Raises:
        ConfigError: anything that cannot be used; the text names it and the remedy.
    """
    if request.workers is not None and request.workers < 1:
        raise ConfigError(f'workers = {request.workers}: must be at least 1')
    order = _resumed(request) if request.resume is not None else _ordered(request)
    name, mode = check(order)
    if not has_libraries(LIBRARIES):
        go_on_there(LIBRARIES, ['-m', 'sec_nodes.cli.main', *sys.argv[1:]])
    for algorithm in order.algorithms:  # once here, rather than in every job
        recipe(algorithm, name, order.profile, mode, order.settings)
    folder = _folder(request, order)
    (folder / ORDER).write_text(json.dumps(asdict(order), indent=2) + '\n', encoding='utf-8')
    jobs = jobs_of(order, folder)
    try:
        with watching(jobs, console) as on_progress:
            if request.ray is not None:
                ended = run_jobs_on_cluster(jobs, request.ray, on_progress)
            else:
                ended = run_jobs(jobs, request.workers, on_progress)
    except KeyboardInterrupt:
        console.print(Text(f'stopped at once; go on from the last checkpoints with: '
                           f'sec train --resume {folder}'))  # fmt: skip
        return INTERRUPTED
    return _report(order, folder, ended, console)


def check(order: Order) -> tuple[str, str | None]:
    """Scenario and mode of an order that can be carried out, as far as this shows without torch.

    Raises:
        ConfigError: it cannot.
    """
    for key, value, least in (
        ('seeds', order.seeds, 1),
        ('steps', order.steps, 1),
        ('minutes', order.minutes, 0),
    ):
        # Written so that a NaN fails as well.
        if value is not None and not value >= least:
            raise ConfigError(f'{key} = {value}: must be at least {least}')
    name, mode = learnable(order.scenario, order.scenario_settings)
    if not order.algorithms:
        raise ConfigError('--algo names no algorithm; give one, or several as a,b,c')
    for algorithm in order.algorithms:
        values(algorithm, name, order.profile, mode, order.settings)
    return name, mode


def jobs_of(order: Order, folder: Path) -> list[Job]:
    """The runs that an order asks for, each in its own folder ALGORITHM/seed_N."""
    return [
        Job(
            algorithm=algorithm,
            scenario=order.scenario,
            seed=seed,
            folder=folder / algorithm / f'seed_{seed}',
            steps=order.steps,
            minutes=order.minutes,
            profile=order.profile,
            settings=order.settings,
            scenario_settings=order.scenario_settings,
        )
        for algorithm in order.algorithms
        for seed in range(order.seeds)
    ]


def _ordered(request: Request) -> Order:
    if request.scenario is None or request.algorithms is None:
        raise ConfigError('name a scenario and --algo, or an earlier run with --resume')
    algorithms = [name.strip() for name in request.algorithms.split(',')]
    steps = request.steps
    if steps is None and request.minutes is None:
        steps = USUAL_STEPS
    return Order(
        scenario=request.scenario,
        algorithms=tuple(dict.fromkeys(filter(None, algorithms))),
        seeds=1 if request.seeds is None else request.seeds,
        steps=steps,
        minutes=request.minutes,
        profile=request.profile or DEFAULT,
        settings=parse_overrides(request.settings),
        scenario_settings=parse_overrides(request.scenario_settings),
    )


def _resumed(request: Request) -> Order:
    """The order of an earlier run, with another budget if one is given."""
    folder = _earlier(request)
    try:
        kept = json.loads((folder / ORDER).read_text(encoding='utf-8'))
        order = Order(**{**kept, 'algorithms': tuple(kept['algorithms'])})
    except (OSError, ValueError, TypeError, KeyError):
        raise ConfigError(
            f'--resume {request.resume}: {folder / ORDER} is missing or damaged; name the folder '
            'of a run of `sec train`'
        ) from None
    if request.scenario not in (None, order.scenario):
        raise ConfigError(
            f'--resume {request.resume} is a run of {order.scenario}, not {request.scenario}; '
            'leave the scenario out'
        )
    given = {
        '--algo': request.algorithms is not None
        and tuple(request.algorithms.split(',')) != order.algorithms,
        '--seeds': request.seeds not in (None, order.seeds),
        '--profile': request.profile not in (None, order.profile),
        '--set': bool(request.settings),
        '--set-scenario': bool(request.scenario_settings),
        '--run': request.run is not None,
    }
    for option, differs in given.items():
        if differs:
            raise ConfigError(
                f'{option} cannot change when a run is resumed; leave it out, or begin a new run'
            )
    if request.steps is not None or request.minutes is not None:
        return replace(order, steps=request.steps, minutes=request.minutes)
    return order


def _earlier(request: Request) -> Path:
    places = (Path(str(request.resume)), request.results / str(request.resume))
    return next((place for place in places if place.is_dir()), places[0])


def _folder(request: Request, order: Order) -> Path:
    if request.resume is not None:
        return _earlier(request)
    what = f'{"-".join(order.algorithms)}-{order.scenario.replace(":", "-")}'
    run = request.run or f'{what}-{datetime.now():%Y%m%d-%H%M%S}'
    check_run_name(run)
    folder = request.results / run
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(
            f'{folder} is there already; give another --run, or go on with --resume {run}'
        ) from None
    except OSError as error:
        raise ConfigError(
            f'{folder} cannot be made ({error.strerror}); give another --results'
        ) from None
    return folder


def _report(order: Order, folder: Path, ended: Sequence[Finished], console: Console) -> int:
    """Print what came of the jobs; returns the exit code."""
    finished = [job for job in ended if job.summary is not None]
    if finished:
        console.print(_table(order, finished))
        console.print(Text('Means over seeds, with 95 % intervals, of final policies without '
                           'exploration on held-out episodes.'))  # fmt: skip
        policy = finished[0].job.folder / POLICY
        changed = ''.join(f' --set {key}={_yaml(value)}' for key, value in
                          order.scenario_settings.items())  # fmt: skip
        _print_plain(console, f'policies: {folder}/ALGORITHM/seed_N/{POLICY}')
        _print_plain(
            console, f'fly one:  sec simulate {order.scenario} --controller {policy}{changed}'
        )
        _print_plain(console, f'curves:   tensorboard --logdir {folder}')
    for job in ended:
        if job.error is not None:
            for line in job.error.rstrip().splitlines():
                print(f'error: {job.job.name}: {line}', file=sys.stderr)
    stopped = [job for job in ended if job.stopped]
    if stopped:
        _print_plain(console, f'{len(stopped)} stopped before their end; go on with: '
                              f'sec train --resume {folder}')  # fmt: skip
    if len(finished) + len(stopped) < len(ended):
        return FAILED
    return INTERRUPTED if stopped else 0


def _table(order: Order, finished: Sequence[Finished]) -> Table:
    """A line an algorithm: figures of its final policies over seeds."""
    known = finished[0].summary or {}
    figures = [name for name in FIGURES if name in known['final']]
    table = Table(
        title=order.scenario, title_justify='left', title_style='bold', box=box.SIMPLE,
        pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column('algorithm', no_wrap=True)
    for name in ('seeds', *map(heading, figures), 'CPU [min]'):
        table.add_column(Text(name), justify='right', overflow='fold')
    for algorithm in order.algorithms:
        runs = [job.summary for job in finished if job.job.algorithm == algorithm and job.summary]
        if not runs:
            continue
        cells = [
            cell(estimate(np.array([run['final'][name] for run in runs]))) for name in figures
        ]
        minutes = float(np.mean([run['cpu_s'] for run in runs])) / 60
        table.add_row(Text(algorithm), str(len(runs)), *cells, f'{minutes:.1f}')
    return table


def _print_plain(console: Console, text: str) -> None:
    """Print a line that can be copied: unbroken, without colours."""
    console.print(Text(text), soft_wrap=True)


def _yaml(value: Any) -> str:
    return json.dumps(value, separators=(',', ':'))
