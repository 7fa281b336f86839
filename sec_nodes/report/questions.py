"""How well tasks were answered, and what was asked of language models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.sea.questions import is_right
from sec_nodes.report.load import Table

_Z95 = 1.959964


def right(answers: Table) -> NDArray[np.bool_]:
    """Which answers are as good as the truth; those to questions are judged by their kind."""
    columns = (answers['question_kind'], answers['answer'], answers['truth'])
    return np.array([is_right(*row) for row in zip(*columns, strict=True)], dtype=bool)


FRAMES = 'frames'
"""Kind of question to a classifier about several pictures; answer and truth are one word each."""


def judged(answers: Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Right answers in each row, and how many there are: pictures one by one where of several."""
    columns = (answers['question_kind'], answers['answer'], answers['truth'])
    counts = [judge(*row) for row in zip(*columns, strict=True)]
    hits, of = np.array(counts, dtype=np.int64).reshape(-1, 2).T
    return hits, of


def judge(kind: str, answer: str, truth: str) -> tuple[int, int]:
    """Right answers, and how many there are, in one task.

    Args:
        kind: of the question.
        answer: what came back; frames that are missing at the end are wrong.
        truth: what is right.
    """
    if kind != FRAMES:
        return int(is_right(kind, answer, truth)), 1
    words = truth.split()
    return sum(a == b for a, b in zip(answer.split(), words, strict=False)), len(words)


def asked(answers: Table) -> Table:
    """The rows that answer a question, in the order in which they were asked."""
    rows = answers.where(answers['prompt'] != '')
    return rows.where(np.lexsort((rows['task_id'], rows['created_s'])))


def by_model(answers: Table) -> dict[str, dict[str, Any]]:
    """Answers with known truth by model, beside what each was measured to do on held-out ones."""
    known = asked(answers)
    known = known.where(known['truth'] != '')
    held_out = {str(row): float(known['accuracy'][known['model_id'] == row][0])
                for row in np.unique(known['model_id'].astype(str))}  # fmt: skip
    names = known['model_id'].astype(str)
    return {
        name: {**_share(right(known.where(names == name))), 'held_out': held_out[name]}
        for name in sorted(held_out, key=lambda name: held_out[name])
    }


def by_kind(answers: Table) -> dict[str, dict[str, Any]]:
    """Answers with known truth by kind of question."""
    known = asked(answers)
    known = known.where((known['truth'] != '') & (known['question_kind'] != ''))
    kinds = known['question_kind'].astype(str)
    return {str(kind): _share(right(known.where(kinds == kind))) for kind in np.unique(kinds)}


def _share(correct: NDArray[np.bool_]) -> dict[str, Any]:
    """Count, share and Wilson's 95 % interval of it."""
    count, hits = len(correct), int(correct.sum())
    share = hits / count
    middle = (share + _Z95**2 / (2 * count)) / (1 + _Z95**2 / count)
    half = _Z95 / (1 + _Z95**2 / count)
    half *= float(np.sqrt(share * (1 - share) / count + _Z95**2 / (4 * count**2)))
    return {
        'answers': count,
        'correct': hits,
        'accuracy': share,
        'interval_95': [max(0.0, middle - half), min(1.0, middle + half)],
    }
