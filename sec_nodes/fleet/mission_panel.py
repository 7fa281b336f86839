"""The panel of the live view that shows a mission: what each UAV's tasks are at, and its plan."""

from __future__ import annotations

import math

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from sec_nodes.fleet.pieces import bar, by_tier, framed, one_line
from sec_nodes.fleet.snapshot import MISSION_STAGES, MissionView, Snapshot

LABELS = {
    'program': 'program', 'device': 'device', 'intermediate': 'result', 'uav': 'UAV',
    'done': 'done', 'missed': 'missed',
}  # fmt: skip
"""Of stages; the result is the intermediate one."""

STYLES = {
    'program': 'magenta', 'device': 'bright_black', 'intermediate': 'yellow', 'uav': 'blue',
    'done': 'green', 'missed': 'red',
}  # fmt: skip

_FIXED_ROWS = 3


def mission_rows(mission: MissionView) -> int:
    """Lines that the panel needs inside its frame."""
    return len(mission.names) + _FIXED_ROWS


def mission_panel(snapshot: Snapshot, mission: MissionView, width: int, rows: int) -> Panel:
    """A bar of tasks for each UAV, with its tracking error; totals; the plan in force.

    Args:
        snapshot: the run.
        mission: its mission.
        width: columns inside the frame.
        rows: lines inside the frame.
    """
    names = sorted(mission.names, key=by_tier)
    room = max(rows - _FIXED_ROWS, 1)
    shown = names if len(names) <= room else names[: room - 1]
    lines = [_uav_line(snapshot, mission, name, width) for name in shown]
    if len(shown) < len(names):
        lines.append(Text(f'and {len(names) - len(shown)} more', 'bright_black'))
    counts = totals(mission)
    for part in (MISSION_STAGES[:3], MISSION_STAGES[3:]):
        line = one_line()
        for stage in part:
            line.append(f'{LABELS[stage]} {counts[stage]}  ', STYLES[stage])
        lines.append(line)
    lines.append(_plan_line(mission))
    return framed(Group(*lines), 'tasks of each UAV, tracking error')


def mission_text(mission: MissionView) -> str:
    """What tasks are at, in a line for logs."""
    counts = totals(mission)
    return ' '.join(f'{LABELS[stage].lower()} {counts[stage]}' for stage in MISSION_STAGES[:4])


def totals(mission: MissionView) -> dict[str, int]:
    """Tasks at each stage."""
    return {
        stage: sum(counts.get(stage, 0) for counts in mission.stages.values())
        for stage in MISSION_STAGES
    }


def _uav_line(snapshot: Snapshot, mission: MissionView, name: str, width: int) -> Text:
    counts, view = mission.stages.get(name, {}), snapshot.servers.get(name)
    total = sum(counts.values())
    ended = counts.get('done', 0) + counts.get('missed', 0)
    line = one_line()
    lost = view is not None and not view.alive
    label = 'nobody' if name == '-' else name
    line.append(f'{label:<7.7}', 'bold red strike' if lost else 'cyan')
    # ended ones first, so that bars fill up from the left
    parts = [(counts.get(stage, 0), STYLES[stage]) for stage in reversed(MISSION_STAGES)]
    line.append_text(bar(parts, max(width - 22, 4)))
    line.append(f'{ended:>3}/{total:<2}')
    if view is not None:
        line.append(f' ±{view.tracking_error_m:.2f} m')
    return line


def _plan_line(mission: MissionView) -> Text:
    line = one_line()
    which = f'plan {mission.plans}' if mission.plans > 1 else 'plan'
    line.append(f'{which}, slot {mission.slot}, {mission.controller}:', 'bold')
    line.append(f' {mission.largest_j / 1e3:.3f} kJ')
    if math.isfinite(mission.bound_j):
        line.append(f' ≥ {mission.bound_j / 1e3:.3f}', 'bright_black')
    return line
