"""Small ONNX models for the tests, built with onnx.helper from a seed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper


class Builder:
    """Collects nodes and random weights; every method returns the name of its output."""

    def __init__(self, shape: tuple[int, ...], dtype: int = TensorProto.FLOAT) -> None:
        self.rng = np.random.default_rng(5)
        self.source = helper.make_tensor_value_info('image', dtype, shape)
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def node(self, op: str, inputs: list[str], out: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [out], **attributes))
        return out

    def weight(self, name: str, shape: tuple[int, ...]) -> str:
        fan_in = max(1, int(np.prod(shape[1:])))
        values = self.rng.normal(0.0, fan_in**-0.5, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(
        self,
        x: str,
        out: str,
        c_in: int,
        c_out: int,
        kernel: int = 3,
        stride: int = 1,
        pad: int = 1,
    ) -> str:
        weight = self.weight(f'{out}.w', (c_out, c_in, kernel, kernel))
        return self.node('Conv', [x, weight], out, strides=[stride] * 2, pads=[pad] * 4)

    def fc(self, x: str, out: str, n_in: int, n_out: int) -> str:
        weight = self.weight(f'{out}.w', (n_out, n_in))
        return self.node('Gemm', [x, weight], out, transB=1)

    def pool(self, x: str, out: str, kernel: int = 2, stride: int = 2) -> str:
        return self.node('MaxPool', [x], out, kernel_shape=[kernel] * 2, strides=[stride] * 2)

    def build(self, *outputs: str, shape: tuple[Any, ...] | None = None) -> ModelProto:
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in outputs]
        graph = helper.make_graph(self.nodes, 'toy', [self.source], ends, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9)
        return onnx.shape_inference.infer_shapes(model)


def residual() -> ModelProto:
    """uint8 picture, normalised, conv, two residual blocks, mean, fully connected, softmax."""
    b = Builder((1, 16, 16, 3), TensorProto.UINT8)
    x = b.node('Transpose', ['image'], 'planar', perm=[0, 3, 1, 2])
    x = b.node('Cast', [x], 'floats', to=TensorProto.FLOAT)
    b.weights.append(numpy_helper.from_array(np.float32(255.0), 'full'))
    x = b.node('Div', [x, 'full'], 'unit')
    x = b.node('Relu', [b.conv(x, 'stem', 3, 8, stride=2)], 'r0')
    for k in (1, 2):
        y = b.node('Relu', [b.conv(x, f'a{k}', 8, 8)], f'ra{k}')
        y = b.node('Add', [b.conv(y, f'b{k}', 8, 8), x], f'add{k}')
        x = b.node('Relu', [y], f'r{k}')
    x = b.node('GlobalAveragePool', [x], 'mean')
    x = b.node('Flatten', [x], 'flat')
    x = b.node('Softmax', [b.fc(x, 'fc', 8, 4)], 'scores')
    return b.build(x, shape=(1, 4))


def _fully_connected(b: Builder, x: str, sizes: list[int]) -> str:
    x = b.node('Flatten', [x], 'flat')
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        x = b.fc(x, f'fc{k}', n_in, n_out)
        if k < len(sizes) - 2:
            x = b.node('Relu', [x], f'fc{k}r')
    return x


def alexnet(divide: int = 16) -> ModelProto:
    """AlexNet as in torchvision at 224 x 224, every width divided by `divide`."""
    b = Builder((1, 3, 224, 224))
    c = [3, *(n // divide for n in (64, 192, 384, 256, 256))]
    geometry = [(11, 4, 2, True), (5, 1, 2, True), (3, 1, 1, False), (3, 1, 1, False)]
    x = 'image'
    for k, (kernel, stride, pad, pooled) in enumerate([*geometry, (3, 1, 1, True)]):
        x = b.conv(x, f'c{k}', c[k], c[k + 1], kernel, stride, pad)
        x = b.node('Relu', [x], f'c{k}r')
        if pooled:
            x = b.pool(x, f'p{k}', 3, 2)
    x = _fully_connected(b, x, [c[-1] * 36, 4096 // divide, 4096 // divide, 1000])
    return b.build(x, shape=(1, 1000))


def vgg(stages: tuple[int, ...], divide: int = 32) -> ModelProto:
    """VGG at 64 x 64: `stages` convolutions between poolings, widths divided by `divide`."""
    b = Builder((1, 3, 64, 64))
    x, c_in = 'image', 3
    for k, (count, width) in enumerate(zip(stages, (64, 128, 256, 512, 512), strict=True)):
        for j in range(count):
            x = b.conv(x, f'c{k}{j}', c_in, width // divide)
            x, c_in = b.node('Relu', [x], f'c{k}{j}r'), width // divide
        x = b.pool(x, f'p{k}')
    x = _fully_connected(b, x, [c_in * 4, 4096 // divide, 4096 // divide, 10])
    return b.build(x, shape=(1, 10))
