"""The networks behind `scene-s/-l` and `chain-s/-m/-l`, in torch; only training needs this file.

All take the raw picture (N, 128, 128, 3) uint8 and normalise it inside, so that cut 0 of the
exported graph is the picture as the camera gives it. Activations shrink fast: after a stride-2
convolution and a max-pool rows and columns are halved again, because what a device uploads at a
cut is exactly that tensor.

The chains are for devices that also upload the layers behind the cut, weights and all: 20 layers
of nearly the same number of weights, so that cut k leaves about 1 - k/20 of them to upload.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvBN(nn.Module):
    """Convolution and batch norm without bias; one convolution after `fold`."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, H/stride, W/stride)."""
        return self.norm(self.conv(x))

    def fold(self) -> None:
        """Put the norm's scale and shift into the convolution; for evaluation only."""
        self.conv = fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside an identity (He et al. 2016, basic block)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBN(channels, channels, 3, 1)
        self.second = ConvBN(channels, channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class Skip(nn.Module):
    """One 3 x 3 convolution beside an identity, so that a chain can be cut behind each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.only = ConvBN(channels, channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return torch.relu(x + self.only(x))


class PictureNet(nn.Module):
    """Stem, max-pool, a body that a subclass gives, mean over the picture, scores."""

    stem: ConvBN
    pool: nn.MaxPool2d
    body: nn.Sequential
    head: nn.Linear

    def logits(self, image: Tensor) -> Tensor:
        """uint8 (N, 128, 128, 3) to unnormalised scores (N, classes)."""
        x = (image.permute(0, 3, 1, 2).float() - 100.0) / 60.0
        x = self.body(self.pool(torch.relu(self.stem(x))))
        return self.head(x.mean((2, 3)))

    def forward(self, image: Tensor) -> Tensor:
        """uint8 (N, 128, 128, 3) to probabilities (N, classes)."""
        return torch.softmax(self.logits(image), 1)

    def fold(self) -> None:
        """Fold every batch norm, in place; call after `eval()`."""
        for module in list(self.modules()):
            if isinstance(module, ConvBN):
                module.fold()


class SceneNet(PictureNet):
    """Stem, stages of (stride-2 convolution, residual blocks), mean over the picture, scores."""

    def __init__(self, stem: int, stages: tuple[tuple[int, int], ...], classes: int) -> None:
        """`stages`: (channels, residual blocks) each; the first keeps the stem's resolution."""
        super().__init__()
        self.stem = ConvBN(3, stem, 5, 2)
        self.pool = nn.MaxPool2d(2)
        layers: list[nn.Module] = []
        previous = stem
        for index, (channels, blocks) in enumerate(stages):
            if index > 0:
                layers += [ConvBN(previous, channels, 3, 2), nn.ReLU()]
            layers += [Residual(channels) for _ in range(blocks)]
            previous = channels
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(previous, classes)


class ChainNet(PictureNet):
    """20 weighted layers of one width: stem, 18 convolutions of 3 x 3, scores.

    The stem's 7 x 7 x 3 weights a channel come near the 9 `width` of the others. Convolutions 1
    and 8 halve rows and columns, to 16 x 16 and 8 x 8; the others stand beside an identity.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.stem = ConvBN(3, width, 7, 2)
        self.pool = nn.MaxPool2d(2)
        layers: list[nn.Module] = []
        for blocks in (6, 10):
            layers += [ConvBN(width, width, 3, 2), nn.ReLU()]
            layers += [Skip(width) for _ in range(blocks)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, classes)


def scene_s(classes: int) -> SceneNet:
    """About 10 MFLOP: one narrow convolution a stage, no residual blocks."""
    return SceneNet(10, ((10, 0), (24, 0), (48, 0), (96, 0)), classes)


def scene_l(classes: int) -> SceneNet:
    """About 110 MFLOP: a residual block or two in every stage."""
    return SceneNet(24, ((24, 1), (40, 2), (80, 2), (144, 1)), classes)


def chain_s(classes: int) -> ChainNet:
    """About 1.4 Mbit of weights."""
    return ChainNet(16, classes)


def chain_m(classes: int) -> ChainNet:
    """About 3.1 Mbit of weights."""
    return ChainNet(24, classes)


def chain_l(classes: int) -> ChainNet:
    """About 4.8 Mbit of weights."""
    return ChainNet(30, classes)
