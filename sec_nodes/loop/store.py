"""Files on their way to the ground, kept on disk by everybody who carries them.

A carrier takes in parts of files (`add`), hands on those that it holds whole (`parts`), and lets
go of what the next one holds (`release`). An index in SQLite says how far each file has come; the
bytes themselves lie in one file each. Bytes are written before the index says that they are
there, and go after it says that they are not needed, so that a process that is killed between
any two steps finds a store in order when it starts again. A machine that loses power may lose the
last of what it wrote; the store then says so.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

FILE_ID = re.compile(r'[A-Za-z0-9_-]{1,64}')
SHA256 = re.compile(r'[0-9a-f]{64}')
LARGEST_BYTE = 2**40
"""Size of a file that nobody means."""
INDEX_FILE = 'index.sqlite'
FILES_FOLDER = 'files'
READ_BYTE = 1 << 20
LOCK_PATIENCE_S = 5.0
"""Wall time that a process which was killed may take to let go of the index [s]."""

TABLE = """
CREATE TABLE IF NOT EXISTS files (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    file_id TEXT UNIQUE NOT NULL,
    device_id INTEGER NOT NULL,
    created_slot INTEGER NOT NULL,
    size_byte INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    held_byte INTEGER NOT NULL,
    released_byte INTEGER NOT NULL
)
"""
COLUMNS = 'file_id, device_id, created_slot, size_byte, sha256, held_byte, released_byte'
KEPT = 'released_byte < size_byte'


class StoreError(Exception):
    """A file or a part of one that cannot be stored or handed on; the text says why."""


@dataclass(frozen=True)
class Segment:
    """A part of a file."""

    file_id: str
    device_id: int
    created_slot: int
    size_byte: int
    """Of the whole file [byte]."""
    sha256: str
    """Of the whole file, hexadecimal."""
    offset_byte: int
    """Where the part begins [byte]."""
    data: bytes

    @classmethod
    def whole(cls, file_id: str, device_id: int, created_slot: int, data: bytes) -> Segment:
        """A file in one piece."""
        sha256 = hashlib.sha256(data).hexdigest()
        return cls(file_id, device_id, created_slot, len(data), sha256, 0, data)

    @property
    def end_byte(self) -> int:
        """Where the part ends [byte]."""
        return self.offset_byte + len(self.data)


@dataclass(frozen=True)
class Holding:
    """How far a file has come."""

    file_id: str
    device_id: int
    created_slot: int
    size_byte: int
    sha256: str
    held_byte: int
    """Bytes from the beginning that have arrived."""
    released_byte: int
    """Bytes from the beginning that the next one holds."""

    @property
    def is_whole(self) -> bool:
        """Whether all of it has arrived, and its checksum was right."""
        return self.held_byte == self.size_byte

    def part(self, offset_byte: int, data: bytes) -> Segment:
        """A part of the file."""
        return Segment(
            self.file_id,
            self.device_id,
            self.created_slot,
            self.size_byte,
            self.sha256,
            offset_byte,
            data,
        )


class FileStore:
    """Files of one carrier, in a folder that only one process uses at a time. Thread-safe.

    Args:
        folder: where they lie; made if missing.
        capacity_byte: bytes that it can hold; none = as many as the disk.
        initial: what a new store holds; asked for only then. A process that is killed while it
            puts them in goes on with that when it starts again.

    Raises:
        StoreError: the folder cannot be used, belongs to another process, or misses bytes.
    """

    def __init__(
        self,
        folder: Path,
        capacity_byte: int | None = None,
        initial: Iterable[Segment] = (),
    ) -> None:
        self.folder = folder
        self.capacity_byte = capacity_byte
        self._files = folder / FILES_FOLDER
        self._lock = threading.RLock()
        self._handed_out: dict[str, int] = {}
        with self._explained():
            self._files.mkdir(parents=True, exist_ok=True)
            self._index = sqlite3.connect(
                folder / INDEX_FILE, timeout=LOCK_PATIENCE_S, check_same_thread=False
            )
        try:
            with self._explained():
                self._open_index()
                self._tidy()
                self._held_byte = self._sum_held()
                self.is_new = not self._index.execute('PRAGMA user_version').fetchone()[0]
                """Whether the store begins with this opening."""
                if self.is_new:
                    for segment in initial:
                        self.add(segment)
                    self._index.execute('PRAGMA user_version = 1')
        except BaseException:
            self._index.close()
            raise

    def __enter__(self) -> FileStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def held_byte(self) -> int:
        """Bytes that are held and that the next one does not hold yet [byte]."""
        return self._held_byte

    def add(self, segment: Segment) -> int:
        """Take in a part of a file; one that is held already changes nothing.

        Returns:
            How many bytes of the file are held from its beginning [byte]; all of them for a file
            that was handed on long ago.

        Raises:
            StoreError: the part does not follow on what is held, there is no room for it, its
                description makes no sense or is not that of the file so far, or the file is
                complete and misses its checksum; it then has to come again from its beginning.
        """
        _check(segment)
        with self._lock, self._explained():
            holding = self.holding(segment.file_id)
            held_byte = 0 if holding is None else holding.held_byte
            if holding is not None:
                _check_same(holding, segment)
            if segment.end_byte <= held_byte:
                return held_byte
            if segment.offset_byte > held_byte:
                raise StoreError(
                    f'file {segment.file_id}: bytes from {segment.offset_byte} came, '
                    f'but only {held_byte} are held; send it from there'
                )
            self._check_room(segment, segment.end_byte - held_byte)
            if segment.offset_byte == 0 and segment.end_byte == segment.size_byte:
                self._verify(segment.file_id, segment.sha256, hashlib.sha256(segment.data))
            self._write(segment, held_byte)
            if segment.end_byte == segment.size_byte and segment.offset_byte > 0:
                self._verify(segment.file_id, segment.sha256, self._hash(segment.file_id))
            self._note(segment, is_known=holding is not None)
            self._held_byte += segment.end_byte - held_byte
            return segment.end_byte

    def holding(self, file_id: str) -> Holding | None:
        """How far a file has come, one that was handed on included; None if none of it came."""
        query = f'SELECT {COLUMNS} FROM files WHERE file_id = ?'
        with self._lock, self._explained():
            row = self._index.execute(query, (file_id,)).fetchone()
            return None if row is None else Holding(*row)

    def arrived_byte(self, file_id: str) -> int:
        """Bytes of a file that have arrived from its beginning, handed on or not [byte]."""
        holding = self.holding(file_id)
        return 0 if holding is None else holding.held_byte

    def holdings(self) -> list[Holding]:
        """Files that are held, whole or in part; the one that came first is first."""
        with self._lock, self._explained():
            rows = self._index.execute(f'SELECT {COLUMNS} FROM files WHERE {KEPT} ORDER BY number')
            return [Holding(*row) for row in rows]

    def whole(self) -> list[Holding]:
        """Files that are completely held, in the same order."""
        return [holding for holding in self.holdings() if holding.is_whole]

    def read(self, file_id: str) -> bytes:
        """The bytes of a file as far as they are held.

        Raises:
            StoreError: the file is not held.
        """
        with self._lock, self._explained():
            holding = self.holding(file_id)
            if holding is None or holding.released_byte == holding.size_byte:
                raise StoreError(f'file {file_id}: not held')
            return self._read(holding, 0, holding.held_byte)

    def parts(
        self, budget_byte: int, largest_byte: int, only: Collection[str] | None = None
    ) -> Iterator[Segment]:
        """Bytes to hand on next, of files that are completely held; none twice until `rewind`.

        Args:
            budget_byte: how many in all [byte].
            largest_byte: how many in one part [byte; > 0].
            only: files that may be handed on; none = all.

        Returns:
            Parts, of the oldest file first; what is not taken from the iterator stays.
        """
        if largest_byte <= 0:
            raise ValueError(f'largest_byte = {largest_byte}: must be positive')
        for holding in self.whole():
            if only is not None and holding.file_id not in only:
                continue
            while budget_byte > 0:
                part = self._next_part(holding.file_id, min(budget_byte, largest_byte))
                if part is None:
                    break
                budget_byte -= len(part.data)
                yield part

    def rewind(self) -> None:
        """Hand out again what was handed out and not released."""
        with self._lock:
            self._handed_out.clear()

    def release(self, file_id: str, upto_byte: int) -> int:
        """The next one holds a file up to there. When that is all of it, its bytes are deleted.

        If it holds less than it once said (it has found the file damaged, and dropped it), what it
        misses is handed out again after the next `rewind`.

        Returns:
            How many bytes more it holds than before [byte]; 0 for a file that went long ago.

        Raises:
            StoreError: no such file, or more bytes than are held.
        """
        with self._lock, self._explained():
            holding = self.holding(file_id)
            if holding is None:
                raise StoreError(f'file {file_id}: not held, and cannot be released')
            if not 0 <= upto_byte <= holding.held_byte:
                raise StoreError(
                    f'file {file_id}: {upto_byte} bytes cannot be released, '
                    f'{holding.held_byte} are held'
                )
            if holding.released_byte == holding.size_byte:
                return 0
            with self._index:
                self._index.execute(
                    'UPDATE files SET released_byte = ? WHERE file_id = ?', (upto_byte, file_id)
                )
            if upto_byte == holding.size_byte:
                self._path(file_id).unlink(missing_ok=True)
                self._handed_out.pop(file_id, None)
            self._held_byte -= upto_byte - holding.released_byte
            return upto_byte - holding.released_byte

    def close(self) -> None:
        """Let another process use the folder."""
        with self._lock:
            self._index.close()

    def _open_index(self) -> None:
        """Lay hands on the index: from here on other processes are kept out."""
        self._index.execute('PRAGMA locking_mode = EXCLUSIVE')
        self._index.execute('PRAGMA journal_mode = WAL')
        self._index.execute('PRAGMA synchronous = NORMAL')
        with self._index:
            self._index.execute('BEGIN EXCLUSIVE')
            self._index.execute(TABLE)

    def _tidy(self) -> None:
        """Remove what a killed process could not, and see that nothing is missing."""
        kept = {holding.file_id: holding for holding in self.holdings()}
        for path in self._files.iterdir():
            if path.name not in kept:
                path.unlink()
        for holding in kept.values():
            path = self._path(holding.file_id)
            found_byte = path.stat().st_size if path.exists() else 0
            if found_byte < holding.held_byte:
                raise StoreError(
                    f'{path}: {found_byte} bytes, {holding.held_byte} are expected; '
                    f'restore the file; or remove {self.folder} to begin anew, a UAV with what '
                    'it has stored before a run'
                )

    def _sum_held(self) -> int:
        query = f'SELECT COALESCE(SUM(held_byte - released_byte), 0) FROM files WHERE {KEPT}'
        return int(self._index.execute(query).fetchone()[0])

    def _check_room(self, segment: Segment, more_byte: int) -> None:
        if self.capacity_byte is None or self._held_byte + more_byte <= self.capacity_byte:
            return
        raise StoreError(
            f'file {segment.file_id}: no room for {more_byte} bytes more, '
            f'{self._held_byte} of {self.capacity_byte} are taken'
        )

    def _write(self, segment: Segment, held_byte: int) -> None:
        """Put the bytes that are new behind those that are held."""
        path = self._path(segment.file_id)
        with path.open('r+b' if held_byte else 'wb') as file:
            file.seek(held_byte)
            file.write(memoryview(segment.data)[held_byte - segment.offset_byte :])

    def _note(self, segment: Segment, is_known: bool) -> None:
        """Let the index say that the bytes are there."""
        with self._index:
            if is_known:
                self._index.execute(
                    'UPDATE files SET held_byte = ? WHERE file_id = ?',
                    (segment.end_byte, segment.file_id),
                )
                return
            self._index.execute(
                f'INSERT INTO files ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, 0)',
                (
                    segment.file_id,
                    segment.device_id,
                    segment.created_slot,
                    segment.size_byte,
                    segment.sha256,
                    segment.end_byte,
                ),
            )

    def _verify(self, file_id: str, sha256: str, found: hashlib._Hash) -> None:
        if found.hexdigest() == sha256:
            return
        self._drop(file_id)
        raise StoreError(
            f'file {file_id}: complete, but its SHA-256 is {found.hexdigest()} and not {sha256}; '
            'it was dropped and has to come again'
        )

    def _drop(self, file_id: str) -> None:
        holding = self.holding(file_id)
        with self._index:
            self._index.execute('DELETE FROM files WHERE file_id = ?', (file_id,))
        if holding is not None:
            self._held_byte -= holding.held_byte
        self._path(file_id).unlink(missing_ok=True)

    def _hash(self, file_id: str) -> hashlib._Hash:
        found = hashlib.sha256()
        with self._path(file_id).open('rb') as file:
            while block := file.read(READ_BYTE):
                found.update(block)
        return found

    def _next_part(self, file_id: str, most_byte: int) -> Segment | None:
        with self._lock, self._explained():
            holding = self.holding(file_id)
            if holding is None:
                return None
            begin = max(holding.released_byte, self._handed_out.get(file_id, 0))
            end = min(begin + most_byte, holding.held_byte)
            if begin >= end:
                return None
            data = self._read(holding, begin, end)
            self._handed_out[file_id] = end
            return holding.part(begin, data)

    def _read(self, holding: Holding, begin: int, end: int) -> bytes:
        with self._path(holding.file_id).open('rb') as file:
            file.seek(begin)
            data = file.read(end - begin)
        if len(data) < end - begin:
            raise StoreError(f'{file.name}: ends before byte {end}; somebody has shortened it')
        return data

    def _path(self, file_id: str) -> Path:
        return self._files / file_id

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what disk and index say into a `StoreError`."""
        try:
            yield
        except sqlite3.Error as error:
            hint = 'another process uses it' if 'locked' in str(error) else 'see that disk'
            raise StoreError(f'{self.folder / INDEX_FILE}: {error}; {hint}') from error
        except OSError as error:
            raise StoreError(f'{error.filename or self.folder}: {error.strerror}') from error


def _check(segment: Segment) -> None:
    """Raise `StoreError` for a part whose description makes no sense."""
    if not FILE_ID.fullmatch(segment.file_id):
        raise StoreError(
            f'file_id {segment.file_id[:80]!r}: must be 1 to 64 letters, digits, _ and -'
        )
    if not SHA256.fullmatch(segment.sha256):
        raise StoreError(
            f'file {segment.file_id}: sha256 {segment.sha256[:80]!r}: must be 64 digits 0-9a-f'
        )
    if not 0 < segment.size_byte <= LARGEST_BYTE:
        raise StoreError(
            f'file {segment.file_id}: size {segment.size_byte} bytes: must be 1 to {LARGEST_BYTE}'
        )
    if segment.offset_byte < 0 or segment.end_byte > segment.size_byte:
        raise StoreError(
            f'file {segment.file_id}: bytes {segment.offset_byte} to {segment.end_byte} '
            f'of a file of {segment.size_byte}'
        )


def _check_same(holding: Holding, segment: Segment) -> None:
    """Raise `StoreError` for a part of another file of the same name."""
    for name in ('size_byte', 'sha256', 'device_id', 'created_slot'):
        held, came = getattr(holding, name), getattr(segment, name)
        if held != came:
            raise StoreError(
                f'file {segment.file_id}: {name} {came}, but another one of that name has {held}'
            )
