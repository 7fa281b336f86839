"""Tables of the ROS parameters, from the dataclasses that declare them."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import Any, NamedTuple, get_args

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from sec_nodes.config import ConfigError, suggest
from sec_nodes.fleet.settings import NodeKind

NODES: tuple[str, ...] = get_args(NodeKind)
COLUMNS = ('parameter', 'type', 'default', 'range', 'meaning')


class Row(NamedTuple):
    """One parameter."""

    name: str
    type: str
    default: str
    range: str
    meaning: str


def node_parameters(only: str | None = None) -> dict[str, list[Row]]:
    """Parameters of every node, or of one.

    Raises:
        ConfigError: no such node, or ROS 2 is not there.
    """
    if only is not None and only not in NODES:
        raise ConfigError(f'unknown node {only!r}; {suggest(only, list(NODES))}')
    from sec_nodes.fleet.runner import check_ros

    check_ros()
    return {node: _rows(node) for node in NODES if only in (None, node)}


def markdown_tables(tables: dict[str, list[Row]]) -> str:
    """One heading and table a node."""
    parts = []
    for node, rows in tables.items():
        lines = [
            f'#### {node}',
            '',
            '| ' + ' | '.join(COLUMNS) + ' |',
            '|---' * len(COLUMNS) + '|',
        ]
        for row in rows:
            cells = [f'`{row.name}`', row.type, f'`{row.default}`', row.range, row.meaning]
            lines.append('| ' + ' | '.join(cell.replace('|', r'\|') for cell in cells) + ' |')
        parts.append('\n'.join(lines))
    return '\n\n'.join(parts)


def rich_tables(tables: dict[str, list[Row]]) -> Group:
    """The same for a terminal."""
    drawn = []
    for node, rows in tables.items():
        table = Table(title=node, title_justify='left', title_style='bold', box=box.SIMPLE)
        for column in COLUMNS:
            table.add_column(column)
        for row in rows:
            table.add_row(*map(Text, row))
        drawn.append(table)
    return Group(*drawn)


def _rows(node: str) -> list[Row]:
    from sec_nodes.nodes.parameters import default_of

    kind = import_module(f'sec_nodes.nodes.{node}').Parameters
    return [
        Row(
            name=item.name,
            type=type(default_of(item)).__name__,
            default=_text(default_of(item)),
            range=_range(item.metadata),
            meaning=str(item.metadata['description']),
        )
        for item in fields(kind)
    ]


def _text(value: Any) -> str:
    return {True: 'true', False: 'false'}[value] if isinstance(value, bool) else repr(value)


def _range(metadata: Any) -> str:
    low, high, choices = (metadata[key] for key in ('low', 'high', 'choices'))
    if choices:
        return ', '.join(choices)
    if low is not None and high is not None:
        return f'{low:g} to {high:g}'
    if low is not None:
        return f'at least {low:g}'
    return f'at most {high:g}' if high is not None else ''
