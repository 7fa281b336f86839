"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx
from numpy.typing import ArrayLike

from sec_nodes.inference.networks.convolutional import alexnet, resnet18, vgg
from sec_nodes.inference.networks.graph import GraphWriter
from sec_nodes.inference.networks.transformer import vit_tiny
from sec_nodes.inference.networks.weights import (
    GivenParameters,
    RandomParameters,
    read_checkpoint,
)


@dataclass(frozen=True)
class _Definition:
    """`write(g, width, size, classes)` writes the layers; sizes of pictures it can take."""

    write: Callable[[GraphWriter, float, int, int], None]
    smallest_image: int
    multiple: int = 1


_DEFINITIONS = {
    'alexnet': _Definition(alexnet, 63),
    'vgg13': _Definition(partial(vgg, depth=13), 32),
    'vgg16': _Definition(partial(vgg, depth=16), 32),
    'resnet18': _Definition(resnet18, 1),
    'vit-tiny': _Definition(vit_tiny, 16, multiple=16),
}
NETWORKS: tuple[str, ...] = tuple(_DEFINITIONS)
"""Names that `build_network` knows."""


def build_network(
    name: str,
    *,
    seed: int = 0,
    width: float = 1.0,
    image_size: int = 224,
    classes: int = 1000,
    weights: Mapping[str, ArrayLike] | Path | None = None,
) -> onnx.ModelProto:
    """A network of this package as an ONNX model: `image`, uint8 (1, H, W, 3), to `scores`.

    Args:
        name: one of NETWORKS.
        seed: of random weights; the same seed gives the same weights.
        width: channels relative to the published network.
        image_size: H = W [pixel].
        classes: how many scores.
        weights: arrays by the names of the published checkpoint, or a .npz or .safetensors file
            of them; random He-initialised ones if None.

    Raises:
        ValueError: a size that the network cannot have.
        ModelError: the weights cannot be read or do not fit the network.
    """
    if name not in _DEFINITIONS:
        raise ValueError(f'network {name!r} is unknown; choose from {", ".join(NETWORKS)}')
    definition = _DEFINITIONS[name]
    if image_size < definition.smallest_image or image_size % definition.multiple:
        raise ValueError(
            f'image_size is {image_size}; {name} takes multiples of {definition.multiple} from '
            f'{definition.smallest_image} on'
        )
    if not width > 0.0 or classes < 1:
        raise ValueError(f'width is {width} and classes is {classes}; both must be positive')
    if isinstance(weights, Path):
        weights = read_checkpoint(weights)
    given = GivenParameters(weights, name) if weights is not None else None
    writer = GraphWriter(name, given or RandomParameters(seed), image_size)
    definition.write(writer, width, image_size, classes)
    if given:
        given.check_all_taken()
    return writer.build(classes)
