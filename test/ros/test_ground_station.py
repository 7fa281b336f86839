"""The ground station as a process: what it says has arrived is on its disk, and said once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from node_stage import TIMEOUT_S, Stage

from sec_nodes.loop.recorded import contents
from sec_nodes.loop.store import Segment
from sec_nodes.nodes import names
from sec_nodes.nodes.data_messages import segment_message
from sec_nodes.scenarios.registry import read_settings
from sec_offload import msg

DATA = names.VEHICLE_DATA.of('ground_station')
HEARS = (names.DATA_RECEIPT, names.DELIVERY, names.READY, names.DIAGNOSTICS)
BYTE_SHARE = read_settings('maritime').flown.byte_share  # type: ignore[attr-defined]
_devices = itertools.count()


def new_file(size_byte: int = 3000, slot: int = 2) -> Segment:
    """A file that no other test has."""
    device = next(_devices)
    return Segment.whole(f'd{device}-{slot}', device, slot, contents(1, device, slot, size_byte))


def cut(whole: Segment, begin: int, end: int) -> Segment:
    """A part of a file."""
    return replace(whole, offset_byte=begin, data=whole.data[begin:end])


def batch_of(*segments: Segment, **fields: Any) -> msg.DataBatch:
    """A batch of the satellite as the channel forwards it."""
    wanted = {'slot': 7, 'sender': 'satellite_0', 'receiver': 'ground_station', 'ready_s': 21.5}
    return msg.DataBatch(
        segments=[segment_message(segment) for segment in segments], **wanted | fields
    )


def receipt_for(stage: Stage, batch: msg.DataBatch) -> dict[str, int]:
    """Hand a batch to the node, and give what its receipt says is held."""
    heard = len(stage.heard[names.DATA_RECEIPT.name])
    stage.say(DATA, batch)
    receipt = stage.next(names.DATA_RECEIPT, since=heard)
    assert (receipt.sender, receipt.receiver) == ('satellite_0', 'ground_station')
    assert (receipt.slot, receipt.last, receipt.lost) == (batch.slot, batch.last, '')
    return dict(zip(receipt.file_id, receipt.held_byte, strict=True))


def check_delivered_once(stage: Stage, whole: Segment, **fields: Any) -> None:
    """A file is on the ground, byte for byte, and was announced once."""
    delivery = stage.next(names.DELIVERY, lambda delivery: delivery.file_id == whole.file_id)
    wanted = {'slot': 7, 'satellite': 'satellite_0'} | fields
    assert (delivery.slot, delivery.satellite) == (wanted['slot'], wanted['satellite'])
    assert (delivery.device_id, delivery.created_slot) == (whole.device_id, whole.created_slot)
    assert (delivery.size_byte, delivery.sha256) == (whole.size_byte, whole.sha256)
    assert delivery.size_bit == pytest.approx(8 * whole.size_byte / BYTE_SHARE, rel=1e-12)
    # whatever comes after it is answered later, so that a second one would be here by then
    receipt_for(stage, batch_of(new_file(10)))
    assert len(stage.all(names.DELIVERY, file_id=whole.file_id)) == 1


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('stores')


@pytest.fixture(scope='module')
def stage(folder: Path) -> Iterator[Stage]:
    with Stage((DATA,), HEARS) as stage:
        begin(stage, folder)
        yield stage
        stage.end()


def begin(stage: Stage, folder: Path) -> None:
    """Start the node, and wait until it says that nothing can escape it."""
    heard = len(stage.heard[names.READY.name])
    stage.start('ground_station', 'scenario:=maritime', f'store_dir:={folder}')
    ready = stage.next(names.READY, since=heard)
    assert ready.data == 'ground_station'
    stage.connect()


def kill(stage: Stage) -> None:
    """End the node without a chance to put anything in order."""
    stage.process.kill()
    stage.process.wait(TIMEOUT_S)
    stage.process = None


def stored(folder: Path, whole: Segment) -> bytes:
    return (folder / 'ground_station' / 'files' / whole.file_id).read_bytes()


def test_a_file_in_parts_is_delivered_when_it_is_whole(stage: Stage, folder: Path) -> None:
    whole, other = new_file(300_000), new_file(500)
    first = batch_of(cut(whole, 0, 262_144))
    assert receipt_for(stage, first) == {whole.file_id: 262_144}
    assert stage.all(names.DELIVERY, file_id=whole.file_id) == []
    rest = batch_of(cut(whole, 262_144, 300_000), other, slot=8, last=True, ready_s=24.25)
    assert receipt_for(stage, rest) == {whole.file_id: 300_000, other.file_id: 500}
    check_delivered_once(stage, whole, slot=8)
    check_delivered_once(stage, other, slot=8)
    [delivery] = stage.all(names.DELIVERY, file_id=whole.file_id)
    assert (delivery.header.stamp.sec, delivery.header.stamp.nanosec) == (24, 250_000_000)
    assert stored(folder, whole) == whole.data


def test_what_comes_again_is_confirmed_and_not_announced(stage: Stage) -> None:
    whole = new_file()
    for slot in (7, 8, 9):
        assert receipt_for(stage, batch_of(whole, slot=slot)) == {whole.file_id: 3000}
    assert receipt_for(stage, batch_of(cut(whole, 5, 10), whole)) == {whole.file_id: 3000}
    check_delivered_once(stage, whole)


def test_a_damaged_part_is_refused_and_the_rest_stored(stage: Stage) -> None:
    bad, good = new_file(), new_file()
    receipt_for(stage, batch_of(cut(bad, 0, 1000)))
    batch = batch_of(cut(bad, 1000, 3000), good)
    batch.segments[0].data[17] ^= 1
    assert receipt_for(stage, batch) == {bad.file_id: 1000, good.file_id: 3000}
    stage.until_counted('data refused')
    check_delivered_once(stage, good)
    assert stage.all(names.DELIVERY, file_id=bad.file_id) == []
    assert receipt_for(stage, batch_of(cut(bad, 1000, 3000))) == {bad.file_id: 3000}
    check_delivered_once(stage, bad)


def test_a_file_that_misses_its_checksum_comes_again(stage: Stage) -> None:
    whole = new_file()
    wrong = replace(whole, data=whole.data[:-1] + b'?')
    assert receipt_for(stage, batch_of(wrong)) == {whole.file_id: 0}
    assert receipt_for(stage, batch_of(whole)) == {whole.file_id: 3000}
    check_delivered_once(stage, whole)


def test_a_gap_is_answered_with_where_to_go_on(stage: Stage) -> None:
    whole = new_file()
    assert receipt_for(stage, batch_of(cut(whole, 1000, 3000))) == {whole.file_id: 0}
    assert receipt_for(stage, batch_of(cut(whole, 0, 800))) == {whole.file_id: 800}
    assert receipt_for(stage, batch_of(cut(whole, 1000, 3000))) == {whole.file_id: 800}
    assert receipt_for(stage, batch_of(cut(whole, 800, 3000))) == {whole.file_id: 3000}
    check_delivered_once(stage, whole)


def test_names_cannot_lead_out_of_the_folder(stage: Stage, folder: Path) -> None:
    before = set(folder.parent.rglob('*'))
    for name in ('../../outside', '/tmp/outside', '..', ''):
        batch = batch_of(replace(new_file(), file_id=name))
        assert receipt_for(stage, batch) == {name: 0}
    assert set(folder.parent.rglob('*')) == before


def test_a_batch_that_is_not_for_it_or_comes_at_no_time_is_counted(stage: Stage) -> None:
    heard = len(stage.heard[names.DATA_RECEIPT.name])
    stage.say(DATA, batch_of(new_file(), receiver='satellite_0'))
    stage.say(DATA, batch_of(new_file(), ready_s=float('nan')))
    stage.say(DATA, batch_of(new_file(), ready_s=float('inf')))
    stage.until_counted('bad ground_station/data', 3)
    assert stage.heard[names.DATA_RECEIPT.name][heard:] == []
    whole = new_file()
    assert receipt_for(stage, batch_of(whole)) == {whole.file_id: 3000}


def test_an_empty_batch_is_answered(stage: Stage) -> None:
    assert receipt_for(stage, batch_of(last=True)) == {}


def test_it_goes_on_after_a_kill(tmp_path: Path) -> None:
    done, begun = new_file(), new_file()
    with Stage((DATA,), HEARS) as stage:
        begin(stage, tmp_path)
        receipt_for(stage, batch_of(done, cut(begun, 0, 1234)))
        check_delivered_once(stage, done)
        kill(stage)
        begin(stage, tmp_path)
        assert receipt_for(stage, batch_of(done, slot=9)) == {done.file_id: 3000}
        assert receipt_for(stage, batch_of(cut(begun, 1234, 3000), slot=9)) == {
            begun.file_id: 3000
        }
        check_delivered_once(stage, begun, slot=9)
        check_delivered_once(stage, done)
        stage.until_health('files', lambda value: value == '5')  # and a small one a check
        stage.until_health('bytes', lambda value: value == '6030')
        assert stored(tmp_path, begun) == begun.data
        stage.end()


def test_what_nobody_could_hear_is_said_later(tmp_path: Path) -> None:
    whole = new_file()
    with Stage((DATA,), (names.DATA_RECEIPT, names.READY, names.DIAGNOSTICS)) as stage:
        begin(stage, tmp_path)
        assert receipt_for(stage, batch_of(whole)) == {whole.file_id: 3000}
        stage.until_health('not announced', lambda value: value == '1')
        kill(stage)
    with Stage((DATA,), HEARS) as stage:
        begin(stage, tmp_path)
        check_delivered_once(stage, whole)
        stage.until_health('not announced', lambda value: value == '0')
        stage.end()
