"""Tables in Markdown, and the places of a page that commands write them to."""

from __future__ import annotations

from collections.abc import Iterable


def markdown(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table, each line ended."""
    head = list(columns)
    lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    lines += ['| ' + ' | '.join(cell.replace('|', r'\|') for cell in row) + ' |' for row in rows]
    return '\n'.join([*lines, ''])


def between_markers(page: str, command: str, text: str) -> str:
    """The page with `text` between `<!-- begin: command -->` and the next `<!-- end -->`."""
    begin, end = f'<!-- begin: {command} -->', '<!-- end -->'
    before, _, rest = page.partition(begin)
    return f'{before}{begin}\n\n{text}\n{end}{rest.partition(end)[2]}'
