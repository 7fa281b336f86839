"""Where an ONNX graph can be cut, what each cut sends and costs, and the pieces between cuts.

A cut is a tensor that every path from the graph's input to its output passes: sending it alone
lets another machine finish. One sweep over the topological order finds them all, in chains, in
residual graphs and in transformers, since such a tensor's producer comes after all its ancestors
and before all its descendants in every topological order. Inside a residual or attention block
two tensors cross, so blocks can only be cut between.

Cuts of equal counted work (see flops) differ only in what they send, so of each such group only
the one with the fewest bits is kept (the last of equals): that folds activations, pooling and
flattening into the layer before, and casts and normalisation into the raw input. It leaves
AlexNet, VGG13 and VGG16 their 8, 13 and 16 layers, and it cuts graphs with quantisation nodes
right behind QuantizeLinear, where the tensor is an integer one already. The raw input is always
cut 0, the output always the last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from sec_nodes.inference.flops import Shape, node_flop, subgraphs
from sec_nodes.inference.manifest import ModelError
from sec_nodes.inference.shapes import (
    shape_of,
    tensor_types,
    with_constant_shapes,
    with_fixed_input,
)


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
    """The cuts of a graph, and the piece of it between any two.

    Running cut l splits the work into `segment(0, l)` and `segment(l, last)`, or into the chain
    of `segments`; no weight is held twice unless the graph itself shares it across a cut.
    """

    cuts: tuple[Cut, ...]
    ends_in_softmax: bool
    _model: ModelProto = field(repr=False)
    _live: tuple[NodeProto, ...] = field(repr=False)
    _constant: tuple[NodeProto, ...] = field(repr=False)
    _places: tuple[tuple[int, ValueInfoProto], ...] = field(repr=False)
    """Of each cut: how many of the live nodes come before it, and its type."""

    @property
    def segments(self) -> tuple[ModelProto, ...]:
        """The pieces between neighbouring cuts; segment k leads from cuts[k] to cuts[k + 1]."""
        return tuple(self.segment(k, k + 1) for k in range(len(self.cuts) - 1))

    def segment(self, first: int, last: int) -> ModelProto:
        """A model of its own from cut `first` to cut `last`, with just the weights it reads."""
        piece, weights = self._without_weights(first, last)
        piece.graph.initializer.extend(weights)
        return piece

    def segment_byte(self, first: int, last: int) -> int:
        """Size of that model as a file [byte], counted without copying its weights."""
        piece, weights = self._without_weights(first, last)
        bare_byte = piece.graph.ByteSize()
        graph_byte = bare_byte + sum(_field_byte(tensor.ByteSize()) for tensor in weights)
        return piece.ByteSize() - _field_byte(bare_byte) + _field_byte(graph_byte)

    def _without_weights(self, first: int, last: int) -> tuple[ModelProto, list[TensorProto]]:
        """The model from one cut to another, and the weights that it lacks."""
        (begin, source), (end, sink) = self._places[first], self._places[last]
        nodes = self._live[begin:end]
        needed = set().union(*(_reads(node) for node in nodes)) if nodes else set()
        fixed: list[NodeProto] = []
        for node in reversed(self._constant):
            if needed & set(node.output):
                fixed.insert(0, node)
                needed |= _reads(node)
        graph = self._model.graph
        # written in place: the helpers of onnx would copy the weights twice
        piece = ModelProto(
            ir_version=max(self._model.ir_version, 4),  # before, every weight was an input too
            opset_import=self._model.opset_import,
        )
        piece.graph.name = graph.name
        piece.graph.node.extend([*fixed, *nodes])
        piece.graph.input.append(source)
        piece.graph.output.append(sink)
        return piece, [tensor for tensor in graph.initializer if tensor.name in needed]

    def coarser(self, max_segments: int) -> SplitGraph:
        """The same graph with cuts taken away until at most `max_segments` segments are left.

        First go cuts that send no less than an earlier one (the picture aside, which is smaller
        than most tensors for being uint8): they cost the front more work and the link no less
        time. Then, in either case, goes the cut between the two neighbouring segments with the
        least work.
        """
        if max_segments < 1:
            raise ValueError(f'max_segments is {max_segments}; give at least 1')
        left = list(self.cuts)
        while len(left) - 1 > max_segments:
            inner = range(1, len(left) - 1)
            poor = [k for k in inner if any(c.size_bit <= left[k].size_bit for c in left[1:k])]
            work = {k: left[k + 1].front_flop - left[k - 1].front_flop for k in poor or inner}
            del left[min(work, key=lambda k: work[k])]
        places = tuple(self._places[cut.index] for cut in left)
        cuts = tuple(replace(cut, index=index) for index, cut in enumerate(left))
        return SplitGraph(
            cuts, self.ends_in_softmax, self._model, self._live, self._constant, places
        )


def split_graph(
    model: ModelProto, *, output: str | None = None, sizes: Mapping[str, int] | None = None
) -> SplitGraph:
    """Find the cuts of `model`.

    Args:
        model: a graph with one input that is no weight.
        output: which output counts; the first if None. Work that only others need is left out.
        sizes: values of open sizes of the input, by their symbol ('width') or by place
            ('image.2') where they have none. An open batch is 1 unless given.

    Raises:
        ModelError: several inputs, sizes that stay open, work that cannot be counted.
    """
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    source, sink = _ends(model.graph, output)
    model = with_fixed_input(model, source, sizes or {})
    live, _ = _live_and_constant(model.graph.node, source, sink)
    types = tensor_types(model, {sink}.union(*(_reads(node) for node in live)))
    nodes = with_constant_shapes(model.graph.node, types)
    live, constant = _live_and_constant(nodes, source, sink)

    def known_shape(name: str) -> Shape:
        if name not in types:
            raise ModelError(
                f'shape of tensor {name!r} is not fixed: it depends on the data, or on an '
                'operator that ONNX Runtime does not have'
            )
        return shape_of(types[name])

    known_shape(sink)
    flop = list(accumulate((node_flop(node, known_shape) for node in live), initial=0))
    chosen = _choose(
        [
            (place, flop[place], types[name])
            for place, name in _cut_places(live, source, sink)
            if name in types
        ]
    )
    cuts = tuple(
        Cut(
            index,
            value.name,
            shape_of(value),
            _dtype(value).name,
            _size_bit(value),
            flop[place],
            flop[-1] - flop[place],
        )
        for index, (place, value) in enumerate(chosen)
    )
    return SplitGraph(
        cuts, _ends_in_softmax(live), model, tuple(live), tuple(constant), tuple(chosen)
    )


def _ends(graph: GraphProto, output: str | None) -> tuple[str, str]:
    """Names of the one input that is not a weight and of the output that counts."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    outputs = [value.name for value in graph.output]
    if len(inputs) != 1:
        raise ModelError(
            f'graph {graph.name!r} has {len(inputs)} inputs {inputs}; it can only be cut if a '
            'single tensor goes in: make the others constants'
        )
    if not outputs or output not in (None, *outputs):
        raise ModelError(f'graph {graph.name!r} has no output {output!r}; it has {outputs}')
    return inputs[0], output or outputs[0]


def _reads(node: NodeProto) -> set[str]:
    """Names a node needs, those its subgraphs take from outside included."""
    names = {name for name in node.input if name}
    for body in subgraphs(node):
        own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
        for inner in body.node:
            names |= _reads(inner) - own
            own |= set(inner.output)
        names |= {value.name for value in body.output} - own
    return names


def _live_and_constant(
    nodes: Iterable[NodeProto], source: str, sink: str
) -> tuple[list[NodeProto], list[NodeProto]]:
    """Nodes between input and output, and nodes that only compute constants."""
    varying = {source}
    dependent, constant = [], []
    for node in nodes:
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
        raise ModelError(f'output {sink!r} does not depend on input {source!r}')
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


def _choose(places: list[tuple[int, int, ValueInfoProto]]) -> list[tuple[int, ValueInfoProto]]:
    """Of cuts with equal work keep the one that sends least; keep the input and the output.

    `places` are (nodes before, work before, tensor), in order.
    """
    source, sink = places[0], places[-1]
    best: dict[int, tuple[int, int, ValueInfoProto]] = {}
    for place in places:
        rival = best.get(place[1])
        if rival is None or _size_bit(place[2]) <= _size_bit(rival[2]):
            best[place[1]] = place
    if _size_bit(best[source[1]][2]) >= _size_bit(source[2]):
        best[source[1]] = source
    if sink[1] != source[1]:
        best[sink[1]] = sink
    chosen = {place: value for place, _, value in (*best.values(), source, sink)}
    return sorted(chosen.items(), key=lambda item: item[0])


def _dtype(value: ValueInfoProto) -> np.dtype[Any]:
    return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def _size_bit(value: ValueInfoProto) -> int:
    return math.prod(shape_of(value)) * _dtype(value).itemsize * 8


def _field_byte(content_byte: int) -> int:
    """Size of a message inside another [byte]: a tag, its length seven bits a byte, and itself."""
    return 1 + max(1, -(-content_byte.bit_length() // 7)) + content_byte


def _ends_in_softmax(live: list[NodeProto]) -> bool:
    """Whether the last node that changes values is a softmax."""
    kinds = [
        node.op_type for node in live if node.op_type not in ('Identity', 'Flatten', 'Reshape')
    ]
    return bool(kinds) and kinds[-1] == 'Softmax'
