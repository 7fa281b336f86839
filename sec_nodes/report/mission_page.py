"""A mission as a page shows it: what plans promised, what was flown, task by task."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from sec_nodes.report.load import Run, Table
from sec_nodes.report.mission import CLOSE_M
from sec_nodes.report.plans import Plan, mission_tasks, plans_of
from sec_nodes.report.units import NONE, percent, seconds, task_label

_MOST_NAMES = 10
_PUNCTUAL_S = 0.5e-3


def mission_section(run: Run, mission: dict[str, Any] | None, figures: str) -> str:
    """A section on plans and flights; empty without missions.

    Args:
        run: the run.
        mission: its numbers.
        figures: HTML of the figures.
    """
    if mission is None:
        return ''
    plans = plans_of(run)
    return (
        f'<section><h2>Mission</h2><p class="lead">{_lead(mission)}</p>'
        f'{_scrolled(_plans(mission))}{figures}</section>\n'
        f'<section><h2>UAVs, planned and flown</h2><p class="lead">{_uavs_lead(mission)}</p>'
        f'{_scrolled(_uavs(mission))}</section>\n'
        f'<section><h2>Promises</h2><p class="lead">{_TASKS_LEAD}</p>'
        f'{_scrolled(_tasks(plans, mission_tasks(run, plans)))}</section>'
    )


def mission_tiles(mission: dict[str, Any] | None) -> tuple[tuple[str, str, str], ...]:
    """Label, value and detail of what stands at the head of the page."""
    if mission is None:
        return ()
    tasks, largest = mission['tasks'], mission['largest_j']
    first = mission['plans'][0]
    bound = '' if first['bound_j'] is None else f', no plan below {kilojoule(first["bound_j"])}'
    return (
        (
            'in time',
            f'{tasks["in_time"]} / {tasks["count"]}',
            f'the first plan had {tasks["planned_in_time"]}',
        ),
        (
            'largest energy',
            kilojoule(largest['flown']),
            f'of a UAV; planned {kilojoule(largest["planned"])}{bound}',
        ),
    )


def mission_alerts(mission: dict[str, Any] | None) -> list[str]:
    """What must not happen in a mission, in words."""
    if mission is None:
        return []
    texts = []
    broken, near = mission['tasks']['broken_promises'], mission['nearest']['flown']
    if broken:
        names = ', '.join(task_label(task) for task in broken[:_MOST_NAMES])
        more = f' and {len(broken) - _MOST_NAMES} more' if len(broken) > _MOST_NAMES else ''
        texts.append(
            f'{len(broken)} tasks were planned in time and missed their deadline: {names}{more}'
        )
    if near is not None and near['distance_m'] < CLOSE_M:
        texts.append(f'UAVs came too close: {nearest_text(mission)}')
    return texts


def plans_text(mission: dict[str, Any]) -> str:
    """How many plans there were, by whom, and why there was more than one."""
    plans = mission['plans']
    makers = ', '.join(dict.fromkeys(plan['controller'] for plan in plans))
    anew = '; '.join(f'slot {plan["slot"]}: {plan["reason"]}' for plan in plans[1:])
    return f'{len(plans)} by {makers}' + (f'; {anew}' if anew else '')


def energy_text(mission: dict[str, Any]) -> str:
    """The largest energy of a UAV, planned and flown."""
    largest, first = mission['largest_j'], mission['plans'][0]
    bound = '' if first['bound_j'] is None else f', bound {kilojoule(first["bound_j"])}'
    return f'{kilojoule(largest["flown"])}, planned {kilojoule(largest["planned"])}{bound}'


def later_text(mission: dict[str, Any]) -> str:
    """How much later than planned uploads ended."""
    later = mission['tasks']['upload_later_s']
    if not later['count']:
        return 'No upload ended'
    return f'Uploads ended {_later(later["p50"])} in the median, {_later(later["max"])} at worst'


def _later(value_s: float) -> str:
    if abs(value_s) < _PUNCTUAL_S:
        return 'as planned'
    return f'{seconds(abs(value_s))} {"later" if value_s > 0 else "earlier"} than planned'


def nearest_text(mission: dict[str, Any]) -> str:
    """How close UAVs came to each other."""
    near, planned = mission['nearest']['flown'], mission['nearest']['planned']
    if near is None:
        return 'no two UAVs flew at a time'
    first, second = (name.replace('_', ' ') for name in near['uavs'])
    meant = '' if planned is None else f', planned {planned["distance_m"]:.1f} m'
    return f'{near["distance_m"]:.1f} m{meant} ({first} and {second} at {near["time_s"]:.1f} s)'


def kilojoule(value_j: float | None) -> str:
    """An energy, in digits enough to tell plans apart."""
    return NONE if value_j is None else f'{value_j / 1e3:.3f} kJ'


def _lead(mission: dict[str, Any]) -> str:
    tasks = mission['tasks']
    spare = tasks['spare_s']['p50']
    return (
        f'{tasks["in_time"]} of {tasks["count"]} tasks met their deadline; the first plan had '
        f'{tasks["planned_in_time"]} of them in time. {later_text(mission)}'
        + (f'; {seconds(spare)} were to spare in the median. ' if spare is not None else '. ')
        + f'Least distance between UAVs: {nearest_text(mission)}. Energies of plans are those of '
        'the UAV that needs most for the rest of the mission.'
    )


def _plans(mission: dict[str, Any]) -> list[str]:
    heads = ('from slot', 'by', 'because', 'tasks', 'in time', 'energy', 'over bound')
    return [_row(heads, 'th')] + [
        _row(
            (
                str(plan['slot']),
                html.escape(plan['controller']),
                html.escape(plan['reason']),
                str(plan['tasks']),
                str(plan['in_time']),
                kilojoule(plan['largest_j']),
                percent(plan['above_bound']),
            )
        )
        for plan in mission['plans']
    ]


def _uavs_lead(mission: dict[str, Any]) -> str:
    text = (
        'Energy is that of (12): propulsion at the speeds that were flown, until the plan ends, '
        'and computing with its weight. Tracking error is the distance to the set-point, rms.'
    )
    if len(mission['plans']) > 1:
        text += ' Planned last is what had been spent when the last plan began, and what it added.'
    return text


def _uavs(mission: dict[str, Any]) -> list[str]:
    anew = len(mission['plans']) > 1
    heads = ['UAV', 'tasks', 'in time', 'planned at the start']
    heads += ['planned last'] if anew else []
    heads += ['flown', 'service', 'tracking error', 'largest']
    rows = [_row(tuple(heads), 'th')]
    for name, uav in mission['by_uav'].items():
        error = uav['tracking_error_m']
        cells = [name.replace('_', ' '), str(uav['tasks']), str(uav['in_time'])]
        cells += [kilojoule(uav['planned_j'])]
        cells += [kilojoule(uav['promised_j'])] if anew else []
        cells += [kilojoule(uav['flown_j']), kilojoule(uav['service_j'])]
        cells += [_metres(error[key]) for key in ('rms', 'max')]
        rows.append(_row(tuple(cells)))
    return rows


_TASKS_LEAD = (
    'What the last plan about a task promised, and what came of it. Instants are in seconds '
    'of the simulation, in brackets how much later than promised. Program is when all of it was '
    'there, upload when the intermediate result was as well.'
)


def _tasks(plans: list[Plan], tasks: Table) -> list[str]:
    slot_of = {plan.number: plan.slot for plan in plans}
    heads = (
        'device', 'UAV', 'cut', 'plan of slot', 'program', 'upload (to plan)', 'answer (to plan)',
        'deadline', 'status',
    )  # fmt: skip
    rows = [_row(heads, 'th')]
    for k in range(len(tasks)):
        status = html.escape(str(tasks['status'][k])) or NONE
        rows.append(
            _row(
                (
                    f'd{tasks["device_id"][k]}',
                    html.escape(str(tasks['server_name'][k]).replace('_', ' ')),
                    str(tasks['split'][k]),
                    str(slot_of[int(tasks['plan'][k])]),
                    _instant(tasks['program_s'][k]),
                    _after(tasks['upload_end_s'][k], tasks['planned_upload_end_s'][k]),
                    _after(tasks['finish_s'][k], tasks['planned_finish_s'][k]),
                    _instant(tasks['due_s'][k]),
                    f'<b class="{status}">{status}</b>',
                )
            )
        )
    return rows


def _instant(time_s: float) -> str:
    return f'{time_s:.2f}' if np.isfinite(time_s) else NONE


def _after(real_s: float, planned_s: float) -> str:
    if not np.isfinite(real_s):
        return f'{NONE} (planned {_instant(planned_s)})'
    if not np.isfinite(planned_s):
        return f'{real_s:.2f} (never planned)'
    return f'{real_s:.2f} ({real_s - planned_s:+.2f})'


def _metres(value_m: float | None) -> str:
    return NONE if value_m is None else f'{value_m:.2f} m'


def _scrolled(rows: list[str]) -> str:
    return '<div class="scroll"><table>\n' + '\n'.join(rows) + '\n</table></div>'


def _row(cells: tuple[str, ...], tag: str = 'td') -> str:
    return '<tr>' + ''.join(f'<{tag}>{cell}</{tag}>' for cell in cells) + '</tr>'
