"""mllm: multimodal models on UAVs and satellites, Yan et al., Drones 2025, 9, 500.

Equations are quoted by their numbers there; where they are read differently from the print,
docs/scenario_mllm.md says how and why. Unless queues or a speed limit are switched on, slots do
not depend on what was decided before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from sec_nodes.scenarios.base import Scenario, SlotSummary
from sec_nodes.scenarios.mllm.controls import reachable_m
from sec_nodes.scenarios.mllm.kept import Kept, frozen, is_settled, settled
from sec_nodes.scenarios.mllm.links import Links, for_each_device
from sec_nodes.scenarios.mllm.orbit import Chain, Routes
from sec_nodes.scenarios.mllm.settings import MllmSettings
from sec_nodes.scenarios.mllm.slot import SlotCosts
from sec_nodes.scenarios.mllm.state import MllmDecision, MllmOutcome, MllmState, Orbit
from sec_nodes.scenarios.mllm.world import World
from sec_nodes.slot import BoolArray, FloatArray, IntArray

__all__ = ['Mllm', 'MllmDecision', 'MllmOutcome', 'MllmState', 'Orbit']

_SLACK_M = 1e-2
"""How far beyond area and speed limit a position may lie; float32 rounds at 3e-5 m."""


class Mllm(Scenario[MllmState, MllmDecision, MllmOutcome]):
    """The system in B independent copies.

    Args:
        settings: parameters, see `config/scenarios/mllm.yaml`.
        dtype: float64, or float32 for learning; angles of satellites are float64 always.
    """

    name: ClassVar[str] = 'mllm'
    reference: ClassVar[str] = 'optimum'
    prices_failure: ClassVar[bool] = True
    settings: MllmSettings

    def __init__(self, settings: MllmSettings, dtype: DTypeLike = np.float64) -> None:
        self.settings, self.dtype = settings, np.dtype(dtype)
        self.n_devices, self.n_uavs = settings.devices.count, settings.uavs.count
        self.n_satellites, self.n_servers = settings.satellites.count, settings.n_servers
        self.chain = Chain(settings.satellites, dtype)
        self.links = Links(settings, dtype)
        self.costs = SlotCosts(settings, self.links, dtype)
        self._world = World(settings, dtype)
        self._area_m = np.array(settings.area_m, dtype=dtype)
        self._sky = Kept(self._find_satellites)

    @property
    def horizon(self) -> int:
        """Slots of an episode, T."""
        return self.settings.slots

    def reset(self, seed: IntArray) -> MllmState:
        """Begin an episode in each copy.

        Args:
            seed: (B,) integers >= 0.

        Raises:
            ValueError: seeds of another shape, type or sign.
        """
        seeds = np.array(seed)
        if seeds.ndim != 1:
            raise ValueError(f'seed has shape {seeds.shape}; give one seed a copy, shape (B,)')
        slot = np.zeros(len(seeds), dtype=np.int64)
        start_m = np.array(self.settings.uavs.start_m, dtype=self.dtype)
        in_track_rad = self.chain.start(self._world.phase(seeds))
        return MllmState(
            seed=frozen(seeds),
            slot=slot,
            device_m=frozen(self._world.places_m(seeds)),
            in_track_rad=frozen(in_track_rad),
            uav_m=frozen(np.repeat(start_m[None], len(seeds), axis=0)),
            backlog_s=np.zeros((len(seeds), self.n_servers), dtype=self.dtype),
            **self._world.requests(seeds, slot)._asdict(),
        )

    def evaluate(self, state: MllmState, decision: MllmDecision) -> MllmOutcome:
        """Costs and violated constraints of a decision; the state stays as it is.

        Raises:
            ValueError: a decision of wrong shape, with a NaN, a server that does not exist, or a
                UAV outside the area or farther than it flies in a slot. Everything else that is
                wrong with a decision is counted in the outcome.
        """
        checked = self._checked(state, decision)
        return self._outcome(state, checked)

    def step(self, state: MllmState, decision: MllmDecision) -> tuple[MllmState, MllmOutcome]:
        """The outcome of a slot and the state at the start of the next; errors as `evaluate`."""
        checked = self._checked(state, decision)
        outcome = self._outcome(state, checked)
        slot = state.slot + 1
        in_track_rad = self.chain.after(state.in_track_rad, self.settings.slot_s)
        following = MllmState(
            seed=state.seed,
            slot=slot,
            device_m=state.device_m,
            in_track_rad=frozen(in_track_rad),
            uav_m=checked.uav_m,
            backlog_s=outcome.backlog_next_s,
            **self._world.requests(state.seed, slot)._asdict(),
        )
        return following, outcome

    def summarise(self, state: MllmState, outcome: MllmOutcome) -> SlotSummary:
        """The outcome of a slot in the figures that every scenario has.

        The cost is the penalised one. Energy is summed over the tasks, as Fig. 7 must be read.
        """
        active = state.active
        tasks = active.sum(axis=-1)
        served = active & ~outcome.unserved & ~outcome.dropped
        n_served = served.sum(axis=-1)
        broken = _broken(outcome)
        with np.errstate(invalid='ignore'):
            latency_s = np.where(served, outcome.latency_s, 0).sum(axis=-1) / n_served
        on_uav = active & (outcome.receiver >= 0) & (outcome.receiver < self.n_uavs)
        return SlotSummary(
            cost=outcome.penalised_cost,
            latency_s=latency_s,
            energy_j=outcome.energy_j.sum(axis=-1),
            tasks=tasks.astype(self.dtype),
            completed=(served & ~outcome.late & (broken == 0)).sum(axis=-1).astype(self.dtype),
            violations=broken.sum(axis=-1).astype(self.dtype),
            extra={
                'raw_cost': outcome.cost,
                'reward': outcome.reward,
                'uav_share': on_uav.sum(axis=-1) / tasks,
                'late_share': outcome.late.sum(axis=-1) / tasks,
                'dropped_share': outcome.dropped.sum(axis=-1) / tasks,
                'accuracy_broken_share': outcome.accuracy_broken.sum(axis=-1) / tasks,
                'coverage_broken_share': outcome.coverage_broken.sum(axis=-1) / tasks,
                'visibility_broken_share': outcome.visibility_broken.sum(axis=-1) / tasks,
            },
        )

    def orbit(self, state: MllmState) -> Orbit:
        """Where the satellites are and through which of them the others are reached.

        Raises:
            ValueError: angles that are not those of an evenly spaced chain.
        """
        return self._sky(state.in_track_rad)[0]

    def gains(self, state: MllmState, uav_m: FloatArray) -> FloatArray:
        """Power gains (B, K, S) to the receivers of each server, eq. (6) as a power gain.

        The receiver of a satellite is its access satellite; 0 where there is none.

        Args:
            state: start of the slot.
            uav_m: (B, M, 2) where the UAVs are while devices transmit.
        """
        orbit = self.orbit(state)
        gain = self.links.gains(state, uav_m, orbit.slant_m)
        space = gain[..., self.n_uavs :]
        through = np.maximum(orbit.access, 0)[:, None, :]
        reached = np.take_along_axis(space, through, axis=-1)
        gain[..., self.n_uavs :] = np.where(orbit.has_access[:, None, :], reached, 0)
        return gain

    def mask(self, state: MllmState, uav_m: FloatArray) -> BoolArray:
        """Which servers (B, K, S) a device may use with the UAVs at `uav_m` (B, M, 2).

        Accurate enough, eq. (2); a UAV that covers the device, eq. (3); a satellite whose access
        satellite stays for twice the longest deadline of the copy's tasks.
        """
        routes = self._sky(state.in_track_rad)[1]
        longest_s = np.where(state.active, state.deadline_s, 0).max(axis=-1)
        stays = (routes.receiver >= 0) & (routes.remaining_s >= 2 * longest_s[:, None])
        allowed = self.costs.accuracy_met(state)
        allowed &= for_each_device(stays, self.n_devices)
        allowed[..., : self.n_uavs] &= self.costs.covered(state.device_m, uav_m)
        return allowed

    def repair(self, state: MllmState, decision: MllmDecision) -> MllmDecision:
        """The decision with each inadmissible server replaced, cf. `mask`.

        By the admissible satellite of largest gain at its access satellite, the lowest number on
        ties; devices without one keep what was decided.
        """
        allowed = self.mask(state, decision.uav_m)
        gain = self.gains(state, decision.uav_m)[..., self.n_uavs :]
        choices = allowed[..., self.n_uavs :]
        best = np.where(choices, gain, -1).argmax(axis=-1) + self.n_uavs
        admissible = np.take_along_axis(allowed, decision.server[..., None], axis=-1)[..., 0]
        keep = admissible | ~choices.any(axis=-1)
        return replace(decision, server=np.where(keep, decision.server, best))

    def reachable_m(self, state: MllmState, goal_m: FloatArray) -> FloatArray:
        """Positions (B, M, 2) as near to the goals as UAVs get in a slot, inside the area."""
        return reachable_m(self.settings, state.uav_m, goal_m, self.dtype)

    def _outcome(self, state: MllmState, decision: MllmDecision) -> MllmOutcome:
        """As `evaluate`, of a checked decision."""
        orbit, routes = self._sky(state.in_track_rad)
        gain = self.links.gains(state, decision.uav_m, orbit.slant_m)
        return self.costs.evaluate(state, decision, routes, gain)

    def _find_satellites(self, in_track_rad: FloatArray) -> tuple[Orbit, Routes]:
        if not is_settled(in_track_rad):  # not from `reset` or `step`
            self.chain.require_chain(in_track_rad)
        orbit = self.chain.orbit(in_track_rad)
        return orbit, self.chain.routes(orbit, self.n_uavs)

    def _checked(self, state: MllmState, decision: MllmDecision) -> MllmDecision:
        server = np.asarray(decision.server)
        power_w = np.asarray(decision.power_w, dtype=self.dtype)
        uav_m = np.asarray(decision.uav_m, dtype=self.dtype)
        tasks, places = state.size_bit.shape, state.uav_m.shape
        for name, array, shape in (
            ('server', server, tasks),
            ('power_w', power_w, tasks),
            ('uav_m', uav_m, places),
        ):
            if array.shape != shape:
                raise ValueError(f'{name} has shape {array.shape}, but must have {shape}')
        if server.dtype.kind not in 'iu':
            raise ValueError(f'server has type {server.dtype}; pass integers, the servers chosen')
        if server.min() < 0 or server.max() >= self.n_servers:
            raise ValueError(
                f'server holds {server.min()} to {server.max()}, but must lie in '
                f'[0, {self.n_servers}): the UAVs first, then the satellites'
            )
        if not np.isfinite(power_w).all():
            raise ValueError('power_w must be finite; give idle devices any power, such as 0')
        inside = (uav_m >= -_SLACK_M) & (uav_m <= self._area_m + _SLACK_M)
        if not inside.all():
            raise ValueError(
                f'uav_m must lie inside the area {self.settings.area_m} m and must not be NaN; '
                'reachable_m clips positions'
            )
        speed_m_s = self.settings.uavs.speed_m_s
        if speed_m_s is not None:
            flown_m2 = np.square(uav_m - state.uav_m).sum(axis=-1)
            limit_m = speed_m_s * self.settings.slot_s
            if flown_m2.max() > (limit_m + _SLACK_M) ** 2:
                raise ValueError(
                    f'uav_m moves a UAV by {np.sqrt(flown_m2.max()):.3f} m, but it flies at most '
                    f'{limit_m:g} m in a slot; reachable_m shortens moves'
                )
        return MllmDecision(server.astype(np.int64, copy=False), power_w, settled(uav_m))


def _broken(outcome: MllmOutcome) -> IntArray:
    """How many constraints (B, K) the decision on each task breaks, deadlines not counted."""
    return (
        outcome.accuracy_broken.astype(np.int64)
        + outcome.coverage_broken
        + outcome.visibility_broken
        + outcome.power_broken
        + outcome.dropped
    )
