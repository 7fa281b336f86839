"""What models/ holds, as tables of docs/inference.md.

    python -m sec_nodes.cli.model_tables

writes them between the two markers of that page.
"""

from __future__ import annotations

from pathlib import Path

from sec_nodes.cli.page_tables import between_markers, markdown
from sec_nodes.inference.evaluation import SEA
from sec_nodes.inference.manifest import MllmEntry, load_manifest
from sec_nodes.inference.sea.kinds import KINDS
from sec_nodes.paths import share_dir

COMMAND = 'python -m sec_nodes.cli.model_tables'


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
    return f'{_levels(entries)}\n{_kinds(entries)}'


def with_tables(page: str) -> str:
    """The page with the text between its markers replaced."""
    return between_markers(page, COMMAND, tables())


def _levels(entries: list[MllmEntry]) -> str:
    columns = ('model', 'parameters', 'weights [KiB]', 'accuracy', '95 % interval',
               'first token [ms]', 'tokens/s', 'memory [MiB]')  # fmt: skip
    rows = []
    for entry in entries:
        assert entry.accuracy is not None and entry.measured
        low, high = entry.accuracy.interval_95
        speed = entry.measured[0]
        rows.append(
            (
                f'[`{entry.id}`](../models/{entry.base}/card.md)',
                f'{entry.parameters / 1e6:.2f} M',
                f'{entry.weights_byte / 1024:.0f}',
                f'{entry.accuracy.value:.3f}',
                f'{low:.3f} to {high:.3f}',
                f'{1e3 * speed.first_token_s:.1f}',
                f'{speed.tokens_per_s:.0f}',
                f'{speed.peak_byte / 2**20:.0f}',
            )
        )
    return markdown(columns, rows)


def _kinds(entries: list[MllmEntry]) -> str:
    reference = entries[0].accuracy
    assert reference is not None and reference.set == SEA
    rows = [
        (
            f'`{kind.name}`: {kind.asks}',
            f'{reference.majority_baseline[kind.name]:.2f}',
            *(f'{entry.accuracy.per_kind[kind.name]:.2f}' for entry in entries if entry.accuracy),
        )
        for kind in KINDS
    ]
    return markdown(('kind', 'commonest answer', *(f'`{e.id}`' for e in entries)), rows)


def main(page: Path | None = None) -> None:
    """Write the tables into docs/inference.md."""
    path = page or share_dir() / 'docs' / 'inference.md'
    path.write_text(with_tables(path.read_text(encoding='utf-8')), encoding='utf-8')


if __name__ == '__main__':
    main()
