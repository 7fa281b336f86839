from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_rows import Writer

from sec_nodes.recording.tables import TABLES, CsvTable


@pytest.fixture
def write_tables(tmp_path: Path) -> Writer:
    """Writes tables with the given rows, and all others empty; returns the folder."""

    def write(**rows: list[dict[str, Any]]) -> Path:
        folder = tmp_path / 'run'
        folder.mkdir(exist_ok=True)
        for name in TABLES:
            table = CsvTable(folder, name)
            table.add(*rows.get(name, []))
            table.close()
        return folder

    return write
