"""Files that have reached the ground, and whether that has been said; kept on disk."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass
from pathlib import Path

GROUND_STATION = 'ground_station'
"""Node that receives what satellites hand down."""
TABLE = """
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    file_id TEXT UNIQUE NOT NULL,
    slot INTEGER NOT NULL,
    satellite TEXT NOT NULL,
    ready_s REAL NOT NULL,
    announced INTEGER NOT NULL DEFAULT 0
)
"""
COLUMNS = 'file_id, slot, satellite, ready_s'


@dataclass(frozen=True)
class Arrival:
    """A file that has arrived whole."""

    file_id: str
    slot: int
    satellite: str
    """Who brought it."""
    ready_s: float
    """When it was complete [s; simulation time]."""


class Deliveries:
    """What has arrived, in a file that outlives the process.

    Args:
        path: the file; made if missing.

    Raises:
        sqlite3.Error: it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._index = sqlite3.connect(path)
        self._index.execute('PRAGMA journal_mode = WAL')
        self._index.execute('PRAGMA synchronous = NORMAL')
        self._index.execute(TABLE)

    def note(self, arrival: Arrival) -> None:
        """A file has arrived; the first time counts."""
        with self._index:
            self._index.execute(
                f'INSERT OR IGNORE INTO deliveries ({COLUMNS}) VALUES (?, ?, ?, ?)',
                astuple(arrival),
            )

    def unannounced(self) -> list[Arrival]:
        """Files whose arrival has not been said yet, in the order in which they came."""
        query = f'SELECT {COLUMNS} FROM deliveries WHERE NOT announced ORDER BY number'
        return [Arrival(*row) for row in self._index.execute(query)]

    def announced(self, file_id: str) -> None:
        """The arrival of a file has been said."""
        with self._index:
            self._index.execute(
                'UPDATE deliveries SET announced = 1 WHERE file_id = ?', (file_id,)
            )

    def count(self) -> int:
        """Files that have arrived."""
        return int(self._index.execute('SELECT COUNT(*) FROM deliveries').fetchone()[0])

    def close(self) -> None:
        """Finish the file."""
        self._index.close()
