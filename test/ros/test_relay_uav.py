"""The uav node of maritime as a process: urgent frames, stored data, and what goes wrong."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from node_stage import TIMEOUT_S, Stage

from sec_nodes.inference.codec import encode
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.pictures import RenderedPictures
from sec_nodes.loop.recorded import contents, file_name
from sec_nodes.loop.store import Segment
from sec_nodes.nodes import names
from sec_nodes.nodes.data_messages import segment_message
from sec_nodes.nodes.task_messages import packet_fields
from sec_nodes.scenarios.registry import read_settings
from sec_offload import msg

SETTINGS: Any = read_settings('maritime')
SATELLITE = SETTINGS.uavs.count
COLUMNS = SETTINGS.columns
BIT_PER_BYTE = 8 / SETTINGS.flown.byte_share
UAVS = ('uav_0', 'uav_1')
DATA_IN = names.VEHICLE_DATA.of('uav_0')
SAYS = (
    names.SLOT_START, names.ASSIGNMENTS, names.FAILURE, names.TASK_REPORT, names.RELAY_RESULT,
    names.DATA_RECEIPT, *(names.VEHICLE_PAYLOAD.of(uav) for uav in UAVS),
    *(names.VEHICLE_DATA.of(uav) for uav in UAVS),
)  # fmt: skip
HEARS = (
    names.SERVER_REPORT, names.TOKEN_TX, names.RESULT_TX, names.TASK_REPORT, names.RELAY_TX,
    names.RELAY_REPORT, names.DATA_GRANT, names.DATA_TX, names.DATA_RECEIPT, names.DIAGNOSTICS,
)  # fmt: skip
FRAMES = 4
RATE = 2e8
slots = itertools.count()
_tasks = itertools.count(1)


def begin(stage: Stage, folder: Path, *parameters: str) -> None:
    stage.start(
        'uav', 'scenario:=maritime', 'ids:=0-1', 'heartbeat_s:=0.05', f'store_dir:={folder}',
        'patience:=0.1', *parameters,
    )  # fmt: skip
    stage.connect()
    stage.next(names.SERVER_REPORT, since=len(stage.heard[names.SERVER_REPORT.name]))


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('stores')


@pytest.fixture(scope='module')
def stage(folder: Path) -> Iterator[Stage]:
    """Two UAVs in lockstep."""
    with Stage(SAYS, HEARS) as stage:
        begin(stage, folder)
        yield stage
        stage.end()


@pytest.fixture(scope='module')
def model() -> SplitModel:
    return SplitModel.load(SETTINGS.flown.uav_model)


def pictures(task_id: int, count: int = FRAMES) -> Any:
    source = RenderedPictures()
    return np.stack([source.picture(1, 0, task_id, number).image for number in range(count)])


def open_slot(stage: Stage, speed: float = 0.0) -> int:
    slot = next(slots)
    stage.open_slot(slot, slot * SETTINGS.slot_s, speed)
    stage.next(names.SERVER_REPORT, lambda report: report.slot == slot)
    return slot


def order_of(**fields: Any) -> msg.RelayOrder:
    given = {
        'server_id': 0, 'satellite': SATELLITE, 'ratio': 0.5, 'power_w': 0.5, 'cpu_hz': 1e9,
        'start_s': 2.0, 'upload_rate_bit_s': RATE,
    }  # fmt: skip
    return msg.RelayOrder(**(given | fields))


def tasks_of(stage: Stage, slot: int, *size_bit: float) -> list[msg.Assignment]:
    return [
        msg.Assignment(
            task_id=next(_tasks), device_id=number, server=0, model_id=SETTINGS.flown.uav_model,
            power_w=0.1, assigned_s=slot * SETTINGS.slot_s, input_bit=float(bits), steps=1.0,
        )
        for number, bits in enumerate(size_bit)
    ]  # fmt: skip


def assign(
    stage: Stage, slot: int, tasks: list[msg.Assignment], *orders: msg.RelayOrder, **fields: Any
) -> None:
    batch = msg.AssignmentBatch(slot=slot, assignments=tasks, relays=list(orders), **fields)
    stage.say(names.ASSIGNMENTS, batch)


def send(stage: Stage, slot: int, task: msg.Assignment, upload_s: float, **fields: Any) -> None:
    payload = msg.Payload(
        task_id=task.task_id, device_id=task.device_id, server=0, slot=slot,
        model_id=task.model_id, steps=1.0, ready_s=slot * SETTINGS.slot_s + upload_s,
        **packet_fields(encode(pictures(task.task_id))),
    )  # fmt: skip
    payload.timing.upload_s = upload_s
    for name, value in fields.items():
        setattr(payload, name, value)
    stage.say(names.VEHICLE_PAYLOAD.of('uav_0'), payload)


def reply(stage: Stage, batch: msg.RelayBatch, **fields: Any) -> msg.RelayResult:
    """The satellite's answers as the channel hands them over; `execute_s` is 0.3 s."""
    given = {
        'slot': batch.slot, 'uav': batch.uav, 'satellite': batch.satellite,
        'answers': [f'sat_{k}' for k in range(batch.shape[0])],
        'confidence': [0.5] * batch.shape[0],
        'transmit_s': 0.1, 'execute_s': 0.3, 'energy_j': 0.04, 'inference_s': 0.02,
        'ready_s': batch.ready_s + 0.1 + 0.3 + 0.008,
    }  # fmt: skip
    result = msg.RelayResult(**(given | fields))
    stage.say(names.RELAY_RESULT, result)
    return result


def next_relay(stage: Stage, slot: int) -> msg.RelayBatch:
    return stage.next(names.RELAY_TX, lambda batch: batch.slot == slot)


def report_of(stage: Stage, slot: int, uav: int = 0) -> msg.RelayReport:
    return stage.next(
        names.RELAY_REPORT, lambda report: (report.slot, report.server_id) == (slot, uav)
    )


def results_of(stage: Stage, tasks: list[msg.Assignment]) -> list[msg.TaskResult]:
    return [
        stage.next(names.RESULT_TX, lambda one, task=task: one.task_id == task.task_id)
        for task in tasks
    ]


def acknowledged(stage: Stage, slot: int) -> None:
    """Wait until both UAVs are done with a slot."""
    stage.next(
        names.SERVER_REPORT,
        lambda report: [state.decision_slot for state in report.servers] == [slot, slot],
    )


def confirm(stage: Stage, batch: msg.DataBatch) -> None:
    """What the satellite answers to data."""
    receipt = msg.DataReceipt(
        slot=batch.slot, sender=batch.sender, receiver=batch.receiver, last=batch.last,
        file_id=[part.file_id for part in batch.segments],
        held_byte=[part.offset_byte + len(part.data) for part in batch.segments],
    )  # fmt: skip
    stage.say(names.DATA_RECEIPT, receipt)


def uploads(stage: Stage, slot: int, uav: str = 'uav_0') -> list[msg.DataBatch]:
    """Take all that a UAV hands on in a slot, with receipts."""
    taken: list[msg.DataBatch] = []
    while not taken or not taken[-1].last:
        batch = stage.next(
            names.DATA_TX,
            lambda one: (one.slot, one.sender) == (slot, uav) and one not in taken,
        )
        confirm(stage, batch)
        taken.append(batch)
    return taken


def recording(device: int, slot: int, size_byte: int) -> Segment:
    data = contents(1, device, slot, size_byte)
    return Segment.whole(file_name(device, slot, data), device, slot, data)


def hand_over(stage: Stage, slot: int, *files: Segment, **fields: Any) -> None:
    given = {'slot': slot, 'sender': f'device_{files[0].device_id}', 'receiver': 'uav_0'}
    parts = [segment_message(one) for one in files]
    stage.say(DATA_IN, msg.DataBatch(segments=parts, last=True, **(given | fields)))


def stored_bit(stage: Stage, uav: int = 0) -> float:
    report = stage.next(
        names.SERVER_REPORT,
        lambda report: len(report.servers) == 2,
        since=len(stage.heard[names.SERVER_REPORT.name]),
    )
    return float(report.servers[uav].stored_bit)


def test_a_new_uav_stores_what_was_stored_before_the_run(stage: Stage) -> None:
    report = stage.heard[names.SERVER_REPORT.name][-1]
    wanted = SETTINGS.uavs.storage_bit - SETTINGS.uavs.initially_free_bit
    for state in report.servers:
        assert state.stored_bit == pytest.approx(wanted)
        assert state.storage_bit == SETTINGS.uavs.storage_bit


def test_a_whole_slot(stage: Stage, model: SplitModel) -> None:
    slot = open_slot(stage)
    start_s = slot * SETTINGS.slot_s
    before_bit = stored_bit(stage)
    tasks = tasks_of(stage, slot, 1e6, 3e6)
    streams = {'stream_device_id': [6, 7], 'stream_rate_bit_s': [1e7, 3e7]}
    assign(stage, slot, tasks, order_of(**streams))
    for task, upload_s in zip(tasks, (0.5, 0.3), strict=True):
        send(stage, slot, task, upload_s)

    batch = next_relay(stage, slot)
    assert (batch.uav, batch.satellite, batch.model_id) == (
        0, SATELLITE, SETTINGS.flown.satellite_model
    )  # fmt: skip
    assert (batch.size_bit, batch.power_w, batch.cpu_hz) == (2e6, 0.5, 1e9)
    assert batch.ready_s == pytest.approx(start_s + 0.5)
    assert list(batch.shape) == [4, 128, 128, 3]
    # the first task's frames stay, the second's go
    assert bytes(batch.data) == pictures(tasks[1].task_id).tobytes()
    assert not stage.all(names.RELAY_REPORT, slot=slot, server_id=0)
    reply(stage, batch)

    own, sent = results_of(stage, tasks)
    expected = [model.answer(model.run(picture)) for picture in pictures(tasks[0].task_id)]
    assert own.answer == ' '.join(answer for answer, _ in expected)
    assert own.confidence == pytest.approx(np.mean([sure for _, sure in expected]))
    assert sent.answer == 'sat_0 sat_1 sat_2 sat_3'
    local_s = 400 * 2e6 / 2e9  # less than 0.408 s by way of the satellite
    assert own.ready_s == sent.ready_s == pytest.approx(start_s + 0.5 + 0.408)
    assert own.timing.wait_s == pytest.approx(0.0)
    assert sent.timing.wait_s == pytest.approx(0.2)
    assert own.timing.back_s == sent.timing.back_s == pytest.approx(0.408)

    grant = stage.next(names.DATA_GRANT, lambda grant: grant.slot == slot)
    assert (grant.server_id, list(grant.device_id)) == (0, [6, 7])
    assert list(grant.size_byte) == [2500, 7500]
    assert grant.at_s == pytest.approx(start_s + 2.0)
    first = recording(6, slot, 2500)
    hand_over(stage, slot, first)
    receipt = stage.next(names.DATA_RECEIPT, lambda one: one.file_id == [first.file_id])
    assert (receipt.sender, receipt.receiver, list(receipt.held_byte)) == (
        'device_6', 'uav_0', [2500]
    )  # fmt: skip
    assert not stage.all(names.DATA_TX, slot=slot)
    hand_over(stage, slot, recording(7, slot, 7500))

    (data,) = uploads(stage, slot)
    sent_byte = sum(len(part.data) for part in data.segments)
    assert sent_byte == 1.0 * RATE / BIT_PER_BYTE
    assert data.receiver == 'satellite_0'
    assert data.ready_s == pytest.approx(start_s + 3.0)
    assert data.segments[0].file_id == 'uav_0-initial-00'

    report = report_of(stage, slot)
    assert (report.name, report.satellite, report.ratio) == ('uav_0', SATELLITE, 0.5)
    assert (report.batch_bit, report.frames, report.frames_offloaded) == (4e6, 8, 4)
    for name, value in {
        'upload_s': 0.5, 'local_s': local_s, 'transmit_s': 0.1, 'execute_s': 0.3,
        'finish_s': 0.908, 'upload_start_s': 2.0, 'collected_bit': 8e7, 'overflow_bit': 0.0,
        'uploaded_bit': RATE, 'stored_bit': before_bit + 8e7 - RATE, 'sensitive_radio_j': 0.05,
        'tolerant_radio_j': 1.0, 'uav_compute_j': 1e-28 * 4e18 * 400 * 2e6,
        'satellite_compute_j': 0.04,
    }.items():  # fmt: skip
        assert getattr(report, name) == pytest.approx(value, abs=1e-9), name
    assert not report.late
    assert report.local_inference_s > 0
    acknowledged(stage, slot)
    assert stored_bit(stage) == pytest.approx(report.stored_bit)


def test_a_slot_without_work_is_done_at_once(stage: Stage) -> None:
    slot = open_slot(stage)
    assign(stage, slot, [], order_of(satellite=-1, ratio=0.0, upload_rate_bit_s=0.0))
    for uav in (0, 1):
        report = report_of(stage, slot, uav)
        assert (report.satellite, report.finish_s, report.uploaded_bit) == (-1, 0.0, 0.0)
    acknowledged(stage, slot)


def quiet(**fields: Any) -> msg.RelayOrder:
    """An order without an upload."""
    return order_of(**({'upload_rate_bit_s': 0.0} | fields))


def alone(stage: Stage, slot: int, task: msg.Assignment, model: SplitModel) -> msg.RelayReport:
    """Check that a UAV answers a task by itself."""
    (result,) = results_of(stage, [task])
    answers = [model.answer(model.run(one))[0] for one in pictures(task.task_id)]
    assert result.answer == ' '.join(answers)
    report = report_of(stage, slot)
    assert report.frames_offloaded == 0
    assert report.finish_s == pytest.approx(0.5 + 400 * 2e6 / 2e9)
    return report


def offload(stage: Stage) -> tuple[int, msg.Assignment, msg.RelayBatch]:
    """A slot with one task, of which a part has gone to the satellite."""
    slot = open_slot(stage)
    (task,) = tasks_of(stage, slot, 2e6)
    assign(stage, slot, [task], quiet())
    send(stage, slot, task, 0.5)
    return slot, task, next_relay(stage, slot)


def test_what_the_satellite_loses_is_computed_on_the_uav(stage: Stage, model: SplitModel) -> None:
    slot, task, batch = offload(stage)
    reply(stage, batch, lost='the link is cut', transmit_s=0.2, answers=[], confidence=[])
    report = alone(stage, slot, task, model)
    assert report.sensitive_radio_j == pytest.approx(0.1)
    assert report.satellite_compute_j == 0.0
    acknowledged(stage, slot)


@pytest.mark.parametrize(
    'fields',
    [
        {'answers': ['one']},
        {'confidence': [0.5]},
        {'ready_s': math.nan},
        {'execute_s': -1.0},
        {'confidence': [0.5, math.inf]},
    ],
)
def test_answers_that_make_no_sense_are_not_taken(
    stage: Stage, model: SplitModel, fields: dict[str, Any]
) -> None:
    slot, task, batch = offload(stage)
    reply(stage, batch, **fields)
    alone(stage, slot, task, model)
    acknowledged(stage, slot)


def test_a_repair_ends_the_wait_for_a_satellite(stage: Stage, model: SplitModel) -> None:
    slot, task, batch = offload(stage)
    assign(stage, slot, [], quiet(satellite=-1, ratio=0.0), repair=True)
    assert alone(stage, slot, task, model).satellite == -1
    acknowledged(stage, slot)
    reply(stage, batch)
    stage.until_counted('relay result not asked for')


def test_results_of_other_slots_change_nothing(stage: Stage, model: SplitModel) -> None:
    slot, task, batch = offload(stage)
    reply(stage, batch, slot=slot + 100)
    reply(stage, batch, uav=1)
    reply(stage, batch)
    assert results_of(stage, [task])[0].answer.endswith('sat_0 sat_1')
    acknowledged(stage, slot)


def test_a_refused_or_lost_payload_does_not_hold_up_the_rest(stage: Stage) -> None:
    slot = open_slot(stage)
    tasks = tasks_of(stage, slot, 1e6, 1e6, 1e6)
    assign(stage, slot, tasks, quiet(ratio=0.0))
    wrong = packet_fields(encode(np.zeros((2, 64, 64, 3), np.uint8)))
    send(stage, slot, tasks[0], 0.1, **wrong)
    stage.say(
        names.TASK_REPORT,
        msg.TaskReport(
            kind=msg.TaskReport.LOST, reason='payload_lost', task_id=tasks[1].task_id, server=0
        ),
    )
    send(stage, slot, tasks[2], 0.4)
    refused = stage.next(names.TASK_REPORT, lambda one: one.task_id == tasks[0].task_id)
    assert 'shape is (2, 64, 64, 3), expected frames of (128, 128, 3)' in refused.reason
    results_of(stage, tasks[2:])
    report = report_of(stage, slot)
    assert (report.batch_bit, report.upload_s) == (1e6, pytest.approx(0.4))
    acknowledged(stage, slot)


def test_news_of_a_loss_may_come_before_the_assignments(stage: Stage) -> None:
    slot = open_slot(stage)
    tasks = tasks_of(stage, slot, 1e6)
    lost = msg.TaskReport(kind=msg.TaskReport.LOST, task_id=tasks[0].task_id, server=0)
    heard = len(stage.heard[names.SERVER_REPORT.name])
    stage.say(names.TASK_REPORT, lost)
    stage.until(lambda: len(stage.heard[names.SERVER_REPORT.name]) > heard + 4, 'reports')
    assign(stage, slot, tasks, quiet(ratio=0.0))
    assert report_of(stage, slot).frames == 0
    acknowledged(stage, slot)


@pytest.mark.parametrize(
    'fields',
    [
        {'ratio': math.nan},
        {'ratio': 2.0},
        {'start_s': -1.0},
        {'power_w': math.inf},
        {'satellite': 3},
        {'stream_device_id': [6]},
        {'stream_device_id': [COLUMNS], 'stream_rate_bit_s': [1e7]},
    ],
)
def test_an_order_that_makes_no_sense_is_not_followed(
    stage: Stage, model: SplitModel, fields: dict[str, Any]
) -> None:
    slot = open_slot(stage)
    (task,) = tasks_of(stage, slot, 2e6)
    assign(stage, slot, [task], order_of(**fields))
    send(stage, slot, task, 0.5)
    alone(stage, slot, task, model)
    acknowledged(stage, slot)
    assert not stage.all(names.RELAY_TX, slot=slot)


def test_data_that_are_lost_on_the_way_are_not_waited_for(stage: Stage) -> None:
    slot = open_slot(stage)
    streams = {'stream_device_id': [6, 7], 'stream_rate_bit_s': [1e7, 1e7]}
    assign(stage, slot, [], quiet(start_s=1.0, **streams))
    stage.next(names.DATA_GRANT, lambda grant: grant.slot == slot)
    before_bit = stored_bit(stage)
    damaged = recording(6, slot, 1250)
    part = segment_message(damaged)
    part.data[5] ^= 1
    stage.say(
        DATA_IN,
        msg.DataBatch(slot=slot, sender='device_6', receiver='uav_0', segments=[part]),
    )
    receipt = stage.next(names.DATA_RECEIPT, lambda one: one.file_id == [damaged.file_id])
    assert list(receipt.held_byte) == [0]
    stage.say(
        names.DATA_RECEIPT,
        msg.DataReceipt(
            slot=slot, sender='device_7', receiver='uav_0', lost='the link is cut',
            file_id=[recording(7, slot, 1250).file_id], held_byte=[0],
        ),
    )  # fmt: skip
    report = report_of(stage, slot)
    assert (report.collected_bit, report.stored_bit) == (0.0, before_bit)
    acknowledged(stage, slot)
    # the device sends it again later
    hand_over(stage, slot, damaged)
    stage.next(names.DATA_RECEIPT, lambda one: list(one.held_byte) == [1250])


def test_devices_that_say_nothing_are_not_waited_for_long(stage: Stage) -> None:
    slot = open_slot(stage)
    streams = {'stream_device_id': [6], 'stream_rate_bit_s': [1e7]}
    assign(stage, slot, [], quiet(**streams))
    report = report_of(stage, slot)
    # what came of the slot before, after its report, counts here
    assert report.collected_bit == pytest.approx(1250 * BIT_PER_BYTE)
    stage.until_counted('no data')
    acknowledged(stage, slot)


def test_without_receipts_the_data_stay(stage: Stage) -> None:
    slot = open_slot(stage)
    before_bit = stored_bit(stage)
    assign(stage, slot, [], order_of())
    stage.next(names.DATA_TX, lambda batch: batch.slot == slot)
    report = report_of(stage, slot)
    assert (report.uploaded_bit, report.stored_bit) == (0.0, before_bit)
    acknowledged(stage, slot)
    slot = open_slot(stage)
    assign(stage, slot, [], order_of())
    again = uploads(stage, slot)
    first = stage.all(names.DATA_TX, slot=slot - 1)
    assert [part.crc32 for part in again[0].segments] == [part.crc32 for part in first[0].segments]
    assert report_of(stage, slot).uploaded_bit == RATE
    acknowledged(stage, slot)


def test_a_lost_parcel_ends_the_upload(stage: Stage) -> None:
    slot = open_slot(stage)
    assign(stage, slot, [], order_of())
    batch = stage.next(names.DATA_TX, lambda batch: batch.slot == slot)
    stage.say(
        names.DATA_RECEIPT,
        msg.DataReceipt(slot=slot, sender='uav_0', receiver='satellite_0', lost='no receiver',
                        file_id=[batch.segments[0].file_id], held_byte=[0]),
    )  # fmt: skip
    assert report_of(stage, slot).uploaded_bit == 0.0
    acknowledged(stage, slot)


def test_a_crash_loses_the_work_but_not_the_store(stage: Stage) -> None:
    slot, task, batch = offload(stage)
    before_bit = stored_bit(stage)
    stage.say(names.FAILURE, msg.Failure(server_id=0, kind=msg.Failure.CRASH))
    stage.next(
        names.SERVER_REPORT,
        lambda report: [state.server_id for state in report.servers] == [1],
        since=len(stage.heard[names.SERVER_REPORT.name]),
    )
    reply(stage, batch)
    stage.say(names.FAILURE, msg.Failure(server_id=0, kind=msg.Failure.RECOVER))
    acknowledged(stage, slot)
    assert stored_bit(stage) == before_bit
    slot = open_slot(stage)
    assign(stage, slot, [], order_of())
    uploads(stage, slot)
    assert report_of(stage, slot).uploaded_bit == RATE
    acknowledged(stage, slot)
    assert not stage.all(names.RESULT_TX, task_id=task.task_id)
    assert not stage.all(names.RELAY_REPORT, slot=slot - 1, server_id=0)


def test_junk_is_counted_and_the_next_slot_goes_well(stage: Stage) -> None:
    slot = open_slot(stage)
    bad = msg.DataSegment(file_id='../etc', size_byte=5, sha256='0' * 64)
    stage.say(
        DATA_IN, msg.DataBatch(slot=slot, sender='x' * 300, receiver='uav_0', segments=[bad])
    )
    stage.until_counted('data refused')
    stage.say(DATA_IN, msg.DataBatch(slot=slot, sender='device_1', receiver='uav_1'))
    stage.until_counted('bad uav_0/data')
    stage.say(
        names.DATA_RECEIPT,
        msg.DataReceipt(slot=slot, sender='uav_0', receiver='satellite_0',
                        file_id=['uav_0-initial-15'], held_byte=[62500]),
    )  # fmt: skip
    assign(stage, slot, [], quiet())
    report_of(stage, slot)
    acknowledged(stage, slot)


def test_a_killed_uav_finds_its_store_again(tmp_path: Path) -> None:
    with Stage(SAYS, HEARS) as stage:
        begin(stage, tmp_path)
        slot = open_slot(stage)
        assign(stage, slot, [], order_of())
        uploads(stage, slot)
        left_bit = report_of(stage, slot).stored_bit
    with Stage(SAYS, HEARS) as stage:  # leaving the first one kills its node
        begin(stage, tmp_path)
        assert stored_bit(stage) == left_bit
        slot = open_slot(stage)
        assign(stage, slot, [], order_of())
        (batch,) = uploads(stage, slot)
        # 25000 of its 62500 bytes went before
        first = batch.segments[0]
        assert (first.file_id, first.offset_byte) == ('uav_0-initial-00', 25000)
        stage.end()


def test_a_slot_that_began_before_the_uav_is_not_its_own(tmp_path: Path) -> None:
    """Its time is not known: whatever waited for it in lockstep would wait for good."""
    with Stage(SAYS, HEARS) as stage:
        begin(stage, tmp_path)
        early, slot = next(slots), next(slots)
        assign(stage, early, tasks_of(stage, early, 1e6), order_of())
        stage.until_counted('assignments before any slot')
        stage.open_slot(slot, slot * SETTINGS.slot_s)
        stage.next(names.SERVER_REPORT, lambda report: report.slot == slot)
        assign(stage, slot, [], order_of())
        uploads(stage, slot)
        acknowledged(stage, slot)
        assert {report.slot for report in stage.heard[names.RELAY_REPORT.name]} == {slot}
        stage.end()


def test_paced_everything_leaves_at_its_time(tmp_path: Path) -> None:
    with Stage(SAYS, HEARS) as stage:
        begin(stage, tmp_path)
        slot = open_slot(stage, speed=1.0)
        start_s, began = slot * SETTINGS.slot_s, time.monotonic()

        def since() -> float:
            return time.monotonic() - began

        (task,) = tasks_of(stage, slot, 2e6)
        streams = {'stream_device_id': [6], 'stream_rate_bit_s': [1e7]}
        order = order_of(start_s=1.5, upload_rate_bit_s=2.4e9, **streams)
        assign(stage, slot, [task], order)
        send(stage, slot, task, 0.2)
        batch = next_relay(stage, slot)
        assert since() > 0.15
        reply(stage, batch)
        result = results_of(stage, [task])[0]
        assert since() > 0.55
        assert result.ready_s == pytest.approx(start_s + 0.2 + 0.408)
        stage.next(names.DATA_GRANT)
        assert since() > 1.45
        hand_over(stage, slot, recording(6, slot, 1875))
        taken = uploads(stage, slot)
        assert since() > 2.9
        # 2.4 Gbit/s for 1.5 s: 450000 bytes in parts of 256 KiB
        sizes = [sum(len(part.data) for part in one.segments) for one in taken]
        assert sizes == [262144, 450000 - 262144]
        assert taken[0].ready_s == pytest.approx(start_s + 1.5 + 262144 * BIT_PER_BYTE / 2.4e9)
        assert report_of(stage, slot).uploaded_bit == pytest.approx(3.6e9)
        stage.end()


def test_without_a_folder_for_its_store_it_does_not_start() -> None:
    with Stage((), ()) as stage:
        stage.start('uav', 'scenario:=maritime', 'ids:=0-0')
        assert stage.process.wait(TIMEOUT_S) == 2
        assert "parameter store_dir = '': uav_0 stores data" in stage.output()
        stage.process = None
