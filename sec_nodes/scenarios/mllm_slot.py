"""What a decision costs in the mllm scenario: Yan et al. 2025, eqs (12) to (31) and (34)."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from sec_nodes.physics.constants import SPEED_OF_LIGHT_M_S
from sec_nodes.physics.queueing import fcfs_admission_s
from sec_nodes.scenarios.mllm_links import Links, pick
from sec_nodes.scenarios.mllm_settings import MllmSettings
from sec_nodes.scenarios.mllm_types import MllmDecision, MllmOutcome, MllmState, Orbit
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_ACCURACY_SLACK = 1e-12
_COVERAGE_SLACK_M = 1e-9
_POWER_SLACK = 1e-9


class SlotCosts:
    """Evaluates slots.

    Args:
        settings: the scenario.
        links: its radio.
        dtype: of the tables by server; all other constants are Python numbers.
    """

    def __init__(self, settings: MllmSettings, links: Links, dtype: DTypeLike) -> None:
        self._settings, self._links = settings, links
        uavs, satellites = settings.uavs, settings.satellites
        m, n = uavs.count, satellites.count
        self._n_uavs = m

        def by_server(uav: float, satellite: float) -> FloatArray:
            return np.array([uav] * m + [satellite] * n, dtype=dtype)

        self.accuracy = np.array([*uavs.accuracy, *satellites.accuracy], dtype=dtype)
        """(S,) A."""
        self.seconds_per_word = by_server(
            uavs.flop_per_word / uavs.flop_s, satellites.flop_per_word / satellites.flop_s
        )
        """(S,) v / f."""
        self.compute_power_w = by_server(uavs.compute_power_w, satellites.compute_power_w)
        """(S,) P_exe."""
        self.send_power_w = by_server(uavs.transmit_power_w, satellites.transmit_power_w)
        """(S,) P_m, P_n."""

    def evaluate(
        self, state: MllmState, decision: MllmDecision, orbit: Orbit, gain: FloatArray
    ) -> MllmOutcome:
        """The outcome of a slot.

        Args:
            state: start of the slot.
            decision: checked.
            orbit: of the state.
            gain: (B, K, S) power gains to the servers themselves at the positions decided on.
        """
        settings, links = self._settings, self._links
        satellites, m = settings.satellites, self._n_uavs
        active, server = state.active, decision.server
        on_uav = server < m
        satellite = np.maximum(server - m, 0)
        access = np.where(on_uav, -1, pick(orbit.access, satellite))
        served = on_uav | (access >= 0)
        unserved = active & ~served
        sends = active & served
        # Where nothing is sent, receiver 0 stands in so that all lookups are sound.
        receiver = np.where(on_uav, server, access + m)
        receiver = np.where(sends, receiver, 0)
        power_w = np.where(sends, np.maximum(decision.power_w, 0), 0)

        uplink = links.upload(gain, power_w, receiver, sends)
        upload_bit = np.where(sends, state.size_bit, 0)
        with np.errstate(divide='ignore', invalid='ignore'):
            # A device that radiates nothing has rate 0 and, at worst, 0 / 0: fmin drops NaN.
            radio_s = np.fmin(upload_bit / uplink.rate_bit_s, settings.radio.longest_upload_s)
        radio_s = np.where(sends, radio_s, 0)
        through_space = sends & ~on_uav
        air_s = np.where(through_space, pick(orbit.access_slant_m, satellite), 0)
        air_s = air_s * (1 / SPEED_OF_LIGHT_M_S)
        hops = np.where(through_space, pick(orbit.hops, satellite), 0)
        chain_s = np.where(through_space, pick(orbit.isl_m, satellite), 0)
        chain_s = chain_s * (1 / SPEED_OF_LIGHT_M_S)
        s_per_bit = hops.astype(radio_s.dtype) * (1 / satellites.isl_rate_bit_s)

        forward_s = chain_s + s_per_bit * upload_bit
        upload_s = radio_s + air_s + forward_s
        upload_j = power_w * (radio_s + air_s) + satellites.isl_power_w * forward_s

        words = np.where(sends, state.words, 0)
        compute_s = self.seconds_per_word[server] * words
        compute_j = self.compute_power_w[server] * compute_s

        answer_bit = settings.tasks.answer_bit_per_word * words
        send_s = answer_bit / links.download_rate_bit_s(gain, receiver) + air_s
        back_s = chain_s + s_per_bit * answer_bit
        download_s = back_s + send_s
        download_j = self.send_power_w[receiver] * send_s + satellites.isl_power_w * back_s

        wait_s, dropped, backlog_next_s = self._wait(state, server, upload_s, compute_s, sends)
        latency_s = upload_s + wait_s + compute_s + download_s
        remaining_s = pick(orbit.access_remaining_s, satellite)
        visibility_broken = active & ~on_uav & (~served | (latency_s > remaining_s))
        if dropped.any():
            compute_s, compute_j, download_s, download_j = (
                np.where(dropped, 0, part)
                for part in (compute_s, compute_j, download_s, download_j)
            )
        energy_j = upload_j + compute_j + download_j
        latency_s = np.where(dropped | unserved, 2 * state.deadline_s, latency_s)

        coverage_broken = self._coverage_broken(state, decision, on_uav)
        accuracy_broken = active & (self.accuracy[server] < state.accuracy - _ACCURACY_SLACK)
        limit_w = settings.devices.power_w[1] * (1 + _POWER_SLACK)
        power_broken = active & ((decision.power_w < 0) | (decision.power_w > limit_w))
        broken = (
            accuracy_broken.astype(np.int8)
            + coverage_broken
            + visibility_broken
            + power_broken
            + dropped
        )

        goal = settings.objective
        late_s = np.where(active, np.maximum(latency_s - state.deadline_s, 0), 0)
        task_cost = latency_s * (goal.latency_weight / goal.latency_reference_s)
        task_cost = task_cost + energy_j * (goal.energy_weight / goal.energy_reference_j)
        task_penalty = late_s * (goal.lateness_penalty / goal.latency_reference_s)
        task_penalty = task_penalty + broken.astype(late_s.dtype) * goal.violation_penalty
        tasks = active.sum(axis=-1, dtype=late_s.dtype)
        cost = task_cost.sum(axis=-1) / tasks
        penalised_cost = cost + task_penalty.sum(axis=-1) / tasks
        return MllmOutcome(
            latency_s=latency_s,
            energy_j=energy_j,
            upload_s=upload_s,
            radio_s=radio_s,
            compute_s=compute_s,
            wait_s=wait_s,
            download_s=download_s,
            upload_j=upload_j,
            compute_j=compute_j,
            download_j=download_j,
            sinr=uplink.sinr,
            rate_bit_s=np.where(sends, uplink.rate_bit_s, 0),
            receiver=np.where(sends, receiver, -1),
            access=np.where(active, access, -1),
            hops=hops,
            task_cost=task_cost,
            task_penalty=task_penalty,
            cost=cost,
            penalised_cost=penalised_cost,
            reward=goal.reward_scale / cost,
            training_reward=goal.reward_scale / penalised_cost,
            accuracy_broken=accuracy_broken,
            coverage_broken=coverage_broken,
            visibility_broken=visibility_broken,
            power_broken=power_broken,
            late=late_s > 0,
            dropped=dropped,
            unserved=unserved,
            backlog_next_s=backlog_next_s,
        )

    def _wait(
        self,
        state: MllmState,
        server: IntArray,
        arrival_s: FloatArray,
        compute_s: FloatArray,
        sends: BoolArray,
    ) -> tuple[FloatArray, BoolArray, FloatArray]:
        """Waits (B, K), who is dropped (B, K) and the next slot's backlog (B, S)."""
        queue = self._settings.queue
        if not queue.enabled:
            nobody = np.zeros(server.shape, dtype=np.bool_)
            return np.zeros_like(arrival_s), nobody, np.zeros_like(state.backlog_s)
        wait_s, dropped, free_s = fcfs_admission_s(
            arrival_s,
            compute_s,
            np.where(sends, server, -1),
            state.backlog_s,
            queue.longest_wait_s,
        )
        return wait_s, dropped, np.maximum(free_s - self._settings.slot_s, 0)

    def _coverage_broken(
        self, state: MllmState, decision: MllmDecision, on_uav: BoolArray
    ) -> BoolArray:
        """Whether a device (B, K) is sent to a UAV that does not cover it, eq. (3)."""
        covered = self.covered(state.device_m, decision.uav_m)
        uav = np.where(on_uav, decision.server, 0)
        return state.active & on_uav & ~pick(covered, uav)

    def accuracy_met(self, state: MllmState) -> BoolArray:
        """Whose model is accurate enough for whom, (B, K, S), eq. (2)."""
        return self.accuracy >= state.accuracy[..., None] - _ACCURACY_SLACK

    def covered(self, device_m: FloatArray, uav_m: FloatArray) -> BoolArray:
        """Which UAVs cover which devices, (B, K, M), eq. (3)."""
        reach_m = self._settings.uavs.coverage_m + _COVERAGE_SLACK_M
        return self._links.offset2_m2(device_m, uav_m) <= reach_m * reach_m
