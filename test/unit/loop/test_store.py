"""The store on disk: takes parts in any order of events, keeps them, and lets go of each once."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sec_nodes.loop.recorded import contents
from sec_nodes.loop.store import FileStore, Segment, StoreError


def file_of(device: int, size_byte: int, slot: int = 0) -> Segment:
    """A whole file as a device makes it."""
    return Segment.whole(f'd{device}-{slot}', device, slot, contents(1, device, slot, size_byte))


def cut(whole: Segment, begin: int, end: int) -> Segment:
    """A part of a file."""
    return replace(whole, offset_byte=begin, data=whole.data[begin:end])


def as_left(store: FileStore, folder: Path) -> FileStore:
    """The store that a process finds when this one is killed now."""
    shutil.copytree(store.folder, folder)
    return FileStore(folder)


def names_of(store: FileStore) -> list[str]:
    return [holding.file_id for holding in store.holdings()]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    with FileStore(tmp_path / 'store') as store:
        yield store


class TestAdding:
    def test_parts_in_order_make_a_whole(self, store: FileStore) -> None:
        whole = file_of(3, 1000)
        assert [store.add(cut(whole, a, b)) for a, b in ((0, 400), (400, 999))] == [400, 999]
        assert (store.whole(), store.held_byte) == ([], 999)
        assert store.add(cut(whole, 999, 1000)) == 1000
        [holding] = store.whole()
        assert (holding.file_id, holding.device_id, holding.created_slot) == ('d3-0', 3, 0)
        assert (holding.size_byte, holding.sha256) == (1000, whole.sha256)
        assert store.read('d3-0') == whole.data

    def test_what_comes_again_changes_nothing(self, store: FileStore) -> None:
        whole = file_of(3, 1000)
        store.add(cut(whole, 0, 600))
        assert store.add(cut(whole, 0, 600)) == 600
        assert store.add(cut(whole, 200, 300)) == 600
        assert store.held_byte == 600

    def test_a_part_that_overlaps_adds_what_is_new(self, store: FileStore) -> None:
        whole = file_of(3, 1000)
        store.add(cut(whole, 0, 600))
        assert store.add(cut(whole, 500, 800)) == 800
        assert store.add(whole) == 1000
        assert store.read('d3-0') == whole.data

    def test_a_gap_is_refused_and_leaves_what_was_there(self, store: FileStore) -> None:
        whole = file_of(3, 1000)
        with pytest.raises(StoreError, match='from 400 came, but only 0 are held'):
            store.add(cut(whole, 400, 1000))
        assert store.holdings() == []
        store.add(cut(whole, 0, 100))
        with pytest.raises(StoreError, match='only 100 are held; send it from there'):
            store.add(cut(whole, 101, 1000))
        assert (store.arrived_byte('d3-0'), store.held_byte) == (100, 100)

    def test_an_empty_part_changes_nothing(self, store: FileStore) -> None:
        assert store.add(cut(file_of(3, 1000), 0, 0)) == 0
        assert store.holdings() == []

    def test_contents_that_miss_their_checksum_are_dropped(self, store: FileStore) -> None:
        whole = file_of(3, 1000)
        bad = replace(whole, data=b'x' + whole.data[1:])
        with pytest.raises(StoreError, match=r'its SHA-256 is .* and not '):
            store.add(bad)
        store.add(cut(bad, 0, 500))
        with pytest.raises(StoreError, match='has to come again'):
            store.add(cut(whole, 500, 1000))
        assert (store.holdings(), store.held_byte, store.arrived_byte('d3-0')) == ([], 0, 0)
        assert list((store.folder / 'files').iterdir()) == []
        assert store.add(whole) == 1000

    def test_another_file_of_the_same_name_is_refused(self, store: FileStore) -> None:
        whole = file_of(3, 1000)
        store.add(cut(whole, 0, 500))
        others = {
            'size_byte': replace(whole, size_byte=1001),
            'sha256': replace(whole, sha256='0' * 64),
            'device_id': replace(whole, device_id=4),
            'created_slot': replace(whole, created_slot=9),
        }
        for name, other in others.items():
            with pytest.raises(StoreError, match=f'd3-0: {name} .* another one of that name'):
                store.add(cut(other, 500, 1000))
        assert store.add(cut(whole, 500, 1000)) == 1000

    @pytest.mark.parametrize(
        'name',
        ['', '../outside', '..', '/tmp/x', 'a/b', 'a.b', 'a b', 'a\n', 'a\0', 'ä', 'x' * 65],
    )
    def test_a_name_that_is_no_file_name_is_refused(self, store: FileStore, name: str) -> None:
        before = sorted(store.folder.parent.rglob('*'))
        with pytest.raises(StoreError, match='must be 1 to 64 letters'):
            store.add(replace(file_of(3, 10), file_id=name))
        assert sorted(store.folder.parent.rglob('*')) == before

    @pytest.mark.parametrize(
        ('change', 'reason'),
        [
            ({'sha256': 'ABC'}, 'must be 64 digits'),
            ({'size_byte': 0, 'data': b''}, 'must be 1 to'),
            ({'size_byte': 2**64 - 1}, 'must be 1 to'),
            ({'size_byte': 9}, 'bytes 0 to 10 of a file of 9'),
            ({'offset_byte': 1}, 'bytes 1 to 11 of a file of 10'),
            ({'offset_byte': -1}, 'bytes -1 to 9 of a file of 10'),
        ],
    )
    def test_sizes_without_sense_are_refused(
        self, store: FileStore, change: dict[str, int], reason: str
    ) -> None:
        with pytest.raises(StoreError, match=reason):
            store.add(replace(file_of(3, 10), **change))  # type: ignore[arg-type]
        assert store.holdings() == []

    def test_what_does_not_fit_is_refused_until_there_is_room(self, tmp_path: Path) -> None:
        with FileStore(tmp_path / 'small', capacity_byte=1500) as store:
            store.add(file_of(1, 1000))
            with pytest.raises(StoreError, match=r'no room for 501 .* 1000 of 1500 are taken'):
                store.add(file_of(2, 501))
            store.add(cut(file_of(2, 501), 0, 500))
            store.release('d1-0', 1)
            assert store.add(file_of(2, 501)) == 501
            assert store.held_byte == 1500
            assert store.add(file_of(1, 1000)) == 1000  # held already: needs no room


class TestHandingOn:
    def test_the_oldest_first_within_the_budget(self, store: FileStore) -> None:
        for device in (7, 2, 5):
            store.add(file_of(device, 100))
        parts = list(store.parts(budget_byte=250, largest_byte=60))
        assert [(part.file_id, part.offset_byte, len(part.data)) for part in parts] == [
            ('d7-0', 0, 60), ('d7-0', 60, 40), ('d2-0', 0, 60), ('d2-0', 60, 40), ('d5-0', 0, 50),
        ]  # fmt: skip
        assert b''.join(part.data for part in parts[:2]) == file_of(7, 100).data
        assert {(part.size_byte, part.sha256) for part in parts[2:4]} == {
            (100, file_of(2, 100).sha256)
        }

    def test_nothing_twice_until_rewind(self, store: FileStore) -> None:
        store.add(file_of(7, 100))
        sizes = [[len(part.data) for part in store.parts(70, 1000)] for _ in range(3)]
        assert sizes == [[70], [30], []]
        store.release('d7-0', 70)
        store.rewind()
        assert [part.offset_byte for part in store.parts(1000, 1000)] == [70]

    def test_what_is_not_taken_from_the_iterator_stays(self, store: FileStore) -> None:
        store.add(file_of(7, 100))
        next(store.parts(100, 10))
        assert [part.offset_byte for part in store.parts(100, 45)] == [10, 55]

    def test_only_whole_files_and_only_those_asked_for(self, store: FileStore) -> None:
        for device in (7, 2, 5):
            store.add(file_of(device, 100))
        store.add(cut(file_of(9, 100), 0, 99))
        assert [part.file_id for part in store.parts(1000, 1000, {'d5-0', 'd9-0'})] == ['d5-0']
        assert list(store.parts(1000, 1000, ())) == []
        assert [part.file_id for part in store.parts(1000, 1000)] == ['d7-0', 'd2-0']

    def test_a_file_that_was_dropped_and_came_again_is_a_new_one(self, store: FileStore) -> None:
        early, late = file_of(1, 100), file_of(2, 100)
        store.add(replace(cut(early, 0, 50), data=bytes(50)))
        store.add(late)
        with pytest.raises(StoreError, match='SHA-256'):
            store.add(cut(early, 50, 100))
        store.add(early)
        assert names_of(store) == ['d2-0', 'd1-0']

    @pytest.mark.parametrize('largest', [0, -5])
    def test_parts_have_a_size(self, store: FileStore, largest: int) -> None:
        with pytest.raises(ValueError, match=f'largest_byte = {largest}'):
            next(store.parts(10, largest))


class TestReleasing:
    def test_bytes_go_and_the_name_stays(self, store: FileStore) -> None:
        whole = file_of(3, 1000)
        store.add(whole)
        assert store.release('d3-0', 400) == 400
        assert store.release('d3-0', 400) == 0
        assert store.held_byte == 600
        assert store.release('d3-0', 1000) == 600
        assert (store.held_byte, store.holdings()) == (0, [])
        assert list((store.folder / 'files').iterdir()) == []
        assert store.add(whole) == 1000
        assert store.add(cut(whole, 100, 200)) == 1000
        assert (store.held_byte, store.holdings()) == (0, [])
        assert list(store.parts(10_000, 1000)) == []
        assert store.release('d3-0', 1000) == 0
        assert store.release('d3-0', 0) == 0

    def test_what_the_next_one_has_lost_is_handed_out_again(self, store: FileStore) -> None:
        store.add(file_of(3, 1000))
        store.release('d3-0', 600)
        assert store.release('d3-0', 0) == -600
        store.rewind()
        assert [part.offset_byte for part in store.parts(10_000, 1000)] == [0]
        assert store.held_byte == 1000

    def test_what_is_not_held_cannot_be_released(self, store: FileStore) -> None:
        store.add(cut(file_of(3, 1000), 0, 600))
        with pytest.raises(StoreError, match='601 bytes cannot be released, 600 are held'):
            store.release('d3-0', 601)
        with pytest.raises(StoreError, match='-1 bytes cannot be released'):
            store.release('d3-0', -1)
        with pytest.raises(StoreError, match='file d4-0: not held'):
            store.release('d4-0', 0)
        with pytest.raises(StoreError, match='file d4-0: not held'):
            store.read('d4-0')
        assert store.held_byte == 600


class TestStartingAgain:
    def test_after_every_step(self, tmp_path: Path) -> None:
        whole, other = file_of(3, 1000), file_of(4, 300)
        steps: list[tuple[Callable[[FileStore], object], list[str], int]] = [
            (lambda store: store.add(cut(whole, 0, 400)), ['d3-0'], 400),
            (lambda store: store.add(other), ['d3-0', 'd4-0'], 700),
            (lambda store: store.add(cut(whole, 400, 1000)), ['d3-0', 'd4-0'], 1300),
            (lambda store: list(store.parts(1100, 256)), ['d3-0', 'd4-0'], 1300),
            (lambda store: store.release('d3-0', 512), ['d3-0', 'd4-0'], 788),
            (lambda store: store.release('d3-0', 1000), ['d4-0'], 300),
            (lambda store: store.add(whole), ['d4-0'], 300),
            (lambda store: store.release('d4-0', 300), [], 0),
        ]
        store = FileStore(tmp_path / 'store')
        for number, (step, names, held_byte) in enumerate(steps):
            step(store)
            again = as_left(store, tmp_path / f'left_{number}')
            assert (names_of(again), again.held_byte) == (names, held_byte), number
            store.close()
            store = again
            assert not store.is_new
        store.close()

    def test_what_was_handed_out_and_not_released_comes_again(self, tmp_path: Path) -> None:
        with FileStore(tmp_path / 'store') as store:
            store.add(file_of(3, 1000))
            list(store.parts(700, 100))
            store.release('d3-0', 300)
        with FileStore(tmp_path / 'store') as store:
            assert [part.offset_byte for part in store.parts(10_000, 1000)] == [300]

    def test_a_kill_between_bytes_and_index(self, tmp_path: Path) -> None:
        whole = file_of(3, 1000)
        with FileStore(tmp_path / 'store') as store:
            store.add(cut(whole, 0, 400))
        files = tmp_path / 'store' / 'files'
        with (files / 'd3-0').open('ab') as file:  # more than the index knows of
            file.write(b'half of a part')
        (files / 'd9-0').write_bytes(b'begun, and never in the index')
        with FileStore(tmp_path / 'store') as store:
            assert not (files / 'd9-0').exists()
            assert store.add(cut(whole, 400, 1000)) == 1000
            assert store.read('d3-0') == whole.data

    def test_a_kill_between_index_and_removal(self, tmp_path: Path) -> None:
        with FileStore(tmp_path / 'store') as store:
            store.add(file_of(3, 1000))
            store.release('d3-0', 1000)
        left = tmp_path / 'store' / 'files' / 'd3-0'
        left.write_bytes(file_of(3, 1000).data)
        with FileStore(tmp_path / 'store') as store:
            assert not left.exists()
            assert (store.add(file_of(3, 1000)), store.held_byte) == (1000, 0)

    def test_bytes_that_are_gone_are_named(self, tmp_path: Path) -> None:
        with FileStore(tmp_path / 'store') as store:
            store.add(file_of(3, 1000))
        path = tmp_path / 'store' / 'files' / 'd3-0'
        os.truncate(path, 999)
        with pytest.raises(StoreError, match='d3-0: 999 bytes, 1000 are expected; restore'):
            FileStore(tmp_path / 'store')
        path.unlink()
        with pytest.raises(StoreError, match='d3-0: 0 bytes, 1000 are expected'):
            FileStore(tmp_path / 'store')

    def test_bytes_that_go_meanwhile_are_named(self, store: FileStore) -> None:
        store.add(file_of(3, 1000))
        os.truncate(store.folder / 'files' / 'd3-0', 500)
        with pytest.raises(StoreError, match='d3-0: ends before byte 1000'):
            list(store.parts(1000, 1000))

    def test_an_index_that_is_none_is_named(self, tmp_path: Path) -> None:
        (tmp_path / 'index.sqlite').write_bytes(b'no database at all, but long enough' * 100)
        with pytest.raises(StoreError, match=r'index\.sqlite: file is not a database'):
            FileStore(tmp_path)

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / 'taken').write_text('a file')
        with pytest.raises(StoreError, match='taken'):
            FileStore(tmp_path / 'taken')

    def test_one_process_at_a_time(
        self, store: FileStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr('sec_nodes.loop.store.LOCK_PATIENCE_S', 0.1)
        with pytest.raises(StoreError, match='another process uses it'):
            FileStore(store.folder)
        store.add(file_of(3, 10))

    def test_a_new_store_gets_what_was_there_before_the_run_once(self, tmp_path: Path) -> None:
        first = [Segment.whole(f'uav_0-initial-{i:02}', 0, 0, bytes(100 + i)) for i in range(3)]

        def killed_in_the_second() -> Iterator[Segment]:
            yield first[0]
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            FileStore(tmp_path / 'store', initial=killed_in_the_second())
        with FileStore(tmp_path / 'store', initial=first) as store:
            assert store.is_new
            assert (len(store.whole()), store.held_byte) == (3, 303)
            store.release('uav_0-initial-00', 100)
        with FileStore(tmp_path / 'store', initial=first) as store:
            assert not store.is_new
            assert store.held_byte == 203


CHILD = """
import sys
from pathlib import Path
from sec_nodes.loop.recorded import contents
from sec_nodes.loop.store import FileStore, Segment

store = FileStore(Path(sys.argv[1]))
device = int(sys.argv[2])
while True:
    whole = Segment.whole(f'd{device}-0', device, 0, contents(1, device, 0, 40_000))
    for begin in range(0, 40_000, 7_000):
        data = whole.data[begin:begin + 7_000]
        part = Segment(whole.file_id, device, 0, 40_000, whole.sha256, begin, data)
        held = store.add(part)
        print('held', device, held, flush=True)
    if device % 2:
        store.release(whole.file_id, 40_000)
        print('released', device, 40_000, flush=True)
    device += 1
"""


@pytest.mark.parametrize('lines', [1, 9, 40, 137])
def test_a_process_killed_while_it_writes(tmp_path: Path, lines: int) -> None:
    """What a killed process has said of its store is true of the store that it leaves."""
    said: dict[int, tuple[str, int]] = {}
    first = 0
    for _ in range(2):  # the second one goes on with what the first has left
        child = subprocess.Popen(
            [sys.executable, '-c', CHILD, str(tmp_path), str(first)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        for number, line in enumerate(child.stdout):
            if not line.endswith('\n'):  # killed in the middle of saying it
                break
            word, device_text, held_text = line.split()
            said[int(device_text)] = (word, int(held_text))
            if number == lines:
                child.send_signal(signal.SIGKILL)
        child.wait(240)
        with FileStore(tmp_path) as store:
            assert said
            for device, (word, held_byte) in said.items():
                whole = file_of(device, 40_000)
                arrived_byte = store.arrived_byte(whole.file_id)
                assert arrived_byte >= held_byte
                if word == 'released':
                    assert store.add(whole) == 40_000
                    assert whole.file_id not in names_of(store)
                elif whole.file_id in names_of(store):
                    assert store.read(whole.file_id) == whole.data[:arrived_byte]
                else:
                    assert device % 2  # released, and killed before it could say so
        first = max(said)


def test_threads_share_a_store(store: FileStore) -> None:
    """Several fill it while one empties it: every byte comes out once."""
    out: dict[str, bytearray] = {}

    def fill(device: int) -> None:
        for slot in range(20):
            store.add(file_of(device, 500, slot))

    fillers = [threading.Thread(target=fill, args=(device,)) for device in range(4)]
    for thread in fillers:
        thread.start()
    give_up = time.monotonic() + 240
    while len(out) < 80 or store.held_byte:
        assert time.monotonic() < give_up
        for part in store.parts(10_000, 300):
            out.setdefault(part.file_id, bytearray()).extend(part.data)
            store.release(part.file_id, part.end_byte)
    for thread in fillers:
        thread.join()
    for device in range(4):
        for slot in range(20):
            assert out[f'd{device}-{slot}'] == file_of(device, 500, slot).data


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.close()
    with pytest.raises(StoreError, match='closed'):
        store.add(file_of(3, 10))


def test_the_index_is_an_ordinary_database(tmp_path: Path) -> None:
    with FileStore(tmp_path) as store:
        store.add(file_of(3, 10))
    with sqlite3.connect(tmp_path / 'index.sqlite') as index:
        rows = index.execute('SELECT file_id, held_byte, released_byte FROM files').fetchall()
    assert rows == [('d3-0', 10, 0)]
