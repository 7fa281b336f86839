"""Where a run is shown: a live terminal view, or plain lines for logs."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console
from rich.live import Live

from sec_nodes.fleet.live import plain_line, render
from sec_nodes.fleet.snapshot import Snapshot

REFRESH_S = 0.25


class View(Protocol):
    """Something that shows a run while it goes on."""

    def open(self) -> None:
        """Begin to show."""

    def update(self, snapshot: Snapshot) -> None:
        """Called every `REFRESH_S`."""

    def slot(self, snapshot: Snapshot) -> None:
        """Called at the end of each slot, from another thread."""

    def event(self, text: str) -> None:
        """Called at each event, from another thread."""

    def close(self) -> None:
        """Give the terminal back."""


class LiveView:
    """Draws the run over the whole terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def open(self) -> None:
        """Take the terminal."""
        self._live.start()

    def update(self, snapshot: Snapshot) -> None:
        """Draw what is known now."""
        width, height = self._console.size
        self._live.update(render(snapshot, width, height), refresh=True)

    def slot(self, snapshot: Snapshot) -> None:
        """Shown with the next update."""

    def event(self, text: str) -> None:
        """Shown with the next update."""

    def close(self) -> None:
        """Give the terminal back."""
        self._live.stop()


class PlainView:
    """Prints one line a slot, and one an event."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._waiting_for = ''

    def open(self) -> None:
        """Nothing to prepare."""

    def update(self, snapshot: Snapshot) -> None:
        """Say whom the coordinator waits for."""
        waiting_for = snapshot.detail if snapshot.state == 'waiting' else ''
        if waiting_for and waiting_for != self._waiting_for:
            self._print(f'waiting {waiting_for}')
        self._waiting_for = waiting_for

    def slot(self, snapshot: Snapshot) -> None:
        """Print how the slot went."""
        self._print(plain_line(snapshot))

    def event(self, text: str) -> None:
        """Print the event."""
        self._print(text)

    def close(self) -> None:
        """Nothing to give back."""

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)
