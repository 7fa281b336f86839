"""Answers of the original model, kept so that a machine without torch can compare with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.language.model import LanguageModel
from sec_nodes.inference.language.types import Question

GOLDEN_FILE = 'golden.json'


def differences(
    path: Path, model: LanguageModel, picture: Callable[[int], NDArray[np.uint8]]
) -> list[str]:
    """What `model` answers otherwise than the original did; empty if nothing.

    Args:
        path: golden.json, as `sec_nodes.conversion.golden` writes it.
        model: the converted model, in float32.
        picture: makes the picture of a seed.
    """
    found = []
    for kept in json.loads(path.read_text(encoding='utf-8'))['answers']:
        wanted = kept['token_ids']
        question = Question(kept['prompt'], picture(kept['seed']), max_tokens=kept['max_tokens'])
        got = list(model.generate([question])[0].token_ids)
        if got != wanted:
            found.append(f'{kept["prompt"]!r} about picture {kept["seed"]}: {got}, not {wanted}')
    return found
