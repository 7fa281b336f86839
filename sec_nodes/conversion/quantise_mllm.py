"""Fewer bits for a converted multimodal LLM; needs onnx and ONNX Runtime, no torch.

Levels live in one folder and share files. In the weight-only levels decoder and vision encoder
have the bits of the level's name, and the token embedding is a table of int8 rows. What stays in
floating point there is stored in float16 and computed in float32.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sec_nodes.conversion.blocks import drop_unused, quantise_products
from sec_nodes.conversion.half import to_half
from sec_nodes.inference.language.spec import SPEC_FILE, Level, parse_spec, write_spec
from sec_nodes.inference.manifest import ModelError

LEVELS: dict[str, Level] = {
    'fp16': Level(
        vision='vision_encoder_fp16.onnx',
        embed='embed_tokens_fp16.onnx',
        decoder='decoder_model_merged_fp16.onnx',
    ),
    'int8': Level(
        vision='vision_encoder_int8.onnx',
        embed='embed_tokens_int8.onnx',
        decoder='decoder_model_merged_int8.onnx',
    ),
    **{
        name: Level(
            vision=f'vision_encoder_{name}.onnx',
            embed='embed_tokens_int8.onnx',
            decoder=f'decoder_model_merged_{name}.onnx',
        )
        for name in ('q8', 'q4', 'q2')
    },
}

_SIDE_FILE_BYTE = 2**30
_WORTH_HALVING = 64
"""Constants of fewer numbers stay as they are: a cast would take more bytes than it saves."""

_HALF_SMALLEST, _HALF_LARGEST = 6.2e-5, 65504.0


def quantise_mllm(folder: Path, level: str) -> None:
    """Write the graphs of a level that are not there yet, and note it in model.yaml.

    Args:
        folder: what `convert_mllm` wrote.
        level: 'fp16' (half precision throughout), 'int8' (weights and activations), or 'q8',
            'q4', 'q2' (weights in blocks of 32 with a scale each).

    Raises:
        ModelError: unknown level, or the folder lacks the float32 graphs.
    """
    if level not in LEVELS:
        raise ModelError(f'quantisation {level!r} is unknown; choose from {", ".join(LEVELS)}')
    path = folder / SPEC_FILE
    try:
        spec = parse_spec(path.read_text(encoding='utf-8'), str(path))
    except OSError as error:
        raise ModelError(f'{path} cannot be read ({error.strerror}); convert first') from error
    files, originals = LEVELS[level], spec.level('fp32')[1]
    for role in Level.model_fields:
        target = folder / getattr(files, role)
        if not target.exists():
            suffix = target.stem.rpartition('_')[2]
            _quantise_graph(folder / getattr(originals, role), target, suffix, role)
    write_spec(spec.model_copy(update={'levels': {**spec.levels, level: files}}), folder)


def _quantise_graph(source: Path, target: Path, suffix: str, role: str) -> None:
    """One graph, by the suffix of its file name."""
    if not source.is_file():
        raise ModelError(f'{source} is missing; quantisation begins with the float32 graphs')
    if suffix == 'fp16':
        _save(to_half(onnx.load(source), 'past_key_values present'), target)
    elif role == 'embed':
        _save(_int8_table(onnx.load(source)), target)
    elif suffix == 'int8':
        _dynamic_int8(source, target)
    else:
        model = onnx.load(source)
        quantise_products(model, int(suffix.removeprefix('q')))
        store_halves(model)
        _save(model, target)


def store_halves(model: onnx.ModelProto) -> None:
    """Store float32 constants as float16 behind a cast, in place.

    ONNX Runtime folds the casts when it loads the graph, so nothing is slower. Constants out of
    the range that float16 is precise in stay.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _WORTH_HALVING or not _fits_half(values):
            continue
        name, half = tensor.name, f'{tensor.name}_half'
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(helper.make_node('Cast', [half], [name], name=half, to=TensorProto.FLOAT))
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *others])


def _fits_half(values: np.ndarray) -> bool:
    """Whether half precision keeps eleven bits of what matters in an array."""
    largest = float(abs(values).max())
    return _HALF_SMALLEST < largest < _HALF_LARGEST


def _int8_table(model: onnx.ModelProto) -> onnx.ModelProto:
    """The token embedding as int8 rows with a scale each."""
    graph = model.graph
    gather = next((node for node in graph.node if node.op_type == 'Gather'), None)
    tables = {tensor.name: tensor for tensor in graph.initializer}
    if gather is None or len(graph.node) != 1 or gather.input[0] not in tables:
        raise ModelError('the token embedding is more than a table; quantise it by hand')
    table = numpy_helper.to_array(tables[gather.input[0]])
    scale = np.maximum(abs(table).max(axis=1, keepdims=True) / 127, 1e-12).astype(np.float32)
    rows = np.rint(table / scale).astype(np.int8)
    ids, embeddings = graph.input[0].name, graph.output[0].name
    nodes = [
        helper.make_node('Gather', ['rows', ids], ['integers']),
        helper.make_node('Gather', ['scale', ids], ['scale_of_each']),
        helper.make_node('Cast', ['integers'], ['wide'], to=TensorProto.FLOAT),
        helper.make_node('Mul', ['wide', 'scale_of_each'], [embeddings]),
    ]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.append(numpy_helper.from_array(rows, 'rows'))
    graph.initializer.append(numpy_helper.from_array(scale, 'scale'))
    return model


def _dynamic_int8(source: Path, target: Path) -> None:
    """Weights int8 by column, activations rounded on the way."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as scratch, _quiet():
        plain = onnx.load(source)
        # its own shapes lead the quantiser astray, it infers them anew
        del plain.graph.value_info[:]
        cleared = Path(scratch) / source.name
        _save(plain, cleared)
        quantize_dynamic(
            cleared, target, weight_type=QuantType.QInt8, per_channel=True,
            op_types_to_quantize=['MatMul', 'Gemm'],
            use_external_data_format=_size_byte(plain) > _SIDE_FILE_BYTE,
        )  # fmt: skip
    model = onnx.load(target)
    drop_unused(model.graph)
    store_halves(model)
    _save(model, target)


def _save(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph, its weights in a side file if protobuf could not hold them."""
    aside = _size_byte(model) > _SIDE_FILE_BYTE
    side = f'{path.name}_data'
    onnx.save_model(model, path, save_as_external_data=aside, location=side if aside else None)


def _size_byte(model: onnx.ModelProto) -> int:
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantisers log every node on the root logger."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
