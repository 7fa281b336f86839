"""One controller in many episodes of a scenario at once, slot by slot."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sec_nodes.config import ConfigError
from sec_nodes.simulation.systems import AnyController, AnyScenario
from sec_nodes.slot import FloatArray, IntArray

FIGURES = ('cost', 'latency_s', 'energy_j', 'tasks', 'completed', 'violations')
USUAL_SLOTS = 20
"""Slots of an episode that are played if nothing else is asked for."""
EPISODE_STRIDE = 1 << 20
"""Distance of the seeds of two runs, so that their episodes share no world."""


@dataclass(frozen=True)
class Trace:
    """What a controller came to, slot by slot (T) and episode by episode (B)."""

    controller: str
    seed: IntArray
    """(B,) seed of each episode."""
    figures: dict[str, FloatArray]
    """(T, B) each: those of `SlotSummary`, and what the scenario adds."""
    bound: FloatArray | None
    """(T, B) cost that no decision could have beaten in the state the slot began with."""
    decide_s: FloatArray
    """(T,) time that deciding took for all episodes together [s; wall time]."""

    @property
    def episodes(self) -> int:
        """Number of episodes B."""
        return len(self.seed)


def episode_seeds(seed: int, episodes: int) -> IntArray:
    """(B,) seeds of the episodes of a run.

    Raises:
        ConfigError: seed or number of episodes out of range.
    """
    if not 0 <= seed < 1 << 40:
        raise ConfigError(f'seed = {seed}: must lie in 0 to 2^40 - 1')
    if not 1 <= episodes <= EPISODE_STRIDE:
        raise ConfigError(f'episodes = {episodes}: must lie in 1 to {EPISODE_STRIDE}')
    return seed * EPISODE_STRIDE + np.arange(episodes, dtype=np.int64)


def check_slots(scenario: AnyScenario, slots: int | None) -> int:
    """Slots to play: as asked for, or at most `USUAL_SLOTS` of an episode.

    Raises:
        ConfigError: more slots than an episode has, or none.
    """
    if slots is None:
        return min(scenario.horizon, USUAL_SLOTS)
    if not 1 <= slots <= scenario.horizon:
        raise ConfigError(
            f'slots = {slots}: an episode of {scenario.name} has 1 to {scenario.horizon} slots; '
            'for more of them use --episodes'
        )
    return slots


def simulate(
    scenario: AnyScenario,
    controller: AnyController,
    seed: IntArray,
    slots: int,
    certify: bool = False,
    after_slot: Callable[[], None] = lambda: None,
) -> Trace:
    """Play the first slots of an episode for each seed.

    Args:
        scenario: the system.
        controller: who decides.
        seed: (B,) seeds of the episodes.
        slots: how many slots, at most the scenario's horizon.
        certify: ask the controller for a bound in every slot, where it knows one.
        after_slot: called when a slot is over.
    """
    state = scenario.reset(seed)
    rows: list[dict[str, FloatArray]] = []
    bounds: list[FloatArray] = []
    decide_s = np.zeros(slots)
    for slot in range(slots):
        started = time.perf_counter()
        decision = controller.decide(state)
        decide_s[slot] = time.perf_counter() - started
        bound = controller.bound(state) if certify else None
        if bound is not None:
            bounds.append(bound)
        following, outcome = scenario.step(state, decision)
        summary = scenario.summarise(state, outcome)
        rows.append({name: getattr(summary, name) for name in FIGURES} | dict(summary.extra))
        state = following
        after_slot()
    return Trace(
        controller=controller.name,
        seed=seed,
        figures={name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]},
        bound=np.array(bounds, dtype=float) if len(bounds) == slots else None,
        decide_s=decide_s,
    )
