"""Train the scene classifiers scene-s, -l and chain-s, -m, -l, export them and measure them.

    python tools/train_scene_classifier.py

renders the training pictures, trains each network for a fixed number of steps from fixed seeds
on one CPU thread, folds their batch norms, exports fp32 ONNX, measures accuracy on held-out
pictures through ONNX Runtime, and writes models/<id>/model.onnx, models/<id>/card.md and the
entries of models/manifest.yaml. It needs requirements/run.txt and requirements/train.txt. The same
versions on the same processor give the same weights; another processor rounds differently and
ends near the stated accuracy.

Training pictures have seeds below 2**31, held-out ones from 2**31 to 2**32, and those a running
node renders from 2**62 (sec_nodes/inference/pictures.py), so no picture is ever in two sets.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scene_card import ScoredModel, entry_of, write_card
from scene_networks import PictureNet, chain_l, chain_m, chain_s, scene_l, scene_s

from sec_nodes.inference.scenes import CLASSES, PICTURE_SHAPE, render
from sec_nodes.inference.zoo import save_entry

OPSET = 18
HELDOUT_FIRST_SEED = 2**31


@dataclass(frozen=True)
class Recipe:
    """How one model is trained; every number here is part of its identity."""

    pictures: int
    """Training pictures, labels in turn."""
    steps: int
    """Optimiser steps."""
    batch: int
    """Pictures a step."""
    lr: float
    """Peak learning rate of the one-cycle schedule."""
    seed: int
    """Of weights, order and flips."""


RECIPES = {
    'scene-s': (scene_s, Recipe(pictures=16000, steps=1800, batch=64, lr=6e-3, seed=11)),
    'scene-l': (scene_l, Recipe(pictures=16000, steps=1400, batch=64, lr=3e-3, seed=12)),
    'chain-s': (chain_s, Recipe(pictures=16000, steps=1600, batch=64, lr=6e-3, seed=13)),
    'chain-m': (chain_m, Recipe(pictures=16000, steps=1300, batch=64, lr=5e-3, seed=14)),
    'chain-l': (chain_l, Recipe(pictures=16000, steps=1200, batch=64, lr=4e-3, seed=15)),
}


def render_set(first_seed: int, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` pictures (count, 128, 128, 3) with labels in turn, and the labels' indices."""
    images = np.empty((count, *PICTURE_SHAPE), np.uint8)
    labels = np.arange(count) % len(CLASSES)
    for i in range(count):
        images[i] = render(CLASSES[labels[i]], first_seed + i)
    return images, labels


def _turned(images: torch.Tensor, way: int) -> torch.Tensor:
    """One of the eight flips and turns of a square picture."""
    if way & 1:
        images = images.flip(1)
    if way & 2:
        images = images.flip(2)
    return images.transpose(1, 2) if way & 4 else images


def train(
    net: PictureNet, recipe: Recipe, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> None:
    """Fit `net` in place: AdamW, one-cycle rate, label smoothing, flips and turns."""
    rng = np.random.default_rng(recipe.seed)
    net.train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), recipe.lr, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.lr, total_steps=recipe.steps, pct_start=0.2
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    order = rng.permutation(recipe.pictures)
    mean_loss, began = 0.0, time.monotonic()
    for step in range(recipe.steps):
        start = step * recipe.batch % recipe.pictures
        if start == 0:
            order = rng.permutation(recipe.pictures)
        chosen = order[start : start + recipe.batch]
        batch = _turned(torch.from_numpy(images[chosen]), int(rng.integers(8)))
        loss = loss_of(net.logits(batch), torch.from_numpy(labels[chosen]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        mean_loss += (loss.item() - mean_loss) * 0.02
        if (step + 1) % 100 == 0:
            spent = time.monotonic() - began
            print(
                f'  step {step + 1}/{recipe.steps} loss {mean_loss:.3f} {spent:.0f} s', flush=True
            )


def export(net: PictureNet, path: Path) -> None:
    """Write `net` as a single ONNX file without training leftovers: `image` to `scores`."""
    net.eval().to(memory_format=torch.contiguous_format)
    net.fold()
    picture = torch.zeros((1, *PICTURE_SHAPE), dtype=torch.uint8)
    program = torch.onnx.export(
        net,
        (picture,),
        dynamo=True,
        opset_version=OPSET,
        input_names=['image'],
        output_names=['scores'],
        verbose=False,
    )
    program.optimize()
    ClearMetadataAndDocStringPass()(program.model)
    path.parent.mkdir(parents=True, exist_ok=True)
    program.save(str(path), external_data=False)
    onnx.checker.check_model(str(path), full_check=True)


def predict(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scores (count, classes) of the exported file, one picture at a time as nodes do it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return np.concatenate([session.run(None, {'image': image[None]})[0] for image in images])


def fit(name: str, images: NDArray[np.uint8], labels: NDArray[np.int64], path: Path) -> None:
    """Train one model by its recipe and write it to `path`."""
    build, recipe = RECIPES[name]
    torch.manual_seed(recipe.seed)
    net = build(len(CLASSES))
    print(f'training {name}', flush=True)
    began = time.process_time()
    train(net, recipe, images, labels)
    print(f'{name} took {time.process_time() - began:.0f} CPU-s', flush=True)
    export(net, path)


def main() -> None:
    """Train, export, measure and describe the models asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--models-dir', type=Path, default=Path('models'))
    parser.add_argument('--only', nargs='+', choices=sorted(RECIPES), help='train just these')
    parser.add_argument(
        '--measure-only', action='store_true', help='keep model.onnx, redo card and manifest'
    )
    parser.add_argument('--heldout', type=int, default=4000, help='held-out pictures')
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    wanted = args.only or list(RECIPES)
    heldout = render_set(HELDOUT_FIRST_SEED, args.heldout)
    if not args.measure_only:
        pictures = render_set(0, max(RECIPES[name][1].pictures for name in wanted))
    for name in wanted:
        path = args.models_dir / name / 'model.onnx'
        if not args.measure_only:
            fit(name, *pictures, path)
        scored = ScoredModel(
            id=name,
            path=path,
            recipe=asdict(RECIPES[name][1]),
            predicted=predict(path, heldout[0]).argmax(1),
            labels=heldout[1],
            first_seed=HELDOUT_FIRST_SEED,
        )
        save_entry(args.models_dir, entry_of(args.models_dir, scored))
        write_card(args.models_dir, scored)
        print(f'{name}: held-out accuracy {scored.accuracy:.4f}', flush=True)


if __name__ == '__main__':
    main()
