"""A real-coded genetic algorithm, put together from pymoo's operators; importing it needs pymoo.

Binary tournament, simulated binary crossover (eta 15), polynomial mutation (eta 20).  Children
replace their parents, of whom only the best one stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.selection.tournament import TournamentSelection
from pymoo.optimize import minimize

from sec_nodes.slot import FloatArray, IntArray

Cost = Callable[[FloatArray], FloatArray]
"""(population,) costs of (population, variables) points with coordinates in [0, 1]."""


def evolve(
    cost: Cost, n_variables: int, population: int, generations: int, seed: int
) -> FloatArray:
    """(variables,) the best point of the last generation.

    Args:
        cost: what is minimised.
        n_variables: coordinates of a point.
        population: points of a generation.
        generations: how many, the random first one included.
        seed: the same seed gives the same point.
    """
    algorithm = GA(
        pop_size=population,
        selection=TournamentSelection(func_comp=_cheaper),
        crossover=SBX(eta=15),
        mutation=PM(eta=20),
        survival=_OneElite(),
        eliminate_duplicates=False,
    )
    result = minimize(
        _Box(cost, n_variables), algorithm, ('n_gen', generations), seed=seed, copy_algorithm=False
    )
    best: FloatArray = result.X
    return best


class _Box(Problem):
    """A cost over [0, 1]^n, a generation at a time."""

    def __init__(self, cost: Cost, n_variables: int) -> None:
        super().__init__(n_var=n_variables, n_obj=1, xl=0.0, xu=1.0)
        self._cost = cost

    def _evaluate(self, x: FloatArray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        out['F'] = self._cost(x)


class _OneElite(Survival):
    """The children and the best of their parents in place of the worst child."""

    def __init__(self) -> None:
        super().__init__(filter_infeasible=False)

    def _do(
        self,
        problem: Problem,
        pop: Population,
        *args: Any,
        n_survive: int | None = None,
        **kwargs: Any,
    ) -> Population:
        if n_survive is None or len(pop) <= n_survive:
            return pop
        cost = pop.get('F')[:, 0]
        elite = np.argmin(cost[:n_survive])
        children = n_survive + np.argsort(cost[n_survive:], kind='stable')[: n_survive - 1]
        return pop[np.append(elite, children)]


def _cheaper(pop: Population, pairs: IntArray, **kwargs: Any) -> IntArray:
    """(n, 1) the winner of each tournament."""
    cost = pop.get('F')[:, 0]
    return np.take_along_axis(pairs, cost[pairs].argmin(axis=1)[:, None], axis=1)
