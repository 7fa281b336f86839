"""JCORM's problem by a genetic algorithm (HA): Qi et al., IEEE IoT J. 2025, section VI.

A point holds p, f, x and t of all UAVs of a slot in parts of their limits; the shares of CPU are
rescaled so that they use up F, (28d).  What breaks the deadline (28f) or the storage (28g), (28h)
pays 3 max w for a second: more than an upload that long could be worth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.maritime.problem import SlotProblem, finish_s, slot_problem
from sec_nodes.controllers.optional import optional_package
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.maritime.scenario import take
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeState
from sec_nodes.slot import FloatArray

_PENALTY = 3.0
_LATEST = 10.0
"""Slots after which being late costs no more: without power or CPU a batch is never done."""


@dataclass(frozen=True)
class Budget:
    """How long a genetic algorithm may search for the decision of one slot."""

    population: int = 100
    generations: int = 200

    def __post_init__(self) -> None:
        if self.population < 2 or self.generations < 1:
            raise ValueError(
                f'population = {self.population}, generations = {self.generations}: a genetic '
                'algorithm needs two points and one generation at least'
            )

    @property
    def evaluations(self) -> int:
        """Decisions that are tried."""
        return self.population * self.generations


@register_batch
class Genetic(BatchController[Maritime, MaritimeState, MaritimeDecision]):
    """HA: each slot of each copy by a genetic algorithm of its own.

    Args:
        scenario: the system to control.
        seed: seed of the search; with those of copy and slot it decides what is found.
        budget: what its results depend on, so name it beside them.

    Raises:
        ControllerError: pymoo is not installed.
    """

    name = 'genetic'
    scenario_name = 'maritime'
    for_small_cases = True

    def __init__(self, scenario: Maritime, seed: int = 0, budget: Budget = Budget()) -> None:
        super().__init__(scenario, seed)
        optional_package('pymoo', self.name)
        self.budget = budget

    def decide(self, state: MaritimeState) -> MaritimeDecision:
        """Search copy by copy."""
        plans = [self._search(take(state, slice(b, b + 1))) for b in range(len(state.seed))]
        return MaritimeDecision(
            np.concatenate([plan.power_w for plan in plans]),
            np.concatenate([plan.cpu_hz for plan in plans]),
            np.concatenate([plan.ratio for plan in plans]),
            np.concatenate([plan.start_s for plan in plans]),
        )

    def _search(self, state: MaritimeState) -> MaritimeDecision:
        """The decision (1, M) for a single copy."""
        from sec_nodes.controllers.maritime.evolution import evolve

        one = slot_problem(self.scenario, state)
        crowd = take(state, np.zeros(self.budget.population, dtype=int))
        many = slot_problem(self.scenario, crowd)

        def cost(points: FloatArray) -> FloatArray:
            plan = decode(many, points)
            return fine_mbit(many, plan) - self.scenario.evaluate(crowd, plan).utility_mbit

        entropy = np.random.SeedSequence([self.seed, int(state.seed[0]), int(state.slot[0])])
        best = evolve(
            cost,
            4 * state.batch_bit.shape[1],
            self.budget.population,
            self.budget.generations,
            int(entropy.generate_state(1)[0]),
        )
        return _waiting(one, decode(one, best[None]))


def decode(problem: SlotProblem, points: FloatArray) -> MaritimeDecision:
    """Decisions (n, M) from points (n, 4 M) in [0, 1]: p / P_max, shares of F, x, t / tau.

    Who has nothing to send, or no link, offloads nothing and gets neither power nor CPU.
    """
    power, share, ratio, start = points.reshape(len(points), 4, -1).swapaxes(0, 1)
    ratio = np.where(problem.busy & problem.reachable, ratio, 0.0)
    share = np.where(ratio > 0, share, 0.0)
    asked = share.sum(axis=-1, keepdims=True)
    return MaritimeDecision(
        power_w=np.where(ratio > 0, power * problem.largest_power_w, 0.0),
        cpu_hz=problem.cpu_hz * share / np.where(asked > 0, asked, 1.0),
        ratio=ratio,
        start_s=start * problem.slot_s,
    )


def fine_mbit(problem: SlotProblem, plan: MaritimeDecision) -> FloatArray:
    """(n,) what a decision pays for broken constraints: 3 max w for every second [Mbit].

    An upload begins too early before the batch is done, (28f), or before `hold_s` if it pays,
    (28h), and too late after `limit_s`, by which the storage is full where it does not, (28g).
    """
    done_s = np.minimum(finish_s(problem, plan), _LATEST * problem.slot_s)
    early_s = np.maximum(done_s - plan.start_s, 0.0)
    pays = problem.gain_mbit_s > 0
    empty_s = np.where(pays, np.maximum(problem.hold_s - plan.start_s, 0.0), 0.0)
    full_s = np.maximum(plan.start_s - np.maximum(problem.limit_s, done_s), 0.0)
    worth = np.abs(problem.gain_mbit_s).max(axis=-1)
    return _PENALTY * worth * (early_s + empty_s + full_s).sum(axis=-1)


def _waiting(problem: SlotProblem, plan: MaritimeDecision) -> MaritimeDecision:
    """The decision with uploads that wait for their batches, (28f), however poor the search."""
    done_s = finish_s(problem, plan)
    return replace(plan, start_s=np.minimum(np.maximum(plan.start_s, done_s), problem.slot_s))
