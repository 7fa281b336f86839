"""Cone programs whose pattern is laid down once, and whose numbers change from solve to solve."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from sec_nodes.controllers.optional import optional_package
from sec_nodes.slot import FloatArray, IntArray

TOLERANCE = 1e-6
"""Relative gap and residuals at which the solver stops; plans are judged exactly afterwards."""
_USABLE = 'Solved', 'AlmostSolved'


class ConeProgram:
    """Minimise x'Px / 2 + c'x such that blocks of rows, coefficients x + offset, lie in cones.

    P is diagonal. Columns, cones and entries are laid down first; `solve` fixes the pattern at its
    first call. `coefficient` and `offset` may change between calls.

    Raises:
        ControllerError: Clarabel is not installed.
    """

    def __init__(self, controller: str) -> None:
        self._clarabel = optional_package('clarabel', controller)
        self._cones: list[Any] = []
        self._rows: list[IntArray] = []
        self._columns: list[IntArray] = []
        self._solver: Any = None
        self.coefficient = np.zeros(0)
        """(entries,) in the order in which they were laid down."""
        self.offset = np.zeros(0)
        """(rows,)"""
        self.square = np.zeros(0)
        """(columns,) diagonal of P, >= 0."""
        self.linear = np.zeros(0)
        """(columns,) c."""

    def columns(self, *shape: int) -> IntArray:
        """New unknowns: their numbers, in this shape."""
        first, count = len(self.linear), int(np.prod(shape))
        self.square = np.append(self.square, np.zeros(count))
        self.linear = np.append(self.linear, np.zeros(count))
        return np.arange(first, first + count).reshape(shape)

    def nonnegative(self, *shape: int) -> IntArray:
        """New rows that must be >= 0: their numbers, in this shape."""
        count = int(np.prod(shape))
        cones = [self._clarabel.NonnegativeConeT(count)] if count else []
        return self._block(cones, count).reshape(shape)

    def second_order(self, count: int, size: int) -> IntArray:
        """New rows (count, size) whose first is at least the norm of the others."""
        cones = [self._clarabel.SecondOrderConeT(size)] * count
        return self._block(cones, count * size).reshape(count, size)

    def third_power(self, count: int) -> IntArray:
        """New rows (count, 3) of cones first^(1/3) second^(2/3) >= |third|."""
        cones = [self._clarabel.PowerConeT(1.0 / 3.0)] * count
        return self._block(cones, 3 * count).reshape(count, 3)

    def enter(self, rows: IntArray, columns: IntArray, value: FloatArray | float = 0.0) -> slice:
        """Coefficients at rows and columns that broadcast; where to find them in `coefficient`.

        No pair of a row and a column may be entered twice.
        """
        row, column = np.broadcast_arrays(rows, columns)
        self._rows.append(row.ravel())
        self._columns.append(column.ravel())
        first = len(self.coefficient)
        values = np.broadcast_to(np.asarray(value, dtype=float), row.shape).ravel()
        self.coefficient = np.append(self.coefficient, values)
        return slice(first, len(self.coefficient))

    def solve(self) -> FloatArray | None:
        """The best x (columns,), or None if there is none or the solver fails."""
        if self._solver is not None:
            self._solver.update(A=-self.coefficient[self._order], b=self.offset)
            found = self._solve()
            if found is not None:
                return found
        # the scaling of the first numbers need not suit the present ones
        self._close()
        return self._solve()

    def _solve(self) -> FloatArray | None:
        found = self._solver.solve()
        # a solution that is not quite exact may do: plans are judged exactly
        return np.array(found.x) if str(found.status) in _USABLE else None

    def _close(self) -> None:
        row, column = np.concatenate(self._rows), np.concatenate(self._columns)
        size = len(self.offset), len(self.linear)
        self._order = np.lexsort((row, column))
        begins = np.searchsorted(column[self._order], np.arange(size[1] + 1))
        matrix = -self.coefficient[self._order], row[self._order], begins
        self._solver = self._clarabel.DefaultSolver(
            sparse.csc_matrix(sparse.diags_array(self.square)),
            self.linear,
            sparse.csc_matrix(matrix, shape=size),
            self.offset,
            self._cones,
            self._settings(),
        )

    def _settings(self) -> Any:
        settings = self._clarabel.DefaultSettings()
        settings.verbose = False
        settings.max_threads = 1
        settings.direct_solve_method = 'qdldl'
        settings.presolve_enable = False  # it would forbid new numbers
        # a third of the time, and nothing that the tolerance would notice
        settings.iterative_refinement_enable = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = TOLERANCE
        return settings

    def _block(self, cones: list[Any], count: int) -> IntArray:
        first = len(self.offset)
        self._cones.extend(cones)
        self.offset = np.append(self.offset, np.zeros(count))
        return np.arange(first, first + count)
