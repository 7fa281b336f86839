"""A tensor as it travels between the machine that runs the front and the one that runs the back.

Three codecs: `raw` keeps every bit, `f16` halves a float tensor (relative error up to 2**-11),
`u8` quarters it by ONNX's affine rule x = scale (q - zero_point) with one scale a tensor (error up
to scale / 2). Integer tensors, pictures above all, always travel raw. Bytes are little-endian.

What a codec gives may be compressed: by `zlib` (RFC 1950) or, at a tenth of the time and about the
same size, by `zstd` (RFC 8878), both at their fastest level. The checksum covers what travels, so
that damage shows before anything is decompressed, and decompression stops at the size that dtype
and shape announce, so that a packet of a few bytes cannot claim gigabytes.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import zstandard
from numpy.typing import ArrayLike, NDArray

CODECS: tuple[str, ...] = ('raw', 'f16', 'u8')
COMPRESSIONS: tuple[str, ...] = ('none', 'zlib', 'zstd')
DTYPES: tuple[str, ...] = ('float32', 'float16', 'uint8', 'int8', 'int32', 'int64')
"""What a tensor's elements may be before encoding and after decoding."""

MAX_BYTES = 64 * 2**20
"""Largest decoded tensor accepted by default [byte]."""

MAX_AXES = 32
"""Most axes of a tensor: every NumPy takes as many."""

_WIRE = {'f16': 'float16', 'u8': 'uint8'}
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
_LARGEST_SCALE = float(np.finfo(np.float32).max)
_FIELD_TYPES = {
    'codec': str,
    'dtype': str,
    'shape': tuple,
    'scale': float,
    'zero_point': int,
    'data': bytes,
    'crc32': int,
    'compression': str,
}


class PayloadError(ValueError):
    """A tensor or packet is not what it should be; the text says what was expected and got."""


@dataclass(frozen=True)
class TensorPacket:
    """One encoded tensor.

    `dtype` and `shape` are those of the decoded tensor; `scale` and `zero_point` matter to `u8`
    only (1 and 0 otherwise) and survive a float32 field; `compression` is how `data` was made
    smaller after that; `crc32` covers data and header.
    """

    codec: str
    dtype: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    data: bytes
    crc32: int
    compression: str = 'none'

    @property
    def size_bit(self) -> int:
        """Payload [bit], header not counted: what a radio link has to carry."""
        return 8 * len(self.data)


def used_codec(dtype: str, codec: str) -> str:
    """The codec a tensor really travels by: only float32 is ever made smaller."""
    if codec not in CODECS:
        raise PayloadError(f'codec {codec!r} is unknown; choose one of {", ".join(CODECS)}')
    if dtype not in DTYPES:
        raise PayloadError(f'dtype {dtype!r} cannot travel; convert to one of {", ".join(DTYPES)}')
    return codec if dtype == 'float32' else 'raw'


def encoded_size_bit(shape: tuple[int, ...], dtype: str, codec: str) -> int:
    """Size [bit] of `encode`'s payload before compression, known from shape and dtype alone."""
    wire = _WIRE.get(used_codec(dtype, codec), dtype)
    return 8 * math.prod(shape) * np.dtype(wire).itemsize


def encode(array: ArrayLike, codec: str = 'raw', compression: str = 'none') -> TensorPacket:
    """Pack a tensor. What compression does not make smaller travels as it is.

    PayloadError for an unknown codec, compression or dtype, or values a codec cannot hold.
    """
    _check_compression(compression)
    tensor = np.asarray(array)
    used = used_codec(tensor.dtype.name, codec)
    scale, zero_point = 1.0, 0
    values: NDArray[np.generic] = tensor
    if used != 'raw' and not np.isfinite(tensor).all():
        raise PayloadError(f'tensor holds NaN or infinity, which codec {used!r} cannot carry')
    if used == 'f16':
        if tensor.size and np.abs(tensor).max() > np.finfo(np.float16).max:
            raise PayloadError("tensor exceeds 65504, the largest value of codec 'f16'; use 'raw'")
        values = tensor.astype(np.float16)
    elif used == 'u8':
        scale, zero_point = _affine(tensor)
        levels = np.rint(tensor / np.float64(scale)) + zero_point
        values = np.clip(levels, 0, 255).astype(np.uint8)
    data = np.ascontiguousarray(values, values.dtype.newbyteorder('<')).tobytes()
    smaller = _compress(data, compression)
    if len(smaller) >= len(data):
        smaller, compression = data, 'none'
    header = (used, tensor.dtype.name, tensor.shape, scale, zero_point)
    return TensorPacket(*header, smaller, _crc(*header, compression, smaller), compression)


def _affine(tensor: NDArray[np.generic]) -> tuple[float, int]:
    """Scale and zero point so that 0 is exact and the tensor's range fills 0..255."""
    low = min(0.0, float(tensor.min(initial=0.0)))
    high = max(0.0, float(tensor.max(initial=0.0)))
    scale = float(np.float32((high - low) / 255.0))
    if scale < np.finfo(np.float32).tiny:
        return 1.0, 0
    return scale, min(255, max(0, round(-low / scale)))


def _check_compression(name: str) -> None:
    if name not in COMPRESSIONS:
        raise PayloadError(
            f'compression {name!r} is unknown; choose one of {", ".join(COMPRESSIONS)}'
        )


def _compress(data: bytes, compression: str) -> bytes:
    if compression == 'zlib':
        return zlib.compress(data, 1)
    if compression == 'zstd':
        return zstandard.ZstdCompressor(level=1).compress(data)
    return data


def _decompress(data: bytes, compression: str, size: int) -> bytes:
    """The `size` bytes that were compressed; PayloadError if it is not exactly one such stream."""
    if compression == 'none':
        return data
    try:
        plain = (_inflate if compression == 'zlib' else _unpack_zstd)(data, size)
    except (zlib.error, zstandard.ZstdError) as error:
        raise PayloadError(f'payload is not valid {compression}: {error}') from error
    if len(plain) != size:
        raise PayloadError(f'payload decompresses to {len(plain)} bytes, expected {size}')
    return plain


def _inflate(data: bytes, size: int) -> bytes:
    stream = zlib.decompressobj()
    plain = stream.decompress(data, size + 1)  # one more shows that there is too much
    if len(plain) <= size and not stream.eof:
        raise zlib.error('it is truncated')
    if stream.unused_data:
        raise zlib.error(f'{len(stream.unused_data)} bytes follow its end')
    return plain


def _unpack_zstd(data: bytes, size: int) -> bytes:
    # a frame's header says how much would be allocated for it
    announced = zstandard.get_frame_parameters(data).content_size
    if announced != size:
        raise zstandard.ZstdError(f'it announces {announced} bytes, expected {size}')
    return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)


def _crc(
    codec: str,
    dtype: str,
    shape: tuple[int, ...],
    scale: float,
    zero_point: int,
    compression: str,
    data: bytes,
) -> int:
    """CRC-32 of the payload, then of the header, so that a flipped header bit shows as well."""
    sizes = ','.join(str(size) for size in shape)
    header = f'{codec}|{dtype}|{sizes}|{compression}|'.encode() + struct.pack(
        '<fq', scale, zero_point
    )
    return zlib.crc32(header, zlib.crc32(data))


def decode(
    packet: TensorPacket,
    expected_shape: tuple[int, ...] | None = None,
    expected_dtype: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> NDArray[np.generic]:
    """The tensor of a packet from an untrusted sender; PayloadError says what is wrong with it.

    Nothing is allocated before codec, shape, length and checksum have been checked, and nothing
    beyond the tensor's size afterwards. A raw tensor comes back as a read-only view of the
    packet's bytes.
    """
    _check_fields(packet)
    _check_size(packet, expected_shape, expected_dtype, max_bytes)
    fields = (packet.codec, packet.dtype, packet.shape, packet.scale, packet.zero_point)
    found = _crc(*fields, packet.compression, packet.data)
    if found != packet.crc32:
        raise PayloadError(f'crc32 is {found:#010x}, the header says {packet.crc32:#010x}')
    wire = np.dtype(_WIRE.get(packet.codec, packet.dtype)).newbyteorder('<')
    expected = encoded_size_bit(packet.shape, packet.dtype, packet.codec) // 8
    plain = _decompress(packet.data, packet.compression, expected)
    values = np.frombuffer(plain, wire).reshape(packet.shape)
    if packet.codec == 'raw':
        return values
    tensor = values.astype(np.float32)
    if packet.codec == 'u8':
        with np.errstate(over='ignore'):  # an overflow is what the next lines look for
            tensor = (tensor - np.float32(packet.zero_point)) * np.float32(packet.scale)
    if not np.isfinite(tensor).all():
        raise PayloadError(f'codec {packet.codec!r} decodes to NaN or infinity')
    return tensor


def _check_fields(packet: TensorPacket) -> None:
    """PayloadError unless each field of a packet is, by itself, one that `encode` writes."""
    for name, kind in _FIELD_TYPES.items():
        value = getattr(packet, name)
        if not isinstance(value, kind):
            raise PayloadError(f'{name} is {type(value).__name__}, expected {kind.__name__}')
    _check_compression(packet.compression)
    if used_codec(packet.dtype, packet.codec) != packet.codec:
        raise PayloadError(f'codec {packet.codec!r} cannot hold dtype {packet.dtype!r}')
    if len(packet.shape) > MAX_AXES:
        raise PayloadError(f'shape has {len(packet.shape)} axes, at most {MAX_AXES} are accepted')
    if not all(isinstance(size, int) for size in packet.shape):
        raise PayloadError(f'shape {packet.shape} is not of whole numbers')
    if any(size < 0 for size in packet.shape):
        raise PayloadError(f'shape {packet.shape} has a negative size')
    if not _SMALLEST_SCALE <= packet.scale <= _LARGEST_SCALE:
        raise PayloadError(
            f'scale is {packet.scale}, expected a positive number '
            f'from {_SMALLEST_SCALE:.3g} to {_LARGEST_SCALE:.3g}'
        )
    if not 0 <= packet.zero_point <= 255:
        raise PayloadError(f'zero_point is {packet.zero_point}, expected 0 to 255')


def _check_size(
    packet: TensorPacket,
    expected_shape: tuple[int, ...] | None,
    expected_dtype: str | None,
    max_bytes: int,
) -> None:
    """PayloadError unless shape, dtype and length fit each other, the caller and the memory."""
    if expected_shape is not None and packet.shape != tuple(expected_shape):
        raise PayloadError(f'shape is {packet.shape}, expected {tuple(expected_shape)}')
    if expected_dtype is not None and packet.dtype != expected_dtype:
        raise PayloadError(f'dtype is {packet.dtype!r}, expected {expected_dtype!r}')
    # an axis of 0 must not hide others beyond what NumPy can count
    decoded = math.prod(max(size, 1) for size in packet.shape) * np.dtype(packet.dtype).itemsize
    if decoded > max_bytes:
        raise PayloadError(f'tensor would take {decoded} bytes, at most {max_bytes} are accepted')
    expected = encoded_size_bit(packet.shape, packet.dtype, packet.codec) // 8
    if packet.compression == 'none' and len(packet.data) != expected:
        raise PayloadError(f'payload is {len(packet.data)} bytes long, expected {expected}')
    if packet.compression != 'none' and len(packet.data) >= expected:
        raise PayloadError(
            f'payload is {len(packet.data)} bytes long, expected fewer than the {expected} that '
            'were compressed'
        )
