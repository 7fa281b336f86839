"""Where the questions of devices come from: rendered scenes, or a folder of the user's own."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from sec_nodes.inference.pictures import FolderPictures, Picture, PictureError, picture_seed
from sec_nodes.inference.sea.questions import Posed, pose

QUESTIONS_FILE = 'questions.csv'
"""Lists the questions about the pictures of a folder: columns file, question, answer."""
DEFAULT_PROMPT = 'Describe the scene.'
"""What is asked about a folder's pictures without such a list."""

BY_LENGTH: tuple[str, ...] = (
    'count', 'colour_count', 'people', 'relation', 'oil', 'coast', 'colour', 'nearest',
    'outermost', 'oil_place', 'list', 'describe',
)  # fmt: skip
"""Kinds of questions about scenes, by the mean length of their answers: 1 to 58 characters."""


def kinds_of_length(level: int, levels: int) -> tuple[str, ...]:
    """Kinds of questions whose answers are of one of several lengths.

    Args:
        level: which length, 0 for the shortest answers.
        levels: how many lengths there are.

    Raises:
        ValueError: no such level.
    """
    if not 0 <= level < levels:
        raise ValueError(f'level is {level}, but must lie in [0, {levels})')
    first = level * len(BY_LENGTH) // levels
    return BY_LENGTH[first : max(first + 1, (level + 1) * len(BY_LENGTH) // levels)]


def sea_question(seed: int, device: int, slot: int, index: int, kinds: tuple[str, ...]) -> Posed:
    """A question of one of some kinds, the same for the same task of the same run."""
    own = picture_seed(seed, device, slot, index)
    return pose(own, kinds[own % len(kinds)])


@dataclass(frozen=True)
class FolderQuestion:
    """A question about a file of a folder, and its answer if that is known."""

    file: str
    prompt: str
    answer: str


class FolderQuestions:
    """Questions about pictures of one's own: those of `questions.csv`, else one and the same.

    PictureError if the folder has no readable picture, or the list names one that is not there.
    """

    def __init__(self, folder: str | Path, size: tuple[int, int]) -> None:
        """`size`: rows and columns pictures are brought to, cropped evenly about the middle."""
        self._pictures = FolderPictures(folder, size=size, classes=())
        self._questions = _listed(Path(folder)) or tuple(
            FolderQuestion(str(path.relative_to(self._pictures.folder)), DEFAULT_PROMPT, '')
            for path in self._pictures.files
        )

    def question(self, seed: int, device: int, slot: int, index: int) -> FolderQuestion:
        """One of the questions, each equally likely, the same for the same task."""
        own = picture_seed(seed, device, slot, index)
        return self._questions[own % len(self._questions)]

    def picture(self, question: FolderQuestion) -> Picture:
        """The picture of a question, labelled with its answer; PictureError if it has none."""
        taken = self._pictures.named(question.file)
        return Picture(taken.image, question.answer or None, taken.name)


def _listed(folder: Path) -> tuple[FolderQuestion, ...]:
    path = folder / QUESTIONS_FILE
    if not path.is_file():
        return ()
    with path.open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    found = []
    for number, row in enumerate(rows, start=2):
        name, prompt = (row.get(key) or '' for key in ('file', 'question'))
        if not prompt or not (folder / name).is_file():
            raise PictureError(
                f'{path}:{number}: file {name!r} with question {prompt!r}; each line needs a file '
                'of the folder and a question, under the heads file, question, answer'
            )
        found.append(FolderQuestion(name, prompt, row.get('answer') or ''))
    return tuple(found)
