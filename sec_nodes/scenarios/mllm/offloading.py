"""mllm task by task, as the ROS nodes and controllers of single slots have it.

Stages and constraints are those of `slot.py`, from the same radio, for one system and any set of
tasks. Three things are left to whoever plays a slot: UAVs transmit where they are when it begins,
a task that would wait too long is refused instead of priced, and so is one whose access satellite
sets before it is there.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sec_nodes.physics.channel import shannon_rate_bit_s
from sec_nodes.physics.constants import SPEED_OF_LIGHT_M_S
from sec_nodes.scenarios.mllm.links import Links
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.offloading import Offloading
from sec_nodes.scenarios.stages import QueueRule, Stage, Way
from sec_nodes.slot import BoolArray, FloatArray, IntArray, LinkTable, ModelTable, SlotState


class MllmOffloading(Offloading):
    """Costs and constraints of a slot of mllm.

    Every server has one cut: everything behind it. A step is a word of the answer. Devices cannot
    compute, so no task stays there, and servers do not share their computers.

    Args:
        settings: the scenario, complete as `read_settings` gives it.
    """

    devices_compute: ClassVar[bool] = False
    shares_computers: ClassVar[bool] = False
    settings: MllmSettings

    def __init__(self, settings: MllmSettings) -> None:
        settings.require_complete()
        models, self.server_model = model_table(settings)
        super().__init__(settings, models)
        self.links = Links(settings)
        self.longest_upload_s = settings.radio.longest_upload_s
        self.queue = QueueRule(settings.queue.enabled, settings.queue.longest_wait_s)

    @property
    def transmit_power_w(self) -> tuple[float, float]:
        """Least and largest transmit power of a device [W]."""
        return self.settings.devices.power_w

    def upload_rate_bit_s(
        self, links: LinkTable, device: IntArray, server: IntArray, power_w: FloatArray
    ) -> FloatArray:
        """Eqs (8), (10), with the scenario's kind of interference."""
        if not len(device):
            return np.zeros(0)
        everybody = np.ones((1, len(device)), dtype=np.bool_)
        # the column of a receiver has the gain to itself, as the column of whom it relays for
        uplink = self.links.upload(
            links.gain[device][None], power_w[None], links.receiver[server][None], everybody
        )
        rate_bit_s: FloatArray = uplink.rate_bit_s[0]
        return rate_bit_s

    def carried(
        self, way: Way, size_bit: FloatArray, radio_s: FloatArray, power_w: FloatArray
    ) -> Stage:
        """Eqs (12), (13), (20) to (22), (25), (26); the sender pays for propagation as printed."""
        satellites = self.settings.satellites
        chain_s = way.isl_m / SPEED_OF_LIGHT_M_S
        send_s = radio_s + (way.delay_s - chain_s)
        forward_s = chain_s + way.hops * size_bit / satellites.isl_rate_bit_s
        return Stage(send_s + forward_s, power_w * send_s + satellites.isl_power_w * forward_s)

    def view_needed_s(self, state: SlotState) -> FloatArray:
        """(K,) twice the longest deadline of the tasks [s]."""
        longest_s = float(state.tasks.deadline_s.max(initial=0.0))
        return np.full(state.n_tasks, 2 * longest_s)

    def airspace_m(self) -> tuple[FloatArray, FloatArray]:
        """The area, at the altitude of each UAV."""
        (east_m, north_m), altitude_m = self.settings.area_m, self.settings.uavs.altitude_m
        return (
            np.array([[0.0, 0.0, up] for up in altitude_m]),
            np.array([[east_m, north_m, up] for up in altitude_m]),
        )

    def by_tier(self, of_uavs: float, of_satellites: float) -> FloatArray:
        """(S,) one value for the UAVs, another for the satellites."""
        is_uav = np.arange(self.settings.n_servers) < self.settings.uavs.count
        return np.where(is_uav, of_uavs, of_satellites)

    def link_table(
        self,
        gain: FloatArray,
        covered: BoolArray,
        slant_m: FloatArray,
        isl_m: FloatArray,
        has_access: BoolArray,
        receiver: IntArray,
        hops: IntArray,
        remaining_s: FloatArray,
    ) -> LinkTable:
        """Links from gains and routes.

        Args:
            gain: (D, S) power gains to the receiver of each server.
            covered: (D, M) which UAVs cover which devices.
            slant_m: (N,) distance of each satellite's access satellite [m].
            isl_m: (N,) length of the inter-satellite links behind it [m].
            has_access: (N,) whether there is one.
            receiver: (S,) server that receives for each server.
            hops: (S,) inter-satellite links.
            remaining_s: (S,) time until the receiver sets [s].
        """
        radio, m = self.settings.radio, self.settings.uavs.count
        devices = len(gain)
        bandwidth_hz = self.by_tier(radio.uav_bandwidth_hz, radio.satellite_bandwidth_hz)
        noise_w = self.links.noise_w
        own_w = gain * self.by_tier(
            self.settings.uavs.transmit_power_w, self.settings.satellites.transmit_power_w
        )
        others_w = np.zeros_like(own_w)
        others_w[:, :m] = own_w[:, :m].sum(axis=1, keepdims=True) - own_w[:, :m]
        full_power_w = self.settings.devices.power_w[1]
        # the paper neglects the propagation to UAVs
        delay_s = np.concatenate([np.zeros(m), (slant_m + isl_m) / SPEED_OF_LIGHT_M_S])
        return LinkTable(
            gain=gain,
            rate_bit_s=shannon_rate_bit_s(bandwidth_hz, gain * full_power_w / noise_w),
            downlink_rate_bit_s=shannon_rate_bit_s(
                bandwidth_hz, own_w / (noise_w + np.maximum(others_w, 0.0))
            ),
            delay_s=np.tile(delay_s, (devices, 1)),
            reachable=np.concatenate([covered, np.tile(has_access, (devices, 1))], axis=1),
            loss=np.zeros(gain.shape),
            bandwidth_hz=bandwidth_hz,
            noise_w=noise_w,
            receiver=receiver,
            hops=hops,
            isl_m=np.concatenate([np.zeros(m), isl_m]),
            remaining_s=remaining_s,
        )


def model_table(settings: MllmSettings) -> tuple[ModelTable, IntArray]:
    """The models, and which of its rows each server (S,) runs.

    Where profiles give times, work is what the server's `flop_s` does in that time. Servers that
    do the same work with the same model share a row. A model that satellites run at other work
    than UAVs has two, of which the second is called `MODEL@satellites`.
    """
    uavs, satellites = settings.uavs, settings.satellites
    names = [*(uavs.models or ()), *(satellites.models or ())]
    names = names or [f'mllm_{number}' for number in range(settings.n_servers)]
    rows: dict[tuple[str, float, float, float], int] = {}
    server_model = []
    numbered = iter(names)
    for tier in (uavs, satellites):
        for pace, accuracy in zip(tier.pace, tier.accuracy, strict=True):
            start_flop, word_flop = tier.flop_s * pace.start_s, tier.flop_s * pace.word_s
            row = (next(numbered), accuracy, start_flop, word_flop)
            server_model.append(rows.setdefault(row, len(rows)))
    model_id, accuracies, start_flops, word_flops = zip(*rows, strict=True)
    return ModelTable(
        model_id=tuple(
            f'{name}@satellites' if name in model_id[:number] else name
            for number, name in enumerate(model_id)
        ),
        accuracy=np.array(accuracies),
        n_cuts=np.ones(len(rows), dtype=np.int64),
        front_flop=np.zeros((len(rows), 1)),
        start_flop=np.array(start_flops)[:, None],
        back_flop=np.array(word_flops)[:, None],
        cut_bit=np.zeros((len(rows), 1)),
    ), np.array(server_model, dtype=np.int64)
