"""Simple controllers of the mllm scenario, from random choice to coordinate descent.

All but `random` choose admissible servers only, with the UAVs where they are sent; a device that
no server may serve goes wherever its controller would send it otherwise.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields, replace

import numpy as np

from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.physics.randomness import Stream, uniform
from sec_nodes.scenarios.mllm import Mllm, MllmDecision, MllmState
from sec_nodes.scenarios.mllm.kept import frozen
from sec_nodes.slot import BoolArray, FloatArray, IntArray

_GATHERING_ROUNDS = 8
_POWER_LEVELS = 6
_DESCENT_ROUNDS = 3


class MllmController(BatchController[Mllm, MllmState, MllmDecision]):
    """A controller of the mllm scenario."""

    scenario_name = 'mllm'

    def full_power_w(self, state: MllmState) -> FloatArray:
        """P_max for each device, (B, K)."""
        return np.full_like(state.size_bit, self.scenario.settings.devices.power_w[1])

    def draws(self, state: MllmState, count: int) -> FloatArray:
        """Numbers (B, count) uniform in (0, 1), each copy's and slot's own."""
        return uniform(self.seed, Stream.CONTROLLER, state.seed, state.slot, count)


@register_batch
class Random(MllmController):
    """Any server, any power, UAVs anywhere: what happens without a thought."""

    name = 'random'

    def decide(self, state: MllmState) -> MllmDecision:
        """Draw everything uniformly."""
        scenario, devices = self.scenario, self.scenario.n_devices
        level = self.draws(state, 2 * devices + 2 * scenario.n_uavs)
        choice, power, place = np.split(level, (devices, 2 * devices), axis=-1)
        low_w, high_w = scenario.settings.devices.power_w
        goal_m = place.reshape(state.uav_m.shape) * np.array(scenario.settings.area_m)
        uav_m = scenario.reachable_m(state, goal_m)
        return MllmDecision(
            server=self.choose(state, uav_m, choice),
            power_w=(low_w + (high_w - low_w) * power).astype(scenario.dtype),
            uav_m=uav_m,
        )

    def choose(self, state: MllmState, uav_m: FloatArray, level: FloatArray) -> IntArray:
        """Servers (B, K) from numbers (B, K) in (0, 1)."""
        return (level * self.scenario.n_servers).astype(np.int64)


@register_batch
class MaskedRandom(Random):
    """As `random`, but among the admissible servers."""

    name = 'masked_random'

    def choose(self, state: MllmState, uav_m: FloatArray, level: FloatArray) -> IntArray:
        """The server with as many admissible ones before it as the number says."""
        allowed = self.scenario.mask(state, uav_m)
        allowed |= ~allowed.any(axis=-1, keepdims=True)
        number = (level * allowed.sum(axis=-1)).astype(np.int64)
        return (allowed.cumsum(axis=-1) > number[..., None]).argmax(axis=-1)


class _Gathered(MllmController):
    """UAVs among the devices that they can serve, full power; servers are left to subclasses."""

    def decide(self, state: MllmState) -> MllmDecision:
        """Place the UAVs, then choose among the admissible servers."""
        uav_m = self.scenario.reachable_m(state, gathering_m(self.scenario, state))
        server = self.choose(state, uav_m, self.scenario.mask(state, uav_m))
        return MllmDecision(server=server, power_w=self.full_power_w(state), uav_m=uav_m)

    @abstractmethod
    def choose(self, state: MllmState, uav_m: FloatArray, allowed: BoolArray) -> IntArray:
        """Servers (B, K) with the UAVs at `uav_m` (B, M, 2)."""


@register_batch
class NearestUav(_Gathered):
    """The nearest UAV that may serve a device, else the satellite that hears it best."""

    name = 'nearest_uav'

    def choose(self, state: MllmState, uav_m: FloatArray, allowed: BoolArray) -> IntArray:
        """Nearest first."""
        m = self.scenario.n_uavs
        distance2_m2 = self.scenario.links.offset2_m2(state.device_m, uav_m)
        nearest = np.where(allowed[..., :m], distance2_m2, np.inf).argmin(axis=-1)
        fallback = best_satellite(self.scenario, state, uav_m, allowed)
        return np.where(allowed[..., :m].any(axis=-1), nearest, fallback)


@register_batch
class AllSatellite(_Gathered):
    """The satellite that hears a device best, for all."""

    name = 'all_satellite'

    def choose(self, state: MllmState, uav_m: FloatArray, allowed: BoolArray) -> IntArray:
        """Largest gain first."""
        return best_satellite(self.scenario, state, uav_m, allowed)


@register_batch
class Greedy(MllmController):
    """Each device takes the server and power that would be cheapest if it were alone."""

    name = 'greedy'

    def __init__(self, scenario: Mllm, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        self._alone = without_neighbours(scenario)
        self._powers_w = np.geomspace(*scenario.settings.devices.power_w, _POWER_LEVELS)

    def decide(self, state: MllmState) -> MllmDecision:
        """Enumerate servers and power levels, each for all devices at once."""
        uav_m = self.scenario.reachable_m(state, gathering_m(self.scenario, state))
        uav_m = frozen(uav_m)
        allowed = self.scenario.mask(state, uav_m)
        allowed |= ~allowed.any(axis=-1, keepdims=True)
        least = np.full(state.size_bit.shape, np.inf)
        server = np.zeros(least.shape, dtype=np.int64)
        power_w = self.full_power_w(state)
        for option in range(self.scenario.n_servers):
            chosen = np.full_like(server, option)
            for level_w in self._powers_w:
                trial = MllmDecision(chosen, np.full_like(power_w, level_w), uav_m)
                outcome = self._alone.evaluate(state, trial)
                cost = outcome.task_cost + outcome.task_penalty
                better = allowed[..., option] & (cost < least)
                np.copyto(least, cost, where=better)
                np.copyto(server, option, where=better)
                np.copyto(power_w, level_w, where=better)
        return MllmDecision(server, power_w, uav_m)


@register_batch
class LeastLoaded(_Gathered):
    """Longest task first, each to the server that would be done with it soonest."""

    name = 'least_loaded'

    def choose(self, state: MllmState, uav_m: FloatArray, allowed: BoolArray) -> IntArray:
        """Fill the servers, task by task, on top of what they have left from earlier slots."""
        allowed = allowed | ~allowed.any(axis=-1, keepdims=True)
        rows = np.arange(len(state.seed))
        done_s = state.backlog_s.copy()
        server = np.zeros(state.size_bit.shape, dtype=np.int64)
        words = np.where(state.active, state.words, 0)
        for task in (-words).argsort(axis=-1, kind='stable').T:
            work_s = words[rows, task, None] * self.scenario.costs.seconds_per_word
            after_s = np.where(allowed[rows, task], done_s + work_s, np.inf)
            at = after_s.argmin(axis=-1)
            server[rows, task] = at
            done_s[rows, at] = after_s[rows, at]
        return server


@register_batch
class Myopic(MllmController):
    """Coordinate descent on the exact penalised cost of the slot, device by device.

    Starts from `greedy` and moves one device at a time to the server that is best for all, keeping
    UAVs and powers. In slots that do not depend on each other this is a local optimum; otherwise
    it does not look ahead.
    """

    name = 'myopic'

    def __init__(self, scenario: Mllm, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        self._start = Greedy(scenario, seed)

    def decide(self, state: MllmState) -> MllmDecision:
        """Sweep over the devices until no move helps, or a few times."""
        scenario = self.scenario
        decision = self._start.decide(state)
        allowed = scenario.mask(state, decision.uav_m)
        servers = scenario.n_servers
        trials, batch = repeated(state, servers), len(state.seed)
        uav_m = frozen(np.repeat(decision.uav_m, servers, axis=0))
        power_w = np.repeat(decision.power_w, servers, axis=0)
        server = decision.server.copy()
        for _ in range(_DESCENT_ROUNDS):
            before = server.copy()
            for device in range(scenario.n_devices):
                options = np.repeat(server, servers, axis=0)
                options[:, device] = np.tile(np.arange(servers), batch)
                outcome = scenario.evaluate(trials, MllmDecision(options, power_w, uav_m))
                cost = outcome.penalised_cost.reshape(batch, servers)
                # The present server stays an option where the mask has none.
                may = allowed[:, device] | (np.arange(servers) == server[:, device, None])
                server[:, device] = np.where(may, cost, np.inf).argmin(axis=-1)
            if np.array_equal(server, before):
                break
        return replace(decision, server=server)


def gathering_m(scenario: Mllm, state: MllmState) -> FloatArray:
    """Positions (B, M, 2) of UAVs in the middle of the devices that are nearest to them.

    Lloyd's algorithm over the devices that ask and that some UAV is accurate enough for, from
    where the UAVs are. A UAV without devices stays.
    """
    m = scenario.n_uavs
    counts = state.active & scenario.costs.accuracy_met(state)[..., :m].any(axis=-1)
    uav_m = state.uav_m
    for _ in range(_GATHERING_ROUNDS):
        nearest = scenario.links.offset2_m2(state.device_m, uav_m).argmin(axis=-1)
        mine = (nearest[..., None] == np.arange(m)) & counts[..., None]
        weight = mine.astype(scenario.dtype)
        number = weight.sum(axis=1)[..., None]
        middle_m = np.einsum('bkm,bkx->bmx', weight, state.device_m) / np.maximum(number, 1)
        uav_m = np.where(number > 0, middle_m, uav_m)
    return uav_m


def best_satellite(
    scenario: Mllm, state: MllmState, uav_m: FloatArray, allowed: BoolArray
) -> IntArray:
    """Admissible satellites (B, K), as servers, whose access satellite hears a device best."""
    m = scenario.n_uavs
    gain = scenario.gains(state, uav_m)[..., m:]
    return np.where(allowed[..., m:], gain, -1).argmax(axis=-1) + m


def without_neighbours(scenario: Mllm) -> Mllm:
    """The scenario in which devices neither disturb each other nor queue."""
    settings = scenario.settings
    radio = settings.radio.model_copy(update={'interference': 'none'})
    queue = settings.queue.model_copy(update={'enabled': False})
    alone = settings.model_copy(update={'radio': radio, 'queue': queue})
    return Mllm(alone, scenario.dtype)


def repeated(state: MllmState, times: int) -> MllmState:
    """Each copy of a state several times, one after the other; its arrays are read-only."""
    arrays = {field.name: getattr(state, field.name) for field in fields(state)}
    return MllmState(
        **{name: frozen(np.repeat(array, times, axis=0)) for name, array in arrays.items()}
    )
