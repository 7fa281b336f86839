"""Describe a measured classifier: its entry in models/manifest.yaml and its model card."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.evaluation import wilson_interval
from sec_nodes.inference.manifest import Accuracy, ClassifierEntry
from sec_nodes.inference.scenes import CLASSES
from sec_nodes.inference.zoo import network_entry

SOURCE_COMMAND = 'python tools/train_scene_classifier.py'
TASK = 'Tell apart eight search-and-rescue cases in an aerial picture of the sea.'


@dataclass(frozen=True)
class ScoredModel:
    """An exported model, how it was trained, and its answers on held-out pictures.

    `predicted` and `labels` are class indices (count,); picture i has seed `first_seed` + i.
    """

    id: str
    path: Path
    recipe: dict[str, Any]
    predicted: NDArray[np.int64]
    labels: NDArray[np.int64]
    first_seed: int

    @property
    def accuracy(self) -> float:
        """Share of pictures answered rightly."""
        return float((self.predicted == self.labels).mean())


def entry_of(models_dir: Path, scored: ScoredModel) -> ClassifierEntry:
    """The manifest's entry, everything in it read from the file or counted."""
    command = f'{SOURCE_COMMAND} --only {scored.id}'
    network = network_entry(models_dir, scored.path, TASK, command)
    hits = scored.predicted == scored.labels
    low, high = wilson_interval(int(hits.sum()), hits.size)
    accuracy = Accuracy(
        value=round(scored.accuracy, 4),
        interval_95=(round(low, 4), round(high, 4)),
        n_heldout=int(hits.size),
        heldout_first_seed=scored.first_seed,
        per_class={
            name: round(float(hits[scored.labels == k].mean()), 4)
            for k, name in enumerate(CLASSES)
        },
    )
    described = {'kind': 'classifier', 'classes': CLASSES, 'accuracy': accuracy}
    return ClassifierEntry.model_validate({**dict(network), **described})


def write_card(models_dir: Path, scored: ScoredModel) -> None:
    """Write card.md beside the model."""
    entry = entry_of(models_dir, scored)
    measured = entry.accuracy
    recipe = ', '.join(f'{key} {value}' for key, value in scored.recipe.items())
    low, high = measured.interval_95
    text = f"""\
        # {entry.id}

        {entry.task} Classes: {', '.join(entry.classes)}.

        | | |
        | --- | --- |
        | held-out accuracy | {measured.value:.4f} (95 % interval {low:.4f} to {high:.4f}) |
        | held-out pictures | {measured.n_heldout}, seeds from {measured.heldout_first_seed} |
        | work | {entry.flop / 1e6:.2f} MFLOP a picture, 2 per multiply-add |
        | parameters | {entry.parameters} |
        | file | {entry.files[0].bytes} bytes, fp32, opset {entry.opset}, IR {entry.ir_version} |
        | input | `{entry.input.name}`: {entry.input.dtype} {list(entry.input.shape)}, RGB |
        | output | `{entry.output.name}`: probabilities, {entry.output.dtype} |

        ## Where it errs
        """
    parts = [textwrap.dedent(text), _confusion(scored)]
    parts.append('\n## Cuts\n\n' + _cuts(entry))
    parts.append(
        textwrap.dedent(f"""
        ## Made by

        `{entry.source_command}`: {recipe}.
        Pictures and weights come from this repository's code alone; there is no outside data set.
        Accuracy was measured through ONNX Runtime on the exported file.

        ## Limits

        The pictures are rendered (sec_nodes/inference/scenes.py). The accuracy holds for these
        pictures and says nothing about photographs: do not use this model in a real search.
        """)
    )
    (models_dir / scored.id / 'card.md').write_text(''.join(parts), encoding='utf-8')


def _confusion(scored: ScoredModel) -> str:
    """Rows: the truth; columns: the answers; one row's pictures sum to the class's share."""
    table = np.zeros((len(CLASSES), len(CLASSES)), int)
    np.add.at(table, (scored.labels, scored.predicted), 1)
    lines = ['', '| true \\ answered | ' + ' | '.join(CLASSES) + ' | right |']
    lines.append('| --- ' * (len(CLASSES) + 2) + '|')
    for k, name in enumerate(CLASSES):
        counts = ' | '.join(str(n) for n in table[k])
        lines.append(f'| {name} | {counts} | {table[k, k] / table[k].sum():.3f} |')
    return '\n'.join(lines) + '\n'


def _cuts(entry: ClassifierEntry) -> str:
    """What each cut sends and costs, and the size of the program for what is behind it."""
    heads = ('cut', 'tensor', 'shape', 'bit', 'front MFLOP', 'back MFLOP', 'program bit')
    lines = ['| ' + ' | '.join(heads) + ' |', '| --- ' * len(heads) + '|']
    for index, cut in enumerate(entry.cuts):
        shape = ' x '.join(str(size) for size in cut.shape)
        size_bit = 8 * math.prod(cut.shape) * np.dtype(cut.dtype).itemsize
        work = f'{cut.front_flop / 1e6:.3f} | {cut.back_flop / 1e6:.3f}'
        sent = f'{size_bit} | {work} | {8 * (cut.head_byte or 0)}'
        lines.append(f'| {index} | `{cut.tensor}` | {shape} | {sent} |')
    return '\n'.join(lines) + '\n'
