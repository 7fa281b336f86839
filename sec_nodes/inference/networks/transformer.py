"""ViT-tiny: twelve blocks of three heads on 16 x 16 patches.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, eqs. (1)-(4), in the size of
Touvron et al., "Training data-efficient image transformers", ICML 2021, table 1 (Ti). Parameters
are named as in the checkpoints of Hugging Face's ViTForImageClassification, torchvision having no
ViT this small; its normalisation, mean and deviation 0.5, goes with them.
"""

from __future__ import annotations

import numpy as np

from sec_nodes.inference.networks.convolutional import scaled
from sec_nodes.inference.networks.graph import GraphWriter

_PATCH, _BLOCKS, _HEADS, _HEAD_WIDTH = 16, 12, 3, 64
_EPSILON = 1e-12


def vit_tiny(g: GraphWriter, width: float, size: int, classes: int) -> None:
    """Patches, twelve blocks, scores from the class token. `width` scales the width of a head."""
    head = scaled(_HEAD_WIDTH, width)
    hidden, patches = _HEADS * head, (size // _PATCH) ** 2
    x = _tokens(g, hidden, patches)
    for block in range(_BLOCKS):
        name = f'vit.encoder.layer.{block}'
        y = g.layer_norm(x, f'{name}.layernorm_before', hidden, _EPSILON)
        y = _attention(g, y, f'{name}.attention', head, patches + 1)
        x = g.node('Add', [y, x], f'{name}.attended')
        y = g.layer_norm(x, f'{name}.layernorm_after', hidden, _EPSILON)
        y = g.token_linear(y, f'{name}.intermediate.dense', hidden, 4 * hidden)
        y = g.node('Gelu', [y], f'{name}.gelu')
        y = g.token_linear(y, f'{name}.output.dense', 4 * hidden, hidden)
        x = g.node('Add', [y, x], name)
    x = g.layer_norm(x, 'vit.layernorm', hidden, _EPSILON)
    class_token = g.node('Gather', [x, g.constant('first', 0, np.int64)], 'class_token', axis=1)
    g.node('Identity', [g.linear(class_token, 'classifier', hidden, classes)], 'scores')


def _tokens(g: GraphWriter, hidden: int, patches: int) -> str:
    """The class token and one token a patch, with their places added: (1, patches + 1, hidden)."""
    name = 'vit.embeddings'
    x = g.image((0.5,) * 3, (0.5,) * 3)
    x = g.conv(x, f'{name}.patch_embeddings.projection', 3, hidden, _PATCH, _PATCH)
    rows = g.constant('patch_shape', (1, hidden, patches), np.int64)
    x = g.node('Transpose', [g.node('Reshape', [x, rows], 'columns')], 'patches', perm=[0, 2, 1])
    class_token = g.parameter(f'{name}.cls_token', (1, 1, hidden), 0.0)
    x = g.node('Concat', [class_token, x], 'sequence', axis=1)
    places = g.parameter(f'{name}.position_embeddings', (1, patches + 1, hidden), 0.0)
    return g.node('Add', [x, places], name)


def _attention(g: GraphWriter, x: str, name: str, head: int, tokens: int) -> str:
    """Softmax(Q K^T / sqrt(head width)) V, heads side by side, and a layer over them."""
    hidden = _HEADS * head
    split = g.constant(f'{name}.split', (1, tokens, _HEADS, head), np.int64)

    def heads(part: str, perm: list[int]) -> str:
        y = g.token_linear(x, f'{name}.attention.{part}', hidden, hidden)
        y = g.node('Reshape', [y, split], f'{name}.{part}.split')
        return g.node('Transpose', [y], f'{name}.{part}', perm=perm)

    query, value = heads('query', [0, 2, 1, 3]), heads('value', [0, 2, 1, 3])
    products = g.node('MatMul', [query, heads('key', [0, 2, 3, 1])], f'{name}.products')
    scale = g.constant(f'{name}.scale', head**-0.5)
    weights = g.node('Mul', [products, scale], f'{name}.scaled')
    weights = g.node('Softmax', [weights], f'{name}.weights', axis=-1)
    context = g.node('MatMul', [weights, value], f'{name}.context')
    context = g.node('Transpose', [context], f'{name}.context.tokens', perm=[0, 2, 1, 3])
    merged = g.constant(f'{name}.merge', (1, tokens, hidden), np.int64)
    context = g.node('Reshape', [context, merged], f'{name}.context.merged')
    return g.token_linear(context, f'{name}.output.dense', hidden, hidden)
