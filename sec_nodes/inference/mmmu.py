"""Question sets in the format of MMMU: a folder of .jsonl or .parquet files.

A record has the fields of the MMMU data set (Yue et al., MMMU, CVPR 2024; huggingface.co/datasets/
MMMU/MMMU): `id`, `question`, `options` (a list, or its text), `answer`, `question_type`
(`multiple-choice` or `open`), `subfield`, `image_1` to `image_7`. In .jsonl an image is a path
relative to the file; in .parquet it is the picture's bytes, as Hugging Face stores it.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.evaluation import Item
from sec_nodes.inference.manifest import ModelError

MOST_IMAGES = 7
_LETTERS = 'ABCDEFGHIJ'

Record = Mapping[str, Any]


def mmmu_items(folder: str | Path) -> Iterator[Item]:
    """Every question of the folder's .jsonl and .parquet files, subfolders included.

    Questions with several pictures are passed on without any: this engine gives a model one.

    Raises:
        ModelError: no such folder, no such files, or a record that is not what it should be.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ModelError(f'question folder {root} does not exist; give a folder in MMMU format')
    files = sorted(path for path in root.rglob('*') if path.suffix in ('.jsonl', '.parquet'))
    if not files:
        raise ModelError(
            f'question folder {root} holds no .jsonl or .parquet file; download a split of '
            'MMMU/MMMU there, or write records with question, options, answer and image_1'
        )
    return (item for path in files for item in _items_of(path))


def _items_of(path: Path) -> Iterator[Item]:
    records = _parquet_records(path) if path.suffix == '.parquet' else _json_records(path)
    for number, record in enumerate(records, 1):
        try:
            yield _item(record, path)
        except (KeyError, ValueError, TypeError, SyntaxError, OSError) as error:
            reason = f'field {error} is missing' if isinstance(error, KeyError) else error
            raise ModelError(f'{path}, record {number}: {reason}') from error


def _json_records(path: Path) -> Iterator[Record]:
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise ModelError(f'{path}, line {number} is not JSON: {error}') from error


def _parquet_records(path: Path) -> Iterator[Record]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ModelError(
            f'{path} needs pyarrow to be read; pip install pyarrow, or convert it to .jsonl'
        ) from error
    for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=16):
        yield from batch.to_pylist()


def _item(record: Record, path: Path) -> Item:
    """A record as a question; options get letters and the instruction that LLaVA was asked with.

    Prompts after Liu et al., Improved Baselines with Visual Instruction Tuning, section 3.
    """
    kind = str(record.get('subfield') or record.get('subject') or path.stem)
    images = [record[name] for k in range(1, MOST_IMAGES + 1) if record.get(name := f'image_{k}')]
    missing = '' if len(images) == 1 else f'{len(images)} pictures instead of one'
    image = None if missing else _picture(images[0], path)
    text = re.sub(r'<image \d+>', '', str(record['question'])).strip()
    truth = str(record['answer'])
    if record.get('question_type', 'multiple-choice') == 'open':
        accepted = _accepted(record['answer'])
        prompt = f'{text}\nAnswer the question using a single word or phrase.'
        return Item(kind, prompt, image, truth, lambda told: _same(told, accepted), 64, missing)
    options = [str(option) for option in _listed(record['options'])]
    if not 2 <= len(options) <= len(_LETTERS) or truth not in _LETTERS[: len(options)]:
        raise ValueError(f'answer {truth!r} is none of the letters of {len(options)} options')
    lines = [f'({letter}) {option}' for letter, option in zip(_LETTERS, options, strict=False)]
    prompt = '\n'.join(
        [text, *lines, "Answer with the option's letter from the given choices directly."]
    )
    return Item(kind, prompt, image, truth, _chooser(options, truth), 16, missing)


def _listed(options: object) -> list[Any]:
    """Options as a list; MMMU stores them as the text of a Python list."""
    value = ast.literal_eval(options) if isinstance(options, str) else options
    if not isinstance(value, list):
        raise ValueError(f'options are {options!r}; give a list')
    return value


def _accepted(answer: object) -> list[str]:
    """Answers that an open question accepts: one, or the text of a list of them."""
    text = str(answer)
    if text.startswith('['):
        return [str(part) for part in ast.literal_eval(text)]
    return [text]


def _chooser(options: list[str], truth: str) -> Callable[[str], bool]:
    return lambda told: chosen_letter(told, options) == truth


def chosen_letter(told: str, options: list[str]) -> str | None:
    """The option that an answer chooses, None where it chooses none or several.

    '(B)', 'B', 'B.' and 'The answer is B' choose B; so does the text of option B if no letter is
    given. MMMU's own script guesses at random where nothing can be read; here that is wrong.
    """
    letters = _LETTERS[: len(options)]
    for pattern in (rf'\(([{letters}])\)', rf'\b([{letters}])\b(?!\')'):
        found = set(re.findall(pattern, told))
        if found:
            return found.pop() if len(found) == 1 else None
    plain = told.strip().strip('.').lower()
    named = [letters[k] for k, option in enumerate(options) if option.lower() in plain]
    return named[0] if len(named) == 1 and plain else None


def _same(told: str, accepted: list[str]) -> bool:
    """Whether an open answer is one of the accepted ones: numbers by value, text by its words."""
    plain = told.strip().strip('.').lower()
    for truth in accepted:
        wanted = truth.strip().lower()
        if plain == wanted:
            return True
        numbers = re.findall(r'-?\d+(?:\.\d+)?', plain.replace(',', ''))
        try:
            value = float(wanted.replace(',', ''))
        except ValueError:
            if re.search(rf'\b{re.escape(wanted)}\b', plain):
                return True
        else:
            if len(numbers) == 1 and abs(float(numbers[0]) - value) < 0.005:
                return True
    return False


def _picture(stored: object, path: Path) -> NDArray[np.uint8]:
    """A picture from a path beside the file, or from bytes, as RGB (H, W, 3)."""
    from PIL import Image

    if isinstance(stored, Mapping):
        stored = stored.get('bytes') or path.parent / str(stored.get('path'))
    source = io.BytesIO(stored) if isinstance(stored, bytes) else path.parent / str(stored)
    with Image.open(source) as opened:
        return np.asarray(opened.convert('RGB'), np.uint8)
