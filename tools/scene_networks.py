"""The two networks behind `scene-s` and `scene-l`, in torch; only training needs this file.

Both take the raw picture (N, 128, 128, 3) uint8 and normalise it inside, so that cut 0 of the
exported graph is the picture as the camera gives it. Activations shrink fast: after a stride-2
convolution and a max-pool every further stage halves rows and columns, because what a device
uploads at a cut is exactly that tensor.
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


class SceneNet(nn.Module):
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


def scene_s(classes: int) -> SceneNet:
    """About 10 MFLOP: one narrow convolution a stage, no residual blocks."""
    return SceneNet(10, ((10, 0), (24, 0), (48, 0), (96, 0)), classes)


def scene_l(classes: int) -> SceneNet:
    """About 110 MFLOP: a residual block or two in every stage."""
    return SceneNet(24, ((24, 1), (40, 2), (80, 2), (144, 1)), classes)
