"""Stored data on their next hop: real bytes, windows, receipts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sec_nodes.loop import handover
from sec_nodes.loop.handover import Handover, Parcel, initial_files, shares_byte
from sec_nodes.loop.recorded import contents
from sec_nodes.loop.store import FileStore, Segment
from sec_nodes.scenarios.registry import read_settings

SIZE = 1000


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, 'BATCH_BYTE', 400)
    monkeypatch.setattr(handover, 'WINDOW', 2)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    store = FileStore(tmp_path / 'uav_0')
    for device in (0, 1):
        store.add(Segment.whole(f'{device}-0', device, 0, contents(1, device, 0, SIZE)))
    return store


def sent(run: Handover) -> list[Parcel]:
    """Everything that may be sent now."""
    parcels = []
    while (parcel := run.next()) is not None:
        run.sent(0.0)
        parcels.append(parcel)
    return parcels


def places(parcel: Parcel) -> list[tuple[str, int, int]]:
    return [(part.file_id, part.offset_byte, part.end_byte) for part in parcel.segments]


def test_files_go_in_order_a_window_at_a_time(store: FileStore) -> None:
    run = Handover(store, 1500)
    first, second = sent(run)
    assert places(first) == [('0-0', 0, 400)]
    assert places(second) == [('0-0', 400, 800)]
    assert (first.sent_byte, second.sent_byte) == (400, 800)
    assert run.confirmed([('0-0', 400)], 0.0) == 400
    (third,) = sent(run)
    assert places(third) == [('0-0', 800, 1000), ('1-0', 0, 200)]
    assert not third.last
    assert run.confirmed([('0-0', 800)], 0.0) == 400
    (fourth,) = sent(run)
    assert places(fourth) == [('1-0', 200, 500)]
    assert (fourth.sent_byte, fourth.last) == (1500, True)
    assert not run.is_done
    assert run.confirmed([('0-0', 1000), ('1-0', 200)], 0.0) == 400
    assert run.confirmed([('1-0', 500)], 0.0) == 300
    assert run.is_done
    assert store.held_byte == 500
    assert [held.file_id for held in store.holdings()] == ['1-0']


def test_only_some_files(store: FileStore) -> None:
    run = Handover(store, 10**6, only={'1-0'})
    assert [places(parcel)[0][0] for parcel in sent(run)] == ['1-0', '1-0']


def test_nothing_is_released_that_was_not_sent(store: FileStore) -> None:
    run = Handover(store, 300)
    sent(run)
    assert run.confirmed([('0-0', 900), ('1-0', 900), ('nobody', 5)], 0.0) == 300
    assert store.held_byte == 2 * SIZE - 300


def test_a_receipt_that_nobody_waits_for_changes_nothing(store: FileStore) -> None:
    run = Handover(store, 400)
    assert run.confirmed([('0-0', 400)], 0.0) == 0
    sent(run)
    assert run.confirmed([('0-0', 400)], 0.0) == 400
    assert run.confirmed([('0-0', 100)], 0.0) == 0


def test_after_a_loss_nothing_more_is_sent(store: FileStore) -> None:
    run = Handover(store, 2000)
    assert len(sent(run)) == 2
    run.lost()
    assert sent(run) == []
    assert not run.is_done
    run.lost()
    assert run.is_done
    store.rewind()
    assert places(sent(Handover(store, 100))[0]) == [('0-0', 0, 100)]


def test_silence_is_noticed_and_given_up(store: FileStore) -> None:
    run = Handover(store, 2000)
    assert not run.is_overdue(1e9)
    run.next()
    assert not run.is_overdue(1e9)  # it has not left yet
    run.sent(100.0)
    assert not run.is_overdue(100.0 + handover.RECEIPT_PATIENCE_S)
    assert run.is_overdue(100.1 + handover.RECEIPT_PATIENCE_S)
    run.confirmed([('0-0', 400)], 103.0)
    assert not run.is_overdue(106.0)
    run.give_up()
    assert run.is_done
    assert store.held_byte == 2 * SIZE - 400


def test_nothing_to_send_is_done_at_once(store: FileStore) -> None:
    assert Handover(store, 0).is_done
    assert not Handover(store, 1).is_done


def test_initial_files_are_what_is_not_free(tmp_path: Path) -> None:
    settings = read_settings('maritime')
    files = list(initial_files(settings, 5, 3))
    assert [part.file_id for part in files] == [f'uav_3-initial-{k:02d}' for k in range(16)]
    # 8e9 bit, of which a thousandth is real
    assert sum(part.size_byte for part in files) == 1_000_000
    assert {part.device_id for part in files} == {3 * settings.columns}
    assert files[2].data == contents(5, 2**31 + 3 * 16 + 2, 0, 62500)
    FileStore(tmp_path / 'uav_3', initial=files)


def test_a_uav_that_begins_empty_has_no_files() -> None:
    assert list(initial_files(read_settings('maritime:storage_limited'), 5, 3)) == []


def test_shares_add_up_and_nobody_gets_nothing() -> None:
    settings = read_settings('maritime')
    rates = {3: 1.0, 4: 1.0, 8: 1e-9, 9: 1.0}
    shares = shares_byte(settings, 8000 * 1000.4, rates, 10**9)
    assert sum(shares.values()) == 1000
    assert list(shares) == [3, 4, 9]
    assert all(abs(value - 1000.4 / 3) < 1 for value in shares.values())
    assert shares_byte(settings, 8e6, {}, 10**9) == {}
    assert shares_byte(settings, 8e6, {1: 0.0}, 10**9) == {}
    assert shares_byte(settings, 8e6, rates, 0) == {}
