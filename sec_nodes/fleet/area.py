"""A map of the area in characters: devices, UAVs, and who sends to whom."""

from __future__ import annotations

from itertools import chain, groupby

from rich.text import Text

from sec_nodes.fleet.snapshot import ServerView, Snapshot

DEVICE, UAV, LINK, WAY, EMPTY = '•', '▲', '·', '∙', ' '
Cell = tuple[str, str]
Grid = list[list[Cell]]


def draw_area(snapshot: Snapshot, width: int, height: int) -> list[Text]:
    """Lines of the map, north up.

    Args:
        snapshot: what to draw.
        width: columns of the map.
        height: rows of the map.
    """
    grid: Grid = [[(EMPTY, '')] * width for _ in range(height)]
    _draw_ways(grid, snapshot, width, height)
    for device, server in snapshot.links.items():
        view = snapshot.servers.get(server)
        if device in snapshot.devices and view and view.is_uav:
            begin = _cell(snapshot, snapshot.devices[device], width, height)
            _draw_line(grid, begin, _cell(snapshot, view.position_m[:2], width, height))
    for device, position_m in snapshot.devices.items():
        column, row = _cell(snapshot, position_m, width, height)
        grid[row][column] = (DEVICE, _device_style(snapshot.links.get(device)))
    for view in snapshot.servers.values():
        if view.is_uav:
            _draw_uav(grid, view, _cell(snapshot, view.position_m[:2], width, height))
    return [_line(row) for row in grid]


def _draw_ways(grid: Grid, snapshot: Snapshot, width: int, height: int) -> None:
    """Where the plan of a mission leads UAVs."""
    ways = snapshot.mission.ways.values() if snapshot.mission else ()
    for point_m in chain.from_iterable(ways):
        column, row = _cell(snapshot, point_m, width, height)
        grid[row][column] = (WAY, 'bright_black')


def _cell(
    snapshot: Snapshot, position_m: tuple[float, float], width: int, height: int
) -> tuple[int, int]:
    """Column and row of a position; what is outside the area is put on its edge."""
    share_east, share_north = (
        min(max(place / extent, 0.0), 1.0) if extent > 0 else 0.0
        for place, extent in zip(position_m, snapshot.area_m, strict=True)
    )
    return round(share_east * (width - 1)), round((1 - share_north) * (height - 1))


def _draw_line(grid: Grid, begin: tuple[int, int], end: tuple[int, int]) -> None:
    steps = max(abs(end[0] - begin[0]), abs(end[1] - begin[1]), 1)
    for step in range(0, steps, 2 if steps > 6 else 1):
        column = round(begin[0] + (end[0] - begin[0]) * step / steps)
        row = round(begin[1] + (end[1] - begin[1]) * step / steps)
        grid[row][column] = (LINK, 'cyan dim')


def _draw_uav(grid: Grid, view: ServerView, place: tuple[int, int]) -> None:
    column, row = place
    style = 'bold cyan' if view.alive else 'bold red'
    number = view.name.rpartition('_')[2]
    label = UAV + number
    first = min(column, len(grid[row]) - len(label))
    for offset, character in enumerate(label):
        if first + offset >= 0:
            grid[row][first + offset] = (character, style)


def _device_style(server: str | None) -> str:
    if server is None:
        return 'white'
    return 'cyan' if server.startswith('uav') else 'magenta'


def _line(row: list[Cell]) -> Text:
    text = Text(no_wrap=True)
    for style, cells in groupby(row, key=lambda cell: cell[1]):
        text.append(''.join(character for character, _ in cells), style)
    return text
