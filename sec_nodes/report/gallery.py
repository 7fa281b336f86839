"""Questions and answers of language models as a page shows them: picture, words, who and when."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.sea.questions import picture_named
from sec_nodes.report.load import Run, Table
from sec_nodes.report.questions import asked, by_kind, by_model, right
from sec_nodes.report.units import percent, seconds

_MOST_CARDS = 36
_SIDE = 192
"""Pixels that a picture is scaled up to, without smoothing."""


def gallery(run: Run) -> str:
    """A section with a selection of questions, and accuracies; empty if nothing was asked."""
    answers = asked(run.answered)
    if not len(answers):
        return ''
    chosen = np.unique(np.linspace(0, len(answers) - 1, _MOST_CARDS).round().astype(int))
    shown = answers.where(chosen)
    cards = '\n'.join(
        _card(run, {name: column[row] for name, column in _columns(shown)}, bool(mark))
        for row, mark in enumerate(right(shown))
    )
    return (
        f'<section><h2>Questions and answers</h2><p class="lead">{len(shown)} of {len(answers)} '
        'answers, evenly over the run. Times are the modelled ones, from the picture on.</p>'
        f'<div class="cards">\n{cards}\n</div></section>\n'
        f'<section><h2>Accuracy by model</h2><div class="scroll"><table>\n{_models(run)}\n'
        '</table></div></section>\n'
        f'<section><h2>Accuracy by kind of question</h2><div class="scroll"><table>\n{_kinds(run)}'
        '\n</table></div></section>'
    )


def _columns(table: Table) -> list[tuple[str, NDArray[Any]]]:
    names = (
        'picture', 'prompt', 'answer', 'truth', 'question_kind', 'server_name', 'model_id',
        'accuracy', 'accuracy_required', 'first_token_s', 'latency_s', 'status', 'slot',
    )  # fmt: skip
    return [(name, table[name]) for name in names]


def _card(run: Run, task: dict[str, Any], correct: bool) -> str:
    known = bool(task['truth'])
    verdict = ('right' if correct else 'wrong') if known else 'unknown'
    mark = {'right': '✓', 'wrong': '✗', 'unknown': ''}[verdict]
    truth = f'<p class="truth">truth: {html.escape(task["truth"])}</p>' if known else ''
    server = html.escape(str(task['server_name']).replace('_', ' '))
    return (
        f'<article class="card {verdict}">{_image(run, str(task["picture"]))}'
        f'<p class="asked">{html.escape(task["prompt"])}</p>'
        f'<p class="answer">{html.escape(task["answer"])} <b>{mark}</b></p>{truth}'
        f'<p class="who">{server}, {html.escape(task["model_id"])}: {percent(task["accuracy"])} '
        f'where {percent(task["accuracy_required"])} was asked for</p>'
        f'<p class="who">first word {seconds(task["first_token_s"])}, all '
        f'<b class="{html.escape(task["status"])}">{seconds(task["latency_s"])}</b></p></article>'
    )


def _image(run: Run, name: str) -> str:
    picture = _picture(run, name)
    if picture is None:
        return f'<div class="blank">{html.escape(name) or "no picture"}</div>'
    data = base64.b64encode(_png(picture)).decode('ascii')
    return (
        f'<img alt="{html.escape(name)}" width="{_SIDE}" height="{_SIDE}" '
        f'src="data:image/png;base64,{data}">'
    )


def _picture(run: Run, name: str) -> NDArray[np.uint8] | None:
    """A picture by what the device called it: drawn again, or read from the user's folder."""
    try:
        return picture_named(name)
    except ValueError:
        folder = run.fleet.get('images')
    from PIL import Image, ImageOps

    try:
        with Image.open(Path(folder or '') / name) as opened:
            fitted = ImageOps.fit(opened.convert('RGB'), (_SIDE, _SIDE))
    except (OSError, ValueError):
        return None
    return np.asarray(fitted, np.uint8)


def _png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format='png', optimize=True)
    return buffer.getvalue()


def _models(run: Run) -> str:
    heads = ('model', 'answers', 'correct', 'accuracy here', '95 % interval', 'held-out accuracy')
    return '\n'.join(
        [_row(heads, 'th')]
        + [
            _row((name, *_shares(found), percent(found['held_out'])))
            for name, found in by_model(run.answered).items()
        ]
    )


def _kinds(run: Run) -> str:
    heads = ('kind', 'answers', 'correct', 'accuracy here', '95 % interval')
    return '\n'.join(
        [_row(heads, 'th')]
        + [_row((name, *_shares(found))) for name, found in by_kind(run.answered).items()]
    )


def _shares(found: dict[str, Any]) -> tuple[str, ...]:
    low, high = found['interval_95']
    return (
        str(found['answers']),
        str(found['correct']),
        percent(found['accuracy']),
        f'{percent(low)} to {percent(high)}',
    )


def _row(cells: tuple[str, ...], tag: str = 'td') -> str:
    return '<tr>' + ''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells) + '</tr>'
