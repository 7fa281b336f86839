"""What the panels of the live view are made of: bars, frames, colours, and the order of names."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text


def bar(parts: Sequence[tuple[float, str]], width: int, total: float | None = None) -> Text:
    """A bar of coloured parts.

    Args:
        parts: size and style of each part.
        width: columns of a full bar.
        total: size of a full bar; by default all parts together.
    """
    full = sum(size for size, _ in parts) if total is None else total
    text, drawn, reached = Text(), 0, 0.0
    for size, style in parts:
        reached += size
        end = round(width * reached / full) if full > 0 else 0
        text.append('█' * (end - drawn), style)
        drawn = max(drawn, end)
    text.append('░' * max(width - drawn, 0), 'bright_black')
    return text


def framed(content: RenderableType, title: str | Text) -> Panel:
    """A panel with its title on the left."""
    return Panel(content, title=title, title_align='left', border_style='bright_black')


def one_line() -> Text:
    """An empty line that is cut off where there is no room."""
    return Text(no_wrap=True, overflow='ellipsis')


def by_tier(name: str) -> tuple[bool, int, str]:
    """UAVs before satellites, each in the order of their numbers."""
    tier, _, number = name.rpartition('_')
    return (not tier.startswith('uav'), int(number) if number.isdigit() else 0, name)


def server_style(name: str) -> str:
    """Colour of who served a task."""
    if name.startswith('uav'):
        return 'cyan'
    if name.startswith('satellite'):
        return 'magenta'
    return 'green' if name == 'local' else 'bright_black'
