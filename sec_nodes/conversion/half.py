"""A graph in float16, but for the few places where half precision goes wrong.

Squares of activations overflow it, and rotary angles lose their sense in it (place 1000 is half a
radian off), so root mean squares and angles are computed in float32 from end to end.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_ALWAYS_FULL = ('Pow', 'ReduceMean', 'Sqrt', 'Cos', 'Sin')


def to_half(model: onnx.ModelProto, half_io: str) -> onnx.ModelProto:
    """The graph in float16; inputs and outputs stay float32 but those that begin with `half_io`.

    Args:
        model: a float32 graph without subgraphs.
        half_io: prefixes of names, separated by blanks, such as 'past_key_values present'.
    """
    typed = onnx.shape_inference.infer_shapes(model).graph
    infos = [*typed.value_info, *typed.input, *typed.output]
    floats = {info.name for info in infos if info.type.tensor_type.elem_type == FLOAT}
    conversion = _Conversion(model, floats, tuple(half_io.split()))
    return conversion.run()


class _Conversion:
    """`dtype` holds what each float tensor has become so far."""

    def __init__(
        self, model: onnx.ModelProto, floats: Collection[str], half_io: tuple[str, ...]
    ) -> None:
        self.model = model
        self.floats = floats
        self.half_io = half_io
        self.constants = {
            tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == FLOAT
        }
        self.dtype: dict[str, int] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.made: dict[tuple[str, int], str] = {}
        self.new_constants: list[onnx.TensorProto] = []

    def run(self) -> onnx.ModelProto:
        """Convert node by node, in order."""
        graph = self.model.graph
        full = _full_nodes(graph, self.floats)
        for value in graph.input:
            if value.type.tensor_type.elem_type == FLOAT:
                self._set_io(value)
        for index, node in enumerate(graph.node):
            wanted = FLOAT if index in full else HALF
            for place, name in enumerate(node.input):
                if name in self.constants or name in self.dtype:
                    node.input[place] = self._as(name, wanted)
            self._set_attributes(node, wanted)
            self.dtype.update({name: wanted for name in node.output if name in self.floats})
            self.nodes.append(node)
        for value in graph.output:
            if value.type.tensor_type.elem_type == FLOAT:
                self._end(value)
        kept = [t for t in graph.initializer if t.name not in self.constants]
        nodes = list(self.nodes)
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend([*kept, *self.new_constants])
        return self.model

    def _set_io(self, value: onnx.ValueInfoProto) -> int:
        dtype = HALF if value.name.startswith(self.half_io) else FLOAT
        value.type.tensor_type.elem_type = dtype
        self.dtype.setdefault(value.name, dtype)
        return dtype

    def _as(self, name: str, wanted: int) -> str:
        """Name of a tensor in the wanted type; makes it where it is not there yet."""
        if self.dtype.get(name) == wanted:
            return name
        key = name, wanted
        if key not in self.made:
            self.made[key] = f'{name}_{"full" if wanted == FLOAT else "half"}'
            if name in self.constants:
                values = numpy_helper.to_array(self.constants[name])
                self.new_constants.append(
                    numpy_helper.from_array(_narrow(values, wanted), self.made[key])
                )
            else:
                self.nodes.append(_cast(name, self.made[key], wanted))
        return self.made[key]

    def _set_attributes(self, node: onnx.NodeProto, wanted: int) -> None:
        """The type that a node makes out of nothing or casts to."""
        for attribute in node.attribute:
            if node.op_type == 'Cast' and attribute.name == 'to' and attribute.i == FLOAT:
                attribute.i = wanted
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == FLOAT:
                values = _narrow(numpy_helper.to_array(attribute.t), wanted)
                attribute.t.CopyFrom(numpy_helper.from_array(values))

    def _end(self, value: onnx.ValueInfoProto) -> None:
        """Give an output the type it should have, under its own name."""
        made = self.dtype[value.name]
        del self.dtype[value.name]
        wanted = self._set_io(value)
        if made == wanted:
            return
        inner = f'{value.name}_inner'
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == value.name:
                        names[place] = inner
        self.nodes.append(_cast(inner, value.name, wanted))


def _full_nodes(graph: onnx.GraphProto, floats: Collection[str]) -> set[int]:
    """Places of the nodes that stay in float32.

    The operators themselves, what angles are made from, and what computes on nothing but the
    results of such nodes (the epsilon added to a mean square).
    """
    makers = {output: index for index, node in enumerate(graph.node) for output in node.output}
    full = {i for i, node in enumerate(graph.node) if node.op_type in _ALWAYS_FULL}
    waiting = [i for i in full if graph.node[i].op_type in ('Cos', 'Sin')]
    while waiting:
        for name in graph.node[waiting.pop()].input:
            maker = makers.get(name)
            if maker is not None and name in floats and maker not in full:
                full.add(maker)
                waiting.append(maker)
    for index, node in enumerate(graph.node):
        sources = [makers.get(name) for name in node.input if name in floats]
        if sources and all(source in full for source in sources):
            full.add(index)
    return full


def _narrow(values: np.ndarray, wanted: int) -> np.ndarray:
    if wanted == FLOAT:
        return values
    largest = np.finfo(np.float16).max
    return np.clip(values, -largest, largest).astype(np.float16)


def _cast(source: str, target: str, wanted: int) -> onnx.NodeProto:
    return helper.make_node('Cast', [source], [target], name=target, to=wanted)
