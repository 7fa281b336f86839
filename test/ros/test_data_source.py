"""Devices of maritime as a process: they hand over what a UAV has room for, until it has it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from node_stage import Stage

from sec_nodes.loop.recorded import contents, file_name
from sec_nodes.nodes import names
from sec_nodes.nodes.data_messages import segment_from
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.registry import read_settings
from sec_offload import msg

SETTINGS: Any = read_settings('maritime')
COLUMNS = SETTINGS.columns
SAYS = (
    names.SLOT_START, names.ASSIGNMENTS, names.TOKEN, names.RESULT, names.TASK_OUTCOME,
    names.DATA_GRANT, names.DATA_RECEIPT,
)  # fmt: skip
HEARS = (
    names.DEVICE_REPORT, names.PAYLOAD_TX, names.TASK_REPORT, names.DATA_TX, names.DIAGNOSTICS,
)  # fmt: skip
SEED = 3
slots = itertools.count()


@pytest.fixture(scope='module')
def stage() -> Iterator[Stage]:
    """The devices of UAV 0, and the first two of UAV 1, in lockstep."""
    with Stage(SAYS, HEARS) as stage:
        stage.start('device', 'scenario:=maritime', f'ids:=0-{COLUMNS + 1}', f'seed:={SEED}')
        stage.connect()
        stage.next(names.DEVICE_REPORT)
        yield stage
        stage.end()


def open_slot(stage: Stage) -> msg.DeviceReport:
    slot = next(slots)
    stage.open_slot(slot, slot * SETTINGS.slot_s)
    return stage.next(names.DEVICE_REPORT, lambda report: report.slot == slot)


def grant(stage: Stage, slot: int, sizes: dict[int, int], uav: int = 0, **fields: Any) -> None:
    given = {
        'slot': slot, 'server_id': uav, 'at_s': slot * SETTINGS.slot_s + 1.5,
        'device_id': list(sizes), 'size_byte': list(sizes.values()),
    }  # fmt: skip
    stage.say(names.DATA_GRANT, msg.DataGrant(**(given | fields)))


def confirm(stage: Stage, uav: str, held: dict[str, int], **fields: Any) -> None:
    receipt = msg.DataReceipt(
        receiver=uav, file_id=list(held), held_byte=list(held.values()), **fields
    )
    stage.say(names.DATA_RECEIPT, receipt)


def until_kept(stage: Stage, count: int) -> None:
    stage.until_health('files kept', lambda value: value == str(count))


def test_reports_say_who_has_recorded_something(stage: Stage) -> None:
    report = open_slot(stage)
    devices = Maritime(SETTINGS).reset(np.array([SEED])).devices
    streams = (devices.active & ~devices.sensitive)[0].reshape(-1)[: COLUMNS + 2]
    assert list(report.streaming) == streams.tolist()
    assert any(streams)


def named(device: int, slot: int, size_byte: int) -> str:
    return file_name(device, slot, contents(SEED, device, slot, size_byte))


def test_what_is_granted_is_handed_over_until_it_is_held(stage: Stage) -> None:
    slot = open_slot(stage).slot
    grant(stage, slot, {6: 1000, 7: 2000})
    batch = stage.next(names.DATA_TX, lambda one: one.slot == slot)
    assert (batch.sender, batch.receiver, batch.last) == ('device_6', 'uav_0', True)
    assert batch.ready_s == pytest.approx(slot * SETTINGS.slot_s + 1.5)
    for part, device, size in zip(batch.segments, (6, 7), (1000, 2000), strict=True):
        whole = segment_from(part)
        assert (whole.file_id, whole.device_id) == (named(device, slot, size), device)
        assert whole.data == contents(SEED, device, slot, size)
    confirm(stage, 'uav_0', {named(6, slot, 1000): 1000, named(7, slot, 2000): 1999})
    until_kept(stage, 1)

    later = open_slot(stage).slot
    grant(stage, later, {8: 500})
    again = stage.next(names.DATA_TX, lambda one: one.slot == later)
    assert [part.file_id for part in again.segments] == [
        named(7, slot, 2000),
        named(8, later, 500),
    ]
    # somebody else has it, or it was lost: both are no receipt of the UAV
    confirm(stage, 'satellite_0', {named(7, slot, 2000): 2000})
    confirm(stage, 'uav_0', {named(7, slot, 2000): 2000}, lost='the link is cut')
    confirm(stage, 'uav_0', {named(8, later, 500): 500, 'nobody': 3})
    until_kept(stage, 1)
    confirm(stage, 'uav_0', {named(7, slot, 2000): 2000})
    until_kept(stage, 0)


def test_a_repeated_grant_brings_the_same_files(stage: Stage) -> None:
    slot = open_slot(stage).slot
    for _ in range(2):
        heard = len(stage.heard[names.DATA_TX.name])
        grant(stage, slot, {6: 1000})
        batch = stage.next(names.DATA_TX, since=heard)
        assert [part.file_id for part in batch.segments] == [named(6, slot, 1000)]
    confirm(stage, 'uav_0', {named(6, slot, 1000): 1000})
    until_kept(stage, 0)


def test_every_process_answers_for_its_own_devices(stage: Stage) -> None:
    slot = open_slot(stage).slot
    grant(stage, slot, {COLUMNS + 1: 10, COLUMNS + 5: 10}, uav=1)
    batch = stage.next(names.DATA_TX, lambda one: one.slot == slot)
    assert [part.device_id for part in batch.segments] == [COLUMNS + 1]
    assert batch.receiver == 'uav_1'
    grant(stage, slot, {COLUMNS + 5: 10}, uav=1)
    confirm(stage, 'uav_1', {named(COLUMNS + 1, slot, 10): 10})
    until_kept(stage, 0)
    assert len(stage.all(names.DATA_TX, slot=slot)) == 1


def test_large_files_are_cut(stage: Stage) -> None:
    slot = open_slot(stage).slot
    sizes = {6: 300_000, 7: 300_000}
    grant(stage, slot, sizes)
    stage.next(names.DATA_TX, lambda one: one.slot == slot and one.last)
    batches = stage.all(names.DATA_TX, slot=slot)
    assert [sum(len(part.data) for part in one.segments) for one in batches] == [
        262_144, 262_144, 600_000 - 2 * 262_144,
    ]  # fmt: skip
    assert [one.last for one in batches] == [False, False, True]
    for device, size in sizes.items():
        parts = [segment_from(part) for one in batches for part in one.segments]
        data = b''.join(part.data for part in parts if part.device_id == device)
        assert data == contents(SEED, device, slot, size)
    confirm(stage, 'uav_0', {named(device, slot, size): size for device, size in sizes.items()})
    until_kept(stage, 0)


@pytest.mark.parametrize(
    'fields',
    [
        {'size_byte': [1]},
        {'size_byte': [0, 5]},
        {'size_byte': [2**40, 5]},
        {'device_id': [6, COLUMNS]},
        {'server_id': 99},
        {'at_s': math.nan},
    ],
)
def test_a_grant_that_makes_no_sense_is_counted(stage: Stage, fields: dict[str, Any]) -> None:
    slot = open_slot(stage).slot
    heard = len(stage.heard[names.DATA_TX.name])
    grant(stage, slot, {6: 5, 7: 5}, **fields)
    stage.until_counted('bad data_grant')
    assert len(stage.heard[names.DATA_TX.name]) == heard
