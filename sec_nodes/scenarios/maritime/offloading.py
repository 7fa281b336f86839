"""maritime task by task, as the ROS nodes have it: devices bring urgent data to their UAV.

A task is the urgent data of one device; where it goes is no question, only what the UAV passes on.
Qi et al., IEEE Internet Things J. 2025; symbols as in `scenario`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sec_nodes.physics import channel
from sec_nodes.scenarios.maritime.devices import device_rate_bit_s, noise_w
from sec_nodes.scenarios.maritime.scenario import Maritime
from sec_nodes.scenarios.maritime.settings import MaritimeSettings
from sec_nodes.scenarios.maritime.stages import TOLERANCE
from sec_nodes.scenarios.offloading import Offloading
from sec_nodes.scenarios.stages import QueueRule
from sec_nodes.slot import (
    LOCAL,
    BoolArray,
    FloatArray,
    IntArray,
    LinkTable,
    ModelTable,
    RelayPlan,
    RelayTable,
    SlotState,
)


@dataclass(frozen=True)
class Storage:
    """What the UAVs report of their storage, and who has data for it."""

    stored_bit: FloatArray
    """(M,) [bit]."""
    streaming: IntArray
    """Rows of the devices that have data to be stored."""
    satellite_gain: FloatArray
    """(M,) power gain from each UAV to the satellite; 0 while it is not in view."""


class MaritimeOffloading(Offloading):
    """Costs and constraints of a slot of maritime.

    Devices cannot compute, and each talks to the UAV above it, without propagation, (11).
    Sub-channels depend on how many devices share them, (5) and (6).

    Args:
        settings: the scenario.
    """

    devices_compute: ClassVar[bool] = False
    shares_computers: ClassVar[bool] = False
    own_controllers: ClassVar[bool] = True
    answers_count: ClassVar[bool] = False
    queue = QueueRule(enabled=False)
    settings: MaritimeSettings

    def __init__(self, settings: MaritimeSettings) -> None:
        models = (settings.flown.uav_model, settings.flown.satellite_model)
        one_cut = np.zeros((len(models), 1))
        super().__init__(
            settings,
            ModelTable(
                model_id=models,
                accuracy=np.ones(len(models)),
                n_cuts=np.ones(len(models), dtype=np.int64),
                front_flop=one_cut,
                start_flop=one_cut,
                back_flop=one_cut,
                cut_bit=one_cut,
            ),
        )
        self.physical = Maritime(settings)
        """The same system in copies."""

    @property
    def transmit_power_w(self) -> tuple[float, float]:
        """Transmit power of a device, which nobody chooses [W]."""
        power_w = self.settings.devices.transmit_power_w
        return power_w, power_w

    def upload_rate_bit_s(
        self, links: LinkTable, device: IntArray, server: IntArray, power_w: FloatArray
    ) -> FloatArray:
        """Eq. (5): those that send to the same UAV share its band for urgent data."""
        return self._shared_rate_bit_s(
            links, device, server, self.settings.radio.sensitive_share, power_w
        )

    def stream_rate_bit_s(
        self, links: LinkTable, device: IntArray, server: IntArray
    ) -> FloatArray:
        """(K,) eq. (6): rates of devices whose data are to be stored [bit/s].

        Args:
            links: links of the slot.
            device: (K,) rows of `links`, of all such devices of the slot.
            server: (K,) UAV of each.
        """
        share = 1.0 - self.settings.radio.sensitive_share
        power_w = self.settings.devices.transmit_power_w
        return self._shared_rate_bit_s(links, device, server, share, np.full(len(device), power_w))

    def airspace_m(self) -> tuple[FloatArray, FloatArray]:
        """The area, at the altitude of the UAVs."""
        (east_m, north_m), up_m = self.settings.area_m, self.settings.uavs.altitude_m
        return np.array([0.0, 0.0, up_m]), np.array([east_m, north_m, up_m])

    def uav_of(self, device_id: IntArray | Sequence[int]) -> IntArray:
        """The UAV above each device, by their identifiers."""
        return np.asarray(device_id, dtype=np.int64) // self.settings.columns

    def relay_table(self, state: SlotState, storage: Storage) -> RelayTable:
        """What each UAV has to pass on in a slot; nothing where it is not there.

        Args:
            state: the slot, whose tasks are the urgent data.
            storage: what was reported of the storages.
        """
        m = state.n_uavs
        alive = state.servers.alive[:m]
        there = np.where(alive, 1.0, 0.0)
        tasks, links = state.tasks, state.links
        uav = self.uav_of(state.devices.device_id[tasks.device])
        power_w = np.full(state.n_tasks, self.settings.devices.transmit_power_w)
        rate_bit_s = self.upload_rate_bit_s(links, tasks.device, uav, power_w)
        each_s = channel.transmission_time_s(tasks.input_bit, rate_bit_s)
        upload_s = np.zeros(m)
        np.maximum.at(upload_s, uav, each_s)
        above = self.uav_of(state.devices.device_id[storage.streaming])
        stream_bit_s = self.stream_rate_bit_s(links, storage.streaming, above)
        in_view = alive & (storage.satellite_gain > 0) & bool(state.servers.alive[m:].any())
        return RelayTable(
            alive=alive,
            satellite=np.where(in_view, m, LOCAL),
            satellite_gain=np.where(in_view, storage.satellite_gain, 0.0),
            batch_bit=there * np.bincount(uav, tasks.input_bit, minlength=m),
            upload_s=np.where(alive, upload_s, 0.0),
            collect_rate_bit_s=there * np.bincount(above, stream_bit_s, minlength=m),
            stored_bit=there * storage.stored_bit,
            storage_bit=np.full(m, self.settings.uavs.storage_bit),
        )

    def sound_relays(self, relays: RelayTable, plan: RelayPlan) -> tuple[RelayPlan, BoolArray]:
        """Orders within (28a) to (28e), as `Maritime.evaluate` holds them; none without satellite.

        Ratios, powers and start times beyond their limits are held at them, and shares of the
        satellite's CPU shrink in proportion if they exceed it together.
        """
        settings, slack = self.settings, 1.0 + TOLERANCE
        given_hz, supply_hz = plan.cpu_hz.sum(), settings.satellite.cpu_hz
        reach = relays.satellite != LOCAL
        held = (
            (plan.ratio > slack)
            | (plan.power_w > settings.uavs.largest_power_w * slack)
            | (plan.start_s > settings.slot_s * slack)
            | ((plan.cpu_hz > 0) & (given_hz > supply_hz * slack))
            | (~reach & relays.alive & (plan.ratio > 0))
        )
        return (
            RelayPlan(
                ratio=np.where(reach, np.minimum(plan.ratio, 1.0), 0.0),
                power_w=np.where(
                    reach, np.minimum(plan.power_w, settings.uavs.largest_power_w), 0
                ),
                cpu_hz=np.where(reach, plan.cpu_hz * min(1.0, supply_hz / max(given_hz, 1.0)), 0),
                start_s=np.minimum(plan.start_s, settings.slot_s),
            ),
            held,
        )

    def link_table(self, gain: FloatArray, covered: BoolArray, satellite_s: float) -> LinkTable:
        """Links of a slot from gains (D, M) to UAVs and who is `covered` by them.

        Args:
            gain: (D, M) power gains; 0 to all but the UAV above.
            covered: (D, M) whether a UAV serves a device.
            satellite_s: how long the satellite stays in view [s].
        """
        radio, power_w = self.settings.radio, self.settings.devices.transmit_power_w
        devices, m = gain.shape
        column = np.zeros((devices, 1))
        rate_bit_s = device_rate_bit_s(radio, radio.uav_bandwidth_hz, power_w, gain)
        bandwidth_hz = np.append(np.full(m, radio.uav_bandwidth_hz), self.physical.band_hz)
        return LinkTable(
            gain=np.hstack([gain, column]),
            rate_bit_s=np.hstack([rate_bit_s, column]),
            downlink_rate_bit_s=np.hstack([rate_bit_s, column]),
            delay_s=np.zeros((devices, m + 1)),
            reachable=np.hstack([covered, column.astype(bool)]),
            loss=np.zeros((devices, m + 1)),
            bandwidth_hz=bandwidth_hz,
            noise_w=np.append(
                np.full(m, noise_w(radio, radio.uav_bandwidth_hz)), self.physical.noise_w
            ),
            receiver=np.arange(m + 1),
            hops=np.zeros(m + 1, dtype=np.int64),
            isl_m=np.zeros(m + 1),
            remaining_s=np.append(np.full(m, np.inf), satellite_s),
        )

    def _shared_rate_bit_s(
        self,
        links: LinkTable,
        device: IntArray,
        server: IntArray,
        share: float,
        power_w: FloatArray,
    ) -> FloatArray:
        """Rates in equal orthogonal parts of a share of the band."""
        radio = self.settings.radio
        sharers = np.bincount(server, minlength=1)[server]
        band_hz = share * radio.uav_bandwidth_hz / sharers
        return device_rate_bit_s(radio, band_hz, power_w, links.gain[device, server])
