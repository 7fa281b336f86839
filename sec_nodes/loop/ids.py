"""Which vehicles a process holds."""

from __future__ import annotations

import re

ALL_IDS = 'all'
"""Every vehicle that the scenario has."""


def parse_ids(text: str, count: int | None) -> list[int]:
    """Vehicles that a text such as `all` or `0-4,7` names.

    Args:
        text: the text.
        count: how many vehicles there are; none = not known yet, and `all` gives no vehicle.

    Raises:
        ValueError: not of that form, or a vehicle that does not exist.
    """
    if text.strip() == ALL_IDS:
        return list(range(count or 0))
    chosen: set[int] = set()
    for part in text.split(','):
        match = re.fullmatch(r'\s*(\d+)\s*(?:-\s*(\d+)\s*)?', part)
        if not match:
            raise ValueError(f'ids {text!r} must be "all" or numbers and ranges as in "0-4,7"')
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise ValueError(f'ids {text!r}: the range {part.strip()} runs backwards')
        if count is not None and last >= count:
            raise ValueError(f'ids {text!r}: there is no {last}; the scenario has {count}')
        chosen.update(range(first, last + 1))
    return sorted(chosen)
