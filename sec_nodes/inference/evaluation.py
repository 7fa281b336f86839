"""How often a multimodal LLM is right: on our own held-out questions, or on a user's set.

The built-in set asks the same number of questions of every kind about scenes that no training run
has seen, so that one number, the mean, puts all models on one scale.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.language.types import Answer, Question
from sec_nodes.inference.sea.kinds import NAMES
from sec_nodes.inference.sea.questions import ask, is_right

HELDOUT_FIRST_SEED = 2**31
"""First scene of the held-out set; training uses scenes from 0."""
PER_KIND = 200
"""Questions of each kind in the built-in set."""
TOO_LONG = 'longer than the context of the model'
"""Why a question was not asked that is in the set."""
SEA = 'sea'
"""Name of the built-in set, and of the scale that its accuracies are on."""


class Answering(Protocol):
    """What is measured: a `LanguageModel`, or anything that answers as one does."""

    def generate(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer to each question."""


@dataclass(frozen=True)
class Item:
    """One question of a set, its kind or subject, and what decides whether an answer is right.

    `image` is None where the set has none or more than a model is given here: such a question
    counts as wrong, and `missing` says why.
    """

    kind: str
    prompt: str
    image: NDArray[np.uint8] | None
    truth: str
    right: Callable[[str], bool]
    most_tokens: int = 64
    missing: str = ''


@dataclass(frozen=True)
class KindScore:
    """Of one kind: how many were asked and right, and the share of the commonest true answer."""

    asked: int
    right: int
    majority: float

    @property
    def accuracy(self) -> float:
        """Share answered rightly."""
        return self.right / self.asked


@dataclass(frozen=True)
class Scores:
    """What a model reached on a set, kind by kind, and how long it took."""

    kinds: dict[str, KindScore]
    first_token_s: float
    """Mean time until the first token [s]."""
    tokens_per_s: float
    """Tokens after the first one per second of decoding [1/s]."""
    left_out: dict[str, int]
    """Questions that could not be asked, by reason; they count as wrong."""

    @property
    def asked(self) -> int:
        """Number of questions."""
        return sum(score.asked for score in self.kinds.values())

    @property
    def right(self) -> int:
        """Number of right answers."""
        return sum(score.right for score in self.kinds.values())

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right / self.asked

    @property
    def majority(self) -> float:
        """What always giving each kind's commonest answer would reach."""
        return sum(score.majority * score.asked for score in self.kinds.values()) / self.asked

    @property
    def interval_95(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return wilson_interval(self.right, self.asked)


def wilson_interval(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a binomial share (Wilson 1927)."""
    share = hits / count
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (centre - half) / (1 + z * z / count), (centre + half) / (1 + z * z / count)


def sea_items(per_kind: int = PER_KIND, kinds: Sequence[str] = NAMES) -> Iterator[Item]:
    """The built-in set: `per_kind` questions of each kind, rendered one by one."""
    if per_kind < 1:
        raise ValueError(f'per_kind is {per_kind}; give at least 1')
    for place, kind in enumerate(kinds):
        for number in range(per_kind):
            asked = ask(HELDOUT_FIRST_SEED + place * 100_000 + number, kind)
            yield Item(kind, asked.prompt, asked.image, asked.answer, _judge(kind, asked.answer))


def _judge(kind: str, truth: str) -> Callable[[str], bool]:
    return lambda answer: is_right(kind, answer, truth)


def evaluate(
    model: Answering,
    items: Iterator[Item],
    *,
    batch: int = 8,
    on_progress: Callable[[int], Any] = lambda done: None,
) -> Scores:
    """Ask a model every question of a set.

    Args:
        model: answers.
        items: the set; must not be empty.
        batch: questions that are asked together.
        on_progress: told how many questions have been dealt with so far.

    Raises:
        ValueError: an empty set.
    """
    truths: dict[str, Counter[str]] = {}
    right: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    timed: list[Answer] = []
    waiting: list[Item] = []

    def flush() -> None:
        if not waiting:
            return
        for item, answer in zip(waiting, _answers(model, waiting), strict=True):
            if answer is None:
                left_out[TOO_LONG] += 1
            else:
                right[item.kind] += item.right(answer.text)
                timed.append(answer)
        waiting.clear()

    for done, item in enumerate(items, 1):
        truths.setdefault(item.kind, Counter())[item.truth] += 1
        if item.missing:
            left_out[item.missing] += 1
        else:
            waiting.append(item)
        if len(waiting) == batch:
            flush()
        on_progress(done)
    flush()
    if not truths:
        raise ValueError('the set holds no question; name a folder with some')
    kinds = {
        kind: KindScore(count.total(), right[kind], count.most_common(1)[0][1] / count.total())
        for kind, count in truths.items()
    }
    return Scores(kinds, *_speed(timed), dict(left_out))


def _answers(model: Answering, items: Sequence[Item]) -> list[Answer | None]:
    """An answer to each, None where the question is longer than the context of the model.

    A batch is refused as a whole if one of its questions is too long; they are asked singly then.
    """
    asked = [Question(item.prompt, item.image, max_tokens=item.most_tokens) for item in items]
    try:
        return [*model.generate(asked)]
    except ValueError as error:
        if 'context' not in str(error):
            raise
    if len(items) == 1:
        return [None]
    return [answer for item in items for answer in _answers(model, [item])]


def _speed(answers: Sequence[Answer]) -> tuple[float, float]:
    """Mean time to the first token [s], and tokens after it per second [1/s]."""
    if not answers:
        return math.nan, math.nan
    first_s = float(np.mean([answer.first_token_s for answer in answers]))
    decoding_s = sum(answer.total_s - answer.first_token_s for answer in answers)
    later = sum(max(len(answer.token_ids) - 1, 0) for answer in answers)
    return first_s, later / decoding_s if decoding_s > 0 else math.nan
