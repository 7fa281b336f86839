"""Put a model into a models folder: its entry in manifest.yaml, all of it read or counted."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import yaml
from onnx import TensorProto

from sec_nodes.inference.evaluation import HELDOUT_FIRST_SEED, SEA, Scores
from sec_nodes.inference.language.spec import SPEC_FILE, TOKENIZER_FILE, LanguageSpec, parse_spec
from sec_nodes.inference.manifest import (
    CutInfo,
    Generation,
    Manifest,
    MllmAccuracy,
    MllmEntry,
    MllmFile,
    ModelEntry,
    ModelError,
    ModelFile,
    NetworkEntry,
    TensorInfo,
)
from sec_nodes.inference.programs import sizes_of
from sec_nodes.inference.splitting import SplitGraph, split_graph

HEADER = '# Written by `make models` and `sec models`; files are checked against it when loaded.\n'


def save_entry(models_dir: Path, entry: ModelEntry) -> None:
    """Write an entry into manifest.yaml of `models_dir`, replacing an older one of that id."""
    models_dir.mkdir(parents=True, exist_ok=True)
    tree = _tree_with(models_dir, entry)
    Manifest.model_validate(tree)
    text = yaml.safe_dump(tree, sort_keys=False, width=99, default_flow_style=None)
    (models_dir / 'manifest.yaml').write_text(HEADER + text, encoding='utf-8')


def manifest_with(models_dir: Path, entry: ModelEntry) -> Manifest:
    """What the manifest of `models_dir` will be after `save_entry`; nothing is written."""
    return Manifest.model_validate(_tree_with(models_dir, entry))


def _tree_with(models_dir: Path, entry: ModelEntry) -> dict[str, list[dict[str, Any]]]:
    path = models_dir / 'manifest.yaml'
    old = yaml.safe_load(path.read_text(encoding='utf-8'))['models'] if path.exists() else []
    new = entry.model_dump(mode='json', exclude_none=True)
    kept = [model for model in old if model['id'] != entry.id]
    return {'models': sorted([*kept, new], key=lambda model: str(model['id']))}


def file_entry(models_dir: Path, path: Path) -> ModelFile:
    """Path relative to the manifest, checksum and size of a file."""
    content = path.read_bytes()
    return ModelFile(
        path=path.relative_to(models_dir).as_posix(),
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )


def cut_entries(graph: SplitGraph) -> tuple[CutInfo, ...]:
    """The cut table of a network, with the sizes of what is behind each cut."""
    return tuple(
        CutInfo(
            tensor=cut.tensor,
            shape=cut.shape,
            dtype=cut.dtype,
            front_flop=cut.front_flop,
            back_flop=cut.back_flop,
            head_byte=head_byte,
        )
        for cut, head_byte in zip(graph.cuts, sizes_of(graph), strict=True)
    )


def network_entry(models_dir: Path, path: Path, task: str, command: str) -> NetworkEntry:
    """The entry of a network that nobody has measured: `path` is its graph below `models_dir`."""
    model = onnx.load(path)
    graph = split_graph(model)
    first, last = graph.cuts[0], graph.cuts[-1]
    return NetworkEntry(
        id=path.parent.name,
        kind='network',
        task=task,
        source_command=command,
        files=(file_entry(models_dir, path),),
        input=TensorInfo(name=first.tensor, shape=first.shape, dtype=first.dtype),
        output=TensorInfo(name=last.tensor, shape=last.shape, dtype=last.dtype),
        flop=last.front_flop,
        cuts=cut_entries(graph),
        parameters=trained_numbers(model),
        opset=model.opset_import[0].version,
        ir_version=model.ir_version,
    )


def trained_numbers(model: onnx.ModelProto) -> int:
    """How many numbers of a graph were trained: its float weights without scaling constants.

    Neither the normalisation of pictures nor running statistics count, as in published figures.
    """
    weights = (t for t in model.graph.initializer if t.dims and t.data_type == TensorProto.FLOAT)
    trained = (t for t in weights if not t.name.startswith('image.') and 'running_' not in t.name)
    return sum(math.prod(tensor.dims) for tensor in trained)


def mllm_entry(
    models_dir: Path,
    folder: Path,
    level: str,
    task: str,
    *,
    scores: Scores | None = None,
    question_set: str = SEA,
    measured: Sequence[Generation] = (),
) -> MllmEntry:
    """The entry of one level of a converted model in `folder`, which lies below `models_dir`.

    Raises:
        ModelError: no such level, or a file is missing.
    """
    spec = read_spec(folder)
    _, files = spec.level(level)
    names = {
        'vision': files.vision,
        'embed': files.embed,
        'decoder': files.decoder,
        'tokenizer': TOKENIZER_FILE,
        'config': SPEC_FILE,
    }
    for name in names.values():
        if not (folder / name).is_file():
            raise ModelError(f'model file {folder / name} is missing; convert the model anew')
    entries = tuple(
        MllmFile.model_validate({'role': role, **dict(file_entry(models_dir, folder / name))})
        for role, name in names.items()
    )
    graphs = {
        file.path: file.bytes for file in entries if file.role not in ('tokenizer', 'config')
    }
    return MllmEntry(
        id=f'{spec.id}-{level}',
        kind='mllm',
        task=task,
        source=spec.source,
        license=spec.license or 'unknown',
        base=spec.id,
        quantisation=level,
        files=entries,
        parameters=spec.parameters,
        image=spec.image.shape,
        image_tokens=spec.prompt.image_tokens,
        hidden=spec.decoder.hidden,
        layers=spec.decoder.layers,
        context=spec.decoder.context,
        flop_prefix=spec.flop_prefix,
        flop_per_token=spec.flop_per_token,
        weights_byte=sum(graphs.values()),
        accuracy=None if scores is None else mllm_accuracy(scores, question_set),
        measured=tuple(measured),
    )


def read_spec(folder: Path) -> LanguageSpec:
    """`model.yaml` of a converted model; ModelError if there is none."""
    path = folder / SPEC_FILE
    if not path.is_file():
        raise ModelError(f'{folder} holds no {SPEC_FILE}; make one with: sec models convert')
    return parse_spec(path.read_text(encoding='utf-8'), str(path))


def mllm_accuracy(scores: Scores, question_set: str) -> MllmAccuracy:
    """Scores as the manifest keeps them, to four digits."""
    low, high = scores.interval_95
    return MllmAccuracy(
        set=question_set,
        value=round(scores.accuracy, 4),
        interval_95=(round(low, 4), round(high, 4)),
        n_heldout=scores.asked,
        heldout_first_seed=HELDOUT_FIRST_SEED if question_set == SEA else None,
        per_kind={kind: round(score.accuracy, 4) for kind, score in scores.kinds.items()},
        majority_baseline={kind: round(score.majority, 4) for kind, score in scores.kinds.items()},
    )
