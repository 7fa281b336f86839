"""From a trained small MLLM to what is shipped: quantised levels, accuracies, golden answers."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sec_nodes.cli.cards import write_card
from sec_nodes.conversion.golden import write_golden
from sec_nodes.conversion.mllm import convert_mllm
from sec_nodes.conversion.quantise_mllm import quantise_mllm
from sec_nodes.inference.evaluation import HELDOUT_FIRST_SEED
from sec_nodes.inference.language.spec import write_spec
from sec_nodes.inference.manifest import load_manifest
from sec_nodes.inference.sea.drawing import draw
from sec_nodes.inference.sea.kinds import NAMES
from sec_nodes.inference.sea.layout import draw_layout
from sec_nodes.inference.sea.questions import ask
from sec_nodes.inference.zoo import mllm_entry, read_spec, save_entry

GOLDEN_PER_KIND = 5
GOLDEN_FIRST_SEED = 2 * HELDOUT_FIRST_SEED
MOST_TOKENS = 48


@dataclass(frozen=True)
class Shipment:
    """Which levels of a model are shipped, and what the model is for."""

    levels: tuple[str, ...]
    task: str


SHIPMENTS = {
    'sea-s': Shipment(
        ('fp32', 'q8', 'q4', 'q2'),
        'Answers questions about an aerial picture of the sea; small enough for a UAV.',
    ),
    'sea-l': Shipment(
        ('fp16', 'q8', 'q4'),
        'Answers questions about an aerial picture of the sea; larger, for a satellite.',
    ),
}


def ship(name: str, trained: Path, models_dir: Path, per_kind: int, platform: str) -> None:
    """Convert, quantise, examine and describe a trained model.

    Args:
        name: its id.
        trained: folder of save_pretrained.
        models_dir: folder that gets the model, its entries and its card.
        per_kind: held-out questions of each kind.
        platform: what this machine is called beside the speeds.
    """
    shipment, folder = SHIPMENTS[name], models_dir / name
    convert_mllm(trained, folder, model_id=name)
    for level in sorted(set(shipment.levels) - {'fp32'}):
        quantise_mllm(folder, level)
    if 'fp32' in shipment.levels:
        write_sea_golden(trained, folder)
    keep_levels(folder, shipment.levels)
    for level in shipment.levels:
        save_entry(models_dir, mllm_entry(models_dir, folder, level, shipment.task))
    write_card(models_dir, load_manifest(models_dir), name, made_by(name, trained))
    for level in shipment.levels:
        examine(f'{name}-{level}', models_dir, per_kind, platform)


def examine(model: str, models_dir: Path, per_kind: int, platform: str) -> None:
    """Measure a level in a process of its own, since its memory is measured too."""
    order = [sys.executable, '-m', 'sec_nodes.cli.main', 'models', 'eval', model, '--save']
    order += ['--models-dir', str(models_dir), '--per-kind', str(per_kind)]
    subprocess.run([*order, '--platform', platform], check=True)


def keep_levels(folder: Path, levels: tuple[str, ...]) -> None:
    """Delete graphs that belong to no shipped level, and forget the other levels."""
    spec = read_spec(folder)
    kept = {level: spec.levels[level] for level in levels}
    files = {
        file for level in kept.values() for file in (level.vision, level.embed, level.decoder)
    }
    for path in folder.glob('*.onnx'):
        if path.name not in files:
            path.unlink()
    source = f'trained by tools/train_sea_mllm.py --only {folder.name}'
    update = {'levels': kept, 'source': source, 'license': 'Apache-2.0'}
    write_spec(spec.model_copy(update=update), folder)


def write_sea_golden(trained: Path, folder: Path) -> None:
    """Keep what transformers answers, token by token, for tests that have no transformers."""
    asked = [
        ask(GOLDEN_FIRST_SEED + number, kind)
        for number in range(GOLDEN_PER_KIND)
        for kind in NAMES
    ]
    questions = [(int(one.picture.removeprefix('sea:')), one.prompt) for one in asked]
    write_golden(folder, trained, questions, scene_picture, new_tokens=MOST_TOKENS)


def scene_picture(seed: int) -> NDArray[np.uint8]:
    """The picture of a scene."""
    return draw(draw_layout(seed), seed)


def made_by(name: str, trained: Path) -> str:
    """How the model came about, for its card."""
    told = json.loads((trained / 'training.json').read_text(encoding='utf-8'))
    recipe = ', '.join(f'{key} {value}' for key, value in told['recipe'].items())
    return (
        f'`python tools/train_sea_mllm.py --only {name}` ({told["cpu_s"]} CPU-seconds of '
        f'training on one core): {recipe}.\nPictures, questions and weights come from this '
        "repository's code alone; there is no outside data set. Accuracies were measured through\n"
        'ONNX Runtime on the shipped files, on scenes that training has not seen; '
        '`sec models eval` repeats them.\n' + told.get('note', '')
    )
