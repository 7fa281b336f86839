"""Where an ONNX graph can be cut, what each cut sends and costs, and the pieces between cuts.

A cut is a tensor that every path from the graph's input to its output passes: sending it alone
lets another machine finish. One sweep over the topological order finds them all, in chains and
in residual graphs, since such a tensor's producer comes after all its ancestors and before all
its descendants in every topological order.

FLOP convention: 2 per multiply-add of convolutions and matrix products, biases and everything
else 0. For a convolution that is 2 H_out W_out C_in/groups k_h k_w C_out, for a fully connected
layer 2 U_in U_out: the count of Meng and Li, "Robust DNN Partitioning and Task Offloading in
Multi-UAV-Assisted MEC Against UAV Failures", eqs. (8)-(9), with the layer's output size where the
print has its input, and of Molchanov et al., ICLR 2017, appendix A.1, without its bias terms.

Cuts of equal counted work differ only in what they send, so of each such group only the one with
the fewest bits is kept (the last of equals): that folds activations, pooling and flattening into
the layer before, and casts and normalisation into the raw input, and for AlexNet, VGG13 and VGG16
leaves the paper's 8, 13 and 16 layers. The raw input is always cut 0, the output always the last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
import onnx.inliner
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from sec_nodes.inference.manifest import ModelError

_CONVOLUTIONS = {'Conv': 1, 'ConvInteger': 1, 'QLinearConv': 3}
"""Operator: which of its inputs is the weight."""
_PRODUCTS = {'MatMul', 'MatMulInteger', 'QLinearMatMul'}


@dataclass(frozen=True)
class Cut:
    """A place to split: layers before it run here, layers after it elsewhere.

    `index` 0 is the raw input, the last is the output (everything local). `size_bit` is the
    tensor uncompressed; `front_flop` and `back_flop` add up to the whole graph.
    """

    index: int
    tensor: str
    shape: tuple[int, ...]
    dtype: str
    size_bit: int
    front_flop: int
    back_flop: int


@dataclass(frozen=True)
class SplitGraph:
    """The cuts of a graph and its segments: segment k leads from cuts[k] to cuts[k + 1].

    Running cut l splits the work into segments[:l] and segments[l:]; no weight is held twice
    unless the graph itself shares it across a cut.
    """

    cuts: tuple[Cut, ...]
    segments: tuple[ModelProto, ...]
    ends_in_softmax: bool


def split_graph(model: ModelProto) -> SplitGraph:
    """Find the cuts of `model` and build the chain of segments between them.

    The graph needs one input and one output, both of fixed shape; ModelError otherwise. Shapes
    are inferred first, because a runtime refuses a segment whose input has no type.
    """
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    try:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(
            f'shapes of graph {model.graph.name!r} cannot be inferred: {error}'
        ) from error
    source, sink = _ends(graph)
    types = _types(graph)
    live, constant = _live_and_constant(graph, source, sink)
    flop = np.cumsum([0] + [_node_flop(node, types) for node in live]).tolist()
    places = _cut_places(live, source, sink)
    for _, name in places:
        if name not in types:
            raise ModelError(f'shape of tensor {name!r} is unknown; remove custom operators')
    chosen = _choose([(place, name, flop[place], types[name]) for place, name in places])
    cuts = []
    for index, (place, name) in enumerate(chosen):
        dtype = onnx.helper.tensor_dtype_to_np_dtype(types[name].type.tensor_type.elem_type)
        shape = _shape(types[name])
        bits = math.prod(shape) * dtype.itemsize * 8
        cuts.append(Cut(index, name, shape, dtype.name, bits, flop[place], flop[-1] - flop[place]))
    segments = tuple(
        _segment(model, graph, live[a:b], constant, types[first], types[last])
        for (a, first), (b, last) in pairwise(chosen)
    )
    return SplitGraph(tuple(cuts), segments, live[-1].op_type == 'Softmax')


def _ends(graph: GraphProto) -> tuple[str, str]:
    """Names of the one input that is not a weight and of the one output."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    outputs = [value.name for value in graph.output]
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f'graph {graph.name!r} has inputs {inputs} and outputs {outputs}; splitting needs '
            'exactly one of each'
        )
    return inputs[0], outputs[0]


def _types(graph: GraphProto) -> dict[str, ValueInfoProto]:
    """Type and shape of every tensor of the graph, weights included."""
    weights = [
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in graph.initializer
    ]
    known = (*weights, *graph.value_info, *graph.input, *graph.output)
    return {value.name: value for value in known}


def _shape(value: ValueInfoProto) -> tuple[int, ...]:
    """Fixed shape of a tensor; ModelError if a dimension is open."""
    sizes = tuple(
        dim.dim_value if dim.HasField('dim_value') else 0
        for dim in value.type.tensor_type.shape.dim
    )
    if any(size <= 0 for size in sizes):
        raise ModelError(
            f'tensor {value.name!r} has no fixed shape; export the model with batch 1 and fixed '
            'sizes'
        )
    return sizes


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def _reads(node: NodeProto) -> set[str]:
    """Names a node needs, those its subgraphs take from outside included."""
    names = {name for name in node.input if name}
    for body in _subgraphs(node):
        own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
        for inner in body.node:
            names |= _reads(inner) - own
            own |= set(inner.output)
        names |= {value.name for value in body.output} - own
    return names


def _live_and_constant(
    graph: GraphProto, source: str, sink: str
) -> tuple[list[NodeProto], list[NodeProto]]:
    """Nodes between input and output, and nodes that only compute constants."""
    varying = {source}
    dependent, constant = [], []
    for node in graph.node:
        if _reads(node) & varying:
            dependent.append(node)
            varying |= set(node.output)
        else:
            constant.append(node)
    needed, live = {sink}, []
    for node in reversed(dependent):
        if needed & set(node.output):
            live.append(node)
            needed |= _reads(node)
    if sink not in varying:
        raise ModelError(f'output {sink!r} of graph {graph.name!r} does not depend on its input')
    return live[::-1], constant


def _cut_places(live: list[NodeProto], source: str, sink: str) -> list[tuple[int, str]]:
    """(number of nodes before, tensor) wherever a single tensor crosses."""
    last_read = {sink: len(live)}
    for position, node in enumerate(live):
        for name in _reads(node):
            last_read[name] = max(last_read.get(name, 0), position)
    places = [(0, source)]
    crossing = {source}
    for position, node in enumerate(live):
        crossing |= {name for name in node.output if name in last_read}
        crossing = {name for name in crossing if last_read[name] > position}
        if len(crossing) == 1:
            places.append((position + 1, next(iter(crossing))))
    return places


def _choose(places: list[tuple[int, str, int, ValueInfoProto]]) -> list[tuple[int, str]]:
    """Of cuts with equal work keep the one that sends least; keep the input and the output."""

    def bits(value: ValueInfoProto) -> int:
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        return math.prod(_shape(value)) * kind.itemsize

    source, sink = places[0], places[-1]
    best: dict[int, tuple[int, str, int, ValueInfoProto]] = {}
    for place in places:
        rival = best.get(place[2])
        if rival is None or bits(place[3]) <= bits(rival[3]):
            best[place[2]] = place
    if bits(best[source[2]][3]) >= bits(source[3]):
        best[source[2]] = source
    if sink[2] != source[2]:
        best[sink[2]] = sink
    chosen = {place[:2] for place in best.values()} | {source[:2], sink[:2]}
    return sorted(chosen)


def _node_flop(node: NodeProto, types: dict[str, ValueInfoProto]) -> int:
    """Counted work of one node under the module's convention."""

    def shape(name: str) -> tuple[int, ...]:
        if name not in types:
            raise ModelError(f'shape of tensor {name!r} before {node.op_type} is unknown')
        return _shape(types[name])

    if node.op_type in _CONVOLUTIONS:
        kernel = shape(node.input[_CONVOLUTIONS[node.op_type]])
        return 2 * math.prod(shape(node.output[0])) * math.prod(kernel[1:])
    if node.op_type == 'ConvTranspose':
        kernel = shape(node.input[1])
        return 2 * math.prod(shape(node.input[0])) * math.prod(kernel[1:])
    if node.op_type in _PRODUCTS:
        return 2 * math.prod(shape(node.output[0])) * shape(node.input[0])[-1]
    if node.op_type == 'Gemm':
        transposed = any(a.name == 'transA' and a.i for a in node.attribute)
        inner = shape(node.input[0])[0 if transposed else 1]
        return 2 * math.prod(shape(node.output[0])) * inner
    return 0


def _segment(
    model: ModelProto,
    graph: GraphProto,
    nodes: list[NodeProto],
    constant: list[NodeProto],
    first: ValueInfoProto,
    last: ValueInfoProto,
) -> ModelProto:
    """A model of its own from `first` to `last`, with just the weights and constants it reads."""
    needed = set().union(*(_reads(node) for node in nodes))
    fixed: list[NodeProto] = []
    for node in reversed(constant):
        if needed & set(node.output):
            fixed.insert(0, node)
            needed |= _reads(node)
    weights: list[TensorProto] = [t for t in graph.initializer if t.name in needed]
    piece = onnx.helper.make_graph([*fixed, *nodes], graph.name, [first], [last], weights)
    return onnx.helper.make_model(
        piece,
        opset_imports=model.opset_import,
        ir_version=max(model.ir_version, 4),  # before 4 every weight had to be an input too
        functions=model.functions,
    )
