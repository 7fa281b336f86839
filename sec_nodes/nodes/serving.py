"""How a server has payloads answered: their place in the queue, their models, their answers.

Models run elsewhere (`answering`), so that nothing that they do holds up a heartbeat.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.codec import PayloadError, decode
from sec_nodes.inference.providers import DevicePolicy, policy_from
from sec_nodes.loop.serving import ComputeQueue, OrderedIntake
from sec_nodes.nodes.answering import (
    Answering,
    Inferred,
    LanguageAnswering,
    SplitAnswering,
    Teller,
    Work,
    WorkerLimits,
)
from sec_nodes.nodes.base import CommonParameters, SecNode
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.parameters import ParameterError, parameter
from sec_nodes.nodes.task_messages import packet_from
from sec_nodes.nodes.timing import Releases, RunTime
from sec_nodes.world import Server, World, manifest_id
from sec_offload import msg

Key = tuple[int, int]


@dataclass(frozen=True)
class ServerParameters(CommonParameters):
    """Parameters of every node that serves."""

    ids: str = parameter('all', "vehicles of this process: 'all' or a list such as 0-1,3")
    heartbeat_s: float = parameter(0.2, 'wall time between heartbeats [s]', low=0.02, high=10.0)
    compute: str = parameter(
        'emulated',
        'emulated: an answer is ready when the platform of the scenario would have it; '
        'measured: when this machine has it',
        choices=('emulated', 'measured'),
    )
    providers: str = parameter(
        '', 'execution providers in order of wish, such as tensorrt,cuda; empty = the best here'
    )
    threads: int = parameter(1, 'threads of a model', low=1, high=256)
    memory_limit_mb: int = parameter(
        0, 'memory of all language models of the process [MB]; 0 = no limit', low=0
    )
    max_batch: int = parameter(
        8, 'questions to one server that a language model answers together', low=1, high=256
    )
    max_queue: int = parameter(
        32, 'questions that may wait for a language model at one server', low=1, high=10000
    )
    loader: str = parameter(
        'sec_nodes.inference.worker_process:load_language_model',
        'what loads language models, as module:function; for a runtime of your own',
    )
    patience: float = parameter(
        1.0,
        'how many times the usual wall time others are waited for where UAVs pass data on; ten '
        'times that in lockstep',
        low=0.01,
        high=100.0,
    )
    store_dir: str = parameter(
        '', 'folder of stores on disk, one a vehicle, where UAVs pass data on; must be named there'
    )


NETWORK_QUEUE = 1000
"""Tasks that may wait for a network at one server: it takes milliseconds, so that far more than a
slot brings are no sign of trouble; in lockstep a whole slot comes at once."""


@dataclass
class Lane:
    """One server of the process: its computer, its queue and its state of health."""

    server_id: int
    name: str
    server: Server
    alive: bool = True
    mute: bool = False
    """Whether it neither hears nor says anything, although it goes on."""
    failing: str = ''
    """Why it has given its tasks up; empty while all is well, and after a crash."""
    epoch: int = 0
    """Counts crashes: work of an earlier epoch is lost."""
    decision_slot: int = -1
    queue: ComputeQueue = field(default_factory=ComputeQueue)
    intake: OrderedIntake[msg.Payload] = field(init=False)
    shares: dict[Key, float] = field(default_factory=dict)
    """Reserved share of each try whose payload has not had its turn."""
    open: dict[Key, Work] = field(default_factory=dict)
    """What is being answered, or about to leave."""
    missed: set[Key] = field(default_factory=set)
    """Tries of which it could not hear or say something while it was mute."""
    waiting: int = 0
    energy_used_j: float = 0.0

    @property
    def model_id(self) -> str:
        """Model that the server runs."""
        return self.server.model_id

    @property
    def is_heard(self) -> bool:
        """Whether others hear it, and it hears them."""
        return self.alive and not self.mute


@dataclass(frozen=True)
class Served:
    """A payload that is being answered."""

    lane: Lane
    epoch: int
    payload: msg.Payload
    start_s: float
    """When the server begins with it [s; simulation time]."""
    first_s: float
    """When it has the first token, if it is a language model's [s; simulation time]."""
    step_s: float
    """Time between tokens [s]."""
    flop: float
    """Work for the answer [FLOP]."""

    @property
    def end_s(self) -> float:
        """When it is done [s; simulation time]."""
        return float(self.start_s + self.payload.timing.back_s)

    def share_done(self, now_s: float) -> float:
        """Share of the work that is done at an instant [s; simulation time]."""
        passed_s, service_s = now_s - self.start_s, self.payload.timing.back_s
        return min(max(passed_s / service_s, 0.0), 1.0) if service_s > 0 else float(passed_s > 0)


class ServingNode(SecNode, Teller):
    """The part of a server node that answers payloads; `ServerNode` makes what it needs."""

    chosen: ServerParameters
    world: World
    time: RunTime
    releases: Releases
    lock: threading.RLock
    lanes: dict[int, Lane]
    answering: Answering
    tokens: Any
    results: Any
    news: Any

    def policy(self) -> DevicePolicy:
        """Where models run, and on how many threads.

        Raises:
            ParameterError: no such execution provider.
        """
        providers = self.chosen.providers
        try:
            return policy_from(providers, self.chosen.threads)
        except ValueError as error:
            raise ParameterError(f'parameter providers = {providers!r}: {error}') from None

    def make_answering(self) -> Answering:
        """Who runs the models of the lanes.

        Raises:
            ParameterError: no such execution provider.
            ModelError: a model cannot be loaded.
        """
        chosen, policy = self.chosen, self.policy()
        if self.world.scenario.devices_compute:
            names = {lane.model_id for lane in self.lanes.values()}
            if '' in names:
                names = set(self.world.scenario.models.model_id)
            return SplitAnswering(names, policy, NETWORK_QUEUE, self)
        limit_byte = chosen.memory_limit_mb * 10**6 or None
        limits = WorkerLimits(chosen.max_batch, chosen.max_queue, limit_byte, chosen.loader)
        models = {lane.name: manifest_id(lane.model_id) for lane in self.lanes.values()}
        return LanguageAnswering(models, policy, limits, self)

    def model_of(self, lane: Lane, payload: msg.Payload) -> str:
        """Model that a payload must be for, as the scenario's table of models calls it.

        Any, where servers are not tied to one.
        """
        return lane.model_id or str(payload.model_id)

    def say(self, lane: Lane, publisher: Any, message: Any) -> None:
        """Publish a message of a server, unless nobody hears it."""
        if not lane.mute:
            publisher.publish(message)

    def unpack(self, lane: Lane, payload: msg.Payload) -> NDArray[Any]:
        """The tensor of a payload.

        Raises:
            PayloadError: it is damaged, or there is no such model or cut.
        """
        models, model_id = self.world.scenario.models, self.model_of(lane, payload)
        if model_id not in models.model_id:
            raise PayloadError(f'no model {model_id[:80]!r}')
        if payload.cut >= models.n_cuts[models.model_id.index(model_id)]:
            raise PayloadError(f'no cut {payload.cut} of {model_id!r}')
        shape, dtype = self.answering.expected(model_id, payload.cut)
        return decode(packet_from(payload), shape, dtype)

    def schedule(self, lane: Lane, payload: msg.Payload) -> None:
        """Give a payload its place in the queue and hand it to those who run the models."""
        scenario, key = self.world.scenario, (payload.task_id, payload.attempt)
        try:
            tensor = self.unpack(lane, payload)
        except PayloadError as error:
            self.refuse(lane, payload, str(error))
            return
        model_id = self.model_of(lane, payload)
        row = scenario.models.model_id.index(model_id)
        share = lane.shares.pop(key, 0.0)
        used = share or 1.0
        flop_s = np.array(lane.server.flop_s * used)
        power_w = np.array(lane.server.compute_power_w * used)
        start_flop = scenario.models.start_flop[row, payload.cut]
        step_flop = scenario.models.back_flop[row, payload.cut]
        flop = start_flop + step_flop * payload.steps
        stage = scenario.back(flop, flop_s, power_w)
        service_s = float(stage.time_s)
        wait_s = lane.queue.wait_s(payload.ready_s, share) if scenario.queue.enabled else 0.0
        if wait_s > scenario.queue.longest_wait_s:
            longest_s = scenario.queue.longest_wait_s
            self.turn_away(
                lane, payload, f'queue_full: would wait {wait_s:.2f} s, {longest_s:g} s at most'
            )
            return
        start_s = payload.ready_s + wait_s
        payload.timing.wait_s = wait_s
        payload.timing.back_s, payload.energy.back_j = service_s, float(stage.energy_j)
        step_s = float(step_flop / flop_s)
        served = Served(
            lane=lane,
            epoch=lane.epoch,
            payload=payload,
            start_s=start_s,
            first_s=start_s + float(start_flop / flop_s) + step_s,
            step_s=step_s,
            flop=float(flop),
        )
        work = Work(
            lane=lane.name,
            key=(*key, lane.epoch),
            model_id=model_id,
            cut=payload.cut,
            tensor=tensor,
            prompt=payload.prompt,
            steps=payload.steps,
            context=served,
        )
        try:
            self.answering.submit(work)
        except PayloadError as error:
            self.refuse(lane, payload, str(error))
            return
        lane.waiting += 1
        lane.open[key] = work
        if scenario.queue.enabled:
            lane.queue.start_s(payload.ready_s, service_s, share)

    def tell_token(self, work: Work, index: int, text: str, last: bool) -> None:
        """A piece of an answer: it leaves when the scenario's platform would have it."""
        served: Served = work.context
        payload = served.payload
        if self.chosen.compute == 'measured':
            ready_s = max(self.time.now_s(), served.start_s)
        else:
            ready_s = min(served.first_s + index * served.step_s, served.end_s)
        chunk = msg.TokenChunk(
            task_id=payload.task_id,
            device_id=payload.device_id,
            server=payload.server,
            slot=payload.slot,
            attempt=payload.attempt,
            index=index,
            text=text,
            last=last,
            token_bit=payload.answer_bit / payload.steps,
            ready_s=ready_s,
        )
        chunk.header.stamp = to_stamp(ready_s)
        self.releases.at(ready_s, lambda: self.send_token(served, chunk))

    def send_token(self, served: Served, chunk: msg.TokenChunk) -> None:
        """Send a piece of an answer, unless the server has crashed since."""
        if served.epoch == served.lane.epoch:
            self.say(served.lane, self.tokens, chunk)

    def tell_answer(self, work: Work, inferred: Inferred) -> None:
        """An answer: it leaves when the scenario's platform would have it."""
        served: Served = work.context
        payload, start_s, first_s = served.payload, served.start_s, served.first_s
        if self.chosen.compute == 'measured':
            start_s = self.measure(served.lane, payload, start_s, inferred.inference_s)
            first_s = start_s + inferred.first_token_s
        result = msg.TaskResult(
            task_id=payload.task_id,
            device_id=payload.device_id,
            server=payload.server,
            slot=payload.slot,
            attempt=payload.attempt,
            model_id=payload.model_id,
            answer=inferred.answer,
            confidence=inferred.confidence,
            answer_bit=payload.answer_bit,
            inference_s=inferred.inference_s,
            tokens=inferred.tokens,
            batch=inferred.batch,
            token_bit=payload.answer_bit / payload.steps,
            first_token_s=first_s if inferred.tokens else 0.0,
            created_s=payload.created_s,
            ready_s=start_s + payload.timing.back_s,
            timing=payload.timing,
            energy=payload.energy,
        )
        result.header.stamp = to_stamp(result.ready_s)
        self.releases.at(result.ready_s, lambda: self.send(served.lane, served.epoch, result))

    def tell_failure(self, work: Work, reason: str) -> None:
        """The model could not answer; it may be asked again, here or elsewhere."""
        served: Served = work.context
        with self.lock:
            if served.epoch != served.lane.epoch:
                return
            served.lane.waiting -= 1
            served.lane.open.pop((served.payload.task_id, served.payload.attempt), None)
        self.refuse(served.lane, served.payload, reason)

    def measure(
        self, lane: Lane, payload: msg.Payload, start_s: float, inference_s: float
    ) -> float:
        """Replace modelled by measured compute time; returns when the work really began [s]."""
        if not self.time.lockstep:
            start_s = max(self.time.now_s() - inference_s, payload.ready_s)
        payload.timing.wait_s = start_s - payload.ready_s
        payload.timing.back_s = inference_s
        payload.energy.back_j = lane.server.compute_power_w * inference_s
        return start_s

    def send(self, lane: Lane, epoch: int, result: msg.TaskResult) -> None:
        """Send an answer, unless the server has crashed since."""
        with self.lock:
            if epoch != lane.epoch:
                return
            lane.waiting -= 1
            lane.open.pop((result.task_id, result.attempt), None)
            lane.energy_used_j += result.energy.back_j
            if lane.mute:
                lane.missed.add((result.task_id, result.attempt))
        self.say(lane, self.results, result)

    def refuse(self, lane: Lane, payload: msg.Payload, reason: str) -> None:
        """Report that a payload cannot be used; it may be sent again."""
        self.tell(lane, payload, msg.TaskReport.LOST, f'payload_refused: {reason}')

    def turn_away(self, lane: Lane, payload: msg.Payload, reason: str) -> None:
        """Report that the queue is too long; the scenario knows no second try."""
        self.tell(lane, payload, msg.TaskReport.ERROR, reason)

    def tell(self, lane: Lane, payload: msg.Payload, kind: int, reason: str) -> None:
        """Report that a payload will not be answered."""
        key = (payload.task_id, payload.attempt)
        with self.lock:
            lane.intake.gone(key)
            lane.shares.pop(key, None)
            if lane.mute:
                lane.missed.add(key)
        report = msg.TaskReport(
            kind=kind,
            reason=reason,
            reporter=lane.name,
            task_id=payload.task_id,
            attempt=payload.attempt,
            server=lane.server_id,
        )
        self.say(lane, self.news, report)
        self.complain('payload refused', f'{lane.name}: {reason}')
