"""What the pictures of experiments have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes.experiments.judging import Table
from sec_nodes.experiments.rows import Exhibit, Row, heading
from sec_nodes.report.figures.style import INK, RC

_DPI = 105
_COLORS = 96


def draw_exhibit(
    path: Path,
    exhibit: Exhibit,
    title: str,
    rows: Sequence[Row],
    fill: Callable[[Any, Table], None],
) -> None:
    """Draw a figure from its table; `fill` puts panels into an empty one."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        figure = Figure(layout='constrained')
        fill(figure, Table(rows))
        name = f'{heading(exhibit)}: {title}'
        figure.suptitle(name, x=0.01, ha='left', color=INK, fontweight='bold')
        save(figure, path)


def draw_line(ax: Any, rows: Sequence[Row], **look: Any) -> None:
    """Values with their intervals along a sweep; nothing without rows."""
    rows = sorted(rows, key=lambda row: row.x or 0)
    if not rows:
        return
    value = np.array([row.value for row in rows])
    below = value - np.array([row.low for row in rows])
    above = np.array([row.high for row in rows]) - value
    ax.errorbar(
        [row.x for row in rows],
        value,
        yerr=np.maximum(np.nan_to_num([below, above]), 0),
        **{'marker': 'o', 'markersize': 3, 'capsize': 2, 'elinewidth': 0.8, **look},
    )


def save(figure: Any, path: Path) -> None:
    """Write a PNG with few colours, a third of the usual size."""
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn, dpi=_DPI)
    picture = (
        Image.open(drawn)
        .convert('RGB')
        .quantize(_COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    )
    picture.save(path, optimize=True)
