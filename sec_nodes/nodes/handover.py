"""Tasks of servers that fail in good order: they are given up, and their tensors passed on.

A server that has said what it holds serves orders to pass it on for one more slot. The layers that
it had finished need not be run again, if the scenario keeps progress.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.codec import PayloadError, encode
from sec_nodes.nodes import names
from sec_nodes.nodes.answering import SplitAnswering, Work
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.serving import Key, Lane, Served
from sec_nodes.nodes.task_messages import packet_fields
from sec_nodes.slot import ModelTable
from sec_nodes.world.base import Failover
from sec_offload import msg

if TYPE_CHECKING:
    from sec_nodes.nodes.server import ServerNode


@dataclass
class Held:
    """What a failing server can pass on of a task, perhaps not before it has arrived."""

    attempt: int
    model_id: str
    cut: int
    tensor: Future[NDArray[Any]]
    """At that cut."""
    payload: msg.Payload | None = None
    """As it came; none while it is on its way."""


def first_unfinished(models: ModelTable, model: int, cut: int, done_flop: float) -> int:
    """The cut before the first layer that is not finished; the last layer never is.

    Meng and Li leave progress open; this is the checkpoint of `failures.progress_kept`.

    Args:
        models: cuts of the networks.
        model: row of the network.
        cut: where the work began.
        done_flop: work that has been done since [FLOP].
    """
    last = int(models.n_cuts[model]) - 1
    if done_flop <= 0 or cut >= last:
        return cut
    work_flop = models.front_flop[model, :last] - models.front_flop[model, cut]
    return max(cut, int(np.flatnonzero(work_flop <= done_flop * (1 + 1e-9))[-1]))


class Handovers:
    """What the failing servers of a process hold, and how they pass it on.

    The lock of the node is held in all calls from outside.

    Args:
        node: whose servers they are.
        failover: what becomes of tasks of failed servers.
    """

    def __init__(self, node: ServerNode, failover: Failover) -> None:
        self._node, self._keeps_progress = node, failover.keeps_progress
        self._slot_s = float(node.world.settings.slot_s)
        self._held: dict[tuple[int, int], Held] = {}
        self._until_s: dict[int, float] = {}
        self._orders: dict[tuple[int, Key], msg.Assignment] = {}
        """Tries that servers were told to answer, by server."""
        self._payloads = node.advertise(names.PAYLOAD_TX)
        self.lifelines = (self._payloads,)
        node.listen(names.TASK_OUTCOME, self.on_outcome)

    def __len__(self) -> int:
        """Tensors that are held, or on their way."""
        return len(self._held)

    def serves(self, lane: Lane) -> bool:
        """Whether a server has failed so recently that it still passes things on."""
        until_s = self._until_s.get(lane.server_id)
        failing = bool(lane.failing) and not lane.mute
        return failing and until_s is not None and self._node.time.now_s() <= until_s + 1e-9

    def announced(self, lane: Lane, order: msg.Assignment) -> None:
        """A living server will get a payload."""
        self._orders[lane.server_id, (order.task_id, order.attempt)] = order

    def awaited(self, lane: Lane, arrived: Iterable[msg.Payload]) -> list[msg.Assignment]:
        """Orders of a server whose payloads are on their way.

        Args:
            lane: the server.
            arrived: payloads that wait for their turn.
        """
        there = {(payload.task_id, payload.attempt) for payload in arrived}
        keys = ((lane.server_id, key) for key in lane.shares if key not in there)
        return [self._orders[key] for key in keys if key in self._orders]

    def give_up(
        self,
        lane: Lane,
        computing: Iterable[Work],
        arrived: Iterable[msg.Payload],
        awaited: Iterable[msg.Assignment],
    ) -> None:
        """Say of every task of a server that fails what can be passed on.

        Args:
            lane: the server.
            computing: what is being answered, or about to leave.
            arrived: payloads that wait for their turn.
            awaited: orders whose payloads have not come.
        """
        self._until_s[lane.server_id] = self._node.time.now_s() + self._slot_s
        for work in computing:
            self._give_up_work(lane, work)
        for payload in arrived:
            self.give_up_payload(lane, payload)
        for order in awaited:
            self.give_up_order(lane, order)

    def give_up_order(self, lane: Lane, order: msg.Assignment) -> None:
        """The payload of this task is on its way: it can be passed on as soon as it is there."""
        held = Held(order.attempt, order.model_id, order.split, Future())
        self._hold(lane, order.task_id, held)

    def give_up_payload(self, lane: Lane, payload: msg.Payload) -> None:
        """Nothing has been computed for this task: its tensor can be passed on as it came."""
        try:
            tensor = self._node.unpack(lane, payload)
        except PayloadError as error:
            self._node.refuse(lane, payload, str(error))
            return
        place = (payload.attempt, payload.model_id, payload.cut)
        held = self._held.get((lane.server_id, payload.task_id))
        if held is None or (held.attempt, held.model_id, held.cut) != place:
            held = Held(*place, Future())
            self._hold(lane, payload.task_id, held)
        if not held.tensor.done():
            held.payload = payload
            held.tensor.set_result(tensor)

    def gone(self, lane: Lane, key: Key, reason: str) -> None:
        """The payload of a try will not come: nobody can pass it on."""
        held = self._held.get((lane.server_id, key[0]))
        if held is not None and held.attempt == key[1] and not held.tensor.done():
            held.tensor.set_exception(PayloadError(reason))

    def on_order(self, lane: Lane, slot: int, order: msg.Assignment) -> None:
        """Pass a tensor on, if it is held; servers that have fallen silent say nothing."""
        if lane.mute or not (lane.alive or self.serves(lane)):
            return
        held = self._held.get((lane.server_id, order.task_id))
        if held is None or held.model_id != order.model_id:
            self._fail(lane, order, f'{lane.name} does not hold it')
        elif held.cut != order.split:
            self._fail(lane, order, f'{lane.name} holds cut {held.cut}, not {order.split}')
        else:
            pass_on = partial(self._pass_on, lane, lane.epoch, slot, order, held)
            held.tensor.add_done_callback(pass_on)

    def forget(self, lane: Lane) -> None:
        """The server starts anew, or is gone for good."""
        self._until_s.pop(lane.server_id, None)
        self._held = {key: held for key, held in self._held.items() if key[0] != lane.server_id}
        self._orders = {key: one for key, one in self._orders.items() if key[0] != lane.server_id}

    def on_outcome(self, outcome: msg.TaskOutcome) -> None:
        """The task is over: nobody needs its tensor any more."""
        with self._node.lock:
            for server in self._node.lanes:
                self._held.pop((server, outcome.task_id), None)
            for key in [key for key in self._orders if key[1][0] == outcome.task_id]:
                del self._orders[key]

    def _give_up_work(self, lane: Lane, work: Work) -> None:
        served: Served = work.context
        models, answering = self._node.world.scenario.models, self._node.answering
        assert isinstance(answering, SplitAnswering)
        share_done = served.share_done(self._node.time.now_s())
        cut = work.cut
        if self._keeps_progress:
            model = models.model_id.index(work.model_id)
            cut = first_unfinished(models, model, cut, share_done * served.flop)
        tensor, payload = answering.span(work, cut), served.payload
        held = Held(payload.attempt, payload.model_id, cut, tensor, payload)
        self._hold(lane, payload.task_id, held, share_done * payload.energy.back_j)

    def _hold(self, lane: Lane, task_id: int, held: Held, spent_j: float = 0.0) -> None:
        lane.energy_used_j += spent_j
        self._held[lane.server_id, task_id] = held
        self._tell(
            lane,
            (task_id, held.attempt),
            msg.TaskReport.HANDOVER,
            f'server_failing: {lane.failing}',
            held_cut=held.cut,
            spent_j=spent_j,
        )

    def _pass_on(
        self,
        lane: Lane,
        epoch: int,
        slot: int,
        order: msg.Assignment,
        held: Held,
        tensor: Future[NDArray[Any]],
    ) -> None:
        """Send a tensor to its new server, once it is there. On any thread."""
        try:
            whole, came = tensor.result(), held.payload
            assert came is not None
            packet = encode(whole, came.codec)
        except Exception as error:  # ONNX Runtime's errors have no common base
            self._fail(lane, order, str(error) or type(error).__name__)
            return
        # by the scenario's clock, as everywhere: messages and layers take no time of their own
        ready_s = max(order.assigned_s, came.ready_s)
        payload = msg.Payload(
            task_id=order.task_id,
            device_id=order.device_id,
            server=order.server,
            holder=lane.server_id,
            slot=slot,
            attempt=order.attempt,
            model_id=order.model_id,
            cut=held.cut,
            prompt=came.prompt,
            steps=came.steps,
            power_w=lane.server.transmit_power_w,
            answer_bit=came.answer_bit,
            created_s=came.created_s,
            ready_s=ready_s,
            **packet_fields(packet),
        )
        payload.header.stamp = to_stamp(ready_s)
        payload.timing.front_s = ready_s - order.assigned_s
        # what the device spent was needed for this answer as well
        payload.energy.front_j = came.energy.front_j
        payload.energy.upload_j = came.energy.upload_j
        self._node.releases.at(ready_s, lambda: self._send(lane, epoch, payload))

    def _send(self, lane: Lane, epoch: int, payload: msg.Payload) -> None:
        with self._node.lock:
            if epoch == lane.epoch:
                self._node.say(lane, self._payloads, payload)

    def _fail(self, lane: Lane, order: msg.Assignment, reason: str) -> None:
        key = (order.task_id, order.attempt)
        self._tell(
            lane, key, msg.TaskReport.LOST, f'handover_failed: {reason}', server=order.server
        )

    def _tell(self, lane: Lane, key: Key, kind: int, reason: str, **fields: Any) -> None:
        given = {'server': lane.server_id} | fields
        report = msg.TaskReport(
            kind=kind,
            reason=reason,
            reporter=lane.name,
            task_id=key[0],
            attempt=key[1],
            **given,
        )
        report.header.stamp = to_stamp(self._node.time.now_s())
        self._node.say(lane, self._node.news, report)
