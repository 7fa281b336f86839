"""The satellite node of maritime as a process: frames of UAVs, and data on their way down."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from node_stage import Stage

from sec_nodes.inference.codec import encode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.pictures import RenderedPictures
from sec_nodes.loop.recorded import contents
from sec_nodes.loop.store import Segment
from sec_nodes.nodes import names
from sec_nodes.nodes.data_messages import segment_message
from sec_nodes.nodes.task_messages import packet_fields
from sec_nodes.scenarios.registry import read_settings
from sec_nodes.world import build_world
from sec_offload import msg

SETTINGS: Any = read_settings('maritime')
NUMBER = SETTINGS.uavs.count
BIT_PER_BYTE = 8 / SETTINGS.flown.byte_share
RELAY = names.VEHICLE_RELAY.of('satellite_0')
DATA_IN = names.VEHICLE_DATA.of('satellite_0')
SAYS = (
    names.SLOT_START, names.ASSIGNMENTS, names.FAILURE, names.TASK_REPORT, names.DATA_RECEIPT,
    names.VEHICLE_PAYLOAD.of('satellite_0'), RELAY, DATA_IN,
)  # fmt: skip
HEARS = (
    names.SERVER_REPORT, names.TOKEN_TX, names.RESULT_TX, names.TASK_REPORT,
    names.RELAY_RESULT_TX, names.DATA_TX, names.DATA_RECEIPT, names.DIAGNOSTICS,
)  # fmt: skip
WORLD: Any = build_world(SETTINGS)
FIRST_CONTACT = next(slot for slot in range(200) if WORLD.ground_in_view(slot))
"""First slot in which the ground station sees the satellite."""
BUDGET_BYTE = int(SETTINGS.ground_station.rate_bit_s * SETTINGS.slot_s / BIT_PER_BYTE)
slots = itertools.count(FIRST_CONTACT)
_devices = itertools.count()


def begin(stage: Stage, folder: Path, *parameters: str) -> None:
    stage.start(
        'satellite', 'scenario:=maritime', 'heartbeat_s:=0.05', f'store_dir:={folder}',
        'patience:=0.1', *parameters,
    )  # fmt: skip
    stage.connect()
    stage.next(names.SERVER_REPORT, since=len(stage.heard[names.SERVER_REPORT.name]))


@pytest.fixture(scope='module')
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The satellite in lockstep."""
    with Stage(SAYS, HEARS) as stage:
        begin(stage, tmp_path_factory.mktemp('stores'))
        yield stage
        stage.end()


def open_slot(stage: Stage, slot: int | None = None) -> int:
    number = next(slots) if slot is None else slot
    stage.open_slot(number, number * SETTINGS.slot_s)
    stage.next(names.SERVER_REPORT, lambda report: report.slot == number)
    return number


def acknowledged(stage: Stage, slot: int) -> None:
    stage.next(
        names.SERVER_REPORT,
        lambda report: [state.decision_slot for state in report.servers] == [slot],
    )


def state_now(stage: Stage) -> msg.ServerState:
    report = stage.next(
        names.SERVER_REPORT,
        lambda report: bool(report.servers),
        since=len(stage.heard[names.SERVER_REPORT.name]),
    )
    return report.servers[0]


def pictures(seed: int, count: int = 3) -> Any:
    source = RenderedPictures()
    return np.stack([source.picture(2, 0, seed, number).image for number in range(count)])


def relay_batch(slot: int, **fields: Any) -> msg.RelayBatch:
    given = {
        'slot': slot, 'uav': 4, 'satellite': NUMBER, 'size_bit': 2e6, 'power_w': 0.5,
        'cpu_hz': 1e9, 'model_id': SETTINGS.flown.satellite_model, 'transmit_s': 0.1,
        'ready_s': slot * SETTINGS.slot_s + 0.5, **packet_fields(encode(pictures(slot))),
    }  # fmt: skip
    return msg.RelayBatch(**(given | fields))


def result_of(stage: Stage, slot: int, since: int = 0) -> msg.RelayResult:
    return stage.next(names.RELAY_RESULT_TX, lambda one: one.slot == slot, since)


def new_file(size_byte: int) -> Segment:
    device = next(_devices)
    return Segment.whole(f'{device}-0', device, 0, contents(1, device, 0, size_byte))


def upload(stage: Stage, slot: int, *parts: Segment) -> msg.DataReceipt:
    heard = len(stage.heard[names.DATA_RECEIPT.name])
    batch = msg.DataBatch(
        slot=slot, sender='uav_4', receiver='satellite_0', last=True,
        segments=[segment_message(part) for part in parts],
    )  # fmt: skip
    stage.say(DATA_IN, batch)
    return stage.next(names.DATA_RECEIPT, lambda one: one.sender == 'uav_4', heard)


def confirm(stage: Stage, batch: msg.DataBatch, **fields: Any) -> None:
    given = {
        'slot': batch.slot, 'sender': batch.sender, 'receiver': batch.receiver,
        'file_id': [part.file_id for part in batch.segments],
        'held_byte': [part.offset_byte + len(part.data) for part in batch.segments],
    }  # fmt: skip
    stage.say(names.DATA_RECEIPT, msg.DataReceipt(**(given | fields)))


def downlink(stage: Stage, slot: int) -> list[msg.DataBatch]:
    """Take all that comes down in a slot, with receipts."""
    taken: list[msg.DataBatch] = []
    while not taken or not taken[-1].last:
        batch = stage.next(names.DATA_TX, lambda one: one.slot == slot and one not in taken)
        confirm(stage, batch)
        taken.append(batch)
    return taken


def carried(taken: list[msg.DataBatch]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for part in (part for batch in taken for part in batch.segments):
        files[part.file_id] = files.get(part.file_id, b'') + bytes(part.data)
    return files


def test_frames_are_answered_by_its_model_at_the_reserved_speed(stage: Stage) -> None:
    slot = open_slot(stage)
    stage.say(RELAY, relay_batch(slot))
    result = result_of(stage, slot)
    model = SplitModel.load(SETTINGS.flown.satellite_model)
    expected = [model.answer(model.run(picture)) for picture in pictures(slot)]
    assert list(zip(result.answers, result.confidence, strict=True)) == expected
    assert (result.lost, result.uav, result.satellite) == ('', 4, NUMBER)
    assert result.transmit_s == 0.1
    assert result.execute_s == pytest.approx(400 * 2e6 / 1e9)
    assert result.energy_j == pytest.approx(1e-28 * 1e18 * 400 * 2e6)
    assert result.ready_s == pytest.approx(slot * SETTINGS.slot_s + 0.5 + 0.8)
    assert result.inference_s > 0


@pytest.mark.parametrize(
    ('fields', 'says'),
    [
        ({'cpu_hz': 0.0}, 'cpu_hz = 0.0'),
        ({'cpu_hz': math.inf}, 'cpu_hz = inf'),
        ({'size_bit': math.nan}, 'size_bit = nan'),
        ({'ready_s': math.nan}, 'ready_s = nan'),
        ({'transmit_s': -1.0}, 'transmit_s = -1.0'),
        ({'model_id': 'scene-s'}, "batch for 'scene-s'"),
        ({'satellite': 3}, 'at server 3'),
        ({'crc32': 7}, 'crc32 is'),
        ({'shape': [2**31, 2**31]}, 'tensor would take'),
        (packet_fields(encode(np.zeros((0, 128, 128, 3), np.uint8))), '0 frames'),
        (packet_fields(encode(np.zeros((1, 64, 64, 3), np.uint8))), 'shape is (1, 64, 64, 3)'),
    ],
)
def test_a_bad_batch_is_lost_and_the_next_is_answered(
    stage: Stage, fields: dict[str, Any], says: str
) -> None:
    slot = open_slot(stage)
    stage.say(RELAY, relay_batch(slot, **fields))
    lost = result_of(stage, slot)
    assert says in lost.lost
    assert not lost.answers
    assert math.isfinite(lost.ready_s)
    heard = len(stage.heard[names.RELAY_RESULT_TX.name])
    stage.say(RELAY, relay_batch(slot))
    assert result_of(stage, slot, heard).lost == ''


def test_devices_are_not_served(stage: Stage) -> None:
    slot = open_slot(stage)
    payload = msg.Payload(
        task_id=5, server=NUMBER, slot=slot, model_id=SETTINGS.flown.satellite_model, steps=1.0,
        **packet_fields(encode(pictures(slot))),
    )  # fmt: skip
    # in lockstep a payload waits until its assignment is known
    order = msg.Assignment(task_id=5, server=NUMBER)
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot, assignments=[order]))
    stage.say(names.VEHICLE_PAYLOAD.of('satellite_0'), payload)
    report = stage.next(names.TASK_REPORT, lambda one: one.task_id == 5)
    assert 'takes frames from UAVs only' in report.reason
    acknowledged(stage, slot)


def test_files_come_down_in_the_slot_after_they_are_whole(stage: Stage) -> None:
    slot = open_slot(stage)
    first, second = new_file(5000), new_file(300_000)
    half = Segment(**{**vars(second), 'data': second.data[:100_000]})
    rest = Segment(**{**vars(second), 'offset_byte': 100_000, 'data': second.data[100_000:]})
    assert list(upload(stage, slot, first, half).held_byte) == [5000, 100_000]
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
    acknowledged(stage, slot)
    assert not stage.all(names.DATA_TX, slot=slot)

    slot = open_slot(stage)
    assert state_now(stage).ground_contact
    assert state_now(stage).stored_bit == pytest.approx(105_000 * BIT_PER_BYTE)
    assert list(upload(stage, slot, rest).held_byte) == [300_000]
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
    assert carried(downlink(stage, slot)) == {first.file_id: first.data}
    acknowledged(stage, slot)

    slot = open_slot(stage)
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
    taken = downlink(stage, slot)
    # 0.8 Gbit/s for 3 s are 300000 bytes
    assert BUDGET_BYTE == 300_000
    assert carried(taken) == {second.file_id: second.data}
    sizes = [sum(len(part.data) for part in batch.segments) for batch in taken]
    assert sizes == [262_144, 300_000 - 262_144]
    assert taken[1].ready_s == pytest.approx((slot + 1) * SETTINGS.slot_s)
    assert (taken[0].sender, taken[0].receiver) == ('satellite_0', 'ground_station')
    acknowledged(stage, slot)
    assert state_now(stage).stored_bit == 0.0


def test_what_exceeds_a_slot_comes_down_in_the_next(stage: Stage) -> None:
    slot = open_slot(stage)
    large = new_file(500_000)
    upload(stage, slot, large)
    taken = []
    for _ in range(2):
        slot = open_slot(stage)
        stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
        taken += downlink(stage, slot)
        acknowledged(stage, slot)
    assert carried(taken) == {large.file_id: large.data}
    sizes = [sum(len(part.data) for part in batch.segments) for batch in taken]
    assert sum(sizes[:2]) == BUDGET_BYTE


def test_without_a_ground_station_the_files_stay(stage: Stage) -> None:
    slot = open_slot(stage)
    kept = new_file(400)
    upload(stage, slot, kept)
    slot = open_slot(stage)
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
    batch = stage.next(names.DATA_TX, lambda one: one.slot == slot)
    confirm(stage, batch, lost='ground_station does not listen', held_byte=[0])
    acknowledged(stage, slot)
    slot = open_slot(stage)
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
    # silence
    stage.next(names.DATA_TX, lambda one: one.slot == slot)
    acknowledged(stage, slot)
    stage.until_counted('no receipt')
    slot = open_slot(stage)
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
    assert carried(downlink(stage, slot)) == {kept.file_id: kept.data}
    acknowledged(stage, slot)


def test_a_crash_loses_frames_but_not_files(stage: Stage) -> None:
    slot = open_slot(stage)
    kept = new_file(700)
    upload(stage, slot, kept)
    stage.say(names.FAILURE, msg.Failure(server_id=NUMBER, kind=msg.Failure.CRASH))
    stage.next(
        names.SERVER_REPORT,
        lambda report: not report.servers,
        since=len(stage.heard[names.SERVER_REPORT.name]),
    )
    stage.say(RELAY, relay_batch(slot))
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
    heard = len(stage.heard[names.SERVER_REPORT.name])
    stage.until(lambda: len(stage.heard[names.SERVER_REPORT.name]) > heard + 3, 'reports')
    stage.say(names.FAILURE, msg.Failure(server_id=NUMBER, kind=msg.Failure.RECOVER))
    acknowledged(stage, slot)
    slot = open_slot(stage)
    stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
    assert carried(downlink(stage, slot)) == {kept.file_id: kept.data}
    assert not stage.all(names.RELAY_RESULT_TX, slot=slot - 1)


def test_out_of_sight_of_the_ground_it_keeps_what_it_has_even_if_killed(tmp_path: Path) -> None:
    with Stage(SAYS, HEARS) as stage:
        begin(stage, tmp_path)
        kept = new_file(5000)
        assert FIRST_CONTACT > 1
        for slot in (0, 1):
            open_slot(stage, slot)
            upload(stage, slot, kept)
            stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
            acknowledged(stage, slot)
        assert not state_now(stage).ground_contact
        assert not stage.all(names.DATA_TX)
    with Stage(SAYS, HEARS) as stage:  # leaving the first one kills its node
        begin(stage, tmp_path)
        slot = open_slot(stage, FIRST_CONTACT)
        stage.say(names.ASSIGNMENTS, msg.AssignmentBatch(slot=slot))
        assert carried(downlink(stage, slot)) == {kept.file_id: kept.data}
        acknowledged(stage, slot)
        stage.end()
