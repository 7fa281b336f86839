"""Simulations written to files: tables for a spreadsheet, a summary, a picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes import __version__
from sec_nodes.report.figures.style import INK, MUTED, RC
from sec_nodes.simulation.run import Trace
from sec_nodes.simulation.statistics import Certificate, Row, per_episode


def write_results(
    folder: Path,
    traces: Sequence[Trace],
    rows: Sequence[Row],
    certificate: Certificate | None,
    description: Mapping[str, Any],
) -> None:
    """Write summary.json, episodes.csv, slots.csv and comparison.png.

    Args:
        folder: made if it is not there.
        traces: the runs.
        rows: what they came to.
        certificate: how far the reference is from the best conceivable, where known.
        description: what was asked for; goes to the summary.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    relative = certificate is None or certificate.relative
    proof = certificate._asdict() if certificate else None
    summary = {
        'version': __version__,
        **description,
        'reference_above_bound_percent': proof if relative else None,
        'reference_above_bound': None if relative else proof,
        'controllers': {row.controller: _row_summary(row) for row in rows},
    }
    text = json.dumps(_without_nan(summary), indent=2, allow_nan=False)
    (folder / 'summary.json').write_text(text + '\n', encoding='utf-8')
    _write_episodes(folder / 'episodes.csv', traces)
    _write_slots(folder / 'slots.csv', traces)
    draw_comparison(folder / 'comparison.png', traces, rows, str(description['scenario']))


def draw_comparison(path: Path, traces: Sequence[Trace], rows: Sequence[Row], title: str) -> None:
    """Cost of each controller with its interval, and how it ran over the slots."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    colors = [mpl.colormaps['tab10'](place % 10) for place in range(len(rows))]
    by_name = {trace.controller: trace for trace in traces}
    with mpl.rc_context(RC):
        figure = Figure(figsize=(9, 0.8 + max(2.4, 0.34 * len(rows))), layout='constrained')
        bars, lines = figure.subplots(1, 2, width_ratios=(1, 1.25))
        for place, (row, color) in enumerate(zip(rows, colors, strict=True)):
            cost = row.figures['cost']
            bars.errorbar(
                cost.mean,
                place,
                xerr=np.nan_to_num(cost.half_width),
                fmt='o',
                color=color,
                capsize=3,
            )
            by_slot = _slot_means(by_name[row.controller].figures['cost'])
            marker = 'o' if len(by_slot) == 1 else None
            lines.plot(by_slot, color=color, label=row.controller, marker=marker)
        labels = [
            f'{row.controller} ({100 * row.figures["completion"].mean:.0f} % completed)'
            for row in rows
        ]
        bars.set_yticks(range(len(rows)), labels)
        bars.invert_yaxis()
        bars.set_xlabel('cost per slot')
        bars.grid(axis='x')
        lines.set_xlabel('slot')
        lines.set_ylabel('cost')
        lines.grid()
        figure.suptitle(title, x=0.01, ha='left', color=INK, fontweight='bold')
        episodes = traces[0].episodes
        lines.set_title(f'mean of {episodes} episodes', color=MUTED, fontweight='normal')
        figure.savefig(path, dpi=130)


def _row_summary(row: Row) -> dict[str, Any]:
    figures: dict[str, Any] = {name: value._asdict() for name, value in row.figures.items()}
    figures['above_reference_percent'] = row.gap._asdict() if row.gap else None
    figures['decide_s'] = row.decide_s
    return figures


def _write_episodes(path: Path, traces: Sequence[Trace]) -> None:
    """Means per slot of each controller in each episode."""
    with path.open('w', newline='', encoding='utf-8') as file:
        means = [per_episode(trace) for trace in traces]
        writer = csv.writer(file)
        writer.writerow(['controller', 'seed', *means[0]])
        for trace, columns in zip(traces, means, strict=True):
            for episode, seed in enumerate(trace.seed):
                values = (f'{column[episode]:.9g}' for column in columns.values())
                writer.writerow([trace.controller, int(seed), *values])


def _write_slots(path: Path, traces: Sequence[Trace]) -> None:
    """Means over the episodes of each controller in each slot."""
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['controller', 'slot', *traces[0].figures])
        for trace in traces:
            columns = [_slot_means(values) for values in trace.figures.values()]
            for slot, values in enumerate(zip(*columns, strict=True)):
                writer.writerow([trace.controller, slot, *(f'{value:.9g}' for value in values)])


def _slot_means(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(T,) means over the episodes that have a value."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    means: np.ndarray[Any, Any] = total / np.maximum(known.sum(axis=1), 1)
    return np.where(known.any(axis=1), means, np.nan)


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what is not known becomes null."""
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
