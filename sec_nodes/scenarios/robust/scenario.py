"""robust: DNN tasks split between users and UAVs that may fail.

Meng and Li, "Robust DNN partitioning and task offloading in multi-UAV-assisted MEC against UAV
failures"; equations are quoted by their numbers there. A slot runs in this order, which the paper
leaves open: the controller decides on splits, association, migration preferences and UAV
accelerations; frequencies and powers follow by a rule; users upload; the failures of the slot show
and tasks of failed UAVs move; times and energies are counted; UAVs and users move. Distances and
speeds of the slot are those at its start, penalties for distance and border those at its end.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike

from sec_nodes.physics import channel, randomness, workload
from sec_nodes.physics.randomness import Stream
from sec_nodes.scenarios.base import Scenario, SlotSummary
from sec_nodes.scenarios.robust import checks as robust_checks
from sec_nodes.scenarios.robust import motion as robust_motion
from sec_nodes.scenarios.robust.accounting import account
from sec_nodes.scenarios.robust.allocation import Allocation, Offloading, allocate
from sec_nodes.scenarios.robust.migration import survive
from sec_nodes.scenarios.robust.settings import RobustSettings
from sec_nodes.scenarios.robust.state import (
    CONSTRAINTS,
    LOCAL,
    Plan,
    RobustDecision,
    RobustOutcome,
    RobustState,
    Sent,
)
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_REFERENCE_M = 1.0
"""Distance of the reference gains; UAVs closer than this are treated as that far apart."""


class Robust(Scenario[RobustState, RobustDecision, RobustOutcome]):
    """Costs and constraints of a slot, and how users and UAVs move.

    Args:
        settings: parameters.
        dtype: of all floats; float32 halves the memory of learners.
    """

    name = 'robust'
    reference = 'optimum'
    settings: RobustSettings

    def __init__(self, settings: RobustSettings, dtype: DTypeLike = np.float64) -> None:
        self.settings = settings
        self.dtype = np.dtype(dtype)
        self.tables = _tables(settings)
        """Layers of the networks, one row a name in `settings.users.networks`."""
        flop_per_cycle = settings.computing.flop_per_cycle
        self.front_cycles = (self.tables.front_flop / flop_per_cycle).astype(self.dtype)
        """(N, C) work before layer phi of N networks, phi in column phi - 1 [cycle]."""
        self.rear_cycles = (self.tables.rear_flop / flop_per_cycle).astype(self.dtype)
        """(N, C) work from layer phi on [cycle]."""
        self.size_bit = self.tables.cut_bit.astype(self.dtype)
        """(N, C) size of the tensor that enters layer phi [bit]."""
        self.tolerance = robust_checks.tolerance(self.front_cycles)
        """Relative excess over a limit that is taken for rounding."""
        density_w_hz = float(channel.dbm_to_watt(settings.radio.noise_dbm_hz))
        self._uplink_noise_w = density_w_hz * settings.uplink_bandwidth_hz
        self._backhaul_noise_w = density_w_hz * settings.radio.backhaul_bandwidth_hz

    @property
    def horizon(self) -> int:
        """Slots of an episode."""
        return self.settings.horizon

    def reset(self, seed: IntArray) -> RobustState:
        """Begin an episode in each copy: all UAVs live and stand still.

        Raises:
            ValueError: seeds that are not (B,) integers >= 0.
        """
        seed = np.asarray(seed)
        if seed.ndim != 1 or seed.dtype.kind not in 'iu':
            raise ValueError(f'seed has shape {seed.shape} and type {seed.dtype}: pass integers')
        settings = self.settings
        slot = np.zeros_like(seed)
        user_m, heading, speed = robust_motion.first_users(settings, seed, self.dtype)
        uav_m = robust_motion.first_uavs(settings, seed, self.dtype)
        network = np.arange(settings.users.count) % len(settings.users.networks)
        return RobustState(
            seed=seed,
            slot=slot,
            network=np.tile(network, (len(seed), 1)),
            user_m=user_m,
            user_heading_rad=heading,
            user_speed_m_s=speed,
            uav_m=uav_m,
            uav_velocity_m_s=np.zeros_like(uav_m),
            alive=np.ones(uav_m.shape[:2], dtype=bool),
            failure_slot=robust_motion.failure_slots(settings, seed),
            fading=self._fading(seed, slot),
        )

    def allowed_splits(self, state: RobustState) -> BoolArray:
        """(B, I, C) splits phi that each user may choose, phi in column phi - 1, (28e)."""
        last = self.tables.layers[state.network][..., None]
        column = np.arange(self.size_bit.shape[1])
        return column <= last if self.settings.users.local_only else column < last

    def distance_m(self, state: RobustState) -> FloatArray:
        """(B, I, J) between users and UAVs [m]."""
        across = state.user_m[:, :, None, :] - state.uav_m[:, None, :, :2]
        height = state.uav_m[:, None, :, 2]
        return np.sqrt(np.square(across).sum(axis=-1) + np.square(height))

    def snr_per_w(self, state: RobustState) -> FloatArray:
        """(B, I, J) |h|^2 / sigma_1^2 of the uplinks [1/W], (14)."""
        radio = self.settings.radio
        reference = float(channel.db_to_ratio(radio.uplink_gain_db)) / self._uplink_noise_w
        return channel.air_ground_gain(
            self.distance_m(state), reference, radio.path_loss_exponent, state.fading
        )

    def backhaul_bit_s(self, state: RobustState) -> FloatArray:
        """(B, J, J) rates between UAVs [bit/s], (16), (17); 0 from a UAV to itself.

        Corrected: h_0 / d^2 is a power gain already, so it is not squared.
        """
        rate = self.backhaul_rate_bit_s(state.uav_m[:, :, None] - state.uav_m[:, None])
        return np.where(np.eye(rate.shape[1], dtype=bool), rate.dtype.type(0), rate)

    def backhaul_rate_bit_s(self, apart_m: FloatArray) -> FloatArray:
        """Rates between UAVs [bit/s] that are (..., 3) apart [m], (16), (17)."""
        settings = self.settings
        square_m2 = np.maximum(np.square(apart_m).sum(axis=-1), _REFERENCE_M**2)
        gain = float(channel.db_to_ratio(settings.radio.backhaul_gain_db)) / square_m2
        snr = gain * (settings.uavs.transmit_power_w / self._backhaul_noise_w)
        return channel.shannon_rate_bit_s(settings.radio.backhaul_bandwidth_hz, snr)

    def work(
        self, state: RobustState, split: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Cycles before the split, cycles behind it and bits across it, each (B, I).

        Args:
            state: the slot.
            split: (B, I) phi, from 1 to the largest L + 1.
        """
        at = state.network, split - 1
        return self.front_cycles[at], self.rear_cycles[at], self.size_bit[at]

    def nearest(self, state: RobustState) -> IntArray:
        """(B, I) the living UAV nearest to each user, `LOCAL` if none lives."""
        away_m = np.where(state.alive[:, None], self.distance_m(state), np.inf)
        return np.where(state.alive.any(axis=1, keepdims=True), np.argmin(away_m, axis=-1), LOCAL)

    def offloading(self, state: RobustState, split: IntArray, server: IntArray) -> Offloading:
        """What the rule of allocation has to know.

        Args:
            state: the slot.
            split: (B, I) phi, one that exists.
            server: (B, I) living UAV, `LOCAL` for tasks that are not sent.
        """
        front, rear, size_bit = self.work(state, split)
        link = np.maximum(server, 0)[..., None]
        return Offloading(
            server=server,
            cycles=rear,
            size_bit=size_bit,
            snr_per_w=np.take_along_axis(self.snr_per_w(state), link, axis=-1)[..., 0],
            bandwidth_hz=np.full_like(rear, self.settings.uplink_bandwidth_hz),
            time_s=self.settings.planned_s - front / self.settings.users.frequency_hz,
        )

    def allocate(self, offloading: Offloading) -> Allocation:
        """Frequencies and powers by the rule of the settings, (28i) to (28k)."""
        settings = self.settings
        return allocate(
            settings.allocation,
            offloading,
            settings.uavs.count,
            settings.uavs.frequency_hz,
            settings.users.power_max_w,
            settings.objective.compute_weight,
            settings.computing.capacitance_j_s2,
        )

    def evaluate(self, state: RobustState, decision: RobustDecision) -> RobustOutcome:
        """Times, energies, completion, reward and broken constraints of a slot.

        A task whose split does not exist is rejected and costs nothing; one that is sent nowhere
        or to a UAV known to have failed is rejected after its local part.

        Raises:
            ValueError: a decision of the wrong shape or kind, or with NaN.
        """
        robust_checks.require_decision(state, decision)
        plan = self._plan(state, decision)
        sent = self._send(state, plan)
        alive = state.alive & (state.slot[:, None] < state.failure_slot)
        survival = survive(
            self.settings,
            self.tables,
            sent,
            alive,
            decision.preference,
            self.snr_per_w(state),
            self.backhaul_bit_s(state),
        )
        flight = robust_motion.fly(
            self.settings,
            state.uav_m,
            state.uav_velocity_m_s,
            np.asarray(decision.acceleration_m_s2, dtype=self.dtype),
            alive,
        )
        return account(self.settings, state, plan, sent, survival, alive, flight)

    def step(
        self, state: RobustState, decision: RobustDecision
    ) -> tuple[RobustState, RobustOutcome]:
        """The outcome of a slot and the state at the start of the next one.

        Raises:
            ValueError: as `evaluate`.
        """
        outcome = self.evaluate(state, decision)
        user_m, heading, speed = robust_motion.walk(
            self.settings,
            state.seed,
            state.slot,
            robust_motion.Walkers(state.user_m, state.user_heading_rad, state.user_speed_m_s),
        )
        slot = state.slot + 1
        following = replace(
            state,
            slot=slot,
            user_m=user_m,
            user_heading_rad=heading,
            user_speed_m_s=speed,
            uav_m=outcome.uav_m,
            uav_velocity_m_s=outcome.uav_velocity_m_s,
            alive=outcome.alive,
            fading=self._fading(state.seed, slot),
        )
        return following, outcome

    def summarise(self, state: RobustState, outcome: RobustOutcome) -> SlotSummary:
        """The outcome of a slot in the figures that every scenario has; cost is e_tot, (27)."""
        finished = np.isfinite(outcome.latency_s)
        n_finished, n_completed = finished.sum(axis=1), outcome.completed.sum(axis=1)
        latency_s = np.where(finished, outcome.latency_s, 0).sum(axis=1)
        weight = self.settings.objective.flight_weight
        flight_j = outcome.flight_j.sum(axis=1)
        return SlotSummary(
            cost=outcome.e_tot_j,
            latency_s=_ratio(latency_s, n_finished),
            energy_j=outcome.task_energy_j.sum(axis=1) + flight_j,
            tasks=np.full(len(n_completed), float(outcome.completed.shape[1])),
            completed=n_completed.astype(float),
            violations=outcome.violations[:, : CONSTRAINTS.index('(28k)')].sum(axis=1) * 1.0,
            extra={
                'cost_without_flight_j': outcome.e_tot_j - weight * flight_j,
                'energy_per_completed_j': _ratio(outcome.e_tot_j, n_completed),
                'penalty': outcome.penalty,
                'reward': outcome.reward,
                'rejected': outcome.rejected.sum(axis=1) * 1.0,
                'migrated': outcome.migrated.sum(axis=1) * 1.0,
                'lost': outcome.lost.sum(axis=1) * 1.0,
            },
        )

    def _plan(self, state: RobustState, decision: RobustDecision) -> Plan:
        """Read what is to become of each task."""
        allowed = self.allowed_splits(state)
        wanted = np.asarray(decision.split) - 1
        cut = np.clip(wanted, 0, allowed.shape[-1] - 1)
        exists = np.take_along_axis(allowed, cut[..., None], axis=-1)[..., 0] & (cut == wanted)
        cut = np.where(exists, cut, 0)
        server = np.asarray(decision.server)
        if self.settings.users.association == 'nearest':
            server = np.where(server == LOCAL, LOCAL, self.nearest(state))
        return Plan(
            exists=exists,
            cut=cut,
            stays=exists & (cut == self.tables.layers[state.network]),
            server=server,
            known_dead=~np.take_along_axis(state.alive, np.maximum(server, 0), axis=1),
        )

    def _send(self, state: RobustState, plan: Plan) -> Sent:
        """Compute the local parts and upload what is admitted, (18), (20)."""
        zero = self.dtype.type(0)
        server = np.where(plan.asks & ~plan.known_dead, plan.server, LOCAL)
        offloading = self.offloading(state, plan.cut + 1, server)
        allocation = self.allocate(offloading)
        admitted = allocation.admitted
        power_w = np.where(admitted, allocation.power_w, zero).astype(self.dtype)
        rate_bit_s = channel.shannon_rate_bit_s(
            self.settings.uplink_bandwidth_hz, power_w * offloading.snr_per_w
        )
        upload_s = channel.transmission_time_s(offloading.size_bit, rate_bit_s)
        front = self.front_cycles[state.network, plan.cut]
        local_cycles = np.where(plan.exists, front, zero)
        return Sent(
            server=np.where(admitted, server, LOCAL),
            network=state.network,
            cut=plan.cut,
            local_cycles=local_cycles,
            cycles=np.where(admitted, offloading.cycles, zero),
            size_bit=np.where(admitted, offloading.size_bit, zero),
            power_w=power_w,
            frequency_hz=np.where(admitted, allocation.frequency_hz, zero).astype(self.dtype),
            local_s=local_cycles / self.settings.users.frequency_hz,
            transmission_s=np.where(admitted, upload_s, zero),
        )

    def _fading(self, seed: IntArray, slot: IntArray) -> FloatArray:
        """(B, I, J) fading power of a slot, (14)."""
        settings = self.settings
        users, uavs = np.arange(settings.users.count), np.arange(settings.uavs.count)
        normals = randomness.normal(
            seed[:, None, None],
            Stream.FADING_AIR,
            randomness.pair(users[:, None], uavs),
            slot[:, None, None],
            2,
        )
        power = channel.rician_fading_power(settings.radio.rician_factor, normals)
        return power.astype(self.dtype)


def _tables(settings: RobustSettings) -> workload.CutTables:
    """Layers of the networks: the paper's, or those of the manifest.

    Raises:
        ValueError: layers of the manifest are asked for, and nobody has looked them up.
    """
    users = settings.users
    if users.layers == 'paper':
        return workload.cut_tables(users.networks)
    if users.cuts is None or len(users.cuts) != len(users.networks):
        raise ValueError(
            'users.cuts must have an entry for each of users.networks where users.layers = '
            'models: read the settings with read_settings, which fills it in'
        )
    front = [np.array(cuts.front_flop) for cuts in users.cuts]
    return workload.CutTables(
        layers=np.array([len(flop) - 1 for flop in front]),
        front_flop=workload.side_by_side(front),
        rear_flop=workload.side_by_side([flop[-1] - flop for flop in front]),
        cut_bit=workload.side_by_side([np.array(cuts.cut_bit) for cuts in users.cuts]),
    )


def _ratio(total: FloatArray, count: IntArray) -> FloatArray:
    """Mean of what was counted; NaN, which stands for unknown, where nothing was."""
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
