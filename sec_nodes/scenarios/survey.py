"""survey: pictures of the sea, answered by devices, UAVs or satellites.

Radio, delays and the objective are those of Yan et al., Drones 2025, 9, 500 (equations are
quoted by their numbers there), with a queue at each server and networks that may be cut between
layers as in Meng and Li. Two differences from Yan et al.: the transmitter is not charged for
propagation time, and a device may answer by itself.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sec_nodes.physics import channel, workload
from sec_nodes.scenarios.offloading import Offloading
from sec_nodes.scenarios.stages import Stage, Way
from sec_nodes.scenarios.survey_settings import SurveySettings
from sec_nodes.slot import FloatArray, IntArray, LinkTable, SlotState


class Survey(Offloading):
    """Costs and constraints of a slot of the survey scenario."""

    devices_compute: ClassVar[bool] = True
    shares_computers: ClassVar[bool] = True
    settings: SurveySettings

    @property
    def transmit_power_w(self) -> tuple[float, float]:
        """Least and largest transmit power of a device [W]."""
        return self.settings.devices.transmit_power_w

    def front(self, flop: FloatArray, flop_s: FloatArray) -> Stage:
        """Layers on the device, cf. Yan et al., eqs (14), (15)."""
        work_flop = np.asarray(flop)
        time_s = workload.compute_time_s(work_flop, flop_s)
        return Stage(time_s, self.settings.devices.compute_j_per_flop * work_flop)

    def upload_rate_bit_s(
        self, links: LinkTable, device: IntArray, server: IntArray, power_w: FloatArray
    ) -> FloatArray:
        """Eqs (8), (10) with the interference of the other transmitters at the same receiver."""
        received_w = links.gain[device, server] * power_w
        receivers, receiver = np.unique(links.receiver[server], return_inverse=True)
        interference_w = channel.same_receiver_interference_w(
            received_w, receiver, max(len(receivers), 1)
        )
        residual = channel.db_to_ratio(self.settings.radio.residual_interference_db)
        sinr = channel.sinr(received_w, interference_w, links.noise_w[server], float(residual))
        return channel.shannon_rate_bit_s(links.bandwidth_hz[server], sinr)

    def carried(
        self, way: Way, size_bit: FloatArray, radio_s: FloatArray, power_w: FloatArray
    ) -> Stage:
        """Eqs (12), (20), (16), (25); (13), (22), (17), (26) without propagation energy."""
        satellites = self.settings.satellites
        relay_s = way.hops * size_bit / satellites.isl_rate_bit_s
        return Stage(
            radio_s + way.delay_s + relay_s, power_w * radio_s + satellites.isl_power_w * relay_s
        )

    def view_needed_s(self, state: SlotState) -> FloatArray:
        """(K,) until the task's own deadline [s]."""
        return state.tasks.deadline_s

    def airspace_m(self) -> tuple[FloatArray, FloatArray]:
        """The area, between the lowest and the highest altitude."""
        (east_m, north_m), altitude_m = self.settings.area_m, self.settings.uavs.altitude_m
        shape = (self.settings.uavs.count, 1)
        return (
            np.tile([0.0, 0.0, min(altitude_m)], shape),
            np.tile([east_m, north_m, max(altitude_m)], shape),
        )
