"""Tables and a plot of what split.py measured."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

SHOWN = ('raw+none', 'raw+zstd', 'f16+none', 'f16+zstd', 'u8+none', 'u8+zlib', 'u8+zstd')
"""Of codec and compression, the pairs that the table and the plot have room for."""

Rows = list[dict[str, Any]]


def markdown(results: dict[str, Any]) -> str:
    """All tables."""
    parts = [
        codec_table(
            [row for row in results['codecs'] if row['model'] == name], results['pictures']
        )
        for name in names(results['codecs'])
    ]
    return '\n'.join([*parts, chain_table(results['chain']), int8_table(results['int8'])])


def names(rows: Rows) -> list[str]:
    """Models in their order."""
    return list(dict.fromkeys(row['model'] for row in rows))


def table(title: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table with its title."""
    columns = list(head)
    lines = [f'## {title}', '', _line(columns), _line(['---'] * len(columns))]
    return '\n'.join([*lines, *(_line(row) for row in rows)]) + '\n'


def _line(cells: Iterable[str]) -> str:
    return f'| {" | ".join(cells)} |'


def codec_table(rows: Rows, pictures: int) -> str:
    """Accuracy and bytes at each cut of one classifier."""
    codecs = list(rows[0]['accuracy'])
    head = ['cut', 'tensor', 'shape', 'work before', *(f'accuracy {codec}' for codec in codecs)]
    body = [
        [
            str(row['cut']),
            row['tensor'],
            ' x '.join(str(side) for side in row['shape']),
            f'{row["front_share"]:.1%}',
            *(f'{row["accuracy"][codec]:.1%}' for codec in codecs),
            *(f'{row["bytes"][pair]:,.0f}' for pair in SHOWN),
        ]
        for row in rows
    ]
    title = f'{rows[0]["model"]}: accuracy on {pictures} held-out pictures, bytes sent'
    return table(title, [*head, *(pair.removesuffix('+none') for pair in SHOWN)], body)


def chain_table(rows: Rows) -> str:
    """Time of front and back against the whole at each cut."""
    body = [
        [
            row['model'],
            str(row['cut']),
            row['tensor'],
            *(f'{1e3 * row[key]:.1f} ms' for key in ('whole_s', 'split_s')),
            *(f'{row[key]:.3f}' for key in ('ratio', 'wall_ratio')),
        ]
        for row in rows
    ]
    head = ['model', 'cut', 'tensor', 'one session', 'front + back', 'ratio', 'ratio on the wall']
    return table('Front and back against one session of the whole (medians)', head, body)


def int8_table(rows: Rows) -> str:
    """Eight bits against floating point."""
    body = []
    for row in rows:
        accuracy = (
            ' → '.join(f'{value:.1%}' for value in row.get('accuracy', ())) or 'random weights'
        )
        body.append(
            [
                row['model'],
                _change([size / 2**20 for size in row['bytes']], 'MiB'),
                _change([1e3 * seconds for seconds in row['whole_s']], 'ms'),
                _change([1e3 * seconds for seconds in row['chain_s']], 'ms'),
                accuracy,
                f'{row["agreement"]:.1%} of {row["pictures"]} '
                f'({row["distinct_answers"]} different answers)',
                f'{row["uint8_cuts"]} of {row["cuts"] - 2}',
            ]
        )
    head = ['model', 'file', 'one session', 'chain', 'accuracy', 'same best class', 'uint8 cuts']
    return table('Eight bits against floating point (float → int8)', head, body)


def _change(pair: list[float], unit: str) -> str:
    before, after = pair
    return f'{before:.1f} → {after:.1f} {unit} ({before / after:.1f} x)'


def plot(results: dict[str, Any], path: Path) -> None:
    """Bytes and accuracy over the cuts of each classifier."""
    matplotlib.use('agg')
    models = names(results['codecs'])
    figure = Figure(figsize=(5.0 * len(models), 6.0), layout='constrained')
    axes = figure.subplots(2, len(models), sharex='col', sharey='row', squeeze=False)
    for column, name in enumerate(models):
        rows = [row for row in results['codecs'] if row['model'] == name]
        cuts = [row['cut'] for row in rows]
        above, below = axes[0][column], axes[1][column]
        for pair, style in (('raw+none', '-'), ('f16+none', '-'), ('u8+none', '-'),
                            ('raw+zstd', '--'), ('u8+zstd', '--')):  # fmt: skip
            codec = pair.partition('+')[0]
            kilobytes = [row['bytes'][pair] / 1e3 for row in rows]
            above.plot(cuts, kilobytes, style, color=_COLOURS[codec], marker='.',
                       label=pair.removesuffix('+none'))  # fmt: skip
        for codec in rows[0]['accuracy']:
            accuracy = [row['accuracy'][codec] for row in rows]
            below.plot(cuts, accuracy, _MARKERS[codec], color=_COLOURS[codec], label=codec)
        above.set(title=name, yscale='log')
        below.set(xlabel='cut (0 is the picture, the last the answer)', xticks=cuts)
        below.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes[0][0].set_ylabel('sent [kB]')
    axes[1][0].set_ylabel(f'accuracy on {results["pictures"]} pictures')
    axes[0][-1].legend(ncols=2)
    axes[1][-1].legend()
    axes[1][0].set_ylim(0.7, 1.0)
    figure.savefig(path, dpi=130)


_COLOURS = {'raw': '#4c4c4c', 'f16': '#2a78b5', 'u8': '#d9622b'}
_MARKERS = {'raw': 'o-', 'f16': 'x:', 'u8': '+:'}
