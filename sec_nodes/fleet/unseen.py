"""Processes that the ROS graph does not show, though it shows others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

UNSEEN_S = 20.0
"""How long a process may run without being seen while others are [s]."""


class Unseen:
    """Finds processes that nobody sees.

    They run, but discovery has failed them: nobody hears them, and they hear nobody.

    Args:
        patience_s: how long a process may stay unseen while others are seen [s].
    """

    def __init__(self, patience_s: float = UNSEEN_S) -> None:
        self._patience_s = patience_s
        self._since: dict[str, float] = {}

    def look(self, running: Sequence[str], seen: Collection[str], at_s: float) -> list[str]:
        """Those whose time is over at an instant of the machine; it begins anew for them.

        Args:
            running: names of the processes that live.
            seen: names of the nodes in the ROS graph.
            at_s: the instant [s].
        """
        unseen = [name for name in running if name not in seen]
        if len(unseen) == len(running):
            unseen = []
        self._since = {name: self._since.get(name, at_s) for name in unseen}
        over = [name for name, since in self._since.items() if at_s - since > self._patience_s]
        for name in over:
            del self._since[name]
        return over
