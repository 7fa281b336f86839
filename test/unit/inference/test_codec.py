"""Tensors survive their packets, and nothing damaged gets through."""

from __future__ import annotations

import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sec_nodes.inference.codec import (
    CODECS,
    COMPRESSIONS,
    DTYPES,
    PayloadError,
    _compress,
    _crc,
    decode,
    encode,
    encoded_size_bit,
)

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
FLOATS = hnp.arrays(
    np.float32, SHAPES, elements=st.floats(-6e4, 6e4, width=32, allow_subnormal=False)
)


@given(FLOATS, st.sampled_from(CODECS))
def test_float_tensors_come_back_within_the_stated_error(tensor, codec):
    packet = encode(tensor, codec)
    back = decode(packet, tensor.shape, 'float32')
    assert packet.size_bit == encoded_size_bit(tensor.shape, 'float32', codec)
    error = np.abs(back.astype(np.float64) - tensor)
    if codec == 'raw':
        np.testing.assert_array_equal(back, tensor)
    elif codec == 'f16':
        assert (error <= 2.0**-11 * np.abs(tensor) + 2.0**-25).all()
    else:
        assert (error <= packet.scale * 0.5001 + 1e-3 * packet.scale).all()
        assert (back[tensor == 0.0] == 0.0).all()


@given(
    st.data(),
    st.sampled_from([name for name in DTYPES if name != 'float32']),
    st.sampled_from(CODECS),
)
def test_other_dtypes_always_travel_raw(data, dtype, codec):
    tensor = data.draw(hnp.arrays(np.dtype(dtype), SHAPES))
    packet = encode(tensor, codec)
    assert packet.codec == 'raw'
    np.testing.assert_array_equal(decode(packet), tensor)
    assert packet.size_bit == encoded_size_bit(tensor.shape, dtype, packet.codec)


@given(FLOATS, st.sampled_from(CODECS), st.data())
def test_one_flipped_bit_is_rejected(tensor, codec, data):
    packet = encode(tensor, codec)
    if not packet.data:
        return
    bit = data.draw(st.integers(0, packet.size_bit - 1))
    damaged = bytearray(packet.data)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PayloadError, match='crc32'):
        decode(replace(packet, data=bytes(damaged)))


@given(FLOATS, st.sampled_from(CODECS), st.binary(max_size=600))
def test_wrong_length_is_rejected(tensor, codec, junk):
    packet = encode(tensor, codec)
    if len(junk) == len(packet.data):
        return
    with pytest.raises(PayloadError, match='bytes long'):
        decode(replace(packet, data=junk))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'codec': 'zip'}, "codec 'zip' is unknown"),
        ({'compression': 'lzma'}, "compression 'lzma' is unknown; choose one of none, zlib, zstd"),
        ({'dtype': 'object'}, "dtype 'object' cannot travel"),
        ({'dtype': 'uint8'}, "cannot hold dtype 'uint8'"),
        ({'shape': (2, -3)}, 'negative'),
        ({'shape': (3, 2)}, 'shape is'),
        ({'scale': float('nan')}, 'scale is nan'),
        ({'scale': float('inf')}, 'scale is inf'),
        ({'scale': 0.0}, 'scale is 0.0'),
        ({'scale': 0.5}, 'crc32'),
        ({'zero_point': 256}, 'zero_point'),
        ({'zero_point': 3}, 'crc32'),
        ({'crc32': 0}, 'crc32'),
        ({'crc32': None}, 'crc32 is NoneType, expected int'),
        ({'scale': 1e300}, r'scale is 1e\+300, expected a positive number'),
        ({'scale': 1e-60}, 'scale is 1e-60, expected a positive number'),
        ({'scale': None}, 'scale is NoneType, expected float'),
        ({'zero_point': 0.5}, 'zero_point is float, expected int'),
        ({'shape': ('a',)}, 'not of whole numbers'),
        ({'shape': None}, 'shape is NoneType, expected tuple'),
        ({'shape': (1,) * 100}, 'shape has 100 axes, at most 32'),
        ({'shape': (2**32 - 1,) * 500}, 'shape has 500 axes, at most 32'),
        ({'data': 'text'}, 'data is str, expected bytes'),
        ({'codec': ['u8']}, 'codec is list, expected str'),
    ],
)
def test_altered_header_is_rejected(change, message):
    packet = encode(np.arange(6, dtype=np.float32).reshape(2, 3), 'u8')
    with pytest.raises(PayloadError, match=message):
        decode(replace(packet, **change), (2, 3) if change.get('shape') == (3, 2) else None)


def test_expectations_and_limits():
    packet = encode(np.zeros((2, 3), np.float32), 'u8')
    with pytest.raises(PayloadError, match=r'shape is \(2, 3\), expected \(1, 6\)'):
        decode(packet, (1, 6))
    with pytest.raises(PayloadError, match="dtype is 'float32', expected 'uint8'"):
        decode(packet, expected_dtype='uint8')
    with pytest.raises(PayloadError, match='24 bytes, at most 23'):
        decode(packet, max_bytes=23)
    huge = replace(packet, shape=(2**40, 2**40))
    with pytest.raises(PayloadError, match='at most'):
        decode(huge)


def test_values_a_codec_cannot_hold_are_refused():
    for codec in ('f16', 'u8'):
        with pytest.raises(PayloadError, match='NaN or infinity'):
            encode(np.array([np.nan], np.float32), codec)
    with pytest.raises(PayloadError, match='65504'):
        encode(np.array([7e4], np.float32), 'f16')
    with pytest.raises(PayloadError, match="dtype 'float64' cannot travel"):
        encode(np.zeros(2))
    with pytest.raises(PayloadError, match='unknown'):
        encoded_size_bit((1,), 'float32', 'u4')


def test_packets_are_the_same_for_any_memory_layout():
    tensor = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert encode(tensor.T) == encode(np.ascontiguousarray(tensor.T))
    assert encode(tensor.astype('>f4').byteswap().view('<f4')) == encode(tensor)


SMOOTH = np.tile(np.arange(64, dtype=np.float32), 64).reshape(1, 64, 64)
COMPRESSING = [name for name in COMPRESSIONS if name != 'none']


@given(FLOATS, st.sampled_from(CODECS), st.sampled_from(COMPRESSIONS))
def test_compression_loses_nothing_and_never_makes_larger(tensor, codec, compression):
    plain, packet = encode(tensor, codec), encode(tensor, codec, compression)
    assert packet.size_bit == 8 * len(packet.data) <= plain.size_bit
    assert packet.compression == (compression if packet.size_bit < plain.size_bit else 'none')
    np.testing.assert_array_equal(
        decode(packet, tensor.shape, 'float32'), decode(plain, tensor.shape, 'float32')
    )


@pytest.mark.parametrize('compression', COMPRESSING)
def test_smooth_tensors_and_pictures_travel_smaller(compression):
    for codec in CODECS:
        packet = encode(SMOOTH, codec, compression)
        assert packet.compression == compression
        assert packet.size_bit < encode(SMOOTH, codec).size_bit / 5
    picture = SMOOTH.astype(np.uint8)
    packet = encode(picture, 'u8', compression)
    assert (packet.codec, packet.dtype, packet.compression) == ('raw', 'uint8', compression)
    np.testing.assert_array_equal(decode(packet), picture)
    with pytest.raises(PayloadError, match="compression 'lzma' is unknown"):
        encode(picture, 'raw', 'lzma')


@given(st.sampled_from(COMPRESSING), st.sampled_from(CODECS), st.data())
def test_one_flipped_bit_of_a_compressed_payload_is_rejected(compression, codec, data):
    packet = encode(SMOOTH, codec, compression)
    bit = data.draw(st.integers(0, packet.size_bit - 1))
    damaged = bytearray(packet.data)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PayloadError, match='crc32'):
        decode(replace(packet, data=bytes(damaged)))
    for other in COMPRESSIONS:
        if other != compression:
            with pytest.raises(PayloadError, match=r'crc32|bytes long'):
                decode(replace(packet, compression=other))


def forged(packet, data):
    """A packet whose checksum is right for other data: a sender who means harm."""
    fields = (packet.codec, packet.dtype, packet.shape, packet.scale, packet.zero_point)
    return replace(packet, data=data, crc32=_crc(*fields, packet.compression, data))


def test_checked_packets_cannot_decode_to_infinity_or_nan():
    packet = encode(np.array([0.0, 1.0, 255.0], np.float32), 'u8')
    np.testing.assert_array_equal(decode(forged(packet, packet.data)), [0, 1, 255])
    loud = replace(packet, scale=3e38)
    with pytest.raises(PayloadError, match="codec 'u8' decodes to NaN or infinity"):
        decode(forged(loud, loud.data))
    # the same scale is fine where every level stays small
    np.testing.assert_array_equal(decode(forged(loud, bytes([0, 1, 0])))[1], np.float32(3e38))
    half = encode(np.zeros(3, np.float32), 'f16')
    for value in (np.nan, np.inf, -np.inf):
        data = np.array([0.0, 1.0, value], '<f2').tobytes()
        with pytest.raises(PayloadError, match="codec 'f16' decodes to NaN or infinity"):
            decode(forged(half, data))


def test_an_empty_axis_hides_no_others():
    packet = replace(encode(np.zeros(0, np.float32)), shape=(0, 2**31, 2**32))
    with pytest.raises(PayloadError, match='at most'):
        decode(forged(packet, b''))


@pytest.mark.parametrize('compression', COMPRESSING)
def test_streams_that_are_not_exactly_the_tensor_are_rejected(compression):
    packet = encode(SMOOTH, 'raw', compression)
    np.testing.assert_array_equal(decode(forged(packet, packet.data)), SMOOTH)
    longer = encode(np.concatenate([SMOOTH, SMOOTH]), 'raw', compression)
    shorter = encode(SMOOTH[:, :60], 'raw', compression)
    streams = {
        'truncated': packet.data[:-1],
        'cut in half': packet.data[: len(packet.data) // 2],
        'one byte': packet.data[:1],
        'nothing': b'',
        'followed by more': packet.data + b'\0',
        'followed by itself': packet.data * 2,
        'noise': bytes(range(1, 200)),
        'one byte too much': _compress(SMOOTH.tobytes() + b'\0', compression),
        'too much': longer.data,
        'too little': shorter.data,
    }
    for data in streams.values():
        with pytest.raises(PayloadError, match='payload'):
            decode(forged(packet, data))


@given(st.sampled_from(COMPRESSING), st.binary(max_size=300))
def test_no_stream_ends_in_anything_but_a_payload_error(compression, noise):
    packet = forged(replace(encode(SMOOTH), compression=compression), noise)
    with pytest.raises(PayloadError):
        decode(packet)


def zeros_of_unknown_size(size):
    """A zstd frame that does not say what it holds."""
    return zstandard.ZstdCompressor(write_content_size=False).compress(bytes(size))


@pytest.mark.parametrize(
    ('compression', 'bomb'),
    [
        ('zlib', zlib.compress(bytes(2**26), 9)),
        ('zstd', zstandard.ZstdCompressor().compress(bytes(2**26))),
        ('zstd', zeros_of_unknown_size(2**26)),
        # the header announces 2**62 bytes, the rest is missing
        ('zstd', b'\x28\xb5\x2f\xfd\xe0' + (2**62).to_bytes(8, 'little') + b'\x01\x00\x00'),
    ],
)
def test_a_bomb_is_not_blown_up(compression, bomb):
    packet = forged(replace(encode(np.zeros(10**5, np.uint8)), compression=compression), bomb)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError, match='payload'):
            decode(packet)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_a_payload_as_long_as_the_tensor_was_not_compressed():
    packet = forged(replace(encode(SMOOTH), compression='zlib'), bytes(SMOOTH.nbytes))
    with pytest.raises(PayloadError, match=r'16384 bytes long, expected fewer than the 16384'):
        decode(packet)
