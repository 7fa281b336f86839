"""What became of the tasks, slot by slot."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sec_nodes.report.figures import style
from sec_nodes.report.load import Run, kinds_in, kinds_of

_MOST_BARS = 60


def draw_outcomes(ax: Axes, run: Run) -> str:
    """Draw tasks by outcome and server over slots; returns what to see in it."""
    outcomes = run['outcomes']
    if not len(outcomes):
        style.empty(ax, 'no task ended')
        return 'No task ended in this run.'
    slots, kinds, status = outcomes['slot'], kinds_of(outcomes), outcomes['status']
    width = max(1, -(-(int(slots.max()) + 1) // _MOST_BARS))
    answered = kinds_in(kinds[np.isin(status, ('done', 'late'))])
    layers = [
        (kinds == kind) & (status == state) for kind in answered for state in ('done', 'late')
    ]
    looks: list[dict[str, Any]] = [
        {'color': style.kind_color(kind), 'hatch': hatch}
        for kind in answered
        for hatch in ('', '/////')
    ]
    layers += [status == 'failed', status == 'rejected']
    looks += [{'color': style.FAILED, 'hatch': ''}, {'color': style.REJECTED, 'hatch': ''}]
    _stack(ax, slots // width, layers, looks, width)
    ax.grid(True, axis='y')
    ax.set_xlabel('slot in which the task was created')
    ax.set_ylabel('tasks' if width == 1 else f'tasks in {width} slots')
    _legend(ax, answered, status)
    return (
        'Tasks by who answered them; hatched ones came after their deadline. '
        'Red ones failed, black ones were rejected.'
    )


def _stack(
    ax: Axes,
    bins: NDArray[np.int64],
    layers: list[NDArray[np.bool_]],
    looks: list[dict[str, Any]],
    width: int,
) -> None:
    positions = np.arange(bins.max() + 1)
    bottom = np.zeros(len(positions))
    for layer, look in zip(layers, looks, strict=True):
        heights = np.bincount(bins[layer], minlength=len(positions))
        ax.bar(
            (positions + 0.5) * width - 0.5,
            heights,
            bottom=bottom,
            width=0.86 * width,
            edgecolor='white',
            linewidth=0.3,
            **look,
        )
        bottom = bottom + heights
    ax.set_xlim(-0.5, len(positions) * width - 0.5)


def _legend(ax: Axes, kinds: list[str], status: NDArray[np.object_]) -> None:
    handles = [Patch(fc=style.kind_color(kind), label=style.kind_label(kind)) for kind in kinds]
    others = {
        'late': Patch(fc='#bbbbbb', ec='white', hatch='/////', label='late'),
        'failed': Patch(fc=style.FAILED, label='failed'),
        'rejected': Patch(fc=style.REJECTED, label='rejected'),
    }
    handles += [patch for name, patch in others.items() if name in status]
    style.legend(ax, handles=handles)
