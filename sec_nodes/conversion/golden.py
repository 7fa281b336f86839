"""Keep answers of transformers beside a converted model; `language.golden` compares with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sec_nodes.conversion.mllm import load_transformers, transformers_answer
from sec_nodes.inference.language.golden import GOLDEN_FILE


def write_golden(
    folder: Path,
    original: Path,
    asked: Sequence[tuple[int, str]],
    picture: Callable[[int], NDArray[np.uint8]],
    *,
    new_tokens: int = 64,
) -> Path:
    """Write golden.json: greedy token ids of transformers, the stop token included.

    Args:
        folder: of the converted model.
        original: of the model as transformers saved it.
        asked: seeds of pictures with the prompts about them.
        picture: makes the picture of a seed; whoever compares makes the same.
        new_tokens: longest answer.
    """
    model, processor = load_transformers(original)
    answers = [
        {
            'seed': seed,
            'prompt': prompt,
            'max_tokens': new_tokens,
            'token_ids': transformers_answer(model, processor, prompt, picture(seed), new_tokens),
        }
        for seed, prompt in asked
    ]
    path = folder / GOLDEN_FILE
    rows = ',\n'.join(json.dumps(answer, ensure_ascii=False) for answer in answers)
    path.write_text(f'{{"answers": [\n{rows}\n]}}\n', encoding='utf-8')
    return path
