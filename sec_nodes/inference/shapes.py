"""Types and fixed shapes of all tensors of a graph, open sizes filled in.

ONNX's own inference comes first, without the weights' values, which it would copy. What it leaves
open (operators of ONNX Runtime's own, shapes computed at run time) is observed: the graph is run
on two random inputs with every tensor as an output. A shape that differs between them depends on
the data and stays unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from sec_nodes.inference.manifest import ModelError

_VALUES_BYTE = 1024
"""Constants up to this size keep their values for shape inference: a shape is that small."""


def with_fixed_input(model: ModelProto, source: str, sizes: Mapping[str, int]) -> ModelProto:
    """The model with a fixed shape of its input: an open batch (axis 0) is 1, others from `sizes`.

    `sizes` has them by their symbol in the graph, or as 'input.axis' where they have none.
    ModelError for sizes that are missing, wrong or not in the graph.
    """
    value = _input(model.graph, source)
    if not value.type.tensor_type.HasField('shape'):
        raise ModelError(f'input {source!r} has no shape; export the model with one')
    sides = value.type.tensor_type.shape.dim
    symbols = {
        axis: side.dim_param or f'{source}.{axis}'
        for axis, side in enumerate(sides)
        if side.dim_value < 1
    }
    unknown = set(sizes) - set(symbols.values())
    if unknown:
        raise ModelError(f'sizes name {min(unknown)!r}, but input {source!r} has open only '
                         f'{sorted(set(symbols.values()))}')  # fmt: skip
    if not symbols:
        return model
    fixed = ModelProto()
    fixed.CopyFrom(model)
    for axis, symbol in symbols.items():
        size = sizes.get(symbol, 1 if axis == 0 else 0)
        if size < 1:
            raise ModelError(
                f'axis {axis} of input {source!r} has an open size; give sizes={{{symbol!r}: ...}}'
            )
        _input(fixed.graph, source).type.tensor_type.shape.dim[axis].dim_value = size
    return fixed


def _input(graph: GraphProto, name: str) -> ValueInfoProto:
    return next(value for value in graph.input if value.name == name)


def tensor_types(model: ModelProto, needed: Collection[str]) -> dict[str, ValueInfoProto]:
    """Type and shape of every tensor whose shape is fixed, weights included.

    `needed` says which ones are worth running the graph for. ModelError if the graph contradicts
    itself.
    """
    skeleton = _skeleton(model)
    try:
        graph = onnx.shape_inference.infer_shapes(skeleton, strict_mode=True, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(
            f'shapes of graph {model.graph.name!r} cannot be inferred: {error}'
        ) from error
    types = {
        tensor.name: helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in model.graph.initializer
    }
    for value in (*graph.value_info, *graph.input, *graph.output):
        if is_fixed(value):
            types[value.name] = value
    if not types.keys() >= set(needed):
        types |= _observed(model)
    return types


def with_constant_shapes(
    nodes: Iterable[NodeProto], types: Mapping[str, ValueInfoProto]
) -> list[NodeProto]:
    """The nodes with every question for the shape of a tensor answered once and for all.

    Graphs exported with an open batch ask for the input's shape and carry the answer along to
    every reshape, so that beside each tensor a second one would cross every cut.
    """
    return [
        _shape_constant(node, types[node.input[0]])
        if node.op_type == 'Shape' and node.input[0] in types
        else node
        for node in nodes
    ]


def _shape_constant(node: NodeProto, value: ValueInfoProto) -> NodeProto:
    ends = {a.name: a.i for a in node.attribute}  # of a part of the shape, since opset 15
    sizes = shape_of(value)[ends.get('start', 0) : ends.get('end')]
    tensor = numpy_helper.from_array(np.array(sizes, np.int64))
    return helper.make_node('Constant', [], list(node.output), node.name, value=tensor)


def is_fixed(value: ValueInfoProto) -> bool:
    """Whether a tensor's element type and every size are known and no size is 0."""
    kind = value.type.tensor_type
    return (
        kind.elem_type > 0
        and kind.HasField('shape')
        and all(dim.dim_value > 0 for dim in kind.shape.dim)
    )


def shape_of(value: ValueInfoProto) -> tuple[int, ...]:
    """Fixed shape of a tensor."""
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def _skeleton(model: ModelProto) -> ModelProto:
    """The model without values of large weights and without sizes that are to be inferred."""
    graph = model.graph
    weights = []
    for tensor in graph.initializer:
        bare = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        weights.append(tensor if tensor.ByteSize() <= _VALUES_BYTE else bare)
    outputs = []
    for value in graph.output:
        output = ValueInfoProto()
        output.CopyFrom(value)
        output.type.tensor_type.ClearField('shape')
        outputs.append(output)
    light = helper.make_graph(graph.node, graph.name, graph.input, outputs, weights)
    return helper.make_model(light, opset_imports=model.opset_import, ir_version=model.ir_version)


def _observed(model: ModelProto) -> dict[str, ValueInfoProto]:
    """Types of tensors as they are in two runs on random inputs."""
    probe = ModelProto()
    probe.CopyFrom(model)
    known = {value.name for value in probe.graph.output}
    for node in probe.graph.node:
        probe.graph.output.extend(
            ValueInfoProto(name=name) for name in node.output if name and name not in known
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # unoptimised, so that every tensor is really computed
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    rng = np.random.default_rng(0)
    try:
        session = ort.InferenceSession(
            probe.SerializeToString(), options, providers=['CPUExecutionProvider']
        )
        source = session.get_inputs()[0]
        kind = helper.tensor_dtype_to_np_dtype(
            _input(model.graph, source.name).type.tensor_type.elem_type
        )
        runs = [
            session.run(None, {source.name: _random(rng, source.shape, kind)}) for _ in range(2)
        ]
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(
            f'shapes of graph {model.graph.name!r} cannot be observed, it does not run: '
            f'{str(error).splitlines()[0]}'
        ) from error
    types = {}
    for output, first, second in zip(session.get_outputs(), *runs, strict=True):
        if isinstance(first, np.ndarray) and first.shape == second.shape and first.size:
            code = helper.np_dtype_to_tensor_dtype(first.dtype)
            types[output.name] = helper.make_tensor_value_info(output.name, code, first.shape)
    return types


def _random(
    rng: np.random.Generator, shape: list[int], kind: np.dtype[Any]
) -> NDArray[np.generic]:
    """About as many zeros as ones: what counts or picks elements then gives other shapes."""
    return rng.integers(0, 2, shape).astype(kind)
