"""Fully connected networks in numpy: for batches, and for one observation in few calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Layer(NamedTuple):
    """A layer: `input @ weight + bias`."""

    weight: Floats
    """(in, out)"""
    bias: Floats
    """(out,)"""


Layers = Sequence[Layer]
"""A network; every layer but the last ends in a ReLU."""


def forward(layers: Layers, seen: Floats) -> Floats:
    """Outputs (B, out) of a network for inputs (B, in)."""
    for number, (weight, bias) in enumerate(layers):
        seen = seen @ weight
        seen += bias
        if number < len(layers) - 1:
            np.maximum(seen, 0, out=seen)
    return seen


class FewCalls:
    """Networks that all read the same input, for one input at a time.

    Layers of a depth share buffers, so that one call serves all networks, and what reads the
    input is one matrix. Products of a matrix and a vector are bound by memory, the other calls by
    what a call costs.

    Args:
        networks: at least one, of any depths and widths.
    """

    def __init__(self, networks: Sequence[Layers]) -> None:
        deepest = max(len(layers) for layers in networks)
        widths = [layers[-1].weight.shape[1] for layers in networks]
        self._said = np.empty(sum(widths), dtype=np.float32)
        ends = np.cumsum(widths).tolist()
        said = [self._said[end - width : end] for end, width in zip(ends, widths, strict=True)]
        self._last_bias = np.concatenate([layers[-1].bias for layers in networks])
        # what each network has computed last; None is the input itself
        at: list[Floats | None] = [None] * len(networks)
        self._stages: list[_Stage] = []
        for depth in range(deepest):
            hidden = [i for i, layers in enumerate(networks) if depth < len(layers) - 1]
            products = [
                (at[i], layers[depth].weight, said[i])
                for i, layers in enumerate(networks)
                if depth == len(layers) - 1
            ]
            bias = [networks[i][depth].bias for i in hidden]
            buffer = np.empty(sum(map(len, bias)), dtype=np.float32)
            parts = np.split(buffer, np.cumsum([len(part) for part in bias])[:-1]) if bias else []
            if depth == 0 and hidden:
                merged = np.concatenate([networks[i][0].weight for i in hidden], axis=1)
                products.append((None, np.ascontiguousarray(merged), buffer))
            else:
                products += [
                    (at[i], networks[i][depth].weight, part)
                    for i, part in zip(hidden, parts, strict=True)
                ]
            for i, part in zip(hidden, parts, strict=True):
                at[i] = part
            self._stages.append(
                _Stage(
                    products,
                    buffer,
                    np.concatenate(bias) if bias else buffer,
                    np.zeros_like(buffer),
                )
            )

    def __call__(self, seen: Floats) -> Floats:
        """Outputs of all networks, one after the other, for one input (in,)."""
        for products, buffer, bias, zero in self._stages:
            for source, weight, target in products:
                np.dot(seen if source is None else source, weight, out=target)
            if len(buffer):
                buffer += bias
                np.maximum(buffer, zero, out=buffer)
        return self._said + self._last_bias


class _Stage(NamedTuple):
    """Layers of one depth."""

    products: list[tuple[Floats | None, Floats, Floats]]
    """Input (None: what the networks read), weights and where the product goes."""
    buffer: Floats
    """Hidden units of all networks."""
    bias: Floats
    zero: Floats
    """As many zeros: the maximum of two arrays is quicker than that of one and a number."""
