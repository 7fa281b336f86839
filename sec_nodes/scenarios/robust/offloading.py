"""robust task by task, as the ROS nodes have it: each user's network is cut once a slot.

Meng and Li; symbols as in `scenario`. A controller decides on splits, association, backups and
goals of the UAVs, (30); powers and shares of computers follow by the scenario's rule.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from sec_nodes.physics import channel
from sec_nodes.physics.energy import computing_energy_j
from sec_nodes.scenarios.offloading import Offloading
from sec_nodes.scenarios.robust.allocation import Allocation, allocate
from sec_nodes.scenarios.robust.allocation import Offloading as Sent
from sec_nodes.scenarios.robust.motion import space
from sec_nodes.scenarios.robust.scenario import Robust
from sec_nodes.scenarios.robust.settings import RobustSettings
from sec_nodes.scenarios.stages import QueueRule, Stage, Violation
from sec_nodes.slot import (
    DECLINED,
    LOCAL,
    BoolArray,
    FloatArray,
    IntArray,
    LinkTable,
    ModelTable,
    SlotDecision,
    SlotState,
)

ORDER_S = 0.02
"""Kept free where orders are given within a slot [s]: they take a while to be carried out, which
no equation counts."""


class RobustOffloading(Offloading):
    """Costs and constraints of a slot of robust.

    Users do not disturb each other, (15), and nothing is propagated, (20), (21).

    Args:
        settings: the scenario.

    Raises:
        ValueError: its networks have no layers, see `RobustSettings.users`.
    """

    devices_compute: ClassVar[bool] = True
    shares_computers: ClassVar[bool] = True
    answers_count: ClassVar[bool] = False
    queue = QueueRule(enabled=False)
    settings: RobustSettings

    def __init__(self, settings: RobustSettings) -> None:
        self.physical = Robust(settings)
        """The same system in copies."""
        super().__init__(settings, model_table(self.physical))

    @property
    def transmit_power_w(self) -> tuple[float, float]:
        """Least and largest transmit power of a user [W], (28j)."""
        return 0.0, self.settings.users.power_max_w

    @property
    def residual_interference(self) -> float:
        """None: every user has a band of its own."""
        return 0.0

    def front(self, flop: FloatArray, flop_s: FloatArray) -> Stage:
        """(18), (19): layers on the user."""
        return self._computed(flop, flop_s)

    def back(self, flop: FloatArray, flop_s: FloatArray, power_w: FloatArray) -> Stage:
        """(24), (25): layers on the UAV; its power follows from the frequency."""
        return self._computed(flop, flop_s)

    def _computed(self, flop: FloatArray, flop_s: FloatArray) -> Stage:
        computing = self.settings.computing
        flop_s = np.maximum(flop_s, np.finfo(float).tiny)
        energy_j = computing_energy_j(
            flop / computing.flop_per_cycle,
            flop_s / computing.flop_per_cycle,
            computing.capacitance_j_s2,
        )
        return Stage(np.asarray(flop / flop_s), energy_j)

    def backhaul_rate_bit_s(self, from_m: FloatArray, to_m: FloatArray) -> float:
        """(16), (17): rate from a UAV to another, at places (3,) [m; map], in bit/s."""
        return float(self.physical.backhaul_rate_bit_s(np.asarray(to_m) - np.asarray(from_m)))

    def airspace_m(self) -> tuple[FloatArray, FloatArray]:
        """The area between the lowest and the highest altitude, (28c)."""
        low_m, high_m = space(self.settings)
        shape = (self.settings.uavs.count, 1)
        return np.tile(low_m, shape), np.tile(high_m, shape)

    def cost(self, latency_s: FloatArray, energy_j: FloatArray) -> FloatArray:
        """The energy: latency counts as a deadline only, (28k)."""
        return np.asarray(energy_j + 0.0 * latency_s)

    def admissible(self, state: SlotState) -> BoolArray:
        """(K, S + 1) UAVs that live; the last column is the user itself, where that is allowed."""
        admissible = super().admissible(state)
        admissible[:, -1] &= self.settings.users.local_only
        return admissible

    def violations(self, state: SlotState, decision: SlotDecision) -> IntArray:
        """(K,) as everywhere, and (28e): the last layer stays with nobody but a UAV."""
        flags = super().violations(state, decision)
        if not self.settings.users.local_only:
            flags[decision.server == LOCAL] |= Violation.NO_COMPUTER
        return flags

    def settled(self, state: SlotState, decision: SlotDecision) -> SlotDecision:
        """The decision with powers and shares by the rule of the scenario, (28i) to (28k).

        Tasks that the rule does not admit are declined; late in the slot their devices go on
        alone, where that is allowed. What breaks a constraint is left alone.
        """
        sound = (self._without_resources(state, decision) == 0) & (decision.server >= 0)
        rows = np.flatnonzero(sound)
        allocation = self._allocation(state, decision, rows)
        power_w, share = np.zeros(state.n_tasks), np.zeros(state.n_tasks)
        power_w[rows] = allocation.power_w[0]
        share[rows] = allocation.frequency_hz[0] / self.settings.uavs.frequency_hz
        server = decision.server.copy()
        left_out = rows[~allocation.admitted[0]]
        goes_on = self.settings.users.local_only & (state.tasks.created_s[left_out] < state.time_s)
        server[left_out] = np.where(goes_on, LOCAL, DECLINED)
        whole = self.models.n_cuts[state.devices.model[state.tasks.device]] - 1
        split = np.where(server < 0, whole, decision.split)
        share = np.minimum(share, 1.0)
        return replace(decision, server=server, split=split, power_w=power_w, compute_share=share)

    def _without_resources(self, state: SlotState, decision: SlotDecision) -> IntArray:
        nothing = np.zeros(state.n_tasks)
        return self.violations(state, replace(decision, power_w=nothing, compute_share=nothing))

    def _allocation(self, state: SlotState, decision: SlotDecision, rows: IntArray) -> Allocation:
        """What the rule gives to tasks of some rows, in one copy."""
        settings, device = self.settings, state.tasks.device[rows]
        server, split = decision.server[rows], decision.split[rows]
        model, links = state.devices.model[device], state.links
        front_s = state.models.front_flop[model, split] / state.devices.flop_s[device]
        passed_s = state.time_s - state.tasks.created_s[rows]
        # a decision that comes late takes from the reserve first
        left_s = settings.slot_s - passed_s - ORDER_S * (passed_s > 0)
        sent = Sent(
            server=server[None],
            cycles=(state.models.back_flop[model, split] / settings.computing.flop_per_cycle)[
                None
            ],
            size_bit=state.models.cut_bit[model, split][None],
            snr_per_w=(links.gain[device, server] / links.noise_w[server])[None],
            bandwidth_hz=links.bandwidth_hz[server][None],
            time_s=(np.minimum(settings.planned_s, left_s) - front_s)[None],
        )
        return allocate(
            settings.allocation,
            sent,
            settings.uavs.count,
            settings.uavs.frequency_hz,
            settings.users.power_max_w,
            settings.objective.compute_weight,
            settings.computing.capacitance_j_s2,
        )


def uplink_noise_w(settings: RobustSettings) -> float:
    """sigma_1^2 of (14) [W]."""
    density_w_hz = float(channel.dbm_to_watt(settings.radio.noise_dbm_hz))
    return density_w_hz * settings.uplink_bandwidth_hz


def link_table(settings: RobustSettings, gain: FloatArray, reachable: BoolArray) -> LinkTable:
    """Links of a slot, (15): no propagation, and results are not sent back.

    Args:
        settings: the scenario.
        gain: (D, M) power gains |h|^2.
        reachable: (D, M) whether a UAV may be sent a task.
    """
    bandwidth_hz, uavs = settings.uplink_bandwidth_hz, gain.shape[1]
    noise_w = uplink_noise_w(settings)
    snr = gain * settings.users.power_max_w / noise_w
    return LinkTable(
        gain=gain,
        rate_bit_s=channel.shannon_rate_bit_s(bandwidth_hz, snr),
        downlink_rate_bit_s=np.full(gain.shape, np.inf),
        delay_s=np.zeros(gain.shape),
        reachable=reachable,
        loss=np.zeros(gain.shape),
        bandwidth_hz=np.full(uavs, bandwidth_hz),
        noise_w=np.full(uavs, noise_w),
        receiver=np.arange(uavs),
        hops=np.zeros(uavs, dtype=np.int64),
        isl_m=np.zeros(uavs),
        remaining_s=np.full(uavs, np.inf),
    )


def model_table(physical: Robust) -> ModelTable:
    """Cuts of the networks; cut c is the paper's split phi = c + 1."""
    tables = physical.tables
    return ModelTable(
        model_id=tuple(physical.settings.users.networks),
        accuracy=np.ones(len(tables.layers)),
        n_cuts=tables.layers + 1,
        front_flop=tables.front_flop.astype(float),
        start_flop=np.zeros(tables.rear_flop.shape),
        back_flop=tables.rear_flop.astype(float),
        cut_bit=tables.cut_bit.astype(float),
    )
