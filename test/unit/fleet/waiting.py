from __future__ import annotations

import time
from collections.abc import Callable

GIVE_UP_S = 240.0


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + GIVE_UP_S
    while not happened():
        assert time.monotonic() < end, 'it did not happen in time'
        time.sleep(0.02)
