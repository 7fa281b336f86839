"""What has arrived on the ground is noted once, and announced once, across restarts."""

from __future__ import annotations

import shutil
from pathlib import Path

from sec_nodes.loop.deliveries import Arrival, Deliveries

FIRST = Arrival('d3-0', 4, 'satellite_0', 12.5)
SECOND = Arrival('d1-2', 5, 'satellite_0', 15.25)


def test_each_is_noted_and_announced_once(tmp_path: Path) -> None:
    path = tmp_path / 'deliveries.sqlite'
    deliveries = Deliveries(path)
    for arrival in (FIRST, SECOND, Arrival('d3-0', 9, 'satellite_0', 27.0)):
        deliveries.note(arrival)
    assert deliveries.unannounced() == [FIRST, SECOND]
    deliveries.announced('d3-0')
    deliveries.note(FIRST)
    assert (deliveries.unannounced(), deliveries.count()) == ([SECOND], 2)
    shutil.copytree(tmp_path, tmp_path.with_name('left'))  # as a killed process leaves it
    deliveries.close()
    for folder in (tmp_path, tmp_path.with_name('left')):
        again = Deliveries(folder / path.name)
        assert (again.unannounced(), again.count()) == ([SECOND], 2)
        again.close()
