"""Node `satellite`: satellites that compute, the orbits above the site and the routes in space."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sec_nodes.loop.satellites import SatelliteView
from sec_nodes.nodes import names
from sec_nodes.nodes.base import flown_kind, own_ids, run
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.server import ServerNode, with_energy
from sec_nodes.nodes.serving import Lane, ServerParameters
from sec_nodes.nodes.vector_messages import point, vector3
from sec_nodes.slot import ServerKind
from sec_offload import msg

PASSES_AHEAD_S = 1800.0


@dataclass(frozen=True)
class Parameters(ServerParameters):
    """Parameters of the node `satellite`."""


class SatelliteNode(ServerNode):
    """Serving satellites of one process; every process knows the whole constellation."""

    def __init__(self) -> None:
        super().__init__('satellite', Parameters)
        self.worker = ThreadPoolExecutor(1, thread_name_prefix='orbits')
        self.sky = self.world.sky(self.chosen.seed)
        self.view: SatelliteView = self.sky.at(0.0)
        self.ahead: tuple[float, Future[SatelliteView]] | None = None
        self.passes_until_s = 0.0
        self.windows = self.advertise(names.VISIBILITY)
        self.announce_passes(0.0)

    def close(self) -> None:
        """Stop the threads."""
        self.worker.shutdown(wait=False, cancel_futures=True)
        super().close()

    def make_lanes(self) -> list[Lane]:
        """One lane a serving satellite."""
        settings = self.world.settings
        return [
            self.lane(settings.uavs.count + number)
            for number in own_ids(self.chosen.ids, settings.satellites.count)
        ]

    def advance(self, time_s: float) -> None:
        """Follow the orbits, and announce the passes ahead."""
        if self.ahead is not None and self.ahead[0] == time_s:
            self.view = self.ahead[1].result()
        else:
            self.view = self.sky.at(time_s)
        # the next slot opens a slot later: look ahead while there is time
        following_s = time_s + self.world.settings.slot_s
        self.ahead = (following_s, self.worker.submit(self.sky.at, following_s))
        if time_s > self.passes_until_s - PASSES_AHEAD_S / 2:
            self.announce_passes(time_s)

    def describe(self, time_s: float) -> list[msg.ServerState]:
        """Where the satellites are, and through which one the ground reaches them."""
        view, first = self.view, self.world.settings.uavs.count
        states = []
        for lane in self.lanes.values():
            number = lane.server_id - first
            state = msg.ServerState(
                kind=int(ServerKind.SATELLITE),
                position=point(view.position_m[number]),
                velocity=vector3(view.velocity_m_s[number]),
                in_view=bool(view.in_view[number]),
                # receivers share one numbering, in which UAVs come first
                receiver=first + int(view.access[number]),
                receiver_position=point(view.access_position_m[number]),
                hops=int(view.hops[number]),
                isl_m=float(view.isl_m[number]),
                remaining_s=float(view.remaining_s[number]),
            )
            states.append(with_energy(state, lane.energy_used_j, None))
        return states

    def announce_passes(self, time_s: float) -> None:
        """Publish the passes of the next half hour."""
        self.passes_until_s = time_s + PASSES_AHEAD_S
        windows, labels = self.sky.windows, self.sky.labels
        message = msg.VisibilityWindows(minimum_elevation_rad=self.sky.mask_rad)
        message.header.stamp = to_stamp(time_s)
        message.windows = [
            msg.VisibilityWindow(
                satellite=int(windows.satellite[row]),
                name=labels[windows.satellite[row]],
                rise_s=float(windows.rise_s[row]),
                set_s=float(windows.set_s[row]),
                peak_elevation_rad=float(windows.peak_elevation_rad[row]),
            )
            for row in self.sky.passes(time_s, self.passes_until_s)
        ]
        self.windows.publish(message)


def make() -> SatelliteNode:
    """The node as its scenario needs it."""
    with flown_kind('satellite') as kind:
        if kind != 'relays':
            return SatelliteNode()
        from sec_nodes.nodes.relay_satellite import RelaySatelliteNode

        return RelaySatelliteNode()


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(make, args)


if __name__ == '__main__':
    main()
