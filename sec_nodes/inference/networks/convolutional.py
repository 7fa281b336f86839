"""AlexNet, VGG and ResNet-18, layer for layer as torchvision has them, for one picture.

Parameters are named as in torchvision's state dicts, so that its published weights fit at width 1,
224 pixels and 1000 classes. Dropout is left out: it does nothing when a network answers.

Batch norms stay nodes of their own rather than being folded into the convolutions before them:
a checkpoint then goes in as it is, and ONNX Runtime and TensorRT fold them when they load.
"""

from __future__ import annotations

from sec_nodes.inference.networks.graph import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    GraphWriter,
)

_VGG_STAGES = {13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}
_POOL = -1


def _convolved(size: int, kernel: int, stride: int = 1, pad: int = 0) -> int:
    """Rows after a convolution or pooling."""
    return (size + 2 * pad - kernel) // stride + 1


def alexnet(g: GraphWriter, width: float, size: int, classes: int) -> None:
    """AlexNet in its one-column form (Krizhevsky 2014, "One weird trick", sec. 5)."""
    c1, c2, c3, c4, hidden = (scaled(n, width) for n in (64, 192, 384, 256, 4096))
    x = g.image(IMAGENET_MEAN, IMAGENET_STD)
    layers = (
        (0, 3, c1, 11, 4, 2),
        (3, c1, c2, 5, 1, 2),
        (6, c2, c3, 3, 1, 1),
        (8, c3, c4, 3, 1, 1),
        (10, c4, c4, 3, 1, 1),
    )
    for k, c_in, c_out, kernel, stride, pad in layers:
        x = g.conv(x, f'features.{k}', c_in, c_out, kernel, stride, pad)
        x, size = g.relu(x, f'features.{k + 1}'), _convolved(size, kernel, stride, pad)
        if k in (0, 3, 10):
            x, size = g.max_pool(x, f'features.{k + 2}', 3, 2), _convolved(size, 3, 2)
    x = g.adaptive_average(x, 'avgpool', size, 6)
    _classifier(g, x, (1, 4, 6), (36 * c4, hidden, hidden, classes))


def vgg(g: GraphWriter, width: float, size: int, classes: int, depth: int) -> None:
    """VGG without batch norm (Simonyan and Zisserman, ICLR 2015, table 1: B is 13, D is 16)."""
    x = g.image(IMAGENET_MEAN, IMAGENET_STD)
    k, c_in = 0, 3
    for count, channels in zip(_VGG_STAGES[depth], (64, 128, 256, 512, 512), strict=True):
        c_out = scaled(channels, width)
        for _ in range(count):
            x = g.conv(x, f'features.{k}', c_in, c_out, 3, 1, 1)
            x, k, c_in = g.relu(x, f'features.{k + 1}'), k + 2, c_out
        x, k, size = g.max_pool(x, f'features.{k}', 2, 2), k + 1, _convolved(size, 2, 2)
    x = g.adaptive_average(x, 'avgpool', size, 7)
    hidden = scaled(4096, width)
    _classifier(g, x, (0, 3, 6), (49 * c_in, hidden, hidden, classes))


def _classifier(g: GraphWriter, x: str, indices: tuple[int, ...], widths: tuple[int, ...]) -> None:
    """Flatten and fully connected layers, the last of which gives the scores."""
    x = g.node('Flatten', [x], 'flatten')
    for position, k in enumerate(indices):
        x = g.linear(x, f'classifier.{k}', widths[position], widths[position + 1])
        if position < len(indices) - 1:
            x = g.relu(x, f'classifier.{k + 1}')
    g.node('Identity', [x], 'scores')


def resnet18(g: GraphWriter, width: float, size: int, classes: int) -> None:
    """ResNet-18 (He et al., CVPR 2016, table 1)."""
    c_in = scaled(64, width)
    x = g.conv(g.image(IMAGENET_MEAN, IMAGENET_STD), 'conv1', 3, c_in, 7, 2, 3, bias=False)
    x = g.relu(g.batch_norm(x, 'bn1', c_in), 'relu')
    x = g.max_pool(x, 'maxpool', 3, 2, 1)
    for stage, channels in enumerate((64, 128, 256, 512), start=1):
        c_out = scaled(channels, width)
        for block in range(2):
            stride = 2 if block == 0 and stage > 1 else 1
            x = _basic_block(g, x, f'layer{stage}.{block}', c_in, c_out, stride)
            c_in = c_out
    x = g.node('GlobalAveragePool', [x], 'avgpool')
    x = g.linear(g.node('Flatten', [x], 'flatten'), 'fc', c_in, classes)
    g.node('Identity', [x], 'scores')


def _basic_block(g: GraphWriter, x: str, name: str, c_in: int, c_out: int, stride: int) -> str:
    """Two 3 x 3 convolutions beside an identity, or a 1 x 1 convolution where it shrinks."""
    y = g.conv(x, f'{name}.conv1', c_in, c_out, 3, stride, 1, bias=False)
    y = g.relu(g.batch_norm(y, f'{name}.bn1', c_out), f'{name}.relu1')
    y = g.conv(y, f'{name}.conv2', c_out, c_out, 3, 1, 1, bias=False)
    y = g.batch_norm(y, f'{name}.bn2', c_out)
    if stride > 1:
        x = g.conv(x, f'{name}.downsample.0', c_in, c_out, 1, stride, bias=False)
        x = g.batch_norm(x, f'{name}.downsample.1', c_out)
    return g.relu(g.node('Add', [y, x], f'{name}.add'), name)


def scaled(channels: int, width: float) -> int:
    """Channels at a relative width, at least one."""
    return max(1, round(channels * width))
