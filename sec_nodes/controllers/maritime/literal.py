"""JCORM as printed: Qi et al., IEEE Internet Things J. 2025, Algorithm 2.

SP1 (power), SP2 (CPU), SP3 (start time) and SP4 (ratio) in turn, each in its closed form with the
other three frozen, until the utility stands still.  No step loses utility, but the end is no local
optimum: SP1 makes the deadline (30) tight, so that SP2 finds the CPU it had, SP3 the start time it
had, and SP4 the ratio it had or a smaller one.  The start time never moves, but where SP4 takes
the ratio to 0, and the seed decides the result.  `coupled` is the remedy; this is for comparison.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.maritime.problem import (
    SlotProblem,
    best_ratio,
    best_start_s,
    finish_s,
    least_cpu_hz,
    least_power_w,
    slot_problem,
)
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeState
from sec_nodes.slot import BoolArray, FloatArray

_TOLERANCE = 1e-9
_MOST_ROUNDS = 100

Utility = Callable[[MaritimeDecision], FloatArray]
"""(B,) objective of (28) at a decision [Mbit]."""
StartStep = Callable[[SlotProblem, FloatArray], FloatArray]
"""When the uploads begin (B, M), given when the batches are done (B, M) [s]."""


@dataclass(frozen=True)
class Alternation:
    """What Algorithm 2 ends at, and how it got there."""

    decision: MaritimeDecision
    utility_mbit: FloatArray
    """(rounds + 1, B) utility of the seed and after each round [Mbit]."""
    start_s: FloatArray
    """(rounds + 1, B, M) when the uploads begin [s]."""


def alternate(
    problem: SlotProblem,
    seed: MaritimeDecision,
    utility: Utility,
    start_step: StartStep = best_start_s,
) -> Alternation:
    """Algorithm 2 from a seed, each copy until |dU| <= 1e-9 max(1, |U|).

    Args:
        problem: the slot.
        seed: the initial point.  The utility rises from one that keeps (28).
        utility: the objective.
        start_step: what stands for SP3.
    """
    plan, before = seed, utility(seed)
    utilities, starts = [before], [seed.start_s]
    moves = np.ones((len(before), 1), dtype=bool)
    while moves.any() and len(utilities) <= _MOST_ROUNDS:
        plan = _where(moves, _round(problem, plan, start_step), plan)
        now = utility(plan)
        moves = (np.abs(now - before) > _TOLERANCE * np.maximum(1.0, np.abs(now)))[:, None]
        before = now
        utilities.append(now)
        starts.append(plan.start_s)
    return Alternation(_without_idle(plan), np.stack(utilities), np.stack(starts))


def _round(
    problem: SlotProblem, plan: MaritimeDecision, start_step: StartStep
) -> MaritimeDecision:
    """SP1, SP2, SP3 and SP4 once."""
    ratio, cpu_hz = plan.ratio, plan.cpu_hz
    left_s = plan.start_s - problem.upload_s - problem.round_trip_s
    sending_s = left_s - _times(ratio, problem.cycles, cpu_hz)
    power_w = np.where(
        (sending_s > 0) | (ratio == 0), least_power_w(problem, ratio, sending_s), plan.power_w
    )

    computing_s = left_s - _times(ratio, problem.batch_bit, problem.rate_bit_s(power_w))
    # As it may only shrink, and is kept where no time is left (NaN), the sum stays within F.
    cpu_hz = np.fmin(cpu_hz, least_cpu_hz(problem, ratio, computing_s))

    done_s = finish_s(problem, MaritimeDecision(power_w, cpu_hz, ratio, plan.start_s))
    start_s = start_step(problem, done_s)
    return MaritimeDecision(
        power_w, cpu_hz, best_ratio(problem, power_w, cpu_hz, start_s, ratio), start_s
    )


def _times(ratio: FloatArray, amount: FloatArray, rate: FloatArray) -> FloatArray:
    """How long the share x of an amount takes; 0 for nothing, at whatever rate."""
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(ratio > 0, ratio * amount / rate, 0.0)


def _where(
    condition: BoolArray, plan: MaritimeDecision, other: MaritimeDecision
) -> MaritimeDecision:
    """A plan where a condition holds, the other one elsewhere."""
    return MaritimeDecision(
        **{
            field.name: np.where(condition, getattr(plan, field.name), getattr(other, field.name))
            for field in fields(plan)
        }
    )


def _without_idle(plan: MaritimeDecision) -> MaritimeDecision:
    """Neither power nor CPU where nothing is offloaded."""
    offloads = plan.ratio > 0
    return replace(
        plan,
        power_w=np.where(offloads, plan.power_w, 0.0),
        cpu_hz=np.where(offloads, plan.cpu_hz, 0.0),
    )


def balanced_seed(problem: SlotProblem) -> MaritimeDecision:
    """p = P_max, f = F / M, and the x = (A - delta) / (A + theta) at which (29) and (30) agree."""
    whole_s = problem.send_s(problem.largest_power_w) + problem.cycles / _equal_hz(problem)
    ahead_s = np.maximum(problem.local_s - problem.round_trip_s, 0.0)
    return _seed(problem, np.where(problem.busy, ahead_s / (problem.local_s + whole_s), 0.0))


def half_seed(problem: SlotProblem) -> MaritimeDecision:
    """p = P_max, f = F / M, x = 1/2; x = 0 where there is nothing to send or no link."""
    return _seed(problem, np.where(problem.busy & problem.reachable, 0.5, 0.0))


def _seed(problem: SlotProblem, ratio: FloatArray) -> MaritimeDecision:
    """The seed with a ratio; its start time by SP3."""
    power_w = np.full_like(ratio, problem.largest_power_w)
    plan = MaritimeDecision(power_w, _equal_hz(problem), ratio, np.zeros_like(ratio))
    start_s = best_start_s(problem, finish_s(problem, plan))
    return replace(plan, start_s=start_s)


def _equal_hz(problem: SlotProblem) -> FloatArray:
    """F / M for everyone."""
    return np.full_like(problem.cycles, problem.cpu_hz / problem.cycles.shape[-1])


class _Literal(BatchController[Maritime, MaritimeState, MaritimeDecision]):
    """Algorithm 2 from one of the seeds."""

    scenario_name = 'maritime'

    def decide(self, state: MaritimeState) -> MaritimeDecision:
        """Alternate in each copy until it stands still."""
        return self.alternation(state).decision

    @abstractmethod
    def alternation(self, state: MaritimeState) -> Alternation:
        """The decision with its history."""

    def _utility(self, state: MaritimeState) -> Utility:
        return lambda plan: self.scenario.evaluate(state, plan).utility_mbit


@register_batch
class JcormLiteral(_Literal):
    """JCORM as printed, seeded where the UAV's and the satellite's share take equally long."""

    name = 'jcorm_literal'

    def alternation(self, state: MaritimeState) -> Alternation:
        """From p = P_max, f = F / M, x = (A - delta) / (A + theta), t by SP3."""
        problem = slot_problem(self.scenario, state)
        return alternate(problem, balanced_seed(problem), self._utility(state))


@register_batch
class JcormLiteralHalf(_Literal):
    """JCORM as printed, seeded with half of each batch offloaded."""

    name = 'jcorm_literal_half'

    def alternation(self, state: MaritimeState) -> Alternation:
        """From p = P_max, f = F / M, x = 1/2, t by SP3."""
        problem = slot_problem(self.scenario, state)
        return alternate(problem, half_seed(problem), self._utility(state))


@register_batch
class HalfSlotLiteral(_Literal):
    """ATSM as printed: Algorithm 2 without SP3, t = tau / 2, seeded as `jcorm_literal_half`.

    While the satellite is not in view there is no second half.
    """

    name = 'half_slot_literal'

    def alternation(self, state: MaritimeState) -> Alternation:
        """From p = P_max, f = F / M, x = 1/2, t = tau / 2."""
        problem = slot_problem(self.scenario, state)
        seed = half_seed(problem)
        begin_s = np.where(problem.reachable, 0.5 * problem.slot_s, problem.slot_s)
        seed = replace(seed, start_s=begin_s)
        return alternate(problem, seed, self._utility(state), lambda _, __: begin_s)
