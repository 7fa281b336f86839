"""Weights in blocks of a few bits: ONNX Runtime's MatMulNBits, made with numpy alone.

A column of a weight matrix (K, N) is cut into blocks of `BLOCK` rows; each block has one scale and
integers of 2, 4 or 8 bits around half their range. The layout is that of the operator's
specification: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
(com.microsoft.MatMulNBits).

Kernels for 2 bits are missing before ONNX Runtime 1.24 and on GPUs, so 2 bits is how weights are
stored: a table in the graph makes them 4-bit integers of the same value when it is loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

BLOCK = 32
"""Weights to a scale; the smallest that all of the operator's CPU kernels are fast with is 16."""

_DOMAIN = 'com.microsoft'
_TABLE, _MERGED = 'byte_to_nibbles', 'last_axes_merged'
_INT8_ACTIVATIONS = 4
"""`accuracy_level`: activations may be rounded to int8 for a product, which is the fast kernel."""


def quantise_blocks(
    weight: NDArray[np.float32], bits: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Packed integers (N, blocks, BLOCK * bits / 8) and scales (N, blocks) of weights (K, N).

    The element of largest magnitude of a block becomes exactly the lowest integer, whose side has
    one more value than the other; lower bits of a byte hold earlier weights.
    """
    rows, columns = weight.shape
    blocks = -(-rows // BLOCK)
    padded = np.zeros((blocks * BLOCK, columns), np.float32)
    padded[:rows] = weight
    grouped = padded.T.reshape(columns, blocks, BLOCK)
    half = 2 ** (bits - 1)
    extreme = np.take_along_axis(grouped, abs(grouped).argmax(axis=2, keepdims=True), axis=2)
    scale = extreme / -half
    safe = np.where(scale == 0, 1.0, scale)
    integers = np.clip(np.rint(grouped / safe) + half, 0, 2 * half - 1).astype(np.uint8)
    per_byte = 8 // bits
    parts = integers.reshape(columns, blocks, BLOCK // per_byte, per_byte)
    shifts = np.arange(per_byte, dtype=np.uint8) * np.uint8(bits)
    packed = np.bitwise_or.reduce(parts << shifts, axis=3).astype(np.uint8)
    return packed, scale[:, :, 0].astype(np.float32)


def quantise_products(model: onnx.ModelProto, bits: int) -> None:
    """Replace every product with a constant matrix by MatMulNBits, in place."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    done: dict[str, list[str]] = {}
    expansions: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != 'MatMul' or node.input[1] not in weights:
            continue
        name = node.input[1]
        weight = numpy_helper.to_array(weights[name])
        if weight.ndim != 2 or weight.dtype != np.float32:
            continue
        if name not in done:
            done[name] = [f'{name}_q{bits}', f'{name}_scales']
            packed, scales = quantise_blocks(weight, bits)
            graph.initializer.append(numpy_helper.from_array(packed, done[name][0]))
            graph.initializer.append(numpy_helper.from_array(scales, done[name][1]))
            if bits == 2:
                done[name][0] = _expand(done[name][0], expansions)
        node.CopyFrom(_product(node, done[name], weight.shape, max(bits, 4)))
    if expansions:
        graph.initializer.append(numpy_helper.from_array(_nibbles(), _TABLE))
        graph.initializer.append(numpy_helper.from_array(np.array([0, 0, -1]), _MERGED))
    nodes = [*expansions, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused(graph)
    if done and all(entry.domain != _DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def _nibbles() -> NDArray[np.uint8]:
    """Four 2-bit integers of each byte as two bytes of 4-bit integers: 2 becomes 8, the zero."""
    byte = np.arange(256)
    wide = [(byte >> shift & 3) + 8 - 2 for shift in (0, 2, 4, 6)]
    return np.stack([wide[0] | wide[1] << 4, wide[2] | wide[3] << 4], axis=1).astype(np.uint8)


def _expand(name: str, nodes: list[onnx.NodeProto]) -> str:
    """Add the nodes that look up 2-bit weights in the table; the name of what they give."""
    index, pairs, wide = (f'{name}_{what}' for what in ('index', 'pairs', 'wide'))
    nodes.append(helper.make_node('Cast', [name], [index], name=index, to=TensorProto.INT32))
    nodes.append(helper.make_node('Gather', [_TABLE, index], [pairs], name=pairs))
    nodes.append(helper.make_node('Reshape', [pairs, _MERGED], [wide], name=wide))
    return wide


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove constants that no node reads any more, and notes on shapes."""
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]


def _product(
    node: onnx.NodeProto, constants: list[str], shape: tuple[Any, ...], bits: int
) -> onnx.NodeProto:
    return helper.make_node(
        'MatMulNBits',
        [node.input[0], *constants],
        list(node.output),
        name=node.name,
        domain=_DOMAIN,
        K=shape[0],
        N=shape[1],
        bits=bits,
        block_size=BLOCK,
        accuracy_level=_INT8_ACTIVATIONS,
    )
