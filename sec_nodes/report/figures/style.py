"""How figures look: colours that colour-blind readers can tell apart, little ink, legends outside.

Server kinds have the strong colours of Okabe and Ito, stages of a task the pale ones of Tol, so
that the two never look like one scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

KIND_COLORS: Mapping[str, str] = {
    'local': '#7a7a7a',
    'uav': '#0072b2',
    'satellite': '#e69f00',
    'ground_station': '#009e73',
}
KIND_LABELS: Mapping[str, str] = {
    'local': 'device itself',
    'uav': 'UAV',
    'satellite': 'satellite',
    'ground_station': 'ground station',
}
FAILED, REJECTED = '#c8102e', '#1a1a1a'

STAGE_COLORS: Mapping[str, str] = {
    'decision': '#d4d4d4',
    'lost': '#e7a3a8',
    'front': '#77aadd',
    'upload': '#eedd88',
    'wait': '#ffaabb',
    'back': '#44bb99',
    'download': '#ee8866',
}
STAGE_LABELS: Mapping[str, str] = {
    'decision': 'decision',
    'lost': 'lost try',
    'front': 'on device',
    'upload': 'upload',
    'wait': 'queue',
    'back': 'on server',
    'download': 'download',
}

VEHICLE_COLORS = ('#332288', '#117733', '#aa4499', '#88ccee', '#999933', '#882255')
INK, MUTED, FAINT = '#222222', '#6b6b6b', '#e4e4e4'

RC: Any = {  # matplotlib types the keys one by one
    'font.family': 'sans-serif',
    'font.size': 8.5,
    'axes.titlesize': 9.5,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'axes.labelsize': 8.5,
    'axes.labelcolor': INK,
    'axes.edgecolor': '#555555',
    'axes.linewidth': 0.7,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.axisbelow': True,
    'text.color': INK,
    'xtick.color': '#444444',
    'ytick.color': '#444444',
    'xtick.labelsize': 8,
    'ytick.labelsize': 8,
    'xtick.major.width': 0.7,
    'ytick.major.width': 0.7,
    'xtick.major.size': 3,
    'ytick.major.size': 3,
    'legend.fontsize': 8,
    'legend.frameon': False,
    'lines.linewidth': 1.4,
    'lines.solid_capstyle': 'round',
    'grid.color': FAINT,
    'grid.linewidth': 0.6,
    'hatch.linewidth': 0.6,
    'figure.facecolor': 'white',
    'savefig.facecolor': 'white',
}


def kind_color(kind: str) -> str:
    """Colour of a kind of server."""
    return KIND_COLORS.get(kind, '#56b4e9')


def text_color(kind: str) -> str:
    """Colour of a kind of server, dark enough for small letters on white."""
    return {'satellite': '#a86b00', 'local': '#555555'}.get(kind, kind_color(kind))


def kind_label(kind: str) -> str:
    """Name of a kind of server, for readers."""
    return KIND_LABELS.get(kind, kind.replace('_', ' '))


def vehicle_colors(names: Sequence[str]) -> dict[str, str]:
    """A colour for each vehicle; beyond six they repeat."""
    return {name: VEHICLE_COLORS[i % len(VEHICLE_COLORS)] for i, name in enumerate(names)}


def legend(ax: Axes, columns: int = 6, **options: Any) -> None:
    """Put the legend above the axes, in the margin under the title."""
    if 'handles' in options or ax.get_legend_handles_labels()[0]:
        ax.legend(
            **{
                'loc': 'lower left',
                'bbox_to_anchor': (-0.01, 0.995),
                'ncol': columns,
                'borderaxespad': 0.2,
                'columnspacing': 1.2,
                'handlelength': 1.2,
                'handletextpad': 0.5,
                **options,
            }
        )


def empty(ax: Axes, text: str) -> None:
    """Say in place of data why there is none."""
    ax.set_axis_off()
    ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha='center', va='center', color=MUTED, wrap=True
    )
