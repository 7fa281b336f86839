"""Work of operators, counted by hand."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from sec_nodes.inference.flops import node_flop
from sec_nodes.inference.manifest import ModelError


def flop(op, *shapes, outputs=None, domain='', **attributes):
    """Work of one node whose inputs and outputs have the given shapes."""
    outputs = outputs or [shapes[-1]]
    names = {f'in{k}': shape for k, shape in enumerate(shapes)}
    results = {f'out{k}': shape for k, shape in enumerate(outputs)}
    node = helper.make_node(op, [*names], [*results], 'n', domain=domain, **attributes)
    return node_flop(node, {**names, **results}.__getitem__)


MS = 'com.microsoft'


@pytest.mark.parametrize(
    ('counted', 'expected'),
    [
        # 3 x 3 kernel over 8 channels, 16 x 5 x 5 outputs
        (flop('Conv', (1, 8, 7, 7), (16, 8, 3, 3), outputs=[(1, 16, 5, 5)]), 2 * 400 * 72),
        (flop('Conv', (1, 8, 7, 7), (8, 1, 3, 3), outputs=[(1, 8, 5, 5)], group=8), 2 * 200 * 9),
        (flop('FusedConv', (1, 8, 7, 7), (16, 8, 3, 3), outputs=[(1, 16, 5, 5)], domain=MS),
         2 * 400 * 72),
        (flop('QLinearConv', (1, 8, 7, 7), (), (), (16, 8, 3, 3), outputs=[(1, 16, 5, 5)]),
         2 * 400 * 72),
        # every input value is multiplied with the kernel of its channel
        (flop('ConvTranspose', (1, 8, 5, 5), (8, 4, 2, 2), outputs=[(1, 4, 10, 10)]),
         2 * 200 * 16),
        (flop('Gemm', (1, 9), (9, 4), outputs=[(1, 4)]), 2 * 36),
        (flop('Gemm', (9, 2), (9, 4), outputs=[(2, 4)], transA=1), 2 * 72),
        (flop('MatMul', (1, 3, 5, 7), (1, 3, 7, 5), outputs=[(1, 3, 5, 5)]), 2 * 3 * 175),
        (flop('MatMul', (4,), (4,), outputs=[()]), 8),
        (flop('FusedMatMul', (5, 7), (6, 7), outputs=[(5, 6)], domain=MS, transB=1), 2 * 210),
        (flop('QLinearMatMul', (5, 7), (), (), (7, 6), outputs=[(5, 6)]), 2 * 210),
        (flop('MatMulNBits', (1, 5, 64), (6, 2, 16), outputs=[(1, 5, 6)], domain=MS, K=64, N=6),
         2 * 5 * 64 * 6),
        (flop('Einsum', (2, 5, 7), (2, 7, 3), outputs=[(2, 5, 3)], equation='bij, bjk -> bik'),
         2 * 2 * 5 * 7 * 3),
        # 4 queries, 6 keys, 2 heads of 8; values 2 x 8 wide: scores and weighted sums
        (flop('Attention', (1, 2, 4, 8), (1, 2, 6, 8), (1, 2, 6, 8), outputs=[(1, 2, 4, 8)]),
         2 * 4 * 6 * 16 + 2 * 4 * 6 * 16),
        # 3 earlier keys are kept and lengthen the 6
        (flop('Attention', (1, 4, 16), (1, 6, 16), (1, 6, 16), (4, 9), (1, 2, 3, 8),
              outputs=[(1, 4, 16), (1, 2, 9, 8)]), 2 * 2 * 4 * 9 * 16),
        (flop('MultiHeadAttention', (1, 4, 16), (1, 6, 16), (1, 6, 16), outputs=[(1, 4, 16)],
              domain=MS), 2 * 2 * 4 * 6 * 16),
        # packed: a product with (10, 48), then as above with 4 keys
        (flop('Attention', (1, 4, 10), (10, 48), outputs=[(1, 4, 16)], domain=MS),
         2 * 4 * 10 * 48 + 2 * 2 * 4 * 4 * 16),
        *((flop(op, (1, 8), outputs=[(1, 8)]), 0)
          for op in ('Relu', 'Softmax', 'LayerNormalization', 'Gelu', 'QuantizeLinear')),
        (flop('SkipLayerNormalization', (1, 8), outputs=[(1, 8)], domain=MS), 0),
    ],
)  # fmt: skip
def test_work_by_hand(counted, expected):
    assert counted == expected


@pytest.mark.parametrize(
    ('call', 'named'),
    [
        (lambda: flop('LSTM', (1, 1, 8), outputs=[(1, 1, 8)]), 'LSTM'),
        (lambda: flop('QAttention', (1, 4, 8), outputs=[(1, 4, 8)], domain=MS), 'QAttention'),
        (lambda: flop('DeformConv', (1, 4, 8, 8), outputs=[(1, 4, 8, 8)]), 'DeformConv'),
        (lambda: flop('MyMatMul', (4, 8), outputs=[(4, 8)], domain='acme'), r'MyMatMul.*acme'),
        (lambda: flop('Attention', (1, 4, 10), (10, 48), outputs=[(1, 4, 16), (2, 1, 2, 9, 8)],
                      domain=MS), 'Attention that keeps keys'),
        (lambda: flop('Einsum', (2, 3), (3, 4), (4, 5), outputs=[(2, 5)],
                      equation='ij,jk,kl->il'), 'Einsum of ij,jk,kl'),
        (lambda: flop('Einsum', (2, 3), (3, 4), outputs=[(2, 4)], equation='...j,jk->...k'),
         'Einsum'),
        (lambda: flop('MultiHeadAttention', (1, 4, 2, 3, 8), outputs=[(1, 4, 16)], domain=MS),
         'MultiHeadAttention'),
    ],
)  # fmt: skip
def test_work_that_is_not_known_is_not_called_zero(call, named):
    with pytest.raises(ModelError, match=f'the work of {named}.* is not known here'):
        call()


def test_products_in_a_branch_are_refused_and_other_branches_free():
    def branch(op):
        out = helper.make_tensor_value_info('y', TensorProto.FLOAT, (4, 4))
        return helper.make_graph([helper.make_node(op, ['x', 'x'], ['y'])], 'b', [], [out])

    def choice(op):
        return helper.make_node(
            'If', ['c'], ['z'], 'n', then_branch=branch(op), else_branch=branch('Add')
        )

    assert node_flop(choice('Mul'), {}.__getitem__) == 0
    with pytest.raises(ModelError, match='MatMul in the body of If'):
        node_flop(choice('MatMul'), {}.__getitem__)
