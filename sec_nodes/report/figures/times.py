"""How long tasks took: distribution by server, and single tasks stage by stage."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from sec_nodes.recording.tables import TIMING
from sec_nodes.report.figures import style
from sec_nodes.report.load import Run, Table, kinds_in, kinds_of
from sec_nodes.report.units import percent, task_label

_LOG_BEYOND = 30
"""Ratio of largest to smallest latency from which on the axis is logarithmic."""


def draw_latency(ax: Axes, run: Run) -> str:
    """Draw the distribution of latencies; returns what to see in it."""
    answered = run.answered
    if not len(answered):
        style.empty(ax, 'no task was answered')
        return 'No task was answered, so there is no latency to show.'
    latency, kinds = answered['latency_s'], kinds_of(answered)
    for kind in kinds_in(kinds):
        values = latency[kinds == kind]
        label = f'{style.kind_label(kind)} ({len(values)})'
        _cumulative(ax, values, color=style.kind_color(kind), label=label)
    deadlines = answered['deadline_s']
    _cumulative(ax, deadlines, color=style.INK, lw=1.0, ls=(0, (1, 1.5)), label='deadlines')
    positive = latency[latency > 0]
    if len(positive) and latency.max() / positive.min() > _LOG_BEYOND:
        _logarithmic(ax, positive.min())
    else:
        ax.set_xlim(0, 1.05 * max(latency.max(), deadlines.max()))
    ax.set_ylim(0, 1.01)
    ax.grid(True)
    ax.set_xlabel('latency [s]')
    ax.set_ylabel('share of tasks')
    style.legend(ax, 4)
    in_time = float(np.mean(latency <= deadlines))
    return (
        f'{percent(in_time)} of the answers came within their deadline; a curve left of the '
        'dotted one leaves slack. Numbers in brackets are answered tasks.'
    )


def _cumulative(ax: Axes, values: NDArray[np.float64], **options: Any) -> None:
    values = np.sort(values)
    share = np.arange(len(values) + 1) / len(values)
    ax.step(np.concatenate(([values[0]], values)), share, where='post', **options)


def _logarithmic(ax: Axes, smallest: float) -> None:
    ax.set_xscale('log')
    ax.set_xlim(left=0.8 * smallest)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    ax.xaxis.set_minor_formatter(NullFormatter())


def draw_timeline(ax: Axes, run: Run, most: int = 15) -> str:
    """Draw single tasks stage by stage; returns what to see in it."""
    tasks = _selection(run.answered, most)
    if not len(tasks):
        style.empty(ax, 'no task was answered')
        return 'No task was answered, so there is no timeline to show.'
    rows, left = np.arange(len(tasks)), np.zeros(len(tasks))
    for name in TIMING:
        stage, width = name.removesuffix('_s'), tasks[f'timing_{name}']
        if not width.any():
            continue
        ax.barh(
            rows,
            width,
            left=left,
            height=0.72,
            color=style.STAGE_COLORS[stage],
            label=style.STAGE_LABELS[stage],
        )
        left = left + width
    ax.plot(
        tasks['deadline_s'],
        rows,
        ls='',
        marker='|',
        ms=9,
        mew=1.6,
        color=style.INK,
        label='deadline',
    )
    labels = zip(tasks['task_id'], tasks['server_name'], strict=True)
    ax.set_yticks(rows, [f'{task_label(int(i))} → {name.replace("_", " ")}' for i, name in labels])
    ax.tick_params(axis='y', length=0, labelsize=7.5)
    for label, kind in zip(ax.get_yticklabels(), kinds_of(tasks), strict=True):
        label.set_color(style.text_color(kind))
    ax.invert_yaxis()
    ax.spines['left'].set_visible(False)
    ax.set_xlim(0, 1.04 * max(left.max(), tasks['deadline_s'].max()))
    ax.grid(True, axis='x')
    ax.set_xlabel('time since the picture was taken [s]')
    style.legend(ax, 7, columnspacing=0.9, handlelength=0.9)
    return (
        f'{len(tasks)} of {len(run.answered)} answered tasks, from the picture to the answer: '
        'of each kind of server from the slowest to the fastest. A bar beyond its mark was late.'
    )


def _selection(answered: Table, most: int) -> Table:
    """Tasks worth a look: of each kind some of every speed."""
    kinds = kinds_of(answered)
    present = kinds_in(kinds)
    chosen: list[int] = []
    for kind in present:
        members = np.flatnonzero(kinds == kind)
        members = members[np.argsort(answered['latency_s'][members])]
        share = max(1, most // len(present))
        # From the slowest to the fastest, with more of the slow ones: they have most to tell.
        ranks = np.linspace(1.0, 0.0, share) ** 0.6 * (len(members) - 1)
        chosen += members[np.unique(ranks.round().astype(int))[::-1]].tolist()
    return answered.where(np.array(chosen, dtype=int))
