"""From a torch module to an ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sec_nodes.inference.manifest import ModelError

OPSET = 20
IR_VERSION = 10
"""The newest of both that ONNX Runtime on a Jetson is sure to know."""

_SIDE_FILE_BYTE = 2**30
"""Weights above this go to a side file: protobuf ends at 2 GiB."""


def export_graph(
    module: Any,
    arguments: tuple[Any, ...],
    dynamic: tuple[Any, ...] | None,
    inputs: Sequence[str],
    outputs: Sequence[str],
    path: Path,
) -> None:
    """Write one graph, without the exporter's notes on where each node comes from.

    Args:
        module: a torch module in evaluation mode.
        arguments: example inputs.
        dynamic: which of their axes vary, as torch.export wants it; None for none.
        inputs: names of the inputs in order, those in lists one by one.
        outputs: names of the outputs.
        path: where to; large weights go to a side file.

    Raises:
        ModelError: torch makes nothing of the module.
    """
    import torch
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    for name in ('onnxscript', 'torch.onnx'):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            module, arguments, dynamo=True, opset_version=OPSET, dynamic_shapes=dynamic,
            input_names=list(inputs), output_names=list(outputs), verbose=False,
        )  # fmt: skip
    if program is None:
        raise ModelError(f'torch exports nothing for {path.name}')
    program.optimize()
    ClearMetadataAndDocStringPass()(program.model)
    _divide_at_once(program.model.graph)
    program.model.ir_version = IR_VERSION
    weights = (value.const_value for value in program.model.graph.initializers.values())
    size_byte = sum(weight.nbytes for weight in weights if weight is not None)
    program.save(str(path), external_data=size_byte > _SIDE_FILE_BYTE)


def _divide_at_once(graph: Any) -> None:
    """Write x * (1 / y) as x / y: the form of a root-mean-square norm that ONNX Runtime fuses."""
    for node in [node for node in graph if node.op_type == 'Reciprocal']:
        for user, place in tuple(node.outputs[0].uses()):
            if user.op_type == 'Mul':
                dividend = user.inputs[1 - place]
                user.op_type = 'Div'
                user.replace_input_with(0, dividend)
                user.replace_input_with(1, node.inputs[0])
        if not node.outputs[0].uses():
            graph.remove(node, safe=True)
