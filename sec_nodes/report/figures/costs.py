"""What tasks cost: energy by part."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from sec_nodes.recording.tables import ENERGY
from sec_nodes.report.figures import style
from sec_nodes.report.load import Run, kinds_in, kinds_of
from sec_nodes.report.summary import propulsion_j
from sec_nodes.report.units import joule


def draw_energy(ax: Axes, run: Run) -> str:
    """Draw the energy of a task by kind of server; returns what to see in it."""
    answered = run.answered
    if not len(answered):
        style.empty(ax, 'no task was answered')
        return 'No task was answered, so there is no energy per answer to show.'
    kinds = kinds_of(answered)
    present = kinds_in(kinds)
    rows, left = np.arange(len(present)), np.zeros(len(present))
    for part in ENERGY:
        stage = part.removesuffix('_j')
        values = answered[f'energy_{part}']
        width = np.array([values[kinds == kind].mean() for kind in present])
        ax.barh(
            rows,
            width,
            left=left,
            height=0.6,
            color=style.STAGE_COLORS[stage],
            label=style.STAGE_LABELS[stage],
        )
        left = left + width
    for row, total in enumerate(left):
        ax.annotate(
            joule(float(total)),
            (total, row),
            xytext=(4, 0),
            textcoords='offset points',
            va='center',
            fontsize=8,
        )
    ax.set_yticks(rows, [style.kind_label(kind) for kind in present])
    ax.tick_params(axis='y', length=0)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.2 * left.max() if left.max() > 0 else 1.0)
    ax.set_ylim(len(present) - 0.5, -0.5)
    ax.grid(True, axis='x')
    ax.set_xlabel('mean energy of an answered task [J]')
    style.legend(ax, 4)
    return (
        'Where the energy of a task goes, by who answered it. Staying in the air is another '
        f'scale: propulsion took {joule(propulsion_j(run))}.'
    )
