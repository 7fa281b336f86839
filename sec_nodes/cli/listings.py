"""What there is to choose from, as tables."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from sec_nodes.config import ConfigError, suggest


def controller_table(scenario: str) -> Table:
    """Controllers of a scenario with the first line of their documentation.

    Raises:
        ConfigError: no such scenario.
    """
    from sec_nodes.controllers import base, batch
    from sec_nodes.scenarios.registry import SCENARIOS

    if scenario not in SCENARIOS:
        raise ConfigError(f'unknown scenario {scenario!r}; {suggest(scenario, list(SCENARIOS))}')
    known: dict[str, type] = {}
    if scenario == 'survey':
        known |= {name: base.controller_class(name) for name in base.controller_names()}
    for name in batch.batch_controller_names(scenario):
        known[name] = batch.batch_controller_class(scenario, name)
    return _table(
        ('controller', 'what it does'),
        ((name, _first_line(kind)) for name, kind in known.items()),
    )


def scenario_table() -> Table:
    """Scenarios with their modes, and whether the ROS nodes fly them."""
    from sec_nodes.scenarios.registry import SCENARIOS, scenario_modes, scenario_names

    def row(name: str) -> tuple[str, ...]:
        flies = 'sec up, sec simulate' if SCENARIOS[name].scenario is None else 'sec simulate'
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


def model_table() -> Table:
    """Models with their size and the accuracy on their held-out sets."""
    from sec_nodes.inference.manifest import ModelError, load_manifest

    try:
        entries = load_manifest().models
    except ModelError as error:
        raise ConfigError(str(error)) from None
    rows = (
        (
            entry.id,
            entry.task,
            f'{sum(file.bytes for file in entry.files) / 1024:.0f}',
            f'{(entry.flop_prefix if entry.kind == "mllm" else entry.flop) / 1e6:.1f}',
            f'{100 * entry.accuracy.value:.1f}' if entry.accuracy else 'not measured',
        )
        for entry in entries
    )
    return _table(('model', 'task', 'KiB', 'MFLOP', 'accuracy [%]'), rows)


def _table(columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or '').partition('\n')[0]
