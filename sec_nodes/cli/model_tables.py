"""What models/ holds, as tables of docs/inference.md.

    python -m sec_nodes.cli.model_tables

writes them between the two markers of that page.
"""

from __future__ import annotations

from pathlib import Path

from sec_nodes.cli.cards import kinds_tables, levels_table
from sec_nodes.cli.page_tables import between_markers
from sec_nodes.inference.manifest import MllmEntry, load_manifest
from sec_nodes.paths import share_dir

COMMAND = 'python -m sec_nodes.cli.model_tables'
_CARD = '../models/{}/card.md'


def tables() -> str:
    """The levels that ship, and their accuracy by kind of question."""
    entries = sorted(
        (
            entry
            for entry in load_manifest(share_dir() / 'models').models
            if isinstance(entry, MllmEntry)
        ),
        key=lambda entry: entry.accuracy.value if entry.accuracy else 0.0,
    )
    levels = levels_table(entries, lambda entry: f'[`{entry.id}`]({_CARD.format(entry.base)})')
    return f'{levels}\n{kinds_tables(entries, lambda entry: f"`{entry.id}`")}'


def with_tables(page: str) -> str:
    """The page with the text between its markers replaced."""
    return between_markers(page, COMMAND, tables())


def main(page: Path | None = None) -> None:
    """Write the tables into docs/inference.md."""
    path = page or share_dir() / 'docs' / 'inference.md'
    path.write_text(with_tables(path.read_text(encoding='utf-8')), encoding='utf-8')


if __name__ == '__main__':
    main()
