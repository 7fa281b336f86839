"""partial task by task, as the ROS nodes have it: each terminal's network is cut once.

Liu et al., Sensors 2026, 26(11), 3540; symbols as in `scenario`. Work is counted in bits of the
network, as D is; `steps` of a task is F, which turns it into cycles.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from sec_nodes.physics import channel
from sec_nodes.physics.energy import computing_energy_j
from sec_nodes.physics.urban import path_loss_db
from sec_nodes.scenarios.offloading import Offloading
from sec_nodes.scenarios.partial.scenario import TOLERANCE_HZ, Partial
from sec_nodes.scenarios.partial.settings import PartialSettings
from sec_nodes.scenarios.stages import QueueRule, Stage, Violation
from sec_nodes.slot import (
    FloatArray,
    IntArray,
    LinkTable,
    MissionPlan,
    ModelTable,
    SlotDecision,
    SlotState,
)

START_SLACK_M = 50.0
"""How far from a UAV a plan for it may begin: what it is off the plan before, and then some."""
AIRSPACE_MARGIN_M = 100.0
"""How far UAVs may turn outside the area in which terminals are: the paper sets no limit."""
_SPEED_SLACK = 1e-6


class PartialOffloading(Offloading):
    """Costs and constraints of a slot of partial.

    Each device has a sub-channel of its own, (4), and nothing is propagated, (7), (11).

    Args:
        settings: the scenario; it must name networks.

    Raises:
        ValueError: it names none.
    """

    devices_compute: ClassVar[bool] = True
    shares_computers: ClassVar[bool] = True
    own_controllers: ClassVar[bool] = True
    answers_count: ClassVar[bool] = False
    queue = QueueRule(enabled=False)
    settings: PartialSettings

    def __init__(self, settings: PartialSettings) -> None:
        super().__init__(settings, _models(settings))
        self.physical = Partial(settings)
        """The same system in copies."""

    @property
    def transmit_power_w(self) -> tuple[float, float]:
        """Transmit power of a device, which nobody chooses [W]."""
        power_w = self.settings.radio.transmit_power_w
        return power_w, power_w

    def front(self, flop: FloatArray, flop_s: FloatArray) -> Stage:
        """(6): layers on the device [cycle, cycle/s]; the paper does not count their energy."""
        time_s = np.asarray(flop / flop_s)
        return Stage(time_s, np.zeros_like(time_s))

    def back(self, flop: FloatArray, flop_s: FloatArray, power_w: FloatArray) -> Stage:
        """(8) and (9): layers on the UAV [cycle, cycle/s]; its power follows from its speed."""
        energy_j = computing_energy_j(flop, flop_s, self.settings.uavs.capacitance_j_s2)
        return Stage(np.asarray(flop / flop_s), energy_j)

    def airspace_m(self) -> tuple[FloatArray, FloatArray]:
        """The area and a margin around it, each UAV at its own altitude."""
        up_m = self.settings.altitudes_m
        sides_m = np.tile(self.settings.area_m, (len(up_m), 1))
        return (
            np.column_stack([np.full_like(sides_m, -AIRSPACE_MARGIN_M), up_m]),
            np.column_stack([sides_m + AIRSPACE_MARGIN_M, up_m]),
        )

    def violations(self, state: SlotState, decision: SlotDecision) -> IntArray:
        """(K,) as everywhere, and (10): shares of a UAV that exceed it, for each that has one."""
        flags = super().violations(state, decision)
        n_uavs = state.n_uavs
        known = (decision.server >= 0) & (decision.server < n_uavs)
        share = np.where(known & np.isfinite(decision.compute_share), decision.compute_share, 0.0)
        used = np.bincount(np.where(known, decision.server, 0), share, minlength=n_uavs)
        too_much = used > 1.0 + TOLERANCE_HZ / self.settings.uavs.cpu_hz
        flags[known & too_much[np.where(known, decision.server, 0)]] |= Violation.SHARE
        return flags

    def fault_of(self, state: SlotState, plan: MissionPlan) -> str:
        """Why UAVs cannot fly a plan; empty if they can.

        A path must begin near the UAV, reach to the end of the mission, and keep the airspace, the
        altitude and the speed limit; what tasks get of a processor must not exceed it.
        """
        settings = self.settings
        shape = (state.n_uavs, settings.slots - plan.slot + 1, 3)
        if plan.slot != state.slot or plan.waypoint_m.shape != shape:
            return (
                f'it begins in slot {plan.slot} with waypoints {plan.waypoint_m.shape}, but must '
                f'begin in slot {state.slot} with {shape}'
            )
        low_m, high_m = self.airspace_m()
        path_m = plan.waypoint_m
        # written so that a NaN fails too
        inside = (path_m >= low_m[:, None] - 1e-6) & (path_m <= high_m[:, None] + 1e-6)
        if not inside.all():
            return f'it leaves the airspace at {path_m[~inside.all(axis=-1)][0]} m'
        off_m = np.linalg.norm(path_m[:, 0] - state.servers.position_m[: state.n_uavs], axis=1)
        there = state.servers.alive[: state.n_uavs]
        if (off_m[there] > START_SLACK_M).any():
            return f'it begins {off_m[there].max():.0f} m away from where a UAV is'
        speed_m_s = np.linalg.norm(np.diff(path_m, axis=1), axis=2) / settings.slot_s
        if speed_m_s.max(initial=0.0) > settings.uavs.speed_m_s * (1 + _SPEED_SLACK) + 1e-5:
            return f'it asks for {speed_m_s.max():.2f} m/s of {settings.uavs.speed_m_s} m/s'
        return self._overload(state, plan)

    def link_table(
        self, distance_m: FloatArray, altitude_m: FloatArray, loss_db: FloatArray
    ) -> LinkTable:
        """Links of a slot.

        Args:
            distance_m: (D, M) horizontal distances.
            altitude_m: (M,) of the UAVs.
            loss_db: (D,) of the devices' links beyond the model.
        """
        radio, (devices, m) = self.settings.radio, distance_m.shape
        gain = self.gain(distance_m, altitude_m, loss_db)
        noise_w = channel.dbm_to_watt(radio.noise_dbm_hz) * radio.bandwidth_hz
        rate_bit_s = channel.shannon_rate_bit_s(
            radio.bandwidth_hz, radio.transmit_power_w * gain / noise_w
        )
        return LinkTable(
            gain=gain,
            rate_bit_s=rate_bit_s,
            downlink_rate_bit_s=rate_bit_s,
            delay_s=np.zeros((devices, m)),
            reachable=np.ones((devices, m), dtype=bool),
            loss=np.zeros((devices, m)),
            bandwidth_hz=np.full(m, radio.bandwidth_hz),
            noise_w=np.full(m, noise_w),
            receiver=np.arange(m),
            hops=np.zeros(m, dtype=np.int64),
            isl_m=np.zeros(m),
            remaining_s=np.full(m, np.inf),
        )

    def gain(
        self, distance_m: FloatArray, altitude_m: FloatArray, loss_db: FloatArray
    ) -> FloatArray:
        """(D, M) power gain 10^(-l/10) of (3); arguments as of `link_table`."""
        link = replace(
            self.settings.link,
            altitude_m=altitude_m,
            penetration_loss_db=self.settings.radio.penetration_loss_db + loss_db[:, None],
        )
        return channel.db_to_ratio(-path_loss_db(distance_m, link))

    def _overload(self, state: SlotState, plan: MissionPlan) -> str:
        cpu_hz, limit_hz = plan.cpu_hz, self.settings.uavs.cpu_hz
        if not (np.isfinite(cpu_hz) & (cpu_hz >= 0)).all():
            return f'cpu_hz holds {cpu_hz[~(np.isfinite(cpu_hz) & (cpu_hz >= 0))][0]}'
        served = (plan.server >= 0) & (plan.server < state.n_uavs)
        used_hz = np.bincount(plan.server[served], cpu_hz[served], minlength=state.n_uavs)
        if (used_hz > limit_hz + TOLERANCE_HZ).any():
            return f'it gives {used_hz.max() / 1e9:.3f} GHz of {limit_hz / 1e9:g} GHz'
        return ''


def _models(settings: PartialSettings) -> ModelTable:
    """The networks, work counted in bits of them."""
    names, menus = settings.tasks.networks, settings.tasks.menus_bit
    if names is None or menus is None:
        raise ValueError(
            'tasks.networks names no networks, so there is nothing that devices and UAVs could '
            'run; fly mode `flown`, or set it'
        )
    # the last cut leaves everything to the device
    n_cuts = np.array([len(menu) + 1 for menu in menus])
    shape = (len(menus), int(n_cuts.max()))
    back_bit, cut_bit = np.zeros(shape), np.zeros(shape)
    for row, menu in enumerate(menus):
        sizes = np.array(menu)
        back_bit[row, : len(menu)], cut_bit[row, : len(menu)] = sizes[:, 0], sizes[:, 1]
    return ModelTable(
        model_id=names,
        accuracy=np.ones(len(names)),
        n_cuts=n_cuts,
        front_flop=back_bit[:, :1] - back_bit,
        start_flop=np.zeros(shape),
        back_flop=back_bit,
        cut_bit=cut_bit,
    )
