"""Draws a snapshot of a run in a terminal of 80x24 or more. Knows nothing of ROS."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.text import Text

from sec_nodes.fleet.area import draw_area
from sec_nodes.fleet.mission_panel import mission_panel, mission_rows, mission_text
from sec_nodes.fleet.pieces import bar, by_tier, framed, one_line, server_style
from sec_nodes.fleet.snapshot import STAGES, STATUSES, ServerView, Snapshot, TaskView
from sec_nodes.report.questions import FRAMES, judge

STATUS_STYLE = {
    'done': 'green', 'late': 'yellow', 'failed': 'red', 'rejected': 'magenta',
}  # fmt: skip
STAGE_STYLE = {'front': 'green', 'upload': 'cyan', 'back': 'blue', 'download': 'magenta'}
STAGE_NAME = {'front': 'front', 'upload': 'up', 'back': 'back', 'download': 'down'}
STATE_STYLE = {'waiting': 'yellow', 'running': 'green', 'draining': 'cyan', 'aborted': 'red'}
NOT_SENT = '-'
HEADER_ROWS = 3
BORDER = 2
FIGURES = 4
LEAST_AREA = 14
"""Rows below which the map, with its frame and lines, gives way to what UAVs store."""
LEAST_MAP = 8
"""The same in missions, where it has no lines about UAVs and passes."""


def render(snapshot: Snapshot, width: int = 100, height: int = 30) -> RenderableType:
    """The whole view.

    Args:
        snapshot: what to draw.
        width: columns of the terminal.
        height: rows of the terminal.
    """
    footer = 7 if height < 28 else 9
    body = max(height - HEADER_ROWS - footer, 6)
    left, rows = width // 2, body - BORDER
    layout = Layout()
    layout.split_column(
        Layout(_header(snapshot, width), name='header', size=HEADER_ROWS),
        Layout(name='body', size=body),
        Layout(name='footer'),
    )
    layout['body'].split_row(
        Layout(_tasks(snapshot, left - 4, rows), size=left),
        _places(snapshot, width - left - 4, body),
    )
    layout['footer'].split_row(
        Layout(_recent(snapshot, footer - BORDER), size=left),
        Layout(_events(snapshot, footer - BORDER)),
    )
    return layout


def plain_line(snapshot: Snapshot) -> str:
    """One line that says how a slot went, for logs."""
    ended = ' '.join(f'{name} {snapshot.ended.get(name, 0)}' for name in STATUSES)
    return (
        f'{_slot(snapshot):<12} t {snapshot.time_s:.1f} s  '
        f'x{snapshot.real_time_factor:.2f}  {_controller(snapshot)}  '
        f'open {snapshot.n_open} {ended}  '
        f'p50 {snapshot.latency_p50_s:.2f} s p95 {snapshot.latency_p95_s:.2f} s  '
        f'by {_tiers(snapshot)}' + _besides(snapshot)
    )


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, or hours too."""
    minutes, second = divmod(int(max(seconds, 0.0)), 60)
    hours, minute = divmod(minutes, 60)
    return f'{hours}:{minute:02d}:{second:02d}' if hours else f'{minute}:{second:02d}'


def _header(snapshot: Snapshot, width: int) -> Panel:
    progress = bar([(min(snapshot.slot + 1, snapshot.slots), 'cyan')], 12, max(snapshot.slots, 1))
    asked = f'of x{snapshot.speed:g}' if snapshot.speed else 'lockstep'
    line = one_line()
    line.append(f'{_slot(snapshot)} ', 'bold')
    line.append_text(progress)
    line.append(f'  t {clock(snapshot.time_s)}')
    line.append(f'  x{snapshot.real_time_factor:.2f} {asked}  ')
    line.append(_controller(snapshot), 'bold red' if snapshot.fallback else 'bold cyan')
    line.append(f' {snapshot.decide_s * 1e3:.0f} ms', 'bright_black')
    if snapshot.state == 'waiting':
        line = Text(f'waiting {snapshot.detail or "for the nodes"}', 'yellow', no_wrap=True)
    title = Text.assemble((snapshot.run[: width - 24] or 'sec_offload', 'bold'))
    state = Text(snapshot.state, STATE_STYLE.get(snapshot.state, 'bold green'))
    return framed(line, Text.assemble(title, ' ─ ', state))


def _tasks(snapshot: Snapshot, width: int, rows: int) -> Panel:
    counts = [(name, snapshot.ended.get(name, 0)) for name in STATUSES]
    legend = one_line()
    for name, count in counts:
        legend.append(f'{name} {count} ', STATUS_STYLE[name])
    parts = [(count, STATUS_STYLE[name]) for name, count in counts]
    lines = [bar(parts, width, max(snapshot.created, snapshot.n_ended)), legend]
    free = rows - len(lines) - FIGURES
    lines += _served(snapshot, width, free)
    if len(lines) + FIGURES < rows:
        lines.append(Text())
    return framed(
        Group(*lines, *_figures(snapshot)), f'{snapshot.created} tasks, {snapshot.n_open} open'
    )


def _served(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    """A bar a server, as long as it has tasks; the busiest where there is no room for all."""
    names = ['local', *sorted(snapshot.servers, key=by_tier)]
    names += sorted(name for name in snapshot.served if name not in names)
    if len(names) > rows > 0:
        totals = {name: sum(snapshot.served.get(name, {}).values()) for name in names}
        kept = sorted(names, key=lambda name: -totals[name])[: rows - 1]
        hidden = len(names) - len(kept)
        names = [name for name in names if name in kept]
        more = [Text(f'and {hidden} more', 'bright_black')]
    else:
        more = []
    longest = max((sum(counts.values()) for counts in snapshot.served.values()), default=1)
    return [_served_line(snapshot, name, width, longest) for name in names] + more


def _served_line(snapshot: Snapshot, name: str, width: int, longest: int) -> Text:
    counts = snapshot.served.get(name, {})
    total = sum(counts.values())
    view = snapshot.servers.get(name)
    style = 'bold red strike' if view and not view.alive else server_style(name)
    line = Text(no_wrap=True)
    line.append(f'{"not sent" if name == NOT_SENT else name:<12.12}', style)
    line.append(f'{total:>5} ')
    parts = [(counts.get(status, 0), STATUS_STYLE[status]) for status in STATUSES]
    line.append_text(bar(parts, max(width - 24, 4), max(longest, 1)))
    line.append(f'{100 * counts.get("done", 0) / total:>4.0f} %' if total else '     -')
    return line


def _figures(snapshot: Snapshot) -> list[Text]:
    ended, total_j = snapshot.n_ended, sum(snapshot.energy_j.values())
    in_time = 100 * snapshot.ended.get('done', 0) / ended if ended else 0.0
    latency = one_line()
    latency.append('latency ', 'bold')
    latency.append(f'p50 {snapshot.latency_p50_s:.2f} s  p95 {snapshot.latency_p95_s:.2f} s')
    energy = one_line()
    energy.append('energy  ', 'bold')
    energy.append(f'{total_j:.3g} J ')
    for stage in STAGES:
        share = 100 * snapshot.energy_j.get(stage, 0.0) / total_j if total_j else 0.0
        energy.append(f' {STAGE_NAME[stage]} {share:.0f}%', STAGE_STYLE[stage])
    answers = one_line()
    answers.append('answers ', 'bold')
    right = 100 * snapshot.right / snapshot.judged if snapshot.judged else 0.0
    answers.append(f'{right:.0f} % right, ')
    answers.append(f'{in_time:.0f} % in time', 'green' if in_time >= 90 else 'yellow')
    checks = one_line()
    checks.append('checks  ', 'bold')
    checks.append(f'{snapshot.repaired} repaired, {snapshot.dropped} rejected')
    return [latency, energy, answers, checks]


def _places(snapshot: Snapshot, width: int, height: int) -> Layout:
    """The map; with what UAVs store or serve below it, or that alone without room for both."""
    draw: Callable[[int], Panel]
    least = LEAST_AREA
    if snapshot.mission is not None:
        draw = partial(mission_panel, snapshot, snapshot.mission, width)
        wanted, least = mission_rows(snapshot.mission) + BORDER, LEAST_MAP
    elif snapshot.relays:
        draw, wanted = partial(_storage, snapshot, width), len(snapshot.relays) + 2 + BORDER
    else:
        return Layout(_area(snapshot, width, height - BORDER))
    if height - wanted < least:
        return Layout(draw(height - BORDER))
    layout = Layout()
    layout.split_column(
        Layout(_area(snapshot, width, height - wanted - BORDER)),
        Layout(draw(wanted - BORDER), size=wanted),
    )
    return layout


def _storage(snapshot: Snapshot, width: int, rows: int) -> Panel:
    """How full each UAV is and what it passed on, and what has come down."""
    names = sorted(snapshot.relays, key=by_tier)
    room = max(rows - 2, 1)
    shown = names if len(names) <= room else names[: room - 1]
    lines = [_storage_line(snapshot, name, width) for name in shown]
    if len(shown) < len(names):
        lines.append(Text(f'and {len(names) - len(shown)} more', 'bright_black'))
    lines += [_contact_line(snapshot), Text(_carried(snapshot), no_wrap=True, overflow='ellipsis')]
    return framed(Group(*lines), 'stored [Gbit], x, upload from [s]')


def _storage_line(snapshot: Snapshot, name: str, width: int) -> Text:
    view, relay = snapshot.servers.get(name), snapshot.relays[name]
    line = one_line()
    line.append(f'{name:<7.7}', 'cyan' if view is None or view.alive else 'bold red strike')
    if view is not None and view.storage_bit > 0:
        full = view.stored_bit / view.storage_bit
        style = 'green' if full < 0.8 else 'yellow' if full < 0.98 else 'red'
        line.append_text(bar([(view.stored_bit, style)], max(width - 27, 4), view.storage_bit))
        line.append(f'{view.stored_bit / 1e9:>6.2f}')
    if relay.late:
        line.append(' late', 'red')
    elif relay.satellite < 0:
        line.append(' not in view', 'bright_black')
    else:
        line.append(f' x {relay.ratio:.2f} {relay.upload_start_s:.2f} s')
    return line


def _contact_line(snapshot: Snapshot) -> Text:
    """Whom the satellite sees."""
    over = any(relay.satellite >= 0 for relay in snapshot.relays.values())
    down = any(view.ground_contact for view in snapshot.servers.values())
    line = one_line()
    for seen, whom in ((over, 'area'), (down, 'ground station')):
        line.append(f'{"★" if seen else "☆"} {whom}  ', 'magenta' if seen else 'bright_black')
    return line


def _carried(snapshot: Snapshot) -> str:
    return (
        f'{snapshot.uploaded_bit / 1e9:.2f} Gbit up, {snapshot.delivered_bit / 1e9:.2f} down '
        f'in {snapshot.files} files'
    )


def _besides(snapshot: Snapshot) -> str:
    """What else a line for logs tells of relays and missions."""
    if snapshot.mission is not None:
        return f'  {mission_text(snapshot.mission)}'
    return f'  {_carried(snapshot)}' if snapshot.relays else ''


def _area(snapshot: Snapshot, width: int, rows: int) -> Panel:
    apart = snapshot.relays or snapshot.mission is not None
    uavs = [view for view in snapshot.servers.values() if view.is_uav and not apart]
    uavs.sort(key=lambda view: by_tier(view.name))
    lines = _passes(snapshot)
    room = max(rows - len(lines) - 5, 1)
    shown = uavs[:room] if len(uavs) <= room else uavs[: room - 1]
    lines = [_uav_line(view) for view in shown] + lines
    if len(shown) < len(uavs):
        lines.insert(len(shown), Text(f'and {len(uavs) - len(shown)} more', 'bright_black'))
    area = draw_area(snapshot, width, max(rows - len(lines), 3))
    east_m, north_m = snapshot.area_m
    title = f'{east_m:g} x {north_m:g} m  • device ▲ UAV'
    return framed(Group(*area, *lines), title)


def _uav_line(view: ServerView) -> Text:
    east_m, north_m, up_m = view.position_m
    line = one_line()
    line.append(f'▲ {view.name:<6}', 'cyan' if view.alive else 'bold red strike')
    line.append(f'{east_m:>5.0f}{north_m:>5.0f}{up_m:>4.0f} m ±{view.tracking_error_m:.2f} m')
    if view.energy_left is not None:
        line.append(
            f' {100 * view.energy_left:.0f} %', 'green' if view.energy_left > 0.2 else 'red'
        )
    return line


def _passes(snapshot: Snapshot) -> list[Text]:
    """Who is up for longest, and who rises next; nothing without satellites."""
    tiers = [view.is_uav for view in snapshot.servers.values()]
    if tiers and all(tiers) and not snapshot.passes:
        return []
    now_s = snapshot.time_s
    up = [view for view in snapshot.passes if view.rise_s <= now_s < view.set_s]
    next_up = next((view for view in snapshot.passes if view.rise_s > now_s), None)
    lines = []
    if up:
        view = max(up, key=lambda view: view.set_s)
        text = f'★ {view.name} up for {clock(view.set_s - now_s)}, peak {view.peak_deg:.0f}°'
        lines.append(Text(text, 'magenta', no_wrap=True, overflow='ellipsis'))
    else:
        lines.append(Text('★ no serving satellite up', 'bright_black', no_wrap=True))
    if next_up:
        text = f'☆ {next_up.name} in {clock(next_up.rise_s - now_s)}, peak {next_up.peak_deg:.0f}°'
    else:
        text = '☆ no further pass in this run'
    return [*lines, Text(text, 'bright_black', no_wrap=True, overflow='ellipsis')]


def _recent(snapshot: Snapshot, rows: int) -> Panel:
    return framed(Group(*(_task_line(task) for task in snapshot.recent[:rows])), 'last tasks')


def _task_line(task: TaskView) -> Text:
    line = one_line()
    line.append(f'{task.server:<12.12}', server_style(task.server))
    if task.status in ('failed', 'rejected'):
        line.append(f'{task.status}: {task.reason}', STATUS_STYLE[task.status])
        return line
    line.append(f'{task.latency_s:>5.2f}/{task.deadline_s:.2f} s ', STATUS_STYLE[task.status])
    if task.question_kind == FRAMES and task.truth:
        hits, count = judge(task.question_kind, task.answer, task.truth)
        line.append(f'{hits}/{count} frames', 'green' if hits == count else 'yellow')
    elif task.truth:
        mark, style = ('✓', 'green') if task.answer == task.truth else ('✗', 'red')
        line.append(f'{mark} ', style)
        line.append(task.truth if mark == '✓' else f'{task.truth} → {task.answer}')
    else:
        line.append(task.answer)
    return line


def _events(snapshot: Snapshot, rows: int) -> Panel:
    lines = [Text(event, no_wrap=True, overflow='ellipsis') for event in snapshot.events[:rows]]
    return framed(Group(*lines), 'events')


def _slot(snapshot: Snapshot) -> str:
    """Which slot it is; after the last one, open tasks are finished."""
    slot = f'slot {snapshot.slot + 1}/{snapshot.slots}'
    return slot if snapshot.slot < snapshot.slots else 'draining'


def _controller(snapshot: Snapshot) -> str:
    return snapshot.controller + (' (fallback)' if snapshot.fallback else '')


def _tiers(snapshot: Snapshot) -> str:
    """How many tasks devices, UAVs and satellites served."""
    counts = {'devices': 0, 'uavs': 0, 'satellites': 0}
    for name, by_status in snapshot.served.items():
        served = by_status.get('done', 0) + by_status.get('late', 0)
        tier = {'local': 'devices', 'uav': 'uavs', 'satellite': 'satellites'}
        if served:
            counts[tier.get(name.split('_')[0], 'devices')] += served
    return ', '.join(f'{tier} {count}' for tier, count in counts.items())
