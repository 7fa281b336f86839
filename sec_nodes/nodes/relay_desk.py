"""What the relays of a slot have to pass on, from reports, and their orders, from a plan."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from sec_nodes.nodes.base import BadMessageError
from sec_nodes.nodes.relay_messages import relay_messages, relay_order
from sec_nodes.scenarios.maritime.offloading import MaritimeOffloading, Storage
from sec_nodes.slot import LOCAL, IntArray, RelayPlan, SlotState
from sec_nodes.world import World
from sec_offload import msg


class RelayDesk:
    """The coordinator's part in what UAVs pass on to the satellite.

    Args:
        scenario: rates and limits.
    """

    def __init__(self, scenario: MaritimeOffloading) -> None:
        self._scenario = scenario
        self._streaming: IntArray = np.zeros(0, dtype=np.int64)
        self._orders: list[msg.RelayOrder] = []

    def complete(
        self, message: msg.SlotState, state: SlotState, streaming: list[int]
    ) -> SlotState:
        """Fill in the relays of a slot, in its message as well.

        Args:
            message: the slot, with its links and tasks.
            state: the same.
            streaming: rows of devices that have data to be stored.

        Raises:
            BadMessageError: the link table has not a sound gain for each UAV.
        """
        gain = np.array(message.links.relay_gain, dtype=float)
        if gain.shape != (state.n_uavs,) or not np.all(np.isfinite(gain) & (gain >= 0)):
            raise BadMessageError(
                f'link table: relay_gain is {gain}, but must be one number >= 0 for each of '
                f'{state.n_uavs} UAVs'
            )
        self._streaming = np.array(streaming, dtype=np.int64)
        stored_bit = np.array([server.stored_bit for server in message.servers[: state.n_uavs]])
        relays = self._scenario.relay_table(state, Storage(stored_bit, self._streaming, gain))
        message.relays = relay_messages(relays)
        return replace(state, relays=relays)

    def orders(self, state: SlotState, plan: RelayPlan) -> list[msg.RelayOrder]:
        """What each living UAV shall do, and who has data for its storage."""
        relays = state.relays
        if relays is None:
            return []
        physical = self._scenario.physical
        rate_bit_s = physical.relay_rate_bit_s(
            relays.satellite_gain, self._scenario.settings.uavs.upload_power_w
        )
        streams = self._streams(state)
        self._orders = []
        for uav in np.flatnonzero(relays.alive).tolist():
            order = relay_order(plan, uav, int(relays.satellite[uav]), float(rate_bit_s[uav]))
            order.stream_device_id = [device for device, _ in streams[uav]]
            order.stream_rate_bit_s = [rate for _, rate in streams[uav]]
            self._orders.append(order)
        return self._orders

    def orders_alone(self) -> list[msg.RelayOrder]:
        """The same orders for UAVs that lost their satellite."""
        alone = []
        for order in self._orders:
            if order.satellite != LOCAL:
                order.satellite, order.upload_rate_bit_s = LOCAL, 0.0
                order.ratio = order.power_w = order.cpu_hz = 0.0
                alone.append(order)
        return alone

    def _streams(self, state: SlotState) -> dict[int, list[tuple[int, float]]]:
        """Devices with data to be stored, and their rates, by UAV."""
        device_id = state.devices.device_id[self._streaming]
        uav = self._scenario.uav_of(device_id)
        rate_bit_s = self._scenario.stream_rate_bit_s(state.links, self._streaming, uav)
        streams: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for device, above, rate in zip(device_id, uav, rate_bit_s, strict=True):
            streams[int(above)].append((int(device), float(rate)))
        return streams


def relay_desk(world: World) -> RelayDesk | None:
    """The desk of a world; None if its UAVs pass nothing on."""
    scenario = world.scenario
    return RelayDesk(scenario) if isinstance(scenario, MaritimeOffloading) else None
