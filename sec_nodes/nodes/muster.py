"""The coordinator's list of who is there: what devices and servers say of themselves, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from sec_nodes.loop.roster import Roster
from sec_nodes.nodes.base import SecNode
from sec_nodes.nodes.vector_messages import are_finite
from sec_nodes.world import World
from sec_offload import msg

LONGEST_NAP_S = 0.1
"""Most wall time between two looks that counts as silence of others [s]: a coordinator that was
kept from running has not listened."""
DEVICE_PATIENCE_S = 1.0
"""Least silence after which a device is lost [s; wall time]: its tasks cannot go on elsewhere, so
that there is no hurry."""


class Muster:
    """Rosters of devices and servers, kept by their reports.

    Args:
        node: the coordinator.
        world: says who is expected.
        timeout_s: silence after which a server is missing [s; wall time].
        patience: how many times longer silence may last.
        others: names of nodes that say when they are ready, separated by commas.
    """

    def __init__(
        self, node: SecNode, world: World, timeout_s: float, patience: float, others: str
    ) -> None:
        settings = world.settings
        self.devices: Roster[Any] = Roster(
            list(range(settings.n_devices)), patience * max(timeout_s, DEVICE_PATIENCE_S)
        )
        self.servers: Roster[msg.ServerState] = Roster(
            list(range(settings.n_servers)), patience * timeout_s
        )
        self.names = [world.scenario.server_name(server) for server in self.servers.expected]
        """Of the servers."""
        self.unready = {name.strip() for name in others.split(',')} - {''}
        """Nodes that have not yet said that they are ready."""
        self.listened_s = 0.0
        """Wall time in which the coordinator has listened [s]; silence is counted in it."""
        self._node, self._looked_at = node, time.monotonic()

    def look(self) -> None:
        """Let time pass."""
        at = time.monotonic()
        self.listened_s += min(at - self._looked_at, LONGEST_NAP_S)
        self._looked_at = at

    def absent(self) -> list[str]:
        """Who has never said anything."""
        devices = [f'device {device}' for device in self.devices.absent()]
        servers = [self.names[server] for server in self.servers.absent()]
        return [*devices, *servers, *sorted(self.unready)]

    def awaited(self, slot: int) -> bool:
        """Whether a living device or server has not yet reported on a slot."""
        return bool(self.devices.awaited(slot) or self.servers.awaited(slot))

    def hear_devices(self, report: msg.DeviceReport) -> None:
        """Devices live, and are somewhere."""
        moved = zip(
            report.device_id,
            report.position,
            report.velocity,
            report.flop_s,
            report.backlog_s,
            report.streaming or [False] * len(report.device_id),
            strict=False,
        )
        for device, *state in moved:
            if device not in self.devices.expected:
                self._node.complain('unknown device', f'{device}')
            elif not are_finite(*state):
                self._node.complain('bad device_report', f'device {device} is nowhere')
            else:
                self.devices.heard(device, state, report.slot, self.listened_s)

    def sound_servers(self, report: msg.ServerReport) -> Iterator[msg.ServerState]:
        """Those servers of a report that can be; the others are counted."""
        for state in report.servers:
            if state.server_id not in self.servers.expected:
                self._node.complain('unknown server', f'{state.server_id} ({state.name})')
            elif not are_finite(state.position, state.velocity, state.receiver_position):
                self._node.complain('bad server_report', f'{state.name} is nowhere')
            else:
                yield state
