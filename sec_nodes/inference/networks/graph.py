"""Writes ONNX graphs layer by layer, with parameters named as in the published checkpoints."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 20, 10
"""The newest that ONNX Runtime 1.17 and TensorRT 10 read; that is JetPack 6."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in 0..1, as torchvision's classifiers were trained with."""


class Parameters(Protocol):
    """Where weights come from."""

    def take(self, name: str, shape: tuple[int, ...], fill: float | None) -> NDArray[np.float32]:
        """The parameter of that name; `fill` is what a new one holds, None for a random one."""


class GraphWriter:
    """Collects nodes and weights; every layer returns the name of its output.

    Outputs and weights are named by the layer: 'features.0' gives weights 'features.0.weight' and
    'features.0.bias' and the tensor 'features.0'.
    """

    def __init__(self, name: str, parameters: Parameters, image_size: int) -> None:
        self._name, self._parameters, self._size = name, parameters, image_size
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Any operator with one output."""
        self._nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, values: ArrayLike, dtype: type = np.float32) -> str:
        """A tensor that is no parameter."""
        self._weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def parameter(
        self, name: str, shape: tuple[int, ...], fill: float | None = None, transpose: bool = False
    ) -> str:
        """A parameter of the checkpoint, transposed where an operator wants it so."""
        values = self._parameters.take(name, shape, fill)
        stored = np.ascontiguousarray(values.T if transpose else values)
        self._weights.append(numpy_helper.from_array(stored, name))
        return name

    def image(self, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
        """The raw picture, uint8 (1, H, W, 3), as normalised planes float32 (1, 3, H, W)."""
        planes = self.node('Transpose', ['image'], 'planes', perm=[0, 3, 1, 2])
        levels = self.node('Cast', [planes], 'levels', to=TensorProto.FLOAT)
        shape = (1, 3, 1, 1)
        shift = self.constant('image.mean', np.reshape(255.0 * np.array(mean), shape))
        scale = self.constant('image.std', np.reshape(255.0 * np.array(std), shape))
        centred = self.node('Sub', [levels, shift], 'centred')
        return self.node('Div', [centred, scale], 'normalised')

    def conv(
        self,
        x: str,
        name: str,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        pad: int = 0,
        bias: bool = True,
    ) -> str:
        """Square convolution."""
        inputs = [x, self.parameter(f'{name}.weight', (c_out, c_in, kernel, kernel))]
        if bias:
            inputs.append(self.parameter(f'{name}.bias', (c_out,), 0.0))
        square = {'kernel_shape': [kernel] * 2, 'strides': [stride] * 2, 'pads': [pad] * 4}
        return self.node('Conv', inputs, name, **square)

    def linear(self, x: str, name: str, n_in: int, n_out: int) -> str:
        """Fully connected layer on rows (1, n_in)."""
        weight = self.parameter(f'{name}.weight', (n_out, n_in))
        bias = self.parameter(f'{name}.bias', (n_out,), 0.0)
        return self.node('Gemm', [x, weight, bias], name, transB=1)

    def token_linear(self, x: str, name: str, n_in: int, n_out: int) -> str:
        """Fully connected layer on each token of (1, tokens, n_in); the weight lies transposed."""
        weight = self.parameter(f'{name}.weight', (n_out, n_in), transpose=True)
        bias = self.parameter(f'{name}.bias', (n_out,), 0.0)
        product = self.node('MatMul', [x, weight], f'{name}.product')
        return self.node('Add', [product, bias], name)

    def batch_norm(self, x: str, name: str, channels: int) -> str:
        """Batch normalisation with its running statistics."""
        fills = {'weight': 1.0, 'bias': 0.0, 'running_mean': 0.0, 'running_var': 1.0}
        inputs = [self.parameter(f'{name}.{key}', (channels,), f) for key, f in fills.items()]
        return self.node('BatchNormalization', [x, *inputs], name, epsilon=1e-5)

    def layer_norm(self, x: str, name: str, width: int, epsilon: float) -> str:
        """Layer normalisation over the last axis."""
        inputs = [self.parameter(f'{name}.{k}', (width,), f) for k, f in _UNIT_NORM.items()]
        return self.node('LayerNormalization', [x, *inputs], name, axis=-1, epsilon=epsilon)

    def relu(self, x: str, name: str) -> str:
        """Rectified linear unit."""
        return self.node('Relu', [x], name)

    def max_pool(self, x: str, name: str, kernel: int, stride: int, pad: int = 0) -> str:
        """Square max-pooling."""
        square = {'kernel_shape': [kernel] * 2, 'strides': [stride] * 2, 'pads': [pad] * 4}
        return self.node('MaxPool', [x], name, **square)

    def adaptive_average(self, x: str, name: str, size_in: int, size_out: int) -> str:
        """Means over size_out x size_out windows, window i from floor to ceil as torch has it."""
        if size_in == size_out:
            return x
        for axis in (2, 3):
            means = []
            for i in range(size_out):
                first, last = i * size_in // size_out, math.ceil((i + 1) * size_in / size_out)
                part = f'{name}.{axis}.{i}'
                ends = [
                    self.constant(f'{part}.{end}', [value], np.int64)
                    for end, value in (('first', first), ('last', last), ('axis', axis))
                ]
                window = self.node('Slice', [x, *ends], f'{part}.window')
                means.append(self.node('ReduceMean', [window, ends[2]], part))
            x = self.node('Concat', means, f'{name}.{axis}', axis=axis)
        return x

    def build(self, classes: int) -> onnx.ModelProto:
        """The checked model; its output, float32 (1, classes), must have been named 'scores'."""
        picture = (1, self._size, self._size, 3)
        source = helper.make_tensor_value_info('image', TensorProto.UINT8, picture)
        sink = helper.make_tensor_value_info('scores', TensorProto.FLOAT, (1, classes))
        graph = helper.make_graph(self._nodes, self._name, [source], [sink], self._weights)
        opsets = [helper.make_opsetid('', OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


_UNIT_NORM = {'weight': 1.0, 'bias': 0.0}
