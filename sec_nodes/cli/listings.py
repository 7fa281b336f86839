"""What there is to choose from, as tables."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from sec_nodes.config import ConfigError, suggest

if TYPE_CHECKING:
    from sec_nodes.inference.manifest import ModelEntry


def controller_table(scenario: str) -> Table:
    """Controllers of a scenario, what they run with, and the first line of their documentation.

    Raises:
        ConfigError: no such scenario.
    """
    from sec_nodes.controllers import base, batch
    from sec_nodes.scenarios.registry import SCENARIOS

    if scenario not in SCENARIOS:
        raise ConfigError(f'unknown scenario {scenario!r}; {suggest(scenario, list(SCENARIOS))}')
    rows: list[tuple[str, str, type]] = []
    entry = SCENARIOS[scenario]
    if entry.flies:
        runs_with = 'sec up' if entry.scenario else 'sec up, sec simulate'
        rows += [
            (name, runs_with, base.controller_class(name))
            for name in base.controller_names()
            if base.can_play(name, scenario)
        ]
    rows += [
        (name, 'sec simulate', batch.batch_controller_class(scenario, name))
        for name in batch.batch_controller_names(scenario)
    ]
    return _table(
        ('controller', 'runs with', 'what it does'),
        ((name, runs_with, _first_line(kind)) for name, runs_with, kind in rows),
    )


def scenario_table() -> Table:
    """Scenarios with their modes, and whether the ROS nodes fly them."""
    from sec_nodes.scenarios.registry import SCENARIOS, scenario_modes, scenario_names

    def row(name: str) -> tuple[str, ...]:
        flies = 'sec up, sec simulate' if SCENARIOS[name].flies else 'sec simulate'
        return name, ', '.join(scenario_modes(name)) or '-', flies

    return _table(('scenario', 'modes', 'runs with'), map(row, scenario_names()))


def fleet_table() -> Table:
    """Fleets with what they run."""
    from sec_nodes.fleet.settings import fleet_names, read_fleet

    def row(name: str) -> tuple[str, ...]:
        fleet = read_fleet(name)
        hosts = ', '.join(fleet.hosts) or 'this machine'
        return name, fleet.scenario, fleet.controller, str(fleet.slots), hosts

    return _table(('fleet', 'scenario', 'controller', 'slots', 'hosts'), map(row, fleet_names()))


def model_table(models_dir: Path | None = None) -> Table:
    """Models of a folder with their size, work and accuracy on their own held-out sets.

    Raises:
        ModelError: no manifest, or a wrong one.
    """
    from sec_nodes.inference.manifest import load_manifest

    return _table(
        ('model', 'task', 'KiB', 'MFLOP', 'accuracy [%]', 'set'),
        map(_model_row, load_manifest(models_dir).models),
    )


def _model_row(entry: ModelEntry) -> tuple[str, ...]:
    """Work is that of a picture, or of a picture and a token."""
    work = (
        f'{entry.flop_prefix / 1e6:.1f} + {entry.flop_per_token / 1e6:.2f}'
        if entry.kind == 'mllm'
        else f'{entry.flop / 1e6:.1f}'
    )
    found = entry.accuracy
    accuracy, of_set = ('-', '-') if found is None else (f'{100 * found.value:.1f}', found.set)
    size = sum(file.bytes for file in entry.files) / 1024
    return entry.id, entry.task, f'{size:.0f}', work, accuracy, of_set


def _table(columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or '').partition('\n')[0]
