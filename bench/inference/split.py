"""What splitting a network costs and saves: accuracy, bytes, time and eight-bit copies.

    python bench/inference/split.py --out results/split

Three parts, all on this machine with one thread of the CPU:
codecs   the shipped classifiers, cut everywhere, on held-out rendered pictures: accuracy by codec
         and bytes by codec and compression
chain    full-size AlexNet and VGG16 with random weights, cut everywhere: front and back against
         one session of the whole, in turns; CPU times, which other processes hardly touch, and
         the clock on the wall
int8     eight-bit copies against floating point: file, time, and accuracy (scene-l) or agreement
         on the best class (AlexNet and VGG16, whose random weights are right about nothing)

Writes split.json, split.md and split.png.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from split_report import markdown, plot

from sec_nodes.conversion.quantise_networks import quantise_network
from sec_nodes.inference.codec import CODECS, COMPRESSIONS, decode, encode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.manifest import default_models_dir
from sec_nodes.inference.networks import build_network
from sec_nodes.inference.providers import DevicePolicy, open_session
from sec_nodes.inference.scenes import CLASSES, render
from sec_nodes.inference.splitting import split_graph

ON_CPU = DevicePolicy(('cpu',))
CLASSIFIERS = ('scene-s', 'scene-l')
FULL_SIZE = ('alexnet', 'vgg16')
HELDOUT_FIRST_SEED, CALIBRATION_FIRST_SEED = 2**31, 2**30
CALIBRATION_PICTURES = {'scene-l': 256, 'alexnet': 16, 'vgg16': 16}

Picture = NDArray[np.uint8]
Spent = tuple[float, float]
console = Console(stderr=True)


def scenes(count: int, first_seed: int) -> Iterator[tuple[str, Picture]]:
    """Rendered pictures with their classes, in turn."""
    for i in range(count):
        label = CLASSES[i % len(CLASSES)]
        yield label, render(label, first_seed + i)


def resized(picture: Picture) -> Picture:
    """A picture at the size that AlexNet and VGG16 take."""
    return np.asarray(Image.fromarray(picture).resize((224, 224)))


def measure_codecs(name: str, pictures: int) -> list[dict[str, Any]]:
    """Accuracy and mean bytes at every cut of a classifier, by codec and compression."""
    model = SplitModel.load(name, policy=ON_CPU)
    hits = {(cut.index, codec): 0 for cut in model.cuts for codec in CODECS}
    sizes = {(*key, packing): 0 for key in hits for packing in COMPRESSIONS}
    spent_s = dict.fromkeys(COMPRESSIONS, 0.0)
    drawn = scenes(pictures, HELDOUT_FIRST_SEED)
    for label, image in track(drawn, f'codecs: {name}', pictures, console=console):
        whole = model.answer(model.run(image))[0] == label
        for cut in model.cuts:
            tensor = model.run_front(cut.index, image)
            for codec in CODECS:
                for packing in COMPRESSIONS:
                    began_s = time.perf_counter()
                    packet = encode(tensor, codec, packing)
                    spent_s[packing] += time.perf_counter() - began_s
                    sizes[cut.index, codec, packing] += len(packet.data)
                if packet.codec == 'raw':  # every bit arrives: the split is the whole
                    hits[cut.index, codec] += whole
                    continue
                arrived = decode(packet, cut.shape, cut.dtype)
                answer, _ = model.answer(model.run_back(cut.index, arrived))
                hits[cut.index, codec] += answer == label
    seconds = ', '.join(f'{packing} {spent_s[packing]:.1f} s' for packing in COMPRESSIONS)
    console.print(f'{name}: encoding took {seconds}')
    return [
        {
            'model': name,
            'cut': cut.index,
            'tensor': cut.tensor,
            'shape': cut.shape,
            'front_share': cut.front_flop / model.cuts[-1].front_flop,
            'accuracy': {codec: hits[cut.index, codec] / pictures for codec in CODECS},
            'bytes': {
                f'{codec}+{packing}': sizes[cut.index, codec, packing] / pictures
                for codec in CODECS
                for packing in COMPRESSIONS
            },
        }
        for cut in model.cuts
    ]


def measure_chain(name: str, reps: int) -> list[dict[str, Any]]:
    """Time of front and back at every cut, against one session of the whole run just before."""
    network = build_network(name)
    graph = split_graph(network)
    content = network.SerializeToString()
    del network
    whole = open_session(content, ON_CPU)
    del content
    model = SplitModel(name, graph, policy=ON_CPU)
    del graph
    image = np.random.default_rng(0).integers(0, 256, model.input_shape, np.uint8)
    runs = {cut.index: partial(split_run, model, cut.index, image) for cut in model.cuts}
    run_whole = partial(whole.run, None, {'image': image})
    pairs: dict[int, list[tuple[Spent, Spent]]] = {cut: [] for cut in runs}
    run_whole(), runs[0]()
    for rep in track(range(reps), f'chain: {name}', console=console):
        for cut, run_split in runs.items():
            # who goes first alternates: whatever lasts longer than a run hits both alike
            if rep % 2:
                split, one = spent(run_split), spent(run_whole)
            else:
                one, split = spent(run_whole), spent(run_split)
            pairs[cut].append((one, split))
    rows = [
        {'model': name, 'cut': cut.index, 'tensor': cut.tensor, **compared(pairs[cut.index])}
        for cut in model.cuts
    ]
    together = compared([pair for of_cut in pairs.values() for pair in of_cut])
    return [*rows, {'model': name, 'cut': 'all', 'tensor': '', **together}]


def split_run(model: SplitModel, cut: int, image: Picture) -> None:
    """Front, then back."""
    model.run_back(cut, model.run_front(cut, image))


def compared(pairs: list[tuple[Spent, Spent]]) -> dict[str, float]:
    """Medians of one session and of a split [s of CPU], and their ratios."""
    one, split = np.median(np.array(pairs), axis=0)
    return {
        'whole_s': one[0],
        'split_s': split[0],
        'ratio': split[0] / one[0],
        'wall_ratio': split[1] / one[1],
    }


def spent(run: Callable[[], object]) -> Spent:
    """CPU time of this thread, in which one-threaded sessions run, and wall clock time [s]."""
    began, began_s = time.thread_time(), time.perf_counter()
    run()
    return time.thread_time() - began, time.perf_counter() - began_s


def measure_int8(name: str, pictures: int, reps: int) -> dict[str, Any]:
    """An eight-bit copy of a network against itself: file, time, what it answers."""
    trained = name in CLASSIFIERS
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / f'{name}.onnx', Path(folder) / f'{name}-int8.onnx'
        if trained:
            plain = default_models_dir() / name / 'model.onnx'
        else:
            onnx.save(build_network(name), plain)
        count = CALIBRATION_PICTURES[name]
        fit = (lambda picture: picture) if trained else resized
        calibration = scenes(count, CALIBRATION_FIRST_SEED)
        seen = track(calibration, f'int8: calibrate {name}', count, console=console)
        quantise_network(plain, (fit(picture) for _, picture in seen), small)
        models = [SplitModel.load(path, policy=ON_CPU) for path in (plain, small)]
        sessions = [open_session(path, ON_CPU) for path in (plain, small)]
        sizes = [path.stat().st_size for path in (plain, small)]
    best: list[list[int]] = [[], []]
    labels = []
    drawn = scenes(pictures, HELDOUT_FIRST_SEED)
    for label, picture in track(drawn, f'int8: {name}', pictures, console=console):
        labels.append(CLASSES.index(label))
        for answers, session in zip(best, sessions, strict=True):
            scores = session.run(None, {models[0].cuts[0].tensor: fit(picture)[None]})[0]
            answers.append(int(scores.argmax()))
    image = fit(picture)
    feed = {models[0].cuts[0].tensor: image[None]}
    spent_s: list[list[float]] = [[], [], [], []]
    for _ in range(reps):
        for k in range(2):
            spent_s[k].append(spent(partial(sessions[k].run, None, feed))[0])
            spent_s[2 + k].append(spent(partial(models[k].run, image))[0])
    medians_s = [float(np.median(times)) for times in spent_s]
    row = {
        'model': name,
        'bytes': sizes,
        'whole_s': medians_s[:2],
        'chain_s': medians_s[2:],
        'pictures': pictures,
        'agreement': float(np.mean(np.equal(*best))),
        'distinct_answers': len(set(best[0])),
        'uint8_cuts': sum(cut.dtype == 'uint8' for cut in models[1].cuts[1:-1]),
        'cuts': len(models[1].cuts),
    }
    if trained:
        row['accuracy'] = [float(np.mean(np.equal(answers, labels))) for answers in best]
    return row


def interval_95(share: float, count: int) -> float:
    """Half the 95 % interval of a share of so many pictures."""
    return 1.96 * math.sqrt(share * (1.0 - share) / count)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for what is written')
    parser.add_argument('--pictures', type=int, default=1000, help='held-out pictures')
    parser.add_argument('--reps', type=int, default=15, help='repetitions of every time')
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    results = {
        'pictures': chosen.pictures,
        'interval_95': interval_95(0.9, chosen.pictures),
        'reps': chosen.reps,
        'codecs': [r for name in CLASSIFIERS for r in measure_codecs(name, chosen.pictures)],
        'chain': [r for name in FULL_SIZE for r in measure_chain(name, chosen.reps)],
        'int8': [
            measure_int8('scene-l', chosen.pictures, chosen.reps),
            *(measure_int8(name, min(chosen.pictures, 100), chosen.reps) for name in FULL_SIZE),
        ],
    }
    (chosen.out / 'split.json').write_text(json.dumps(results, indent=1) + '\n')
    text = markdown(results)
    (chosen.out / 'split.md').write_text(text)
    plot(results, chosen.out / 'split.png')
    print(text)


if __name__ == '__main__':
    main()
