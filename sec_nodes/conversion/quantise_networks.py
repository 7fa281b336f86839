"""Eight bits for a network that can be cut: weights and activations, calibrated on pictures.

Static quantisation with QuantizeLinear and DequantizeLinear nodes ("Quantize ONNX Models",
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html): activations are
uint8 with one scale each, weights int8 with one scale a channel. Such a graph is cut right behind
QuantizeLinear, so what travels is uint8 already and a split answers exactly as the whole does.
Dynamic quantisation would leave convolutions slower than in floating point, and nothing to send
in eight bits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from sec_nodes.inference.manifest import ModelError

QUANTISED = ('Conv', 'Gemm', 'MatMul', 'Add', 'MaxPool', 'AveragePool', 'GlobalAveragePool')
"""Operators whose inputs and outputs get eight bits. Picture normalisation, softmax and layer
normalisation stay in floating point: they are little work and lose much."""


class _Pictures(CalibrationDataReader):
    """Feeds pictures to the calibration, each with a batch axis."""

    def __init__(self, name: str, pictures: Iterable[NDArray[np.uint8]]) -> None:
        self._feeds: Iterator[dict[str, NDArray[np.uint8]]] = (
            {name: picture[None]} for picture in pictures
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._feeds, None)


def quantise_network(
    model: Path | onnx.ModelProto, pictures: Iterable[NDArray[np.uint8]], out: Path
) -> None:
    """Write an eight-bit copy of a network.

    Args:
        model: float network with one input, a batch of one picture.
        pictures: what to calibrate on, without the batch axis; a hundred typical ones will do.
        out: the file to write.

    Raises:
        ModelError: no pictures, or a network that cannot be quantised.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, ready = Path(folder) / 'model.onnx', Path(folder) / 'ready.onnx'
        if isinstance(model, Path):
            source = model
        else:
            onnx.save(model, source)
        try:
            quant_pre_process(source, ready, skip_symbolic_shape=True)
            name = onnx.load(ready, load_external_data=False).graph.input[0].name
            quantize_static(
                ready,
                out,
                _Pictures(name, pictures),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        except (ValueError, OSError) as error:
            raise ModelError(f'network {source} cannot be quantised: {error}') from error
