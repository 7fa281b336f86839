"""What a slot costs and which decisions are allowed, where single tasks are sent to servers.

The nodes call the stages (`front`, `uplink`, `back`, `downlink`) one by one where they happen;
`evaluate` chains the same stages for a whole slot, and `options` prices every way to serve a task.
A scenario says what is its own: its radio, who pays for what, and whether devices compute. What
it says nothing of is simple: devices have sub-channels of their own, to UAVs nearby.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from sec_nodes.physics import channel, workload
from sec_nodes.physics.queueing import fcfs_admission_s, fcfs_start_s
from sec_nodes.scenarios.stages import Options, QueueRule, Stage, Violation, Way
from sec_nodes.slot import (
    DECLINED,
    LOCAL,
    BoolArray,
    FloatArray,
    IntArray,
    LinkTable,
    ModelTable,
    RelayPlan,
    RelayTable,
    SlotDecision,
    SlotOutcome,
    SlotState,
)

_ACCURACY_SLACK = 1e-12


class Offloading(ABC):
    """Costs and constraints of a slot.

    Args:
        settings: the scenario.
        models: accuracy and cuts of the models that run in it.
    """

    devices_compute: ClassVar[bool]
    """Whether devices can run layers, or whole models, by themselves."""
    shares_computers: ClassVar[bool]
    """Whether a share of a server's computer can be reserved for a task."""
    own_controllers: ClassVar[bool] = False
    """Whether only controllers that were made for the scenario can play it."""
    answers_count: ClassVar[bool] = True
    """Whether answers take time and energy on their way back; else they are too small to."""
    longest_upload_s: float = np.inf
    """The radio gives up an upload after that [s]."""
    queue: QueueRule = QueueRule()

    def __init__(self, settings: Any, models: ModelTable) -> None:
        self.settings = settings
        self.models = models

    # -- what a scenario says --------------------------------------------------------------------

    @property
    @abstractmethod
    def transmit_power_w(self) -> tuple[float, float]:
        """Least and largest transmit power of a device [W]."""

    @property
    def residual_interference(self) -> float:
        """Share of the power of other devices that a receiver cannot suppress."""
        return float(channel.db_to_ratio(self.settings.radio.residual_interference_db))

    def front(self, flop: FloatArray, flop_s: FloatArray) -> Stage:
        """Layers on the device; here nothing, for devices that cannot compute.

        Args:
            flop: (K,) work [FLOP].
            flop_s: (K,) speed of each task's device [FLOP/s].
        """
        nothing = np.zeros(np.broadcast_shapes(np.shape(flop), np.shape(flop_s)))
        return Stage(nothing, nothing)

    def upload_rate_bit_s(
        self, links: LinkTable, device: IntArray, server: IntArray, power_w: FloatArray
    ) -> FloatArray:
        """(K,) rates of uploads that are all transmitted in the same slot [bit/s].

        Here each has a sub-channel of its own.

        Args:
            links: links of the slot.
            device: (K,) rows of `links`.
            server: (K,) columns of `links`; none may be `LOCAL`.
            power_w: (K,) transmit power [W].
        """
        ratio = power_w * links.gain[device, server] / links.noise_w[server]
        return channel.shannon_rate_bit_s(links.bandwidth_hz[server], ratio)

    def carried(
        self, way: Way, size_bit: FloatArray, radio_s: FloatArray, power_w: FloatArray
    ) -> Stage:
        """A transmission with propagation and inter-satellite links; here without either.

        Args:
            way: between device and server.
            size_bit: what is sent [bit].
            radio_s: what the radio needs for it [s].
            power_w: power of the radio's transmitter [W].
        """
        return Stage(radio_s, power_w * radio_s)

    def view_needed_s(self, state: SlotState) -> FloatArray:
        """(K,) how long a satellite must stay in view to be sent a task [s]; here no time."""
        return np.zeros(state.n_tasks)

    @abstractmethod
    def airspace_m(self) -> tuple[FloatArray, FloatArray]:
        """Least and largest coordinates (M, 3) of goals of the UAVs [m; map]."""

    def sound_relays(self, relays: RelayTable, plan: RelayPlan) -> tuple[RelayPlan, BoolArray]:
        """Orders held within their limits, and (M,) whose were not; finite, none negative.

        Raises:
            NotImplementedError: in scenarios in which UAVs pass nothing on.
        """
        raise NotImplementedError(f'{type(self).__name__} has no relays')

    def settled(self, state: SlotState, decision: SlotDecision) -> SlotDecision:
        """The decision with what the scenario settles by rules of its own; here nothing."""
        return decision

    # -- stages, where they happen ---------------------------------------------------------------

    def server_name(self, server: int) -> str:
        """Name of a server, which is the namespace of its topics as well."""
        n_uavs = self.settings.uavs.count
        if server == LOCAL:
            return 'local'
        return f'uav_{server}' if server < n_uavs else f'satellite_{server - n_uavs}'

    def uplink(
        self,
        links: LinkTable,
        device: IntArray,
        server: IntArray,
        power_w: FloatArray,
        size_bit: FloatArray,
    ) -> Stage:
        """Payloads on their way to servers, all transmitted in the same slot.

        Args:
            links: links of the slot.
            device: (K,) rows of `links`.
            server: (K,) columns of `links`; none may be `LOCAL`.
            power_w: (K,) transmit power [W].
            size_bit: (K,) what is sent [bit].
        """
        rate_bit_s = self.upload_rate_bit_s(links, device, server, power_w)
        radio_s = np.minimum(
            channel.transmission_time_s(size_bit, rate_bit_s), self.longest_upload_s
        )
        return self.carried(_way(links, device, server), size_bit, radio_s, power_w)

    def back(self, flop: FloatArray, flop_s: FloatArray, power_w: FloatArray) -> Stage:
        """Layers on a server, Yan et al. 2025, eqs (14), (15), (23), (24).

        Args:
            flop: (K,) work [FLOP].
            flop_s: (K,) speed of the server's computer, or of the share that is reserved.
            power_w: (K,) power while computing [W].
        """
        time_s = workload.compute_time_s(flop, flop_s)
        return Stage(time_s, workload.compute_energy_j(time_s, power_w))

    def downlink(
        self,
        links: LinkTable,
        device: IntArray,
        server: IntArray,
        answer_bit: FloatArray,
        transmit_power_w: FloatArray,
    ) -> Stage:
        """Answers on their way back; arguments as of `uplink`, power of the servers."""
        if not self.answers_count:
            return Stage(np.zeros(len(device)), np.zeros(len(device)))
        radio_s = channel.transmission_time_s(
            answer_bit, links.downlink_rate_bit_s[device, server]
        )
        return self.carried(_way(links, device, server), answer_bit, radio_s, transmit_power_w)

    # -- a whole slot ----------------------------------------------------------------------------

    def evaluate(self, state: SlotState, decision: SlotDecision) -> SlotOutcome:
        """Latency and energy of every task of a slot under a decision that breaks no constraint.

        Devices and servers work first come, first served; servers begin with their backlog.
        Declined tasks cost nothing and are never answered; one that a server refuses because it
        would wait too long costs its way there, and waits for ever.
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
        wait_s = self._wait_s(
            front_end_s[sent] + up.time_s, back.time_s, server, share, state.servers.backlog_s
        )
        down = self.downlink(
            state.links,
            device,
            server,
            tasks.answer_bit[sent],
            state.servers.transmit_power_w[server],
        )
        refused = np.isinf(wait_s)
        outcome.upload_s[sent], outcome.upload_j[sent] = up.time_s, up.energy_j
        outcome.wait_s[sent] = wait_s
        outcome.back_s[sent] = np.where(refused, 0.0, back.time_s)
        outcome.back_j[sent] = np.where(refused, 0.0, back.energy_j)
        outcome.download_s[sent] = np.where(refused, 0.0, down.time_s)
        outcome.download_j[sent] = np.where(refused, 0.0, down.energy_j)
        return outcome

    def _wait_s(
        self,
        arrival_s: FloatArray,
        service_s: FloatArray,
        server: IntArray,
        share: FloatArray,
        backlog_s: FloatArray,
    ) -> FloatArray:
        """(K,) time in the queue [s]; infinite for tasks that are refused."""
        wait_s = np.zeros_like(arrival_s)
        if not self.queue.enabled:
            return wait_s
        queued = share == 0
        arrival_s, service_s, server = arrival_s[queued], service_s[queued], server[queued]
        if np.isinf(self.queue.longest_wait_s):
            start_s = fcfs_start_s(arrival_s, service_s, server, backlog_s)[0]
            wait_s[queued] = start_s - arrival_s
            return wait_s
        waits_s, refused, _ = fcfs_admission_s(
            arrival_s[None], service_s[None], server[None], backlog_s[None],
            self.queue.longest_wait_s,
        )  # fmt: skip
        wait_s[queued] = np.where(refused[0], np.inf, waits_s[0])
        return wait_s

    def cost(self, latency_s: FloatArray, energy_j: FloatArray) -> FloatArray:
        """Weighted cost of tasks, Yan et al. 2025, eq. (31), in any common shape."""
        weights = self.settings.objective
        return (
            weights.latency_weight * latency_s / weights.latency_reference_s
            + weights.energy_weight * energy_j / weights.energy_reference_j
        )

    def admissible(self, state: SlotState) -> BoolArray:
        """(K, S + 1) servers that may serve each task; the last column is the device itself.

        A server must live, be reachable for long enough and run a model that is accurate enough:
        the action mask of Yan et al. 2025, UAVs staying where they are.
        """
        tasks = state.tasks
        least = tasks.accuracy - _ACCURACY_SLACK
        accurate = state.models.accuracy[state.servers.model][None, :] >= least[:, None]
        in_view = state.links.remaining_s[None, :] >= self.view_needed_s(state)[:, None]
        remote = (
            state.servers.alive[None, :] & state.links.reachable[tasks.device] & in_view & accurate
        )
        own = state.models.accuracy[state.devices.model[tasks.device]] >= least
        return np.concatenate([remote, (own & self.devices_compute)[:, None]], axis=1)

    def violations(self, state: SlotState, decision: SlotDecision) -> IntArray:
        """(K,) `Violation` flags of the decision on each task; 0 where it is sound."""
        server, n_servers = decision.server, state.n_servers
        flags = np.zeros(state.n_tasks, dtype=np.int64)
        flags[(server < DECLINED) | (server >= n_servers)] |= Violation.SERVER
        safe = np.where((server >= n_servers) | (server < LOCAL), LOCAL, server)
        model = state.executing_model(safe)
        remote, column = safe >= 0, np.maximum(safe, 0)
        if n_servers:
            in_view = state.links.remaining_s[column] >= self.view_needed_s(state)
            reachable = state.links.reachable[state.tasks.device, column] & in_view
            flags[remote & ~state.servers.alive[column]] |= Violation.DEAD
            flags[remote & ~reachable] |= Violation.UNREACHABLE
        if not self.devices_compute:
            flags[server == LOCAL] |= Violation.NO_COMPUTER
        split_ok = np.where(
            remote,
            (decision.split >= 0) & (decision.split < self._cuts_offered(model)),
            decision.split == state.models.n_cuts[model] - 1,
        )
        flags[~split_ok] |= Violation.SPLIT
        low_w, high_w = self.transmit_power_w
        power_ok = (decision.power_w >= low_w) & (decision.power_w <= high_w * (1 + 1e-9))
        flags[remote & ~power_ok] |= Violation.POWER
        most = 1.0 if self.shares_computers else 0.0
        share_ok = (decision.compute_share >= 0) & (decision.compute_share <= most)
        flags[remote & ~share_ok] |= Violation.SHARE
        least = state.tasks.accuracy - _ACCURACY_SLACK
        flags[state.models.accuracy[model] < least] |= Violation.ACCURACY
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
        delay_s = links.delay_s[tasks.device]
        up = self.carried(
            Way(delay_s[..., None, None], links.hops[:, None, None], links.isl_m[:, None, None]),
            size_bit[..., None],
            np.minimum(radio_s, self.longest_upload_s),
            power_w,
        )
        back = self.back(
            models.start_flop[model[:, :-1]]
            + models.back_flop[model[:, :-1]] * tasks.steps[:, None, None],
            state.servers.flop_s[None, :, None],
            state.servers.compute_power_w[None, :, None],
        )
        down = self.carried(
            Way(delay_s, links.hops, links.isl_m),
            tasks.answer_bit[:, None],
            channel.transmission_time_s(
                tasks.answer_bit[:, None], links.downlink_rate_bit_s[tasks.device]
            ),
            state.servers.transmit_power_w,
        )
        arrival_s = front_end_s[:, :-1, :, None] + up.time_s
        start_s = np.maximum(arrival_s, state.servers.backlog_s[None, :, None, None])
        start_s = start_s if self.queue.enabled else arrival_s
        way_back_s = down.time_s[:, :, None, None]
        latency_s[:, :-1] = start_s + back.time_s[..., None] + way_back_s
        energy_j[:, :-1] += up.energy_j + (back.energy_j + down.energy_j[:, :, None])[..., None]
        feasible = np.broadcast_to(
            (self.admissible(state)[:, :, None] & self._is_offered(model))[..., None], shape
        ).copy()
        with np.errstate(invalid='ignore'):  # what never arrives does not wait either
            feasible[:, :-1] &= ~(start_s - arrival_s > self.queue.longest_wait_s)
        punctual = feasible & (latency_s <= tasks.deadline_s[:, None, None, None])
        return Options(latency_s, energy_j, self.cost(latency_s, energy_j), feasible, punctual)

    def _cuts_offered(self, model: IntArray) -> IntArray:
        """How many cuts of each model leave work to a server: not the last, if devices compute."""
        return self.models.n_cuts[model] - (1 if self.devices_compute else 0)

    def _is_offered(self, model: IntArray) -> BoolArray:
        """(K, S + 1, C) cuts that leave work to a server, and the last one for the device."""
        cut = np.arange(self.models.front_flop.shape[1])
        offered = cut < self._cuts_offered(model)[..., None]
        offered[:, -1] = cut == self.models.n_cuts[model][:, -1, None] - 1
        return offered


def _way(links: LinkTable, device: IntArray, server: IntArray) -> Way:
    """What lies between the device and the server of each task."""
    return Way(links.delay_s[device, server], links.hops[server], links.isl_m[server])
