"""Tensors survive their packets, and nothing damaged gets through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sec_nodes.inference.codec import (
    CODECS,
    DTYPES,
    PayloadError,
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
    ],
)
def test_altered_header_is_rejected(change, message):
    packet = encode(np.arange(6, dtype=np.float32).reshape(2, 3), 'u8')
    with pytest.raises(PayloadError, match=message):
        decode(replace(packet, **change), (2, 3) if 'shape' in change else None)


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
