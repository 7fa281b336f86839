"""JCORM with its powers by successive convex approximation: Qi et al., 2025, section VI.

The passes of `coupled` with another power step: SP1 at a price pi of time,

    minimise (pi + lambda p) y    with    y >= 1 / ln(1 + g p),   0 <= p <= P_max,

is not convex, but for any k > 0 the product of two positive numbers a y is at most
(k a^2 + y^2 / k) / 2, and equal to it for k = y / a.  With the k of the last point this majorant
is convex; its minimum is the next point, and the product never grows.  As SP1 has only one local
optimum, the limit is that of the closed form in `priced_power_w`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from sec_nodes.controllers.base import ControllerError
from sec_nodes.controllers.batch import BatchController, register_batch
from sec_nodes.controllers.maritime.coupled import solve
from sec_nodes.controllers.maritime.problem import SlotProblem, slot_problem
from sec_nodes.controllers.optional import optional_package
from sec_nodes.scenarios.maritime import Maritime
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeState
from sec_nodes.slot import FloatArray

_TOLERANCE = 1e-8
"""Relative decrease of the product at which a power stands still; that of the solver's result."""
_MOST_APPROXIMATIONS = 300
_PASS_TOLERANCE = 1e-4
"""Of `coupled.solve`: the solver's powers are no more certain than that."""


@register_batch
class SuccessiveConvex(BatchController[Maritime, MaritimeState, MaritimeDecision]):
    """SCA: `jcorm` with a convex solver, Clarabel by way of cvxpy, in place of SP1's closed form.

    Raises:
        ControllerError: cvxpy is not installed, or Clarabel finds no solution.
    """

    name = 'sca'
    scenario_name = 'maritime'
    for_small_cases = True

    def __init__(self, scenario: Maritime, seed: int = 0) -> None:
        super().__init__(scenario, seed)
        self._cvxpy = optional_package('cvxpy', self.name)
        self._programs: dict[int, _Approximation] = {}

    def decide(self, state: MaritimeState) -> MaritimeDecision:
        """Solve the slot of each copy; all their UAVs are in one convex problem."""
        n_uavs = state.batch_bit.size
        if n_uavs not in self._programs:
            self._programs[n_uavs] = _Approximation(self._cvxpy, n_uavs)
        step = _PowerStep(self._programs[n_uavs], np.ones(n_uavs))
        problem = slot_problem(self.scenario, state)
        return solve(problem, _PASS_TOLERANCE, power_step=step).decision


class _Approximation:
    """The majorant's minimum for n UAVs, compiled once: only parameters change between solves.

    Per UAV in the product at the last point, which is 1 then, so that all weigh the same:
    ((a + b z)^2 + (c y)^2) / 2 with z = p / P_max.
    """

    def __init__(self, cvxpy: ModuleType, n_uavs: int) -> None:
        self._cvxpy = cvxpy
        self.fixed, self.slope, self.inverse_time, self.snr = (
            cvxpy.Parameter(n_uavs, nonneg=True) for _ in range(4)
        )
        self._share = cvxpy.Variable(n_uavs)
        time = cvxpy.Variable(n_uavs)
        cost = cvxpy.sum_squares(self.fixed + cvxpy.multiply(self.slope, self._share))
        cost += cvxpy.sum_squares(cvxpy.multiply(self.inverse_time, time))
        nats = cvxpy.log1p(cvxpy.multiply(self.snr, self._share))
        self._problem: Any = cvxpy.Problem(
            cvxpy.Minimize(0.5 * cost), [time >= cvxpy.inv_pos(nats), self._share <= 1.0]
        )

    def minimiser(self) -> FloatArray:
        """(n,) p / P_max at the parameters' values."""
        try:
            # A solver that is kept has the scales of what it solved before and ends elsewhere.
            self._problem.solve(solver=self._cvxpy.CLARABEL, warm_start=False)
        except self._cvxpy.SolverError as error:
            raise ControllerError(f'sca: Clarabel failed on a slot: {error}; use jcorm') from error
        if self._share.value is None:
            raise ControllerError(
                f'sca: Clarabel calls a slot {self._problem.status}; use jcorm, which needs no '
                'solver'
            )
        return np.minimum(self._share.value, 1.0)


class _PowerStep:
    """SP1 at given prices by approximations, each call from where the last one ended."""

    def __init__(self, program: _Approximation, share: FloatArray) -> None:
        self._program = program
        self._share = share

    def __call__(self, problem: SlotProblem, price_mbit_s: FloatArray) -> FloatArray:
        """Powers (B, M) at prices pi (B, M); P_max where nothing is to be sent."""
        price, snr = price_mbit_s.ravel(), problem.snr_per_w.ravel() * problem.largest_power_w
        sends = price > 0
        price, snr = np.where(sends, price, 1.0), np.where(sends, snr, 1.0)
        full_mbit_s = problem.energy_weight_mbit_j * problem.largest_power_w

        def product(share: FloatArray) -> FloatArray:
            return (price + full_mbit_s * share) / np.log1p(snr * share)

        share = np.where(sends, self._share, 1.0)
        value = product(share)
        self._program.snr.value = snr
        for _ in range(_MOST_APPROXIMATIONS):
            spent = price + full_mbit_s * share
            self._program.fixed.value = price / spent
            self._program.slope.value = full_mbit_s / spent
            self._program.inverse_time.value = np.log1p(snr * share)
            found = self._program.minimiser()
            better = sends & (found > 0) & (product(np.maximum(found, 1e-300)) < value)
            share = np.where(better, found, share)
            last, value = value, product(share)
            if (last - value <= _TOLERANCE * value).all():
                break
        self._share = share
        return (share * problem.largest_power_w).reshape(price_mbit_s.shape)
