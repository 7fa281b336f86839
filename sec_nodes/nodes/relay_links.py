"""The channel between UAVs, satellite and ground station: frames, answers and stored data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sec_nodes.loop.deliveries import GROUND_STATION
from sec_nodes.nodes import names
from sec_nodes.nodes.base import SecNode
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.timing import Releases
from sec_nodes.scenarios.maritime import stages
from sec_nodes.world import World
from sec_offload import msg


class RelayLinks:
    """Delays what UAVs pass on, and says what cannot get through.

    Args:
        node: the channel.
        world: the system of the run.
        releases: keeps messages until they arrive.
        is_cut: whether the links of a server, by its number, are cut.
    """

    def __init__(
        self, node: SecNode, world: World, releases: Releases, is_cut: Callable[[int], bool]
    ) -> None:
        if world.relays is None:
            raise ValueError(f'scenario {world.settings.name} has no relays')
        self._node, self._world, self._releases, self._is_cut = node, world, releases, is_cut
        self._physical = world.relays
        self._propagation_s = 0.5 * world.relays.round_trip_s
        name_of = world.scenario.server_name
        first = world.settings.uavs.count
        self._numbers = {name_of(server): server for server in range(world.settings.n_servers)}
        self._relays = {
            server: node.advertise(names.VEHICLE_RELAY.of(name_of(server)))
            for server in range(first, world.settings.n_servers)
        }
        self._data = {
            receiver: node.advertise(names.VEHICLE_DATA.of(receiver))
            for receiver in (*self._numbers, GROUND_STATION)
        }
        self._results = node.advertise(names.RELAY_RESULT)
        self._receipts = node.advertise(names.DATA_RECEIPT)
        self.lifelines = (
            *self._relays.values(),
            *(self._data[receiver] for receiver in self._numbers),
            self._results,
            self._receipts,
            node.listen(names.RELAY_TX, self.on_relay),
            node.listen(names.RELAY_RESULT_TX, self.on_result),
            node.listen(names.DATA_TX, self.on_data),
        )

    def on_relay(self, batch: msg.RelayBatch) -> None:
        """Carry a UAV's frames to the satellite."""
        lost = self._broken(batch, batch.uav, batch.satellite)
        if not lost and not 0 < batch.size_bit < math.inf:
            lost = f'size_bit = {batch.size_bit}'
        if not lost and not 0 <= batch.power_w < math.inf:
            lost = f'power_w = {batch.power_w}'
        if not lost:
            gain = self._world.relay_gain(batch.slot)[batch.uav]
            rate_bit_s = self._physical.relay_rate_bit_s(gain, batch.power_w)
            batch.transmit_s = float(
                stages.sending(batch.size_bit, rate_bit_s, batch.power_w).time_s
            )
            lost = '' if math.isfinite(batch.transmit_s) else 'no satellite in view'
        if lost:
            self._lose(batch, lost)
            return
        self._arrives(batch, batch.transmit_s, self._relays[batch.satellite])

    def on_result(self, result: msg.RelayResult) -> None:
        """Carry the satellite's answers back."""
        lost = self._broken(result, result.uav, result.satellite)
        if lost:
            self._lose(result, lost)
            return
        self._arrives(result, 0.0, self._results)

    def on_data(self, batch: msg.DataBatch) -> None:
        """Carry stored data one hop further."""
        ends = [
            self._numbers[end] for end in (batch.sender, batch.receiver) if end in self._numbers
        ]
        lost = ''
        if batch.receiver not in self._data:
            lost = f'no receiver {batch.receiver!r}'
        elif not self._data[batch.receiver].get_subscription_count():
            lost = f'{batch.receiver} does not listen'
        elif any(map(self._is_cut, ends)):
            lost = 'the link is cut'
        elif not 0 <= batch.ready_s < math.inf:
            lost = f'ready_s = {batch.ready_s}'
        if lost:
            self._node.complain('data lost', f'{batch.sender} to {batch.receiver}: {lost}')
            self._receipts.publish(_nothing_held(batch, lost))
            return
        publisher = self._data[batch.receiver]
        to_space = batch.receiver == GROUND_STATION or batch.sender.startswith('uav_')
        self._arrives(batch, 0.0, publisher, self._propagation_s if to_space else 0.0)

    def _arrives(
        self, item: Any, radio_s: float, publisher: Any, propagation_s: float | None = None
    ) -> None:
        item.ready_s += radio_s + (self._propagation_s if propagation_s is None else propagation_s)
        item.header.stamp = to_stamp(item.ready_s)
        self._releases.at(item.ready_s, lambda: publisher.publish(item))

    def _broken(self, item: Any, uav: int, satellite: int) -> str:
        """Why something cannot get from a UAV to the satellite, or back; empty if it can."""
        if uav >= self._world.settings.uavs.count or satellite not in self._relays:
            return f'no servers {uav} and {satellite}'
        if not 0 <= item.ready_s < math.inf:
            return f'ready_s = {item.ready_s}'
        return 'the link is cut' if self._is_cut(uav) or self._is_cut(satellite) else ''

    def _lose(self, item: Any, reason: str) -> None:
        """Tell the UAV that it gets no answers."""
        self._node.complain('relay lost', f'slot {item.slot} of UAV {item.uav}: {reason}')
        self._results.publish(
            msg.RelayResult(slot=item.slot, uav=item.uav, satellite=item.satellite, lost=reason)
        )


def _nothing_held(batch: msg.DataBatch, reason: str) -> msg.DataReceipt:
    """What a sender gets in place of a receipt."""
    file_id = list(dict.fromkeys(segment.file_id for segment in batch.segments))
    return msg.DataReceipt(
        slot=batch.slot,
        sender=batch.sender,
        receiver=batch.receiver,
        last=batch.last,
        lost=reason,
        file_id=file_id,
        held_byte=[0] * len(file_id),
    )
