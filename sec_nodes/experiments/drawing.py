"""What the pictures of experiments have in common."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes.experiments.rows import Row

_DPI = 105
_COLORS = 96


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
