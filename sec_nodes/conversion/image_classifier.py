"""From an image classifier of transformers to one graph that takes the raw picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sec_nodes.conversion.export import export_graph
from sec_nodes.inference.language.configs import image_spec
from sec_nodes.inference.language.spec import ImageSpec
from sec_nodes.inference.manifest import ModelError

_TOLERANCE = 1e-3
"""Relative to the largest score; kernels add in another order than torch."""


def convert_classifier(source: str | Path, path: Path) -> tuple[str, ...]:
    """Write `path`, a graph from `image`, uint8 (1, H, W, 3), to `scores`, and return the classes.

    Scaling and normalisation are in the graph, resizing is not: whoever asks resizes to H x W.

    Args:
        source: folder or Hugging Face id of a model that AutoModelForImageClassification loads
            (ViT, ResNet, ConvNeXt and so on).
        path: the .onnx file to write.

    Raises:
        ModelError: transformers cannot load it, or the graph disagrees with it.
    """
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    try:
        model = AutoModelForImageClassification.from_pretrained(source, dtype=torch.float32)
        processor = AutoImageProcessor.from_pretrained(source)
    except (ValueError, OSError, KeyError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(
            f'transformers cannot load {source} as a classifier: {first_line}'
        ) from error
    spec = _picture(processor)
    module = _module(model.eval(), spec)
    picture = torch.zeros(1, *spec.shape, dtype=torch.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    export_graph(module, (picture,), None, ['image'], ['scores'], path)
    _check(module, path, spec)
    return tuple(model.config.id2label[index] for index in range(model.config.num_labels))


def _picture(processor: Any) -> ImageSpec:
    """Size and normalisation; ResNet's and ConvNeXt's processors crop what they resized.

    Those name the shortest edge before a crop to `crop_pct` of it: the crop's size is what counts.
    """
    settings = processor.to_dict()
    size = dict(settings.get('size') or {})
    if 'shortest_edge' in size and not settings.get('do_center_crop'):
        edge = size['shortest_edge']
        settings['size'] = {'height': edge, 'width': edge}
    return image_spec(settings)


def _module(model: Any, spec: ImageSpec) -> Any:
    """The model with scaling in front."""
    import torch
    from torch import nn

    class FromPicture(nn.Module):
        """Scores of a raw picture."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.register_buffer('mean', torch.tensor(spec.mean).view(1, 3, 1, 1))
            self.register_buffer('std', torch.tensor(spec.std).view(1, 3, 1, 1))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            """From uint8 (1, H, W, 3)."""
            pixels = image.permute(0, 3, 1, 2).to(torch.float32) * spec.rescale
            return self.model(pixel_values=(pixels - self.mean) / self.std).logits

    return FromPicture().eval()


def _check(module: Any, path: Path, spec: ImageSpec) -> None:
    """Compare graph and module on a random picture."""
    import onnxruntime as ort
    import torch

    picture = np.random.default_rng(0).integers(0, 256, (1, *spec.shape), np.uint8)
    with torch.no_grad():
        wanted = module(torch.from_numpy(picture)).numpy()
    session = ort.InferenceSession(path, providers=['CPUExecutionProvider'])
    found = session.run(None, {'image': picture})[0]
    error = float(abs(found - wanted).max() / max(abs(wanted).max(), 1e-9))
    if not error < _TOLERANCE:
        raise ModelError(f'the graph of {path} differs from the original by {error:.1e}')
