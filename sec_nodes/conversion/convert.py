"""Convert whatever transformers loads and this package runs, into a models folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sec_nodes.conversion.image_classifier import convert_classifier
from sec_nodes.conversion.mllm import convert_mllm
from sec_nodes.conversion.quantise_mllm import quantise_mllm
from sec_nodes.inference.manifest import MllmEntry, ModelError, NetworkEntry
from sec_nodes.inference.zoo import mllm_entry, network_entry, read_spec, save_entry


def convert_model(
    source: str,
    models_dir: Path,
    name: str | None,
    levels: Sequence[str],
    say: Callable[[str], Any],
) -> list[MllmEntry | NetworkEntry]:
    """Convert a multimodal LLM (with quantised levels) or an image classifier.

    Args:
        source: Hugging Face id, or a folder of save_pretrained.
        models_dir: folder that gets the model and its entries.
        name: id of the model; default: the last part of the source.
        levels: quantisations of a multimodal LLM beside fp32.
        say: told what is being done.

    Returns:
        The entries that were written.

    Raises:
        ModelError: transformers does not know the model, or it is of a kind not supported.
    """
    model_id = name or re.sub(r'[^a-z0-9_.-]+', '-', Path(source).name.lower()).strip('-')
    architecture = _architecture(source)
    say(f'{source} is a {architecture}')
    entries: list[MllmEntry | NetworkEntry]
    if architecture.endswith('ForImageClassification'):
        entries = [_classifier(source, models_dir, model_id)]
    elif architecture.endswith('ForConditionalGeneration'):
        entries = _mllm(source, models_dir, model_id, levels, say)
    else:
        raise ModelError(
            f'{source} is a {architecture}; multimodal LLMs (...ForConditionalGeneration) and '
            'image classifiers (...ForImageClassification) can be converted'
        )
    for entry in entries:
        save_entry(models_dir, entry)
    return entries


def _architecture(source: str) -> str:
    """The class that a model's config names."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source)
    except (ValueError, OSError, KeyError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(f'transformers cannot load {source}: {first_line}') from error
    if not config.architectures:
        raise ModelError(f'the config of {source} names no architecture; save the model anew')
    return str(config.architectures[0])


def _classifier(source: str, models_dir: Path, model_id: str) -> NetworkEntry:
    path = models_dir / model_id / 'model.onnx'
    classes = convert_classifier(source, path)
    task = f'Image classifier converted from {source}.'
    entry = network_entry(models_dir, path, task, f'sec models convert {source}')
    return entry.model_copy(update={'classes': classes})


def _mllm(
    source: str, models_dir: Path, model_id: str, levels: Sequence[str], say: Callable[[str], Any]
) -> list[MllmEntry | NetworkEntry]:
    folder = models_dir / model_id
    convert_mllm(source, folder, model_id=model_id)
    for level in levels:
        say(f'quantising to {level}')
        quantise_mllm(folder, level)
    task = f'Answers questions about pictures; converted from {source}.'
    return [mllm_entry(models_dir, folder, level, task) for level in read_spec(folder).levels]
