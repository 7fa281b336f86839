"""Weights of a network: random ones from a seed, or those of a checkpoint.

Checkpoints come as .npz or .safetensors. The latter is a JSON header before plain little-endian
bytes (https://huggingface.co/docs/safetensors, "Format"), which takes fewer lines to read than a
dependency would take to declare.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sec_nodes.inference.manifest import ModelError

_IGNORED_SUFFIX = '.num_batches_tracked'
"""Counters that torch's batch norm saves; they change nothing after training."""

_SAFETENSORS_DTYPES: dict[str, Any] = {
    'F64': np.float64,
    'F32': np.float32,
    'F16': np.float16,
    'BF16': ml_dtypes.bfloat16,
    'I64': np.int64,
    'I32': np.int32,
    'U8': np.uint8,
}
_HEADER_LIMIT_BYTE = 100 * 10**6
"""The format's own limit on a header."""


class RandomParameters:
    """He-initialised weights (He et al. 2015, eq. (10)): standard deviation sqrt(2 / fan-in)."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def take(self, name: str, shape: tuple[int, ...], fill: float | None) -> NDArray[np.float32]:
        """A new parameter: constant if `fill` is given, else normal."""
        if fill is not None:
            return np.full(shape, fill, np.float32)
        fan_in = math.prod(shape[1:])
        values = self._rng.standard_normal(shape, np.float32)
        values *= np.float32(math.sqrt(2.0 / fan_in))
        return values


class GivenParameters:
    """The weights of a checkpoint, each taken once and checked."""

    def __init__(self, weights: Mapping[str, ArrayLike], network: str) -> None:
        self._weights, self._network = weights, network
        self._left = {name for name in weights if not name.endswith(_IGNORED_SUFFIX)}

    def take(self, name: str, shape: tuple[int, ...], fill: float | None) -> NDArray[np.float32]:
        """The parameter of that name as float32. ModelError if missing or of another shape."""
        if name not in self._weights:
            raise ModelError(f'weights for {self._network} lack {name!r} of shape {shape}')
        values = np.asarray(self._weights[name])
        if values.shape != shape:
            raise ModelError(
                f'weight {name!r} has shape {values.shape}, {self._network} needs {shape}; '
                'check width, image_size and classes'
            )
        self._left.discard(name)
        return values.astype(np.float32)

    def check_all_taken(self) -> None:
        """ModelError if weights were given which the network does not have."""
        if self._left:
            raise ModelError(
                f'weights hold {len(self._left)} parameters that {self._network} does not have, '
                f'{min(self._left)!r} among them; choose the network that they were trained for'
            )


def read_checkpoint(path: Path) -> Mapping[str, NDArray[Any]]:
    """Arrays by name of a .npz or .safetensors file. ModelError if it is none."""
    try:
        if path.suffix == '.npz':
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        if path.suffix == '.safetensors':
            return _Safetensors(path)
    except OSError as error:
        raise ModelError(f'weights {path} cannot be read ({error.strerror})') from error
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        zipfile.BadZipFile,
    ) as error:
        raise ModelError(f'weights {path} are not a valid {path.suffix} file: {error}') from error
    raise ModelError(
        f'weights {path} are neither .npz nor .safetensors; save them as one of these'
    )


class _Safetensors(Mapping[str, NDArray[Any]]):
    """A memory-mapped .safetensors file."""

    def __init__(self, path: Path) -> None:
        with path.open('rb') as file:
            size = int.from_bytes(file.read(8), 'little')
            if size > _HEADER_LIMIT_BYTE:
                raise ValueError(f'its header would take {size} bytes')
            header = json.loads(file.read(size))
        header.pop('__metadata__', None)
        data = np.memmap(path, np.uint8, 'r', offset=8 + size)
        self._arrays = {name: _array(data, name, entry) for name, entry in header.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def _array(data: NDArray[np.uint8], name: str, entry: Mapping[str, Any]) -> NDArray[Any]:
    """One tensor of the file, as a view."""
    first, last = entry['data_offsets']
    if not 0 <= first <= last <= data.size:
        raise ValueError(f'tensor {name!r} ends at byte {last} of {data.size}')
    if entry['dtype'] not in _SAFETENSORS_DTYPES:
        raise ValueError(f'tensor {name!r} has dtype {entry["dtype"]}, which is not known here')
    dtype = np.dtype(_SAFETENSORS_DTYPES[entry['dtype']])
    return data[first:last].view(dtype).reshape(entry['shape'])
