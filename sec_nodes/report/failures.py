"""Which servers failed, how soon that was noticed, and what became of their tasks."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.recording.rows import WAYS
from sec_nodes.report.load import Run, Table
from sec_nodes.report.statistics import ratio, statistics

BY_ITSELF = 'not injected'
"""Kind of failures that nobody asked for."""

WAY_LABELS = {'relay': 'relay', 'resend': 'sent again', 'local': 'device itself'}
"""How tasks went on, for readers."""

RECOVER = 'recover'

_LOST_WITH = re.compile(r'server_lost: (\w+)|server_failing|handover_failed')
"""Reasons of tasks that failed with a server, and its name where the reason has it."""

_ROUNDING_S = 1e-6


@dataclass(frozen=True)
class Moved:
    """A task that went on elsewhere, and how it ended."""

    decided_s: float
    slot: int
    task_id: int
    source: str
    target: str
    way: str
    model_id: str
    cut: int
    size_bit: float
    expected_s: float
    moving_s: float
    """How long the tensor travelled, by the channel's model [s]; NaN if nothing travelled, or this
    try was not the last one."""
    status: str
    """How the task ended; empty if that is not recorded."""
    answer: str
    truth: str
    latency_s: float
    is_last: bool
    """Whether the task ended in this try."""


@dataclass
class Outage:
    """A server that failed, until it was back. Instants are NaN where there is none [s]."""

    name: str
    kind: str
    injected_s: float = math.nan
    noticed_s: float = math.nan
    back_s: float = math.nan
    end_s: float = math.nan
    """When it was back, or failed anew before that [s]."""
    silence_s: float = math.nan
    """Wall time for which the server had been silent when that was noticed [s]."""
    reason: str = ''
    under_way: int = 0
    """Tasks that the server had when its failure was noticed."""
    tasks: set[int] = field(default_factory=set)
    """Tasks that it hit: they went on elsewhere, or failed."""
    moves: list[Moved] = field(default_factory=list)
    """How these went on."""

    @property
    def start_s(self) -> float:
        """When it began, as far as is known [s]."""
        return self.noticed_s if math.isnan(self.injected_s) else self.injected_s

    @property
    def detection_s(self) -> float:
        """Simulation time until it was noticed [s]."""
        return self.noticed_s - self.injected_s


def outages_of(run: Run, moved: list[Moved]) -> list[Outage]:
    """Failures in the order in which they began, with the tasks that each of them hit.

    Args:
        run: the run.
        moved: what `moved_of` says of it.
    """
    outages: list[Outage] = []
    current: dict[str, Outage] = {}
    rows = run['failures']
    for k in np.argsort(_instant_s(rows), kind='stable'):
        name, kind = str(rows['name'][k]), str(rows['kind'][k])
        outage = current.get(name)
        injected_s, back_s = float(rows['injected_s'][k]), float(rows['back_s'][k])
        if kind == RECOVER:
            # one that was noticed lasts until the server is heard again
            if outage is not None and math.isnan(outage.noticed_s):
                _end(current.pop(name), injected_s)
        elif math.isfinite(injected_s):
            if outage is not None:
                outage.end_s = injected_s
            outages.append(Outage(name, kind, injected_s))
            current[name] = outages[-1]
        elif math.isfinite(back_s):
            if outage is not None:
                _end(current.pop(name), back_s)
        else:
            if outage is None:
                outage = current[name] = Outage(name, BY_ITSELF)
                outages.append(outage)
            _notice(outage, rows, int(k))
    for move in moved:
        outage = _latest(outages, move.source, move.decided_s)
        if outage is not None:
            outage.moves.append(move)
            outage.tasks.add(move.task_id)
    _add_lost(run, outages)
    return outages


def moved_of(run: Run) -> list[Moved]:
    """Tasks that went on elsewhere, in the order of the decisions."""
    rows, outcomes = run['migrations'], run['outcomes']
    ends = {int(task): k for k, task in enumerate(outcomes['task_id'])}
    return [
        _moved({name: rows[name][k] for name in _OF_ROW}, outcomes, ends)
        for k in np.argsort(rows['decided_s'], kind='stable')
    ]


def summarise_failures(run: Run) -> dict[str, Any] | None:
    """Sum up failures and what they did to tasks; None in runs without."""
    moved = moved_of(run)
    outages = outages_of(run, moved)
    if not outages and not moved:
        return None
    kinds = list(dict.fromkeys(outage.kind for outage in outages))
    hit = {task for outage in outages for task in outage.tasks}
    hit |= {move.task_id for move in moved}
    return {
        'outages': len(outages),
        'injected': sum(math.isfinite(outage.injected_s) for outage in outages),
        'noticed': sum(math.isfinite(outage.noticed_s) for outage in outages),
        'detection_s': _instants(outages, 'detection_s'),
        'silence_s': _instants(outages, 'silence_s'),
        'moved': _ways(moved),
        'moving_s': _moving(moved),
        'tasks': {
            'hit': _fate(run, hit),
            'not_hit': _fate(run, set(run['outcomes']['task_id'].tolist()) - hit),
        },
        'by_kind': {kind: _by_kind(run, [o for o in outages if o.kind == kind]) for kind in kinds},
    }


_OF_ROW = (
    'decided_s', 'slot', 'task_id', 'attempt', 'from_name', 'to_name', 'way', 'model_id', 'cut',
    'size_bit', 'expected_s',
)  # fmt: skip


def _end(outage: Outage, back_s: float) -> None:
    outage.back_s = outage.end_s = back_s


def _instant_s(rows: Table) -> NDArray[np.float64]:
    """When what a row tells of happened: each has one instant [s]."""
    instants = [rows[name] for name in ('injected_s', 'noticed_s', 'back_s')]
    return np.nansum(np.vstack(instants), axis=0)


def _notice(outage: Outage, rows: Table, k: int) -> None:
    """The first notice tells; what is found out later about the same failure adds tasks."""
    if math.isnan(outage.noticed_s):
        outage.noticed_s = float(rows['noticed_s'][k])
        outage.silence_s = float(rows['silence_s'][k])
        outage.reason = str(rows['reason'][k])
    outage.under_way += max(int(rows['tasks'][k]), 0)


def _add_lost(run: Run, outages: list[Outage]) -> None:
    """Give outages the tasks that failed because of them."""
    outcomes = run['outcomes']
    for k in np.flatnonzero(outcomes['status'] == 'failed'):
        match = _LOST_WITH.search(outcomes['reason'][k])
        name = match and (match[1] or outcomes['server_name'][k])
        outage = _latest(outages, name, float(outcomes['ended_s'][k])) if name else None
        if outage is not None:
            outage.tasks.add(int(outcomes['task_id'][k]))


def _latest(outages: list[Outage], name: str, time_s: float) -> Outage | None:
    """The failure of a server that an instant belongs to."""
    own = [o for o in outages if o.name == name and o.start_s <= time_s + _ROUNDING_S]
    return own[-1] if own else None


def _moved(row: dict[str, Any], outcomes: Table, ends: dict[int, int]) -> Moved:
    k = ends.get(int(row['task_id']))
    known = k is not None
    is_last = known and int(outcomes['attempts'][k]) - 1 == int(row['attempt'])
    status = str(outcomes['status'][k]) if known else ''
    answered = status in ('done', 'late')
    travelled = is_last and answered and row['way'] != 'local'
    return Moved(
        decided_s=float(row['decided_s']),
        slot=int(row['slot']),
        task_id=int(row['task_id']),
        source=str(row['from_name']),
        target=str(row['to_name']),
        way=str(row['way']),
        model_id=str(row['model_id']),
        cut=int(row['cut']),
        size_bit=float(row['size_bit']),
        expected_s=float(row['expected_s']),
        moving_s=float(outcomes['timing_upload_s'][k]) if travelled else math.nan,
        status=status,
        answer=str(outcomes['answer'][k]) if answered else '',
        truth=str(outcomes['truth'][k]) if answered else '',
        latency_s=float(outcomes['latency_s'][k]) if answered else math.nan,
        is_last=bool(is_last),
    )


def _by_kind(run: Run, outages: list[Outage]) -> dict[str, Any]:
    tasks = {task for outage in outages for task in outage.tasks}
    own = [move for outage in outages for move in outage.moves]
    return {
        'count': len(outages),
        'noticed': sum(math.isfinite(outage.noticed_s) for outage in outages),
        'back': sum(math.isfinite(outage.back_s) for outage in outages),
        'detection_s': _instants(outages, 'detection_s'),
        'silence_s': _instants(outages, 'silence_s'),
        'moved': _ways(own),
        'moving_s': _moving(own),
        'tasks': _fate(run, tasks),
    }


def _instants(outages: list[Outage], name: str) -> dict[str, Any]:
    return statistics(np.array([getattr(outage, name) for outage in outages], dtype=float))


def _ways(moved: list[Moved]) -> dict[str, int]:
    counts = Counter(move.way for move in moved)
    return {way: counts[way] for way in WAYS}


def _moving(moved: list[Moved]) -> dict[str, Any]:
    return statistics(np.array([move.moving_s for move in moved], dtype=float))


def _fate(run: Run, tasks: set[int]) -> dict[str, Any]:
    """How some tasks ended, and how long the answered ones took.

    Whether they were in time is judged by the scenario's clock; `observed_in_time` counts those
    whose devices had the answer by their deadline, this machine's own delays included.
    """
    outcomes = run['outcomes']
    own = outcomes.where(np.isin(outcomes['task_id'], list(tasks)))
    counts = Counter(own['status'].tolist())
    answered = np.isin(own['status'], ('done', 'late'))
    return {
        'count': len(own),
        **{status: counts[status] for status in ('done', 'late', 'failed', 'rejected')},
        'completion': ratio(counts['done'], len(own)),
        'observed_in_time': int(
            np.sum(own['observed_s'][answered] <= own['deadline_s'][answered])
        ),
        'latency_s': statistics(own['latency_s'][answered]),
    }
