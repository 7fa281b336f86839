"""Work of a graph's operators [FLOP], read from shapes.

Convention: 2 per multiply-add of convolutions and matrix products, biases and everything else 0.
For a convolution that is 2 H_out W_out C_in/groups k_h k_w C_out, for a fully connected layer
2 U_in U_out: the count of Meng and Li, "Robust DNN Partitioning and Task Offloading in
Multi-UAV-Assisted MEC Against UAV Failures", eqs. (8)-(9), with the layer's output size where the
print has its input, and of Molchanov et al., ICLR 2017, appendix A.1, without its bias terms.

Operators of the domain com.microsoft are those that ONNX Runtime's optimisers and quantisers
write; their inputs: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from onnx import AttributeProto, GraphProto, NodeProto, helper

from sec_nodes.inference.manifest import ModelError

Shape = tuple[int, ...]
ShapeOf = Callable[[str], Shape]
"""Shape of a tensor by its name; ModelError if it is not known."""

_CONVOLUTIONS = {'Conv': 1, 'FusedConv': 1, 'NhwcFusedConv': 1, 'ConvInteger': 1, 'QLinearConv': 3}
"""Operator: which of its inputs is the weight."""

_PRODUCTS = {
    'MatMul': 1,
    'FusedMatMul': 1,
    'MatMulInteger': 1,
    'MatMulIntegerToFloat': 1,
    'DynamicQuantizeMatMul': 1,
    'QLinearMatMul': 3,
}
"""Operator: which of its inputs is the right factor."""

_GEMMS = {'Gemm', 'FusedGemm', 'QGemm'}

_MULTIPLIES = re.compile('Conv|MatMul|Gemm|Einsum|Attention|LSTM|GRU|RNN|MoE')
"""Names of operators that multiply and add; those without a rule here are refused."""


def node_flop(node: NodeProto, shape_of: ShapeOf) -> int:
    """Counted work of one node.

    ModelError for an operator whose work is not 0 and for which there is no rule, and for shapes
    that are not known.
    """
    kind = node.op_type
    if kind in _CONVOLUTIONS:
        kernel = shape_of(node.input[_CONVOLUTIONS[kind]])
        return 2 * math.prod(shape_of(node.output[0])) * math.prod(kernel[1:])
    if kind == 'ConvTranspose':
        kernel = shape_of(node.input[1])
        return 2 * math.prod(shape_of(node.input[0])) * math.prod(kernel[1:])
    if kind in _PRODUCTS:
        right = shape_of(node.input[_PRODUCTS[kind]])
        inner = right[0] if len(right) == 1 else right[-1 if attribute(node, 'transB', 0) else -2]
        return 2 * math.prod(shape_of(node.output[0])) * inner
    if kind in _GEMMS:
        inner = shape_of(node.input[0])[0 if attribute(node, 'transA', 0) else 1]
        return 2 * math.prod(shape_of(node.output[0])) * inner
    if kind == 'MatMulNBits':
        return 2 * math.prod(shape_of(node.output[0])) * attribute(node, 'K', 0)
    if kind == 'Einsum':
        return _einsum(node, shape_of)
    if kind == 'MultiHeadAttention' and len(shape_of(node.input[0])) == 3:
        return _attention(node, shape_of)
    if kind == 'Attention':
        return (_projected_attention if node.domain else _attention)(node, shape_of)
    if _MULTIPLIES.search(kind):
        raise _unknown(node, kind)
    for body in subgraphs(node):
        for inner_node in body.node:
            if _MULTIPLIES.search(inner_node.op_type):
                raise _unknown(node, f'{inner_node.op_type} in the body of {kind}')
    return 0


def _einsum(node: NodeProto, shape_of: ShapeOf) -> int:
    """Two operands: one multiply-add for every combination of all their indices."""
    terms = (
        attribute(node, 'equation', b'').decode().replace(' ', '').partition('->')[0].split(',')
    )
    if len(terms) != 2 or any('.' in term for term in terms):
        raise _unknown(node, f'Einsum of {",".join(terms)}')
    sizes: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=True):
        for label, size in zip(term, shape_of(name), strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    return 2 * math.prod(sizes.values())


def _attention(node: NodeProto, shape_of: ShapeOf) -> int:
    """Q K^T and its product with V: 2 tokens keys (query width + output width), all heads.

    Queries come as (batch, tokens, all heads) or (batch, heads, tokens, width); where earlier
    keys are kept, output 1 has them all.
    """
    query, output = shape_of(node.input[0]), shape_of(node.output[0])
    kept = len(node.output) > 1 and node.output[1]
    keys = shape_of(node.output[1] if kept else node.input[1])[-2]
    return 2 * keys * (math.prod(query) + math.prod(output))


def _projected_attention(node: NodeProto, shape_of: ShapeOf) -> int:
    """com.microsoft's Attention: a product (batch, tokens, width) x (width, Q K V), then as above.

    ModelError if it keeps earlier keys, whose number its inputs do not show.
    """
    if len(node.output) > 1 and node.output[1]:
        raise _unknown(node, 'Attention that keeps keys')
    batch, tokens, width = shape_of(node.input[0])
    packed, output = shape_of(node.input[1])[1], shape_of(node.output[0])
    projection = 2 * batch * tokens * width * packed
    return projection + 2 * tokens * 2 * math.prod(output)


def _unknown(node: NodeProto, what: str) -> ModelError:
    return ModelError(
        f'the work of {what} (node {node.name!r}, domain {node.domain or "ai.onnx"}) is not known '
        'here; export the model with plain operators'
    )


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Value of an attribute, `default` if the node does not have it."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """Bodies of If, Loop and Scan."""
    for item in node.attribute:
        if item.type == AttributeProto.GRAPH:
            yield item.g
        elif item.type == AttributeProto.GRAPHS:
            yield from item.graphs
