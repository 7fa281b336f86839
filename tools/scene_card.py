"""Describe a measured classifier: its entry in models/manifest.yaml and its model card."""

from __future__ import annotations

import hashlib
import math
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from numpy.typing import NDArray
from onnx import TensorProto

from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.manifest import ClassifierEntry, CutInfo, Manifest
from sec_nodes.inference.scenes import CLASSES

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


def wilson_interval(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a binomial share (Wilson 1927)."""
    share = hits / count
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (centre - half) / (1 + z * z / count), (centre + half) / (1 + z * z / count)


def entry_of(models_dir: Path, scored: ScoredModel) -> ClassifierEntry:
    """The manifest's entry, everything in it read from the file or counted."""
    content = scored.path.read_bytes()
    model = onnx.load_model_from_string(content)
    split = SplitModel.load(scored.path)
    first, last = split.cuts[0], split.cuts[-1]
    hits = scored.predicted == scored.labels
    low, high = wilson_interval(int(hits.sum()), hits.size)
    trained = [t for t in model.graph.initializer if t.dims and t.data_type == TensorProto.FLOAT]
    return ClassifierEntry.model_validate(
        {
            'id': scored.id,
            'kind': 'classifier',
            'task': TASK,
            'source_command': f'{SOURCE_COMMAND} --only {scored.id}',
            'files': [
                {
                    'path': scored.path.relative_to(models_dir).as_posix(),
                    'sha256': hashlib.sha256(content).hexdigest(),
                    'bytes': len(content),
                }
            ],
            'input': {'name': first.tensor, 'shape': first.shape, 'dtype': first.dtype},
            'output': {'name': last.tensor, 'shape': last.shape, 'dtype': last.dtype},
            'classes': CLASSES,
            'flop': last.front_flop,
            'cuts': [
                {name: getattr(cut, name) for name in CutInfo.model_fields} for cut in split.cuts
            ],
            'parameters': sum(math.prod(tensor.dims) for tensor in trained),
            'accuracy': {
                'value': round(scored.accuracy, 4),
                'interval_95': (round(low, 4), round(high, 4)),
                'n_heldout': int(hits.size),
                'heldout_first_seed': scored.first_seed,
                'per_class': {
                    name: round(float(hits[scored.labels == k].mean()), 4)
                    for k, name in enumerate(CLASSES)
                },
            },
            'opset': model.opset_import[0].version,
            'ir_version': model.ir_version,
        }
    )


def write_manifest_entry(models_dir: Path, scored: ScoredModel) -> None:
    """Put the model's entry into manifest.yaml, replacing an older one of the same id."""
    path = models_dir / 'manifest.yaml'
    old = yaml.safe_load(path.read_text(encoding='utf-8'))['models'] if path.exists() else []
    new = entry_of(models_dir, scored).model_dump(mode='json')
    models = sorted([m for m in old if m['id'] != scored.id] + [new], key=lambda m: m['id'])
    Manifest.model_validate({'models': models})
    text = yaml.safe_dump({'models': models}, sort_keys=False, width=99, default_flow_style=None)
    path.write_text('# Written by ' + SOURCE_COMMAND + '\n' + text, encoding='utf-8')


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
    parts.append('\n## Cuts\n\n' + _cuts(scored.path))
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


def _cuts(path: Path) -> str:
    """What each cut sends and costs."""
    lines = ['| cut | tensor | shape | bit | front MFLOP | back MFLOP |', '| --- ' * 6 + '|']
    for cut in SplitModel.load(path).cuts:
        shape = ' x '.join(str(size) for size in cut.shape)
        work = f'{cut.front_flop / 1e6:.3f} | {cut.back_flop / 1e6:.3f}'
        lines.append(f'| {cut.index} | `{cut.tensor}` | {shape} | {cut.size_bit} | {work} |')
    return '\n'.join(lines) + '\n'
