"""Whether a graph that came over the air may be run at all.

ONNX is data, but a runtime does more with it than multiply: it opens files that tensors name, it
loops as long as a graph says, and it allocates whatever shapes ask for. So nothing is run before
the graph is known to be a plain one of moderate size: operators of the default domain without
bodies, all weights inside, one tensor in, one out, every shape fixed and every sum below a limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfoProto

from sec_nodes.inference.codec import DTYPES, PayloadError
from sec_nodes.inference.flops import Shape, node_flop
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.shapes import is_fixed, shape_of, tensor_types

MAX_PROGRAM_BYTE = 16 * 2**20
"""Largest graph with its weights [byte]: 25 times the largest program of the paper."""

MAX_NODES = 1000
"""Most operators; each may become a session."""

MAX_TENSORS_BYTE = 256 * 2**20
"""Most that all tensors between operators take together [byte]."""

MAX_FLOP = 10**11
"""Most work of a run [FLOP], counted as in flops: three times VGG16."""

_DEFAULT_DOMAIN = ('', 'ai.onnx')


def read_foreign(content: bytes) -> ModelProto:
    """The graph in `content`, if it is one that may be run.

    Raises:
        PayloadError: it is too large, or no ONNX file, as after a loss on the way.
        ModelError: it is an ONNX file, but not a plain and moderate one; the text says why.
    """
    if len(content) > MAX_PROGRAM_BYTE:
        raise PayloadError(f'program has {len(content)} bytes; at most {MAX_PROGRAM_BYTE} are run')
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise PayloadError(
            f'program of {len(content)} bytes is no ONNX file; it is cut short or damaged'
        ) from error
    try:
        _check_contents(model)  # first: the checker looks for files that tensors name
        onnx.checker.check_model(model)
        _check_sizes(model)
    except (ValueError, onnx.checker.ValidationError) as error:  # names may not even be text
        reason = next(iter(str(error).strip().splitlines()), 'it is empty')
        raise _refused(f'it breaks the rules of ONNX: {reason}') from error
    return model


def _check_contents(model: ModelProto) -> None:
    """No foreign operators, bodies or files; one tensor in and one out."""
    graph = model.graph
    if model.functions or model.training_info:
        raise _refused('it has functions or training steps of its own')
    if graph.sparse_initializer:
        raise _refused('it has sparse weights')
    if len(graph.node) > MAX_NODES:
        raise _refused(f'it has {len(graph.node)} operators; at most {MAX_NODES} are run')
    for tensor in _stored_tensors(graph):
        if tensor.external_data or tensor.data_location == TensorProto.EXTERNAL:
            raise _refused(
                f'tensor {tensor.name!r} is in another file; all weights must be inside'
            )
    for domain in (
        *(opset.domain for opset in model.opset_import),
        *(n.domain for n in graph.node),
    ):
        if domain not in _DEFAULT_DOMAIN:
            raise _refused(f'it has operators of domain {domain!r}; only those of ONNX are run')
    for node in graph.node:
        if any(_is_body(item) for item in node.attribute):
            raise _refused(
                f'operator {node.op_type} has a graph, a type or a sparse tensor inside'
            )
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise _refused(
            f'it has {len(graph.input)} inputs and {len(graph.output)} outputs; expected one each'
        )


def _stored_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Weights, and tensors in attributes of operators."""
    yield from graph.initializer
    for node in graph.node:
        for item in node.attribute:
            yield from (item.t, *item.tensors)


def _is_body(item: AttributeProto) -> bool:
    """Whether an attribute holds more than numbers, text and plain tensors, whatever it says."""
    single = ('g', 'tp', 'sparse_tensor')
    many = (item.graphs, item.type_protos, item.sparse_tensors)
    return any(item.HasField(name) for name in single) or any(many)


def _check_sizes(model: ModelProto) -> None:
    """Every tensor's size is known without running anything, and all is moderate."""
    types = tensor_types(model, ())
    outputs = [name for node in model.graph.node for name in node.output if name]
    for name in (model.graph.input[0].name, model.graph.output[0].name, *outputs):
        if name not in types:
            raise _refused(f'the size of tensor {name!r} is not fixed')
    for end in (*model.graph.input, *model.graph.output):
        dtype = _dtype_name(types[end.name])
        if not is_fixed(end) or dtype not in DTYPES:
            raise _refused(f'tensor {end.name!r} is not one of fixed size of {", ".join(DTYPES)}')
    held_byte = sum(_size_byte(types[name]) for name in outputs)
    if held_byte > MAX_TENSORS_BYTE:
        raise _refused(f'its tensors take {held_byte} bytes; at most {MAX_TENSORS_BYTE} are given')

    def known_shape(name: str) -> Shape:
        return shape_of(types[name])

    flop = sum(node_flop(node, known_shape) for node in model.graph.node)
    if flop > MAX_FLOP:
        raise _refused(f'it takes {flop:.3g} FLOP; at most {MAX_FLOP:.3g} are spent')


def _dtype_name(value: ValueInfoProto) -> str:
    return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name


def _size_byte(value: ValueInfoProto) -> int:
    kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return math.prod(shape_of(value)) * kind.itemsize


def _refused(reason: str) -> ModelError:
    return ModelError(f'program is refused: {reason}')
