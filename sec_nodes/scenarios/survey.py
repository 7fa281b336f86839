"""survey: pictures of the sea, answered by devices, UAVs or satellites.

Radio, delays and the objective are those of Yan et al., Drones 2025, 9, 500 (equations are
quoted by their numbers there), with a queue at each server and networks that may be cut between
layers as in Meng and Li. Two differences from Yan et al.: the transmitter is not charged for
propagation time, and a device may answer by itself.

The nodes call the stages (`front`, `uplink`, `back`, `downlink`) one by one where they happen;
`evaluate` chains the same stages for a whole slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from sec_nodes.physics import channel, workload
from sec_nodes.physics.queueing import fcfs_start_s
from sec_nodes.scenarios.survey_settings import SurveySettings
from sec_nodes.slot import (
    DECLINED,
    LOCAL,
    BoolArray,
    FloatArray,
    IntArray,
    LinkTable,
    ModelTable,
    SlotDecision,
    SlotOutcome,
    SlotState,
)


class Violation(IntFlag):
    """Hard constraints that the decision on a task can break."""

    SERVER = 1
    """No such server."""
    DEAD = 2
    """The server has failed."""
    UNREACHABLE = 4
    """Out of the UAV's coverage, or no satellite in view for long enough."""
    SPLIT = 8
    """No such cut, or one that leaves nothing to the server."""
    POWER = 16
    """Transmit power outside the radio's range, or not a number."""
    SHARE = 32
    """Share of the server's computer outside [0, 1], or not a number."""
    ACCURACY = 64
    """The executing model is less accurate than the task requires."""


@dataclass(frozen=True)
class Stage:
    """Time and energy that one stage takes, task by task."""

    time_s: FloatArray
    energy_j: FloatArray


@dataclass(frozen=True)
class Options:
    """Latency and energy of every way to serve each task alone.

    Axes: K tasks, S servers and at last the device itself, C cuts, P transmit powers. What
    breaks a constraint is not `feasible`; what misses its deadline is not `punctual`.
    """

    latency_s: FloatArray
    energy_j: FloatArray
    cost: FloatArray
    feasible: BoolArray
    punctual: BoolArray


class Survey:
    """Costs and constraints of a slot of the survey scenario."""

    def __init__(self, settings: SurveySettings, models: ModelTable) -> None:
        self.settings = settings
        self.models = models

    @property
    def transmit_power_w(self) -> tuple[float, float]:
        """Least and largest transmit power of a device [W]."""
        return self.settings.devices.transmit_power_w

    def server_name(self, server: int) -> str:
        """Name of a server, which is the namespace of its topics as well."""
        n_uavs = self.settings.uavs.count
        if server == LOCAL:
            return 'local'
        return f'uav_{server}' if server < n_uavs else f'satellite_{server - n_uavs}'

    def front(self, flop: FloatArray, flop_s: FloatArray) -> Stage:
        """Layers on the device, cf. Yan et al., eqs (14), (15).

        Args:
            flop: (K,) work [FLOP].
            flop_s: (K,) speed of each task's device [FLOP/s].
        """
        work_flop = np.asarray(flop)
        time_s = workload.compute_time_s(work_flop, flop_s)
        return Stage(time_s, self.settings.devices.compute_j_per_flop * work_flop)

    def back(self, flop: FloatArray, flop_s: FloatArray, power_w: FloatArray) -> Stage:
        """Layers on a server, eqs (14), (15), (23), (24).

        Args:
            flop: (K,) work [FLOP].
            flop_s: (K,) speed of the server's computer, or of the share that is reserved.
            power_w: (K,) power while computing [W].
        """
        time_s = workload.compute_time_s(flop, flop_s)
        return Stage(time_s, workload.compute_energy_j(time_s, power_w))

    def uplink(
        self,
        links: LinkTable,
        device: IntArray,
        server: IntArray,
        power_w: FloatArray,
        size_bit: FloatArray,
    ) -> Stage:
        """Payloads on their way to servers, all transmitted in the same slot.

        Rate: eqs (8), (10) with the interference of the other transmitters at the same
        receiver. Time: eqs (12), (20). Energy: eqs (13), (22) without propagation time.

        Args:
            links: links of the slot.
            device: (K,) rows of `links`.
            server: (K,) columns of `links`; none may be `LOCAL`.
            power_w: (K,) transmit power [W].
            size_bit: (K,) what is sent [bit].
        """
        gain = links.gain[device, server]
        received_w = gain * power_w
        receivers, receiver = np.unique(links.receiver[server], return_inverse=True)
        interference_w = channel.same_receiver_interference_w(
            received_w, receiver, max(len(receivers), 1)
        )
        residual = channel.db_to_ratio(self.settings.radio.residual_interference_db)
        sinr = channel.sinr(received_w, interference_w, links.noise_w[server], float(residual))
        rate_bit_s = channel.shannon_rate_bit_s(links.bandwidth_hz[server], sinr)
        radio_s = channel.transmission_time_s(size_bit, rate_bit_s)
        return self._with_relay(links, device, server, size_bit, radio_s, power_w)

    def downlink(
        self,
        links: LinkTable,
        device: IntArray,
        server: IntArray,
        answer_bit: FloatArray,
        transmit_power_w: FloatArray,
    ) -> Stage:
        """Answers on their way back, eqs (16), (17), (25), (26) without propagation energy."""
        radio_s = channel.transmission_time_s(
            answer_bit, links.downlink_rate_bit_s[device, server]
        )
        return self._with_relay(links, device, server, answer_bit, radio_s, transmit_power_w)

    def evaluate(self, state: SlotState, decision: SlotDecision) -> SlotOutcome:
        """Latency and energy of every task of a slot under a decision that breaks no constraint.

        Devices and servers work first come, first served; servers begin with their backlog.
        Declined tasks cost nothing and are never answered.
        """
        models, tasks = state.models, state.tasks
        model = state.executing_model(decision.server)
        front = self.front(
            models.front_flop[model, decision.split], state.devices.flop_s[tasks.device]
        )
        front_start_s = fcfs_start_s(
            np.zeros(state.n_tasks), front.time_s, tasks.device, state.devices.backlog_s
        )[0]
        front_end_s = front_start_s + front.time_s
        zeros = {name: np.zeros(state.n_tasks) for name in SlotOutcome.__dataclass_fields__}
        outcome = SlotOutcome(**{**zeros, 'front_s': front_end_s, 'front_j': front.energy_j})
        declined = decision.server == DECLINED
        outcome.front_s[declined], outcome.front_j[declined] = np.inf, 0.0

        sent = np.flatnonzero(decision.server >= 0)
        device, server = tasks.device[sent], decision.server[sent]
        size_bit = state.payload_bit(decision.server, decision.split)[sent]
        up = self.uplink(state.links, device, server, decision.power_w[sent], size_bit)
        share = decision.compute_share[sent]
        back = self.back(
            state.server_flop(decision.server, decision.split)[sent],
            state.servers.flop_s[server] * np.where(share > 0, share, 1.0),
            state.servers.compute_power_w[server] * np.where(share > 0, share, 1.0),
        )
        arrival_s = front_end_s[sent] + up.time_s
        queued = share == 0
        start_s = arrival_s.copy()
        start_s[queued] = fcfs_start_s(
            arrival_s[queued], back.time_s[queued], server[queued], state.servers.backlog_s
        )[0]
        down = self.downlink(
            state.links,
            device,
            server,
            tasks.answer_bit[sent],
            state.servers.transmit_power_w[server],
        )
        outcome.upload_s[sent], outcome.upload_j[sent] = up.time_s, up.energy_j
        outcome.wait_s[sent] = start_s - arrival_s
        outcome.back_s[sent], outcome.back_j[sent] = back.time_s, back.energy_j
        outcome.download_s[sent], outcome.download_j[sent] = down.time_s, down.energy_j
        return outcome

    def cost(self, latency_s: FloatArray, energy_j: FloatArray) -> FloatArray:
        """Weighted cost of tasks, eq. (31), in any common shape."""
        weights = self.settings.objective
        return (
            weights.latency_weight * latency_s / weights.latency_reference_s
            + weights.energy_weight * energy_j / weights.energy_reference_j
        )

    def admissible(self, state: SlotState) -> BoolArray:
        """(K, S + 1) servers that may serve each task; the last column is the device itself.

        A server must live, be reachable until the deadline and run a model that is accurate
        enough: the action mask of Yan et al., with the task's own deadline.
        """
        tasks = state.tasks
        accurate = state.models.accuracy[state.servers.model][None, :] >= tasks.accuracy[:, None]
        in_view = state.links.remaining_s[None, :] >= tasks.deadline_s[:, None]
        remote = (
            state.servers.alive[None, :] & state.links.reachable[tasks.device] & in_view & accurate
        )
        own = state.models.accuracy[state.devices.model[tasks.device]] >= tasks.accuracy
        return np.concatenate([remote, own[:, None]], axis=1)

    def violations(self, state: SlotState, decision: SlotDecision) -> IntArray:
        """(K,) `Violation` flags of the decision on each task; 0 where it is sound."""
        server, n_servers = decision.server, state.n_servers
        flags = np.zeros(state.n_tasks, dtype=np.int64)
        flags[(server < DECLINED) | (server >= n_servers)] |= Violation.SERVER
        safe = np.where((server >= n_servers) | (server < LOCAL), LOCAL, server)
        model = state.executing_model(safe)
        last_cut = state.models.n_cuts[model] - 1
        remote, column = safe >= 0, np.maximum(safe, 0)
        if n_servers:
            in_view = state.links.remaining_s[column] >= state.tasks.deadline_s
            reachable = state.links.reachable[state.tasks.device, column] & in_view
            flags[remote & ~state.servers.alive[column]] |= Violation.DEAD
            flags[remote & ~reachable] |= Violation.UNREACHABLE
        split_ok = np.where(
            remote, (decision.split >= 0) & (decision.split < last_cut), decision.split == last_cut
        )
        flags[~split_ok] |= Violation.SPLIT
        low_w, high_w = self.settings.devices.transmit_power_w
        power_ok = (decision.power_w >= low_w) & (decision.power_w <= high_w * (1 + 1e-9))
        flags[remote & ~power_ok] |= Violation.POWER
        share_ok = (decision.compute_share >= 0) & (decision.compute_share <= 1)
        flags[remote & ~share_ok] |= Violation.SHARE
        flags[state.models.accuracy[model] < state.tasks.accuracy - 1e-12] |= Violation.ACCURACY
        flags[server == DECLINED] = 0
        return flags

    def options(self, state: SlotState, power_w: FloatArray) -> Options:
        """Every way to serve each task as if it were alone: server, cut and transmit power.

        Args:
            state: the slot.
            power_w: (P,) transmit powers to consider [W].
        """
        tasks, links, models = state.tasks, state.links, state.models
        n_tasks, n_servers, n_cuts = state.n_tasks, state.n_servers, models.front_flop.shape[1]
        shape = (n_tasks, n_servers + 1, n_cuts, len(power_w))
        model = np.empty((n_tasks, n_servers + 1), dtype=np.int64)
        model[:, :-1] = state.servers.model
        model[:, -1] = state.devices.model[tasks.device]
        device_flop_s = state.devices.flop_s[tasks.device][:, None, None]
        front = self.front(models.front_flop[model], device_flop_s)
        latency_s, energy_j = np.empty(shape), np.empty(shape)
        front_end_s = front.time_s + state.devices.backlog_s[tasks.device][:, None, None]
        latency_s[...], energy_j[...] = front_end_s[..., None], front.energy_j[..., None]

        gain = links.gain[tasks.device]
        snr = gain[:, :, None] * power_w / links.noise_w[None, :, None]
        rate_bit_s = channel.shannon_rate_bit_s(links.bandwidth_hz[None, :, None], snr)
        size_bit = models.cut_bit[model[:, :-1]]
        size_bit[..., 0] += tasks.input_bit[:, None]
        radio_s = channel.transmission_time_s(size_bit[..., None], rate_bit_s[:, :, None, :])
        relay = self.settings.satellites
        relay_s = links.hops[:, None] * size_bit / relay.isl_rate_bit_s
        answer_relay_s = links.hops * tasks.answer_bit[:, None] / relay.isl_rate_bit_s
        back = self.back(
            models.back_flop[model[:, :-1]] * tasks.steps[:, None, None],
            state.servers.flop_s[None, :, None],
            state.servers.compute_power_w[None, :, None],
        )
        arrival_s = (
            front_end_s[:, :-1, :, None]
            + radio_s
            + (relay_s + links.delay_s[tasks.device][:, :, None])[..., None]
        )
        start_s = np.maximum(arrival_s, state.servers.backlog_s[None, :, None, None])
        answer_s = channel.transmission_time_s(
            tasks.answer_bit[:, None], links.downlink_rate_bit_s[tasks.device]
        )
        way_back_s = answer_s + answer_relay_s + links.delay_s[tasks.device]
        latency_s[:, :-1] = start_s + back.time_s[..., None] + way_back_s[:, :, None, None]
        energy_j[:, :-1] += (
            power_w * radio_s
            + (relay.isl_power_w * relay_s + back.energy_j)[..., None]
            + (state.servers.transmit_power_w * answer_s + relay.isl_power_w * answer_relay_s)[
                :, :, None, None
            ]
        )
        feasible = np.broadcast_to(
            (self.admissible(state)[:, :, None] & self._offered_cuts(model))[..., None], shape
        )
        punctual = feasible & (latency_s <= tasks.deadline_s[:, None, None, None])
        return Options(latency_s, energy_j, self.cost(latency_s, energy_j), feasible, punctual)

    def _offered_cuts(self, model: IntArray) -> BoolArray:
        """(K, S + 1, C) cuts that leave work to a server, and the last one for the device."""
        cut = np.arange(self.models.front_flop.shape[1])
        last = self.models.n_cuts[model][..., None] - 1
        offered = cut < last
        offered[:, -1] = cut == last[:, -1]
        return offered

    def _with_relay(
        self,
        links: LinkTable,
        device: IntArray,
        server: IntArray,
        size_bit: FloatArray,
        radio_s: FloatArray,
        power_w: FloatArray,
    ) -> Stage:
        """Add propagation and inter-satellite links to a radio transmission."""
        relay_s = links.hops[server] * size_bit / self.settings.satellites.isl_rate_bit_s
        return Stage(
            radio_s + links.delay_s[device, server] + relay_s,
            power_w * radio_s + self.settings.satellites.isl_power_w * relay_s,
        )
