"""`sec simulate`: a scenario without ROS, one controller or several side by side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from sec_nodes.config import ConfigError, parse_overrides
from sec_nodes.fleet.settings import check_run_name
from sec_nodes.simulation import systems
from sec_nodes.simulation.results import write_results
from sec_nodes.simulation.run import Trace, check_slots, episode_seeds, simulate
from sec_nodes.simulation.statistics import certificate, compare, extra_figures, uneven
from sec_nodes.simulation.tables import comparison_tables, notes, obstacle_lines

ALL = 'all'
"""Stands for every controller of the scenario."""


@dataclass(frozen=True)
class Order:
    """What a user asks for."""

    scenario: str
    controller: str | None
    """None for the scenario's reference."""
    compare: str | None
    """Names separated by commas, or `all`; the reference joins them."""
    slots: int | None
    episodes: int
    seed: int
    settings: list[str]
    results: Path
    run: str | None


def carry_out(order: Order, console: Console) -> Path:
    """Simulate, print the table and write the results; returns their folder.

    Raises:
        ConfigError: anything that cannot be used; the text names it and the remedy.
    """
    if order.controller is not None and order.compare is not None:
        raise ConfigError('--controller and --compare exclude each other; give one of them')
    scenario = systems.system(order.scenario, parse_overrides(order.settings))
    slots = check_slots(scenario, order.slots)
    episodes = 1 if scenario.same_every_episode else order.episodes
    seed = episode_seeds(order.seed, episodes)
    controllers, reference = _controllers(order, scenario)
    folder = _folder(order)
    traces: list[Trace] = []
    with _progress(console) as progress:
        for name, controller in controllers.items():
            job = progress.add_task(name, total=slots)
            traces.append(
                simulate(
                    scenario,
                    controller,
                    seed,
                    slots,
                    certify=name == reference or len(controllers) == 1,
                    after_slot=lambda job=job: progress.advance(job),  # type: ignore[misc]
                )
            )
    rows = compare(traces, reference, scenario.prices_failure)
    subject = reference or traces[0].controller
    proof = certificate(next(trace for trace in traces if trace.controller == subject))
    extra = extra_figures(traces)
    console.print(*comparison_tables(rows, order.scenario, extra, reference))
    for line in notes(
        episodes, slots, subject, proof, paired=reference is not None, uneven=uneven(rows)
    ):
        console.print(Text(line))
    obstacles = scenario.obstacles(scenario.reset(seed))
    for line in obstacle_lines(obstacles, episodes):
        console.print(Text(line))
    description = {
        'scenario': order.scenario,
        'settings': scenario.settings.model_dump(mode='json'),
        'slots': slots,
        'episodes': episodes,
        'seed': order.seed,
        'reference': reference,
        'obstacles': obstacles,
    }
    write_results(folder, traces, rows, proof, description)
    console.print(Text(f'Written to {folder}: summary.json, episodes.csv, slots.csv, '
                       'comparison.png'))  # fmt: skip
    return folder


def _controllers(
    order: Order, scenario: systems.AnyScenario
) -> tuple[dict[str, systems.AnyController], str | None]:
    """Controllers to play by name, and the reference if there is anything to compare.

    A reference that does not know the settings that were chosen is left out.
    """
    if order.compare is None:
        name = order.controller or scenario.reference
        return {name: systems.controller(name, scenario, order.seed)}, None
    known = systems.controllers_of(scenario, in_all=order.compare == ALL)
    asked = known if order.compare == ALL else order.compare.split(',')
    names = list(dict.fromkeys(name.strip() for name in asked if name.strip()))
    if not names:
        raise ConfigError(f'--compare names no controller; known: {", ".join(known)}')
    try:
        base = systems.controller(scenario.reference, scenario, order.seed)
    except ConfigError:
        base = None
        if order.compare == ALL:
            names.remove(scenario.reference)
    if base is not None and scenario.reference not in names:
        names.append(scenario.reference)
    made = {
        name: base
        if base is not None and name == scenario.reference
        else systems.controller(name, scenario, order.seed)
        for name in names
    }
    return made, None if base is None else scenario.reference


def _folder(order: Order) -> Path:
    scenario = Path(order.scenario).stem.replace(':', '-')
    run = order.run or f'{scenario}-{datetime.now():%Y%m%d-%H%M%S}'
    check_run_name(run)
    folder = order.results / run
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(f'{folder} is there already; give another --run, or remove it') from None
    except OSError as error:
        raise ConfigError(
            f'{folder} cannot be made ({error.strerror}); give another --results'
        ) from None
    return folder


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        TextColumn('{task.completed:.0f}/{task.total:.0f} slots'),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
