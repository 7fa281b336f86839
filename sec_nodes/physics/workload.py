"""Workload: layer tables of three DNNs, where they can be cut, and what computing costs.

The tables are built from the layer definitions in exact integers: AlexNet, VGG13 and VGG16 as in
torchvision, for one image of 3 x 224 x 224, as Meng & Li use them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from sec_nodes.physics.checks import FloatArray, Floats, require_nonnegative, require_positive

ELEMENT_BIT = 32
"""Memory of one tensor element [bit] (float32; sigma of Meng & Li is 4 byte)."""

_IMAGE_CHANNELS = 3
_IMAGE_SIDE = 224


@dataclass(frozen=True)
class _Conv:
    """A convolution and the max pooling that follows it (pool = 0: none)."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0  # window; the stride of all pools here is 2


@dataclass(frozen=True)
class _Dense:
    """A fully connected layer."""

    units: int


_Layer = Union[_Conv, _Dense]  # noqa: UP007 (kept a runtime alias)
_CLASSIFIER: tuple[_Layer, ...] = (_Dense(4096), _Dense(4096), _Dense(1000))


def _vgg(*blocks: tuple[int, int]) -> tuple[_Layer, ...]:
    """Return VGG layers from (channels, convolutions) blocks, each ending in a 2 x 2 pool."""
    layers: list[_Layer] = []
    for channels, convolutions in blocks:
        layers += [_Conv(channels)] * (convolutions - 1) + [_Conv(channels, pool=2)]
    return (*layers, *_CLASSIFIER)


_NETWORKS: dict[str, tuple[_Layer, ...]] = {
    'alexnet': (
        _Conv(64, kernel=11, stride=4, padding=2, pool=3),
        _Conv(192, kernel=5, padding=2, pool=3),
        _Conv(384),
        _Conv(256),
        _Conv(256, pool=3),
        *_CLASSIFIER,
    ),
    'vgg13': _vgg((64, 2), (128, 2), (256, 2), (512, 2), (512, 2)),
    'vgg16': _vgg((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),
}

NETWORKS = tuple(_NETWORKS)
"""Names of the networks that `dnn_table` knows."""


@dataclass(frozen=True)
class DnnTable:
    """What each layer of a network costs and what it takes in; exact integers.

    Layers are convolutions and fully connected layers, L of them.  Pooling, ReLU and dropout cost
    nothing and are folded into the layer before, so what travels is the tensor after pooling.
    """

    name: str
    """Name of the network."""
    layer_flop: NDArray[np.int64]
    """Work of layer 1 to L, array (L,) [FLOP]."""
    input_bit: NDArray[np.int64]
    """Size of the tensor that enters layer 1 to L, array (L,) [bit]; the first is the image."""

    @property
    def layers(self) -> int:
        """Number of layers L."""
        return len(self.layer_flop)

    @property
    def total_flop(self) -> int:
        """Work of the whole network [FLOP]."""
        return int(self.layer_flop.sum())

    @property
    def front_flop(self) -> NDArray[np.int64]:
        """Work before cut 0 to L, array (L + 1,) [FLOP].

        Cut c leaves c layers in front: it is the paper's split layer phi = c + 1, and cut L is
        everything local.
        """
        return np.concatenate([[0], np.cumsum(self.layer_flop)])

    @property
    def rear_flop(self) -> NDArray[np.int64]:
        """Work behind cut 0 to L, array (L + 1,) [FLOP]."""
        return self.total_flop - self.front_flop

    @property
    def cut_bit(self) -> NDArray[np.int64]:
        """Size of what crosses cut 0 to L, array (L + 1,) [bit].

        The raw image at cut 0 and nothing at cut L: results are not downloaded (Meng & Li).
        """
        return np.append(self.input_bit, 0)


@lru_cache
def dnn_table(name: str) -> DnnTable:
    """Return the table of 'alexnet', 'vgg13' or 'vgg16'.

    Meng & Li, eqs. (8) and (9), whose labels Conv and FC are swapped in print: a convolution costs
    2 H_out W_out C_in k^2 C_out (the printed H, W of the *input* would make AlexNet's first layer
    16.6 times too large), a fully connected layer 2 (U_in - 1) U_out as printed.  Raises
    ValueError for another name.
    """
    if name not in _NETWORKS:
        raise ValueError(f'name is {name!r}, but must be one of {", ".join(NETWORKS)}.')
    channels, side = _IMAGE_CHANNELS, _IMAGE_SIDE
    flop, bit = [], []
    for layer in _NETWORKS[name]:
        elements = channels * side * side
        bit.append(elements * ELEMENT_BIT)
        if isinstance(layer, _Dense):
            flop.append(2 * (elements - 1) * layer.units)
            channels, side = layer.units, 1
            continue
        side = (side + 2 * layer.padding - layer.kernel) // layer.stride + 1
        flop.append(2 * side * side * channels * layer.kernel**2 * layer.channels)
        channels = layer.channels
        if layer.pool:
            side = (side - layer.pool) // 2 + 1
    table = DnnTable(name, np.array(flop, dtype=np.int64), np.array(bit, dtype=np.int64))
    table.layer_flop.flags.writeable = False  # the cache hands the same arrays to everyone
    table.input_bit.flags.writeable = False
    return table


@dataclass(frozen=True)
class CutTables:
    """Cut tables of n tasks side by side, (n, C + 1) with C the most layers among them."""

    layers: NDArray[np.int64]
    """Number of layers L of each task (n,); cuts 0 to L are real, later ones repeat cut L."""
    front_flop: NDArray[np.int64]
    """Work before each cut [FLOP]."""
    rear_flop: NDArray[np.int64]
    """Work behind each cut [FLOP]."""
    cut_bit: NDArray[np.int64]
    """Size of what crosses each cut [bit]."""


def cut_tables(names: Sequence[str]) -> CutTables:
    """Return the cut tables of tasks that run the named networks; errors as `dnn_table`."""
    tables = [dnn_table(name) for name in names]
    return CutTables(
        np.array([table.layers for table in tables], dtype=np.int64),
        side_by_side([table.front_flop for table in tables]),
        side_by_side([table.rear_flop for table in tables]),
        side_by_side([table.cut_bit for table in tables]),
    )


def side_by_side(columns: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Whole numbers of n networks, cut by cut, as (n, C + 1); what is missing repeats the last."""
    widest = max((len(column) for column in columns), default=1)
    rows = [np.pad(column, (0, widest - len(column)), mode='edge') for column in columns]
    return np.array(rows).astype(np.int64).reshape(len(columns), widest)


def compute_time_s(work_flop: Floats, speed_flop_s: Floats) -> FloatArray:
    """Return the time to compute [s]: Yan et al. 2025, eqs. (14) and (23), with work v o.

    `work_flop` is the FLOP of an output word times the words; also cycles over Hz, as in Meng &
    Li, (18) and (24).  Raises ValueError for negative work or a speed that is not positive.
    """
    require_nonnegative('work_flop', work_flop, 'Pass the work in FLOP.')
    require_positive('speed_flop_s', speed_flop_s, 'Pass the speed of the processor in FLOP/s.')
    return np.divide(work_flop, speed_flop_s)


def compute_energy_j(time_s: Floats, power_w: Floats) -> FloatArray:
    """Return the energy of computing [J]: Yan et al. 2025, eqs. (15) and (24).

    `power_w` is what the platform draws while it computes.  Raises ValueError for a negative
    argument.
    """
    require_nonnegative('time_s', time_s, 'Pass the computing time in seconds.')
    require_nonnegative('power_w', power_w, 'Pass the power in watts.')
    return np.multiply(power_w, time_s)
