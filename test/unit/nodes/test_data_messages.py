"""Parts of files survive the wire, or are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('rclpy', reason='needs ROS 2')

from rclpy.serialization import deserialize_message, serialize_message

from sec_nodes.loop.store import Segment
from sec_nodes.nodes.base import BadMessageError
from sec_nodes.nodes.data_messages import check_batch, segment_from, segment_message
from sec_offload import msg

segments = st.builds(
    Segment,
    file_id=st.text('abcXYZ019_-', max_size=64),
    device_id=st.integers(0, 2**32 - 1),
    created_slot=st.integers(0, 2**32 - 1),
    size_byte=st.integers(0, 2**64 - 1),
    sha256=st.text('0123456789abcdef', min_size=64, max_size=64),
    offset_byte=st.integers(0, 2**64 - 1),
    data=st.binary(max_size=300),
)


@settings(max_examples=60, deadline=None)
@given(segments)
def test_there_and_back(segment: Segment) -> None:
    wire = serialize_message(segment_message(segment))
    assert segment_from(deserialize_message(wire, msg.DataSegment)) == segment


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=300), st.data())
def test_any_bit_that_is_wrong_is_noticed(data: bytes, draw: st.DataObject) -> None:
    message = segment_message(Segment.whole('d3-0', 3, 0, data))
    place = draw.draw(st.integers(0, 8 * len(data) - 1))
    message.data[place // 8] ^= 1 << place % 8
    with pytest.raises(BadMessageError, match=r"file 'd3-0': crc32 is 0x\w{8}, the message says"):
        segment_from(message)


def test_the_checksum_is_that_of_the_standard() -> None:
    # the check value of CRC-32/ISO-HDLC
    assert segment_message(Segment.whole('a', 0, 0, b'123456789')).crc32 == 0xCBF43926


@pytest.mark.parametrize(
    ('fields', 'reason'),
    [
        ({'receiver': 'uav_1'}, "batch for 'uav_1' at uav_0"),
        ({'ready_s': float('nan')}, "batch of 'device_3': ready_s = nan"),
        ({'ready_s': float('-inf')}, "batch of 'device_3': ready_s = -inf"),
    ],
)
def test_a_batch_for_somebody_else_or_at_no_time(fields: dict[str, object], reason: str) -> None:
    wanted = {'sender': 'device_3', 'receiver': 'uav_0', 'ready_s': 1.0}
    check_batch(msg.DataBatch(**wanted), 'uav_0')
    with pytest.raises(BadMessageError, match=reason):
        check_batch(msg.DataBatch(**{**wanted, **fields}), 'uav_0')
