"""Figures about many values, that JSON can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def statistics(values: NDArray[np.float64]) -> dict[str, Any]:
    """Count, mean and percentiles of finite values; None where there are none."""
    values = values[np.isfinite(values)]
    if not len(values):
        return {'count': 0, 'mean': None, 'p50': None, 'p95': None, 'p99': None, 'max': None}
    p50, p95, p99 = (float(p) for p in np.percentile(values, (50, 95, 99)))
    mean, top = float(values.mean()), float(values.max())
    return {'count': len(values), 'mean': mean, 'p50': p50, 'p95': p95, 'p99': p99, 'max': top}


def ratio(part: float, whole: float) -> float | None:
    """A share; None of nothing."""
    return part / whole if whole else None
