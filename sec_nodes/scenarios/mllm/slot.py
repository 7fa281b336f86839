"""What a decision costs in the mllm scenario: Yan et al. 2025, eqs (12) to (31) and (34)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from sec_nodes.physics.queueing import fcfs_admission_s
from sec_nodes.scenarios.mllm.links import Links, Uplink, pick, places
from sec_nodes.scenarios.mllm.orbit import Routes
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.mllm.state import MllmDecision, MllmOutcome, MllmState
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_ACCURACY_SLACK = 1e-12
_COVERAGE_SLACK_M = 1e-9
_POWER_SLACK = 1e-9


class Stage(NamedTuple):
    """Time and energy (B, K) that a part of the way of a task takes."""

    time_s: FloatArray
    energy_j: FloatArray


class Way(NamedTuple):
    """Where each task goes, every array (B, K); see `Routes`."""

    sends: BoolArray
    idle: BoolArray | None
    """The others; None if there are none."""
    receiver: IntArray
    air_s: FloatArray
    chain_s: FloatArray
    s_per_bit: FloatArray
    """What a bit takes along the inter-satellite links of the way."""
    hops: IntArray
    remaining_s: FloatArray


class Parts(NamedTuple):
    """What costs are made of, each (B, K); see `MllmOutcome`."""

    latency_s: FloatArray
    energy_j: FloatArray
    accuracy_broken: BoolArray
    coverage_broken: BoolArray
    visibility_broken: BoolArray
    power_broken: BoolArray
    dropped: BoolArray


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
        settings.require_complete()
        m, n = uavs.count, satellites.count
        self._n_uavs = m
        paces = [*uavs.pace, *satellites.pace]

        self.accuracy = np.array([*uavs.accuracy, *satellites.accuracy], dtype=dtype)
        """(S,) A."""
        self.start_s = np.array([pace.start_s for pace in paces], dtype=dtype)
        """(S,) image and prompt; 0 in the paper."""
        self.seconds_per_word = np.array([pace.word_s for pace in paces], dtype=dtype)
        """(S,) v / f in the paper."""
        self.compute_power_w = np.array([pace.power_w for pace in paces], dtype=dtype)
        """(S,) P_exe."""
        self.send_power_w = np.array(
            [uavs.transmit_power_w] * m + [satellites.transmit_power_w] * n, dtype=dtype
        )
        """(S,) P_m, P_n."""
        self._starts_at_once = not self.start_s.any()

    def evaluate(
        self, state: MllmState, decision: MllmDecision, routes: Routes, gain: FloatArray
    ) -> MllmOutcome:
        """The outcome of a slot.

        Args:
            state: start of the slot.
            decision: checked.
            routes: of the state's orbit.
            gain: (B, K, S) power gains to the servers themselves at the positions decided on.
        """
        active, server = state.active, decision.server
        way = self._way(state, server, routes)
        (power_w,) = _without(way.idle, np.maximum(decision.power_w, 0))
        uplink = self._links.upload(gain, power_w, way.receiver, way.sends)
        radio_s = self._radio_s(state, uplink)
        upload = self._upload(state, power_w, radio_s, way)
        compute = self._compute(state, server)
        download = self._download(state, gain, way)
        wait_s, dropped, backlog_next_s = self._wait(
            state, server, upload.time_s, compute.time_s, way.sends
        )
        latency_s: FloatArray = upload.time_s + wait_s + compute.time_s + download.time_s
        overdue = latency_s > way.remaining_s

        rate_bit_s = uplink.rate_bit_s
        if way.idle is not None:
            radio_s, rate_bit_s = _without(way.idle, radio_s, rate_bit_s)
            upload = Stage(*_without(way.idle, *upload))
        unserved = active & ~way.sends
        if dropped.any() or way.idle is not None:
            fruitless = ~way.sends | dropped
            compute = Stage(*_without(fruitless, *compute))
            download = Stage(*_without(fruitless, *download))
            (latency_s,) = _without(fruitless, latency_s)
            np.copyto(latency_s, 2 * state.deadline_s, where=dropped | unserved)
        parts = Parts(
            latency_s=latency_s,
            energy_j=upload.energy_j + compute.energy_j + download.energy_j,
            accuracy_broken=active & (self.accuracy.take(server) < self._least(state)),
            coverage_broken=self._coverage_broken(state, decision),
            visibility_broken=unserved | (way.sends & overdue),
            power_broken=self._power_broken(state, decision),
            dropped=dropped,
        )
        receiver = way.receiver if way.idle is None else np.where(way.idle, -1, way.receiver)
        return MllmOutcome(
            upload_s=upload.time_s,
            radio_s=radio_s,
            compute_s=compute.time_s,
            wait_s=wait_s,
            download_s=download.time_s,
            upload_j=upload.energy_j,
            compute_j=compute.energy_j,
            download_j=download.energy_j,
            sinr=uplink.sinr,
            rate_bit_s=rate_bit_s,
            receiver=receiver,
            access=np.maximum(receiver - self._n_uavs, -1),
            hops=way.hops if way.idle is None else np.where(way.idle, 0, way.hops),
            unserved=unserved,
            backlog_next_s=backlog_next_s,
            **parts._asdict(),
            **self._account(state, parts),
        )

    def _way(self, state: MllmState, server: IntArray, routes: Routes) -> Way:
        at = places(server, len(self.accuracy), each=False)
        receiver = routes.receiver.take(at)
        sends = state.active & (receiver >= 0)
        hops = routes.hops.take(at)
        s_per_bit = hops.astype(self.accuracy.dtype)
        s_per_bit *= 1 / self._settings.satellites.isl_rate_bit_s
        return Way(
            sends=sends,
            idle=None if sends.all() else ~sends,
            # Where nothing is sent, receiver 0 stands in so that all lookups are sound.
            receiver=np.maximum(receiver, 0),
            air_s=routes.air_s.take(at),
            chain_s=routes.chain_s.take(at),
            s_per_bit=s_per_bit,
            hops=hops,
            remaining_s=routes.remaining_s.take(at),
        )

    def _radio_s(self, state: MllmState, uplink: Uplink) -> FloatArray:
        """Time (B, K) that the radio takes to send the request, eq. (12), if it is not cut off."""
        with np.errstate(divide='ignore'):  # what is sent without power never arrives
            radio_s = state.size_bit / uplink.rate_bit_s
        return np.minimum(radio_s, self._settings.radio.longest_upload_s)

    def _upload(
        self, state: MllmState, power_w: FloatArray, radio_s: FloatArray, way: Way
    ) -> Stage:
        """Eqs (12), (13), (20) to (22); the device pays for propagation, as printed."""
        send_s = radio_s + way.air_s
        forward_s = way.chain_s + way.s_per_bit * state.size_bit
        forward_j = self._settings.satellites.isl_power_w * forward_s
        return Stage(send_s + forward_s, power_w * send_s + forward_j)

    def _compute(self, state: MllmState, server: IntArray) -> Stage:
        """Eqs (14), (15), (23), (24), and what a profile says comes before the first word."""
        time_s = self.seconds_per_word.take(server) * state.words
        if not self._starts_at_once:
            time_s += self.start_s.take(server)
        return Stage(time_s, self.compute_power_w.take(server) * time_s)

    def _download(self, state: MllmState, gain: FloatArray, way: Way) -> Stage:
        """Eqs (16), (17), (25), (26)."""
        answer_bit = self._settings.tasks.answer_bit_per_word * state.words
        rate_bit_s = self._links.download_rate_bit_s(gain, way.receiver)
        send_s = answer_bit / rate_bit_s + way.air_s
        back_s = way.chain_s + way.s_per_bit * answer_bit
        back_j = self._settings.satellites.isl_power_w * back_s
        return Stage(back_s + send_s, self.send_power_w.take(way.receiver) * send_s + back_j)

    def _account(self, state: MllmState, parts: Parts) -> dict[str, Any]:
        """Costs, penalties and rewards, eqs (31) and (34), by their names in `MllmOutcome`."""
        goal, active = self._settings.objective, state.active
        late_s = np.maximum(parts.latency_s - state.deadline_s, 0)
        broken = parts.accuracy_broken.astype(np.int8)
        for flag in (
            parts.coverage_broken,
            parts.visibility_broken,
            parts.power_broken,
            parts.dropped,
        ):
            broken += flag
        task_cost = parts.latency_s * (goal.latency_weight / goal.latency_reference_s)
        task_cost += parts.energy_j * (goal.energy_weight / goal.energy_reference_j)
        task_penalty = late_s * (goal.lateness_penalty / goal.latency_reference_s)
        task_penalty += broken.astype(late_s.dtype) * goal.violation_penalty
        tasks = active.sum(axis=-1, dtype=late_s.dtype)
        cost = task_cost.sum(axis=-1) / tasks
        penalised_cost = cost + task_penalty.sum(axis=-1) / tasks
        return {
            'late': late_s > 0,
            'task_cost': task_cost,
            'task_penalty': task_penalty,
            'cost': cost,
            'penalised_cost': penalised_cost,
            'reward': goal.reward_scale / cost,
            'training_reward': goal.reward_scale / penalised_cost,
        }

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

    def _coverage_broken(self, state: MllmState, decision: MllmDecision) -> BoolArray:
        """Whether a device (B, K) is sent to a UAV that does not cover it, eq. (3)."""
        covered = self.covered(state.device_m, decision.uav_m)
        on_uav = decision.server < self._n_uavs
        uav = np.minimum(decision.server, self._n_uavs - 1)
        return state.active & on_uav & ~pick(covered, uav)

    def _power_broken(self, state: MllmState, decision: MllmDecision) -> BoolArray:
        """Whether a device (B, K) is to send with a power that it does not have, eq. (31d)."""
        limit_w = self._settings.devices.power_w[1] * (1 + _POWER_SLACK)
        return state.active & ((decision.power_w < 0) | (decision.power_w > limit_w))

    def accuracy_met(self, state: MllmState) -> BoolArray:
        """Whose model is accurate enough for whom, (B, K, S), eq. (2)."""
        batch, devices = state.accuracy.shape
        servers = len(self.accuracy)
        least = np.repeat(self._least(state), servers, axis=1)
        met = np.tile(self.accuracy, devices) >= least
        return met.reshape(batch, devices, servers)

    def covered(self, device_m: FloatArray, uav_m: FloatArray) -> BoolArray:
        """Which UAVs cover which devices, (B, K, M), eq. (3)."""
        reach_m = self._settings.uavs.coverage_m + _COVERAGE_SLACK_M
        return self._links.offset2_m2(device_m, uav_m) <= reach_m * reach_m

    def _least(self, state: MllmState) -> FloatArray:
        return state.accuracy - _ACCURACY_SLACK


def _without(idle: BoolArray | None, *arrays: FloatArray) -> tuple[FloatArray, ...]:
    """The arrays with zeros where a device is idle, or as they are if none is (None)."""
    if idle is None:
        return arrays
    return tuple(np.where(idle, 0, array) for array in arrays)
