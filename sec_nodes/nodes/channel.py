"""Node `channel`: the radio links; it delays payloads and answers, and loses some."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sec_nodes.nodes import names
from sec_nodes.nodes.base import BadMessageError, CommonParameters, SecNode, run
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.relay_links import RelayLinks
from sec_nodes.nodes.slot_messages import links_message, receivers_from
from sec_nodes.nodes.timing import Releases, RunTime
from sec_nodes.nodes.upload_links import UploadLinks
from sec_nodes.nodes.vector_messages import array3
from sec_nodes.physics.channel import transmission_time_s
from sec_nodes.physics.randomness import Stream, load_distributions, uniform
from sec_nodes.slot import FloatArray, LinkTable
from sec_offload import msg

Key = tuple[int, int]
SLOTS_KEPT = 60
"""Links of older slots are forgotten; answers that come later are lost."""


@dataclass(frozen=True)
class Parameters(CommonParameters):
    """Parameters of the node `channel`."""


@dataclass(frozen=True)
class SlotLinks:
    """The links of a slot, with what identifies their rows and columns."""

    start_s: float
    links: LinkTable
    row: dict[int, int]
    column: dict[int, int]
    transmit_power_w: FloatArray
    server_m: FloatArray
    """(S, 3) where the servers are [m; map]."""


@dataclass(frozen=True)
class Flight:
    """What a payload meets on its way: time, energy, and whether it arrives."""

    slot: int
    time_s: float
    energy_j: float
    lost: str


class ChannelNode(SecNode):
    """All radio links of a run."""

    def __init__(self) -> None:
        super().__init__('channel', Parameters)
        self.world = self.read_world()
        self.time = RunTime(self)
        self.releases = Releases(self.time)
        self.slots: dict[int, SlotLinks] = {}
        self.rows: dict[int, list[msg.MissionUpload]] = {}
        self.flights: dict[Key, Flight] = {}
        self.early: dict[Key, msg.Payload] = {}
        self.dead_links: set[int] = set()
        load_distributions()

        self.tables = self.advertise(names.LINK_TABLE)
        self.tokens = self.advertise(names.TOKEN)
        self.results = self.advertise(names.RESULT)
        self.news = self.advertise(names.TASK_REPORT)
        scenario = self.world.scenario
        self.payloads = {
            server: self.advertise(names.VEHICLE_PAYLOAD.of(scenario.server_name(server)))
            for server in range(self.world.settings.n_servers)
        }
        self.lifelines: tuple[Any, ...] = (
            *self.payloads.values(),
            self.tokens,
            self.results,
            self.news,
            self.listen(names.SLOT_START, self.time.on_slot_start),
            self.listen(names.LINK_REQUEST, self.on_link_request),
            self.listen(names.ASSIGNMENTS, self.on_assignments),
            self.listen(names.PAYLOAD_TX, self.on_payload),
            self.listen(names.TOKEN_TX, self.on_token),
            self.listen(names.RESULT_TX, self.on_result),
        )
        self.listen(names.FAILURE, self.on_failure)
        if self.world.relays is not None:
            relays = RelayLinks(
                self, self.world, self.releases, lambda server: server in self.dead_links
            )
            self.lifelines += relays.lifelines
        self.uploads: UploadLinks | None = None
        if self.world.missions is not None:
            self.uploads = UploadLinks(
                self, self.world, self.releases, lambda server: server in self.dead_links
            )
            self.lifelines += self.uploads.lifelines
        self.waiting: msg.LinkRequest | None = None

    def health(self) -> dict[str, object]:
        """Links that are cut."""
        cut = ', '.join(self.world.scenario.server_name(server) for server in self.dead_links)
        return {'cut links': cut or 'none'}

    def close(self) -> None:
        """Stop the threads."""
        self.releases.close()

    def on_link_request(self, request: msg.LinkRequest) -> None:
        """Compute the links of a slot, once everybody is connected."""
        if not self.wired(*self.lifelines):
            return
        if self.uploads is not None and self.time.lockstep and self.uploads.awaits_devices():
            self.waiting = request
            return
        self.waiting = None
        if request.slot not in self.slots:
            self.slots[request.slot] = self.measure(request)
            self.forget(request.slot - SLOTS_KEPT)
            if self.uploads is not None:
                self.rows[request.slot] = self.uploads.rows()
                self.uploads.open_slot(self.slots[request.slot])
        kept = self.slots[request.slot]
        table = links_message(request.slot, list(kept.row), list(kept.column), kept.links)
        table.header = request.header
        table.relay_gain = self.world.relay_gain(request.slot).tolist()
        table.uploads = self.rows.get(request.slot, [])
        self.tables.publish(table)

    def answer_waiting(self) -> None:
        """Answer a request that waited until devices had handed over what they upload."""
        if self.waiting is not None:
            self.on_link_request(self.waiting)

    def forget(self, before: int) -> None:
        """Drop everything about slots before one, whether or not its payloads ever came."""
        self.slots = {slot: kept for slot, kept in self.slots.items() if slot >= before}
        self.rows = {slot: rows for slot, rows in self.rows.items() if slot >= before}
        self.flights = {key: one for key, one in self.flights.items() if one.slot >= before}
        self.early = {key: one for key, one in self.early.items() if one.slot >= before}

    def measure(self, request: msg.LinkRequest) -> SlotLinks:
        """Gains, rates, delays and losses of a slot."""
        servers = receivers_from(request.servers)
        device_m = array3(request.device_position)
        if len(device_m) != len(request.device_id):
            raise BadMessageError(
                f'{len(device_m)} positions for {len(request.device_id)} devices'
            )
        device_id = np.array(request.device_id, dtype=np.int64)
        seed = self.settings_of_run.seed
        try:
            links = self.world.links(seed, request.slot, device_id, device_m, servers)
        except ValueError as error:
            raise BadMessageError(f'slot {request.slot}: {error}') from None
        return SlotLinks(
            start_s=request.slot * self.world.settings.slot_s,
            links=links,
            row={device: row for row, device in enumerate(request.device_id)},
            column={server.server_id: column for column, server in enumerate(request.servers)},
            transmit_power_w=servers.transmit_power_w,
            server_m=array3([server.position for server in request.servers]),
        )

    def on_assignments(self, batch: msg.AssignmentBatch) -> None:
        """Work out how each payload of a slot will fare: they disturb each other."""
        kept = self.slots.get(batch.slot)
        if kept is None:
            return
        sound = [
            order
            for order in batch.assignments
            if order.server in self.payloads and self.is_sound(order, kept)
        ]
        if self.uploads is not None:
            for order in sound:
                self.uploads.on_order(order)
            return
        for order in sound:
            if order.holder >= 0:
                self.let_fly(order, self.handover(batch.slot, order, kept))
        orders = [order for order in sound if order.holder < 0]
        if not orders:
            return
        device = np.array([kept.row[order.device_id] for order in orders])
        server = np.array([kept.column[order.server] for order in orders])
        stage = self.world.scenario.uplink(
            kept.links,
            device,
            server,
            np.array([order.power_w for order in orders]),
            self.size_bit(orders),
        )
        luck = self.luck(orders)
        for number, order in enumerate(orders):
            time_s = float(stage.time_s[number])
            lost = ''
            if luck[number] < kept.links.loss[device[number], server[number]]:
                lost = 'payload_lost: residual block errors'
            elif not np.isfinite(time_s):
                lost = 'payload_lost: no link'
            energy_j = float(stage.energy_j[number])
            self.let_fly(order, Flight(batch.slot, time_s, energy_j, lost))

    def let_fly(self, order: msg.Assignment, flight: Flight) -> None:
        """Take down what the payload of an order will meet; it may have come already."""
        key = (order.task_id, order.attempt)
        self.flights[key] = flight
        early = self.early.pop(key, None)
        if early is not None:
            self.on_payload(early)

    def handover(self, slot: int, order: msg.Assignment, kept: SlotLinks) -> Flight:
        """How a tensor gets from the server that holds it to another, where both are now."""
        holder, target = kept.column[order.holder], kept.column[order.server]
        # every scenario whose worlds have a failover knows the links between its servers
        scenario: Any = self.world.scenario
        rate_bit_s = scenario.backhaul_rate_bit_s(kept.server_m[holder], kept.server_m[target])
        time_s = float(transmission_time_s(self.size_bit([order]), np.array([rate_bit_s]))[0])
        lost = '' if math.isfinite(time_s) else 'payload_lost: no link'
        return Flight(slot, time_s, float(kept.transmit_power_w[holder]) * time_s, lost)

    def size_bit(self, orders: list[msg.Assignment]) -> FloatArray:
        """(K,) what each order sends [bit]: the tensor at its cut, or the input of its task."""
        models = self.world.scenario.models
        model = [models.model_id.index(order.model_id) for order in orders]
        split = np.array([order.split for order in orders])
        input_bit = np.array([order.input_bit for order in orders])
        return models.cut_bit[model, split] + np.where(split == 0, input_bit, 0.0)

    def is_sound(self, order: msg.Assignment, kept: SlotLinks) -> bool:
        """Whether an order is about a device, server, model and cut that there are, with power."""
        models = self.world.scenario.models
        sound = (
            order.device_id in kept.row
            and order.server in kept.column
            and (order.holder < 0 or self.can_hold(order, kept))
            and order.model_id in models.model_id
            and order.split < models.n_cuts[models.model_id.index(order.model_id)]
            and 0 <= order.power_w < math.inf
            and 0 <= order.input_bit < math.inf
        )
        if not sound:
            self.complain(
                'bad order',
                f'task {order.task_id} of device {order.device_id} to server {order.server} '
                f'(holder {order.holder}) at cut {order.split} of {order.model_id!r} with '
                f'{order.power_w} W and {order.input_bit} bit',
            )
        return bool(sound)

    def can_hold(self, order: msg.Assignment, kept: SlotLinks) -> bool:
        """Whether a server that passes a tensor on is there, and may do so here."""
        can = self.world.failover is not None and order.holder != order.server
        return can and order.holder in kept.column

    def luck(self, orders: list[msg.Assignment]) -> FloatArray:
        """(K,) uniform draws, one for each try of each task."""
        entity = np.array([order.task_id for order in orders], dtype=np.int64)
        attempt = np.array([order.attempt for order in orders], dtype=np.int64)
        draws = uniform(self.settings_of_run.seed, Stream.LOSS, entity, attempt, 1)
        return draws[:, 0]

    def on_payload(self, payload: msg.Payload) -> None:
        """Carry a payload to its server."""
        if self.uploads is not None:
            self.uploads.hand_over(payload)
            return
        key = (payload.task_id, payload.attempt)
        flight = self.flights.pop(key, None)
        if flight is None:
            # it was faster than the assignments that it follows
            self.early[key] = payload
            return
        lost = flight.lost or self.broken('payload', payload)
        arrival_s = payload.ready_s + flight.time_s
        if not lost:
            kept = self.slots[payload.slot]
            if arrival_s - kept.start_s > kept.links.remaining_s[kept.column[payload.server]]:
                lost = 'payload_lost: the satellite has set'
        if lost:
            self.releases.at(payload.ready_s, lambda: self.lose(payload, lost))
            return
        # what a server passes on has been sent before
        before_j = payload.energy.upload_j if payload.holder >= 0 else 0.0
        payload.timing.upload_s = flight.time_s
        payload.energy.upload_j = before_j + flight.energy_j
        payload.ready_s = arrival_s
        payload.header.stamp = to_stamp(arrival_s)
        self.releases.at(arrival_s, lambda: self.payloads[payload.server].publish(payload))

    def on_result(self, result: msg.TaskResult) -> None:
        """Carry an answer to its device."""
        lost = self.broken('answer', result)
        if lost:
            self.lose(result, lost)
            return
        time_s, energy_j = self.way_back(result, result.answer_bit)
        if not np.isfinite(time_s):
            self.lose(result, 'answer_lost: no link')
            return
        result.timing.download_s, result.energy.download_j = time_s, energy_j
        result.ready_s += time_s
        if result.tokens:
            result.first_token_s += self.way_back(result, result.token_bit)[0]
        result.header.stamp = to_stamp(result.ready_s)
        self.releases.at(result.ready_s, lambda: self.results.publish(result))

    def way_back(self, item: Any, size_bit: float) -> tuple[float, float]:
        """Time [s] and energy [J] of something [bit] on its way from a server to a device."""
        kept = self.slots[item.slot]
        column = kept.column[item.server]
        stage = self.world.scenario.downlink(
            kept.links,
            np.array([kept.row[item.device_id]]),
            np.array([column]),
            np.array([size_bit]),
            kept.transmit_power_w[[column]],
        )
        return float(stage.time_s[0]), float(stage.energy_j[0])

    def on_token(self, chunk: msg.TokenChunk) -> None:
        """Carry a piece of an answer to its device; one that cannot get through is not missed."""
        lost = self.broken('token', chunk)
        time_s = math.inf if lost else self.way_back(chunk, chunk.token_bit)[0]
        if not math.isfinite(time_s):
            self.counts[lost or 'token_lost: no link'] += 1
            return
        chunk.ready_s += time_s
        chunk.header.stamp = to_stamp(chunk.ready_s)
        self.releases.at(chunk.ready_s, lambda: self.tokens.publish(chunk))

    def lose(self, item: Any, reason: str) -> None:
        """Report that a payload or an answer is lost."""
        self.counts[reason] += 1
        report = msg.TaskReport(
            kind=msg.TaskReport.LOST,
            reason=reason,
            reporter=self.get_name(),
            task_id=item.task_id,
            attempt=item.attempt,
            server=item.server,
        )
        report.header.stamp = to_stamp(self.time.now_s())
        self.news.publish(report)

    def broken(self, what: str, item: Any) -> str:
        """Why a payload or an answer cannot get through; empty if it can."""
        kept = self.slots.get(item.slot)
        if item.server not in self.payloads:
            return f'{what}_lost: no server {item.server}'
        for name in ('ready_s', 'answer_bit', 'token_bit', 'first_token_s'):
            value = getattr(item, name, 0.0)
            if not 0 <= value < math.inf:
                return f'{what}_lost: {name} = {value}'
        if kept is None or item.device_id not in kept.row or item.server not in kept.column:
            return f'{what}_lost: no links of slot {item.slot}'
        ends = {item.server, getattr(item, 'holder', item.server)}
        return f'{what}_lost: the link is cut' if ends & self.dead_links else ''

    def on_failure(self, failure: msg.Failure) -> None:
        """Cut or restore all links of a server."""
        if failure.kind == msg.Failure.LINK_LOSS:
            self.dead_links.add(failure.server_id)
        elif failure.kind == msg.Failure.RECOVER:
            self.dead_links.discard(failure.server_id)


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(ChannelNode, args)


if __name__ == '__main__':
    main()
